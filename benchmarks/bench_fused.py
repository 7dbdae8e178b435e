"""Operations that read their input once: norms, activations, softmax, cross-entropy, optimizer steps.

Forward and backward of one layer each, float32, on the sizes of CIFAR networks and of ViT-B/16.
"""

import numpy as np

from minicv.autograd import Tensor
from minicv.autograd import activation as A
from minicv.autograd import elementwise as E
from minicv.autograd.normalize import layer_norm
from minicv.autograd.random import dropout
from minicv.autograd.softmax import log_softmax, softmax
from minicv.kernels import channels_last
from minicv.nn import BatchNorm2d, Parameter
from minicv.nn.losses import cross_entropy
from minicv.optim import SGD, Adam, AdamW

OPS = {"relu": A.relu, "gelu": A.gelu, "silu": A.silu, "mish": A.mish, "sigmoid": E.sigmoid, "tanh": E.tanh,
       "exp": E.exp, "softplus": E.softplus, "softmax": softmax, "log_softmax": log_softmax,
       "dropout": lambda x: dropout(x, p=0.5, rng=0)}


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape, np.float32)


class BatchNormSuite:
    """Seconds of forward and backward in training, channels last."""

    params, param_names = [[(64, 64, 32, 32), (64, 64, 8, 8), (8, 256, 56, 56)], ["plain", "relu", "block"]], [
        "shape", "kind"]

    def setup(self, shape, kind):
        self.norm = BatchNorm2d(shape[1])
        self.x, self.r = (Tensor(channels_last(random(*shape)), requires_grad=True) for _ in range(2))
        self.g = channels_last(random(*shape))

    def time_step(self, shape, kind):
        y = self.norm(self.x, self.r if kind == "block" else None, None if kind == "plain" else "relu")
        y.backward(self.g)


class LayerNormSuite:
    """Seconds of forward and backward on the tokens of eight images."""

    def setup(self):
        self.x, self.g = Tensor(random(1576, 768), requires_grad=True), random(1576, 768)
        self.weight, self.bias = Parameter(random(768)), Parameter(random(768))

    def time_step(self):
        layer_norm(self.x, self.weight, self.bias).backward(self.g)


class ElementSuite:
    """Seconds of forward and backward on 4 MB; softmax over rows of 256."""

    params, param_names = [list(OPS)], ["op"]

    def setup(self, op):
        self.x, self.g = Tensor(random(4096, 256), requires_grad=True), random(4096, 256)

    def time_step(self, op):
        OPS[op](self.x).backward(self.g)


class CrossEntropySuite:
    """Seconds of forward and backward."""

    params, param_names = [[(64, 10), (64, 1000), (8192, 1000)]], ["shape"]

    def setup(self, shape):
        self.z = Tensor(random(*shape), requires_grad=True)
        self.target = np.random.default_rng(0).integers(0, shape[1], shape[0])

    def time_step(self, shape):
        cross_entropy(self.z, self.target).backward()


class OptimizerSuite:
    """Seconds of a step of small and large parameters."""

    params, param_names = [["sgd", "momentum", "adam", "adamw"], ["small", "large"]], ["method", "size"]

    def setup(self, method, size):
        shapes = [(64, 64, 3, 3), (64,), (64,)] * 8 if size == "small" else [(512, 512, 3, 3), (512,)] * 3
        parameters = [Parameter(random(*shape)) for shape in shapes]
        for p in parameters:
            p.grad = Tensor(random(*p.shape))
        make = {"sgd": SGD, "momentum": lambda p, lr: SGD(p, lr=lr, momentum=0.9), "adam": Adam, "adamw": AdamW}
        self.optimizer = make[method](parameters, lr=1e-6)

    def time_step(self, method, size):
        self.optimizer.step()
