"""Convolution: one trilinear form and its three partial derivatives.

    S(x, w, g) = sum x[n, c, i s + p d - top, j s + q d - left] w[o, c, p, q] g[n, o, i, j]

over all indices, with x = 0 outside the image. `conv2d` is dS/dg, `conv2d_input` is dS/dx and
`conv2d_filter` is dS/dw, so the three are each other's gradients to any order. The module `conv_numpy` has all
three as one formula each.

There are several methods, each with these three functions: `matrix` (im2col and a matrix product, the readable one),
`direct` (the register tile on the image itself), `winograd` (fewer multiplications, for 3 x 3), `grouped` (several
small groups in one vector) and `depthwise` (one filter for each channel, any element type, and more filters than
channels). This module checks the arguments and leaves the choice to `choose`.

Activations come out channels-last in memory; filters are (O, C, P, Q) over memory (P, Q, C, O).
"""

import numpy as np

from ..errors import ShapeError
from .choose import choose
from .geometry import Geometry
from .launch import example
from .layout import channels_last, check_images
from .windows import output_size, pads, pair


def conv2d(x, w, *, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1,
           algo=None, precision=None, kept=False):
    """Cross-correlation y[n, o, i, j] = sum_cpq x[n, c, i s + p d, j s + q d] w[o, c, p, q].

    Parameters
    ----------
    x : array (N, C, H, W), float32 or float64
    w : array (O, C / groups, P, Q)
    stride, dilation : int or (vertical, horizontal)
    padding : int, (vertical, horizontal) or ((top, bottom), (left, right))
        Number of zero rows and columns around x.
    groups : int
        Output channels of group k see the input channels of group k only.
    algo : {"auto", "direct", "winograd", "grouped", "im2col"}, optional
        The method, by default that of the surrounding `conv_algo`, which is "auto". ArgError if it cannot do this.
    precision : {"fast", "high"}, optional
        Whether Winograd's method may use its larger tiles; see `precision`.
    kept : bool
        Whether w will be used again unchanged, so that what is prepared from it is worth keeping; only what
        belongs to a parameter is kept.

    Returns
    -------
    array (N, O, I, J), channels-last in memory, of the promoted dtype.

    Raises
    ------
    ShapeError, DTypeError, ArgError
        Before any work, for arrays and settings that do not fit.
    """
    check_images("conv2d", x=x, w=w)
    geometry = _geometry("conv2d", x.shape, w.shape, stride, padding, dilation, groups)
    x, w = _alike(x, w)
    method = choose("conv2d", geometry, x.shape, len(w), x.dtype, algo, precision, kept)
    return method.conv(channels_last(x), w, geometry, kept)


def conv2d_input(g, w, *, size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1,
                 algo=None, precision=None, kept=False):
    """Adjoint of `conv2d` in x; the transposed convolution.

    Parameters
    ----------
    g : array (N, O, I, J)
    w : array (O, C / groups, P, Q)
    size : (H, W)
        Size of the image: several sizes share one output grid where the stride is above 1.

    Returns
    -------
    array (N, C, H, W), channels-last in memory.
    """
    check_images("conv2d_input", g=g, w=w)
    shape = (len(g), w.shape[1] * groups, *pair("conv2d_input", "size", size))
    geometry = _geometry("conv2d_input", shape, w.shape, stride, padding, dilation, groups)
    _check_gradient("conv2d_input", g, (len(g), len(w), *geometry.grid))
    g, w = _alike(g, w)
    method = choose("conv2d_input", geometry, shape, len(w), g.dtype, algo, precision, kept)
    return method.conv_input(channels_last(g), w, geometry, shape, kept)


def conv2d_filter(x, g, *, size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1,
                  algo=None, precision=None):
    """Adjoint of `conv2d` in w.

    Parameters
    ----------
    x : array (N, C, H, W)
    g : array (N, O, I, J)
    size : (P, Q)
        Size of the filter.

    Returns
    -------
    array (O, C / groups, P, Q), over memory (P, Q, C / groups, O).
    """
    check_images("conv2d_filter", x=x, g=g)
    C, O = x.shape[1], g.shape[1]
    shape = (O, C // max(groups, 1), *pair("conv2d_filter", "size", size))
    geometry = _geometry("conv2d_filter", x.shape, shape, stride, padding, dilation, groups)
    _check_gradient("conv2d_filter", g, (len(x), O, *geometry.grid))
    x, g = _alike(x, g)
    method = choose("conv2d_filter", geometry, x.shape, O, x.dtype, algo, precision)
    return method.conv_filter(channels_last(x), channels_last(g), geometry)


def _geometry(function, image, filters, stride, padding, dilation, groups):
    """Checked settings; `image` (N, C, H, W) and `filters` (O, C / groups, P, Q) are shapes."""
    groups, _ = pair(function, "groups", groups)
    if image[1] != filters[1] * groups or filters[0] % groups:
        raise ShapeError(f"{function}: filter shape is {tuple(filters)} for {image[1]} input "
                         f"channels and groups={groups}, expected (O, {image[1]} / {groups}, P, Q) "
                         f"with O divisible by {groups}")
    stride, dilation = pair(function, "stride", stride), pair(function, "dilation", dilation)
    padding, kernel = pads(function, padding), tuple(filters[2:])
    grid = output_size(function, image[2:], kernel, stride, padding, dilation)
    return Geometry(kernel, grid, stride, padding, dilation, groups)


def _check_gradient(function, g, shape):
    if g.shape != shape:
        raise ShapeError(f"{function}: g has shape {g.shape}, expected {shape}")


def _alike(a, b):
    """Both arrays in their promoted dtype."""
    dtype = np.result_type(a, b)
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


@example
def _example(dtype):
    x, w = np.ones((1, 2, 3, 3), dtype), np.ones((2, 1, 2, 2), dtype)
    for groups, algo in ((1, "im2col"), (2, "auto")):
        y = conv2d(x, w.repeat(2 // groups, axis=1), groups=groups, algo=algo)
        conv2d_input(y, w.repeat(2 // groups, axis=1), size=(3, 3), groups=groups, algo=algo)
        conv2d_filter(x, y, size=(2, 2), groups=groups, algo=algo)
