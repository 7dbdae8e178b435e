"""Reverse-mode automatic differentiation on NumPy arrays."""

from . import methods  # noqa: F401  (attaches operators to Tensor)
from .engine import backward, cast, expand, grad, sum_to
from .modes import detect_anomaly, enable_grad, is_recording, keep_values, no_grad
from .op import Meta, Op, array, op
from .tensor import Tensor

__all__ = ["Meta", "Op", "Tensor", "array", "backward", "cast", "detect_anomaly", "enable_grad", "expand", "grad",
           "is_recording", "keep_values", "no_grad", "op", "sum_to"]
