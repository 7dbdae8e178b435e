"""Small classifiers on pictures of ten shapes: data, training and accuracy that several experiments share.

    train, test = shapes(preset, rng)
    history = learn(model, train, epochs=4, rng=rng, progress=progress)
    accuracy(scores(model, test["image"]), test["label"])
"""

import numpy as np

from ..autograd import Tensor, no_grad
from ..data import ArrayDataset, DataLoader, Shapes10
from ..nn import cross_entropy
from ..optim import SGD, Adam, Scheduler, one_cycle
from ..train import fit

COUNTS = {"smoke": (128, 64), "fast": (4000, 1000), "full": (16000, 2000)}


def shapes(preset, rng, *, count=None, held=None, **options):
    """Training and test pictures of `Shapes10` as dicts of arrays: image (N, 3, 32, 32) and label (N,).

    Parameters
    ----------
    preset : str
        Sizes as in `COUNTS`, unless `count` (training) or `held` (test) say otherwise.
    rng : Generator
        Gives the seed; training and test pictures never share one.
    **options
        Of `Shapes10`: size, noise, radius, classes.
    """
    sizes = count or COUNTS[preset][0], held or COUNTS[preset][1]
    seed = int(rng.integers(2**31))
    return tuple(_stack(Shapes10(n, seed=seed, first=first, **options))
                 for n, first in zip(sizes, (0, sizes[0]), strict=True))


def _stack(samples):
    drawn = [samples[i] for i in range(len(samples))]
    return {name: np.stack([s[name] for s in drawn]) for name in ("image", "label")}


def learn(model, train, *, epochs, rng, progress, lr=0.05, batch=64, optimizer="sgd", weight_decay=5e-4,
          label_smoothing=0.0, loss=None, **options):
    """Train on a dict of arrays with one cycle of learning rates; returns the `History` of `fit`.

    Parameters
    ----------
    model : Module
        images (N, 3, H, W) -> logits (N, K), unless `loss` knows better.
    lr : float
        The highest rate of the cycle.
    optimizer : "sgd" (Nesterov, momentum 0.9) or "adam"
    loss : callable, optional
        ``loss(model, batch) -> scalar Tensor`` in place of the cross-entropy with `label_smoothing`.
    **options
        Of `fit`: clip_norm, validate, ema, ...
    """
    loader = DataLoader(ArrayDataset(**train), batch, shuffle=True, seed=int(rng.integers(2**31)), drop_last=True)
    parameters = [p for p in model.parameters() if p.requires_grad]
    steps = (SGD(parameters, lr=lr, momentum=0.9, nesterov=True, weight_decay=weight_decay) if optimizer == "sgd"
             else Adam(parameters, lr=lr))

    def entropy(model, batch):
        return cross_entropy(model(Tensor(batch["image"])), batch["label"], label_smoothing=label_smoothing)

    return fit(model, loss or entropy, loader, steps, epochs=epochs, progress=progress,
               scheduler=Scheduler(steps, one_cycle(epochs * len(loader))), **options)


def scores(model, images, *, batch=250):
    """Logits (N, K) of images (N, 3, H, W), in evaluation mode and without a graph."""
    with no_grad(), model.evaluating():
        return np.concatenate([model(Tensor(images[i:i + batch])).data for i in range(0, len(images), batch)])
