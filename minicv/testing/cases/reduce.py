"""Cases of `minicv.autograd.reduce`. Oracles go through the results one by one, with exact sums."""

import decimal
import math
from fractions import Fraction

import numpy as np

from ...autograd import reduce as r
from ...errors import ArgError, DTypeError, ShapeError
from ..registry import Bad, OpSpec, Sample
from .elementwise import distinct, with_errors

AXES = [None, 0, 1, -1, (0, 2), (1, -1), (0, 1, 2), ()]


def over(function):
    """Oracle of a reduction from a function of the list of numbers that go into one result."""
    def ref(x, axis=None, keepdims=False, **settings):
        axes = _axes(x, axis)
        kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
        out = np.empty(kept)
        for at in np.ndindex(*kept):
            part = x[tuple(slice(None) if i in axes else k for i, k in enumerate(at))]
            out[at] = function(np.ravel(part).tolist(), **settings)
        return out if keepdims else out.reshape([n for i, n in enumerate(x.shape) if i not in axes])
    return ref


def _axes(x, axis):
    if axis is None:
        return range(x.ndim)
    return [a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))]


def _mean(values):
    return math.fsum(values) / len(values) if values else math.nan


def _var(values, ddof=0):
    if not values:
        return math.nan
    exact = [Fraction(v) for v in values]
    mean = sum(exact) / len(exact)
    return float(sum((v - mean) ** 2 for v in exact) / (len(exact) - ddof))


def _prod(values):
    return float(math.prod(map(Fraction, values)))


def _logsumexp(values):
    with decimal.localcontext(prec=80, traps=[]):
        return float(sum((decimal.Decimal(v).exp() for v in values), decimal.Decimal(0)).ln())


def _cumsum(x, axis=0, reverse=False):
    moved = np.moveaxis(np.array(x), axis, -1)
    out = np.empty(moved.shape)
    for at in np.ndindex(moved.shape):
        row, i = moved[at[:-1]].tolist(), at[-1]
        out[at] = math.fsum(row[i:] if reverse else row[:i + 1])
    return np.moveaxis(out, -1, axis)


def _center(x, axis=None):
    axes, out = _axes(x, axis), np.empty(x.shape)
    for at in np.ndindex(x.shape):
        part = x[tuple(slice(None) if i in axes else k for i, k in enumerate(at))]
        exact = [Fraction(v) for v in np.ravel(part).tolist()]
        out[at] = float(Fraction(x[at].item()) - sum(exact) / len(exact))
    return out


def reductions(*extra, low=-3.0, high=3.0, keepdims=True, empty=((0, 3), (2, 0, 3))):
    """`samples` over shapes, axes and keepdims, and `extra` samples."""
    def samples(rng):
        shapes = [(), (1,), (5,), (3, 4), (2, 1, 3), (1, 1), *empty]
        cases = [Sample((distinct(rng, shape, low, high),), note=str(shape)) for shape in shapes]
        for i, axis in enumerate(AXES):
            settings = dict(axis=axis, keepdims=i % 2 == 0) if keepdims else dict(axis=axis)
            cases.append(Sample((distinct(rng, (2, 3, 4), low, high),), settings, f"axis {axis}"))
        return cases + [Sample((distinct(rng, (9, 8), low, high),), dict(axis=1)), *extra]
    return samples


def axis_errors(name, *bad):
    """Bad calls that every reduction refuses, and more."""
    x = np.ones((2, 3))
    return with_errors(
        Bad((x,), dict(axis=2), ArgError, f"{name}: axis is 2, expected"),
        Bad((x,), dict(axis=-3), ArgError, f"{name}: axis is -3"),
        Bad((x,), dict(axis=1.0), DTypeError, f"{name}: axis is 1.0, expected an integer"),
        Bad((x,), dict(axis=True), DTypeError, f"{name}: axis is True"),
        Bad((x,), dict(axis="rows"), DTypeError, f"{name}: axis is 'rows'"),
        Bad((x,), dict(axis=[0, 1]), DTypeError, rf"{name}: axis is \[0, 1\]"), *bad)


def _tuple_errors(name, *bad):
    x = np.ones((2, 3))
    return axis_errors(name, Bad((x,), dict(axis=(0, -2)), ArgError, rf"{name}: axis is \(0, -2\)"),
                       Bad((x,), dict(axis=(0, 5)), ArgError, f"{name}: axis is 5"), *bad)


def _wide(*values, **settings):
    return Sample((np.array(values),), settings, "extreme, float64 only, forward only")


def _sums():
    yield OpSpec(r.sum, over(math.fsum), reductions(_wide(1e300, -1e300, 1.0), _wide(np.inf, 1.0)),
                 _tuple_errors("sum"))
    yield OpSpec(r.cumsum, _cumsum, _cumsum_samples,
                 axis_errors("cumsum", Bad((np.ones(2),), dict(axis=None), DTypeError, "cumsum: axis is None")))
    zeros = [Sample((np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 4.0], [1.5, 2.5, 0.0]]),), dict(axis=axis), "zeros")
             for axis in (0, 1, None)]
    yield OpSpec(r.prod, over(_prod), reductions(*zeros, _wide(1e200, 1e-200, 3.0), low=-1.6, high=1.9),
                 _tuple_errors("prod"))


def _cumsum_samples(rng):
    shapes = [(1,), (5,), (3, 4), (2, 1, 3), (0, 3), (3, 0)]
    cases = [Sample((distinct(rng, shape),), note=str(shape)) for shape in shapes]
    return cases + [Sample((distinct(rng, (2, 3, 4)),), dict(axis=axis, reverse=reverse))
                    for axis in (0, 1, -1) for reverse in (False, True)] + [_wide(1e300, 1.0, -1e300)]


def _statistics():
    offset = [_wide(1e8 + 1, 1e8 - 1, 1e8 + 2.5), _wide(1e-200, 3e-200)]
    more = [Sample((np.array([[1.0, 2.0, 4.5], [0.3, -1.0, 2.0]]),), dict(axis=axis, ddof=1), "ddof")
            for axis in (0, 1, None)]
    x = np.ones((2, 3))
    ddof = [(dict(ddof=-1), "ddof is -1"), (dict(ddof=6), "ddof is 6"), (dict(axis=0, ddof=2), "ddof is 2")]
    yield OpSpec(r.mean, over(_mean), reductions(*offset), _tuple_errors("mean"))
    yield OpSpec(r.center, _center, reductions(*offset, keepdims=False), _tuple_errors("center"))
    for op, function in ((r.var, _var), (r.std, lambda v, ddof=0: math.sqrt(_var(v, ddof)))):
        yield OpSpec(op, over(function), _spread_out(op, [*offset, *more]), _tuple_errors(
            op.name, *[Bad((x,), settings, ArgError, f"{op.name}: {text}") for settings, text in ddof]))


def _spread_out(op, extra):
    """The deviation of a single element has a kink at 0, so `std` is not differentiated there."""
    def samples(rng):
        cases = reductions(*extra)(rng)
        if op is r.std:
            cases = [s if _several(s) else s._replace(note=s.note + ", forward only") for s in cases]
        return cases
    return samples


def _several(sample):
    x = sample.inputs[0]
    return math.prod(x.shape[a] for a in _axes(x, sample.settings.get("axis"))) > 1


def _extremes():
    ties = [Sample((np.array([[2.0, 1.0, 2.0], [1.0, 1.0, 1.0]]),), dict(axis=axis), "ties, forward only")
            for axis in (None, 0, 1)]
    for op, function in ((r.max, max), (r.min, min)):
        yield OpSpec(op, over(function), _not_empty(*ties, _wide(-np.inf, 1e300, np.inf)), _tuple_errors(
            op.name, Bad((np.ones((0, 3)),), {}, ShapeError, rf"{op.name}: x has shape \(0, 3\)"),
            Bad((np.ones((2, 0)),), dict(axis=1), ShapeError, "at least one element")))


def _not_empty(*extra):
    empty = [Sample((np.ones((0, 3)),), dict(axis=1), "empty"), Sample((np.ones((0, 3)),), dict(axis=()), "empty")]
    return reductions(*extra, *empty, empty=())


def _norms():
    yield OpSpec(r.norm, over(lambda values: math.hypot(*values)),
                 reductions(_wide(3e100, 4e100), _wide(0.0, 0.0), _wide(np.inf, 1.0)), _tuple_errors("norm"))
    inf = np.inf
    yield OpSpec(r.logsumexp, over(_logsumexp), reductions(
        _wide(1e4, -1e4, 0.0), _wide(-inf, -inf), _wide(inf, 1.0), _wide(-inf, 2.0), _wide(800.0, 800.0)),
        _tuple_errors("logsumexp"))


def specs():
    """Specs of all reductions."""
    return [*_sums(), *_statistics(), *_extremes(), *_norms()]
