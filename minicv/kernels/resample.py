"""Resizing: every output row is a short weighted sum of input rows, then the same for columns.

    y = R_h x R_w^T        R (I, H) sparse, a row holds 1, 2 or 4 weights that add up to 1

Pixel i covers [i, i + 1), so output centre i + 1/2 lies at input position (i + 1/2) H / I - 1/2
(between pixel centres 0 .. H - 1); positions outside take the edge pixel. The adjoint uses R^T.
Results keep the memory layout of the input.
"""

from functools import lru_cache

import numpy as np

from ..errors import ArgError
from .launch import example
from .layout import check_images
from .rows import Rows, average, combine, pick, transposed
from .windows import pair

MODES = ("nearest", "bilinear", "bicubic")


def resize(x, size, *, mode="bilinear", align_corners=False):
    """Image x (N, C, H, W) resampled to `size` = (I, J).

    Parameters
    ----------
    mode : {"nearest", "bilinear", "bicubic"}
        Bicubic is Keys' kernel with a = -0.75. There is no smoothing before shrinking.
    align_corners : bool
        Map corner pixels to corner pixels, position i (H - 1) / (I - 1), instead of the rule above;
        not for "nearest". An output of size 1 reads position 0.

    NB: PyTorch's mode "nearest" takes pixel floor(i H / I); ours is its "nearest-exact". Both agree
    when enlarging by an integer.
    """
    check_images("resize", x=x)
    size = _check("resize", size, x.shape[2:], mode, align_corners)
    axes = zip(x.shape[2:], size)
    if mode == "nearest":
        return pick(x, *(_nearest(*axis) for axis in axes))
    return _apply(x, [_matrix(*axis, mode, bool(align_corners)) for axis in axes])


def resize_input(g, size, *, mode="bilinear", align_corners=False):
    """Adjoint of `resize`: g (N, C, I, J) to an image (N, C, H, W), `size` = (H, W)."""
    check_images("resize_input", g=g)
    size = _check("resize_input", size, g.shape[2:], mode, align_corners)
    axes = zip(size, g.shape[2:])
    return _apply(g, [_matrix(*axis, mode, bool(align_corners), adjoint=True) for axis in axes])


@lru_cache(256)
def _matrix(length, size, mode, align_corners, adjoint=False):
    """The operator of one axis or its transposed, and the largest number of entries in a row."""
    rows = resize_rows(length, size, mode, align_corners)
    rows = transposed(rows, length) if adjoint else rows
    return rows, int(np.diff(rows.start).max())


def _apply(x, axes):
    """Both matrices, in one pass where they read at most two by two pixels, in two passes else."""
    matrices, longest = zip(*axes)
    if max(longest) <= 2:
        return average(x, *matrices, [np.ones(len(r.start) - 1) for r in matrices], few=True)
    return combine(x, *(r._replace(weight=r.weight.astype(x.dtype)) for r in matrices))


def resize_rows(length, size, mode, align_corners=False):
    """The operator (size, length) of one axis as `Rows`."""
    if mode == "nearest":
        return Rows(np.arange(size + 1), _nearest(length, size), np.ones(size))
    index, weight = _interpolate(_positions(length, size, align_corners), cubic if mode == "bicubic" else linear)
    taps = index.shape[1]
    start = np.arange(0, size * taps + 1, taps, dtype=np.int64)
    return Rows(start, index.clip(0, length - 1).ravel(), weight.ravel())


def linear(t):
    """Weights (1 - t, t) of the pixels before and after a point at fraction t in [0, 1)."""
    return np.stack([1 - t, t], axis=-1)


def cubic(t, a=-0.75):
    """Weights of the four pixels around a point. Reference: Keys, IEEE ASSP 1981, eq. 4."""
    def near(d):
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d):
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return np.stack([far(1 + t), near(t), near(1 - t), far(2 - t)], axis=-1)


def _positions(length, size, align_corners):
    i = np.arange(size)
    if align_corners:
        return i * ((length - 1) / (size - 1)) if size > 1 else np.zeros(1)
    return (i + 0.5) * (length / size) - 0.5


def _interpolate(position, weights):
    """Index (I, taps) and weight of the pixels around each position."""
    before = np.floor(position)
    weight = weights(position - before)
    taps = weight.shape[1]
    return before.astype(np.int64)[:, None] + np.arange(1 - taps // 2, 1 + taps // 2), weight


def _nearest(length, size):
    """floor((i + 1/2) H / I) in integers, so that no rounding decides."""
    return (2 * np.arange(size, dtype=np.int64) + 1) * length // (2 * size)


def _check(function, size, other, mode, align_corners):
    if mode not in MODES:
        raise ArgError(f"{function}: mode is {mode!r}, expected one of {', '.join(MODES)}")
    if align_corners and mode == "nearest":
        raise ArgError(f"{function}: align_corners is True, expected False for mode 'nearest'")
    size = pair(function, "size", size)
    pair(function, "image size", tuple(other))                  # refuses empty images
    return size


@example
def _example(dtype):
    x = np.ones((1, 1, 2, 2), dtype)
    resize(x, 3), resize(x, 3, mode="nearest"), resize(x, 3, mode="bicubic")
