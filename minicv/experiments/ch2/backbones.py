"""Section 2.2: AlexNet and VGG-16, the backbones of later chapters: where their weights are and where their work is."""

import numpy as np

from ... import cnn, nn
from ...errors import ArgError
from ...nn import receptive_field
from .. import Report, experiment
from ..parts import exact, panels, refused
from ._paper import count, published, sizes, table

NOTEBOOK = "notebooks/21_residual.py"
THIN = {"hidden": 64}


def linear_share(cost, what):
    """Share of the parameters or multiply-adds that belongs to linear layers."""
    return sum(getattr(row, what) for row in layers(cost) if row.kind == "Linear") / getattr(cost, what)


def layers(cost):
    """Rows of convolutions and linear layers."""
    return [row for row in cost.rows if row.kind in ("Conv2d", "Linear")]


def _report(cost, metrics, counted):
    rows = [{"layer": row.name, "kind": row.kind, "output": str(row.output[1:]), "parameters": row.parameters,
             "MMAC": row.macs / 1e6} for row in layers(cost)]
    return Report(metrics, {"Where the parameters are, and where the work is": lambda: _shares(cost)},
                  {"Networks of paper size": table(counted), "Layers": rows})


def _shares(cost):
    rows = layers(cost)
    figure, (ax,) = panels(1, (7.0, 3.4))
    for shift, what in ((-0.2, "parameters"), (0.2, "macs")):
        ax.bar(np.arange(len(rows)) + shift, [100 * getattr(row, what) / getattr(cost, what) for row in rows], 0.4,
               label={"parameters": "parameters", "macs": "multiply-adds"}[what])
    ax.set_xticks(range(len(rows)), [f"{'conv' if row.kind == 'Conv2d' else 'linear'} {i}" for i, row in
                                     enumerate(rows, 1)], rotation=45, ha="right")
    ax.set(ylabel="percent")
    ax.legend()
    return figure


@experiment(
    "alexnet", title="AlexNet", chapter="2.2", notebook=NOTEBOOK, module="minicv/cnn/alexnet.py",
    paper="Krizhevsky et al. 2012, ImageNet Classification with Deep Convolutional Neural Networks",
    equations="section 3.5: 11x11, 5x5, three 3x3 convolutions, three linear layers",
    shows="Nearly all weights are in the linear layers, nearly all work in the convolutions.",
    departures="no groups and no local response norms; 'alexnet' has the channels of the public weights, "
               "'alexnet_2012' those of the paper",
    targets=[*published({"alexnet": (61_100_840, 0.714)}), *exact({
        "convolutions_of_2012": 5, "channels_of_2012": 1376, "linear_parameters": (0.9596, 1e-4),
        "linear_macs": (0.082, 1e-3), "receptive_field": 195, "names_refused": 1})])
def alexnet(preset, rng, out, progress):
    counted = count(("alexnet",), 224, preset, **THIN)
    paper = [m for m in cnn.build("alexnet_2012", hidden=64, rng=0).features if isinstance(m, nn.Conv2d)]
    cost, chain = counted["alexnet"], cnn.build("alexnet", hidden=64, rng=0).features
    return _report(cost, sizes(counted) | {
        "convolutions_of_2012": len(paper), "channels_of_2012": sum(m.out_channels for m in paper),
        "linear_parameters": linear_share(cost, "parameters"), "linear_macs": linear_share(cost, "macs"),
        "receptive_field": receptive_field(chain).size[0],
        "names_refused": refused(ArgError, lambda: cnn.alexnet.build("alexnet_2013"))}, counted)


@experiment(
    "vgg-16", title="VGG-16", chapter="2.2", notebook=NOTEBOOK, module="minicv/cnn/vgg.py",
    paper="Simonyan & Zisserman 2015, Very Deep Convolutional Networks for Large-Scale Image Recognition",
    equations="table 1, column D; section 2.3: three 3x3 see 7x7 with 27/49 of its weights",
    shows="Stacks of 3x3 convolutions see as far as large ones with fewer weights; three quarters of all weights are "
          "in one linear layer.",
    targets=[*published({"vgg16": (138_357_544, 15.47)}), *exact({
        "two_3x3_see": 5, "three_3x3_see": 7, "two_3x3_weights": (18 / 25, 1e-12),
        "three_3x3_weights": (27 / 49, 1e-12), "first_linear_share": (0.7428, 1e-4), "linear_macs": (0.008, 1e-3),
        "receptive_field": 212, "names_refused": 1})])
def vgg_16(preset, rng, out, progress):
    counted = count(("vgg16",), 224, preset, **THIN)
    cost, chain = counted["vgg16"], cnn.build("vgg16", hidden=64, rng=0).features
    first = next(row for row in layers(cost) if row.kind == "Linear")
    return _report(cost, sizes(counted) | {
        **{f"{name}_3x3_see": receptive_field([(3,)] * n).size[0] for name, n in (("two", 2), ("three", 3))},
        **{f"{name}_3x3_weights": n * _weights(3) / _weights(2 * n + 1) for name, n in (("two", 2), ("three", 3))},
        "first_linear_share": first.parameters / cost.parameters, "linear_macs": linear_share(cost, "macs"),
        "receptive_field": receptive_field(chain).size[0],
        "names_refused": refused(ArgError, lambda: cnn.vgg.build("vgg15"))}, counted)


def _weights(size, channels=8):
    return nn.Conv2d(channels, channels, size, bias=False, rng=0).weight.size
