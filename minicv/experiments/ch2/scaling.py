"""Section 2.6: larger networks in one dimension at a time, and in all of them by one number."""

import functools

import numpy as np

from ... import nn
from ...cnn.efficientnet import VARIANTS, EfficientNet, Row
from ...cnn.resnet import BasicBlock, ResNet, Spec
from ...cnn.scaling import Scale, candidates, compound, exponent, grid_search, scale_network, scale_side
from ...errors import ArgError
from ...metrics import accuracy
from ...train.progress import silent
from .. import Report, experiment
from ..classify import learn, scores, shapes
from ..parts import exact, refused
from . import _scaled as draw
from ._errata import departures

NOTEBOOK = "notebooks/24_scaling_and_design.py"
PAPER = "Tan & Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"
BASE = tuple(Row(*row) for row in ((3, 1, 1, 8, 1), (3, 2, 3, 16, 1), (3, 2, 3, 24, 1)))       # a tiny MBConv network
SIDE = 32
CLASSES = ("cross", "ring", "h-bars", "checker")
SIZES = {"smoke": (64, 64, 1), "fast": (1000, 500, 2), "full": (8000, 2000, 8)}                 # pictures, epochs


class Trainer:
    """Accuracy of scaled forms of the base network on pictures of the size that the scale asks for."""

    def __init__(self, preset, rng, *, side=SIDE):
        self.seed, self.side = int(rng.integers(2**31)), side
        self.count, self.held, self.epochs = SIZES[preset]

    @functools.cache                                    # noqa: B019 (as long-lived as the experiment)
    def pictures(self, side):
        return shapes("fast", np.random.default_rng(self.seed), count=self.count, held=self.held, size=side,
                      classes=CLASSES)

    @functools.cache                                    # noqa: B019
    def __call__(self, scale):
        """(multiply-adds, accuracy)."""
        side, rng = scale_side(self.side, scale, multiple=4), np.random.default_rng([self.seed, 1])
        (train, test), net = self.pictures(side), small(scale, rng)
        learn(net, train, epochs=self.epochs, rng=rng, progress=silent, optimizer="adam", lr=5e-3, batch=32)
        return macs(scale, self.side), accuracy(scores(net, test["image"]), test["label"])


def small(scale, rng=0):
    """The base network with d times the blocks and w times the channels."""
    return EfficientNet(scale.width, scale.depth, rows=BASE, num_classes=len(CLASSES), dropout=0, drop_path=0, rng=rng)


def macs(scale, side=SIDE):
    """Multiply-adds of `small` on the images that the scale asks for, counted."""
    n = scale_side(side, scale, multiple=4)
    return nn.cost(small(scale), (1, 3, n, n)).macs


# One dimension ------------------------------------------------------------------------------------------------------


@experiment(
    "model-scaling", title="Deeper, wider, larger images", chapter="2.6", notebook=NOTEBOOK, paper=PAPER,
    module="minicv/cnn/scaling.py", equations="multiply-adds ~ d w^2 r^2", tour=3,
    shows="Cost grows linearly with depth and with the squares of width and resolution; accuracy grows less and less.",
    departures="Accuracy on four drawn shapes in place of ImageNet; 16 to 48 pixels. Costs of a ResNet with a quarter "
               "of its channels.",
    targets=exact({"exponent_depth": (1, 0.15), "exponent_width": (2, 0.15), "exponent_resolution": (2, 0.15),
                   "refused": 5, "least_blocks": 1, "least_channels": 8}))
def single_dimension(preset, rng, out, progress):
    factors = (0.5, 1, 1.5, 2)
    costs = {name: [_resnet_macs(Scale(**{name: f})) for f in factors] for name in Scale._fields}
    depths, widths = scale_network((2, 2), (16, 32), Scale(0.01, 0.01))
    bad = [Scale(depth=0), Scale(width=-1.0), Scale(width=np.nan)]
    metrics = {f"exponent_{name}": exponent(factors, found) for name, found in costs.items()} | {
        "least_blocks": min(depths), "least_channels": min(widths),
        "refused": refused(ArgError, *[functools.partial(scale_network, (1,), (8,), scale) for scale in bad],
                           lambda: scale_side(32, Scale(resolution=0)), lambda: scale_network((0,), (8,), Scale()))}
    train = Trainer(preset, rng)
    sweep = {"depth": (1, 2, 4), "width": (0.5, 1, 2), "resolution": (0.5, 1, 1.5)}
    found = {name: {f: train(Scale(**{name: float(f)})) for f in progress(values, desc=name)}
             for name, values in sweep.items()}
    rows = [{"dimension": name, "factor": f, "million MACs": cost / 1e6, "accuracy": value}
            for name, line in found.items() for f, (cost, value) in line.items()]
    lines = {name: list(line.values()) for name, line in found.items()}
    return Report(metrics, {
        "Figure 2.6. Accuracy against width, depth and resolution": lambda: draw.sweeps(found),
        "The same against multiply-adds": lambda: draw.over_cost(lines)},
        {"Scaling in one dimension": rows})


def _resnet_macs(scale):
    """Multiply-adds of a scaled ResNet of basic blocks."""
    depths, widths = scale_network((4, 4, 4, 4), (16, 32, 64, 128), scale)
    side = scale_side(64, scale, multiple=32)
    return nn.cost(ResNet(Spec(BasicBlock, depths), widths=widths, num_classes=10, rng=0), (1, 3, side, side)).macs


# All dimensions -----------------------------------------------------------------------------------------------------

B24 = (0.39, 0.749, 1.438, 2.762, 5.303, 10.18, 19.56, 37.55)       # G multiply-adds for phi = 0 ... 7
PUBLISHED = (0.39, 0.70, 1.0, 1.8, 4.2, 9.9, 19, 37)                # of B0 to B7, as printed


@experiment(
    "compound-scaling", title="Compound scaling", chapter="2.6", notebook=NOTEBOOK, paper=PAPER,
    module="minicv/cnn/scaling.py", equations="3: d = alpha^phi, w = beta^phi, r = gamma^phi, alpha beta^2 gamma^2 ~ 2",
    shows="One number makes a network larger in all three dimensions; a grid search finds how to share the growth.",
    departures=departures("E2.15") + " Accuracy on four drawn shapes after seconds of training.",
    targets=exact({"product_of_the_published_bases": (1.9203, 5e-5), "phi_0_is_the_base": 1, "refused": 4,
                   "worst_candidate_off_2": (0.05, 0.05), "named_networks_off_the_rule": 1,
                   **{f"gmac_phi_{phi}": (value, 5e-4 * value) for phi, value in enumerate(B24)}}))
def all_dimensions(preset, rng, out, progress):
    rule = [0.39 * compound(phi).cost for phi in range(8)]
    train = Trainer(preset, rng, side=24)
    grid = dict(step=0.2, high=1.4, tolerance=0.1)
    best, value = grid_search(lambda scale: train(scale)[1], **grid)
    lines = _lines(train, best, progress)
    curves = _curves(train, progress)
    metrics = {
        "product_of_the_published_bases": compound(1).cost, "phi_0_is_the_base": compound(0) == Scale(),
        "worst_candidate_off_2": max(abs(scale.cost - 2) for scale in candidates(step=0.05)),
        "named_networks_off_the_rule": max(abs(np.array(PUBLISHED) / rule - 1)) > 0.1,
        **{f"gmac_phi_{phi}": cost for phi, cost in enumerate(rule)}, "best_of_the_grid": value,
        "refused": refused(ArgError, lambda: compound(1, beta=1.2), lambda: compound(1, alpha=1.0),
                           lambda: compound(1, alpha=0.9, beta=1.3), lambda: grid_search(lambda s: 0.0, step=0.9))}
    searched = [{"depth": s.depth, "width": s.width, "resolution": s.resolution, "d w^2 r^2": s.cost,
                 "million MACs": train(s)[0] / 1e6, "accuracy": train(s)[1]} for s in candidates(**grid)]
    named = [{"phi": phi, "rule, G MACs": cost, "published, G MACs": PUBLISHED[phi], "name": name[-2:].upper(),
              "rule, side": round(224 * compound(phi).resolution), "published, side": spec.resolution}
             for phi, (cost, (name, spec)) in enumerate(zip(rule, VARIANTS.items(), strict=True))]
    return Report(metrics, {
        "Figure 2.7. Wider networks at four depths and resolutions": lambda: draw.over_cost(curves),
        "Figure 2.8. Ways to make a network larger": draw.approaches,
        "One dimension or all of them": lambda: draw.over_cost(lines)},
        {"Grid search at phi = 1": searched, "Rule and names": named})


def _lines(train, best, progress):
    """Base, twice and four times the cost: in one dimension, and in the shares that the search found."""
    single = {"depth": (2.0, 1.0, 1.0), "width": (1.0, 1.4, 1.0), "resolution": (1.0, 1.0, 1.4), "all": best}
    return {name: [train(Scale(*(base ** phi for base in bases))) for phi in (0, 1, 2)]
            for name, bases in progress(single.items(), desc="directions")}


def _curves(train, progress):
    """Width scaling for pairs of depth and resolution."""
    pairs = [(d, r) for d in (1.0, 2.0) for r in (1.0, 1.4)]
    return {f"depth {d:g}, resolution {r:g}": [train(Scale(d, w, r)) for w in (0.5, 1.0, 2.0)]
            for d, r in progress(pairs, desc="curves")}
