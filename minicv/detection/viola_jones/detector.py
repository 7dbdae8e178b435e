"""The Viola-Jones detector.

images (N, 1 or 3, H, W)
  | scan      the cascade on every window, features scaled from 24 pixels up by factors of 1.25
  | group     windows that overlap the best one are one detection, their mean
[Detections], one per image, label 0

Reference: Viola & Jones, Robust Real-Time Face Detection, IJCV 2004, section 5.
Departures: windows are grouped around those that survive non-maximum suppression, not by any overlap; the score is
m / (1 + m), where m sums 1 + relative margin over the group.
"""

import numpy as np

from ...errors import ArgError, DTypeError, ShapeError
from ...geometry import Detections
from ...kernels.nms import nms
from ...kernels.overlap import pairwise_iou
from .cascade import check_cascade
from .scan import scan_image
from .windows import WINDOW, check_search

LUMA = np.array([0.299, 0.587, 0.114])                     # of red, green and blue in grey, ITU-R BT.601


class ViolaJones:
    """Sliding-window detector around a trained `Cascade`.

    Parameters
    ----------
    cascade : Cascade
    min_side, max_side : int
        Of the windows in pixels; min_side >= 24.
    factor : float > 1
        From one scale to the next.
    step : float > 0
        Between neighbouring windows, in pixels at scale 1.
    iou_threshold : float in (0, 1)
        Windows that overlap a better one by more than this belong to its group.
    min_windows : int
        Groups with fewer windows are dropped.
    """

    def __init__(self, cascade, *, min_side=WINDOW, max_side=2**31, factor=1.25, step=1.5, iou_threshold=0.3,
                 min_windows=2):
        check_search("ViolaJones", min_side, max_side, factor, step)
        if not 0 < iou_threshold < 1:
            raise ArgError(f"ViolaJones: iou_threshold is {iou_threshold}, expected in (0, 1)")
        if isinstance(min_windows, bool) or not isinstance(min_windows, (int, np.integer)) or min_windows < 1:
            raise ArgError(f"ViolaJones: min_windows is {min_windows!r}, expected an integer >= 1")
        self.cascade = check_cascade("ViolaJones", cascade)
        self.iou_threshold, self.min_windows = iou_threshold, min_windows
        self.search = {"min_side": min_side, "max_side": max_side, "factor": factor, "step": step}

    def predict(self, images):
        """`Detections` of each image of a batch (N, 1 or 3, H, W) with values in [0, 1].

        An image smaller than a window has none. Raises ShapeError, DTypeError or ArgError for anything else.
        """
        return [self.group(*self.scan(image).accepted()[:2]) for image in gray("ViolaJones.predict", images)]

    def scan(self, image):
        """The verdict on every window of one grey image (H, W)."""
        return scan_image(self.cascade, image, **self.search)

    def group(self, boxes, margin):
        """Detections of accepted windows (M, 4) with their margins (M,) in the last stage."""
        last = self.cascade.first(max(self.cascade.num_stages - 1, 0))
        most = np.abs(self.cascade.vote[len(last.vote):]).sum()              # of the last stage's sum
        weight = 1 + margin / max(most, 1e-9)
        means, masses = group_boxes(boxes, weight, self.iou_threshold, self.min_windows)
        return Detections(means, np.zeros(len(means), np.int64), masses / (1 + masses))


def group_boxes(boxes, weight, iou_threshold, least=1):
    """Join boxes (M, 4) that overlap: means (G, 4) by weight (M,) and sums of weights (G,).

    Boxes that survive non-maximum suppression by weight are seeds; every box joins the seed it overlaps most. Groups
    of fewer than `least` boxes are dropped. ArgError unless every weight is > 0; other errors as for `nms`.
    """
    boxes, weight = np.asarray(boxes), np.asarray(weight)
    seeds = nms(boxes, weight, iou_threshold=iou_threshold)
    if not (weight > 0).all():
        raise ArgError(f"group_boxes: weight is {weight.min()} at least, expected numbers > 0")
    group = pairwise_iou(boxes, boxes[seeds]).argmax(axis=1) if len(seeds) else np.zeros(0, np.int64)
    count, mass = (np.bincount(group, w, len(seeds)) for w in (None, weight))
    sums = np.zeros((len(seeds), 4))
    np.add.at(sums, group, weight[:, None] * boxes)
    large = count >= least
    return sums[large] / mass[large, None], mass[large]


def gray(function, images):
    """Grey levels (N, H, W) float64 of images (N, 1 or 3, H, W) in [0, 1]."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ShapeError(f"{function}: images has shape {images.shape}, expected (N, 1, H, W) or (N, 3, H, W)")
    if images.dtype.kind != "f":
        raise DTypeError(f"{function}: images has dtype {images.dtype}, expected floats in [0, 1]; divide bytes by 255")
    if images.size and not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        raise ArgError(f"{function}: images has values from {images.min()} to {images.max()}, expected [0, 1]")
    images = images.astype(np.float64)
    return images[:, 0] if images.shape[1] == 1 else np.tensordot(images, LUMA, axes=([1], [0]))
