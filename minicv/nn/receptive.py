"""Receptive fields of whole networks: which input pixels a value of each map may depend on.

Every op of one forward pass widens the field of what it reads (Araujo et al., Distill 2019, eq. 2-4):

    size += (k - 1) d stride,   start -= p stride,   stride *= s                                     (1)

Where branches meet the field is the smallest one that covers those of all branches.
"""

import numpy as np

from ..autograd.activation import relu
from ..autograd.conv import correlate2d
from ..autograd.modes import no_grad, observe
from ..autograd.normalize import channel_sum
from ..autograd.pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from ..autograd.reduce import max as max_op
from ..autograd.reduce import mean
from ..autograd.reduce import sum as sum_op
from ..autograd.shape import concat, pad
from ..autograd.standardize import normalize_with
from ..autograd.tensor import Tensor
from ..errors import ArgError
from ..kernels.windows import pair
from .cost import ReceptiveField, zeros
from .flow import tensors_of

WHOLE = "whole"                                 # the field of what depends on all positions
POINTWISE = {relu.__module__, "minicv.autograd.elementwise", "minicv.autograd.random"}
SAME_PLACE = {concat, channel_sum, normalize_with}
WINDOWS = {correlate2d, max_pool2d, avg_pool2d}
REDUCTIONS = {mean, sum_op, max_op}


def receptive_fields(model, *inputs):
    """Theoretical receptive field of the result of every module of a convolutional network.

    Parameters
    ----------
    model : Module
        Branches, ways round and gates included. A gate that looks at the whole image (squeeze and excitation) is left
        out of the field of what it multiplies.
    *inputs : shapes, arrays or Tensors
        Images, (N, C, H, W).

    Returns
    -------
    dict
        From names of modules to `ReceptiveField`, in order of call, the whole as "". Modules behind a global or
        adaptive pooling, whose windows follow the size of the image, are not in it; of one that is called several times
        the last.

    Raises
    ------
    ArgError
        Without inputs; for an op that moves positions in a way (1) does not describe; where maps of different stride
        meet.

    >>> from minicv.nn import Conv2d, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3, stride=2), ReLU(), Conv2d(4, 4, 3))
    >>> receptive_fields(net, (1, 3, 15, 15))["2"]
    ReceptiveField(size=(7, 7), stride=(2, 2), start=(0, 0))
    """
    if not inputs:
        raise ArgError("receptive_fields: inputs is empty, expected a shape such as (1, 3, 224, 224)")
    walk = _Walk([zeros("receptive_fields", x, np.float32) for x in inputs])
    handles = [m.register_forward_hook(lambda m, x, y, name=name: walk.leave(name, y))
               for name, m in model.named_modules()]
    try:
        with model.evaluating(), no_grad(), observe(walk.op), np.errstate(all="ignore"):
            model(*walk.inputs)
    finally:
        for handle in handles:
            handle.remove()
    return walk.fields


class _Walk:
    """The field of every Tensor of a forward pass."""

    def __init__(self, inputs):
        self.inputs, self.fields = inputs, {}
        self.known = {id(x): (x, ReceptiveField((1, 1), (1, 1), (0, 0))) for x in inputs}    # holding x keeps its id

    def leave(self, name, y):
        found = [self.known[id(t)][1] for t in tensors_of(y) if id(t) in self.known]
        if found and WHOLE not in found:
            self.fields[name] = _cover(name or "the module", found)

    def op(self, op, inputs, settings, y):
        """Observer of ops."""
        fields = [self.known[id(x)][1] for x in inputs if isinstance(x, Tensor) and id(x) in self.known]
        if fields:                                                     # otherwise made of parameters alone
            self.known[id(y)] = y, self._field(op, inputs, settings, fields)

    def _field(self, op, inputs, settings, fields):
        x = inputs[0]
        local = [f for f in fields if f is not WHOLE]
        if not local:
            return WHOLE
        if op in REDUCTIONS and x.ndim == 4:
            return _reduced(settings.get("axis"), x.ndim, local[0])
        if op is adaptive_avg_pool2d:
            return WHOLE
        if op is pad and settings.get("mode", "constant") == "constant":
            before = [w[0] for w in settings["widths"][-2:]]
            return _slide(local[0], (1, 1), (1, 1), (1, 1), before)
        if op in WINDOWS:
            return _slide(local[0], *_window(op, inputs, settings))
        if op in SAME_PLACE or op.__module__ in POINTWISE:
            return _cover(op.name, local)
        raise ArgError(f"receptive_fields: op is {op.name}, expected one whose field is known: convolutions, pools, "
                       "norms of batches, sums and element-wise ops")


def _reduced(axis, ndim, field):
    """Over channels the field stays, over positions it is everything."""
    axes = range(ndim) if axis is None else np.ravel(axis).tolist()
    return WHOLE if {a % ndim for a in axes} & {2, 3} else field


def _window(op, inputs, settings):
    """(kernel, stride, dilation, padding before) of a convolution or pool, each a pair."""
    if op is correlate2d:
        padding = settings.get("padding", ((0, 0), (0, 0)))
        return (inputs[1].shape[2:], settings.get("stride", (1, 1)), settings.get("dilation", (1, 1)),
                [p[0] for p in padding])
    size = pair("receptive_fields", "size", settings["size"])
    stride = settings.get("stride")
    return (size, size if stride is None else pair("receptive_fields", "stride", stride),
            pair("receptive_fields", "dilation", settings.get("dilation", 1)),
            np.broadcast_to(settings.get("padding", 0), 2).tolist())


def _slide(field, kernel, stride, dilation, padding):
    """Equation (1)."""
    size, step, start = field
    return ReceptiveField(
        tuple(size[i] + (kernel[i] - 1) * dilation[i] * step[i] for i in (0, 1)),
        tuple(step[i] * stride[i] for i in (0, 1)), tuple(start[i] - padding[i] * step[i] for i in (0, 1)))


def _cover(where, fields):
    """The smallest field around several of the same stride."""
    if len({f.stride for f in fields}) > 1:
        raise ArgError(f"receptive_fields: maps of strides {[f.stride for f in fields]} meet in {where}, "
                       "expected equal ones")
    start = tuple(min(f.start[i] for f in fields) for i in (0, 1))
    stop = tuple(max(f.start[i] + f.size[i] for f in fields) for i in (0, 1))
    return ReceptiveField((stop[0] - start[0], stop[1] - start[1]), fields[0].stride, start)
