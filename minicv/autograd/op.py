"""Operations: a NumPy function and its derivative rule, side by side.

    @op
    def tanh(x):
        return np.tanh(x)

    tanh.vjp(lambda g, y, x: g * (1 - y * y), saves=("y",))

Positional arguments are arrays (or None), keyword arguments are settings and never differentiated. A rule
maps the gradient `g` of the result to the gradient of one argument: the vector-Jacobian product
:math:`g^T \\partial y / \\partial x`. Called on plain arrays an op is a plain function.

The same rule serves every order: it runs on arrays when only numbers are asked for, and on Tensors, where
its own operations are recorded, under ``create_graph=True``. A rule may therefore read integers and masks
out of arrays (`array(x) > 0`), but a *float* computed from the values must be computed with operations, or
the second derivative would silently miss that path.
"""

import functools
import inspect
import itertools
import traceback
from typing import NamedTuple

import numpy as np

from ..errors import ArgError, DivergenceError, DTypeError, GraphError
from .modes import state
from .tensor import Tensor, array, as_array

_creation = itertools.count()
_WEAK = (float, int, bool, type(None))      # Python scalars take part without raising the precision
_NOTHING = (None,) * 32


class Meta(NamedTuple):
    """What remains of an argument whose values were not kept: its shape and dtype."""

    shape: tuple
    dtype: np.dtype

    @property
    def ndim(self):
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self):
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


class Node:
    """One recorded operation. It hangs on its result and never points back to it: no reference cycles.

    order   : number of creation; parents always have smaller ones
    parents : for each argument the Node that made it, the leaf Tensor itself, or None (no gradient)
    saved   : for each argument what the rule will see: Tensor, Meta, Python scalar or None
    y       : the result's array, where the rule reads it
    """

    __slots__ = ("order", "op", "parents", "saved", "versions", "settings", "aux", "y", "shape", "dtype",
                 "result_version", "trace", "value", "retain", "__weakref__")

    def __init__(self, op, parents, saved, settings, y, aux):
        self.order = next(_creation)
        self.op, self.parents, self.saved, self.settings, self.aux = op, parents, saved, settings, aux
        self.versions = _versions(saved)
        self.y = y if op.keeps_y else None
        self.shape, self.dtype = y.shape, y.dtype
        self.result_version, self.trace, self.value, self.retain = 0, None, None, None

    @property
    def freed(self):
        """True after a backward pass that did not retain the graph."""
        return self.saved is None

    def free(self):
        """Drop all values, so that activations die as soon as they are used.

        The edges stay: a later `grad` must see that a path leads through here, or it would leave it out.
        """
        self.saved = self.y = self.aux = self.value = None

    def check_versions(self):
        """GraphError if a kept value was overwritten since the forward pass."""
        now = _versions(self.saved)
        if now != self.versions:
            raise GraphError(f"backward: an input of {self.op.name} was written in place: its version is "
                             f"{now}, expected {self.versions}; compute a new tensor instead")
        if self.op.keeps_y and self.result_version:
            raise GraphError(f"backward: the result of {self.op.name} was written in place: its version is "
                             f"{self.result_version}, expected 0; compute a new tensor instead")

    def pull(self, g, needs, graph):
        """Gradients of the arguments for the gradient `g` of the result, None where not needed.

        With `graph` the rules run on Tensors and are recorded; else on arrays.
        """
        self.check_versions()
        op, settings, y = self.op, self.settings, self.y
        if y is None:
            y = None if op.blind else Meta(self.shape, self.dtype)
        elif graph:
            y = self._result_tensor()
        inputs = self.saved if graph or op.blind else [
            x._array if isinstance(x, Tensor) else x for x in self.saved]
        if op.aux:
            settings = {**settings, "aux": tuple([
                None if graph and a is not None and a.dtype.kind == "f" else a for a in self.aux])}
        if op.rule_for_all:
            grads = op.rule_for_all(g, y, inputs, needs, **settings)
            if len(grads) != len(needs):
                raise GraphError(f"{op.name}: the rule returned {len(grads)} gradients, expected {len(needs)}")
            return grads
        return [rule(g, y, *inputs, **settings) if need else None
                for rule, need in zip(op.rules, needs, strict=False)]

    def _result_tensor(self):
        y = Tensor.wrap(self.y)
        y._requires_grad, y.node = True, self
        return y


def _versions(saved):
    """Sum of the versions of the kept tensors; it grows with every write."""
    total = 0
    for x in saved:
        if isinstance(x, Tensor):
            total += x.version
    return total


class Op:
    """A NumPy function that knows its derivative; see the module's docstring.

    Parameters
    ----------
    forward : callable
        ``forward(*arrays, **settings) -> array``, or ``-> (array, aux)`` with `aux`.
    broadcast : bool
        Gradients are summed back over axes that the arguments were broadcast along.
    aux : bool
        `forward` also returns a tuple of arrays for the rules, which get it as keyword `aux`. Float arrays
        in it are None when the rule is recorded: it must then recompute them from the inputs.
    """

    registry = {}

    def __init__(self, forward, broadcast=False, aux=False):
        functools.update_wrapper(self, forward)
        self.forward, self.broadcast, self.aux = forward, broadcast, aux
        self.name = forward.__name__
        self.rules, self.rule_for_all = (), None
        self.differentiable, self.has_fixed = False, False    # has rules; some arguments have none
        self.kept, self.keeps_y, self.blind = None, False, False
        Op.registry[f"{forward.__module__}.{forward.__qualname__}"] = self

    # Rules --------------------------------------------------------------------------------------

    def vjp(self, *rules, saves=None):
        """One rule per positional argument: ``rule(g, y, *inputs, **settings) -> gradient``.

        None marks an argument without derivative (indices, masks). `saves` names what the rules read:
        arguments and/or "y". Default: all arguments. Anything else reaches the rules as a `Meta`.
        """
        names = self._argument_names()
        if len(rules) != len(names):
            raise GraphError(f"{self.name}.vjp: {len(rules)} rules, expected {len(names)}: {', '.join(names)}")
        self.rules, self.differentiable, self.has_fixed = rules, True, None in rules
        self._set_saves(saves, names)
        return self

    def vjp_all(self, rule, saves=None):
        """One rule for all arguments: ``rule(g, y, inputs, needs, **settings) -> list of gradients``."""
        self.rule_for_all, self.differentiable = rule, True
        self._set_saves(saves, self._argument_names())
        return self

    def _argument_names(self):
        parameters = inspect.signature(self.forward).parameters.values()
        return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]

    def _set_saves(self, saves, names):
        if saves is None:
            return
        if wrong := set(saves) - {*names, "y", "all"}:
            raise ArgError(f"{self.name}.vjp: saves names {sorted(wrong)}, expected among {[*names, 'y']}")
        self.keeps_y = "y" in saves
        self.kept = None if "all" in saves else tuple(name in saves for name in names)
        # Broadcasting is undone by the engine, so such rules do not even need shapes.
        self.blind = self.broadcast and self.kept is not None and not any(self.kept)

    def keep(self, inputs):
        """What a node keeps of the inputs for its rules, where `saves` was given."""
        if self.blind:
            return _NOTHING[:len(inputs)]
        kept = self.kept + (False,) * (len(inputs) - len(self.kept))
        return [x if keep or type(x) in _WEAK else Meta(x.shape, x.dtype)
                for x, keep in zip(inputs, kept, strict=False)]

    # Calling ------------------------------------------------------------------------------------

    def __call__(self, *inputs, **settings):
        for x in inputs:
            if isinstance(x, Tensor):
                return self._on_tensors(inputs, settings)[0]
            if type(x) is np.ndarray and x.dtype.kind not in "fiub":
                raise DTypeError(f"{self.name}: an input has dtype {x.dtype}, expected a real number type")
        y = self.forward(*inputs, **settings)             # plain arrays in, plain array out
        return y[0] if self.aux else y

    def with_aux(self, *inputs, **settings):
        """``(y, aux)`` of an op that has aux results: a Tensor or array, and a tuple of arrays."""
        if any(isinstance(x, Tensor) for x in inputs):
            return self._on_tensors(inputs, settings)
        return self.forward(*inputs, **settings)

    def _on_tensors(self, inputs, settings):
        arrays, parents, tracked, foreign = [], [], False, False
        for x in inputs:
            if isinstance(x, Tensor):
                arrays.append(x._array)
                if x._requires_grad:
                    tracked = True
                    parents.append(x.node or x)
                else:
                    parents.append(None)
            else:
                if type(x) not in _WEAK:
                    x, foreign = _weak_if_scalar(x), True
                arrays.append(x)
                parents.append(None)
        y, aux = self.forward(*arrays, **settings), None
        if self.aux:
            y, aux = y
        out = Tensor.wrap(y if type(y) is np.ndarray else np.asarray(y))
        if tracked and self.differentiable and state.recording:
            if foreign:              # its owner could overwrite a plain array before the backward pass: copy
                inputs = [x if isinstance(x, Tensor) else Tensor(a) if isinstance(a, np.ndarray) else a
                          for x, a in zip(inputs, arrays, strict=True)]
            self._record(out, inputs, parents, settings, aux)
        if state.anomaly:
            self._check_finite(out, arrays)
        if state.observer is not None:
            state.observer(self, inputs, settings, out)
        return out, aux

    def _record(self, out, inputs, parents, settings, aux):
        if self.has_fixed:
            parents = [p if rule else None for p, rule in zip(parents, self.rules, strict=False)]
            if all(p is None for p in parents):
                return
        saved = inputs if self.kept is None else self.keep(inputs)
        out.node = node = Node(self, parents, saved, settings, out._array, aux)
        out._requires_grad = True
        if state.anomaly:
            node.trace = "".join(traceback.format_stack(limit=12)[:-3])
        if state.keep_values:
            node.value = out._array

    def _check_finite(self, out, arrays):
        finite_in = all(np.isfinite(a).all() for a in arrays if isinstance(a, np.ndarray))
        if finite_in and not np.isfinite(out._array).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(out._array))[0])
            raise DivergenceError(f"detect_anomaly: {self.name} made {out._array[at]} at index {at} "
                                  f"of shape {out.shape} from finite inputs")

    # An op is a named function: it pickles by name and copies as itself -----------------------------

    def __reduce__(self):
        return _find_op, (f"{self.__module__}.{self.__qualname__}",)

    def __deepcopy__(self, memo):
        return self

    def __repr__(self):
        return f"<op {self.__module__}.{self.__qualname__}>"


def _find_op(name):
    return Op.registry[name]


def _weak_if_scalar(x):
    """NumPy scalars and 0-d arrays act like Python scalars; everything else becomes an array."""
    x = as_array(x)
    return x.item() if x.ndim == 0 else x


def op(forward=None, *, broadcast=False, aux=False):
    """Decorator that turns a NumPy function into an `Op`.

    >>> @op
    ... def cube(x):
    ...     return x ** 3
    >>> _ = cube.vjp(lambda g, y, x: g * 3 * x * x)
    """
    if forward is None:
        return lambda f: Op(f, broadcast=broadcast, aux=aux)
    return Op(forward)


def shape_of(x):
    """Shape of a Tensor, an array or a Python number."""
    return x.shape if hasattr(x, "shape") else np.shape(x)


__all__ = ["Meta", "Node", "Op", "array", "op", "shape_of"]
