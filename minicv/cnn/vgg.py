"""VGG (Simonyan and Zisserman, ICLR 2015): stacks of 3x3 convolutions and 2x2 max pools.

Names of parameters are those of torchvision. Departures: none; ``batch_norm=True`` adds a norm after every
convolution, which the paper did not have.
"""

import numpy as np

from ..nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from ..nn.check import choice, integers
from .backbone import before_pools

WIDTHS = (64, 128, 256, 512, 512)
VARIANTS = {                    # table 1, columns A, B, D, E: convolutions in each of the five blocks
    "vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


class VGG(Module):
    """Five blocks of convolutions, each followed by a max pool, then three linear layers.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes), H and W at least 32; 224 in the paper.

    Parameters
    ----------
    depths : five ints
        Convolutions in each block.
    num_classes : int, default 1000
    widths : five ints, default (64, 128, 256, 512, 512)
        Channels of each block.
    batch_norm : bool, default False
    hidden : int, default 4096
        Units of the linear layers.
    dropout : float, default 0.5
    rng : numpy Generator, int or None
    """

    def __init__(self, depths, *, num_classes=1000, widths=WIDTHS, batch_norm=False, hidden=4096, dropout=0.5,
                 rng=None):
        rng, C, layers = np.random.default_rng(rng), 3, []
        depths, widths = integers("VGG", "depths", depths, 5), integers("VGG", "widths", widths, 5)
        for depth, O in zip(depths, widths, strict=True):
            for _ in range(depth):
                layers.append(Conv2d(C, O, 3, padding=1, rng=rng))
                layers += [BatchNorm2d(O), ReLU()] if batch_norm else [ReLU()]
                C = O
            layers.append(MaxPool2d(2))
        self.features = Sequential(*layers)
        self.avgpool = AdaptiveAvgPool2d(7)
        self.flatten = Flatten()
        self.classifier = Sequential(
            Linear(49 * C, hidden, rng=rng), ReLU(), Dropout(dropout, rng=rng),
            Linear(hidden, hidden, rng=rng), ReLU(), Dropout(dropout, rng=rng), Linear(hidden, num_classes, rng=rng))

    def pyramid(self, x):
        """x (N, 3, H, W) -> {"c1": (N, C, H, W), ..., "c5": (N, C, H / 16, W / 16)}: each block before its pool.

        "c5" is the map called conv5_3 in detectors with VGG-16. NB: `features` is the chain of layers, as in
        torchvision; it ends with the fifth pool.
        """
        return before_pools(self.features, x, 1)

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        return self.classifier(self.flatten(self.avgpool(self.features(x))))


def build(name, *, num_classes=1000, rng=None, **options):
    """Build a column of `VARIANTS`, e.g. ``vgg.build("vgg16")``; options as `VGG`."""
    return VGG(VARIANTS[choice("vgg.build", "name", name, VARIANTS)], num_classes=num_classes, rng=rng, **options)
