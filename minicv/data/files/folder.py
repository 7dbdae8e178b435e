"""`ImageFolder`: pictures sorted into one folder per class, ``root/<class>/…/<picture>``."""

import os
import warnings
from pathlib import Path

import numpy as np

from ...errors import ArgError, DataFormatError, DataMissingError
from ..datasets import check_index
from .image import read_image

__all__ = ["ImageFolder"]

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".pbm", ".webp")


class ImageFolder:
    """The pictures below `root`; the names of its folders, sorted by bytes, are the classes.

    ======  =========  =======  =======================
    field   shape      dtype    meaning
    ======  =========  =======  =======================
    image   (3, H, W)  float32  RGB in [0, 1]
    label   ()         int64    position in `class_names`
    ======  =========  =======  =======================

    size: (height, width) to which every picture is resampled; None keeps its own size.
    on_bad: "raise" names a picture that cannot be read when it is asked for; "skip" reads every
    picture once at the start, leaves the bad ones out and reports them in `skipped`, a list of
    (path, reason).
    Hidden files and folders and files with other endings are no pictures. The order is the same on
    every file system. Links are followed, each folder once. A class without pictures, and classes
    that differ in case only, are warned about.
    Raises DataMissingError if there is no picture at all.
    """

    def __init__(self, root, *, size: tuple | None = None, on_bad: str = "raise"):
        if on_bad not in ("raise", "skip"):
            raise ArgError(f"ImageFolder: on_bad is {on_bad!r}, expected 'raise' or 'skip'")
        self.root, self.size, self.skipped = Path(root), size, []
        if not self.root.is_dir():
            raise DataMissingError(f"ImageFolder: root is {str(root)!r}, expected a folder with "
                                   "pictures in root/<class>/; nothing is downloaded")
        folders = [f for f in _entries(self.root) if f.is_dir()]
        self.class_names = tuple(f.name for f in folders)
        _warn_about_case(self.class_names)
        self.paths, self.labels = self._index(folders)
        if on_bad == "skip":
            self._leave_out_bad()
        if not self.paths:
            raise DataMissingError(f"ImageFolder: root is {str(root)!r}, expected pictures "
                                   f"({', '.join(ENDINGS)}) in root/<class>/")

    def _index(self, folders):
        """Paths of all pictures and their labels, class by class."""
        paths, labels = [], []
        for label, folder in enumerate(folders):
            found = list(_pictures(folder, set()))
            if not found:
                warnings.warn(f"ImageFolder: class {folder.name!r} has no pictures", stacklevel=3)
            paths += found
            labels += [label] * len(found)
        return paths, np.array(labels, np.int64)

    def _leave_out_bad(self):
        good = []
        for i in range(len(self)):
            try:
                self[i]
                good.append(i)
            except (DataFormatError, DataMissingError) as e:  # the latter: a dangling link
                self.skipped.append((self.paths[i], str(e)))
        self.paths, self.labels = [self.paths[i] for i in good], self.labels[good]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        check_index("ImageFolder", i, len(self))
        return {"image": read_image(self.paths[i], size=self.size), "label": self.labels[i]}


def _entries(folder):
    """What a folder holds, hidden entries left out, sorted by the bytes of the names."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if not e.name.startswith(".")]
    except OSError as e:
        raise DataFormatError(f"ImageFolder: {str(folder)!r} cannot be read: {e}") from e
    return [Path(folder, name) for name in sorted(names, key=os.fsencode)]


def _pictures(folder, seen):
    """Paths of the pictures in and below a folder; `seen` stops circles of links."""
    info = os.stat(folder)
    if (info.st_dev, info.st_ino) in seen:
        return
    seen.add((info.st_dev, info.st_ino))
    for path in _entries(folder):
        if path.is_dir():
            yield from _pictures(path, seen)
        elif path.name.lower().endswith(ENDINGS):
            yield path


def _warn_about_case(names):
    folded = {}
    for name in names:
        first = folded.setdefault(name.casefold(), name)
        if first != name:
            warnings.warn(f"ImageFolder: classes {first!r} and {name!r} differ in case only",
                          stacklevel=3)
