"""Winograd convolution: 3 x 3 filters with 2.25 or 4 times fewer multiplications.

The four outputs of a 3-tap filter on 6 inputs are coefficients of a product of polynomials. A polynomial is given by
its values at enough points, and values multiply one by one, so 6 products do the work of 12 (Toom 1963, Cook 1966;
for convolution Winograd 1980; for networks Lavin & Gray 2016). In two dimensions, for an input tile d of n x n,
n = m + 2, a filter g of 3 x 3 and m x m outputs,

    Y = A^T [ (G g G^T) * (B^T d B) ] A                                           (Lavin & Gray, eq. 8)

and the sum over input channels can be taken before A^T is applied. So for each of the n^2 elements of a tile there
is one matrix product, (tiles, C) times (C, O): m = 4 has 36 of them for 16 outputs instead of 144.

The points decide the error: 0, 1, -1, 2, -2 of the paper amplify rounding; 0, 1/sqrt2, -1/sqrt2, sqrt2, -sqrt2 lose a
third as much. All steps of a block of tiles are done while the block is in the cache: the second-level one up to
about 128 channels (0.5 MB for 64), beyond that the third (see `_block`).

A dilated filter sees every d-th pixel, so such a convolution falls apart into d x d ordinary ones (`decimate`).
The input gradient is the same with the adjoint filter. The filter gradient follows from the formula by the chain rule,

    gw = G^T [ sum over tiles of (B^T d B) * (A gy A^T) ] G.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .buffers import empty
from .decimate import join, split, undilated
from .geometry import Geometry
from .host import host
from .launch import compiler_runs, example
from .panels import panels, prepared, tile_addresses, tile_size

POINTS = {2: (0, 1, -1), 4: (0, 2**-0.5, -2**-0.5, 2**0.5, -2**0.5)}        # and infinity
STEPS = ("input", "filter", "output", "output_gradient", "filter_gradient")
ROUND_BYTES = 2**23                 # of transformed tiles at a time in the filter gradient: third-level cache


class ByTiles(NamedTuple):
    """The method with output tiles of m x m, as `choose` wants it. A dilated convolution is one of sub-images."""
    m: int

    def conv(self, x, w, geometry, kept=False):
        """`conv2d` of x (N, C, H, W) channels-last and w (O, C, 3, 3), both float32."""
        if geometry.dilation == (1, 1):
            return conv(x, w, geometry, self.m, kept)
        y = conv(split(x, geometry.dilation), w, undilated(geometry), self.m, kept)
        return join(y, geometry.dilation, geometry.grid)

    def conv_input(self, g, w, geometry, shape, kept=False):
        """`conv2d_input` of g (N, O, I, J), channels-last, to an image of `shape` (N, C, H, W)."""
        if geometry.dilation == (1, 1):
            return conv_input(g, w, geometry, shape, self.m, kept)
        g = split(g, geometry.dilation)
        small = tuple(-(-n // d) for n, d in zip(shape[2:], geometry.dilation, strict=True))
        gx = conv_input(g, w, undilated(geometry), (len(g), shape[1], *small), self.m, kept)
        return join(gx, geometry.dilation, shape[2:])

    def conv_filter(self, x, g, geometry):
        """`conv2d_filter` of x (N, C, H, W) and g (N, O, I, J), both channels-last."""
        if geometry.dilation == (1, 1):
            return conv_filter(x, g, geometry, self.m)
        return conv_filter(split(x, geometry.dilation), split(g, geometry.dilation), undilated(geometry), self.m)


BY_TILES = {m: ByTiles(m) for m in POINTS}


def applies(geometry, channels, filters):
    """Whether a convolution of so many channels by so many filters can be done this way."""
    lanes = host().lanes
    return (geometry.kernel == (3, 3) and geometry.stride == (1, 1) and geometry.groups == 1
            and channels % lanes == 0 and filters % lanes == 0 and min(geometry.grid) > 0
            and all(before % d == 0 for before, d in zip(geometry.corner, geometry.dilation, strict=True)))


def num_tiles(N, geometry, m):
    """Number of output tiles of m x m."""
    small = undilated(geometry).grid
    rows, columns = _tiles(small, m)
    return N * geometry.dilation[0] * geometry.dilation[1] * rows * columns


def conv(x, w, geometry, m, kept=False):
    """`conv2d` of x (N, C, H, W) channels-last and w (O, C, 3, 3), both float32, by tiles of m x m outputs."""
    y = empty((len(x), *geometry.grid, len(w)), x.dtype)
    _run(x.transpose(0, 2, 3, 1), _filters(w, m, False, kept), y, m, geometry.corner)
    return y.transpose(0, 3, 1, 2)


def conv_input(g, w, geometry, shape, m, kept=False):
    """`conv2d_input` of g (N, O, I, J), channels-last, to an image of `shape` (N, C, H, W)."""
    N, C, H, W = shape
    gx = empty((N, H, W, C), g.dtype)
    corner = tuple(2 - before for before in geometry.corner)
    _run(g.transpose(0, 2, 3, 1), _filters(w, m, True, kept), gx, m, corner)
    return gx.transpose(0, 3, 1, 2)


def conv_filter(x, g, geometry, m):
    """`conv2d_filter` of x (N, C, H, W) and g (N, O, I, J), both channels-last, to (O, C, 3, 3)."""
    from .winograd_loops import input_tiles, multiply_tiles, output_tiles, sum_filters
    x, g = x.transpose(0, 2, 3, 1), g.transpose(0, 2, 3, 1)
    C, O, grid = x.shape[3], g.shape[3], _tiles(geometry.grid, m)
    tiles, X = len(x) * grid[0] * grid[1], (m + 2)**2
    blocks, width = tile_size(O)
    count = min(tiles, max(128, ROUND_BYTES // (4 * X * (C + O))))
    v, z = empty((X, count, C), x.dtype), empty((X, blocks, count, width), x.dtype)
    routines = tile_addresses(O, "down_tile", "narrow_down_tile")
    total = empty((blocks, X, C, width), x.dtype)
    for first in range(0, tiles, count):
        here = min(count, tiles - first)
        input_tiles(here, x, v, first, grid, geometry.corner, m, host().lanes, _transform(m))
        output_tiles(here, g, z, first, grid, m, host().lanes, _transform(m))
        multiply_tiles(X * blocks, v, z, total, first, here, O, host().rows, *routines)
    gw = np.empty((3, 3, C, O), x.dtype)
    sum_filters(C * blocks, total, gw, m, host().lanes, _transform(m))
    return gw.transpose(3, 2, 0, 1)


def _run(x, u, y, m, corner):
    from .winograd_loops import convolve_tiles
    grid = _tiles(y.shape[1:3], m)
    tiles = len(x) * grid[0] * grid[1]
    count = _block(tiles, x.shape[3])
    convolve_tiles(-(-tiles // count), x, u, y, count, grid, corner, m, host().rows, _transform(m),
                   *tile_addresses(y.shape[3], "tile", "narrow_tile"))


def _block(tiles, channels):
    """Tiles at a time: as many as fit the cache, but four blocks where there are that many tiles."""
    count = 28 if channels <= 128 else 56 if channels < 512 else 112
    return max(14, min(count, tiles // 4 // 14 * 14))


def _tiles(grid, m):
    return tuple(-(-n // m) for n in grid)


def _filters(w, m, adjoint, kept):
    """G g G^T of every filter: (panels over outputs, n^2, C, width)."""
    def make():
        from .winograd_loops import transform_filters
        packed = panels(w, adjoint=adjoint)[0]              # (blocks, 9, C, width)
        u = empty((len(packed), (m + 2)**2, *packed.shape[2:]), w.dtype)
        transform_filters(len(u) * u.shape[2], packed, u, m, _transform(m))
        return u
    return prepared(w, ("winograd", m, adjoint), make, kept)


def _transform(m):
    """Address of the routine of `transforms` for output tiles of side m."""
    if not compiler_runs():
        return 0
    from . import transforms
    return (transforms.transform_2 if m == 2 else transforms.transform_4).address


@lru_cache
def matrix(step, m):
    """The matrix L of one step, which maps a square X to L X L^T."""
    points, n = POINTS[m], m + 2
    B, G, A = np.zeros((n, n)), np.zeros((n, 3)), np.zeros((n, m))
    for i, q in enumerate(points):
        others = [p for p in points if p != q]
        B[i, :n - 1] = np.poly(others)[::-1]                    # the polynomial that is 0 at all other points
        G[i] = q**np.arange(3.0) / np.prod(q - np.array(others))
        A[i] = q**np.arange(m, dtype=float)
    B[-1], G[-1, -1], A[-1, -1] = np.poly(points)[::-1], 1, 1   # the point at infinity: leading coefficients
    return {"input": B, "filter": G, "output": A.T, "output_gradient": A, "filter_gradient": G.T}[step]


@example
def _example(dtype):
    n, geometry = host().lanes, Geometry((3, 3), (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    x, w = np.ones((1, 4, 4, n), np.float32).transpose(0, 3, 1, 2), np.ones((n, n, 3, 3), np.float32)
    y = conv(x, w, geometry, 2)
    conv_input(y, w, geometry, x.shape, 2)
    conv_filter(x, y, geometry, 2)
