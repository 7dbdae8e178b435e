"""Costs: what is proved here.

MACs agree with loops, formulas and a published network; functional calls count; receptive fields are where the
gradient is not zero.
"""

import numpy as np
import pytest

from minicv import nn
from minicv.autograd import Tensor
from minicv.autograd.conv import conv2d
from minicv.autograd.linalg import einsum
from minicv.errors import ArgError, ShapeError

from . import networks


def test_resnet18_has_its_published_size():
    """Parameters and multiply-adds of torchvision's ResNet-18 at 224 x 224."""
    total = nn.cost(networks.ResNet(), (1, 3, 224, 224))
    assert total.parameters == 11_689_512
    assert total.macs == 1_814_073_344
    assert total["conv1"].macs == 112 * 112 * 64 * 3 * 49
    assert total["layer1.0"].output == (1, 64, 56, 56)
    assert total["fc"][3:] == (513_000, 512_000, 1000)


def conv_macs(x, w, out, groups=1):
    """Count by loops: one for each pair of an output value and a weight that it sees."""
    return sum(1 for _ in np.ndindex(out) for _ in np.ndindex(w[1:]))


@pytest.mark.parametrize("layer, x, macs", [
    (lambda: nn.Conv2d(4, 6, 3, stride=2, groups=2), (2, 4, 7, 9), 2 * 6 * 3 * 4 * 2 * 9),
    (lambda: nn.Conv2d(4, 4, (1, 5), groups=4), (1, 4, 3, 6), 4 * 3 * 2 * 5),
    (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 5), 25 * 4 * 6 * 9),
    (lambda: nn.Conv1d(2, 3, 4), (2, 2, 9), 2 * 3 * 6 * 2 * 4),
    (lambda: nn.Linear(5, 7), (2, 3, 5), 2 * 3 * 35),
    (lambda: nn.MultiHeadAttention(8, 2), (2, 5, 8), 2 * (5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 64)),
    (lambda: nn.GRU(3, 4), (2, 6, 3), 2 * 6 * (3 * 12 + 4 * 12)),
    (lambda: nn.BatchNorm2d(3), (2, 3, 4, 4), 0),
])
def test_macs_of_layers_follow_the_formula(layer, x, macs):
    total = nn.cost(layer(), x)
    assert total.macs == macs and len(total.rows) == len(layer().modules())


def test_a_convolution_counts_what_loops_count():
    layer = nn.Conv2d(4, 6, 3, stride=2, groups=2, bias=False)
    total = nn.cost(layer, (1, 4, 7, 9))
    assert total.macs == conv_macs((1, 4, 7, 9), layer.weight.shape, total.rows[0].output)
    assert total.activations == np.prod(total.rows[0].output)


def test_functional_calls_count_and_uncalled_modules_show():
    class Net(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return conv2d(x, np.ones((2, 3, 1, 1), np.float32))
    total = nn.cost(Net(), (1, 3, 4, 4))
    assert total.macs == 96 and total.parameters == 24 and total["a"].output is None


def test_einsum_counts_one_product_for_each_combination_of_labels():
    class Net(nn.Module):
        def forward(self, x):
            return einsum("...qd,...kd->...qk", x, x[:1])
    assert nn.cost(Net(), (2, 5, 3)).macs == 2 * 5 * 5 * 3


def test_a_shared_layer_has_its_parameters_once_and_its_macs_for_each_call():
    layer = nn.Linear(3, 3, rng=0)
    total = nn.cost(nn.Sequential(layer, layer), (1, 3))
    assert total.parameters == 12 and total.macs == 18 and len(total.rows) == 2


def test_counting_leaves_the_module_as_it_was():
    net = networks.UNet()
    state, random = net.state_dict(), net.random_state()
    total = net.summary((1, 3, 8, 8))
    assert all(m.training for m in net.modules())
    assert all(np.array_equal(v, state[k]) for k, v in net.state_dict().items())
    assert net.random_state() == random
    seen = []
    net.register_forward_hook(lambda m, x, y: seen.append(1))
    net(Tensor(np.zeros((1, 3, 8, 8), np.float32)))
    assert seen == [1]
    assert str(total).count("\n") == len(total.rows) + 1 and "<table>" in total._repr_html_()


def test_token_inputs_and_several_inputs():
    assert nn.cost(nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 2)), (2, 3), dtype=np.int64).macs == 48
    assert nn.cost(nn.MultiHeadAttention(4, 1), (1, 2, 4), (1, 3, 4)).macs == 2 * 16 + 6 * 16 + 2 * 2 * 3 * 4 + 2 * 16
    assert nn.cost(nn.Linear(3, 1), Tensor(np.zeros((1, 3), np.float32))).macs == 3


def test_bad_inputs_are_refused_and_hooks_removed():
    net = nn.Linear(3, 1)
    with pytest.raises(ArgError, match="inputs is empty"):
        nn.cost(net)
    with pytest.raises(ArgError, match="shape is 0"):
        nn.cost(net, (0, 3))
    with pytest.raises(ShapeError, match="expected"):
        nn.cost(net, (1, 4))
    assert not any(h.function for h in net._before + net._after)


# Receptive field --------------------------------------------------------------------------------------------


def measured(layers, size=61):
    """Extent of the input pixels on which the middle output pixel depends, by the gradient; and its start."""
    x = Tensor(np.random.default_rng(0).random((1, 1, size, size)), requires_grad=True)
    y = x
    for layer in layers:
        y = layer(y)
    i, j = y.shape[2] // 2, y.shape[3] // 2
    y[0, :, i, j].sum().backward()
    rows, cols = (np.nonzero(x.grad.data[0, 0].any(axis=a))[0] for a in (1, 0))
    return (i, j), (rows[0], cols[0]), (int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1)


@pytest.mark.parametrize("make", [
    lambda: [nn.Conv2d(1, 2, 3), nn.Conv2d(2, 1, 3)],
    lambda: [nn.Conv2d(1, 2, 3, padding=1, stride=2), nn.BatchNorm2d(2).eval(),
             nn.Conv2d(2, 1, (1, 5), padding=(0, 2))],
    lambda: [nn.Conv2d(1, 2, 3, dilation=4, padding=4), nn.AvgPool2d(2), nn.Conv2d(2, 1, 3, padding="same")],
    lambda: [nn.AvgPool2d(3, stride=2, padding=1), nn.Conv2d(1, 1, 2, padding="same"), nn.Tanh()],
])
def test_the_receptive_field_is_where_the_gradient_is_not_zero(make):
    layers = [m.astype(np.float64) for m in make()]
    field = nn.receptive_field(nn.Sequential(*layers))
    output, start, size = measured(layers)
    assert field.size == size
    assert tuple(field.start[k] + output[k] * field.stride[k] for k in (0, 1)) == start


def test_known_fields():
    vgg = [(3,), (3,), (2, 2), (3,), (3,), (2, 2), *[(3,)] * 3, (2, 2), *[(3,)] * 3, (2, 2), *[(3,)] * 3, (2, 2)]
    assert nn.receptive_field(vgg).size == (212, 212)          # VGG-16 at pool5
    assert nn.receptive_field([]) == ((1, 1), (1, 1), (0, 0))
    assert nn.receptive_field([nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()), [(3, 2)]]).size == (5, 5)


@pytest.mark.parametrize("layers, error, text", [
    ([nn.ConvTranspose2d(1, 1, 2)], ArgError, "ConvTranspose2d is not a plain layer"),
    ([nn.GlobalAvgPool2d()], ShapeError, "sees the whole image"),
    ([networks.BasicBlock(1, 1, 1, 0)], ArgError, "BasicBlock is not a plain layer"),
    ([(0,)], ArgError, "kernel is 0"),
])
def test_what_is_no_chain_is_refused(layers, error, text):
    with pytest.raises(error, match=text):
        nn.receptive_field(layers)
