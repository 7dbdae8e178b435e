"""Reductions over axes. Sums that feed statistics and losses are accumulated in float64."""

import numpy as np

from ..errors import ShapeError
from .elementwise import where
from .engine import expand
from .op import array, op


def _kept_shape(shape, axis):
    """Shape of a reduction with keepdims=True."""
    axes = range(len(shape)) if axis is None else {a % len(shape) for a in np.atleast_1d(axis)}
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _spread(g, x, axis):
    """A reduced gradient repeated over the axes it was summed over."""
    return expand(g.reshape(_kept_shape(x.shape, axis)), shape=x.shape)


def _count(shape, axis):
    kept = _kept_shape(shape, axis)
    return np.prod([n for n, k in zip(shape, kept, strict=True) if k == 1 or n == 1], dtype=np.int64).item()


@op
def sum(x, *, axis=None, keepdims=False):
    """Sum over `axis` (None: all); an empty sum is 0."""
    return np.sum(x, axis=axis, keepdims=keepdims)


sum.vjp(lambda g, y, x, axis=None, keepdims=False: _spread(g, x, axis), saves=())


@op
def mean(x, *, axis=None, keepdims=False):
    """Mean over `axis` (None: all); an empty mean is NaN with NumPy's warning."""
    return np.mean(x, axis=axis, keepdims=keepdims)


mean.vjp(lambda g, y, x, axis=None, keepdims=False: _spread(g, x, axis) * (1 / _count(x.shape, axis)), saves=())
