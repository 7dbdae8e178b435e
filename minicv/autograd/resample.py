"""Reading images at other positions: resizing, sampling at a grid, windows as columns, pixel shuffle.

Pixel i covers [i, i + 1) and has its centre at i + 1/2. With ``align_corners=False``, the rule everywhere
in this library, an image is stretched as an area: output centre i + 1/2 of I lies at (i + 1/2) H / I. With
True, the centres of the corner pixels stay corner pixels.

Everything is linear in the image, and each linear op comes with its adjoint. Grid sampling is also
differentiated in the positions: with pixels X_t around a position and weights w_t of its distances,

    y[n, c, l] = sum_t w_t[n, l] x[n, c, index_t[n, l]]                                             (1)

is linear in x and in w, and w is a polynomial of the position made of ops. `taps_gather`,
`taps_scatter` and `taps_dot` are the partial derivatives of the form <g, y>: every order comes for free.

Reference: Jaderberg et al., NIPS 2015 (spatial transformer), eq. 5.
Departures: none. NB: the derivative in the position jumps where a position crosses a pixel centre; there
it is that of the side to the right or below.
"""

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError
from ..kernels import resample as kernels
from ..kernels import sample as sampling
from ..kernels.layout import like_layout
from ..kernels.unfold import fold as add_windows
from ..kernels.unfold import unfold as copy_windows
from ..kernels.windows import pair
from .conv import check_image
from .elementwise import clip
from .engine import cast
from .op import array, op

# Resizing -------------------------------------------------------------------------------------------


@op
def resample(x, *, size, mode="bilinear", align_corners=False):
    """`resize` to a `size` given as (I, J)."""
    return kernels.resize(x, size, mode=mode, align_corners=align_corners)


@op
def resample_input(g, *, size, mode="bilinear", align_corners=False):
    """Adjoint of `resample`: g (N, C, I, J) -> (N, C, *size)."""
    return kernels.resize_input(g, size, mode=mode, align_corners=align_corners)


resample.vjp(lambda g, y, x, size, **s: resample_input(g, size=x.shape[2:], **s), saves=())
resample_input.vjp(lambda gx, y, g, size, **s: resample(gx, size=g.shape[2:], **s), saves=())


def resize(x, *, size=None, scale=None, mode="bilinear", align_corners=False):
    """The image at another size, without smoothing before it shrinks.

    Parameters
    ----------
    x : Tensor or array (N, C, H, W), float32 or float64
    size : int or (I, J)
        Size of the result; or
    scale : float or (vertical, horizontal)
        Size as a multiple of (H, W), rounded down. Positions follow from the sizes alone.
    mode : {"bilinear", "nearest", "bicubic"}
        Positions beyond the border take the edge pixels. Bicubic is Keys' kernel with a = -0.75.
        NB: "nearest" takes the pixel whose area holds the output centre, PyTorch's "nearest-exact".
    align_corners : bool
        See the module; a result of size 1 reads pixel 0. Not for "nearest".

    Returns
    -------
    Tensor or array (N, C, I, J) in the memory layout of x.

    Raises
    ------
    ShapeError, DTypeError
        For x of another rank, type, or without pixels.
    ArgError
        For neither or both of size and scale, a size below 1, an unknown mode.

    >>> resize(np.array([[[[0.0, 1.0]]]]), size=(1, 4))
    array([[[[0.  , 0.25, 0.75, 1.  ]]]])
    """
    check_image("resize", "x", x)
    if (size is None) == (scale is None):
        raise ArgError(f"resize: size is {size!r} and scale is {scale!r}, expected exactly one of them")
    if min(x.shape[2:]) < 1:
        raise ShapeError(f"resize: x has shape {x.shape}, expected at least one pixel")
    size = pair("resize", "size", size) if scale is None else _scaled(x.shape[2:], scale)
    return resample(x, size=size, mode=mode, align_corners=align_corners)


def _scaled(size, scale):
    """floor(size scale), where a product within rounding of an integer is that integer."""
    factors = np.broadcast_to(scale, 2) if np.shape(scale) in ((), (2,)) else np.zeros(2)
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise ArgError(f"resize: scale is {scale!r}, expected one or two positive numbers")
    scaled = tuple(int(np.floor(n * f * (1 + 1e-12))) for n, f in zip(size, factors.tolist(), strict=True))
    if min(scaled) < 1:
        raise ArgError(f"resize: scale is {scale!r}, expected at least one output pixel, got {scaled} from {size}")
    return scaled


# Sampling at a grid ---------------------------------------------------------------------------------


@op
def taps_gather(x, weight, *, index):
    """Equation (1): x (N, C, H, W), weight (N, L, T), integer index (N, L, T) h W + w or -1 -> (N, C, L)."""
    check_image("taps_gather", "x", x)
    _check_taps("taps_gather", index, (len(x), *weight.shape[1:]))
    return sampling.taps_gather(x, index, weight)


@op
def taps_scatter(g, weight, *, index, size):
    """Adjoint of `taps_gather` in x: g (N, C, L) -> (N, C, *size)."""
    _check_points("taps_scatter", g)
    _check_taps("taps_scatter", index, (len(g), g.shape[2], *weight.shape[2:]))
    return sampling.taps_scatter(g, index, weight, size=pair("taps_scatter", "size", size))


@op
def taps_dot(g, x, *, index):
    """Adjoint of `taps_gather` in the weights: g (N, C, L), x (N, C, H, W) -> (N, L, T)."""
    _check_points("taps_dot", g)
    check_image("taps_dot", "x", x)
    _check_taps("taps_dot", index, (len(x), g.shape[2], *index.shape[2:]))
    return sampling.taps_dot(g, x, index).astype(np.result_type(g, x), copy=False)


def _check_points(function, g):
    if g.ndim != 3 or g.dtype.kind != "f":
        error = DTypeError if g.ndim == 3 else ShapeError
        raise error(f"{function}: g is {g.dtype} of shape {g.shape}, expected float (N, C, L)")


def _check_taps(function, index, shape):
    if index.dtype.kind not in "iu":
        raise DTypeError(f"{function}: index has dtype {index.dtype}, expected integers")
    if index.ndim != 3 or index.shape != shape:
        raise ShapeError(f"{function}: index has shape {index.shape}, expected (N, L, T) = {shape}")


taps_gather.vjp(
    lambda g, y, x, weight, index: taps_scatter(g, weight, index=index, size=x.shape[2:]),
    lambda g, y, x, weight, index: taps_dot(g, x, index=index))
taps_scatter.vjp(
    lambda gx, y, g, weight, index, size: taps_gather(gx, weight, index=index),
    lambda gx, y, g, weight, index, size: taps_dot(g, gx, index=index))
taps_dot.vjp(
    lambda gw, y, g, x, index: taps_gather(x, gw, index=index),
    lambda gw, y, g, x, index: taps_scatter(g, gw, index=index, size=x.shape[2:]))


def grid_sample(x, grid, *, mode="bilinear", padding_mode="zeros", align_corners=False):
    """y[n, c, i, j] = x[n, c] at position grid[n, i, j] = (horizontal, vertical); differentiable in both.

    Parameters
    ----------
    x : Tensor or array (N, C, H, W), float32 or float64
    grid : Tensor or array (N, I, J, 2), float32 or float64
        Positions from -1 to 1: the outer edges of the image, or the centres of the outermost pixels with
        `align_corners`. NaN gives NaN.
    mode : {"bilinear", "nearest"}
        The gradient in the grid is 0 for "nearest".
    padding_mode : {"zeros", "border"}
        What lies outside: zeros, or the nearest edge pixel (where the gradient in the grid is 0).

    Returns
    -------
    Tensor or array (N, C, I, J) in the memory layout of x.

    Raises
    ------
    ShapeError, DTypeError, ArgError
    """
    _check_grid(x, grid, mode, padding_mode)
    N, I, J, _ = grid.shape
    points = cast(grid, dtype=np.dtype(np.float64)).reshape(N, I * J, 2)
    h, wh = _axis_taps(points[:, :, 1], x.shape[2], mode, padding_mode, align_corners)
    w, ww = _axis_taps(points[:, :, 0], x.shape[3], mode, padding_mode, align_corners)
    outside = (h[..., :, None] < 0) | (w[..., None, :] < 0)
    index = np.where(outside, -1, h[..., :, None] * x.shape[3] + w[..., None, :])
    index = index.reshape(N, I * J, h.shape[2] * w.shape[2])
    weight = (wh[:, :, :, None] * ww[:, :, None, :]).reshape(index.shape)
    y = taps_gather(x, cast(weight, dtype=grid.dtype), index=index)             # (N, C, L)
    return y.reshape(N, x.shape[1], I, J)


def _axis_taps(u, length, mode, padding_mode, align_corners):
    """One axis: integer pixels around each position, -1 outside, and their weights, both (N, L, taps)."""
    position = (u + 1) * ((length - 1) / 2) if align_corners else (u + 1) * (length / 2) - 0.5
    low, high = (0, length - 1) if padding_mode == "border" else (-2, length + 1)
    position = clip(position, low=low, high=high)               # beyond it nothing changes
    if mode == "nearest":
        pixel, weight = np.rint(array(position))[..., None], (position * 0 + 1)[:, :, None]
    else:
        before = np.floor(array(position))[..., None]
        pixel = before + (0, 1)
        t = position[:, :, None] - before                       # (N, L, 1)
        weight = t * np.array([-1.0, 1.0]) + np.array([1.0, 0.0])       # 1 - t and t
    inside = (pixel >= 0) & (pixel < length)
    missing = np.isnan(pixel)                                   # the weights are NaN, the pixel is any
    return np.where(missing, 0, np.where(inside, pixel, -1)).astype(np.int64), weight


def _check_grid(x, grid, mode, padding_mode):
    check_image("grid_sample", "x", x)
    check_image("grid_sample", "grid", grid, "(N, I, J, 2)")
    if grid.shape[3] != 2 or grid.shape[0] != x.shape[0]:
        raise ShapeError(f"grid_sample: grid has shape {grid.shape}, expected ({x.shape[0]}, I, J, 2)")
    if min(x.shape[2:]) < 1:
        raise ShapeError(f"grid_sample: x has shape {x.shape}, expected at least one pixel")
    for name, value, known in (("mode", mode, sampling.MODES), ("padding_mode", padding_mode, sampling.PADDINGS)):
        if value not in known:
            raise ArgError(f"grid_sample: {name} is {value!r}, expected one of {', '.join(known)}")


def affine_grid(theta, *, size, align_corners=False):
    """Grid for `grid_sample` in which output position (x, y) reads input position theta (x, y, 1)^T.

    Parameters
    ----------
    theta : Tensor or array (N, 2, 3), float32 or float64
    size : int or (I, J)
        Of the output.

    Returns
    -------
    Tensor or array (N, I, J, 2)

    Raises
    ------
    ShapeError, DTypeError, ArgError
    """
    a = array(theta)
    if a.ndim != 3 or a.shape[1:] != (2, 3):
        raise ShapeError(f"affine_grid: theta has shape {a.shape}, expected (N, 2, 3)")
    if a.dtype.kind != "f":
        raise DTypeError(f"affine_grid: theta has dtype {a.dtype}, expected float32 or float64")
    I, J = pair("affine_grid", "size", size)
    y, x = (_centers(n, align_corners) for n in (I, J))
    points = np.stack([*np.broadcast_arrays(x, y[:, None], 1.0)], axis=-1).reshape(I * J, 3).astype(a.dtype)
    return (points @ theta.swapaxes(1, 2)).reshape(a.shape[0], I, J, 2)


def _centers(length, align_corners):
    """Positions of the pixel centres of one axis, from -1 to 1."""
    if align_corners:
        return np.linspace(-1, 1, length) if length > 1 else np.zeros(1)
    return (2 * np.arange(length) + 1) / length - 1


# Windows as columns ---------------------------------------------------------------------------------


@op
def unfold(x, *, kernel, stride=1, padding=0, dilation=1):
    """Windows as columns: x (N, C, H, W) -> (N, C P Q, I J), so that a convolution is one matrix product.

    columns[n, (c P + p) Q + q, i J + j] = x[n, c, i s + p d - top, j s + q d - left], PyTorch's order.

    Parameters
    ----------
    kernel : int or (P, Q)
    stride, padding, dilation
        As `conv2d` (without "same").

    Raises
    ------
    ShapeError, DTypeError, ArgError
    """
    check_image("unfold", "x", x)
    return copy_windows(x, kernel, stride=stride, padding=padding, dilation=dilation)


@op
def fold(columns, *, size, kernel, stride=1, padding=0, dilation=1):
    """Adjoint of `unfold`: columns (N, C P Q, I J) added up where windows overlap -> (N, C, *size).

    Raises
    ------
    ShapeError, DTypeError, ArgError
    """
    if columns.dtype.kind != "f":
        raise DTypeError(f"fold: columns has dtype {columns.dtype}, expected float32 or float64")
    return add_windows(columns, kernel, size=size, stride=stride, padding=padding, dilation=dilation)


unfold.vjp(lambda g, y, x, **s: fold(g, size=x.shape[2:], **s), saves=())
fold.vjp(lambda gx, y, columns, size, **s: unfold(gx, **s), saves=())


# Pixel shuffle --------------------------------------------------------------------------------------


@op
def pixel_shuffle(x, *, factor):
    """y[n, c, h r + a, w r + b] = x[n, (c r + a) r + b, h, w]: r^2 channels become an r times larger image.

    Reference: Shi et al., CVPR 2016, eq. 4 (sub-pixel convolution).

    Parameters
    ----------
    x : Tensor or array (N, C r^2, H, W), float32 or float64
    factor : int
        r.

    Returns
    -------
    Tensor or array (N, C, H r, W r) in the memory layout of x.

    Raises
    ------
    ShapeError, DTypeError, ArgError
    """
    check_image("pixel_shuffle", "x", x)
    r, _ = pair("pixel_shuffle", "factor", factor)
    N, C, H, W = x.shape
    if C % (r * r):
        raise ShapeError(f"pixel_shuffle: x has {C} channels, expected a multiple of factor^2 = {r * r}")
    y = like_layout(x, (N, C // (r * r), H * r, W * r))
    _blocks(y, r)[...] = x.reshape(N, C // (r * r), r, r, H, W)
    return y


@op
def pixel_unshuffle(x, *, factor):
    """Inverse and adjoint of `pixel_shuffle`: x (N, C, H r, W r) -> (N, C r^2, H, W).

    Raises
    ------
    ShapeError, DTypeError, ArgError
    """
    check_image("pixel_unshuffle", "x", x)
    r, _ = pair("pixel_unshuffle", "factor", factor)
    N, C, H, W = x.shape
    if H % r or W % r:
        raise ShapeError(f"pixel_unshuffle: x has size {(H, W)}, expected multiples of factor = {r}")
    y = like_layout(x, (N, C * r * r, H // r, W // r))
    y.reshape(N, C, r, r, H // r, W // r)[...] = _blocks(x, r)
    return y


def _blocks(image, r):
    """View of (N, C, H r, W r) as (N, C, r, r, H, W)."""
    N, C, H, W = image.shape
    return image.reshape(N, C, H // r, r, W // r, r).transpose(0, 1, 3, 5, 2, 4)


pixel_shuffle.vjp(lambda g, y, x, factor: pixel_unshuffle(g, factor=factor), saves=())
pixel_unshuffle.vjp(lambda g, y, x, factor: pixel_shuffle(g, factor=factor), saves=())
