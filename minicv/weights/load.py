"""Reading weights into models and writing them."""

import os

import numpy as np

from ..errors import ArgError, CheckpointError, UnsafeFileError
from ..files import atomic_write
from ..files.limits import MAX_FILE, read_limited
from ..files.npz import npz_bytes, parse_npz
from .names import MAPS
from .safetensors import parse_safetensors, safetensors_bytes

__all__ = ["load", "load_arrays", "read", "save"]

PARSERS = {".safetensors": parse_safetensors, ".npz": parse_npz}


def read(path, *, limit=MAX_FILE):
    """The arrays in a ``.safetensors`` or ``.npz`` file by name.

    Parameters
    ----------
    path : str or path
    limit : int, default 4 GiB
        Largest size of the file in bytes.

    Raises
    ------
    UnsafeFileError
        For pickles, under whatever name: they run code when they are loaded.
    DataMissingError, DataFormatError, LimitError, ArgError
    """
    kind = _kind("read", path)
    return PARSERS[kind](read_limited(path, limit), what=repr(str(path)))


def load(model, path, strict=True, *, names=None, limit=MAX_FILE):
    """Put the weights of a file into a model, all or nothing; half precision is widened to float32.

    Parameters
    ----------
    model : Module
    path : str or path
        ``.safetensors`` or ``.npz``.
    strict : bool, default True
        Refuse weights that are missing or left over; otherwise they are only returned.
    names : str or function, optional
        A name map: one of `names.MAPS`, such as "hf_vit", or a function from {name: array} to {name: array},
        for example to leave out a classifier: ``lambda s: {k: s[k] for k in s if not k.startswith("fc.")}``.
    limit : int, default 4 GiB

    Returns
    -------
    Loaded
        The missing and unexpected names.

    Raises
    ------
    CheckpointError
        Lists every missing, unexpected and ill-shaped weight; the model is unchanged.
    UnsafeFileError, DataMissingError, DataFormatError, LimitError, ArgError
        As `read`.
    """
    _name_map(names)
    try:
        return load_arrays(model, read(path, limit=limit), strict, names=names)
    except CheckpointError as e:
        raise CheckpointError(f"weights.load: path is {str(path)!r}: {e}") from None


def load_arrays(model, arrays, strict=True, *, names=None):
    """`load` for what `read` has read already: {name: array} in the place of a path.

    Raises
    ------
    CheckpointError, ArgError
    """
    state = {name: _widened(array) for name, array in _name_map(names)(arrays).items()}
    return model.load_state_dict(state, strict=strict)


def save(model, path):
    """Write the state of a model as ``.safetensors`` or ``.npz``, whole or not at all.

    Raises
    ------
    ArgError, CheckpointError
    """
    kind = _kind("save", path)
    atomic_write(path, (npz_bytes if kind == ".npz" else safetensors_bytes)(model.state_dict()))


def _kind(function, path):
    """The suffix of a path, in lower case."""
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix in (".pt", ".pth", ".bin", ".pkl", ".ckpt"):
        raise UnsafeFileError(f"weights.{function}: path is {str(path)!r}, expected .safetensors or .npz; such files "
                              "are pickles, which run code: convert them where they come from")
    if suffix not in PARSERS:
        raise ArgError(f"weights.{function}: path is {str(path)!r}, expected a name in .safetensors or .npz")
    return suffix


def _name_map(names):
    if names is None or callable(names):
        return names or dict
    if not isinstance(names, str) or names not in MAPS:
        raise ArgError(f"weights.load: names is {names!r}, expected a function or one of {', '.join(MAPS)}")
    return MAPS[names]


def _widened(array):
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype == np.float16 else array
