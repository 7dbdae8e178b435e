"""Section 2.1: global average pooling in place of linear layers."""

import numpy as np

from ... import nn
from ...autograd import Tensor, no_grad
from ...errors import MinicvError
from ...metrics import accuracy
from ...plot import show_image
from .. import Report, Target, experiment
from ..classify import learn, scores, shapes
from ..parts import exact, panels, refused


def head(kind, channels, side, classes, rng):
    """The classifier behind a map (N, channels, side, side): "gap" averages it, "flatten" reads every value."""
    if kind == "gap":
        return nn.Sequential(nn.GlobalAvgPool2d(), nn.Linear(channels, classes, rng=rng))
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, classes, rng=rng))


def network(kind, rng):
    """Four convolutions, the first two of stride 2, and a head, for images of 32 pixels."""
    rng, layers = np.random.default_rng(rng), []
    for C, O, stride in ((3, 24, 2), (24, 48, 2), (48, 64, 1), (64, 64, 1)):
        layers += [nn.Conv2d(C, O, 3, stride=stride, padding=1, bias=False, rng=rng), nn.BatchNorm2d(O), nn.ReLU()]
    return nn.Sequential(nn.Sequential(*layers), head(kind, 64, 8, 10, rng))


def class_maps(model, images):
    """Evidence (N, 10, 8, 8) for every class at every pixel; its mean over pixels is the logit."""
    weight, bias = model[1][1].weight.data, model[1][1].bias.data
    with no_grad(), model.evaluating():
        maps = model[0](Tensor(images)).data
    return np.einsum("kc,nchw->nkhw", weight, maps) + bias[:, None, None]


@experiment(
    "gap-head", title="Global average pooling classifier", chapter="2.1", notebook="notebooks/20_inception.py",
    module="minicv/nn/pool.py", paper="Lin et al. 2014, Network In Network",
    equations="logits = W mean(x) + b = mean(W x + b), section 3.2",
    shows="One weight for a channel, not one for each of its pixels; any size of image; maps of evidence for free.",
    targets=[*exact({"flatten_weights": 50_176_000, "gap_weights": 1_024_000, "sizes_accepted": 4, "refused": 1,
                     "flatten_refuses_other_sizes": 1}), Target("maps_off_logits", "<=", 1e-4, tag="E"),
             Target("accuracy", ">=", 0.85)])
def gap_head(preset, rng, out, progress, *, epochs=5):
    count, epochs = {"smoke": (64, 1), "fast": (2000, epochs), "full": (16000, epochs)}[preset]
    train, test = shapes(preset, rng, count=count)
    seed, models, rows = int(rng.integers(2**31)), {}, []
    for kind in ("gap", "flatten"):
        model = models[kind] = network(kind, seed)
        learn(model, train, epochs=epochs, rng=np.random.default_rng(seed), progress=progress, lr=0.1, batch=32)
        rows.append({"head": kind, "parameters of the head": sum(p.size for p in model[1].parameters()),
                     **{f"accuracy, {name}": accuracy(scores(model, part["image"]), part["label"])
                        for name, part in (("training", train), ("test", test))}})
    gap, images = models["gap"], test["image"][:6]
    other = np.zeros((1, 3, 40, 24), np.float32)
    paper = {kind: head(kind, 1024, 7, 1000, 0)[1].weight.size for kind in ("gap", "flatten")}
    return Report({
        "flatten_weights": paper["flatten"], "gap_weights": paper["gap"],
        "sizes_accepted": sum(scores(gap, np.zeros((1, 3, *size), np.float32)).shape == (1, 10)
                              for size in ((32, 32), (64, 64), (40, 24), (9, 17))),
        "refused": refused(MinicvError, lambda: head("gap", 4, 7, 10, 0)(Tensor(np.zeros((1, 4, 0, 3), np.float32)))),
        "flatten_refuses_other_sizes": refused(MinicvError, lambda: scores(models["flatten"], other)),
        "maps_off_logits": np.abs(class_maps(gap, images).mean(axis=(2, 3)) - scores(gap, images)).max(),
        "accuracy": rows[0]["accuracy, test"], "accuracy_flatten": rows[1]["accuracy, test"]},
        {"Evidence for the class that was chosen": lambda: _evidence(gap, images)}, {"Two heads": rows})


def _evidence(model, images):
    maps, chosen = class_maps(model, images), scores(model, images).argmax(axis=1)
    figure, axes = panels(len(images), (1.6, 1.8))
    figure.set_label("images of shapes with the evidence for the chosen class laid over them, bright is much")
    for ax, image, map_, k in zip(axes, images, maps, chosen, strict=True):
        show_image(image, ax=ax)
        ax.imshow(map_[k], extent=(0, 32, 32, 0), cmap="magma", alpha=0.55, interpolation="bilinear")
    return figure
