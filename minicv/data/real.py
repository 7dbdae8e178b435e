"""Real pictures that come with installed packages: nothing is downloaded.

The handwritten digits and two photographs lie inside scikit-learn (extra ``minicv[real]``), a
portrait inside matplotlib. The files are read directly; neither package is imported.
"""

import gzip
import importlib.util
import io
from pathlib import Path

import numpy as np

from ..errors import ArgError, DataMissingError, MissingExtraError
from ..files import read_limited
from .datasets import ArrayDataset
from .files.image import read_image

__all__ = ["digits", "photographs", "portrait"]


def digits(split: str | None = None) -> ArrayDataset:
    """1797 handwritten digits: image (1, 8, 8) float32 in [0, 1] (steps of 1/16), label int64.

    split: None for all in the order of the file, "train" or "test" for a fixed stratified split:
    of each class the last third, rounded down, is for testing (1201 and 596 digits). The file
    goes through its writers one after the other, so most of them are in one part only.
    Source: Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI 1998.
    """
    if split not in (None, "train", "test"):
        raise ArgError(f"digits: split is {split!r}, expected None, 'train' or 'test'")
    path = _inside("digits", "sklearn", "datasets/data/digits.csv.gz")
    with gzip.open(io.BytesIO(read_limited(path, 10**6)), "rt", encoding="ascii") as text:
        table = np.loadtxt(text, delimiter=",", dtype=np.int64)
    image = (table[:, :64].reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    label = table[:, 64]
    part = slice(None) if split is None else _third(label, split == "test")
    return ArrayDataset(image=image[part], label=label[part])


def _third(label, last):
    """Indices, ascending, of the last third of each class, or of the rest."""
    chosen = []
    for k in np.unique(label):
        items = np.flatnonzero(label == k)
        cut = len(items) - len(items) // 3
        chosen.append(items[cut:] if last else items[:cut])
    return np.sort(np.concatenate(chosen))


def photographs() -> dict[str, np.ndarray]:
    """Two colour photographs (3, 427, 640) float32: "china" (a temple) and "flower"."""
    return {name: read_image(_inside("photographs", "sklearn", f"datasets/images/{name}.jpg"))
            for name in ("china", "flower")}


def portrait() -> np.ndarray:
    """A portrait of Grace Hopper, (3, 600, 512) float32: a face for detectors."""
    return read_image(_inside("portrait", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg"))


def _inside(function, package, name):
    """Path of a file of an installed package, found without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        title = {"sklearn": "scikit-learn"}.get(package, package)
        raise MissingExtraError(f"{function}: {title} is not installed, expected for its pictures; "
                                "pip install 'minicv[real]'")
    path = Path(spec.submodule_search_locations[0]) / name
    if not path.is_file():
        raise DataMissingError(f"{function}: {str(path)!r} is missing, expected in every {package} "
                               "installed by pip; reinstall it")
    return path
