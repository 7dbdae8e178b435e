"""conv2d, the operation that dominates training."""

import numpy as np

from minicv.autograd import Tensor, grad
from minicv.functional import conv2d


class Conv2dSuite:
    """3x3, stride 1, padding 1, batch of 8: forward and all three gradients."""

    param_names = ["channels", "size"]
    params = [[16, 64], [32, 56]]

    def setup(self, channels, size):
        rng = np.random.default_rng(0)
        self.x = Tensor(rng.standard_normal((8, channels, size, size), np.float32), requires_grad=True)
        self.w = Tensor(rng.standard_normal((channels, channels, 3, 3), np.float32), requires_grad=True)

    def time_forward(self, channels, size):
        conv2d(self.x.data, self.w.data, padding=1)

    def time_forward_backward(self, channels, size):
        y = conv2d(self.x, self.w, padding=1)
        grad(y, [self.x, self.w], y.data)
