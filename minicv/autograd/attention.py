"""Scaled dot-product attention.

    S = scale Q K^T + mask,    P = softmax(S) over the keys,    Y = P V                            (1)

Reference: Vaswani et al., NIPS 2017, eq. 1.
Departures: a query that may see no key at all gets weights 0 and output 0, where the softmax of an empty
set would be NaN.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError
from ..kernels import attention as kernels
from .op import array, op, shape_of


@op
def masked_softmax(s, keep=None):
    """exp(s) / sum exp(s) over the last axis, counting only elements where `keep` (boolean, broadcast) is true.

    Left out elements are 0, and so is a row in which nothing is kept or everything is -inf.
    """
    if s.dtype.kind != "f":
        raise DTypeError(f"masked_softmax: s has dtype {s.dtype}, expected float32 or float64")
    if keep is not None:
        _check_keep(keep, s.shape)
        s = np.where(keep, s, -np.inf)
    top = s.max(axis=-1, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore"):                         # a score of +inf gives NaN
        e = s - np.where(top == -np.inf, 0, top).astype(s.dtype)
        np.exp(e, out=e)
    total = e.sum(axis=-1, keepdims=True, dtype=np.float64)
    e *= (1 / np.where(total == 0, 1, total)).astype(s.dtype)
    return e


masked_softmax.vjp(lambda g, y, s, keep=None: y * (g - (g * y).sum(axis=-1, keepdims=True)),
                   None, saves=("y",))


def _check_keep(keep, shape):
    if keep.dtype != bool:
        raise DTypeError(f"masked_softmax: keep has dtype {keep.dtype}, expected bool")
    if not _fits(keep.shape, shape):
        raise ShapeError(f"masked_softmax: keep has shape {keep.shape}, expected one that broadcasts to {shape}")


def _fits(shape, full):
    """Whether an array of `shape` broadcasts to `full`."""
    return len(shape) <= len(full) and all(n in (1, m) for n, m in zip(shape[::-1], full[::-1], strict=False))


class Attention(NamedTuple):
    """Result of `attention_with_weights`: output (..., L, E) and weights (..., L, S), rows summing to 1 or 0."""

    output: object
    weights: object


def scaled_dot_product_attention(q, k, v, mask=None, *, scale=None, causal=False):
    """Equation (1): the values of the keys, averaged with weights by similarity to each query.

    Parameters
    ----------
    q : Tensor or array (..., L, D), float32 or float64
        Queries.
    k, v : Tensor or array (..., S, D) and (..., S, E)
        Keys and values. The leading axes broadcast as in a matrix product.
    mask : Tensor or array (..., L, S), optional
        Boolean: True where the query may see the key. Float: added to the scores, -inf hides a key; it
        may be learned (relative position bias). NB: as in PyTorch's function of this name; the masks of
        its MultiheadAttention are True where a key is hidden.
    scale : float, optional
        Default 1 / sqrt(D).
    causal : bool
        Query l sees keys 0 .. l only, in addition to the mask.

    Returns
    -------
    Tensor or array (..., L, E). A query that sees no key gives 0.

    Raises
    ------
    ShapeError, DTypeError, ArgError
    """
    if mask is None and q.shape[:-2] == k.shape[:-2] == v.shape[:-2] and q.size and k.size and q.dtype == v.dtype:
        _check(q, k, v, mask)
        flat = (a.reshape(-1, *a.shape[-2:]) for a in (q, k, v))
        y = attend(*flat, scale=_scale(scale, q.shape[-1]), causal=causal)
        return y.reshape(*q.shape[:-1], v.shape[-1])
    return attention_weights(q, k, mask, scale=scale, causal=causal, v=v) @ v


@op(aux=True)
def attend(q, k, v, *, scale, causal=False):
    """Equation (1) without a mask: the weights are never stored, and computed anew for the gradient.

    Parameters
    ----------
    q, k, v : Tensor or array (B, L, D), (B, S, D), (B, S, E), not empty, of one dtype
    scale : float
    causal : bool

    Returns
    -------
    Tensor or array (B, L, E)
    """
    y, lse = kernels.attention(q, k, v, scale=scale, causal=causal)
    return y, (lse,)


def _attend_rule(g, y, inputs, needs, *, scale, causal=False, aux):
    """gV = P^T g,   gS = P (g V^T - sum over keys of P g V^T),   gQ = scale gS K,   gK = scale gS^T Q."""
    q, k, v = inputs
    if aux[0] is not None:
        return kernels.attention_gradients(g, q, k, v, y, *aux, scale=scale, causal=causal)
    p = attention_weights(q, k, scale=scale, causal=causal)
    gp = g @ v.swapaxes(1, 2)
    gs = scale * p * (gp - (p * gp).sum(axis=2, keepdims=True))
    return gs @ k, gs.swapaxes(1, 2) @ q, p.swapaxes(1, 2) @ g


attend.vjp_all(_attend_rule, saves=("q", "k", "v", "y"))


def attention_with_weights(q, k, v, mask=None, *, scale=None, causal=False):
    """`scaled_dot_product_attention` together with the weights: Attention(output, weights)."""
    weights = attention_weights(q, k, mask, scale=scale, causal=causal, v=v)
    return Attention(weights @ v, weights)


def attention_weights(q, k, mask=None, *, scale=None, causal=False, v=None):
    """P of equation (1), (..., L, S); parameters as `scaled_dot_product_attention` (v is only checked)."""
    _check(q, k, v, mask)
    scale = _scale(scale, q.shape[-1])
    # Scaling the queries, not the scores, touches and keeps L D numbers instead of L S.
    scores = (q * scale) @ k.swapaxes(-1, -2)                   # (..., L, S)
    keep = _visible(mask, causal, scores.shape)
    if mask is not None and array(mask).dtype != bool:
        scores = scores + mask
    return masked_softmax(scores) if keep is None else masked_softmax(scores, keep)


def _scale(scale, D):
    if scale is None:
        return 1 / np.sqrt(D).item()
    if not np.isfinite(scale):
        raise ArgError(f"scaled_dot_product_attention: scale is {scale!r}, expected a finite number")
    return scale


def _visible(mask, causal, shape):
    """Boolean array of the keys that each query may see, or None for all."""
    keep = array(mask) if mask is not None and array(mask).dtype == bool else None
    if causal:
        earlier = np.tri(*shape[-2:], dtype=bool)
        keep = earlier if keep is None else keep & earlier
    return keep


def _check(q, k, v, mask):
    name = "scaled_dot_product_attention"
    for letter, a in (("q", q), ("k", k), ("v", v)):
        if a is not None and (array(a).dtype.kind != "f" or array(a).dtype.itemsize < 4):
            raise DTypeError(f"{name}: {letter} has dtype {a.dtype}, expected float32 or float64")
        if a is not None and array(a).ndim < 2:
            raise ShapeError(f"{name}: {letter} has shape {a.shape}, expected at least 2 axes (..., L, D)")
    if q.shape[-1] != k.shape[-1] or q.shape[-1] == 0:
        raise ShapeError(f"{name}: k has {k.shape[-1]} features, expected {q.shape[-1]} as q (at least 1)")
    if v is not None and v.shape[-2] != k.shape[-2]:
        raise ShapeError(f"{name}: v has {v.shape[-2]} values, expected {k.shape[-2]} as keys in k")
    if mask is not None and array(mask).dtype.kind not in "bf":
        raise DTypeError(f"{name}: mask has dtype {array(mask).dtype}, expected bool (True: visible) or float (added)")
    _check_broadcast(name, q, k, v, mask)


def _check_broadcast(name, q, k, v, mask):
    try:
        lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], *([v.shape[:-2]] if v is not None else []))
    except ValueError:
        raise ShapeError(f"{name}: v or k has leading axes {k.shape[:-2]}, expected axes that broadcast with "
                         f"{q.shape[:-2]} of q") from None
    scores = (*lead, q.shape[-2], k.shape[-2])
    if mask is not None and not _fits(shape_of(mask), scores):
        raise ShapeError(f"{name}: mask has shape {shape_of(mask)}, expected one that broadcasts to {scores}")
