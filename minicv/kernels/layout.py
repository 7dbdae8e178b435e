"""Memory layout: logical axes are always (N, C, H, W); in memory channels usually come last.

With channels last, the innermost loop of every kernel runs over contiguous channels, and a pixel
is one short contiguous run whatever the stride or the window.
"""

import numpy as np

from ..errors import DTypeError, ShapeError
from .buffers import POOLED, empty

CHANNELS_LAST = (0, 2, 3, 1)            # axes of (N, C, H, W), slowest first


def is_channels_last(x: np.ndarray) -> bool:
    """Whether x (N, C, H, W) lies in memory in the order N, H, W, C (gaps from slicing allowed).

    Axes of length 1 have no say; where nothing decides, as for one channel, the answer is True.
    """
    if x.ndim != 4 or (x.shape[1] > 1 and x.strides[1] != x.itemsize):
        return False
    steps = [abs(x.strides[axis]) for axis in (0, 2, 3, 1) if x.shape[axis] > 1]
    return steps == sorted(steps, reverse=True)


def channels_last(x: np.ndarray) -> np.ndarray:
    """x (N, C, H, W) with channels last in memory, without gaps; x itself if it already is."""
    if x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return x
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def like_layout(x: np.ndarray, shape: tuple, dtype=None) -> np.ndarray:
    """Empty array of `shape` whose memory order follows x: channels last stays channels last.

    Shapes that are not (N, C, H, W) are in C order. `dtype` is by default that of x. The memory of large
    arrays comes from the pool, see `buffers.empty`.
    """
    last = len(shape) == 4 and is_channels_last(x)
    return empty(shape, x.dtype if dtype is None else dtype, CHANNELS_LAST if last else None)


def room(*arrays):
    """Memory from the pool for an element-wise result of `arrays`, or None for a small one: ``out=room(a, b)``.

    Python scalars may be among them. The result has the promoted float type and the memory order of the
    first array that has its shape; integers, small results and broadcast memory are left to NumPy (None).
    """
    found = [a for a in arrays if isinstance(a, np.ndarray)]
    if all(a.nbytes < POOLED for a in found):
        return None
    shape, dtype = np.broadcast_shapes(*[a.shape for a in found]), np.result_type(*arrays)
    for a in found:
        if a.shape == shape and dtype.kind == "f" and 0 not in a.strides:
            return empty(shape, dtype, tuple(sorted(range(a.ndim), key=lambda axis, a=a: -abs(a.strides[axis]))))
    return None


def planes(x: np.ndarray, last: bool) -> np.ndarray:
    """x (N, C, H, W) as C-contiguous (M, H, W, K), for kernels that treat channels alike.

    With channels `last` this is (N, H, W, C), else (N C, H, W, 1). For an array made by
    `like_layout(y, ...)` and ``last = is_channels_last(y)`` it is a view.
    """
    if last:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    N, C, H, W = x.shape
    return np.ascontiguousarray(x).reshape(N * C, H, W, 1)


def check_images(function: str, **arrays: np.ndarray) -> None:
    """Raise ShapeError or DTypeError unless each array is 4-D and float32 or float64."""
    for name, x in arrays.items():
        if x.ndim != 4:
            raise ShapeError(f"{function}: {name} has shape {x.shape}, expected 4 axes; "
                             f"images are (N, C, H, W), filters (O, C, P, Q)")
        if x.dtype.type not in (np.float32, np.float64):
            raise DTypeError(f"{function}: {name} has dtype {x.dtype}, expected float32 or float64")
