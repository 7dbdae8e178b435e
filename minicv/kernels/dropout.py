"""Dropout: draws, mask and scaled copy, a part at a time, so that the draws never leave the cache."""

import numpy as np

from .buffers import empty
from .launch import example, kernel

PART = 1 << 16                          # elements that are drawn at a time; the stream does not depend on it


def drop(x, p, scale, rng):
    """x scale where a draw from [0, 1) is at least p, else 0, and that mask; both in the memory order of x.

    Draws are assigned in C order, whatever the memory order of x.
    """
    order = sorted(range(x.ndim), key=lambda a: -abs(x.strides[a]))
    y, kept = empty(x.shape, x.dtype, tuple(order)), empty(x.shape, np.bool_, tuple(order))
    flat = [a.transpose(order).reshape(-1) for a in (x, y, kept)]
    draws = None if order == list(range(x.ndim)) else rng.random(x.shape, np.float32).transpose(order).reshape(-1)
    scratch = np.empty(min(PART, x.size), np.float32)
    for start in range(0, x.size, PART):
        values, out, mask = (a[start:start + PART] for a in flat)
        if draws is None:
            part = rng.random(dtype=np.float32, out=scratch[:values.size])
        else:
            part = draws[start:start + PART]
        keep_some(values.size, values, part, np.float32(p), x.dtype.type(scale), out, mask)
    return y, kept


def keep_some_numpy(x, draws, p, scale, y, kept):
    """The formula."""
    np.greater_equal(draws, p, out=kept)
    y[...] = 0
    np.multiply(x, scale, out=y, where=kept)


@kernel(twin=keep_some_numpy, out="y kept")
def keep_some(start, stop, x, draws, p, scale, y, kept):
    """An item is an element of flat arrays."""
    x, draws, y, kept = x[start:stop], draws[start:stop], y[start:stop], kept[start:stop]
    zero = x.dtype.type(0)
    for i in range(x.size):
        keep = draws[i] >= p
        kept[i] = keep
        y[i] = x[i] * scale if keep else zero


def mask(g, kept, scale):
    """g scale where `kept`, else 0, in the memory order of `kept`; arrays of one shape."""
    order = sorted(range(kept.ndim), key=lambda a: -abs(kept.strides[a]))
    y = empty(kept.shape, g.dtype, tuple(order))
    scale_kept(y.size, *(a.transpose(order).reshape(-1) for a in (g, kept)), g.dtype.type(scale),
               y.transpose(order).reshape(-1))
    return y


def scale_kept_numpy(g, kept, scale, y):
    """The formula."""
    y[...] = np.where(kept, g * scale, 0)


@kernel(twin=scale_kept_numpy, out="y")
def scale_kept(start, stop, g, kept, scale, y):
    """An item is an element of flat arrays."""
    g, kept, y = g[start:stop], kept[start:stop], y[start:stop]
    zero = g.dtype.type(0)
    for i in range(g.size):
        y[i] = g[i] * scale if kept[i] else zero


@example
def _example(dtype):
    _, kept = drop(np.ones(2, dtype), 0.5, 2.0, np.random.default_rng(0))
    mask(np.ones(2, dtype), kept, 2.0)
