"""The vision transformer (Dosovitskiy et al., ICLR 2021): an encoder whose words are patches of an image.

    z = [class token; patches E] + positions;   z += attention(norm(z)), z += mlp(norm(z)) in each layer;
    y = norm(z)[0] W                                                                              (eq. 1-4)

Names of parameters are those of timm (`vit_base_patch16_224`); `weights.names` translates torchvision's and
those of HF transformers. Departures: none; "tiny" and "small" are those of Touvron et al., ICML 2021.
"""

from typing import NamedTuple

import numpy as np

from ..autograd.activation import gelu
from ..autograd.attention import attention_weights, scaled_dot_product_attention
from ..autograd.engine import expand
from ..autograd.shape import concat
from ..errors import ShapeError
from ..nn import Dropout, DropPath, LayerNorm, Linear, Module, Parameter, init
from ..nn.check import choice, divisible, integer, number, pair
from .patch import PatchEmbedding
from .position import interpolate_positions


class Attention(Module):
    """Multi-head self-attention: x (N, L, D) -> (N, L, D). A forward hook on `attn_drop` sees the weights.

    Parameters
    ----------
    dim, heads : int
    dropout : float, default 0
        Of the output.
    rng : numpy Generator, int or None
    """

    def __init__(self, dim, heads, *, dropout=0.0, rng=None):
        divisible("Attention", "dim", integer("Attention", "dim", dim), "heads", integer("Attention", "heads", heads))
        rng, self.heads = np.random.default_rng(rng), heads
        self.qkv = glorot(dim, 3 * dim, rng)
        self.attn_drop = Dropout(0.0, rng=rng)
        self.proj = glorot(dim, dim, rng)
        self.proj_drop = Dropout(dropout, rng=rng)

    def forward(self, x):
        """x (N, L, D) -> (N, L, D)."""
        N, L, D = x.shape
        q, k, v = self.qkv(x).reshape(N, L, 3, self.heads, D // self.heads).transpose(2, 0, 3, 1, 4)
        if self.attn_drop.idle:                                                       # nobody looks at the weights
            y = scaled_dot_product_attention(q, k, v)                                 # (N, heads, L, D / heads)
        else:
            y = self.attn_drop(attention_weights(q, k)) @ v
        y = y.swapaxes(1, 2).reshape(N, L, D)
        return self.proj_drop(self.proj(y))


class Mlp(Module):
    """W2 gelu(W1 x + b1) + b2 of each token: x (..., D) -> (..., D).

    Parameters
    ----------
    dim, hidden : int
    dropout : float, default 0
    rng : numpy Generator, int or None
    """

    def __init__(self, dim, hidden, *, dropout=0.0, rng=None):
        rng = np.random.default_rng(rng)
        self.fc1, self.drop1 = glorot(dim, hidden, rng), Dropout(dropout, rng=rng)
        self.fc2, self.drop2 = glorot(hidden, dim, rng), Dropout(dropout, rng=rng)

    def forward(self, x):
        """x (..., D) -> (..., D)."""
        return self.drop2(self.fc2(self.drop1(gelu(self.fc1(x)))))


def glorot(dim, out, rng):
    """A Linear with Glorot's uniform weights, as in the authors' code."""
    layer = Linear(dim, out, rng=rng)
    init.assign(layer.weight, init.xavier_uniform((out, dim), rng=rng))
    return layer


class Block(Module):
    """A pre-norm encoder layer: x (N, L, D) -> (N, L, D).

    Parameters
    ----------
    dim, heads, hidden : int
    dropout : float, default 0
    drop_path : float, default 0
        Probability of skipping a part (stochastic depth).
    rng : numpy Generator, int or None
    """

    def __init__(self, dim, heads, hidden, *, dropout=0.0, drop_path=0.0, rng=None):
        rng = np.random.default_rng(rng)
        self.norm1 = LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads, dropout=dropout, rng=rng)
        self.norm2 = LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, hidden, dropout=dropout, rng=rng)
        self.drop_path1, self.drop_path2 = DropPath(drop_path, rng=rng), DropPath(drop_path, rng=rng)

    def forward(self, x):
        """x (N, L, D) -> (N, L, D)."""
        x = x + self.drop_path1(self.attn(self.norm1(x)))
        return x + self.drop_path2(self.mlp(self.norm2(x)))


class Spec(NamedTuple):
    """A row of table 1, and the patch size."""

    patch_size: int
    dim: int            # hidden size D
    depth: int          # layers
    heads: int


VARIANTS = {            # Dosovitskiy et al., table 1; Touvron et al., table 1
    "vit_ti_16": Spec(16, 192, 12, 3),
    "vit_s_16": Spec(16, 384, 12, 6),
    "vit_b_16": Spec(16, 768, 12, 12),
    "vit_b_32": Spec(32, 768, 12, 12),
    "vit_l_16": Spec(16, 1024, 24, 16),
    "vit_l_32": Spec(32, 1024, 24, 16),
    "vit_h_14": Spec(14, 1280, 32, 16),
}


class ViT(Module):
    """The vision transformer.

    Shapes: x (N, C, H, W) -> logits (N, num_classes).

    Parameters
    ----------
    patch_size : int or pair
    dim, depth, heads : int
    image_size : int or pair, default 224
        For which the positions are learned.
    num_classes : int, default 1000
        0 leaves out the classifier: `forward` then returns the class token (N, dim).
    hidden : int, default 4 dim
        Units of the per-token network.
    in_channels : int, default 3
    positions : "learned" or "none"
        Without positions the result does not depend on the order of the patches.
    interpolate : bool, default False
        Accept images of other sizes and resize the grid of positions for them.
    dropout, drop_path : float, default 0
        `drop_path` is that of the last block; it grows linearly from 0 in the first.
    rng : numpy Generator, int or None

    Raises
    ------
    ShapeError
        In `forward`, for another image size without `interpolate`, or one that patches do not fill.
    """

    def __init__(self, patch_size, dim, depth, heads, *, image_size=224, num_classes=1000, hidden=None,
                 in_channels=3, positions="learned", interpolate=False, dropout=0.0, drop_path=0.0, rng=None):
        rng, self.image_size = np.random.default_rng(rng), pair("ViT", "image_size", image_size)
        depth = integer("ViT", "depth", depth)
        drop_path = number("ViT", "drop_path", drop_path, low=0, high=1)
        self.interpolate = bool(interpolate)
        patches = PatchEmbedding(patch_size, dim, in_channels=in_channels, rng=rng)
        for size, patch in zip(self.image_size, patches.patch_size, strict=True):
            divisible("ViT", "image_size", size, "patch_size", patch)
        self.cls_token = Parameter(init.zeros((1, 1, dim)))
        self.pos_embed = None
        if choice("ViT", "positions", positions, ("learned", "none")) == "learned":
            length = 1 + np.prod(patches.grid(self.image_size)).item()
            self.pos_embed = Parameter(init.truncated_normal((1, length, dim), rng=rng))
        self.patch_embed, self.pos_drop = patches, Dropout(dropout, rng=rng)
        hidden, rates = 4 * dim if hidden is None else hidden, np.linspace(0, drop_path, depth).tolist()
        self.blocks = [Block(dim, heads, hidden, dropout=dropout, drop_path=rate, rng=rng) for rate in rates]
        self.norm = LayerNorm(dim, eps=1e-6)
        self.head = Linear(dim, num_classes, rng=rng) if integer("ViT", "num_classes", num_classes, low=0) else None
        if self.head is not None:                                                     # at first all classes are even
            init.assign(self.head.weight, np.zeros(self.head.weight.shape))

    def embed(self, x):
        """x (N, C, H, W) -> tokens (N, 1 + patches, D) with their positions."""
        patches = self.patch_embed(x)
        size = x.shape[2:]
        if tuple(size) != self.image_size and not self.interpolate and self.pos_embed is not None:
            raise ShapeError(f"ViT: x has height, width {size[0]}, {size[1]}, expected {self.image_size[0]}, "
                             f"{self.image_size[1]}; interpolate=True resizes the positions")
        tokens = concat(expand(self.cls_token, shape=(x.shape[0], 1, patches.shape[2])), patches, axis=1)
        if self.pos_embed is not None:
            grids = (self.patch_embed.grid(s) for s in (self.image_size, size))
            tokens = tokens + interpolate_positions(self.pos_embed, *grids)
        return self.pos_drop(tokens)

    def features(self, x):
        """x (N, C, H, W) -> tokens after the last norm (N, 1 + patches, D), the class token first."""
        z = self.embed(x)
        for block in self.blocks:
            z = block(z)
        return self.norm(z)

    def pyramid(self, x):
        """x (N, C, H, W) -> {"c4": (N, D, H / 16, W / 16)}: the tokens of patches as the only map.

        Its name is that of the level of the patch size, rounded: "c5" for patches of 32 pixels.
        """
        rows, columns = self.patch_embed.grid(x.shape[2:])
        tokens = self.features(x)[:, 1:].swapaxes(1, 2)
        level = round(np.log2(self.patch_embed.patch_size[0]))
        return {f"c{level}": tokens.reshape(x.shape[0], -1, rows, columns)}

    def forward(self, x):
        """x (N, C, H, W) -> logits (N, num_classes)."""
        y = self.features(x)[:, 0]
        return y if self.head is None else self.head(y)


def build(name, *, num_classes=1000, rng=None, **options):
    """Build a row of `VARIANTS`, e.g. ``vit.build("vit_b_16", image_size=384)``; options as `ViT`.

    >>> build("vit_ti_16", num_classes=5, image_size=32, rng=0)(np.zeros((1, 3, 32, 32), np.float32)).shape
    (1, 5)
    """
    return ViT(*VARIANTS[choice("vit.build", "name", name, VARIANTS)], num_classes=num_classes, rng=rng, **options)
