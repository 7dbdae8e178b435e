"""Operators and methods of `Tensor`, attached here so that the engine knows no particular op.

Names and settings are NumPy's (`axis`, `keepdims`), because the rules of ops run on arrays and Tensors alike.
"""

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from . import elementwise as e
from . import engine, graph, index, linalg, reduce, shape
from .modes import state
from .op import array
from .shortcut import shortcut
from .tensor import Tensor, real_type


def _install(**methods):
    for name, method in methods.items():
        method.__name__ = name
        setattr(Tensor, name, method)


# Arithmetic ------------------------------------------------------------------------------------------

_install(
    __add__=shortcut(e.add, np.add), __radd__=lambda a, b: e.add(b, a),
    __sub__=shortcut(e.sub, np.subtract), __rsub__=lambda a, b: e.sub(b, a),
    __mul__=shortcut(e.mul, np.multiply), __rmul__=lambda a, b: e.mul(b, a),
    __truediv__=lambda a, b: e.div(a, b), __rtruediv__=lambda a, b: e.div(b, a),
    __pow__=lambda a, b: e.power(a, b), __rpow__=lambda a, b: e.power(b, a),
    __matmul__=lambda a, b: linalg.matmul(a, b), __rmatmul__=lambda a, b: linalg.matmul(b, a),
    __neg__=lambda x: e.neg(x), __abs__=lambda x: e.absolute(x),
)

# Comparison: element by element, a boolean Tensor without gradient ----------------------------------


def _compare(ufunc):
    def method(a, b):
        return Tensor.wrap(np.asarray(ufunc(a._array, array(b))))
    return method


_install(__eq__=_compare(np.equal), __ne__=_compare(np.not_equal), __lt__=_compare(np.less),
         __le__=_compare(np.less_equal), __gt__=_compare(np.greater), __ge__=_compare(np.greater_equal))


# Writing in place --------------------------------------------------------------------------------------


def _check_fits(what, values, shape, dtype, into):
    """Refuse before anything is written: DTypeError unless `dtype` is kept, ShapeError unless values broadcast."""
    if not np.can_cast(dtype, into, "same_kind"):
        raise DTypeError(f"Tensor: {what} with values of dtype {dtype}, expected one that {into} can hold")
    try:
        fits = np.broadcast_shapes(np.shape(values), shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"Tensor: {what} with values of shape {np.shape(values)}, expected one that broadcasts "
                         f"to {shape}")


def _in_place(ufunc, compute):
    """`t -= a` writes under `no_grad`; recorded, it makes a new tensor, as for any immutable Python value."""
    def method(self, other):
        tracked = self._requires_grad or isinstance(other, Tensor) and other._requires_grad
        if tracked and state.recording:
            if self.node is None and self._requires_grad:
                self.check_write("in-place arithmetic")
            return compute(self, other)
        other = other if isinstance(other, (int, float)) else array(other)
        _check_fits(f"in-place {ufunc.__name__}", other, self.shape, np.result_type(self.dtype, other), self.dtype)
        with self.writable() as a:
            ufunc(a, other, out=a, casting="same_kind")
        return self
    return method


_install(__iadd__=_in_place(np.add, e.add), __isub__=_in_place(np.subtract, e.sub),
         __imul__=_in_place(np.multiply, e.mul), __itruediv__=_in_place(np.true_divide, e.div))


def _set_item(self, key, values):
    if isinstance(values, Tensor) and values._requires_grad and state.recording:
        raise GraphError("Tensor: assigning a tensor that requires a gradient is not recorded; "
                         "use where, concat or scatter_add to compute a new tensor")
    self.check_write("item assignment")
    key, values = index.plain_key(key), array(values)
    target = index.getitem(self._array, index=key).shape
    if values.dtype.kind not in "fiub":
        raise DTypeError(f"Tensor: item assignment of values of dtype {values.dtype}, expected numbers")
    extra = values.ndim - len(target)
    if extra > 0 and values.shape[:extra] == (1,) * extra:           # as in NumPy, unlike in arithmetic
        values = values.reshape(values.shape[extra:])
    _check_fits("item assignment", values, target, self.dtype, self.dtype)
    with self.writable() as a:
        a[key] = values


_install(__setitem__=_set_item, __getitem__=lambda self, key: index.getitem(self, index=index.plain_key(key)),
         __iter__=lambda self: (self[i] for i in range(len(self))))


# NumPy meets Tensor ------------------------------------------------------------------------------------

_UFUNCS = {np.add: e.add, np.subtract: e.sub, np.multiply: e.mul, np.true_divide: e.div,
           np.power: e.power, np.matmul: linalg.matmul}
_COMPARE = {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}


def _array_ufunc(self, ufunc, method, *inputs, **settings):
    """`array + tensor` is an op; any other NumPy function would lose the gradient and is refused."""
    if method == "__call__" and not settings:
        if ufunc in _UFUNCS:
            return _UFUNCS[ufunc](*inputs)
        if ufunc in _COMPARE:
            return Tensor.wrap(np.asarray(ufunc(*map(array, inputs))))
    raise GraphError(f"numpy.{ufunc.__name__}: called on a Tensor, which would lose the gradient; "
                     f"use the op of minicv.functional, or t.detach().numpy()")


_FACTS = {np.shape, np.ndim, np.size, np.result_type}         # read no values, so no gradient can be lost


def _array_function(self, function, types, args, kwargs):
    """`np.concatenate([t, t])` and the like work on tensors without gradient and refuse the others."""
    return function(*_untracked(function, args), **{k: _untracked(function, v) for k, v in kwargs.items()})


def _untracked(function, x):
    """`x` with Tensors, also in lists and tuples, as arrays; GraphError if one requires a gradient."""
    if isinstance(x, (list, tuple)):
        return type(x)(_untracked(function, item) for item in x)
    if not isinstance(x, Tensor):
        return x
    if x._requires_grad and state.recording and function not in _FACTS:
        raise GraphError(f"numpy.{function.__name__}: called on a Tensor that requires a gradient, which would be "
                         f"lost; use the op of minicv.functional, or t.detach().numpy()")
    return x.data


_install(__array_ufunc__=_array_ufunc, __array_function__=_array_function)


# Methods ----------------------------------------------------------------------------------------------


def _sizes(args):
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args


def _astype(x, dtype, copy=True):
    dtype = real_type("Tensor.astype", dtype)
    if dtype.kind == "f" and x.dtype.kind == "f":
        return x if x.dtype == dtype else engine.cast(x, dtype=dtype)
    if x._requires_grad and state.recording:
        raise DTypeError(f"Tensor.astype: {dtype} cannot carry a gradient; detach() first")
    return Tensor.wrap(x._array.astype(dtype))


def _backward(self, gradient=None, *, retain_graph=None, create_graph=False):
    """Add the gradient of this scalar to the `.grad` of every leaf it depends on; see `engine.backward`."""
    engine.backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)


_install(
    backward=_backward, graph=graph.graph, retain_grad=graph.retain_grad,
    sum=lambda x, axis=None, keepdims=False: reduce.sum(x, axis=axis, keepdims=keepdims),
    mean=lambda x, axis=None, keepdims=False: reduce.mean(x, axis=axis, keepdims=keepdims),
    var=lambda x, axis=None, keepdims=False, ddof=0: reduce.var(x, axis=axis, keepdims=keepdims, ddof=ddof),
    max=lambda x, axis=None, keepdims=False: reduce.max(x, axis=axis, keepdims=keepdims),
    min=lambda x, axis=None, keepdims=False: reduce.min(x, axis=axis, keepdims=keepdims),
    prod=lambda x, axis=None, keepdims=False: reduce.prod(x, axis=axis, keepdims=keepdims),
    cumsum=lambda x, axis=0: reduce.cumsum(x, axis=axis),
    argmax=lambda x, axis=None, keepdims=False: reduce.argmax(x, axis=axis, keepdims=keepdims),
    argmin=lambda x, axis=None, keepdims=False: reduce.argmin(x, axis=axis, keepdims=keepdims),
    reshape=lambda x, *sizes: shape.reshape(x, shape=_sizes(sizes)),
    transpose=lambda x, *axes: shape.transpose(x, axes=_sizes(axes) or None),
    swapaxes=lambda x, a, b: shape.swapaxes(x, axis1=a, axis2=b),
    squeeze=lambda x, axis=None: shape.squeeze(x, axis=axis),
    flatten=lambda x, start=0: shape.flatten(x, start=start),
    astype=_astype,
    clip=lambda x, low=None, high=None: e.clip(x, low=low, high=high),
    exp=lambda x: e.exp(x), log=lambda x: e.log(x), sqrt=lambda x: e.sqrt(x), tanh=lambda x: e.tanh(x),
)
Tensor.T = property(lambda x: shape.transpose(x, axes=None), doc="All axes in reverse order.")
