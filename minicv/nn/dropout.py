"""Layers that leave something out at random while training.

Each layer owns a random generator, spawned from the one it is given, so that the masks do not depend on
what else draws numbers. `Module.random_state` stores the generators for an exact resume.
"""

import numpy as np

from ..autograd.random import dropout
from .check import number
from .module import Module


class Dropout(Module):
    """Zeroes elements with probability p in training and scales the others by 1/(1 - p).

    In evaluation, and for p = 0, it returns its input and draws nothing.
    Reference: Srivastava et al., JMLR 2014, §4.

    Parameters
    ----------
    p : float in [0, 1], default 0.5
        p = 1 gives zeros with zero gradients.
    rng : numpy Generator, int or None
    """

    per_sample = False

    def __init__(self, p=0.5, *, rng=None):
        rng = np.random.default_rng(rng)
        self.p = number(type(self).__name__, "p", p, low=0, high=1)
        (self.rng,) = rng.spawn(1)

    @property
    def idle(self):
        """Whether it passes its input on, unseen by any hook."""
        return not (self.training and self.p or self._before or self._after)

    def forward(self, x):
        """x of any shape -> the same shape."""
        return dropout(x, p=self.p, rng=self.rng, training=self.training, per_sample=self.per_sample)

    def extra_repr(self):
        """Probability."""
        return f"p={self.p}"


class DropPath(Dropout):
    """Zeroes whole samples, at the end of a residual branch: stochastic depth.

    y = x + DropPath(p)(F(x)) skips the block for a random part of the batch. Reference: Huang et al.,
    ECCV 2016, §3. Departures: kept samples are scaled by 1/(1 - p) in training instead of all in evaluation.

    Parameters
    ----------
    p : float in [0, 1], default 0
    rng : numpy Generator, int or None
    """

    per_sample = True

    def __init__(self, p=0.0, *, rng=None):
        super().__init__(p, rng=rng)
