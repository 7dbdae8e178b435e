"""The linear maps of Winograd's algorithm as vector code: X to L X L^T, one channel in each lane.

The matrices are small and known, so their numbers go into the program: a zero costs nothing, +-1 is an addition or
subtraction. Points come in pairs +q and -q, which makes pairs of rows (or columns) equal up to signs; each pair
shares its sums.
"""

import numpy as np

from .simd import Routine, emitted
from .winograd import STEPS, matrix


def build_square(e, L, source, row, column, target, target_row, target_column, vectors):
    """target = L X L^T for the square X of vectors at `source`; steps count floats, `vectors` groups of lanes."""
    p, q = L.shape
    source, target = e.floats(source), e.floats(target)
    with e.range(vectors) as v:
        here, there = e.step(source, e.times(v, e.lanes)), e.step(target, e.times(v, e.lanes))
        half = []
        for j in range(q):
            X = [e.load(here, e.add(e.times(row, i), e.times(column, j))) for i in range(q)]
            half.append(linear(e, L, X))
        for i in range(p):
            for j, result in enumerate(linear(e, L, [half[k][i] for k in range(q)])):
                e.store(result, there, e.add(e.times(target_row, i), e.times(target_column, j)))


def linear(e, L, x):
    """The vectors L @ x."""
    L, x = _pair_columns(e, L.copy(), list(x))
    results = [None] * len(L)
    for i, row in enumerate(L):
        if results[i] is None:
            k = next((k for k in range(i + 1, len(L)) if _mirrored(row, L[k])), None)
            if k is None:
                results[i] = _sum(e, row, x)
            else:
                equal = np.isclose(row, L[k])
                same, other = _sum(e, row * equal, x), _sum(e, row * ~equal, x)
                results[i], results[k] = e.builder.fadd(same, other), e.builder.fsub(same, other)
    return results


def _pair_columns(e, L, x):
    """The same map of x where two inputs with mirrored columns are replaced by their sum and difference."""
    for i in range(len(x) - 1):
        if len(L) < len(x) and _mirrored(L[:, i], L[:, i + 1]):
            equal = np.isclose(L[:, i], L[:, i + 1])
            x[i], x[i + 1] = e.builder.fadd(x[i], x[i + 1]), e.builder.fsub(x[i], x[i + 1])
            L[:, i], L[:, i + 1] = L[:, i] * equal, L[:, i] * ~equal
    return L, x


def _mirrored(a, b):
    """Whether a and b are equal up to signs, some equal and some opposite."""
    equal, opposite = np.isclose(a, b), np.isclose(a, -b)
    return (equal | opposite).all() and (equal & ~opposite).any() and (opposite & ~equal).any()


def _sum(e, weights, x):
    """Sum of weights times vectors, +-1 first, as they need no multiplication."""
    terms = [(float(c), v) for c, v in zip(weights, x, strict=True) if abs(c) > 1e-12]
    terms.sort(key=lambda term: (abs(abs(term[0]) - 1) > 1e-12, -term[0]))
    total = None
    for c, v in terms:
        if abs(abs(c) - 1) < 1e-12:
            total = v if total is None and c > 0 else e.builder.fadd(total, v) if c > 0 else e.builder.fsub(
                total or e.constant(0), v)
        else:
            total = e.builder.fmul(v, e.constant(c)) if total is None else e.multiply_add(v, e.constant(c), total)
    return e.constant(0) if total is None else total


def _squares(m):
    """Intrinsic (step, source, ..., vectors): all steps for one side m behind a switch."""
    @emitted(8)
    def squares(e, which, *args):
        e.switch(which, {i: lambda step=step: build_square(e, matrix(step, m), *args) for i, step in enumerate(STEPS)})
    return squares


_squares_2, _squares_4 = _squares(2), _squares(4)


@Routine
def transform_2(step, source, row, column, target, target_row, target_column, vectors):
    """Step number `step` of `STEPS`, m = 2, of a tile of `vectors` times as many channels as there are lanes."""
    _squares_2((step, source, row, column, target, target_row, target_column, vectors))


@Routine
def transform_4(step, source, row, column, target, target_row, target_column, vectors):
    """As `transform_2`, m = 4."""
    _squares_4((step, source, row, column, target, target_row, target_column, vectors))
