"""The gate for foreign bytes: sizes, names and image headers are judged before they are used."""

import os
import re
import stat
from pathlib import Path

from ..errors import DataFormatError, DataMissingError, LimitError, UnsafeFileError

__all__ = ["read_limited", "safe_join", "check_member_name", "check_image_header", "MAX_PIXELS",
           "MAX_FILE", "DEFLATE_RATIO"]

MAX_PIXELS = 89_478_485  # 256 MiB of RGB bytes, the customary limit of image readers
MAX_FILE = 2**32
DEFLATE_RATIO = 1032  # deflate cannot expand by more: 258 bytes from 2 bits


def read_limited(path, limit: int = MAX_FILE) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises DataMissingError (absent), DataFormatError (a folder, a pipe, not readable),
    LimitError (larger).
    """
    try:
        info = os.stat(path)
    except (OSError, ValueError) as e:
        raise DataMissingError(f"read_limited: path is {str(path)!r}, expected a file: {e}") from e
    if not stat.S_ISREG(info.st_mode):  # opening a pipe would wait for ever
        raise DataFormatError(f"read_limited: path is {str(path)!r}, expected a regular file")
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1) if info.st_size <= limit else None
    except OSError as e:
        raise DataFormatError(f"read_limited: {str(path)!r} cannot be read: {e}") from e
    if data is None or len(data) > limit:
        raise LimitError(f"read_limited: {str(path)!r} has {info.st_size} bytes, "
                         f"expected at most {limit}")
    return data


def safe_join(root, name: str) -> Path:
    """`root`/`name` for a name that came out of a file; UnsafeFileError if it leaves `root`.

    Refuses absolute names, ``..``, backslashes, drive letters, NUL, and links leading outside.
    """
    check_member_name("safe_join", name)
    root = Path(os.path.realpath(root))
    path = Path(os.path.realpath(root / name))
    if path == root or root not in path.parents:
        raise UnsafeFileError(f"safe_join: name is {name!r}, expected a path inside {str(root)!r}")
    return path


def check_member_name(function: str, name: str, error=UnsafeFileError) -> None:
    """Raise `error` unless `name` is a relative path that cannot climb out of its folder."""
    bad = (not isinstance(name, str) or not name or "\0" in name or "\\" in name
           or name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name))
    if bad:
        raise error(f"{function}: name is {name!r}, expected a relative path without '..'")


def check_image_header(width: int, height: int, channels: int, bytes_present: int | None,
                       what: str, *, limit: int = MAX_PIXELS, expansion: int = 1) -> None:
    """Judge an image by its header before memory is taken for its pixels.

    width, height: pixels. channels: bytes of one pixel. bytes_present: size of the stored pixels,
    None if unknown. what: the name used in messages. expansion: the most bytes that the format's
    compression can make of one stored byte.
    Raises LimitError above `limit` pixels, DataFormatError for an impossible header.
    """
    if width < 1 or height < 1 or channels < 1:
        raise DataFormatError(f"check_image_header: {what} is {width} x {height} x {channels}, "
                              "expected at least one pixel and channel")
    if width * height > limit:
        raise LimitError(f"check_image_header: {what} is {width} x {height} = {width * height} "
                         f"pixels, expected at most {limit}; raise limit if you trust the file")
    if bytes_present is not None and width * height * channels > bytes_present * expansion:
        raise DataFormatError(f"check_image_header: {what} declares {width * height * channels} "
                              f"bytes of pixels, but only {bytes_present} bytes are stored")
