"""MobileNets 1 and 2: networks of depthwise separable convolutions.

A 3x3 convolution of C to O channels costs 9 C O per pixel; a depthwise 3x3 and a pointwise 1x1 convolution
cost 9 C + C O, less by a factor of 1/O + 1/9 (Howard et al., 2017, eq. 5). Version 2 (Sandler et al., CVPR 2018)
does the depthwise part in t times as many channels and adds x where the shape allows: the *inverted* residual,
whose last convolution is linear.

Names of parameters: timm's for version 1 (`mobilenetv1_100`), torchvision's for version 2.
Departures: version 1 has ReLU6, as the authors' code; convolutions pad evenly, as timm and torchvision do, where the
authors' code pads at the bottom right.
"""

import numpy as np

from ..errors import ArgError
from ..nn import BatchNorm2d, Dropout, GlobalAvgPool2d, Linear, Module, ReLU6, Sequential
from ..nn.check import choice, integer, number
from .resnet import conv
from .squeeze import round_channels


def conv_norm(in_channels, out_channels, size, *, stride=1, groups=1, activation=ReLU6, norm=BatchNorm2d, rng=None):
    """Convolution, norm and activation (or None) as a Sequential."""
    layers = [conv(in_channels, out_channels, size, stride=stride, groups=groups, rng=rng), norm(out_channels)]
    return Sequential(*layers, *([activation()] if activation else []))


# Version 1 ------------------------------------------------------------------------------------------------

V1_STAGES = (                                # Howard et al., table 1: channels, blocks
    (64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))


class SeparableConv(Module):
    """Depthwise 3x3 and pointwise 1x1 convolution, each with norm and ReLU6: x (N, C, H, W) -> (N, O, I, J).

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int, default 1
    rng : numpy Generator, int or None
    """

    def __init__(self, in_channels, out_channels, *, stride=1, rng=None):
        rng = np.random.default_rng(rng)
        self.conv_dw = conv(in_channels, in_channels, 3, stride=stride, groups=in_channels, rng=rng)
        self.bn1 = BatchNorm2d(in_channels)
        self.conv_pw = conv(in_channels, out_channels, 1, rng=rng)
        self.bn2 = BatchNorm2d(out_channels)
        self.relu6 = ReLU6()

    def forward(self, x):
        """x (N, C, H, W) -> (N, O, I, J)."""
        y = self.relu6(self.bn1(self.conv_dw(x)))
        return self.relu6(self.bn2(self.conv_pw(y)))


class MobileNetV1(Module):
    """3x3 convolution, 13 separable ones, global average pooling, linear layer.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes).

    Parameters
    ----------
    num_classes : int, default 1000
    width : float > 0, default 1
        The paper's alpha; channels are rounded to multiples of 8.
    stages : tuple of (channels, blocks), default `V1_STAGES`
        All but the first begin with stride 2.
    rng : numpy Generator, int or None
    """

    def __init__(self, *, num_classes=1000, width=1.0, stages=V1_STAGES, rng=None):
        rng, width = np.random.default_rng(rng), _width("MobileNetV1", width)
        integer("MobileNetV1", "number of stages", len(stages))
        C = round_channels(32 * width)
        self.conv_stem, self.bn1, self.relu6 = conv(3, C, 3, stride=2, rng=rng), BatchNorm2d(C), ReLU6()
        self.blocks = []
        for i, (channels, depth) in enumerate(stages):
            O, stage = round_channels(channels * width), []
            for k in range(depth):
                stage.append(SeparableConv(C, O, stride=2 if i and not k else 1, rng=rng))
                C = O
            self.blocks.append(Sequential(*stage))
        self.avgpool = GlobalAvgPool2d()
        self.classifier = Linear(C, num_classes, rng=rng)

    def features(self, x):
        """x (N, 3, H, W) -> {"c1": (N, C, H / 2, W / 2), ..., "c5": (N, C, H / 32, W / 32)}, finest first."""
        maps, y = {}, self.relu6(self.bn1(self.conv_stem(x)))
        for i, stage in enumerate(self.blocks):
            maps[f"c{i + 1}"] = y = stage(y)
        return maps

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        *_, last = self.features(x).values()
        return self.classifier(self.avgpool(last))


def _width(where, width):
    return number(where, "width", width, low=0, open_low=True)


# Version 2 ------------------------------------------------------------------------------------------------

V2_ROWS = (                                  # Sandler et al., table 2: expansion t, channels c, blocks n, stride s
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(Module):
    """1x1 to t C channels, depthwise 3x3, linear 1x1 to O, plus x if stride is 1 and O = C.

    Shapes: x (N, C, H, W) -> (N, O, I, J).

    Parameters
    ----------
    in_channels, out_channels : int
    stride : 1 or 2
    t : int
        Expansion; the first convolution is left out for 1.
    rng : numpy Generator, int or None
    """

    def __init__(self, in_channels, out_channels, *, stride=1, t=6, rng=None):
        if stride not in (1, 2):
            raise ArgError(f"InvertedResidual: stride is {stride!r}, expected 1 or 2")
        rng, wide = np.random.default_rng(rng), integer("InvertedResidual", "t", t) * in_channels
        expand = [conv_norm(in_channels, wide, 1, rng=rng)] if t != 1 else []
        self.conv = Sequential(*expand, conv_norm(wide, wide, 3, stride=stride, groups=wide, rng=rng),
                               conv(wide, out_channels, 1, rng=rng), BatchNorm2d(out_channels))
        self.stride, self.adds = stride, stride == 1 and in_channels == out_channels

    def forward(self, x):
        """x (N, C, H, W) -> (N, O, I, J)."""
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(Module):
    """3x3 convolution, 17 inverted residuals, 1x1 convolution, global average pooling, linear layer.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes).

    Parameters
    ----------
    num_classes : int, default 1000
    width : float > 0, default 1
        Multiplier of all channels but the last 1280, which only grow; rounded to multiples of 8.
    rows : tuple of (t, c, n, s), default `V2_ROWS`
    dropout : float, default 0.2
        Before the classifier.
    rng : numpy Generator, int or None
    """

    def __init__(self, *, num_classes=1000, width=1.0, rows=V2_ROWS, dropout=0.2, rng=None):
        rng, width = np.random.default_rng(rng), _width("MobileNetV2", width)
        C, last = round_channels(32 * width), round_channels(1280 * max(1, width))
        layers, self.steps = [conv_norm(3, C, 3, stride=2, rng=rng)], [2]
        for t, c, n, s in rows:
            O = round_channels(c * width)
            for k in range(n):
                layers.append(InvertedResidual(C, O, stride=1 if k else s, t=t, rng=rng))
                C = O
                self.steps.append(1 if k else s)
        self.features, self.steps = Sequential(*layers, conv_norm(C, last, 1, rng=rng)), (*self.steps, 1)
        self.avgpool = GlobalAvgPool2d()
        self.classifier = Sequential(Dropout(dropout, rng=rng), Linear(last, num_classes, rng=rng))

    def pyramid(self, x):
        """x (N, 3, H, W) -> {"c1": (N, C, H / 2, W / 2), ..., "c5": (N, C, H / 32, W / 32)}: the last map of each size.

        NB: `features` is the chain of layers, as in torchvision.
        """
        return pyramid(self.features, self.steps, x)

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        return self.classifier(self.avgpool(self.features(x)))


def pyramid(layers, steps, x):
    """{"c1": ..., ...}: the last map of each size, where layer i has stride steps[i]."""
    maps, level = {}, 0
    for layer, step in zip(layers, steps, strict=True):
        x, level = layer(x), level + (step == 2)
        maps[f"c{level}"] = x
    return maps


VARIANTS = {"mobilenet_v1": MobileNetV1, "mobilenet_v2": MobileNetV2}


def build(name, *, num_classes=1000, rng=None, **options):
    """Build one of `VARIANTS`, e.g. ``mobilenet.build("mobilenet_v2", width=0.5)``; options as its class."""
    return VARIANTS[choice("mobilenet.build", "name", name, VARIANTS)](num_classes=num_classes, rng=rng, **options)
