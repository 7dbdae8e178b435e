"""Receptive fields of networks: what is proved here.

They are where the gradient of one value of the map is not zero (positive weights, average pools, in float64), and agree
with published numbers; what (1) does not describe is refused.
"""

import numpy as np
import pytest

from minicv import cnn, nn
from minicv.autograd import Tensor
from minicv.cnn.inception import InceptionV1, Row, Spec
from minicv.cnn.resnet import BasicBlock, ResNet
from minicv.cnn.resnet import Spec as Widths
from minicv.errors import ArgError
from minicv.nn.receptive import receptive_fields
from minicv.vit.patch import PatchEmbedding


def positive(model):
    """All weights positive, norms that change nothing: no part of the field can cancel or underflow."""
    for m in model.astype(np.float64).eval().modules():
        for name, p in m.named_parameters():
            p.replace(np.full(p.shape, 1 / np.prod(p.shape[1:]) if p.ndim > 1 else float(name.endswith("weight"))))
    return model


def measured(function, size):
    """Start and stop of the pixels with a gradient, of the middle position of a map."""
    x = Tensor(np.full((1, 3, size, size), 1e-3), requires_grad=True)                 # below the bend of ReLU6
    y = function(x)
    i = y.shape[2] // 2
    y[0, :, i, i].sum().backward()
    rows = np.nonzero(x.grad.data[0].any(axis=(0, 2)))[0]
    return i, rows[0], rows[-1] + 1


def avg_for_max(module):
    """Max pools look at one value only: a mean sees the whole window."""
    for m in module.modules():
        for name, child in m.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(m, name, nn.AvgPool2d(child.kernel_size, stride=child.stride, padding=child.padding,
                                              ceil_mode=child.ceil_mode))
    return module


ROW = Row(2, 2, 2, 2, 2, 2)
NETWORKS = {                    # network, the map, the module that makes it, size of the image
    "resnet18": (lambda: ResNet(Widths(BasicBlock, (2, 2, 2, 2)), num_classes=2, widths=(2, 2, 2, 2), rng=0),
                 lambda m, x: m.features(x)["c4"], "layer3", 384),
    "mobilenet_v2": (lambda: cnn.build("mobilenet_v2", num_classes=2, width=0.1, rng=0),
                     lambda m, x: m.features[:11](x), "features.10", 320),
    "inception": (lambda: InceptionV1(Spec(None, 5, 3, 0.4), num_classes=2, rows={"3a": ROW, "3b": ROW, "4a": ROW},
                                      stem="cifar", rng=0), lambda m, x: dict(m.maps(x))["4a"], "inception4a", 96),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_field_is_where_the_gradient_is_not_zero(name):
    make, part, module, size = NETWORKS[name]
    model = avg_for_max(make())
    field = receptive_fields(model, (1, 3, size, size))[module]
    i, start, stop = measured(lambda x: part(positive(model), x), size)
    assert 0 < start < stop < size
    assert (field.start[0] + i * field.stride[0], field.size[0]) == (start, stop - start)


@pytest.mark.parametrize("name, options, module, size, stride", [
    ("alexnet", {}, "features", 195, 32), ("vgg16", {}, "features.28", 196, 16), ("vgg16", {}, "features", 212, 32),
    ("resnet50", {"stride_in": "1x1"}, "layer4", 483, 32), ("resnet50", {}, "layer4", 427, 32),
])
def test_published_fields(name, options, module, size, stride):
    """Araujo et al., Distill 2019, table 1 (AlexNet, VGG-16, ResNet-50 v1); smaller with the stride on the 3x3."""
    field = receptive_fields(cnn.build(name, num_classes=2, rng=0, **options), (1, 3, 64, 64))[module]
    assert field.size == (size, size) and field.stride == (stride, stride)


def test_a_chain_agrees_with_the_formula_for_chains():
    layers = [nn.Conv2d(3, 2, 3, stride=2, padding=1, rng=0), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
              nn.Conv2d(2, 2, (1, 5), dilation=(1, 2), padding="same", rng=0), nn.AvgPool2d(2)]
    model = nn.Sequential(*layers)
    assert receptive_fields(model, (1, 3, 40, 40))[""] == nn.receptive_field(model)


def test_what_sees_the_whole_image_is_not_listed():
    fields = receptive_fields(ResNet(Widths(BasicBlock, (1, 1, 1, 1)), num_classes=2, widths=(2, 2, 2, 2), rng=0),
                              (1, 3, 64, 64))
    assert "layer4" in fields and not {"avgpool", "fc", ""} & fields.keys()


class Meet(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2d(3, 3, 3, padding=1, stride=2, rng=0)

    def forward(self, x):
        return self.conv(x) + x[:, :, 0:1, 0:1]


def test_what_is_unknown_is_refused_and_hooks_are_removed():
    net = Meet()
    with pytest.raises(ArgError, match="receptive_fields: op is getitem"):
        receptive_fields(net, (1, 3, 8, 8))
    assert not any(h.function for m in net.modules() for h in m._after)
    with pytest.raises(ArgError, match="receptive_fields: op is reshape"):
        receptive_fields(PatchEmbedding(4, 8, rng=0), (1, 3, 8, 8))
    with pytest.raises(ArgError, match="receptive_fields: inputs is empty"):
        receptive_fields(net)


def test_maps_of_different_stride_do_not_meet():
    class Net(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Conv2d(3, 3, 1, rng=0), nn.Conv2d(3, 3, 4, stride=4, rng=0)

        def forward(self, x):
            return self.a(x) + self.b(x)
    with pytest.raises(ArgError, match="strides .* meet in add"):
        receptive_fields(Net(), (1, 3, 4, 4))                   # 1x1 beside 4x4 broadcasts
