"""A small training task with everything that has state: batch norm, dropout, augmentation, schedule, average."""

import numpy as np
import pytest

from minicv.data import ArrayDataset, DataLoader
from minicv.nn import BatchNorm1d, Dropout, Linear, Module, ReLU, Sequential
from minicv.nn.losses import cross_entropy
from minicv.optim import EMA, SGD, AdamW, Scheduler, cosine


def jitter(sample, rng):
    return {**sample, "x": sample["x"] + rng.normal(0, 0.05, sample["x"].shape).astype(np.float32)}


class Net(Module):
    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.body = Sequential(Linear(6, 16, rng=rng), BatchNorm1d(16), ReLU(), Dropout(0.3, rng=rng),
                               Linear(16, 3, rng=rng))

    def forward(self, x):
        return self.body(x)


def batch_loss(model, batch):
    return cross_entropy(model(batch["x"]), batch["label"])


def make_task(seed=0, optimizer="sgd", steps=60):
    """Model, loader, optimizer and the other parts, always from the same seed."""
    rng = np.random.default_rng(100)
    label = rng.integers(0, 3, 70)
    x = (rng.normal(0, 1, (70, 6)) + 2 * np.eye(6)[label]).astype(np.float32)
    model = Net(seed)
    loader = DataLoader(ArrayDataset(x=x, label=label), 16, shuffle=True, seed=seed, transform=jitter)
    params = model.parameters()
    opt = SGD(params, lr=0.1, momentum=0.9) if optimizer == "sgd" else AdamW(params, lr=0.01)
    return dict(model=model, loader=loader, optimizer=opt, scheduler=Scheduler(opt, cosine(steps)),
                ema=EMA(params, 0.9))


@pytest.fixture
def task():
    return make_task()
