r"""Attention as it is defined: queries from X (N, d_X), keys and values from Y (M, d_Y), rows are tokens.

    dot-product     A = softmax(X Y^T) Y,   d_X = d_Y                                       (Luong et al., 2015)   (1)
    scaled          A = softmax(Q K^T / sqrt(d_K)) V,   Q = X W_Q,  K = Y W_K,  V = Y W_V   (Vaswani et al., 2017) (2)
    self-attention  (2) with Y = X;     masked: position i sees positions <= i
    additive        e_tj = v^T tanh(W s_t + U h_j),   a = softmax(e),   c_t = sum_j a_tj h_j (Bahdanau et al., 2015) (3)

The softmax runs over the keys of each query. These forms always compute the weights, to be looked at; the fast way is
`autograd.attention.scaled_dot_product_attention`, with the same numbers, and `nn.MultiHeadAttention` is (2) in several
heads at once: `split_heads` takes one apart into the heads it consists of.

A mask is True where a query may see a key, or it is float and added to the scores: -inf hides a key. Departures: a
query that may see nothing has no weights; it is refused, or gets zeros with ``empty="zero"``. NB: PyTorch returns NaN.
"""

import numpy as np

from ..autograd.attention import Attention, masked_softmax
from ..autograd.elementwise import tanh
from ..autograd.op import array
from ..errors import ArgError, DTypeError, ShapeError
from ..nn import Linear, Module, init
from ..nn.check import choice, integer


def weigh(scores, mask=None, *, causal=False, empty="error"):
    """Attention weights (..., N, M) of scores (..., N, M): the softmax over the keys that each query may see.

    Parameters
    ----------
    scores : Tensor or array (..., N, M), float32 or float64
    mask : array (broadcasts to (..., N, M)), optional
        Boolean, True where the query may see the key, or float, added to the scores.
    causal : bool
        Query i sees keys 0 .. i only; needs N = M.
    empty : "error" or "zero"
        What becomes of a query that sees no key.

    Raises
    ------
    ShapeError, DTypeError, ArgError
        ArgError names the first query that sees no key.

    >>> weigh(np.zeros((3, 3)), causal=True).round(3).tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.333, 0.333, 0.333]]
    """
    choice("weigh", "empty", empty, ("error", "zero"))
    if scores.ndim < 2 or scores.shape[-1] == 0:
        raise ShapeError(f"weigh: scores has shape {scores.shape}, expected (..., N, M) with at least one key")
    keep = np.broadcast_to(_visible(mask, causal, scores.shape), scores.shape)
    hidden = ~keep.any(axis=-1)
    if empty == "error" and hidden.any():
        first = tuple(np.argwhere(hidden)[0].tolist())
        raise ArgError(f"weigh: mask hides all keys from query {first}, expected at least one that is visible; "
                       "empty='zero' gives such a query the output 0")
    if mask is not None and array(mask).dtype.kind == "f":
        scores = scores + mask
    return masked_softmax(scores) if keep.all() else masked_softmax(scores, keep)


def _visible(mask, causal, shape):
    """Which keys each query may see: a boolean array that broadcasts to `shape`."""
    if causal and shape[-1] != shape[-2]:
        raise ShapeError(f"weigh: scores has shape {shape}, expected as many keys as queries for a causal mask")
    keep = np.tri(shape[-2], dtype=bool) if causal else np.ones((1, 1), bool)
    if mask is None:
        return keep
    mask = array(mask)
    if mask.dtype.kind not in "bf":
        raise DTypeError(f"weigh: mask has dtype {mask.dtype}, expected bool (True: visible) or float (added)")
    if len(mask.shape) > len(shape) or any(m not in (1, n) for m, n in zip(mask.shape[::-1], shape[::-1],
                                                                           strict=False)):
        raise ShapeError(f"weigh: mask has shape {mask.shape}, expected one that broadcasts to {shape}")
    if mask.dtype.kind == "f" and not (mask < np.inf).all():
        raise ArgError("weigh: mask has NaN or +inf, expected finite numbers or -inf")
    return keep & (mask if mask.dtype == bool else mask > -np.inf)


def dot_product_attention(x, y, mask=None, *, causal=False, empty="error"):
    """Equation (1): each row of x becomes an average of the rows of y, weighted by similarity.

    Parameters
    ----------
    x, y : Tensor or array (..., N, d) and (..., M, d)
    mask, causal, empty
        As in `weigh`.

    Returns
    -------
    Attention(output (..., N, d), weights (..., N, M))

    >>> y = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> dot_product_attention(np.array([[50.0, 0.0]]), y).output.round(6).tolist()
    [[1.0, 0.0]]
    """
    _same_width("dot_product_attention", "y", y, "x", x)
    weights = weigh(x @ y.swapaxes(-1, -2), mask, causal=causal, empty=empty)
    return Attention(weights @ y, weights)


def scaled_dot_attention(q, k, v, mask=None, *, causal=False, empty="error"):
    """Equation (2) for queries, keys and values that are already projected.

    The variance of a product of two vectors of independent numbers with variance 1 is their length d_K; divided by
    sqrt(d_K) the scores have variance 1 for any width, and the softmax does not become one-hot.

    Parameters
    ----------
    q, k, v : Tensor or array (..., N, d_K), (..., M, d_K), (..., M, d_V)
    mask, causal, empty
        As in `weigh`.

    Returns
    -------
    Attention(output (..., N, d_V), weights (..., N, M))

    >>> scaled_dot_attention(np.array([[1.0, 0.0]]), np.eye(2), 10 * np.eye(2)).output.round(3).tolist()
    [[6.698, 3.302]]
    """
    _same_width("scaled_dot_attention", "k", k, "q", q)
    if v.ndim < 2 or v.shape[-2] != k.shape[-2]:
        raise ShapeError(f"scaled_dot_attention: v has shape {v.shape}, expected (..., {k.shape[-2]}, d_V), a value "
                         "for each key")
    weights = weigh(q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5, mask, causal=causal, empty=empty)
    return Attention(weights @ v, weights)


def _same_width(where, name, a, other, b):
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1] or a.shape[-1] == 0:
        raise ShapeError(f"{where}: {name} has shape {a.shape} and {other} {b.shape}, expected (..., M, d) and "
                         "(..., N, d) of one width; project them first")


class ProjectedAttention(Module):
    """Equation (2), one head: self-attention with one input, cross-attention with two.

    Parameters
    ----------
    query_dim : int
        d_X.
    source_dim, key_dim, value_dim : int, optional
        d_Y (default d_X), d_K (default d_X) and d_V (default d_K).
    bias : bool, default False
    rng : numpy Generator, int or None
        Glorot uniform weights, zero biases.
    """

    def __init__(self, query_dim, source_dim=None, key_dim=None, value_dim=None, *, bias=False, rng=None):
        rng = np.random.default_rng(rng)
        source_dim = query_dim if source_dim is None else source_dim
        key_dim = query_dim if key_dim is None else key_dim
        value_dim = key_dim if value_dim is None else value_dim
        self.query = _glorot(query_dim, key_dim, bias, rng)
        self.key = _glorot(source_dim, key_dim, bias, rng)
        self.value = _glorot(source_dim, value_dim, bias, rng)

    def forward(self, x, y=None, *, mask=None, causal=False, empty="error"):
        """x (..., N, d_X) and y (..., M, d_Y), or None for x itself -> (..., N, d_V)."""
        return self.with_weights(x, y, mask=mask, causal=causal, empty=empty).output

    def with_weights(self, x, y=None, *, mask=None, causal=False, empty="error"):
        """As calling it, but returns Attention(output (..., N, d_V), weights (..., N, M))."""
        return self.attend(x, *self.memory(x if y is None else y), mask=mask, causal=causal, empty=empty)

    def memory(self, y):
        """Keys (..., M, d_K) and values (..., M, d_V) of a source: while it stays the same they can be kept."""
        return self.key(y), self.value(y)

    def attend(self, x, keys, values, *, mask=None, causal=False, empty="error"):
        """Attend from x (..., N, d_X) to what `memory` gave."""
        return scaled_dot_attention(self.query(x), keys, values, mask, causal=causal, empty=empty)


class AdditiveAttention(Module):
    """Equation (3), the attention of recurrent translators: a small network compares states with states.

    Parameters
    ----------
    query_dim, source_dim, hidden : int
        Widths of s and h, and rows of W and U.
    rng : numpy Generator, int or None
        Glorot uniform weights.
    """

    def __init__(self, query_dim, source_dim, hidden, *, rng=None):
        rng = np.random.default_rng(rng)
        self.query = _glorot(query_dim, hidden, False, rng)                   # W
        self.key = _glorot(source_dim, hidden, False, rng)                    # U
        self.score = _glorot(hidden, 1, False, rng)                           # v

    def forward(self, s, h, keys=None, *, mask=None, empty="error"):
        """Contexts and weights of queries s (N, T, d_s) on states h (N, S, d_h).

        Parameters
        ----------
        keys : (N, S, hidden), optional
            ``self.key(h)``, if it is known already.
        mask, empty
            As in `weigh`; for padded states pass ``kept[:, None, :]`` with kept (N, S).

        Returns
        -------
        Attention(output (N, T, d_h), weights (N, T, S))
        """
        if s.ndim != 3 or h.ndim != 3 or s.shape[0] != h.shape[0]:
            raise ShapeError(f"AdditiveAttention: s has shape {s.shape} and h {h.shape}, expected (N, T, d_s) and "
                             "(N, S, d_h)")
        keys = self.key(h) if keys is None else keys
        both = tanh(self.query(s)[:, :, None] + keys[:, None])                # (N, T, S, hidden)
        weights = weigh(self.score(both)[..., 0], mask, empty=empty)
        return Attention(weights @ h, weights)


def _glorot(inputs, outputs, bias, rng):
    layer = Linear(integer("attention", "width", inputs), outputs, bias=bias, rng=rng)
    init.assign(layer.weight, init.xavier_uniform((outputs, inputs), rng=rng))
    return layer


def split_heads(layer):
    """The heads of an `nn.MultiHeadAttention` as separate `ProjectedAttention`, with copies of its weights.

    Side by side and through the last map they give its output again:
    ``layer.out_proj(concat(*(head(x) for head in split_heads(layer)), axis=-1))``.
    """
    E, h = layer.embed_dim, layer.num_heads
    heads = []
    for i in range(h):
        head = ProjectedAttention(E, key_dim=E // h, bias=layer.in_proj_bias is not None, rng=0)
        for part, linear in enumerate((head.query, head.key, head.value)):
            rows = slice(part * E + i * E // h, part * E + (i + 1) * E // h)
            _copy(linear, "weight", layer.in_proj_weight.data[rows])
            if linear.bias is not None:
                _copy(linear, "bias", layer.in_proj_bias.data[rows])
        heads.append(head)
    return heads


def _copy(linear, name, values):
    setattr(linear, name, type(linear.weight)(values.copy()))


__all__ = ["Attention", "weigh", "dot_product_attention", "scaled_dot_attention", "ProjectedAttention",
           "AdditiveAttention", "split_heads"]
