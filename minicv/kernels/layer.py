"""Layer norm: normalising items over their last axes in memory, with a scale and a shift for every position."""

import numpy as np

from .launch import example
from .normalize import TINY, view

BLOCKS, LEAST = 64, 32                  # blocks that the gradient of the scale is summed in, rows of a block


def items(x, axes):
    """The `View` of x as rows, or None where the axes do not lie together at the end of the memory."""
    v = view(x, axes)
    return v if v.shape[1] == v.shape[2] == 1 and x.size else None


def _laid(v, a, fill, axes, dtype):
    """A vector along the axes, (Q,), in their order in memory."""
    if a is None:
        return np.full(v.shape[3], fill, dtype)
    full = tuple(n if i in axes else 1 for i, n in enumerate(v.full))
    return np.ascontiguousarray(np.broadcast_to(a, full).transpose(v.order), dtype).reshape(-1)


def normalize_items(v, x, axes, *, eps, weight=None, bias=None):
    """y = weight (x - mean) / sqrt(var + eps) + bias over `axes`, along which weight and bias lie.

    Returns y and what `normalize_items_input` wants: the mean as near + rest, and 1 / sqrt(var + eps), one per item.
    """
    from .layer_loops import normalize_rows
    S, Q = v.shape[0], v.shape[3]
    values = v.split(x).reshape(S, Q)
    result, y = v.empty(x.dtype)
    y, near, rest, inverse = y.reshape(S, Q), np.empty(S, x.dtype), np.empty(S), np.empty(S)
    affine = _laid(v, weight, 1, axes, x.dtype), _laid(v, bias, 0, axes, x.dtype)
    normalize_rows(S, values, *affine, float(eps), y, near, rest, inverse)
    if x.dtype == np.float32 and _out_of_range(inverse, eps):
        exact, near = np.empty((S, Q)), np.empty(S)
        normalize_rows(S, values.astype(np.float64), *(a.astype(np.float64) for a in affine), float(eps), exact, near,
                       rest, inverse)
        y[...] = exact
    return result, (near, rest, inverse)


def _out_of_range(inverse, eps):
    """Whether squares of float32 may have overflowed, or vanished where that matters."""
    return not (inverse > 0).all() or eps < TINY and (inverse > TINY**-0.5).any()


def normalize_items_input(v, g, x, axes, near, rest, inverse, *, weight=None):
    """Gradient in x, and the sums over items of g (x - mean) inverse and of g in the shape of a weight."""
    from .layer_loops import rows_gradient
    S, Q = v.shape[0], v.shape[3]
    dtype = np.result_type(x, near)                         # float64 after an overflow
    values, slopes = (v.split(a).reshape(S, Q).astype(dtype, copy=False) for a in (x, g))
    rows = max(LEAST, -(-S // BLOCKS))
    gw, gb = np.empty((-(-S // rows), Q)), np.empty((-(-S // rows), Q))
    result, gx = v.empty(dtype)
    rows_gradient(len(gw), slopes, values, _laid(v, weight, 1, axes, dtype), near, rest, inverse, rows,
                  gx.reshape(S, Q), gw, gb)
    return result.astype(x.dtype, copy=False), *(_unlaid(v, a.sum(axis=0), axes) for a in (gw, gb))


def _unlaid(v, a, axes):
    """A vector (Q,) with the shape of x, the other axes at size 1."""
    full = [n if i in axes else 1 for i, n in enumerate(v.full)]
    return a.reshape([full[i] for i in v.order]).transpose(np.argsort(v.order))


@example
def _example(dtype):
    x = np.ones((2, 3), dtype)
    v = items(x, (1,))
    y, statistics = normalize_items(v, x, (1,), eps=1.0)
    normalize_items_input(v, y, x, (1,), *statistics)
