"""Section 2.6: wide residual networks."""

import time

import numpy as np

from ... import nn
from ...autograd import Tensor
from ...cnn.wide_resnet import WideBlock, WideResNet
from ...errors import ArgError
from ...metrics import accuracy
from .. import Report, Target, experiment
from ..classify import learn, scores, shapes
from ..parts import exact, panels, refused
from ._blocks import diagram
from ._paper import count, gate, table

PUBLISHED = {"wrn_16_1": (175_066, None), "wrn_40_4": (8_949_210, None), "wrn_16_8": (10_961_370, None),
             "wrn_28_10": (36_479_194, 5.24), "wide_resnet50_2": (68_883_240, 11.40)}
EQUAL = ((10, 3), (16, 2), (46, 1))                     # depth, k: 95 to 101 million multiply-adds


@experiment(
    "wide-resnet", title="Wide ResNet", chapter="2.6", notebook="notebooks/23_mobile_and_wide.py",
    module="minicv/cnn/wide_resnet.py", paper="Zagoruyko & Komodakis 2016, Wide Residual Networks",
    equations="y = S(x) + conv(relu(bn(conv(relu(bn(x)))))); widths 16 k, 32 k, 64 k; depth 6 n + 4",
    shows="Width instead of depth: few wide layers are learned as well, and a multiply-add takes less time in them.",
    targets=[*exact({"parameter_counts_off": 0, "depths_refused": 4, "shortcut_off": 0}),
             Target("worst_mac_error", "<=", 0.01, tag="E"), Target("accuracy", ">=", 0.97)])
def wide_resnet(preset, rng, out, progress):
    *small, large = PUBLISHED
    counted = count(progress(small[:1 if preset == "smoke" else None], desc="networks"), 32, preset)
    counted |= count([large] if preset != "smoke" else [], 224, preset)
    train, test = shapes(preset, rng)
    model = WideResNet(10, 2, rng=rng)
    learn(model, train, epochs={"smoke": 1, "fast": 3, "full": 6}[preset], rng=rng, progress=progress, lr=0.1)
    metrics = gate(counted, PUBLISHED) | {
        "accuracy": accuracy(scores(model, test["image"]), test["label"]), "shortcut_off": untouched(rng),
        "depths_refused": refused(ArgError, *(lambda d=d: WideResNet(d, 1) for d in (9, 12, 4, 27)))}
    return Report(metrics, {"The wide block, and a residual block with the same layers": _blocks,
                            "Parameters and multiply-adds against k": _against_k},
                  {"Networks of the paper": table(counted),
                   "Wide or deep: one training step, measured": pace(train["image"][:2 if preset == "smoke" else 32])})


def untouched(rng):
    """How far a block whose last convolution is zero is from the identity: nothing follows the sum."""
    block, x = WideBlock(8, 8, rng=rng), rng.standard_normal((2, 8, 5, 5)).astype(np.float32)
    nn.init.assign(block.conv2.weight, np.zeros(block.conv2.weight.shape))
    return np.abs(block(Tensor(x)).data - x).max()


def pace(images, rounds=4):
    """Milliseconds of a forward and backward pass, networks in turn; the median of the rounds."""
    models = [WideResNet(depth, k, rng=0) for depth, k in EQUAL]
    times = np.array([[_step(model, images) for model in models] for _ in range(rounds + 1)])[1:]
    macs = [nn.cost(model, (1, 3, 32, 32)).macs / 1e6 for model in models]
    return [{"depth": depth, "k": k, "MMAC": round(m, 1), "milliseconds": round(1e3 * t, 1),
             "ns for 1000 MACs": round(1e9 * t / (3 * len(images) * m * 1e3), 2)}
            for (depth, k), m, t in zip(EQUAL, macs, np.median(times, axis=0), strict=True)]


def _step(model, images):
    start = time.perf_counter()
    nn.cross_entropy(model(Tensor(images)), np.zeros(len(images), np.int64)).backward()
    return time.perf_counter() - start


def _blocks():
    return diagram({"residual": [["3×3, C"], ["norm, ReLU"], ["3×3, C"], ["norm"], ["+"], ["ReLU"]],
                    "wide, pre-activation": [["norm, ReLU"], ["3×3, k C"], ["norm, ReLU"], ["dropout"], ["3×3, k C"],
                                             ["+"]]})


def _against_k():
    k = np.arange(1, 7)
    totals = [nn.cost(WideResNet(10, int(w), rng=0), (1, 3, 8, 8)) for w in k]
    figure, (ax,) = panels(1, (4.8, 3.4))
    for label, values, dash in (("parameters", [t.parameters for t in totals], "o-"),
                                ("multiply-adds", [t.macs for t in totals], "s--")):
        ax.loglog(k, np.array(values) / values[0], dash, label=label)
    ax.loglog(k, k**2, ":", color="gray", label="$k^2$")
    ax.set(xlabel="k", ylabel="relative to k = 1")
    ax.legend()
    return figure
