"""What every network of the lecture offers to later chapters, as one table of all families.

Proved: a pyramid of maps whose sizes halve; dilation for stride, which at every second pixel computes the same; parts
that are frozen get no gradient and thaw; folded norms change nothing; slips are refused and change nothing. Families
without batch norms fold to copies of themselves.
"""

from functools import partial

import numpy as np
import pytest

from minicv import cnn, nn, vit
from minicv.autograd import Tensor
from minicv.cnn.backbone import _Strides
from minicv.cnn.fold import fold_batch_norm
from minicv.cnn.inception import InceptionV1
from minicv.cnn.inception_resnet import InceptionResNetV2
from minicv.cnn.inception_v4 import InceptionV4
from minicv.errors import ArgError

from .hashed import fill, image
from .test_networks import FEW, NETS

pytestmark = pytest.mark.ch2
ALL = NETS | {                      # and in the sizes that NETS leaves out
    "inception v4 at paper size": lambda: InceptionV4((1, 1, 1), width=1 / 32, dropout=0, num_classes=4, rng=0),
    "inception resnet at paper size": lambda: InceptionResNetV2((1, 1, 1), width=1 / 32, dropout=0, num_classes=4,
                                                                rng=0),
    "googlenet at paper size": lambda: InceptionV1(cnn.inception.VARIANTS["googlenet"], rows=FEW, num_classes=4, rng=0),
    "vit": lambda: vit.ViT(16, 16, 2, 2, image_size=(64, 96), num_classes=4, rng=0)}
CNNS = [name for name in ALL if name not in ("vit", "dilated")]
GATES = ("seresnet", "seresnext", "mobilenet v3", "efficientnet", "regnet y")       # read the mean of all pixels
AVERAGES = ("inception v4", "inception v4 at paper size")                           # average pools in the last modules


def size(name):
    """Height and width; those of GoogLeNet leave its dilated pool nothing to round up."""
    special = {"inception v1": (94, 126), "googlenet": (33, 65), "googlenet at paper size": (110, 142)}
    return special.get(name, (107, 139) if "paper" in name else (64, 96))


def maps(net, name, dtype=np.float64, number=0):
    return {level: y.data for level, y in cnn.pyramid(net, Tensor(image((2, 3, *size(name)), dtype, number))).items()}


@pytest.mark.parametrize("name", ALL)
def test_every_network_has_a_pyramid_whose_maps_halve(name):
    """Networks that do not pad lose up to three pixels more."""
    net = fill(ALL[name](), np.float32)
    found, others = maps(net, name, np.float32), maps(net, name, np.float32, 1)
    assert list(found) == sorted(found)
    for y in found.values():
        assert y.ndim == 4 and y.shape[0] == 2 and y.dtype == np.float32
    heights = [y.shape[2] for y in found.values()]
    for above, below in zip(heights, heights[1:], strict=False):
        assert (above - 7) / 2 <= below <= (above + 1) / 2 or name in ("dilated", "googlenet") and below == above
    if hasattr(net, "strides"):
        assert [net.strides[level] * y.shape[2] for level, y in found.items()] == [size(name)[0]] * len(found)
        assert [net.channels[level] for level in found] == [y.shape[1] for y in found.values()]
    assert not any(np.array_equal(y, others[level]) for level, y in found.items())


@pytest.mark.parametrize("name", CNNS)
def test_dilation_for_stride_computes_the_same_at_every_second_pixel(name):
    """Gates read the mean of more pixels: with them the maps before the first dilated one are equal, others larger."""
    net = fill(ALL[name]())
    plain, shape = maps(net, name), (1, 3, *size(name))
    stride, before = max(at for _, at in _Strides(net).run([shape])) // 2, net.state_dict()
    if name in AVERAGES:
        with pytest.raises(ArgError, match="average pools"):
            cnn.dilate(net, stride, shape)
        assert all(np.array_equal(y, plain[level]) for level, y in maps(net, name).items())       # nothing changed
        return
    assert cnn.dilate(net, stride, shape) is net
    assert all(np.array_equal(a, before[key]) for key, a in net.state_dict().items())
    found = maps(net, name)
    steps = {level: max(1, round(y.shape[2] / plain[level].shape[2])) for level, y in found.items()}
    assert list(steps.values())[-1] == max(steps.values()) == 2
    for level, y in found.items():
        a, s = plain[level], steps[level]
        assert y[:, :, ::s, ::s].shape == a.shape
        if name not in GATES or s == 1:
            np.testing.assert_allclose(y[:, :, ::s, ::s], a, rtol=0, atol=1e-12 * np.abs(a).max(), err_msg=level)
    if hasattr(net, "strides"):
        assert max(net.strides.values()) == stride


def test_dilation_twice_is_that_of_resnet():
    """The keyword of `ResNet` and this function are the same network, layer by layer."""
    make = partial(cnn.build, "resnet50", num_classes=4, widths=(8, 8, 16, 16), rng=0)
    a = make(replace_stride_with_dilation=(False, True, True))
    b = cnn.dilate(make(), 8, (1, 3, 64, 64))
    layers = lambda net: [(name, m.stride, m.dilation, m.padding) for name, m in net.named_modules()
                          if isinstance(m, nn.Conv2d) and max(m.kernel_size) > 1]
    assert layers(a) == layers(b) and a.strides == b.strides


@pytest.mark.parametrize("name", ALL)
def test_only_the_classifier_of_any_network_learns_when_asked(name):
    net = ALL[name]()
    *_, last = (key for key, _ in net.named_parameters())
    head = last.rpartition(".")[0]
    cnn.train_only(net, head)
    net(Tensor(image((2, 3, *size(name)), np.float32))).sum().backward()
    trained = {key for key, p in net.named_parameters() if p.grad is not None}
    assert trained == {key for key, _ in net.named_parameters() if key.startswith(head)} != set()
    assert all(p.requires_grad for p in net.unfreeze().parameters())
    assert not any(p.requires_grad for p in net.freeze().parameters())


@pytest.mark.parametrize("name", [name for name in ALL if name not in NETS])
def test_folded_networks_compute_the_same(name):
    """The rest of the table is in test_finetune.py."""
    net = fill(ALL[name]())
    x = Tensor(image((1, 3, *size(name))))
    folded, y = fold_batch_norm(net, x.shape), net(x).data
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    np.testing.assert_allclose(folded(x).data, y, rtol=0, atol=1e-12 * np.abs(y).max())


class Twice(nn.Module):
    """One convolution at two resolutions."""

    def __init__(self):
        self.conv, self.pool = nn.Conv2d(3, 3, 3, padding=1, rng=0), nn.MaxPool2d(2)

    def forward(self, x):
        return self.conv(self.pool(self.conv(x)))


@pytest.mark.parametrize("make, stride, words", [
    (NETS["resnet"], 0, "stride is 0"), (NETS["resnet"], 3, "stride is 3, expected one that the network has"),
    (Twice, 1, "two resolutions")])
def test_what_cannot_be_dilated_is_refused_unchanged(make, stride, words):
    net = make()
    settings = lambda: [(m.stride, m.padding, m.dilation) for m in net.modules() if isinstance(m, nn.Conv2d)]
    before = settings()
    with pytest.raises(ArgError, match=words):
        cnn.dilate(net, stride, (1, 3, 64, 64))
    assert settings() == before
    assert not any(h.function for m in net.modules() for h in m._before + m._after)


def test_dilation_needs_an_example():
    with pytest.raises(ArgError, match="inputs is empty"):
        cnn.dilate(NETS["resnet"](), 8)
