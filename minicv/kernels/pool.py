"""Pooling: the largest or the mean value of every window, and the linear maps behind both.

Windows are given per axis (`Axis`): which pixels of the axis each window reads, so the same kernels serve sliding
and adaptive pooling:

    max:   y[n, c, i, j] = max  x[n, c, h, w],  h in rows_i, w in columns_j
    mean:  y[n, c, i, j] = sum  x[n, c, h, w] / count[i, j]

A maximum is two steps: choose a pixel, then gather it. The choice is a small integer, its *tap*: pixel (p, q) of
the window is tap p Q + q, with Q pixels in a row of the window; one byte for windows of up to 255 pixels. Given the
taps, `max_pool_select` and `max_pool_input` are linear and each other's adjoint. Positions h W + w in the image
(`where`) say the same for use without the windows: `pool_gather` and `pool_scatter`.
Results keep the memory layout of the input.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError
from .buffers import empty
from .launch import example
from .layout import CHANNELS_LAST, check_images, is_channels_last, like_layout, planes
from .pool_loops import collect_taps, gather_positions, max_windows, scatter_positions, select_taps
from .rows import Rows, average, in_layout, row_numbers, rows_where, transposed
from .windows import output_size, pads, pair

CHANNEL_BLOCK = 16                  # channels that one item scatters into: a cache line of float32
GEOMETRIES = 256                    # axes remembered


def max_pool(x, *, size, stride=None, padding=((0, 0), (0, 0)), ceil_mode=False, dilation=(1, 1)):
    """Largest value of each window, and where it is.

    Parameters
    ----------
    x : array (N, C, H, W), float32 or float64
    size, stride, dilation : int or (vertical, horizontal)
        The stride is by default the size.
    padding : int, (vertical, horizontal) or ((top, bottom), (left, right))
        At most half the window; padding is never the maximum.
    ceil_mode : bool
        Keep a last window that reaches over the end, if it starts inside the image or before it.

    Returns
    -------
    y : array (N, C, I, J)
    where : int32 array (N, C, I, J)
        Position h W + w of the maximum in its plane: the first one in reading order among
        equals, the first NaN if there is one.
    """
    check_images("max_pool", x=x)
    axes = _sliding("max_pool", x.shape[2:], size, stride, padding, ceil_mode, dilation)
    y, tap = _max_windows(x, axes)
    return y, in_layout(x, _positions(tap, axes))


def max_pool_taps(x, *, size, stride=None, padding=((0, 0), (0, 0)), ceil_mode=False, dilation=(1, 1)):
    """As `max_pool`, but the place of a maximum is its tap (see the module), of the smallest unsigned type,
    with channels last in memory."""
    check_images("max_pool", x=x)
    return _max_windows(x, _sliding("max_pool", x.shape[2:], size, stride, padding, ceil_mode, dilation))


def tap_positions(tap, input_size, *, size, stride=None, padding=((0, 0), (0, 0)), ceil_mode=False, dilation=(1, 1)):
    """Positions h W + w in images of `input_size` = (H, W) of the taps of `max_pool_taps`."""
    return _positions(tap, _sliding("tap_positions", input_size, size, stride, padding, ceil_mode, dilation))


def max_pool_select(x, tap, *, size, stride=None, padding=((0, 0), (0, 0)), ceil_mode=False, dilation=(1, 1)):
    """y[n, c, i, j] = the pixel of the window that tap[n, c, i, j] names; linear in x (N, C, H, W).

    A tap that is no pixel inside the image gives 0.
    """
    function = "max_pool_select"
    check_images(function, x=x)
    axes = _sliding(function, x.shape[2:], size, stride, padding, ceil_mode, dilation)
    tap = _check_tap(function, tap, x.shape[:2], axes)
    y = empty(tap.shape, x.dtype, CHANNELS_LAST)
    out = planes(y, True)
    select_taps(out.shape[0] * out.shape[1], planes(x, True), *_entries(axes), planes(tap, True), out)
    return in_layout(x, y)


def max_pool_input(g, tap, *, input_size, size, stride=None, padding=((0, 0), (0, 0)), ceil_mode=False,
                   dilation=(1, 1)):
    """Adjoint of `max_pool_select`: each pixel of (N, C, H, W), `input_size` = (H, W), adds up the g of the
    windows whose tap it is."""
    function = "max_pool_input"
    check_images(function, g=g)
    x = empty((*g.shape[:2], *pair(function, "input_size", input_size)), g.dtype, CHANNELS_LAST)
    axes = _sliding(function, x.shape[2:], size, stride, padding, ceil_mode, dilation)
    tap = _check_tap(function, tap, g.shape[:2], axes)
    _check_gradient(function, g, axes)
    out = planes(x, True)
    collect_taps(out.shape[0] * out.shape[1], planes(g, True), planes(tap, True), *_entries(axes, adjoint=True), out)
    return in_layout(g, x)


def adaptive_max_pool(x, size):
    """Largest value of each cell of a `size` = (I, J) grid over x, and where it is."""
    check_images("adaptive_max_pool", x=x)
    axes = _adaptive("adaptive_max_pool", x.shape[2:], size)
    y, tap = _max_windows(x, axes)
    return y, in_layout(x, _positions(tap, axes))


def avg_pool(x, *, size, stride=None, padding=((0, 0), (0, 0)), ceil_mode=False,
             count_include_pad=True):
    """Mean of each window; arguments as in `max_pool`.

    With `count_include_pad` zeros of the padding count as pixels (but not what `ceil_mode` adds
    after it), else the sum is divided by the number of pixels inside the image.
    """
    check_images("avg_pool", x=x)
    axes = _sliding("avg_pool", x.shape[2:], size, stride, padding, ceil_mode)
    return _average(x, axes, count_include_pad)


def avg_pool_input(g, *, input_size, size, stride=None, padding=((0, 0), (0, 0)), ceil_mode=False,
                   count_include_pad=True):
    """Adjoint of `avg_pool`: g (N, C, I, J) to (N, C, H, W) with `input_size` = (H, W)."""
    function = "avg_pool_input"
    check_images(function, g=g)
    axes = _sliding(function, pair(function, "input_size", input_size), size, stride, padding, ceil_mode)
    _check_gradient(function, g, axes)
    return _average_adjoint(g, axes, count_include_pad)


def adaptive_avg_pool(x, size):
    """Mean of each cell of a `size` = (I, J) grid over x (N, C, H, W)."""
    check_images("adaptive_avg_pool", x=x)
    return _average(x, _adaptive("adaptive_avg_pool", x.shape[2:], size))


def adaptive_avg_pool_input(g, *, input_size):
    """Adjoint of `adaptive_avg_pool`: g (N, C, I, J) to (N, C, H, W)."""
    check_images("adaptive_avg_pool_input", g=g)
    input_size = pair("adaptive_avg_pool_input", "input_size", input_size)
    axes = _adaptive("adaptive_avg_pool_input", input_size, g.shape[2:])
    return _average_adjoint(g, axes)


def adaptive_bounds(size_in, size_out):
    """Cells [floor(i H / I), ceil((i + 1) H / I)) of one axis: int64 array (I, 2)."""
    i = np.arange(size_out, dtype=np.int64)
    return np.stack([i * size_in // size_out, -(-(i + 1) * size_in // size_out)], axis=1)


def pool_gather(x, where):
    """y[n, c, i, j] = x[n, c] at position where[n, c, i, j]; linear in x (N, C, H, W)."""
    check_images("pool_gather", x=x)
    where = _check_where("pool_gather", where, x.shape)
    last, y = is_channels_last(x), like_layout(x, where.shape)
    out = planes(y, last)
    gather_positions(out.shape[0] * out.shape[1], planes(x, last), planes(where, last), out)
    return y


def pool_scatter(g, where, *, size):
    """Adjoint of `pool_gather`: adds g[n, c, i, j] to x[n, c] at position where[n, c, i, j].

    Returns x (N, C, H, W) with `size` = (H, W), zero where nothing was added.
    """
    check_images("pool_scatter", g=g)
    shape = (*g.shape[:2], *pair("pool_scatter", "size", size))
    where = _check_where("pool_scatter", where, shape)
    if g.shape != where.shape:
        raise ShapeError(f"pool_scatter: g has shape {g.shape}, expected where's {where.shape}")
    last, x = is_channels_last(g), like_layout(g, shape)
    out = planes(x, last)
    blocks = -(-out.shape[3] // CHANNEL_BLOCK)
    scatter_positions(len(out) * blocks, planes(g, last), planes(where, last), out, CHANNEL_BLOCK)
    return x


# Windows ------------------------------------------------------------------------------------------------


class Axis(NamedTuple):
    """The windows of one axis, which has `length` pixels; a window has up to `size`, a pixel is in up to `overlap`.

    forward : matrix (windows, pixels), an entry's weight is the pixel's number in the window
    backward : its transposed
    pixels : (windows,) number of pixels inside the image
    sums : `forward` with weights 1
    shares : two arrays (windows,), 1 / number of pixels inside the image, and inside the padded image
    adjoints : for each of them the transposed matrix (pixels, windows) of means
    ones : (pixels,) of value 1
    """
    length: int
    size: int
    overlap: int
    forward: Rows
    backward: Rows
    pixels: np.ndarray
    sums: Rows
    shares: tuple
    adjoints: tuple
    ones: np.ndarray


def _axis(length, position, length_padded):
    """The Axis of windows that read `position` (windows, size), where that is in the image."""
    inside = (position >= 0) & (position < length)
    rows, pixels = rows_where(inside, position, np.arange(position.shape[1])), inside.sum(axis=1)
    with np.errstate(divide="ignore"):                          # a window without pixels will be refused
        shares = 1 / pixels, 1 / (position < length_padded).sum(axis=1)
    means = [rows._replace(weight=share[row_numbers(rows)]) for share in shares]
    back, *adjoints = (transposed(r, length) for r in (rows, *means))
    sums = rows._replace(weight=np.ones(len(rows.weight)))
    overlap = int(np.diff(back.start).max(initial=0))
    return Axis(length, position.shape[1], overlap, rows, back, pixels, sums, shares, tuple(adjoints), np.ones(length))


@lru_cache(GEOMETRIES)
def _sliding_axis(length, grid, size, stride, padding, dilation):
    start = np.arange(grid, dtype=np.int64)[:, None] * stride - padding[0]
    return _axis(length, start + np.arange(size) * dilation, length + padding[1])


@lru_cache(GEOMETRIES)
def _adaptive_axis(length, grid):
    low, high = adaptive_bounds(length, grid).T[..., None]
    position = low + np.arange((high - low).max())
    return _axis(length, np.where(position < high, position, length), length)


def _sliding(function, image, size, stride, padding, ceil_mode, dilation=(1, 1)):
    """Both axes of sliding windows over an image of size (H, W)."""
    size, padding = pair(function, "size", size), pads(function, padding)
    dilation = pair(function, "dilation", dilation)
    stride = size if stride is None else pair(function, "stride", stride)
    for reach, sides in zip(_reach(size, dilation), padding):
        if max(sides) > reach // 2:
            raise ArgError(f"{function}: padding is {padding}, expected at most half the window "
                           f"{_reach(size, dilation)}")
    grid = output_size(function, image, size, stride, padding, dilation, ceil_mode)
    axes = [_sliding_axis(*axis) for axis in zip(image, grid, size, stride, padding, dilation)]
    if any(not axis.pixels.all() for axis in axes):
        raise ArgError(f"{function}: dilation is {dilation}, expected a window with a pixel inside "
                       f"the image {image} everywhere")
    return axes


def _reach(size, dilation):
    return tuple(d * (k - 1) + 1 for d, k in zip(dilation, size))


def _adaptive(function, size_in, size_out):
    size_out = pair(function, "size", size_out)
    if min(size_in) < 1:
        raise ShapeError(f"{function}: image size is {tuple(size_in)}, expected at least (1, 1)")
    return [_adaptive_axis(*axis) for axis in zip(size_in, size_out)]


# Taps ---------------------------------------------------------------------------------------------------


def _entries(axes, adjoint=False):
    """Arguments of the kernels of taps: both matrices, Q, and all taps in their type."""
    rows, columns = (axis.backward if adjoint else axis.forward for axis in axes)
    return *rows, *columns, axes[1].size, _taps(axes[0].size * axes[1].size)


@lru_cache(GEOMETRIES)
def _taps(count):
    """The numbers of `count` taps and one more that is none, of the smallest unsigned type."""
    return np.arange(count + 1, dtype=np.min_scalar_type(count))


def _max_windows(x, axes):
    rows, columns = axes
    shape = (*x.shape[:2], len(rows.pixels), len(columns.pixels))
    *entries, taps = _entries(axes)
    y, tap = (empty(shape, dtype, CHANNELS_LAST) for dtype in (x.dtype, taps.dtype))
    out = planes(y, True)
    max_windows(out.shape[0] * out.shape[1], planes(x, True), *entries, taps, out, planes(tap, True))
    return in_layout(x, y), tap


def _positions(tap, axes):
    """Positions h W + w of taps, with channels last."""
    rows, columns = axes
    h, w = _table(rows), _table(columns)
    p, q = np.divmod(tap, np.min_scalar_type(columns.size).type(columns.size))
    where = empty(tap.shape, _where_dtype((*tap.shape[:2], rows.length, columns.length)), CHANNELS_LAST)
    where[...] = h[np.arange(len(h))[:, None], p] * columns.length
    where += w[np.arange(len(w)), q].astype(where.dtype)
    return where


def _table(axis):
    """Pixel (windows, size) of each number of each window, 0 where there is none."""
    table = np.zeros((len(axis.pixels), axis.size), np.int64)
    table[np.repeat(np.arange(len(table)), axis.pixels), axis.forward.weight] = axis.forward.index
    return table


def _check_tap(function, tap, start, axes):
    """`tap` as the kernels read it."""
    shape = (*start, *(len(axis.pixels) for axis in axes))
    if tap.shape != shape or tap.dtype.kind not in "iu":
        error = DTypeError if tap.shape == shape else ShapeError
        raise error(f"{function}: tap is {tap.dtype} {tap.shape}, expected integers {shape}")
    taps = _taps(axes[0].size * axes[1].size)
    if tap.dtype != taps.dtype and tap.size and not (0 <= tap.min() and tap.max() < len(taps) - 1):
        raise ArgError(f"{function}: tap is in [{tap.min()}, {tap.max()}], expected numbers in [0, {len(taps) - 1})")
    return tap.astype(taps.dtype, copy=False)


def _check_gradient(function, g, axes):
    expected = (*g.shape[:2], *(len(axis.pixels) for axis in axes))
    if g.shape != expected:
        raise ShapeError(f"{function}: g has shape {g.shape}, expected {expected}")


# Averages -----------------------------------------------------------------------------------------------


def _average(x, axes, padded=False):
    few = max(axis.size for axis in axes) <= 2
    return average(x, *(axis.sums for axis in axes), [axis.shares[bool(padded)] for axis in axes], few)


def _average_adjoint(g, axes, padded=False):
    few = max(axis.overlap for axis in axes) <= 2
    return average(g, *(axis.adjoints[bool(padded)] for axis in axes), [axis.ones for axis in axes], few)


# Positions ----------------------------------------------------------------------------------------------


def _where_dtype(shape):
    return np.int32 if shape[2] * shape[3] < 2**31 else np.int64


def _check_where(function, where, shape):
    """`where` as the kernels read it, after checking that every position lies in the plane."""
    N, C, H, W = shape
    if where.ndim != 4 or where.shape[:2] != (N, C) or where.dtype.kind not in "iu":
        raise ShapeError(f"{function}: where is {where.dtype} {where.shape}, expected integers "
                         f"({N}, {C}, I, J)")
    if where.size and not (0 <= where.min() and where.max() < H * W):
        raise ArgError(f"{function}: where is in [{where.min()}, {where.max()}], expected "
                       f"positions in [0, {H * W})")
    return where.astype(_where_dtype(shape), copy=False)


@example
def _example(dtype):
    x = np.ones((1, 1, 2, 2), dtype)
    y, where = max_pool(x, size=2)
    avg_pool(x, size=2), adaptive_avg_pool(np.ones((1, 1, 3, 3), dtype), 1)
    _, tap = max_pool_taps(x, size=2)
    max_pool_select(max_pool_input(y, tap, input_size=2, size=2), tap, size=2)
    pool_scatter(pool_gather(x, where), where, size=(2, 2))
