"""Affine map of the last axis."""

from ..autograd.linalg import matmul
from ..autograd.modes import state
from ..errors import ShapeError
from . import init
from .check import integer
from .module import Module, Parameter


def affine(x, weight, bias=None):
    """x W^T + b over the last axis: x (..., C), weight (O, C), bias (O,) -> (..., O).

    The leading axes are joined first: one large product is much faster than many small ones.
    """
    rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
    y = matmul(rows, weight.swapaxes(0, 1), kept=not state.recording)
    y = y if bias is None else y + bias
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], weight.shape[0])


class Linear(Module):
    r"""Affine map :math:`y = x W^\top + b`.

    Shapes: x (..., C) -> (..., O); weight (O, C), bias (O,).

    Parameters
    ----------
    in_features, out_features : int
    bias : bool, default True
    rng : numpy Generator, int or None
        Source of the initial weights: He uniform over fan-in (He et al., ICCV 2015, eq. 10), zero bias.
        NB: PyTorch draws weights smaller by a factor of sqrt(6), and random biases.

    >>> import numpy as np
    >>> Linear(3, 2, rng=0)(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(self, in_features, out_features, *, bias=True, rng=None):
        self.in_features = integer("Linear", "in_features", in_features)
        self.out_features = integer("Linear", "out_features", out_features)
        self.weight = Parameter(init.he_uniform((out_features, in_features), rng=rng))
        self.bias = Parameter(init.zeros((out_features,))) if bias else None

    def forward(self, x):
        """x (..., C) -> (..., O)."""
        if x.ndim < 1 or x.shape[-1] != self.in_features:
            raise ShapeError(f"Linear: x has shape {x.shape}, expected (..., {self.in_features})")
        return affine(x, self.weight, self.bias)

    def extra_repr(self):
        """Sizes."""
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias is not None else ", bias=False")
