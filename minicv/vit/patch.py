"""Images as rows of patches (Dosovitskiy et al., ICLR 2021, eq. 1)."""

import numpy as np

from ..errors import ShapeError
from ..nn import Conv2d, Module
from ..nn.check import channels, pair, rank


def patchify(x, size):
    """Cut images into patches, in reading order, each flattened in the order channel, row, column.

    Shapes: x (N, C, H, W), Tensor or array -> (N, H W / P Q, C P Q) for patches of size P or (P, Q).

    >>> patchify(np.arange(16).reshape(1, 1, 4, 4), 2)[0].tolist()
    [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    """
    rank("patchify", x, 4, "(N, C, H, W)")
    P, Q = pair("patchify", "size", size)
    N, C, H, W = x.shape
    _fits("patchify", x, (P, Q))
    x = x.reshape(N, C, H // P, P, W // Q, Q).transpose(0, 2, 4, 1, 3, 5)             # (N, I, J, C, P, Q)
    return x.reshape(N, (H // P) * (W // Q), C * P * Q)


def unpatchify(tokens, size, grid):
    """The inverse of `patchify`: tokens (N, I J, C P Q) and grid (I, J) -> (N, C, I P, J Q)."""
    rank("unpatchify", tokens, 3, "(N, I J, C P Q)")
    P, Q = pair("unpatchify", "size", size)
    rows, columns = pair("unpatchify", "grid", grid)
    N, L, D = tokens.shape
    if L != rows * columns or D % (P * Q):
        raise ShapeError(f"unpatchify: tokens has shape {tokens.shape}, expected (N, {rows * columns}, "
                         f"a multiple of {P * Q})")
    x = tokens.reshape(N, rows, columns, D // (P * Q), P, Q).transpose(0, 3, 1, 4, 2, 5)
    return x.reshape(N, D // (P * Q), rows * P, columns * Q)


def _fits(where, x, size):
    H, W = x.shape[2:]
    if H % size[0] or W % size[1] or not H or not W:
        raise ShapeError(f"{where}: x has height, width {H}, {W}, expected positive multiples of the patch size "
                         f"{size[0]}, {size[1]}")


class PatchEmbedding(Module):
    """A linear map of every patch, done as a convolution whose stride is its size.

    Shapes: x (N, C, H, W) -> (N, H W / P Q, D).

    Parameters
    ----------
    patch_size : int or pair
    dim : int
        D.
    in_channels : int, default 3
    rng : numpy Generator, int or None
    """

    def __init__(self, patch_size, dim, *, in_channels=3, rng=None):
        self.patch_size = pair("PatchEmbedding", "patch_size", patch_size)
        self.proj = Conv2d(in_channels, dim, self.patch_size, stride=self.patch_size, rng=rng)

    def forward(self, x):
        """x (N, C, H, W) -> tokens (N, H W / P Q, D), in reading order."""
        rank("PatchEmbedding", x, 4, "(N, C, H, W)")
        channels("PatchEmbedding", x, self.proj.in_channels)
        _fits("PatchEmbedding", x, self.patch_size)
        N, D, I, J = (y := self.proj(x)).shape
        return y.reshape(N, D, I * J).swapaxes(1, 2)

    def grid(self, size):
        """(rows, columns) of patches in an image of `size` (H, W)."""
        return tuple(np.floor_divide(size, self.patch_size).tolist())
