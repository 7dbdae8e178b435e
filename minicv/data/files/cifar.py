"""CIFAR-10, binary version: records of one label byte and 3 x 32 x 32 colour bytes.

Reference: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from pathlib import Path

import numpy as np

from ...errors import ArgError, DataFormatError, DataMissingError, UnsafeFileError
from ...files import read_limited
from ..datasets import check_index

__all__ = ["CIFAR10", "parse_cifar10"]

RECORD = 1 + 3 * 32 * 32


def parse_cifar10(data: bytes, *, what: str = "cifar10") -> tuple[np.ndarray, np.ndarray]:
    """images (N, 3, 32, 32) uint8 and labels (N,) int64 of one binary batch.

    Raises UnsafeFileError for the Python version, which is a pickle; DataFormatError if the size
    is not a multiple of 3073 bytes or a label is above 9 (with the record).
    """
    if data[:1] == b"\x80":
        raise UnsafeFileError(f"parse_cifar10: {what} is a pickle, which can run code and is never "
                              "loaded; get the binary version, cifar-10-binary.tar.gz")
    if not data or len(data) % RECORD:
        raise DataFormatError(f"parse_cifar10: {what} has {len(data)} bytes, expected a positive "
                              f"multiple of {RECORD}; record {len(data) // RECORD} is cut off")
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    wrong = np.flatnonzero(records[:, 0] > 9)
    if wrong.size:
        raise DataFormatError(f"parse_cifar10: {what}: record {wrong[0]} has label "
                              f"{records[wrong[0], 0]}, expected in [0, 9]")
    return records[:, 1:].reshape(-1, 3, 32, 32).copy(), records[:, 0].astype(np.int64)


class CIFAR10:
    """Small colour photographs of ten classes from the binary batches.

    ======  ===========  =======  ================
    field   shape        dtype    meaning
    ======  ===========  =======  ================
    image   (3, 32, 32)  float32  RGB in [0, 1]
    label   ()           int64    see `class_names`
    ======  ===========  =======  ================

    root: folder with ``data_batch_1.bin`` … ``test_batch.bin`` (``cifar-10-batches-bin`` inside
    it is found too). split: "train" or "test".
    Raises DataMissingError if a batch is absent, UnsafeFileError if only the pickles are there.
    """
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse",
                   "ship", "truck")

    def __init__(self, root, split: str = "train"):
        if split not in ("train", "test"):
            raise ArgError(f"CIFAR10: split is {split!r}, expected 'train' or 'test'")
        names = {"train": [f"data_batch_{k}" for k in range(1, 6)], "test": ["test_batch"]}[split]
        paths = [_find(root, name) for name in names]
        batches = [parse_cifar10(read_limited(p), what=str(p)) for p in paths]
        self.images, self.labels = (np.concatenate(part) for part in zip(*batches, strict=True))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        check_index("CIFAR10", i, len(self))
        return {"image": self.images[i] / np.float32(255), "label": self.labels[i]}

    def arrays(self) -> dict[str, np.ndarray]:
        """image (N, 3, 32, 32) float32 and label (N,) int64."""
        return {"image": self.images / np.float32(255), "label": self.labels.copy()}


def _find(root, name):
    folders = Path(root), Path(root) / "cifar-10-batches-bin"
    for folder in folders:
        if (folder / f"{name}.bin").is_file():
            return folder / f"{name}.bin"
    for folder in (*folders, Path(root) / "cifar-10-batches-py"):
        if (folder / name).is_file():
            raise UnsafeFileError(f"CIFAR10: {str(folder / name)!r} is the Python version, a "
                                  "pickle, which can run code and is never loaded; get the binary "
                                  "version, cifar-10-binary.tar.gz")
    raise DataMissingError(f"CIFAR10: root is {str(root)!r}, expected {name}.bin in it; unpack "
                           "cifar-10-binary.tar.gz there, nothing is downloaded")
