"""Convolution with small groups: depthwise, and groups of 2, 4 or 8 channels in and out.

The register tile of `direct` needs a vector of output channels that all see the same inputs; here a vector holds
several groups (see `grouped_tiles`). As there, outputs are taken in runs that see the same taps, so that there is
no copy of the image with zeros around it; and the input gradient is the same computation with the adjoint filter.

Memory is the limit for so few operations per number. So one output row is done after the other, in tiles of a few
pixels and all channels, and every number of the image comes from memory once, asked for in advance.

Filters are packed as (blocks, P Q, size, lanes): lane l of block b is channel starts[b] + l. Where the channels do not
fill whole vectors, the last block overlaps the one before; both compute the same numbers.
"""

from functools import lru_cache

import numpy as np

from .buffers import empty
from .direct import column_spans, forward_runs, input_runs, valid_outputs
from .geometry import Geometry
from .host import host
from .launch import compiler_runs, example
from .panels import prepared

SIZES = (1, 2, 4, 8)                # channels of a group; more fill a vector for `direct`
CHUNK_PIXELS = 2048                 # outputs for each partial sum of the filter gradient
CHUNKS = 64                         # partial sums at most, whatever the number of threads


def applies(geometry, channels, filters):
    """Whether whole groups fill a vector, with as many channels out as in."""
    return (geometry.groups > 1 and channels == filters >= host().lanes
            and channels // geometry.groups in SIZES and channels // geometry.groups <= host().lanes)


def most_pixels(size):
    """Pixels that one tile can have: their sums are in registers."""
    return host().rows


def most_taps(size):
    """Taps that one tile of the filter gradient can have: `size` sums for each are in registers."""
    return max(1, 2 * host().rows // size)


def conv(x, w, geometry, kept=False):
    """`conv2d` of x (N, C, H, W) channels-last and w (C, C / G, P, Q), both float32."""
    y = empty((len(x), *geometry.grid, len(w)), x.dtype)
    x = x.transpose(0, 2, 3, 1)
    _correlate(x, _filters(w, geometry.groups, False, kept), y, *forward_tables(x.shape, geometry))
    return y.transpose(0, 3, 1, 2)


def conv_input(g, w, geometry, shape, kept=False):
    """`conv2d_input`: g (N, C, I, J) channels-last to an image of `shape` (N, C, H, W)."""
    N, C, H, W = shape
    gx = empty((N, H, W, C), g.dtype)
    tables = input_tables((N, H, W, C), geometry)
    _correlate(g.transpose(0, 2, 3, 1), _filters(w, geometry.groups, True, kept), gx, *tables)
    return gx.transpose(0, 3, 1, 2)


def conv_filter(x, g, geometry):
    """`conv2d_filter` of x and g, both channels-last, to (C, C / G, P, Q)."""
    from .grouped_loops import correlate_groups_filter
    x, g = x.transpose(0, 2, 3, 1), g.transpose(0, 2, 3, 1)
    (N, C), (P, Q), (I, J), lanes = (x.shape[0], x.shape[3]), geometry.kernel, geometry.grid, host().lanes
    size = C // geometry.groups
    chunks = max(1, min(N * I * J // CHUNK_PIXELS, N * I, CHUNKS))
    partial = empty((chunks, len(starts(C)), P * Q, size, lanes), x.dtype)
    correlate_groups_filter(chunks, x, g, partial, *filter_tables(x.shape, geometry), geometry.stride,
                            geometry.dilation, geometry.corner, most_taps(size), _address("tap_tile"))
    gw = unpack(partial.sum(axis=0, dtype=np.float64).astype(x.dtype), C)
    return gw.reshape(P, Q, size, C).transpose(3, 2, 0, 1)


def _correlate(x, w, y, rows, runs):
    from .grouped_loops import correlate_groups
    correlate_groups(y.shape[0] * y.shape[1], x, w, y, rows, runs, most_pixels(w.shape[2]), _address("pixel_tile"))


def _address(name):
    """Address of a routine of `grouped_tiles`, which the twins do not need."""
    if not compiler_runs():
        return 0
    from . import grouped_tiles
    return getattr(grouped_tiles, name).address


# Filters -----------------------------------------------------------------------------------------------


def starts(channels):
    """First channel of each block."""
    lanes = host().lanes
    return [min(first, channels - lanes) for first in range(0, channels, lanes)]


def _filters(w, groups, adjoint, kept):
    """w (C, C / G, P, Q) packed, or its adjoint: input and output channels exchanged and taps in reverse order."""
    def make():
        taken = w.reshape(groups, -1, *w.shape[1:])
        taken = taken.swapaxes(1, 2)[..., ::-1, ::-1] if adjoint else taken
        taken = np.ascontiguousarray(taken.transpose(3, 4, 2, 0, 1)).reshape(-1, w.shape[1], len(w))
        made = empty((len(starts(len(w))), *taken.shape[:2], host().lanes), w.dtype)
        for block, first in zip(made, starts(len(w)), strict=True):
            block[...] = taken[..., first:first + host().lanes]
        return made
    return prepared(w, ("grouped", groups, adjoint), make, kept)


def unpack(packed, channels):
    """(blocks, P Q, size, lanes) as (P Q, size, channels)."""
    made = np.empty((*packed.shape[1:3], channels), packed.dtype)
    for first, block in zip(starts(channels), packed, strict=True):
        made[..., first:first + host().lanes] = block
    return made


# Tables: which outputs see which taps --------------------------------------------------------------------


@lru_cache(maxsize=256)
def forward_tables(image, geometry):
    """`_tables` of the convolution of an `image` (N, H, W, C)."""
    return _tables(*forward_runs(image, geometry), geometry)


@lru_cache(maxsize=256)
def input_tables(image, geometry):
    """`_tables` of the input gradient into an `image` (N, H, W, C)."""
    return _tables(*input_runs(image, geometry), geometry)


@lru_cache(maxsize=256)
def filter_tables(image, geometry):
    """First and end of the output rows that each kernel row sees, and spans of columns (see `column_spans`)."""
    down, right = valid_outputs(image, geometry)
    return np.array(down), column_spans(right, True)


def _tables(down, right, geometry):
    """Rows (I, 1 + 2 P) and runs (R, 5 + 2 Q).

    Row i is (number of taps; p Q and row of the source, for each tap). A run is (first output, step, count, step in the
    source, number of taps; q and column of the source for the first output, for each tap).
    """
    P, Q = geometry.kernel
    rows = np.zeros((sum(run.count for run in down), 1 + 2 * P), np.int64)
    for first, step, count, source_step, taps in down:
        for m in range(count):
            entries = [v for p, at in taps for v in (p * Q, at + m * source_step)]
            rows[first + m * step, :1 + len(entries)] = len(taps), *entries
    runs = np.zeros((len(right), 5 + 2 * Q), np.int64)
    for made, run in zip(runs, right, strict=True):
        entries = [v for tap in run.taps for v in tap]
        made[:5 + len(entries)] = run.first, run.step, run.count, run.source_step, len(run.taps), *entries
    return rows, runs


@example
def _example(dtype):
    n, geometry = host().lanes, Geometry((2, 2), (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), host().lanes)
    x, w = np.ones((1, 3, 3, n), np.float32).transpose(0, 3, 1, 2), np.ones((n, 1, 2, 2), np.float32)
    y = conv(x, w, geometry)
    conv_input(y, w, geometry, x.shape)
    conv_filter(x, y, geometry)
