"""Softmax and its logarithm along one axis.

Both subtract the maximum first, which changes nothing (softmax(x + c) = softmax(x)) and keeps
e ** x from overflowing. An element at -inf gets probability 0. A row that is all -inf, or that holds
+inf or NaN, has no softmax: it becomes NaN. `logsumexp` is in `reduce.py`.
"""

import numpy as np

from .elementwise import exp
from .index import check_axis
from .op import op
from .reduce import float_array


def _shifted(function, x, axis):
    """x minus its maximum along `axis`, as floats, and the axis counted from the front."""
    x = float_array(x)
    axis = check_axis(function, axis, x.ndim)
    with np.errstate(invalid="ignore"):                    # -inf - -inf
        return x - np.max(x, axis=axis, keepdims=True, initial=-np.inf), axis


@op
def softmax(x, *, axis=-1):
    """exp(x) / sum(exp(x)) along `axis`: positive, each row sums to 1.

    >>> softmax(np.array([0.0, 0.0, -np.inf]))
    array([0.5, 0.5, 0. ])
    """
    x, axis = _shifted("softmax", x, axis)
    y = np.exp(x)
    wider = np.float64 if y.dtype == np.float32 else np.longdouble      # rows sum to 1 within 2 eps
    y /= np.sum(y, axis=axis, keepdims=True, dtype=wider).astype(y.dtype)
    return y


@op
def log_softmax(x, *, axis=-1):
    """x - logsumexp(x) along `axis`: log(softmax(x)) without the logarithm of a small number."""
    x, axis = _shifted("log_softmax", x, axis)
    total = np.sum(np.exp(x), axis=axis, keepdims=True, dtype=np.float64)
    with np.errstate(divide="ignore"):                     # no elements
        return x - np.log(total).astype(x.dtype)


softmax.vjp(lambda g, y, x, axis=-1: y * (g - (g * y).sum(axis=axis, keepdims=True)), saves=("y",))
log_softmax.vjp(lambda g, y, x, axis=-1: g - exp(y) * g.sum(axis=axis, keepdims=True), saves=("y",))
