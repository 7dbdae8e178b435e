"""Section 2.2: residual networks of both kinds of blocks, at paper size and on small pictures."""

import numpy as np

from ... import cnn, nn
from ...autograd.activation import relu
from ...cnn.resnet import BasicBlock, Bottleneck, ResNet, Spec
from ...errors import ArgError
from ...metrics import accuracy
from ...nn.init import zero_gamma
from ...plot import plot_curves
from .. import Report, Target, experiment
from ..classify import learn, scores, shapes
from ..parts import exact, refused
from ._diagrams import diagram
from ._errata import departures
from ._paper import count, published, sizes, table

PAPER = "He et al. 2016, Deep Residual Learning for Image Recognition"
NOTEBOOK, MODULE = "notebooks/21_residual.py", "minicv/cnn/resnet.py"
THIN = {"widths": (8, 16, 32, 64)}
STAGES = ("conv1", "layer1", "layer2", "layer3", "layer4", "fc")
BASIC = (8, 14, 26, 52)
COUNTS = {"smoke": 64, "fast": 3000, "full": 16000}


class NoNorm(nn.Module):
    """What a network without batch norms has in their place: the addition and the activation alone."""

    def __init__(self, channels):
        pass

    def forward(self, x, residual=None, activation=None):
        """x, or x + residual, through ReLU if asked for."""
        y = x if residual is None else x + residual
        return relu(y) if activation == "relu" else y


def small(block, depths, widths, rng, **options):
    """A ResNet for images of 32 pixels; its stem halves them."""
    net = ResNet(Spec(block, depths), num_classes=10, stem="cifar", widths=widths, rng=rng, **options)
    net.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
    return net


def trained(model, train, test, **options):
    """(history, accuracy on the test images)."""
    history = learn(model, train, **options)
    return history, accuracy(scores(model, test["image"]), test["label"])


@experiment(
    "resnet-18", title="ResNet-18 and ResNet-34", chapter="2.2", paper=PAPER, notebook=NOTEBOOK, module=MODULE,
    equations="table 1, columns 18-layer and 34-layer",
    shows="Four stages of residual blocks; the same small network with and without its batch norms.",
    departures=departures("E2.3"),
    targets=[*published({"resnet18": (11_689_512, 1.814), "resnet34": (21_797_672, 3.664)}),
             *exact({"first_stage_side": 56, "first_stage_channels": 64, "depths_refused": 1}),
             Target("accuracy", ">=", 0.93), Target("gain_by_norms", ">=", 0.02)])
def resnet_18(preset, rng, out, progress, *, epochs=5, lr=0.01):
    counted = count(("resnet18", "resnet34"), 224, preset, **THIN)
    train, test = shapes(preset, rng, count=COUNTS[preset])
    seed, runs = int(rng.integers(2**31)), {}
    for label, norm in (("with batch norm", nn.BatchNorm2d), ("without", NoNorm)):
        model = small(BasicBlock, (2, 2, 2, 2), (12, 16, 32, 64), seed, norm=norm)
        if norm is nn.BatchNorm2d:
            zero_gamma(model, "bn2")
        runs[label] = trained(model, train, test, epochs=epochs if preset != "smoke" else 1, progress=progress, lr=lr,
                              batch=32, optimizer="adam", rng=np.random.default_rng(seed), clip_norm=1.0)
    stage = counted["resnet18"]["layer1"].output
    metrics = sizes(counted) | {
        "first_stage_side": stage[-1], "first_stage_channels": stage[1],
        "depths_refused": refused(ArgError, lambda: cnn.resnet.build("resnet19")),
        "accuracy": runs["with batch norm"][1], "accuracy_without_norms": runs["without"][1],
        "gain_by_norms": runs["with batch norm"][1] - runs["without"][1]}
    return Report(metrics, {
        "2.3 Architecture of ResNet-18": lambda: diagram(
            cnn.build("resnet18", rng=0), (1, 3, 224, 224), depth=1),
        "Training with and without batch norms": lambda: plot_curves(
            {label: history.losses for label, (history, _) in runs.items()}, smooth=20).figure},
        {"Networks of paper size": table(counted), "Stages of resnet18": [
            {"stage": row.name, "output": str(row.output[1:]), "parameters": row.parameters, "MMAC": row.macs / 1e6}
            for row in counted["resnet18"].rows if row.name in STAGES]})


@experiment(
    "resnet-50", title="ResNet-50, -101 and -152", chapter="2.2", paper=PAPER, notebook=NOTEBOOK, module=MODULE,
    equations="table 1, columns 50-layer, 101-layer and 152-layer",
    shows="Bottlenecks make 152 layers cheaper than VGG-16; a small pair of equal cost on small pictures.",
    departures=departures("E2.4"),
    targets=[*published({"resnet50": (25_557_032, 4.089), "resnet101": (44_549_160, 7.801),
                         "resnet152": (60_192_808, 11.514)}),
             *exact({"depths_refused": 1}), Target("accuracy", ">=", 0.92),
             Target("cost_ratio", "~", 1, tag="E", tol=0.1)])
def resnet_50(preset, rng, out, progress, *, epochs=5, lr=0.01):
    counted = count(("resnet50", "resnet101", "resnet152"), 224, preset, **THIN)
    train, test = shapes(preset, rng, count=COUNTS[preset])
    seed, runs, rows = int(rng.integers(2**31)), {}, []
    for label, block, widths in (("bottlenecks", Bottleneck, (8, 12, 24, 44)), ("basic blocks", BasicBlock, BASIC)):
        model = small(block, (2, 2, 2, 2), widths, seed)
        zero_gamma(model, "bn3" if block is Bottleneck else "bn2")          # narrow bottlenecks hardly start without
        cost = nn.cost(model, (1, 3, 32, 32))
        runs[label] = trained(model, train, test, epochs=epochs if preset != "smoke" else 1, progress=progress, lr=lr,
                              batch=32, optimizer="adam", rng=np.random.default_rng(seed))
        rows.append({"blocks": label, "parameters": cost.parameters, "MMAC": cost.macs / 1e6,
                     "accuracy": runs[label][1]})
    metrics = sizes(counted) | {
        "depths_refused": refused(ArgError, lambda: cnn.resnet.build("resnet51")), "accuracy": rows[0]["accuracy"],
        "accuracy_of_basic_blocks": rows[1]["accuracy"], "cost_ratio": rows[0]["MMAC"] / rows[1]["MMAC"]}
    return Report(metrics, {"Training loss at equal cost": lambda: plot_curves(
        {label: history.losses for label, (history, _) in runs.items()}, smooth=20).figure},
        {"Networks of paper size": table(counted), "Small networks of equal cost": rows})
