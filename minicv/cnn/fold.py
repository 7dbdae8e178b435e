r"""Folding batch norms into the convolutions before them, for inference.

In evaluation a norm is the affine map :math:`y = \gamma (x - m)/\sqrt{v+\epsilon} + \beta` of each channel, and
x is a convolution: both together are one convolution with

    s = gamma / sqrt(v + eps),    w' = s w,    b' = beta + s (b - m)                                        (1)
"""

import copy

import numpy as np

from ..autograd.activation import relu
from ..autograd.modes import no_grad, observe
from ..errors import ArgError
from ..nn import BatchNorm2d, Conv2d, FrozenBatchNorm2d, Module, Parameter, init
from ..nn.check import choice
from ..nn.cost import zeros
from ..nn.flow import tensors_of
from .finetune import replace_modules


class Folded(Module):
    """What is left where a norm was: the sum and the activation that it may have had to do."""

    def forward(self, x, residual=None, activation=None):
        """x, plus `residual` where given, through relu where `activation` is "relu"."""
        y = x if residual is None else x + residual
        return y if choice("Folded", "activation", activation, (None, "relu")) is None else relu(y)


def fold_batch_norm(model, *inputs):
    """A copy of `model` in evaluation mode whose norms are part of the convolutions before them.

    Which convolution feeds which norm is not guessed from names but seen in one forward pass: a pair is folded
    if the norm normalises the result of that convolution, nothing else reads it, it is no result of the model,
    the filters are read once, and the norm runs once. NB: what `detach` or `.data` take out of an op is not seen.

    Parameters
    ----------
    model : Module
        It is not changed.
    *inputs : shapes, arrays or Tensors
        As in `nn.cost`, e.g. (1, 3, 224, 224).

    Returns
    -------
    Module
        Norms that cannot be folded, such as those before their convolution, remain.

    >>> from minicv import cnn
    >>> net = fold_batch_norm(cnn.build("resnet20_cifar", rng=0), (1, 3, 32, 32))
    >>> sum(isinstance(m, BatchNorm2d) for m in net.modules())
    0
    """
    if not inputs:
        raise ArgError("fold_batch_norm: inputs is empty, expected a shape such as (1, 3, 224, 224)")
    folded = copy.deepcopy(model).eval()
    pairs = _Trace(folded).run(inputs)
    for norm, conv in pairs:
        fold(conv, norm)
    return replace_modules(folded, {id(norm): Folded().eval() for norm, _ in pairs})


def fold(conv, norm):
    """Equation (1), in float64: the convolution takes over what the norm does in evaluation."""
    mean, var = norm.running_mean.data.astype(np.float64), norm.running_var.data.astype(np.float64)
    s, shift = 1 / np.sqrt(var + norm.eps), 0.0
    if norm.weight is not None:
        s, shift = s * norm.weight.data, norm.bias.data
    bias = 0.0 if conv.bias is None else conv.bias.data
    dtype = conv.weight.dtype
    init.assign(conv.weight, (conv.weight.data * s[:, None, None, None]).astype(dtype))
    conv.bias = Parameter((shift + s * (bias - mean)).astype(dtype))


class _Trace:
    """Watches one forward pass: which norm reads the result of which convolution."""

    def __init__(self, model):
        self.model, self.norm = model, None                                     # the norm that is running
        self.made, self.readers, self.calls, self.normalised = {}, {}, {}, {}   # all by id
        self.filters = {id(m.weight) for m in model.modules() if type(m) is Conv2d}
        self.handles = []
        for m in model.modules():
            if type(m) is Conv2d:
                self.handles.append(m.register_forward_hook(self._convolved))
            elif type(m) in (BatchNorm2d, FrozenBatchNorm2d):
                self.handles += [m.register_forward_pre_hook(self._enter), m.register_forward_hook(self._leave)]

    def run(self, inputs):
        """Pairs (norm, convolution) that may be folded."""
        try:
            with no_grad(), observe(self._op):
                result = self.model(*[zeros("fold_batch_norm", x, np.float32) for x in inputs])
        finally:
            for handle in self.handles:
                handle.remove()
        returned = {id(y) for y in tensors_of(result)}
        return [(self.readers[id(y)][0], conv) for y, conv in self.made.values()
                if id(y) not in returned and self._belong_together(y, conv)]

    def _belong_together(self, y, conv):
        norm, *others = self.readers.get(id(y), [None])
        return (norm is not None and not others and self.normalised[id(norm)] is y and self.calls[id(norm)] == 1
                and len(self.readers[id(conv.weight)]) == 1)

    def _convolved(self, conv, inputs, y):
        self.made[id(y)] = y, conv                     # holding y keeps its id from being given to another tensor

    def _enter(self, norm, inputs):
        self.norm, self.normalised[id(norm)] = norm, inputs[0] if inputs else None
        self.calls[id(norm)] = self.calls.get(id(norm), 0) + 1

    def _leave(self, norm, inputs, y):
        self.norm = None

    def _op(self, op, inputs, settings, y):
        for x in inputs:
            if id(x) in self.made or id(x) in self.filters:
                self.readers.setdefault(id(x), []).append(self.norm)
