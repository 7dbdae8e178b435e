"""Fine-tuning switches and the folding of norms: results equal, parameters where they should be, slips refused."""

import copy

import numpy as np
import pytest

from minicv import cnn, nn
from minicv.autograd import Tensor
from minicv.cnn.finetune import freeze_batch_norm, replace_modules, train_only
from minicv.cnn.fold import fold, fold_batch_norm
from minicv.errors import ArgError

from .hashed import fill, hashed, image
from .test_networks import NETS

pytestmark = pytest.mark.ch2
LEFT = {"wide resnet": 4}              # pre-activation: norms that read a sum stay, and one that shares what it reads


def norms(model):
    return [m for m in model.modules() if isinstance(m, (nn.BatchNorm2d, nn.FrozenBatchNorm2d))]


@pytest.mark.parametrize("name", NETS)
def test_folded_networks_compute_the_same(name):
    net = fill(NETS[name]())
    x, before = Tensor(image((2, 3, 64, 64))), net.state_dict()
    folded = fold_batch_norm(net, (1, 3, 64, 64))
    y = net(x).data
    np.testing.assert_allclose(folded(x).data, y, rtol=0, atol=1e-12 * np.abs(y).max())
    assert len(norms(folded)) == LEFT.get(name, 0)
    assert net.state_dict().keys() == before.keys()
    assert all(np.array_equal(a, before[k]) for k, a in net.state_dict().items())


def test_folding_in_float32_is_as_exact_as_float32():
    net = fill(cnn.build("resnet20_cifar"), np.float32)
    x = Tensor(image((2, 3, 32, 32), np.float32))
    y = net(x).data
    np.testing.assert_allclose(fold_batch_norm(net, (1, 3, 32, 32))(x).data, y, rtol=0, atol=1e-5 * np.abs(y).max())


def test_folding_follows_its_equation():
    """Equation (1) with a loop over channels; a bias of the convolution is moved, too."""
    conv, norm = nn.Conv2d(3, 4, 3, rng=0).astype(np.float64), fill(nn.BatchNorm2d(4))
    nn.init.assign(conv.bias, hashed("b", (4,)))
    w, b = conv.weight.data.copy(), conv.bias.data.copy()
    fold(conv, norm)
    for o in range(4):
        s = norm.weight.data[o] / np.sqrt(norm.running_var.data[o] + norm.eps)
        np.testing.assert_allclose(conv.weight.data[o], s * w[o], rtol=1e-14)
        np.testing.assert_allclose(conv.bias.data[o], norm.bias.data[o] + s * (b[o] - norm.running_mean.data[o]),
                                   rtol=1e-13)


class Net(nn.Module):
    """Convolution `a` and norm `n`, put together by `function`."""

    def __init__(self, function):
        self.a, self.b, self.n, self.m = (nn.Conv2d(3, 3, 3, padding=1, rng=0), nn.Conv2d(3, 3, 1, rng=1),
                                          nn.BatchNorm2d(3), nn.BatchNorm2d(3))
        self.function = function

    def forward(self, x):
        return self.function(self, x)


@pytest.mark.parametrize("function, left", [
    (lambda net, x: net.n(net.a(x)), 1),                                   # m is never called: it stays
    (lambda net, x: net.m(net.b(net.n(net.a(x)))), 0),
    (lambda net, x: net.n(net.a(x)) + net.m(x), 1),                        # m reads the image
    (lambda net, x: (y := net.a(x)) + net.n(y), 2),                        # something else reads the result, too
    (lambda net, x: net.n(y := net.a(x)) + net.m(y), 2),                 # two norms read it
    (lambda net, x: net.n(net.a(x)) + net.m(net.a(x)), 2),                 # one convolution for two norms
    (lambda net, x: net.n(net.a(x)) + net.n(net.b(x)), 2),                 # one norm for two convolutions
    (lambda net, x: net.n(net.a(x) + 1), 2),                               # not the result itself
    (lambda net, x: net.n(net.a(x), residual=net.b(x), activation="relu"), 1),
    (lambda net, x: net.n(y := net.a(x), residual=y), 2),                  # normalised, and added
    (lambda net, x: net.n(x, residual=net.a(x), activation="relu"), 2),    # only added
    (lambda net, x: net.n(x=net.a(x)), 2),                                 # out of sight of the hooks
    (lambda net, x: net.n(net.a(x)) + net.a.weight.sum(), 2),              # something else reads the filters
])
def test_only_what_belongs_together_is_folded(function, left):
    net, x = fill(Net(function)), Tensor(image((2, 3, 6, 5)))
    folded = fold_batch_norm(net, (1, 3, 6, 5))
    assert len(norms(folded)) == left
    np.testing.assert_allclose(folded(x).data, net(x).data, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("pack", [lambda y, z: (z, y), lambda y, z: {"map": [y], "result": z}])
def test_a_result_of_the_model_is_not_folded(pack):
    net, x = fill(Net(lambda net, x: pack(y := net.a(x), net.n(y)))), Tensor(image((2, 3, 6, 5)))
    folded = fold_batch_norm(net, (1, 3, 6, 5))
    assert len(norms(folded)) == 2
    for got, wanted in zip(flat(folded(x)), flat(net(x)), strict=True):
        np.testing.assert_allclose(got.data, wanted.data, rtol=1e-12)


def flat(result):
    return [result["map"][0], result["result"]] if isinstance(result, dict) else result


def test_convolutions_with_the_same_filters_are_not_folded():
    net = Net(lambda net, x: net.m(net.b(net.n(net.a(x)))))
    net.b = nn.Conv2d(3, 3, 3, padding=1, rng=1)
    net, x = fill(net), Tensor(image((2, 3, 6, 5)))
    net.b.weight = net.a.weight
    folded = fold_batch_norm(net, (1, 3, 6, 5))
    np.testing.assert_allclose(folded(x).data, net(x).data, rtol=1e-12, atol=1e-13)


def test_folding_needs_an_example():
    with pytest.raises(ArgError, match="inputs is empty"):
        fold_batch_norm(NETS["resnet"]())


def test_hooks_are_removed_also_after_an_error():
    net = NETS["resnet"]()
    with pytest.raises(ValueError):
        fold_batch_norm(net, (1, 4, 64, 64))
    assert not any(h.function for m in net.modules() for h in m._before + m._after)


# Freezing -------------------------------------------------------------------------------------------------------


def test_only_the_named_parts_are_trained():
    net = train_only(NETS["resnet"](), "layer4", "fc.bias")
    trained = [name for name, p in net.named_parameters() if p.requires_grad]
    assert trained == [name for name, _ in net.named_parameters() if name.startswith("layer4.") or name == "fc.bias"]
    net(Tensor(image((2, 3, 64, 64), np.float32))).sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in net.parameters())
    assert all(p.requires_grad for p in net.unfreeze().parameters())
    assert not any(p.requires_grad for p in train_only(net).parameters())


def test_unknown_parts_are_refused_before_anything_is_frozen():
    net = NETS["resnet"]()
    with pytest.raises(ArgError, match="names has .'layer', 'head'."):
        train_only(net, "fc", "layer", "head")
    assert all(p.requires_grad for p in net.parameters())


def test_frozen_norms_keep_their_values_and_results():
    net = fill(NETS["resnext"](), np.float32)
    x = Tensor(image((2, 3, 64, 64), np.float32))
    y, state = net(x).data, net.state_dict()
    frozen = freeze_batch_norm(copy.deepcopy(net))
    assert all(type(m) is nn.FrozenBatchNorm2d for m in norms(frozen)) and len(norms(frozen)) == len(norms(net))
    np.testing.assert_array_equal(frozen(x).data, y)
    np.testing.assert_array_equal(frozen.train()(x).data, y)               # in training, too
    left = {k: a for k, a in state.items() if not k.endswith("num_batches_tracked")}
    assert frozen.state_dict().keys() == left.keys()
    assert all(np.array_equal(a, left[k]) for k, a in frozen.state_dict().items())


def test_frozen_norms_keep_their_precision_and_missing_scales():
    net = nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.BatchNorm2d(3)).astype(np.float64)
    assert all(b.dtype == np.float64 for name, b in freeze_batch_norm(net).named_buffers() if name.startswith("1."))
    np.testing.assert_array_equal(net[0].weight.data, np.ones(3))


def test_modules_are_replaced_under_all_their_names():
    class Holder(nn.Module):
        def __init__(self):
            self.one = nn.Identity()
            self.many = [self.one, (self.one, {"deep": self.one})]
    net, new = Holder(), nn.ReLU()
    replace_modules(net, {id(net.one): new})
    assert net.one is new and net.many[0] is new and net.many[1][0] is new and net.many[1][1]["deep"] is new
