"""Checkpoints: a tree of arrays, numbers and words in one file that is written as a whole or not at all.

Layout of the file: an ``.npz`` archive with the arrays and, as member ``tree``, the JSON text of everything
else, followed by a trailer of 52 bytes: the magic number, the format version, the length of the archive and its
SHA-256. A file that is cut short, changed in one bit or of another kind is recognised by the trailer before
anything in it is used. Nothing in it can run code.
"""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np

from ..autograd import Tensor
from ..errors import CheckpointError, DataFormatError, DTypeError
from ..files import atomic_write, npz_bytes, parse_npz

MAGIC, VERSION = b"MINICVCK", 1
_TRAILER = struct.Struct("<8sIQ32s")
_SCALARS = (str, int, float, bool, type(None))


def save_checkpoint(path, state, *, keep_previous=True):
    """Write `state` to `path`; when this returns, it survives ``kill -9`` and power loss.

    Parameters
    ----------
    path : path
        Its folder must exist. The content that is replaced stays as ``<name>.prev`` with `keep_previous`.
    state : dict
        Nested dicts, lists and tuples of arrays, Tensors, numbers, strings, bools and None.
        Tuples come back as lists, integer keys as strings.

    Raises
    ------
    CheckpointError
        When it cannot be written; the old file is then intact.
    DTypeError
        For a value of another type; names where it is.
    """
    atomic_write(path, encode(state), keep_previous=keep_previous)


def load_checkpoint(path):
    """The state that `save_checkpoint` wrote; CheckpointError with the reason if the file is damaged."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as e:
        raise CheckpointError(f"load_checkpoint: {str(path)!r} cannot be read: {e.strerror}") from e
    return decode(data, what=str(path))


def load_latest(path):
    """``(state, path used)`` from `path` or, when that is damaged or missing, from ``<name>.prev``.

    Raises CheckpointError naming what is wrong with each of the two.
    """
    path = Path(path)
    reasons = []
    for candidate in (path, path.with_name(path.name + ".prev")):
        try:
            return load_checkpoint(candidate), candidate
        except CheckpointError as e:
            reasons.append(str(e))
    raise CheckpointError("load_latest: no usable checkpoint: " + "; ".join(reasons))


def encode(state):
    """The bytes of a checkpoint; the same state gives the same bytes."""
    arrays = {}
    tree = _pack(state, arrays, "state")
    text = json.dumps(tree, allow_nan=True, separators=(",", ":"))
    payload = npz_bytes({"tree": np.frombuffer(text.encode(), np.uint8), **arrays})
    digest = hashlib.sha256(payload).digest()
    return payload + _TRAILER.pack(MAGIC, VERSION, len(payload), digest)


def decode(data, *, what="checkpoint"):
    """The state behind the bytes of a checkpoint, checked before use."""
    if len(data) < _TRAILER.size:
        raise CheckpointError(f"load_checkpoint: {what} has {len(data)} bytes, expected at least {_TRAILER.size}")
    magic, version, length, digest = _TRAILER.unpack(data[-_TRAILER.size:])
    payload = data[:-_TRAILER.size]
    if magic != MAGIC:
        raise CheckpointError(f"load_checkpoint: {what} does not end like a minicv checkpoint; "
                              "it is cut short or another kind of file")
    if version > VERSION:
        raise CheckpointError(f"load_checkpoint: {what} has format version {version}, expected at most {VERSION}; "
                              "it was written by a newer minicv")
    if length != len(payload) or digest != hashlib.sha256(payload).digest():
        raise CheckpointError(f"load_checkpoint: {what} is damaged: length or checksum do not match")
    try:
        arrays = parse_npz(payload, what=what)
        return _unpack(json.loads(arrays.pop("tree").tobytes().decode()), arrays)
    except (DataFormatError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as e:
        raise CheckpointError(f"load_checkpoint: {what} is not a checkpoint: {type(e).__name__}: {e}") from e


def _pack(value, arrays, where):
    """JSON form of `value`; arrays move to `arrays` and leave ``{"array": name}``."""
    if isinstance(value, Tensor):
        value = value.data
    if isinstance(value, (np.ndarray, np.generic)):
        name = f"a{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {"array": name}
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, (list, tuple)):
        return [_pack(v, arrays, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, dict):
        if wrong := [k for k in value if not isinstance(k, (str, int))]:
            raise DTypeError(f"save_checkpoint: {where} has the key {wrong[0]!r}, expected strings or integers")
        return {"dict": {str(k): _pack(v, arrays, f"{where}[{k!r}]") for k, v in value.items()}}
    raise DTypeError(f"save_checkpoint: {where} is a {type(value).__name__}, "
                     "expected arrays, numbers, strings, lists or dicts")


def _unpack(tree, arrays):
    if isinstance(tree, list):
        return [_unpack(v, arrays) for v in tree]
    if isinstance(tree, dict):
        if "array" in tree:
            return arrays[tree["array"]]
        return {k: _unpack(v, arrays) for k, v in tree["dict"].items()}
    return tree
