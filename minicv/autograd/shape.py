"""Operations that only move elements. Their rules move the gradient back."""

import numpy as np

from .op import op


@op
def reshape(x, *, shape):
    """The elements of x in logical (C) order in another shape."""
    return np.reshape(x, shape)


reshape.vjp(lambda g, y, x, shape: g.reshape(x.shape), saves=())


@op
def transpose(x, *, axes=None):
    """Permute the axes; None reverses them."""
    return np.transpose(x, axes)


def _inverse(axes):
    return None if axes is None else tuple(int(i) for i in np.argsort([a % len(axes) for a in axes]))


transpose.vjp(lambda g, y, x, axes=None: transpose(g, axes=_inverse(axes)), saves=())


@op
def swapaxes(x, *, axis1, axis2):
    """Exchange two axes."""
    return np.swapaxes(x, axis1, axis2)


swapaxes.vjp(lambda g, y, x, axis1, axis2: swapaxes(g, axis1=axis1, axis2=axis2), saves=())
