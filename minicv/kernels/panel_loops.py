"""Loops of `panels`: filters (P Q, C / G, O) to panels (G, blocks, P Q, C / G, width) and back."""

import numpy as np

from .launch import kernel, load_numba

if load_numba() is not None:
    from .simd import call


def pack_numpy(w, made, lanes, copy):
    """The formula for panels."""
    T, C, O = w.shape
    G, blocks, _, _, width = made.shape
    padded = np.zeros((T, C, G, blocks * width), w.dtype)
    padded[..., :O // G] = w.reshape(T, C, G, O // G)
    made[...] = padded.reshape(T, C, G, blocks, width).transpose(2, 3, 0, 1, 4)


def pack_adjoint_numpy(w, made, lanes, transpose):
    """The formula for panels, of w with taps reversed and channels exchanged within each group."""
    T, C, O = w.shape
    G = len(made)
    adjoint = w[::-1].reshape(T, C, G, O // G).transpose(0, 3, 2, 1).reshape(T, O // G, G * C)
    pack_numpy(adjoint, made, lanes, 0)


def unpack_numpy(partial, gw):
    """Sum of the parts, without the zeros."""
    T, C, O = gw.shape
    total = partial.sum(axis=0).transpose(2, 3, 0, 1, 4).reshape(T, C, partial.shape[1], -1)
    gw[...] = total[..., :O // partial.shape[1]].reshape(gw.shape)


@kernel(twin=pack_numpy, out="made", vector=True)
def pack(start, stop, w, made, lanes, copy):
    """An item is one tap of one panel; whole vectors are copied as such."""
    T, C, O = w.shape
    G, blocks, _, _, width = made.shape
    for item in range(start, stop):
        k, block, t = item // (blocks * T), item // T % blocks, item % T
        first = k * (O // G) + block * width
        count = min(width, (k + 1) * (O // G) - first)
        vectors = count // lanes
        if vectors > 0:
            source = w.ctypes.data + 4 * (t * C * O + first)
            call(copy, (C, vectors, source, O, made.ctypes.data + 4 * item * C * width, width))
        for c in range(C if vectors * lanes < width else 0):
            for lane in range(vectors * lanes, width):
                made[k, block, t, c, lane] = w[t, c, first + lane] if lane < count else 0


@kernel(twin=pack_adjoint_numpy, out="made", vector=True)
def pack_adjoint(start, stop, w, made, lanes, transpose):
    """An item is one tap of one panel; squares of whole vectors are transposed in registers."""
    T, C, O = w.shape
    G, blocks, _, _, width = made.shape
    O = O // G
    for item in range(start, stop):
        k, block, t = item // (blocks * T), item // T % blocks, item % T
        count = min(width, C - block * width)
        columns, rows = count // lanes * lanes, O // lanes * lanes
        source = w.ctypes.data + 4 * (((T - 1 - t) * C + block * width) * O * G + k * O)
        call(transpose, (columns, rows, lanes, source, O * G, made.ctypes.data + 4 * item * O * width, width))
        for o in range(O):
            for lane in range(columns if o < rows else 0, width):
                inside = lane < count
                made[k, block, t, o, lane] = w[T - 1 - t, block * width + lane, k * O + o] if inside else 0


@kernel(twin=unpack_numpy, out="gw")
def unpack_panels(start, stop, partial, gw):
    """An item is one tap."""
    parts, G, blocks, T, C, width = partial.shape
    O = gw.shape[2] // G
    for t in range(start, stop):
        for k in range(G):
            for block in range(blocks):
                first = k * O + block * width
                for c in range(C):
                    for lane in range(min(width, O - block * width)):
                        gw[t, c, first + lane] = partial[0, k, block, t, c, lane]
                    for part in range(1, parts):
                        for lane in range(min(width, O - block * width)):
                            gw[t, c, first + lane] += partial[part, k, block, t, c, lane]
