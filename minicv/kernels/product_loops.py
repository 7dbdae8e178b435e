"""The loop of a matrix product by the register tile; `product` explains it."""

import numpy as np

from .launch import kernel, load_numba

if load_numba() is not None:
    from .simd import call


def multiply_numpy(a, b, c, by_columns, block_rows, together, tile_rows, depth, tile, narrow_tile):
    """c (M, N) = a b, with the panels of b side by side again."""
    panels = b.transpose(1, 0, 2).reshape(b.shape[1], -1)
    c[...] = (a.T if by_columns else a) @ panels[:, :c.shape[1]]


@kernel(twin=multiply_numpy, out="c", vector=True)
def multiply(start, stop, a, b, c, by_columns, block_rows, together, tile_rows, depth, tile, narrow_tile):
    """An item is a block of `block_rows` rows of c under `together` panels of b (panels, K, width).

    `a` is (M, K), or (K, M) where it lies `by_columns`. The inner axis is cut into pieces of `depth`: all tiles of an
    item add up one piece after the other, so that the rows of a stay in the cache.
    """
    (panels, K, width), (M, N) = b.shape, c.shape
    row_step, step, a_step = (1, M, M) if by_columns else (K, 1, K)
    edge, table = np.empty((block_rows, width), np.float32), np.empty(1, np.int64)
    table[0] = 0
    groups = (panels + together - 1) // together
    for item in range(start, stop):
        first, panel = item // groups * block_rows, item % groups * together
        height, last = min(block_rows, M - first), min(panels, panel + together)
        parts = (height + tile_rows - 1) // tile_rows
        for k in range(0, K, depth):
            for p in range(panel, last):
                count = min(width, N - p * width)
                whole = count == width or count == width // 2           # else the tile would write beyond the row
                to, to_step = (c.ctypes.data + 4 * (first * N + p * width), N) if whole else (edge.ctypes.data, width)
                chosen = tile if count > width // 2 else narrow_tile
                for part in range(parts):
                    done = height * part // parts
                    rows = height * (part + 1) // parts - done
                    call(chosen, (rows, 1, table.ctypes.data, table.ctypes.data, min(depth, K - k),
                                  a.ctypes.data + 4 * ((first + done) * row_step + k * step), a_step,
                                  b.ctypes.data + 4 * (p * K + k) * width, width, to + 4 * done * to_step, to_step,
                                  1 if k > 0 else 0))
                if not whole and k + depth >= K:
                    for i in range(height):
                        for lane in range(count):
                            c[first + i, p * width + lane] = edge[i, lane]
