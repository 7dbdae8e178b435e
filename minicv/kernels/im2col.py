"""Windows to columns and back: what turns a convolution into a matrix product.

    columns[k, r, j, p, q, c] = x[n, i s + p d - top, j s + q d - left, k C/G + c],  0 outside x

Images are (N, H, W, C). Both kernels handle a block of output rows: row r of the block is row
i = (first + r) mod I of image n = (first + r) div I.
"""

import numpy as np

from .launch import kernel


def im2col_numpy(x, columns, first, I, stride, corner, dilation):
    """The formula above by fancy indexing."""
    n, h, w, inside = _positions(x.shape, columns.shape, first, I, stride, corner, dilation)
    v = np.where(inside[..., None], x[n, h, w], 0)              # (R, J, P, Q, C)
    columns[...] = _split_groups(v, len(columns))


def col2im_numpy(columns, x, first, I, stride, corner, dilation):
    """The adjoint: every column is added to the pixels it was read from."""
    n, h, w, inside = _positions(x.shape, columns.shape, first, I, stride, corner, dilation)
    n, h, w = (a[inside] for a in np.broadcast_arrays(n, h, w))
    v = np.moveaxis(columns, 0, -2).reshape(*inside.shape, -1)
    np.add.at(x, (n, h, w), v[inside])


def _positions(image, columns, first, I, stride, corner, dilation):
    """Indices n, h, w and whether they are inside; they broadcast to (R, J, P, Q)."""
    (_, H, W, _), (_, R, J, P, Q, _) = image, columns
    n, i = np.divmod(first + np.arange(R)[:, None, None, None], I)
    j, p, q = np.arange(J)[:, None, None], np.arange(P)[:, None], np.arange(Q)
    h = i * stride[0] + p * dilation[0] - corner[0]
    w = j * stride[1] + q * dilation[1] - corner[1]
    inside = (0 <= h) & (h < H) & (0 <= w) & (w < W)
    return n, h.clip(0, H - 1), w.clip(0, W - 1), inside


def _split_groups(v, G):
    """(R, J, P, Q, C) to (G, R, J, P, Q, C / G)."""
    return np.moveaxis(v.reshape(*v.shape[:-1], G, -1), -2, 0)


@kernel(twin=im2col_numpy, out="columns")
def im2col(start, stop, x, columns, first, I, stride, corner, dilation):
    """An item is one output row of the block."""
    N, H, W, _ = x.shape
    G, R, J, P, Q, C = columns.shape
    for r in range(start, stop):
        n = (first + r) // I
        top = (first + r - n * I) * stride[0] - corner[0]
        for j in range(J):
            left = j * stride[1] - corner[1]
            for p in range(P):
                h = top + p * dilation[0]
                for q in range(Q):
                    w = left + q * dilation[1]
                    inside = 0 <= h < H and 0 <= w < W
                    for k in range(G):
                        if inside:
                            for c in range(C):
                                columns[k, r, j, p, q, c] = x[n, h, w, k * C + c]
                        else:
                            for c in range(C):
                                columns[k, r, j, p, q, c] = 0


@kernel(twin=col2im_numpy, out="x")
def col2im(start, stop, columns, x, first, I, stride, corner, dilation):
    """An item is one image row h, from the first image of the block on; it collects what the windows (i, p) over it hold."""
    N, H, W, _ = x.shape
    G, R, J, P, Q, C = columns.shape
    start = first // I
    for row in range(start, stop):
        n = start + row // H
        h = row - (n - start) * H
        for p in range(P):
            reach = h + corner[0] - p * dilation[0]
            r = n * I + reach // stride[0] - first
            if 0 <= reach < I * stride[0] and reach % stride[0] == 0 and 0 <= r < R:
                for j in range(J):
                    for q in range(Q):
                        w = j * stride[1] + q * dilation[1] - corner[1]
                        if 0 <= w < W:
                            for k in range(G):
                                for c in range(C):
                                    x[n, h, w, k * C + c] += columns[k, r, j, p, q, c]
