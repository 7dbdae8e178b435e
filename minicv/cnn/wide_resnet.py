"""Wide residual networks for CIFAR (Zagoruyko and Komodakis, BMVC 2016): 6 n + 4 layers, k times as wide.

Pre-activation blocks: norm and relu come before each convolution, and nothing follows the sum, so that
x reaches the end of the network untouched (He et al., ECCV 2016). Names of parameters as in the public
implementation for CIFAR: `block{1-3}.layer.{i}.{bn1,conv1,bn2,conv2,convShortcut}`.
Departures: none. The wide ResNet-50-2 for ImageNet is a row of `resnet.VARIANTS`.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError
from ..nn import BatchNorm2d, Dropout, GlobalAvgPool2d, Linear, Module, Sequential
from ..nn.check import choice, integer
from .resnet import conv


class WideBlock(Module):
    """S(x) + conv(relu(bn(conv(relu(bn(x)))))): x (N, C, H, W) -> (N, O, H / stride, W / stride).

    Where the number of channels changes, S is a 1x1 convolution of relu(bn(x)), else the identity.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int, default 1
    dropout : float, default 0
        Between the convolutions (§2.4).
    rng : numpy Generator, int or None
    """

    def __init__(self, in_channels, out_channels, *, stride=1, dropout=0.0, rng=None):
        rng = np.random.default_rng(rng)
        self.bn1 = BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, out_channels, 3, stride=stride, rng=rng)
        self.bn2 = BatchNorm2d(out_channels)
        self.dropout = Dropout(dropout, rng=rng)
        self.conv2 = conv(out_channels, out_channels, 3, rng=rng)
        self.convShortcut = None
        if in_channels != out_channels:
            self.convShortcut = conv(in_channels, out_channels, 1, stride=stride, rng=rng)
        elif stride != 1:
            raise ArgError(f"WideBlock: stride is {stride}, expected 1 where in_channels = out_channels")

    def forward(self, x):
        """x (N, C, H, W) -> (N, O, H / stride, W / stride)."""
        y = self.bn1(x, activation="relu")
        shortcut = x if self.convShortcut is None else self.convShortcut(y)
        y = self.bn2(self.conv1(y), activation="relu")
        return self.conv2(self.dropout(y)) + shortcut


class WideStage(Module):
    """The blocks of one resolution, called `layer`."""

    def __init__(self, blocks):
        self.layer = Sequential(*blocks)

    def forward(self, x):
        """The blocks one after the other."""
        return self.layer(x)


class Spec(NamedTuple):
    """A row of the table of architectures."""

    depth: int          # 6 n + 4
    k: int              # widening factor


VARIANTS = {f"wrn_{depth}_{k}": Spec(depth, k)                        # table 4; the first two are smaller
            for depth, k in ((10, 2), (16, 1), (16, 8), (22, 8), (28, 10), (40, 4))}


class WideResNet(Module):
    """3x3 convolution, stages of 16 k, 32 k and 64 k channels, norm, global average pooling, linear layer.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes); 32 x 32 in the paper.

    Parameters
    ----------
    depth : int
        6 n + 4 with n >= 1.
    k : int
        Widening factor.
    num_classes : int, default 10
    dropout : float, default 0
    rng : numpy Generator, int or None
    """

    def __init__(self, depth, k, *, num_classes=10, dropout=0.0, rng=None):
        rng, n = np.random.default_rng(rng), (integer("WideResNet", "depth", depth) - 4) // 6
        if depth < 10 or depth != 6 * n + 4:
            raise ArgError(f"WideResNet: depth is {depth}, expected 6 n + 4 with n >= 1, e.g. 28")
        k, C = integer("WideResNet", "k", k), 16
        self.conv1 = conv(3, C, 3, rng=rng)
        for i in range(3):
            O, blocks = 16 * k * 2 ** i, []
            for j in range(n):
                blocks.append(WideBlock(C, O, stride=2 if i and not j else 1, dropout=dropout, rng=rng))
                C = O
            setattr(self, f"block{i + 1}", WideStage(blocks))
        self.bn1 = BatchNorm2d(C)
        self.avgpool = GlobalAvgPool2d()
        self.fc = Linear(C, num_classes, rng=rng)

    def features(self, x):
        """x (N, 3, H, W) -> {"c1": (N, 16 k, H, W), ..., "c3": (N, 64 k, H / 4, W / 4)}; the last after norm and relu.

        The others are sums, which nothing follows.
        """
        maps, y = {}, self.conv1(x)
        for name, stage in zip(("c1", "c2", "c3"), (self.block1, self.block2, self.block3), strict=True):
            maps[name] = y = stage(y)
        return maps | {"c3": self.bn1(y, activation="relu")}

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        return self.fc(self.avgpool(self.features(x)["c3"]))


def build(name, *, num_classes=10, rng=None, **options):
    """Build a row of `VARIANTS`, e.g. ``wide_resnet.build("wrn_28_10")``; options as `WideResNet`."""
    spec = VARIANTS[choice("wide_resnet.build", "name", name, VARIANTS)]
    return WideResNet(*spec, num_classes=num_classes, rng=rng, **options)
