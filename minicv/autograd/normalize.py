"""Normalisation: subtract a mean, divide by a standard deviation, scale and shift.

All but the local response are one op, `normalize`, or a relative of it; see `standardize`.

References: Ioffe and Szegedy, ICML 2015; Ba et al., 2016 (layer); Ulyanov et al., 2016 (instance);
Wu and He, ECCV 2018 (group); Krizhevsky et al., NIPS 2012, section 3.3 (local response).
Departures: none.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError
from ..kernels.windows import pair
from .activation import relu
from .conv import check_image
from .elementwise import sqrt, where
from .op import array, op
from .reduce import sum
from .standardize import (
    check,
    check_axes,
    normalize,
    normalize_items,
    normalize_relu,
    normalize_with,
    per_channel,
)

# The family -----------------------------------------------------------------------------------------


class BatchNorm(NamedTuple):
    """Result of `batch_norm`: y and the running statistics after this batch, arrays (C,)."""

    y: object
    running_mean: object
    running_var: object


def batch_norm(x, weight=None, bias=None, running_mean=None, running_var=None, *, residual=None, activation=None,
               training=False, momentum=0.1, eps=1e-5):
    """y = act(weight (x - mean) / sqrt(var + eps) + bias + residual) per channel, over batch and positions.

    In training, mean and variance are those of the batch (variance with 1/n) and the result carries the
    new running statistics, ``(1 - momentum) running + momentum batch`` (variance with 1/(n-1)), for the
    caller to store; nothing is written here. Otherwise the running statistics are used.

    Parameters
    ----------
    x : Tensor or array (N, C, ...), float32 or float64
    weight, bias : Tensor or array (C,), optional
    running_mean, running_var : Tensor or array (C,)
        Optional in training.
    residual : Tensor or array like x, optional
        Added after scale and shift: the shortcut of a residual block.
    activation : {None, "relu"}
        Applied last, in the same pass.
    momentum : float in [0, 1]
        Weight of the new batch. NB: as in PyTorch; TensorFlow's momentum is one minus this.

    Returns
    -------
    BatchNorm(y, running_mean, running_var)
        The statistics are plain arrays, None where none were given.

    Raises
    ------
    ShapeError
        For vectors that are not (C,), a residual that is not of the shape of x, and in training for fewer
        than two values per channel, which have no variance.
    ArgError
        For missing statistics when not training, a negative eps, a momentum outside [0, 1], another activation.
    """
    check("batch_norm", x, eps, least=2)
    _check_vectors("batch_norm", x.shape[1], weight=weight, bias=bias, running_mean=running_mean,
                   running_var=running_var)
    if not 0 <= momentum <= 1:
        raise ArgError(f"batch_norm: momentum is {momentum!r}, expected a number in [0, 1]")
    _check_ending(x, residual, activation)
    if not training:
        return _with_running(x, weight, bias, running_mean, running_var, residual, activation, eps)
    axis = (0, *range(2, x.ndim))
    count = x.size // x.shape[1] if x.shape[1] else 0
    if count == 1:
        raise ShapeError(f"batch_norm: x has shape {x.shape}, expected more than one value per channel in training")
    if count == 0:                                              # an empty batch teaches nothing
        return BatchNorm(_end(_affine(x, weight, bias), residual, activation), _plain(running_mean),
                         _plain(running_var))
    affine = [None if a is None else a.reshape(per_channel(x)) for a in (weight, bias)]
    if activation is None:
        y, (pivot, rest, var) = normalize.with_aux(x, *affine, axis=axis, eps=eps)
        y = y if residual is None else y + residual
    else:
        y, (pivot, rest, var) = normalize_relu.with_aux(x, *affine, residual, axis=axis, eps=eps)
    return BatchNorm(y, _blend(running_mean, pivot + rest, momentum),
                     _blend(running_var, var * (count / (count - 1)), momentum))


def _check_ending(x, residual, activation):
    if activation not in (None, "relu"):
        raise ArgError(f'batch_norm: activation is {activation!r}, expected None or "relu"')
    if residual is not None and residual.shape != x.shape:
        raise ShapeError(f"batch_norm: residual has shape {residual.shape}, expected {x.shape} like x")


def _end(y, residual, activation):
    """The residual added, then the activation."""
    y = y if residual is None else y + residual
    return y if activation is None else relu(y)


def _with_running(x, weight, bias, running_mean, running_var, residual, activation, eps):
    if running_mean is None or running_var is None:
        raise ArgError("batch_norm: running_mean or running_var is None, expected arrays when not training")
    mean, var = _plain(running_mean), _plain(running_var)
    y = normalize_with(x, weight, bias, residual, mean=mean, var=var, eps=eps, relu=activation is not None)
    return BatchNorm(y, mean, var)


def _plain(a):
    return None if a is None else array(a)


def _blend(running, batch, momentum):
    """Moving average, in the dtype of `running`."""
    if running is None:
        return None
    running = array(running)
    return ((1 - momentum) * running + momentum * batch.reshape(-1)).astype(running.dtype)


def layer_norm(x, weight=None, bias=None, *, axes=-1, eps=1e-5):
    """y = weight (x - mean) / sqrt(var + eps) + bias with statistics over `axes` of each item.

    Parameters
    ----------
    x : Tensor or array, float32 or float64
    weight, bias : Tensor or array, optional
        Of the sizes of `axes` in order, as (D,) for the default.
    axes : int or tuple of int
        Axes to average over; the last one by default, as in transformers. NB: PyTorch names the sizes of
        trailing axes instead; ``normalized_shape=(C, H, W)`` is ``axes=(1, 2, 3)``, and axes=1 is the
        per-position norm over channels of ConvNeXt.

    Returns
    -------
    Tensor or array like x.

    Raises
    ------
    ShapeError, DTypeError, ArgError
    """
    check("layer_norm", x, eps)
    axes = check_axes("layer_norm", axes, x.ndim)
    sizes = tuple(x.shape[a] for a in axes)
    full = tuple(n if a in axes else 1 for a, n in enumerate(x.shape))
    for name, a in (("weight", weight), ("bias", bias)):
        if a is not None and a.shape != sizes:
            raise ShapeError(f"layer_norm: {name} has shape {a.shape}, expected {sizes} for axes {axes} of x {x.shape}")
    return normalize_items(x, *(None if a is None else a.reshape(full) for a in (weight, bias)), axes=axes, eps=eps)


def instance_norm(x, weight=None, bias=None, *, eps=1e-5):
    """Each channel of each image with its own mean and variance: x (N, C, H, W), weight and bias (C,).

    Raises
    ------
    ShapeError
        Also for images of a single pixel, whose variance is always 0.
    """
    check_image("instance_norm", "x", x)
    check("instance_norm", x, eps, least=4)
    _check_vectors("instance_norm", x.shape[1], weight=weight, bias=bias)
    if x.shape[2] * x.shape[3] < 2:
        raise ShapeError(f"instance_norm: x has shape {x.shape}, expected more than one pixel")
    affine = [None if a is None else a.reshape(per_channel(x)) for a in (weight, bias)]
    return normalize(x, *affine, axis=(2, 3), eps=eps)


def group_norm(x, weight=None, bias=None, *, groups, eps=1e-5):
    """Mean and variance over `groups` equal runs of channels (and all positions) of each item.

    Parameters
    ----------
    x : Tensor or array (N, C, ...), float32 or float64
    weight, bias : Tensor or array (C,), optional
    groups : int
        Divides C. 1 is a layer norm over (C, H, W), C an instance norm.

    Raises
    ------
    ShapeError, DTypeError, ArgError
    """
    check("group_norm", x, eps, least=2)
    groups, _ = pair("group_norm", "groups", groups)
    N, C = x.shape[:2]
    if C % groups:
        raise ShapeError(f"group_norm: x has {C} channels, expected a multiple of groups={groups}")
    _check_vectors("group_norm", C, weight=weight, bias=bias)
    v = x.reshape(N, groups, C // groups, *x.shape[2:])
    y = normalize(v, axis=tuple(range(2, v.ndim)), eps=eps).reshape(x.shape)
    return _affine(y, weight, bias)


def _affine(y, weight, bias):
    """weight y + bias per channel."""
    shape = per_channel(y)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


# Norms without statistics ---------------------------------------------------------------------------


def l2_normalize(x, *, axis=-1, eps=1e-12):
    """x / max(||x||, eps) along `axis`: unit vectors, and x / eps where the norm is below eps.

    The gradient is finite everywhere; at x = 0 it is g / eps. Values whose squares overflow are handled.

    Raises
    ------
    DTypeError, ArgError
    """
    if array(x).dtype.kind != "f":
        raise DTypeError(f"l2_normalize: x has dtype {x.dtype}, expected float32 or float64")
    if not eps > 0:
        raise ArgError(f"l2_normalize: eps is {eps!r}, expected a positive number")
    axis = check_axes("l2_normalize", axis, x.ndim)
    if not x.size:
        return x
    # The result does not change with the scale, so the scale counts as a constant in every derivative.
    scale = np.abs(array(x)).max(axis=axis, keepdims=True)
    scale = np.where((scale > 0) & np.isfinite(scale), scale, 1).astype(x.dtype)
    u = x / scale
    square = sum(u * u, axis=axis, keepdims=True)
    least = np.square(eps / scale.astype(np.float64)).clip(max=np.finfo(x.dtype).max).astype(x.dtype)
    return u / sqrt(where(array(square) < least, least, square))


@op
def channel_sum(x, *, before, after):
    """y[:, c] = x[:, c - before] + ... + x[:, c + after], with zeros beyond the first and last channel."""
    before, after = (pair("channel_sum", name, n, least=0)[0] for name, n in (("before", before), ("after", after)))
    C, y = x.shape[1], x.copy(order="K")
    for shift in range(1, before + 1):
        y[:, shift:] += x[:, :max(C - shift, 0)]
    for shift in range(1, after + 1):
        y[:, :max(C - shift, 0)] += x[:, shift:]
    return y


channel_sum.vjp(lambda g, y, x, before, after: channel_sum(g, before=after, after=before), saves=())


def local_response_norm(x, *, size=5, alpha=1e-4, beta=0.75, k=1.0):
    """y_c = x_c / (k + alpha / size sum_{c'} x_{c'}^2)^beta over `size` neighbouring channels.

    Reference: Krizhevsky et al., NIPS 2012, section 3.3.
    Departures: PyTorch's convention. The paper has k = 2 and no division by size: its alpha = 1e-4 for
    size 5 is alpha = 5e-4 here. Of an even size the extra channel lies before c.

    Parameters
    ----------
    x : Tensor or array (N, C, ...), float32 or float64
    size : int
        Number of channels in the window, centred at c; channels that do not exist count as 0.

    Raises
    ------
    ShapeError, DTypeError, ArgError
    """
    check("local_response_norm", x, k, least=2, name="k")
    size, _ = pair("local_response_norm", "size", size)
    energy = channel_sum(x * x, before=size // 2, after=(size - 1) // 2)
    return x / (energy * (alpha / size) + k) ** beta


# Checks ----------------------------------------------------------------------------------------------


def _check_vectors(function, C, **vectors):
    for name, a in vectors.items():
        if a is not None and a.shape != (C,):
            raise ShapeError(f"{function}: {name} has shape {a.shape}, expected ({C},), one value per channel")
