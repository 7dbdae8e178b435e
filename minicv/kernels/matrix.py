"""Convolution as a matrix product: the readable way, for any element type.

Copy the window of every output pixel into one row of a matrix (`im2col`), then the sum is a matrix product. Done
for a block of rows at a time, so that the matrix stays in the cache and the workspace bounded. A 1 x 1 filter needs no
copy: the image is the matrix.
"""

import numpy as np

from .buffers import empty
from .im2col import col2im, im2col
from .product import matmul

BLOCK_BYTES = 2**20                 # of columns at a time: about the second-level cache


def conv(x, w, geometry, kept=False):
    """`conv2d` of x (N, C, H, W) channels-last and w (O, C / G, P, Q)."""
    y = empty((len(x), *geometry.grid, len(w)), x.dtype)
    matrix = _filter_matrix(w, geometry.groups)                 # (G, P Q C/G, O/G)
    for pixels, columns in _columns(x, geometry):
        _multiply(columns, matrix, out=_by_group(y, geometry.groups)[:, pixels])
    return y.transpose(0, 3, 1, 2)


def conv_input(g, w, geometry, shape, kept=False):
    """`conv2d_input` of g (N, O, I, J), channels-last, to an image of `shape` (N, C, H, W)."""
    groups = geometry.groups
    gx = empty((shape[0], *shape[2:], shape[1]), g.dtype)
    g = _by_group(g.transpose(0, 2, 3, 1), groups)              # (G, N I J, O/G)
    matrix = _filter_matrix(w, groups).swapaxes(1, 2)           # (G, O/G, P Q C/G)
    if geometry.pointwise:
        _multiply(g, matrix, out=_by_group(gx, groups))
        return gx.transpose(0, 3, 1, 2)
    gx[...] = 0
    for first, pixels, columns in _blocks(gx.shape, geometry, gx.dtype):
        _multiply(g[:, pixels], matrix, out=_as_matrix(columns))
        col2im(_image_rows(first, columns.shape[1], geometry.grid[0], shape[2]),
               _runs(columns, geometry), _rows(gx), shape[1], first, geometry.grid[0],
               geometry.stride, geometry.corner, geometry.dilation)
    return gx.transpose(0, 3, 1, 2)


def conv_filter(x, g, geometry):
    """`conv2d_filter` of x (N, C, H, W) and g (N, O, I, J), both channels-last."""
    groups, (C, O) = geometry.groups, (x.shape[1], g.shape[1])
    gw = np.zeros((*geometry.kernel, C // groups, O), x.dtype)
    by_group = _by_group(gw, groups)                            # (G, P Q C/G, O/G)
    g = _by_group(g.transpose(0, 2, 3, 1), groups)              # (G, N I J, O/G)
    for pixels, columns in _columns(x, geometry):
        by_group += _multiply(columns.swapaxes(1, 2), g[:, pixels])
    return gw.transpose(3, 2, 0, 1)


def _multiply(a, b, out=None):
    """Products of a (G, M, K) and b (G, K, N)."""
    if len(a) > 1:
        return matmul(a, b, out)
    return matmul(a[0], b[0], None if out is None else out[0])[None]


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
