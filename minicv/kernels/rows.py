"""Sparse matrices of one axis: which positions every output reads, and with what weight.

Windows, cells and interpolation are separable: rows and columns of an image are read each by a matrix of its own,
which has a few entries in every row. The adjoint reads the same entries by columns, `transposed`; so each kernel
that applies such a matrix serves both directions, and every output collects what belongs to it.
"""

from typing import NamedTuple

import numpy as np

from .buffers import empty
from .layout import CHANNELS_LAST, is_channels_last, planes


class Rows(NamedTuple):
    """A sparse matrix by rows: row i holds entries start[i] .. start[i + 1] of index and weight."""
    start: np.ndarray
    index: np.ndarray
    weight: np.ndarray


def rows_where(inside, index, weight):
    """Rows of the entries (i, p) of arrays (I, P) for which `inside`; the others broadcast to it."""
    start = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
    return Rows(start, *(np.broadcast_to(a, inside.shape)[inside] for a in (index, weight)))


def transposed(rows, length):
    """The transposed matrix, with `length` rows; entries of a row in ascending order."""
    order = np.argsort(rows.index, kind="stable")
    start = np.searchsorted(rows.index[order], np.arange(length + 1))
    return Rows(start, row_numbers(rows)[order], rows.weight[order])


def row_numbers(rows):
    """The row of each entry."""
    return np.repeat(np.arange(len(rows.start) - 1), np.diff(rows.start))


def in_layout(x, y):
    """y (N, C, I, J), which has channels last, in the memory layout of x.

    Kernels whose innermost loop runs over channels turn other images over, which costs less than short loops.
    """
    return y if is_channels_last(x) else np.ascontiguousarray(y)


def combine(x, rows, columns):
    """R x C^T for images x (N, C, H, W): `rows` R (I, H) over vertical positions, `columns` C (J, W).

    Weights have the type of x; the result (N, C, I, J) is in its memory layout.
    """
    from .rows_loops import combine_rows

    y = empty((*x.shape[:2], len(rows.start) - 1, len(columns.start) - 1), x.dtype, CHANNELS_LAST)
    out = planes(y, True)
    combine_rows(out.shape[0] * out.shape[1], planes(x, True), *rows, *columns, out)
    return in_layout(x, y)


def average(x, rows, columns, scales, few=False):
    """As `combine`, times scales[0][i] scales[1][j]; weights, scales and sums are float64, rounding is at the end.

    `few` says that no row of a matrix has more than two entries, for which there is a faster loop.
    """
    from .rows_loops import average_pixels, average_rows

    y = empty((*x.shape[:2], len(rows.start) - 1, len(columns.start) - 1), x.dtype, CHANNELS_LAST)
    out = planes(y, True)
    kernel = average_pixels if few else average_rows
    kernel(out.shape[0] * out.shape[1], planes(x, True), *rows, *columns, *scales, out)
    return in_layout(x, y)


def pick(x, rows, columns):
    """y[n, c, i, j] = x[n, c, rows[i], columns[j]] for indices (I,) and (J,), in the memory layout of x."""
    from .rows_loops import pick_pixels

    y = empty((*x.shape[:2], len(rows), len(columns)), x.dtype, CHANNELS_LAST)
    out = planes(y, True)
    pick_pixels(out.shape[0] * out.shape[1], planes(x, True), rows, columns, out)
    return in_layout(x, y)
