"""Arithmetic on two small Tensors, by the shortest way.

`shortcut(mul, np.multiply)(a, b)` is `mul(a, b)`. It does what `Op.apply` does, spelled out for two Tensors
without settings: for arrays of a few numbers the loops over arguments cost as much as everything else. What is
not small, not a Tensor or not usual goes to `Op.apply`. A test runs both and compares.
"""

import numpy as np

from .modes import state
from .op import NOTHING, Node, creation
from .tensor import Tensor, writes

SMALL = 2**16               # elements; from there on the arithmetic dominates
_new = object.__new__


def shortcut(op, ufunc):
    """``op(a, b)`` for a binary `op` that is element-wise, whose forward function is `ufunc` and that saves not y.

    a is a Tensor.
    """
    def method(a, b):
        mode = state.mode
        if not isinstance(b, Tensor) or mode == "watched":
            return op.apply((a, b), {})
        x, z = a._array, b._array
        if x.size > SMALL or z.size > SMALL:
            return op.apply((a, b), {})
        try:
            y = ufunc(x, z)
        except ValueError:
            return op.apply((a, b), {})                # which explains what is wrong
        if y.ndim == 0:
            y = np.asarray(y)                          # ufuncs give scalars for 0-d arrays
        y.setflags(False)
        out = _new(Tensor)
        out._array, out._grad, out.version = y, None, 0
        if not (a._requires_grad or b._requires_grad) or mode == "silent":
            out._requires_grad, out.node = False, None
            return out
        out._requires_grad, out.node = True, _new(Node)
        node = out.node
        node.order, node.op, node.written = next(creation), op, writes.latest
        node.shape, node.dtype = y.shape, y.dtype
        node.parents = (a.node or a) if a._requires_grad else None, (b.node or b) if b._requires_grad else None
        if op.blind:
            node.saved, node.arrays, node.versions = NOTHING, NOTHING, 0
        else:
            node.saved, node.arrays, node.versions = (a, b), (x, z), a.version + b.version
        node.settings, node.aux, node.y = _NO_SETTINGS, None, None
        return out
    return method


_NO_SETTINGS = {}
