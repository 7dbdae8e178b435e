r"""Softmax and negative log-likelihood as one op.

    y = log sum_k exp(z_k) - z_t            gz_k = g (softmax(z)_k - [k = t])                           (1)

Composed of `logsumexp` and a gather it would read the scores five times; here the exponentials of the forward
pass are kept, normalised, and are already the first term of the gradient.
"""

import numpy as np

from ..autograd.index import scatter_add
from ..autograd.op import op
from ..autograd.softmax import softmax
from ..kernels import softmax as kernels


@op(aux=True)
def softmax_nll(z, *, target):
    """Equation (1) at every position.

    Parameters
    ----------
    z : Tensor or array (N, K, ...), float32 or float64
    target : int array (N, ...), in [0, K); not checked here, see `losses.check_target`

    Returns
    -------
    (N, ...), shifted by the largest score so that nothing overflows. Aux: the softmax.
    """
    if kernels.fits(z):
        y, p = kernels.nll(z, target)
        return y, (p,)
    top = z.max(axis=1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(z.dtype)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        p = np.exp(z - top)
        total = p.sum(axis=1, keepdims=True, dtype=np.float64)
        score = z[_at(target)].astype(np.float64) - top[:, 0]               # (N, ...)
        y = np.log(total[:, 0]) - score
        p *= (1 / total).astype(z.dtype)
    return y.astype(z.dtype), (p,)


def _at(target):
    """Index of the target scores in (N, K, ...)."""
    first, *rest = np.ogrid[tuple(slice(n) for n in target.shape)]
    return (first, target, *rest)


def _nll_rule(g, y, z, target, aux):
    (p,) = aux
    if p is None:
        return g[:, None] * softmax(z, axis=1) - scatter_add(g, index=_at(target), shape=z.shape)
    if kernels.fits(g, p):
        return kernels.nll_input(g, p, target)
    gz = g[:, None] * p
    gz[_at(target)] -= g
    return gz


softmax_nll.vjp(_nll_rule, saves=("z",))
