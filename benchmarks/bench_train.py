"""A whole training step: forward, backward and update of the tour's residual network on a batch of 64 digits."""

import numpy as np

from minicv.experiments.ch1.digits import DigitNet, loss
from minicv.optim import SGD


class StepSuite:
    """Seconds per step."""

    def setup(self):
        rng = np.random.default_rng(0)
        self.model = DigitNet(rng=rng)
        self.optimizer = SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        self.batch = {"image": rng.random((64, 1, 8, 8), np.float32), "label": rng.integers(0, 10, 64)}

    def time_step(self):
        self.optimizer.zero_grad()
        loss(self.model, self.batch).backward()
        self.optimizer.step()
