"""Vector code of convolutions with small groups: one vector holds the channels of several groups.

With `size` channels in and out of every group, lane o of a vector of outputs needs the `size` inputs of its own
group. They are in the same lanes of the vector of inputs, so for j < size input j of each group is brought to all
lanes of that group by a permutation in the register,

    y[o] += x[o - o mod size + j] w[j, o],

which is one instruction beside the multiply-add, and none for size 1, where every channel is a group.
"""

from .grouped import SIZES, most_pixels, most_taps
from .simd import Routine, emitted


def pick(e, vector, size, j):
    """Element j of every group of `size` lanes, in all lanes of the group."""
    return e.permute(vector, [lane // size * size + j for lane in range(e.lanes)])


def build_pixels(e, pixels, size, taps, x_taps, w_taps, x, x_step, w, y, y_step):
    """y[i, :] = sum_t sum_j pick(x[t, i, :], j) w[t, j, :] for a few pixels i, sums in registers.

    Tap t starts x_taps[t] floats behind x and w_taps[t] floats behind w. The last tap reads the row that is new.
    """
    x, w, y = e.floats(x), e.floats(w), e.floats(y)
    sums = [e.variable(e.constant(0)) for _ in range(pixels)]
    with e.when(taps):
        new = e.step(x, e.table(x_taps, e.add(taps, -1)))
        for i in range(pixels):
            e.prefetch(new, e.times(i + pixels, x_step))            # for the pixels beside these
    with e.when(taps), e.range(taps) as t:
        x_tap, w_tap = e.step(x, e.table(x_taps, t)), e.step(w, e.table(w_taps, t))
        weights = [e.load(w_tap, j * e.lanes) for j in range(size)]
        for i, total in enumerate(sums):
            seen = e.load(x_tap, e.times(i, x_step))
            for j in range(size):
                e.set(total, e.multiply_add(pick(e, seen, size, j), weights[j], e.get(total)))
    for i, total in enumerate(sums):
        e.store(e.get(total), y, e.times(i, y_step))


def build_taps(e, taps, size, x_taps, w_taps, depth, x, x_step, g, g_step, w):
    """w[t, j, :] += sum_k pick(x[t, k, :], j) g[k, :] for a few taps t, sums over the pixels k in registers."""
    x, g, w = e.floats(x), e.floats(g), e.floats(w)
    sums = [[e.variable(e.constant(0)) for _ in range(size)] for _ in range(taps)]
    starts = [e.step(x, e.table(x_taps, e.integer(t))) for t in range(taps)]
    with e.range(depth) as k:
        e.prefetch(g, e.times(e.add(k, depth), g_step))             # for the next row
        e.prefetch(starts[-1], e.times(e.add(k, depth), x_step))
        of_g = e.load(g, e.times(k, g_step))
        for t in range(taps):
            seen = e.load(starts[t], e.times(k, x_step))
            for j, total in enumerate(sums[t]):
                e.set(total, e.multiply_add(pick(e, seen, size, j), of_g, e.get(total)))
    for t in range(taps):
        for j, total in enumerate(sums[t]):
            place = e.add(e.table(w_taps, e.integer(t)), j * e.lanes)
            e.store(e.multiply_add(e.get(total), e.constant(1), e.load(w, place)), w, place)


def _tiles(build, most, num_args):
    """Intrinsic (count, size, ...): tiles of every count and size behind two switches."""
    @emitted(num_args)
    def tiles(e, count, size, *args):
        def counts(k):
            e.switch(count, {n: lambda n=n: build(e, n, k, *args) for n in range(1, most(k) + 1)})
        e.switch(size, {k: lambda k=k: counts(k) for k in SIZES if k <= e.lanes})
    return tiles


_pixels = _tiles(build_pixels, most_pixels, 10)
_taps = _tiles(build_taps, most_taps, 10)


@Routine
def pixel_tile(channels, lanes, pixels, size, taps, x_taps, w_taps, x, x_step, w, w_step, y, y_step):
    """`build_pixels` for all channels, at least one vector; the last vector overlaps the one before.

    Vectors of w are w_step floats apart.
    """
    for first in range(0, channels, lanes):
        c = 4 * min(first, channels - lanes)
        _pixels((pixels, size, taps, x_taps, w_taps, x + c, x_step, w + 4 * first // lanes * w_step, y + c, y_step))


@Routine
def tap_tile(channels, lanes, taps, size, x_taps, w_taps, depth, x, x_step, g, g_step, w, w_step):
    """`build_taps` for all channels; arguments as for `pixel_tile`."""
    for first in range(0, channels, lanes):
        c = 4 * min(first, channels - lanes)
        _taps((taps, size, x_taps, w_taps, depth, x + c, x_step, g + c, g_step, w + 4 * first // lanes * w_step))
