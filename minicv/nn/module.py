"""Modules: Python objects that own parameters and compute something with them.

Nothing is registered and there is no ``super().__init__()`` to forget. A module finds its parameters by
looking at its own attributes, in the order in which they were assigned, through sub-modules, lists, tuples
and dicts. Names come from the same walk: ``self.layers = [Linear(2, 3)]`` gives ``layers.0.weight``.

NB: PyTorch needs `ModuleList`, `ModuleDict` and `register_buffer` because it intercepts assignment; here a
list is a list, and ``self.running_mean = Buffer(array)`` is a buffer.
"""

import contextlib
import html
import warnings
from typing import NamedTuple

import numpy as np

from ..autograd.modes import no_grad
from ..autograd.tensor import Tensor
from ..errors import ArgError, CheckpointError, DTypeError, GraphError
from ..kernels.panels import own

_OPTIONAL = "num_batches_tracked"        # older files and frozen batch norms do not have it


class Parameter(Tensor):
    """A tensor that training changes; requires a gradient. Memory order of `data` is kept."""

    __slots__ = ()

    def __init__(self, data, requires_grad=True, dtype=None):
        super().__init__(data, requires_grad=requires_grad, dtype=dtype)
        own(self._array)


class Buffer(Tensor):
    """A tensor that belongs to the state of a module without being trained, e.g. a running mean."""

    __slots__ = ()

    def __init__(self, data, dtype=None):
        super().__init__(data, requires_grad=False, dtype=dtype)


class Loaded(NamedTuple):
    """Names that `load_state_dict` did not find in the file, and names it did not use."""

    missing: list
    unexpected: list


class Handle:
    """What registering a hook returns: ``handle.remove()``, or ``with handle:`` for a block."""

    def __init__(self, function):
        self.function = function

    def remove(self):
        """Never call the hook again; removing twice is allowed."""
        self.function = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


class Module:
    """Base of layers and models: write `__init__` and `forward`, call the object.

    >>> import numpy as np
    >>> class Scale(Module):
    ...     def __init__(self, n):
    ...         self.weight = Parameter(np.ones(n, np.float32))
    ...     def forward(self, x):
    ...         return x * self.weight
    >>> [name for name, _ in Scale(3).named_parameters()]
    ['weight']
    """

    training = True
    _before = _after = ()                # handles of hooks

    def forward(self, *inputs):
        """Compute the result; every module defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *inputs, **settings):
        for handle in self._before:
            if handle.function and (changed := handle.function(self, inputs)) is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        y = self.forward(*inputs, **settings)
        for handle in self._after:
            if handle.function and (changed := handle.function(self, inputs, y)) is not None:
                y = changed
        return y

    # Finding what it is made of ----------------------------------------------------------------------

    def named_parameters(self):
        """(name, Parameter) in order of assignment; a shared one once, under its first name."""
        return _once(_leaves(self, Parameter))

    def parameters(self):
        """Every Parameter once."""
        return [p for _, p in self.named_parameters()]

    def named_buffers(self):
        """(name, Buffer) in order of assignment, each one once."""
        return _once(_leaves(self, Buffer))

    def buffers(self):
        """Every Buffer once."""
        return [b for _, b in self.named_buffers()]

    def named_modules(self):
        """(name, Module) with this one first, named "", each one once."""
        return _once(_leaves(self, Module))

    def modules(self):
        """This module and all below, each one once."""
        return [m for _, m in self.named_modules()]

    def named_children(self):
        """(name, Module) of the modules held directly or in a list, tuple or dict of this one."""
        return _once((name, x) for key, value in vars(self).items()
                     for name, x in _tree(key, value, (self,), deep=False) if isinstance(x, Module))

    def children(self):
        """The modules held directly, each one once."""
        return [m for _, m in self.named_children()]

    def apply(self, function):
        """Call ``function(module)`` on every module below and then on this one; returns self."""
        for module in reversed(self.modules()):
            function(module)
        return self

    # Switches ---------------------------------------------------------------------------------------

    def train(self, mode=True):
        """Training behaviour for this module and all below; returns self."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self):
        """Evaluation behaviour: dropout off, running statistics used and not updated; returns self."""
        return self.train(False)

    @contextlib.contextmanager
    def evaluating(self):
        """``with model.evaluating():`` evaluation behaviour inside, each module's own flag restored after."""
        flags = [(m, m.training) for m in self.modules()]
        self.eval()
        try:
            yield self
        finally:
            for module, flag in flags:
                module.training = flag

    def zero_grad(self):
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def freeze(self):
        """Parameters stop requiring gradients; returns self. Batch statistics still follow `training`."""
        return self._require(False)

    def unfreeze(self):
        """Parameters require gradients again; returns self."""
        return self._require(True)

    def _require(self, value):
        for p in self.parameters():
            p.requires_grad = value
        return self

    def astype(self, dtype):
        """Convert all floating parameters and buffers in place, e.g. to float64 for a gradient check."""
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise DTypeError(f"Module.astype: dtype is {np.dtype(dtype)}, expected float32 or float64")
        for _, t in _once(_leaves(self, (Parameter, Buffer))):
            if t.dtype.kind == "f" and t.dtype != dtype:
                t.replace(t.data.astype(dtype))
        return self

    # Hooks ------------------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook):
        """Call ``hook(module, inputs)`` before each forward; what it returns, if not None, is the new input."""
        handle = Handle(_callable("register_forward_pre_hook", hook))
        self._before = (*(h for h in self._before if h.function), handle)
        return handle

    def register_forward_hook(self, hook):
        """Call ``hook(module, inputs, output)`` after each forward; a result other than None replaces output."""
        handle = Handle(_callable("register_forward_hook", hook))
        self._after = (*(h for h in self._after if h.function), handle)
        return handle

    # State ------------------------------------------------------------------------------------------

    def state_dict(self):
        """{name: read-only array} of all parameters and buffers, shared ones under each of their names.

        It is a snapshot: training writes to fresh memory while somebody holds the arrays.
        NB: PyTorch's refers to the live tensors.
        """
        state = {}
        for name, t in _leaves(self, (Parameter, Buffer)):
            if name in state:
                raise ArgError(f"state_dict: two tensors are called {name!r}; a dict key holds a dot")
            state[name] = t.data
        return state

    def load_state_dict(self, state, strict=True):
        """Copy the values of `state` into the parameters and buffers, all or nothing.

        Parameters
        ----------
        state : mapping of names to arrays or Tensors
            Shapes and dtypes must be equal; nothing is broadcast. `num_batches_tracked` may be missing,
            and of a shared tensor one name is enough. NaN values are loaded with a warning.
        strict : bool, default True
            Refuse missing and unexpected names; otherwise they are only returned.

        Returns
        -------
        Loaded
            The missing and unexpected names.

        Raises
        ------
        CheckpointError
            Lists every difference; the module is unchanged.
        """
        own = {}
        for name, t in _leaves(self, (Parameter, Buffer)):
            own.setdefault(id(t), (t, []))[1].append(name)
        known = {name for _, names in own.values() for name in names}
        missing = [names[0] for _, names in own.values()
                   if not any(n in state for n in names) and names[0].rpartition(".")[2] != _OPTIONAL]
        unexpected = [name for name in state if name not in known]
        found = [(t, [(n, _values(state[n])) for n in names if n in state]) for t, names in own.values()]
        _refuse_differences(type(self).__name__, missing * strict, unexpected * strict, found)
        with no_grad():
            for t, named in found:
                for _, values in named[:1]:
                    t.copy_(values)
        return Loaded(missing, unexpected)

    def random_state(self):
        """{name: state} of every random Generator in the module (dropout), to be stored with a checkpoint."""
        return {name: g.bit_generator.state for name, g in _once(_leaves(self, np.random.Generator))}

    def load_random_state(self, states):
        """Continue the random streams saved by `random_state`; CheckpointError unless the names agree."""
        generators = dict(_once(_leaves(self, np.random.Generator)))
        if differing := sorted(set(states) ^ set(generators)):
            raise CheckpointError(f"load_random_state: generators {differing} are in the file or in the "
                                  f"{type(self).__name__} but not in both")
        for name, generator in generators.items():
            generator.bit_generator.state = states[name]

    # Showing ----------------------------------------------------------------------------------------

    def extra_repr(self):
        """Settings to show between the brackets of the representation."""
        return ""

    def __repr__(self):
        self.modules()                    # a cycle is a GraphError, not an endless text
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        name, extra = type(self).__name__, self.extra_repr()
        if not lines:
            return f"{name}({extra})"
        return f"{name}({extra}\n  " + "\n  ".join(lines) + "\n)"

    def _repr_html_(self):
        rows = [(name or "(whole)", type(m).__name__, m.extra_repr(), f"{sum(p.size for p in m.parameters()):,}")
                for name, m in self.named_modules()]
        head = "".join(f"<th>{word}</th>" for word in ("name", "module", "settings", "parameters"))
        body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def summary(self, *inputs, dtype=np.float32):
        """Table of output shapes, parameters and MACs; see `minicv.nn.cost.cost`.

        >>> from minicv.nn import Linear
        >>> Linear(3, 4, rng=0).summary((2, 3)).macs
        24
        """
        from .cost import cost
        return cost(self, *inputs, dtype=dtype)


# The walk ---------------------------------------------------------------------------------------------


def _tree(name, value, path, deep=True):
    """(dotted name, item) of every Module, Parameter, Buffer and Generator at or below `value`."""
    if isinstance(value, (Parameter, Buffer, np.random.Generator)):
        yield name, value
        return
    if isinstance(value, Module):
        items = vars(value).items() if deep else ()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    elif isinstance(value, dict):
        items = value.items()
    else:
        return
    if any(value is earlier for earlier in path):
        raise GraphError(f"Module: {name!r} leads back to a {type(value).__name__} that contains it; "
                         "modules must form a tree")
    if isinstance(value, Module):
        yield name, value
    for key, item in items:
        yield from _tree(f"{name}.{key}" if name else str(key), item, (*path, value), deep)


def _leaves(module, kind):
    return ((name, x) for name, x in _tree("", module, ()) if isinstance(x, kind))


def _once(named):
    """The (name, object) pairs without repeated objects."""
    seen = {}
    for name, x in named:
        seen.setdefault(id(x), (name, x))
    return list(seen.values())


def _callable(where, hook):
    if not callable(hook):
        raise DTypeError(f"{where}: hook is {hook!r}, expected a function")
    return hook


# Loading ----------------------------------------------------------------------------------------------


def _values(x):
    return x.data if isinstance(x, Tensor) else np.asarray(x)


def _refuse_differences(where, missing, unexpected, found):
    """One CheckpointError for everything that keeps a state from fitting (W9)."""
    pairs = [(t, name, values) for t, named in found for name, values in named]
    wrong = [f"missing: {name}" for name in missing] + [f"unexpected: {name}" for name in unexpected]
    wrong += [f"shape: {name} is {v.shape}, expected {t.shape}" for t, name, v in pairs if v.shape != t.shape]
    wrong += [f"dtype: {name} is {v.dtype}, expected {t.dtype}" for t, name, v in pairs if v.dtype != t.dtype]
    for _, named in found:
        wrong += [f"shared: {name} differs from {named[0][0]}, expected equal values" for name, v in named[1:]
                  if not np.array_equal(v, named[0][1], equal_nan=v.dtype.kind == "f")]
    if wrong:
        raise CheckpointError(f"load_state_dict: the state does not fit {where}; {len(wrong)} difference(s):\n  "
                              + "\n  ".join(wrong))
    broken = [name for _, name, v in pairs if v.dtype.kind == "f" and np.isnan(v).any()]
    if broken:
        warnings.warn(f"load_state_dict: NaN in {', '.join(broken)}", stacklevel=3)
