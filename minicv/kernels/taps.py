"""Weighted reading of pixels: a few taps with weights for every output point.

    S(x, w, g) = sum w[n, l, t] x[n, c, index[n, l, t]] g[n, c, l]      l = output point, t = tap

is linear in the image, in the weights and in g. Its three partial derivatives `taps_gather`,
`taps_scatter` and `taps_dot` are all that sampling at any positions needs, forward and backward.
Positions are h W + w; index -1 is a tap outside the image and adds nothing.
"""

import numpy as np

from ..errors import ArgError
from .buffers import empty
from .launch import kernel
from .layout import is_channels_last

CHANNEL_BLOCK = 16                  # channels that one item scatters into: a cache line of float32


def taps_gather(x, index, weight):
    """y[n, c, l] = sum_t weight[n, l, t] x[n, c, index[n, l, t]], in the layout of x.

    x (N, C, H, W); index, weight (N, L, T), positions h W + w or -1; returns (N, C, L) as a view
    of (N, L, C) where channels are last in x.
    """
    _check_index("taps_gather", index, x.shape[2] * x.shape[3])
    dtype = np.result_type(x, weight)
    y = empty((len(x), index.shape[1], x.shape[1]), dtype)
    gather_taps(index.shape[0] * index.shape[1], _as_pixels(x, dtype), index,
                weight.astype(dtype, copy=False), y)
    return _like(y.transpose(0, 2, 1), is_channels_last(x))


def taps_scatter(g, index, weight, *, size, channels_last=True):
    """Adjoint of `taps_gather` in x: g (N, C, L) to (N, C, H, W)."""
    _check_index("taps_scatter", index, size[0] * size[1])
    dtype = np.result_type(g, weight)
    g = np.ascontiguousarray(g.transpose(0, 2, 1), dtype)
    N, _, C = g.shape
    x = empty((N, *size, C), dtype)
    blocks = -(-C // CHANNEL_BLOCK)
    scatter_taps(N * blocks, g, index, weight.astype(dtype, copy=False), _pixels(x), CHANNEL_BLOCK)
    return _like(x.transpose(0, 3, 1, 2), channels_last)


def taps_dot(g, x, index):
    """Adjoint of `taps_gather` in the weights, in float64:
    d[n, l, t] = sum_c g[n, c, l] x[n, c, index[n, l, t]]."""
    _check_index("taps_dot", index, x.shape[2] * x.shape[3])
    dtype = np.result_type(g, x)
    g = np.ascontiguousarray(g.transpose(0, 2, 1), dtype)
    d = np.empty(index.shape)                                   # float64
    dot_taps(index.shape[0] * index.shape[1], g, _as_pixels(x, dtype), index, d)
    return d


def _check_index(function, index, pixels):
    if index.size and not (-1 <= index.min() and index.max() < pixels):
        raise ArgError(f"{function}: index is in [{index.min()}, {index.max()}], expected "
                       f"positions in [0, {pixels}) or -1")


def _as_pixels(x, dtype):
    """(N, C, H, W) to (N, H W, C)."""
    return _pixels(np.ascontiguousarray(x.transpose(0, 2, 3, 1), dtype))


def _pixels(x):
    N, H, W, C = x.shape
    return x.reshape(N, H * W, C)


def _like(y, last):
    return y if last else np.ascontiguousarray(y)


def gather_taps_numpy(x, index, weight, y):
    """The formula; taps outside are left out by their weight."""
    v = np.where((index < 0)[..., None], 0, x[np.arange(len(x))[:, None, None], index])
    y[...] = np.einsum("nltc,nlt->nlc", v, weight)


def scatter_taps_numpy(g, index, weight, x, channel_block):
    """Unbuffered addition at the pixels read."""
    x[...] = 0
    n, l, t = np.nonzero(index >= 0)
    np.add.at(x, (n, index[n, l, t]), weight[n, l, t, None] * g[n, l])


def dot_taps_numpy(g, x, index, d):
    """The formula; taps outside are 0."""
    v = x[np.arange(len(x))[:, None, None], index]
    d[...] = np.where(index < 0, 0, np.einsum("nltc,nlc->nlt", v, g, dtype=np.float64))


@kernel(twin=gather_taps_numpy, out="y")
def gather_taps(start, stop, x, index, weight, y):
    """An item is one output point."""
    L, T = index.shape[1:]
    C = x.shape[2]
    for item in range(start, stop):
        n = item // L
        l = item - n * L
        for c in range(C):
            y[n, l, c] = 0
        for t in range(T):
            h = index[n, l, t]
            if h >= 0:
                for c in range(C):
                    y[n, l, c] += weight[n, l, t] * x[n, h, c]


@kernel(twin=scatter_taps_numpy, out="x")
def scatter_taps(start, stop, g, index, weight, x, channel_block):
    """An item is one block of channels of one image, so that no two items meet in a pixel."""
    L, T = index.shape[1:]
    C = x.shape[2]
    blocks = (C + channel_block - 1) // channel_block
    for item in range(start, stop):
        n = item // blocks
        first = (item - n * blocks) * channel_block
        last = min(first + channel_block, C)
        x[n, :, first:last] = 0
        for l in range(L):
            for t in range(T):
                h = index[n, l, t]
                if h >= 0:
                    for c in range(first, last):
                        x[n, h, c] += weight[n, l, t] * g[n, l, c]


@kernel(twin=dot_taps_numpy, out="d")
def dot_taps(start, stop, g, x, index, d):
    """An item is one output point; sums over channels are in float64."""
    L, T = index.shape[1:]
    C = x.shape[2]
    for item in range(start, stop):
        n = item // L
        l = item - n * L
        for t in range(T):
            h, total = index[n, l, t], np.float64(0)
            if h >= 0:
                for c in range(C):
                    total += g[n, l, c] * x[n, h, c]
            d[n, l, t] = total
