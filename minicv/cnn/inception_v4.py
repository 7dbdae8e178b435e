"""Inception-v4 (Szegedy et al., AAAI 2017): modules A, B and C, and reductions between them.

A large filter is taken apart into small ones: 1x7 and 7x1 have 14 weights where 7x7 has 49. The tables below
are the figures of the paper, column by column. Names of parameters are those of timm (`inception_v4`).
Departures: none.
"""

from functools import partial

import numpy as np

from ..autograd.shape import concat
from ..nn import AvgPool2d, Dropout, GlobalAvgPool2d, Linear, MaxPool2d, Module, Sequential
from ..nn.check import choice, integer, integers, number
from .inception import Concat, ConvUnit
from .mobilenet import pyramid

# A step of a column: (channels, size) keeps height and width, (channels, size, stride) has no padding ("V" in the
# figures), "max" is a 3x3 pool of stride 2 without padding, "avg" a 3x3 mean that keeps height and width.
STEM = (((32, 3, 2), (32, 3, 1), (64, 3)),)                                                         # fig. 3
MIXED_3A = (("max",), ((96, 3, 2),))
MIXED_4A = (((64, 1), (96, 3, 1)), ((64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3, 1)))
MIXED_5A = (((192, 3, 2),), ("max",))
BLOCK_A = (((96, 1),), ((64, 1), (96, 3)), ((64, 1), (96, 3), (96, 3)), ("avg", (96, 1)))            # fig. 4
REDUCTION_A = (((384, 3, 2),), ((192, 1), (224, 3), (256, 3, 2)), ("max",))                         # fig. 7
BLOCK_B = (((384, 1),), ((192, 1), (224, (1, 7)), (256, (7, 1))),                                   # fig. 5
           ((192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))), ("avg", (128, 1)))
REDUCTION_B = (((192, 1), (192, 3, 2)), ((256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2)), ("max",))   # fig. 8


def scale(channels, width):
    """`channels` times `width` as an integer, at least 1."""
    return max(1, round(channels * width))


def column(in_channels, steps, *, width=1.0, rng=None):
    """(module, channels of its result) of one column of a figure; a single step stands for itself."""
    rng, C, layers = np.random.default_rng(rng), in_channels, []
    for step in steps:
        if step == "max":
            layers.append(MaxPool2d(3, stride=2))
        elif step == "avg":
            layers.append(AvgPool2d(3, stride=1, padding=1, count_include_pad=False))
        else:
            O, size, *stride = step
            settings = dict(stride=stride[0], padding=0) if stride else {}
            layers.append(ConvUnit(C, scale(O, width), size, rng=rng, **settings))
            C = scale(O, width)
    return layers[0] if len(layers) == 1 else Sequential(*layers), C


class Mixed(Concat):
    """Columns side by side: x (N, C, H, W) -> (N, out_channels, I, J).

    Parameters
    ----------
    in_channels : int
    figure : tuple of columns
        See the tables of this module.
    names : tuple of str, default "branch0", "branch1", ...
    width : float > 0, default 1
        Multiplier of all channels.
    rng : numpy Generator, int or None
    """

    def __init__(self, in_channels, figure, *, names=None, width=1.0, rng=None):
        rng, width = np.random.default_rng(rng), number("Mixed", "width", width, low=0, open_low=True)
        columns = [column(in_channels, steps, width=width, rng=rng) for steps in figure]
        names = names or [f"branch{i}" for i in range(len(columns))]
        super().__init__({name: module for name, (module, _) in zip(names, columns, strict=True)})
        self.in_channels, self.out_channels = in_channels, sum(C for _, C in columns)


class BlockC(Module):
    """1x1; 1x1 that splits into 1x3 and 3x1; 1x1, 3x1, 1x3 that splits so; mean and 1x1 (fig. 6).

    Shapes: x (N, C, H, W) -> (N, 1536 width, H, W).

    Parameters
    ----------
    in_channels : int
    width : float, default 1
    rng : numpy Generator, int or None
    """

    def __init__(self, in_channels, *, width=1.0, rng=None):
        a, b, c, d = (scale(O, width) for O in (256, 384, 448, 512))
        unit = partial(ConvUnit, rng=np.random.default_rng(rng))
        self.branch0 = unit(in_channels, a, 1)
        self.branch1_0 = unit(in_channels, b, 1)
        self.branch1_1a, self.branch1_1b = unit(b, a, (1, 3)), unit(b, a, (3, 1))
        self.branch2_0, self.branch2_1, self.branch2_2 = unit(in_channels, b, 1), unit(b, c, (3, 1)), unit(c, d, (1, 3))
        self.branch2_3a, self.branch2_3b = unit(d, a, (1, 3)), unit(d, a, (3, 1))
        self.branch3 = Sequential(AvgPool2d(3, stride=1, padding=1, count_include_pad=False), unit(in_channels, a, 1))
        self.in_channels, self.out_channels = in_channels, 6 * a

    def forward(self, x):
        """x (N, C, H, W) -> (N, 1536 width, H, W)."""
        y, z = self.branch1_0(x), self.branch2_2(self.branch2_1(self.branch2_0(x)))
        return concat(self.branch0(x), self.branch1_1a(y), self.branch1_1b(y), self.branch2_3a(z), self.branch2_3b(z),
                      self.branch3(x), axis=1)


class InceptionV4(Module):
    """Stem, modules A, reduction, modules B, reduction, modules C, global average pooling, linear layer.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes), H and W at least 75; 299 in the paper.

    Parameters
    ----------
    depths : three ints, default (4, 7, 3)
        Numbers of modules A, B and C.
    num_classes : int, default 1000
    width : float > 0, default 1
        Multiplier of all channels.
    dropout : float, default 0.2
        NB: the paper keeps 0.8 of the values.
    stem : "imagenet" or "cifar"
        That of the paper, to an eighth of the size, or one 3x3 convolution for images of about 32 pixels.
    rng : numpy Generator, int or None
    """

    def __init__(self, depths=(4, 7, 3), *, num_classes=1000, width=1.0, dropout=0.2, stem="imagenet", rng=None):
        rng = np.random.default_rng(rng)
        width = number("InceptionV4", "width", width, low=0, open_low=True)
        a, b, c = integers("InceptionV4", "depths", depths, 3)
        layers = self._stem(choice("InceptionV4", "stem", stem, ("imagenet", "cifar")), width, rng)
        mixed = partial(Mixed, width=width, rng=rng)
        for make in ([partial(mixed, figure=BLOCK_A)] * a + [partial(mixed, figure=REDUCTION_A)]
                     + [partial(mixed, figure=BLOCK_B)] * b + [partial(mixed, figure=REDUCTION_B)]
                     + [partial(BlockC, width=width, rng=rng)] * c):
            layers.append(make(layers[-1].out_channels))
        self.features, end = Sequential(*layers), layers[-1].out_channels
        self.steps += (1,) * a + (2,) + (1,) * b + (2,) + (1,) * c
        self.avgpool, self.dropout = GlobalAvgPool2d(), Dropout(dropout, rng=rng)
        self.last_linear = Linear(end, integer("InceptionV4", "num_classes", num_classes), rng=rng)

    def _stem(self, stem, width, rng):
        mixed, C = partial(Mixed, width=width, rng=rng), scale(384, width)
        if stem == "cifar":
            self.steps = (1,)
            return [ConvUnit(3, C, 3, rng=rng)]
        self.steps = (2, 1, 1, 2, 1, 2)
        first, C = column(3, STEM[0], width=width, rng=rng)
        layers = list(first)
        for figure, names in ((MIXED_3A, ("maxpool", "conv")), (MIXED_4A, None), (MIXED_5A, ("conv", "maxpool"))):
            layers.append(mixed(C, figure, names=names))
            C = layers[-1].out_channels
        return layers

    def pyramid(self, x):
        """x (N, 3, H, W) -> {"c1": ..., "c5": ...}: the last map of each size, finest first.

        The convolutions without padding cut the edges: 299 pixels make 147, 71, 35, 17 and 8.
        NB: `features` is the chain of layers, as in timm.
        """
        return pyramid(self.features, self.steps, x)

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        return self.last_linear(self.dropout(self.avgpool(self.features(x))))


VARIANTS = {"inception_v4": (4, 7, 3)}          # depths, §3.1


def build(name, *, num_classes=1000, rng=None, **options):
    """Build one of `VARIANTS`, e.g. ``inception_v4.build("inception_v4")``; options as `InceptionV4`."""
    depths = VARIANTS[choice("inception_v4.build", "name", name, VARIANTS)]
    return InceptionV4(depths, num_classes=num_classes, rng=rng, **options)
