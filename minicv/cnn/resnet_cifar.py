"""The residual networks that He et al. (CVPR 2016, §4.2) trained on CIFAR-10: 6 n + 2 layers, three widths.

Shortcuts have no parameters (option A): where the shape changes, x is sampled at every second pixel and
filled up with zero channels. Names of parameters as in the widely used public weights: `layer{1-3}.{i}.conv{1,2}`
and `linear`.
Departures: none; the zero channels lie on both sides of those of x, which the paper leaves open.
"""

import numpy as np

from ..autograd.shape import pad
from ..errors import ArgError
from ..nn import BatchNorm2d, GlobalAvgPool2d, Linear, MaxPool2d, Module, Sequential
from ..nn.check import choice, integer
from .resnet import conv


class CifarBlock(Module):
    """relu(F(x) + S(x)) with two 3x3 convolutions: x (N, C, H, W) -> (N, O, H / stride, W / stride).

    Parameters
    ----------
    in_channels, out_channels : int
        The result has at least as many as x: option A adds channels and takes none away.
    stride : int, default 1
    plain : bool, default False
        Leave out S(x).
    rng : numpy Generator, int or None
    """

    def __init__(self, in_channels, out_channels, *, stride=1, plain=False, rng=None):
        rng = np.random.default_rng(rng)
        if out_channels < in_channels and not plain:
            raise ArgError(f"CifarBlock: out_channels is {out_channels}, expected at least in_channels = {in_channels}")
        self.conv1 = conv(in_channels, out_channels, 3, stride=stride, rng=rng)
        self.bn1 = BatchNorm2d(out_channels)
        self.conv2 = conv(out_channels, out_channels, 3, rng=rng)
        self.bn2 = BatchNorm2d(out_channels)
        self.sample = MaxPool2d(1, stride=stride) if stride > 1 else None
        self.extra, self.plain = out_channels - in_channels, bool(plain)

    def shortcut(self, x):
        """Option A: every `stride`-th pixel, new channels zero."""
        x = x if self.sample is None else self.sample(x)                     # a pool of single pixels
        before = self.extra // 2
        return pad(x, widths=((0, 0), (before, self.extra - before), (0, 0), (0, 0))) if self.extra else x

    def forward(self, x):
        """x (N, C, H, W) -> (N, O, H / stride, W / stride)."""
        y = self.bn1(self.conv1(x), activation="relu")
        return self.bn2(self.conv2(y), residual=None if self.plain else self.shortcut(x), activation="relu")


class CifarResNet(Module):
    """3x3 convolution, three stages of n blocks, global average pooling, one linear layer.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes); 32 x 32 in the paper.

    Parameters
    ----------
    depth : int
        6 n + 2 with n >= 1: 20, 32, 44, 56, 110 in the paper.
    num_classes : int, default 10
    width : int, default 16
        Channels of the first stage; doubled in each of the next two.
    plain : bool, default False
        The network without its shortcuts, to which the paper compares (fig. 6, left).
    rng : numpy Generator, int or None

    Raises
    ------
    ArgError
        For another depth.
    """

    def __init__(self, depth, *, num_classes=10, width=16, plain=False, rng=None):
        rng, n = np.random.default_rng(rng), (integer("CifarResNet", "depth", depth) - 2) // 6
        if depth < 8 or depth != 6 * n + 2:
            raise ArgError(f"CifarResNet: depth is {depth}, expected 6 n + 2 with n >= 1, e.g. 20")
        self.conv1 = conv(3, width, 3, rng=rng)
        self.bn1 = BatchNorm2d(width)
        C = width
        for i in range(3):
            O, blocks = width * 2 ** i, []
            for k in range(n):
                blocks.append(CifarBlock(C, O, stride=2 if i and not k else 1, plain=plain, rng=rng))
                C = O
            setattr(self, f"layer{i + 1}", Sequential(*blocks))
        self.avgpool = GlobalAvgPool2d()
        self.linear = Linear(C, num_classes, rng=rng)

    def features(self, x):
        """x (N, 3, H, W) -> {"c1": (N, C, H, W), "c2": (N, 2 C, H / 2, W / 2), "c3": (N, 4 C, H / 4, W / 4)}."""
        maps, y = {}, self.bn1(self.conv1(x), activation="relu")
        for name, stage in zip(("c1", "c2", "c3"), (self.layer1, self.layer2, self.layer3), strict=True):
            maps[name] = y = stage(y)
        return maps

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        return self.linear(self.avgpool(self.features(x)["c3"]))


VARIANTS = {f"resnet{depth}_cifar": depth for depth in (20, 32, 44, 56, 110)}           # table 6


def build(name, *, num_classes=10, rng=None, **options):
    """Build a row of `VARIANTS`, e.g. ``resnet_cifar.build("resnet20_cifar")``; options as `CifarResNet`."""
    depth = VARIANTS[choice("resnet_cifar.build", "name", name, VARIANTS)]
    return CifarResNet(depth, num_classes=num_classes, rng=rng, **options)
