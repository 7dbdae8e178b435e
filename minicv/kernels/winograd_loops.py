"""Loops of Winograd convolution. Images are (N, H, W, C); tile t is (image, row, column) of a grid of tiles.

`m` is the side of an output tile, n = m + 2 that of an input tile, X = n^2. Transformed tiles are (X, tiles, C).
"""

import numpy as np

from .launch import kernel, load_numba
from .launch import part as subroutine
from .winograd import matrix

if load_numba() is not None:
    from .simd import call

INPUT, FILTER, OUTPUT, OUTPUT_GRADIENT, FILTER_GRADIENT = range(5)         # as in winograd.STEPS


@subroutine
def place(t, grid):
    """Image, row and column of tile t."""
    return t // (grid[0] * grid[1]), t // grid[1] % grid[0], t % grid[1]


@subroutine
def square(x, n, top, left, size, spare):
    """(address, step from row to row) of a square of image n, or of a copy with zeros if it leaves the image."""
    N, H, W, C = x.shape
    if 0 <= top and top + size <= H and 0 <= left and left + size <= W:
        return x.ctypes.data + 4 * ((n * H + top) * W + left) * C, W * C
    for i in range(size):
        for j in range(size):
            inside = 0 <= top + i < H and 0 <= left + j < W
            for c in range(C):
                spare[i, j, c] = x[n, top + i, left + j, c] if inside else 0
    return spare.ctypes.data, size * C


# Forward and input gradient --------------------------------------------------------------------------


def convolve_tiles_numpy(x, u, y, count, grid, corner, m, tile_rows, transform, tile, narrow_tile):
    """Lavin & Gray's equation 8 with the sum over channels inside."""
    A, O = matrix("output", m), y.shape[3]
    v = _to_tiles(x, matrix("input", m), m + 2, m, grid, corner)
    u = u.transpose(1, 2, 0, 3).reshape(v.shape[0], v.shape[2], -1)[..., :O]
    y[...] = _from_tiles(v @ u, A, len(x), grid, y.shape)


def _to_tiles(x, L, size, m, grid, corner):
    """L X L^T of the squares X of x that start every m pixels, as (rows of L squared, tiles, C)."""
    N, H, W, C = x.shape
    (top, left), (I, J) = corner, grid
    reach = [max(0, (n - 1) * m + size - before - k) for n, before, k in zip(grid, corner, (H, W))]
    x = np.pad(x, ((0, 0), (max(0, top), reach[0]), (max(0, left), reach[1]), (0, 0)))
    x = x[:, max(0, -top):, max(0, -left):]
    squares = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::m, ::m][:, :I, :J]
    v = np.einsum("pi,nabcij,qj->pqnabc", L, squares, L, optimize=True)
    return v.reshape(len(L)**2, N * I * J, C).astype(x.dtype)


def _from_tiles(v, L, N, grid, shape):
    """The images that the squares L V L^T of v (X, tiles, O) make up."""
    (I, J), (m, n) = grid, L.shape
    v = v.reshape(n, n, N, I, J, -1)
    y = np.einsum("pi,ijnabo,qj->napbqo", L, v, L, optimize=True)
    return y.reshape(N, I * m, J * m, -1)[:, :shape[1], :shape[2]]


@kernel(twin=convolve_tiles_numpy, out="y", vector=True)
def convolve_tiles(start, stop, x, u, y, count, grid, corner, m, tile_rows, transform, tile, narrow_tile):
    """An item is a block of `count` tiles: B^T d B of all, then the products, then A^T (...) A."""
    X, C, O = u.shape[1], x.shape[3], y.shape[3]
    v, z = np.empty((X, count, C), np.float32), np.empty((X, count, O), np.float32)
    spare, edge = np.empty((m + 2, m + 2, C), np.float32), np.empty((m, m, O), np.float32)
    for item in range(start, stop):
        first, last = item * count, min(item * count + count, len(x) * grid[0] * grid[1])
        read_tiles(0, last - first, x, v, spare, first, grid, corner, m, u.shape[3] // 2, transform)
        multiply_by_filters(v, u, z, last - first, tile_rows, tile, narrow_tile)
        write_tiles(z, y, edge, first, last, grid, m, u.shape[3] // 2, transform)


@subroutine
def read_tiles(start, stop, x, v, spare, first, grid, corner, m, lanes, transform):
    """v[:, item] = B^T d B of tile first + item, for start <= item < stop; v is (X, count, C)."""
    count, C = v.shape[1:]
    n = m + 2
    for item in range(start, stop):
        k, i, j = place(first + item, grid)
        a, row = square(x, k, i * m - corner[0], j * m - corner[1], n, spare)
        to = v.ctypes.data + 4 * item * C
        call(transform, (INPUT, a, row, C, to, n * count * C, count * C, C // lanes))


@subroutine
def multiply_by_filters(v, u, z, tiles, tile_rows, tile, narrow_tile):
    """z[element] = v[element] times the panels u[:, element], for the first `tiles` rows of v (X, count, C)."""
    (X, count, C), O, (blocks, _, _, width) = v.shape, z.shape[2], u.shape
    parts, table = (tiles + tile_rows - 1) // tile_rows, np.empty(1, np.int64)
    table[0] = 0                            # np.zeros would take a tenth of a second to compile
    for element in range(X):
        for block in range(blocks):
            b = u.ctypes.data + 4 * (block * X + element) * C * width
            chosen = tile if O - block * width > width // 2 else narrow_tile
            for part in range(parts):
                done = tiles * part // parts
                rows = tiles * (part + 1) // parts - done
                a = v.ctypes.data + 4 * (element * count + done) * C
                c = z.ctypes.data + 4 * ((element * count + done) * O + block * width)
                call(chosen, (rows, 1, table.ctypes.data, table.ctypes.data, C, a, C, b, width, c, O, 0))


@subroutine
def write_tiles(z, y, edge, first, last, grid, m, lanes, transform):
    """The tiles A^T z A, into y, or where they reach over its end into `edge` and from there as far as they fit."""
    (I, J, O), count = y.shape[1:], z.shape[1]
    n = m + 2
    for t in range(first, last):
        k, i, j = place(t, grid)
        i, j = i * m, j * m
        whole = i + m <= I and j + m <= J
        a = z.ctypes.data + 4 * (t - first) * O
        to = y.ctypes.data + 4 * ((k * I + i) * J + j) * O if whole else edge.ctypes.data
        call(transform, (OUTPUT, a, n * count * O, count * O, to, (J if whole else m) * O, O, O // lanes))
        for p in range(0 if whole else min(m, I - i)):
            for q in range(min(m, J - j)):
                for o in range(O):
                    y[k, i + p, j + q, o] = edge[p, q, o]


def transform_filters_numpy(packed, u, m, transform):
    """G g G^T."""
    G = matrix("filter", m)
    g = packed.reshape(len(packed), 3, 3, *packed.shape[2:])
    u[...] = np.einsum("pi,bijcw,qj->bpqcw", G, g, G, optimize=True).reshape(u.shape)


@kernel(twin=transform_filters_numpy, out="u", vector=True)
def transform_filters(start, stop, packed, u, m, transform):
    """An item is one input channel of one panel."""
    blocks, X, C, width = u.shape
    n = m + 2
    for item in range(start, stop):
        block, c = item // C, item % C
        a = packed.ctypes.data + 4 * (block * 9 * C + c) * width
        to = u.ctypes.data + 4 * (block * X * C + c) * width
        call(transform, (FILTER, a, 3 * C * width, C * width, to, n * C * width, C * width, 2))


# Filter gradient -------------------------------------------------------------------------------------


def input_tiles_numpy(x, v, first, grid, corner, m, lanes, transform):
    """B^T d B of the tiles from number `first` on."""
    tiles = _to_tiles(x, matrix("input", m), m + 2, m, grid, corner)[:, first:first + v.shape[1]]
    v[:, :tiles.shape[1]] = tiles


def output_tiles_numpy(g, z, first, grid, m, lanes, transform):
    """A gy A^T of the same tiles, in panels."""
    X, blocks, count, width = z.shape
    tiles = _to_tiles(g, matrix("output_gradient", m), m, m, grid, (0, 0))[:, first:first + count]
    padded = np.zeros((X, tiles.shape[1], blocks * width), g.dtype)
    padded[..., :g.shape[3]] = tiles
    z[:, :, :tiles.shape[1]] = padded.reshape(X, -1, blocks, width).swapaxes(1, 2)


def multiply_tiles_numpy(v, z, total, first, count, O, tile_rows, tile, narrow_tile):
    """The sum over tiles of the products, added to what is there unless these are the first."""
    total[...] = (total if first else 0) + np.einsum("xtc,xbtw->bxcw", v[:, :count], z[:, :, :count], optimize=True)


def sum_filters_numpy(total, gw, m, lanes, transform):
    """G^T U G."""
    blocks, X, C, width = total.shape
    L, n = matrix("filter_gradient", m), m + 2
    w = np.einsum("pi,bijcw,qj->pqcbw", L, total.reshape(blocks, n, n, C, width), L, optimize=True)
    gw[...] = w.reshape(3, 3, C, -1)[..., :gw.shape[3]]


@kernel(twin=input_tiles_numpy, out="v", vector=True)
def input_tiles(start, stop, x, v, first, grid, corner, m, lanes, transform):
    """An item is one tile."""
    spare = np.empty((m + 2, m + 2, v.shape[2]), np.float32)
    read_tiles(start, stop, x, v, spare, first, grid, corner, m, lanes, transform)


@kernel(twin=output_tiles_numpy, out="z", vector=True)
def output_tiles(start, stop, g, z, first, grid, m, lanes, transform):
    """An item is one tile."""
    X, blocks, count, width = z.shape
    O, n = g.shape[3], m + 2
    spare = np.empty((m, m, O), np.float32)
    for item in range(start, stop):
        k, i, j = place(first + item, grid)
        a, row = square(g, k, i * m, j * m, m, spare)
        for block in range(blocks):
            to = z.ctypes.data + 4 * (block * count + item) * width
            step = blocks * count * width
            vectors = min(2, (O - block * width) // lanes)
            call(transform, (OUTPUT_GRADIENT, a + 4 * block * width, row, O, to, n * step, step, vectors))


@kernel(twin=multiply_tiles_numpy, out="total", vector=True)
def multiply_tiles(start, stop, v, z, total, first, count, O, tile_rows, tile, narrow_tile):
    """An item is one element of the tiles and one panel; 128 tiles at a time stay in the cache."""
    (X, room, C), (_, blocks, _, width) = v.shape, z.shape
    table = np.zeros(1, np.int64).ctypes
    parts = (C + tile_rows - 1) // tile_rows
    for item in range(start, stop):
        element, block = item // blocks, item % blocks
        chosen = tile if O - block * width > width // 2 else narrow_tile
        for t in range(0, count, 128):
            depth = min(128, count - t)
            b = z.ctypes.data + 4 * ((element * blocks + block) * room + t) * width
            for part in range(parts):
                c = C * part // parts
                a = v.ctypes.data + 4 * ((element * room + t) * C + c)
                to = total.ctypes.data + 4 * ((block * X + element) * C + c) * width
                call(chosen, (C * (part + 1) // parts - c, 1, table.data, table.data, depth, a, C, b, width,
                              to, width, first + t > 0))


@kernel(twin=sum_filters_numpy, out="gw", vector=True)
def sum_filters(start, stop, total, gw, m, lanes, transform):
    """An item is one input channel of one panel."""
    blocks, X, C, width = total.shape
    O, n = gw.shape[3], m + 2
    for item in range(start, stop):
        block, c = item // C, item % C
        a = total.ctypes.data + 4 * (block * X * C + c) * width
        to = gw.ctypes.data + 4 * (c * O + block * width)
        vectors = min(2, (O - block * width) // lanes)
        call(transform, (FILTER_GRADIENT, a, n * C * width, C * width, to, 3 * C * O, C * O, vectors))
