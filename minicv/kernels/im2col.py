"""Windows to columns and back: what turns a convolution into a matrix product.

    columns[k, r, j, p, q, c] = x[n, i s + p d - top, j s + q d - left, k C/G + c],  0 outside x

A kernel handles a block of output rows: row r of the block is row i = (first + r) mod I of image n
= (first + r) div I. Images come as rows of numbers (N, H, W C). Columns come as (G, R, J, P, T, E):
T runs of E contiguous numbers, one per tap q, or a single run where the taps of a row are
neighbours. An index known to be unsigned needs no test for counting from the end, so the loops
vectorize.
"""

import numpy as np

from .launch import kernel


def im2col_numpy(x, columns, C, first, I, stride, corner, dilation):
    """The formula above by fancy indexing."""
    x, columns = x.reshape(*x.shape[:2], -1, C), _by_tap(columns, C)
    n, h, w, inside = _positions(x.shape, columns.shape, first, I, stride, corner, dilation)
    v = np.where(inside[..., None], x[n, h, w], 0)              # (R, J, P, Q, C)
    columns[...] = np.moveaxis(v.reshape(*inside.shape, len(columns), -1), -2, 0)


def col2im_numpy(columns, x, C, first, I, stride, corner, dilation):
    """The adjoint: every column is added to the pixels it was read from."""
    x, columns = x.reshape(*x.shape[:2], -1, C), _by_tap(columns, C)
    n, h, w, inside = _positions(x.shape, columns.shape, first, I, stride, corner, dilation)
    n, h, w = (a[inside] for a in np.broadcast_arrays(n, h, w))
    v = np.moveaxis(columns, 0, -2).reshape(*inside.shape, C)
    np.add.at(x, (n, h, w), v[inside])


def _by_tap(columns, C):
    """View (G, R, J, P, Q, C / G)."""
    G = len(columns)
    return columns.reshape(*columns.shape[:4], -1, C // G)


def _positions(image, columns, first, I, stride, corner, dilation):
    """Indices n, h, w and whether they are inside; they broadcast to (R, J, P, Q)."""
    (_, H, W, _), (_, R, J, P, Q, _) = image, columns
    n, i = np.divmod(first + np.arange(R)[:, None, None, None], I)
    j, p, q = np.arange(J)[:, None, None], np.arange(P)[:, None], np.arange(Q)
    h = i * stride[0] + p * dilation[0] - corner[0]
    w = j * stride[1] + q * dilation[1] - corner[1]
    inside = (0 <= h) & (h < H) & (0 <= w) & (w < W)
    return n, h.clip(0, H - 1), w.clip(0, W - 1), inside


@kernel(twin=im2col_numpy, out="columns")
def im2col(start, stop, x, columns, C, first, I, stride, corner, dilation):
    """An item is one output row of the block. A run is cut where it leaves the image row."""
    H, WC = x.shape[1:]
    G, _, J, P, T, E = columns.shape
    for r in range(start, stop):
        n = (first + r) // I
        top = (first + r - n * I) * stride[0] - corner[0]
        for j in range(J):
            for p in range(P):
                h = top + p * dilation[0]
                for t in range(T):
                    w = j * stride[1] + t * dilation[1] - corner[1]
                    for k in range(G):
                        source = w * C + k * E                  # in the image row
                        low = min(max(0, -source), E) if 0 <= h < H else E
                        high = max(low, min(E, WC - source))
                        for e in range(low):
                            columns[k, r, j, p, t, e] = 0
                        for e in range(low, high):
                            columns[k, r, j, p, t, np.uint64(e)] = x[n, h, np.uint64(source + e)]
                        for e in range(high, E):
                            columns[k, r, j, p, t, e] = 0


@kernel(twin=col2im_numpy, out="x")
def col2im(start, stop, columns, x, C, first, I, stride, corner, dilation):
    """An item is one image row h, from the first image of the block on; it collects what the
    windows (i, p) over it hold."""
    H, WC = x.shape[1:]
    G, R, J, P, T, E = columns.shape
    for row in range(start, stop):
        n = first // I + row // H
        h = row % H
        for p in range(P):
            reach = h + corner[0] - p * dilation[0]
            r = n * I + reach // stride[0] - first
            if 0 <= reach < I * stride[0] and reach % stride[0] == 0 and 0 <= r < R:
                for j in range(J):
                    for t in range(T):
                        w = j * stride[1] + t * dilation[1] - corner[1]
                        for k in range(G):
                            target = w * C + k * E
                            for e in range(max(0, -target), min(E, WC - target)):
                                to = np.uint64(target + e)
                                x[n, h, to] += columns[k, r, j, p, t, np.uint64(e)]
