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


class Layer(Module):
    """What layers of encoders and decoders share: attention parts and a network for each token, each with a way round.

    Parameters
    ----------
    embed_dim, num_heads : int
    hidden : int, default 4 embed_dim
        Units of the network :math:`W_2 f(W_1 x)` that is applied to each token.
    pre_norm : bool, default False
    activation : "relu" or "gelu"
    dropout : float, default 0
        After each part, between the linear layers and on the attention weights.
    eps : float, default 1e-5
        Of the norms.
    rng : numpy Generator, int or None
    """

    attentions = ("self_attn",)                 # names of the attention parts; norm and dropout k belong to part k

    def __init__(self, embed_dim, num_heads, hidden=None, *, pre_norm=False, activation="relu", dropout=0.0,
                 eps=1e-5, rng=None):
        rng, parts = np.random.default_rng(rng), len(self.attentions) + 1
        hidden = 4 * embed_dim if hidden is None else hidden
        for name in self.attentions:
            setattr(self, name, MultiHeadAttention(embed_dim, num_heads, dropout=dropout, rng=rng))
        self.linear1 = Linear(embed_dim, hidden, rng=rng)
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(hidden, embed_dim, rng=rng)
        for k in range(1, parts + 1):
            setattr(self, f"norm{k}", LayerNorm(embed_dim, eps=eps))
        for k in range(1, parts + 1):
            setattr(self, f"dropout{k}", Dropout(dropout, rng=rng))
        self.pre_norm = bool(pre_norm)
        self.activation = ACTIVATIONS[choice(type(self).__name__, "activation", activation, ACTIVATIONS)]

    def ffn(self, x):
        """W2 f(W1 x + b1) + b2 of each token."""
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def around(self, x, part, norm, dropout):
        """x + part(norm(x)) with the norm before the part, else norm(x + part(x))."""
        if self.pre_norm:
            return x + dropout(part(norm(x)))
        return norm(x + dropout(part(x)))


class EncoderLayer(Layer):
    """One layer: x (N, L, E) -> (N, L, E). Parameters as `Layer`."""

    def forward(self, x, *, mask=None, causal=False):
        """x (N, L, E) -> (N, L, E); `mask` and `causal` as in `nn.MultiHeadAttention`."""
        h = self.around(x, lambda x: self.self_attn(x, mask=mask, causal=causal), self.norm1, self.dropout1)
        return self.around(h, self.ffn, self.norm2, self.dropout2)


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
