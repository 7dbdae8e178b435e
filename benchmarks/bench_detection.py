"""COCO evaluation of boxes: this library, pycocotools and faster-coco-eval (where installed)."""

import contextlib
import importlib.util
import io

import numpy as np

from minicv.metrics import evaluate_coco, evaluate_coco_arrays

PEERS = [name for name in ("pycocotools", "faster_coco_eval") if importlib.util.find_spec(name)]


def random_world(images, per_image=100, classes=80, rng=None):
    """Data set and results as COCO's dicts: about 7 objects per image, 5 guesses near each, the rest anywhere."""
    rng = np.random.default_rng(rng)
    annotations, results = [], []
    for i in range(images):
        count = rng.integers(1, 14)
        boxes = np.concatenate([rng.uniform(0, 400, (count, 2)), rng.uniform(5, 155, (count, 2))], axis=1)
        labels = rng.choice(rng.integers(0, classes, 3), count)
        annotations += [{"id": len(annotations) + k + 1, "image_id": i, "category_id": int(c), "bbox": b.tolist(),
                         "area": float(b[2] * b[3]), "iscrowd": 0} for k, (b, c) in enumerate(zip(boxes, labels))]
        near = np.repeat(np.arange(count), 5)
        guesses = np.concatenate([boxes[near] + rng.normal(0, 8, (len(near), 4)), np.concatenate(
            [rng.uniform(0, 400, (per_image, 2)), rng.uniform(5, 155, (per_image, 2))], axis=1)])[:per_image]
        named = np.concatenate([labels[near], rng.integers(0, classes, per_image)])[:per_image]
        results += [{"image_id": i, "category_id": int(c), "bbox": np.maximum(b, [0, 0, 2, 2]).tolist(),
                     "score": float(s)} for b, c, s in zip(guesses, named, rng.random(per_image))]
    dataset = {"images": [{"id": i, "height": 480, "width": 640} for i in range(images)], "annotations": annotations,
               "categories": [{"id": c, "name": str(c)} for c in range(classes)]}
    return dataset, results


def as_arrays(dataset, results):
    """The same as one entry of arrays per image."""
    entries = []
    for rows in (results, dataset["annotations"]):
        image = np.array([r["image_id"] for r in rows])
        boxes, labels = np.array([r["bbox"] for r in rows]), np.array([r["category_id"] for r in rows])
        boxes[:, 2:] += boxes[:, :2]
        scores = np.array([r.get("score", 0.0) for r in rows])
        entries.append([{"boxes": boxes[image == i], "labels": labels[image == i], "scores": scores[image == i]}
                        for i in range(len(dataset["images"]))])
    return entries


def peer(name, dataset, results):
    """A call that evaluates with a reference toolbox; loading its results is not part of it."""
    if name == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval as Evaluation
    else:
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as Evaluation
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dataset
        truth.createIndex()
        found = truth.loadRes(results)

    def call():
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = Evaluation(truth, found, "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation.stats
    return call


class CocoSuite:
    """All twelve figures of 100 boxes per image, from COCO's dicts; beside the reference toolboxes where installed."""

    param_names = ["images"]
    params = [[100, 500]]

    def setup(self, images):
        self.dataset, self.results = random_world(images, rng=0)
        self.calls = {name: peer(name, self.dataset, self.results) for name in PEERS}

    def time_minicv(self, images):
        evaluate_coco(self.dataset, self.results)

    if "pycocotools" in PEERS:
        def time_pycocotools(self, images):
            self.calls["pycocotools"]()

    if "faster_coco_eval" in PEERS:
        def time_faster_coco_eval(self, images):
            self.calls["faster_coco_eval"]()


class ArraysSuite:
    """The same from arrays per image."""

    param_names = ["images"]
    params = [[100, 500]]

    def setup(self, images):
        self.arrays = as_arrays(*random_world(images, rng=0))

    def time_arrays(self, images):
        evaluate_coco_arrays(*self.arrays, num_classes=80)
