"""Convolution layers. Weights are logically (O, C, P, Q) and lie in memory as (P, Q, C, O), as kernels like them."""

import numpy as np

from ..autograd.conv import conv1d, conv2d, conv_transpose2d
from . import init
from .check import choice, divisible, integer, pair
from .module import Module, Parameter


def filters(w):
    """`w` (O, C, P, Q) as a Parameter stored in the order P, Q, C, O: the logical shape does not change."""
    return Parameter(np.ascontiguousarray(w.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1))


def _channels(where, in_channels, out_channels, groups):
    """Checked (in_channels, out_channels, groups)."""
    C, O = integer(where, "in_channels", in_channels), integer(where, "out_channels", out_channels)
    groups = integer(where, "groups", groups)
    divisible(where, "in_channels", C, "groups", groups)
    divisible(where, "out_channels", O, "groups", groups)
    return C, O, groups


def _padding(where, padding, stride):
    """Zero rows and columns (vertical, horizontal), or "same" where the stride is 1 (L5)."""
    if not isinstance(padding, str):
        return pair(where, "padding", padding, low=0)
    choice(where, "padding", padding, ("same",) if max(stride) == 1 else ("an integer (stride > 1)",))
    return padding


class Conv2d(Module):
    r"""2-D convolution :math:`y_o = b_o + \sum_c w_{oc} \star x_c`.

    Shapes: x (N, C, H, W) -> (N, O, I, J), I = (H + 2 padding - dilation (P - 1) - 1) // stride + 1;
    weight (O, C / groups, P, Q), bias (O,).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (vertical, horizontal)
    stride, dilation : int or pair, default 1
    padding : int, pair or "same", default 0
    groups : int, default 1
        Both channel counts must be multiples of it.
    bias : bool, default True
    rng : numpy Generator, int or None
        Source of the initial weights: He uniform over fan-in (He et al., ICCV 2015, eq. 10), zero bias.

    >>> Conv2d(3, 8, 3, stride=2, padding=1, rng=0)(np.zeros((1, 3, 9, 9), np.float32)).shape
    (1, 8, 5, 5)
    """

    def __init__(self, in_channels, out_channels, kernel_size, *, stride=1, padding=0, dilation=1, groups=1,
                 bias=True, rng=None):
        self.in_channels, self.out_channels, self.groups = _channels("Conv2d", in_channels, out_channels, groups)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride, self.dilation = pair("Conv2d", "stride", stride), pair("Conv2d", "dilation", dilation)
        self.padding = _padding("Conv2d", padding, self.stride)
        self.weight = filters(init.he_uniform(
            (self.out_channels, self.in_channels // self.groups, *self.kernel_size), rng=rng))
        self.bias = Parameter(init.zeros((self.out_channels,))) if bias else None

    def forward(self, x):
        """x (N, C, H, W) -> (N, O, I, J)."""
        return conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding,
                      dilation=self.dilation, groups=self.groups)

    def extra_repr(self):
        """Sizes, and the settings that are not the default."""
        return _settings(self, ("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1))


class ConvTranspose2d(Module):
    """Transposed convolution: every input pixel paints its filter, scaled, into the output.

    Shapes: x (N, C, H, W) -> (N, O, H', W'), H' = (H - 1) stride - 2 padding + dilation (P - 1) + 1 + output_padding;
    weight (C, O / groups, P, Q), bias (O,).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or pair
    stride, padding, output_padding, dilation : int or pair, default 1, 0, 0, 1
        Those of the convolution of which it is the transpose; `output_padding` adds rows at the bottom and right.
    groups : int, default 1
    bias : bool, default True
    rng : numpy Generator, int or None
        He uniform over the C P Q / (stride² groups) terms that meet in one output pixel, zero bias.
    """

    def __init__(self, in_channels, out_channels, kernel_size, *, stride=1, padding=0, output_padding=0,
                 dilation=1, groups=1, bias=True, rng=None):
        where = "ConvTranspose2d"
        self.in_channels, self.out_channels, self.groups = _channels(where, in_channels, out_channels, groups)
        self.kernel_size = pair(where, "kernel_size", kernel_size)
        self.stride, self.padding = pair(where, "stride", stride), pair(where, "padding", padding, low=0)
        self.output_padding = pair(where, "output_padding", output_padding, low=0)
        self.dilation = pair(where, "dilation", dilation)
        P, Q = self.kernel_size
        terms = max(self.in_channels * P * Q // (self.groups * self.stride[0] * self.stride[1]), 1)
        bound = (6 / terms) ** 0.5
        self.weight = filters(init.uniform((self.in_channels, self.out_channels // self.groups, P, Q),
                                           low=-bound, high=bound, rng=rng))
        self.bias = Parameter(init.zeros((self.out_channels,))) if bias else None

    def forward(self, x):
        """x (N, C, H, W) -> (N, O, H', W')."""
        return conv_transpose2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding,
                                output_padding=self.output_padding, dilation=self.dilation, groups=self.groups)

    def extra_repr(self):
        """Sizes, and the settings that are not the default."""
        return _settings(self, ("stride", (1, 1)), ("padding", (0, 0)), ("output_padding", (0, 0)),
                         ("dilation", (1, 1)), ("groups", 1))


class Conv1d(Module):
    """1-D convolution over sequences.

    Shapes: x (N, C, L) -> (N, O, J), J = (L + 2 padding - dilation (Q - 1) - 1) // stride + 1;
    weight (O, C / groups, Q), bias (O,).

    Parameters
    ----------
    in_channels, out_channels, kernel_size : int
    stride, padding, dilation, groups : int, default 1, 0, 1, 1
        `padding` may be "same" where the stride is 1.
    bias : bool, default True
    rng : numpy Generator, int or None
        He uniform over fan-in, zero bias.
    """

    def __init__(self, in_channels, out_channels, kernel_size, *, stride=1, padding=0, dilation=1, groups=1,
                 bias=True, rng=None):
        self.in_channels, self.out_channels, self.groups = _channels("Conv1d", in_channels, out_channels, groups)
        self.kernel_size = integer("Conv1d", "kernel_size", kernel_size)
        self.stride, self.dilation = integer("Conv1d", "stride", stride), integer("Conv1d", "dilation", dilation)
        same = isinstance(padding, str)
        self.padding = (_padding("Conv1d", padding, (self.stride,)) if same
                        else integer("Conv1d", "padding", padding, low=0))
        shape = (self.out_channels, self.in_channels // self.groups, self.kernel_size)
        self.weight = Parameter(init.he_uniform(shape, rng=rng))
        self.bias = Parameter(init.zeros((self.out_channels,))) if bias else None

    def forward(self, x):
        """x (N, C, L) -> (N, O, J)."""
        return conv1d(x, self.weight, self.bias, stride=self.stride, padding=self.padding,
                      dilation=self.dilation, groups=self.groups)

    def extra_repr(self):
        """Sizes, and the settings that are not the default."""
        return _settings(self, ("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1))


def _settings(layer, *defaults):
    words = [f"{layer.in_channels}, {layer.out_channels}, {layer.kernel_size}"]
    words += [f"{name}={getattr(layer, name)!r}" for name, default in defaults if getattr(layer, name) != default]
    return ", ".join(words + ([] if layer.bias is not None else ["bias=False"]))
