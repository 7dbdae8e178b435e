"""Activation functions of the course's networks, element by element.

The derivative at a kink is named with each function: relu'(0) = 0. NaN stays NaN; at -inf the
products x * 0 of hardswish, silu, mish and gelu are NaN, as 0 * inf is. `sigmoid`, `tanh`,
`softplus` and `erf` are in `elementwise.py`.
"""

import math

import numpy as np

from ..errors import ArgError, ShapeError
from ..kernels import elementary, special
from .elementwise import div, erf, exp, minimum, sigmoid, tanh, where
from .op import array, op

# Piecewise linear ---------------------------------------------------------------------------------


@op
def relu(x):
    """max(x, 0); relu'(0) = 0.

    Reference: Nair and Hinton, ICML 2010.

    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return elementary.compute("relu", lambda x: np.maximum(x, 0), x)


@op
def relu6(x):
    """min(max(x, 0), 6); derivative 0 at 0 and at 6. Reference: Howard et al., MobileNets, 2017."""
    return np.clip(x, 0, 6)


@op
def leaky_relu(x, *, slope=0.01):
    """x for x > 0, else slope * x, with slope >= 0; derivative `slope` at 0.

    Reference: Maas et al., ICML 2013.
    """
    _check_factor("leaky_relu", "slope", slope)
    return np.maximum(x, 0) + float(slope) * np.minimum(x, 0)


def prelu(x, w):
    """x for x > 0, else w * x, with one learned slope per channel.

    x (N, C, ...) and w (C,), or w (1,) and x of any shape. Derivative w at 0.

    Reference: He et al., ICCV 2015, eq. 1.
    """
    if w.ndim != 1 or w.size != 1 and (x.ndim < 2 or x.shape[1] != w.size):
        raise ShapeError(f"prelu: w has shape {w.shape}, expected (1,) or one slope per channel "
                         f"(axis 1) of x with shape {x.shape}")
    w = w.reshape((w.size,) + (1,) * (x.ndim - 2) if w.size > 1 else ())
    return where(array(x) > 0, x, w * x)


@op
def hardsigmoid(x):
    """relu6(x + 3) / 6, a piecewise linear sigmoid; derivative 0 at -3 and at 3.

    Reference: Howard et al., MobileNetV3, ICCV 2019, section 5.2.
    """
    return np.clip(np.add(x, 3.0), 0, 6) / 6


@op
def hardswish(x):
    """x * relu6(x + 3) / 6; derivative 0 at -3 and 1 at 3.

    Reference: Howard et al., MobileNetV3, ICCV 2019, section 5.2.
    """
    return np.clip(np.add(x, 3.0), 0, 6) * x / 6


def _check_factor(function, name, value):
    if not isinstance(value, (int, float, np.integer, np.floating)) or not 0 <= value < math.inf:
        raise ArgError(f"{function}: {name} is {value!r}, expected a finite number of at least 0")


def _between(y, low, high):
    return (array(y) > low) & (array(y) < high)


def _level(y, left):
    """1 where y > 0, else `left`: the slopes of two half-lines. Products, as np.where is slow."""
    right = (array(y) > 0).astype(y.dtype)
    return right + float(left) * (1 - right)


# The result has the sign of x, so these rules need only y, which the next op keeps anyway.
relu.vjp(lambda g, y, x: elementary.compute("relu_slope", lambda g, y: g * (array(y) > 0), g, y), saves=("y",))
relu6.vjp(lambda g, y, x: g * _between(y, 0, 6), saves=("y",))
leaky_relu.vjp(lambda g, y, x, slope=0.01: g * _level(y, slope), saves=("y",))
hardsigmoid.vjp(lambda g, y, x: g * _between(y, 0, 1) * (1 / 6), saves=("y",))
hardswish.vjp(lambda g, y, x: g * ((x * (1 / 3) + 0.5) * _between(x, -3, 3) + (array(x) >= 3)))

# Smooth -------------------------------------------------------------------------------------------


@op
def elu(x, *, alpha=1.0):
    """x for x > 0, else alpha * (e ** x - 1), with alpha >= 0; derivative alpha at 0.

    Reference: Clevert et al., ICLR 2016, eq. 15.
    """
    _check_factor("elu", "alpha", alpha)
    return np.maximum(x, 0) + float(alpha) * np.expm1(np.minimum(x, 0))


@op
def silu(x):
    """x * sigmoid(x), also called swish. Reference: Ramachandran et al., 2017."""
    return elementary.compute("silu", _silu, x)


def _silu(x):
    with np.errstate(over="ignore"):
        return x / (1 + np.exp(0.0 - x))


@op
def mish(x):
    """x * tanh(softplus(x)). Reference: Misra, BMVC 2020.

    With n = e ** x the second factor is n (n + 2) / (n (n + 2) + 2), which takes one exponential;
    from x = 20 on it is 1.
    """
    return elementary.compute("mish", _mish, x)


def _mish(x):
    n = np.exp(np.minimum(x, 20.0))
    n = n * (n + 2)
    return x * (n / (n + 2))


@op
def gelu(x, *, approximate="none"):
    """x * Phi(x), Phi the distribution function of the normal distribution.

    `approximate` "none" uses the error function, Phi(x) = (1 + erf(x / sqrt 2)) / 2; "tanh" puts
    tanh(sqrt(2 / pi) (x + 0.044715 x ** 3)) in its place, which changes the result by up to 5e-4.

    Reference: Hendrycks and Gimpel, 2016, eq. 1 and 2. NB: BERT and ViT use "none", GPT-2 "tanh".
    """
    if approximate not in ("none", "tanh"):
        raise ArgError(f'gelu: approximate is {approximate!r}, expected "none" or "tanh"')
    if approximate == "tanh":
        return elementary.compute("gelu_tanh", lambda x: 0.5 * x * (1 + np.tanh(_gelu_inner(x))), x)
    return elementary.compute("gelu", lambda x: 0.5 * x * (1 + special.erf(x * math.sqrt(0.5))), x)


def _gelu_inner(x):
    return math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))


def _gelu_tanh_slope(g, x):
    t = tanh(_gelu_inner(x))
    inner_slope = math.sqrt(2 / math.pi) * (1.0 + 3 * 0.044715 * (x * x))
    return g * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner_slope)


def _gelu_slope(g, x):
    density = exp(-0.5 * (x * x)) * (1 / math.sqrt(2 * math.pi))
    return g * (0.5 * (1.0 + erf(x * math.sqrt(0.5))) + x * density)


def _silu_slope(g, x):
    s = sigmoid(x)
    return g * (s * (1.0 + x * (1.0 - s)))


def _mish_slope(g, x):
    """The slope t + x (1 - t^2) sigmoid(x), t = tanh(softplus(x)), in powers of n = e ** x."""
    n = exp(minimum(x, 20.0))
    square = n * (n + 2.0)
    t = div(square, square + 2.0)
    return g * (t + x * (1.0 - t * t) * div(n, n + 1.0))


# Left of 0 the slope alpha e ** x is y + alpha.
elu.vjp(lambda g, y, x, alpha=1.0: g * (minimum(y, 0.0) + _level(y, alpha)), saves=("y",))
silu.vjp(lambda g, y, x: elementary.compute("silu_slope", _silu_slope, g, x))
mish.vjp(lambda g, y, x: elementary.compute("mish_slope", _mish_slope, g, x))
gelu.vjp(lambda g, y, x, approximate="none": elementary.compute("gelu_slope", _gelu_slope, g, x)
         if approximate == "none" else elementary.compute("gelu_tanh_slope", _gelu_tanh_slope, g, x))
