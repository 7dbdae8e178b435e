"""What all optimizers share: parameter groups, the loop of a step, saving and resuming.

A subclass says what a parameter's state is at the start (`start`) and how one step overwrites a
parameter and its state (`update`); options and their defaults go to ``super().__init__``.
"""

import numpy as np

from ..autograd.tensor import Tensor
from ..errors import ArgError, CheckpointError, GraphError
from .checks import ALLOWED, check


def norm(*arrays):
    """Euclidean norm of all elements, summed in float64."""
    return float(np.sqrt(sum(float(np.square(a, dtype=np.float64).sum()) for a in arrays)))


def with_l2(theta, g, weight_decay):
    """Gradient of the loss plus weight_decay/2 ||theta||^2."""
    return g + weight_decay * theta if weight_decay else g


class Optimizer:
    """Base of all optimizers.

    Parameters
    ----------
    params : iterable
        Tensors, (name, Tensor) pairs as `Module.named_parameters()` gives them, or dicts
        ``{"params": [...], option: value}`` that override the defaults for their parameters.
    missing : {"skip", "error"}
        What `step` does about a parameter that requires a gradient and has none.
    **defaults
        Options of every group that does not set its own.

    Attributes
    ----------
    param_groups : list of dict
        ``params``, ``param_names`` and the options; schedules write ``group["lr"]``.
    state : dict
        Tensor to its state, a dict of arrays and step counts. By parameter, not by shape.
    steps : int
        How often `step` ran.

    Raises
    ------
    ArgError
        If there is no parameter, one is given twice, is not a float leaf tensor, or an option is
        unknown or out of range.
    """

    def __init__(self, params, *, missing="skip", **defaults):
        if missing not in ("skip", "error"):
            raise ArgError(f"{self._name}: missing is {missing!r}, expected 'skip' or 'error'")
        if isinstance(params, (Tensor, dict)):
            raise ArgError(f"{self._name}: params is one {type(params).__name__}, expected a list")
        self.missing, self.defaults, self.param_groups, self.state, self.steps = missing, defaults, [], {}, 0
        params = list(params)
        if not params:
            raise ArgError(f"{self._name}: params is empty, expected at least one parameter; "
                           "was a generator of parameters used up before?")
        for group in params if isinstance(params[0], dict) else [{"params": params}]:
            self.add_param_group(group)

    @property
    def _name(self):
        return type(self).__name__

    # Groups ---------------------------------------------------------------------------------------

    def add_param_group(self, group):
        """Add parameters with options of their own: ``{"params": [...], "lr": 0.01}``."""
        if not isinstance(group, dict) or "params" not in group:
            raise ArgError(f"{self._name}: a group is {type(group).__name__}, expected a dict with 'params'")
        given = group["params"]
        named = [self._pair(i, item) for i, item in enumerate([given] if isinstance(given, Tensor) else given)]
        options = {name: value for name, value in group.items() if name not in ("params", "param_names")}
        for name in options:
            if name not in self.defaults:
                raise ArgError(f"{self._name}: option {name!r} of a group is unknown, expected one of "
                               f"{', '.join(self.defaults)}")
        self._check_params(named)
        group = {"params": [p for _, p in named], "param_names": [name for name, _ in named],
                 **self.defaults, **options}
        self.check_group(group)
        self.param_groups.append(group)

    def check_group(self, group):
        """Raise an ArgError when an option of the group is out of range."""
        check(self._name, **{name: value for name, value in group.items() if name in ALLOWED})

    def _pair(self, i, item):
        name, p = item if isinstance(item, tuple) and len(item) == 2 else (None, item)
        if not isinstance(p, Tensor) or p.dtype.kind != "f":
            raise ArgError(f"{self._name}: params[{i}] is {_describe(p)}, expected a float Tensor")
        if not p.is_leaf:
            raise ArgError(f"{self._name}: params[{i}] is the result of {p.node.op.name}, expected a leaf; "
                           "only tensors that are not computed from others can be trained")
        return name or f"parameter {i} of shape {p.shape}", p

    def _check_params(self, named):
        if not named:
            raise ArgError(f"{self._name}: params of a group is empty, expected at least one parameter")
        seen = {id(p): name for group in self.param_groups
                for name, p in zip(group["param_names"], group["params"], strict=True)}
        for name, p in named:
            if id(p) in seen:
                raise ArgError(f"{self._name}: params hold one tensor twice, as {seen[id(p)]} and as {name}, "
                               "expected each once")
            seen[id(p)] = name

    # Stepping -------------------------------------------------------------------------------------

    def step(self):
        """Change every parameter that has a gradient, in place.

        Raises
        ------
        GraphError
            With ``missing="error"``, naming a parameter without gradient; nothing is changed.
        """
        for p, group in self._ready():
            if p not in self.state:
                self.state[p] = self.start(p.data, group)
            g = p.grad.data
            with p.writable() as a:
                state = self.state[p] = {k: same_layout(v, a) for k, v in self.state[p].items()}
                self.update(a, same_layout(g, a), state, group)
        self.steps += 1

    def _ready(self):
        ready, missing = [], []
        for group in self.param_groups:
            for name, p in zip(group["param_names"], group["params"], strict=True):
                if p.grad is not None:
                    ready.append((p, group))
                elif p.requires_grad:
                    missing.append(name)
        if missing and self.missing == "error":
            raise GraphError(f"{self._name}.step: no gradient for {', '.join(missing)}, expected one for each; "
                             "was backward() called, and does the loss depend on them?")
        return ready

    def zero_grad(self):
        """Forget all gradients (set them to None)."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def start(self, theta, group):
        """State of a parameter with values `theta` before its first step."""
        raise NotImplementedError

    def update(self, theta, grad, state, group):
        """One step: overwrite the values `theta` and the state; `grad` has the memory order of `theta`."""
        raise NotImplementedError

    # Saving ---------------------------------------------------------------------------------------

    def state_dict(self):
        """Everything needed to go on bit by bit: plain numbers and copied arrays.

        Parameters are named by their position, counted through the groups.
        """
        params = [p for group in self.param_groups for p in group["params"]]
        position = {id(p): i for i, p in enumerate(params)}
        groups = [{**{k: v for k, v in group.items() if k not in ("params", "param_names")},
                   "params": [position[id(p)] for p in group["params"]]} for group in self.param_groups]
        state = {i: _copy(self.state[p]) for i, p in enumerate(params) if p in self.state}
        return {"optimizer": self._name, "steps": self.steps, "state": state, "param_groups": groups}

    def load_state_dict(self, saved):
        """Take over a state made by `state_dict` of an optimizer of this kind with equal groups.

        Raises
        ------
        CheckpointError
            Listing all differences; nothing is changed.
        """
        params = [p for group in self.param_groups for p in group["params"]]
        problems = self._differences(saved, params)
        if problems:
            raise CheckpointError(f"{self._name}.load_state_dict: saved does not fit: " + "; ".join(problems))
        for group, new in zip(self.param_groups, saved["param_groups"], strict=True):
            group.update({k: _tupled(v) for k, v in new.items() if k != "params"})
        self.steps = saved["steps"]
        self.state = {params[int(i)]: _copy(state, params[int(i)].data) for i, state in saved["state"].items()}

    def _differences(self, saved, params):
        missing = {"optimizer", "steps", "state", "param_groups"} - set(saved)
        if missing:
            return [f"it has no {', '.join(sorted(missing))}"]
        if saved["optimizer"] != self._name:
            return [f"it was made by {saved['optimizer']}"]
        sizes = [len(group["params"]) for group in saved["param_groups"]]
        ours = [len(group["params"]) for group in self.param_groups]
        if sizes != ours:
            return [f"it has groups of {sizes} parameters, expected {ours}"]
        found = [f"group {k} has options {sorted(set(new) - {'params'})}, expected {sorted(self.defaults)}"
                 for k, new in enumerate(saved["param_groups"]) if set(new) - {"params"} != set(self.defaults)]
        groups = [new for new in saved["param_groups"] for _ in new["params"]]
        for i, state in saved["state"].items():
            if not 0 <= int(i) < len(params):
                found.append(f"state {i} belongs to no parameter, expected 0 to {len(params) - 1}")
            elif not found:
                found += _state_differences(i, state, self.start(params[int(i)].data, groups[int(i)]))
        return found


def _state_differences(i, state, fresh):
    """Where a saved state is not of the kind that a new one is."""
    if set(state) != set(fresh):
        return [f"state {i} holds {sorted(state)}, expected {sorted(fresh)}"]
    return [f"{key} of parameter {i} is {_kind(state[key])}, expected {_kind(fresh[key])}"
            for key in fresh if _kind(state[key]) != _kind(fresh[key])]


def _kind(value):
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def _copy(state, like=None):
    """A state with arrays of its own, in the memory order of `like` where given."""
    out = {}
    for key, value in state.items():
        if isinstance(value, np.ndarray):
            out[key] = np.empty_like(value if like is None else like)
            out[key][...] = value
        else:
            out[key] = value
    return out


def _tupled(value):
    return tuple(value) if isinstance(value, list) else value        # JSON knows no tuples


def same_layout(g, a):
    """A gradient or a part of the state in the memory order and dtype of the parameter, which may have changed."""
    if not isinstance(g, np.ndarray) or g.strides == a.strides and g.dtype == a.dtype:
        return g
    out = np.empty_like(a)
    out[...] = g
    return out


def _describe(x):
    return f"a Tensor of {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
