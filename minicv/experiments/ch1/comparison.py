"""Remark of section 1.4: Adam or well-tuned Nesterov momentum for a convolutional network?"""

import numpy as np

from ...autograd import Tensor, no_grad
from ...autograd.activation import relu
from ...data import Shapes10
from ...nn import BatchNorm2d, Conv2d, Linear, Module, cross_entropy
from ...optim import SGD, Adam, Scheduler, cosine, train_epoch
from ...plot import plot_curves
from .. import Report, experiment


class SmallCNN(Module):
    """Three strided 3x3 convolutions with batch normalisation, global average pooling, a linear layer."""

    def __init__(self, rng):
        widths = (3, 16, 32, 64)
        self.convs = [Conv2d(a, b, 3, stride=2, padding=1, bias=False, rng=rng) for a, b in zip(widths, widths[1:])]
        self.norms = [BatchNorm2d(b) for b in widths[1:]]
        self.head = Linear(widths[-1], 10, rng=rng)

    def forward(self, x):
        """x (N, 3, H, W) to logits (N, 10)."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = relu(norm(conv(x)))
        return self.head(x.mean(axis=(2, 3)))


@experiment(
    "adam-or-nesterov", title="Adam or Nesterov on a small CNN", chapter="1.4", notebook="notebooks/12_adaptive.py",
    paper="Wilson et al. 2017, The Marginal Value of Adaptive Gradient Methods", module="minicv/optim/adam.py",
    shows="Both with a cosine schedule and their best rate of a small grid; which one wins depends on budget and seed.",
    system=False)
def adam_or_nesterov(preset, rng, out, progress):
    count, held, epochs = {"smoke": (64, 64, 1), "fast": (3000, 1000, 6), "full": (4000, 1000, 15)}[preset]
    seed = int(rng.integers(2**31))
    train, test = shapes(count, seed, 0, progress), shapes(held, seed, count, progress)
    grids = {"Nesterov": (0.03, 0.1), "Adam": (0.003, 0.01)}
    runs = [{"method": name, "lr": lr} | fit(name, lr, train, test, epochs, seed, progress)
            for name, lrs in grids.items() for lr in lrs]
    best = {name: max((run for run in runs if run["method"] == name), key=lambda run: run["accuracy"])
            for name in grids}
    rows = [{key: run[key] for key in ("method", "lr", "accuracy")} for run in runs]
    return Report({f"accuracy_{name.lower()}": run["accuracy"] for name, run in best.items()},
                  {"Training loss, each at its best rate": lambda: plot_curves(
                      {name: run["losses"] for name, run in best.items()}, smooth=20).figure},
                  {"test accuracy": rows})


def shapes(count, seed, first, progress):
    """Images (count, 3, 32, 32), centred, and labels (count,)."""
    data = Shapes10(count, seed=seed, first=first)
    samples = [data[i] for i in progress(range(count), desc="drawing shapes")]
    return np.stack([s["image"] for s in samples]) - np.float32(0.5), np.array([s["label"] for s in samples])


def fit(name, lr, train, test, epochs, seed, progress, batch_size=32):
    """Losses of all batches and the final test accuracy."""
    (x, y), rng = train, np.random.default_rng(seed)
    model = SmallCNN(rng)
    optimizer = (SGD(model.parameters(), lr, momentum=0.9, nesterov=True, weight_decay=5e-4) if name == "Nesterov"
                 else Adam(model.parameters(), lr))
    scheduler = Scheduler(optimizer, cosine(epochs))
    losses = []
    for _ in progress(range(epochs), desc=f"{name}, lr {lr}"):
        losses.append(train_epoch(lambda i: cross_entropy(model(Tensor(x[i])), y[i]), len(y), optimizer, batch_size,
                                  rng=rng))
        scheduler.step()
    with no_grad(), model.evaluating():
        predicted = model(Tensor(test[0])).argmax(axis=1)
    return {"losses": np.concatenate(losses), "accuracy": float(np.mean(predicted == test[1]))}
