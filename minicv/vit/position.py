r"""Encodings of positions: attention by itself does not see the order of its tokens.

    pe[p, 2 i] = sin(p / 10000^{2 i / D}),    pe[p, 2 i + 1] = cos(p / 10000^{2 i / D})                     (1)

Reference: Vaswani et al., NIPS 2017, §3.5. Learned tables: Gehring et al., ICML 2017; Dosovitskiy et al., ICLR 2021.
"""

import numpy as np

from ..autograd.resample import resize
from ..autograd.shape import concat
from ..errors import ArgError, ShapeError
from ..nn import Module, Parameter, init
from ..nn.check import integer, pair


def sinusoidal(length, dim):
    """Table (1) of positions 0 .. length - 1: float64 array (length, dim).

    Each pair of columns turns like the hand of a clock, so that the row of p + k is that of p, rotated by
    angles that depend on k only.

    Raises
    ------
    ArgError
        For a length below 1 or an odd dim.

    >>> sinusoidal(2, 4)[1].round(5).tolist()
    [0.84147, 0.5403, 0.01, 0.99995]
    """
    integer("sinusoidal", "length", length)
    if integer("sinusoidal", "dim", dim) % 2:
        raise ArgError(f"sinusoidal: dim is {dim}, expected an even number, half sines and half cosines")
    angle = np.arange(length)[:, None] / 10000 ** (np.arange(0, dim, 2) / dim)        # (length, dim / 2)
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(length, dim)


class LearnedPositions(Module):
    """Adds row i of a trained table to token i: x (N, L, D) -> (N, L, D).

    Parameters
    ----------
    length, dim : int
        Size of the table `weight` (length, dim).
    rng : numpy Generator, int or None
        N(0, 0.02²), cut at two standard deviations.

    Raises
    ------
    ShapeError
        In `forward`, for more tokens than the table has rows.
    """

    def __init__(self, length, dim, *, rng=None):
        shape = integer("LearnedPositions", "length", length), integer("LearnedPositions", "dim", dim)
        self.weight = Parameter(init.truncated_normal(shape, rng=rng))

    def forward(self, x):
        """x (N, L, D) -> (N, L, D)."""
        length, dim = self.weight.shape
        if x.ndim != 3 or x.shape[1] > length or x.shape[2] != dim:
            raise ShapeError(f"LearnedPositions: x has shape {x.shape}, expected (N, at most {length}, {dim})")
        return x + self.weight[:x.shape[1]]


class SinusoidalPositions(Module):
    """Adds table (1) to tokens of any length: x (N, L, D) -> (N, L, D), D even. It has no parameters."""

    def forward(self, x):
        """x (N, L, D) -> (N, L, D)."""
        if x.ndim != 3:
            raise ShapeError(f"SinusoidalPositions: x has shape {x.shape}, expected (N, L, D)")
        return x + sinusoidal(*x.shape[1:]).astype(x.dtype)


def interpolate_positions(table, old, new, *, prefix=1):
    """Resize a table of grid positions to another grid by bicubic interpolation.

    Parameters
    ----------
    table : Tensor or array (1, prefix + old rows * old columns, D)
    old, new : int or (rows, columns)
    prefix : int, default 1
        Tokens in front that have no place in the grid, such as the class token; they are kept.

    Returns
    -------
    Tensor or array (1, prefix + new rows * new columns, D)

    NB: without anti-aliasing and corner alignment, as HF transformers; timm smooths when it shrinks a grid.
    """
    old, new = pair("interpolate_positions", "old", old), pair("interpolate_positions", "new", new)
    if table.ndim != 3 or table.shape[:2] != (1, prefix + old[0] * old[1]):
        raise ShapeError(f"interpolate_positions: table has shape {table.shape}, expected "
                         f"(1, {prefix + old[0] * old[1]}, D) for a grid of {old[0]} x {old[1]}")
    if old == new:
        return table
    D = table.shape[2]
    grid = table[:, prefix:].reshape(1, *old, D).transpose(0, 3, 1, 2)                # (1, D, rows, columns)
    grid = resize(grid, size=new, mode="bicubic").transpose(0, 2, 3, 1).reshape(1, new[0] * new[1], D)
    return concat(table[:, :prefix], grid, axis=1)
