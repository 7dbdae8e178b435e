"""The loops of RoI pooling and RoI alignment, on images (N, H, W, C); `roi` explains them."""

import numpy as np

from .launch import kernel

CHANNEL_BLOCK = 64                  # channels that one item scatters into


def axis_weights_numpy(first, step, samples, length, low, weight):
    """RoI by RoI, all samples at once."""
    low[...], weight[...] = 0, 0
    bins = np.arange(low.shape[1])[:, None]
    for r in range(len(low)):
        s = (np.arange(samples[r]) + 0.5) / max(samples[r], 1)
        p = first[r] + step[r] * (bins + s)
        i, at = np.nonzero((p >= -1) & (p <= length))
        p = p[i, at].clip(0)
        k = np.minimum(p.astype(np.int64), length - 1)
        t = np.where(k < length - 1, p - k, 0)
        some, start = np.unique(i, return_index=True)
        low[r, some] = k[start]
        np.add.at(weight[r], (i, k - low[r, i]), (1 - t) / samples[r])
        np.add.at(weight[r], (i[t > 0], (k + 1 - low[r, i])[t > 0]), t[t > 0] / samples[r])


def align_numpy(x, batch, rows, wr, columns, wc, y):
    """Two products with the weight matrices of each RoI: rows, then columns."""
    for r, n in enumerate(batch):
        down, across = dense(rows[r], wr[r], x.shape[1]), dense(columns[r], wc[r], x.shape[2])
        y[r] = np.einsum("ih,jw,hwc->ijc", down, across, np.where(seen(down, across), x[n], 0), optimize=True)


def align_scatter_numpy(g, batch, rows, wr, columns, wc, x, channel_block):
    """The transposed products, added up."""
    x[...] = 0
    for r, n in enumerate(batch):
        down, across = dense(rows[r], wr[r], x.shape[1]), dense(columns[r], wc[r], x.shape[2])
        x[n] += np.einsum("ih,jw,ijc->hwc", down, across, g[r], optimize=True)


def dense(low, weight, length):
    """Weights (I, T) from pixel `low` (I,) on, as a matrix (I, length)."""
    matrix = np.zeros((len(low), length), weight.dtype)
    i, t = np.nonzero(weight)
    matrix[i, low[i] + t] = weight[i, t]
    return matrix


def seen(down, across):
    """(H, W, 1): whether any bin reads the pixel; what is not read, such as NaN, does not count."""
    return np.multiply.outer(down.any(axis=0), across.any(axis=0))[..., None]


@kernel(twin=axis_weights_numpy, out="low weight")
def axis_weights(start, stop, first, step, samples, length, low, weight):
    """An item is a RoI: for each bin (R, I) the first pixel read and the weights (R, I, T) from there on."""
    for r in range(start, stop):
        S = samples[r]
        for i in range(low.shape[1]):
            low[r, i] = -1
            weight[r, i, :] = 0
            for s in range(S):
                p = first[r] + step[r] * (i + (s + 0.5) / S)
                if p >= -1 and p <= length:
                    p = max(p, 0.0)
                    k = min(int(p), length - 1)
                    t = p - k if k < length - 1 else 0.0
                    low[r, i] = k if low[r, i] < 0 else low[r, i]
                    weight[r, i, k - low[r, i]] += (1 - t) / S
                    if t > 0:
                        weight[r, i, k + 1 - low[r, i]] += t / S
            low[r, i] = max(low[r, i], 0)


@kernel(twin=align_numpy, out="y")
def align(start, stop, x, batch, rows, wr, columns, wc, y):
    """An item is a RoI; the innermost loop runs over channels."""
    I, J, C = y.shape[1:]
    for r in range(start, stop):
        for i in range(I):
            for j in range(J):
                out = y[r, i, j]
                out[:] = 0
                for p in range(wr.shape[2]):
                    for q in range(wc.shape[2]):
                        weight = wr[r, i, p] * wc[r, j, q]
                        if weight != 0:
                            pixel = x[batch[r], rows[r, i] + p, columns[r, j] + q]
                            for c in range(C):
                                out[c] += weight * pixel[c]


@kernel(twin=align_scatter_numpy, out="x")
def align_scatter(start, stop, g, batch, rows, wr, columns, wc, x, channel_block):
    """An item is one block of channels of one image, so that no two items meet in a pixel."""
    R, I, J, C = g.shape
    blocks = (C + channel_block - 1) // channel_block
    for item in range(start, stop):
        n, first = item // blocks, item % blocks * channel_block
        last = min(first + channel_block, C)
        x[n, :, :, first:last] = 0
        for r in range(R):
            for i in range(I if batch[r] == n else 0):
                for j in range(J):
                    incoming = g[r, i, j, first:last]
                    for p in range(wr.shape[2]):
                        for q in range(wc.shape[2]):
                            weight = wr[r, i, p] * wc[r, j, q]
                            if weight != 0:
                                pixel = x[n, rows[r, i] + p, columns[r, j] + q, first:last]
                                for c in range(len(incoming)):
                                    pixel[c] += weight * incoming[c]


def pool_numpy(x, batch, rows, columns, y, where):
    """Bin by bin; argmax takes the first NaN or else the first maximum."""
    y[...], where[...] = 0, -1
    W, channels = x.shape[2], np.arange(x.shape[3])
    for r, i, j in np.ndindex(*y.shape[:3]):
        (top, bottom), (left, right) = rows[r, i], columns[r, j]
        if top < bottom and left < right:
            pixels = x[batch[r], top:bottom, left:right].reshape((bottom - top) * (right - left), len(channels))
            at = pixels.argmax(axis=0)
            y[r, i, j] = pixels[at, channels]
            where[r, i, j] = (top + at // (right - left)) * W + left + at % (right - left)


@kernel(twin=pool_numpy, out="y where")
def pool(start, stop, x, batch, rows, columns, y, where):
    """An item is a RoI. Bins are ranges of rows (R, I, 2) and columns (R, J, 2) inside the image; an empty bin is 0."""
    I, J, C = y.shape[1:]
    W = x.shape[2]
    for r in range(start, stop):
        for i in range(I):
            for j in range(J):
                best, at = y[r, i, j], where[r, i, j]
                best[:], at[:] = 0, -1
                for h in range(rows[r, i, 0], rows[r, i, 1]):
                    for w in range(columns[r, j, 0], columns[r, j, 1]):
                        pixel = x[batch[r], h, w]
                        for c in range(C):
                            v, b = pixel[c], best[c]
                            better = (at[c] < 0) | (v > b) | ((v != v) & (b == b))
                            best[c] = v if better else b
                            at[c] = h * W + w if better else at[c]


def gather_numpy(x, where, batch, y):
    """Flat positions of each RoI's image."""
    N, H, W, C = x.shape
    R = len(y)
    flat = where.reshape(R, where.shape[1] * where.shape[2], C)         # R may be 0
    v = x.reshape(N, H * W, C)[batch[:, None, None], flat, np.arange(C)]
    y[...] = np.where(flat < 0, 0, v).reshape(y.shape)


def scatter_numpy(g, where, batch, x, channel_block):
    """Unbuffered addition at flat positions."""
    x[...] = 0
    N, H, W, C = x.shape
    r, i, j, c = np.nonzero(where >= 0)
    np.add.at(x.reshape(N, H * W, C), (batch[r], where[r, i, j, c], c), g[r, i, j, c])


@kernel(twin=gather_numpy, out="y")
def gather(start, stop, x, where, batch, y):
    """An item is a RoI; positions are h W + w, -1 gives 0."""
    I, J, C = y.shape[1:]
    W = x.shape[2]
    for r in range(start, stop):
        for i in range(I):
            for j in range(J):
                for c in range(C):
                    at = where[r, i, j, c]
                    y[r, i, j, c] = x[batch[r], at // W, at % W, c] if at >= 0 else 0


@kernel(twin=scatter_numpy, out="x")
def scatter(start, stop, g, where, batch, x, channel_block):
    """An item is one block of channels of one image."""
    R, I, J, C = g.shape
    W = x.shape[2]
    blocks = (C + channel_block - 1) // channel_block
    for item in range(start, stop):
        n, first = item // blocks, item % blocks * channel_block
        last = min(first + channel_block, C)
        x[n, :, :, first:last] = 0
        for r in range(R):
            for i in range(I if batch[r] == n else 0):
                for j in range(J):
                    for c in range(first, last):
                        at = where[r, i, j, c]
                        if at >= 0:
                            x[n, at // W, at % W, c] += g[r, i, j, c]
