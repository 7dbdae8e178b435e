"""The loops of separable maps: rows of an image are combined, then the columns of the result."""

import numpy as np

from .launch import kernel, part


def _weigh(x, start, index, weight):
    """y[i] = sum of weight[e] x[index[e]] over the entries e of row i, along the first axis; first entries first."""
    y, length = np.zeros((len(start) - 1, *x.shape[1:]), x.dtype), np.diff(start)
    for a in range(length.max(initial=0)):
        i = np.flatnonzero(length > a)
        e = start[i] + a
        y[i] += weight[e].reshape(-1, *[1] * (x.ndim - 1)) * x[index[e]]
    return y


def combine_rows_numpy(x, row_start, row, row_weight, column_start, column, column_weight, y):
    """The vertical, then the horizontal axis first."""
    lines = _weigh(x.transpose(1, 2, 0, 3), row_start, row, row_weight)                    # (I, W, M, K)
    y[...] = _weigh(lines.swapaxes(0, 1), column_start, column, column_weight).transpose(2, 1, 0, 3)


def average_rows_numpy(x, row_start, row, row_weight, column_start, column, column_weight, row_scale, column_scale, y):
    """The same times the outer product of the scales."""
    total = np.empty(y.shape)
    combine_rows_numpy(x.astype(np.float64), row_start, row, row_weight, column_start, column, column_weight, total)
    y[...] = total * np.multiply.outer(row_scale, column_scale)[..., None]


def pick_pixels_numpy(x, row, column, y):
    """Indexing with both lists."""
    y[...] = x[:, row[:, None], column]


@part(allow="contract")
def combine(x, first, start, index, weight, y):
    """y[r] = sum of weight[e] x[index[e]] over the entries e of row first + r; two in each pass over y."""
    n = x.shape[1]
    for r in range(len(y)):
        out, e, end = y[r], start[first + r], start[first + r + 1]
        if e == end:
            for k in range(n):
                out[k] = 0
        elif (end - e) % 2:
            a, u = x[index[e]], weight[e]
            for k in range(n):
                out[k] = u * a[k]
        else:
            a, u = x[index[e]], weight[e]
            b, v = x[index[e + 1]], weight[e + 1]
            for k in range(n):
                out[k] = u * a[k] + v * b[k]
        for f in range(e + 2 - (end - e) % 2, end, 2):
            a, u = x[index[f]], weight[f]
            b, v = x[index[f + 1]], weight[f + 1]
            for k in range(n):
                out[k] += u * a[k] + v * b[k]


@kernel(twin=combine_rows_numpy, out="y", allow="contract")
def combine_rows(start, stop, x, row_start, row, row_weight, column_start, column, column_weight, y):
    """An item is one output row: a line of combined rows, and then its columns. Weights have the type of x."""
    I, J, K = y.shape[1:]
    H, W = x.shape[1:3]
    room = np.empty(W * K, x.dtype)
    line, pixels = room.reshape(1, W * K), room.reshape(W, K)
    for item in range(start, stop):
        m = item // I
        i = item - m * I
        combine(x[m].reshape(H, W * K), i, row_start, row, row_weight, line)
        combine(pixels, 0, column_start, column, column_weight, y[m, i])


@kernel(twin=average_rows_numpy, out="y", allow="contract")
def average_rows(start, stop, x, row_start, row, row_weight, column_start, column, column_weight, row_scale,
                 column_scale, y):
    """As `combine_rows`, times row_scale[i] column_scale[j]; all in float64 and rounded once."""
    I, J, K = y.shape[1:]
    H, W = x.shape[1:3]
    room, sums = np.empty(W * K), np.empty((J, K))
    line, pixels = room.reshape(1, W * K), room.reshape(W, K)
    for item in range(start, stop):
        m = item // I
        i = item - m * I
        combine(x[m].reshape(H, W * K), i, row_start, row, row_weight, line)
        combine(pixels, 0, column_start, column, column_weight, sums)
        for j in range(J):
            out, total, scale = y[m, i, j], sums[j], row_scale[i] * column_scale[j]
            for k in range(K):
                out[k] = scale * total[k]


@kernel(twin=average_rows_numpy, out="y", allow="contract")
def average_pixels(start, stop, x, row_start, row, row_weight, column_start, column, column_weight, row_scale,
                   column_scale, y):
    """`average_rows` for at most two entries in each row of the matrices: four pixels in one pass over the channels.

    Of an only entry two halves are added, which changes nothing.
    """
    I, J, K = y.shape[1:]
    for item in range(start, stop):
        m = item // I
        i = item - m * I
        a, b = row_start[i], row_start[i + 1] - 1
        for j in range(J):
            c, d, out = column_start[j], column_start[j + 1] - 1, y[m, i, j]
            if b < a or d < c:
                out[:] = 0
            else:
                scale = row_scale[i] * column_scale[j] / ((1 + (a == b)) * (1 + (c == d)))
                u, v = x[m, row[a], column[c]], x[m, row[a], column[d]]
                w, z = x[m, row[b], column[c]], x[m, row[b], column[d]]
                e, f = scale * row_weight[a] * column_weight[c], scale * row_weight[a] * column_weight[d]
                g, h = scale * row_weight[b] * column_weight[c], scale * row_weight[b] * column_weight[d]
                for k in range(K):
                    out[k] = e * u[k] + f * v[k] + g * w[k] + h * z[k]


@kernel(twin=pick_pixels_numpy, out="y")
def pick_pixels(start, stop, x, row, column, y):
    """An item is one output row: a copy of the pixels in the given row and columns."""
    I, J, K = y.shape[1:]
    for item in range(start, stop):
        m = item // I
        i = item - m * I
        line = x[m, row[i]]
        for j in range(J):
            pixel, out = line[column[j]], y[m, i, j]
            for k in range(K):
                out[k] = pixel[k]
