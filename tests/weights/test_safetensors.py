"""The safetensors codec against its specification: what is written is read, and nothing crooked passes (W1-W8)."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicv import weights
from minicv.errors import ArgError, DataFormatError, DTypeError, LimitError, MinicvError, UnsafeFileError
from minicv.weights import parse_safetensors, safetensors_bytes


def packed(header, body=b"", length=None):
    """A file with any header (JSON of an object, or bytes)."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def tensor(start, stop, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}


ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float64(2.5) * np.ones((1, 0, 4)),
    "scalar": np.array(7, np.int64), "flags": np.array([True, False, True]), "half": np.array([0.5, -2], np.float16),
    **{f"i{k}": np.array([-1, 1], f"i{k}") for k in (1, 2, 4)},
    **{f"u{k}": np.array([1, 250], f"u{k}") for k in (1, 2, 4, 8)},
}


def test_every_type_survives_a_round_trip():
    found = parse_safetensors(safetensors_bytes(ARRAYS, metadata={"by": "a test"}))
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
        assert not found[name].flags.writeable


def test_the_bytes_are_those_of_the_specification():
    """Written out by hand: length, header padded to a multiple of 8, numbers in little-endian order."""
    data = safetensors_bytes({"x": np.array([[1, 2]], np.float32)})
    text = b'{"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}'
    assert data == struct.pack("<Q", 56) + text + struct.pack("<ff", 1, 2) and len(text) == 56


@pytest.mark.parametrize("arrange", [np.transpose, lambda a: a[::-1], lambda a: a[:, ::2], np.asfortranarray])
def test_arrays_are_written_in_logical_order(arrange):
    """A writer that dumps memory as it lies would mix up every filter, whose channels lie last."""
    x = arrange(np.arange(24, dtype=np.float32).reshape(4, 6))
    np.testing.assert_array_equal(parse_safetensors(safetensors_bytes({"x": x}))["x"], x)


def test_foreign_byte_order_is_written_in_the_file_s():
    x = np.arange(3, dtype=">f4")
    np.testing.assert_array_equal(parse_safetensors(safetensors_bytes({"x": x}))["x"], [0, 1, 2])


def test_numbers_are_aligned_and_the_same_content_gives_the_same_bytes():
    arrays = {"byte": np.ones(3, np.int8), "double": np.ones(2), "short": np.ones(1, np.int16)}
    data = safetensors_bytes(arrays)
    assert data == safetensors_bytes(dict(arrays))
    assert all(a.flags.aligned for a in parse_safetensors(data).values())


def test_bf16_is_the_upper_half_of_a_float32():
    """W6."""
    x = np.array([1.0, -2.5, 3.140625, 1e30], np.float32)
    upper = (x.view(np.uint32) >> 16).astype("<u2")
    expected = (upper.astype(np.uint32) << 16).view(np.float32)
    found = parse_safetensors(packed({"x": tensor(0, 8, (4,), "BF16")}, upper.tobytes()))["x"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found[:3], x[:3])


@pytest.mark.parametrize("data", [
    packed({"__metadata__": {}}), packed({"__metadata__": {"a": "b"}}), packed({}), packed(b"{}      ")])
def test_files_without_tensors_are_read(data):
    """W3."""
    assert parse_safetensors(data) == {}


@pytest.mark.parametrize("name", ["../../etc/x", "a/b", "\n\t", "n" * 100_000, "ü", ""])
def test_names_are_keys_and_never_paths(name):
    """W7."""
    assert list(parse_safetensors(safetensors_bytes({name: np.ones(1)}))) == [name]


ONE = {"a": tensor(0, 4)}
BAD = {
    "short": (b"1234567", "has 7 bytes"), "empty header": (packed(b""), "begins with b''"),
    "header longer than the file": (packed(b"{}", length=50), "header of 50 bytes, but has 2"),
    "not UTF-8": (packed(b'{"\xff": 1}'), "unreadable"), "array": (packed(b"[]"), "begins with"),
    "leading space": (packed(b" {}"), "begins with"), "trailing garbage": (packed(b"{} x"), "unreadable"),
    "NaN": (packed(b'{"a": NaN}'), "NaN is not JSON"),
    "duplicate": (packed(b'{"a": 1, "a": 2}'), "duplicate key 'a'"),
    "nested too deep": (packed(b'{"a":' * 100_000), "unreadable"),
    "digits without end": (packed(b'{"a": ' + b"9" * 10_000 + b"}"), "unreadable"),
    "metadata of numbers": (packed({"__metadata__": {"a": 1}}), "text by name"),
    "metadata as list": (packed({"__metadata__": []}), "text by name"),
    "entry not an object": (packed({"a": 3}), "expected dtype, shape and data_offsets"),
    "entry incomplete": (packed({"a": {"dtype": "F32", "shape": [1]}}), "expected dtype, shape"),
    "overlap": (packed({"a": tensor(0, 4), "b": tensor(2, 6)}, b"0" * 6), "'b' begins at byte 2, expected 4"),
    "hole": (packed({"a": tensor(0, 4), "b": tensor(8, 12)}, b"0" * 12), "'b' begins at byte 8, expected 4"),
    "not from 0": (packed({"a": tensor(4, 8)}, b"0" * 8), "begins at byte 4, expected 0"),
    "bytes left over": (packed(ONE, b"0" * 5), "has 5 bytes of tensors, expected 4"),
    "reversed": (packed({"a": tensor(4, 0)}, b"0" * 4), "data_offsets"),
    "out of range": (packed({"a": tensor(0, 8, (2,))}, b"0" * 4), "within 4 bytes"),
    "negative": (packed({"a": tensor(-4, 0)}, b"0" * 4), "data_offsets"),
    "float offset": (packed({"a": tensor(0.0, 4.0)}, b"0" * 4), "data_offsets"),
    "bool offset": (packed({"a": tensor(False, 4)}, b"0" * 4), "data_offsets"),
    "huge offset": (packed({"a": tensor(0, 2**60)}, b"0" * 4), "data_offsets"),
    "three offsets": (packed({"a": tensor(0, 4) | {"data_offsets": [0, 2, 4]}}, b"0" * 4), "data_offsets"),
    "shape too large": (packed({"a": tensor(0, 4, (2,))}, b"0" * 4), "= 8 bytes, but has 4"),
    "shape overflows": (packed({"a": tensor(0, 4, (2**62, 2**62))}, b"0" * 4), "but has 4"),
    "rank 65": (packed({"a": tensor(0, 4, (1,) * 65)}, b"0" * 4), "at most 64"),
    "bool size": (packed({"a": tensor(0, 4, (True,))}, b"0" * 4), "has shape"),
    "float size": (packed({"a": tensor(0, 4, (1.0,))}, b"0" * 4), "has shape"),
    "negative size": (packed({"a": tensor(0, 4, (-1,))}, b"0" * 4), "has shape"),
    "size as text": (packed({"a": tensor(0, 4) | {"shape": "1"}}, b"0" * 4), "has shape"),
    "bool of 2": (packed({"a": tensor(0, 1, (1,), "BOOL")}, b"\2"), "other than 0 and 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_crooked_files_are_refused_by_name(case):
    """W1-W5."""
    data, words = BAD[case]
    with pytest.raises(DataFormatError, match=words):
        parse_safetensors(data)


@pytest.mark.parametrize("length", [100_000_001, 2**63, 2**64 - 1])
def test_enormous_headers_are_refused_unread(length):
    """W1."""
    with pytest.raises(LimitError, match="expected at most 100000000"):
        parse_safetensors(packed(b"{}", length=length))


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F4", "f32", "", None, 3, ["F32"]])
def test_unknown_types_are_refused(dtype):
    """W6."""
    with pytest.raises(DTypeError, match="expected one of F64"):
        parse_safetensors(packed({"a": tensor(0, 1, (1,), dtype)}, b"0"))


@pytest.mark.parametrize("data", [b"\x80\x04\x95" + b"0" * 20, b"PK\3\4" + b"0" * 20])
def test_pickles_in_disguise_are_refused(data):
    """W8."""
    with pytest.raises(UnsafeFileError, match="never loaded"):
        parse_safetensors(data)


@pytest.mark.parametrize("length", [0x0280, 0x4B50])
def test_headers_whose_length_looks_like_a_pickle_are_read(length):
    """A header of 640 bytes begins like a pickle, one of 19280 bytes like a zip archive."""
    assert parse_safetensors(packed(b"{}" + b" " * (length - 2))) == {}


@pytest.mark.parametrize("arrays, error", [
    ({"__metadata__": np.ones(1)}, ArgError), ({3: np.ones(1)}, ArgError), ({"x": np.array(["a"])}, DTypeError),
    ({"x": np.array([None])}, DTypeError), ({"x": np.ones(1, np.complex64)}, DTypeError)])
def test_what_the_format_cannot_hold_is_not_written(arrays, error):
    with pytest.raises(error):
        safetensors_bytes(arrays)


def test_metadata_is_text():
    with pytest.raises(ArgError, match="metadata"):
        safetensors_bytes({}, metadata={"epoch": 3})


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 255))
def test_damaged_files_give_arrays_or_errors_of_minicv(noise, at, byte):
    """Random bytes, and a sound file with one byte changed or its end cut off."""
    sound = bytearray(safetensors_bytes(ARRAYS))
    sound[at % len(sound)] = byte
    for data in (noise, struct.pack("<Q", len(noise)) + noise, bytes(sound), bytes(sound[:at])):
        try:
            found = weights.parse_safetensors(data)
        except MinicvError:
            continue
        assert all(isinstance(a, np.ndarray) for a in found.values())
