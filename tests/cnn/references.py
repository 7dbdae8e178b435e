"""Networks of minicv beside the public implementation of the same network.

Each row: minicv's network, the reference, the input shape, and where names differ a name map of
`minicv.weights`. The references are made by functions of `libraries()`, which imports them: PyTorch, torchvision and
timm. `SMALL` networks have recorded results in `goldens.json` (see `make_goldens.py`).
"""

import importlib.util
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from minicv import cnn, nn
from minicv.autograd import Tensor, no_grad
from minicv.cnn.anynet import AnyNet, Stage
from minicv.cnn.efficientnet import EfficientNet
from minicv.cnn.inception_resnet import InceptionResNetV2
from minicv.cnn.inception_v4 import InceptionV4
from minicv.cnn.regnet import Spec as Spec6
from minicv.cnn.regnet import regnet
from minicv.cnn.resnet import BasicBlock, Bottleneck, ResNet, Spec
from minicv.cnn.senet import SEBottleneck, SENet, SENet154Block
from minicv.weights import MAPS

from .hashed import hashed, hashed_weight, image

IMAGES = 3                      # see test_goldens.py
TRIES = 6                       # the same for large networks: millions of activations, some of them near 0


class Pair(NamedTuple):
    ours: object                # () -> Module
    theirs: object              # libraries -> torch module
    shape: tuple
    names: str = ""             # of weights.MAPS
    calm: str = ""              # end of the names of weights that are made a tenth, see `DEEP_GATES`
    part: "Pair" = None         # for a huge network: the same with fewer layers, whose gradients are compared instead


def libraries(cifar=None, wide=None):
    """The packages; with paths also the two public files of `PUBLIC`, see `make_goldens.py`."""
    import timm
    import timm.models.efficientnet
    import timm.models.resnet
    import timm.models.senet
    import torch
    import torchvision.models
    import torchvision.models.regnet
    import torchvision.models.resnet
    return SimpleNamespace(torch=torch, tv=torchvision.models, timm=timm, cifar=cifar and module("akamaster", cifar),
                           wide=wide and module("xternalz", wide))


def module(author, path):
    """The module in a file, called after its author."""
    spec = importlib.util.spec_from_file_location(author, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def tv_resnet(block, depths, **options):
    return lambda lib: lib.tv.resnet.ResNet(getattr(lib.tv.resnet, block), depths, **options)


def timm_resnet(depths, **options):
    return lambda lib: lib.timm.models.resnet.ResNet(
        lib.timm.models.resnet.Bottleneck, depths, num_classes=10, block_args=dict(attn_layer="se"), **options)


def legacy_senet(block, depths, **options):
    return lambda lib: lib.timm.models.senet.SENet(getattr(lib.timm.models.senet, block), depths, num_classes=10,
                                                   in_chans=3, reduction=16, **options)


def tv_googlenet(paper=False):
    """torchvision's GoogLeNet, with what the paper says put in its place."""
    def make(lib):
        model = lib.tv.googlenet(weights=None, num_classes=10, aux_logits=False, init_weights=False)
        return paper_form(lib.torch.nn, model) if paper else model
    return make


def paper_form(nn, model):
    """Biases and no norms, 5x5 filters, a last pool of 3x3, local response norms around the convolutions 2 and 3."""
    for unit in [m for m in model.modules() if hasattr(m, "bn")]:
        old, unit.bn = unit.conv, nn.Identity()
        unit.conv = nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, old.stride, old.padding)
    for name, module in model.named_children():
        if name.startswith("inception"):
            old = module.branch3[1].conv
            module.branch3[1].conv = nn.Conv2d(old.in_channels, old.out_channels, 5, padding=2)
    model.maxpool1 = nn.Sequential(model.maxpool1, nn.LocalResponseNorm(5))
    model.maxpool2 = nn.Sequential(nn.LocalResponseNorm(5), model.maxpool2)
    model.maxpool4 = nn.MaxPool2d(3, 2, ceil_mode=True)
    return model


REGNET_Y_128GF = [Stage(d, w, 264) for d, w in ((2, 528), (1, 1056), (1, 2904))]      # of 2, 7, 17 and 1 block


def tv_stages(stages):
    """torchvision's RegNetY of given stages."""
    return lambda lib: lib.tv.regnet.RegNet(lib.tv.regnet.BlockParams(
        *zip(*((s.depth, s.width, s.group_width, s.ratio, 2) for s in stages), strict=True), 0.25), num_classes=10)


def tv_regnet(**rule):
    return lambda lib: lib.tv.regnet.RegNet(lib.tv.regnet.BlockParams.from_init_params(**rule), num_classes=10)


def with_head(lib, model, *sizes):
    """A torchvision network with linear layers of other sizes, dropout before all but the last."""
    layers = [(lib.torch.nn.Linear(a, b), lib.torch.nn.ReLU()) for a, b in zip(sizes, sizes[1:], strict=False)]
    model.classifier = lib.torch.nn.Sequential(*HEADS[type(model).__name__](lib.torch.nn.Dropout, layers))
    return model


HEADS = {                       # the order of layers that gives the names of parameters
    "AlexNet": lambda Dropout, layers: [Dropout(), *layers[0], Dropout(), *layers[1], layers[2][0]],
    "VGG": lambda Dropout, layers: [*layers[0], Dropout(), *layers[1], Dropout(), layers[2][0]]}


def tv_vgg(lib):
    """The shape of VGG-11 with few channels."""
    channels = [4, "M", 8, "M", 8, 8, "M", 8, 8, "M", 8, 8, "M"]
    return with_head(lib, lib.tv.vgg.VGG(lib.tv.vgg.make_layers(channels)), 8 * 49, 16, 16, 10)


def timm_inception_v4(lib):
    """`InceptionV4((1, 1, 1))`: the published network without the repetitions."""
    model = lib.timm.create_model("inception_v4", num_classes=10)
    model.features = lib.torch.nn.Sequential(*[model.features[i] for i in (*range(7), 10, 11, 18, 19)])
    return model


def timm_inception_resnet(lib):
    """`InceptionResNetV2((1, 1, 2))`."""
    model = lib.timm.create_model("inception_resnet_v2", num_classes=10)
    model.repeat, model.repeat_1, model.repeat_2 = model.repeat[:1], model.repeat_1[:1], model.repeat_2[:1]
    return model


SMALL = {
    "alexnet_small_head": Pair(lambda: cnn.build("alexnet", num_classes=10, hidden=16),
                               lambda lib: with_head(lib, lib.tv.alexnet(), 36 * 256, 16, 16, 10), (2, 3, 64, 80)),
    "vgg11_thin": Pair(lambda: cnn.build("vgg11", num_classes=10, widths=(4, 8, 8, 8, 8), hidden=16), tv_vgg,
                       (2, 3, 64, 48)),
    "googlenet": Pair(lambda: cnn.build("googlenet", num_classes=10), tv_googlenet(), (2, 3, 64, 48)),
    "inception_v1": Pair(lambda: cnn.build("inception_v1", num_classes=10), tv_googlenet(paper=True), (2, 3, 48, 64)),
    "inception_v4_111": Pair(lambda: InceptionV4((1, 1, 1), num_classes=10), timm_inception_v4, (2, 3, 75, 80)),
    "inception_resnet_112": Pair(lambda: InceptionResNetV2((1, 1, 2), num_classes=10), timm_inception_resnet,
                                 (2, 3, 80, 75)),
    "resnet_basic": Pair(lambda: ResNet(Spec(BasicBlock, (1, 1, 1, 1)), num_classes=10),
                         tv_resnet("BasicBlock", [1, 1, 1, 1], num_classes=10), (2, 3, 64, 48)),
    "resnext_dilated": Pair(
        lambda: ResNet(Spec(Bottleneck, (1, 2, 1, 2), 32, 4), num_classes=10,
                       replace_stride_with_dilation=(False, True, True)),
        tv_resnet("Bottleneck", [1, 2, 1, 2], num_classes=10, groups=32, width_per_group=4,
                  replace_stride_with_dilation=[False, True, True]), (2, 3, 48, 64)),
    "efficientnet_small": Pair(
        lambda: EfficientNet(0.5, 0.5, num_classes=10),
        lambda lib: lib.timm.models.efficientnet._gen_efficientnet("efficientnet_b0", 0.5, 0.5, num_classes=10),
        (2, 3, 64, 48)),
    "regnet_x_small": Pair(lambda: regnet(Spec6(6, 24, 24.48, 2.54, 16), four=False, num_classes=10),
                           tv_regnet(depth=6, w_0=24, w_a=24.48, w_m=2.54, group_width=16), (2, 3, 48, 64)),
    "regnet_y_small": Pair(lambda: regnet(Spec6(6, 16, 20, 2.2, 12, 0.25), four=False, num_classes=10),
                           tv_regnet(depth=6, w_0=16, w_a=20, w_m=2.2, group_width=12, se_ratio=0.25), (2, 3, 48, 64)),
    "seresnet": Pair(lambda: SENet(Spec(SEBottleneck, (1, 1, 1, 1)), num_classes=10), timm_resnet([1, 1, 1, 1]),
                     (2, 3, 48, 64)),
    "seresnet_v1": Pair(
        lambda: SENet(Spec(SEBottleneck, (1, 2, 1, 1)), num_classes=10, stride_in="1x1", ceil_pool=True),
        legacy_senet("SEResNetBottleneck", (1, 2, 1, 1), groups=1, inplanes=64, input_3x3=False,
                     downsample_kernel_size=1, downsample_padding=0), (2, 3, 48, 64), "legacy_senet"),
    "mobilenet_v1_half": Pair(
        lambda: cnn.build("mobilenet_v1", num_classes=10, width=0.5),
        lambda lib: lib.timm.models.efficientnet._gen_mobilenet_v1("mobilenetv1_100", 0.5, num_classes=10),
        (2, 3, 64, 64)),
    "mobilenet_v2_third": Pair(
        lambda: cnn.build("mobilenet_v2", num_classes=10, width=0.35),
        lambda lib: lib.tv.mobilenet_v2(weights=None, num_classes=10, width_mult=0.35), (2, 3, 64, 64)),
    "mobilenet_v3_half": Pair(
        lambda: cnn.build("mobilenet_v3_small", num_classes=10, width=0.5),
        lambda lib: lib.tv.mobilenet_v3_small(weights=None, num_classes=10, width_mult=0.5), (2, 3, 64, 64)),
}



def cifar(depth):
    return Pair(lambda: cnn.build(f"resnet{depth}_cifar"), lambda lib: getattr(lib.cifar, f"resnet{depth}")(),
                (2, 3, 32, 32))


def wide(depth, k, images=1):
    return Pair(lambda: cnn.build(f"wrn_{depth}_{k}"), lambda lib: lib.wide.WideResNet(depth, 10, k),
                (images, 3, 32, 32))


PUBLIC = {                      # references that are single files of public repositories, see make_goldens.py
    "resnet20_cifar": cifar(20), "wrn_16_1": wide(16, 1, 2), "wrn_10_2": wide(10, 2, 2)}
PUBLIC_FULL = {
    **{f"resnet{depth}_cifar": cifar(depth) for depth in (32, 44, 56, 110)},
    **{f"wrn_{depth}_{k}": wide(depth, k) for depth, k in ((16, 8), (22, 8), (28, 10), (40, 4))}}


def tv(name, shape=(1, 3, 96, 96), ours=None, names="", **options):
    return Pair(lambda: cnn.build(ours or name, num_classes=10, **options),
                lambda lib: getattr(lib.tv, name)(weights=None, num_classes=10), shape, names)


def timm(name, ours, shape=(1, 3, 96, 96), names="", **options):
    return Pair(lambda: cnn.build(ours, num_classes=10, **options),
                lambda lib: lib.timm.create_model(name, num_classes=10), shape, names)


# With hashed weights sums grow from block to block. Behind thirty blocks (in EfficientNet-B7, too) gates that read them
# are open or shut, and rounding decides about some: F(x) has to be smaller.
DEEP_GATES = {"seresnet101": (1, 3, 96, 96), "seresnet152": (1, 3, 96, 96), "seresnext101_32x4d": (1, 3, 96, 96),
              "senet154": (1, 3, 64, 64)}
FULL = {
    "senet154_legacy_small": Pair(
        lambda: SENet(Spec(SENet154Block, (1, 1, 1, 1), 64, 4), num_classes=10, ceil_pool=True),
        legacy_senet("SEBottleneck", (1, 1, 1, 1), groups=64, inplanes=128, input_3x3=True, downsample_kernel_size=3,
                     downsample_padding=1), (1, 3, 50, 64), "legacy_senet"),
    "senet154_small": Pair(
        lambda: SENet(Spec(SENet154Block, (1, 1, 1, 1), 64, 4), num_classes=10),
        timm_resnet([1, 1, 1, 1], cardinality=64, base_width=4, stem_type="deep", down_kernel_size=3,
                    block_reduce_first=2), (1, 3, 48, 64)),
    **{name: tv(name) for name in (
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
        "resnext101_64x4d", "wide_resnet50_2", "alexnet", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small")},
    **{name: tv(name, (1, 3, 64, 64)) for name in ("resnext101_32x8d", "wide_resnet101_2")},
    "resnext101_32x4d": timm("resnext101_32x4d", "resnext101_32x4d"),
    **{name: tv(name, (1, 3, 64, 64)) for name in ("vgg11", "vgg13", "vgg16", "vgg19")},
    "vgg11_bn": tv("vgg11_bn", (1, 3, 64, 64), "vgg11", batch_norm=True),
    "mobilenetv1_100": timm("mobilenetv1_100", "mobilenet_v1"),
    "mobilenetv2_100": timm("mobilenetv2_100", "mobilenet_v2", names="timm_mobilenet_v2"),
    "inception_v4": timm("inception_v4", "inception_v4"),
    "inception_resnet_v2": timm("inception_resnet_v2", "inception_resnet_v2"),
    **{f"regnet_{form}_{size}": tv(f"regnet_{form}_{size}") for form in "xy"
       for size in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf")},
    **{f"regnet_{form}_32gf": tv(f"regnet_{form}_32gf", (1, 3, 64, 64)) for form in "xy"},
    "regnet_y_128gf": tv("regnet_y_128gf", (1, 3, 64, 64))._replace(part=Pair(
        lambda: AnyNet(REGNET_Y_128GF, se=0.25, num_classes=10), tv_stages(REGNET_Y_128GF), (1, 3, 64, 64))),
    **{name: timm(name, ours, names="timm_regnet") for name, ours in (
        ("regnetx_002", "regnet_x_200mf"), ("regnetx_004", "regnet_x_400mf_paper"), ("regnety_002", "regnet_y_200mf"),
        ("regnety_008", "regnet_y_800mf_paper"), ("regnety_080", "regnet_y_8gf_paper"))},
    **{f"efficientnet_b{i}": timm(f"efficientnet_b{i}", f"efficientnet_b{i}") for i in range(5)},
    "efficientnet_b0_torchvision": tv("efficientnet_b0", names="torchvision_efficientnet"),
    **{f"efficientnet_b{i}_torchvision": tv(f"efficientnet_b{i}", names="torchvision_efficientnet",
                                            norm=partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01))._replace(
                                                calm="block.3.1.weight" if i == 7 else "") for i in (5, 6, 7)},
    **{name: timm(name, name) for name in ("seresnet18", "seresnet34", "seresnet50", "seresnext50_32x4d")},
    **{name: timm(name, name, side)._replace(calm="bn3.weight") for name, side in DEEP_GATES.items()},
    "legacy_seresnet50": timm("legacy_seresnet50", "seresnet50", names="legacy_senet", stride_in="1x1",
                              ceil_pool=True),
}
HEAVY = ("resnet152", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet101_2", "vgg13", "vgg19", "regnet_x_16gf",
         "regnet_x_32gf", "regnet_y_16gf", "regnet_y_32gf", "regnet_y_128gf", "efficientnet_b6_torchvision",
         "efficientnet_b7_torchvision", "seresnet152", "senet154")             # from 54 million parameters on: slow


def run(model, x):
    """(logits, {name: gradient}) of a network of minicv."""
    model.zero_grad()
    y = model(Tensor(x))
    (y * Tensor(hashed("loss", y.shape).astype(y.dtype))).sum().backward()
    return y.data, {name: p.grad.data for name, p in model.named_parameters()}


def run_torch(torch, model, x):
    """The same of a PyTorch network."""
    model.zero_grad()
    y = model(torch.tensor(x))
    (y * torch.tensor(hashed("loss", tuple(y.shape)).astype(x.dtype))).sum().backward()
    return y.detach().numpy(), {name: p.grad.numpy() for name, p in model.named_parameters()}


def exact(torch, model):
    """The model with exact slopes of the hard activations: PyTorch's gradients use 1/6 rounded to float32."""
    class Hardsigmoid(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.relu6(x + 3) / 6

    class Hardswish(Hardsigmoid):
        def forward(self, x):
            return x * super().forward(x)
    for m in list(model.modules()):
        for name, child in list(m.named_children()):
            if type(child).__name__ in ("Hardsigmoid", "Hardswish"):
                setattr(m, name, {"Hardsigmoid": Hardsigmoid, "Hardswish": Hardswish}[type(child).__name__]())
    return model


def fill_torch(torch, model, dtype=np.float64, calm=""):
    """A float64 PyTorch network in evaluation mode with hashed weights, rounded to `dtype`."""
    model = exact(torch, model).eval().to(torch.float64)
    for name, t in model.state_dict().items():
        values = hashed_weight(name, tuple(t.shape)) * (0.1 if calm and name.endswith(calm) else 1)
        t.copy_(torch.tensor(values.astype(dtype if t.is_floating_point() else np.int64)))
    return model


def filled(lib, pair, dtype):
    """minicv's network in `dtype`, the reference in float64, with the same weights; and the map of names."""
    theirs = fill_torch(lib.torch, pair.theirs(lib), dtype, pair.calm)
    translate = MAPS[pair.names] if pair.names else dict
    state = {name: t.numpy() for name, t in theirs.state_dict().items()}
    ours = pair.ours().astype(dtype).eval()
    ours.load_state_dict({name: a.astype(dtype if a.dtype.kind == "f" else a.dtype, copy=False)
                          for name, a in translate(state).items()})
    return ours, theirs, translate


def differences(lib, pair, dtype, number=0):
    """Largest difference of the logits, and of any gradient, relative to the largest value of each array.

    minicv computes in `dtype`, the reference in float64 from the same numbers.
    """
    if pair.part is not None:
        return logits_difference(lib, pair, dtype, number), differences(lib, pair.part, dtype, number)[1]
    ours, theirs, translate = filled(lib, pair, dtype)
    x = image(pair.shape, dtype, number)
    (y, found), (expected, reference) = run(ours, x), run_torch(lib.torch, theirs, x.astype(np.float64))
    reference = translate(reference)
    assert found.keys() == reference.keys()
    relative = {name: np.abs(g - found[name]).max() / np.abs(g).max() for name, g in reference.items()}
    return np.abs(y - expected).max() / np.abs(expected).max(), max(relative.values())


def logits_difference(lib, pair, dtype, number=0):
    """The first of `differences`, in the memory of two networks without gradients."""
    ours, theirs, _ = filled(lib, pair, dtype)
    x = image(pair.shape, dtype, number)
    with no_grad(), lib.torch.no_grad():
        expected = theirs(lib.torch.tensor(x.astype(np.float64))).numpy()
        del theirs
        return np.abs(ours(Tensor(x)).data - expected).max() / np.abs(expected).max()


def multiply_adds(torch, model, shape):
    """What PyTorch counts for convolutions and matrix products; fused attention is invisible to its counter."""
    from torch.utils.flop_counter import FlopCounterMode
    torch.backends.mha.set_fastpath_enabled(False)
    plain = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    with torch.no_grad(), FlopCounterMode(display=False) as counter, plain:
        model(torch.zeros(shape))
    return counter.get_total_flops() // 2
