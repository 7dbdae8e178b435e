"""Pooling: one number for each window of an image.

A maximum is *choose and gather*: integers say which pixel won, and given them the result is linear in x. Sliding
windows keep the *tap*, the number of the pixel in its window in reading order, mostly one byte; `max_pool2d_select`
and `max_pool2d_input` are the linear map and its adjoint. Unpooling needs positions `where` in the image, with
`pool_gather` and `pool_scatter`. All derivatives of each pair are the pair again. An average is linear anyway,
with `avg_pool2d_input` as its adjoint. Results keep the memory layout of x.

Settings of all sliding windows: `size` is the window and `stride` (default: the size) its step, each an int
or (vertical, horizontal). `padding` is at most half the window. With `ceil_mode` a last window may reach
over the bottom or right end, if it starts inside the image or before it.

Departures: none.
"""

from typing import NamedTuple

import numpy as np

from ..errors import DTypeError, ShapeError
from ..kernels import pool as kernels
from ..kernels.windows import pair
from .conv import check_image
from .elementwise import sqrt, where
from .op import array, op
from .reduce import mean

# Choose and gather ----------------------------------------------------------------------------------


@op
def pool_gather(x, where):
    """y[n, c, i, j] = the pixel of x[n, c] at position h W + w = where[n, c, i, j]; where (N, C, I, J) integer."""
    check_image("pool_gather", "x", x)
    _check_integers("pool_gather", where)
    return kernels.pool_gather(x, where)


@op
def pool_scatter(g, where, *, size):
    """Adjoint of `pool_gather`: adds g[n, c, i, j] to position where[n, c, i, j] of zeros (N, C, *size)."""
    check_image("pool_scatter", "g", g)
    _check_integers("pool_scatter", where)
    return kernels.pool_scatter(g, where, size=size)


pool_gather.vjp(lambda g, y, x, where: pool_scatter(g, where, size=x.shape[2:]),
                None, saves=("where",))
pool_scatter.vjp(lambda gx, y, g, where, size: pool_gather(gx, where),
                 None, saves=("where",))


@op
def max_pool2d_select(x, tap, *, size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """y[n, c, i, j] = the pixel of its window that tap[n, c, i, j] names, 0 if that is none; settings of the pooling.

    `tap` (N, C, I, J) is integer: p Q + q for the pixel in row p and column q of a window with Q columns.
    """
    check_image("max_pool2d_select", "x", x)
    return kernels.max_pool_select(x, tap, size=size, stride=stride, padding=padding, dilation=dilation,
                                   ceil_mode=ceil_mode)


@op
def max_pool2d_input(g, tap, *, input_size, size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Adjoint of `max_pool2d_select`: g (N, C, I, J) -> (N, C, *input_size)."""
    return kernels.max_pool_input(g, tap, input_size=input_size, size=size, stride=stride, padding=padding,
                                  dilation=dilation, ceil_mode=ceil_mode)


max_pool2d_select.vjp(lambda g, y, x, tap, **s: max_pool2d_input(g, tap, input_size=x.shape[2:], **s),
                      None, saves=("tap",))
max_pool2d_input.vjp(lambda gx, y, g, tap, input_size, **s: max_pool2d_select(gx, tap, **s),
                     None, saves=("tap",))


# Maximum --------------------------------------------------------------------------------------------


@op(aux=True)
def max_pool2d(x, *, size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Largest value of each window.

    Padding is never the maximum; NaN is. Among equals the first in reading order gets the gradient.

    Parameters
    ----------
    x : Tensor or array (N, C, H, W), float32 or float64
    size, stride, padding, ceil_mode
        See the module.
    dilation : int or (vertical, horizontal)
        Distance between the pixels of a window.

    Returns
    -------
    Tensor or array (N, C, I, J), I = floor((H + 2 padding - dilation (size - 1) - 1) / stride) + 1,
    or ceil instead of floor.

    Raises
    ------
    ShapeError, DTypeError
        For x of another rank or type, or an output size below 1.
    ArgError
        For settings that are not positive, or padding above half the window.

    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), size=2)[0, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    check_image("max_pool2d", "x", x)
    y, tap = kernels.max_pool_taps(x, size=size, stride=stride, padding=padding, dilation=dilation,
                                   ceil_mode=ceil_mode)
    return y, (tap,)


@op(aux=True)
def adaptive_max_pool2d(x, *, size):
    """Largest value of each cell of a grid of `size` = (I, J) over x (N, C, H, W).

    Cell i covers the rows from floor(i H / I) to ceil((i + 1) H / I); cells may overlap by a row.
    """
    check_image("adaptive_max_pool2d", "x", x)
    y, index = kernels.adaptive_max_pool(x, pair("adaptive_max_pool2d", "size", size))
    return y, (index,)


max_pool2d.vjp(lambda g, y, x, aux, **s: max_pool2d_input(g, *aux, input_size=x.shape[2:], **s), saves=())
adaptive_max_pool2d.vjp(lambda g, y, x, aux, size: pool_scatter(g, *aux, size=x.shape[2:]), saves=())


class MaxPool(NamedTuple):
    """Result of `max_pool2d_with_indices`: y (N, C, I, J) and integer positions h W + w of the same shape."""

    y: object
    indices: np.ndarray


def max_pool2d_with_indices(x, *, size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """`max_pool2d` and where each maximum was found: MaxPool(y, indices), for `max_unpool2d`."""
    settings = dict(size=size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    y, (tap,) = max_pool2d.with_aux(x, **settings)
    return MaxPool(y, kernels.tap_positions(tap, x.shape[2:], **settings))


def max_unpool2d(y, indices, *, size):
    """Each value back to the pixel it came from, zeros elsewhere; the decoder step of SegNet.

    Reference: Badrinarayanan et al., PAMI 2017, section 3.
    NB: where overlapping windows share a maximum the values add up (PyTorch keeps one of them), which
    makes this the exact adjoint of the pooling.

    Parameters
    ----------
    y : Tensor or array (N, C, I, J), float32 or float64
    indices : integer array (N, C, I, J)
        From `max_pool2d_with_indices`.
    size : (H, W)
        Of the result.

    Raises
    ------
    ShapeError, DTypeError, ArgError
    """
    return pool_scatter(y, array(indices), size=size)


# Average --------------------------------------------------------------------------------------------


@op
def avg_pool2d(x, *, size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Mean of each window.

    Parameters
    ----------
    x : Tensor or array (N, C, H, W), float32 or float64
    size, stride, padding, ceil_mode
        See the module.
    count_include_pad : bool
        Zeros of the padding count as pixels (never what `ceil_mode` adds beyond it); otherwise the sum
        is divided by the number of pixels inside the image.

    Returns
    -------
    Tensor or array (N, C, I, J)

    Raises
    ------
    ShapeError, DTypeError, ArgError
        As `max_pool2d`.
    """
    check_image("avg_pool2d", "x", x)
    return kernels.avg_pool(x, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode,
                            count_include_pad=count_include_pad)


@op
def avg_pool2d_input(g, *, input_size, size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Adjoint of `avg_pool2d`: g (N, C, I, J) -> (N, C, *input_size)."""
    return kernels.avg_pool_input(g, input_size=input_size, size=size, stride=stride, padding=padding,
                                  ceil_mode=ceil_mode, count_include_pad=count_include_pad)


avg_pool2d.vjp(lambda g, y, x, **s: avg_pool2d_input(g, input_size=x.shape[2:], **s), saves=())
avg_pool2d_input.vjp(lambda gx, y, g, input_size, **s: avg_pool2d(gx, **s), saves=())


@op
def adaptive_avg_pool2d(x, *, size):
    """Mean of each cell of a grid of `size` = (I, J) over x (N, C, H, W); cells as `adaptive_max_pool2d`."""
    check_image("adaptive_avg_pool2d", "x", x)
    return kernels.adaptive_avg_pool(x, pair("adaptive_avg_pool2d", "size", size))


@op
def adaptive_avg_pool2d_input(g, *, input_size):
    """Adjoint of `adaptive_avg_pool2d`: g (N, C, I, J) -> (N, C, *input_size)."""
    return kernels.adaptive_avg_pool_input(g, input_size=input_size)


adaptive_avg_pool2d.vjp(lambda g, y, x, size: adaptive_avg_pool2d_input(g, input_size=x.shape[2:]), saves=())
adaptive_avg_pool2d_input.vjp(lambda gx, y, g, input_size: adaptive_avg_pool2d(gx, size=g.shape[2:]), saves=())


def global_avg_pool(x):
    """Mean over all positions: x (N, C, H, W) -> (N, C). NB: the axes of size 1 are not kept.

    Reference: Lin et al., Network in network, ICLR 2014, section 3.2.
    """
    _check_pixels("global_avg_pool", x)
    return mean(x, axis=(2, 3))


def global_max_pool(x):
    """Maximum over all positions: x (N, C, H, W) -> (N, C); the first among equals gets the gradient."""
    _check_pixels("global_max_pool", x)
    return adaptive_max_pool2d(x, size=1)[:, :, 0, 0]


def l2_pool2d(x, *, size, stride=None, padding=0, ceil_mode=False):
    """y = sqrt(mean of squares of each window); the gradient of a window of zeros is 0.

    Only pixels inside the image count, so a constant c gives abs(c) everywhere.

    Reference: Schroff et al., CVPR 2015, section 3.3.
    NB: PyTorch's lp_pool2d takes the sum in place of the mean.

    Parameters
    ----------
    x : Tensor or array (N, C, H, W), float32 or float64
    size, stride, padding, ceil_mode
        See the module.

    Raises
    ------
    ShapeError, DTypeError, ArgError
        As `max_pool2d`.
    """
    check_image("l2_pool2d", "x", x)
    energy = avg_pool2d(x * x, size=size, stride=stride, padding=padding, ceil_mode=ceil_mode,
                        count_include_pad=False)
    zero = array(energy) == 0
    return where(zero, 0.0, sqrt(where(zero, 1.0, energy)))


# Checks ---------------------------------------------------------------------------------------------


def _check_pixels(function, x):
    check_image(function, "x", x)
    if x.shape[2] * x.shape[3] == 0:
        raise ShapeError(f"{function}: x has shape {x.shape}, expected at least one pixel")


def _check_integers(function, where):
    if where.dtype.kind not in "iu":
        raise DTypeError(f"{function}: where has dtype {where.dtype}, expected integers")
