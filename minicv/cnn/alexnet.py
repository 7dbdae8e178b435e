"""AlexNet (Krizhevsky et al., NIPS 2012): five convolutions and three linear layers.

Names of parameters are those of torchvision.
Departures: no groups and no local response norm, in both rows of `VARIANTS`. "alexnet" is torchvision's, with the
channels of Krizhevsky's one-tower network (2014); "alexnet_2012" has those of the paper, used by R-CNN.
"""

import numpy as np

from ..nn import AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from ..nn.check import choice, integers
from .backbone import before_pools

VARIANTS = {"alexnet": (64, 192, 384, 256, 256), "alexnet_2012": (96, 256, 384, 384, 256)}


class AlexNet(Module):
    """Convolutions 11x11, 5x5, 3x3, 3x3, 3x3 with three max pools, then linear layers of 4096 units.

    Shapes: x (N, 3, H, W) -> logits (N, num_classes), H and W at least 63; 224 in the paper.

    Parameters
    ----------
    channels : five ints
    num_classes : int, default 1000
    hidden : int, default 4096
        Units of the linear layers.
    dropout : float, default 0.5
    rng : numpy Generator, int or None
    """

    def __init__(self, channels, *, num_classes=1000, hidden=4096, dropout=0.5, rng=None):
        rng = np.random.default_rng(rng)
        a, b, c, d, e = integers("AlexNet", "channels", channels, 5)
        self.features = Sequential(
            Conv2d(3, a, 11, stride=4, padding=2, rng=rng), ReLU(), MaxPool2d(3, stride=2),
            Conv2d(a, b, 5, padding=2, rng=rng), ReLU(), MaxPool2d(3, stride=2),
            Conv2d(b, c, 3, padding=1, rng=rng), ReLU(),
            Conv2d(c, d, 3, padding=1, rng=rng), ReLU(),
            Conv2d(d, e, 3, padding=1, rng=rng), ReLU(), MaxPool2d(3, stride=2))
        self.avgpool = AdaptiveAvgPool2d(6)
        self.flatten = Flatten()
        self.classifier = Sequential(
            Dropout(dropout, rng=rng), Linear(36 * e, hidden, rng=rng), ReLU(),
            Dropout(dropout, rng=rng), Linear(hidden, hidden, rng=rng), ReLU(), Linear(hidden, num_classes, rng=rng))

    def pyramid(self, x):
        """x (N, 3, H, W) -> {"c2": (N, C, H / 4, W / 4), "c3": ..., "c4": ...}: each part before its pool.

        "c4" is the map called conv5 (224 pixels make 55, 27 and 13). NB: `features` is the chain of layers, as in
        torchvision; it ends with the third pool.
        """
        return before_pools(self.features, x, 2)

    def forward(self, x):
        """x (N, 3, H, W) -> logits (N, num_classes)."""
        return self.classifier(self.flatten(self.avgpool(self.features(x))))


def build(name, *, num_classes=1000, rng=None, **options):
    """Build a row of `VARIANTS`; options as `AlexNet`."""
    return AlexNet(VARIANTS[choice("alexnet.build", "name", name, VARIANTS)], num_classes=num_classes, rng=rng,
                   **options)
