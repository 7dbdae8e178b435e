"""Geometry of sliding windows, shared by convolution, pooling and unfolding.

Output i reads the positions ``i stride - before + p dilation`` for p = 0 .. kernel - 1. Settings
are (vertical, horizontal) pairs; padding is ((top, bottom), (left, right)).
"""

from operator import index

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import ArgError, ShapeError


def pair(function, name, value, least=1):
    """(vertical, horizontal) integers from an integer or a pair, each at least `least`."""
    values = tuple(value) if isinstance(value, tuple | list | np.ndarray) else (value, value)
    try:
        if any(isinstance(v, bool | np.bool_) for v in values):
            raise TypeError
        values = tuple(index(v) for v in values)
    except TypeError:
        values = ()
    if len(values) != 2 or not all(least <= v < 2**31 for v in values):
        raise ArgError(f"{function}: {name} is {value!r}, expected one or two integers >= {least}")
    return values


def pads(function, value):
    """((top, bottom), (left, right)) from an integer, a (vertical, horizontal) pair or itself."""
    sides = tuple(value) if isinstance(value, tuple | list | np.ndarray) else (value, value)
    if len(sides) != 2:
        raise ArgError(f"{function}: padding is {value!r}, expected ((top, bottom), (left, right))")
    return tuple(pair(function, "padding", side, least=0) for side in sides)


def output_size(function, size, kernel, stride, padding, dilation, ceil_mode=False):
    """Size (I, J) of the output grid: floor((H + pad - dilation (P - 1) - 1) / stride) + 1.

    With `ceil_mode` the last window may reach over the end, but must start inside the image or its
    leading padding.
    """
    I, J = (_length(*axis, ceil_mode) for axis in zip(size, kernel, stride, padding, dilation))
    if min(I, J) < 1 or min(size) < 1:
        raise ShapeError(f"{function}: output size is ({I}, {J}) for input size {tuple(size)}, "
                         f"kernel {kernel}, stride {stride}, padding {padding}, "
                         f"dilation {dilation}, expected at least (1, 1)")
    return I, J


def _length(size, kernel, stride, padding, dilation, ceil_mode):
    before, after = padding
    room = size + before + after - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    length = -(-room // stride) + 1
    return length - (length > 1 and (length - 1) * stride >= size + before)


def windows(x, kernel, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), fill=0):
    """View v[n, c, i, j, p, q] = x[n, c, i stride - top + p dilation, ...], `fill` outside."""
    x = np.pad(x, ((0, 0), (0, 0), *padding), constant_values=fill)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    v = sliding_window_view(x, reach, axis=(2, 3))
    return v[:, :, ::stride[0], ::stride[1], ::dilation[0], ::dilation[1]]
