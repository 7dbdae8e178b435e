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
import math
import traceback

import numpy as np

from ..errors import ArgError, DivergenceError, DTypeError, GraphError, MinicvError, ShapeError
from .modes import state
from .tensor import Tensor, array, as_array, writes

_new = object.__new__
_WEAK = (float, int, bool, type(None))      # Python scalars take part without raising the precision
creation = itertools.count()
NOTHING = (None,) * 2                       # what a node keeps of two arguments that its rules do not read


class Meta:
    """What remains of an argument whose values were not kept: its shape and dtype."""

    __slots__ = ("shape", "dtype")

    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, dtype

    @property
    def ndim(self):
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self):
        """Number of elements."""
        return math.prod(self.shape)


class _Rare:
    """What few nodes have; the others share these defaults."""

    __slots__ = ()
    result_version = 0      # how often the result was written
    trace = None            # where the op was called, under `detect_anomaly`
    value = None            # the result, under `keep_values`
    retain = None           # weak reference to the result that wants its gradient, see `retain_grad`


class Node(Meta, _Rare):
    """One recorded operation, made by `Op._record`; as a `Meta` it describes its result.

    It hangs on its result and never points back to it: no reference cycles.

    order    : number of creation; parents always have smaller ones
    parents  : for each argument the Node that made it, the leaf Tensor itself, or None (no gradient)
    saved    : for each argument what a recorded rule will see: Tensor, Meta, Python scalar or None
    arrays   : the same for a rule that is not recorded, with arrays instead of Tensors
    versions : sum of the versions of the Tensors in `saved`
    written  : the latest write to any Tensor before this
    y        : the result's array, where the rule reads it
    """

    __slots__ = ("order", "op", "parents", "saved", "arrays", "versions", "written", "settings",
                 "aux", "y", "__dict__", "__weakref__")

    @property
    def freed(self):
        """True after a backward pass that did not retain the graph."""
        return self.saved is None

    def free(self):
        """Drop all values, so that activations die as soon as they are used.

        The edges stay: a later `grad` must see that a path leads through here, or it would leave it out.
        """
        self.saved = self.arrays = self.settings = self.y = self.aux = None
        if self.value is not None:
            self.value = None

    def check_versions(self):
        """GraphError if a kept value was overwritten since the forward pass."""
        now = _versions(self.saved)
        if now != self.versions:
            raise GraphError(f"backward: an input of {self.op.name} was written in place: its version is "
                             f"{now}, expected {self.versions}; compute a new tensor instead")
        if self.op.keeps_y and self.result_version:
            raise GraphError(f"backward: the result of {self.op.name} was written in place: its version is "
                             f"{self.result_version}, expected 0; compute a new tensor instead")

    def result(self, graph):
        """The result as the rules see it: an array, or for rules that are recorded the Tensor."""
        if not graph:
            return self.y
        y = Tensor.wrap(self.y)
        y._requires_grad, y.node = True, self
        return y

    def with_aux(self, graph):
        """The settings, and `aux`, without its float arrays for rules that are recorded."""
        aux = [None if graph and a is not None and a.dtype.kind == "f" else a for a in self.aux]
        return {**self.settings, "aux": tuple(aux)}


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

    def keep(self, inputs, arrays):
        """What a node keeps of the inputs for its rules: (as Tensors, as arrays)."""
        if self.blind:
            nothing = (None,) * len(inputs)
            return nothing, nothing
        saved = []
        for x, a, kept in zip(inputs, arrays, self.kept or itertools.repeat(True)):
            if type(a) in _WEAK:
                saved.append(a)
            elif not kept:
                saved.append(Meta(a.shape, a.dtype))
            else:                    # the owner of a plain array could overwrite it before the backward pass: copy
                saved.append(x if isinstance(x, Tensor) else Tensor(a))
        return saved, [x._array if isinstance(x, Tensor) else x for x in saved]

    # Calling ------------------------------------------------------------------------------------

    def __call__(self, *inputs, **settings):
        for x in inputs:
            if isinstance(x, Tensor):
                return self.apply(inputs, settings)
            if type(x) is np.ndarray and x.dtype.kind not in "fiub":
                raise DTypeError(f"{self.name}: an input has dtype {x.dtype}, expected a real number type")
        y = self._on_arrays(inputs, settings)             # plain arrays in, plain array out
        return y[0] if self.aux else y

    def with_aux(self, *inputs, **settings):
        """``(y, aux)`` of an op that has aux results: a Tensor or array, and a tuple of arrays."""
        if any(isinstance(x, Tensor) for x in inputs):
            return self.apply(inputs, settings, with_aux=True)
        return self._on_arrays(inputs, settings)

    def _on_arrays(self, arrays, settings):
        try:
            return self.forward(*arrays, **settings)
        except ValueError as error:
            raise self._explained(error, arrays) from None

    def apply(self, inputs, settings, with_aux=False):
        """The op on a tuple of arguments of which one at least is a Tensor. Every small op passes here."""
        arrays, parents, tracked, plain = [], [], False, False
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
                    x, plain = _weak_if_scalar(x), True
                arrays.append(x)
                parents.append(None)
        try:
            y, aux = self.forward(*arrays, **settings), None
        except ValueError as error:
            raise self._explained(error, arrays) from None
        if self.aux:
            y, aux = y
        out = Tensor.wrap(y if type(y) is np.ndarray else np.asarray(y))
        if tracked and self.differentiable and state.recording:
            saved, arrays = (inputs, arrays) if self.kept is None and not plain else self.keep(inputs, arrays)
            self._record(out, parents, saved, arrays, settings, aux)
        if state.watched:
            self._watch(inputs, settings, out)
        return (out, aux) if with_aux else out

    def _explained(self, error, arrays):
        """A ShapeError in place of what NumPy says about arguments that do not broadcast."""
        if isinstance(error, MinicvError) or not self.broadcast or _fit_together(arrays):
            return error
        shapes = " and ".join(str(np.shape(a)) for a in arrays)
        return ShapeError(f"{self.name}: the arguments have shapes {shapes}, expected shapes that broadcast")

    def _record(self, out, parents, saved, arrays, settings, aux):
        """Give the result its node. The attributes are set here: an `__init__` would cost as much as the rest."""
        if self.has_fixed:
            parents = [p if rule else None for p, rule in zip(parents, self.rules, strict=False)]
            if all(p is None for p in parents):
                return
        node = _new(Node)
        out._requires_grad, out.node = True, node
        node.order, node.op, node.parents, node.saved, node.arrays = next(creation), self, parents, saved, arrays
        node.versions, node.written, node.settings, node.aux = _versions(saved), writes.latest, settings, aux
        y = out._array
        node.shape, node.dtype, node.y = y.shape, y.dtype, y if self.keeps_y else None

    def _watch(self, inputs, settings, out):
        """Do what the modes of this thread ask for after each op."""
        if out.node is not None and state.anomaly:
            out.node.trace = "".join(traceback.format_stack(limit=12)[:-3])
        if out.node is not None and state.keep_values:
            out.node.value = out._array
        if state.anomaly:
            self._check_finite(inputs, out)
        if state.observer is not None:
            state.observer(self, inputs, settings, out)

    def _check_finite(self, inputs, out):
        finite_in = all(np.isfinite(array(x)).all() for x in inputs if x is not None)
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


def _fit_together(arrays):
    try:
        np.broadcast_shapes(*map(np.shape, arrays))
        return True
    except ValueError:
        return False


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
