"""Cases of `minicv.autograd.elementwise`. Oracles work on one number at a time, with Python's own
`math`, exact fractions or decimals of 80 digits."""

import decimal
import math
from fractions import Fraction

import numpy as np

from ...autograd import elementwise as e
from ...errors import ArgError, ShapeError
from ..registry import Bad, OpSpec, Sample

# Tools for all families -----------------------------------------------------------------------------


def distinct(rng, shape, low=-3.0, high=3.0):
    """Numbers of [low, high) in random order, all at least (high - low) / size apart.

    They sit 0.3 steps from the grid of steps, so none lies on the middle of the interval.
    """
    n = math.prod(shape)
    return np.asarray(low + (rng.permutation(n).reshape(shape) + 0.3) * ((high - low) / max(n, 1)))


def each(function):
    """Oracle of an element-wise op from a function of numbers."""
    def ref(*inputs, **settings):
        grid = np.broadcast(*inputs)
        values = [function(*map(_number, at), **settings) for at in grid]
        return np.array(values, dtype=float).reshape(grid.shape)
    return ref


def _number(x):
    return x.item() if isinstance(x, np.generic) else x


def precise(function):
    """A function of decimals as a function of floats."""
    def rounded(x, **settings):
        with decimal.localcontext(prec=80, traps=[]):
            return float(function(decimal.Decimal(x), **settings))
    return rounded


def exactly(function):
    """A function of fractions as one of floats; infinite arguments stay floats."""
    def rounded(*values):
        finite = all(map(math.isfinite, values))
        return float(function(*map(Fraction, values)) if finite else function(*values))
    return rounded


def guarded(function, pole=math.inf, outside=math.nan):
    """A function of `math` that answers as IEEE arithmetic does where Python raises."""
    def value(*xs):
        try:
            return function(*xs)
        except OverflowError:
            return math.inf
        except ZeroDivisionError:
            return pole
        except ValueError:
            return outside
    return value


def on_interval(low, high, extreme=()):
    """`samples` of an op with one argument from [low, high), smooth there; `extreme` values in float64."""
    def samples(rng):
        def draw(*shape):
            return distinct(rng, shape, low, high)
        cases = [Sample((draw(),), note="scalar"), Sample((draw(1),), note="one element"),
                 Sample((draw(3, 4),)), Sample((draw(7),)), Sample((draw(2, 1, 3),), note="axis of size 1"),
                 Sample((draw(2, 2, 3, 2),)), Sample((draw(1, 1),)), Sample((draw(9, 8),), note="directions"),
                 Sample((draw(0, 3),), note="empty"), Sample((draw(2, 0),), note="empty")]
        if len(extreme):
            cases.append(Sample((np.array(extreme),), note="extreme, float64 only, forward only"))
        return cases
    return samples


def call_errors(**settings):
    """Bad calls that every op of one array refuses, called with good `settings` otherwise."""
    def errors():
        x = np.ones((2, 3))
        return [Bad((np.array(["a", "b"]),), settings, TypeError, "dtype|ufunc"),
                Bad((np.array([{}, {}]),), settings, TypeError, "dtype|ufunc|dict|support"),
                Bad((x,), {**settings, "colour": 1}, TypeError, "colour"),
                Bad((x, x, x), settings, TypeError, "positional"),
                Bad((), settings, TypeError, "x")]
    return errors


def with_errors(*bad, **settings):
    """`call_errors` and more."""
    return lambda: [*call_errors(**settings)(), *bad]


# Two arguments --------------------------------------------------------------------------------------

PAIRS = [((), ()), ((1,), (1,)), ((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)),
         ((2, 1, 3), (4, 1)), ((1, 1, 2), (3, 2)), ((0, 3), (1, 3)), ((2, 0), (1,))]


def pairs(low, high, low2=None, high2=None, extreme=()):
    """`samples` of an op with two arguments that broadcast."""
    low2, high2 = (low, high) if low2 is None else (low2, high2)

    def samples(rng):
        cases = []
        for first, second in PAIRS:
            a = distinct(rng, first, low, high)
            b = np.asarray(distinct(rng, second, low2, high2) + 0.0317 * (high2 - low2))
            cases.append(Sample((a, b), note=f"{first} with {second}"))
        cases += [Sample((distinct(rng, (2, 3), low, high), float(low2 + 0.61 * (high2 - low2)))),
                  Sample((float(low + 0.57 * (high - low)), distinct(rng, (2, 3), low2, high2)))]
        for a, b in extreme:
            cases.append(Sample((np.array(a), np.array(b)), note="extreme, float64 only, forward only"))
        return cases
    return samples


def pair_errors(name):
    """Bad calls that every op of two arrays refuses."""
    def errors():
        x = np.ones((2, 3))
        return [Bad((x, np.ones(2)), {}, ShapeError, rf"{name}: .*\(2, 3\) and \(2,\)"),
                Bad((np.ones((4, 1, 2)), np.ones((3, 2, 2, 3))), {}, ShapeError, "broadcast"),
                Bad((x, np.array("a")), {}, TypeError, "ufunc|dtype"),
                Bad((x, x), {"axis": 0}, TypeError, "axis"),
                Bad((x,), {}, TypeError, "b")]
    return errors


BIG = [([1e300, -1e300, 1e-300, np.inf], [1e300, 2.0, 3e-300, -np.inf])]


def _divide(a, b):
    if b == 0:
        return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1, b)
    return guarded(lambda: exactly(lambda p, q: p / q)(a, b))()


def _power(a, b):
    value = guarded(lambda: a ** b)()
    return value if isinstance(value, float) else math.nan


def _times(a, b):
    return guarded(lambda: exactly(lambda p, q: p * q)(a, b))()


def _arithmetic():
    yield OpSpec(e.add, each(exactly(lambda a, b: a + b)), pairs(-3, 3, extreme=BIG[:1]),
                 pair_errors("add"))
    yield OpSpec(e.sub, each(exactly(lambda a, b: a - b)), pairs(-3, 3, extreme=BIG[:1]),
                 pair_errors("sub"))
    yield OpSpec(e.mul, each(_times), pairs(-3, 3, extreme=BIG), pair_errors("mul"))
    yield OpSpec(e.div, each(_divide), pairs(-3, 3, 0.5, 2, BIG + [([1.0, -1.0, 0.0], [0.0, 0.0, 0.0])]),
                 pair_errors("div"))
    yield OpSpec(e.neg, each(exactly(lambda a: -a)), on_interval(-3, 3, [1e300, -np.inf, 0.0]),
                 call_errors())
    yield OpSpec(e.power, each(_power), _powers, power_errors)


def _powers(rng):
    scalar = [Sample((distinct(rng, (2, 3), 0.4, 3), b), note=f"** {b}") for b in (2, 0.5, -1, 0, 1, 3.0)]
    negative = [Sample((distinct(rng, (2, 3), -3, -0.4), b), note=f"** {b}") for b in (2, 3, -2)]
    special = [([0.0, 0.0, 0.0, -8.0, np.inf], [0.0, 2.0, -1.0, 1 / 3, -1.0])]
    return pairs(0.3, 3, -2, 2, special)(rng) + scalar + negative


def power_errors():
    integers = np.array([1, 2])
    return pair_errors("power")() + [Bad((integers, np.array([-1, 2])), {}, ArgError, "power: b")]


# Choosing -------------------------------------------------------------------------------------------


def _where_samples(rng):
    masks = [np.asarray(rng.random(shape) < 0.5) for shape in [(), (1,), (3, 4), (4,), (3, 1), (2, 3), (4, 3)]]
    shapes = [((), ()), ((1,), (1,)), ((3, 4), (3, 4)), ((3, 4), (1,)), ((1, 4), (3, 4)), ((), (2, 3)),
              ((2, 1, 3), (4, 1))]
    cases = [Sample((mask, distinct(rng, a), distinct(rng, b)))
             for mask, (a, b) in zip(masks, shapes, strict=True)]
    return cases + [Sample((masks[2], distinct(rng, (3, 4)), 0.5)), Sample((masks[2], -1, distinct(rng, (4,)))),
                    Sample((np.zeros((0, 3), bool), distinct(rng, (0, 3)), distinct(rng, (3,)))),
                    Sample((np.array([True, False]), np.array([1e300, np.inf]), np.array([np.inf, -1e300])),
                           note="float64 only, forward only")]


def _where_errors():
    mask, x = np.array([True, False]), np.ones(2)
    return [Bad((mask, np.ones(3), x), {}, ShapeError, r"where: .*\(2,\) and \(3,\) and \(2,\)"),
            Bad((np.ones((3, 3), bool), x, x), {}, ShapeError, "broadcast"),
            Bad((mask, x), {}, TypeError, "b"), Bad((mask, x, x), {"axis": 0}, TypeError, "axis"),
            Bad((mask, x, x, x), {}, TypeError, "positional")]


def _clip_samples(rng):
    limits = [dict(low=-1.03, high=1.04), dict(low=0.01), dict(high=-0.52), dict(low=-9, high=9)]
    cases = on_interval(-3, 3)(rng)
    return ([Sample(s.inputs, limits[i % 4], s.note) for i, s in enumerate(cases)]
            + [Sample((distinct(rng, (3, 4)),), limit) for limit in limits]
            + [Sample((np.array([-np.inf, 1e300, 1.0, -1.0]),), dict(low=-1, high=1), "float64 only, forward only")])


def _clip(x, low=-math.inf, high=math.inf):
    return low if x < low else high if x > high else x


def _choosing():
    ties = [([1.0, -2.0, np.inf], [1.0, 5.0, -np.inf])]
    yield OpSpec(e.where, each(lambda c, a, b: a if c else b), _where_samples, _where_errors, nan="selects")
    yield OpSpec(e.maximum, each(lambda a, b: b if b > a else a), pairs(-3, 3, extreme=ties),
                 pair_errors("maximum"))
    yield OpSpec(e.minimum, each(lambda a, b: b if b < a else a), pairs(-3, 3, extreme=ties),
                 pair_errors("minimum"))
    x = np.ones(3)
    yield OpSpec(e.clip, each(_clip), _clip_samples, with_errors(
        Bad((x,), {}, ArgError, "clip: low and high are None"),
        Bad((x,), dict(low=2, high=1), ArgError, "clip: low is 2, expected at most high = 1"),
        Bad((x,), dict(low="a"), ArgError, "clip: low is 'a'"),
        Bad((x,), dict(high=math.nan), ArgError, "clip: high is nan"),
        Bad((x,), dict(low=np.zeros(3)), ArgError, "clip: low is array"), low=0))
    yield OpSpec(e.absolute, each(lambda x: x if x > 0 else -x), on_interval(-3, 3, [-1e300, -np.inf]),
                 call_errors())
    yield OpSpec(e.sign, each(lambda x: (x > 0) - (x < 0)), on_interval(-3, 3, [0.0, np.inf]), call_errors(),
                 order=0, why="constant between its jumps")
    yield OpSpec(e.floor, each(lambda x: x // 1), on_interval(-3, 3, [-2.0, 5.0, 1e300]), call_errors(),
                 order=0, why="constant between its jumps")


# Smooth functions -------------------------------------------------------------------------------------

def _smooth():
    inf = math.inf
    log = guarded(lambda x: math.log(x) if x else -inf)
    table = [
        (e.exp, guarded(math.exp), -3, 3, [710.0, -750.0, -inf, inf]),
        (e.expm1, guarded(math.expm1), -3, 3, [710.0, 1e-18, -inf]),
        (e.log, log, 0.3, 5, [0.0, -1.0, inf, 1e300, 5e-324]),
        (e.log1p, guarded(lambda x: math.log1p(x) if x != -1 else -inf), -0.6, 4, [-1.0, -2.0, 1e-18, inf]),
        (e.sqrt, guarded(math.sqrt), 0.3, 5, [0.0, -1.0, 1e300, inf]),
        (e.rsqrt, guarded(lambda x: 1 / math.sqrt(x)), 0.3, 5, [0.0, -1.0, 1e300, inf]),
        (e.sin, math.sin, -4, 4, [1e5, 1e-300]),
        (e.cos, math.cos, -4, 4, [1e5, 1e-300]),
        (e.tan, math.tan, -1.2, 1.2, [1e5, 1e-300]),
        (e.arcsin, guarded(math.asin), -0.9, 0.9, [1.0, -1.0, 1.5]),
        (e.arccos, guarded(math.acos), -0.9, 0.9, [1.0, -1.0, 1.5]),
        (e.arctan, math.atan, -4, 4, [1e300, -inf]),
        (e.tanh, math.tanh, -3, 3, [1e300, -inf, 1e-300]),
        (e.sigmoid, precise(lambda x: 1 / (1 + (-x).exp())), -4, 4, [1e4, -1e4, inf, -inf, 40.0, -40.0]),
        (e.softplus, precise(lambda x: (1 + x.exp()).ln()), -4, 4, [1e4, -1e4, inf, -inf, 40.0, -40.0]),
        (e.erf, math.erf, -2.5, 2.5, [7.0, -1e300, inf, 1e-300, 1.0, -1.0, 5.99]),
    ]
    for op, function, low, high, extreme in table:
        yield OpSpec(op, each(function), on_interval(low, high, extreme), call_errors())
    yield OpSpec(e.arctan2, each(math.atan2),
                 pairs(-3, 3, 1, 4, [([0.0, -0.0, 1.0, 1e300], [0.0, -1.0, -np.inf, 1e-300])]),
                 pair_errors("arctan2"))


def specs():
    """Specs of all element-wise ops."""
    return [*_arithmetic(), *_choosing(), *_smooth()]
