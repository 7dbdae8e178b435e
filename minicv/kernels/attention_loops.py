"""Loops of `attention`: q (B, L, D), k (B, S, D), v (B, S, E); an item is one b, that is one head of one sequence.

Scores are rows of `room` numbers, S rounded up to whole rows of the tile.
"""

import numpy as np

from .launch import kernel, load_numba
from .launch import part as subroutine

if load_numba() is not None:
    from .simd import call


def _weights(q, k, scale, causal):
    s = scale[0] * (q @ k.swapaxes(1, 2))
    return np.where(np.tri(*s.shape[1:], dtype=bool), s, -np.inf) if causal else s


def attend_numpy(q, k, v, y, lse, scale, causal, *rest):
    """The formula with the whole matrix of weights."""
    s = _weights(q, k, scale, causal)
    top = s.max(axis=2, keepdims=True)
    p = np.exp(s - top)
    total = p.sum(axis=2, keepdims=True)
    y[...] = p @ v / total
    lse[...] = (top + np.log(total))[..., 0]


def attend_back_numpy(g, q, k, v, y, lse, gq, gk, gv, scale, causal, *rest):
    """The gradients with the whole matrix of weights."""
    p = np.exp(_weights(q, k, scale, causal) - lse[..., None])
    gs = scale[0] * p * (g @ v.swapaxes(1, 2) - (g * y).sum(axis=2, keepdims=True))
    gq[...], gk[...], gv[...] = gs @ k, gs.swapaxes(1, 2) @ q, p.swapaxes(1, 2) @ g


@subroutine
def transposed(a, b, lanes, transpose):
    """b (D, room) = a (S, D)^T, zeros beyond S."""
    S, D = a.shape
    whole = S // lanes * lanes
    call(transpose, (whole, D, lanes, a.ctypes.data, D, b.ctypes.data, b.shape[1]))
    for d in range(D):
        for s in range(whole, S):
            b[d, s] = a[s, d]
        for s in range(S, b.shape[1]):
            b[d, s] = 0


@subroutine
def times(rows, depth, a, a_step, b, b_step, c, c_step, columns, width, taps, wide, narrow):
    """C = A B for `rows` rows that fit a tile and any number of whole vectors of columns; addresses as for `tile`.

    `taps` is the array [0], the table of a single tap. It comes as an array, not as an address: compiled code frees an
    array after its last use, and does not know what an address is for.
    """
    table = taps.ctypes
    for j in range(0, columns, width):
        chosen = wide if columns - j > width // 2 else narrow
        call(chosen, (rows, 1, table.data, table.data, depth, a, a_step, b + 4 * j, b_step, c + 4 * j, c_step, 0))


@kernel(twin=attend_numpy, out="y lse", vector=True)
def attend(start, stop, q, k, v, y, lse, scale, causal, rows, width, transpose, tile, narrow, exponentials):
    """A tile of queries at a time."""
    (L, D), (S, E) = q.shape[1:], v.shape[1:]
    lanes, room = width // 2, (S + width - 1) // width * width
    keys, scores = np.empty((D, room), np.float32), np.empty((rows, room), np.float32)
    sums, taps, parts = np.empty((rows, 2), np.float32), np.zeros(1, np.int64), (L + rows - 1) // rows
    for b in range(start, stop):
        transposed(k[b], keys, lanes, transpose)
        for part in range(parts):
            first, last = L * part // parts, L * (part + 1) // parts
            n, at = last - first, b * L + first
            times(n, D, q.ctypes.data + 4 * at * D, D, keys.ctypes.data, room, scores.ctypes.data, room, room, width,
                  taps, tile, narrow)
            for i in range(n):
                for s in range(min(S, first + i + 1) if causal else S, room):
                    scores[i, s] = -np.inf
            call(exponentials, (n, room // lanes, scores.ctypes.data, room, scale.ctypes.data, sums.ctypes.data))
            times(n, S, scores.ctypes.data, room, v.ctypes.data + 4 * b * S * E, E, y.ctypes.data + 4 * at * E, E, E,
                  width, taps, tile, narrow)
            for i in range(n):
                factor = 1 / sums[i, 1]
                lse[b, first + i] = sums[i, 0] + np.log(sums[i, 1])
                for e in range(E):
                    y[b, first + i, e] *= factor


@kernel(twin=attend_back_numpy, out="gq gk gv", vector=True)
def attend_back(start, stop, g, q, k, v, y, lse, gq, gk, gv, scale, causal, rows, width, transpose, tile, narrow,
                down, narrow_down, softmax_gradients):
    """P and the gradient of S for all queries of a head, then their products with the rest."""
    (L, D), (S, E) = q.shape[1:], v.shape[1:]
    lanes, room = width // 2, (S + width - 1) // width * width
    keys, values = np.empty((D, room), np.float32), np.empty((E, room), np.float32)
    p, gs = np.empty((L, room), np.float32), np.empty((L, room), np.float32)
    known, taps = np.empty((rows, 2), np.float32), np.zeros(1, np.int64)
    parts, key_parts = (L + rows - 1) // rows, (S + rows - 1) // rows
    for b in range(start, stop):
        transposed(k[b], keys, lanes, transpose)
        transposed(v[b], values, lanes, transpose)
        for part in range(parts):
            first, last = L * part // parts, L * (part + 1) // parts
            n, at, here = last - first, b * L + first, first * room
            times(n, D, q.ctypes.data + 4 * at * D, D, keys.ctypes.data, room, p.ctypes.data + 4 * here, room, room,
                  width, taps, tile, narrow)
            times(n, E, g.ctypes.data + 4 * at * E, E, values.ctypes.data, room, gs.ctypes.data + 4 * here, room,
                  room, width, taps, tile, narrow)
            for i in range(n):
                known[i, 0], known[i, 1] = lse[b, first + i], 0
                for e in range(E):
                    known[i, 1] += g[b, first + i, e] * y[b, first + i, e]
                for s in range(min(S, first + i + 1) if causal else S, room):
                    p[first + i, s] = -np.inf
            call(softmax_gradients, (n, room // lanes, p.ctypes.data + 4 * here, gs.ctypes.data + 4 * here, room,
                                     scale.ctypes.data, known.ctypes.data))
            times(n, S, gs.ctypes.data + 4 * here, room, k.ctypes.data + 4 * b * S * D, D, gq.ctypes.data + 4 * at * D,
                  D, D, width, taps, tile, narrow)
        for part in range(key_parts):
            s, n = S * part // key_parts, S * (part + 1) // key_parts - S * part // key_parts
            times(n, L, p.ctypes.data + 4 * s, room, g.ctypes.data + 4 * b * L * E, E,
                  gv.ctypes.data + 4 * (b * S + s) * E, E, E, width, taps, down, narrow_down)
            times(n, L, gs.ctypes.data + 4 * s, room, q.ctypes.data + 4 * b * L * D, D,
                  gk.ctypes.data + 4 * (b * S + s) * D, D, D, width, taps, down, narrow_down)
