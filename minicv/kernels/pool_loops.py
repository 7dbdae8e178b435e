"""The loops of pooling, on planes (M, H, W, K): maximum, sum, gather and scatter.

Windows are ranges ``[low, high)`` per axis: rows (I, 2) and columns (J, 2), int64.
"""

import numpy as np

from .launch import kernel


def _taps(rows, columns, step):
    """Tap by tap over all windows at once: pixel (I, 1), (1, J) and whether it is in the window."""
    for p in range(0, int((rows[:, 1] - rows[:, 0]).max()), step[0]):
        for q in range(0, int((columns[:, 1] - columns[:, 0]).max()), step[1]):
            h, w = rows[:, :1] + p, columns[:, 0] + q
            inside = (h < rows[:, 1:]) & (w < columns[:, 1])
            yield h * (h < rows[:, 1:]), w * (w < columns[:, 1]), inside[..., None]


def max_windows_numpy(x, rows, columns, step, y, where):
    """Running maximum over taps; only a larger value or the first NaN takes its place."""
    y[...], where[...] = -np.inf, -1
    for h, w, inside in _taps(rows, columns, step):
        v = x[:, h, w]
        better = inside & ((v > y) | (where < 0) | (np.isnan(v) & ~np.isnan(y)))
        np.copyto(y, v, where=better)
        np.copyto(where, (h * x.shape[2] + w)[..., None], where=better, casting="same_kind")


def sum_windows_numpy(x, rows, columns, y):
    """Sum over taps in float64."""
    total = np.zeros(y.shape)
    for h, w, inside in _taps(rows, columns, (1, 1)):
        total += np.where(inside, x[:, h, w], 0)
    y[...] = total


def gather_positions_numpy(x, where, y):
    """`take_along_axis` over flat positions."""
    (M, H, W, K), (_, I, J, _) = x.shape, y.shape
    v = np.take_along_axis(x.reshape(M, H * W, K), where.reshape(M, I * J, K), axis=1)
    y[...] = v.reshape(y.shape)


def scatter_positions_numpy(g, where, x, channel_block):
    """Unbuffered addition at flat positions."""
    x[...] = 0
    (M, H, W, K), (_, I, J, _) = x.shape, g.shape
    m, k = np.arange(M)[:, None, None], np.arange(K)
    np.add.at(x.reshape(M, H * W, K), (m, where.reshape(M, I * J, K), k), g.reshape(M, I * J, K))


@kernel(twin=max_windows_numpy, out="y where")
def max_windows(start, stop, x, rows, columns, step, y, where):
    """An item is one output row; the innermost loop runs over channels."""
    I, J, K = y.shape[1:]
    W = x.shape[2]
    for row in range(start, stop):
        m = row // I
        i = row - m * I
        for j in range(J):
            for k in range(K):
                y[m, i, j, k] = x[m, rows[i, 0], columns[j, 0], k]
                where[m, i, j, k] = rows[i, 0] * W + columns[j, 0]
            for h in range(rows[i, 0], rows[i, 1], step[0]):
                for w in range(columns[j, 0], columns[j, 1], step[1]):
                    for k in range(K):
                        v, best = x[m, h, w, k], y[m, i, j, k]
                        better = (v > best) | ((v != v) & (best == best))
                        y[m, i, j, k] = v if better else best
                        where[m, i, j, k] = h * W + w if better else where[m, i, j, k]


@kernel(twin=sum_windows_numpy, out="y")
def sum_windows(start, stop, x, rows, columns, y):
    """An item is one output row; sums are taken in float64 and rounded once."""
    I, J, K = y.shape[1:]
    total = np.zeros(K)
    for row in range(start, stop):
        m = row // I
        i = row - m * I
        for j in range(J):
            total[:] = 0
            for h in range(rows[i, 0], rows[i, 1]):
                for w in range(columns[j, 0], columns[j, 1]):
                    for k in range(K):
                        total[k] += x[m, h, w, k]
            for k in range(K):
                y[m, i, j, k] = total[k]


@kernel(twin=gather_positions_numpy, out="y")
def gather_positions(start, stop, x, where, y):
    """An item is one output row; positions are h W + w."""
    I, J, K = y.shape[1:]
    W = x.shape[2]
    for row in range(start, stop):
        m = row // I
        i = row - m * I
        for j in range(J):
            for k in range(K):
                h = where[m, i, j, k] // W
                y[m, i, j, k] = x[m, h, where[m, i, j, k] - h * W, k]


@kernel(twin=scatter_positions_numpy, out="x")
def scatter_positions(start, stop, g, where, x, channel_block):
    """An item is one block of channels of one image, so that no two items meet in a pixel."""
    M, I, J, K = g.shape
    H, W = x.shape[1:3]
    blocks = (K + channel_block - 1) // channel_block
    for item in range(start, stop):
        m = item // blocks
        first = (item - m * blocks) * channel_block
        last = min(first + channel_block, K)
        x[m, :, :, first:last] = 0
        for i in range(I):
            for j in range(J):
                for k in range(first, last):
                    h = where[m, i, j, k] // W
                    x[m, h, where[m, i, j, k] - h * W, k] += g[m, i, j, k]
