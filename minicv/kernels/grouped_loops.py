"""Loops of convolution with small groups; `grouped` packs the filters and makes the tables."""

import numpy as np

from .launch import kernel, load_numba

if load_numba() is not None:
    from .simd import call


def correlate_groups_numpy(x, w, y, rows, runs, most, tile):
    """For each row, run and tap: the inputs of each group times the tap's matrix of that group."""
    from .grouped import unpack
    C, size = x.shape[3], w.shape[2]
    w, x = unpack(w, C).reshape(-1, size, C // size, size), x.reshape(*x.shape[:3], -1, size)
    for i, (number, *down) in enumerate(rows):
        for first, step, count, source_step, columns, *right in runs:
            total = np.zeros((len(x), count, C // size, size), y.dtype)
            for p, h in zip(down[:2 * number:2], down[1::2]):
                for q, v in zip(right[:2 * columns:2], right[1::2]):
                    total += np.einsum("njgc,cgo->njgo", x[:, h, v::source_step][:, :count], w[p + q])
            y[:, i, first::step][:, :count] = total.reshape(len(x), count, C)


def correlate_groups_filter_numpy(x, g, partial, rows, spans, stride, dilation, corner, most, tile):
    """For each tap: the inputs that lie inside the image, times the outputs they belong to."""
    from .grouped import starts
    C, (T, size, lanes) = x.shape[3], partial.shape[2:]
    total = np.zeros((T, size, C))                              # float64, as the loop adds up row by row
    for p, (i, end) in enumerate(rows):
        for first, taps, j, depth in spans if end > i else ():
            for q in range(first, first + taps):
                h, v = i * stride[0] + p * dilation[0] - corner[0], j * stride[1] + q * dilation[1] - corner[1]
                seen = x[:, h::stride[0], v::stride[1]][:, :end - i, :depth]
                other = g[:, i:end, j:j + depth]
                total[p * (T // len(rows)) + q] += np.einsum(
                    "nijgc,nijgo->cgo", seen.reshape(*seen.shape[:3], -1, size),
                    other.reshape(*other.shape[:3], -1, size), dtype=np.float64).reshape(size, C)
    partial[...] = 0
    for block, first in enumerate(starts(C)):
        partial[0, block] = total[..., first:first + lanes]


@kernel(twin=correlate_groups_numpy, out="y", vector=True)
def correlate_groups(start, stop, x, w, y, rows, runs, most, tile):
    """An item is one output row."""
    (H, W, C), (I, J) = x.shape[1:], y.shape[1:3]
    T, size, lanes = w.shape[1:]
    x_taps, w_taps = np.empty(T, np.int64), np.empty(T, np.int64)
    for item in range(start, stop):
        n, i = item // I, item % I
        for run in range(len(runs)):
            first, step, count, source_step, columns = runs[run, :5]
            taps = 0
            for p in range(rows[i, 0]):
                for q in range(columns):
                    x_taps[taps] = (rows[i, 2 * p + 2] * W + runs[run, 2 * q + 6]) * C
                    w_taps[taps] = (rows[i, 2 * p + 1] + runs[run, 2 * q + 5]) * size * lanes
                    taps += 1
            parts = (count + most - 1) // most
            for part in range(parts):
                done = count * part // parts
                pixels = count * (part + 1) // parts - done
                a = x.ctypes.data + 4 * (n * H * W + done * source_step) * C
                to = y.ctypes.data + 4 * (item * J + first + done * step) * C
                call(tile, (C, lanes, pixels, size, taps, x_taps.ctypes.data, w_taps.ctypes.data, a, source_step * C,
                            w.ctypes.data, T * size * lanes, to, step * C))


@kernel(twin=correlate_groups_filter_numpy, out="partial", vector=True)
def correlate_groups_filter(start, stop, x, g, partial, rows, spans, stride, dilation, corner, most, tile):
    """An item is one partial sum, over some output rows; see `direct_loops.correlate_filter` for spans."""
    (N, H, W, C), (I, J), P = x.shape, g.shape[1:3], len(rows)
    chunks, blocks, T, size, lanes = partial.shape
    x_taps, w_taps = np.empty(T, np.int64), np.empty(T, np.int64)
    for item in range(start, stop):
        partial[item] = 0
        to = partial.ctypes.data + 4 * item * blocks * T * size * lanes
        for row in range(N * I * item // chunks, N * I * (item + 1) // chunks):
            n, i = row // I, row % I
            for first, together, j, depth in spans:
                taps = 0
                for p in range(P):
                    h = i * stride[0] + p * dilation[0] - corner[0]
                    for q in range(first, first + together if rows[p, 0] <= i < rows[p, 1] else first):
                        v = j * stride[1] + q * dilation[1] - corner[1]
                        x_taps[taps] = (h * W + v) * C
                        w_taps[taps] = (p * (T // P) + q) * size * lanes
                        taps += 1
                parts = (taps + most - 1) // most
                for part in range(parts):
                    done = taps * part // parts
                    call(tile, (C, lanes, taps * (part + 1) // parts - done, size, x_taps.ctypes.data + 8 * done,
                                w_taps.ctypes.data + 8 * done, depth, x.ctypes.data + 4 * n * H * W * C, stride[1] * C,
                                g.ctypes.data + 4 * (row * J + j) * C, C, to, T * size * lanes))
