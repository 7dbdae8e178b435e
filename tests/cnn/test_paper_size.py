"""Every published configuration has exactly its published number of parameters, and its multiply-adds to 1 %.

Sources: torchvision 0.28 and timm 1.0.31 (measured), the public implementations named in `make_goldens.py`
for CIFAR, and formulas for the rest. One multiplication with its addition counts once.
"""

import math

import numpy as np
import pytest

from minicv import cnn, nn

from .paper import size

pytestmark = pytest.mark.ch2
SIZES = {                              # parameters, multiply-adds in millions, side of the image
    "inception_v1": (6_998_552, 1583, 224), "googlenet": (6_624_904, 1498, 224),
    "inception_v4": (42_679_816, 12250, 299), "inception_resnet_v2": (55_843_464, 13156, 299),
    "resnet18": (11_689_512, 1814, 224), "resnet34": (21_797_672, 3664, 224), "resnet50": (25_557_032, 4089, 224),
    "resnet101": (44_549_160, 7801, 224), "resnet152": (60_192_808, 11514, 224),
    "resnext50_32x4d": (25_028_904, 4230, 224), "resnext101_32x4d": (44_177_704, 7970, 224),
    "resnext101_32x8d": (88_791_336, 16414, 224), "resnext101_64x4d": (83_455_272, 15460, 224),
    "wide_resnet50_2": (68_883_240, 11398, 224), "wide_resnet101_2": (126_886_696, 22750, 224),
    "seresnet18": (11_779_624, 1815, 224), "seresnet50": (28_088_024, 4092, 224),
    "seresnet34": (21_960_416, 3663.9, 224), "seresnet101": (49_326_872, 7806.1, 224),
    "seresnet152": (66_821_848, 11520.2, 224),
    "seresnext50_32x4d": (27_559_896, 4230, 224), "seresnext101_32x4d": (48_955_416, 7970, 224),
    "senet154": (115_088_984, 20688, 224),
    "resnet20_cifar": (269_722, 40.6, 32), "resnet32_cifar": (464_154, 68.9, 32), "resnet44_cifar": (658_586, 97.2, 32),
    "resnet56_cifar": (853_018, 125.5, 32), "resnet110_cifar": (1_727_962, 252.9, 32),
    "wrn_28_10": (36_479_194, 5243, 32), "wrn_16_8": (10_961_370, 1548, 32), "wrn_40_4": (8_949_210, 1299, 32),
    "wrn_16_1": (175_066, 26.66, 32), "wrn_10_2": (303_706, 44.48, 32), "wrn_22_8": (17_158_106, 2454.1, 32),
    "mobilenet_v1": (4_231_976, 568.7, 224), "mobilenet_v2": (3_504_872, 300.8, 224),
    "mobilenet_v3_large": (5_483_032, 216.6, 224), "mobilenet_v3_small": (2_542_856, 56.5, 224),
    "efficientnet_b0": (5_288_548, 386, 224), "efficientnet_b1": (7_794_184, 687, 240),
    "efficientnet_b2": (9_109_994, 1088, 288), "efficientnet_b3": (12_233_232, 1827, 300),
    "efficientnet_b4": (19_341_616, 4394, 380), "efficientnet_b5": (30_389_784, 10266, 456),
    "efficientnet_b6": (43_040_704, 19068, 528), "efficientnet_b7": (66_347_960, 37746, 600),
    "regnet_x_200mf": (2_684_792, 199, 224), "regnet_x_400mf": (5_495_976, 414, 224),
    "regnet_x_400mf_paper": (5_157_512, 397.7, 224), "regnet_x_800mf": (7_259_656, 800, 224),
    "regnet_x_1_6gf": (9_190_136, 1603, 224), "regnet_x_3_2gf": (15_296_552, 3177, 224),
    "regnet_x_8gf": (39_572_648, 7995, 224), "regnet_x_16gf": (54_278_536, 15941, 224),
    "regnet_x_32gf": (107_811_560, 31736, 224), "regnet_y_200mf": (3_162_996, 199.5, 224),
    "regnet_y_400mf": (4_344_144, 402, 224), "regnet_y_800mf": (6_432_512, 834, 224),
    "regnet_y_800mf_paper": (6_263_168, 797.2, 224), "regnet_y_1_6gf": (11_202_430, 1612, 224),
    "regnet_y_3_2gf": (19_436_338, 3176, 224), "regnet_y_8gf": (39_381_472, 8473, 224),
    "regnet_y_8gf_paper": (39_180_068, 7963, 224), "regnet_y_16gf": (83_590_140, 15912, 224),
    "regnet_y_32gf": (145_046_770, 32280, 224), "regnet_y_128gf": (644_812_894, 127518, 224),
    "alexnet": (61_100_840, 714, 224), "vgg16": (138_357_544, 15470, 224), "vgg11": (132_863_336, 7609, 224),
    "vgg13": (133_047_848, 11308, 224), "vgg19": (143_667_240, 19632, 224),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_network_has_its_published_size(name):
    parameters, millions, side = SIZES[name]
    found = size(lambda: cnn.build(name), (1, 3, side, side))
    assert found[0] == parameters
    assert found[1] == pytest.approx(1e6 * millions, rel=0.01)


def test_no_variant_is_without_a_gate():
    assert set(cnn.VARIANTS) - set(SIZES) == {"alexnet_2012"}                    # has its formula below


def test_counting_without_memory_counts_what_really_happens():
    """The stand-ins for convolutions and products against a real forward pass."""
    real = nn.cost(cnn.build("resnet18", num_classes=10, rng=0), (1, 3, 40, 32))
    assert size(lambda: cnn.build("resnet18", num_classes=10), (1, 3, 40, 32)) == (real.parameters, real.macs)


def test_the_networks_of_the_lecture_that_have_no_public_count_follow_their_formulas():
    a, b, c, d, e = 96, 256, 384, 384, 256                                       # AlexNet without groups
    weights = 3 * a * 121 + a * b * 25 + 9 * (b * c + c * d + d * e) + 36 * e * 4096 + 4096 * 4096 + 4096 * 1000
    assert size(lambda: cnn.build("alexnet_2012"))[0] == weights + a + b + c + d + e + 4096 + 4096 + 1000


@pytest.mark.parametrize("name, parameters", [("inception_v1", 13_378_280), ("googlenet", 13_004_888)])
def test_auxiliary_heads_double_the_parameters_and_cost_nothing_in_evaluation(name, parameters):
    plain, aux = (size(lambda a=a: cnn.build(name, aux=a).eval(), (1, 3, 224, 224)) for a in (False, True))
    assert aux[0] == parameters and aux[1] == plain[1]


def test_the_cifar_form_of_resnet18_has_its_known_size():
    """The network of the training benchmark: 3x3 stem, no pooling, 10 classes."""
    parameters, macs = size(lambda: cnn.build("resnet18", num_classes=10, stem="cifar"), (1, 3, 32, 32))
    assert parameters == 11_173_962 and macs == pytest.approx(555.4e6, rel=0.01)


def test_stride_on_the_first_convolution_saves_the_published_amount():
    """E2.4: 3.86 G with the stride on the 1x1, 4.09 G with it on the 3x3."""
    assert size(lambda: cnn.build("seresnet50", stride_in="1x1", ceil_pool=True), (1, 3, 224, 224)) == (
        28_088_024, pytest.approx(3.860e9, rel=0.01))


def test_table_of_mobilenet_v2_row_by_row():
    """B2.1: parameters with norms and millions of multiply-adds at 224 x 224."""
    from .paper import weightless
    rows = {"0": (928, 10.84), "1": (896, 10.04), "2-3": (13_968, 54.94), "4-6": (39_696, 37.44),
            "7-10": (183_872, 38.50), "11-13": (303_168, 58.10), "14-16": (795_264, 46.56), "17": (473_920, 23.00),
            "18": (412_160, 20.07)}
    with weightless():
        total = nn.cost(cnn.build("mobilenet_v2"), (1, 3, 224, 224))
    for row, (parameters, millions) in rows.items():
        first, last = (int(n) for n in (row.split("-") * 2)[:2])
        found = [total[f"features.{i}"] for i in range(first, last + 1)]
        assert sum(r.parameters for r in found) == parameters
        assert sum(r.macs for r in found) / 1e6 == pytest.approx(millions, abs=0.006)
    assert total["classifier.1"].parameters == 1_281_000 and total.macs / 1e6 == pytest.approx(300.77, abs=0.01)


def test_widening_by_k_costs_k_squared():
    """Zagoruyko and Komodakis, §2.3."""
    counts = [size(lambda k=k: cnn.wide_resnet.WideResNet(16, k))[0] for k in (4, 8)]
    assert math.log2(counts[1] / counts[0]) == pytest.approx(2, abs=0.02)


def test_basic_and_bottleneck_blocks_cost_about_the_same():
    """B2.2: 73 728 and 69 632 weights for 64 and 256 channels."""
    basic = cnn.resnet.BasicBlock(64, 64, rng=0)
    bottleneck = cnn.resnet.Bottleneck(256, 64, rng=0)
    weights = [sum(p.size for p in block.parameters() if p.ndim == 4) for block in (basic, bottleneck)]
    assert weights == [73_728, 69_632]


def test_resnext_blocks_of_equal_cost():
    """B2.3: 64, 40, 24, 14 and 4 channels in 1, 2, 4, 8 and 32 groups."""
    widths = {1: (64, 69_632), 2: (40, 69_760), 4: (24, 69_888), 8: (14, 71_456), 32: (4, 70_144)}
    for groups, (d, weights) in widths.items():
        block = cnn.resnet.Bottleneck(256, 64, groups=groups, group_width=d, rng=0)
        assert sum(p.size for p in block.parameters() if p.ndim == 4) == weights
        roots = np.roots([9 * groups, 512 * groups, -69_632])
        assert round(max(roots.real)) == d or groups == 32 and max(roots.real) == pytest.approx(3.97, abs=0.01)
