"""Reductions, named and set as in NumPy: `axis` an int, a tuple of ints or None (all), `keepdims`.

Sums that feed statistics (mean, variance, norm, log-sum-exp) are accumulated in float64 and rounded
once to the type of the input. An empty sum is 0, an empty product 1, an empty mean NaN with NumPy's
warning; a maximum of nothing is a `ShapeError`. An `axis` that does not exist or is named twice is an
`ArgError`, one that is no integer a `DTypeError`.
"""

import math

import numpy as np

from ..errors import ArgError, ShapeError
from ..kernels import softmax as kernels
from .elementwise import div, exp, where
from .engine import expand
from .index import check_axis
from .op import array, op
from .tensor import Tensor, as_array

# Axes ---------------------------------------------------------------------------------------------


def check_axes(function, axis, ndim):
    """`axis` (an int, a tuple of ints, or None for all) as a tuple of ints in [0, ndim)."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, tuple):
        return (check_axis(function, axis, ndim),)
    axes = tuple(check_axis(function, a, ndim) for a in axis)
    if len(set(axes)) < len(axes):
        raise ArgError(f"{function}: axis is {axis}, expected every axis once")
    return axes


def _kept_shape(shape, axes):
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _count(function, shape, axis):
    """How many elements go into each result."""
    return math.prod(shape[a] for a in check_axes(function, axis, len(shape)))


def _spread(g, x, axis):
    """A reduced gradient repeated over the axes of x that it was reduced over."""
    kept = _kept_shape(x.shape, check_axes("reduce", axis, x.ndim))
    return expand(g.reshape(kept), shape=x.shape)


def float_array(x):
    """x as an array of floats; integers become float64."""
    x = as_array(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


# Sums ---------------------------------------------------------------------------------------------


@op
def sum(x, *, axis=None, keepdims=False):
    """Sum over `axis`; an empty sum is 0.

    >>> sum(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    array([4., 6.])
    """
    return np.sum(x, axis=check_axes("sum", axis, np.ndim(x)), keepdims=keepdims)


@op
def cumsum(x, *, axis=0, reverse=False):
    """Running sum along one axis: y[i] = x[0] + ... + x[i]; with `reverse`, x[i] + ... + x[-1]."""
    axis = check_axis("cumsum", axis, np.ndim(x))
    x = np.flip(x, axis) if reverse else np.asarray(x)
    y = np.cumsum(x, axis, dtype=np.float64 if x.dtype.kind == "f" else None)
    y = y.astype(x.dtype) if x.dtype.kind == "f" else y
    return np.flip(y, axis) if reverse else y


sum.vjp(lambda g, y, x, axis=None, keepdims=False: _spread(g, x, axis), saves=())
cumsum.vjp(lambda g, y, x, axis=0, reverse=False:
           cumsum(g, axis=axis, reverse=not reverse), saves=())


def prod(x, *, axis=None, keepdims=False):
    """Product over `axis`; an empty product is 1.

    Computed as a tree: two halves are multiplied element by element until one is left. The
    derivative, the product of the other elements, then comes out right to every order even where
    elements are zero; the usual y / x does not.
    """
    x = x if isinstance(x, Tensor) else np.asarray(x)
    axes = check_axes("prod", axis, x.ndim)
    others = tuple(i for i in range(x.ndim) if i not in axes)
    rest = tuple(x.shape[i] for i in others)
    rows = x.transpose(axes + others).reshape((_count("prod", x.shape, axes), *rest))
    return _multiply_halves(rows).reshape(_kept_shape(x.shape, axes) if keepdims else rest)


def _multiply_halves(x):
    """Product over the first axis."""
    if len(x) == 0:
        return x.sum(axis=0) + 1
    tail = 1
    while len(x) > 1:
        half = len(x) // 2
        if len(x) % 2:
            tail = x[-1] * tail
        x = x[:half] * x[half:2 * half]
    return x[0] * tail


# Statistics ---------------------------------------------------------------------------------------


@op
def mean(x, *, axis=None, keepdims=False):
    """Mean over `axis`; an empty mean is NaN with NumPy's warning."""
    x, axes = float_array(x), check_axes("mean", axis, np.ndim(x))
    return np.mean(x, axis=axes, keepdims=keepdims, dtype=np.float64).astype(x.dtype)


@op
def center(x, *, axis=None):
    """x minus its mean over `axis`, the linear projection in the derivative of every variance.

    The mean is taken out twice: the first difference is nearly exact, the second removes the
    rounding of the first mean. A constant gives 0 exactly, and float32 data with mean / deviation
    = 1e4 loses nothing.
    """
    x, axes = float_array(x), check_axes("center", axis, np.ndim(x))
    if x.size == 0:
        return x
    x = x - mean(x, axis=axes, keepdims=True)
    return x - mean(x, axis=axes, keepdims=True)


@op
def var(x, *, axis=None, keepdims=False, ddof=0):
    """Variance over `axis`: sum((x - mean) ** 2) / (n - ddof), by two passes.

    NB: `ddof` is 0 as in NumPy; PyTorch's `var` divides by n - 1.
    """
    return _variance("var", x, axis, keepdims, ddof).astype(float_array(x).dtype)


@op
def std(x, *, axis=None, keepdims=False, ddof=0):
    """Standard deviation sqrt(var(x)); the derivative is 0 where the deviation is 0."""
    return np.sqrt(_variance("std", x, axis, keepdims, ddof)).astype(float_array(x).dtype)


def _variance(function, x, axis, keepdims, ddof):
    """The variance in float64."""
    axes = check_axes(function, axis, np.ndim(x))
    n = _count(function, np.shape(x), axes)
    if not 0 <= ddof < (n or np.inf):
        raise ArgError(f"{function}: ddof is {ddof}, expected 0 <= ddof < {n} elements")
    squares = np.square(center(x, axis=axes), dtype=np.float64)
    return np.mean(squares, axis=axes, keepdims=keepdims) * (n / (n - ddof) if n else 1.0)


def _divide_or_zero(a, b):
    """a / b, and 0 where b is 0; also the derivatives are 0 there."""
    zero = array(b) == 0
    return where(zero, 0.0, div(a, where(zero, 1.0, b)))


def _var_rule(g, y, x, axis=None, keepdims=False, ddof=0):
    scale = 2 / ((_count("var", x.shape, axis) - ddof) or 1)
    return _spread(g * scale, x, axis) * center(x, axis=axis)


def _std_rule(g, y, x, axis=None, keepdims=False, ddof=0):
    scale = 1 / ((_count("std", x.shape, axis) - ddof) or 1)
    return _spread(_divide_or_zero(g * scale, y), x, axis) * center(x, axis=axis)


mean.vjp(lambda g, y, x, axis=None, keepdims=False:
         _spread(div(g, _count("mean", x.shape, axis) or 1), x, axis), saves=())
center.vjp(lambda g, y, x, axis=None: center(g, axis=axis), saves=())     # its own adjoint
var.vjp(_var_rule)
std.vjp(_std_rule, saves=("x", "y"))


# Largest and smallest -----------------------------------------------------------------------------


def _refuse_empty(function, x, axis):
    axes = check_axes(function, axis, np.ndim(x))
    if _count(function, np.shape(x), axes) == 0:
        raise ShapeError(f"{function}: x has shape {np.shape(x)}, "
                         f"expected at least one element along axis {axes}")
    return axes


@op
def max(x, *, axis=None, keepdims=False):
    """Largest element over `axis`; NaN wins.

    At a tie the first element gets the whole gradient if `axis` is one integer (the same element as
    `argmax`); over several or all axes the largest elements share it equally.
    """
    return np.max(x, axis=_refuse_empty("max", x, axis), keepdims=keepdims)


@op
def min(x, *, axis=None, keepdims=False):
    """Smallest element over `axis`; NaN wins; ties as in `max`."""
    return np.min(x, axis=_refuse_empty("min", x, axis), keepdims=keepdims)


def _extreme_rule(g, y, x, axis=None, keepdims=False):
    """The gradient goes to the elements that equal the result."""
    axes = check_axes("max", axis, x.ndim)
    kept, values = _kept_shape(x.shape, axes), array(x)
    wins = (values == array(y).reshape(kept)) | np.isnan(values)
    if axis is None or isinstance(axis, tuple):
        count = np.sum(wins, axis=axes, keepdims=True).astype(g.dtype)
        return where(wins, _spread(g.reshape(kept) / count, x, axis), 0.0)
    first = np.argmax(wins, axes[0], keepdims=True) == np.indices(x.shape, sparse=True)[axes[0]]
    return where(first, _spread(g, x, axis), 0.0)


max.vjp(_extreme_rule, saves=("x", "y"))
min.vjp(_extreme_rule, saves=("x", "y"))


def argmax(x, *, axis=None, keepdims=False):
    """Position of the first largest element along `axis` (None: in the flattened array); NaN wins.

    An int64 array, also for a Tensor: positions have no derivative.
    """
    return _position("argmax", np.argmax, x, axis, keepdims)


def argmin(x, *, axis=None, keepdims=False):
    """Position of the first smallest element along `axis`; as `argmax`."""
    return _position("argmin", np.argmin, x, axis, keepdims)


def _position(function, find, x, axis, keepdims):
    x = array(x)
    axis = axis if axis is None else check_axis(function, axis, x.ndim)
    _refuse_empty(function, x, axis)
    return np.asarray(find(x, axis=axis, keepdims=keepdims), dtype=np.int64)


# Norms --------------------------------------------------------------------------------------------


@op
def norm(x, *, axis=None, keepdims=False):
    """Euclidean length sqrt(sum(x ** 2)) over `axis`; the derivative at 0 is 0."""
    x, axes = float_array(x), check_axes("norm", axis, np.ndim(x))
    squares = np.square(x, dtype=np.float64)
    return np.sqrt(np.sum(squares, axis=axes, keepdims=keepdims)).astype(x.dtype)


@op
def logsumexp(x, *, axis=None, keepdims=False):
    """log(sum(exp(x))) over `axis`, shifted by the maximum so that nothing overflows.

    All elements -inf (or none at all) give -inf with derivative 0; one +inf gives +inf, and a
    derivative that is NaN at that element. NB: the naive form gives NaN for an all -inf row.
    """
    x, axes = float_array(x), check_axes("logsumexp", axis, np.ndim(x))
    if kernels.fits(x):
        y = kernels.logsumexp(x, axes)
        return y.reshape(_kept_shape(x.shape, axes)) if keepdims else y
    top = np.max(x, axis=axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(np.float64)
    with np.errstate(over="ignore", divide="ignore"):
        y = top + np.log(np.sum(np.exp(x - top), axis=axes, keepdims=True))
    return (y if keepdims else np.squeeze(y, axes)).astype(x.dtype)


def _logsumexp_rule(g, y, x, axis=None, keepdims=False):
    """g * softmax(x)."""
    if kernels.fits(g, x, y):
        return kernels.logsumexp_input(g, x, y, check_axes("logsumexp", axis, x.ndim))
    shift = where(array(y) == -np.inf, 0.0, y)
    return _spread(g, x, axis) * exp(x - _spread(shift, x, axis))


norm.vjp(lambda g, y, x, axis=None, keepdims=False: _spread(_divide_or_zero(g, y), x, axis) * x,
         saves=("x", "y"))
logsumexp.vjp(_logsumexp_rule, saves=("x", "y"))
