"""The vision transformer: recorded results of timm and torchvision, published sizes, and what holds for any weights.

The goldens were made by `tests/cnn/make_goldens.py` with timm 1.0.31 and torchvision 0.28 in float64.
"""

import copy
import json
import pathlib
import pickle

import numpy as np
import pytest

from minicv import nn, vit
from minicv.autograd import Tensor
from minicv.errors import ArgError, ShapeError
from minicv.vit.vit import Attention, Block

from ..cnn.hashed import fill, hashed, image
from ..cnn.paper import size
from ..cnn.test_goldens import compare
from .references import SMALL

pytestmark = pytest.mark.ch3
GOLDENS = json.loads(pathlib.Path(__file__).with_name("goldens.json").read_text(encoding="utf-8"))


def small(**options):
    return vit.ViT(4, 16, 2, 2, **({"image_size": 16, "num_classes": 4, "rng": 0} | options))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-9), (np.float32, 1e-4)], ids=["float64", "float32"])
def test_the_network_computes_what_its_reference_computes(name, dtype, tolerance):
    assert set(GOLDENS) == set(SMALL)
    compare(SMALL[name], GOLDENS[name], dtype, tolerance)


@pytest.mark.parametrize("name, parameters, millions", [
    ("vit_ti_16", 5_717_416, 1253.7), ("vit_s_16", 22_050_664, 4598.9), ("vit_b_16", 86_567_656, 17564),
    ("vit_b_32", 88_224_232, 4409), ("vit_l_16", 304_326_632, 61555), ("vit_l_32", 306_535_400, 15380),
    ("vit_h_14", 632_045_800, 167_300)])
def test_the_network_has_its_published_size(name, parameters, millions):
    found = size(lambda: vit.build(name), (1, 3, 224, 224))
    assert found[0] == parameters and found[1] == pytest.approx(1e6 * millions, rel=0.01)


def test_sizes_without_the_head_are_those_of_the_paper():
    """B3.2: "86 M" is B/16 without its head; the blocks alone have 85.05 M, 302.3 M and 629.7 M."""
    assert size(lambda: vit.build("vit_b_16", num_classes=0))[0] == 85_798_656
    for name, blocks in (("vit_b_16", 85_054_464), ("vit_l_16", 302_309_376), ("vit_h_14", 629_678_080)):
        spec = vit.VARIANTS[name]
        D, M = spec.dim, 4 * spec.dim
        assert spec.depth * (4 * D * D + 4 * D + 2 * D * M + D + M + 4 * D) == blocks
        assert size(lambda spec=spec: Block(spec.dim, spec.heads, 4 * spec.dim))[0] * spec.depth == blocks


def test_one_step_against_the_gradient_lowers_the_loss():
    """Step length 0.1 L / |g|², which to first order takes a tenth of the loss away."""
    net, t = small(), np.arange(8) % 4
    x = Tensor(np.random.default_rng(0).standard_normal((8, 3, 16, 16)).astype(np.float32))
    nn.init.assign(net.head.weight, hashed("head", (4, 16)))
    loss = nn.cross_entropy(net(x), t)
    loss.backward()
    square = sum(float((p.grad.data.astype(np.float64) ** 2).sum()) for p in net.parameters())
    for p in net.parameters():
        nn.init.assign(p, p.data - 0.1 * loss.item() / square * p.grad.data)
    assert nn.cross_entropy(net(x), t).item() < loss.item()


def test_no_images_give_no_logits():
    assert small()(Tensor(np.zeros((0, 3, 16, 16), np.float32))).shape == (0, 4)


def test_copies_and_pickles_compute_the_same():
    net, x = fill(small()), Tensor(image((1, 3, 16, 16)))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other(x).data, net(x).data)


def test_a_new_network_finds_all_classes_equally_likely():
    assert not small()(Tensor(image((2, 3, 16, 16), np.float32))).data.any()


def test_without_positions_the_order_of_patches_does_not_matter():
    net, x = fill(small(positions="none")), image((2, 3, 16, 16))
    patches = vit.patchify(x, 4)
    mixed = vit.unpatchify(patches[:, np.random.default_rng(0).permutation(16)], 4, (4, 4))
    np.testing.assert_allclose(net(Tensor(mixed)).data, net(Tensor(x)).data, rtol=0, atol=1e-12)
    net = fill(small())
    assert np.abs(net(Tensor(mixed)).data - net(Tensor(x)).data).max() > 1e-3


def test_a_headless_network_returns_the_class_token():
    net, x = fill(small(num_classes=0)), Tensor(image((2, 3, 16, 16)))
    tokens = net.features(x).data
    assert tokens.shape == (2, 17, 16)
    np.testing.assert_array_equal(net(x).data, tokens[:, 0])


def test_other_image_sizes_are_accepted_with_interpolated_positions_only():
    x = Tensor(image((1, 3, 24, 16), np.float32))
    with pytest.raises(ShapeError, match="interpolate=True"):
        small()(x)
    assert small(interpolate=True)(x).shape == (1, 4)
    assert small(positions="none")(x).shape == (1, 4)
    with pytest.raises(ShapeError, match="multiples of the patch size"):
        small(interpolate=True)(Tensor(image((1, 3, 18, 16), np.float32)))
    same, plain = fill(small(interpolate=True)), fill(small())
    x = Tensor(image((1, 3, 16, 16)))
    np.testing.assert_array_equal(same(x).data, plain(x).data)


def test_attention_weights_can_be_seen():
    net, seen = small().eval(), []
    for block in net.blocks:
        block.attn.attn_drop.register_forward_hook(lambda module, inputs, y: seen.append(y.data))
    net(Tensor(image((2, 3, 16, 16), np.float32)))
    assert [w.shape for w in seen] == [(2, 2, 17, 17)] * 2
    np.testing.assert_allclose(seen[0].sum(axis=-1), 1, rtol=1e-5)


def test_attention_is_multi_head_attention_with_its_projections_joined():
    a, b = fill(Attention(8, 2)), nn.MultiHeadAttention(8, 2).astype(np.float64)
    b.load_state_dict({"in_proj_weight": a.qkv.weight, "in_proj_bias": a.qkv.bias,
                       "out_proj.weight": a.proj.weight, "out_proj.bias": a.proj.bias})
    x = Tensor(hashed("x", (3, 5, 8)))
    np.testing.assert_allclose(a(x).data, b(x).data, rtol=1e-12, atol=1e-14)


def test_dropout_reaches_every_part_but_the_weights_of_attention():
    net = small(dropout=0.3)
    assert {(name.split(".")[-1], m.p) for name, m in net.named_modules() if type(m) is nn.Dropout} == {
        ("pos_drop", 0.3), ("attn_drop", 0.0), ("proj_drop", 0.3), ("drop1", 0.3), ("drop2", 0.3)}


def test_stochastic_depth_grows_with_the_block():
    net = small(drop_path=0.3)
    assert [block.drop_path1.p for block in net.blocks] == [0, 0.3]
    x = Tensor(hashed("x", (64, 5, 16)).astype(np.float32))
    changed = np.abs(net.blocks[1](x).data - x.data).max(axis=(1, 2)) > 0
    assert not changed.all() and changed.any()


@pytest.mark.parametrize("make, words", [
    (lambda: vit.build("vit_x_16"), "name is 'vit_x_16'"),
    (lambda: vit.ViT(5, 16, 2, 2, image_size=16), "image_size is 16, expected a multiple of patch_size = 5"),
    (lambda: small(positions="rotary"), "positions is 'rotary'"),
    (lambda: vit.ViT(4, 15, 2, 2, image_size=16), "dim is 15, expected a multiple of heads = 2"),
    (lambda: vit.ViT(4, 16, 0, 2, image_size=16), "depth is 0"),
    (lambda: small(num_classes=-1), "num_classes is -1"),
    (lambda: small(dropout=1.5), "p is 1.5"),
    (lambda: vit.ViT(4, 16, 1, 2, image_size=16, drop_path=-1), "ViT: drop_path is -1"),
])
def test_impossible_networks_are_refused(make, words):
    with pytest.raises((ArgError, ShapeError), match=words):
        make()


def test_images_with_other_channels_are_refused():
    with pytest.raises(ShapeError, match="channels-last"):
        small()(Tensor(np.zeros((1, 16, 16, 3), np.float32)))
