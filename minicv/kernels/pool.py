"""Pooling: the largest or the mean value of every window, and the linear maps behind both.

Windows are given per axis as half-open ranges of rows ``[low, high)``, clipped to the image, so the
same kernels serve sliding and adaptive pooling:

    max:   y[n, c, i, j] = max  x[n, c, h, w],  h in rows_i, w in columns_j
    mean:  y[n, c, i, j] = sum  x[n, c, h, w] / count[i, j]

A maximum is two steps: choose a pixel (`max_pool` returns `where`, its position h W + w), then
gather it. Given `where`, `pool_gather` and `pool_scatter` are linear and each other's adjoint.
Results keep the memory layout of the input.
"""

import numpy as np

from ..errors import ArgError, ShapeError
from .launch import example
from .layout import check_images, is_channels_last, like_layout, planes
from .pool_loops import gather_positions, max_windows, scatter_positions, sum_windows
from .windows import output_size, pads, pair

CHANNEL_BLOCK = 16                  # channels that one item scatters into: a cache line of float32

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
    dilation = pair("max_pool", "dilation", dilation)
    rows, columns, _ = _sliding("max_pool", x.shape, size, stride, padding, ceil_mode, dilation)
    return _max_windows(x, rows, columns, dilation)


def adaptive_max_pool(x, size):
    """Largest value of each cell of a `size` = (I, J) grid over x, and where it is."""
    check_images("adaptive_max_pool", x=x)
    rows, columns = _adaptive("adaptive_max_pool", x.shape[2:], size)
    return _max_windows(x, rows, columns, (1, 1))


def avg_pool(x, *, size, stride=None, padding=((0, 0), (0, 0)), ceil_mode=False,
             count_include_pad=True):
    """Mean of each window; arguments as in `max_pool`.

    With `count_include_pad` zeros of the padding count as pixels (but not what `ceil_mode` adds
    after it), else the sum is divided by the number of pixels inside the image.
    """
    check_images("avg_pool", x=x)
    rows, columns, full = _sliding("avg_pool", x.shape, size, stride, padding, ceil_mode, (1, 1))
    return _mean_windows(x, rows, columns, full if count_include_pad else None)


def avg_pool_input(g, *, input_size, size, stride=None, padding=((0, 0), (0, 0)), ceil_mode=False,
                   count_include_pad=True):
    """Adjoint of `avg_pool`: g (N, C, I, J) to (N, C, H, W) with `input_size` = (H, W)."""
    check_images("avg_pool_input", g=g)
    shape = (*g.shape[:2], *pair("avg_pool_input", "input_size", input_size))
    rows, columns, full = _sliding("avg_pool_input", shape, size, stride, padding, ceil_mode,
                                   (1, 1))
    if g.shape[2:] != full.shape:
        raise ShapeError(f"avg_pool_input: g has shape {g.shape}, "
                         f"expected {shape[:2] + full.shape}")
    return _mean_windows_input(g, rows, columns, shape[2:], full if count_include_pad else None)


def adaptive_avg_pool(x, size):
    """Mean of each cell of a `size` = (I, J) grid over x (N, C, H, W)."""
    check_images("adaptive_avg_pool", x=x)
    return _mean_windows(x, *_adaptive("adaptive_avg_pool", x.shape[2:], size))


def adaptive_avg_pool_input(g, *, input_size):
    """Adjoint of `adaptive_avg_pool`: g (N, C, I, J) to (N, C, H, W)."""
    check_images("adaptive_avg_pool_input", g=g)
    input_size = pair("adaptive_avg_pool_input", "input_size", input_size)
    rows, columns = _adaptive("adaptive_avg_pool_input", input_size, g.shape[2:])
    return _mean_windows_input(g, rows, columns, input_size)


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


def _sliding(function, image, size, stride, padding, ceil_mode, dilation):
    """Ranges of rows and columns of sliding windows, and the pixels (I, J) of each with padding."""
    size, padding = pair(function, "size", size), pads(function, padding)
    stride = size if stride is None else pair(function, "stride", stride)
    for reach, sides in zip(_reach(size, dilation), padding):
        if max(sides) > reach // 2:
            raise ArgError(f"{function}: padding is {padding}, expected at most half the window "
                           f"{_reach(size, dilation)}")
    grid = output_size(function, image[2:], size, stride, padding, dilation, ceil_mode)
    ranges, counts = zip(*(_ranges(*axis) for axis in
                           zip(image[2:], grid, size, stride, padding, dilation)))
    if any((low >= high).any() for low, high in (r.T for r in ranges)):
        raise ArgError(f"{function}: dilation is {dilation}, expected a window with a pixel inside "
                       f"the image {image[2:]} everywhere")
    return *ranges, np.multiply.outer(*counts)


def _reach(size, dilation):
    return tuple(d * (k - 1) + 1 for d, k in zip(dilation, size))


def _ranges(length, grid, size, stride, padding, dilation):
    """One axis: ranges (grid, 2) clipped to [0, length), and lengths clipped to the padding."""
    start = np.arange(grid, dtype=np.int64) * stride - padding[0]
    low = np.where(start < 0, start + -(start // dilation) * dilation, start)
    end = start + dilation * (size - 1) + 1
    inside = np.stack([low, np.minimum(end, length)], axis=1)
    return inside, np.minimum(end, length + padding[1]) - start


def _adaptive(function, size_in, size_out):
    size_out = pair(function, "size", size_out)
    if min(size_in) < 1:
        raise ShapeError(f"{function}: image size is {tuple(size_in)}, expected at least (1, 1)")
    return [adaptive_bounds(*axis) for axis in zip(size_in, size_out)]


def _max_windows(x, rows, columns, step):
    shape = (*x.shape[:2], len(rows), len(columns))
    last, y = is_channels_last(x), like_layout(x, shape)
    where = like_layout(x, shape, _where_dtype(x.shape))
    out = planes(y, last)
    max_windows(out.shape[0] * out.shape[1], planes(x, last), rows, columns, step, out,
                planes(where, last))
    return y, where


def _mean_windows(x, rows, columns, count=None):
    """Mean over windows; `count` (I, J) is by default the number of pixels in each."""
    y = _sum_windows(x, rows, columns)
    y /= (_pixels(rows, columns) if count is None else count).astype(x.dtype)
    return y


def _mean_windows_input(g, rows, columns, size, count=None):
    count = _pixels(rows, columns) if count is None else count
    g = np.divide(g, count.astype(g.dtype), out=like_layout(g, g.shape))
    return _sum_windows(g, *(_covering(*axis) for axis in zip((rows, columns), size)))


def _sum_windows(x, rows, columns):
    last, y = is_channels_last(x), like_layout(x, (*x.shape[:2], len(rows), len(columns)))
    out = planes(y, last)
    sum_windows(out.shape[0] * out.shape[1], planes(x, last), rows, columns, out)
    return y


def _pixels(rows, columns):
    return np.multiply.outer(rows[:, 1] - rows[:, 0], columns[:, 1] - columns[:, 0])


def _covering(ranges, length):
    """For each position the range of windows that contain it; as windows move on, it is one."""
    low, high = ranges.T
    h = np.arange(length)
    return np.stack([np.searchsorted(high, h, "right"), np.searchsorted(low, h, "right")], axis=1)


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
    avg_pool(x, size=2)
    pool_scatter(pool_gather(x, where), where, size=(2, 2))
