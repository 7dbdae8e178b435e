"""Inception-ResNet-v2 (Szegedy et al., AAAI 2017): Inception modules that are added to their input.

    y = relu(x + scale W concat(branches of x))

W is a 1x1 convolution with bias and without activation. The scale keeps wide networks from dying early in training:
0.1 to 0.3 in the paper (§3.3), 0.10 to 0.20 in the published network. Names of parameters are those of timm
(`inception_resnet_v2`).
Departures: none from the published network (the paper's figures of the stem and of module widths differ in places).
"""

from functools import partial

import numpy as np

from ..autograd.activation import relu
from ..errors import ArgError
from ..nn import Conv2d, Dropout, GlobalAvgPool2d, Linear, MaxPool2d, Module, Sequential
from ..nn.check import choice, integer, integers, number
from .inception import ConvUnit
from .inception_v4 import Mixed, scale

MIXED_5B = (((96, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3)), ("avg", (64, 1)))
BLOCK_A = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))                             # fig. 16
REDUCTION_A = (((384, 3, 2),), ((256, 1), (256, 3), (384, 3, 2)), ("max",))                         # fig. 7
BLOCK_B = (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))                                   # fig. 17
REDUCTION_B = (((256, 1), (384, 3, 2)), ((256, 1), (288, 3, 2)), ((256, 1), (288, 3), (320, 3, 2)), ("max",))  # fig. 18
BLOCK_C = (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))                                   # fig. 19


class ResidualMixed(Mixed):
    """x + scale W concat(branches), then relu unless `linear`: x (N, C, H, W) -> the same shape.

    Parameters
    ----------
    in_channels : int
    figure : tuple of columns, see `inception_v4`
        They keep height and width.
    scale : float > 0
    linear : bool, default False
    width, rng
        As `Mixed`.
    """

    def __init__(self, in_channels, figure, *, scale=1.0, linear=False, width=1.0, rng=None):
        rng = np.random.default_rng(rng)
        self.scale = number("ResidualMixed", "scale", scale, low=0, open_low=True)
        super().__init__(in_channels, figure, width=width, rng=rng)
        self.conv2d, self.linear = Conv2d(self.out_channels, in_channels, 1, rng=rng), bool(linear)
        self.out_channels = in_channels

    def forward(self, x):
        """x (N, C, H, W) -> (N, C, H, W)."""
        y = x + self.scale * self.conv2d(super().forward(x))
        return y if self.linear else relu(y)


class InceptionResNetV2(Module):
    """Stem, residual modules A, reduction, B, reduction, C, 1x1 convolution, global average pooling, linear layer.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes), H and W at least 75; 299 in the paper.

    Parameters
    ----------
    depths : three ints, default (10, 20, 10)
        Numbers of modules A, B and C, of which the last one is linear (`block8`).
    num_classes : int, default 1000
    width : float > 0, default 1
        Multiplier of all channels.
    scales : three floats > 0, default (0.17, 0.10, 0.20)
        Of modules A, B and C; the linear one has 1.
    dropout : float, default 0.2
    stem : "imagenet" or "cifar"
        To an eighth of the size, or one 3x3 convolution for images of about 32 pixels.
    rng : numpy Generator, int or None
    """

    def __init__(self, depths=(10, 20, 10), *, num_classes=1000, width=1.0, scales=(0.17, 0.10, 0.20), dropout=0.2,
                 stem="imagenet", rng=None):
        rng, where = np.random.default_rng(rng), "InceptionResNetV2"
        width = number(where, "width", width, low=0, open_low=True)
        a, b, c = integers(where, "depths", depths, 3)
        if len(scales) != 3:
            raise ArgError(f"{where}: scales is {scales}, expected three numbers")
        mixed, residual = partial(Mixed, width=width, rng=rng), partial(ResidualMixed, width=width, rng=rng)
        C = self._stem(choice(where, "stem", stem, ("imagenet", "cifar")), width, rng)
        self.mixed_5b = mixed(C, MIXED_5B)
        C = self.mixed_5b.out_channels
        self.repeat = Sequential(*[residual(C, BLOCK_A, scale=scales[0]) for _ in range(a)])
        self.mixed_6a = mixed(C, REDUCTION_A)
        C = self.mixed_6a.out_channels
        self.repeat_1 = Sequential(*[residual(C, BLOCK_B, scale=scales[1]) for _ in range(b)])
        self.mixed_7a = mixed(C, REDUCTION_B)
        C = self.mixed_7a.out_channels
        self.repeat_2 = Sequential(*[residual(C, BLOCK_C, scale=scales[2]) for _ in range(c - 1)])
        self.block8 = residual(C, BLOCK_C, linear=True)
        self.conv2d_7b = ConvUnit(C, scale(1536, width), 1, rng=rng)
        self.avgpool, self.dropout = GlobalAvgPool2d(), Dropout(dropout, rng=rng)
        self.classif = Linear(scale(1536, width), integer(where, "num_classes", num_classes), rng=rng)

    def _stem(self, stem, width, rng):
        unit, C = partial(ConvUnit, rng=rng), [scale(O, width) for O in (32, 32, 64, 80, 192)]
        self.small = stem == "cifar"
        if self.small:
            self.conv2d_1a = unit(3, C[4], 3)
            return C[4]
        self.conv2d_1a = unit(3, C[0], 3, stride=2, padding=0)
        self.conv2d_2a = unit(C[0], C[1], 3, padding=0)
        self.conv2d_2b = unit(C[1], C[2], 3)
        self.maxpool_3a = MaxPool2d(3, stride=2)
        self.conv2d_3b = unit(C[2], C[3], 1)
        self.conv2d_4a = unit(C[3], C[4], 3, padding=0)
        self.maxpool_5a = MaxPool2d(3, stride=2)
        return C[4]

    def features(self, x):
        """x (N, 3, H, W) -> {"c1": ..., "c5": ...}: the last map of each size, finest first.

        The convolutions without padding cut the edges: 299 pixels make 147, 71, 35, 17 and 8. Small stems begin at c3.
        """
        maps, y = {}, self.conv2d_1a(x)
        if not self.small:
            maps["c1"] = y = self.conv2d_2b(self.conv2d_2a(y))
            maps["c2"] = y = self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(y)))
            y = self.maxpool_5a(y)
        maps["c3"] = y = self.repeat(self.mixed_5b(y))
        maps["c4"] = y = self.repeat_1(self.mixed_6a(y))
        maps["c5"] = self.conv2d_7b(self.block8(self.repeat_2(self.mixed_7a(y))))
        return maps

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        return self.classif(self.dropout(self.avgpool(self.features(x)["c5"])))


VARIANTS = {"inception_resnet_v2": (10, 20, 10)}            # depths


def build(name, *, num_classes=1000, rng=None, **options):
    """Build one of `VARIANTS`, e.g. ``inception_resnet.build("inception_resnet_v2")``; options as its class."""
    depths = VARIANTS[choice("inception_resnet.build", "name", name, VARIANTS)]
    return InceptionResNetV2(depths, num_classes=num_classes, rng=rng, **options)
