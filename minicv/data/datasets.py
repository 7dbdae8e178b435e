"""What every data set is, and the ways to cut one into parts.

A data set has ``__len__`` and ``__getitem__(i) -> sample``; a sample is a dict of NumPy arrays.
No base class is needed.
"""

import numpy as np

from ..errors import ArgError, ShapeError

__all__ = ["ArrayDataset", "Subset", "train_test_split", "check_index"]


def check_index(name: str, i: int, length: int) -> None:
    """Raise IndexError, which also ends a for loop, unless 0 <= i < length."""
    if not 0 <= i < length:
        raise IndexError(f"{name}: index {i} outside [0, {length})")


def check_classes(name: str, labels, class_names) -> None:
    """ArgError unless every label is a position in `class_names`; -1 would silently name the last class."""
    labels = np.asarray(labels)
    if labels.size and (labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(class_names)):
        raise ArgError(f"{name}: labels is {labels.tolist()!r:.60}, expected integers in [0, {len(class_names)})")


class ArrayDataset:
    """Arrays of equal length as a data set: sample i is ``{name: array[i]}``.

    >>> data = ArrayDataset(image=np.zeros((5, 1, 8, 8), np.float32), label=np.arange(5))
    >>> len(data), data[3]["label"]
    (5, np.int64(3))
    """

    def __init__(self, **arrays):
        self._arrays = {name: np.asarray(array) for name, array in arrays.items()}
        if not arrays:
            raise ArgError("ArrayDataset: arrays is empty, expected at least one name=array")
        for name, array in self._arrays.items():
            if array.ndim == 0:
                raise ShapeError(f"ArrayDataset: {name} has shape (), expected (N, ...)")
        lengths = {name: len(array) for name, array in self._arrays.items()}
        if len(set(lengths.values())) > 1:
            raise ShapeError(f"ArrayDataset: arrays have lengths {lengths}, expected equal ones")

    def __len__(self):
        return len(next(iter(self._arrays.values())))

    def __getitem__(self, i):
        check_index("ArrayDataset", i, len(self))
        return {name: array[i] for name, array in self._arrays.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name."""
        return dict(self._arrays)


class Subset:
    """The items `indices` (n,) of another data set, in that order."""

    def __init__(self, dataset, indices):
        indices = np.asarray(indices)
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
            raise ArgError(f"Subset: indices has shape {indices.shape} and dtype {indices.dtype}, "
                           "expected integers (n,)")
        outside = np.flatnonzero((indices < 0) | (indices >= len(dataset)))
        if outside.size:
            raise ArgError(f"Subset: indices[{outside[0]}] is {indices[outside[0]]}, "
                           f"expected integers in [0, {len(dataset)})")
        self.dataset, self.indices = dataset, indices.astype(np.int64)

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, i):
        check_index("Subset", i, len(self))
        return self.dataset[int(self.indices[i])]

    def arrays(self) -> dict[str, np.ndarray]:
        """The chosen rows, for a data set that has ``arrays()`` itself."""
        return {name: array[self.indices] for name, array in self.dataset.arrays().items()}


def train_test_split(*data, fraction: float, rng=None) -> tuple:
    """Cut each of `data` at random into a part for training and a part for testing.

    data: arrays (N, ...) or data sets of one common length N; the same items are chosen from each.
    fraction: share of the test part, in (0, 1); it gets round(fraction * N) items.
    Returns (train, test) of the first, then of the second …: arrays for arrays, `Subset` for
    data sets.
    """
    rng = np.random.default_rng(rng)
    if not data or len({len(d) for d in data}) != 1:
        raise ArgError(f"train_test_split: data has lengths {[len(d) for d in data]}, "
                       "expected one common length")
    length = len(data[0])
    test = round(fraction * length) if 0 < fraction < 1 else 0
    if not 0 < test < length:
        raise ArgError(f"train_test_split: fraction is {fraction} of {length} items, "
                       "expected both parts to have at least one")
    order = rng.permutation(length)
    parts = np.sort(order[test:]), np.sort(order[:test])
    return tuple(d[part] if isinstance(d, np.ndarray) else Subset(d, part)
                 for d in data for part in parts)
