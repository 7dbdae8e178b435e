"""Normalising groups of values: mean and variance, scale and shift, and the gradient, one pass each.

An array and the axes to average over are seen as (S, R, K, Q): statistics belong to (s, k), sums run over
r and q. Batch norm over channels-last images is (1, N H W, C, 1), layer norm (tokens, 1, 1, D), group norm
(N, H W, groups, C / groups).

All values are taken relative to a pivot, the first value of the group, so that a constant gives exactly 0 and a
mean far above the standard deviation costs no digits; a mean is pivot + rest. Sums are float64 and taken block
by block; blocks are merged by the rule for the moments of a union,

    m = sum n_b m_b / n        M = sum M_b + n_b (m_b - m)^2                                        (1)

with M_b the sum of squared deviations from the block's own mean m_b.
Reference: Chan, Golub and LeVeque, COMPSTAT 1982, eq. 2.1.
"""

from typing import NamedTuple

import numpy as np

from .buffers import empty
from .launch import example, kernel

BLOCK = 16384                       # values of one block: they stay in the cache between two passes
LANES = 32                          # sums that a row is split into


class View(NamedTuple):
    """How an array is seen: its shape, the same with averaged axes at size 1, the order of its axes in memory,
    and (S, R, K, Q)."""
    full: tuple
    kept: tuple
    order: tuple
    shape: tuple

    def split(self, x):
        """x as C-contiguous (S, R, K, Q)."""
        return np.ascontiguousarray(x.transpose(self.order)).reshape(self.shape)

    def join(self, y):
        """(S, R, K, Q) in the full shape, in the memory order of x."""
        return y.reshape([self.full[a] for a in self.order]).transpose(np.argsort(self.order))

    def spread(self, statistics):
        """(S, K) as an array with the averaged axes at size 1."""
        return statistics.reshape([self.kept[a] for a in self.order]).transpose(np.argsort(self.order))

    def gather(self, values):
        """Values that broadcast to the statistics, as float64 (S, K)."""
        values = np.broadcast_to(values, self.kept).transpose(self.order)
        return np.ascontiguousarray(values, np.float64).reshape(self.shape[0], self.shape[2])


def view(x, axes):
    """The `View` of x for averages over `axes` (numbers from 0)."""
    order = sorted(range(x.ndim), key=lambda a: -abs(x.strides[a]))
    runs = _runs(x.shape, order, axes)
    if len(runs) > 4:                                           # one copy puts the averaged axes last
        order = sorted(order, key=lambda a: a in axes)
        runs = _runs(x.shape, order, axes)
    S, R, K, Q = (*runs, 1, 1)[:4] if len(runs) > 2 else (runs[0], 1, 1, runs[1])
    return View(x.shape, tuple(1 if a in axes else n for a, n in enumerate(x.shape)), tuple(order), (S, R, K, Q))


def _runs(shape, order, axes):
    """Sizes of the alternating runs of kept and averaged axes, beginning with kept ones."""
    runs, averaged = [1], False
    for a in order:
        if shape[a] > 1 and (a in axes) != averaged:
            averaged = not averaged
            runs.append(1)
        runs[-1] *= shape[a]
    return runs if len(runs) > 1 else [*runs, 1]


def normalize(x, axes, *, eps, weight=None, bias=None):
    """y = weight (x - mean) / sqrt(var + eps) + bias over `axes`.

    Parameters
    ----------
    x : array, float32 or float64, not empty
    weight, bias : array, optional
        Broadcast to the statistics (the shape of x with `axes` at size 1).

    Returns
    -------
    y : array in the memory order of x
    pivot, rest, var : float64 arrays with `axes` at size 1
        The mean is pivot + rest.
    """
    v = view(x, axes)
    values = v.split(x)
    pivot = values[:, 0, :, 0].astype(np.float64)
    rest, var = _moments(values, pivot)
    scale = inverse_std(var, eps) * (1 if weight is None else v.gather(weight))
    shift = np.zeros(rest.shape) if bias is None else v.gather(bias)
    y = empty(v.shape, x.dtype)
    scale_and_shift(v.shape[0] * v.shape[1], _rows(values), pivot, rest, scale, shift, _rows(y))
    return v.join(y), *map(v.spread, (pivot, rest, var))


def normalize_input(g, x, axes, pivot, rest, var, *, eps, weight=None):
    """Gradient of `normalize` in x, and the sums over `axes` of g and of g (x - mean) / sqrt(var + eps)."""
    v = view(x, axes)
    pivot, rest, inverse = v.gather(pivot), v.gather(rest), inverse_std(v.gather(var), eps)
    values, g = v.split(x), v.split(g)
    sums, products = _sums(g, values, pivot, rest)
    count = v.shape[1] * v.shape[3]
    scale = inverse * (1 if weight is None else v.gather(weight))
    gx = empty(v.shape, x.dtype)
    normalize_gradient(v.shape[0] * v.shape[1], _rows(g), _rows(values), pivot, rest, scale, scale * sums / count,
                       scale * inverse * inverse * products / count, _rows(gx))
    return v.join(gx), v.spread(sums), v.spread(products * inverse)


def inverse_std(var, eps):
    """1 / sqrt(var + eps); infinite for a constant without eps."""
    with np.errstate(divide="ignore"):
        return 1 / np.sqrt(var + eps)


def _rows(x):
    """(S, R, K, Q) as (S, R, K Q), whose last axis is contiguous for certain."""
    return x.reshape(*x.shape[:2], -1)


def _partials(x):
    """Rows of a block and two arrays (S, blocks, K)."""
    S, R, K, Q = x.shape
    rows = max(1, BLOCK // (K * Q))
    return rows, *(np.empty((S, -(-R // rows), K)) for _ in range(2))


def _lanes(x, *statistics):
    """A row (S, 1, 1, Q) as (S, Q / 32, 32, 1): one sum after another would wait, 32 run side by side."""
    S, R, K, Q = x.shape
    if R * K > 1 or Q % LANES:
        return x, *statistics
    return x.reshape(S, Q // LANES, LANES, 1), *(np.repeat(s, LANES, axis=1) for s in statistics)


def _moments(x, pivot):
    """Mean relative to the pivot and variance (S, K): those of blocks, then of lanes, merged by equation (1)."""
    K = x.shape[2]
    x, pivot = _lanes(x, pivot)
    rows, mean, square = _partials(x)
    block_moments(len(x) * mean.shape[1], _rows(x), pivot, rows, mean, square)
    share = np.diff([*range(0, x.shape[1], rows), x.shape[1]])[:, None] / x.shape[1]    # of each block
    mean, var = _merge(mean, square.sum(axis=1) / (x.shape[1] * x.shape[3]), share)
    if x.shape[2] > K:
        mean, var = _merge(mean[:, :, None], var.mean(axis=1, keepdims=True), 1 / LANES)
    return mean, var


def _merge(means, within, share):
    """Mean and variance over axis 1 of parts of which each has that share of the values."""
    mean = (means * share).sum(axis=1)
    return mean, within + (np.square(means - mean[:, None]) * share).sum(axis=1)


def _sums(g, x, pivot, rest):
    """Sums (S, K) of g and of g (x - mean)."""
    K = x.shape[2]
    (g,), (x, pivot, rest) = _lanes(g), _lanes(x, pivot, rest)
    rows, *partial = _partials(x)
    block_sums(len(x) * partial[0].shape[1], _rows(g), _rows(x), pivot, rest, rows, *partial)
    return [p.sum(axis=1).reshape(len(x), K, -1).sum(axis=2) for p in partial]


# Loops over arrays (S, R, K Q) with statistics (S, K) ----------------------------------------------------


def _split(x, mean):
    """(S, R, K Q) as (S, R, K, Q)."""
    return x.reshape(*x.shape[:2], mean.shape[-1], -1)


def _blocks(x, rows, partial):
    """Every block (S, rows, K, Q) with its index."""
    for b in range(partial.shape[1]):
        yield b, _split(x[:, b * rows:(b + 1) * rows], partial)


def _deviation(x, pivot, rest):
    """x - mean as (S, R, K, Q), float64."""
    return _split(x, pivot) - pivot[:, None, :, None] - rest[:, None, :, None]


def block_moments_numpy(x, pivot, rows, mean, square):
    """Mean relative to the pivot and squared deviations of each block."""
    for b, block in _blocks(x, rows, mean):
        d = block - pivot[:, None, :, None]
        mean[:, b] = d.mean(axis=(1, 3))
        square[:, b] = np.square(d - mean[:, b, None, :, None]).sum(axis=(1, 3))


def block_sums_numpy(g, x, pivot, rest, rows, sums, products):
    """Both sums of each block."""
    for b, block in _blocks(g, rows, sums):
        d = _deviation(x[:, b * rows:(b + 1) * rows], pivot, rest)
        sums[:, b] = block.sum(axis=(1, 3), dtype=np.float64)
        products[:, b] = (block * d).sum(axis=(1, 3))


def scale_and_shift_numpy(x, pivot, rest, scale, shift, y):
    """(x - mean) scale + shift."""
    y[...] = (_deviation(x, pivot, rest) * scale[:, None, :, None] + shift[:, None, :, None]).reshape(y.shape)


def normalize_gradient_numpy(g, x, pivot, rest, scale, shift, slope, gx):
    """scale g - shift - slope (x - mean)."""
    scale, shift, slope = (a[:, None, :, None] for a in (scale, shift, slope))
    gx[...] = (scale * _split(g, pivot) - shift - slope * _deviation(x, pivot, rest)).reshape(gx.shape)


@kernel(twin=block_moments_numpy, out="mean square")
def block_moments(start, stop, x, pivot, rows, mean, square):
    """An item is a block: mean (S, B, K) relative to the pivot, and sum of squared deviations from it."""
    S, R, L = x.shape
    B, K = mean.shape[1:]
    Q = L // K
    total, deviation = np.empty(K), np.empty(K)
    for item in range(start, stop):
        s = item // B
        b = item - s * B
        first, last = b * rows, min(b * rows + rows, R)
        total[:], deviation[:] = 0, 0
        for r in range(first, last):
            if Q == 1:                                          # then the loop over k is the vector
                for k in range(K):
                    total[k] += x[s, r, k] - pivot[s, k]
            else:
                for k in range(K):
                    for c in range(k * Q, k * Q + Q):
                        total[k] += x[s, r, c] - pivot[s, k]
        for k in range(K):
            total[k] /= (last - first) * Q
        for r in range(first, last):
            if Q == 1:
                for k in range(K):
                    deviation[k] += (x[s, r, k] - pivot[s, k] - total[k]) ** 2
            else:
                for k in range(K):
                    for c in range(k * Q, k * Q + Q):
                        deviation[k] += (x[s, r, c] - pivot[s, k] - total[k]) ** 2
        for k in range(K):
            mean[s, b, k], square[s, b, k] = total[k], deviation[k]


@kernel(twin=block_sums_numpy, out="sums products")
def block_sums(start, stop, g, x, pivot, rest, rows, sums, products):
    """An item is a block: sums (S, B, K) of g and of g (x - mean)."""
    S, R, L = x.shape
    B, K = sums.shape[1:]
    Q = L // K
    total, product = np.empty(K), np.empty(K)
    for item in range(start, stop):
        s = item // B
        b = item - s * B
        total[:], product[:] = 0, 0
        for r in range(b * rows, min(b * rows + rows, R)):
            if Q == 1:
                for k in range(K):
                    total[k] += g[s, r, k]
                    product[k] += g[s, r, k] * (x[s, r, k] - pivot[s, k] - rest[s, k])
            else:
                for k in range(K):
                    for c in range(k * Q, k * Q + Q):
                        total[k] += g[s, r, c]
                        product[k] += g[s, r, c] * (x[s, r, c] - pivot[s, k] - rest[s, k])
        for k in range(K):
            sums[s, b, k], products[s, b, k] = total[k], product[k]


@kernel(twin=scale_and_shift_numpy, out="y")
def scale_and_shift(start, stop, x, pivot, rest, scale, shift, y):
    """An item is a row (s, r)."""
    S, R, L = x.shape
    K = pivot.shape[1]
    Q = L // K
    for item in range(start, stop):
        s = item // R
        r = item - s * R
        if Q == 1:
            for k in range(K):
                y[s, r, k] = (x[s, r, k] - pivot[s, k] - rest[s, k]) * scale[s, k] + shift[s, k]
        else:
            for k in range(K):
                p, m, a, b = pivot[s, k], rest[s, k], scale[s, k], shift[s, k]
                for c in range(k * Q, k * Q + Q):
                    y[s, r, c] = (x[s, r, c] - p - m) * a + b


@kernel(twin=normalize_gradient_numpy, out="gx")
def normalize_gradient(start, stop, g, x, pivot, rest, scale, shift, slope, gx):
    """An item is a row (s, r)."""
    S, R, L = x.shape
    K = pivot.shape[1]
    Q = L // K
    for item in range(start, stop):
        s = item // R
        r = item - s * R
        if Q == 1:
            for k in range(K):
                gx[s, r, k] = (scale[s, k] * g[s, r, k] - shift[s, k]
                               - slope[s, k] * (x[s, r, k] - pivot[s, k] - rest[s, k]))
        else:
            for k in range(K):
                p, m, a, b, d = pivot[s, k], rest[s, k], scale[s, k], shift[s, k], slope[s, k]
                for c in range(k * Q, k * Q + Q):
                    gx[s, r, c] = a * g[s, r, c] - b - d * (x[s, r, c] - p - m)


@example
def _example(dtype):
    x = np.ones((2, 3), dtype)
    y, *statistics = normalize(x, (0,), eps=1.0)
    normalize_input(y, x, (0,), *statistics, eps=1.0)
