"""Fast element-wise functions and derivatives of float32 arrays; see `elementary_loops` for how they are computed.

`compute(name, formula, x)` runs the loop of that name where it can, that is on float32 arrays of some size where
kernels are compiled, and the NumPy formula otherwise: float64 keeps the accuracy of NumPy.
"""

import numpy as np

from .buffers import empty
from .launch import compiler_runs, example

SMALL = 256                             # elements; below, a call of NumPy costs less than one of a kernel


def compute(name, formula, *arrays):
    """The loop `name` of float32 arrays of equal shape, or ``formula(*arrays)``; the layout is that of the last."""
    if not _fits(arrays):
        return formula(*arrays)
    from . import elementary_loops
    order = _memory_order(arrays[-1])
    y = empty(arrays[-1].shape, np.float32, order)
    getattr(elementary_loops, name)(y.size, *(_flat(a, order) for a in (*arrays, y)))
    return y


def _fits(arrays):
    x = arrays[-1]
    return (isinstance(x, np.ndarray) and x.size >= SMALL
            and all(isinstance(a, np.ndarray) and a.dtype == np.float32 and a.shape == x.shape for a in arrays)
            and compiler_runs())


def _memory_order(x):
    """The axes as they lie in memory, slowest first, or None for C order."""
    return None if x.flags.c_contiguous else tuple(sorted(range(x.ndim), key=lambda a: -abs(x.strides[a])))


def _flat(x, order):
    """One-dimensional view of x in that order of axes, a copy if there are gaps."""
    return (x if order is None else x.transpose(order)).reshape(-1)


@example
def _example(dtype):
    from .elementary_loops import exp
    if dtype == np.float32 and compiler_runs():
        exp(1, np.zeros(1, dtype), np.zeros(1, dtype))
