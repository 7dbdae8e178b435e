"""Resizing: every output row is a short weighted sum of input rows, then the same for columns.

    y = R_h x R_w^T        R (I, H) sparse, a row holds 1, 2 or 4 weights that add up to 1

Pixel i covers [i, i + 1), so output centre i + 1/2 lies at input position (i + 1/2) H / I - 1/2
(between pixel centres 0 .. H - 1); positions outside take the edge pixel. The adjoint uses R^T.
Results keep the memory layout of the input.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError
from .launch import example, kernel
from .layout import check_images, is_channels_last, like_layout, planes
from .windows import pair

MODES = ("nearest", "bilinear", "bicubic")


class Rows(NamedTuple):
    """A sparse matrix by rows: row i holds entries start[i] .. start[i + 1] of index and weight."""
    start: np.ndarray
    index: np.ndarray
    weight: np.ndarray


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
    return _apply(x, *(resize_rows(*axis, mode, align_corners) for axis in zip(x.shape[2:], size)))


def resize_input(g, size, *, mode="bilinear", align_corners=False):
    """Adjoint of `resize`: g (N, C, I, J) to an image (N, C, H, W), `size` = (H, W)."""
    check_images("resize_input", g=g)
    size = _check("resize_input", size, g.shape[2:], mode, align_corners)
    rows = (resize_rows(*axis, mode, align_corners) for axis in zip(size, g.shape[2:]))
    return _apply(g, *(transposed(r, length) for r, length in zip(rows, size)))


def resize_rows(length, size, mode, align_corners=False):
    """The operator (size, length) of one axis as `Rows`."""
    index, weight = _nearest(length, size) if mode == "nearest" else _interpolate(
        _positions(length, size, align_corners), cubic if mode == "bicubic" else linear)
    taps = index.shape[1]
    start = np.arange(0, size * taps + 1, taps, dtype=np.int64)
    return Rows(start, index.clip(0, length - 1).ravel(), weight.ravel())


def transposed(rows, length):
    """The transposed operator, with `length` rows."""
    order = np.argsort(rows.index, kind="stable")
    row = np.repeat(np.arange(len(rows.start) - 1), np.diff(rows.start))
    start = np.searchsorted(rows.index[order], np.arange(length + 1))
    return Rows(start, row[order], rows.weight[order])


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
    index = (2 * np.arange(size, dtype=np.int64) + 1) * length // (2 * size)
    return index[:, None], np.ones((size, 1))


def _check(function, size, other, mode, align_corners):
    if mode not in MODES:
        raise ArgError(f"{function}: mode is {mode!r}, expected one of {', '.join(MODES)}")
    if align_corners and mode == "nearest":
        raise ArgError(f"{function}: align_corners is True, expected False for mode 'nearest'")
    size = pair(function, "size", size)
    pair(function, "image size", tuple(other))                  # refuses empty images
    return size


def _apply(x, rows, columns):
    """Apply one operator to the rows of x (N, C, H, W), another to its columns."""
    last = is_channels_last(x)
    y = like_layout(x, (*x.shape[:2], len(rows.start) - 1, len(columns.start) - 1))
    v, out = planes(x, last), planes(y, last)                   # (M, H, W, K), (M, I, J, K)
    (M, H, W, K), (_, I, J, _) = v.shape, out.shape
    rows, columns = (r._replace(weight=r.weight.astype(x.dtype)) for r in (rows, columns))
    between = np.empty((M, I, W, K), x.dtype)
    weighted_rows(M * I, v.reshape(M, H, W * K), *rows, between.reshape(M, I, W * K))
    weighted_rows(M * I * J, between.reshape(M * I, W, K), *columns, out.reshape(M * I, J, K))
    return y


def weighted_rows_numpy(x, start, index, weight, y):
    """y[m] = R x[m] with the matrix R (I, H) written out."""
    R = np.zeros((len(start) - 1, x.shape[1]))
    np.add.at(R, (np.repeat(np.arange(len(R)), np.diff(start)), index), weight)
    y[...] = np.einsum("ih,mhk->mik", R.astype(x.dtype), x, optimize=True)


@kernel(twin=weighted_rows_numpy, out="y")
def weighted_rows(start, stop, x, first, index, weight, y):
    """An item is one row y[m, i]: the sum of weight[e] x[m, index[e]] over entries e of row i."""
    I, K = y.shape[1:]
    for item in range(start, stop):
        m = item // I
        i = item - m * I
        for k in range(K):
            y[m, i, k] = 0
        for e in range(first[i], first[i + 1]):
            for k in range(K):
                y[m, i, k] += weight[e] * x[m, index[e], k]


@example
def _example(dtype):
    resize(np.ones((1, 1, 2, 2), dtype), 3)
