"""AnyNet (Radosavovic et al., CVPR 2020): four stages of ResNeXt blocks with any depths, widths, ratios and groups.

A stage i has depth d, width w, bottleneck ratio b and group *width* g (the number of groups is w / (b g)): 16
degrees of freedom. The paper narrows them in steps: A is free, B shares b, C shares g as well, in D widths do not
decrease, in E depths do not either; all of E that `regnet`'s rule produces is RegNet.
Names of parameters are those of torchvision's RegNet.
Departures: none.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError
from ..nn import BatchNorm2d, GlobalAvgPool2d, Linear, Module, ReLU, Sequential
from ..nn.check import choice, integer, number
from .resnet import conv
from .squeeze import SqueezeExcite


class Stage(NamedTuple):
    """One stage."""

    depth: int                  # d: blocks
    width: int                  # w: channels of its result
    group_width: int = 8        # g: channels of a group of the 3x3 convolutions
    ratio: float = 1            # b: width / channels of the 3x3 convolutions

    @property
    def inner(self):
        """Channels of the 3x3 convolutions, w / b."""
        return round(self.width / self.ratio)


def check_stage(where, stage):
    """`stage` if its numbers fit together, else ArgError."""
    for name in ("depth", "width", "group_width"):
        integer(where, name, getattr(stage, name))
    number(where, "ratio", stage.ratio, low=0, open_low=True)
    if stage.inner % stage.group_width:
        raise ArgError(f"{where}: group_width is {stage.group_width}, expected a divisor of width / ratio = "
                       f"{stage.inner}; see fit_groups")
    return stage


def fit_groups(stage, *, half="up"):
    """`stage` with a group no wider than the 3x3 convolution, and a width that whole groups fill.

    The 3x3 convolution gets the nearest multiple of the group width; with `half` "up" it does not lose over a tenth.

    Parameters
    ----------
    stage : Stage
    half : "up" or "even"
        Where a half is rounded: "up" as torchvision, "even" as the authors' code and timm.

    >>> fit_groups(Stage(12, 392, 16)).width, fit_groups(Stage(12, 392, 16), half="even").width
    (400, 384)
    """
    up, g = choice("fit_groups", "half", half, ("up", "even")) == "up", min(stage.group_width, stage.inner)
    inner = max(g, int(stage.inner + g / 2) // g * g if up else round(stage.inner / g) * g)
    if up and inner < 0.9 * stage.inner:
        inner += g
    return stage._replace(width=round(inner * stage.ratio), group_width=g)


SPACES = {                      # §3.2: each has the conditions of those before it
    "A": lambda stages: True,
    "B": lambda stages: len({s.ratio for s in stages}) == 1,
    "C": lambda stages: len({s.group_width for s in stages}) == 1,
    "D": lambda stages: all(a.width <= b.width for a, b in zip(stages, stages[1:], strict=False)),
    "E": lambda stages: all(a.depth <= b.depth for a, b in zip(stages, stages[1:], strict=False))}


def belongs(stages, space):
    """Whether AnyNet `space`, one of "A" to "E", contains the network of these stages.

    NB: a group wider than its convolution counts as its own number: compare before `fit_groups`.

    >>> stages = [Stage(1, 24), Stage(1, 56), Stage(4, 152), Stage(7, 368)]
    >>> belongs(stages, "E"), belongs(stages[::-1], "C"), belongs(stages[::-1], "D")
    (True, True, False)
    """
    names = list(SPACES)
    return all(SPACES[name](list(stages)) for name in names[:names.index(choice("belongs", "space", space, names)) + 1])


class Transform(Module):
    """The way through F of a block: 1x1, grouped 3x3, gate, 1x1; called `f`.

    Parameters
    ----------
    in_channels : int
    stage : Stage
    stride : int
    se : float
        Units of the gate, in channels of x; 0 for none.
    norm, rng
        As `resnet.ResNet`.
    """

    def __init__(self, in_channels, stage, stride, *, se=0.0, norm=BatchNorm2d, rng=None):
        rng, wide, w = np.random.default_rng(rng), stage.inner, stage.width
        self.a = Sequential(conv(in_channels, wide, 1, rng=rng), norm(wide), ReLU())
        self.b = Sequential(conv(wide, wide, 3, stride=stride, groups=wide // stage.group_width, rng=rng), norm(wide),
                            ReLU())
        self.se = SqueezeExcite(wide, max(1, round(se * in_channels)), rng=rng) if se else None
        self.c = Sequential(conv(wide, w, 1, rng=rng), norm(w))

    def forward(self, x, shortcut):
        """relu(F(x) + shortcut): x (N, C, H, W), shortcut (N, w, I, J) -> (N, w, I, J)."""
        for layer, norm, _ in (self.a, self.b):
            x = norm(layer(x), activation="relu")
        layer, norm = self.c
        return norm(layer(x if self.se is None else self.se(x)), residual=shortcut, activation="relu")


class AnyBlock(Module):
    """relu(F(x) + x), where the shape changes with a 1x1 convolution and norm of x: x (N, C, H, W) -> (N, w, I, J).

    Parameters as `Transform`.
    """

    def __init__(self, in_channels, stage, stride, *, se=0.0, norm=BatchNorm2d, rng=None):
        rng, self.proj = np.random.default_rng(rng), None
        if stride != 1 or in_channels != stage.width:
            self.proj = Sequential(conv(in_channels, stage.width, 1, stride=stride, rng=rng), norm(stage.width))
        self.f = Transform(in_channels, stage, stride, se=se, norm=norm, rng=rng)

    def forward(self, x):
        """x (N, C, H, W) -> (N, w, I, J)."""
        return self.f(x, x if self.proj is None else self.proj(x))


class AnyNet(Module):
    """3x3 convolution of stride 2, stages that each begin with stride 2, global average pooling, linear layer.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes).

    Parameters
    ----------
    stages : list of Stage
        Four in the paper.
    se : float, default 0
        Units of the gates behind the 3x3 convolutions, as a share of the channels of x; 0.25 makes X to Y.
    num_classes : int, default 1000
    stem : int, default 32
        Channels of the first convolution.
    stem_stride : 1 or 2
        1 for images of about 32 pixels.
    norm : function from a number of channels to a Module, default BatchNorm2d
    rng : numpy Generator, int or None

    Raises
    ------
    ArgError
        If a group width does not divide the channels of its convolution.
    """

    def __init__(self, stages, *, se=0.0, num_classes=1000, stem=32, stem_stride=2, norm=BatchNorm2d, rng=None):
        rng, C = np.random.default_rng(rng), integer("AnyNet", "stem", stem)
        stages = [check_stage("AnyNet", Stage(*stage)) for stage in stages]
        integer("AnyNet", "stages", len(stages))
        settings = dict(se=number("AnyNet", "se", se, low=0), norm=norm, rng=rng)
        self.stem = Sequential(conv(3, C, 3, stride=integer("AnyNet", "stem_stride", stem_stride, high=2), rng=rng),
                               norm(C), ReLU())
        trunk, self.channels, self.strides = {}, {"c1": C}, {"c1": stem_stride}
        for i, stage in enumerate(stages, 1):
            blocks = {}
            for k in range(stage.depth):
                blocks[f"block{i}-{k}"] = AnyBlock(C, stage, 1 if k else 2, **settings)
                C = stage.width
            trunk[f"block{i}"] = Sequential(blocks)
            self.channels[f"c{i + 1}"], self.strides[f"c{i + 1}"] = C, stem_stride * 2 ** i
        self.trunk_output = Sequential(trunk)
        self.avgpool = GlobalAvgPool2d()
        self.fc = Linear(C, integer("AnyNet", "num_classes", num_classes), rng=rng)

    def features(self, x):
        """x (N, 3, H, W) -> {"c1": (N, C, H / 2, W / 2), ..., "c5": (N, C, H / 32, W / 32)}, finest first."""
        layer, norm, _ = self.stem
        maps = {"c1": norm(layer(x), activation="relu")}
        for i, stage in enumerate(self.trunk_output, 2):
            maps[f"c{i}"] = stage(maps[f"c{i - 1}"])
        return maps

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        *_, last = self.features(x).values()
        return self.fc(self.avgpool(last))
