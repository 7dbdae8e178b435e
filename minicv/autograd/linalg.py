"""Matrix products."""

import numpy as np

from .op import op


@op(broadcast=True)
def matmul(a, b):
    """Matrix product over the last two axes, leading axes broadcast: (..., M, K) @ (..., K, N)."""
    return np.matmul(a, b)


matmul.vjp(lambda g, y, a, b: matmul(g, b.swapaxes(-1, -2)),
           lambda g, y, a, b: matmul(a.swapaxes(-1, -2), g))
