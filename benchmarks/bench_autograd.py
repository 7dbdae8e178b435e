"""What does the engine itself cost, beside the arithmetic? Chains of tiny operations; and what does memory cost?

The same chain runs in PyTorch where that is installed. ``python benchmarks/bench_autograd.py`` prints the ratios,
taken in turns in one process on one thread: below 1 means that minicv is faster.
"""

import importlib.util
import statistics
import time

import numpy as np

from minicv.autograd import Tensor, grad, no_grad
from minicv.autograd.elementwise import add
from minicv.kernels import empty_cache

OPS = 1000


def chain(a, b, c):
    """1000 multiplications and additions on 4x4 arrays."""
    y = a
    for _ in range(OPS // 2):
        y = y * b + c
    return y.sum()


class ChainSuite:
    """1000 multiplications and additions on 4x4 arrays: milliseconds are microseconds per op."""

    def setup(self):
        rng = np.random.default_rng(0)
        self.leaves = [Tensor(rng.random((4, 4), np.float32), requires_grad=True) for _ in range(3)]

    def time_no_grad(self):
        with no_grad():
            chain(*self.leaves)

    def time_forward(self):
        chain(*self.leaves)

    def time_forward_backward(self):
        grad(chain(*self.leaves), self.leaves)

    def time_create_graph(self):
        grad(chain(*self.leaves), self.leaves, create_graph=True)


if importlib.util.find_spec("torch"):
    class TorchChainSuite:
        """The same chain in PyTorch."""

        def setup(self):
            import torch
            torch.set_num_threads(1)
            rng = np.random.default_rng(0)
            self.torch = torch
            self.leaves = [torch.from_numpy(rng.random((4, 4), np.float32)).requires_grad_() for _ in range(3)]

        def time_no_grad(self):
            with self.torch.no_grad():
                chain(*self.leaves)

        def time_forward(self):
            chain(*self.leaves)

        def time_forward_backward(self):
            self.torch.autograd.grad(chain(*self.leaves), self.leaves)

        def time_create_graph(self):
            self.torch.autograd.grad(chain(*self.leaves), self.leaves, create_graph=True)


class LargeSuite:
    """Adding two large arrays: into memory that is used again, and into fresh memory."""

    params, param_names = [[8, 64]], ["MiB"]

    def setup(self, MiB):
        self.a, self.b = np.ones((2, MiB * 2**18), np.float32)
        empty_cache()

    def time_pool(self, MiB):
        add(self.a, self.b)

    def time_fresh(self, MiB):
        np.add(self.a, self.b)


def ratios(turns=41):
    """{method: (median, smallest) of seconds here / seconds in PyTorch}, taken in turns."""
    ours, theirs = ChainSuite(), TorchChainSuite()
    ours.setup()
    theirs.setup()
    return {name: _ratio(getattr(ours, name), getattr(theirs, name), turns)
            for name in vars(ChainSuite) if name.startswith("time_")}


def _ratio(ours, theirs, turns):
    pairs = []
    for _ in range(turns + 2):                             # two turns to warm up
        times = []
        for call in (ours, theirs):
            before = time.perf_counter()
            call()
            times.append(time.perf_counter() - before)
        pairs.append(times)
    mine, others = zip(*pairs[2:], strict=True)
    return statistics.median(m / t for m, t in pairs[2:]), min(mine) / min(others)


if __name__ == "__main__":
    for name, (median, best) in ratios().items():
        print(f"{name[5:]:20} {median:5.2f}  (ratio of the fastest calls {best:.2f})")
