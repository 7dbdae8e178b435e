"""Every window of an image at every scale, judged by a cascade."""

from typing import NamedTuple

import numpy as np

from ...errors import ArgError, DTypeError, ShapeError
from ...kernels.integral import integral_image
from .cascade import check_cascade, judge_checked
from .windows import WINDOW, check_search, scales, window_grid


class Scan(NamedTuple):
    """All windows of an image, small ones first."""

    boxes: np.ndarray        # (M, 4) float32 xyxy
    passed: np.ndarray       # (M,) int64, stages passed
    margin: np.ndarray       # (M,) float64, in the last stage computed
    used: np.ndarray         # (M,) int64, features computed
    num_stages: int

    def accepted(self):
        """Boxes (R, 4) and margins (R,) of the windows that pass all stages, and the number of all windows."""
        through = self.passed == self.num_stages
        return self.boxes[through], self.margin[through], len(self.boxes)

    def funnel(self):
        """How many windows reach each stage and how many pass the last: S + 1 numbers."""
        return [int((self.passed >= s).sum()) for s in range(self.num_stages + 1)]


def scan_image(cascade, image, *, min_side=WINDOW, max_side=2**31, factor=1.25, step=1.5):
    """Judge all windows of a grey image (H, W): features grow with the window, the image stays as it is.

    min_side >= 24, max_side: pixels; factor > 1: from scale to scale; step > 0: between windows, in pixels at 24 x 24.
    Raises ShapeError, DTypeError or ArgError for anything but one finite image, a sound cascade and settings in range.
    """
    check_search("scan_image", min_side, max_side, factor, step)
    cascade, image = check_cascade("scan_image", cascade), _checked(image)
    ii, sq = integral_image(image), integral_image(image, squared=True)
    parts = [_scan_scale(cascade, ii, sq, image.shape, s, step) for s in
             scales(image.shape, min_side, max_side, factor)]
    empty = (np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
    return Scan(*(np.concatenate(column) for column in zip(empty, *parts, strict=True)), cascade.num_stages)


def _checked(image):
    image = np.asarray(image)
    if image.ndim != 2:
        raise ShapeError(f"scan_image: image has shape {image.shape}, expected (H, W), grey levels")
    if image.dtype.kind not in "fiub":
        raise DTypeError(f"scan_image: image has dtype {image.dtype}, expected real numbers")
    image = image.astype(np.float64, copy=False)
    if not np.isfinite(image).all():
        raise ArgError("scan_image: image has values that are not finite, expected grey levels in [0, 1]")
    return image


def _scan_scale(cascade, ii, sq, size, scale, step):
    corners, side = window_grid(size, scale, step)
    verdict = judge_checked(cascade, ii, sq, corners @ np.array([ii.shape[1], 1]), scale)
    xy = corners[:, ::-1]
    return np.concatenate([xy, xy + side], axis=1).astype(np.float32), *verdict
