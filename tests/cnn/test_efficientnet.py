"""EfficientNet: the block, stochastic depth, the table of sizes, pyramid; name maps of the public implementations.

The gates for B0 to B7 are in test_paper_size.py, recorded results of timm in test_goldens.py.
"""

import numpy as np
import pytest

from minicv import cnn, nn
from minicv.autograd import Tensor
from minicv.cnn.efficientnet import B0, VARIANTS, EfficientNet, Gate, MBConv, Row, scaled
from minicv.errors import ArgError
from minicv.weights import MAPS

from .hashed import fill, hashed, image
from .paper import nothing, weightless

pytestmark = pytest.mark.ch2


def small(**options):
    return EfficientNet(0.25, 0.5, **({"num_classes": 4, "rng": 0} | options))


# Block ------------------------------------------------------------------------------------------------------------


def test_the_block_follows_its_formula():
    """1x1, depthwise, gate of C / 4 units and a linear 1x1, from arrays alone."""
    block, x = fill(MBConv(8, 8, size=3, t=2, rng=0)), hashed("x", (2, 8, 5, 6))
    w = block.state_dict()
    swish, sigmoid = lambda a: a / (1 + np.exp(-a)), lambda a: 1 / (1 + np.exp(-a))
    mix = lambda a, name: np.einsum("oc,nchw->nohw", w[f"{name}.weight"][:, :, 0, 0], a)

    def norm(a, name):
        scale = w[f"{name}.weight"] / np.sqrt(w[f"{name}.running_var"] + 1e-5)
        return (a - w[f"{name}.running_mean"][:, None, None]) * scale[:, None, None] + w[f"{name}.bias"][:, None, None]

    y = swish(norm(mix(x, "conv_pw"), "bn1"))
    padded, depthwise = np.pad(y, ((0, 0), (0, 0), (1, 1), (1, 1))), np.zeros_like(y)
    for p in range(3):
        for q in range(3):
            depthwise += w["conv_dw.weight"][:, 0, p, q][:, None, None] * padded[:, :, p:p + 5, q:q + 6]
    y = swish(norm(depthwise, "bn2"))
    bias = lambda name: w[f"{name}.bias"][:, None, None]
    z = swish(mix(y.mean(axis=(2, 3), keepdims=True), "se.conv_reduce") + bias("se.conv_reduce"))
    y = y * sigmoid(mix(z, "se.conv_expand") + bias("se.conv_expand"))
    y = x + norm(mix(y, "conv_pwl"), "bn3")
    np.testing.assert_allclose(block(Tensor(x)).data, y, rtol=0, atol=1e-12)


def test_a_block_skips_where_it_can_and_expands_where_it_should():
    x = Tensor(image((1, 8, 6, 6), np.float32))
    for out, stride, t, adds in ((8, 1, 6, True), (8, 2, 6, False), (12, 1, 6, False), (8, 1, 1, True)):
        block = MBConv(8, out, stride=stride, t=t, rng=0).eval()
        assert block.adds == adds and hasattr(block, "conv_pwl") == (t != 1)
        zero = block.bn3 if t != 1 else block.bn2
        nn.init.assign(zero.weight, np.zeros(out))
        np.testing.assert_array_equal(block(x).data, x.data if adds else np.zeros((1, out, 6 // stride, 6 // stride)))


def test_the_gate_has_a_quarter_of_the_channels_of_the_block():
    assert MBConv(16, 24, rng=0).se.conv_reduce.weight.shape == (4, 96, 1, 1)
    assert MBConv(3, 24, rng=0).se.conv_reduce.weight.shape == (1, 18, 1, 1)
    gate, x = Gate(8, 2, rng=0), hashed("x", (1, 8, 3, 3)).astype(np.float32)
    nn.init.assign(gate.conv_expand.bias, np.full(8, 50.0))
    np.testing.assert_array_equal(gate(Tensor(x)).data, x)                                  # an open gate


# Stochastic depth ---------------------------------------------------------------------------------------------------


def test_blocks_are_left_out_the_more_often_the_deeper_they_stand():
    """Huang et al., eq. 4: from 0 in steps of drop_path / L; 16 blocks in B0."""
    with weightless():
        net = cnn.build("efficientnet_b0", drop_path=0.32)
    found = [block.drop_path.p for stage in net.blocks for block in stage]
    np.testing.assert_allclose(found, 0.32 * np.arange(16) / 16, rtol=1e-12)


def test_a_block_is_left_out_for_single_images_in_training_only():
    block, x = MBConv(8, 8, drop_path=0.5, rng=0), Tensor(image((64, 8, 4, 4), np.float32))
    gone = (block(x).data == x.data).all(axis=(1, 2, 3))
    assert 15 < gone.sum() < 49                                         # 64 fair coins: 4.2 standard deviations
    assert not (block.eval()(x).data == x.data).all(axis=(1, 2, 3)).any()


# Network ----------------------------------------------------------------------------------------------------------


def test_dropout_grows_evenly_from_b0_to_b7():
    """Section 5.2: linearly from 0.2 to 0.5; the table rounds to tenths."""
    assert [spec.dropout for spec in VARIANTS.values()] == [round(0.2 + 0.3 * i / 7, 1) for i in range(8)]


def test_the_table_of_b0_is_that_of_the_paper():
    """Table 1, without its first and last rows: channels and repetitions, and the grids that follow."""
    assert [(row.channels, row.blocks) for row in B0] == [
        (16, 1), (24, 2), (40, 2), (80, 3), (112, 3), (192, 4), (320, 1)]
    with weightless():
        maps = cnn.build("efficientnet_b0").eval().features(Tensor(nothing((1, 3, 224, 224))))
    assert {k: y.shape[1:] for k, y in maps.items()} == {
        "c1": (16, 112, 112), "c2": (24, 56, 56), "c3": (40, 28, 28), "c4": (112, 14, 14), "c5": (320, 7, 7)}


def test_width_rounds_to_eight_and_depth_rounds_up():
    """B7: 2.0 and 3.1."""
    rows = scaled(B0, *VARIANTS["efficientnet_b7"][:2])
    assert [row.channels for row in rows] == [32, 48, 80, 160, 224, 384, 640]
    assert [row.blocks for row in rows] == [4, 7, 7, 10, 10, 13, 4]
    assert [(row.size, row.stride, row.t) for row in rows] == [(row.size, row.stride, row.t) for row in B0]


def test_options_win_over_the_table():
    with weightless():
        net = cnn.build("efficientnet_b0", width=2.0, dropout=0.7)
    assert net.conv_stem.weight.shape == (64, 3, 3, 3) and net.dropout.p == 0.7


# Names of other implementations ---------------------------------------------------------------------------------------


def as_torchvision(state):
    """What torchvision calls the weights of our network: timm's and its dictionaries have the same order."""
    inner = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "se.conv_reduce": "2.fc1",
             "se.conv_expand": "2.fc2", "conv_pwl": "3.0", "bn3": "3.1"}
    first = {"conv_dw": "0.0", "bn1": "0.1", "se.conv_reduce": "1.fc1", "se.conv_expand": "1.fc2", "conv_pw": "2.0",
             "bn2": "2.1"}
    outer = {"conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": "features.8.0", "bn2": "features.8.1",
             "classifier": "classifier.1"}
    renamed = {}
    for name, a in state.items():
        path, leaf = name.rsplit(".", 1)
        if path.startswith("blocks."):
            _, s, i, rest = path.split(".", 3)
            path = f"features.{int(s) + 1}.{i}.block.{(first if s == '0' else inner)[rest]}"
        else:
            path = outer[path]
        renamed[f"{path}.{leaf}"] = a
    return renamed


def test_names_of_torchvision_are_translated():
    state = small().state_dict()
    found = MAPS["torchvision_efficientnet"](as_torchvision(state))
    assert found.keys() == state.keys() and all(found[k] is state[k] for k in state)


@pytest.mark.parametrize("make, words", [
    (lambda: cnn.build("efficientnet_b8"), "name is 'efficientnet_b8'"),
    (lambda: cnn.efficientnet.build("resnet18"), "efficientnet.build: name is 'resnet18'"),
    (lambda: EfficientNet(0.0), "EfficientNet: width is 0"),
    (lambda: EfficientNet(1.0, -1.0), "EfficientNet: depth is -1"),
    (lambda: EfficientNet(num_classes=0, rows=B0[:1]), "num_classes is 0"),
    (lambda: small(drop_path=1.5, rows=B0[:2]), "EfficientNet: drop_path is 1.5"),
    (lambda: MBConv(8, 8, stride=3, rng=0), "MBConv: stride is 3, expected 1 or 2"),
    (lambda: MBConv(8, 8, t=0, rng=0), "MBConv: t is 0"),
])
def test_impossible_networks_are_refused(make, words):
    with pytest.raises(ArgError, match=words):
        make()


def test_a_single_stage_makes_a_network():
    net = EfficientNet(0.25, num_classes=3, rows=(Row(3, 2, 2, 16, 1),), rng=0).eval()
    assert {k: y.shape for k, y in net.features(Tensor(image((1, 3, 16, 24), np.float32))).items()} == {
        "c2": (1, 8, 4, 6)}
