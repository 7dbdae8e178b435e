"""The safetensors format: 8 bytes with the length of a header, a JSON header, the numbers one after the other.

    {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}

The header says where each tensor lies; nothing in a file can be executed. What is read was written by others:
lengths, offsets, shapes and types are checked before a number is looked at. The tensors must cover the file
without holes or overlaps.
"""

import json
import math
import struct

import numpy as np

from ..errors import ArgError, DataFormatError, DTypeError, LimitError, UnsafeFileError

__all__ = ["parse_safetensors", "safetensors_bytes"]

MAX_HEADER = 100_000_000
MAX_RANK = 64                                                # NumPy's own limit
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "|b1",
         "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1"}
NAMES = {np.dtype(code): name for name, code in TYPES.items() if name != "BF16"}


def parse_safetensors(data, *, what="safetensors"):
    """The tensors in the bytes of a file by name, as read-only arrays on the same memory.

    BF16 becomes float32, exactly: it is the upper half of a float32. F16 stays float16.

    Raises
    ------
    DataFormatError, LimitError, UnsafeFileError
        The file is damaged, has a header of over 100 MB, or is a pickle or zip archive.
    DTypeError
        A tensor has a type that NumPy does not know (8-bit floats and smaller).
    """
    header, body = _header(data, what)
    header.pop("__metadata__", None)
    end, tensors = 0, {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        where, (start, stop) = f"parse_safetensors: {what}: {name!r}", entry["data_offsets"]
        if start != end:
            raise DataFormatError(f"{where} begins at byte {start}, expected {end}: tensors must not overlap or "
                                  "leave holes")
        tensors[name], end = _tensor(body[start:stop], entry, where), stop
    if end != len(body):
        raise DataFormatError(f"parse_safetensors: {what} has {len(body)} bytes of tensors, expected {end}")
    return {name: tensors[name] for name in header}


def _header(data, what):
    """(entries, bytes behind the header), each entry with its dtype, shape and offsets checked."""
    where = f"parse_safetensors: {what}"
    if data[8:9] != b"{" and (data[:4] == b"PK\3\4" or data[:1] == b"\x80"):
        raise UnsafeFileError(f"{where} is a pickle or zip archive, expected safetensors; pickles run code and are "
                              "never loaded")
    if len(data) < 8:
        raise DataFormatError(f"{where} has {len(data)} bytes, expected at least 8")
    (length,) = struct.unpack("<Q", data[:8])
    if length > MAX_HEADER:
        raise LimitError(f"{where} states a header of {length} bytes, expected at most {MAX_HEADER}")
    if length > len(data) - 8:
        raise DataFormatError(f"{where} states a header of {length} bytes, but has {len(data) - 8}")
    header = _json(bytes(data[8:8 + length]), where)
    for name, entry in header.items():
        if name == "__metadata__":
            _check_metadata(entry, where)
        else:
            _check_entry(entry, f"{where}: {name!r}", len(data) - 8 - length)
    return header, memoryview(data)[8 + length:]


def _json(text, where):
    if text[:1] != b"{":
        raise DataFormatError(f"{where} has a header that begins with {text[:8]!r}, expected '{{'")
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except (ValueError, RecursionError) as e:                # bad UTF-8 and bad JSON are ValueErrors
        raise DataFormatError(f"{where} has an unreadable header: {e}") from None


def _no_duplicates(pairs):
    found = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key {key!r}")
        found[key] = value
    return found


def _no_constants(word):
    raise ValueError(f"{word} is not JSON")


def _check_metadata(entry, where):
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise DataFormatError(f"{where} has __metadata__ {entry!r:.80}, expected text by name")


def _check_entry(entry, where, size):
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        raise DataFormatError(f"{where} is {entry!r:.80}, expected dtype, shape and data_offsets")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _counts(shape) or len(shape) > MAX_RANK:
        raise DataFormatError(f"{where} has shape {shape!r:.80}, expected at most {MAX_RANK} integers >= 0")
    if not _counts(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= size:
        raise DataFormatError(f"{where} has data_offsets {offsets!r:.80}, expected [begin, end] within {size} bytes")


def _counts(values):
    """Whether `values` is a list of integers >= 0; bools are none."""
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _tensor(raw, entry, where):
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in TYPES:
        raise DTypeError(f"{where} has dtype {entry['dtype']!r:.40}, expected one of {', '.join(TYPES)}")
    dtype, shape = np.dtype(TYPES[entry["dtype"]]), entry["shape"]
    stated = math.prod(shape) * dtype.itemsize               # Python integers: no overflow, nothing allocated yet
    if stated != len(raw):
        raise DataFormatError(f"{where} states shape {shape} of {entry['dtype']} = {stated} bytes, "
                              f"but has {len(raw)}")
    array = np.frombuffer(raw, dtype).reshape(shape)
    if entry["dtype"] == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise DataFormatError(f"{where} has dtype BOOL with bytes other than 0 and 1")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    array.setflags(write=False)
    return array


# Writing --------------------------------------------------------------------------------------------------


def safetensors_bytes(arrays, *, metadata=None):
    """Arrays by name as the bytes of a safetensors file; the same content gives the same bytes.

    Parameters
    ----------
    arrays : mapping of names to arrays
        Numbers or bool, in any memory order: they are written in the logical one.
    metadata : mapping of text to text, optional

    Raises
    ------
    DTypeError, ArgError
    """
    arrays = {_name(name): np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.newbyteorder("<") not in NAMES:
            raise DTypeError(f"safetensors_bytes: {name!r} has dtype {array.dtype}, expected one of {', '.join(TYPES)}")
    header, parts, end = {"__metadata__": _text(metadata)} if metadata else {}, [], 0
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize):     # keeps all aligned
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        start, end = end, end + array.nbytes
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [start, end]}
        parts.append(array.tobytes(order="C"))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *parts])


def _name(name):
    if not isinstance(name, str) or name == "__metadata__":
        raise ArgError(f"safetensors_bytes: a name is {name!r}, expected text other than '__metadata__'")
    return name


def _text(metadata):
    if not all(isinstance(x, str) for item in metadata.items() for x in item):
        raise ArgError(f"safetensors_bytes: metadata is {metadata!r:.80}, expected text by name")
    return dict(metadata)
