"""Weights of models in files: safetensors and npz, strictly checked, with the names of other implementations.

>>> from minicv import cnn, weights                                        # doctest: +SKIP
>>> weights.load(cnn.build("resnet50"), "resnet50.safetensors")            # doctest: +SKIP
"""

from .load import load, load_arrays, read, save
from .names import MAPS, rename, without_prefix
from .safetensors import parse_safetensors, safetensors_bytes

__all__ = ["load", "load_arrays", "save", "read", "MAPS", "rename", "without_prefix", "parse_safetensors",
           "safetensors_bytes"]
