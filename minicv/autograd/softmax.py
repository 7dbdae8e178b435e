"""Softmax and its logarithm along one axis.

Both subtract the maximum first, which changes nothing (softmax(x + c) = softmax(x)) and keeps
e ** x from overflowing. An element at -inf gets probability 0. A row that is all -inf, or that holds
+inf or NaN, has no softmax: it becomes NaN. `logsumexp` is in `reduce.py`.
"""

import numpy as np

from ..kernels import softmax as kernels
from .elementwise import exp
from .index import check_axis
from .op import op
from .reduce import float_array


def _shifted(x, axis):
    """x minus its maximum along `axis`."""
    with np.errstate(invalid="ignore"):                    # -inf - -inf
        return x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)


@op
def softmax(x, *, axis=-1):
    """exp(x) / sum(exp(x)) along `axis`: positive, each row sums to 1.

    >>> softmax(np.array([0.0, 0.0, -np.inf]))
    array([0.5, 0.5, 0. ])
    """
    x = float_array(x)
    axis = check_axis("softmax", axis, x.ndim)
    if kernels.fits(x):
        return kernels.softmax(x, axis)
    y = np.exp(_shifted(x, axis))
    wider = np.float64 if y.dtype == np.float32 else np.longdouble      # rows sum to 1 within 2 eps
    y /= np.sum(y, axis=axis, keepdims=True, dtype=wider).astype(y.dtype)
    return y


@op
def log_softmax(x, *, axis=-1):
    """x - logsumexp(x) along `axis`: log(softmax(x)) without the logarithm of a small number."""
    x = float_array(x)
    axis = check_axis("log_softmax", axis, x.ndim)
    if kernels.fits(x):
        return kernels.log_softmax(x, axis)
    x = _shifted(x, axis)
    total = np.sum(np.exp(x), axis=axis, keepdims=True, dtype=np.float64)
    with np.errstate(divide="ignore"):                     # no elements
        return x - np.log(total).astype(x.dtype)


def _softmax_rule(g, y, x, axis=-1):
    if kernels.fits(g, y):
        return kernels.softmax_input(g, y, axis % y.ndim)
    return y * (g - (g * y).sum(axis=axis, keepdims=True))


def _log_softmax_rule(g, y, x, axis=-1):
    if kernels.fits(g, y):
        return kernels.log_softmax_input(g, y, axis % y.ndim)
    return g - exp(y) * g.sum(axis=axis, keepdims=True)


softmax.vjp(_softmax_rule, saves=("y",))
log_softmax.vjp(_log_softmax_rule, saves=("y",))
