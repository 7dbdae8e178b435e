"""Section 2.1: the Inception module, auxiliary classifiers and the network made of them."""

from functools import partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ... import nn
from ...autograd import Tensor
from ...cnn.inception import HEADS, ROWS, VARIANTS, AuxiliaryHead, Inception, InceptionV1, Row, auxiliary_loss
from ...cnn.inception import build as build_inception
from ...data.synthetic.shapes import SHAPES
from ...errors import ArgError, ShapeError
from ...metrics import accuracy
from ...plot import plot_curves
from .. import Report, Target, experiment
from ..classify import learn, scores, shapes
from ..parts import exact, panels, refused
from ._diagrams import diagram
from ._errata import departures
from ._paper import count, published, sizes, table

PAPER = "Szegedy et al. 2015, Going Deeper with Convolutions"
NOTEBOOK, MODULE = "notebooks/20_inception.py", "minicv/cnn/inception.py"
FEW = {"3a": Row(16, 16, 24, 4, 8, 8), "4a": Row(24, 24, 48, 8, 16, 16), "4d": Row(24, 24, 48, 8, 16, 16)}
SMALL = {name: FEW[name] for name in ("3a", "4a")}


def small(rng, *, aux=True, rows=SMALL):
    """A GoogLeNet for images of 32 pixels: a stem of 16 and 24 channels with one pool, few and narrow modules."""
    net = InceptionV1(VARIANTS["googlenet"], num_classes=10, aux=aux, rows=rows, stem="cifar", stem_channels=(16, 24),
                      rng=rng)
    net.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    return net


def loss(model, batch):
    """Cross-entropy of the answer plus 0.3 times that of each auxiliary head."""
    return auxiliary_loss(model(Tensor(batch["image"])), batch["label"])


@experiment(
    "inception-module", title="Inception module", chapter="2.1", paper=PAPER, notebook=NOTEBOOK, module=MODULE,
    equations="y = concat(1x1; 1x1 - 3x3; 1x1 - 5x5; max 3x3 - 1x1), table 1, fig. 2b",
    shows="Four filters side by side; a 1x1 convolution before the 5x5 makes it ten times cheaper.",
    departures=departures("E2.1"),
    targets=[*exact({
        "out_channels": 256, "parameters": 163_696, "rows_off_table": 0, "sizes_changed": 0,
        "direct_mmac": (120.4, 0.05), "reduced_mmac": (12.4, 0.05), "refused": 2}),
        Target("off_definition", "<=", 1e-5, tag="E"),
        Target("other_order_differs", ">", 0.1, tag="E")])
def inception_module(preset, rng, out, progress):
    module = Inception(192, ROWS["3a"], norm=None, rng=rng)
    off, other = _against_definition(rng)
    direct, reduced = _five_by_five()
    grids = [(28, 28), (5, 7), (1, 3)]
    results = [module(Tensor(np.zeros((1, 192, *grid), np.float32))).shape for grid in grids]
    metrics = {
        "out_channels": results[0][1], "parameters": sum(p.size for p in module.parameters()),
        "rows_off_table": sum(row.out != C for row, C in zip(
            ROWS.values(), (256, 480, 512, 512, 512, 528, 832, 832, 1024), strict=True)),
        "sizes_changed": sum(shape[2:] != grid for shape, grid in zip(results, grids, strict=True)),
        "off_definition": off, "other_order_differs": other, "direct_mmac": direct, "reduced_mmac": reduced,
        "refused": refused((ArgError, ShapeError), lambda: Inception(8, Row(0, 8, 8, 8, 8, 8)),
                           lambda: nn.Conv2d(8, 8, 5, rng=0)(Tensor(np.zeros((1, 8, 4, 4), np.float32))))}
    rows = [{"module": name, **row._asdict(), "channels": row.out} for name, row in ROWS.items()]
    return Report(metrics, {
        "2.1 Inception module 3a behind the stem": lambda: diagram(module, (1, 192, 28, 28), depth=2),
        "What the branches of 3a cost with and without reductions": _branch_costs}, {"Table 1, modules": rows})


def _windows(x, size):
    """All windows (N, C, H, W, size, size) of a zero-padded x."""
    p = size // 2
    return sliding_window_view(np.pad(x, ((0, 0), (0, 0), (p, p), (p, p))), (size, size), axis=(2, 3))


def _unit(x, layer):
    """relu(w * x + b) from windows, for a layer with `conv`."""
    w, b = (p.data.astype(np.float64) for p in (layer.conv.weight, layer.conv.bias))
    return np.maximum(np.einsum("nchwpq,ocpq->nohw", _windows(x, w.shape[-1]), w) + b[:, None, None], 0)


def _against_definition(rng):
    """Largest difference between the module and its four branches from windows; and what projecting first changes."""
    module, x = Inception(6, Row(2, 3, 4, 5, 6, 7), norm=None, rng=rng), rng.random((2, 6, 8, 9))
    one, (three1, three), (five1, five), (_, project) = (
        getattr(module, name) for name in ("branch1", "branch2", "branch3", "branch4"))
    pool = lambda y: _windows(y, 3).max(axis=(4, 5))                        # x >= 0: the zeros of the border never win
    branches = [_unit(x, one), _unit(_unit(x, three1), three), _unit(_unit(x, five1), five), _unit(pool(x), project)]
    off = np.abs(module(Tensor(x.astype(np.float32))).data - np.concatenate(branches, axis=1)).max()
    return off, np.abs(pool(_unit(x, project)) - branches[3]).max()


def _five_by_five():
    """Millions of multiply-adds of 5x5 from 192 to 32 channels on 28 x 28: at once, and through 16 channels."""
    through = nn.Sequential(nn.Conv2d(192, 16, 1, rng=0), nn.Conv2d(16, 32, 5, padding=2, rng=0))
    return [nn.cost(layer, (1, 192, 28, 28)).macs / 1e6 for layer in (nn.Conv2d(192, 32, 5, padding=2, rng=0), through)]


def _branch_costs():
    row, pixels = ROWS["3a"], 28 * 28 / 1e6
    reduced = [192 * row.one, 192 * row.reduce3 + 9 * row.reduce3 * row.three,
               192 * row.reduce5 + 25 * row.reduce5 * row.five, 192 * row.pool]
    direct = [192 * row.one, 9 * 192 * row.three, 25 * 192 * row.five, 0]
    figure, (ax,) = panels(1, (6.0, 3.2))
    for shift, weights, label in ((-0.2, direct, "direct"), (0.2, reduced, "through 1x1 convolutions")):
        bars = ax.bar(np.arange(4) + shift, np.array(weights) * pixels, 0.38, label=label)
        ax.bar_label(bars, fmt="%.0f", fontsize=9)
    ax.set_xticks(range(4), ["1x1", "3x3", "5x5", "pool"])
    ax.set(ylabel="million multiply-adds")
    ax.legend()
    return figure


@experiment(
    "aux-softmax", title="Auxiliary classifiers", chapter="2.1", paper=PAPER, notebook=NOTEBOOK, module=MODULE,
    equations="loss = main + 0.3 (aux1 + aux2), section 5",
    shows="Heads in the middle bring gradients to the first layers; at inference they are gone.",
    departures=departures("E2.2"),
    targets=[*exact({
        "logits_in_training": 3, "logits_in_evaluation": 1, "aux_weights_change_answer": 0, "head_4a": 3_188_840,
        "head_4d": 3_190_888, "loss_off_formula": (0, 1e-6), "grids_refused": 2}),
        Target("gradient_gain", ">", 1, tag="T")])
def aux_softmax(preset, rng, out, progress, *, epochs=6):
    net, x = small(rng, rows=FEW), Tensor(rng.random((8, 3, 32, 32), np.float32))
    label = rng.integers(0, 10, 8)
    answers, heads = net(x), [AuxiliaryHead(C, 1000, norm=None, rng=0) for C in (512, 528)]
    parts = [float(nn.cross_entropy(y, label).data) for y in answers]
    runs, rows = _with_and_without(preset, rng, progress, epochs)
    return Report({
        "logits_in_training": len(answers), "logits_in_evaluation": int(isinstance(net.eval()(x), Tensor)),
        "aux_weights_change_answer": _answer_changes(net, x, rng),
        "head_4a": sum(p.size for p in heads[0].parameters()), "head_4d": sum(p.size for p in heads[1].parameters()),
        "loss_off_formula": float(auxiliary_loss(answers, label).data) - (parts[0] + 0.3 * (parts[1] + parts[2])),
        "gradient_gain": _gradient_gain(net, x, label),
        "grids_refused": refused(ShapeError, *(lambda n=n: heads[0](Tensor(np.zeros((1, 512, n, n), np.float32)))
                                               for n in (7, 28))),
        "gap_without": rows[0]["gap"], "gap_with": rows[1]["gap"]},
        {"Accuracy with and without auxiliary heads": lambda: plot_curves(
            runs, x=np.arange(1, len(runs["with"]) + 1), xlabel="epoch", ylabel="accuracy on test images").figure},
        {"Few training images, with and without heads": rows})


def _answer_changes(net, x, rng):
    """How many logits change in evaluation mode if the weights of the auxiliary heads do."""
    before = net(x).data
    for head in net.heads:
        for p in getattr(net, head).parameters():
            nn.init.assign(p, rng.standard_normal(p.shape))
    return int((net(x).data != before).sum())


def _gradient_gain(net, x, label):
    """Norm of the gradient at the first convolution with the heads, divided by that without; weights as drawn."""
    norms = []
    for weight in (0.3, 0.0):
        net = small(np.random.default_rng(0), rows=FEW)
        auxiliary_loss(net(x), label, weight=weight).backward()
        norms.append(np.linalg.norm(net.conv1.conv.weight.grad.data))
    return norms[0] / norms[1]


def _with_and_without(preset, rng, progress, epochs):
    """Test accuracy of every epoch, and where training ends, on few images."""
    few, epochs = (64, 1) if preset == "smoke" else (600, epochs)
    train, test = shapes(preset, rng, count=few)
    runs, rows, seed = {}, [], int(rng.integers(2**31))
    for aux in (False, True):
        model, name = small(np.random.default_rng(seed), aux=aux), "with" if aux else "without"
        history = learn(model, train, epochs=epochs, rng=np.random.default_rng(seed), progress=progress, loss=loss,
                        batch=32, lr=0.1, validate=lambda m: {
                            "accuracy": accuracy(scores(m, test["image"]), test["label"])})
        seen = accuracy(scores(model, train["image"]), train["label"])
        runs[name] = history["accuracy"]
        rows.append({"heads": name, "training": seen, "test": runs[name][-1], "gap": seen - runs[name][-1]})
    return runs, rows


@experiment(
    "inception-v1", title="Inception-v1 (GoogLeNet)", chapter="2.1", paper=PAPER, notebook=NOTEBOOK, module=MODULE,
    equations="table 1, fig. 3: 224 -> 28 in the stem, nine modules, global average pooling",
    shows="Seven million parameters in place of sixty; and what a class loses when one branch is silenced.",
    departures="'googlenet' is the network of the public weights: batch norms, 3x3 where the paper has 5x5; the "
               "trained one has two modules. " + departures("E2.1", "E2.2"),
    targets=[*published({"inception_v1": (6_998_552, 1.58), "googlenet": (6_624_904, 1.498)}),
             *exact({"with_heads_parameters": 13_378_280, "stem_side": 28, "small_images_refused": 1}),
             Target("accuracy", ">=", 0.90), Target("largest_drop", ">=", 0.2)])
def inception_v1(preset, rng, out, progress, *, epochs=3, lr=0.1):
    count_, epochs = {"smoke": (128, 1), "fast": (3000, epochs), "full": (16000, 2 * epochs)}[preset]
    counted = count(("inception_v1", "googlenet"), 224, preset)
    heads = build_inception("inception_v1", aux=True, rng=0)
    train, test = shapes(preset, rng, count=count_)
    model = small(rng)
    history = learn(model, train, epochs=epochs, rng=rng, progress=progress, loss=loss, lr=lr)
    drops = branch_drops(model, model.inception4a, test)
    metrics = sizes(counted) | {
        "with_heads_parameters": sum(p.size for p in heads.parameters()),
        "stem_side": counted["inception_v1"]["inception3a"].output[-1],
        "small_images_refused": refused(ShapeError, lambda: heads(Tensor(np.zeros((1, 3, 31, 31), np.float32)))),
        "accuracy": accuracy(scores(model, test["image"]), test["label"]),
        "largest_drop": max(map(max, drops.values()))}
    network = partial(build_inception, "inception_v1", rng=0)
    return Report(metrics, {
        "2.2 Architecture of Inception-v1": lambda: diagram(network(), (1, 3, 224, 224), depth=1),
        "Training loss, auxiliary heads included": lambda: plot_curves({"loss": history.losses}, smooth=20).figure,
        "Accuracy lost without one branch of module 4a": lambda: _drop_map(drops)},
        {"Networks of paper size": table(counted),
         "Modules of inception_v1": _modules(counted["inception_v1"])})


def _modules(cost):
    """Rows of the nine modules."""
    return [{"module": name, "output": str(cost[f"inception{name}"].output[1:]),
             "MMAC": cost[f"inception{name}"].macs / 1e6,
             "auxiliary head": " ".join(head for head, at in HEADS.items() if at == name)} for name in ROWS]


def class_accuracy(model, test):
    """Share (10,) of the test images of each class that the model gets right."""
    right = scores(model, test["image"]).argmax(axis=1) == test["label"]
    return np.array([right[test["label"] == k].mean() if (test["label"] == k).any() else 0.0 for k in range(10)])


def branch_drops(model, module, test):
    """{branch: accuracy (10,) that each class loses when the branch gives zeros}."""
    whole, drops = class_accuracy(model, test), {}
    for name in module.order:
        with getattr(module, name).register_forward_hook(lambda m, x, y: 0 * y):
            drops[name] = whole - class_accuracy(model, test)
    return drops


def _drop_map(drops):
    figure, (ax,) = panels(1, (7.2, 3.0))
    values = np.array(list(drops.values()))
    picture = ax.imshow(values, cmap="Reds", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="white" if value > 0.6 else "black")
    ax.set_xticks(range(10), list(SHAPES), rotation=35, ha="right")
    ax.set_yticks(range(4), ["1x1", "3x3", "5x5", "pool"])
    ax.grid(False)
    figure.colorbar(picture, label="accuracy lost")
    return figure
