"""The ops of normalisation: subtract a mean, divide by a standard deviation, scale and shift.

`normalize` serves batch, layer, instance and group normalisation, which differ only in the axes they average
over. With n values x_k, mean m and variance v = 1/n sum (x_k - m)^2,

    y = (x - m) / sqrt(v + eps)                                                                     (1)
    gx = (g - mean(g) - y mean(g y)) / sqrt(v + eps)                                                (2)

where (2) follows from dm/dx_k = 1/n and dv/dx_k = 2 (x_k - m) / n: the gradient loses its component along
the constant and along y, the two directions in which y cannot change. Its relatives do more in the same pass:
`normalize_relu` adds a residual and applies relu, `normalize_items` scales every position of an item, and
`normalize_with` takes the statistics as given. On arrays the rules are kernels, on Tensors they are ops.
"""

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError
from ..kernels import layer
from ..kernels import normalize as kernels
from .elementwise import rsqrt
from .engine import sum_to
from .op import array, op
from .reduce import mean, sum


@op(aux=True)
def normalize(x, weight=None, bias=None, *, axis, eps=1e-5):
    """weight (x - m) / sqrt(v + eps) + bias over `axis` (int or tuple).

    Weight and bias, if given, broadcast to the statistics: the shape of x with `axis` at size 1.
    A constant gives exactly 0 (before the bias); mean >> standard deviation costs no digits.
    Aux: a pivot, the mean less the pivot, and the variance, float64, with `axis` at size 1.
    """
    return _normalized("normalize", x, weight, bias, None, axis, eps, relu=False)


def _normalized(function, x, weight, bias, residual, axis, eps, relu):
    check(function, x, eps)
    axes = check_axes(function, axis, x.ndim)
    kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    for name, a in (("weight", weight), ("bias", bias)):
        if a is not None and not _fits(a.shape, kept):
            raise ShapeError(f"{function}: {name} has shape {a.shape}, expected one that broadcasts to {kept}")
    if residual is not None and residual.shape != x.shape:
        raise ShapeError(f"{function}: residual has shape {residual.shape}, expected {x.shape} like x")
    dtype = np.result_type(*(a for a in (x, weight, bias, residual) if a is not None))
    x, residual = (None if a is None else a.astype(dtype, copy=False) for a in (x, residual))
    if not x.size:
        return x.copy(order="K"), (None, None, None)
    y, *statistics = kernels.normalize(x, axes, eps=eps, weight=weight, bias=bias, residual=residual, relu=relu)
    return y, tuple(statistics)


@op(aux=True)
def normalize_relu(x, weight=None, bias=None, residual=None, *, axis, eps=1e-5):
    """relu(normalize(x, weight, bias) + residual) in one pass; the residual, if given, has the shape of x."""
    return _normalized("normalize_relu", x, weight, bias, residual, axis, eps, relu=True)


def _normalize_rule(g, y, inputs, needs, *, axis, eps=1e-5, aux):
    """Equation (2), with g weight in place of g, in one pass on arrays or with ops where it is recorded."""
    x, weight, bias = (*inputs, None, None)[:3]
    if aux[0] is None:
        gx, sum_g, sum_gy = _gradients_of_ops(g, x, weight, axis, eps)
    else:
        axes, x = check_axes("normalize", axis, x.ndim), x.astype(g.dtype, copy=False)
        gx, sum_g, sum_gy, _ = kernels.normalize_input(g, x, axes, *aux, eps=eps, weight=weight)
    return [gx, *_affine_gradients(sum_gy, sum_g, weight, bias, needs)]


def _normalize_relu_rule(g, y, inputs, needs, *, axis, eps=1e-5, aux):
    """As before with g where y > 0, which is also the gradient of the residual."""
    x, weight, bias, residual = (*inputs, None, None, None)[:4]
    if aux[0] is None:
        g = g * (array(y) > 0)
        gx, sum_g, sum_gy = _gradients_of_ops(g, x, weight, axis, eps)
    else:
        axes, x = check_axes("normalize_relu", axis, x.ndim), x.astype(g.dtype, copy=False)
        gx, sum_g, sum_gy, g = kernels.normalize_input(g, x, axes, *aux, eps=eps, weight=weight, y=y,
                                                       residual=residual is not None)
    return [gx, *_affine_gradients(sum_gy, sum_g, weight, bias, needs), g][:len(inputs)]


def _affine_gradients(sum_gy, sum_g, weight, bias, needs):
    return [sum_to(s, shape=a.shape) if need else None
            for s, a, need in zip((sum_gy, sum_g), (weight, bias), needs[1:], strict=False)]


def _gradients_of_ops(g, x, weight, axis, eps):
    """Gradient in x, sum of g, sum of g y."""
    if not x.size:
        return g, sum(g, axis=axis, keepdims=True), sum(g, axis=axis, keepdims=True)
    d = x - mean(x, axis=axis, keepdims=True)
    inverse = rsqrt(mean(d * d, axis=axis, keepdims=True) + eps)
    y = d * inverse
    sums = sum(g, axis=axis, keepdims=True), sum(g * y, axis=axis, keepdims=True)
    g = g if weight is None else g * weight
    along_y = y * mean(g * y, axis=axis, keepdims=True)
    return inverse * (g - mean(g, axis=axis, keepdims=True) - along_y), *sums


normalize.vjp_all(_normalize_rule, saves=("x", "weight"))
normalize_relu.vjp_all(_normalize_relu_rule, saves=("x", "weight", "y"))


@op
def normalize_with(x, weight=None, bias=None, residual=None, *, mean, var, eps=1e-5, relu=False):
    """act(weight (x - mean) / sqrt(var + eps) + bias + residual) with constants `mean` and `var` in one pass.

    x and residual (N, C, ...); weight, bias, mean, var (C,). The activation is relu or none.
    """
    check("normalize_with", x, eps, least=2)
    for name, a in (("weight", weight), ("bias", bias), ("mean", mean), ("var", var)):
        if a is not None and a.shape != (x.shape[1],):
            raise ShapeError(f"normalize_with: {name} has shape {a.shape}, expected ({x.shape[1]},)")
    if residual is not None and residual.shape != x.shape:
        raise ShapeError(f"normalize_with: residual has shape {residual.shape}, expected {x.shape} like x")
    dtype = np.result_type(*(a for a in (x, weight, bias, residual) if a is not None))
    x, residual = (None if a is None else a.astype(dtype, copy=False) for a in (x, residual))
    if not x.size:
        return x.copy(order="K")
    shape = per_channel(x)
    weight, bias = (None if a is None else a.reshape(shape) for a in (weight, bias))
    return kernels.normalize_given(x, (0, *range(2, x.ndim)), mean.reshape(shape), var.reshape(shape), eps=eps,
                                   weight=weight, bias=bias, residual=residual, relu=relu)


def _normalize_with_rule(g, y, inputs, needs, *, mean, var, eps=1e-5, relu=False):
    """The map is affine: gx = g weight / sqrt(var + eps), with g where y > 0."""
    x, weight, bias, _ = (*inputs, None, None, None)[:4]
    needs, shape, axes = (*needs, False, False, False)[:4], per_channel(x), (0, *range(2, x.ndim))
    g = g * (array(y) > 0) if relu else g
    inverse = kernels.inverse_std(var.astype(np.float64), eps).astype(x.dtype)
    scale = (inverse if weight is None else weight * inverse).reshape(shape)
    gw = None
    if needs[1]:
        z = (x - mean.reshape(shape).astype(x.dtype)) * inverse.reshape(shape)
        gw = sum(g * z, axis=axes)
    return [g * scale if needs[0] else None, gw, sum(g, axis=axes) if needs[2] else None, g][:len(inputs)]


normalize_with.vjp_all(_normalize_with_rule, saves=("x", "weight", "y"))


@op(aux=True)
def normalize_items(x, weight=None, bias=None, *, axes, eps=1e-5):
    """`layer_norm` with weight and bias of the shape of x, all but `axes` (a tuple, counted from 0) at size 1."""
    check("normalize_items", x, eps)
    axes = check_axes("normalize_items", axes, x.ndim)
    full = tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    for name, a in (("weight", weight), ("bias", bias)):
        if a is not None and a.shape != full:
            raise ShapeError(f"normalize_items: {name} has shape {a.shape}, expected {full}")
    dtype = np.result_type(*(a for a in (x, weight, bias) if a is not None))
    x = x.astype(dtype, copy=False)
    rows = layer.items(x, axes)
    if rows is not None:
        return layer.normalize_items(rows, x, axes, eps=eps, weight=weight, bias=bias)
    y = normalize(x, axis=axes, eps=eps)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias).astype(dtype, copy=False), (None, None, None)


def _normalize_items_rule(g, y, inputs, needs, *, axes, eps=1e-5, aux):
    """Equation (2) with h = weight g in place of g; the gradients of weight and bias sum g y and g over items."""
    x, weight, bias = (*inputs, None, None)[:3]
    axes = check_axes("normalize_items", axes, x.ndim)
    if aux[0] is not None:
        x = x.astype(g.dtype, copy=False)
        gx, gw, gb = layer.normalize_items_input(layer.items(x, axes), g, x, axes, *aux, weight=weight)
    else:
        gx, _, _ = _gradients_of_ops(g if weight is None else g * weight, x, None, axes, eps)
        gw, gb = g * normalize(x, axis=axes, eps=eps) if weight is not None else None, g
    return [gx, *(sum_to(s, shape=a.shape) if need else None
                  for s, a, need in zip((gw, gb), (weight, bias), needs[1:], strict=False))]


normalize_items.vjp_all(_normalize_items_rule, saves=("x", "weight"))


# Checks ----------------------------------------------------------------------------------------------


def check(function, x, eps, least=1, name="eps"):
    """Raise unless x is float32 or float64 with at least `least` axes, and eps is not negative."""
    a = array(x)
    if a.dtype.kind != "f" or a.dtype.itemsize < 4:
        raise DTypeError(f"{function}: x has dtype {a.dtype}, expected float32 or float64")
    if a.ndim < least:
        raise ShapeError(f"{function}: x has shape {a.shape}, expected at least {least} axes")
    if not eps >= 0:
        raise ArgError(f"{function}: {name} is {eps!r}, expected a number >= 0")


def _fits(shape, full):
    """Whether an array of `shape` broadcasts to `full`."""
    return len(shape) <= len(full) and all(n in (1, m) for n, m in zip(shape[::-1], full[::-1], strict=False))


def per_channel(x):
    """Shape of a vector (C,) that broadcasts along axis 1 of x."""
    return (1, -1) + (1,) * (x.ndim - 2)


def check_axes(function, axis, ndim):
    """Axes as a tuple of different numbers from 0."""
    axes = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    if not axes or any(isinstance(a, bool) or not -ndim <= a < ndim for a in axes):
        raise ArgError(f"{function}: axes are {axis!r}, expected integers in [-{ndim}, {ndim})")
    axes = tuple(a % ndim for a in axes)
    if len(set(axes)) < len(axes):
        raise ArgError(f"{function}: axes are {axis!r}, expected different ones")
    return axes
