"""The exponential function and rows of a softmax as vector code.

    exp(x) = 2^n exp(r),    n = round(x / ln 2),    r = x - n ln 2 in [-0.35, 0.35]

2^n is made by writing n into the exponent bits of a float, exp(r) is a polynomial of degree 6 (Cody & Waite 1980; the
coefficients are those of Taylor's series, whose relative error is at most 1.6e-7, where neighbouring floats differ by
1.2e-7). Adding 1.5 * 2^23 to a float rounds it to an integer, which then stands in its lowest bits.
"""

import math

from llvmlite import ir

from .simd import Routine, emitted

LOWEST, HIGHEST = -87.33, 88.72         # beyond, exp is 0 or infinite in float32
ROUND = 1.5 * 2**23
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4         # their sum is ln 2, and n LN2_HIGH is exact


def exp(e, x):
    """exp of every lane; 0 below the range of floats, infinity above it, NaN for NaN."""
    b = e.builder
    inside = b.select(b.fcmp_ordered("<", x, e.constant(HIGHEST)), x, e.constant(HIGHEST))
    inside = b.select(b.fcmp_ordered(">", inside, e.constant(LOWEST)), inside, e.constant(LOWEST))
    shifted = e.multiply_add(inside, e.constant(1 / math.log(2)), e.constant(ROUND))
    n = b.fsub(shifted, e.constant(ROUND))
    r = e.multiply_add(n, e.constant(-LN2_HIGH), inside)
    r = e.multiply_add(n, e.constant(-LN2_LOW), r)
    power = e.constant(1 / math.factorial(6))
    for k in range(5, -1, -1):
        power = e.multiply_add(power, r, e.constant(1 / math.factorial(k)))
    integers = ir.VectorType(ir.IntType(32), e.lanes)
    exponent = b.shl(b.bitcast(shifted, integers), ir.Constant(integers, [23] * e.lanes))
    result = b.bitcast(b.add(b.bitcast(power, integers), exponent), e.vector)
    result = b.select(b.fcmp_ordered("<", x, e.constant(LOWEST)), e.constant(0), result)
    result = b.select(b.fcmp_ordered(">", x, e.constant(HIGHEST)), e.constant(math.inf), result)
    return b.select(b.fcmp_unordered("uno", x, x), x, result)


def maximum(e, a, b):
    return e.builder.select(e.builder.fcmp_unordered(">", a, b), a, b)


def across(e, vector, combine):
    """All lanes combined, in every lane: halves are exchanged, then quarters, and so on."""
    h = e.lanes // 2
    while h:
        vector = combine(vector, e.permute(vector, [i ^ h for i in range(e.lanes)]))
        h //= 2
    return vector


@emitted(6)
def exp_rows(e, rows, vectors, a, a_step, scale, results):
    """a = exp(scale (a - max a)) for each row; results[row] = (scale max, sum)."""
    start, results = e.floats(a), e.floats(results)
    factor = e.spread(e.floats(scale), 0)
    with e.range(rows) as i:
        row = e.step(start, e.times(i, a_step))
        largest, total = e.variable(e.constant(-math.inf)), e.variable(e.constant(0))
        with e.range(vectors) as j:
            e.set(largest, maximum(e, e.load(row, e.times(j, e.lanes)), e.get(largest)))
        top = e.builder.fmul(across(e, e.get(largest), lambda a, b: maximum(e, a, b)), factor)
        with e.range(vectors) as j:
            place = e.times(j, e.lanes)
            value = exp(e, e.builder.fsub(e.builder.fmul(e.load(row, place), factor), top))
            e.store(value, row, place)
            e.set(total, e.builder.fadd(e.get(total), value))
        e.store_lane(top, results, e.times(i, 2))
        e.store_lane(across(e, e.get(total), e.builder.fadd), results, e.add(e.times(i, 2), 1))


@emitted(7)
def softmax_gradient_rows(e, rows, vectors, s, d, step, scale, results):
    """s = P = exp(scale s - results[row, 0]), d = scale P (d - results[row, 1])."""
    s, d, results = e.floats(s), e.floats(d), e.floats(results)
    factor = e.spread(e.floats(scale), 0)
    with e.range(rows) as i:
        lse, mean = e.spread(results, e.times(i, 2)), e.spread(results, e.add(e.times(i, 2), 1))
        with e.range(vectors) as j:
            place = e.add(e.times(i, step), e.times(j, e.lanes))
            p = exp(e, e.builder.fsub(e.builder.fmul(e.load(s, place), factor), lse))
            e.store(p, s, place)
            change = e.builder.fmul(e.builder.fsub(e.load(d, place), mean), factor)
            e.store(e.builder.fmul(p, change), d, place)


@Routine
def exponentials(rows, vectors, a, a_step, scale, results):
    """See `exp_rows`; at least one row and vector."""
    exp_rows((rows, vectors, a, a_step, scale, results))


@Routine
def softmax_gradients(rows, vectors, s, d, step, scale, results):
    """See `softmax_gradient_rows`; at least one row and vector."""
    softmax_gradient_rows((rows, vectors, s, d, step, scale, results))
