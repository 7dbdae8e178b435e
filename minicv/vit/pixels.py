"""Every pixel a token: a transformer for tiny images, and the memory that stops it there.

Attention compares each token with each: L tokens give L^2 weights in every head of every layer. An image has
H W pixels, so that the weights grow with the fourth power of its side.
"""

import math

import numpy as np

from ..errors import LimitError
from ..nn.check import integer, pair
from .vit import ViT

LIMIT = 2**30           # bytes


def attention_bytes(tokens, *, heads=1, layers=1, batch=1, dtype=np.float32):
    """Memory of stored attention weights in bytes: batch layers heads tokens^2 times the size of a number.

    NB: kernels that never store the weights, such as the one of `autograd.attention`, need no such memory; they
    do the same multiplications.

    >>> attention_bytes(224 * 224, dtype=np.float16)                # an image of ImageNet, pixel by pixel
    5035261952
    """
    sizes = {"tokens": tokens, "heads": heads, "layers": layers, "batch": batch}
    tokens, *others = (int(integer("attention_bytes", name, value)) for name, value in sizes.items())
    return math.prod(others) * tokens**2 * np.dtype(dtype).itemsize


def pixel_transformer(size, dim, depth, heads, *, batch=1, limit=LIMIT, **options):
    """A `ViT` whose patches are single pixels: x (N, C, H, W) -> logits (N, num_classes).

    Parameters
    ----------
    size : int or (H, W)
    dim, depth, heads : int
    batch : int, default 1
        Images that will be seen at once.
    limit : int, default 1 GiB
        Most bytes that the attention weights of `batch` images may need.
    **options
        Of `ViT`.

    Raises
    ------
    LimitError
        With the number of bytes; nothing is built.
    """
    H, W = pair("pixel_transformer", "size", size)
    need = attention_bytes(1 + H * W, heads=heads, layers=depth, batch=batch)
    if not need <= limit:
        raise LimitError(f"pixel_transformer: size is {H}, {W}, expected fewer pixels: {1 + H * W} tokens have {need} "
                         f"bytes of attention weights, the limit is {limit}; use patches")
    return ViT(1, dim, depth, heads, image_size=(H, W), **options)
