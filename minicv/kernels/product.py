"""Matrix products by the BLAS library behind NumPy, on the threads of the kernels.

A BLAS library has threads of its own, and after a product they wait for the next one by running in circles: for
milliseconds the kernels that follow have one processor less. With two threads that cost a training step of ResNet-18
a fifth of its time. Here the library runs on the calling thread alone, and a large product is cut into pieces that
the threads of the kernels share. Where it is cut depends on the shape alone, so the bytes do not depend on the number
of threads.
"""

import numpy as np

from .launch import share, workers
from .threads import one_blas_thread

SIDE, WORK, PIECES = 128, 2**22, 16     # a piece has so many rows or columns and multiply-adds, at least; most pieces
SMALL = 2**18                           # multiply-adds for which the library starts no thread


def matmul(a, b, out=None):
    """``np.matmul`` of arrays with at least two axes; the result is written to `out` if that is given."""
    if a.size * b.shape[-1] < SMALL:
        return np.matmul(a, b, out=out)
    with one_blas_thread():
        if a.ndim > 2 or b.ndim > 2 or a.dtype != b.dtype:
            return np.matmul(a, b, out=out)
        out = np.empty((a.shape[0], b.shape[1]), a.dtype) if out is None else out
        cut, count = pieces(a, b, out), workers()
        share(_multiply, [(cut[i::count],) for i in range(min(count, len(cut)))])
    return out


def pieces(a, b, out):
    """Triples of arrays whose products are, side by side, the product of a (M, K) and b (K, N) in `out`."""
    (M, K), N = a.shape, b.shape[1]
    count = max(1, min(PIECES, M * K * N // WORK, max(M, N) // SIDE))
    cuts = [max(M, N) * i // count for i in range(count + 1)]
    parts = [slice(*ends) for ends in zip(cuts, cuts[1:], strict=False)]
    return [(a[p], b, out[p]) if M >= N else (a, b[:, p], out[:, p]) for p in parts]


def _multiply(triples):
    for a, b, out in triples:
        np.matmul(a, b, out=out)
