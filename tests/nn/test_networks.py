"""Whole networks built from layers: memory layout after every op, equal results in both layouts, learning.

DESIGN section 3: inside networks activations are channels-last in memory, on purpose and not by luck.
"""

import numpy as np
import pytest

from minicv import nn
from minicv.autograd import Tensor
from minicv.autograd.modes import observe
from minicv.kernels.layout import channels_last, is_channels_last

from . import networks

NETS = {"resnet": lambda: networks.ResNet((4, 6, 8, 8), (1, 2, 1, 1), 5), "unet": networks.UNet}


def images(shape=(2, 3, 64, 64)):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("name", NETS)
def test_every_op_keeps_channels_last(name):
    net, wrong, seen = NETS[name](), [], []

    def look(op, inputs, settings, y):
        seen.append(op.name)
        if y.ndim == 4 and not is_channels_last(y.data):
            wrong.append((op.name, y.shape, y.data.strides))
    with observe(look):
        y = net(Tensor(channels_last(images())))
    assert not wrong and {"correlate2d", "normalize", "relu", "max_pool2d"} <= set(seen)
    x = Tensor(channels_last(images()), requires_grad=True)
    y = net(x)
    y.backward(np.ones(y.shape, np.float32))
    assert is_channels_last(x.grad.data)
    for p in net.parameters():
        if p.ndim == 4:                        # gradients of filters lie in memory as the filters do
            assert np.argsort(p.grad.data.strides, kind="stable").tolist() == np.argsort(
                p.data.strides, kind="stable").tolist() or 1 in p.shape


@pytest.mark.parametrize("name", NETS)
def test_both_layouts_give_equal_results(name):
    results = []
    for arrange in (np.ascontiguousarray, channels_last):
        net = NETS[name]().astype(np.float64)
        x = Tensor(arrange(images().astype(np.float64)), requires_grad=True)
        y = net(x)
        (y * np.cos(np.arange(y.size)).reshape(y.shape)).sum().backward()
        results.append([y.data, x.grad.data] + [p.grad.data for p in net.parameters()]
                       + [b.data for b in net.buffers()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8 * np.abs(a).max(initial=1e-30))


def test_a_small_resnet_overfits_eight_images():
    """The whole machine: every parameter gets a gradient and plain gradient descent reaches the labels."""
    net, rng = networks.ResNet((8, 8, 8, 8), (1, 1, 1, 1), 4), np.random.default_rng(1)
    x, t = rng.standard_normal((8, 3, 32, 32)).astype(np.float32), np.arange(8) % 4
    first = None
    for _ in range(50):
        loss = nn.cross_entropy(net(Tensor(x)), t)
        first = first or loss.item()
        net.zero_grad()
        loss.backward()
        for p in net.parameters():
            nn.init.assign(p, p.data - 0.1 * p.grad.data)
    assert loss.item() < 0.1 < first
    assert (net(Tensor(x)).data.argmax(axis=1) == t).all()
