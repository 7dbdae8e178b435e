"""Networks of all families: what holds whatever the weights are.

Shapes and strides of feature maps; dilation instead of stride computes the same at the pixels that remain; zero
scales make blocks identities; every network learns; activations stay channels-last; slips are refused.
"""

import copy
import pickle
from functools import partial

import numpy as np
import pytest

from minicv import cnn, nn
from minicv.autograd import Tensor
from minicv.autograd.modes import observe
from minicv.cnn.anynet import AnyNet, Stage
from minicv.cnn.efficientnet import B0, EfficientNet
from minicv.cnn.inception import InceptionV1, Row
from minicv.cnn.inception_resnet import InceptionResNetV2
from minicv.cnn.inception_v4 import InceptionV4
from minicv.cnn.mobilenet import MobileNetV1, MobileNetV2
from minicv.cnn.mobilenet_v3 import SMALL, MobileNetV3
from minicv.cnn.regnet import Spec as Spec6
from minicv.cnn.regnet import regnet
from minicv.cnn.resnet import BasicBlock, Bottleneck, ResNet, Spec
from minicv.cnn.senet import SEBasicBlock, SEBottleneck, SENet
from minicv.errors import ArgError, ShapeError
from minicv.kernels.layout import channels_last, is_channels_last

from .hashed import fill, hashed, image

pytestmark = pytest.mark.ch2
THIN = dict(widths=(8, 8, 16, 16), num_classes=4, rng=0)
FEW = {"3a": Row(8, 8, 16, 4, 8, 8), "4a": Row(8, 8, 16, 4, 8, 8), "5a": Row(8, 8, 16, 4, 8, 8)}
NETS = {            # a small network of every family
    "resnet": lambda: ResNet(Spec(BasicBlock, (1, 1, 1, 1)), **THIN),
    "resnet cifar form": lambda: ResNet(Spec(BasicBlock, (1, 1, 1, 1)), stem="cifar", **THIN),
    "resnext": lambda: ResNet(Spec(Bottleneck, (1, 1, 1, 1), 4, 16), **THIN),
    "resnet v1": lambda: ResNet(Spec(Bottleneck, (1, 2, 1, 1)), stride_in="1x1", **THIN),
    "dilated": lambda: ResNet(Spec(BasicBlock, (1, 1, 1, 1)), replace_stride_with_dilation=(False, True, True), **THIN),
    "seresnet": lambda: SENet(Spec(SEBasicBlock, (1, 1, 1, 1)), stem="cifar", **THIN),
    "seresnext": lambda: SENet(Spec(SEBottleneck, (1, 1, 1, 1), 4, 16), **THIN),
    "cifar resnet": lambda: cnn.resnet_cifar.CifarResNet(8, num_classes=4, width=8, rng=0),
    "wide resnet": lambda: cnn.wide_resnet.WideResNet(10, 1, num_classes=4, rng=0),
    "mobilenet v1": lambda: MobileNetV1(num_classes=4, width=0.25, stages=((32, 1), (64, 2)), rng=0),
    "mobilenet v2": lambda: MobileNetV2(num_classes=4, width=0.25, rows=((1, 16, 1, 1), (4, 32, 2, 2)), dropout=0,
                                        rng=0),
    "mobilenet v3": lambda: MobileNetV3(SMALL[:4], 16, num_classes=4, width=0.5, dropout=0, rng=0),
    "efficientnet": lambda: EfficientNet(0.25, 0.5, rows=B0[:4], num_classes=4, dropout=0, drop_path=0, rng=0),
    "regnet x": lambda: regnet(Spec6(5, 16, 8, 2.0, 8), four=False, stem=8, stem_stride=1, num_classes=4, rng=0),
    "regnet y": lambda: regnet(Spec6(5, 16, 8, 2.0, 8, 0.25), four=False, stem=8, num_classes=4, rng=0),
    "anynet": lambda: AnyNet([Stage(1, 16, 4, 2), Stage(2, 24, 8)], num_classes=4, rng=0),
    "alexnet": lambda: cnn.alexnet.AlexNet((4, 8, 8, 8, 8), num_classes=4, hidden=16, dropout=0, rng=0),
    "inception v1": lambda: InceptionV1(cnn.inception.VARIANTS["inception_v1"]._replace(dropout=0), rows=FEW,
                                        num_classes=4, rng=0),
    "googlenet": lambda: InceptionV1(cnn.inception.VARIANTS["googlenet"]._replace(dropout=0), rows=FEW, stem="cifar",
                                     num_classes=4, rng=0),
    "inception v4": lambda: InceptionV4((1, 1, 1), stem="cifar", width=1 / 32, dropout=0, num_classes=4, rng=0),
    "inception resnet": lambda: InceptionResNetV2((1, 1, 2), stem="cifar", width=1 / 32, dropout=0, num_classes=4,
                                                  rng=0),
    "vgg": lambda: cnn.build("vgg11", num_classes=4, widths=(4, 8, 8, 8, 8), hidden=16, dropout=0, rng=0),
    "vgg with norms": lambda: cnn.build("vgg11", num_classes=4, widths=(4, 8, 8, 8, 8), hidden=16, dropout=0,
                                        batch_norm=True, rng=0),
}


def batch(side=64, n=8):
    return np.random.default_rng(1).standard_normal((n, 3, side, side)).astype(np.float32), np.arange(n) % 4


@pytest.mark.parametrize("name", NETS)
def test_one_step_against_the_gradient_lowers_the_loss(name):
    """Step length 0.1 L / |g|², which to first order takes a tenth of the loss away."""
    net, (x, t) = NETS[name](), batch()
    loss = nn.cross_entropy(net(Tensor(x)), t)
    loss.backward()
    assert all(p.grad is not None and np.isfinite(p.grad.data).all() for p in net.parameters())
    square = sum(float((p.grad.data.astype(np.float64) ** 2).sum()) for p in net.parameters())
    for p in net.parameters():
        nn.init.assign(p, p.data - 0.1 * loss.item() / square * p.grad.data)
    assert nn.cross_entropy(net(Tensor(x)), t).item() < loss.item()


@pytest.mark.parametrize("name", NETS)
def test_every_activation_is_channels_last(name):
    net, wrong = NETS[name](), []

    def look(op, inputs, settings, y):
        if y.ndim == 4 and not is_channels_last(y.data):
            wrong.append((op.name, y.shape, y.data.strides))
    with observe(look):
        y = net(Tensor(channels_last(batch(n=2)[0])))
    assert y.shape == (2, 4) and not wrong


@pytest.mark.parametrize("name", NETS)
def test_evaluation_is_per_image_and_writes_nothing(name):
    net, (x, _) = NETS[name]().eval(), batch(n=3)
    before = net.state_dict()
    together, alone = net(Tensor(x)).data, np.concatenate([net(Tensor(x[i:i + 1])).data for i in range(3)])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5 * np.abs(alone).max())
    assert all(np.array_equal(a, before[k]) for k, a in net.state_dict().items())


@pytest.mark.parametrize("name", NETS)
def test_no_images_give_no_logits(name):
    assert NETS[name]().eval()(Tensor(np.zeros((0, 3, 64, 64), np.float32))).shape == (0, 4)


@pytest.mark.parametrize("name", NETS)
def test_copies_and_pickles_compute_the_same_and_share_nothing(name):
    net, x = NETS[name]().eval(), Tensor(batch(n=1)[0])
    y = net(x).data
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other(x).data, y)
        nn.init.assign(other.parameters()[0], np.zeros(other.parameters()[0].shape))
    np.testing.assert_array_equal(net(x).data, y)


@pytest.mark.parametrize("name", NETS)
def test_the_same_seed_makes_the_same_network(name):
    a, b = NETS[name]().state_dict(), NETS[name]().state_dict()
    assert all(np.array_equal(a[k], b[k]) for k in a)


# Residual networks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replaced, strides", [
    ((False, False, False), (4, 8, 16, 32)), ((False, False, True), (4, 8, 16, 16)),
    ((False, True, True), (4, 8, 8, 8)), ((True, True, True), (4, 4, 4, 4))])
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_feature_maps_have_the_stated_channels_and_strides(block, replaced, strides):
    net = ResNet(Spec(block, (1, 1, 2, 1)), replace_stride_with_dilation=replaced, **THIN).eval()
    maps = net.features(Tensor(image((1, 3, 64, 96), np.float32)))
    assert list(maps) == list(net.channels) == ["c2", "c3", "c4", "c5"]
    assert tuple(net.strides.values()) == strides
    for name, y in maps.items():
        s = net.strides[name]
        assert y.shape == (1, net.channels[name], 64 // s, 96 // s)


@pytest.mark.parametrize("stride_in", ["3x3", "1x1"])
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("replaced, step", [((False, False, True), 2), ((False, True, True), 4)])
def test_dilation_for_stride_computes_the_same_at_every_second_pixel(block, stride_in, replaced, step):
    """The reason to dilate: the weights of the strided network keep their meaning (Yu et al., CVPR 2017)."""
    make = partial(ResNet, Spec(block, (1, 1, 2, 2)), stride_in=stride_in, **THIN)
    x = Tensor(image((1, 3, 64, 64)))
    plain, dilated = fill(make()), fill(make(replace_stride_with_dilation=replaced))
    assert plain.state_dict().keys() == dilated.state_dict().keys()
    a, b = plain.features(x)["c5"].data, dilated.features(x)["c5"].data
    np.testing.assert_allclose(b[:, :, ::step, ::step], a, rtol=0, atol=1e-12 * np.abs(a).max())


@pytest.mark.parametrize("block, norm", [(BasicBlock, "bn2"), (Bottleneck, "bn3"), (SEBasicBlock, "bn2")])
def test_zero_initialised_blocks_are_identities(block, norm):
    """With F = 0 a block is relu(x), exactly (Goyal et al., §5.1)."""
    net = (SENet if issubclass(block, SEBasicBlock) else ResNet)(
        Spec(block, (2, 2, 2, 2)), zero_init_residual=True, **THIN)
    x = np.abs(hashed("x", (2, 16 * block.expansion, 5, 6))).astype(np.float32)
    inner = net.layer4[1].eval()
    assert not getattr(inner, norm).weight.data.any()
    np.testing.assert_array_equal(inner(Tensor(x)).data, x)
    np.testing.assert_array_equal(inner(Tensor(-x)).data, 0 * x)


def test_both_places_of_the_stride_have_the_same_weights_and_shapes():
    a, b = (Bottleneck(8, 4, stride=2, stride_in=place, rng=0) for place in ("3x3", "1x1"))
    assert {k: v.shape for k, v in a.state_dict().items()} == {k: v.shape for k, v in b.state_dict().items()}
    x = Tensor(image((1, 8, 9, 8), np.float32))
    assert a(x).shape == b(x).shape == (1, 16, 5, 4)
    assert a.conv2.stride == b.conv1.stride == (2, 2) and a.conv1.stride == b.conv2.stride == (1, 1)


def test_a_headless_network_returns_pooled_features():
    net = ResNet(Spec(BasicBlock, (1, 1, 1, 1)), **(THIN | {"num_classes": 0})).eval()
    x = Tensor(image((2, 3, 64, 64), np.float32))
    assert not any(name.startswith("fc") for name in net.state_dict())
    np.testing.assert_allclose(net(x).data, net.features(x)["c5"].data.mean(axis=(2, 3)), rtol=1e-5, atol=1e-6)


def test_a_backbone_with_frozen_norms_has_constants_for_norms():
    net = ResNet(Spec(Bottleneck, (1, 1, 1, 1)), norm=nn.FrozenBatchNorm2d, **THIN)
    assert not any("num_batches_tracked" in name for name in net.state_dict())
    assert not any(".bn" in name for name, _ in net.named_parameters())
    net(Tensor(batch(n=2)[0])).sum().backward()
    assert np.abs(net.conv1.weight.grad.data).max() > 0


def test_option_a_samples_and_pads_with_zeros():
    """He et al., §4.2: without F the block passes on every second pixel, between zero channels."""
    block = cnn.resnet_cifar.CifarBlock(4, 8, stride=2, rng=0).eval()
    nn.init.assign(block.bn2.weight, np.zeros(8))
    x = np.abs(hashed("x", (2, 4, 6, 8))).astype(np.float32)
    y = block(Tensor(x)).data
    np.testing.assert_array_equal(y[:, 2:6], x[:, :, ::2, ::2])
    assert not y[:, :2].any() and not y[:, 6:].any()


def test_wide_blocks_pass_x_on_untouched():
    """Pre-activation: with a zero last convolution the block is the identity, also for negative x."""
    block = cnn.wide_resnet.WideBlock(8, 8, rng=0).eval()
    nn.init.assign(block.conv2.weight, np.zeros(block.conv2.weight.shape))
    x = hashed("x", (1, 8, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(block(Tensor(x)).data, x)


def test_wide_dropout_acts_in_training_only():
    net = cnn.wide_resnet.WideResNet(10, 1, dropout=0.5, rng=0)
    x = Tensor(image((2, 3, 32, 32), np.float32))
    assert not np.array_equal(net(x).data, net(x).data)
    net.eval()
    np.testing.assert_array_equal(net(x).data, net(x).data)


# Gates --------------------------------------------------------------------------------------------------------


def test_the_gate_is_a_number_between_0_and_1_for_each_channel_and_ignores_positions():
    se, x = cnn.squeeze.SqueezeExcite(32, rng=0), hashed("x", (2, 32, 5, 7)).astype(np.float32)
    gate = se.gate(Tensor(x)).data
    assert gate.shape == (2, 32, 1, 1) and (gate > 0).all() and (gate < 1).all()
    order = np.random.default_rng(0).permutation(35)
    mixed = x.reshape(2, 32, 35)[:, :, order].reshape(x.shape)
    np.testing.assert_allclose(se.gate(Tensor(mixed)).data, gate, rtol=1e-6)
    np.testing.assert_array_equal(se(Tensor(x)).data, x * gate)


def test_an_open_gate_is_the_identity():
    se, x = cnn.squeeze.SqueezeExcite(16, rng=0), hashed("x", (1, 16, 3, 3)).astype(np.float32)
    nn.init.assign(se.fc2.bias, np.full(16, 50.0))
    np.testing.assert_array_equal(se(Tensor(x)).data, x)


def test_the_gate_follows_equations_2_to_4():
    se, x = cnn.squeeze.SqueezeExcite(32, 4, rng=0).astype(np.float64), hashed("x", (2, 32, 3, 4))
    w1, b1, w2, b2 = (t.data.reshape(t.shape[:2]) if t.ndim > 1 else t.data for t in se.parameters())
    z = x.mean(axis=(2, 3))
    s = 1 / (1 + np.exp(-(np.maximum(z @ w1.T + b1, 0) @ w2.T + b2)))
    np.testing.assert_allclose(se(Tensor(x)).data, s[:, :, None, None] * x, rtol=1e-12)


# MobileNets -----------------------------------------------------------------------------------------------------


def test_inverted_residuals_end_linear_and_skip_where_they_can():
    x = hashed("x", (1, 8, 6, 6)).astype(np.float32)
    block = cnn.mobilenet.InvertedResidual(8, 8, t=3, rng=0).eval()
    assert (block.conv(Tensor(x)).data < 0).any()
    np.testing.assert_array_equal(block(Tensor(x)).data, x + block.conv(Tensor(x)).data)
    for C, stride in ((8, 2), (12, 1)):
        block = cnn.mobilenet.InvertedResidual(8, C, stride=stride, rng=0).eval()
        np.testing.assert_array_equal(block(Tensor(x)).data, block.conv(Tensor(x)).data)
    assert len(cnn.mobilenet.InvertedResidual(8, 8, t=1, rng=0).conv) == 3


@pytest.mark.parametrize("name, maps", [
    ("mobilenet_v1", (64, 128, 256, 512, 1024)), ("mobilenet_v2", (16, 24, 32, 96, 1280)),
    ("mobilenet_v3_large", (16, 24, 40, 112, 960)), ("mobilenet_v3_small", (16, 16, 24, 48, 576))])
def test_mobilenets_give_the_last_map_of_each_size(name, maps):
    net = cnn.build(name, num_classes=2, rng=0).eval()
    x = Tensor(image((1, 3, 64, 96), np.float32))
    found = net.features(x) if name == "mobilenet_v1" else net.pyramid(x)
    assert {k: y.shape for k, y in found.items()} == {
        f"c{i}": (1, C, 64 >> i, 96 >> i) for i, C in enumerate(maps, 1)}


def test_vgg_gives_each_block_before_its_pool():
    net = cnn.build("vgg16", num_classes=2, widths=(4, 8, 8, 8, 8), hidden=8, rng=0).eval()
    x = Tensor(image((1, 3, 64, 96), np.float32))
    assert {k: y.shape for k, y in net.pyramid(x).items()} == {
        f"c{i}": (1, C, 128 >> i, 192 >> i) for i, C in enumerate((4, 8, 8, 8, 8), 1)}
    np.testing.assert_array_equal(net.features[30](net.pyramid(x)["c5"]).data, net.features(x).data)


@pytest.mark.parametrize("width, last", [(0.5, 1280), (1.0, 1280), (1.4, 1792)])
def test_the_last_channels_of_mobilenet_v2_only_grow(width, last):
    net = MobileNetV2(width=width, rows=((1, 8, 1, 1),), num_classes=2, rng=0)
    assert net.features[2][0].out_channels == net.classifier[1].in_features == last


def test_norms_of_mobilenet_v3_are_those_of_the_published_networks():
    found = [m for m in MobileNetV3(SMALL[:2], 8, num_classes=2, rng=0).modules() if isinstance(m, nn.BatchNorm2d)]
    assert found and all((m.eps, m.momentum) == (1e-3, 0.01) for m in found)


@pytest.mark.parametrize("channels, rounded", [(1, 8), (11.2, 16), (12, 16), (16, 16), (19.9, 24), (28, 32), (45, 48)])
def test_channels_are_rounded_to_multiples_of_8_and_lose_at_most_a_tenth(channels, rounded):
    assert cnn.squeeze.round_channels(channels) == rounded and rounded >= 0.9 * channels


# Slips ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make, words", [
    (lambda: cnn.build("resnet19"), "name is 'resnet19'"),
    (lambda: cnn.resnet.build("vgg16"), "resnet.build: name is 'vgg16'"),
    (lambda: cnn.build("resnet18", stem="small"), "stem is 'small'"),
    (lambda: cnn.build("resnet18", stride_in="2x2"), "ResNet: stride_in is '2x2'"),
    (lambda: Bottleneck(8, 4, stride_in="2x2"), "Bottleneck: stride_in is '2x2'"),
    (lambda: cnn.build("resnet18", num_classes=-1), "num_classes is -1"),
    (lambda: cnn.build("resnet18", widths=(8, 8, 8)), "lengths 3, 4, 3"),
    (lambda: ResNet(Spec(BasicBlock, (1, 1, 1, 1), 32, 4)), "groups need a bottleneck"),
    (lambda: cnn.resnet_cifar.CifarResNet(21), "depth is 21, expected 6 n"),
    (lambda: cnn.resnet_cifar.CifarResNet(2), "depth is 2"),
    (lambda: cnn.wide_resnet.WideResNet(26, 2), "depth is 26, expected 6 n"),
    (lambda: cnn.wide_resnet.WideResNet(16, 0), "k is 0"),
    (lambda: cnn.wide_resnet.WideBlock(8, 8, stride=2), "stride is 2"),
    (lambda: cnn.squeeze.SqueezeExcite(15), "hidden is 0"),
    (lambda: cnn.mobilenet.InvertedResidual(8, 8, stride=3), "stride is 3, expected 1 or 2"),
    (lambda: cnn.build("mobilenet_v2", width=0), "width is 0"),
    (lambda: cnn.build("mobilenet_v1", width=-1), "width is -1"),
    (lambda: cnn.build("mobilenet_v3_small", width=float("nan")), "width is nan"),
    (lambda: cnn.alexnet.AlexNet((4, 4, 4)), "AlexNet: channels is"),
    (lambda: cnn.vgg.VGG((1, 1, 1, 1)), "VGG: depths is"),
    (lambda: cnn.build("vgg11", widths=(8, 8)), "VGG: widths is"),
    (lambda: cnn.resnet_cifar.CifarBlock(8, 4), "out_channels is 4, expected at least in_channels = 8"),
    (lambda: cnn.mobilenet.InvertedResidual(8, 8, t=1.5), "t is 1.5"),
    (lambda: cnn.mobilenet.MobileNetV1(stages=()), "number of stages is 0"),
    (lambda: cnn.mobilenet_v3.MobileNetV3(SMALL, 1.5), "hidden is 1.5"),
    (lambda: cnn.efficientnet.MBConv(8, 8, size=4), "conv: size is 4, expected an odd number"),
    (lambda: cnn.efficientnet.EfficientNet(rows=()), "number of rows is 0"),
    (lambda: cnn.squeeze.round_channels(12, 0), "multiple is 0"),
])
def test_impossible_networks_are_refused(make, words):
    with pytest.raises(ArgError, match=words):
        make()


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 4, 64, 64), (1, 64, 64, 3)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ShapeError):
        NETS["resnet"]()(Tensor(np.zeros(shape, np.float32)))


def test_a_plain_network_is_the_residual_one_without_its_shortcuts():
    """He et al., fig. 6: same parameters, and a block gives relu(F(x)) alone."""
    block, plain = (cnn.resnet_cifar.CifarBlock(4, 4, plain=p, rng=0).eval() for p in (False, True))
    x = np.abs(hashed("x", (2, 4, 6, 8))).astype(np.float32)
    f = block.bn2(block.conv2(block.bn1(block.conv1(Tensor(x)), activation="relu"))).data
    np.testing.assert_allclose(plain(Tensor(x)).data, np.maximum(f, 0), atol=1e-6)
    np.testing.assert_allclose(block(Tensor(x)).data, np.maximum(f + x, 0), atol=1e-6)
    sizes = [sum(p.size for p in cnn.resnet_cifar.CifarResNet(8, plain=p, rng=0).parameters()) for p in (False, True)]
    assert sizes[0] == sizes[1]
