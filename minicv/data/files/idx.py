"""The IDX format and MNIST.

An IDX file is ``0 0 type rank``, `rank` big-endian 32-bit sizes, and the values in C order.
Reference: LeCun, Cortes and Burges, "The MNIST database", file format at the end of the page.
"""

import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ...errors import ArgError, DataFormatError, DataMissingError, LimitError
from ...files import MAX_FILE, read_limited
from ..datasets import check_index

__all__ = ["MNIST", "parse_idx"]

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def parse_idx(data: bytes, *, what: str = "idx", limit: int = MAX_FILE) -> np.ndarray:
    """The array in the bytes of an IDX file; gzip is recognised by its first bytes.

    The result is writable, in native byte order. The file must be exactly as long as its header
    says, and no more than `limit` bytes; nothing is allocated or unpacked beyond that.
    Raises DataFormatError with the offset and both sizes, LimitError for what would not end.
    """
    if data[:2] == b"\x1f\x8b":
        data = _unzip(data, what, limit)
    dtype, shape, start = _parse_header(data, what)
    expected = start + math.prod(shape) * dtype.itemsize  # Python integers cannot overflow
    if expected > limit:
        raise LimitError(f"parse_idx: {what} declares {expected} bytes, expected at most {limit}")
    if len(data) != expected:
        raise DataFormatError(f"parse_idx: {what} has {len(data)} bytes, expected {expected} = "
                              f"{start} + {shape} of {dtype.name}")
    values = np.frombuffer(data, dtype, offset=start)
    return values.reshape(shape).astype(dtype.newbyteorder("="))


def _parse_header(data, what):
    """dtype, shape and the offset of the first value."""
    if len(data) < 4:
        raise DataFormatError(f"parse_idx: {what} has {len(data)} bytes, expected at least 4")
    zero, code, rank = struct.unpack(">HBB", data[:4])
    if zero != 0 or code not in _TYPES or not 1 <= rank <= 32:
        raise DataFormatError(f"parse_idx: {what} starts with {data[:4].hex()}, expected 0000, a "
                              f"type of {[f'{c:02x}' for c in _TYPES]} and a rank in [1, 32]")
    start = 4 + 4 * rank
    if len(data) < start:
        raise DataFormatError(f"parse_idx: {what} ends at offset {len(data)} inside its header, "
                              f"expected {rank} sizes up to offset {start}")
    shape = struct.unpack(f">{rank}I", data[4:start])
    for k, size in enumerate(shape):
        if not 1 <= size < 2**31:
            raise DataFormatError(f"parse_idx: {what}: size {k} at offset {4 + 4 * k} is {size}, "
                                  "expected in [1, 2**31)")
    return np.dtype(_TYPES[code]), shape, start


def _unzip(data, what, limit):
    """The content of one gzip member, unpacked no further than its IDX header declares."""
    stream = zlib.decompressobj(wbits=31)
    try:
        head = stream.decompress(data, 4 + 4 * 32)
        dtype, shape, start = _parse_header(head, what)
        size = start + math.prod(shape) * dtype.itemsize
        if size > limit:
            raise LimitError(f"parse_idx: {what} declares {size} bytes, expected at most {limit}")
        rest = stream.decompress(stream.unconsumed_tail, max(size + 1 - len(head), 1))
    except zlib.error as e:
        raise DataFormatError(f"parse_idx: {what} is damaged gzip: {e}") from e
    if len(head) + len(rest) > size:
        raise LimitError(f"parse_idx: {what} unpacks to more than the declared {size} bytes")
    if not stream.eof:
        raise DataFormatError(f"parse_idx: {what} is gzip cut off after {len(head + rest)} "
                              f"unpacked bytes, expected {size} and a checksum")
    if stream.unused_data:
        raise DataFormatError(f"parse_idx: {what} has {len(stream.unused_data)} bytes behind the "
                              "gzip data, expected none")
    return head + rest


class MNIST:
    """Handwritten digits from the four IDX files, raw or gzipped.

    ======  ===========  =======  ====================
    field   shape        dtype    meaning
    ======  ===========  =======  ====================
    image   (1, 28, 28)  float32  in [0, 1]
    label   ()           int64    the digit
    ======  ===========  =======  ====================

    root: folder with ``train-images-idx3-ubyte[.gz]`` and so on (``MNIST/raw`` inside it is found
    too). split: "train" or "test". Fashion-MNIST and KMNIST come in the same files.
    Raises DataMissingError if a file is absent, DataFormatError if the two do not fit.
    """
    class_names = tuple("0123456789")

    def __init__(self, root, split: str = "train"):
        if split not in ("train", "test"):
            raise ArgError(f"MNIST: split is {split!r}, expected 'train' or 'test'")
        prefix = {"train": "train", "test": "t10k"}[split]
        paths = [_find(root, f"{prefix}-{part}") for part in ("images-idx3-ubyte",
                                                               "labels-idx1-ubyte")]
        self.images, self.labels = (parse_idx(read_limited(p), what=str(p)) for p in paths)
        _check_pair(self.images, self.labels, paths)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        check_index("MNIST", i, len(self))
        return {"image": self.images[i][None] / np.float32(255), "label": np.int64(self.labels[i])}

    def arrays(self) -> dict[str, np.ndarray]:
        """image (N, 1, 28, 28) float32 and label (N,) int64."""
        return {"image": self.images[:, None] / np.float32(255),
                "label": self.labels.astype(np.int64)}


def _find(root, name):
    for folder in (Path(root), Path(root) / "MNIST" / "raw"):
        for ending in (name, name + ".gz", name.replace("-idx", ".idx")):
            if (folder / ending).is_file():
                return folder / ending
    raise DataMissingError(f"MNIST: root is {str(root)!r}, expected {name}[.gz] in it; put the "
                           "four files of the MNIST database there, nothing is downloaded")


def _check_pair(images, labels, paths):
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataFormatError(f"MNIST: {paths[0]} holds {images.dtype} {images.shape}, "
                              "expected uint8 (N, H, W)")
    if labels.dtype != np.uint8 or labels.ndim != 1 or len(labels) != len(images):
        raise DataFormatError(f"MNIST: {paths[1]} holds {labels.dtype} {labels.shape}, "
                              f"expected uint8 ({len(images)},) as there are images")
    wrong = np.flatnonzero(labels > 9)
    if wrong.size:
        raise DataFormatError(f"MNIST: {paths[1]}: label {wrong[0]} is {labels[wrong[0]]}, "
                              "expected in [0, 9]")
