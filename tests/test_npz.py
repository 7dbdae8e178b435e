"""NumPy archives.

Proved here: arrays come back bit for bit and NumPy agrees in both directions; the same content
gives the same bytes; every attack of row F19 (objects, pickles, lying headers, duplicate and
climbing names, huge headers) is a typed error, and a lying header takes no memory (M21).
"""

import io
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minicv.errors import ArgError, DataFormatError, DTypeError, LimitError, UnsafeFileError
from minicv.files import atomic_write, npz_bytes, parse_npz, read_npz

numeric = st.one_of(hnp.boolean_dtypes(), hnp.integer_dtypes(endianness="="),
                    hnp.floating_dtypes(endianness="="), hnp.complex_number_dtypes(endianness="="))
arrays = hnp.arrays(numeric, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
keys = st.text("abc/._0", min_size=1, max_size=8).filter(
    lambda s: not s.startswith("/") and ".." not in s.split("/"))


@given(st.dictionaries(keys, arrays, max_size=4))
def test_arrays_come_back_bit_for_bit(content):
    data = npz_bytes(content)
    back = parse_npz(data)
    assert list(back) == list(content)
    for name, array in content.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()
        assert back[name].flags.writeable and back[name].base is None
    assert npz_bytes(back) == data


@given(st.dictionaries(st.sampled_from("abc"), arrays, max_size=3), st.booleans())
def test_numpy_reads_and_writes_the_same_files(content, compressed):
    with np.load(io.BytesIO(npz_bytes(content)), allow_pickle=False) as loaded:
        assert all(loaded[k].tobytes() == v.tobytes() for k, v in content.items())
    back = parse_npz(saved(compressed, **content))
    assert all(back[k].tobytes() == v.tobytes() for k, v in content.items())


def saved(compressed=False, **content):
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **content)
    return buffer.getvalue()


def test_bytes_do_not_depend_on_layout_or_time(tmp_path):
    x = np.arange(24.0).reshape(2, 3, 4)
    strided = np.repeat(x, 2, axis=1)[:, ::2]
    swapped = x.astype(x.dtype.newbyteorder())
    assert npz_bytes({"x": x}) == npz_bytes({"x": np.asfortranarray(x)})
    assert npz_bytes({"x": x}) == npz_bytes({"x": strided}) == npz_bytes({"x": swapped})
    atomic_write(tmp_path / "x.npz", npz_bytes({"x": x}))
    np.testing.assert_array_equal(read_npz(tmp_path / "x.npz")["x"], x)
    with pytest.raises(LimitError, match="x.npz"):
        read_npz(tmp_path / "x.npz", limit=100)


def test_big_endian_and_fortran_files_are_read_by_value_F19():
    x = np.arange(6, dtype=">i4").reshape(2, 3)
    back = parse_npz(saved(x=x, y=np.asfortranarray(x)))
    assert back["x"].dtype == np.dtype("=i4") and back["y"].dtype.isnative
    np.testing.assert_array_equal(back["x"], x)
    np.testing.assert_array_equal(back["y"], x)


@pytest.mark.parametrize("value", [np.array([{}], object), np.array("text"), np.zeros(1, "M8[s]"),
                                   np.zeros(1, [("a", "f4")])])
def test_only_numbers_are_written(value):
    with pytest.raises(DTypeError, match="'x' has dtype"):
        npz_bytes({"x": value})


@pytest.mark.parametrize("name", ["", "/x", "a/../../x", "a\\b", "C:x", 3])
def test_unusable_names_are_not_written(name):
    with pytest.raises(ArgError, match="name is"):
        npz_bytes({name: np.zeros(1)})


# --- attacks --------------------------------------------------------------------------------

def npy(header, payload=b"", version=1):
    header = header.encode() if isinstance(header, str) else header
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + payload


def head(descr="'<f4'", shape="(2,)", order="False"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}   \n"


def archive(*members, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as z, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names are the point
        for name, data in members:
            z.writestr(name, data)
    return buffer.getvalue()


GOOD = npy(head(), bytes(8))
PICKLED = npy(head("'|O'", "(1,)"), b"\x80\x04.")
ATTACKS = {
    "pickle": (b"\x80\x04\x95", UnsafeFileError, "is a pickle"),
    "pickle inside": (archive(("a.npy", b"\x80\x04\x95abcdefgh")), UnsafeFileError, "is a pickle"),
    "objects": (archive(("a.npy", PICKLED)), UnsafeFileError, "Python objects"),
    "climbing name": (archive(("../a.npy", GOOD)), UnsafeFileError, "name is '../a.npy'"),
    "absolute name": (archive(("/a.npy", GOOD)), UnsafeFileError, "name is"),
    "duplicate": (archive(("a.npy", GOOD), ("a.npy", GOOD)), DataFormatError, "duplicate"),
    "other member": (archive(("a.txt", b"")), DataFormatError, "a.txt"),
    "claims more": (archive(("a.npy", npy(head(shape="(1000000000000,)"), bytes(8)))),
                    DataFormatError, r"= 4000000000000 bytes, but has 8"),
    "claims less": (archive(("a.npy", npy(head(shape="(1,)"), bytes(8)))),
                    DataFormatError, "has 8"),
    "overflow": (archive(("a.npy", npy(head(shape="(4294967296, 4294967296, 4)")))),
                 DataFormatError, "states shape"),
    "65 axes": (archive(("a.npy", npy(head(shape=f"({'1, ' * 64}1)"), bytes(4)))),
                DataFormatError, "65 dimensions"),
    "negative": (archive(("a.npy", npy(head(shape="(-1,)"), b""))), DataFormatError, "header"),
    "code": (archive(("a.npy", npy(head(shape="(__import__('os'),)")))), DataFormatError, "header"),
    "structured": (archive(("a.npy", npy(head("[('a', '<f4')]"), bytes(8)))),
                   DataFormatError, "header"),
    "long header": (archive(("a.npy", npy(head() + " " * 20000, bytes(8)))), LimitError, "20"),
    "huge header": (archive(("a.npy", npy(head(), bytes(8), 2)[:8] + b"\xff" * 4)),
                    LimitError, "4294967295"),
    "version 9": (archive(("a.npy", npy(head(), bytes(8), 9))), DataFormatError, "npy header"),
    "empty member": (archive(("a.npy", b"")), DataFormatError, "npy header"),
    "half header": (archive(("a.npy", GOOD[:9])), DataFormatError, "npz|header"),
    "bzip2": (archive(("a.npy", GOOD), method=zipfile.ZIP_BZIP2), DataFormatError, "compression"),
    "truncated": (archive(("a.npy", GOOD))[:-1], DataFormatError, "not a sound"),
    "damaged": (archive(("a.npy", GOOD)).replace(bytes(8), b"\1" + bytes(7), 1),
                DataFormatError, "CRC|sound"),
    "empty": (b"", DataFormatError, "not a sound"),
    "unknown type": (archive(("a.npy", npy(head("'<f3'")))), DataFormatError, "header"),
}


@pytest.mark.parametrize("case", ATTACKS)
def test_attacks_are_refused_F19(case):
    data, error, words = ATTACKS[case]
    with pytest.raises(error, match=words):
        parse_npz(data, what="evil")


def test_a_lying_header_takes_no_memory_M21():
    data = archive(("a.npy", npy(head(shape="(50000000,)"), bytes(8))))
    tracemalloc.start()
    with pytest.raises(DataFormatError, match="200000000 bytes"):
        parse_npz(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_bombs_are_limited_by_what_they_declare_and_by_what_deflate_can_do():
    bomb = archive(("a.npy", npy(head(shape="(5000000,)"), bytes(20_000_000))),
                   method=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 25_000 and parse_npz(bomb)["a"].shape == (5_000_000,)
    with pytest.raises(LimitError, match="at most 1000000"):
        parse_npz(bomb, limit=1_000_000)
    size = len(npy(head(shape="(5000000,)"), bytes(20_000_000)))
    liar = bomb.replace(size.to_bytes(4, "little"), (10**9).to_bytes(4, "little"))
    with pytest.raises(LimitError, match="impossible from"):
        parse_npz(liar)
