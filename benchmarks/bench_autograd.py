"""What does the engine itself cost, beside the arithmetic? Chains of tiny operations."""

import numpy as np

from minicv.autograd import Tensor, grad


class ChainSuite:
    """1000 multiplications and additions on 4x4 arrays: seconds are close to milliseconds per thousand ops."""

    def setup(self):
        rng = np.random.default_rng(0)
        self.a, self.b, self.c = (Tensor(rng.random((4, 4), np.float32), requires_grad=True) for _ in range(3))

    def chain(self):
        y = self.a
        for _ in range(500):
            y = y * self.b + self.c
        return y.sum()

    def time_forward(self):
        self.chain()

    def time_forward_backward(self):
        grad(self.chain(), [self.a, self.b, self.c])

    def time_create_graph(self):
        grad(self.chain(), [self.a, self.b, self.c], create_graph=True)
