"""Cases of `minicv.autograd.random`: with an integer `rng` the mask is the same in every call."""

import numpy as np

from ...autograd import random
from ...errors import ArgError
from ..registry import Bad, OpSpec, Sample


def _dropout_ref(x, p=0.5, rng=None, training=True, per_sample=False):
    """Element by element, with the documented source of randomness: one float32 in [0, 1) per element or sample."""
    if not training or p == 0:
        return x.copy()
    rng = np.random.default_rng(rng)
    draws = rng.random((len(x),) if per_sample else x.shape, dtype=np.float32)
    y = np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        if draws[at[:1] if per_sample else at] >= p:
            y[at] = x[at] / (1 - p)
    return y


DROPOUT = OpSpec(
    random.dropout, _dropout_ref, lambda rng: [
        Sample((rng.standard_normal(s),), settings) for s, settings in [
            ((3, 4), dict(p=0.5, rng=1)), ((), dict(p=0.5, rng=0)), ((1,), dict(p=0.2, rng=3)),
            ((2, 1, 3), dict(p=0.7, rng=4)), ((4, 3), dict(p=0.5, rng=2, per_sample=True)),
            ((0, 3), dict(p=0.5, rng=0)), ((5,), dict(p=0.0, rng=0)),
            ((5,), dict(p=1.0, rng=0)), ((5,), dict(p=0.9, training=False)),
            ((2, 3, 2, 2), dict(p=0.3, rng=5)), ((1, 2, 2, 2), dict(p=0.5, rng=5, per_sample=True))]],
    lambda: [
        Bad((np.ones(3),), dict(p=-0.1), ArgError, "p is -0.1"),
        Bad((np.ones(3),), dict(p=1.1), ArgError, "p is 1.1"),
        Bad((np.ones(3),), dict(p=float("nan")), ArgError, "p is nan"),
        Bad((np.ones(3),), dict(p=2.0, training=False), ArgError, "p is 2.0"),
        Bad((np.array(1.0),), dict(p=0.5, per_sample=True), ArgError, "per_sample")], nan="selects")


def specs():
    """One spec per op of the family."""
    return [DROPOUT]
