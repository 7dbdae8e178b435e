"""Reading an image at any positions, by bilinear interpolation or from the nearest pixel.

A position becomes up to four pixels and weights (`grid_taps`); what is left is linear (`taps`).
A NaN position has NaN weights and gives NaN; it never becomes an index.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, ShapeError
from .launch import example
from .layout import check_images, is_channels_last
from .taps import taps_dot, taps_gather, taps_scatter
from .windows import pair

MODES, PADDINGS = ("bilinear", "nearest"), ("zeros", "border")


class Taps(NamedTuple):
    """Pixels to read, h W + w or -1 (N, L, T), their weights, and d weight / d position (x, y)."""
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


def _check_batch(function, x, grid, like_grid=False):
    if len(x) != len(grid) or (like_grid and x.shape[2:] != grid.shape[1:3]):
        raise ShapeError(f"{function}: grid has shape {grid.shape}, which does not fit {x.shape}")
    if min(x.shape[2:]) < 1:
        raise ShapeError(f"{function}: image size is {x.shape[2:]}, expected at least (1, 1)")


def _as_points(g):
    """(N, C, I, J) to (N, C, I J)."""
    N, C, I, J = g.shape
    return g.reshape(N, C, I * J)


def _as_grid(y, grid):
    return y.reshape(*y.shape[:2], *grid.shape[1:3])


@example
def _example(dtype):
    x, grid = np.ones((1, 1, 2, 2), dtype), np.zeros((1, 1, 1, 2), dtype)
    y = grid_sample(x, grid)
    grid_sample_input(y, grid, size=(2, 2))
    grid_sample_grid(y, x, grid)
