"""Derivatives of functions: products with the Jacobian, whole Jacobians and Hessians.

For y = f(x) with Jacobian J the backward pass computes g -> g^T J without building J. That is linear in g, so
differentiating it once more with respect to g gives v -> J v (`jvp`), and differentiating the gradient of a
scalar gives v -> H v (`hvp`): each for the price of a few evaluations of f, whatever the size of J or H.

Every function here takes one input or a tuple, arrays or Tensors, and leaves them and their `.grad` alone.
With ``create_graph=True`` the results are differentiable, also back to inputs that require a gradient.
"""

import numpy as np

from ..errors import ArgError, GraphError, ShapeError
from .engine import grad
from .modes import enable_grad
from .shape import reshape, stack
from .tensor import Tensor


def vjp(fn, inputs, v=None, *, create_graph=False):
    """``v^T J``: the gradient of ``<v, fn(inputs)>``.

    Parameters
    ----------
    fn : callable
        ``fn(*inputs) -> Tensor``.
    inputs : array or Tensor, or tuple of them
    v : array or Tensor of the shape of the result; may be left out where that is a scalar
    create_graph : bool

    Returns
    -------
    y : Tensor
        ``fn(*inputs)``.
    gradients : Tensor, or tuple of Tensors for a tuple of inputs
        Zeros for an input that y does not depend on.

    >>> y, g = vjp(lambda x: x * x, np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    >>> g
    Tensor([ 2., 40.], dtype=float64)
    """
    with enable_grad():
        leaves = _leaves("vjp", inputs, create_graph)
        y = _call("vjp", fn, leaves)
        return _result(y, create_graph), _like(inputs, _gradients(y, leaves, v, create_graph))


def jvp(fn, inputs, v, *, create_graph=False):
    """``J v``: the derivative of fn along the direction v (one array per input).

    Computed backwards twice: ``u -> u^T J`` is linear, and its transposed derivative applied to v is ``J v``.

    Returns
    -------
    y : Tensor
        ``fn(*inputs)``.
    derivative : Tensor of the shape of y

    >>> jvp(lambda x: x * x, np.array([1.0, 2.0]), np.array([1.0, 10.0]))[1]
    Tensor([ 2., 40.], dtype=float64)
    """
    with enable_grad():
        leaves = _leaves("jvp", inputs, create_graph)
        directions = _directions("jvp", leaves, v)
        y = _call("jvp", fn, leaves)
        u = Tensor(np.zeros(y.shape, y.dtype), requires_grad=True)
        product = _inner(_gradients(y, leaves, u, True), directions)
        return _result(y, create_graph), _gradients(product, [u], None, create_graph)[0]


def hvp(fn, inputs, v, *, create_graph=False):
    """``H v`` for a scalar function: the derivative of its gradient along v. ShapeError unless fn is scalar.

    Returns
    -------
    y : Tensor, ``fn(*inputs)``
    product : Tensor, or tuple of Tensors for a tuple of inputs

    >>> hvp(lambda x: (x * x * x).sum(), np.array([1.0, 2.0]), np.array([1.0, 0.0]))[1]
    Tensor([6., 0.], dtype=float64)
    """
    with enable_grad():
        leaves = _leaves("hvp", inputs, create_graph)
        directions = _directions("hvp", leaves, v)
        y = _scalar("hvp", _call("hvp", fn, leaves))
        slope = _inner(_gradients(y, leaves, None, True), directions)
        return _result(y, create_graph), _like(inputs, _gradients(slope, leaves, None, create_graph))


def jacobian(fn, inputs, *, create_graph=False):
    """All first derivatives: one backward pass per element of the result.

    Returns
    -------
    Tensor of shape ``y.shape + x.shape``, or a tuple of such for a tuple of inputs.

    >>> jacobian(lambda x: x * x, np.array([1.0, 2.0]))
    Tensor([[2., 0.],
            [0., 4.]], dtype=float64)
    """
    with enable_grad():
        leaves = _leaves("jacobian", inputs, create_graph)
        return _like(inputs, _rows(_call("jacobian", fn, leaves), leaves, create_graph))


def hessian(fn, inputs, *, create_graph=False):
    """All second derivatives of a scalar function: the Jacobian of its gradient. ShapeError unless fn is scalar.

    Returns
    -------
    Tensor of shape ``x.shape + x.shape``; for a tuple of inputs a tuple of tuples, block [i][j] holding
    the derivatives by inputs i and j.

    >>> hessian(lambda x: x[0] * x[0] * x[1], np.array([1.0, 2.0]))
    Tensor([[4., 2.],
            [2., 0.]], dtype=float64)
    """
    with enable_grad():
        leaves = _leaves("hessian", inputs, create_graph)
        y = _scalar("hessian", _call("hessian", fn, leaves))
        slopes = _gradients(y, leaves, None, True)
        return _like(inputs, [_like(inputs, _rows(slope, leaves, create_graph)) for slope in slopes])


# Parts ------------------------------------------------------------------------------------------------


def _leaves(name, inputs, create_graph):
    """Tensors to differentiate by. With create_graph they stay connected to the caller's Tensors."""
    leaves = []
    for i, x in enumerate(inputs if isinstance(inputs, tuple) else (inputs,)):
        if create_graph and isinstance(x, Tensor) and x.requires_grad:
            leaf = reshape(x, shape=x.shape)
        else:
            leaf = Tensor(x)
            if leaf.dtype.kind != "f":
                raise ArgError(f"{name}: input {i} has dtype {leaf.dtype}, expected float32 or float64")
            leaf.requires_grad = True
        leaves.append(leaf)
    return leaves


def _call(name, fn, leaves):
    y = fn(*leaves)
    if not isinstance(y, Tensor):
        raise GraphError(f"{name}: fn returned {type(y).__name__}, expected a Tensor")
    return y


def _scalar(name, y):
    if y.size != 1:
        raise ShapeError(f"{name}: fn returned shape {y.shape}, expected a scalar")
    return y


def _directions(name, leaves, v):
    vs = v if isinstance(v, tuple) else (v,)
    if len(vs) != len(leaves):
        raise ArgError(f"{name}: v has {len(vs)} entries, expected {len(leaves)}, one per input")
    vs = [w if isinstance(w, Tensor) else Tensor(w, dtype=x.dtype) for w, x in zip(vs, leaves, strict=True)]
    for i, (w, x) in enumerate(zip(vs, leaves, strict=True)):
        if w.shape != x.shape:
            raise ShapeError(f"{name}: v[{i}] has shape {w.shape}, expected {x.shape}")
    return vs


def _gradients(y, leaves, v, create_graph, retain_graph=None):
    """Like `grad`, with zeros where y does not depend on a leaf."""
    found = [None] * len(leaves)
    if y.requires_grad:
        found = grad(y, leaves, v, create_graph=create_graph, retain_graph=retain_graph, allow_unused=True)
    return [Tensor(np.zeros(x.shape, x.dtype)) if g is None else g for g, x in zip(found, leaves, strict=True)]


def _inner(slopes, directions):
    """Sum of the inner products of two lists of Tensors."""
    total = 0.0
    for g, v in zip(slopes, directions, strict=True):
        total = total + (g * v).sum()
    return total


def _rows(y, leaves, create_graph):
    """For each leaf the derivatives of every element of y, (*y.shape, *x.shape)."""
    rows = []
    for i in np.ndindex(y.shape):
        unit = np.zeros(y.shape, y.dtype)
        unit[i] = 1
        rows.append(_gradients(y, leaves, unit, create_graph, retain_graph=True))
    if not rows:
        return [Tensor(np.zeros(y.shape + x.shape, x.dtype)) for x in leaves]
    return [reshape(stack(*column), shape=y.shape + x.shape)
            for column, x in zip(zip(*rows, strict=True), leaves, strict=True)]


def _result(y, create_graph):
    return y if create_graph else y.detach()


def _like(inputs, results):
    """A tuple for a tuple of inputs, else the only result."""
    return tuple(results) if isinstance(inputs, tuple) else results[0]
