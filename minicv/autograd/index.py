"""Picking elements by position, and the adjoint: adding into positions."""

import numpy as np

from .op import array, op
from .tensor import Tensor


def plain_key(key):
    """An index with Tensors turned into arrays; lists and arrays copied, so nobody can change them later."""
    if isinstance(key, tuple):
        return tuple(plain_key(k) for k in key)
    if isinstance(key, list):
        return np.array(key)
    return np.array(array(key)) if isinstance(key, (np.ndarray, Tensor)) else key


@op
def getitem(x, *, index):
    """x[index]."""
    return x[index]


@op
def scatter_add(g, *, index, shape):
    """Zeros of `shape` with g added at `index`; repeated positions add up. Adjoint of `getitem`."""
    out = np.zeros(shape, g.dtype)
    np.add.at(out, index, g)
    return out


getitem.vjp(lambda g, y, x, index: scatter_add(g, index=index, shape=x.shape), saves=())
scatter_add.vjp(lambda g, y, x, index, shape: getitem(g, index=index), saves=())
