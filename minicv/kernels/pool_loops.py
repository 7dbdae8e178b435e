"""The loops of pooling, on planes (M, H, W, K) with the innermost loop over channels K.

Windows are given per axis as `rows.Rows`: the pixels of each window with their numbers p in it, or by columns of
that matrix the windows of each pixel. The pixel (p, q) of a window is tap p Q + q, Q = `width`.
"""

import numpy as np

from .launch import kernel
from .rows import Rows, row_numbers

ZERO = np.float32(0)                # of a type that leaves float32 as it is


def _padded(start, index, weight):
    """Rows as arrays (I, longest): index, weight and which entries there are."""
    rows, length = row_numbers(Rows(start, index, weight)), np.diff(start)
    inside = np.arange(max(length, default=0)) < length[:, None]
    entries = np.zeros((2, *inside.shape), np.int64)
    entries[:, rows, np.arange(len(rows)) - start[rows]] = index, weight
    return *entries, inside


def _pairs(rows, columns, width):
    """Entry by entry of all pairs of rows: index (I, 1) and (J,), tap (I, J, 1), and where there is an entry."""
    (hs, ps, insides), (ws, qs, besides) = _padded(*rows), _padded(*columns)
    for a in range(hs.shape[1]):
        for b in range(ws.shape[1]):
            inside = insides[:, a:a + 1] & besides[:, b]
            yield hs[:, a:a + 1], ws[:, b], (ps[:, a:a + 1] * width + qs[:, b])[..., None], inside[..., None]


def max_windows_numpy(x, row_start, row, p, column_start, column, q, width, numbers, y, tap):
    """Running maximum over taps; only a larger value or the first NaN takes its place."""
    y[...], tap[...] = -np.inf, 0
    empty = np.ones(y.shape, bool)
    for h, w, t, inside in _pairs((row_start, row, p), (column_start, column, q), width):
        v = x[:, h, w]
        better = inside & (empty | ~(v <= y) & (y == y))
        np.copyto(y, v, where=better)
        np.copyto(tap, numbers[t], where=better)
        empty &= ~inside


def select_taps_numpy(x, row_start, row, p, column_start, column, q, width, numbers, tap, y):
    """Sum over taps of what the mask lets through."""
    y[...] = 0
    for h, w, t, inside in _pairs((row_start, row, p), (column_start, column, q), width):
        np.copyto(y, x[:, h, w], where=inside & (tap == numbers[t]))


def collect_taps_numpy(g, tap, row_start, row, p, column_start, column, q, width, numbers, x):
    """Sum over windows of what the mask lets through."""
    x[...] = 0
    for i, j, t, inside in _pairs((row_start, row, p), (column_start, column, q), width):
        x += np.where(inside & (tap[:, i, j] == numbers[t]), g[:, i, j], 0)


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


@kernel(twin=max_windows_numpy, out="y tap")
def max_windows(start, stop, x, row_start, row, p, column_start, column, q, width, numbers, y, tap):
    """An item is one output row. The first pixel is taken, then any larger one, and the first NaN for good.

    Three pixels in each pass over the channels; where there are fewer the last one counts again, which changes
    nothing.
    """
    I, J, K = y.shape[1:]
    for item in range(start, stop):
        m = item // I
        i = item - m * I
        for j in range(J):
            best, place = y[m, i, j], tap[m, i, j]
            end, first = column_start[j + 1], True
            for a in range(row_start[i], row_start[i + 1]):
                for b in range(column_start[j], end, 3):
                    c, d = min(b + 1, end - 1), min(b + 2, end - 1)
                    u, v, w = x[m, row[a], column[b]], x[m, row[a], column[c]], x[m, row[a], column[d]]
                    r, s, t = numbers[p[a] * width + q[b]], numbers[p[a] * width + q[c]], numbers[p[a] * width + q[d]]
                    if first:
                        for k in range(K):
                            better = (not v[k] <= u[k]) & (u[k] == u[k])
                            most, where = v[k] if better else u[k], s if better else r
                            better = (not w[k] <= most) & (most == most)
                            best[k], place[k] = w[k] if better else most, t if better else where
                        first = False
                    else:
                        for k in range(K):
                            better = (not u[k] <= best[k]) & (best[k] == best[k])
                            most, where = u[k] if better else best[k], r if better else place[k]
                            better = (not v[k] <= most) & (most == most)
                            most, where = v[k] if better else most, s if better else where
                            better = (not w[k] <= most) & (most == most)
                            best[k], place[k] = w[k] if better else most, t if better else where


@kernel(twin=select_taps_numpy, out="y")
def select_taps(start, stop, x, row_start, row, p, column_start, column, q, width, numbers, tap, y):
    """An item is one output row: of each window the pixel that `tap` names, 0 if it is none of them."""
    I, J, K = y.shape[1:]
    for item in range(start, stop):
        m = item // I
        i = item - m * I
        y[m, i] = 0
        for j in range(J):
            out, place = y[m, i, j], tap[m, i, j]
            for a in range(row_start[i], row_start[i + 1]):
                for b in range(column_start[j], column_start[j + 1]):
                    v, t = x[m, row[a], column[b]], numbers[p[a] * width + q[b]]
                    for k in range(K):
                        out[k] = v[k] if place[k] == t else out[k]


@kernel(twin=collect_taps_numpy, out="x")
def collect_taps(start, stop, g, tap, row_start, row, p, column_start, column, q, width, numbers, x):
    """An item is one image row: each pixel adds up the g of those of its windows whose `tap` it is.

    Two windows in each pass over the channels; the second may be none, with the last number, which is no tap.
    """
    H, W, K = x.shape[1:]
    for item in range(start, stop):
        m = item // H
        h = item - m * H
        for w in range(W):
            out, end, first = x[m, h, w], column_start[w + 1], True
            for a in range(row_start[h], row_start[h + 1]):
                for b in range(column_start[w], end, 2):
                    c = min(b + 1, end - 1)
                    u, here, s = g[m, row[a], column[b]], tap[m, row[a], column[b]], numbers[p[a] * width + q[b]]
                    v, there, t = g[m, row[a], column[c]], tap[m, row[a], column[c]], numbers[p[a] * width + q[c]]
                    t = t if b < c else numbers[-1]
                    if first:
                        for k in range(K):
                            out[k] = (u[k] if here[k] == s else ZERO) + (v[k] if there[k] == t else ZERO)
                        first = False
                    else:
                        for k in range(K):
                            out[k] += (u[k] if here[k] == s else ZERO) + (v[k] if there[k] == t else ZERO)
            if first:
                out[:] = 0


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
