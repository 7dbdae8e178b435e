"""Running sums of bytes inside vector registers.

A running sum is a chain: every entry waits for the one before. A vector of n entries needs only log2(n) steps, each
adds the vector to itself moved on by 1, 2, 4, ... places (Hillis & Steele, CACM 29, 1986):

    x0      x1           x2                x3
    x0      x0+x1        x1+x2             x2+x3                 moved by 1
    x0      x0+x1        x0+x1+x2          x0+x1+x2+x3           moved by 2

The chain that is left has one link for each vector: its last entry is what the next vector of the row begins with.
"""

from llvmlite import ir

from .simd import Routine, emitted


@emitted(5)
def sum_row(e, groups, carry, above, x, y):
    """y[j] = above[j] + carry + x[0] + ... + x[j] for `groups` vectors of bytes x; y and above are 64-bit integers.

    A vector of 32 sums of bytes stays below 2^16, so its own running sum takes 16-bit integers. It is cut into four
    parts that are widened and added to what the row has brought so far.
    """
    narrow, quarter = 2 * e.lanes, e.lanes // 2
    short, wide = ir.VectorType(ir.IntType(16), narrow), ir.VectorType(ir.IntType(64), quarter)
    before = e.variable(e.spread_integer(carry, wide))
    with e.range(groups) as k:
        column = e.times(k, narrow)
        pixels = e.load_as(ir.VectorType(ir.IntType(8), narrow), e.add(x, column))
        run, so_far = running_sum(e, e.builder.zext(pixels, short)), e.get(before)
        for q in range(4):
            start = e.times(e.add(column, q * quarter), 8)
            part = e.permute(run, range(q * quarter, (q + 1) * quarter), run)
            total = e.add(e.builder.zext(part, wide), so_far)
            e.store_as(e.add(total, e.load_as(wide, e.add(above, start))), e.add(y, start))
        e.set(before, e.permute(total, [quarter - 1] * quarter, total))


def running_sum(e, vector):
    """Entry j becomes the sum of the entries 0 ... j."""
    n, step = vector.type.count, 1
    zero = ir.Constant(vector.type, [0] * n)
    while step < n:
        moved = e.permute(zero, [*range(step), *range(n, 2 * n - step)], vector)
        vector, step = e.add(vector, moved), 2 * step
    return vector


@Routine
def running_row(groups, carry, above, x, y):
    """`sum_row` as a C function."""
    sum_row((groups, carry, above, x, y))
