"""MNIST and CIFAR-10 files.

Proved here: what is written by hand comes back, for every IDX type, raw and gzipped; every fault of
rows F1-F5 is a typed error with offset, sizes or record; nothing is allocated or unpacked beyond
what the header declares; pickles are refused without being opened; absent data is one line (F22).
"""

import gzip
import pickle  # only to write what must be refused
import struct
import tracemalloc

import numpy as np
import pytest

from minicv.data import CIFAR10, MNIST, DataLoader
from minicv.data.files import parse_cifar10, parse_idx
from minicv.errors import (
    ArgError,
    DataFormatError,
    DataMissingError,
    LimitError,
    UnsafeFileError,
)


def idx(array, code=0x08):
    header = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
LABELS = np.array([0, 9, 3, 3, 7], np.uint8)
GOOD = idx(IMAGES)


# --- idx ------------------------------------------------------------------------------------

@pytest.mark.parametrize("code, dtype", [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"),
                                         (13, ">f4"), (14, ">f8")])
@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3), (2, 3, 4, 1)])
def test_every_type_comes_back_in_native_order(code, dtype, shape):
    values = np.random.default_rng(1).integers(-100, 100, shape).astype(dtype)
    for data in (idx(values, code), gzip.compress(idx(values, code))):
        back = parse_idx(data)
        np.testing.assert_array_equal(back, values)
        assert back.dtype == np.dtype(dtype).newbyteorder("=") and back.dtype.isnative
        assert back.shape == shape and back.flags.writeable


def patched(at, value):
    return GOOD[:at] + value + GOOD[at + len(value):]


@pytest.mark.parametrize("data, error, words", [
    (b"", DataFormatError, "has 0 bytes, expected at least 4"),
    (GOOD[:3], DataFormatError, "has 3 bytes"),
    (patched(0, b"\1"), DataFormatError, "starts with 01000803"),
    (patched(2, b"\x0a"), DataFormatError, "starts with 00000a03, expected 0000, a type"),
    (patched(3, b"\0"), DataFormatError, "rank"),
    (patched(3, b"\xff"), DataFormatError, "rank"),
    (GOOD[:10], DataFormatError, "ends at offset 10 inside its header, expected 3 .* offset 16"),
    (GOOD[:-1], DataFormatError, "has 3935 bytes, expected 3936"),
    (GOOD + b"x", DataFormatError, "has 3937 bytes, expected 3936"),
    (patched(4, b"\0\0\0\0"), DataFormatError, "size 0 at offset 4 is 0"),
    (patched(8, b"\x80\0\0\0"), DataFormatError, "size 1 at offset 8 is 2147483648"),
    (patched(12, b"\xff\xff\xff\xff"), DataFormatError, "size 2 at offset 12 is 4294967295"),
    (patched(4, struct.pack(">III", 2**31 - 1, 2**16, 2**16)), LimitError, "9223372032559808528"),
    (patched(4, struct.pack(">I", 2**20)), DataFormatError, "expected 822083600"),
])
def test_damaged_idx_files_are_refused_F1(data, error, words):
    for form in (data, gzip.compress(data)):
        with pytest.raises(error if form is data else DataFormatError,
                           match=words if form is data else "parse_idx: train.idx"):
            parse_idx(form, what="train.idx")


@pytest.mark.parametrize("data, error, words", [
    (gzip.compress(GOOD)[:-1], DataFormatError, "cut off after 3936"),
    (gzip.compress(GOOD)[:40], DataFormatError, "cut off after"),
    (gzip.compress(GOOD)[:5], DataFormatError, "has 0 bytes"),
    (gzip.compress(GOOD)[:-8] + bytes(8), DataFormatError, "damaged gzip"),
    (gzip.compress(GOOD) + b"x", DataFormatError, "1 bytes behind"),
    (gzip.compress(GOOD) * 2, DataFormatError, "bytes behind"),
    (b"\x1f\x8b" + bytes(20), DataFormatError, "damaged gzip"),
    (gzip.compress(gzip.compress(GOOD)), DataFormatError, "starts with 1f8b"),
])
def test_damaged_gzip_is_refused_F3(data, error, words):
    with pytest.raises(error, match=words):
        parse_idx(data)


def test_a_bomb_is_not_unpacked_F3():
    bomb = gzip.compress(GOOD + bytes(100_000_000))
    tracemalloc.start()
    with pytest.raises(LimitError, match="more than the declared 3936 bytes"):
        parse_idx(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_large_claim_takes_no_memory_F1():
    lie = patched(4, struct.pack(">III", 2**20, 28, 28))
    tracemalloc.start()
    for data in (lie, gzip.compress(lie)):
        with pytest.raises(DataFormatError):
            parse_idx(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    with pytest.raises(LimitError, match="at most 1000"):
        parse_idx(GOOD, limit=1000)


# --- MNIST ----------------------------------------------------------------------------------

def put_mnist(folder, images=IMAGES, labels=LABELS, prefix="t10k", zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in ((f"{prefix}-images-idx3-ubyte", images),
                        (f"{prefix}-labels-idx1-ubyte", labels)):
        data = idx(array)
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("below", ["", "MNIST/raw"])
def test_mnist_gives_documented_samples(tmp_path, zipped, below):
    put_mnist(tmp_path / below, zipped=zipped)
    data = MNIST(tmp_path, "test")
    assert len(data) == 5
    for i, sample in enumerate(data):
        assert sample["image"].shape == (1, 28, 28) and sample["image"].dtype == np.float32
        np.testing.assert_array_equal(np.rint(sample["image"][0] * 255), IMAGES[i])
        assert sample["label"] == LABELS[i] and sample["label"].dtype == np.int64
    arrays = data.arrays()
    batch = next(iter(DataLoader(data, 5)))
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], batch[name])
        assert arrays[name].dtype == batch[name].dtype
    with pytest.raises(IndexError):
        data[5]


def test_raw_content_under_a_gz_name_and_the_reverse_are_read_F3(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(gzip.compress(idx(LABELS)))
    assert len(MNIST(tmp_path)) == 5


@pytest.mark.parametrize("images, labels, words", [
    (IMAGES, LABELS[:4], r"uint8 \(4,\), expected uint8 \(5,\)"),
    (IMAGES, np.array([0, 1, 10, 2, 3], np.uint8), "label 2 is 10, expected in"),
    (IMAGES[0], LABELS, r"\(28, 28\), expected uint8 \(N, H, W\)"),
    (IMAGES, LABELS[:, None], r"\(5, 1\), expected"),
])
def test_files_that_do_not_fit_are_refused_F2(tmp_path, images, labels, words):
    put_mnist(tmp_path, images, labels)
    with pytest.raises(DataFormatError, match=words):
        MNIST(tmp_path, "test")


def test_absent_mnist_is_one_line_F22(tmp_path):
    with pytest.raises(DataMissingError, match="train-images-idx3-ubyte.*nothing is down") as info:
        MNIST(tmp_path)
    assert "\n" not in str(info.value)
    with pytest.raises(ArgError, match="split is 'val'"):
        MNIST(tmp_path, "val")


# --- CIFAR-10 -------------------------------------------------------------------------------

def records(n, seed=0):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, (n, 3073), np.uint8)
    data[:, 0] %= 10
    return data


def test_cifar_records_are_label_and_three_planes():
    data = records(4)
    images, labels = parse_cifar10(data.tobytes())
    assert images.shape == (4, 3, 32, 32) and images.dtype == np.uint8 and labels.dtype == np.int64
    for r in range(4):
        assert labels[r] == data[r, 0]
        for c, y, x in ((0, 0, 0), (1, 2, 3), (2, 31, 31)):
            assert images[r, c, y, x] == data[r, 1 + 1024 * c + 32 * y + x]


def wrong_label(n, at):
    data = records(n)
    data[at, 0] = 10
    return data.tobytes()


@pytest.mark.parametrize("data, error, words", [
    (b"", DataFormatError, "has 0 bytes"),
    (records(3).tobytes()[:-1], DataFormatError, "has 9218 bytes.*multiple of 3073; record 2"),
    (records(1).tobytes() + b"x", DataFormatError, "record 1 is cut off"),
    (wrong_label(5, 3), DataFormatError, "record 3 has label 10"),
    (pickle.dumps({"data": 1}), UnsafeFileError, "pickle.*binary version"),
])
def test_damaged_cifar_files_are_refused_F4_F5(data, error, words):
    with pytest.raises(error, match=words):
        parse_cifar10(data)


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin"])
def test_cifar_joins_its_batches(tmp_path, below):
    folder = tmp_path / below
    folder.mkdir(exist_ok=True)
    for k in range(1, 6):
        (folder / f"data_batch_{k}.bin").write_bytes(records(2, k).tobytes())
    (folder / "test_batch.bin").write_bytes(records(3, 9).tobytes())
    train, test = CIFAR10(tmp_path), CIFAR10(tmp_path, "test")
    assert (len(train), len(test)) == (10, 3)
    sample = train[7]
    assert sample["image"].shape == (3, 32, 32) and sample["image"].dtype == np.float32
    np.testing.assert_array_equal(np.rint(sample["image"] * 255).ravel(), records(2, 4)[1, 1:])
    assert sample["label"] == records(2, 4)[1, 0] and sample["label"].dtype == np.int64
    np.testing.assert_array_equal(train.arrays()["image"][7], sample["image"])
    assert train.arrays()["label"].dtype == np.int64


def test_the_python_version_is_refused_unopened_F4(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"anything")
    with pytest.raises(UnsafeFileError, match="pickle.*cifar-10-binary.tar.gz"):
        CIFAR10(tmp_path, "test")


def test_absent_cifar_is_one_line_F22(tmp_path):
    with pytest.raises(DataMissingError, match="data_batch_1.bin.*nothing is downloaded") as info:
        CIFAR10(tmp_path)
    assert "\n" not in str(info.value)
    with pytest.raises(ArgError, match="split is None"):
        CIFAR10(tmp_path, None)
