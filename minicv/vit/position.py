r"""Encodings of positions: attention by itself does not see the order of its tokens.

    pe[p, 2 i] = sin(p / 10000^{2 i / D}),    pe[p, 2 i + 1] = cos(p / 10000^{2 i / D})                     (1)

i = 0 .. D/2 - 1 counts pairs of columns. Reference: Vaswani et al., NIPS 2017, §3.5. Learned tables: Gehring et al.,
ICML 2017; Dosovitskiy et al., ICLR 2021. In two dimensions: Carion et al., ECCV 2020, appendix A.4.
"""

import numpy as np

from ..autograd.resample import resize
from ..autograd.shape import concat
from ..errors import ArgError, ShapeError
from ..nn import Module, Parameter, init
from ..nn.check import integer, number, pair


def sinusoidal(length, dim, *, start=0):
    """Table (1) of positions start .. start + length - 1: float64 array (length, dim).

    Each pair of columns turns like the hand of a clock, so that the row of p + k is that of p, rotated by
    angles that depend on k only.

    Raises
    ------
    ArgError
        For a length below 1, an odd dim, or a negative start.

    >>> sinusoidal(2, 4)[1].round(5).tolist()
    [0.84147, 0.5403, 0.01, 0.99995]
    """
    integer("sinusoidal", "length", length)
    integer("sinusoidal", "start", start, low=0)
    if integer("sinusoidal", "dim", dim) % 2:
        raise ArgError(f"sinusoidal: dim is {dim}, expected an even number, half sines and half cosines")
    return _waves(np.arange(start, start + length), dim, 10000)


def _waves(position, dim, temperature):
    """Equation (1) for positions (...) of any value, with `temperature` in the place of 10000: (..., dim)."""
    angle = position[..., None] / temperature ** (np.arange(0, dim, 2) / dim)         # (..., dim / 2)
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(*np.shape(position), dim)


def sinusoidal_2d(valid, dim, *, temperature=10000.0, normalize=True):
    """Table (1) of the row in the first half of the channels, of the column in the second.

    Parameters
    ----------
    valid : bool array (N, H, W)
        False where an image of the batch is only padding. Rows and columns are counted from 1 among the valid
        places, as in the authors' code.
    dim : int
        Channels, a multiple of 4.
    temperature : float, default 10000
    normalize : bool, default True
        Divide by the number of valid rows and columns and multiply by 2 pi: then the encoding says which part of
        the image a place belongs to, whatever its size.

    Returns
    -------
    array (N, dim, H, W), float64

    >>> sinusoidal_2d(np.ones((1, 2, 3), bool), 8).shape
    (1, 8, 2, 3)
    """
    where, valid = "sinusoidal_2d", np.asarray(valid)
    if valid.ndim != 3 or valid.dtype != bool:
        raise ShapeError(f"{where}: valid has shape {valid.shape} and dtype {valid.dtype}, expected bool (N, H, W)")
    if integer(where, "dim", dim) % 4:
        raise ArgError(f"{where}: dim is {dim}, expected a multiple of 4: sines and cosines of rows and of columns")
    number(where, "temperature", temperature, low=0, open_low=True)
    places = [np.cumsum(valid, axis=axis, dtype=np.float64) for axis in (1, 2)]
    if normalize:
        places = [2 * np.pi * p / (p.take([-1], axis=axis) + 1e-6) for axis, p in enumerate(places, start=1)]
    return np.concatenate([_waves(p, dim // 2, temperature) for p in places], axis=3).transpose(0, 3, 1, 2)


class LearnedPositions(Module):
    """Adds row i of a trained table to token i: x (N, L, D) -> (N, L, D).

    Parameters
    ----------
    length, dim : int
        Size of the table `weight` (length, dim).
    interpolate : bool, default False
        Stretch the table for inputs that are longer.
    rng : numpy Generator, int or None
        N(0, 0.02²), cut at two standard deviations.

    Raises
    ------
    ShapeError
        In `forward`, for more tokens than the table has rows, unless it may be stretched.
    """

    def __init__(self, length, dim, *, interpolate=False, rng=None):
        shape = integer("LearnedPositions", "length", length), integer("LearnedPositions", "dim", dim)
        self.weight, self.interpolate = Parameter(init.truncated_normal(shape, rng=rng)), bool(interpolate)

    def forward(self, x, *, start=0):
        """x (N, L, D) -> (N, L, D); its first token is number `start`."""
        (length, dim), start = self.weight.shape, integer("LearnedPositions", "start", start, low=0)
        stop = start + (x.shape[1] if x.ndim == 3 else 0)
        if x.ndim != 3 or x.shape[2] != dim or stop > length and not self.interpolate:
            after = f" after {start} others" if start else ""
            raise ShapeError(f"LearnedPositions: x has shape {x.shape}{after}, expected (N, at most {length}, {dim})")
        return x + (self.weight if stop <= length else self._stretched(stop))[start:stop]

    def _stretched(self, length):
        table = self.weight.reshape(1, *self.weight.shape)
        return interpolate_positions(table, (self.weight.shape[0], 1), (length, 1), prefix=0)[0]


class SinusoidalPositions(Module):
    """Adds table (1) to tokens of any length: x (N, L, D) -> (N, L, D), D even. It has no parameters."""

    def forward(self, x, *, start=0):
        """x (N, L, D) -> (N, L, D); its first token is number `start`."""
        if x.ndim != 3:
            raise ShapeError(f"SinusoidalPositions: x has shape {x.shape}, expected (N, L, D)")
        return x + sinusoidal(*x.shape[1:], start=start).astype(x.dtype)


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
