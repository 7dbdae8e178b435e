"""Residual networks: ResNet (He et al., CVPR 2016), ResNeXt (Xie et al., CVPR 2017) and their wide form.

A block learns F(x) and returns relu(F(x) + x); with F = 0 it is the identity (He et al., eq. 1). Where the
shape changes, a 1x1 convolution takes the place of x (eq. 2, option B). Every convolution is followed by a
batch norm. Names of parameters are those of torchvision, so that its weights load by name.

Departures: the stride of a bottleneck sits on the 3x3 convolution, as in most libraries ("v1.5"); with
``stride_in="1x1"`` it sits on the first 1x1 convolution as in the paper.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError
from ..nn import BatchNorm2d, Conv2d, GlobalAvgPool2d, Linear, MaxPool2d, Module, Sequential
from ..nn.check import choice, integer
from ..nn.init import zero_gamma


def conv(in_channels, out_channels, size, *, stride=1, dilation=1, groups=1, rng=None):
    """Convolution without bias (a norm follows) of odd size; it keeps height and width where the stride is 1."""
    if integer("conv", "size", size) % 2 == 0:
        raise ArgError(f"conv: size is {size}, expected an odd number")
    return Conv2d(in_channels, out_channels, size, stride=stride, padding=dilation * (size // 2),
                  dilation=dilation, groups=groups, bias=False, rng=rng)


class Block(Module):
    """What the blocks share: the way round F.

    Parameters
    ----------
    in_channels, planes : int
        Channels of x, and the width of the stage before `expansion`.
    stride : int, default 1
    dilation : (before, after), default (1, 1)
        Of the 3x3 convolutions up to the one that carries the stride, and behind it. They differ in the
        first block of a stage whose stride was replaced.
    groups, group_width : int, default 1 and 64
        Cardinality of the 3x3 convolution, and the width of a group where planes = 64.
    stride_in : "3x3" or "1x1"
        Of bottlenecks.
    norm : function from a number of channels to a Module
        It is called with `residual` and `activation`, as `BatchNorm2d`.
    rng : numpy Generator, int or None
    """

    expansion = 1                               # channels of the result, in planes
    reduce_first, projection_size = 1, 1        # SENet-154: a narrower first convolution; 3x3 in strided projections

    def project(self, in_channels, out_channels, stride, dilation, norm, rng):
        """Set `downsample`: convolution and norm where x changes its shape, or would without dilation; else None."""
        self.downsample, size = None, self.projection_size if stride > 1 else 1
        if stride != 1 or in_channels != out_channels or dilation[0] != dilation[1]:
            self.downsample = Sequential(conv(in_channels, out_channels, size, stride=stride, rng=rng),
                                         norm(out_channels))

    def shortcut(self, x):
        """x, or its projection where F changes the shape."""
        return x if self.downsample is None else self.downsample(x)


class BasicBlock(Block):
    """relu(F(x) + x) with two 3x3 convolutions: x (N, C, H, W) -> (N, planes, I, J). Parameters as `Block`."""

    def __init__(self, in_channels, planes, *, stride=1, dilation=(1, 1), groups=1, group_width=64,
                 stride_in="3x3", norm=BatchNorm2d, rng=None):
        if groups != 1 or group_width != 64:
            raise ArgError(f"BasicBlock: groups, group_width are {groups}, {group_width}, expected 1, 64; "
                           "groups need a bottleneck")
        rng = np.random.default_rng(rng)
        self.conv1 = conv(in_channels, planes, 3, stride=stride, dilation=dilation[0], rng=rng)
        self.bn1 = norm(planes)
        self.conv2 = conv(planes, planes, 3, dilation=dilation[1], rng=rng)
        self.bn2 = norm(planes)
        self.project(in_channels, planes, stride, dilation, norm, rng)

    def forward(self, x):
        """x (N, C, H, W) -> (N, planes, I, J)."""
        y = self.bn1(self.conv1(x), activation="relu")
        return self.bn2(self.conv2(y), residual=self.shortcut(x), activation="relu")


class Bottleneck(Block):
    """relu(F(x) + x) with 1x1, 3x3, 1x1: x (N, C, H, W) -> (N, 4 planes, I, J). Parameters as `Block`."""

    expansion = 4

    def __init__(self, in_channels, planes, *, stride=1, dilation=(1, 1), groups=1, group_width=64,
                 stride_in="3x3", norm=BatchNorm2d, rng=None):
        rng, width = np.random.default_rng(rng), planes * group_width // 64 * groups
        late = choice("Bottleneck", "stride_in", stride_in, ("3x3", "1x1")) == "3x3"
        first = width // self.reduce_first
        self.conv1 = conv(in_channels, first, 1, stride=1 if late else stride, rng=rng)
        self.bn1 = norm(first)
        self.conv2 = conv(first, width, 3, stride=stride if late else 1, dilation=dilation[0 if late else 1],
                          groups=groups, rng=rng)
        self.bn2 = norm(width)
        self.conv3 = conv(width, 4 * planes, 1, rng=rng)
        self.bn3 = norm(4 * planes)
        self.project(in_channels, 4 * planes, stride, dilation, norm, rng)

    def forward(self, x):
        """x (N, C, H, W) -> (N, 4 planes, I, J)."""
        y = self.bn1(self.conv1(x), activation="relu")
        y = self.bn2(self.conv2(y), activation="relu")
        return self.bn3(self.conv3(y), residual=self.shortcut(x), activation="relu")


class Spec(NamedTuple):
    """A column of the table of architectures."""

    block: type
    depths: tuple           # blocks in conv2_x .. conv5_x
    groups: int = 1         # cardinality C of ResNeXt
    group_width: int = 64   # width d of one group in conv2_x


VARIANTS = {                # He et al., table 1; Xie et al., table 1; Zagoruyko and Komodakis, table 8
    "resnet18": Spec(BasicBlock, (2, 2, 2, 2)),
    "resnet34": Spec(BasicBlock, (3, 4, 6, 3)),
    "resnet50": Spec(Bottleneck, (3, 4, 6, 3)),
    "resnet101": Spec(Bottleneck, (3, 4, 23, 3)),
    "resnet152": Spec(Bottleneck, (3, 8, 36, 3)),
    "resnext50_32x4d": Spec(Bottleneck, (3, 4, 6, 3), 32, 4),
    "resnext101_32x4d": Spec(Bottleneck, (3, 4, 23, 3), 32, 4),
    "resnext101_32x8d": Spec(Bottleneck, (3, 4, 23, 3), 32, 8),
    "resnext101_64x4d": Spec(Bottleneck, (3, 4, 23, 3), 64, 4),
    "wide_resnet50_2": Spec(Bottleneck, (3, 4, 6, 3), 1, 128),
    "wide_resnet101_2": Spec(Bottleneck, (3, 4, 23, 3), 1, 128),
}


class ResNet(Module):
    """A stem, four stages of residual blocks, global average pooling and one linear layer.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes).

    Parameters
    ----------
    spec : Spec
    num_classes : int, default 1000
        0 leaves out the classifier: `forward` then returns the pooled features (N, C).
    stem : "imagenet" or "cifar"
        7x7 convolution of stride 2 and 3x3 max pooling of stride 2; or a single 3x3 convolution of stride 1
        for images of about 32 pixels.
    widths : tuple, default (64, 128, 256, 512)
        Planes of the four stages; the stem has the width of the first.
    stride_in : "3x3" or "1x1"
        Convolution of a bottleneck that has the stride.
    replace_stride_with_dilation : three bools, default all False
        For stages 3 to 5 of the pyramid: keep the resolution and spread the filters instead. (False, True, True)
        gives stride 8 in c4 and c5, (False, False, True) stride 16 in c5. Sampled at every second (fourth)
        pixel such a network computes what the original does.
    zero_init_residual : bool, default False
        Start every block as the identity (Goyal et al., 2017, §5.1).
    norm : function from a number of channels to a Module, default BatchNorm2d
        `FrozenBatchNorm2d` for detectors.
    rng : numpy Generator, int or None

    Attributes
    ----------
    channels, strides : dict
        Of the maps that `features` returns.
    """

    def __init__(self, spec, *, num_classes=1000, stem="imagenet", widths=(64, 128, 256, 512), stride_in="3x3",
                 replace_stride_with_dilation=(False, False, False), zero_init_residual=False, norm=BatchNorm2d,
                 rng=None):
        rng = np.random.default_rng(rng)
        integer("ResNet", "num_classes", num_classes, low=0)
        choice("ResNet", "stride_in", stride_in, ("3x3", "1x1"))
        if len(widths) != 4 or len(spec.depths) != 4 or len(replace_stride_with_dilation) != 3:
            raise ArgError(f"ResNet: widths, depths, replace_stride_with_dilation have lengths {len(widths)}, "
                           f"{len(spec.depths)}, {len(replace_stride_with_dilation)}, expected 4, 4, 3")
        self._stem(choice("ResNet", "stem", stem, ("imagenet", "cifar")), widths[0], norm, rng)
        settings = dict(groups=spec.groups, group_width=spec.group_width, stride_in=stride_in, norm=norm, rng=rng)
        self._stages(spec, widths, (False, *replace_stride_with_dilation), 1 if stem == "cifar" else 4, settings)
        self.avgpool = GlobalAvgPool2d()
        self.fc = Linear(self.channels["c5"], num_classes, rng=rng) if num_classes else None
        if zero_init_residual:
            zero_gamma(self, "bn3" if spec.block.expansion == 4 else "bn2")

    def _stem(self, stem, width, norm, rng):
        small = stem == "cifar"
        self.conv1 = conv(3, width, 3 if small else 7, stride=1 if small else 2, rng=rng)
        self.bn1 = norm(width)
        self.maxpool = None if small else MaxPool2d(3, stride=2, padding=1)
        self.out_channels = width

    def _stages(self, spec, widths, replaced, stride, settings):
        self.channels, self.strides, dilation = {}, {}, 1
        for i, (planes, depth) in enumerate(zip(widths, spec.depths, strict=True)):
            step, before = 2 if i else 1, dilation
            if replaced[i]:
                step, dilation = 1, 2 * dilation
            blocks, C = [], self.out_channels
            for k in range(integer("ResNet", "depths", depth)):
                first = dict(stride=1 if k else step, dilation=(dilation if k else before, dilation))
                blocks.append(spec.block(C, planes, **first, **settings))
                C = planes * spec.block.expansion
            setattr(self, f"layer{i + 1}", Sequential(*blocks))
            self.out_channels, stride = C, stride * step
            self.channels[f"c{i + 2}"], self.strides[f"c{i + 2}"] = C, stride

    def stem(self, x):
        """x (N, 3, H, W) -> the input of the first stage."""
        y = self.bn1(self.conv1(x), activation="relu")
        return y if self.maxpool is None else self.maxpool(y)

    def features(self, x):
        """x (N, 3, H, W) -> {"c2": (N, C, H / 4, W / 4), ..., "c5": (N, C, H / 32, W / 32)}, finest first.

        These are the sizes of plain ImageNet networks; in general H and W are divided by `strides`.
        """
        maps, y = {}, self.stem(x)
        for name, stage in zip(self.channels, (self.layer1, self.layer2, self.layer3, self.layer4), strict=True):
            maps[name] = y = stage(y)
        return maps

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        y = self.avgpool(self.features(x)["c5"])
        return y if self.fc is None else self.fc(y)


def build(name, *, num_classes=1000, rng=None, **options):
    """Build a column of `VARIANTS`; options as `ResNet`.

    >>> build("resnet18", num_classes=10, stem="cifar", rng=0)(np.zeros((1, 3, 32, 32), np.float32)).shape
    (1, 10)
    """
    return ResNet(VARIANTS[choice("resnet.build", "name", name, VARIANTS)], num_classes=num_classes, rng=rng,
                  **options)
