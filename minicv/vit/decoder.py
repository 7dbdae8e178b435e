r"""Transformer decoders: each layer looks back at its own tokens, then across at what the encoder read.

    post-norm   h = norm(x + masked attention(x)),   z = norm(h + cross attention(h, memory)),   y = norm(z + ffn(z))
    pre-norm    the norms stand inside, before each part, and one more follows the stack

Reference: Vaswani et al., NIPS 2017, §3.1 and figure 1; pre-norm: Xiong et al., ICML 2020, table 1. Names of parameters
are those of `torch.nn.TransformerDecoder`.

When tokens come one at a time, keys and values of the earlier ones and of the memory do not change: `Decoder.cache`
keeps them, so that step t computes one token and not t of them.
"""

import numpy as np

from ..autograd.shape import concat
from ..errors import ArgError, ShapeError
from ..nn import LayerNorm, Module
from ..nn.check import integer
from .encoder import Layer


class LayerCache:
    """What one layer has computed already: `past` and `memory`, pairs of keys and values (N, heads, S, E / heads)."""

    past = memory = None

    def extend(self, keys, values):
        """Add those of new tokens; returns the keys and values of all."""
        if self.past is not None:
            keys, values = (concat(old, new, axis=2) for old, new in zip(self.past, (keys, values), strict=True))
        self.past = keys, values
        return self.past


class DecoderLayer(Layer):
    """One layer: x (N, L, E), memory (N, S, E) -> (N, L, E). Parameters as `Layer`."""

    attentions = ("self_attn", "multihead_attn")

    def look_back(self, x, mask, causal, cache):
        """Attention of x to itself, and with a cache to the tokens before x."""
        if cache is None:
            return self.self_attn(x, mask=mask, causal=causal)
        keys, values = cache.extend(*self.self_attn.keys_values(x))
        L, S = x.shape[1], keys.shape[2]
        mask = None if L == 1 else np.tri(L, S, S - L, dtype=bool)            # a single token may see all before it
        return self.self_attn.attend(x, keys, values, mask=mask)

    def look_across(self, x, memory, mask, cache):
        """Attention of x to the memory."""
        if cache is None:
            return self.multihead_attn(x, memory, mask=mask)
        if cache.memory is None:
            cache.memory = self.multihead_attn.keys_values(memory)
        return self.multihead_attn.attend(x, *cache.memory, mask=mask)

    def forward(self, x, memory, *, mask=None, memory_mask=None, causal=True, cache=None):
        """x (N, L, E), memory (N, S, E) -> (N, L, E); see `Decoder.forward`."""
        _check_memory(x, memory)
        _check_cache(cache, mask, causal)
        h = self.around(x, lambda x: self.look_back(x, mask, causal, cache), self.norm1, self.dropout1)
        z = self.around(h, lambda h: self.look_across(h, memory, memory_mask, cache), self.norm2, self.dropout2)
        return self.around(z, self.ffn, self.norm3, self.dropout3)


class Decoder(Module):
    """`depth` layers, and a final norm where they are pre-norm: x (N, L, E), memory (N, S, E) -> (N, L, E).

    Parameters
    ----------
    depth : int
    embed_dim, num_heads, hidden, **options
        As `DecoderLayer`.
    """

    def __init__(self, depth, embed_dim, num_heads, hidden=None, *, pre_norm=False, eps=1e-5, rng=None, **options):
        rng = np.random.default_rng(rng)
        options.update(pre_norm=pre_norm, eps=eps, rng=rng)
        self.layers = [DecoderLayer(embed_dim, num_heads, hidden, **options)
                       for _ in range(integer("Decoder", "depth", depth))]
        self.norm = LayerNorm(embed_dim, eps=eps) if pre_norm else None

    def cache(self):
        """An empty cache for one batch of sequences: a list of `LayerCache`, one for each layer."""
        return [LayerCache() for _ in self.layers]

    def forward(self, x, memory, *, mask=None, memory_mask=None, causal=True, cache=None):
        """Decode tokens.

        Parameters
        ----------
        x : Tensor (N, L, E)
            All tokens, or with a cache those that follow the ones it holds.
        memory : Tensor (N, S, E)
            The encoder's output. With a filled cache only its shape is read.
        mask, memory_mask : optional
            Who of x, and of the memory, may be seen; as in `nn.MultiHeadAttention`.
        causal : bool, default True
            Token l sees tokens 0 .. l only.
        cache : list from `cache()`, optional
            Filled on the way. NB: without a gradient for what it holds from earlier steps, so use it under `no_grad`.

        Returns
        -------
        Tensor (N, L, E)

        Raises
        ------
        ShapeError
            For a memory of another batch or width.
        ArgError
            Without a memory; for a cache together with a mask or without causality.
        """
        for layer, kept in zip(self.layers, cache or [None] * len(self.layers), strict=True):
            x = layer(x, memory, mask=mask, memory_mask=memory_mask, causal=causal, cache=kept)
        return x if self.norm is None else self.norm(x)


def _check_memory(x, memory):
    if memory is None:
        raise ArgError("DecoderLayer: memory is None, expected the encoder's output (N, S, E)")
    if memory.ndim != 3 or x.ndim != 3 or memory.shape[::2] != x.shape[::2]:
        raise ShapeError(f"DecoderLayer: memory has shape {memory.shape}, expected (N, S, E) with N and E as in x "
                         f"{x.shape}")


def _check_cache(cache, mask, causal):
    if cache is not None and (mask is not None or not causal):
        raise ArgError(f"DecoderLayer: cache is given with causal={causal} and {'no' if mask is None else 'a'} mask, "
                       "expected causal=True and no mask: cached tokens never see later ones")
