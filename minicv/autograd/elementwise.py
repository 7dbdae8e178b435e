"""Element-wise operations. Arguments broadcast as in NumPy; Python scalars never raise the precision.

Every rule is the derivative of one scalar function times the incoming gradient; where a function has a
kink the rule takes the value named in the docstring.
"""

import numpy as np

from ..errors import ArgError
from .op import array, op

# Arithmetic ----------------------------------------------------------------------------------------


@op(broadcast=True)
def add(a, b):
    """a + b."""
    return np.add(a, b)


@op(broadcast=True)
def sub(a, b):
    """a - b."""
    return np.subtract(a, b)


@op(broadcast=True)
def mul(a, b):
    """a * b."""
    return np.multiply(a, b)


@op(broadcast=True)
def div(a, b):
    """a / b; division by zero gives infinity or NaN as in NumPy, without a warning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.true_divide(a, b)


@op
def neg(x):
    """-x."""
    return np.negative(x)


@op(broadcast=True)
def power(a, b):
    """a ** b. The derivative with respect to b is taken as 0 where a <= 0, and 0 ** 0 is flat in a."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.power(a, b)


def _power_base_rule(g, y, a, b):
    if isinstance(b, (int, float)):
        return g * (b * power(a, b - 1)) if b != 0 else g * 0.0
    flat = array(b) == 0
    return g * where(flat, 0.0, b * power(a, where(flat, 1.0, b - 1)))


def _power_exponent_rule(g, y, a, b):
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


# Choosing ------------------------------------------------------------------------------------------


@op(broadcast=True)
def where(condition, a, b):
    """a where `condition` is true, else b. `condition` has no derivative.

    NB: a NaN or infinity in the derivative of the branch not taken still spoils the sum (0 * inf); give
    that branch a safe argument first, as the losses of this library do.
    """
    return np.where(condition, a, b)


where.vjp(None,
          lambda g, y, c, a, b: where(c, g, 0.0),
          lambda g, y, c, a, b: where(c, 0.0, g), saves=("condition",))


@op(broadcast=True)
def maximum(a, b):
    """Larger of a and b; NaN wins. At a tie each side gets half of the gradient."""
    return np.maximum(a, b)


@op(broadcast=True)
def minimum(a, b):
    """Smaller of a and b; NaN wins. At a tie each side gets half of the gradient."""
    return np.minimum(a, b)


def _share(wins, ties):
    return np.where(ties, 0.5, wins)


def _weight(g, share):
    return g * share.astype(g.dtype)


maximum.vjp(lambda g, y, a, b: _weight(g, _share(array(a) > array(b), array(a) == array(b))),
            lambda g, y, a, b: _weight(g, _share(array(b) > array(a), array(a) == array(b))))
minimum.vjp(lambda g, y, a, b: _weight(g, _share(array(a) < array(b), array(a) == array(b))),
            lambda g, y, a, b: _weight(g, _share(array(b) < array(a), array(a) == array(b))))


@op
def clip(x, *, low=None, high=None):
    """x limited to [low, high]; the gradient passes inside and at the limits."""
    if low is not None and high is not None and not low <= high:
        raise ArgError(f"clip: low is {low}, expected at most high = {high}")
    return np.clip(x, low, high)


def _inside(x, low, high):
    keep = np.ones(x.shape, bool)
    if low is not None:
        keep &= x >= low
    if high is not None:
        keep &= x <= high
    return keep


clip.vjp(lambda g, y, x, low=None, high=None: where(_inside(array(x), low, high), g, 0.0))


@op
def absolute(x):
    """abs(x); derivative 0 at 0."""
    return np.abs(x)


absolute.vjp(lambda g, y, x: g * np.sign(array(x)))


# Exponentials and roots ------------------------------------------------------------------------------


@op
def exp(x):
    """e ** x."""
    with np.errstate(over="ignore"):
        return np.exp(x)


@op
def expm1(x):
    """e ** x - 1 without cancellation near 0."""
    with np.errstate(over="ignore"):
        return np.expm1(x)


@op
def log(x):
    """Natural logarithm; -inf at 0, NaN below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)


@op
def log1p(x):
    """log(1 + x) without cancellation near 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log1p(x)


@op
def sqrt(x):
    """Square root; its derivative at 0 is infinite."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


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


# Trigonometry ----------------------------------------------------------------------------------------


@op
def sin(x):
    """Sine of an angle in radians."""
    return np.sin(x)


@op
def cos(x):
    """Cosine of an angle in radians."""
    return np.cos(x)


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
    square = a * a + b * b
    zero = array(square) == 0
    return where(zero, 0.0, div(part, where(zero, 1.0, square)))


sin.vjp(lambda g, y, x: g * cos(x))
cos.vjp(lambda g, y, x: -g * sin(x))
tan.vjp(lambda g, y, x: g * (1.0 + y * y), saves=("y",))
arcsin.vjp(lambda g, y, x: g * rsqrt(1.0 - x * x))
arccos.vjp(lambda g, y, x: -g * rsqrt(1.0 - x * x))
arctan.vjp(lambda g, y, x: div(g, 1.0 + x * x))
arctan2.vjp(lambda g, y, a, b: g * _over_square_norm(b, a, b),
            lambda g, y, a, b: -g * _over_square_norm(a, a, b))


# S-shaped functions ----------------------------------------------------------------------------------


@op
def tanh(x):
    """Hyperbolic tangent."""
    return np.tanh(x)


@op
def sigmoid(x):
    """1 / (1 + e ** -x), computed without overflow on either side."""
    small = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1, small) / (1 + small)


@op
def softplus(x):
    """log(1 + e ** x), computed without overflow."""
    return np.logaddexp(x, 0)


tanh.vjp(lambda g, y, x: g * (1.0 - y * y), saves=("y",))
sigmoid.vjp(lambda g, y, x: g * (y * (1.0 - y)), saves=("y",))
softplus.vjp(lambda g, y, x: g * sigmoid(x))
