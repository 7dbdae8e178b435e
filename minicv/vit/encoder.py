r"""Transformer encoders: stacks of attention and a per-token network, each with a way round it.

    post-norm   h = norm(x + attention(x)),   y = norm(h + ffn(h))          (Vaswani et al., NIPS 2017, §3.1)
    pre-norm    h = x + attention(norm(x)),   y = h + ffn(norm(h))          (Xiong et al., ICML 2020, table 1)

In a pre-norm stack nothing stands on the way from the first layer to the last, so that gradients reach all of
them, and one norm follows the whole stack. Names of parameters are those of `torch.nn.TransformerEncoder`.
"""

import numpy as np

from ..autograd.activation import gelu, relu
from ..nn import Dropout, LayerNorm, Linear, Module, MultiHeadAttention
from ..nn.check import choice, integer

ACTIVATIONS = {"relu": relu, "gelu": gelu}


class EncoderLayer(Module):
    """One layer: x (N, L, E) -> (N, L, E).

    Parameters
    ----------
    embed_dim, num_heads : int
    hidden : int, default 4 embed_dim
        Units of the network :math:`W_2 f(W_1 x)` that is applied to each token.
    pre_norm : bool, default False
    activation : "relu" or "gelu"
    dropout : float, default 0
        After both parts, between the linear layers and on the attention weights.
    eps : float, default 1e-5
        Of the norms.
    rng : numpy Generator, int or None
    """

    def __init__(self, embed_dim, num_heads, hidden=None, *, pre_norm=False, activation="relu", dropout=0.0,
                 eps=1e-5, rng=None):
        rng = np.random.default_rng(rng)
        hidden = 4 * embed_dim if hidden is None else hidden
        self.self_attn = MultiHeadAttention(embed_dim, num_heads, dropout=dropout, rng=rng)
        self.linear1 = Linear(embed_dim, hidden, rng=rng)
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(hidden, embed_dim, rng=rng)
        self.norm1, self.norm2 = LayerNorm(embed_dim, eps=eps), LayerNorm(embed_dim, eps=eps)
        self.dropout1, self.dropout2 = Dropout(dropout, rng=rng), Dropout(dropout, rng=rng)
        self.pre_norm = bool(pre_norm)
        self.activation = ACTIVATIONS[choice("EncoderLayer", "activation", activation, ACTIVATIONS)]

    def attend(self, x, mask, causal):
        """Attention of x to itself."""
        return self.dropout1(self.self_attn(x, mask=mask, causal=causal))

    def ffn(self, x):
        """W2 f(W1 x + b1) + b2 of each token."""
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

    def forward(self, x, *, mask=None, causal=False):
        """x (N, L, E) -> (N, L, E); `mask` and `causal` as in `nn.MultiHeadAttention`."""
        if self.pre_norm:
            h = x + self.attend(self.norm1(x), mask, causal)
            return h + self.ffn(self.norm2(h))
        h = self.norm1(x + self.attend(x, mask, causal))
        return self.norm2(h + self.ffn(h))


class Encoder(Module):
    """`depth` layers, and a final norm where they are pre-norm: x (N, L, E) -> (N, L, E).

    Parameters
    ----------
    depth : int
    embed_dim, num_heads, hidden, **options
        As `EncoderLayer`.
    """

    def __init__(self, depth, embed_dim, num_heads, hidden=None, *, pre_norm=False, eps=1e-5, rng=None, **options):
        rng = np.random.default_rng(rng)
        options.update(pre_norm=pre_norm, eps=eps, rng=rng)
        self.layers = [EncoderLayer(embed_dim, num_heads, hidden, **options)
                       for _ in range(integer("Encoder", "depth", depth))]
        self.norm = LayerNorm(embed_dim, eps=eps) if pre_norm else None

    def forward(self, x, *, mask=None, causal=False):
        """x (N, L, E) -> (N, L, E)."""
        for layer in self.layers:
            x = layer(x, mask=mask, causal=causal)
        return x if self.norm is None else self.norm(x)
