"""Inception-v1, called GoogLeNet (Szegedy et al., CVPR 2015): four filters of different size side by side.

A module concatenates the results of 1x1, 3x3 and 5x5 convolutions and of a max pool. The 1x1 convolutions before
the larger ones make it affordable: on 192 x 28 x 28 a 5x5 convolution to 32 channels costs 120.4 million
multiply-adds, through 16 channels 12.4 million. Two auxiliary classifiers in the middle bring gradients to
the first layers; they are not used for inference.

Names of parameters are those of torchvision, for both rows of `VARIANTS`: "inception_v1" is the network of the paper
(biases, local response norms, no batch norm), "googlenet" the widely used one: batch norms, 3x3 where the
paper has 5x5 (an old slip, kept for the weights) and a last pool of 2x2.
Departures: none. NB: the published weights of "googlenet" need ``aux=True`` and images in [-1, 1].
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from ..autograd.activation import relu
from ..autograd.shape import concat, flatten
from ..errors import ArgError, ShapeError
from ..nn import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    GlobalAvgPool2d,
    Identity,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    Module,
    Sequential,
    cross_entropy,
)
from ..nn.check import choice, integer, number, pair

NORM = partial(BatchNorm2d, eps=1e-3)


class ConvUnit(Module):
    """Convolution, norm, ReLU: x (N, C, H, W) -> (N, O, I, J).

    Parameters
    ----------
    in_channels, out_channels : int
    size : int or (vertical, horizontal)
    stride : int, default 1
    padding : int or pair, default half of the size
        Which keeps height and width where the stride is 1.
    norm : function from a number of channels to a Module, or None
        Without a norm the convolution has a bias.
    rng : numpy Generator, int or None
    """

    def __init__(self, in_channels, out_channels, size, *, stride=1, padding=None, norm=NORM, rng=None):
        half = tuple(k // 2 for k in pair("ConvUnit", "size", size))
        self.conv = Conv2d(in_channels, out_channels, size, stride=stride, padding=half if padding is None else padding,
                           bias=norm is None, rng=rng)
        self.bn = norm(out_channels) if norm else None
        self.out_channels = self.conv.out_channels

    def forward(self, x):
        """x (N, C, H, W) -> (N, O, I, J)."""
        y = self.conv(x)
        return relu(y) if self.bn is None else self.bn(y, activation="relu")


class Concat(Module):
    """What all branches make of x, channel behind channel: x (N, C, H, W) -> (N, sum of their O, I, J).

    Parameters
    ----------
    branches : dict from names to Modules
    """

    def __init__(self, branches):
        self.order = tuple(branches)
        for name, branch in branches.items():
            setattr(self, name, branch)

    def forward(self, x):
        """x (N, C, H, W) -> (N, sum of O, I, J)."""
        return concat(*[getattr(self, name)(x) for name in self.order], axis=1)


class Row(NamedTuple):
    """A row of table 1: channels of the convolutions of one module."""

    one: int            # "#1x1"
    reduce3: int        # "#3x3 reduce"
    three: int          # "#3x3"
    reduce5: int        # "#5x5 reduce"
    five: int           # "#5x5"
    pool: int           # "pool proj"

    @property
    def out(self):
        """Channels of the result."""
        return self.one + self.three + self.five + self.pool


class Inception(Concat):
    """1x1; 1x1 and 3x3; 1x1 and 5x5; max pool and 1x1: x (N, C, H, W) -> (N, row.out, H, W) (fig. 2b).

    Parameters
    ----------
    in_channels : int
    row : Row
    size : int, default 5
        Of the filters of the third branch.
    norm, rng
        As `ConvUnit`.
    """

    def __init__(self, in_channels, row, *, size=5, norm=NORM, rng=None):
        unit, C = partial(ConvUnit, norm=norm, rng=np.random.default_rng(rng)), in_channels
        super().__init__({
            "branch1": unit(C, row.one, 1),
            "branch2": Sequential(unit(C, row.reduce3, 1), unit(row.reduce3, row.three, 3)),
            "branch3": Sequential(unit(C, row.reduce5, 1), unit(row.reduce5, row.five, size)),
            "branch4": Sequential(MaxPool2d(3, stride=1, padding=1), unit(C, row.pool, 1))})


class AuxiliaryHead(Module):
    """Mean over a 4x4 grid, 1x1 convolution, two linear layers: x (N, C, H, W) -> logits (N, num_classes) (§5).

    Parameters
    ----------
    in_channels, num_classes : int
    dropout : float, default 0.7
    norm : as `ConvUnit`
        None: windows of 5x5 at every third pixel, as in the paper, which make 4x4 of 14x14 only; otherwise the windows
        adapt to the image.
    rng : numpy Generator, int or None

    Raises
    ------
    ShapeError
        If the paper's windows do not make a grid of 4x4.
    """

    def __init__(self, in_channels, num_classes, *, dropout=0.7, norm=NORM, rng=None):
        rng = np.random.default_rng(rng)
        self.avgpool = AvgPool2d(5, stride=3) if norm is None else AdaptiveAvgPool2d(4)
        self.conv = ConvUnit(in_channels, 128, 1, norm=norm, rng=rng)
        self.fc1, self.fc2 = Linear(16 * 128, 1024, rng=rng), Linear(1024, num_classes, rng=rng)
        self.dropout = Dropout(dropout, rng=rng)

    def forward(self, x):
        """x (N, C, H, W) -> logits (N, num_classes)."""
        if isinstance(self.avgpool, AvgPool2d) and not all(14 <= n <= 16 for n in x.shape[2:]):
            raise ShapeError(f"AuxiliaryHead: x has shape {x.shape}, expected (N, C, 14, 14); "
                             "images of 224 x 224, or norms, whose heads adapt")
        y = self.conv(self.avgpool(x))
        return self.fc2(self.dropout(relu(self.fc1(flatten(y, start=1)))))


ROWS = {                        # table 1; a pool stands between the first digits
    "3a": Row(64, 96, 128, 16, 32, 32), "3b": Row(128, 128, 192, 32, 96, 64),
    "4a": Row(192, 96, 208, 16, 48, 64), "4b": Row(160, 112, 224, 24, 64, 64), "4c": Row(128, 128, 256, 24, 64, 64),
    "4d": Row(112, 144, 288, 32, 64, 64), "4e": Row(256, 160, 320, 32, 128, 128),
    "5a": Row(256, 160, 320, 32, 128, 128), "5b": Row(384, 192, 384, 48, 128, 128)}
HEADS = {"aux1": "4a", "aux2": "4d"}                    # the modules that the auxiliary heads look at (fig. 3)


class Spec(NamedTuple):
    """How the two forms differ."""

    norm: object            # None: local response norms in the stem and biases
    size: int               # of the filters of the third branch
    last_pool: int          # size of the pool before stage 5
    dropout: float


VARIANTS = {"inception_v1": Spec(None, 5, 3, 0.4), "googlenet": Spec(NORM, 3, 2, 0.2)}


class InceptionV1(Module):
    """A stem of three convolutions, nine modules, global average pooling and one linear layer.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes), H and W at least 32; 224 in the paper. In training with
    auxiliary heads the result is a tuple: the logits and those of each head; see `auxiliary_loss`.

    Parameters
    ----------
    spec : Spec
    num_classes : int, default 1000
    aux : bool, default False
        Auxiliary heads after 4a and 4d, those of them that `rows` has; at least one.
    rows : dict from names to Row, default `ROWS`
        Modules in their order, called by stage (3, 4, 5) and letter; stages are left out at the end only.
    stem : "imagenet" or "cifar"
        7x7 convolution of stride 2 and two pools; or 3x3 of stride 1 without pools, for images of about 32 pixels.
    stem_channels : (first, last), default (64, 192)
        Of the first two convolutions of the stem, and of the third.
    rng : numpy Generator, int or None
    """

    def __init__(self, spec, *, num_classes=1000, aux=False, rows=ROWS, stem="imagenet",
                 stem_channels=(64, 192), rng=None):
        rng, norm = np.random.default_rng(rng), spec.norm
        _check_rows(rows, aux)
        self.rows, self.least = tuple(rows), 32 if stem == "imagenet" else 1
        self._stem(choice("InceptionV1", "stem", stem, ("imagenet", "cifar")) == "cifar", stem_channels, norm, rng)
        self.maxpool3 = MaxPool2d(3, stride=2, ceil_mode=True)
        self.maxpool4 = MaxPool2d(spec.last_pool, stride=2, ceil_mode=True)
        C = self.conv3.out_channels
        for name, row in rows.items():
            setattr(self, f"inception{name}", Inception(C, row, size=spec.size, norm=norm, rng=rng))
            C = row.out
        self.heads = {head: name for head, name in HEADS.items() if aux and name in rows}
        for head, name in self.heads.items():
            setattr(self, head, AuxiliaryHead(rows[name].out, num_classes, norm=norm, rng=rng))
        self.avgpool, self.dropout = GlobalAvgPool2d(), Dropout(spec.dropout, rng=rng)
        self.fc = Linear(C, integer("InceptionV1", "num_classes", num_classes), rng=rng)

    def _stem(self, small, channels, norm, rng):
        unit, (C, O) = partial(ConvUnit, norm=norm, rng=rng), pair("InceptionV1", "stem_channels", channels)
        self.conv1 = unit(3, C, 3) if small else unit(3, C, 7, stride=2)
        self.conv2, self.conv3 = unit(C, C, 1), unit(C, O, 3)
        self.norm1, self.norm2 = [Identity() if norm else LocalResponseNorm(5) for _ in range(2)]
        self.maxpool1, self.maxpool2 = [Identity() if small else MaxPool2d(3, stride=2, ceil_mode=True)
                                        for _ in range(2)]

    def maps(self, x):
        """x (N, 3, H, W) -> pairs (name, map) of both parts of the stem, "1" and "2", and of every module."""
        if min(x.shape[2:]) < self.least:
            raise ShapeError(f"InceptionV1: x has shape {x.shape}, expected at least {self.least} pixels each way")
        y = self.conv1(x)
        yield "1", y
        y = self.norm2(self.conv3(self.conv2(self.norm1(self.maxpool1(y)))))
        yield "2", y
        stage = "2"
        for name in self.rows:
            if name[0] != stage:
                y, stage = getattr(self, f"maxpool{stage}")(y), name[0]
            y = getattr(self, f"inception{name}")(y)
            yield name, y

    def features(self, x):
        """x (N, 3, H, W) -> {"c1": (N, 64, H / 2, W / 2), ..., "c5": (N, 1024, H / 32, W / 32)}, finest first."""
        return {f"c{name[0]}": y for name, y in self.maps(x)}           # the last of each stage remains

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes), or a tuple of logits, see the class."""
        maps = dict(self.maps(x))
        logits = self.fc(self.dropout(self.avgpool(maps[self.rows[-1]])))
        if not (self.training and self.heads):
            return logits
        return (logits, *[getattr(self, head)(maps[name]) for head, name in self.heads.items()])


def _check_rows(rows, aux):
    stages = [name[:1] for name in rows]
    if not stages or stages != sorted(stages) or not "345".startswith("".join(sorted(set(stages)))):
        raise ArgError(f"InceptionV1: rows has {', '.join(rows) or 'nothing'}, expected modules of stages 3, 4 and 5 "
                       "in this order, such as 3a, 4a, 5a")
    if aux and not set(HEADS.values()) & set(rows):
        raise ArgError(f"InceptionV1: aux is {aux} and rows has {', '.join(rows)}, expected 4a or 4d among them")


def auxiliary_loss(logits, target, *, weight=0.3, loss=cross_entropy):
    """loss(main) + weight (loss(aux1) + loss(aux2)) (§5).

    Parameters
    ----------
    logits : Tensor (N, K) or tuple of them, the main one first
        As `InceptionV1` returns them; without auxiliary ones it is the plain loss.
    target : int array (N,) of classes, or what `loss` takes
    weight : float >= 0, default 0.3
    loss : function (logits, target) -> scalar Tensor, default cross_entropy
    """
    weight = number("auxiliary_loss", "weight", weight, low=0)
    main, *others = logits if isinstance(logits, tuple) else (logits,)
    total = loss(main, target)
    for other in others:
        total = total + weight * loss(other, target)
    return total


def build(name, *, num_classes=1000, rng=None, **options):
    """Build one of `VARIANTS`, e.g. ``inception.build("googlenet", aux=True)``; options as `InceptionV1`.

    >>> build("googlenet", num_classes=10, rng=0).eval()(np.zeros((1, 3, 64, 64), np.float32)).shape
    (1, 10)
    """
    spec = VARIANTS[choice("inception.build", "name", name, VARIANTS)]
    return InceptionV1(spec, num_classes=num_classes, rng=rng, **options)
