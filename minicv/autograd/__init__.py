"""Reverse-mode automatic differentiation on NumPy arrays, exact to any order.

Reading order for the first lesson: `scalar` (the idea in a hundred lines), then the same for arrays:
`tensor` (an array with a place in the graph), `op` (a function with its derivative rule), `engine` (the walk
backwards), `modes` (switches), `methods` (operators).

The ops, each with its rule next to it: `elementwise`, `activation`, `reduce`, `softmax`, `shape`, `index`, `linalg`,
`random`; for images `conv`, `pool`, `resample`, `roi`, `normalize`, `attention`. They are also in `minicv.functional`.

Tools on top: `transforms` (vjp, jvp, hvp, jacobian, hessian), `gradcheck` (finite differences to any order), `graph`
(a picture of what was recorded).
"""

from . import methods  # noqa: F401  (attaches operators to Tensor)
from .engine import backward, cast, expand, grad, sum_to
from .gradcheck import GradReport, gradcheck
from .graph import graph
from .modes import detect_anomaly, enable_grad, is_recording, keep_values, no_grad, observe
from .op import Meta, Op, array, op
from .tensor import Tensor
from .transforms import hessian, hvp, jacobian, jvp, vjp

__all__ = [
    "GradReport", "Meta", "Op", "Tensor", "array", "backward", "cast", "detect_anomaly", "enable_grad", "expand",
    "grad", "gradcheck", "graph", "hessian", "hvp", "is_recording", "jacobian", "jvp", "keep_values", "no_grad",
    "observe", "op", "sum_to", "vjp",
]
