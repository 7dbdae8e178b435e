"""Frames per second of the face detector on 384 x 288 pixels: this library and OpenCV's cascade (where installed).

Both look at windows from 24 pixels up, scale factor 1.25, and group what they find. The cascades differ: five stages
trained here on cartoon faces, OpenCV's 25 stages on photographs, so this compares machinery, not detectors.
``python benchmarks/bench_viola_jones.py`` prints the ratio of alternating runs in one process.
"""

import importlib.util
import json
import pathlib
import statistics
import time

import numpy as np

from minicv.data import FacePatches, FaceScenes
from minicv.detection.viola_jones import ViolaJones, sample_features, train_cascade

SIZE = (288, 384)
DETECTORS = ["minicv", *(["opencv"] if importlib.util.find_spec("cv2") else [])]


def trained(seed=0):
    """A cascade of five stages, in a few seconds."""
    def faces(count, first):
        data = FacePatches(count, faces=1.0, nuisance=1.4, seed=seed, first=first)
        return data.arrays()["image"][:, 0]
    scenes = FaceScenes(30, seed=seed + 1)
    cascade, _ = train_cascade(faces(400, 0), faces(300, 400), [scenes[i] for i in range(30)], d_min=0.985, f_max=0.2,
                               pool=sample_features(2000, rng=seed), budget=(3, 8, 16, 32, 64), negatives=800, rng=seed)
    return cascade


def peer():
    """OpenCV's detector as a function of bytes (H, W)."""
    import cv2

    path = pathlib.Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
    detector = cv2.CascadeClassifier(str(path))
    return lambda image: detector.detectMultiScale(image, 1.25, 2, 0, (24, 24))


class ViolaJonesSuite:
    """How long does one frame of 384 x 288 pixels take?"""

    param_names = ["detector"]
    params = [DETECTORS]

    def setup(self, detector):
        image = FaceScenes(1, size=SIZE, faces=(4, 4), side=(24, 90), seed=5)[0]["image"]
        if detector == "opencv":
            pixels, other = np.round(255 * image[0]).astype(np.uint8), peer()
            self.call = lambda: other(pixels)
        else:
            model = ViolaJones(trained())
            self.call = lambda: model.predict(image[None])

    def time_frame(self, detector):
        self.call()


def main(rounds=15):
    """Alternating runs of both; one JSON line."""
    suites = {}
    for name in DETECTORS:
        suites[name] = ViolaJonesSuite()
        suites[name].setup(name)
        suites[name].time_frame(name)
    times = {name: [] for name in suites}
    for _ in range(rounds):
        for name, suite in suites.items():
            start = time.perf_counter()
            suite.time_frame(name)
            times[name].append(time.perf_counter() - start)
    row = {f"{name}_frames_per_second": round(1 / statistics.median(t), 1) for name, t in times.items()}
    if len(times) == 2:
        row["time_ratio"] = round(statistics.median(a / b for a, b in zip(*times.values())), 2)
    print(json.dumps(row))


if __name__ == "__main__":
    main()
