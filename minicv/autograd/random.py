"""Operations that draw random numbers. The source of randomness is an argument."""

import numpy as np

from ..errors import ArgError
from ..kernels import dropout as kernels
from ..kernels.layout import like_layout
from .elementwise import where
from .op import op


@op(aux=True)
def dropout(x, *, p=0.5, rng=None, training=True, per_sample=False):
    """Set each element to 0 with probability p and scale the others by 1 / (1 - p), so that the mean stays.

    Parameters
    ----------
    x : Tensor or array
    p : float in [0, 1]
        Probability of dropping; 0 returns x, 1 returns zeros (and zero gradients).
    rng : Generator, int or None
        One Generator for a whole training run; an int gives the same mask in every call.
    training : bool
        False returns x and draws nothing.
    per_sample : bool
        Drop or keep whole samples along axis 0: stochastic depth for a residual branch
        (Huang et al., ECCV 2016, §3, with the scaling moved from test to training).

    Raises ArgError for p outside [0, 1].

    Reference: Srivastava et al., JMLR 2014, §4 (there the weights are scaled at test time instead).

    >>> dropout(np.ones(6), p=0.5, rng=0)
    array([2., 2., 2., 0., 0., 0.])
    """
    if not 0 <= p <= 1:
        raise ArgError(f"dropout: p is {p}, expected a probability within [0, 1]")
    if per_sample and x.ndim == 0:
        raise ArgError("dropout: per_sample is True for a scalar x, expected an x with samples along axis 0")
    if not training or p == 0:
        return x, (None,)
    rng = np.random.default_rng(rng)
    if not per_sample and x.dtype in (np.float32, np.float64):
        y, kept = kernels.drop(x, p, _scale(p), rng)
        return y, (kept,)
    shape = (len(x),) + (1,) * (x.ndim - 1) if per_sample else x.shape
    kept = rng.random(shape, dtype=np.float32) >= p
    out = like_layout(x, x.shape)
    out[...] = 0
    np.multiply(x, _scale(p), out=out, where=kept)
    return out, (kept,)


def _scale(p):
    return 1 / (1 - p) if p < 1 else 0.0


def _dropout_rule(g, y, x, aux, p=0.5, rng=None, training=True, per_sample=False):
    kept, = aux
    if kept is not None and isinstance(g, np.ndarray) and g.shape == kept.shape:
        return kernels.mask(g, kept, _scale(p))
    return g if kept is None else where(kept, g * _scale(p), 0.0)


dropout.vjp(_dropout_rule, saves=())
