"""Memory layout: an image with channels last stays so through every image op, forward and backward.

Proved for each op: both layouts give equal results and gradients; a channels-last input gives a channels-last result
and, through an op of images, a channels-last gradient. A chain of ops in the order of a residual block with a skip and
an up-sampling step keeps the layout after every op.
"""

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd import conv as c
from minicv.autograd import normalize as n
from minicv.autograd import pool as p
from minicv.autograd import resample as r
from minicv.kernels import is_channels_last

RNG = np.random.default_rng(0)
SCALE, SHIFT = RNG.uniform(0.5, 1.5, 4), RNG.standard_normal(4)
GRID = RNG.uniform(-1.2, 1.2, (2, 5, 6, 2))
FILTERS, DEPTHWISE = RNG.standard_normal((8, 4, 3, 3)), RNG.standard_normal((4, 1, 3, 3))

OPS = {
    "conv2d": lambda x: c.conv2d(x, FILTERS, padding=1),
    "conv2d with a bias": lambda x: c.conv2d(x, FILTERS[:4], SHIFT, stride=2),
    "conv2d depthwise": lambda x: c.conv2d(x, DEPTHWISE, padding="same", groups=4),
    "conv2d one by one": lambda x: c.conv2d(x, FILTERS[:, :, :1, :1]),
    "conv_transpose2d": lambda x: c.conv_transpose2d(x, FILTERS[:4], SHIFT, stride=2),
    "max_pool2d": lambda x: p.max_pool2d(x, size=3, stride=2, padding=1),
    "avg_pool2d": lambda x: p.avg_pool2d(x, size=3, stride=2, padding=1, count_include_pad=False),
    "l2_pool2d": lambda x: p.l2_pool2d(x, size=2),
    "adaptive_avg_pool2d": lambda x: p.adaptive_avg_pool2d(x, size=(3, 2)),
    "adaptive_max_pool2d": lambda x: p.adaptive_max_pool2d(x, size=(3, 2)),
    "resize bilinear": lambda x: r.resize(x, size=(9, 11)),
    "resize nearest": lambda x: r.resize(x, scale=2, mode="nearest"),
    "resize bicubic": lambda x: r.resize(x, size=(3, 4), mode="bicubic"),
    "grid_sample": lambda x: r.grid_sample(x, GRID),
    "pixel_shuffle": lambda x: r.pixel_shuffle(r.pixel_unshuffle(x, factor=2), factor=4),
    "pixel_unshuffle": lambda x: r.pixel_unshuffle(x, factor=2),
    "batch_norm in training": lambda x: n.batch_norm(x, SCALE, SHIFT, training=True).y,
    "batch_norm": lambda x: n.batch_norm(x, SCALE, SHIFT, SHIFT, SCALE).y,
    "layer_norm over channels": lambda x: n.layer_norm(x, SCALE, SHIFT, axes=1),
    "layer_norm": lambda x: n.layer_norm(x, axes=(1, 2, 3)),
    "instance_norm": lambda x: n.instance_norm(x, SCALE, SHIFT),
    "group_norm": lambda x: n.group_norm(x, SCALE, SHIFT, groups=2),
    "local_response_norm": lambda x: n.local_response_norm(x, alpha=0.5),
    "l2_normalize": lambda x: n.l2_normalize(x, axis=1),
}


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def images():
    return np.random.default_rng(1).permutation(2 * 4 * 6 * 8).reshape(2, 4, 6, 8) / 50 - 3.1


def result_and_gradient(op, x):
    """Of sum y^3; a sum of squares of normalized values would not depend on x."""
    t = Tensor(x, requires_grad=True)
    y = op(t)
    return y, grad((y * y * y).sum(), [t])[0]


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_both_layouts_give_equal_results_and_gradients(name, dtype, rtol):
    op = (lambda x: OPS[name](x).astype(dtype))
    x = images().astype(dtype)
    for a, b in zip(result_and_gradient(op, x), result_and_gradient(op, channels_last(x)), strict=True):
        np.testing.assert_allclose(b.data, a.data, rtol=rtol, atol=rtol * np.abs(a.data).max())


@pytest.mark.parametrize("name", OPS)
def test_channels_last_stays_channels_last_forward_and_backward(name):
    x = channels_last(images())
    assert is_channels_last(OPS[name](x)), "plain array"
    y, g = result_and_gradient(OPS[name], x)
    assert is_channels_last(y.data), "result"
    assert is_channels_last(g.data), "gradient"


def test_every_step_of_a_block_with_skip_and_upsampling_keeps_the_layout():
    x = Tensor(channels_last(images()), requires_grad=True)
    y = c.conv2d(x, FILTERS[:4], padding=1)
    steps = [y]
    for step in (OPS["batch_norm in training"], lambda t: t.clip(0), OPS["conv2d depthwise"], lambda t: t + x,
                 OPS["max_pool2d"], OPS["resize nearest"], lambda t: t * x, OPS["conv_transpose2d"]):
        steps.append(step(steps[-1]))
    assert [is_channels_last(s.data) for s in steps] == [True] * len(steps)


def test_nchw_results_of_layout_keeping_ops_stay_nchw():
    for name in ("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "resize bilinear", "grid_sample", "batch_norm",
                 "pixel_unshuffle", "local_response_norm"):
        assert OPS[name](images()).flags.c_contiguous, name
