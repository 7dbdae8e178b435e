"""Matrix products: large ones of float32 by the register tile, all others by the BLAS library behind NumPy.

The tile is the one of the convolutions (`simd`): b is packed into panels, and a block of rows of a, a piece of the
inner axis at a time, stays in the cache while it meets all of them. If a lies by columns, as in the gradient of a
weight, x^T g, the tile reads down the columns, and nothing is turned.

The BLAS library has threads of its own, and after a product they wait for the next one by running in circles: for
milliseconds the kernels that follow have one processor less. With two threads that cost a training step of ResNet-18
a fifth of its time. Here the library runs on the calling thread alone, and a large product is cut into pieces that
the threads of the kernels share. Where it is cut depends on the shape alone, so the bytes do not depend on the number
of threads.

Reference: Goto & van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 2008, for the blocks.
"""

import numpy as np

from .buffers import empty
from .host import host
from .launch import compiler_runs, example, share, workers
from .panels import panels, prepared, tile_addresses, tile_height
from .threads import one_blas_thread

SIDE, WORK, PIECES = 128, 2**22, 16     # a piece has so many rows or columns and multiply-adds, at least; most pieces
SMALL, LONG = 2**18, 2**12              # multiply-adds and inner axis up to which the library starts no thread
EDGE, INNER = 32, 128                   # the register tile needs so many rows and columns, and so long an inner axis
BLOCK, TOGETHER, DEPTH = 8, 8, 512      # tiles below each other, panels side by side and inner axis of one item


def matmul(a, b, out=None, kept=False):
    """``np.matmul`` of arrays with at least two axes; the result is written to `out` if that is given, which must
    have its shape and lie in other memory.

    `kept` says that b will be used again unchanged, see `panels.prepared`; b may be a view of a parameter.
    """
    if a.size * b.shape[-1] < SMALL and a.shape[-1] <= LONG:
        return np.matmul(a, b, out=out)
    if a.ndim > 2 or b.ndim > 2 or a.dtype != b.dtype or a.shape[1] != len(b):
        with one_blas_thread():
            return np.matmul(a, b, out=out)
    shape = a.shape[0], b.shape[1]
    out = empty(shape, a.dtype) if out is None else out
    if out.shape != shape or not out.flags.writeable:
        raise ValueError(f"matmul: out has shape {out.shape}, expected a writable array {shape}")
    return _by_tiles(a, b, out, kept) if _tiles_can(a, b, out) else _by_library(a, b, out)


def _tiles_can(a, b, out):
    """Whether the operands are large float32 matrices in rows or columns, without gaps."""
    dense = all(x.flags.c_contiguous or x.flags.f_contiguous for x in (a, b)) and out.flags.c_contiguous
    large = min(out.shape) >= EDGE and len(b) >= INNER
    return dense and large and a.dtype == out.dtype == np.float32 and compiler_runs()


def _by_tiles(a, b, out, kept):
    from .product_loops import multiply
    (M, N), by_columns, packed = out.shape, not a.flags.c_contiguous, _packed(b, kept)
    rows = host().rows if by_columns else tile_height(M, a.shape[1])
    items = -(-M // (BLOCK * rows)) * -(-len(packed) // TOGETHER)
    names = ("down_tile", "narrow_down_tile") if by_columns else ("tile", "narrow_tile")
    multiply(items, a.T if by_columns else a, packed, out, by_columns, BLOCK * rows, TOGETHER, rows, DEPTH,
             *tile_addresses(N, *names))
    return out


def _packed(b, kept):
    """Panels (blocks, K, width) of b (K, N)."""
    def make():
        made = panels(b.T[:, :, None, None]) if b.flags.c_contiguous else panels(b[:, :, None, None], adjoint=True)
        return made.reshape(-1, len(b), made.shape[-1])

    owner = b.base if isinstance(b.base, np.ndarray) else b
    return prepared(owner, ("product", b.ctypes.data - owner.ctypes.data, b.shape, b.strides), make, kept)


def _by_library(a, b, out):
    cut, count = pieces(a, b, out), workers()
    with one_blas_thread():
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


@example
def _example(dtype):
    a = np.ones((EDGE, 2 * INNER), dtype)
    for left in (a, np.asfortranarray(a)):
        matmul(left, np.ones((2 * INNER, EDGE), dtype))
