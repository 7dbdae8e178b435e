"""Section 2.5: depthwise separable convolutions, inverted residuals, MobileNetV2."""

import numpy as np

from ... import nn
from ...autograd import Tensor
from ...autograd.conv import conv2d
from ...cnn.mobilenet import V2_ROWS, InvertedResidual, MobileNetV2
from ...data import spirals
from ...errors import ArgError, ShapeError
from ...metrics import accuracy
from ...optim import Adam
from .. import Report, Target, experiment
from ..classify import learn, scores, shapes
from ..parts import exact, panels, refused
from ._blocks import connections, diagram
from ._errata import departures

NOTEBOOK = "notebooks/23_mobile_and_wide.py"
PAPER = "Sandler et al. 2018, MobileNetV2: Inverted Residuals and Linear Bottlenecks"
GAINS = {32: 7.02, 64: 7.89, 128: 8.41, 256: 8.69, 512: 8.84}


@experiment(
    "depthwise-separable-conv", title="Depthwise separable convolution", chapter="2.5", notebook=NOTEBOOK,
    module="minicv/cnn/mobilenet.py",
    paper="Sifre 2014, Rigid-Motion Scattering for Image Classification; Howard et al. 2017, MobileNets",
    equations="MACs / dense MACs = 1/C_out + 1/k^2; w[o, c, p, q] = a[o, c] d[c, p, q]",
    shows="Nearly k^2 times fewer multiply-adds; in exchange the filters of one input channel are all alike.",
    departures=departures("E2.12"),
    targets=[*exact({f"gain_{C}": (gain, 0.005) for C, gain in GAINS.items()} | {"depth_multiplier_refused": 2}),
             Target("macs_differ_from_formula", "<=", 1e-12, tag="E"), Target("largest_gain", "<", 9, tag="E"),
             Target("residual_of_dense", ">", 0, tag="E"), Target("residual_of_separable", "<=", 1e-10, tag="E"),
             Target("dense_student_error", "<=", 1e-3), Target("student_over_bound", "~", 1.03, tol=0.07)])
def separable(preset, rng, out, progress):
    gains = {C: gain(C) for C in (*GAINS, 1024)}
    teacher = rng.standard_normal((8, 8, 3, 3))
    a, d = rng.standard_normal((8, 8, 1, 1)), rng.standard_normal((1, 8, 3, 3))
    bound = residual(teacher)
    curves = {name: imitate(student(name, rng), teacher / 8, rng, {"smoke": 20}.get(preset, 800))
              for name in progress(("dense", "2 groups", "separable"), desc="students")}
    metrics = {f"gain_{C}": gains[C] for C in GAINS} | {
        "largest_gain": max(gains.values()),
        "macs_differ_from_formula": max(abs(1 / g - 1 / C - 1 / 9) for C, g in gains.items()),
        "residual_of_dense": bound, "residual_of_separable": residual(a * d),
        "dense_student_error": curves["dense"][-50:].mean(),
        "student_over_bound": curves["separable"][-50:].mean() / bound,
        "depth_multiplier_refused": refused(ShapeError, lambda: nn.Conv2d(8, 4, 3, groups=8)) + refused(
            ArgError, lambda: nn.Conv2d(8, 0, 3, groups=8))}
    return Report(metrics, {"Which channels an output channel reads": _reads, "Gain of 3x3 convolutions": _gain,
                            "Students of a random dense convolution": lambda: _students(curves, bound)},
                  {"Worked example": [{"C": C, "gain": round(g, 3)} for C, g in gains.items()]})


def gain(C, size=8):
    """Multiply-adds of a dense 3x3 convolution over those of a separable one, counted."""
    dense = nn.Conv2d(C, C, 3, padding=1, bias=False, rng=0)
    split = _separable(C, padding=1, rng=0)
    return nn.cost(dense, (1, C, size, size)).macs / nn.cost(split, (1, C, size, size)).macs


def _separable(C, *, padding=0, rng):
    return nn.Sequential(nn.Conv2d(C, C, 3, padding=padding, groups=C, bias=False, rng=rng),
                         nn.Conv2d(C, C, 1, bias=False, rng=rng))


def residual(w):
    """Share of the squares of w (O, C, P, Q) that the nearest separable weight misses.

    For each input channel the matrix (O, P Q) must have rank 1, and the nearest such matrix is the first term of its
    singular value decomposition (Eckart and Young, 1936). On white noise it is also the share of the output missed.
    """
    values = np.linalg.svd(w.transpose(1, 0, 2, 3).reshape(w.shape[1], len(w), -1), compute_uv=False)
    return (values[:, 1:] ** 2).sum() / (values**2).sum()


def student(name, rng):
    """A convolution of 8 channels, without bias, of one of three kinds."""
    if name == "separable":
        return _separable(8, rng=rng)
    return nn.Conv2d(8, 8, 3, groups=2 if name == "2 groups" else 1, bias=False, rng=rng)


def imitate(model, teacher, rng, steps):
    """Relative squared errors (steps,) while the model learns the outputs of the teacher on white noise."""
    optimizer, errors = Adam(model.parameters(), lr=0.02), []
    for t in range(steps):
        optimizer.lr = 0.02 * (1 - t / steps)
        x = rng.standard_normal((32, 8, 6, 6)).astype(np.float32)
        y = conv2d(x, teacher.astype(np.float32))
        optimizer.zero_grad()
        loss = ((model(Tensor(x)) - y) ** 2).mean() / float((y**2).mean())
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    return np.array(errors)


def _reads():
    figure, axes = panels(2, (3.4, 2.8))
    connections(axes[0], [np.ones((6, 6))], "dense: 9 weights a line")
    connections(axes[1], [np.eye(6), np.ones((6, 6))], "depthwise 9, pointwise 1 a line")
    return figure


def _gain():
    C = np.geomspace(8, 2048, 60)
    figure, (ax,) = panels(1, (5.0, 3.2))
    ax.semilogx(C, 9 * C / (9 + C), label="9 C / (9 + C)")
    ax.plot(list(GAINS), list(GAINS.values()), "o", color="black", label="counted")
    ax.axhline(9, color="gray", linestyle=":", label="limit 9")
    ax.set(xlabel="channels C", ylabel="gain")
    ax.legend()
    return figure


def _students(curves, bound):
    figure, (ax,) = panels(1, (5.6, 3.4))
    for (name, errors), dash in zip(curves.items(), ("-", "-.", "--"), strict=True):
        ax.semilogy(errors, dash, label=name)
    ax.axhline(bound, color="gray", linestyle=":", label="best separable")
    ax.set(xlabel="step", ylabel="relative error", ylim=(1e-5, 3))
    ax.legend()
    return figure


DIMENSIONS = (2, 3, 5, 15, 30)


@experiment(
    "inverted-residual", title="Inverted residual", chapter="2.5", notebook=NOTEBOOK,
    module="minicv/cnn/mobilenet.py", paper=PAPER,
    equations="y = x + linear(depthwise(expand(x))); t C channels inside",
    shows="Narrow outside, wide inside; a ReLU in few dimensions destroys points, in many it does not.",
    departures=departures("E2.13"),
    targets=[*exact({"skips_off": 0, "convolutions_t1": 2, "convolutions_t6": 3, "bad_strides_refused": 3,
                     "errors_that_rise": 0}),
             Target("negative_share", ">", 0, tag="E"), Target("lost_in_2", "~", 0.75, tol=0.05),
             Target("lost_in_3", "~", 0.5, tol=0.05), Target("lost_in_15", "<=", 0.01)])
def inverted(preset, rng, out, progress):
    x = Tensor(rng.standard_normal((4, 8, 10, 10)).astype(np.float32))
    draws = {"smoke": 200, "fast": 1000, "full": 5000}[preset]
    points = spirals(400, noise=0.0, rng=rng)[0].astype(np.float64)
    lost, error = np.mean([[through_relu(points, d, rng)[1:] for d in DIMENSIONS]
                           for _ in progress(range(draws), desc="random matrices")], axis=0).T
    metrics = {"skips_off": sum(not skips_right(s, o, x, rng) for s in (1, 2) for o in (8, 12)),
               "negative_share": (InvertedResidual(8, 12, rng=rng)(x).data < 0).mean(),
               "errors_that_rise": np.sum(np.diff(error) > 0),
               "bad_strides_refused": refused(ArgError, *(
                   lambda s=s: InvertedResidual(8, 8, stride=s) for s in (0, 3, 1.5)))}
    metrics |= {f"convolutions_t{t}": sum(isinstance(m, nn.Conv2d) for m in
                                          InvertedResidual(8, 8, t=t, rng=0).modules()) for t in (1, 6)}
    metrics |= {f"lost_in_{d}": share for d, share in zip(DIMENSIONS, lost, strict=True)}
    rows = [{"dimensions": d, "points lost": round(share, 4), "(1 + d) / 2^d": (1 + d) / 2**d, "error": round(e, 4)}
            for d, share, e in zip(DIMENSIONS, lost, error, strict=True)]
    return Report(metrics, {
        "Bottleneck and inverted residual": _inverted,
        "A spiral through a ReLU in d dimensions and back": lambda: _spirals(points, np.random.default_rng(1))},
        {"Points that a ReLU destroys": rows})


def skips_right(stride, channels, x, rng):
    """Whether x is added where, and only where, stride and channels allow it: with a zero last norm it is all."""
    block = InvertedResidual(8, channels, stride=stride, rng=rng)
    norm = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)][-1]
    nn.init.assign(norm.weight, np.zeros(channels))
    y = block(x).data
    return np.array_equal(y, x.data) if stride == 1 and channels == 8 else not y.any()


def through_relu(points, d, rng):
    """Points (n, 2) embedded by a random matrix in d dimensions, rectified, mapped back by least squares.

    Returns the points that come back, the share of points with fewer than two positive coordinates, which no map
    can bring back, and the mean squared error over that of always answering the mean.
    """
    embedded = np.maximum(points @ rng.standard_normal((2, d)), 0)
    features = np.concatenate([embedded, np.ones((len(points), 1))], axis=1)
    back = features @ np.linalg.lstsq(features, points, rcond=None)[0]
    error = ((back - points) ** 2).sum() / ((points - points.mean(axis=0)) ** 2).sum()
    return back, ((embedded > 0).sum(axis=1) < 2).mean(), error


def _spirals(points, rng):
    figure, axes = panels(6, (2.1, 2.3), sharex=True, sharey=True)
    order = np.linspace(0, 1, len(points))
    for ax, d in zip(axes, (None, *DIMENSIONS), strict=True):
        shown = points if d is None else through_relu(points, d, rng)[0]
        ax.scatter(*shown.T, c=order, s=5)
        ax.set(title="points" if d is None else f"d = {d}", xticks=[], yticks=[])
    return figure


def _inverted():
    return diagram({"bottleneck": [["x: 256"], ["1×1, 64"], ["3×3, 64"], ["1×1, 256"], ["+"], ["ReLU"]],
                    "inverted residual": [["x: 24"], ["1×1, 144, ReLU6"], ["3×3 depthwise, 144, ReLU6"],
                                          ["1×1, 24, linear"], ["+"]]})


TABLE = (("conv", 112, 32, 928, 10.84), ("t1 c16", 112, 16, 896, 10.04), ("c24", 56, 24, 13_968, 54.94),
         ("c32", 28, 32, 39_696, 37.44), ("c64", 14, 64, 183_872, 38.50), ("c96", 14, 96, 303_168, 58.10),
         ("c160", 7, 160, 795_264, 46.56), ("c320", 7, 320, 473_920, 23.00), ("conv 1x1", 7, 1280, 412_160, 20.07),
         ("fc", 1, 1000, 1_281_000, 1.28))                   # side, channels, parameters, MMAC at 224 pixels
SMALL = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 2, 2))        # five blocks


@experiment(
    "mobilenet-v2", title="MobileNetV2", chapter="2.5", notebook=NOTEBOOK, module="minicv/cnn/mobilenet.py",
    paper=PAPER + ", table 2", equations="rows (t, c, n, s) of inverted residuals",
    shows="The table of the paper row by row; a network of 45 000 parameters learns shapes.",
    departures=departures("E2.14"),
    targets=[*exact({"parameters": 3_504_872, "mmac": (300.77, 0.005), "rows_off": 0, "bad_widths_refused": 3,
                     "channels_not_multiple_of_8": 0}),
             Target("accuracy", ">=", 0.95)])
def mobilenet_v2(preset, rng, out, progress):
    rows, total = by_row()
    off = sum(found[1:4] != wanted[1:4] or abs(found[4] - wanted[4]) > 0.005
              for found, wanted in zip(rows, TABLE, strict=True))
    train, test = shapes(preset, rng)
    model = MobileNetV2(width=0.35, rows=SMALL, num_classes=10, dropout=0, rng=rng)
    learn(model, train, epochs={"smoke": 1, "fast": 4, "full": 12}[preset], rng=rng, progress=progress, lr=0.1)
    uneven = sum(m.out_channels % 8 > 0 for m in model.modules() if isinstance(m, nn.Conv2d))
    metrics = {"parameters": total.parameters, "mmac": total.macs / 1e6, "rows_off": off,
               "accuracy": accuracy(scores(model, test["image"]), test["label"]), "channels_not_multiple_of_8": uneven,
               "bad_widths_refused": refused(ArgError, *(lambda w=w: MobileNetV2(width=w) for w in (0, -1, np.nan)))}
    names = ("row", "side", "channels", "parameters", "MMAC")
    return Report(metrics, {"Parameters and multiply-adds of the rows": lambda: _rows(rows)},
                  {"Table 2.1 at 224 pixels": [dict(zip(names, (*r[:4], round(r[4], 2)), strict=True)) for r in rows]})


def by_row():
    """(name, side, channels, parameters, MMAC) of each row of the table, and the cost of the whole network."""
    total, start, rows = nn.cost(MobileNetV2(rng=0), (1, 3, 224, 224)), 0, []
    for name, blocks in zip([row[0] for row in TABLE], (1, *(n for _, _, n, _ in V2_ROWS), 1, 0), strict=True):
        parts = [total[f"features.{i}"] for i in range(start, start + blocks)] or [total["classifier"]]
        shape, start = parts[-1].output, start + blocks
        rows.append((name, shape[2] if len(shape) == 4 else 1, shape[1], sum(p.parameters for p in parts),
                     sum(p.macs for p in parts) / 1e6))
    return rows, total


def _rows(rows):
    figure, axes = panels(2, (4.6, 3.2), sharey=True)
    for ax, column, title in zip(axes, (3, 4), ("million parameters", "million multiply-adds"), strict=True):
        ax.barh([row[0] for row in rows], [row[column] / (1e6 if column == 3 else 1) for row in rows])
        ax.set_xlabel(title)
    axes[0].invert_yaxis()
    return figure
