"""The main job of the tour: a small residual network learns real handwritten digits."""

from functools import partial

import numpy as np

from ...autograd import Tensor, no_grad
from ...autograd.activation import relu
from ...data import DataLoader, Subset, digits
from ...data.transforms import random_affine
from ...metrics import accuracy, confusion_matrix
from ...nn import BatchNorm2d, Conv2d, GlobalAvgPool2d, Identity, Linear, Module, Sequential, cross_entropy
from ...optim import SGD, Scheduler, one_cycle
from ...plot import plot_confusion, plot_curves, show_filters, show_misclassified
from ...train import fit
from .. import Report, Target, experiment

augment = partial(random_affine, angle=0.2, scale=0.12, shear=0.15, shift=0.8)


class Block(Module):
    """y = relu(F(x) + x) with F = two 3x3 convolutions; x is projected where the shape changes."""

    def __init__(self, in_channels, out_channels, *, stride=1, rng=None):
        self.conv1 = Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False, rng=rng)
        self.bn1 = BatchNorm2d(out_channels)
        self.conv2 = Conv2d(out_channels, out_channels, 3, padding=1, bias=False, rng=rng)
        self.bn2 = BatchNorm2d(out_channels)
        self.shortcut = Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = Sequential(Conv2d(in_channels, out_channels, 1, stride=stride, bias=False, rng=rng),
                                       BatchNorm2d(out_channels))

    def forward(self, x):
        """x (N, C, H, W) -> (N, O, H / stride, W / stride)."""
        y = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class DigitNet(Module):
    """Residual network for images (N, 1, 8, 8): three blocks at 8x8, 4x4 and 2x2 pixels, ten logits."""

    def __init__(self, width=16, *, rng=None):
        rng = np.random.default_rng(rng)
        self.conv1 = Conv2d(1, width, 3, padding=1, bias=False, rng=rng)
        self.bn1 = BatchNorm2d(width)
        self.blocks = Sequential(Block(width, width, rng=rng), Block(width, 2 * width, stride=2, rng=rng),
                                 Block(2 * width, 4 * width, stride=2, rng=rng))
        self.pool = GlobalAvgPool2d()
        self.fc = Linear(4 * width, 10, rng=rng)

    def forward(self, x):
        """x (N, 1, 8, 8) -> logits (N, 10)."""
        y = self.blocks(relu(self.bn1(self.conv1(x))))
        return self.fc(self.pool(y).reshape(len(x), -1))


def loss(model, batch):
    """Cross-entropy with a little label smoothing."""
    return cross_entropy(model(Tensor(batch["image"])), batch["label"], label_smoothing=0.1)


def predict(model, images):
    """Logits (N, 10) of images, in evaluation mode."""
    with no_grad(), model.evaluating():
        return model(Tensor(images)).data


@experiment(
    "tour-digits", title="A small ResNet reads real digits", chapter="1.1", system=False, tour=1,
    paper="He et al. 2016, Deep Residual Learning for Image Recognition", equations="y = relu(F(x) + x)",
    module="minicv/train/fit.py", notebook="notebooks/12_adaptive.py",
    shows="1201 handwritten digits train a network of 78 000 parameters; 596, mostly by other writers, test it.",
    departures="images of 8x8 pixels, three blocks, label smoothing, one-cycle schedule",
    targets=[Target("accuracy", ">=", 0.98)])
def tour_digits(preset, rng, out, progress, *, epochs=30, width=16):
    epochs, width = {"smoke": (1, 4), "fast": (epochs, width), "full": (2 * epochs, 2 * width)}[preset]
    train, test = digits("train"), digits("test")
    if preset == "smoke":
        train, test = Subset(train, range(128)), Subset(test, range(60))
    held = _stack(test)
    model = DigitNet(width, rng=rng)
    loader = DataLoader(train, 64, shuffle=True, seed=int(rng.integers(2**31)), transform=augment)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    history = fit(model, loss, loader, optimizer, epochs=epochs, scheduler=Scheduler(
        optimizer, one_cycle(epochs * len(loader))), progress=progress,
        validate=lambda m: {"accuracy": accuracy(predict(m, held["image"]), held["label"])})
    logits = predict(model, held["image"])
    return Report(
        {"accuracy": accuracy(logits, held["label"]), "loss": history["loss"][-1],
         "parameters": sum(p.size for p in model.parameters())},
        _figures(history, model, held, logits.argmax(1)),
        {"epochs": [row for row in history.rows if row["epoch"] % 5 == 0 or row["epoch"] == epochs]})


def _stack(samples):
    samples = [samples[i] for i in range(len(samples))]
    return {name: np.stack([s[name] for s in samples]) for name in samples[0]}


def _figures(history, model, held, predicted):
    counts = confusion_matrix(predicted, held["label"], num_classes=10)
    figures = {
        "Training loss of every step": lambda: plot_curves({"loss": history.losses}, smooth=10).figure,
        "Accuracy on digits that were kept back": lambda: plot_curves(
            {"accuracy": history["accuracy"]}, x=history["epoch"], xlabel="epoch", ylabel="accuracy").figure,
        "Confusion matrix": lambda: plot_confusion(counts).figure,
        "Filters of the first layer": lambda: show_filters(model.conv1.weight.data, columns=8).figure,
    }
    if (predicted != held["label"]).any():
        figures["Digits it got wrong"] = lambda: show_misclassified(
            held["image"], predicted, held["label"]).figure
    return figures
