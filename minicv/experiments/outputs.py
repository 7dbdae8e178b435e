"""Folders of results: never over somebody else's files, and checked before the work starts."""

import os
from pathlib import Path

from ..files import atomic_write
from .usage import UsageError

MARKER = ".made-by-minicv"


def check(command, folder, *, force=False, argument="--out"):
    """Refuse a folder that cannot be used; nothing is written yet. `argument` is its name in messages.

    Raises
    ------
    UsageError
        If `folder` is a file, holds files that minicv did not put there (unless `force`), or lies
        where nothing can be written.
    """
    folder = Path(folder)
    try:
        there = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    except (OSError, ValueError) as error:              # a name too long, or the current folder is gone
        raise UsageError(f"{command}: {argument} is {str(folder)!r}, expected a usable path; {error}") from error
    if not there.is_dir():
        raise UsageError(f"{command}: {argument} is {str(folder)!r}, expected a folder; {str(there)!r} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{command}: {argument} is {str(folder)!r}, expected a place that can be written")
    if there == folder and any(folder.iterdir()) and not (folder / MARKER).is_file() and not force:
        raise UsageError(f"{command}: {argument} is {str(folder)!r}, expected an empty or new folder; "
                         "it holds other files, --force writes there anyway")


def claim(folder):
    """Create the folder if need be and mark it as made by minicv; the folder as a Path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / MARKER, b"minicv may replace the files of this folder.\n")
    return folder


def save(folder, name, text):
    """Write one text file into a claimed folder."""
    atomic_write(Path(folder) / name, text.encode("utf-8"))
