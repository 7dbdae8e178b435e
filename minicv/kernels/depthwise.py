"""Depthwise convolution: each channel has its own filter, so channels are the vector axis.

The readable loops, for every element type and number of channels; where whole vectors of float32 can be filled and
there is one filter for each channel, `grouped` does it with each number read from memory once.

Images are (N, H, W, C), filters (P, Q, C); the three kernels are the partial derivatives of

    sum x[n, i s + p d - top, j s + q d - left, c] w[p, q, c] g[n, i, j, c].
"""

import numpy as np

from .buffers import empty
from .launch import kernel

CHUNKS = 64                         # partial sums of the filter, whatever the number of threads


def conv(x, w, geometry, kept=False):
    """`conv2d` for groups = C: x (N, C, H, W) channels-last, w (O, 1, P, Q)."""
    x = _repeat(x.transpose(0, 2, 3, 1), len(w) // x.shape[1])
    y = empty((len(x), *geometry.grid, len(w)), x.dtype)
    depthwise(y.shape[0] * y.shape[1], x, _by_tap(w), y, geometry.stride, geometry.corner,
              geometry.dilation)
    return y.transpose(0, 3, 1, 2)


def conv_input(g, w, geometry, shape, kept=False):
    """`conv2d_input` for groups = C; `shape` is (N, C, H, W)."""
    N, C, H, W = shape
    gx = empty((N, H, W, len(w)), g.dtype)
    depthwise_input(N * H, g.transpose(0, 2, 3, 1), _by_tap(w), gx, geometry.stride,
                    geometry.corner, geometry.dilation)
    if len(w) > C:
        gx = gx.reshape(N, H, W, C, len(w) // C).sum(axis=-1)
    return gx.transpose(0, 3, 1, 2)


def conv_filter(x, g, geometry):
    """`conv2d_filter` for groups = C."""
    x = _repeat(x.transpose(0, 2, 3, 1), g.shape[1] // x.shape[1])
    partial = np.empty((CHUNKS, *geometry.kernel, g.shape[1]))  # float64
    depthwise_filter(CHUNKS, x, g.transpose(0, 2, 3, 1), partial, geometry.stride,
                     geometry.corner, geometry.dilation)
    gw = partial.sum(axis=0).astype(x.dtype)[:, :, None]        # (P, Q, 1, O)
    return gw.transpose(3, 2, 0, 1)


def _repeat(x, times):
    """Every channel once for each of its filters."""
    return x if times == 1 else np.repeat(x, times, axis=-1)


def _by_tap(w):
    """(O, 1, P, Q) as (P, Q, O)."""
    return np.ascontiguousarray(w[:, 0].transpose(1, 2, 0))

def _shifts(x, y, kernel_size, stride, corner, dilation):
    """For each tap (p, q), matching views of x and of the output grid y, clipped to the image."""
    for p in range(kernel_size[0]):
        for q in range(kernel_size[1]):
            i, h = _overlap(x.shape[1], y.shape[1], stride[0], p * dilation[0] - corner[0])
            j, w = _overlap(x.shape[2], y.shape[2], stride[1], q * dilation[1] - corner[1])
            yield p, q, x[:, h, w], y[:, i, j]


def _overlap(size, grid, stride, offset):
    """Slices of the grid and of the image where 0 <= i stride + offset < size."""
    first = max(0, -(offset // stride))
    last = max(first, min(grid, (size - 1 - offset) // stride + 1))
    start = first * stride + offset
    return slice(first, last), slice(start, start + (last - first) * stride, stride)


def depthwise_numpy(x, w, y, stride, corner, dilation):
    """y = sum over taps of the shifted image times the tap's weights."""
    y[...] = 0
    for p, q, source, target in _shifts(x, y, w.shape, stride, corner, dilation):
        target += source[:, :target.shape[1], :target.shape[2]] * w[p, q]


def depthwise_input_numpy(g, w, x, stride, corner, dilation):
    """Adjoint in x: g times the tap's weights is added to the shifted image."""
    x[...] = 0
    for p, q, target, source in _shifts(x, g, w.shape, stride, corner, dilation):
        target[:, :source.shape[1], :source.shape[2]] += source * w[p, q]


def depthwise_filter_numpy(x, g, partial, stride, corner, dilation):
    """Adjoint in w: correlation of the shifted image with g, summed in float64."""
    partial[1:] = 0                                             # NumPy needs one chunk only
    for p, q, source, other in _shifts(x, g, partial.shape[1:], stride, corner, dilation):
        source = source[:, :other.shape[1], :other.shape[2]]
        partial[0, p, q] = (source * other).sum(axis=(0, 1, 2), dtype=np.float64)


@kernel(twin=depthwise_numpy, out="y")
def depthwise(start, stop, x, w, y, stride, corner, dilation):
    """An item is one output row."""
    N, I, J, C = y.shape
    H, W = x.shape[1:3]
    P, Q = w.shape[:2]
    for row in range(start, stop):
        n = row // I
        i = row - n * I
        for j in range(J):
            for c in range(C):
                y[n, i, j, c] = 0
            for p in range(P):
                h = i * stride[0] + p * dilation[0] - corner[0]
                if 0 <= h < H:
                    for q in range(Q):
                        v = j * stride[1] + q * dilation[1] - corner[1]
                        if 0 <= v < W:
                            for c in range(C):
                                y[n, i, j, c] += x[n, h, v, c] * w[p, q, c]


@kernel(twin=depthwise_input_numpy, out="x")
def depthwise_input(start, stop, g, w, x, stride, corner, dilation):
    """An item is one image row h; it collects from the windows (i, p) over it."""
    N, I, J, C = g.shape
    H, W = x.shape[1:3]
    P, Q = w.shape[:2]
    for row in range(start, stop):
        n = row // H
        h = row - n * H
        for v in range(W):
            for c in range(C):
                x[n, h, v, c] = 0
        for p in range(P):
            reach = h + corner[0] - p * dilation[0]
            if 0 <= reach < I * stride[0] and reach % stride[0] == 0:
                i = reach // stride[0]
                for j in range(J):
                    for q in range(Q):
                        v = j * stride[1] + q * dilation[1] - corner[1]
                        if 0 <= v < W:
                            for c in range(C):
                                x[n, h, v, c] += g[n, i, j, c] * w[p, q, c]


@kernel(twin=depthwise_filter_numpy, out="partial")
def depthwise_filter(start, stop, x, g, partial, stride, corner, dilation):
    """An item is one chunk of output rows with its partial sum (chunks, P, Q, C) in float64."""
    N, I, J, C = g.shape
    H, W = x.shape[1:3]
    chunks, P, Q = partial.shape[:3]
    for chunk in range(start, stop):
        partial[chunk] = 0
        for row in range(chunk * N * I // chunks, (chunk + 1) * N * I // chunks):
            n = row // I
            i = row - n * I
            for p in range(P):
                h = i * stride[0] + p * dilation[0] - corner[0]
                if 0 <= h < H:
                    for j in range(J):
                        for q in range(Q):
                            v = j * stride[1] + q * dilation[1] - corner[1]
                            if 0 <= v < W:
                                for c in range(C):
                                    partial[chunk, p, q, c] += x[n, h, v, c] * g[n, i, j, c]
