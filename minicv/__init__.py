"""minicv: machine learning for computer vision, from scratch on NumPy and Numba.

``import minicv`` loads NumPy only; sub-packages load when they are first used. The names used most are here too:
``minicv.Tensor``, ``minicv.grad``, ``minicv.no_grad``, ``minicv.set_num_threads``, ``minicv.deterministic``.
"""

import importlib

from .errors import MinicvError

__version__ = "0.1.0"

_HOME = {"Tensor": "autograd", "grad": "autograd", "no_grad": "autograd", "enable_grad": "autograd",
         "detect_anomaly": "autograd", "deterministic": "kernels", "set_num_threads": "kernels",
         "get_num_threads": "kernels", "empty_cache": "kernels", "conv_algo": "kernels", "precision": "kernels"}
_PACKAGES = {"autograd", "cnn", "data", "detection", "ensembles", "errors", "experiments", "files", "functional",
             "geometry", "kernels", "matching", "metrics", "nn", "optim", "plot", "testing", "train", "vit", "weights"}

__all__ = ["MinicvError", *_HOME]


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(f"minicv.{_HOME[name]}"), name)
    if name in _PACKAGES:
        return importlib.import_module(f"minicv.{name}")
    raise AttributeError(f"module 'minicv' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_HOME, *_PACKAGES})
