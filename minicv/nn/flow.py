"""Who feeds whom inside a network: the calls of one forward pass, nested as the modules are.

Modules say what they hold, not how it is connected. Here a forward pass is run on zeros and watched: each call of a
module becomes a `Step`, inside the step of the module that called it, and so does each operation that a module does by
itself between the calls of its parts (a sum, a gate, an activation). Operations that only change shapes are looked
through; dropout, which does nothing in evaluation, and identities are left out.
"""

import weakref

import numpy as np

from ..autograd.modes import no_grad, observe
from ..autograd.standardize import normalize_relu, normalize_with
from ..autograd.tensor import Tensor
from ..errors import ArgError
from .container import Identity
from .cost import shapes, zeros
from .dropout import Dropout

SEEN_THROUGH = ("minicv.autograd.shape", "minicv.autograd.index", "minicv.autograd.engine")


class Step:
    """One call of a module or of an op.

    name    : of the module inside its parent, "" for the whole; of an op the parameters and numbers that it reads
    kind    : class of the module, or name of the op
    module  : Module, or None
    parent  : the Step it happens in, None for the whole
    steps   : what happens inside, in order of call
    sources : steps of the same parent whose results it reads; the parent itself stands for the parent's input
    results : those of `steps` (or the step itself, for its input) whose results are returned
    output  : shape of the result, or a structure of shapes
    """

    def __init__(self, kind, *, name="", module=None, parent=None):
        self.kind, self.name, self.module, self.parent = kind, name, module, parent
        self.steps, self.sources, self.results, self.output = [], [], [], None

    @property
    def path(self):
        """Full dotted name."""
        above = self.parent.path if self.parent else ""
        own = self.name if self.module else ""
        return f"{above}.{own}" if above and own else above or own

    def inside(self, other):
        """Whether this is `other` or happens in it."""
        step = self
        while step is not None and step is not other:
            step = step.parent
        return step is other

    def seen_from(self, scope):
        """The step of `scope` that this one is part of; `scope` itself, as its input, if it is outside."""
        step = self
        while step is not None and step.parent is not scope:
            step = step.parent
        return scope if step is None else step

    def __repr__(self):
        return f"Step({self.path or self.kind})"


def flow(module, *inputs, dtype=np.float32):
    """Record one forward pass in evaluation mode.

    Parameters
    ----------
    module : Module
    *inputs : shapes, arrays or Tensors
        As for `cost`.

    Returns
    -------
    Step
        The whole.

    Raises ArgError without inputs.

    >>> from minicv.nn import Linear, ReLU, Sequential
    >>> whole = flow(Sequential(Linear(3, 4), ReLU(), Linear(4, 2)), (1, 3))
    >>> [(step.kind, step.output) for step in whole.steps]
    [('Linear', (1, 4)), ('ReLU', (1, 4)), ('Linear', (1, 2))]
    """
    if not inputs:
        raise ArgError("flow: inputs is empty, expected a shape such as (1, 3, 224, 224)")
    tensors = [zeros("flow", x, dtype) for x in inputs]
    recorder = _Recorder(module, tensors)
    try:
        with module.evaluating(), no_grad(), observe(recorder.op), np.errstate(all="ignore"):
            recorder.finish(module(*tensors))
    finally:
        recorder.close()
    return recorder.whole


class _Recorder:
    """Follows every Tensor from the step that made it to the steps that read it."""

    def __init__(self, module, tensors):
        self.whole = Step(type(module).__name__, module=module)
        self.running, self.made, self.fused = [self.whole], {}, None
        self.parameters = {id(p): name.rpartition(".")[2] for name, p in module.named_parameters()}
        for x in tensors:
            self._make(x, self.whole)
        self.handles = []
        for name, m in module.named_modules()[1:]:
            self.handles += [m.register_forward_pre_hook(lambda m, x, name=name: self._enter(name, m, x)),
                             m.register_forward_hook(self._leave)]

    def _make(self, tensor, step):
        self.made[id(tensor)] = weakref.ref(tensor), step        # an id may be given again after the tensor is gone

    def _maker(self, x):
        known, step = self.made.get(id(x), (None, None))
        return step if known and known() is x else None

    def _read(self, x):
        """Every running step that `x` enters from outside reads it."""
        maker = self._maker(x)
        for step in reversed(self.running[1:]):
            if maker is None or maker.inside(step):
                return
            source = maker.seen_from(step.parent)
            if source not in step.sources:
                step.sources.append(source)

    def _enter(self, name, module, inputs):
        above = self.running[-1].path
        relative = name[len(above) + 1:] if above and name.startswith(f"{above}.") else name
        step = Step(type(module).__name__, name=relative, module=module, parent=self.running[-1])
        self.running[-1].steps.append(step)
        self.running.append(step)
        for x in tensors_of(inputs):
            self._read(x)

    def _leave(self, module, inputs, y):
        step = self.running.pop()
        results = tensors_of(y)
        if isinstance(module, (Dropout, Identity)):
            self.running[-1].steps.remove(step)                  # it changed nothing
            for r in results:
                self._make(r, step.sources[0] if step.sources else None)
            return
        self._close(step, y)
        for r in results:
            self._make(r, step)
        if self.fused and self.fused[0] is step:
            _, residual, rectified = self.fused
            self.fused = None
            if residual is not None:
                self._step("add", [step, residual], y)
            if rectified:
                self._step("relu", [y], y)

    def _close(self, step, y):
        step.output = shapes(y)
        makers = [self._maker(r).seen_from(step) for r in tensors_of(y) if self._maker(r) is not None]
        step.results = list(dict.fromkeys(makers))

    def finish(self, y):
        """The result of the whole."""
        self._close(self.whole, y)

    def op(self, op, inputs, settings, y):
        """Observer of ops."""
        scope, residual = self.running[-1], None
        if op in (normalize_with, normalize_relu) and not scope.module.children():
            residual = inputs[3] if len(inputs) > 3 else None
            self.fused = scope, residual, settings.get("relu", True)      # becomes steps of its own when the norm ends
        if scope.module.children():
            self._step(op, inputs, y)
        else:
            for x in inputs:
                if x is not residual:
                    self._read(x)
            self._make(y, scope)

    def _step(self, op, inputs, y):
        """An op, or the name of one, as a step of the scope that is running."""
        scope, sources = self.running[-1], []
        for x in inputs:
            if not isinstance(x, Step):
                self._read(x)
            maker = x if isinstance(x, Step) else self._maker(x)
            if maker is not None:
                sources.append(maker.seen_from(scope))
        sources = list(dict.fromkeys(sources))
        if len(sources) == 1 and getattr(op, "__module__", None) in SEEN_THROUGH:
            self._make(y, sources[0])
        elif sources:
            step = Step(getattr(op, "name", op), parent=scope)
            step.name, step.sources, step.output = self._constants(inputs), sources, shapes(y)
            scope.steps.append(step)
            self._make(y, step)

    def _constants(self, inputs):
        """Numbers and names of parameters among the inputs."""
        words = [self.parameters.get(id(x)) or (f"{float(x):.3g}" if _is_number(x) else "") for x in inputs]
        return " ".join(word for word in words if word)

    def close(self):
        """Take the hooks away again."""
        for handle in self.handles:
            handle.remove()


def _is_number(x):
    return not isinstance(x, (Tensor, Step)) and x is not None and np.ndim(x) == 0


def tensors_of(y):
    """The Tensors in nested lists, tuples and dicts."""
    if isinstance(y, dict):
        y = list(y.values())
    if isinstance(y, (list, tuple)):
        return [x for item in y for x in tensors_of(item)]
    return [y] if isinstance(y, Tensor) else []
