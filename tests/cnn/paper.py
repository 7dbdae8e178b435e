"""Networks of paper size without their memory and arithmetic: parameters and multiply-adds in milliseconds."""

import contextlib
from unittest import mock

import numpy as np

from minicv import nn
from minicv.autograd.activation import gelu, relu, silu
from minicv.autograd.attention import masked_softmax
from minicv.autograd.conv import correlate2d
from minicv.autograd.linalg import matmul
from minicv.autograd.standardize import normalize_with
from minicv.autograd.tensor import Tensor
from minicv.nn import conv, init

VALUES = ("he_uniform", "he_normal", "xavier_uniform", "xavier_normal", "truncated_normal", "normal", "uniform",
          "zeros", "ones", "constant")


def nothing(shape):
    """Zeros of a shape that occupy one number."""
    return np.broadcast_to(np.float32(0), tuple(shape))


def _parameter(self, data, requires_grad=True, dtype=None):
    self._array, self._requires_grad, self._grad, self.node, self.version = data, requires_grad, None, None, 0


def _correlate(x, w, b=None, *, stride, padding, dilation, **settings):
    size = [(n + sum(p) - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in
            zip(x.shape[2:], padding, dilation, w.shape[2:], stride, strict=True)]
    return nothing((x.shape[0], w.shape[0], *size))


def _matmul(a, b, **settings):
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return nothing((*lead, a.shape[-2], b.shape[-1]))


@contextlib.contextmanager
def weightless():
    """Inside, parameters occupy no memory, and convolutions and products (and slow activations) only know shapes."""
    with contextlib.ExitStack() as stack:
        put = lambda *where, new: stack.enter_context(mock.patch.object(*where, new))
        for name in VALUES:
            put(init, name, new=lambda shape, **settings: nothing(shape))
        put(init, "assign", new=lambda parameter, values: parameter)
        put(conv, "filters", new=nn.Parameter)
        put(nn.Parameter, "__init__", new=_parameter)
        put(correlate2d, "forward", new=_correlate)
        put(matmul, "forward", new=_matmul)
        for op in (gelu, relu, silu, masked_softmax, normalize_with):
            put(op, "forward", new=lambda x, *rest, **settings: x)
        yield


def size(make, shape=None):
    """(parameters, multiply-adds or None) of the network that `make` builds, for one input of `shape`."""
    with weightless():
        model = make()
        if shape is None:
            return sum(p.size for p in model.parameters()), None
        total = nn.cost(model, Tensor(np.zeros(shape, np.float32)))
        return total.parameters, total.macs
