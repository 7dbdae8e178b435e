"""The backward walk: reverse-mode differentiation of a recorded graph.

For a scalar y the gradient of every intermediate value v is :math:`\\bar v = \\partial y/\\partial v`.
Starting from :math:`\\bar y = 1`, each node turns the gradient of its result into those of its arguments
and adds them up. A node may be used by several others, so its gradient is complete only when all of them
have been processed: nodes are taken in topological order. The order is found with an explicit stack, not
by recursion, because a graph may be a million operations deep.
"""

import operator
import sys
import warnings

import numpy as np

from ..errors import DivergenceError, DTypeError, GraphError, ShapeError
from ..kernels.buffers import owns_memory
from ..kernels.layout import room
from .modes import enable_grad, state
from .op import Node, op
from .tensor import SLOT_AND_NAME, Tensor, writes

IN_PLACE = 2**14        # elements; smaller sums are faster in new memory
_creation = operator.attrgetter("order")


@op
def cast(x, *, dtype):
    """`x` with another float type; the gradient is cast back."""
    return x.astype(dtype, copy=False)


cast.vjp(lambda g, y, x, dtype: cast(g, dtype=x.dtype), saves=())


@op
def sum_to(x, *, shape):
    """Sum `x` over the axes along which `shape` was broadcast to its shape: the adjoint of broadcasting."""
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1)
    return x.sum(axis=axes, keepdims=True).reshape(shape) if axes else x


@op
def expand(x, *, shape):
    """Repeat `x` along axes of size 1 and new leading axes: ``np.broadcast_to``. Adjoint of `sum_to`."""
    try:
        return np.broadcast_to(x, shape)
    except ValueError:
        raise ShapeError(f"expand: x has shape {x.shape}, expected one that broadcasts to {shape}") from None


sum_to.vjp(lambda g, y, x, shape: expand(g, shape=x.shape), saves=())
expand.vjp(lambda g, y, x, shape: sum_to(g, shape=x.shape), saves=())


def topological(root):
    """Nodes reachable from `root`, each one before its parents.

    A node is created after its parents, so the order of creation, backwards, is a topological order.
    """
    seen, order = {root}, [root]
    for node in order:                                 # which grows meanwhile
        for parent in node.parents:
            if type(parent) is Node and parent not in seen:
                seen.add(parent)
                order.append(parent)
    order.sort(key=_creation, reverse=True)
    return order


def grad(output, inputs, gradient=None, *, retain_graph=None, create_graph=False, allow_unused=False):
    """Gradients of `output` with respect to `inputs`, leaving every `.grad` alone.

    Parameters
    ----------
    output : Tensor
        A scalar, unless `gradient` is given.
    inputs : sequence of Tensor
        Leaves or intermediate results.
    gradient : array_like, optional
        Cotangent of `output`, same shape: the result is the vector-Jacobian product.
    retain_graph : bool, default `create_graph`
        Keep the graph for another pass.
    create_graph : bool
        Record the gradient's own computation, so that it can be differentiated again.
    allow_unused : bool
        Give None for inputs that `output` does not depend on, instead of an error.

    Returns
    -------
    tuple of Tensor, one per input.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> (g,) = grad(x * x * x, [x], create_graph=True)
    >>> grad(g, [x])[0].item()
    18.0
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x._requires_grad:
            raise GraphError(f"grad: inputs[{i}] does not require a gradient")
    targets = [x.node or x for x in inputs]
    found = _walk("grad", output, gradient, retain_graph, create_graph, set(targets))
    out = []
    for i, target in enumerate(targets):
        g = found.get(target)
        if g is None and not allow_unused:
            raise GraphError(f"grad: output does not depend on inputs[{i}]; pass allow_unused=True to get None")
        out.append(g if g is None or isinstance(g, Tensor) else Tensor.wrap(_own(g)))
    return tuple(out)


def backward(output, gradient=None, *, retain_graph=None, create_graph=False):
    """Add the gradient of `output` to the `.grad` of every leaf it depends on.

    A second call adds to what is there (PyTorch's convention); nothing is added when an error occurs.
    """
    if create_graph:
        warnings.warn("backward(create_graph=True) stores a graph in .grad that refers to its own leaf; "
                      "prefer minicv.autograd.grad, or set .grad to None when done", stacklevel=3)
    for leaf, g in _walk("backward", output, gradient, retain_graph, create_graph).items():
        g = g if isinstance(g, Tensor) else Tensor.wrap(_own(g))
        if leaf._grad is None:
            leaf._grad = g
        elif create_graph:
            leaf._grad = leaf._grad + g
        else:
            leaf._grad = Tensor.wrap(leaf._grad._array + g._array)


def _walk(name, output, gradient, retain_graph, create_graph, targets=None):
    """{leaf: gradient}, or with `targets` (leaves and nodes) {target: gradient}, following only paths to one."""
    g = _seed(name, output, gradient)
    retain_graph = create_graph if retain_graph is None else retain_graph
    if output.node is None:                            # grad(x, [x]) of a leaf
        return {output: g}
    order = topological(output.node)
    useful = _useful(order, targets) if targets is not None else None
    for node in order:
        if node.saved is None and (useful is None or node in useful):
            raise GraphError(f"{name}: the graph was already used and freed; pass retain_graph=True to the first call. "
                             "A common cause is a result kept from an earlier step of a loop")
    if create_graph:
        with enable_grad():
            return _pull_all(order, {output.node: g}, retain_graph, True, targets, useful)
    return _pull_all(order, {output.node: g._array}, retain_graph, False, targets, useful)


def _pull_all(order, grads, retain_graph, graph, targets, useful):
    """Pass `grads` down from node to node until only leaves, or the targets, are left."""
    trusted = None if state.anomaly else Tensor if graph else np.ndarray      # gradients of this type only need a look
    for node in order:
        if node not in grads:
            continue
        if targets is None and node.retain is not None and (tensor := node.retain()) is not None:
            tensor._grad = grads[node] if graph else Tensor.wrap(_own(grads[node]))
        wanted = node.parents
        if useful is not None and not useful.issuperset(wanted):
            wanted = [p if p in useful else None for p in wanted]
            if all(p is None for p in wanted):
                continue
        _pull(node, grads[node] if targets and node in targets else grads.pop(node), wanted, grads, graph, trusted)
        if not retain_graph:
            node.free()
    return grads


def _pull(node, g, wanted, grads, graph, trusted):
    """Add the gradients of the arguments of `node` to `grads`, where the entry of `wanted` is not None."""
    if node.written is not writes.latest:
        node.check_versions()
    op, settings = node.op, node.settings
    if op.aux:
        settings = node.with_aux(graph)
    known = (g, node.result(graph) if op.keeps_y else node, *(node.saved if graph else node.arrays))
    pulled = _pull_together(op, known, wanted, settings) if op.rule_for_all else None
    rules, k = op.rules, -1
    for parent in wanted:
        k += 1
        if parent is None:
            continue
        if pulled is not None:
            gx = pulled[k]
        else:
            gx = rules[k](*known, **settings) if settings else rules[k](*known)
        earlier = grads.get(parent)
        like = parent if earlier is None or type(parent) is Node else earlier
        if type(gx) is not trusted or gx.shape != like.shape or gx.dtype is not like.dtype:
            gx = _fit(gx, parent, node, k, graph)
        if earlier is None:
            grads[parent] = gx
        elif graph or gx.size < IN_PLACE:
            grads[parent] = earlier + gx
        else:
            del earlier, like
            grads[parent] = _sum(grads.pop(parent), gx)


def _pull_together(op, known, wanted, settings):
    """The gradients of all arguments from one rule."""
    g, y, *inputs = known
    pulled = op.rule_for_all(g, y, inputs, [p is not None for p in wanted], **settings)
    if len(pulled) != len(wanted):
        raise GraphError(f"{op.name}: the rule returned {len(pulled)} gradients, expected {len(wanted)}")
    return pulled


def _fit(gx, parent, node, k, graph):
    """Check one rule's answer; undo broadcasting and promotion."""
    if not isinstance(gx, Tensor if graph else (np.ndarray, np.generic)):
        raise GraphError(f"{node.op.name}: the rule for argument {k} returned {type(gx).__name__}, expected a gradient")
    if gx.shape != parent.shape:
        if not node.op.broadcast:
            raise GraphError(f"{node.op.name}: the rule for argument {k} returned shape {gx.shape}, "
                             f"expected {parent.shape}")
        gx = sum_to(gx, shape=parent.shape)
    if gx.dtype != parent.dtype:
        gx = cast(gx, dtype=parent.dtype)
    if state.anomaly:
        values = gx._array if graph else gx
        if not np.isfinite(values).all():
            raise DivergenceError(f"detect_anomaly: the gradient of argument {k} of {node.op.name} is not finite; "
                                  f"the op was called at:\n{node.trace}")
    return gx


def _useful(order, targets):
    """The targets, and the nodes from which one can be reached; and None, the parent that wants nothing."""
    useful = set(targets)
    for node in reversed(order):
        if not useful.isdisjoint(node.parents):
            useful.add(node)
    useful.add(None)
    return useful


def _seed(name, output, gradient):
    """The cotangent of the output as a Tensor of its shape and dtype."""
    if not isinstance(output, Tensor) or not output._requires_grad:
        raise GraphError(f"{name}: output does not require a gradient; was it computed under no_grad or detached?")
    if name == "backward" and output.node is None:
        raise GraphError("backward: output is a leaf; there is nothing to differentiate")
    if gradient is None:
        if output.size != 1:
            raise GraphError(f"{name}: output has shape {output.shape}; without a gradient argument "
                             "it works only for scalar outputs")
        return Tensor.wrap(np.ones(output.shape, output.dtype))
    values = gradient if isinstance(gradient, Tensor) else np.asarray(gradient)
    if values.dtype.kind not in "fiu":
        raise DTypeError(f"{name}: gradient has dtype {values.dtype}, expected numbers")
    if values.shape != output.shape:
        raise ShapeError(f"{name}: gradient has shape {values.shape}, expected {output.shape}")
    if isinstance(values, Tensor):
        return values if values.dtype == output.dtype else cast(values, dtype=output.dtype)
    return Tensor(values, dtype=output.dtype)


def _own(g):
    """`g` as an array with memory of its own (gradients may be views of each other)."""
    g = np.asarray(g)
    return g if _private(g) else g.copy(order="K")


def _sum(earlier, gx):
    """earlier + gx, in the memory of `earlier` where nobody else can see it."""
    if sys.getrefcount(earlier) <= _ALONE and earlier.flags.writeable and _private(earlier):
        return np.add(earlier, gx, out=earlier)
    return np.add(earlier, gx, out=room(earlier, gx))


def _private(a):
    """True when `a` is no view, or the only one, of another array: who sees its memory has a name for `a`."""
    base = a.base
    return owns_memory(a) or (type(base) is np.ndarray and owns_memory(base) and base.size == a.size
                              and sys.getrefcount(base) <= SLOT_AND_NAME)


_ALONE = (lambda earlier: sys.getrefcount(earlier))(np.empty(1))      # the count when an argument is the only name
