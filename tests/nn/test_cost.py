"""Costs: what is proved here.

MACs and biases agree with loops, formulas, published networks and tables; functional calls count; ops of unknown
cost are refused; receptive fields are where the gradient is not zero.
"""

import pkgutil
from importlib import import_module

import numpy as np
import pytest

import minicv
from minicv import nn
from minicv.autograd import Op, Tensor, op
from minicv.autograd.conv import conv2d
from minicv.autograd.linalg import einsum, inv, solve
from minicv.errors import ArgError, ShapeError
from minicv.nn.cost import COSTLESS, COSTLESS_MODULES, MACS

from . import networks


def test_resnet18_has_its_published_size():
    """Parameters and multiply-adds of torchvision's ResNet-18 at 224 x 224."""
    total = nn.cost(networks.ResNet(), (1, 3, 224, 224))
    assert total.parameters == 11_689_512
    assert total.macs == 1_814_073_344
    assert total["conv1"].macs == 112 * 112 * 64 * 3 * 49
    assert total["layer1.0"].output == (1, 64, 56, 56)
    assert total["fc"][3:] == (513_000, 512_000, 1000, 1000)


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


@pytest.mark.parametrize("layer, x, biases", [
    (lambda: nn.Conv2d(4, 6, 3, stride=2, groups=2), (2, 4, 7, 9), 2 * 6 * 3 * 4),
    (lambda: nn.Conv2d(4, 6, 3, bias=False), (2, 4, 7, 9), 0),
    (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 5), 6 * 11 * 11),
    (lambda: nn.Linear(5, 7), (2, 3, 5), 2 * 3 * 7),
    (lambda: nn.Linear(5, 7, bias=False), (2, 3, 5), 0),
    (lambda: nn.MultiHeadAttention(8, 2), (2, 5, 8), 2 * 5 * (24 + 8)),
    (lambda: nn.BatchNorm2d(3), (2, 3, 4, 4), 0),
])
def test_biases_are_counted_once_for_each_output_value(layer, x, biases):
    total = nn.cost(layer(), x)
    assert total.rows[0].biases == biases
    assert total.flops() == 2 * total.macs + biases and total.flops(per_mac=1, bias=False) == total.macs
    assert total.flops(per_mac=1) == total.macs + biases and total.flops(bias=False) == 2 * total.macs


def test_a_residual_sum_is_no_bias():
    class Net(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(3, 3, bias=False)

        def forward(self, x):
            return self.fc(x) + x
    assert nn.cost(Net(), (2, 3)).rows[0].biases == 0


@pytest.mark.parametrize("per_mac", [0, 3, 1.5, True])
def test_unknown_conventions_are_refused(per_mac):
    with pytest.raises(ArgError, match="flops: per_mac is"):
        nn.cost(nn.Linear(2, 2), (1, 2)).flops(per_mac=per_mac)


def alexnet(channels=(96, 256, 384, 384, 256), padding=0):
    """The convolutions of an ungrouped AlexNet, with Caffe's sizes."""
    a, b, c, d, e = channels
    return nn.Sequential(
        nn.Conv2d(3, a, 11, stride=4, padding=padding, rng=0), nn.MaxPool2d(3, stride=2),
        nn.Conv2d(a, b, 5, padding=2, rng=0), nn.MaxPool2d(3, stride=2),
        *[nn.Conv2d(i, o, 3, padding=1, rng=0) for i, o in ((b, c), (c, d), (d, e))])


@pytest.mark.ch4
def test_the_table_of_fast_rcnn():
    """B4.6: operations of AlexNet for one crop and for a whole image, in the table's convention and as MACs."""
    crop, image = nn.cost(alexnet(), (1, 3, 227, 227)), nn.cost(alexnet(padding=2), (1, 3, 600, 600))
    assert (round(crop.macs / 1e6, 1), round(crop.flops() / 1e6, 1)) == (1076.6, 2153.9)
    assert (round(image.flops(bias=False) / 1e6, 1), round(image.flops() / 1e6, 1)) == (16302.6, 16307.4)
    head = nn.Sequential(nn.Linear(9216, 4096, rng=0), nn.Linear(4096, 4096, rng=0), nn.Linear(4096, 1000, rng=0))
    head = nn.cost(head, (1, 9216))
    assert (round(head.macs / 1e6, 2), round(head.flops() / 1e6, 2)) == (58.62, 117.25)


@op
def own_product(x):
    """Sum of products of all pairs of columns."""
    return x @ x.swapaxes(0, 1)


def test_an_op_of_unknown_cost_is_refused_until_it_is_registered(monkeypatch):
    class Net(nn.Module):
        def forward(self, x):
            return own_product(x)
    monkeypatch.setitem(MACS, own_product, None)                       # and forgotten again after the test
    net = Net()
    with pytest.raises(ArgError, match=r"cost: own_product in .* has no known cost.*register_macs\(own_product"):
        nn.cost(net, (2, 3))
    assert not any(h.function for h in net._before + net._after)
    nn.register_macs(own_product, lambda inputs, settings, y: y.size * inputs[0].shape[1])
    assert nn.cost(net, (2, 3)).macs == 12
    with pytest.raises(ArgError, match="op is 'own_product', expected an Op"):
        nn.register_macs("own_product", None)


def test_every_op_of_the_library_has_a_known_cost():
    """What `cost` would refuse is found here first: give a new op its rule, or say that it costs nothing."""
    for info in pkgutil.walk_packages(minicv.__path__, "minicv."):
        if info.name.split(".")[1] not in ("experiments", "testing", "__main__"):
            import_module(info.name)
    ours = [op for op in Op.registry.values() if op.__module__.startswith("minicv.")
            and not op.__module__.startswith("minicv.experiments.")]
    unknown = [op for op in ours if op not in MACS and op not in COSTLESS and op.__module__ not in COSTLESS_MODULES]
    assert not unknown


@pytest.mark.parametrize("f", [inv, lambda a: solve(a, np.ones((5, 2)))])
def test_elimination_counts_what_loops_count(f):
    class Net(nn.Module):
        def forward(self, a):
            return f(a)
    n, columns, count = 5, 5 if f is inv else 2, 0
    for k in range(n):                                       # Gaussian elimination, then both substitutions
        for _ in range(k + 1, n):
            count += 1 + len(range(k + 1, n))
    count += columns * (sum(range(n)) + sum(1 + n - 1 - i for i in range(n)))
    assert nn.cost(Net(), Tensor(np.eye(n))).macs == count


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
