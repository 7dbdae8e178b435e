"""Enlarging images as a layer."""

from ..autograd.resample import resize
from ..errors import ArgError
from .check import choice, number, pair
from .module import Module


class Upsample(Module):
    """The image at another size; see `autograd.resample.resize`.

    Shapes: x (N, C, H, W) -> (N, C, I, J).

    Parameters
    ----------
    size : int or (I, J), or
    scale : float or pair
        Exactly one of the two.
    mode : {"bilinear", "nearest", "bicubic"}
        NB: PyTorch's default is "nearest".
    align_corners : bool, default False
    """

    def __init__(self, *, size=None, scale=None, mode="bilinear", align_corners=False):
        if (size is None) == (scale is None):
            raise ArgError(f"Upsample: size and scale are {size} and {scale}, expected exactly one of them")
        self.size = size if size is None else pair("Upsample", "size", size)
        self.scale = scale if scale is None else _factors(scale)
        self.mode = choice("Upsample", "mode", mode, ("bilinear", "nearest", "bicubic"))
        self.align_corners = bool(align_corners)

    def forward(self, x):
        """x (N, C, H, W) -> (N, C, I, J)."""
        return resize(x, size=self.size, scale=self.scale, mode=self.mode, align_corners=self.align_corners)

    def extra_repr(self):
        """Settings."""
        return (f"size={self.size}" if self.scale is None else f"scale={self.scale}") + f", mode={self.mode!r}"


def _factors(scale):
    if isinstance(scale, (tuple, list)):
        if len(scale) != 2:
            raise ArgError(f"Upsample: scale is {scale!r}, expected a number or a pair (vertical, horizontal)")
        return tuple(number("Upsample", "scale", s, low=0, open_low=True) for s in scale)
    return number("Upsample", "scale", scale, low=0, open_low=True)
