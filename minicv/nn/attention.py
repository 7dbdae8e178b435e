"""Multi-head attention."""

import numpy as np

from ..autograd.attention import Attention, attention_weights, scaled_dot_product_attention
from ..autograd.op import array
from ..errors import ShapeError
from . import init
from .check import divisible, integer
from .dropout import Dropout
from .linear import Linear, affine
from .module import Module, Parameter


class MultiHeadAttention(Module):
    r"""Attention in several subspaces at once, :math:`\mathrm{softmax}(Q_h K_h^\top / \sqrt{d})\,V_h` in head h.

    Reference: Vaswani et al., NIPS 2017, §3.2.2. Departures: biases on all projections, as in the authors' code
    for later models and in PyTorch.

    Shapes: query (N, L, E), key and value (N, S, E) -> (N, L, E). Parameters as in PyTorch: `in_proj_weight`
    (3 E, E) and `in_proj_bias` (3 E,) hold the projections of query, key and value, `out_proj` is a Linear.
    NB: batch first, and masks are True where a query *may* see a key; both are the other way round in PyTorch's
    layer.

    Parameters
    ----------
    embed_dim, num_heads : int
        E is a multiple of the number of heads.
    dropout : float, default 0
        Probability of dropping an attention weight. A forward hook on the sub-module `dropout` sees the weights.
    bias : bool, default True
    rng : numpy Generator, int or None
        Glorot uniform weights, zero biases.
    """

    def __init__(self, embed_dim, num_heads, *, dropout=0.0, bias=True, rng=None):
        rng, where = np.random.default_rng(rng), "MultiHeadAttention"
        self.embed_dim, self.num_heads = integer(where, "embed_dim", embed_dim), integer(where, "num_heads", num_heads)
        divisible(where, "embed_dim", self.embed_dim, "num_heads", self.num_heads)
        E = self.embed_dim
        self.in_proj_weight = Parameter(init.xavier_uniform((3 * E, E), rng=rng))
        self.in_proj_bias = Parameter(init.zeros((3 * E,))) if bias else None
        self.out_proj = Linear(E, E, bias=bias, rng=rng)
        init.assign(self.out_proj.weight, init.xavier_uniform((E, E), rng=rng))
        self.dropout = Dropout(dropout, rng=rng)

    def forward(self, query, key=None, value=None, *, mask=None, causal=False):
        """Attend from `query` to `key` (default: query) and read `value` (default: key).

        Parameters
        ----------
        query, key, value : (N, L, E), (N, S, E), (N, S, E)
        mask : (L, S), (N, L, S) or (N, heads, L, S), optional
            Boolean, True where the query may see the key, or float, added to the scores. For padded keys
            pass ``kept[:, None, :]`` with kept (N, S).
        causal : bool
            Query l sees keys 0 .. l only.
        """
        return self._mix(*self._inputs(query, key, value, mask), causal)

    def with_weights(self, query, key=None, value=None, *, mask=None, causal=False):
        """As calling it, but returns Attention(output (N, L, E), weights (N, heads, L, S))."""
        return self._weighted(*self._inputs(query, key, value, mask), causal)

    def keys_values(self, key, value=None):
        """Keys and values of all heads, each (N, heads, S, E / heads), to be kept for many calls of `attend`."""
        value = key if value is None else value
        self._check(key=key, value=value)
        E = self.embed_dim
        if value is key:
            y = self._affine(key, slice(E, None))
            return self._heads(y[:, :, :E]), self._heads(y[:, :, E:])
        return self._heads(self._affine(key, slice(E, 2 * E))), self._heads(self._affine(value, slice(2 * E, None)))

    def attend(self, query, keys, values, *, mask=None, causal=False):
        """As calling the layer with what `keys_values` gave: query (N, L, E) -> (N, L, E)."""
        self._check(query=query)
        q = self._heads(self._affine(query, slice(self.embed_dim)))
        return self._mix(q, keys, values, self._headed(mask), causal)

    def _inputs(self, query, key, value, mask):
        """Queries, keys and values (N, heads, L, E / heads), and the mask with an axis for the heads."""
        key = query if key is None else key
        value = key if value is None else value
        self._check(query=query, key=key, value=value)
        return *(self._heads(x) for x in self._project(query, key, value)), self._headed(mask)

    def _check(self, **tokens):
        for name, x in tokens.items():
            if x.ndim != 3 or x.shape[2] != self.embed_dim:
                raise ShapeError(f"MultiHeadAttention: {name} has shape {x.shape}, expected (N, L, {self.embed_dim})")

    def _headed(self, mask):
        """A mask that is the same for all heads gets an axis for them."""
        return mask[:, None] if mask is not None and array(mask).ndim == 3 else mask

    def _mix(self, q, k, v, mask, causal):
        """What the queries read; the weights are stored only if dropout or a hook asks for them."""
        if not self.dropout.idle:
            return self._weighted(q, k, v, mask, causal).output
        return self._join(scaled_dot_product_attention(q, k, v, mask, causal=causal))

    def _weighted(self, q, k, v, mask, causal):
        weights = self.dropout(attention_weights(q, k, mask, causal=causal, v=v))
        return Attention(self._join(weights @ v), weights)

    def _join(self, y):
        """The heads side by side, mixed by the last map: (N, heads, L, E / heads) -> (N, L, E)."""
        y = y.swapaxes(1, 2)
        return self.out_proj(y.reshape(*y.shape[:2], self.embed_dim))

    def _project(self, query, key, value):
        E = self.embed_dim
        if query is key is value:
            y = self._affine(query, slice(None))                              # (N, L, 3 E) in one product
            return y[:, :, :E], y[:, :, E:2 * E], y[:, :, 2 * E:]
        return [self._affine(x, slice(i * E, (i + 1) * E)) for i, x in enumerate((query, key, value))]

    def _affine(self, x, rows):
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        return affine(x, self.in_proj_weight[rows], bias)

    def _heads(self, x):
        N, L, E = x.shape
        return x.reshape(N, L, self.num_heads, E // self.num_heads).swapaxes(1, 2)

    def extra_repr(self):
        """Sizes."""
        return f"{self.embed_dim}, {self.num_heads}"
