"""Reading an image at any positions: a few pixels with weights for every output point.

    S(x, w, g) = sum w[n, l, t] x[n, c, index[n, l, t]] g[n, c, l]      l = output point, t = tap

is linear in the image, in the weights and in g. Its three partial derivatives `taps_gather`,
`taps_scatter` and `taps_dot` are all that grid sampling needs, forward and backward. Index -1 is
a tap outside the image and adds nothing; a NaN position has NaN weights and gives NaN.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, ShapeError
from .launch import example, kernel
from .layout import check_images, is_channels_last
from .windows import pair

MODES, PADDINGS = ("bilinear", "nearest"), ("zeros", "border")
CHANNEL_BLOCK = 16                  # channels that one item scatters into: a cache line of float32


class Taps(NamedTuple):
    """Pixels to read, h W + w or -1 (N, L, T), their weights, and d weight / d position in pixels."""
    index: np.ndarray
    weight: np.ndarray
    along_x: np.ndarray
    along_y: np.ndarray


def grid_sample(x, grid, *, mode="bilinear", padding="zeros", align_corners=False):
    """y[n, c, i, j] = x[n, c] at the position grid[n, i, j] = (x, y).

    Parameters
    ----------
    x : array (N, C, H, W), float32 or float64
    grid : array (N, I, J, 2)
        Positions; -1 and 1 are the outer edges of the image, or with `align_corners` the centres of
        the outermost pixels.
    mode : {"bilinear", "nearest"}
    padding : {"zeros", "border"}
        What lies outside: zeros, or the nearest edge pixel.

    Returns
    -------
    array (N, C, I, J) in the layout of x, of the promoted dtype; NaN where a position is NaN.
    """
    check_images("grid_sample", x=x, grid=grid)
    taps = grid_taps(grid, x.shape[2:], mode=mode, padding=padding, align_corners=align_corners,
                     function="grid_sample")
    _check_batch("grid_sample", x, grid)
    return _as_grid(taps_gather(x, taps.index, taps.weight), grid)


def grid_sample_input(g, grid, *, size, mode="bilinear", padding="zeros", align_corners=False):
    """Adjoint of `grid_sample` in x: g (N, C, I, J) to (N, C, H, W), `size` = (H, W)."""
    check_images("grid_sample_input", g=g, grid=grid)
    _check_batch("grid_sample_input", g, grid, like_grid=True)
    size = pair("grid_sample_input", "size", size)
    taps = grid_taps(grid, size, mode=mode, padding=padding, align_corners=align_corners,
                     function="grid_sample_input")
    return taps_scatter(_as_points(g), taps.index, taps.weight, size=size,
                        channels_last=is_channels_last(g))


def grid_sample_grid(g, x, grid, *, mode="bilinear", padding="zeros", align_corners=False):
    """Gradient of sum(g * grid_sample(x, grid)) with respect to grid: (N, I, J, 2).

    Zero where the position does not move the value: nearest, or clamped to the border.
    """
    check_images("grid_sample_grid", g=g, x=x, grid=grid)
    _check_batch("grid_sample_grid", g, grid, like_grid=True)
    _check_batch("grid_sample_grid", x, grid)
    taps = grid_taps(grid, x.shape[2:], mode=mode, padding=padding, align_corners=align_corners,
                     function="grid_sample_grid")
    dots = taps_dot(_as_points(g), x, taps.index)               # (N, L, T)
    H, W = x.shape[2:]
    slopes = [(dots * along).sum(axis=-1) * (n - align_corners) / 2
              for along, n in ((taps.along_x, W), (taps.along_y, H))]
    return np.stack(slopes, axis=-1).reshape(grid.shape).astype(grid.dtype)


def grid_taps(grid, size, *, mode="bilinear", padding="zeros", align_corners=False,
              function="grid_taps"):
    """The `Taps` of every grid position in an image of `size` = (H, W); weights in grid's dtype."""
    if mode not in MODES:
        raise ArgError(f"{function}: mode is {mode!r}, expected one of {', '.join(MODES)}")
    if padding not in PADDINGS:
        raise ArgError(f"{function}: padding is {padding!r}, expected one of {', '.join(PADDINGS)}")
    if grid.ndim != 4 or grid.shape[3] != 2:
        raise ShapeError(f"{function}: grid has shape {grid.shape}, expected (N, I, J, 2)")
    N, I, J, _ = grid.shape
    points = grid.reshape(N, I * J, 2).astype(np.float64)
    axes = [_axis_taps(points[..., 1 - a], size[a], mode, padding, align_corners) for a in (0, 1)]
    (h, wh, dh), (w, ww, dw) = axes                             # each (N, L, taps of one axis)
    h, wh, dh = (a[..., :, None] for a in (h, wh, dh))
    w, ww, dw = (a[..., None, :] for a in (w, ww, dw))
    weight = wh * ww
    outside = ((h < 0) | (w < 0)) & ~np.isnan(weight)
    index = np.where(outside, -1, h.clip(0) * size[1] + w.clip(0))
    flat = (N, I * J, weight.shape[2] * weight.shape[3])
    return Taps(index.reshape(flat), *(a.reshape(flat).astype(grid.dtype, copy=False)
                                       for a in (weight, wh * dw, dh * ww)))


def _axis_taps(u, length, mode, padding, align_corners):
    """One axis: pixel (-1 outside), weight and slope of the weight of each tap (N, L, taps)."""
    position = (u + 1) * (length - 1) / 2 if align_corners else ((u + 1) * length - 1) / 2
    missing = np.isnan(position)
    inner = (position > 0) & (position < length - 1)
    low, high = (0, length - 1) if padding == "border" else (-2, length + 1)
    position = np.where(missing, 0, position).clip(low, high)   # finite and small: safe as index
    if mode == "nearest":
        index, weight = np.rint(position)[..., None], np.ones((*position.shape, 1))
        slope = np.zeros_like(weight)
    else:
        before = np.floor(position)[..., None]
        index, t = before + (0, 1), position[..., None] - before
        weight = np.concatenate([1 - t, t], axis=-1)
        slope = np.broadcast_to((-1.0, 1.0), weight.shape)
        slope = np.where(inner[..., None], slope, 0) if padding == "border" else slope
    index = np.where((index < 0) | (index >= length), -1, index).astype(np.int64)
    nan = missing[..., None]
    return np.where(nan, 0, index), np.where(nan, np.nan, weight), np.where(nan, np.nan, slope)


def taps_gather(x, index, weight):
    """y[n, c, l] = sum_t weight[n, l, t] x[n, c, index[n, l, t]], in the layout of x.

    x (N, C, H, W); index, weight (N, L, T), positions h W + w or -1; returns (N, C, L) as a view
    of (N, L, C) where channels are last in x.
    """
    _check_index("taps_gather", index, x.shape[2] * x.shape[3])
    dtype = np.result_type(x, weight)
    y = np.empty((len(x), index.shape[1], x.shape[1]), dtype)
    gather_taps(index.shape[0] * index.shape[1], _as_pixels(x, dtype), index,
                weight.astype(dtype, copy=False), y)
    return _like(y.transpose(0, 2, 1), is_channels_last(x))


def taps_scatter(g, index, weight, *, size, channels_last=True):
    """Adjoint of `taps_gather` in x: g (N, C, L) to (N, C, H, W)."""
    _check_index("taps_scatter", index, size[0] * size[1])
    dtype = np.result_type(g, weight)
    g = np.ascontiguousarray(g.transpose(0, 2, 1), dtype)
    N, _, C = g.shape
    x = np.empty((N, *size, C), dtype)
    blocks = -(-C // CHANNEL_BLOCK)
    scatter_taps(N * blocks, g, index, weight.astype(dtype, copy=False), _pixels(x), CHANNEL_BLOCK)
    return _like(x.transpose(0, 3, 1, 2), channels_last)


def taps_dot(g, x, index):
    """Adjoint of `taps_gather` in the weights: d[n, l, t] = sum_c g[n, c, l] x[n, c, index[n, l, t]]."""
    _check_index("taps_dot", index, x.shape[2] * x.shape[3])
    dtype = np.result_type(g, x)
    g = np.ascontiguousarray(g.transpose(0, 2, 1), dtype)
    d = np.empty(index.shape)                                   # float64
    dot_taps(index.shape[0] * index.shape[1], g, _as_pixels(x, dtype), index, d)
    return d


def _check_index(function, index, pixels):
    if index.size and not (-1 <= index.min() and index.max() < pixels):
        raise ArgError(f"{function}: index is in [{index.min()}, {index.max()}], expected positions "
                       f"in [0, {pixels}) or -1")


def _check_batch(function, x, grid, like_grid=False):
    if len(x) != len(grid) or (like_grid and x.shape[2:] != grid.shape[1:3]):
        raise ShapeError(f"{function}: grid has shape {grid.shape}, which does not fit {x.shape}")
    if min(x.shape[2:]) < 1:
        raise ShapeError(f"{function}: image size is {x.shape[2:]}, expected at least (1, 1)")


def _as_pixels(x, dtype):
    """(N, C, H, W) to (N, H W, C)."""
    return _pixels(np.ascontiguousarray(x.transpose(0, 2, 3, 1), dtype))


def _pixels(x):
    N, H, W, C = x.shape
    return x.reshape(N, H * W, C)


def _as_points(g):
    """(N, C, I, J) to (N, C, I J)."""
    N, C, I, J = g.shape
    return g.reshape(N, C, I * J)


def _as_grid(y, grid):
    return y.reshape(*y.shape[:2], *grid.shape[1:3])


def _like(y, last):
    return y if last else np.ascontiguousarray(y)


def gather_taps_numpy(x, index, weight, y):
    """The formula; taps outside are left out by their weight."""
    v = np.where((index < 0)[..., None], 0, x[np.arange(len(x))[:, None, None], index])
    y[...] = np.einsum("nltc,nlt->nlc", v, weight)


def scatter_taps_numpy(g, index, weight, x, channel_block):
    """Unbuffered addition at the pixels read."""
    x[...] = 0
    n, l, t = np.nonzero(index >= 0)
    np.add.at(x, (n, index[n, l, t]), weight[n, l, t, None] * g[n, l])


def dot_taps_numpy(g, x, index, d):
    """The formula; taps outside are 0."""
    v = x[np.arange(len(x))[:, None, None], index]
    d[...] = np.where(index < 0, 0, np.einsum("nltc,nlc->nlt", v, g, dtype=np.float64))


@kernel(twin=gather_taps_numpy, out="y")
def gather_taps(start, stop, x, index, weight, y):
    """An item is one output point."""
    L, T = index.shape[1:]
    C = x.shape[2]
    for item in range(start, stop):
        n = item // L
        l = item - n * L
        for c in range(C):
            y[n, l, c] = 0
        for t in range(T):
            h = index[n, l, t]
            if h >= 0:
                for c in range(C):
                    y[n, l, c] += weight[n, l, t] * x[n, h, c]


@kernel(twin=scatter_taps_numpy, out="x")
def scatter_taps(start, stop, g, index, weight, x, channel_block):
    """An item is one block of channels of one image, so that no two items meet in a pixel."""
    L, T = index.shape[1:]
    C = x.shape[2]
    blocks = (C + channel_block - 1) // channel_block
    for item in range(start, stop):
        n = item // blocks
        first = (item - n * blocks) * channel_block
        last = min(first + channel_block, C)
        x[n, :, first:last] = 0
        for l in range(L):
            for t in range(T):
                h = index[n, l, t]
                if h >= 0:
                    for c in range(first, last):
                        x[n, h, c] += weight[n, l, t] * g[n, l, c]


@kernel(twin=dot_taps_numpy, out="d")
def dot_taps(start, stop, g, x, index, d):
    """An item is one output point; sums over channels are in float64."""
    L, T = index.shape[1:]
    C = x.shape[2]
    for item in range(start, stop):
        n = item // L
        l = item - n * L
        for t in range(T):
            h, total = index[n, l, t], np.float64(0)
            if h >= 0:
                for c in range(C):
                    total += g[n, l, c] * x[n, h, c]
            d[n, l, t] = total


@example
def _example(dtype):
    x, grid = np.ones((1, 1, 2, 2), dtype), np.zeros((1, 1, 1, 2), dtype)
    y = grid_sample(x, grid)
    grid_sample_input(y, grid, size=(2, 2))
    grid_sample_grid(y, x, grid)
