"""Squeeze-and-excitation networks (Hu et al., CVPR 2018): residual networks whose channels are gated.

The gate, `squeeze.SqueezeExcite`, stands at the end of F, before the sum. Names of parameters as in timm
(`seresnet50`, `senet154`): those of ResNet and `se.fc1`, `se.fc2`, which are 1x1 convolutions;
`weights.names` translates the older ones.

Departures: as in `resnet`, the stride sits on the 3x3 convolution; ``stride_in="1x1"`` is the published
SE-ResNet-50. SENet-154 pools its stem with a padding of one; ``ceil_pool=True`` is the published network. It has no
dropout before its classifier. Hidden units are a sixteenth of the channels, rounded by `round_channels` as in timm:
8 where the paper's ratio would make 4.
"""

import numpy as np

from ..autograd.activation import relu
from ..nn import MaxPool2d, ReLU, Sequential
from ..nn.check import choice
from .resnet import BasicBlock, Bottleneck, ResNet, Spec, conv
from .squeeze import SqueezeExcite, round_channels


class SEBasicBlock(BasicBlock):
    """`resnet.BasicBlock` with a gate; parameters as there."""

    def __init__(self, in_channels, planes, *, rng=None, **settings):
        rng = np.random.default_rng(rng)
        super().__init__(in_channels, planes, rng=rng, **settings)
        self.se = SqueezeExcite(planes, round_channels(planes / 16), rng=rng)

    def forward(self, x):
        """x (N, C, H, W) -> (N, planes, I, J)."""
        y = self.bn1(self.conv1(x), activation="relu")
        return relu(self.se(self.bn2(self.conv2(y))) + self.shortcut(x))


class SEBottleneck(Bottleneck):
    """`resnet.Bottleneck` with a gate; parameters as there."""

    def __init__(self, in_channels, planes, *, rng=None, **settings):
        rng = np.random.default_rng(rng)
        super().__init__(in_channels, planes, rng=rng, **settings)
        self.se = SqueezeExcite(4 * planes, round_channels(planes / 4), rng=rng)

    def forward(self, x):
        """x (N, C, H, W) -> (N, 4 planes, I, J)."""
        y = self.bn1(self.conv1(x), activation="relu")
        y = self.bn2(self.conv2(y), activation="relu")
        return relu(self.se(self.bn3(self.conv3(y))) + self.shortcut(x))


class SENet154Block(SEBottleneck):
    """Block of SENet-154 (appendix of the paper): half as wide a first convolution, 3x3 projections."""

    reduce_first, projection_size = 2, 3


VARIANTS = {                # Hu et al., table 2; SENet-154 in the appendix
    "seresnet18": Spec(SEBasicBlock, (2, 2, 2, 2)),
    "seresnet34": Spec(SEBasicBlock, (3, 4, 6, 3)),
    "seresnet50": Spec(SEBottleneck, (3, 4, 6, 3)),
    "seresnet101": Spec(SEBottleneck, (3, 4, 23, 3)),
    "seresnet152": Spec(SEBottleneck, (3, 8, 36, 3)),
    "seresnext50_32x4d": Spec(SEBottleneck, (3, 4, 6, 3), 32, 4),
    "seresnext101_32x4d": Spec(SEBottleneck, (3, 4, 23, 3), 32, 4),
    "senet154": Spec(SENet154Block, (3, 8, 36, 3), 64, 4),
}


class SENet(ResNet):
    """A `resnet.ResNet` of gated blocks.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes).

    Parameters
    ----------
    spec : Spec
    ceil_pool : bool, default False
        Pool the stem from its corner with a last window that may be incomplete, as the published weights expect.
    **options
        As `resnet.ResNet`. SENet-154 has a stem of three 3x3 convolutions.
    """

    def __init__(self, spec, *, ceil_pool=False, **options):
        self._deep = spec.block is SENet154Block
        super().__init__(spec, **options)
        if ceil_pool and self.maxpool is not None:
            self.maxpool = MaxPool2d(3, stride=2, ceil_mode=True)

    def _stem(self, stem, width, norm, rng):
        super()._stem(stem, 2 * width if self._deep else width, norm, rng)
        if self._deep:
            step = 2 if self.maxpool else 1
            self.conv1 = Sequential(conv(3, width, 3, stride=step, rng=rng), norm(width), ReLU(),
                                    conv(width, width, 3, rng=rng), norm(width), ReLU(),
                                    conv(width, 2 * width, 3, rng=rng))


def build(name, *, num_classes=1000, rng=None, **options):
    """Build a column of `VARIANTS`; options as `SENet`.

    >>> build("seresnet18", num_classes=10, stem="cifar", rng=0)(np.zeros((1, 3, 32, 32), np.float32)).shape
    (1, 10)
    """
    return SENet(VARIANTS[choice("senet.build", "name", name, VARIANTS)], num_classes=num_classes, rng=rng, **options)
