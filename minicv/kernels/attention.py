"""Attention without its matrix of weights.

    S = scale Q K^T,   P = softmax(S),   Y = P V

P has as many numbers as there are pairs of words: for 197 patches of an image and heads of 64 features as many as Q, K
and V together. Here a dozen queries are done at a time: their scores, softmax and output stay in the cache, and only
the logarithm of the sum of exponentials of each query is kept. The backward pass computes P anew from it (Rabe & Staats
2021; Dao et al., NeurIPS 2022, section 3):

    D = sum_e gY Y,   gS = P (gY V^T - D),   gQ = scale gS K,   gK = scale gS^T Q,   gV = P^T gY

The backward pass takes one head at a time and holds P and gS of that head, L S numbers each.
"""

import numpy as np

from ..errors import ShapeError
from .buffers import empty
from .host import host
from .launch import compiler_runs, example
from .panels import addresses


def applies(q, k, v, scale):
    """Whether the loops can do it: float32, whole vectors of features, something to do, and a compiler.

    They take the largest score before the scale is applied, so the scale must be above 0 as a float32.
    """
    whole = q.shape[-1] % host().lanes == v.shape[-1] % host().lanes == 0
    single = q.dtype == k.dtype == v.dtype == np.float32
    smallest, largest = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    return compiler_runs() and single and whole and min(q.size, k.size, v.size) > 0 and smallest <= scale <= largest


def attention(q, k, v, *, scale, causal=False):
    """(Y (B, L, E), log-sum-exp (B, L)) of q (B, L, D), k (B, S, D) and v (B, S, E), all of one type.

    What the loops cannot do (see `applies`) is done by NumPy, with the whole matrix of weights. With `causal`
    query l sees the keys 0 .. l. ShapeError if the arrays do not fit.
    """
    from .attention_loops import attend
    _check("attention", q, v, k=k)
    y, lse = empty((*q.shape[:2], v.shape[2]), q.dtype), np.empty(q.shape[:2], q.dtype)
    if applies(q, k, v, scale):
        attend(len(q), q, k, v, y, lse, np.float32([scale]), causal, host().rows, host().width, *_addresses())
    else:
        attend.twin(q, k, v, y, lse, [scale], causal)
    return y, lse


def attention_gradients(g, q, k, v, y, lse, *, scale, causal=False):
    """(gQ, gK, gV) for the gradient g (B, L, E) of the output; y and lse are those of `attention`."""
    from .attention_loops import attend_back
    _check("attention_gradients", q, v, k=k, g=g, y=y, lse=lse)
    g, y, lse = (a.astype(q.dtype, copy=False) for a in (g, y, lse))
    gq, gk, gv = empty(q.shape, q.dtype), empty(k.shape, k.dtype), empty(v.shape, v.dtype)
    if applies(q, k, v, scale):
        attend_back(len(q), g, q, k, v, y, lse, gq, gk, gv, np.float32([scale]), causal, host().rows, host().width,
                    *_addresses(backward=True))
    else:
        attend_back.twin(g, q, k, v, y, lse, gq, gk, gv, [scale], causal)
    return gq, gk, gv


def _check(function, q, v, **others):
    """Shapes that do not fit are refused here: the loops read what lies at an address."""
    for name, a in (("q", q), ("v", v)):
        if a.ndim != 3:
            raise ShapeError(f"{function}: {name} has shape {a.shape}, expected 3 axes")
    (B, L, D), (S, E) = q.shape, v.shape[1:]
    expected = {"v": (B, S, E), "k": (B, S, D), "g": (B, L, E), "y": (B, L, E), "lse": (B, L)}
    for name, a in {"v": v, **others}.items():
        if a.shape != expected[name]:
            raise ShapeError(f"{function}: {name} has shape {a.shape}, expected {expected[name]} for q {q.shape} "
                             f"and v {v.shape}")


def _addresses(backward=False):
    names = ("transpose", "tile", "narrow_tile", *(("down_tile", "narrow_down_tile") if backward else ()))
    if not compiler_runs():
        return (0,) * (len(names) + 1)
    from . import exponential
    last = exponential.softmax_gradients if backward else exponential.exponentials
    return *addresses(*names), last.address


@example
def _example(dtype):
    q = np.ones((1, 2, host().lanes), np.float32)
    y, lse = attention(q, q, q, scale=1.0)
    attention_gradients(y, q, q, q, y, lse, scale=1.0)
