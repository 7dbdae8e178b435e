"""NumPy archives: written with the same bytes for the same content, read without any trust."""

import io
import math
import re
import struct
import zipfile
import zlib

import numpy as np

from ..errors import ArgError, DataFormatError, DTypeError, LimitError, UnsafeFileError
from .limits import DEFLATE_RATIO, MAX_FILE, check_member_name, read_limited

__all__ = ["npz_bytes", "read_npz", "parse_npz"]

_TYPES = "b1|i1|i2|i4|i8|u1|u2|u4|u8|f2|f4|f8|c8|c16"
_NPY_HEADER = re.compile(
    r"\{'descr': '([<>|=](?:" + _TYPES + r"))', 'fortran_order': (True|False), "
    r"'shape': \(((?:[0-9]{1,19}(?:, [0-9]{1,19})*,?)?)\), \} *\n")
_ZIP_ERRORS = (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OverflowError,
               EOFError, RuntimeError, zlib.error, OSError, KeyError)


def npz_bytes(arrays: dict) -> bytes:
    """Numeric and boolean arrays as the bytes of an ``.npz`` file, readable by `numpy.load`.

    The same content in the same order gives the same bytes: C order, native byte order, no
    compression, no clock. Raises DTypeError for objects and text, ArgError for unusable names.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            check_member_name("npz_bytes", name, ArgError)
            array = np.asarray(array, order="C")
            if array.dtype.str[1:] not in _TYPES.split("|"):
                raise DTypeError(f"npz_bytes: {name!r} has dtype {array.dtype}, expected numbers "
                                 "or bool; store text as uint8")
            array = array.astype(array.dtype.newbyteorder("="), copy=False)
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(name + ".npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(info, member.getvalue())
    return buffer.getvalue()


def read_npz(path, limit: int = MAX_FILE) -> dict[str, np.ndarray]:
    """`parse_npz` of a file of at most `limit` bytes."""
    return parse_npz(read_limited(path, limit), what=str(path), limit=limit)


def parse_npz(data: bytes, *, what: str = "npz", limit: int = MAX_FILE) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file by name, in file order, without trusting it.

    Every member must state exactly as many bytes as it has; all members together at most `limit`.
    Big-endian arrays become native, Fortran order is kept.
    Raises UnsafeFileError (objects, pickles, names with ``..``), LimitError, DataFormatError.
    """
    if data[:1] == b"\x80":
        raise UnsafeFileError(f"parse_npz: {what} is a pickle, expected an npz archive; "
                              "pickles run code and are never loaded")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members, what, limit)
            return {m.filename[:-4]: _parse_member(archive, m, what) for m in members}
    except DataFormatError:
        raise
    except _ZIP_ERRORS as e:
        raise DataFormatError(f"parse_npz: {what} is not a sound npz archive: {e}") from e


def _check_members(members, what, limit):
    seen = set()
    for m in members:
        check_member_name(f"parse_npz: {what}", m.filename)
        if m.filename in seen:
            raise DataFormatError(f"parse_npz: {what} has the duplicate member {m.filename!r}")
        if not m.filename.endswith(".npy"):
            raise DataFormatError(f"parse_npz: {what} has the member {m.filename!r}, "
                                  "expected names ending in .npy")
        if m.file_size > DEFLATE_RATIO * m.compress_size + 64:
            raise LimitError(f"parse_npz: {what}: {m.filename!r} declares {m.file_size} bytes, "
                             f"impossible from {m.compress_size} stored bytes")
        seen.add(m.filename)
    total = sum(m.file_size for m in members)
    if total > limit:
        raise LimitError(f"parse_npz: {what} declares {total} bytes, expected at most {limit}")


def _parse_member(archive, member, what):
    where = f"parse_npz: {what}: {member.filename!r}"
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED,
                                                            zipfile.ZIP_DEFLATED):
        raise DataFormatError(f"{where} is encrypted or uses an unknown compression")
    with archive.open(member) as file:
        dtype, fortran, shape, header_size = _parse_npy_header(file, where)
        stated, present = math.prod(shape) * dtype.itemsize, member.file_size - header_size
        if stated != present:  # Python integers: no overflow, nothing allocated yet
            raise DataFormatError(f"{where} states shape {shape} of {dtype} = {stated} bytes, "
                                  f"but has {present}")
        raw = file.read()
    if len(raw) != present:
        raise DataFormatError(f"{where} ends after {len(raw)} of {present} bytes")
    array = np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="))


def _parse_npy_header(file, where):
    magic = file.read(8)
    if magic[:7] not in (b"\x93NUMPY\x01", b"\x93NUMPY\x02") or len(magic) < 8:
        if magic[:1] == b"\x80":
            raise UnsafeFileError(f"{where} is a pickle, expected numbers")
        raise DataFormatError(f"{where} starts with {magic!r}, expected an npy header")
    form = "<H" if magic[6] == 1 else "<I"
    (length,) = struct.unpack(form, file.read(struct.calcsize(form)))
    if length > 10_000:
        raise LimitError(f"{where} has a header of {length} bytes, expected at most 10000")
    header = file.read(length).decode("latin-1")
    match = _NPY_HEADER.fullmatch(header)
    if "|O" in header:
        raise UnsafeFileError(f"{where} holds Python objects, expected numbers; never loaded")
    if not match:
        raise DataFormatError(f"{where} has the header {header[:80]!r}, expected numbers or bool")
    shape = tuple(int(n) for n in match[3].split(",") if n.strip())
    if len(shape) > 64:
        raise DataFormatError(f"{where} has {len(shape)} dimensions, expected at most 64")
    return np.dtype(match[1]), match[2] == "True", shape, 8 + struct.calcsize(form) + length
