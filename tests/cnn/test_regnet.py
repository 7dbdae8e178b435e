"""AnyNet and RegNet: the rule for widths, rounding to whole groups, spaces A to E, blocks, pyramid, names.

The gates for all published sizes are in test_paper_size.py, recorded results of torchvision in test_goldens.py.
"""

import numpy as np
import pytest

from minicv import cnn, nn
from minicv.autograd import Tensor
from minicv.cnn.anynet import AnyBlock, AnyNet, Stage, belongs, fit_groups
from minicv.cnn.regnet import VARIANTS, Spec, regnet, stages, widths
from minicv.errors import ArgError, ShapeError
from minicv.weights import MAPS

from .hashed import fill, hashed, image
from .paper import nothing, weightless

pytestmark = pytest.mark.ch2
PUBLISHED = {                       # depths, widths of the paper; measured with timm 1.0.31
    "regnet_x_200mf": ((1, 1, 4, 7), (24, 56, 152, 368)),
    "regnet_x_400mf_paper": ((1, 2, 7, 12), (32, 64, 160, 384)),
    "regnet_x_800mf": ((1, 3, 7, 5), (64, 128, 288, 672)),
    "regnet_x_1_6gf": ((2, 4, 10, 2), (72, 168, 408, 912)),
    "regnet_x_3_2gf": ((2, 6, 15, 2), (96, 192, 432, 1008)),
    "regnet_x_8gf": ((2, 5, 15, 1), (80, 240, 720, 1920)),
    "regnet_x_16gf": ((2, 6, 13, 1), (256, 512, 896, 2048)),
    "regnet_x_32gf": ((2, 7, 13, 1), (336, 672, 1344, 2520)),
    "regnet_y_200mf": ((1, 1, 4, 7), (24, 56, 152, 368)),
    "regnet_y_400mf": ((1, 3, 6, 6), (48, 104, 208, 440)),
    "regnet_y_800mf_paper": ((1, 3, 8, 2), (64, 128, 320, 768)),
    "regnet_y_1_6gf": ((2, 6, 17, 2), (48, 120, 336, 888)),
    "regnet_y_3_2gf": ((2, 5, 13, 1), (72, 216, 576, 1512)),
    "regnet_y_8gf_paper": ((2, 4, 10, 1), (168, 448, 896, 2016)),
    "regnet_y_16gf": ((2, 4, 11, 1), (224, 448, 1232, 3024)),
    "regnet_y_32gf": ((2, 5, 12, 1), (232, 696, 1392, 3712)),
}


# The rule -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_rule_reproduces_the_published_stages(name):
    """B2.7 (RegNetX-200MF) and its siblings."""
    found = stages(VARIANTS[name])
    assert (tuple(s.depth for s in found), tuple(s.width for s in found)) == PUBLISHED[name]


def test_torchvision_rounds_three_of_them_otherwise():
    assert [s.width for s in stages(VARIANTS["regnet_x_400mf"])] == [32, 64, 160, 400]
    assert [s.width for s in stages(VARIANTS["regnet_y_800mf"])] == [64, 144, 320, 784]
    assert [s.width for s in stages(VARIANTS["regnet_y_8gf"])] == [224, 448, 896, 2016]


def test_widths_are_the_nearest_powers_in_the_logarithm():
    """Equations 2 to 4 by search: among w0 wm^k the one whose logarithm is nearest to that of w0 + wa j."""
    d, w0, wa, wm = 20, 48, 30.0, 2.3
    powers = w0 * wm ** np.arange(10.0)
    nearest = [powers[np.argmin(np.abs(np.log(powers / (w0 + wa * j))))] for j in range(d)]
    found = widths(d, w0, wa, wm)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, 8 * np.round(np.array(nearest) / 8))
    assert (np.diff(found) >= 0).all() and not (found % 8).any() and found[0] == w0


def test_no_slope_makes_equal_widths():
    assert widths(5, 24, 0, 2.5).tolist() == [24] * 5


def test_widths_are_multiples_of_the_one_asked_for():
    assert not (widths(12, 16, 9.0, 1.9, multiple=16) % 16).any()
    with pytest.raises(ArgError, match="regnet.widths: multiple is 0"):
        widths(4, 24, 1.0, 2.0, multiple=0)


@pytest.mark.parametrize("options, words", [
    ((0, 24, 1.0, 2.0), "d is 0"), ((4, 20, 1.0, 2.0), "w0 is 20, expected a multiple of 8"),
    ((4, 24, -0.1, 2.0), "wa is -0.1"), ((4, 24, 1.0, 1.0), "wm is 1.0"), ((4, 24, 1.0, 0.5), "wm is 0.5"),
    ((4, 24, float("nan"), 2.0), "wa is nan"), ((4, 0, 1.0, 2.0), "w0 is 0")])
def test_impossible_rules_are_refused(options, words):
    with pytest.raises(ArgError, match=f"regnet.widths: {words}"):
        widths(*options)


def test_four_stages_are_required_unless_told_otherwise():
    spec = Spec(5, 16, 8, 2.0, 8)
    with pytest.raises(ArgError, match="expected one that makes 4 stages, not 3"):
        regnet(spec)
    assert len(regnet(spec, four=False, num_classes=2, rng=0).trunk_output) == 3


# Groups -------------------------------------------------------------------------------------------------------------


def test_whole_groups_fill_the_convolution_after_rounding():
    for width in range(8, 400, 8):
        for g in (1, 8, 16, 24, 48, 112):
            for ratio in (1, 2, 4):
                for half in ("up", "even"):
                    stage = fit_groups(Stage(1, width, g, ratio), half=half)
                    assert stage.inner % stage.group_width == 0 and stage.group_width <= g
                    assert abs(stage.inner - width / ratio) <= (0.5 if half == "even" else 1) * stage.group_width
                    assert half == "even" or stage.inner >= 0.9 * round(width / ratio)


def test_stages_that_fit_stay_as_they_are():
    stage = Stage(2, 64, 8, 2)
    assert fit_groups(stage) == fit_groups(stage, half="even") == stage


@pytest.mark.parametrize("stage, words", [
    (Stage(1, 24, 16), "group_width is 16, expected a divisor of width / ratio = 24; see fit_groups"),
    (Stage(1, 24, 8, 2), "group_width is 8, expected a divisor of width / ratio = 12"),
    (Stage(0, 24, 8), "depth is 0"), (Stage(1, 0, 8), "width is 0"), (Stage(1, 24, 0), "group_width is 0"),
    (Stage(1, 24, 8, 0), "ratio is 0")])
def test_stages_that_do_not_fit_are_refused(stage, words):
    with pytest.raises(ArgError, match=f"AnyNet: {words}"):
        AnyNet([stage], num_classes=2)


# Spaces ---------------------------------------------------------------------------------------------------------------


def test_every_space_is_inside_the_one_before():
    """Examples that fail at exactly one condition, and one that meets all."""
    good = [Stage(1, 24), Stage(1, 56), Stage(4, 152), Stage(7, 368)]
    change = lambda i, **new: [s._replace(**new) if k == i else s for k, s in enumerate(good)]
    first_failing = {"B": change(1, ratio=2), "C": change(2, group_width=4), "D": change(1, width=160),
                     "E": change(0, depth=2)}
    for name, example in first_failing.items():
        assert [belongs(example, space) for space in "ABCDE"] == [space < name for space in "ABCDE"]
    assert all(belongs(good, space) for space in "ABCDE")


def test_published_networks_have_increasing_widths():
    """D; and the groups are of one width but where a convolution is narrower than one."""
    for name in VARIANTS:
        found = stages(VARIANTS[name])
        assert belongs([s._replace(group_width=1) for s in found], "D")
        assert all(s.group_width == min(VARIANTS[name].g, s.inner) for s in found)


# Blocks and networks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("se", [0, 0.25])
def test_a_block_without_f_passes_x_on(se):
    block = AnyBlock(16, Stage(1, 16, 4, 2), 1, se=se, rng=0).eval()
    assert block.f.b[0].weight.shape == (8, 4, 3, 3) and block.proj is None
    nn.init.assign(block.f.c[1].weight, np.zeros(16))
    x = hashed("x", (2, 16, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(block(Tensor(x)).data, np.maximum(x, 0))


def test_a_block_that_changes_shape_projects_x():
    block = fill(AnyBlock(8, Stage(1, 16, 8), 2, rng=0))
    x = Tensor(hashed("x", (1, 8, 5, 6)))
    branch = block.f.c(block.f.b(block.f.a(x)))
    np.testing.assert_allclose(block(x).data, np.maximum(branch.data + block.proj(x).data, 0), rtol=0, atol=1e-13)


def test_gates_have_a_quarter_of_the_channels_of_the_input():
    """Where a stage begins, that of the stage before: 8 and then 12 units in RegNetY-400MF."""
    with weightless():
        net = cnn.build("regnet_y_400mf")
    blocks = [block for stage in net.trunk_output for block in stage]
    assert [b.f.se.fc1.weight.shape[0] for b in blocks[:5]] == [8, 12, 26, 26, 26]


def test_feature_maps_have_the_stated_channels_and_strides():
    with weightless():
        net = cnn.build("regnet_y_400mf").eval()
        maps = net.features(Tensor(nothing((1, 3, 224, 224))))
    assert net.channels == {"c1": 32, "c2": 48, "c3": 104, "c4": 208, "c5": 440}
    assert net.strides == {"c1": 2, "c2": 4, "c3": 8, "c4": 16, "c5": 32}
    assert {k: y.shape for k, y in maps.items()} == {
        k: (1, net.channels[k], 224 // s, 224 // s) for k, s in net.strides.items()}


def test_small_stems_keep_small_images():
    net = AnyNet([Stage(1, 16), Stage(1, 16)], stem_stride=1, num_classes=2, rng=0).eval()
    assert net.strides == {"c1": 1, "c2": 2, "c3": 4}
    maps = net.features(Tensor(image((1, 3, 32, 32), np.float32)))
    assert [y.shape[2] for y in maps.values()] == [32, 16, 8]


def test_names_of_timm_are_translated():
    state = regnet(Spec(6, 16, 20, 2.2, 12, 0.25), four=False, num_classes=4, rng=0).state_dict()
    timm = {}
    for name, a in state.items():
        path, leaf = name.rsplit(".", 1)
        if path.startswith("trunk_output."):
            s, i, rest = path[len("trunk_output.block1.block"):].split("-")[0], *path.split("-")[1].split(".", 1)
            for part, new in (("f.a", "conv1"), ("f.b", "conv2"), ("f.c", "conv3"), ("proj", "downsample")):
                rest = rest.replace(f"{part}.0", f"{new}.conv").replace(f"{part}.1", f"{new}.bn")
            path = f"s{s}.b{int(i) + 1}.{rest.replace('f.se', 'se')}"
        path = {"stem.0": "stem.conv", "stem.1": "stem.bn", "fc": "head.fc"}.get(path, path)
        timm[f"{path}.{leaf}"] = a
    assert "s1.b1.downsample.conv.weight" in timm and "s2.b1.se.fc1.bias" in timm
    found = MAPS["timm_regnet"](timm)
    assert found.keys() == state.keys() and all(found[k] is state[k] for k in state)


@pytest.mark.parametrize("make, words", [
    (lambda: cnn.build("regnet_x_500mf"), "name is 'regnet_x_500mf'"),
    (lambda: cnn.regnet.build("resnet18"), "regnet.build: name is 'resnet18'"),
    (lambda: AnyNet([]), "AnyNet: stages is 0"),
    (lambda: AnyNet([Stage(1, 8)], se=-1), "AnyNet: se is -1"),
    (lambda: AnyNet([Stage(1, 8)], stem=0), "AnyNet: stem is 0"),
    (lambda: AnyNet([Stage(1, 8)], stem_stride=4), "AnyNet: stem_stride is 4"),
    (lambda: AnyNet([Stage(1, 8)], num_classes=0), "AnyNet: num_classes is 0"),
    (lambda: fit_groups(Stage(1, 8), half="down"), "fit_groups: half is 'down'"),
    (lambda: belongs([Stage(1, 8)], "F"), "belongs: space is 'F'"),
])
def test_impossible_networks_are_refused(make, words):
    with pytest.raises(ArgError, match=words):
        make()


def test_images_of_another_shape_are_refused():
    with pytest.raises(ShapeError):
        AnyNet([Stage(1, 8)], num_classes=2, rng=0)(Tensor(np.zeros((1, 4, 8, 8), np.float32)))
