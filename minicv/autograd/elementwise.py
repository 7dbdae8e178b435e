"""Element-wise operations. Arguments broadcast as in NumPy; Python scalars keep the precision.

Every rule is the derivative of one scalar function times the incoming gradient; where a function
has a kink the rule takes the value named in the docstring.
"""

import math

import numpy as np

from ..errors import ArgError
from ..kernels import elementary, special
from ..kernels.layout import room
from .op import array, op

# Arithmetic ---------------------------------------------------------------------------------------


@op(broadcast=True)
def add(a, b):
    """a + b."""
    return np.add(a, b, out=room(a, b))


@op(broadcast=True)
def sub(a, b):
    """a - b."""
    return np.subtract(a, b, out=room(a, b))


@op(broadcast=True)
def mul(a, b):
    """a * b."""
    return np.multiply(a, b, out=room(a, b))


@op(broadcast=True)
def div(a, b):
    """a / b; division by zero gives infinity or NaN as in NumPy, without a warning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.true_divide(a, b, out=room(a, b))


@op
def neg(x):
    """-x."""
    return np.negative(x, out=room(x))


@op(broadcast=True)
def power(a, b):
    """a ** b. The derivative with respect to b is taken as 0 where a <= 0, and 0 ** 0 is flat in a.

    >>> power(np.array([1.0, 2.0, 3.0]), 2)
    array([1., 4., 9.])
    """
    if _is_integer(a) and _is_integer(b) and np.any(np.less(b, 0)):
        raise ArgError("power: b has a negative integer, expected a float for a negative power")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.power(a, b)


def _is_integer(x):
    return np.asarray(x).dtype.kind in "iu"


def _power_base_rule(g, y, a, b):
    if isinstance(b, (int, float)):
        return g * (b * power(a, b - 1)) if b != 0 else g * 0.0
    flat = (array(a) == 0) & (array(b) == 0)
    return g * where(flat, 0.0, b * power(where(flat, 1.0, a), b - 1))


def _power_exponent_rule(g, y, a, b):
    if isinstance(a, (int, float)):
        return g * (power(a, b) * math.log(a)) if a > 0 else g * 0.0
    inside = array(a) > 0
    safe = where(inside, a, 1.0)
    return g * where(inside, power(safe, b) * log(safe), 0.0)


add.vjp(lambda g, y, a, b: g,
        lambda g, y, a, b: g, saves=())
sub.vjp(lambda g, y, a, b: g,
        lambda g, y, a, b: -g, saves=())
mul.vjp(lambda g, y, a, b: g * b,
        lambda g, y, a, b: g * a)
div.vjp(lambda g, y, a, b: div(g, b),
        lambda g, y, a, b: -div(g * div(a, b), b))
neg.vjp(lambda g, y, x: -g, saves=())
power.vjp(_power_base_rule, _power_exponent_rule)


# Choosing -----------------------------------------------------------------------------------------


@op(broadcast=True)
def where(condition, a, b):
    """a where `condition` is true, else b. `condition` has no derivative.

    NB: a NaN or infinity in the derivative of the branch not taken still spoils the sum (0 * inf);
    give that branch a safe argument first, as the losses of this library do.
    """
    return np.where(condition, a, b)


@op(broadcast=True)
def maximum(a, b):
    """Larger of a and b; NaN wins. At a tie each side gets half of the gradient."""
    return np.maximum(a, b, out=room(a, b))


@op(broadcast=True)
def minimum(a, b):
    """Smaller of a and b; NaN wins. At a tie each side gets half of the gradient."""
    return np.minimum(a, b, out=room(a, b))


def _share(g, winner, loser):
    """g where winner > loser, half of it at a tie or beside a NaN."""
    return g * np.where(winner > loser, 1.0, np.where(winner < loser, 0.0, 0.5)).astype(g.dtype)


@op
def clip(x, *, low=None, high=None):
    """x limited to [low, high]; the gradient passes inside and at the limits.

    >>> clip(np.array([-2.0, 0.5, 9.0]), low=0, high=1)
    array([0. , 0.5, 1. ])
    """
    low, high = _limit("low", low), _limit("high", high)
    if low is None and high is None:
        raise ArgError("clip: low and high are None, expected at least one limit")
    if low is not None and high is not None and low > high:
        raise ArgError(f"clip: low is {low}, expected at most high = {high}")
    return np.clip(x, low, high)


def _limit(name, value):
    """A limit as a Python number, so that it does not raise the precision."""
    if value is None:
        return None
    if not isinstance(value, (int, float, np.integer, np.floating)) or value != value:
        raise ArgError(f"clip: {name} is {value!r}, expected a number or None")
    return value.item() if isinstance(value, np.generic) else value


def _inside(x, low, high):
    return (x >= (-np.inf if low is None else low)) & (x <= (np.inf if high is None else high))


@op
def absolute(x):
    """abs(x); derivative 0 at 0."""
    return np.abs(x, out=room(x))


where.vjp(None,
          lambda g, y, c, a, b: where(c, g, 0.0),
          lambda g, y, c, a, b: where(c, 0.0, g), saves=("condition",))
maximum.vjp(lambda g, y, a, b: _share(g, array(a), array(b)),
            lambda g, y, a, b: _share(g, array(b), array(a)))
minimum.vjp(lambda g, y, a, b: _share(g, array(b), array(a)),
            lambda g, y, a, b: _share(g, array(a), array(b)))
clip.vjp(lambda g, y, x, low=None, high=None: where(_inside(array(x), low, high), g, 0.0))
absolute.vjp(lambda g, y, x: g * np.sign(array(x)))

# Steps: constant between their jumps, so they have no rule and cut the graph ----------------------


@op
def sign(x):
    """-1, 0 or 1. Not differentiable: the result does not require a gradient."""
    return np.sign(x)


@op
def floor(x):
    """Largest integer not above x. Not differentiable: the result does not require a gradient."""
    return np.floor(x)


# Exponentials and roots ---------------------------------------------------------------------------


@op
def exp(x):
    """e ** x."""
    return elementary.compute("exp", _exp, x)


def _exp(x):
    with np.errstate(over="ignore"):
        return np.exp(x, out=room(x))


@op
def expm1(x):
    """e ** x - 1 without cancellation near 0."""
    with np.errstate(over="ignore"):
        return np.expm1(x, out=room(x))


@op
def log(x):
    """Natural logarithm; -inf at 0, NaN below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x, out=room(x))


@op
def log1p(x):
    """log(1 + x) without cancellation near 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log1p(x, out=room(x))


@op
def sqrt(x):
    """Square root; its derivative at 0 is infinite."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(x, out=room(x))


@op
def rsqrt(x):
    """1 / sqrt(x)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 / np.sqrt(x)


exp.vjp(lambda g, y, x: g * y, saves=("y",))
expm1.vjp(lambda g, y, x: g * (y + 1.0), saves=("y",))
log.vjp(lambda g, y, x: div(g, x))
log1p.vjp(lambda g, y, x: div(g, x + 1.0))
sqrt.vjp(lambda g, y, x: div(g * 0.5, y), saves=("y",))
rsqrt.vjp(lambda g, y, x: g * (-0.5 * y * y * y), saves=("y",))


# Trigonometry -------------------------------------------------------------------------------------


@op
def sin(x):
    """Sine of an angle in radians."""
    return np.sin(x, out=room(x))


@op
def cos(x):
    """Cosine of an angle in radians."""
    return np.cos(x, out=room(x))


@op
def tan(x):
    """Tangent of an angle in radians."""
    return np.tan(x)


@op
def arcsin(x):
    """Inverse sine in [-pi/2, pi/2]; the derivative is infinite at -1 and 1."""
    with np.errstate(invalid="ignore"):
        return np.arcsin(x)


@op
def arccos(x):
    """Inverse cosine in [0, pi]; the derivative is infinite at -1 and 1."""
    with np.errstate(invalid="ignore"):
        return np.arccos(x)


@op
def arctan(x):
    """Inverse tangent in (-pi/2, pi/2)."""
    return np.arctan(x)


@op(broadcast=True)
def arctan2(a, b):
    """Angle of the point (b, a) in (-pi, pi]; derivative 0 at the origin."""
    return np.arctan2(a, b)


def _over_square_norm(part, a, b):
    """part / (a^2 + b^2), and 0 at the origin.

    Both are first divided by a scale, lest the squares overflow or vanish. The result is the same
    for every scale, so the scale counts as a constant and may be read from the values.
    """
    size = np.maximum(np.abs(array(a)), np.abs(array(b)))
    usable = (size > 0) & np.isfinite(size)
    scale = np.where(usable, size, 1).astype(size.dtype)
    a, b, part = div(a, scale), div(b, scale), div(part, scale)
    square = a * a + b * b
    zero = array(square) == 0
    return where(zero, 0.0, div(part, where(zero, 1.0, square) * scale))


sin.vjp(lambda g, y, x: g * cos(x))
cos.vjp(lambda g, y, x: -g * sin(x))
tan.vjp(lambda g, y, x: g * (1.0 + y * y), saves=("y",))
arcsin.vjp(lambda g, y, x: g * rsqrt((1.0 - x) * (1.0 + x)))
arccos.vjp(lambda g, y, x: -g * rsqrt((1.0 - x) * (1.0 + x)))
arctan.vjp(lambda g, y, x: div(g, 1.0 + x * x))
arctan2.vjp(lambda g, y, a, b: g * _over_square_norm(b, a, b),
            lambda g, y, a, b: -g * _over_square_norm(a, a, b))


# S-shaped functions -------------------------------------------------------------------------------


@op
def tanh(x):
    """Hyperbolic tangent."""
    return elementary.compute("tanh", np.tanh, x)


@op
def sigmoid(x):
    """1 / (1 + e ** -x); where e ** -x overflows the result is 0, which it would round to anyway.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return elementary.compute("sigmoid", _sigmoid, x)


def _sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(0.0 - x))


@op
def softplus(x):
    """log(1 + e ** x) = max(x, 0) + log(1 + e ** -|x|), which cannot overflow."""
    return elementary.compute("softplus", _softplus, x)


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(0.0 - np.abs(x)))


@op
def erf(x):
    """Error function 2 / sqrt(pi) * integral of exp(-s^2) from 0 to x, within 2 ulp."""
    return special.erf(x)


# `compute` takes the loop for arrays, and the formula for Tensors, where the rule itself is recorded.
tanh.vjp(lambda g, y, x: elementary.compute("tanh_slope", lambda g, y: g * (1.0 - y * y), g, y), saves=("y",))
sigmoid.vjp(lambda g, y, x: elementary.compute("sigmoid_slope", lambda g, y: g * (y * (1.0 - y)), g, y),
            saves=("y",))
softplus.vjp(lambda g, y, x: elementary.compute("softplus_slope", lambda g, x: g * sigmoid(x), g, x))
erf.vjp(lambda g, y, x: g * (2 / math.sqrt(math.pi) * exp(-(x * x))))
