"""Direct convolution: no matrix of windows, the register tile reads the image where it lies.

The sum over kernel taps is the same for all outputs except near the border, where some taps fall outside.
So the output grid is cut into *boxes* inside which all outputs see the same taps: for a 3x3 kernel the inner
part, four edges and four corners. In a box, neighbouring outputs read neighbouring positions, so that every
axis of it (image, row or column) can be the row axis of the tile; the one that fills the tile best is taken.

The input gradient is the same computation. An input pixel h collects from outputs i with h = i s + p d - top,
so pixels that differ by the stride see the same taps: the boxes are those of the s x s phases, and the filter
is the adjoint one (see `panels`). Hence there is one kernel, `correlate`, and no copy of the image, no zeros
around it. The filter gradient runs the tile along the channels instead (`correlate_filter`); for images of few
channels, as the first layer has, it takes those of neighbouring pixels too, and then zeros beside the image pay.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .buffers import empty
from .geometry import Geometry
from .host import host
from .launch import example
from .panels import addresses, panels, tile_addresses, tile_height, tile_size, unpack

BLOCK_TILES = 16                    # tiles of a box that share one panel of the filter while it is in the cache
CHUNK_PIXELS = 2048                 # outputs for each partial sum of the filter gradient ...
PARTIAL_BYTES = 2**23               # ... if that many partial sums are not larger than this


class Run(NamedTuple):
    """Outputs first, first + step, ... along one axis that see the same taps.

    `taps` has (number of the tap, position it reads for the first output); the position moves by `source_step`
    from one output to the next.
    """
    first: int
    step: int
    count: int
    source_step: int
    taps: tuple


class Plan(NamedTuple):
    """Boxes (B, 15) and the tap tables they point into; see `_plan`."""
    boxes: np.ndarray
    a_taps: np.ndarray
    b_taps: np.ndarray


def conv(x, w, geometry, kept=False):
    """`conv2d` of x (N, C, H, W) channels-last and w (O, C / G, P, Q), both float32."""
    from .direct_loops import correlate
    N, C, H, W = x.shape
    y = empty((N, *geometry.grid, len(w)), x.dtype)            # first: a plan for what does not fit would take hours
    plan = forward_plan((N, H, W, C), len(w), geometry)
    packed = panels(w, geometry.groups, kept=kept)
    correlate(len(plan.boxes), x.transpose(0, 2, 3, 1), packed, y, *plan,
              *tile_addresses(len(w) // geometry.groups, "tile", "narrow_tile"))
    return y.transpose(0, 3, 1, 2)


def conv_input(g, w, geometry, shape, kept=False):
    """`conv2d_input`: g (N, O, I, J) channels-last to an image of `shape` (N, C, H, W)."""
    from .direct_loops import correlate
    N, C, H, W = shape
    gx = empty((N, H, W, C), g.dtype)
    plan = input_plan((N, H, W, C), len(w), geometry)
    adjoint = panels(w, geometry.groups, adjoint=True, kept=kept)
    correlate(len(plan.boxes), g.transpose(0, 2, 3, 1), adjoint, gx, *plan,
              *tile_addresses(C // geometry.groups, "tile", "narrow_tile"))
    return gx.transpose(0, 3, 1, 2)


def conv_filter(x, g, geometry):
    """`conv2d_filter` of x (N, C, H, W) and g (N, O, I, J), both channels-last, to (O, C / G, P, Q)."""
    from .direct_loops import correlate_filter
    x, g = x.transpose(0, 2, 3, 1), g.transpose(0, 2, 3, 1)
    (N, C), (O, G), (P, Q) = (x.shape[0], x.shape[3]), (g.shape[3], geometry.groups), geometry.kernel
    blocks, width = tile_size(O // G)
    rows = N * geometry.grid[0]
    size = 4 * P * Q * C * blocks * width
    chunks = max(1, min(rows * geometry.grid[1] // CHUNK_PIXELS, PARTIAL_BYTES // size, rows, 16))
    partial = empty((chunks, G, blocks, P, Q, C // G, width), x.dtype)
    few = G == geometry.dilation[1] == 1 and C < host().rows
    if few:
        x, geometry = _widened(x, geometry)
    down, right = valid_outputs(x.shape, geometry)
    correlate_filter(chunks * G * blocks, x, g, partial, np.array(down), column_spans(right, few), geometry.stride,
                     geometry.dilation, geometry.corner, host().rows,
                     *addresses("copy"), *tile_addresses(O // G, "down_tile", "narrow_down_tile"))
    return unpack(partial, O)


def _widened(x, geometry):
    """x (N, H, W, C) with the zeros to its left and right, so that all outputs of a row see the same columns."""
    (N, H, _, C), (top, left) = x.shape, geometry.corner
    width = (geometry.grid[1] - 1) * geometry.stride[1] + geometry.kernel[1]
    seen = x[:, :, :max(0, width - left)]
    made = empty((N, H, width, C), x.dtype)
    made[:, :, :left] = made[:, :, left + seen.shape[2]:] = 0
    made[:, :, left:left + seen.shape[2]] = seen
    return made, geometry._replace(padding=((top, 0), (0, 0)))


# Plans: which outputs see which taps -------------------------------------------------------------------


@lru_cache(maxsize=256)
def forward_plan(image, O, geometry):
    """Plan of the convolution of an `image` (N, H, W, C)."""
    return _plan(image, (*geometry.grid, O), forward_runs(image, geometry), geometry)


@lru_cache(maxsize=256)
def input_plan(image, O, geometry):
    """Plan of the input gradient, which collects from the grid into an `image` (N, H, W, C)."""
    return _plan((image[0], *geometry.grid, O), image[1:], input_runs(image, geometry), geometry)


def forward_runs(image, geometry):
    """Runs of the convolution of an `image` (N, H, W, C), for rows and for columns."""
    return [_runs(grid, 1, s, lambda i, n=n, s=s, d=d, k=k, before=before: [
        (p, i * s + p * d - before) for p in range(k) if 0 <= i * s + p * d - before < n])
        for n, grid, s, d, k, before in _each_axis(image, geometry)]


def input_runs(image, geometry):
    """Runs of the input gradient into an `image` (N, H, W, C); taps are those of the adjoint filter."""
    return [_runs(n, s, 1, lambda h, n=n, s=s, d=d, k=k, before=before, grid=grid: [
        (k - 1 - p, (h + before - p * d) // s) for p in reversed(range(k))
        if (h + before - p * d) % s == 0 and 0 <= h + before - p * d < grid * s])
        for n, grid, s, d, k, before in _each_axis(image, geometry)]


def _each_axis(image, geometry):
    return zip(image[1:3], geometry.grid, geometry.stride, geometry.dilation, geometry.kernel, geometry.corner,
               strict=True)


def _runs(outputs, step, source_step, taps):
    """Runs of the outputs 0, 1, ... that are `step` apart and have equal taps, up to the moving position."""
    found = []
    for phase in range(min(step, outputs)):
        last = None
        for output in range(phase, outputs, step):
            seen = tuple(taps(output))
            moved = last and tuple((p, at + source_step) for p, at in last)
            if last is None or seen != moved:
                found.append(Run(output, step, 1, source_step, seen))
            else:
                found[-1] = found[-1]._replace(count=found[-1].count + 1)
            last = seen
    return found


def _plan(source, target, axes, geometry):
    """Boxes and tap tables for a source (N, H, W, C) and a target of N times (H', W', C').

    A box is (offset in the target, offset in the source; count, source step and target step of its three axes;
    height of a tile; first entry in the tap tables, number of taps, depth); offsets and steps count floats.
    """
    N, H, W, C = source
    _, W2, C2 = target
    K, Q = C // geometry.groups, geometry.kernel[1]
    boxes, a_taps, b_taps = [], [], []
    for down in axes[0]:
        for right in axes[1]:
            a, b, depth = _merge([((h * W + v) * C, (p * Q + q) * K) for p, h in down.taps for q, v in right.taps],
                                 K, len(right.taps) if geometry.groups == 1 else 1)
            sides = [(N, H * W * C, target[0] * W2 * C2),
                     (down.count, down.source_step * W * C, down.step * W2 * C2),
                     (right.count, right.source_step * C, right.step * C2)]
            offset = (down.first * W2 + right.first) * C2
            boxes += _split(offset, sides, (len(a_taps), len(a), depth))
            a_taps += a
            b_taps += b
    tables = np.array(a_taps, np.int64), np.array(b_taps, np.int64) * tile_size(1)[1]
    return Plan(_deal(boxes), *tables)


def _merge(taps, depth, neighbours):
    """(offsets in A, rows of B, depth): runs of `neighbours` taps that follow each other in A and in B are one."""
    starts = taps[::neighbours] if neighbours > 1 else taps
    joined = all(taps[i + j] == (start[0] + j * depth, start[1] + j * depth)
                 for i, start in zip(range(0, len(taps), max(1, neighbours)), starts) for j in range(neighbours))
    if joined and neighbours > 1:
        taps, depth = starts, depth * neighbours
    return [a for a, _ in taps], [b for _, b in taps], depth


def _split(offset, sides, rest):
    """The box with the axis that fills tiles best last, cut along the larger of the other two."""
    heights = [tile_height(count, step) for count, step, _ in sides]
    fills = [count / -(-count // height) for (count, _, _), height in zip(sides, heights)]
    last = max(range(3), key=lambda axis: fills[axis] * (1 + 0.1 * axis))   # prefers near neighbours
    height = heights[last]
    outer, inner = sorted((side for axis, side in enumerate(sides) if axis != last), reverse=True)
    tiles = inner[0] * -(-sides[last][0] // height)
    piece = max(1, BLOCK_TILES // tiles)
    for first in range(0, outer[0], piece):
        cut = (min(piece, outer[0] - first), *outer[1:])
        yield (offset + first * outer[2], first * outer[1], *cut, *inner, *sides[last], height, *rest)


def _deal(boxes):
    """Largest boxes first, dealt like cards, so that equal shares of the list are equal shares of the work."""
    boxes = sorted(boxes, key=lambda box: -box[2] * box[5] * box[8] * box[13] * box[14])
    return np.array([box for i in range(8) for box in boxes[i::8]], np.int64)


def column_spans(ranges, together):
    """Spans (q, taps, j, depth): kernel columns q .. q + taps - 1 all see the outputs j .. j + depth - 1.

    `ranges` are first and end of the outputs that each kernel column sees. Each is a span, or `together` those that
    all of them see are one, which makes higher tiles where channels are few: they lie side by side in memory.
    """
    first, end = max(j for j, _ in ranges), min(j for _, j in ranges)
    if not together or first >= end:
        spans = [(q, 1, j, last - j) for q, (j, last) in enumerate(ranges)]
    else:
        spans = [(0, len(ranges), first, end - first)]
        spans += [(q, 1, j, first - j) for q, (j, _) in enumerate(ranges)]
        spans += [(q, 1, end, last - end) for q, (_, last) in enumerate(ranges)]
    return np.array([span for span in spans if span[3] > 0], np.int64).reshape(-1, 4)


def valid_outputs(image, geometry):
    """For rows and for columns: first and end of the outputs that each tap sees."""
    return ([_valid(size, grid, s, p * d - before) for p in range(k)]
            for size, grid, s, d, k, before in _each_axis(image, geometry))


def _valid(size, grid, stride, offset):
    """First and end of the outputs i whose position i stride + offset lies in the image."""
    first = min(grid, max(0, -(offset // stride)))
    return first, max(first, min(grid, (size - 1 - offset) // stride + 1))


@example
def _example(dtype):
    geometry = Geometry((2, 2), (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    x, w = (np.ones(shape, np.float32) for shape in ((1, 1, 3, 3), (1, 1, 2, 2)))
    y = conv(x, w, geometry)
    conv_input(y, w, geometry, x.shape)
    conv_filter(x, y, geometry)
