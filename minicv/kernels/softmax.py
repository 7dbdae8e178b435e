"""Softmax, its logarithm, log-sum-exp and negative log-likelihood of float32 arrays along any axes, one visit per row.

The axes are moved to the end, where rows are contiguous: for channels-last images and axis 1 this costs nothing.
Callers ask `fits` first and otherwise compute the formula in NumPy, as for float64.
"""

import math

import numpy as np

from .buffers import empty
from .launch import compiler_runs, example

SMALL = 64                              # elements; below, a call of NumPy costs less than one of a kernel


def fits(*arrays):
    """Whether the loops can do these arrays: float32, not small, and kernels are compiled."""
    return (all(isinstance(a, np.ndarray) and a.dtype == np.float32 for a in arrays)
            and max(a.size for a in arrays) >= SMALL and compiler_runs())


class Rows:
    """How an array is seen as rows (S, K) over `axes` (numbers from 0)."""

    def __init__(self, x, axes):
        others = [a for a in range(x.ndim) if a not in axes]
        self.order = [*others, *axes]
        self.full = x.shape
        self.kept = tuple(x.shape[a] for a in others)
        self.size = math.prod(self.kept), math.prod(x.shape[a] for a in axes)

    def split(self, x):
        """x as C-contiguous (S, K)."""
        return np.ascontiguousarray(x.transpose(self.order)).reshape(self.size)

    def empty(self):
        """Array of undefined contents in the shape of x, its axes last in memory, and the same as (S, K)."""
        y = empty(self.full, np.float32, tuple(self.order))
        return y, y.transpose(self.order).reshape(self.size)


def softmax(x, axis):
    """exp(x) / sum(exp(x)) along `axis`; the four functions of one axis return the shape of x."""
    from . import softmax_loops
    rows = Rows(x, (axis,))
    values, (result, y) = rows.split(x), rows.empty()
    softmax_loops.softmax(len(values), values, values.view(np.int32), y)
    return result


def log_softmax(x, axis):
    """x - log(sum(exp(x))) along `axis`."""
    from . import softmax_loops
    rows = Rows(x, (axis,))
    values, (result, y) = rows.split(x), rows.empty()
    softmax_loops.log_softmax(len(values), values, values.view(np.int32), y)
    return result


def softmax_input(g, y, axis):
    """y (g - sum(g y)), the gradient of `softmax` in x from its result."""
    from . import softmax_loops
    rows = Rows(y, (axis,))
    result, gx = rows.empty()
    softmax_loops.softmax_slope(len(gx), rows.split(g), rows.split(y), gx)
    return result


def log_softmax_input(g, y, axis):
    """g - exp(y) sum(g), the gradient of `log_softmax` in x from its result."""
    from . import softmax_loops
    rows = Rows(y, (axis,))
    result, gx = rows.empty()
    softmax_loops.log_softmax_slope(len(gx), rows.split(g), rows.split(y), gx)
    return result


def logsumexp(x, axes):
    """log(sum(exp(x))) over `axes`, without them."""
    from . import softmax_loops
    rows = Rows(x, axes)
    values, y = rows.split(x), np.empty(rows.size[0], np.float32)
    softmax_loops.logsumexp(len(values), values, values.view(np.int32), y)
    return y.reshape(rows.kept)


def logsumexp_input(g, x, y, axes):
    """g softmax(x); g and y with or without `axes`."""
    from . import softmax_loops
    rows = Rows(x, axes)
    result, gx = rows.empty()
    softmax_loops.logsumexp_slope(len(gx), g.reshape(-1), rows.split(x), y.reshape(-1), gx)
    return result


def nll(z, target):
    """logsumexp(z) - z[target] along axis 1, (N, ...), and softmax(z); target (N, ...)."""
    from . import softmax_loops
    rows = Rows(z, (1,))
    values, (result, p), y = rows.split(z), rows.empty(), np.empty(rows.size[0], np.float32)
    softmax_loops.nll(len(values), values, values.view(np.int32), target.reshape(-1), y, p)
    return y.reshape(rows.kept), result


def nll_input(g, p, target):
    """g (p - [k = target])."""
    from . import softmax_loops
    rows = Rows(p, (1,))
    result, gz = rows.empty()
    softmax_loops.nll_slope(len(gz), g.reshape(-1), rows.split(p), target.reshape(-1), gz)
    return result


@example
def _example(dtype):
    if dtype == np.float32 and compiler_runs():
        z, target = np.zeros((2, 2), dtype), np.zeros(2, np.int64)
        softmax_input(z, softmax(z, 1), 1)
        log_softmax_input(z, log_softmax(z, 1), 1)
        y = logsumexp(z, (1,))
        logsumexp_input(y, z, y, (1,))
        nll_input(*nll(z, target), target)
