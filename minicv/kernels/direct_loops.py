"""Loops of direct convolution; `direct` makes the plans."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .launch import kernel, load_numba

if load_numba() is not None:
    from .simd import call


def correlate_numpy(x, w, y, boxes, a_taps, b_taps, tile, narrow_tile):
    """For each box and group: sum over taps of a strided view of x times rows of the panel."""
    G, blocks, T, K, width = w.shape
    O = y.shape[3] // G
    source, target = x.reshape(-1), y.reshape(-1)
    for offset, start, n1, a1, c1, n2, a2, c2, n3, a3, c3, _, first, taps, depth in boxes:
        counts = (n1, n2, n3)
        for k in range(G):
            rows = w[k].reshape(blocks, T * K, width).transpose(1, 0, 2).reshape(T * K, -1)[:, :O]
            total = np.zeros((*counts, O), y.dtype)
            for t in range(first, first + taps):
                view = as_strided(source[a_taps[t] + start + k * K:], (*counts, depth), _bytes(x, a1, a2, a3))
                total += view @ rows[b_taps[t] // width:][:depth]
            as_strided(target[offset + k * O:], (*counts, O), _bytes(y, c1, c2, c3))[...] = total


def correlate_filter_numpy(x, g, partial, rows, spans, stride, dilation, corner, tile_rows, copy, tile, narrow_tile):
    """For each tap: the windows that lie inside the image, times the outputs they belong to."""
    _, G, blocks, P, Q, K, width = partial.shape
    partial[...] = 0
    padded = np.zeros((*g.shape[:3], G, blocks * width), g.dtype)
    padded[..., :g.shape[3] // G] = g.reshape(*g.shape[:3], G, -1)
    for p, (i, end) in enumerate(rows):
        for first, taps, j, depth in spans if end > i else ():
            for q in range(first, first + taps):
                h, v = i * stride[0] + p * dilation[0] - corner[0], j * stride[1] + q * dilation[1] - corner[1]
                seen = x[:, h::stride[0], v::stride[1]][:, :end - i, :depth]
                seen = seen.reshape(*seen.shape[:3], G, K)
                total = np.einsum("nijkc,nijko->kco", seen, padded[:, i:end, j:j + depth], optimize=True)
                partial[0, :, :, p, q] += total.reshape(G, K, blocks, width).swapaxes(1, 2)


def _bytes(a, *steps):
    return (*(step * a.itemsize for step in steps), a.itemsize)


@kernel(twin=correlate_numpy, out="y", vector=True)
def correlate(start, stop, x, w, y, boxes, a_taps, b_taps, tile, narrow_tile):
    """An item is one box."""
    G, blocks, T, K, width = w.shape
    O = y.shape[3] // G
    lanes = width // 2
    spare, flat = np.empty((16, width), np.float32), y.ravel()
    for item in range(start, stop):
        offset, begin, n1, a1, c1, n2, a2, c2, n3, a3, c3, height, first, taps, depth = boxes[item]
        parts = (n3 + height - 1) // height
        a_table, b_table = a_taps.ctypes.data + 8 * first, b_taps.ctypes.data + 8 * first
        for k in range(G):
            for block in range(blocks):
                b = w.ctypes.data + 4 * (k * blocks + block) * T * K * width
                count = min(width, O - block * width)
                whole = (count == width or count == lanes) and taps > 0
                chosen = tile if count > lanes else narrow_tile
                for u in range(n1):
                    for v in range(n2):
                        for part in range(parts):
                            done = n3 * part // parts
                            rows = n3 * (part + 1) // parts - done
                            a = x.ctypes.data + 4 * (begin + u * a1 + v * a2 + done * a3 + k * K)
                            to = offset + u * c1 + v * c2 + done * c3 + k * O + block * width
                            if whole:
                                c = y.ctypes.data + 4 * to
                                call(chosen, (rows, taps, a_table, b_table, depth, a, a3, b, width, c, c3, 0))
                                continue
                            c = spare.ctypes.data
                            if taps > 0:
                                call(chosen, (rows, taps, a_table, b_table, depth, a, a3, b, width, c, width, 0))
                            for i in range(rows):
                                for lane in range(count):
                                    flat[to + i * c3 + lane] = spare[i, lane] if taps > 0 else 0


@kernel(twin=correlate_filter_numpy, out="partial", vector=True)
def correlate_filter(start, stop, x, g, partial, rows, spans, stride, dilation, corner, tile_rows, copy, tile,
                     narrow_tile):
    """An item is one panel of one partial sum; the tile's rows are input channels, its depth are pixels.

    A span (q, taps, j, depth) says which kernel columns see which outputs of a row. For a block of about 128 outputs
    the panel of g is copied together, so that the tile reads it in order.
    """
    parts, G, blocks, P, Q, K, width = partial.shape
    (N, H, W, C), (I, J) = x.shape, g.shape[1:3]
    C_out, flat = g.shape[3], g.ravel()
    O, lanes = C_out // G, width // 2
    height = max(1, 128 // J)
    packed = np.zeros((height * J, width), np.float32)
    x_table, g_table = np.empty(height, np.int64), np.empty(height, np.int64)
    for item in range(start, stop):
        part, k, block = item // (G * blocks), item // blocks % G, item % blocks
        count = min(width, O - block * width)
        chosen = tile if count > lanes else narrow_tile
        partial[part, k, block] = 0
        last = N * I * (part + 1) // parts
        for row in range(N * I * part // parts, last, height):
            end = min(row + height, last)
            first, pixels = row * J * C_out + k * O + block * width, (end - row) * J
            if count % lanes == 0:
                call(copy, (pixels, count // lanes, g.ctypes.data + 4 * first, C_out, packed.ctypes.data, width))
            else:
                for pixel in range(pixels):
                    for lane in range(width):
                        packed[pixel, lane] = flat[first + pixel * C_out + lane] if lane < count else 0
            for p in range(P):
                taps = 0
                for r in range(row, end):
                    i = r % I
                    if rows[p, 0] <= i < rows[p, 1]:
                        h = i * stride[0] + p * dilation[0] - corner[0]
                        x_table[taps] = (r // I * H + h) * W * C
                        g_table[taps] = (r - row) * J * width
                        taps += 1
                for q, together, j, depth in spans[:len(spans) if taps > 0 else 0]:
                    v = j * stride[1] + q * dilation[1] - corner[1]
                    b = packed.ctypes.data + 4 * j * width
                    tiles = (together * K + tile_rows - 1) // tile_rows
                    for n in range(tiles):
                        c = together * K * n // tiles
                        channels = together * K * (n + 1) // tiles - c
                        a = x.ctypes.data + 4 * (v * C + k * K + c)
                        to = partial.ctypes.data + 4 * (((item * P + p) * Q + q) * K + c) * width
                        call(chosen, (channels, taps, x_table.ctypes.data, g_table.ctypes.data, depth, a,
                                      stride[1] * C, b, width, to, width, 1))
