"""Activations as modules, for `Sequential`; formulas and references are those of the functions of the same name."""

import numpy as np

from ..autograd import activation as ops
from ..autograd.elementwise import sigmoid, tanh
from ..autograd.softmax import softmax
from ..errors import ArgError
from .check import choice, integer, number
from .module import Module, Parameter


class _Pointwise(Module):
    """Applies `function` with the settings held as attributes."""

    function, settings = None, ()

    def forward(self, x):
        """x of any shape -> the same shape."""
        return self.function(x, **{name: getattr(self, name) for name in self.settings})

    def extra_repr(self):
        """Settings."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.settings)


class ReLU(_Pointwise):
    """max(x, 0)."""

    function = ops.relu


class ReLU6(_Pointwise):
    """min(max(x, 0), 6)."""

    function = ops.relu6


class LeakyReLU(_Pointwise):
    """x for x > 0, else slope x.

    Parameters
    ----------
    slope : float >= 0, default 0.01
        NB: Darknet uses 0.1.
    """

    function, settings = ops.leaky_relu, ("slope",)

    def __init__(self, slope=0.01):
        self.slope = number("LeakyReLU", "slope", slope, low=0)


class PReLU(Module):
    """x for x > 0, else w x with learned w. Reference: He et al., ICCV 2015, eq. 1.

    Parameters
    ----------
    num_parameters : int, default 1
        1, or the number of channels of x (N, C, ...).
    init : float, default 0.25
    """

    def __init__(self, num_parameters=1, *, init=0.25):
        n = integer("PReLU", "num_parameters", num_parameters)
        self.weight = Parameter(np.full(n, number("PReLU", "init", init), np.float32))

    def forward(self, x):
        """x (N, C, ...) -> the same shape."""
        return ops.prelu(x, self.weight)


class ELU(_Pointwise):
    """x for x > 0, else alpha (e^x - 1).

    Parameters
    ----------
    alpha : float >= 0, default 1
    """

    function, settings = ops.elu, ("alpha",)

    def __init__(self, alpha=1.0):
        self.alpha = number("ELU", "alpha", alpha, low=0)


class GELU(_Pointwise):
    """x Φ(x), Φ the distribution function of the normal distribution.

    Parameters
    ----------
    approximate : {"none", "tanh"}
    """

    function, settings = ops.gelu, ("approximate",)

    def __init__(self, *, approximate="none"):
        self.approximate = choice("GELU", "approximate", approximate, ("none", "tanh"))


class SiLU(_Pointwise):
    """x σ(x), also called swish."""

    function = ops.silu


class Hardswish(_Pointwise):
    """x min(max(x + 3, 0), 6) / 6."""

    function = ops.hardswish


class Hardsigmoid(_Pointwise):
    """min(max(x + 3, 0), 6) / 6."""

    function = ops.hardsigmoid


class Mish(_Pointwise):
    """x tanh(log(1 + e^x))."""

    function = ops.mish


class Sigmoid(_Pointwise):
    """1 / (1 + e^-x)."""

    function = sigmoid


class Tanh(_Pointwise):
    """Hyperbolic tangent."""

    function = tanh


class Softmax(_Pointwise):
    """e^x / sum e^x along `axis`.

    Parameters
    ----------
    axis : int, default -1
        NB: `dim` in PyTorch. Images (N, C, H, W) want axis=1.
    """

    function, settings = softmax, ("axis",)

    def __init__(self, axis=-1):
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise ArgError(f"Softmax: axis is {axis!r}, expected an integer")
        self.axis = int(axis)
