"""minicv: machine learning for computer vision, from scratch on NumPy and Numba.

``import minicv`` loads NumPy only; sub-packages load when they are first used.
"""

import importlib

from .errors import MinicvError

__version__ = "0.1.0"
__all__ = ["MinicvError"]

_LAZY = {"autograd", "cnn", "data", "depth", "detection", "ensembles", "errors", "experiments", "files",
         "functional", "geometry", "kernels", "matching", "metric_learning", "metrics", "nn", "optim",
         "plot", "segmentation", "testing", "train", "vit", "weights"}


def __getattr__(name):
    if name in _LAZY:
        return importlib.import_module(f"minicv.{name}")
    raise AttributeError(f"module 'minicv' has no attribute {name!r}")
