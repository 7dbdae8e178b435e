"""Section 3.2: how much data a vision transformer needs beside a residual network."""

import numpy as np

from ...cnn.resnet_cifar import CifarResNet
from ...data import Glyphs10
from ...metrics import accuracy
from ...nn import Linear
from .. import Report, Target, experiment
from ..classify import learn, scores
from ..parts import panels
from ._tiny import NOTEBOOK, PAPER, SETTINGS, pictures, standardized, tiny

SIZES = {"smoke": (32, 64), "fast": (250, 1000, 4000), "full": (250, 1000, 4000, 16_000)}
PASSES = {"smoke": 64, "fast": 5000, "full": 96_000}             # pictures seen in pre-training, whatever the set
NETS = {"ResNet": (lambda rng: CifarResNet(8, rng=rng), {"lr": 0.05, "batch": 32}),
        "ViT": (lambda rng: tiny(rng, patch=8), SETTINGS)}


@experiment(
    "vit-data-scaling", title="Transformers need data", chapter="3.2", notebook=NOTEBOOK,
    paper=PAPER + ", figures 3 and 4; Kolesnikov et al. 2020, Big Transfer (BiT)", module="minicv/vit/vit.py",
    equations="accuracy after fine-tuning, as a function of the pre-training set",
    shows="A residual network knows about neighborhoods and wins with few images; a transformer has to learn them.",
    departures="Ten shapes with 250 to 16 000 pictures stand for ImageNet and JFT, digits for the task that follows. "
               "Every network sees the same number of pictures, however often each.",
    targets=[Target("resnet_lead_at_250", ">=", 0.2), Target("resnet_lead_after_transfer_at_250", ">=", 0.1)])
def data_scaling(preset, rng, out, progress):
    sizes = SIZES[preset]
    train, test = pictures(preset, rng, count=sizes[-1], held=32 if preset == "smoke" else 500)
    digits = _digits(preset, rng)
    rows = []
    for size in sizes:
        part = {key: value[:size] for key, value in train.items()}
        for name, (make, settings) in NETS.items():
            net = make(rng)
            learn(net, part, epochs=PASSES[preset] // size, rng=rng, progress=progress, **settings)
            row = {"images": size, "network": name, "pre-trained": accuracy(scores(net, test["image"]), test["label"])}
            rows.append(row | {"fine-tuned": _fine_tuned(net, name, digits, rng, progress)})
    lead = {key: np.array([a[key] - b[key] for a, b in zip(rows[::2], rows[1::2], strict=True)])
            for key in ("pre-trained", "fine-tuned")}
    slope = {key: np.polyfit(np.log(sizes), gap, 1)[0] for key, gap in lead.items()}
    metrics = {"resnet_lead_at_250": lead["pre-trained"][0], "resnet_lead_after_transfer_at_250": lead["fine-tuned"][0],
               "slope_of_the_lead": slope["pre-trained"], "slope_of_the_lead_after_transfer": slope["fine-tuned"]}
    return Report(metrics, {"Accuracy against the pre-training set": lambda: _curves(rows)}, {"Test accuracy": rows})


def _digits(preset, rng):
    """Gray digits as pictures of three equal channels: 300 to fine-tune on, 500 to test with."""
    counts, seed = ((32, 32) if preset == "smoke" else (300, 500)), int(rng.integers(2**31))
    parts = []
    for count, first in zip(counts, (0, counts[0]), strict=True):
        drawn = [sample for sample in Glyphs10(count, size=32, seed=seed, first=first)]
        image = np.repeat(np.stack([s["image"] for s in drawn]), 3, axis=1)
        parts.append(standardized({"image": image, "label": np.stack([s["label"] for s in drawn])}))
    return parts


def _fine_tuned(net, name, digits, rng, progress):
    """Accuracy on digits after a few epochs of all weights, behind a new classifier."""
    train, test = digits
    head = "linear" if name == "ResNet" else "head"
    setattr(net, head, Linear(getattr(net, head).in_features, 10, rng=rng))
    settings = NETS[name][1]
    learn(net, train, epochs=5, rng=rng, progress=progress, **{**settings, "lr": settings["lr"] / 4, "batch": 16})
    return accuracy(scores(net, test["image"]), test["label"])


def _curves(rows):
    figure, axes = panels(2, (4.2, 3.6), sharey=True)
    for ax, key, title in zip(axes, ("pre-trained", "fine-tuned"), ("the same shapes", "300 digits, fine-tuned"),
                              strict=True):
        for name, style in (("ResNet", "o-"), ("ViT", "s--")):
            mine = [row for row in rows if row["network"] == name]
            ax.plot([row["images"] for row in mine], [row[key] for row in mine], style, label=name)
        ax.set(xscale="log", xlabel="images of pre-training", title=title, ylim=(0, 1.02))
        ax.set_xticks([row["images"] for row in mine], [row["images"] for row in mine])
        ax.minorticks_off()
    axes[0].set_ylabel("test accuracy")
    axes[0].legend()
    return figure
