r"""Initial values of weights: pure functions ``(shape, *, rng, ...) -> float32 array``.

The aim of Glorot and He is the same: keep the variance of the signal constant from layer to layer. For
:math:`y = \sum_{i=1}^n w_i x_i` with independent zero-mean terms :math:`\mathrm{Var}\,y = n \,\mathrm{Var}\,w\,
\mathrm{E}\,x^2`, where n is the *fan-in*; the backward pass gives the same with the *fan-out*.

A weight (O, C, P, Q) has fan-in C P Q and fan-out O P Q; a weight (O, C) has C and O. For groups C is
already the number of channels of one group, and the fan-out is O P Q / groups.

Departures: none; the truncated normal is cut at two standard deviations and is *not* rescaled, as in ViT.
"""

import math

import numpy as np

from ..autograd.modes import no_grad
from ..errors import ArgError, ShapeError
from .check import choice, integer, number

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}


def fans(shape):
    """(fan-in, fan-out) of a weight (O, C, ...): connections into one output, out of one input."""
    if len(shape) < 2:
        raise ShapeError(f"fans: shape is {tuple(shape)}, expected (O, C, ...)")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def gain(activation, slope=0.0):
    r"""Factor that undoes what an activation does to the second moment.

    linear, sigmoid 1; tanh 5/3; relu :math:`\sqrt 2`; leaky_relu :math:`\sqrt{2/(1+a^2)}` with slope a
    (He et al., ICCV 2015, eq. 15).
    """
    if activation == "leaky_relu":
        return math.sqrt(2 / (1 + number("gain", "slope", slope) ** 2))
    return GAINS[choice("gain", "activation", activation, (*GAINS, "leaky_relu"))]


# Glorot and He ------------------------------------------------------------------------------------------


def xavier_uniform(shape, *, rng=None, gain=1.0):
    r"""U(-a, a) with :math:`a = \text{gain} \sqrt{6/(\text{fan in}+\text{fan out})}`.

    Reference: Glorot and Bengio, AISTATS 2010, eq. 16.
    """
    bound = number("xavier_uniform", "gain", gain, low=0) * math.sqrt(6 / max(sum(fans(shape)), 1))
    rng = np.random.default_rng(rng)
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def xavier_normal(shape, *, rng=None, gain=1.0):
    r"""N(0, s²) with :math:`s = \text{gain} \sqrt{2/(\text{fan in}+\text{fan out})}`.

    Reference: Glorot and Bengio, AISTATS 2010, eq. 12.
    """
    std = number("xavier_normal", "gain", gain, low=0) * math.sqrt(2 / max(sum(fans(shape)), 1))
    rng = np.random.default_rng(rng)
    return rng.normal(0, std, shape).astype(np.float32)


def he_uniform(shape, *, rng=None, gain=GAINS["relu"], mode="fan_in", groups=1):
    r"""U(-a, a) with :math:`a = \text{gain} \sqrt{3/\text{fan}}`, i.e. variance gain²/fan.

    Reference: He et al., ICCV 2015, eq. 10 (`mode` "fan_in") and eq. 14 ("fan_out").
    """
    bound = math.sqrt(3) * _he_std("he_uniform", shape, gain, mode, groups)
    rng = np.random.default_rng(rng)
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def he_normal(shape, *, rng=None, gain=GAINS["relu"], mode="fan_in", groups=1):
    r"""N(0, s²) with :math:`s = \text{gain} / \sqrt{\text{fan}}`.

    Reference: He et al., ICCV 2015, eq. 10 and 14.
    """
    std = _he_std("he_normal", shape, gain, mode, groups)
    rng = np.random.default_rng(rng)
    return rng.normal(0, std, shape).astype(np.float32)


def _he_std(where, shape, gain, mode, groups):
    fan_in, fan_out = fans(shape)
    fan_out //= integer(where, "groups", groups)
    fan = {"fan_in": fan_in, "fan_out": fan_out}[choice(where, "mode", mode, ("fan_in", "fan_out"))]
    return number(where, "gain", gain, low=0) / math.sqrt(max(fan, 1))


# Plain distributions and constants -------------------------------------------------------------------------


def normal(shape, *, rng=None, std=1.0, mean=0.0):
    """N(mean, std²)."""
    std = number("normal", "std", std, low=0)
    rng = np.random.default_rng(rng)
    return rng.normal(mean, std, shape).astype(np.float32)


def uniform(shape, *, rng=None, low=0.0, high=1.0):
    """U(low, high)."""
    if not low <= high:
        raise ArgError(f"uniform: low is {low}, expected at most high = {high}")
    rng = np.random.default_rng(rng)
    return rng.uniform(low, high, shape).astype(np.float32)


def truncated_normal(shape, *, rng=None, std=0.02, cut=2.0):
    """N(0, std²) conditioned on the interval [-cut std, cut std]: outside draws are drawn again.

    Reference: the initialiser of Dosovitskiy et al., ICLR 2021 (std 0.02). With cut = 2 the standard
    deviation of the result is 0.880 std.
    """
    std, cut = number("truncated_normal", "std", std, low=0), number("truncated_normal", "cut", cut, low=0.1)
    rng = np.random.default_rng(rng)
    z = np.array(rng.standard_normal(shape))
    while (outside := np.abs(z) > cut).any():
        z[outside] = rng.standard_normal(int(outside.sum()))
    return (std * z).astype(np.float32)


def zeros(shape):
    """Zeros."""
    return np.zeros(shape, np.float32)


def ones(shape):
    """Ones."""
    return np.ones(shape, np.float32)


def constant(shape, *, value):
    """All elements equal `value`."""
    return np.full(shape, number("constant", "value", value), np.float32)


# Special purposes ---------------------------------------------------------------------------------------------


def bilinear(shape):
    """Weights (C, O, P, P) of a transposed convolution that enlarges like bilinear interpolation.

    Channel c of the input goes to channel c of the output only. Reference: Long et al., CVPR 2015, §3.3.
    A stride of s needs P = 2 s - s % 2 and padding (P - s) / 2.
    """
    if len(shape) != 4 or shape[2] != shape[3]:
        raise ShapeError(f"bilinear: shape is {tuple(shape)}, expected (C, O, P, P)")
    size = shape[2]
    reach = (size + 1) // 2
    distance = np.abs(np.arange(size) - (size - 1) / 2)
    tent = 1 - distance / reach                                    # (P,)
    w = np.zeros(shape, np.float32)
    diagonal = np.arange(min(shape[:2]))
    w[diagonal, diagonal] = np.outer(tent, tent)
    return w


def prior_bias(probability):
    r"""Bias b with :math:`\sigma(b) = \pi`, i.e. :math:`b = -\log((1-\pi)/\pi)`.

    A classifier of rare objects then starts by saying "background" everywhere, and its first loss does
    not explode. Reference: Lin et al., ICCV 2017 (RetinaNet), §4.1, with :math:`\pi = 0.01`.
    """
    p = number("prior_bias", "probability", probability, low=0, high=1, open_low=True)
    if p == 1:
        raise ArgError("prior_bias: probability is 1, expected a number in (0, 1)")
    return -math.log((1 - p) / p)


class Blank(np.random.Generator):
    """An `rng` that draws zeros, without work: for a network whose weights are loaded right after it is built.

    What it spawns, as for dropout, is a Generator like any other.

    >>> from minicv.nn import Linear
    >>> int(np.count_nonzero(Linear(2, 3, rng=Blank()).weight.data))
    0
    """

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def uniform(self, low=0.0, high=1.0, size=None):
        """Zeros of shape `size`, whatever the bounds."""
        return np.zeros(size, np.float32)

    def normal(self, loc=0.0, scale=1.0, size=None):
        """Zeros of shape `size`."""
        return np.zeros(size, np.float32)

    def standard_normal(self, size=None, dtype=np.float32, out=None):
        """Zeros of shape `size`."""
        return np.zeros(size, dtype)

    def spawn(self, n_children):
        """Real Generators."""
        return np.random.default_rng(0).spawn(n_children)


def assign(parameter, values):
    """Overwrite a Parameter with `values` of its shape, keeping its memory order; returns the Parameter."""
    with no_grad():
        return parameter.copy_(values)


def zero_gamma(module, *names):
    """Set to zero the scale of the norms called `names` in every block, e.g. "bn2" or "bn3".

    A residual block y = x + F(x) whose last norm has zero scale starts as the identity.
    Reference: Goyal et al., 2017, §5.1. Returns `module`.
    """
    found = [m for name, m in module.named_modules() if name.rpartition(".")[2] in names]
    if not found:
        raise ArgError(f"zero_gamma: names are {names}, expected names of modules below {type(module).__name__}")
    for m in found:
        assign(m.weight, np.zeros(m.weight.shape))
    return module
