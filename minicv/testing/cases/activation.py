"""Cases of `minicv.autograd.activation`. Oracles are the definitions, one number at a time."""

import math

import numpy as np

from ...autograd import activation as a
from ...errors import ArgError, ShapeError
from ..registry import Bad, OpSpec, Sample
from .elementwise import call_errors, distinct, each, on_interval, precise, with_errors


def _relu6(x):
    return 0.0 if x <= 0 else 6.0 if x >= 6 else x


def _gelu(x, approximate="none"):
    if approximate == "none":
        return 0.5 * x * math.erfc(-x / math.sqrt(2))
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def _tanh(x):
    double = (2 * x).exp()
    return (double - 1) / (double + 1)


def _settings(low, high, *choices):
    """Every sample of the interval with every choice of settings in turn."""
    def samples(rng):
        cases = on_interval(low, high, [1e4, -1e4, 0.0])(rng)
        return ([Sample(s.inputs, choices[i % len(choices)], s.note) for i, s in enumerate(cases)]
                + [Sample((distinct(rng, (3, 4), low, high),), choice) for choice in choices])
    return samples


def _factor_errors(name, function):
    x = np.ones(3)
    return with_errors(*[Bad((x,), {name: value}, ArgError, f"{function}: {name} is")
                         for value in (-0.1, math.nan, math.inf, "a", None, np.ones(3))])


def _prelu(x, w):
    out = np.array(x)
    for at in np.ndindex(x.shape):
        slope = w[0] if w.size == 1 else w[at[1]]
        out[at] = x[at] if x[at] > 0 else slope * x[at]
    return out


def _prelu_samples(rng):
    shapes = [((2, 3), 3), ((2, 3, 2), 3), ((2, 3, 2, 2), 3), ((2, 3, 4), 1), ((5,), 1), ((), 1), ((1, 1), 1),
              ((0, 3), 3), ((2, 4, 1, 1), 4)]
    return [Sample((distinct(rng, shape), distinct(rng, (n,), 0.1, 0.4)), note=f"{shape}, {n} slopes")
            for shape, n in shapes] + [
        Sample((np.array([[1e30, -1e30]]), np.array([0.5, 0.25])), note="forward only")]


def _prelu_errors():
    x = np.ones((2, 3, 4))
    return [Bad((x, np.ones(4)), {}, ShapeError, r"prelu: w has shape \(4,\)"),
            Bad((x, np.ones((3, 1))), {}, ShapeError, r"\(3, 1\)"),
            Bad((np.ones(3), np.ones(3)), {}, ShapeError, r"x with shape \(3,\)"),
            Bad((x, np.ones(0)), {}, ShapeError, r"\(0,\)"),
            Bad((x,), {}, TypeError, "w")]


def specs():
    """Specs of all activation functions."""
    extreme = [1e4, -1e4, 0.0]
    x = np.ones(3)
    return [
        OpSpec(a.relu, each(lambda x: x if x > 0 else 0.0), on_interval(-3, 3, [*extreme, math.inf, -math.inf]),
               call_errors()),
        OpSpec(a.relu6, each(_relu6), on_interval(-4, 10, extreme), call_errors()),
        OpSpec(a.leaky_relu, each(lambda x, slope=0.01: x if x > 0 else slope * x),
               _settings(-3, 3, {}, dict(slope=0.2), dict(slope=0), dict(slope=1.5)),
               _factor_errors("slope", "leaky_relu")),
        OpSpec(a.prelu, _prelu, _prelu_samples, _prelu_errors),
        OpSpec(a.hardsigmoid, each(lambda x: _relu6(x + 3) / 6), on_interval(-5, 5, extreme), call_errors()),
        OpSpec(a.hardswish, each(lambda x: x * _relu6(x + 3) / 6), on_interval(-5, 5, extreme), call_errors()),
        OpSpec(a.elu, each(lambda x, alpha=1.0: x if x > 0 else alpha * math.expm1(x)),
               _settings(-3, 3, {}, dict(alpha=0.3), dict(alpha=2), dict(alpha=0)),
               _factor_errors("alpha", "elu")),
        OpSpec(a.silu, each(precise(lambda x: x / (1 + (-x).exp()))), on_interval(-4, 4, extreme), call_errors()),
        OpSpec(a.mish, each(precise(lambda x: x * _tanh((1 + x.exp()).ln()))),
               on_interval(-4, 4, [*extreme, 20.0, 19.9, -60.0]), call_errors()),
        OpSpec(a.gelu, each(_gelu), _settings(-4, 4, {}, dict(approximate="tanh"), dict(approximate="none")),
               with_errors(*[Bad((x,), dict(approximate=value), ArgError, "gelu: approximate is")
                             for value in ("erf", True, None)])),
    ]
