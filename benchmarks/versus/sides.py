"""The two libraries behind one set of words, so that a row is written once and does the same work on both sides.

A row is a function of a side; it returns `Work`. Inputs come from the same seed on every side.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Work(NamedTuple):
    """What is timed, and what it gives: `result` is called once, untimed, and returns arrays to compare.

    `flops` and `bytes` are of one call, for the rates beside the ratio; 0 where they say nothing.
    """
    run: Callable
    result: Callable
    flops: float = 0
    bytes: float = 0


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, seed=0):
    """Standard normal float32 numbers, the same at every call."""
    return rng(seed).standard_normal(shape, np.float32)


class Ours:
    """minicv. Images lie channels-last in memory, as everywhere inside its networks."""

    name = "ours"

    def __init__(self, threads):
        import minicv
        import minicv.functional as F
        from minicv import autograd
        self.F, self.library, self.autograd = F, minicv, autograd
        minicv.set_num_threads(threads)

    def tensor(self, a, grad=False):
        from minicv.kernels import channels_last
        return self.autograd.Tensor(channels_last(a) if a.ndim == 4 else a, requires_grad=grad)

    def filter(self, a, grad=False):
        """A parameter (O, C, P, Q), over the memory order that the layers use."""
        from minicv.nn import Parameter
        memory = np.ascontiguousarray(a.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)
        return Parameter(memory, requires_grad=grad)

    def numpy(self, t):
        return np.asarray(t.detach() if hasattr(t, "detach") else t)

    def no_grad(self):
        return self.autograd.no_grad()

    def backward(self, y, g):
        y.backward(g)

    def clear(self, tensors):
        for t in tensors:
            t.grad = None


class Theirs:
    """PyTorch, in its default memory layout or channels-last."""

    def __init__(self, threads, channels_last):
        import torch
        torch.set_num_threads(threads)
        self.torch, self.F, self.channels_last = torch, torch.nn.functional, channels_last
        self.name = "torch_cl" if channels_last else "torch"

    def tensor(self, a, grad=False):
        t = self.torch.from_numpy(np.array(a))
        if a.ndim == 4 and self.channels_last:
            t = t.to(memory_format=self.torch.channels_last)
        return t.requires_grad_(grad)

    filter = tensor

    def numpy(self, t):
        return t.detach().numpy()

    def no_grad(self):
        return self.torch.no_grad()

    def backward(self, y, g):
        y.backward(g)

    def clear(self, tensors):
        for t in tensors:
            t.grad = None


def side(name, threads):
    return Ours(threads) if name == "ours" else Theirs(threads, channels_last=name == "torch_cl")


def inference(s, forward, inputs, **rates):
    """Work of ``forward(*inputs)`` without a graph."""
    def run():
        with s.no_grad():
            return forward(*inputs)
    return Work(run, lambda: [s.numpy(run())], **rates)


def training(s, forward, inputs, **rates):
    """Work of a forward and a backward pass; gradients of the `inputs` that require one."""
    leaves = [t for t in inputs if t.requires_grad]
    with s.no_grad():
        g = s.tensor(normal(*forward(*inputs).shape, seed=99))

    def run():
        s.clear(leaves)
        y = forward(*inputs)
        s.backward(y, g)
        return y
    return Work(run, lambda: [s.numpy(run()), *(s.numpy(t.grad) for t in leaves)], **rates)
