"""Boxes, regions, integral images, matching: how do they compare with torchvision, OpenCV and SciPy, on one thread?

``python benchmarks/bench_vision.py [PATTERN]`` measures ours and the peer's in turn and prints the ratio of the medians
(below 1: ours is faster), where the peer can be imported; `run.py` lists seconds.
"""

import importlib.util
import itertools

import numpy as np

from minicv.kernels import set_num_threads
from minicv.kernels.integral import integral_image
from minicv.kernels.nms import nms
from minicv.kernels.overlap import pairwise_iou
from minicv.kernels.roi import roi_align, roi_align_input
from minicv.matching import linear_assignment


def has(name):
    """Whether a peer can be imported, without importing it."""
    return importlib.util.find_spec(name) is not None


def scene(n, size=1000.0, rng=0):
    """Detections around n / 50 objects of 8 to 512 pixels, and their scores, float32."""
    rng = np.random.default_rng(rng)
    side = np.exp(rng.uniform(np.log(8), np.log(512), (max(1, n // 50), 2)))
    centre, at = rng.uniform(0, size, side.shape), rng.integers(0, len(side), n)
    c, s = centre[at] + 0.1 * side[at] * rng.standard_normal((n, 2)), side[at] * 1.2 ** rng.standard_normal((n, 2))
    return np.concatenate([c - s / 2, c + s / 2], axis=1).astype(np.float32), rng.random(n, np.float32)


def torchvision_ops():
    """torch on one thread, and torchvision.ops."""
    import torch
    import torchvision
    torch.set_num_threads(1)
    return torch, torchvision.ops


class NmsSuite:
    """Greedy suppression at IoU 0.7, of another scene at every call.

    With one scene again and again the processor's branch prediction learns a thousand boxes by heart: that has made
    a loop with branches ten times as fast as on boxes it has not seen, on some processors and not on others.
    """

    param_names = ["boxes"]
    params = [[1000, 10_000]]

    def setup(self, boxes):
        set_num_threads(1)
        self.scenes = itertools.cycle([scene(boxes, rng=seed) for seed in range(16)])

    def time_minicv(self, boxes):
        boxes, scores = next(self.scenes)
        nms(boxes, scores, iou_threshold=0.7)

    if has("torchvision"):
        def time_torchvision(self, boxes):
            torch, ops = torchvision_ops()
            boxes, scores = map(torch.from_numpy, next(self.scenes))
            ops.nms(boxes, scores, 0.7)


class ManyBoxesSuite:
    """Greedy suppression where all pairs would take minutes."""

    param_names = ["boxes"]
    params = [[100_000]]
    setup, time_minicv = NmsSuite.setup, NmsSuite.time_minicv


class IoUSuite:
    """2000 x 2000 boxes."""

    def setup(self):
        set_num_threads(1)
        self.a, self.b = scene(2000)[0], scene(2000, rng=1)[0]

    def time_minicv(self):
        pairwise_iou(self.a, self.b)

    if has("torchvision"):
        def time_torchvision(self):
            torch, ops = torchvision_ops()
            ops.box_iou(torch.from_numpy(self.a), torch.from_numpy(self.b))


class RoiAlignSuite:
    """512 regions, 7 x 7 bins of 2 x 2 samples, 256 channels of a 50 x 68 map; forward and the gradient of the map."""

    param_names = ["what"]
    params = [["forward", "both"]]

    def setup(self, what):
        set_num_threads(1)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((2, 50, 68, 256), np.float32)
        self.x, self.planes = x.transpose(0, 3, 1, 2), np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        self.boxes = np.concatenate([rng.integers(0, 2, (512, 1)), scene(512, 800.0)[0]], axis=1, dtype=np.float32)
        self.g = rng.standard_normal((512, 7, 7, 256), np.float32).transpose(0, 3, 1, 2)

    def time_minicv(self, what):
        settings = dict(scale=1 / 16, sampling_ratio=2)
        roi_align(self.x, self.boxes, size=7, **settings)
        if what == "both":
            roi_align_input(self.g, self.boxes, shape=self.x.shape, **settings)

    if has("torchvision"):
        def time_torchvision(self, what):
            torch, ops = torchvision_ops()
            x = torch.from_numpy(self.planes).requires_grad_(what == "both")
            y = ops.roi_align(x, torch.from_numpy(self.boxes), 7, 1 / 16, 2, True)
            if what == "both":
                y.backward(torch.from_numpy(np.ascontiguousarray(self.g)))


class IntegralSuite:
    """The table of a grey picture: ours in int64, OpenCV's in int32 by default and in float64.

    A table of 8-byte sums is twice as long as one of 4-byte sums, and `time_writing` shows what that costs: to write it
    without computing anything takes 0.8 of OpenCV's whole time for bytes. At equal width (float64) both are as fast.
    """

    param_names = ["size", "dtype"]
    params = [[(480, 640), (1080, 1920)], ["uint8", "float32"]]

    def setup(self, size, dtype):
        set_num_threads(1)
        self.x = np.random.default_rng(0).integers(0, 256, size).astype(dtype)
        self.table = integral_image(self.x)

    def time_minicv(self, size, dtype):
        integral_image(self.x)

    def time_writing(self, size, dtype):
        self.table.fill(1)

    if has("cv2"):
        def time_opencv(self, size, dtype):
            import cv2
            cv2.setNumThreads(1)
            cv2.integral(self.x)

        def time_opencv_float64(self, size, dtype):
            import cv2
            cv2.setNumThreads(1)
            cv2.integral(self.x, sdepth=cv2.CV_64F)


class AssignmentSuite:
    """The cheapest one-to-one matching for uniform costs."""

    param_names = ["shape"]
    params = [[(100, 100), (100, 300), (500, 500)]]

    def setup(self, shape):
        self.cost = np.random.default_rng(0).random(shape)

    def time_minicv(self, shape):
        linear_assignment(self.cost)

    if has("scipy"):
        def time_scipy(self, shape):
            from scipy.optimize import linear_sum_assignment
            linear_sum_assignment(self.cost)
