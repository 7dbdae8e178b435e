"""Section 2.3: grouped convolutions, the three forms of a ResNeXt block, ResNeXt."""

import numpy as np

from ... import cnn, nn
from ...autograd import Tensor
from ...autograd.conv import conv2d
from ...cnn.resnet import Bottleneck
from ...cnn.resnext_forms import (
    JoinedBranches,
    SummedBranches,
    as_bottleneck,
    block_weights,
    from_bottleneck,
    width_for,
)
from ...errors import ArgError, ShapeError
from ...metrics import accuracy
from .. import Report, Target, experiment
from ..classify import learn, scores, shapes
from ..parts import exact, panels, refused
from ._blocks import connections, diagram, small_net
from ._errata import departures
from ._paper import count, gate, table

NOTEBOOK = "notebooks/22_branches_and_gates.py"
PAPER = "Xie et al. 2017, Aggregated Residual Transformations for Deep Neural Networks"


@experiment(
    "grouped-conv", title="Grouped convolution", chapter="2.3", notebook=NOTEBOOK, module="minicv/autograd/conv.py",
    paper="Krizhevsky, Sutskever & Hinton 2012, ImageNet Classification with Deep CNNs",
    equations="y = [w_1 * x_1, ..., w_G * x_G]; weights and multiply-adds = dense / G",
    shows="A grouped convolution is G small convolutions, and a dense one whose weight is block-diagonal.",
    targets=[*exact({"weights_dense": 589_824, "weights_grouped": 18_432, "weights_ratio": 32, "macs_ratio": 32,
                     "indivisible_refused": 2}),
             Target("differs_from_separate", "<=", 1e-10, tag="E"), Target("differs_from_dense", "<=", 1e-10, tag="E"),
             Target("gradient_differs_from_dense", "<=", 1e-10, tag="E")])
def grouped_conv(preset, rng, out, progress):
    trials = {"smoke": 3, "fast": 30, "full": 300}[preset]
    worst = np.max([compare_grouped(rng) for _ in progress(range(trials), desc="random convolutions")], axis=0)
    dense, grouped = (nn.cost(nn.Conv2d(256, 256, 3, padding=1, groups=G, bias=False, rng=0), (1, 256, 14, 14))
                      for G in (1, 32))
    lost = [{"groups": G, "share lost": round(lost_share(rng, G), 4), "1 - 1/G": 1 - 1 / G} for G in (1, 2, 4, 8)]
    metrics = dict(zip(("differs_from_separate", "differs_from_dense", "gradient_differs_from_dense"), worst))
    return Report(metrics | {
        "weights_dense": dense.parameters, "weights_grouped": grouped.parameters,
        "weights_ratio": dense.parameters / grouped.parameters, "macs_ratio": dense.macs / grouped.macs,
        "indivisible_refused": refused(ShapeError, *(
            lambda c=c: nn.Conv2d(*c, 3, groups=4) for c in ((6, 8), (8, 6))))},
        {"Which channels an output channel reads": _reads,
         "The same as dense weights: blocks on the diagonal": _diagonal},
        {"Share of a random dense convolution that G groups cannot represent": lost})


def block_diagonal(w, G):
    """The dense weight (O, C, P, Q) that does what the grouped weight w (O, C / G, P, Q) does."""
    O, c, P, Q = w.shape
    dense = np.zeros((O, G * c, P, Q), w.dtype)
    for g in range(G):
        dense[g * O // G:(g + 1) * O // G, g * c:(g + 1) * c] = w[g * O // G:(g + 1) * O // G]
    return dense


def compare_grouped(rng):
    """Largest differences of a random grouped convolution: to G convolutions, to a dense one, of the gradients."""
    G, c, o, stride = (int(n) for n in rng.integers(1, [5, 4, 4, 3]))
    x, w = rng.standard_normal((2, G * c, 7, 6)), rng.standard_normal((G * o, c, 3, 3))
    settings = {"stride": stride, "padding": 1}
    y = conv2d(x, w, groups=G, **settings)
    separate = [conv2d(*pair, **settings) for pair in zip(np.split(x, G, axis=1), np.split(w, G), strict=True)]
    one, two = Tensor(w, requires_grad=True), Tensor(block_diagonal(w, G), requires_grad=True)
    weight = rng.standard_normal(y.shape)
    dense = conv2d(x, two, **settings)
    (conv2d(x, one, groups=G, **settings) * weight).sum().backward()
    (dense * weight).sum().backward()
    blocks = two.grad.data * block_diagonal(np.ones_like(w), G)
    return [np.abs(a - b).max() for a, b in ((y, np.concatenate(separate, axis=1)), (y, dense.data),
                                             (block_diagonal(one.grad.data, G), blocks))]


def lost_share(rng, G, channels=64):
    """Share of the squares of a random dense weight outside of the blocks: its error on white noise."""
    w = rng.standard_normal((channels, channels, 3, 3))
    kept = w * block_diagonal(np.ones((channels, channels // G, 3, 3)), G)
    return 1 - (kept**2).sum() / (w**2).sum()


def _reads():
    figure, axes = panels(3, (2.8, 2.8))
    for ax, G in zip(axes, (1, 2, 8), strict=True):
        layer = block_diagonal(np.ones((8, 8 // G, 1, 1)), G)[:, :, 0, 0]
        connections(ax, [layer], {1: "dense", 2: "2 groups", 8: "8 groups: depthwise"}[G])
    return figure


def _diagonal():
    figure, axes = panels(4, (2.4, 2.5), sharey=True)
    for ax, G in zip(axes, (1, 2, 4, 16), strict=True):
        w = np.random.default_rng(0).standard_normal((16, 16 // G, 3, 3))
        ax.imshow(np.abs(block_diagonal(w, G)).sum(axis=(2, 3)), cmap="Greys")
        ax.set(title=f"G = {G}: {w.size} weights", xlabel="input channel", xticks=[], yticks=[])
    axes[0].set_ylabel("output channel")
    return figure


GROUPS, WIDTHS = (1, 2, 4, 8, 32), (64, 40, 24, 14, 4)


@experiment(
    "resnext-block", title="ResNeXt block", chapter="2.3", notebook=NOTEBOOK, module="minicv/cnn/resnext_forms.py",
    paper=PAPER + ", figure 3 and table 2", equations="y = relu(x + sum_g T_g(x)); 9 G d^2 + 2 C G d = weights",
    shows="Summed branches, joined branches and a grouped bottleneck compute the same, with the same gradients.",
    departures=departures("E2.9", "E2.10"),
    targets=[*exact({f"width_{G}": (d, 0.05) for G, d in zip(GROUPS, (64, 39.9, 23.9, 13.7, 3.97), strict=True)} |
                    dict(zip([f"weights_{G}" for G in GROUPS], (69_632, 69_760, 69_888, 71_456, 70_144), strict=True)) |
                    {"bad_sizes_refused": 3}),
             *[Target(f"{form}_{what}_differs", "<=", 1e-10, tag="E") for form in ("summed", "joined")
               for what in ("forward", "gradient")]])
def resnext_block(preset, rng, out, progress):
    side, G, d = {"smoke": (6, 4, 2)}.get(preset, (14, 8, 4))
    block, x = Bottleneck(64, 16, groups=G, group_width=4 * d, rng=rng).astype(np.float64), rng.standard_normal(
        (4, 64, side, side))
    forms = {"grouped": block} | {name: from_bottleneck(form, block) for name, form in (
        ("summed", SummedBranches), ("joined", JoinedBranches))}
    weight = rng.standard_normal(x.shape)
    results = {name: run_form(form, x, weight) for name, form in progress(forms.items(), desc="forms")}
    y, gradients = results.pop("grouped")
    metrics = {f"{name}_forward_differs": np.abs(ours - y).max() for name, (ours, _) in results.items()}
    metrics |= {f"{name}_gradient_differs": max(np.abs(g[key] - gradients[key]).max() for key in gradients)
                for name, (_, g) in results.items()}
    metrics |= {f"width_{G}": width_for(256, G, 69_632) for G in GROUPS}
    metrics |= {f"weights_{G}": block_weights(256, G, d) for G, d in zip(GROUPS, WIDTHS, strict=True)}
    metrics["bad_sizes_refused"] = refused(ShapeError, lambda: nn.Conv2d(30, 30, 3, groups=4)) + refused(
        ArgError, lambda: width_for(256, 32, -1e7), lambda: width_for(256, 0, 1))
    return Report(metrics, {
        "The block in its three forms, for two branches": _three_forms,
        "Results of the forms minus that of the grouped form": lambda: _differences(y, results),
        "Width of a branch that keeps the number of weights": _widths},
        {"Worked example: C = 256, 69 632 weights": [
            {"G": G, "d": round(width_for(256, G, 69_632), 2), "rounded": d, "weights": block_weights(256, G, d)}
            for G, d in zip(GROUPS, WIDTHS, strict=True)]})


def run_form(form, x, weight):
    """Result, and gradients of <weight, result> under the names of form (c), that of x included."""
    x = Tensor(x, requires_grad=True)
    y = form(x)
    (y * weight).sum().backward()
    if isinstance(form, Bottleneck):
        gradients = {name: p.grad.data for name, p in form.named_parameters()}
    else:
        gradients = as_bottleneck(form, lambda p: p.grad.data)
    return y.data, gradients | {"x": x.grad.data}


def _three_forms():
    first, second, last = ["1×1, d"] * 2, ["3×3, d"] * 2, ["1×1, C"] * 2
    return diagram({"(a) summed": [first, second, last, ["+"], ["+"]],
                    "(b) joined": [first, second, ["concatenate"], ["1×1, C"], ["+"]],
                    "(c) grouped": [["1×1, 2d"], ["3×3, 2d, 2 groups"], ["1×1, C"], ["+"]]})


def _differences(y, results):
    figure, axes = panels(3, (3.2, 2.8))
    axes[0].imshow(y[0].reshape(len(y[0]), -1), aspect="auto")
    axes[0].set(title="result of (c)", xlabel="position", ylabel="channel")
    for ax, (name, (ours, _)) in zip(axes[1:], results.items(), strict=True):
        image = ax.imshow(np.abs(ours - y)[0].reshape(len(y[0]), -1), aspect="auto", vmin=0, vmax=2e-15)
        ax.set(title=f"|{name} - (c)|", xlabel="position")
    figure.colorbar(image, ax=axes[2])
    return figure


def _widths():
    figure, (ax,) = panels(1, (5.4, 3.6))
    G = np.arange(1, 65)
    d = np.array([width_for(256, int(g), 69_632) for g in G])
    ax.loglog(G, d, label="width d of a branch")
    ax.loglog(G, G * d, "--", label="all channels G d")
    ax.plot(GROUPS, WIDTHS, "o", color="black", label="published")
    ax.set(xlabel="branches G", ylabel="channels")
    ax.legend()
    return figure


PUBLISHED = {"resnext50_32x4d": (25_028_904, 4.23), "resnext101_32x4d": (44_177_704, 7.97),
             "resnext101_64x4d": (83_455_272, 15.46), "resnext101_32x8d": (88_791_336, 16.414)}


@experiment(
    "resnext", title="ResNeXt", chapter="2.3", notebook=NOTEBOOK, module="minicv/cnn/resnet.py", paper=PAPER,
    equations="ResNet with the 3x3 convolution of each bottleneck in G groups", departures=departures("E2.9"),
    shows="Counts of the published networks are exact; a small one with 4 groups learns shapes.",
    targets=[*exact({"parameter_counts_off": 0, "unknown_depth_refused": 1}),
             Target("worst_mac_error", "<=", 0.01, tag="E"), Target("accuracy", ">=", 0.96)])
def resnext(preset, rng, out, progress):
    names = list(PUBLISHED)[:1 if preset == "smoke" else None]
    counted = count(progress(names, desc="networks"), 224, preset)
    train, test = shapes(preset, rng)
    epochs = {"smoke": 1, "fast": 4, "full": 10}[preset]
    sweep = {4: 6} if preset == "smoke" else {1: 16, 4: 6} if preset == "fast" else {1: 16, 2: 10, 4: 6, 8: 3}
    rows = [_trained(G, d, train, test, epochs, rng, progress) for G, d in sweep.items()]
    metrics = gate(counted, PUBLISHED) | {
        "accuracy": next(row["accuracy"] for row in rows if row["G"] == 4),
        "unknown_depth_refused": refused(ArgError, lambda: cnn.build("resnext42_32x4d"))}
    return Report(metrics, {"More groups at equal multiply-adds": lambda: _sweep(rows)},
                  {"Networks of the paper at 224 pixels": table(counted), "Small networks on ten shapes": rows})


def small_resnext(G, d, rng):
    """Four bottlenecks of G branches, of d channels each in the first two and 2 d in the others."""
    settings = {"groups": G, "group_width": 4 * d, "rng": rng}
    return small_net(Bottleneck(32, 16, **settings), Bottleneck(64, 16, **settings),
                     Bottleneck(64, 32, stride=2, **settings), Bottleneck(128, 32, **settings), channels=32,
                     features=128, rng=rng)


def _trained(G, d, train, test, epochs, rng, progress):
    model = small_resnext(G, d, rng)
    learn(model, train, epochs=epochs, rng=rng, progress=progress, lr=0.1)
    total = nn.cost(model, (1, 3, 32, 32))
    return {"G": G, "d": d, "parameters": total.parameters, "MMAC": round(total.macs / 1e6, 3),
            "accuracy": accuracy(scores(model, test["image"]), test["label"])}


def _sweep(rows):
    figure, (ax,) = panels(1, (4.6, 3.2))
    ax.plot([row["G"] for row in rows], [row["accuracy"] for row in rows], "o-")
    ax.set(xlabel="groups", ylabel="accuracy", ylim=(0, 1.02))
    return figure
