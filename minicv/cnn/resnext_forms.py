"""The three equivalent forms of a ResNeXt block (Xie et al., CVPR 2017, figure 3).

    (a) `SummedBranches`   G branches 1x1, 3x3, 1x1; their results are summed
    (b) `JoinedBranches`   G branches 1x1, 3x3; their results are concatenated before a single 1x1
    (c) `resnet.Bottleneck` with groups = G: one 1x1, a 3x3 convolution with G groups, one 1x1

All compute relu(bn(...) + x) and have the same weights, differently cut: `from_bottleneck` cuts those of (c),
`as_bottleneck` puts them, or anything that belongs to them such as gradients, together again.

Departures: none. As in the paper, the last norm follows the sum.
"""

import math

import numpy as np

from ..autograd.shape import concat
from ..errors import ArgError
from ..nn import BatchNorm2d, Module
from ..nn.check import integer, number
from .resnet import conv


class Branch(Module):
    """1x1 and 3x3 convolution, each with norm and ReLU: x (N, C, H, W) -> (N, d, H, W).

    Parameters
    ----------
    channels, width : int
        C and d.
    norm : function from a number of channels to a Module, default BatchNorm2d
    rng : numpy Generator, int or None
    """

    def __init__(self, channels, width, *, norm=BatchNorm2d, rng=None):
        rng = np.random.default_rng(rng)
        self.conv1, self.bn1 = conv(channels, width, 1, rng=rng), norm(width)
        self.conv2, self.bn2 = conv(width, width, 3, rng=rng), norm(width)

    def forward(self, x):
        """x (N, C, H, W) -> (N, d, H, W)."""
        y = self.bn1(self.conv1(x), activation="relu")
        return self.bn2(self.conv2(y), activation="relu")


class SummedBranches(Module):
    """Form (a): relu(bn(sum over g of conv_g(branch_g(x))) + x), x (N, C, H, W) -> (N, C, H, W).

    Parameters
    ----------
    channels, groups, width : int
        C, number of branches G (the cardinality) and width d of each.
    norm : function from a number of channels to a Module, default BatchNorm2d
    rng : numpy Generator, int or None
    """

    def __init__(self, channels, groups, width, *, norm=BatchNorm2d, rng=None):
        rng, G = np.random.default_rng(rng), integer("SummedBranches", "groups", groups)
        self.branches = [Branch(channels, width, norm=norm, rng=rng) for _ in range(G)]
        self.conv3 = [conv(width, channels, 1, rng=rng) for _ in range(G)]
        self.bn3 = norm(channels)

    def forward(self, x):
        """x (N, C, H, W) -> (N, C, H, W)."""
        y = sum(last(branch(x)) for branch, last in zip(self.branches, self.conv3, strict=True))
        return self.bn3(y, residual=x, activation="relu")


class JoinedBranches(Module):
    """Form (b): relu(bn(conv([branch_1(x) ... branch_G(x)])) + x). Parameters and shapes as `SummedBranches`."""

    def __init__(self, channels, groups, width, *, norm=BatchNorm2d, rng=None):
        rng, G = np.random.default_rng(rng), integer("JoinedBranches", "groups", groups)
        self.branches = [Branch(channels, width, norm=norm, rng=rng) for _ in range(G)]
        self.conv3, self.bn3 = conv(G * width, channels, 1, rng=rng), norm(channels)

    def forward(self, x):
        """x (N, C, H, W) -> (N, C, H, W)."""
        y = concat(*(branch(x) for branch in self.branches), axis=1)                   # (N, G d, H, W)
        return self.bn3(self.conv3(y), residual=x, activation="relu")


def from_bottleneck(form, block):
    """Build `form`, `SummedBranches` or `JoinedBranches`, with the weights of a `resnet.Bottleneck`.

    Raises
    ------
    ArgError
        If the block changes the shape of x: only the identity passes x around the branches here.
    """
    if block.downsample is not None:
        raise ArgError("from_bottleneck: block changes the shape of x, expected one with the identity as shortcut")
    G, C = block.conv2.groups, block.conv3.out_channels
    made = form(C, G, block.conv2.out_channels // G, rng=0).astype(block.conv1.weight.dtype)
    made.load_state_dict({name: _cut(block.state_dict(), name, G) for name in made.state_dict()})
    return made


def _cut(state, name, G):
    """The part of `state`, that of form (c), which is called `name` in form (a) or (b)."""
    head, _, rest = name.partition(".")
    g, _, inner = rest.partition(".")
    if head == "branches":
        whole = state[inner]
        return whole if whole.ndim == 0 else np.split(whole, G, axis=0)[int(g)]     # rows: output channels
    if head == "conv3" and g.isdigit():
        return np.split(state["conv3.weight"], G, axis=1)[int(g)]                   # columns: input channels
    return state[name]


def as_bottleneck(form, read):
    """{name in form (c): array} of what `read` gives for each parameter of a form (a) or (b).

    Parameters
    ----------
    form : SummedBranches or JoinedBranches
    read : function from a Parameter to an array of its shape
        ``lambda p: p.data`` or ``lambda p: p.grad.data``.
    """
    parts = [{name: read(p) for name, p in branch.named_parameters()} for branch in form.branches]
    whole = {name: np.concatenate([part[name] for part in parts], axis=0) for name in parts[0]}
    last = form.conv3 if isinstance(form.conv3, list) else [form.conv3]
    whole["conv3.weight"] = np.concatenate([read(conv.weight) for conv in last], axis=1)
    return whole | {f"bn3.{name}": read(p) for name, p in form.bn3.named_parameters()}


def width_for(channels, groups, weights):
    """The width d, a real number, with which a block of G branches has so many weights: 9 G d² + 2 C G d = weights.

    The positive root. A bottleneck with a quarter of the channels is the case G = 1, d = C / 4.

    Parameters
    ----------
    channels, groups : int
        C and G.
    weights : float > 0
        With less the equation has no positive root, and with a negative discriminant no root at all.

    >>> [round(width_for(256, G, 69_632), 1) for G in (1, 2, 4, 8, 32)]
    [64.0, 39.9, 23.9, 13.7, 4.0]
    """
    C, G = integer("width_for", "channels", channels), integer("width_for", "groups", groups)
    weights = number("width_for", "weights", weights, low=0, open_low=True)
    return (math.sqrt((C * G) ** 2 + 9 * G * weights) - C * G) / (9 * G)


def block_weights(channels, groups, width):
    """Weights of the convolutions of a block: 9 G d² + 2 C G d, in each of the three forms; d may be a real number."""
    where = "block_weights"
    C, G = integer(where, "channels", channels), integer(where, "groups", groups)
    number(where, "width", width, low=0, open_low=True)
    return G * (9 * width ** 2 + 2 * C * width)
