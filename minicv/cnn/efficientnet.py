"""EfficientNet (Tan and Le, ICML 2019): inverted residuals with gates, made larger in three directions at once.

B0 is a table of stages; B1 to B7 multiply its channels by a width and its repetitions by a depth, and look at larger
images (see `scaling` for the rule behind it). Blocks are MBConv: the inverted residual of MobileNetV2 with a
squeeze-and-excitation gate after the depthwise convolution, SiLU ("swish"), and stochastic depth.

Names of parameters are those of timm (`efficientnet_b0`); `weights.names` translates torchvision's.
Departures: convolutions pad evenly, as timm and torchvision do, where the authors' code pads at the bottom right.
NB: norms are those of timm; torchvision's B5 to B7 and the weights of the authors have ``eps=1e-3, momentum=0.01``:
give ``norm=partial(BatchNorm2d, eps=1e-3, momentum=0.01)`` for these.
"""

import math
from typing import NamedTuple

import numpy as np

from ..autograd.activation import silu
from ..autograd.elementwise import sigmoid
from ..errors import ArgError
from ..nn import BatchNorm2d, Conv2d, Dropout, DropPath, GlobalAvgPool2d, Linear, Module, Sequential
from ..nn.check import choice, integer, number
from .resnet import conv
from .squeeze import round_channels


class Gate(Module):
    """x times sigmoid(W2 silu(W1 mean(x))) in each channel: x (N, C, H, W) -> the same shape.

    Parameters
    ----------
    channels, hidden : int
        NB: `hidden` is a quarter of the channels of the *block*, not of the expanded ones that are gated.
    rng : numpy Generator, int or None
    """

    def __init__(self, channels, hidden, *, rng=None):
        rng = np.random.default_rng(rng)
        self.conv_reduce, self.conv_expand = Conv2d(channels, hidden, 1, rng=rng), Conv2d(hidden, channels, 1, rng=rng)

    def forward(self, x):
        """x (N, C, H, W) -> (N, C, H, W)."""
        z = x.mean(axis=(2, 3), keepdims=True)
        return x * sigmoid(self.conv_expand(silu(self.conv_reduce(z))))


class MBConv(Module):
    """1x1 to t C channels, depthwise, gate, linear 1x1 to O, plus x if the shape is the same.

    Shapes: x (N, C, H, W) -> (N, O, I, J).

    Parameters
    ----------
    in_channels, out_channels : int
    size : int, default 3
        Of the depthwise filters.
    stride : 1 or 2
    t : int, default 6
        Expansion; without the first convolution for 1.
    drop_path : float in [0, 1], default 0
        Probability of leaving the block out in training.
    norm : function from a number of channels to a Module, default BatchNorm2d
    rng : numpy Generator, int or None
    """

    def __init__(self, in_channels, out_channels, *, size=3, stride=1, t=6, drop_path=0.0, norm=BatchNorm2d, rng=None):
        if stride not in (1, 2):
            raise ArgError(f"MBConv: stride is {stride!r}, expected 1 or 2")
        rng, C, wide = np.random.default_rng(rng), in_channels, integer("MBConv", "t", t) * in_channels
        self.expands = t != 1
        if self.expands:
            self.conv_pw, self.bn1 = conv(C, wide, 1, rng=rng), norm(wide)
        self.conv_dw = conv(wide, wide, size, stride=stride, groups=wide, rng=rng)
        self._norms = ("bn2", "bn3") if self.expands else ("bn1", "bn2")
        self._last = "conv_pwl" if self.expands else "conv_pw"
        setattr(self, self._norms[0], norm(wide))
        self.se = Gate(wide, max(1, C // 4), rng=rng)
        setattr(self, self._last, conv(wide, out_channels, 1, rng=rng))
        setattr(self, self._norms[1], norm(out_channels))
        self.adds, self.drop_path = stride == 1 and C == out_channels, DropPath(drop_path, rng=rng)

    def forward(self, x):
        """x (N, C, H, W) -> (N, O, I, J)."""
        middle, end = (getattr(self, name) for name in self._norms)
        y = silu(self.bn1(self.conv_pw(x))) if self.expands else x
        y = self.se(silu(middle(self.conv_dw(y))))
        y = end(getattr(self, self._last)(y))
        return x + self.drop_path(y) if self.adds else y


class Row(NamedTuple):
    """A stage of table 1."""

    size: int           # of the depthwise filters
    stride: int         # of the first block
    t: int              # expansion
    channels: int
    blocks: int


B0 = tuple(Row(*row) for row in (                                                       # table 1
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1)))


class Spec(NamedTuple):
    """One size of the family."""

    width: float
    depth: float
    resolution: int             # side of the images, pixels
    dropout: float


VARIANTS = {                    # the authors' code: a table, which `scaling.compound` meets only roughly
    "efficientnet_b0": Spec(1.0, 1.0, 224, 0.2), "efficientnet_b1": Spec(1.0, 1.1, 240, 0.2),
    "efficientnet_b2": Spec(1.1, 1.2, 260, 0.3), "efficientnet_b3": Spec(1.2, 1.4, 300, 0.3),
    "efficientnet_b4": Spec(1.4, 1.8, 380, 0.4), "efficientnet_b5": Spec(1.6, 2.2, 456, 0.4),
    "efficientnet_b6": Spec(1.8, 2.6, 528, 0.5), "efficientnet_b7": Spec(2.0, 3.1, 600, 0.5)}


def scaled(rows, width, depth):
    """`rows` with channels times `width`, rounded to multiples of 8, and blocks times `depth`, rounded up."""
    return tuple(row._replace(channels=round_channels(row.channels * width), blocks=math.ceil(row.blocks * depth))
                 for row in rows)


class EfficientNet(Module):
    """3x3 convolution, stages of MBConv, 1x1 convolution, global average pooling, linear layer.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes).

    Parameters
    ----------
    width, depth : float > 0, default 1
        Multipliers of channels and of blocks.
    num_classes : int, default 1000
    rows : tuple of Row, default `B0`
    dropout : float, default 0.2
        Before the classifier.
    drop_path : float in [0, 1], default 0.2
        Stochastic depth: block i of L is left out with probability drop_path i / L (Huang et al., ECCV 2016, eq. 4).
        NB: as in the authors' code i counts from 0, so that the first block always stays; the equation has 1 to L.
    norm : function from a number of channels to a Module, default BatchNorm2d
    rng : numpy Generator, int or None
    """

    def __init__(self, width=1.0, depth=1.0, *, num_classes=1000, rows=B0, dropout=0.2, drop_path=0.2,
                 norm=BatchNorm2d, rng=None):
        rng, where = np.random.default_rng(rng), "EfficientNet"
        width, depth = (number(where, name, value, low=0, open_low=True)
                        for name, value in (("width", width), ("depth", depth)))
        drop_path = number(where, "drop_path", drop_path, low=0, high=1)
        integer(where, "number of rows", len(rows))
        C, last = round_channels(32 * width), round_channels(1280 * width)
        self.conv_stem, self.bn1 = conv(3, C, 3, stride=2, rng=rng), norm(C)
        self.rows, self.blocks = scaled(rows, width, depth), []
        total, i = sum(row.blocks for row in self.rows), 0
        for row in self.rows:
            stage = []
            for k in range(row.blocks):
                stage.append(MBConv(C, row.channels, size=row.size, stride=1 if k else row.stride, t=row.t,
                                    drop_path=drop_path * i / total, norm=norm, rng=rng))
                C, i = row.channels, i + 1
            self.blocks.append(Sequential(*stage))
        self.conv_head, self.bn2 = conv(C, last, 1, rng=rng), norm(last)
        self.avgpool, self.dropout = GlobalAvgPool2d(), Dropout(dropout, rng=rng)
        self.classifier = Linear(last, integer(where, "num_classes", num_classes), rng=rng)

    def features(self, x):
        """x (N, 3, H, W) -> {"c1": (N, C, H / 2, W / 2), ..., "c5": (N, C, H / 32, W / 32)}: the last of each size."""
        maps, level, y = {}, 1, silu(self.bn1(self.conv_stem(x)))
        for row, stage in zip(self.rows, self.blocks, strict=True):
            level += row.stride == 2
            maps[f"c{level}"] = y = stage(y)
        return maps

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        *_, last = self.features(x).values()
        y = self.avgpool(silu(self.bn2(self.conv_head(last))))
        return self.classifier(self.dropout(y))


def build(name, *, num_classes=1000, rng=None, **options):
    """Build one of `VARIANTS`, e.g. ``efficientnet.build("efficientnet_b0")``; options as `EfficientNet`.

    >>> net = build("efficientnet_b0", num_classes=10, rng=0).eval()
    >>> net(np.zeros((1, 3, 64, 64), np.float32)).shape
    (1, 10)
    """
    spec = VARIANTS[choice("efficientnet.build", "name", name, VARIANTS)]
    return EfficientNet(**{"width": spec.width, "depth": spec.depth, "dropout": spec.dropout, "rng": rng,
                           "num_classes": num_classes, **options})
