"""Section 2.2: Inception-ResNet, and Inception-v4, its sibling without residual connections."""

import numpy as np

from ... import nn
from ...autograd import Tensor
from ...cnn.inception_resnet import BLOCK_A, BLOCK_B, BLOCK_C, InceptionResNetV2, ResidualMixed
from ...cnn.inception_v4 import BLOCK_A as PLAIN_A
from ...cnn.inception_v4 import BLOCK_B as PLAIN_B
from ...cnn.inception_v4 import BlockC, InceptionV4, Mixed
from ...errors import ArgError, ShapeError
from ...metrics import accuracy
from ...plot import plot_curves
from .. import Report, Target, experiment
from ..classify import learn, scores, shapes
from ..parts import exact, refused
from ._diagrams import diagram
from ._errata import departures
from ._paper import count, published, sizes, table

PAPER = "Szegedy et al. 2017, Inception-v4, Inception-ResNet and the Impact of Residual Connections"
NOTEBOOK = "notebooks/21_residual.py"
MODULES = {"A": (320, BLOCK_A), "B": (1088, BLOCK_B), "C": (2080, BLOCK_C)}


@experiment(
    "inception-resnet", title="Inception-ResNet", chapter="2.2", paper=PAPER, notebook=NOTEBOOK,
    module="minicv/cnn/inception_resnet.py", equations="y = relu(x + scale W concat(branches of x)), fig. 16-19",
    shows="1x7 and 7x1 in place of 7x7; concatenated branches become an increment; with it and without it.",
    departures=departures("E2.6", "E2.7", "E2.8"),
    targets=[*published({"inception_resnet_v2": (55_843_464, 13.16)}),
             *exact({"factorized_share": (14 / 49, 1e-12), "channels_of_a": 128, "channels_of_b": 384,
                     "channels_of_c": 448, "shapes_changed": 0, "first_1x1_of_a": 3, "first_1x1_of_b": 2,
                     "refused": 4}),
             Target("zero_off_identity", "<=", 1e-7, tag="E"), Target("accuracy", ">=", 0.88)])
def inception_resnet(preset, rng, out, progress, *, epochs=3, lr=0.1):
    counted = count(("inception_resnet_v2",), 299, preset, width=0.1)
    blocks = {name: ResidualMixed(C, figure, scale=0.1, rng=0) for name, (C, figure) in MODULES.items()}
    x = {name: Tensor(rng.random((1, C, 8, 8), np.float32)) for name, (C, _) in MODULES.items()}
    runs = {"residual": _train(InceptionResNetV2, preset, rng, progress, epochs, lr)}
    metrics = sizes(counted) | {
        "factorized_share": factorized_share(), "refused": _refused(),
        **{f"channels_of_{name.lower()}": block.conv2d.in_channels for name, block in blocks.items()},
        **{f"first_1x1_of_{name}": sum(branch[0][1] == 1 for branch in figure)
           for name, figure in (("a", BLOCK_A), ("b", BLOCK_B))},
        "shapes_changed": sum(blocks[name](x[name]).shape != x[name].shape for name in blocks),
        "zero_off_identity": max(_off_identity(blocks[name], x[name]) for name in blocks),
        "accuracy": runs["residual"][1]}
    figures = {f"Inception-ResNet-{name}": lambda name=name, side=side: diagram(
        blocks[name], (1, MODULES[name][0], side, side), depth=2) for name, side in (("A", 35), ("B", 17))}
    return Report(metrics, figures | {"Training loss of one module of each kind": lambda: plot_curves(
        {"loss": runs["residual"][0].losses}, smooth=20).figure}, {"Networks of paper size": table(counted)})


def factorized_share():
    """Weights of 1x7 and 7x1 divided by those of 7x7, at equal width."""
    sizes_ = [nn.Conv2d(16, 16, size, bias=False, rng=0).weight.size for size in ((1, 7), (7, 1), 7)]
    return (sizes_[0] + sizes_[1]) / sizes_[2]


def _off_identity(block, x):
    """Difference from relu(x), and so from x >= 0, if the last convolution gives zeros."""
    for p in (block.conv2d.weight, block.conv2d.bias):
        nn.init.assign(p, np.zeros(p.shape))
    return np.abs(block(x).data - x.data).max()


def _refused():
    """How many of four impossible things raise: scales that are not positive, and a last 1x1 of another width."""
    block, x = ResidualMixed(32, BLOCK_B, width=0.1, rng=0), Tensor(np.zeros((1, 32, 7, 7), np.float32))
    block.conv2d = nn.Conv2d(block.conv2d.in_channels, 31, 1, rng=0)
    return refused((ArgError, ShapeError), lambda: ResidualMixed(32, BLOCK_A, scale=0),
                   lambda: ResidualMixed(32, BLOCK_A, scale=-0.1),
                   lambda: InceptionResNetV2(scales=(0.1, 0.0, 0.1), width=0.05), lambda: block(x))


def _train(network, preset, rng, progress, epochs, lr):
    """(history, accuracy) of one module of each kind on small pictures; the first map has half of their size."""
    count_, epochs = {"smoke": (64, 1), "fast": (4000, epochs), "full": (16000, 2 * epochs)}[preset]
    train, test = shapes(preset, rng, count=count_)
    model = network((1, 1, 1), num_classes=10, stem="cifar", width=0.08, dropout=0, rng=rng)
    history = learn(model, train, epochs=epochs, rng=rng, progress=progress, lr=lr)
    return history, accuracy(scores(model, test["image"]), test["label"])


@experiment(
    "inception-v4", title="Inception-v4", chapter="2.2", paper=PAPER, notebook=NOTEBOOK,
    module="minicv/cnn/inception_v4.py", equations="fig. 3-9: stem, 4 A, reduction, 7 B, reduction, 3 C",
    shows="The sibling without residual connections, column by column from the figures of the paper.",
    departures=departures("E2.6"),
    targets=[*published({"inception_v4": (42_679_816, 12.25)}),
             *exact({"channels_of_a": 384, "channels_of_b": 1024, "channels_of_c": 1536, "side_of_a": 35,
                     "side_of_b": 17, "side_of_c": 8, "refused": 3})])
def inception_v4(preset, rng, out, progress):
    counted = count(("inception_v4",), 299, preset, width=0.1)
    grids = _last_maps(counted["inception_v4"])
    modules = {"a": Mixed(384, PLAIN_A, rng=0), "b": Mixed(1024, PLAIN_B, rng=0), "c": BlockC(1536, rng=0)}
    metrics = sizes(counted) | {
        **{f"channels_of_{name}": module.out_channels for name, module in modules.items()},
        **{f"side_of_{name}": side for name, side in zip("abc", grids, strict=True)},
        "refused": refused(ArgError, lambda: InceptionV4(width=0), lambda: InceptionV4((1, 0, 1)),
                           lambda: InceptionV4(num_classes=0, width=0.1))}
    return Report(metrics, {f"Inception-v4, module {name.upper()}": lambda module=module, side=side: diagram(
        module, (1, module.out_channels, side, side), depth=2)
        for (name, module), side in zip(modules.items(), grids, strict=True)},
        {"Networks of paper size": table(counted)})


def _last_maps(cost):
    """Sides of the maps that modules A, B and C work on, largest first."""
    return sorted({row.output[-1] for row in cost.rows if row.kind in ("Mixed", "BlockC") and row.output[-1] < 71},
                  reverse=True)
