"""Convolution: one trilinear form and its three partial derivatives.

    S(x, w, g) = sum x[n, c, i s + p d - top, j s + q d - left] w[o, c, p, q] g[n, o, i, j]

over all indices, with x = 0 outside the image. `conv2d` is dS/dg, `conv2d_input` is dS/dx and
`conv2d_filter` is dS/dw, so the three are each other's gradients to any order.

Method: copy the window of every output pixel into one row of a matrix (im2col), then the sum is a
matrix product. Done for a block of rows at a time, so that the matrix stays in the cache and the
workspace bounded. Convolutions of single channels (depthwise) have loops of their own. The module
`conv_numpy` has all three as one formula each.

Activations come out channels-last in memory; filters are (O, C, P, Q) over memory (P, Q, C, O).
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, ShapeError
from .buffers import empty
from .depthwise import depthwise_conv, depthwise_conv_filter, depthwise_conv_input
from .im2col import col2im, im2col
from .launch import example
from .layout import channels_last, check_images
from .windows import output_size, pads, pair

BLOCK_BYTES = 2**20                 # of columns at a time: about the second-level cache
ALGORITHMS = ("auto", "im2col")


class Geometry(NamedTuple):
    """What is fixed beside the arrays; kernel (P, Q), grid (I, J)."""
    kernel: tuple
    grid: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int

    @property
    def corner(self):
        """Padding before the first row and column."""
        return self.padding[0][0], self.padding[1][0]

    @property
    def pointwise(self):
        """Whether the matrix of windows is the image itself."""
        return self.kernel == (1, 1) == self.stride and self.padding == ((0, 0), (0, 0))


def conv2d(x, w, *, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1,
           algo="auto"):
    """Cross-correlation y[n, o, i, j] = sum_cpq x[n, c, i s + p d, j s + q d] w[o, c, p, q].

    Parameters
    ----------
    x : array (N, C, H, W), float32 or float64
    w : array (O, C / groups, P, Q)
    stride, dilation : int or (vertical, horizontal)
    padding : int, (vertical, horizontal) or ((top, bottom), (left, right))
        Number of zero rows and columns around x.
    groups : int
        Output channels of group k see the input channels of group k only.
    algo : {"auto", "im2col"}

    Returns
    -------
    array (N, O, I, J), channels-last in memory, of the promoted dtype.

    Raises
    ------
    ShapeError, DTypeError, ArgError
        Before any work, for arrays and settings that do not fit.
    """
    check_images("conv2d", x=x, w=w)
    geometry = _geometry("conv2d", x.shape, w.shape, stride, padding, dilation, groups, algo)
    x, w = _alike(x, w)
    x = channels_last(x)
    if _is_depthwise(geometry, x.shape[1]):
        return depthwise_conv(x, w, geometry)
    y = empty((len(x), *geometry.grid, len(w)), x.dtype)
    matrix = _filter_matrix(w, groups)                          # (G, P Q C/G, O/G)
    for pixels, columns in _columns(x, geometry):
        np.matmul(columns, matrix, out=_by_group(y, groups)[:, pixels])
    return y.transpose(0, 3, 1, 2)


def conv2d_input(g, w, *, size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1,
                 algo="auto"):
    """Adjoint of `conv2d` in x; the transposed convolution.

    Parameters
    ----------
    g : array (N, O, I, J)
    w : array (O, C / groups, P, Q)
    size : (H, W)
        Size of the image: several sizes share one output grid where the stride is above 1.

    Returns
    -------
    array (N, C, H, W), channels-last in memory.
    """
    check_images("conv2d_input", g=g, w=w)
    shape = (len(g), w.shape[1] * groups, *pair("conv2d_input", "size", size))
    geometry = _geometry("conv2d_input", shape, w.shape, stride, padding, dilation, groups, algo)
    _check_gradient("conv2d_input", g, (len(g), len(w), *geometry.grid))
    g, w = _alike(g, w)
    g = channels_last(g)
    if _is_depthwise(geometry, shape[1]):
        return depthwise_conv_input(g, w, geometry, shape)
    gx = empty((shape[0], *shape[2:], shape[1]), g.dtype)
    g = _by_group(g.transpose(0, 2, 3, 1), groups)              # (G, N I J, O/G)
    matrix = _filter_matrix(w, groups).swapaxes(1, 2)           # (G, O/G, P Q C/G)
    if geometry.pointwise:
        np.matmul(g, matrix, out=_by_group(gx, groups))
        return gx.transpose(0, 3, 1, 2)
    gx.fill(0)
    for first, pixels, columns in _blocks(gx.shape, geometry, gx.dtype):
        np.matmul(g[:, pixels], matrix, out=_as_matrix(columns))
        col2im(_image_rows(first, columns.shape[1], geometry.grid[0], shape[2]),
               _runs(columns, geometry), _rows(gx), shape[1], first, geometry.grid[0],
               geometry.stride, geometry.corner, geometry.dilation)
    return gx.transpose(0, 3, 1, 2)


def conv2d_filter(x, g, *, size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1,
                  algo="auto"):
    """Adjoint of `conv2d` in w.

    Parameters
    ----------
    x : array (N, C, H, W)
    g : array (N, O, I, J)
    size : (P, Q)
        Size of the filter.

    Returns
    -------
    array (O, C / groups, P, Q), over memory (P, Q, C / groups, O).
    """
    check_images("conv2d_filter", x=x, g=g)
    C, O = x.shape[1], g.shape[1]
    shape = (O, C // max(groups, 1), *pair("conv2d_filter", "size", size))
    geometry = _geometry("conv2d_filter", x.shape, shape, stride, padding, dilation, groups, algo)
    _check_gradient("conv2d_filter", g, (len(x), O, *geometry.grid))
    x, g = map(channels_last, _alike(x, g))
    if _is_depthwise(geometry, C):
        return depthwise_conv_filter(x, g, geometry)
    gw = np.zeros((*shape[2:], shape[1], O), x.dtype)
    by_group = _by_group(gw, groups)                            # (G, P Q C/G, O/G)
    g = _by_group(g.transpose(0, 2, 3, 1), groups)              # (G, N I J, O/G)
    for pixels, columns in _columns(x, geometry):
        by_group += columns.swapaxes(1, 2) @ g[:, pixels]
    return gw.transpose(3, 2, 0, 1)


def _geometry(function, image, filters, stride, padding, dilation, groups, algo):
    """Checked settings; `image` (N, C, H, W) and `filters` (O, C / groups, P, Q) are shapes."""
    if algo not in ALGORITHMS:
        raise ArgError(f"{function}: algo is {algo!r}, expected one of {', '.join(ALGORITHMS)}")
    groups, _ = pair(function, "groups", groups)
    if image[1] != filters[1] * groups or filters[0] % groups:
        raise ShapeError(f"{function}: filter shape is {tuple(filters)} for {image[1]} input "
                         f"channels and groups={groups}, expected (O, {image[1]} / {groups}, P, Q) "
                         f"with O divisible by {groups}")
    stride, dilation = pair(function, "stride", stride), pair(function, "dilation", dilation)
    padding, kernel = pads(function, padding), tuple(filters[2:])
    grid = output_size(function, image[2:], kernel, stride, padding, dilation)
    return Geometry(kernel, grid, stride, padding, dilation, groups)


def _check_gradient(function, g, shape):
    if g.shape != shape:
        raise ShapeError(f"{function}: g has shape {g.shape}, expected {shape}")


def _alike(a, b):
    """Both arrays in their promoted dtype."""
    dtype = np.result_type(a, b)
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


def _columns(x, geometry):
    """Pairs (pixels, matrix): a slice of output pixels and their windows (G, pixels, P Q C/G)."""
    x = x.transpose(0, 2, 3, 1)
    if geometry.pointwise:
        yield slice(None), _by_group(x, geometry.groups)
        return
    for first, pixels, columns in _blocks(x.shape, geometry, x.dtype):
        im2col(columns.shape[1], _rows(x), _runs(columns, geometry), x.shape[3], first,
               geometry.grid[0], geometry.stride, geometry.corner, geometry.dilation)
        yield pixels, _as_matrix(columns)


def _blocks(shape, geometry, dtype):
    """Cut the N I rows of the output grid into blocks of bounded workspace.

    Yields the first row, the slice of pixels, and columns (G, rows, J, P, Q, C / G) to work in.
    """
    (N, _, _, C), (I, J), (P, Q), G = shape, geometry.grid, geometry.kernel, geometry.groups
    rows = max(1, BLOCK_BYTES // max(1, J * P * Q * C * dtype.itemsize))
    for first in range(0, N * I, rows):
        last = min(first + rows, N * I)
        columns = np.empty((G, last - first, J, P, Q, C // G), dtype)
        yield first, slice(first * J, last * J), columns


def _image_rows(first, rows, I, H):
    """Number of rows of the images that a block of output rows belongs to."""
    return ((first + rows - 1) // I - first // I + 1) * H


def _rows(x):
    """View of (N, H, W, C) as (N, H, W C)."""
    N, H, W, C = x.shape
    return x.reshape(N, H, W * C)


def _runs(columns, geometry):
    """The same memory as (G, R, J, P, T, E): neighbouring taps of one row are one run of T = 1."""
    G, R, J, P, Q, C = columns.shape
    return columns.reshape(G, R, J, P, 1, Q * C) if G == geometry.dilation[1] == 1 else columns


def _as_matrix(columns):
    G, R, J, P, Q, C = columns.shape
    return columns.reshape(G, R * J, P * Q * C)


def _by_group(a, groups):
    """View of (..., channels) as (groups, pixels, channels / groups)."""
    return a.reshape(-1, groups, a.shape[-1] // groups).swapaxes(0, 1)


def _filter_matrix(w, groups):
    """w (O, C, P, Q) as (groups, P Q C, O / groups); a view over memory (P, Q, C, O)."""
    w = np.ascontiguousarray(w.transpose(2, 3, 1, 0))
    return _by_group(w, groups)


def _is_depthwise(geometry, channels):
    return geometry.groups == channels > 1


@example
def _example(dtype):
    for channels, groups in ((1, 1), (2, 2)):
        x, w = np.ones((1, channels, 3, 3), dtype), np.ones((channels, 1, 2, 2), dtype)
        y = conv2d(x, w, groups=groups)
        conv2d_input(y, w, size=(3, 3), groups=groups)
        conv2d_filter(x, y, size=(2, 2), groups=groups)
