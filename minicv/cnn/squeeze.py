r"""Squeeze and excitation (Hu et al., CVPR 2018), and rounding of channel numbers.

    z = mean over all positions of x,    s = sigmoid(W2 relu(W1 z)),    y_c = s_c x_c           (eq. 2-4)
"""

import numpy as np

from ..autograd.activation import relu
from ..autograd.elementwise import sigmoid
from ..nn import Conv2d, Module
from ..nn.check import integer, number


def round_channels(channels, multiple=8):
    """The multiple nearest to `channels`, at least one, and one more if that would lose over a tenth.

    Reference: Sandler et al., CVPR 2018, in the authors' code.

    >>> [round_channels(c) for c in (3, 11.2, 12, 28)]
    [8, 16, 16, 32]
    """
    multiple = integer("round_channels", "multiple", multiple)
    wanted = number("round_channels", "channels", channels, low=0, open_low=True)
    rounded = max(multiple, int(wanted + multiple / 2) // multiple * multiple)
    return rounded if rounded >= 0.9 * wanted else rounded + multiple


class SqueezeExcite(Module):
    """Gate each channel by what all channels are like on average: x (N, C, H, W) -> the same shape.

    Parameters
    ----------
    channels : int
    hidden : int, default channels // 16
        Units of the layer in the middle (r = 16 in the paper).
    activation : op, default sigmoid
        What makes the gate out of W2: MobileNetV3 takes hardsigmoid.
    rng : numpy Generator, int or None

    Raises
    ------
    ArgError
        If no hidden unit is left.
    """

    def __init__(self, channels, hidden=None, *, activation=sigmoid, rng=None):
        rng, C = np.random.default_rng(rng), integer("SqueezeExcite", "channels", channels)
        hidden = integer("SqueezeExcite", "hidden", C // 16 if hidden is None else hidden)
        self.fc1 = Conv2d(C, hidden, 1, rng=rng)
        self.fc2 = Conv2d(hidden, C, 1, rng=rng)
        self.activation = activation

    def gate(self, x):
        """x (N, C, H, W) -> s (N, C, 1, 1)."""
        z = x.mean(axis=(2, 3), keepdims=True)
        return self.activation(self.fc2(relu(self.fc1(z))))

    def forward(self, x):
        """x (N, C, H, W) -> s x."""
        return x * self.gate(x)
