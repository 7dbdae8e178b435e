"""`Stream`: a data set whose items are drawn on demand, each from a random stream of its own."""

from operator import index

import numpy as np

from ...errors import ArgError
from ..datasets import check_index
from ..loader import default_collate

__all__ = ["Stream"]


class Stream:
    """`length` items of an endless supply; a subclass says how to ``draw(rng)`` one sample.

    Item i depends only on (seed, first + i): same bytes for any order, worker count or subset.
    `first` skips items, so that parts of one stream never overlap:
    ``train, test = Shapes10(4000), Shapes10(1000, first=4000)``.
    """

    def __init__(self, length: int, *, seed: int = 0, first: int = 0):
        name = type(self).__name__
        for what, value, least in (("length", length, 1), ("seed", seed, 0), ("first", first, 0)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ArgError(f"{name}: {what} is {value!r}, expected an integer >= {least}")
        self.length, self.seed, self.first = index(length), index(seed), index(first)

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        check_index(type(self).__name__, i, self.length)
        return self.draw(np.random.default_rng([self.seed, self.first + i]))

    def draw(self, rng) -> dict:
        """One sample from a generator."""
        raise NotImplementedError(f"{type(self).__name__}.draw")

    def arrays(self) -> dict[str, np.ndarray]:
        """All items at once, stacked by field."""
        return default_collate([self[i] for i in range(self.length)])
