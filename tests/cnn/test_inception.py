"""Inception networks: what a module costs, what the auxiliary heads do and do not, what the residual forms add.

Sizes are those of the papers and of timm; the gates for whole networks are in test_paper_size.py.
"""

import numpy as np
import pytest

from minicv import cnn, nn
from minicv.autograd import Tensor
from minicv.autograd.activation import relu
from minicv.autograd.conv import conv2d
from minicv.autograd.pool import max_pool2d
from minicv.cnn.inception import ROWS, VARIANTS, AuxiliaryHead, Inception, InceptionV1, Row, auxiliary_loss
from minicv.cnn.inception_resnet import BLOCK_B, InceptionResNetV2, ResidualMixed
from minicv.cnn.inception_v4 import BlockC, InceptionV4, Mixed
from minicv.errors import ArgError, ShapeError

from .hashed import fill, hashed, image
from .paper import nothing, weightless

pytestmark = pytest.mark.ch2
FEW = {"3a": Row(8, 8, 16, 4, 8, 8), "4a": Row(8, 8, 16, 4, 8, 8), "4d": Row(8, 8, 8, 4, 8, 8)}


def tiny(name="googlenet", **options):
    return InceptionV1(VARIANTS[name]._replace(dropout=0), rows=FEW, stem="cifar", num_classes=4, rng=0, **options)


def weights(module):
    return sum(p.size for p in module.parameters())


# Modules -----------------------------------------------------------------------------------------------------


def test_module_3a_has_its_parameters_and_channels():
    """Row 3a: 163 696 parameters with biases; channels of the result are the sum over the branches."""
    module = Inception(192, ROWS["3a"], norm=None, rng=0)
    assert weights(module) == 163_696
    assert module(Tensor(image((1, 192, 5, 7), np.float32))).shape == (1, 256, 5, 7)
    assert [row.out for row in ROWS.values()] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]       # table 1


def test_the_module_is_its_branches_side_by_side():
    """Against each branch computed from convolutions and pools alone: pool before projection (E2.1)."""
    module, x = fill(Inception(6, Row(2, 3, 4, 5, 6, 7), norm=None, rng=0)), image((2, 6, 8, 9))
    w = module.state_dict()
    step = lambda x, name, p: relu(conv2d(x, w[f"{name}.conv.weight"], w[f"{name}.conv.bias"], padding=(p, p)))
    parts = [step(x, "branch1", 0), step(step(x, "branch2.0", 0), "branch2.1", 1),
             step(step(x, "branch3.0", 0), "branch3.1", 2),
             step(max_pool2d(x, size=(3, 3), stride=(1, 1), padding=(1, 1)), "branch4.1", 0)]
    np.testing.assert_allclose(module(Tensor(x)).data, np.concatenate(parts, axis=1), rtol=0, atol=1e-13)


def test_the_reduction_saves_nine_tenths():
    """B2.6: 5x5 from 192 to 32 channels on 28 x 28, direct and through 16 channels."""
    direct = nn.cost(nn.Conv2d(192, 32, 5, padding=2, bias=False, rng=0), (1, 192, 28, 28)).macs
    branch = nn.Sequential(nn.Conv2d(192, 16, 1, rng=0), nn.Conv2d(16, 32, 5, padding=2, rng=0))
    assert (direct / 1e6, nn.cost(branch, (1, 192, 28, 28)).macs / 1e6) == pytest.approx((120.4, 12.4), abs=0.06)


def test_factorised_filters_use_14_of_49_weights():
    whole = weights(nn.Conv2d(8, 8, 7, bias=False, rng=0))
    parts = weights(nn.Conv2d(8, 8, (1, 7), bias=False, rng=0)) + weights(nn.Conv2d(8, 8, (7, 1), bias=False, rng=0))
    assert parts * 49 == whole * 14


@pytest.mark.parametrize("figure, C, out", [
    (cnn.inception_v4.BLOCK_A, 384, 384), (cnn.inception_v4.BLOCK_B, 1024, 1024),
    (cnn.inception_v4.REDUCTION_A, 384, 640), (cnn.inception_v4.REDUCTION_B, 1024, 512),
    (cnn.inception_resnet.MIXED_5B, 192, 320), (cnn.inception_resnet.REDUCTION_A, 320, 768),
    (cnn.inception_resnet.REDUCTION_B, 1088, 992)])
def test_figures_have_the_channels_of_the_paper(figure, C, out):
    """Without those of max pools, which are C more (fig. 4 to 8, 16 to 19)."""
    with weightless():
        mixed = Mixed(C, figure)
        pooled = mixed(Tensor(nothing((1, C, 17, 17)))).shape
    assert mixed.out_channels == pooled[1]
    assert pooled[1] == out + C * any(steps == ("max",) for steps in figure)
    assert pooled[2:] == ((8, 8) if any("max" in steps for steps in figure) else (17, 17))


def test_module_c_splits_its_columns():
    block = BlockC(16, width=1 / 32, rng=0).eval()
    assert block(Tensor(image((1, 16, 8, 8), np.float32))).shape == (1, 48, 8, 8) and block.out_channels == 48


# Auxiliary heads ------------------------------------------------------------------------------------------------


def test_auxiliary_heads_speak_in_training_only():
    net, x = tiny(aux=True), Tensor(image((2, 3, 32, 32), np.float32))
    assert [y.shape for y in net(x)] == [(2, 4)] * 3
    y = net.eval()(x)
    assert isinstance(y, Tensor) and y.shape == (2, 4)
    for name in ("aux1", "aux2"):
        nn.init.assign(getattr(net, name).fc2.weight, np.full((4, 1024), np.nan))
    np.testing.assert_array_equal(net(x).data, y.data)                              # and are not read in evaluation


def test_heads_look_at_4a_and_4d_alone():
    assert list(tiny(aux=True).heads.values()) == ["4a", "4d"] and tiny().heads == {}
    assert not any(name.startswith("aux") for name in tiny().state_dict())


def test_the_loss_weighs_auxiliary_heads_with_three_tenths():
    """E2.2, and the loss of a network without heads is the plain one."""
    logits = [Tensor(hashed(f"logits {i}", (3, 5))) for i in range(3)]
    target = np.array([0, 4, 2])
    a, b, c = (nn.cross_entropy(y, target).item() for y in logits)
    assert auxiliary_loss(tuple(logits), target).item() == pytest.approx(a + 0.3 * (b + c), rel=1e-12)
    assert auxiliary_loss(logits[0], target).item() == a
    assert auxiliary_loss(tuple(logits), target, weight=0).item() == pytest.approx(a, rel=1e-12)


def test_one_step_lowers_the_joint_loss_and_reaches_every_parameter():
    net, x, t = tiny(aux=True), Tensor(image((8, 3, 32, 32), np.float32)), np.arange(8) % 4
    net.aux1.dropout.p = net.aux2.dropout.p = 0
    loss = auxiliary_loss(net(x), t)
    loss.backward()
    square = sum(float((p.grad.data.astype(np.float64) ** 2).sum()) for p in net.parameters())
    for p in net.parameters():
        nn.init.assign(p, p.data - 0.1 * loss.item() / square * p.grad.data)
    assert auxiliary_loss(net(x), t).item() < loss.item()


def test_heads_drop_seven_tenths():
    assert AuxiliaryHead(4, 2, rng=0).dropout.p == 0.7


def test_the_head_of_the_paper_needs_its_grid_and_the_other_adapts():
    head = AuxiliaryHead(8, 4, norm=None, rng=0)
    assert head(Tensor(image((2, 8, 14, 14), np.float32))).shape == (2, 4)
    with pytest.raises(ShapeError, match=r"AuxiliaryHead: x has shape \(2, 8, 12, 14\), expected \(N, C, 14, 14\)"):
        head(Tensor(image((2, 8, 12, 14), np.float32)))
    assert AuxiliaryHead(8, 4, rng=0)(Tensor(image((2, 8, 5, 9), np.float32))).shape == (2, 4)


# Networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["inception_v1", "googlenet"])
def test_224_pixels_go_through_the_grids_of_table_1(name):
    with weightless():
        maps = cnn.build(name).eval().features(Tensor(nothing((1, 3, 224, 224))))
    assert {k: y.shape[1:] for k, y in maps.items()} == {
        "c1": (64, 112, 112), "c2": (192, 56, 56), "c3": (480, 28, 28), "c4": (832, 14, 14), "c5": (1024, 7, 7)}


@pytest.mark.parametrize("name", ["inception_v4", "inception_resnet_v2"])
def test_299_pixels_go_through_the_grids_of_the_figures(name):
    with weightless():
        net, x = cnn.build(name).eval(), Tensor(nothing((1, 3, 299, 299)))
        maps = net.pyramid(x) if name == "inception_v4" else net.features(x)
    channels = (64, 192, 384, 1024, 1536) if name == "inception_v4" else (64, 192, 320, 1088, 1536)
    assert {k: y.shape[1:] for k, y in maps.items()} == {
        f"c{i}": (C, n, n) for i, (C, n) in enumerate(zip(channels, (147, 71, 35, 17, 8), strict=True), 1)}


def test_small_stems_keep_small_images():
    x = Tensor(image((1, 3, 32, 32), np.float32))
    net = InceptionV4((1, 1, 1), stem="cifar", width=1 / 32, rng=0).eval()
    assert [y.shape[2] for y in net.pyramid(x).values()] == [32, 15, 7]
    net = InceptionResNetV2((1, 1, 2), stem="cifar", width=1 / 32, rng=0).eval()
    assert {k: y.shape[2] for k, y in net.features(x).items()} == {"c3": 32, "c4": 15, "c5": 7}


def test_global_pooling_takes_images_of_any_size_and_saves_fifty_million_weights():
    """A linear layer on 7 x 7 x 1024 would have 50.2 million weights; this one has 1.02."""
    net = tiny().eval()
    for shape in ((1, 3, 32, 32), (1, 3, 47, 61)):
        assert net(Tensor(image(shape, np.float32))).shape == (1, 4)
    assert 49 * 1024 * 1000 == 50_176_000 and nn.Linear(1024, 1000, rng=0).weight.size == 1_024_000


def test_residual_modules_follow_their_equation():
    """x + scale W concat(...), linear or through relu, and the identity for W = 0."""
    x = hashed("x", (2, 32, 6, 7))
    for linear in (True, False):
        block = fill(ResidualMixed(32, BLOCK_B, scale=0.1, linear=linear, width=1 / 32, rng=0))
        mixed = np.concatenate([block.branch0(Tensor(x)).data, block.branch1(Tensor(x)).data], axis=1)
        w, b = block.conv2d.weight.data[:, :, 0, 0], block.conv2d.bias.data
        y = x + 0.1 * (np.einsum("oc,nchw->nohw", w, mixed) + b[:, None, None])
        np.testing.assert_allclose(block(Tensor(x)).data, y if linear else np.maximum(y, 0), rtol=0, atol=1e-13)
        nn.init.assign(block.conv2d.weight, np.zeros(block.conv2d.weight.shape))
        nn.init.assign(block.conv2d.bias, np.zeros(32))
        np.testing.assert_array_equal(block(Tensor(x)).data, x if linear else np.maximum(x, 0))


def test_the_published_residual_network_has_the_published_scales():
    with weightless():
        net = cnn.build("inception_resnet_v2")
    found = [[block.scale for block in stage] for stage in (net.repeat, net.repeat_1, net.repeat_2)]
    assert found == [[0.17] * 10, [0.10] * 20, [0.20] * 9]
    assert net.block8.scale == 1 and net.block8.linear and not net.repeat_2[8].linear


# Slips ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make, words", [
    (lambda: Inception(8, Row(0, 8, 8, 8, 8, 8), rng=0), "out_channels is 0"),
    (lambda: cnn.build("googlenet", stem="small"), "InceptionV1: stem is 'small'"),
    (lambda: cnn.build("googlenet", num_classes=0), "num_classes is 0"),
    (lambda: cnn.inception.build("inception_v4"), "inception.build: name is 'inception_v4'"),
    (lambda: InceptionV4((1, 0, 1)), "InceptionV4: depths is 0"),
    (lambda: InceptionV4(width=0), "InceptionV4: width is 0"),
    (lambda: InceptionResNetV2(stem="small"), "InceptionResNetV2: stem is 'small'"),
    (lambda: ResidualMixed(32, BLOCK_B, scale=0, rng=0), "ResidualMixed: scale is 0"),
    (lambda: ResidualMixed(32, BLOCK_B, scale=-0.1, rng=0), "ResidualMixed: scale is -0.1"),
    (lambda: auxiliary_loss(Tensor(np.zeros((1, 2))), np.zeros(1, int), weight=-1), "auxiliary_loss: weight is -1"),
    (lambda: InceptionV4((1, 1)), r"InceptionV4: depths is \(1, 1\), expected 3 integers"),
    (lambda: InceptionResNetV2((1, 1, 1), scales=(0.1, 0.2)), "InceptionResNetV2: scales is .*, expected three"),
    (lambda: ResidualMixed(32, BLOCK_B, width=0, rng=0), "Mixed: width is 0"),
    (lambda: cnn.build("googlenet", rows={}), "InceptionV1: rows has nothing"),
    (lambda: cnn.build("googlenet", rows={"4a": FEW["4a"], "3a": FEW["3a"]}), "InceptionV1: rows has 4a, 3a"),
    (lambda: cnn.build("googlenet", rows={"3a": FEW["3a"], "5a": FEW["4a"]}), "InceptionV1: rows has 3a, 5a"),
    (lambda: cnn.build("googlenet", rows={"3a": FEW["3a"]}, aux=True), "rows has 3a, expected 4a or 4d among them"),
])
def test_impossible_networks_are_refused(make, words):
    with pytest.raises(ArgError, match=words):
        make()


def test_the_stem_may_be_narrow():
    net = tiny(stem_channels=(5, 7))
    assert net.conv1.out_channels == net.conv2.out_channels == 5 and net.inception3a.branch1.conv.in_channels == 7
    assert net(Tensor(image((2, 3, 16, 16), np.float32))).shape == (2, 4)
    with pytest.raises(ArgError, match="InceptionV1: stem_channels is 0"):
        tiny(stem_channels=(0, 7))


def test_images_that_are_too_small_are_refused():
    net = InceptionV1(VARIANTS["googlenet"], rows=FEW, num_classes=4, rng=0)
    with pytest.raises(ShapeError, match="InceptionV1: x has shape .1, 3, 31, 40., expected at least 32"):
        net(Tensor(np.zeros((1, 3, 31, 40), np.float32)))
