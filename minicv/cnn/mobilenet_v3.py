"""MobileNetV3 (Howard et al., ICCV 2019): inverted residuals with gates, hard swish and a cheaper end.

Names of parameters are those of torchvision. Departures: none from the paper's tables; norms have eps 1e-3 and
give a new batch the weight 0.01, as in the published networks.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from ..autograd.activation import hardsigmoid
from ..nn import BatchNorm2d, Dropout, GlobalAvgPool2d, Hardswish, Linear, Module, ReLU, Sequential
from ..nn.check import choice, integer, number
from .mobilenet import conv_norm, pyramid
from .squeeze import SqueezeExcite, round_channels

NORM = partial(BatchNorm2d, eps=1e-3, momentum=0.01)


class Row(NamedTuple):
    """A row of table 1 or 2."""

    kernel: int
    expanded: int       # "exp size"
    out: int
    gated: bool         # SE
    swish: bool         # NL: hard swish, else ReLU
    stride: int


LARGE = tuple(Row(*row) for row in (                                          # table 1
    (3, 16, 16, False, False, 1), (3, 64, 24, False, False, 2), (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2), (5, 120, 40, True, False, 1), (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2), (3, 200, 80, False, True, 1), (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1), (3, 480, 112, True, True, 1), (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2), (5, 960, 160, True, True, 1), (5, 960, 160, True, True, 1)))
SMALL = tuple(Row(*row) for row in (                                          # table 2
    (3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1)))
VARIANTS = {"mobilenet_v3_large": (LARGE, 1280), "mobilenet_v3_small": (SMALL, 1024)}     # rows, hidden units


class GatedResidual(Module):
    """1x1, depthwise, gate, linear 1x1, plus x if the shape is the same: x (N, C, H, W) -> (N, O, I, J).

    Parameters
    ----------
    in_channels : int
    row : Row
    rng : numpy Generator, int or None
    """

    def __init__(self, in_channels, row, *, rng=None):
        rng, wide = np.random.default_rng(rng), row.expanded
        settings = dict(activation=Hardswish if row.swish else ReLU, norm=NORM, rng=rng)
        layers = [conv_norm(in_channels, wide, 1, **settings)] if wide != in_channels else []
        layers.append(conv_norm(wide, wide, row.kernel, stride=row.stride, groups=wide, **settings))
        if row.gated:
            layers.append(SqueezeExcite(wide, round_channels(wide // 4), activation=hardsigmoid, rng=rng))
        layers.append(conv_norm(wide, row.out, 1, activation=None, norm=NORM, rng=rng))
        self.block = Sequential(*layers)
        self.adds = row.stride == 1 and in_channels == row.out

    def forward(self, x):
        """x (N, C, H, W) -> (N, O, I, J)."""
        return x + self.block(x) if self.adds else self.block(x)


class MobileNetV3(Module):
    """3x3 convolution, gated inverted residuals, 1x1 convolution, global average pooling, two linear layers.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes).

    Parameters
    ----------
    rows : tuple of Row
    hidden : int
        Units of the first linear layer at width 1.
    num_classes : int, default 1000
    width : float > 0, default 1
        Multiplier of all channels, rounded to multiples of 8.
    dropout : float, default 0.2
    rng : numpy Generator, int or None
    """

    def __init__(self, rows, hidden, *, num_classes=1000, width=1.0, dropout=0.2, rng=None):
        rng = np.random.default_rng(rng)
        width = number("MobileNetV3", "width", width, low=0, open_low=True)
        rows = [row._replace(expanded=round_channels(row.expanded * width), out=round_channels(row.out * width))
                for row in rows]
        C, hidden = round_channels(16 * width), round_channels(integer("MobileNetV3", "hidden", hidden) * width)
        layers = [conv_norm(3, C, 3, stride=2, activation=Hardswish, norm=NORM, rng=rng)]
        for row in rows:
            layers.append(GatedResidual(C, row, rng=rng))
            C = row.out
        layers.append(conv_norm(C, 6 * C, 1, activation=Hardswish, norm=NORM, rng=rng))
        self.features, self.steps = Sequential(*layers), (2, *(row.stride for row in rows), 1)
        self.avgpool = GlobalAvgPool2d()
        self.classifier = Sequential(Linear(6 * C, hidden, rng=rng), Hardswish(), Dropout(dropout, rng=rng),
                                     Linear(hidden, num_classes, rng=rng))

    def pyramid(self, x):
        """x (N, 3, H, W) -> {"c1": (N, C, H / 2, W / 2), ..., "c5": (N, C, H / 32, W / 32)}; as `MobileNetV2`."""
        return pyramid(self.features, self.steps, x)

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        return self.classifier(self.avgpool(self.features(x)))


def build(name, *, num_classes=1000, rng=None, **options):
    """Build one of `VARIANTS`, e.g. ``mobilenet_v3.build("mobilenet_v3_small")``; options as `MobileNetV3`."""
    spec = VARIANTS[choice("mobilenet_v3.build", "name", name, VARIANTS)]
    return MobileNetV3(*spec, num_classes=num_classes, rng=rng, **options)
