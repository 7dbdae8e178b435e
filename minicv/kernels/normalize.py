"""Normalising groups of values: mean and variance, scale and shift, and the gradient, one pass each.

An array and the axes to average over are seen as (S, R, K, Q): statistics belong to (s, k), sums run over
r and q. Batch norm over channels-last images is (1, N H W, C, 1), layer norm (tokens, 1, 1, D), group norm
(N, H W, groups, C / groups).

Statistics are relative to a pivot, the first value of the group, so that a constant gives exactly 0 and a mean
far above the standard deviation costs no digits; a mean is pivot + rest. Blocks are merged in float64 by the
rule for the moments of a union,

    m = sum n_b m_b / n        M = sum M_b + n_b (m_b - m)^2                                        (1)

with M_b the sum of squared deviations from the block's own mean m_b. Scale and shift then run in the precision
of x: with `near` the rounded mean, (x - mean) a + b = (x - near) a + (b - (mean - near) a), where the last
bracket is computed in float64.
Reference: Chan, Golub and LeVeque, COMPSTAT 1982, eq. 2.1.
"""

from typing import NamedTuple

import numpy as np

from .buffers import empty
from .launch import example
from .normalize_loops import (
    PLAIN,
    RELU,
    RESIDUAL_RELU,
    column_apply,
    column_gradient,
    column_moments,
    column_sums,
    row_apply,
    row_gradient,
    row_moments,
    row_sums,
)

BLOCK = 16384                       # values of one block of columns
TINY = 1e-30                        # a variance below has lost digits in float32
SHORT = 256                         # rows shorter than this are treated as columns


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

    def empty(self, dtype):
        """Array of undefined contents in the full shape and memory order of x, and the same as (S, R, K, Q)."""
        y = empty(self.full, dtype, self.order)
        return y, y.transpose(self.order).reshape(self.shape)

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


def normalize(x, axes, *, eps, weight=None, bias=None, residual=None, relu=False):
    """y = weight (x - mean) / sqrt(var + eps) + bias over `axes`; with `relu`, max(y + residual, 0).

    Parameters
    ----------
    x : array, float32 or float64, not empty
    weight, bias : array, optional
        Broadcast to the statistics (the shape of x with `axes` at size 1).
    residual : array like x, optional
        Only with `relu`.

    Returns
    -------
    y : array in the memory order of x
    pivot, rest, var : float64 arrays with `axes` at size 1
        The mean is pivot + rest.
    """
    v = view(x, axes)
    values = v.split(x)
    pivot = values[:, 0, :, 0].astype(np.float64)
    rest, var = _moments(values, values[:, 0, :, 0])
    if x.dtype == np.float32 and _out_of_range(var, eps):
        rest, var = _moments(values.astype(np.float64), pivot)
    y = _apply(v, values, *_near(pivot, rest, x.dtype), inverse_std(var, eps), weight, bias, residual, relu)
    return y, *map(v.spread, (pivot, rest, var))


def normalize_given(x, axes, mean, var, *, eps, weight=None, bias=None, residual=None, relu=False):
    """As `normalize`, with given statistics that broadcast to x with `axes` at size 1; only y.

    A residual is also added without `relu`.
    """
    v = view(x, axes)
    near, offset = _near(v.gather(mean), 0.0, x.dtype)
    return _apply(v, v.split(x), near, offset, inverse_std(v.gather(var), eps), weight, bias, residual, relu)


def _near(pivot, rest, dtype):
    """The mean pivot + rest rounded to dtype, and what the rounding left out."""
    near = (pivot + rest).astype(dtype)
    return near, (pivot - near) + rest


def _apply(v, x, near, offset, inverse, weight, bias, residual, relu):
    scale = inverse if weight is None else inverse * v.gather(weight)
    shift = np.zeros(near.shape) if bias is None else v.gather(bias)
    with np.errstate(invalid="ignore"):                     # 0 * inf
        shift = np.where(offset == 0, shift, shift - offset * scale)
    mode = PLAIN if not relu else RELU if residual is None else RESIDUAL_RELU
    added = None if residual is None or relu else v.split(residual)
    residual = x if residual is None else v.split(residual)
    result, y = v.empty(x.dtype)
    _columns_or_rows(v.shape, (x, residual, y), (near, scale, shift), x.dtype,
                     lambda n, x, r, y, *given: column_apply(n, x, r, *given, mode, y),
                     lambda n, x, r, y, *given: _row_apply_relu(n, x, r, *given, mode, y))
    if added is not None:
        np.add(y, added, out=y)
    return result


def _row_apply_relu(n, x, residual, near, scale, shift, mode, y):
    row_apply(n, x, near, scale, shift, y)
    if mode == RESIDUAL_RELU:
        np.add(y, residual, out=y)
    if mode:
        np.maximum(y, 0, out=y)


def normalize_input(g, x, axes, pivot, rest, var, *, eps, weight=None, y=None, residual=False):
    """Gradient of `normalize` in x, the sums over `axes` of g and of g (x - mean) / sqrt(var + eps), and g itself.

    With y, the result after relu, g counts where y > 0; the last result is then None, or with `residual` the
    gradient of the residual, g where y > 0.
    """
    v = view(x, axes)
    near, offset = _near(v.gather(pivot), v.gather(rest), x.dtype)
    inverse = inverse_std(v.gather(var), eps)
    values, slopes = v.split(x), v.split(g)
    outcome = slopes if y is None else v.split(y)
    mode = PLAIN if y is None else RESIDUAL_RELU if residual or not _as_columns(v.shape) else RELU
    of_residual, masked = v.empty(x.dtype) if mode == RESIDUAL_RELU else (None, None)
    sums, products = _sums(slopes, values, outcome, near, mode, masked)
    products = (products - offset * sums) * inverse
    if mode == RESIDUAL_RELU:
        slopes, mode = masked, PLAIN
    gx = _gradient(v, slopes, values, outcome, mode, near, offset, inverse, sums, products, weight)
    return gx, v.spread(sums), v.spread(products), of_residual if residual else None


def _gradient(v, g, x, y, mode, near, offset, inverse, sums, products, weight):
    """scale (g - mean(g) - z mean(g z)) with z = (x - mean) inverse, as scale g - slope (x - near) + shift."""
    count = v.shape[1] * v.shape[3]
    scale = inverse if weight is None else inverse * v.gather(weight)
    slope = scale * inverse * products / count
    shift = slope * offset - scale * sums / count
    result, gx = v.empty(x.dtype)
    _columns_or_rows(v.shape, (g, x, y, gx), (near, scale, slope, shift), x.dtype,
                     lambda n, g, x, y, gx, *given: column_gradient(n, g, x, y, *given, mode, gx),
                     lambda n, g, x, y, gx, *given: row_gradient(n, g, x, *given, gx))
    return result


def inverse_std(var, eps):
    """1 / sqrt(var + eps); infinite for a constant without eps."""
    with np.errstate(divide="ignore"):
        return 1 / np.sqrt(var + eps)


# Columns or rows ----------------------------------------------------------------------------------------


def _as_columns(shape):
    """Whether (S, R, K, Q) is computed as (S, R, K Q): single values, or many short rows."""
    S, R, K, Q = shape
    return Q == 1 or R > 1 and Q < SHORT


def _flat(x):
    """(S, R, K, Q) as (S, R, K Q)."""
    return x.reshape(*x.shape[:2], -1)


def _columns_or_rows(shape, arrays, statistics, dtype, columns, rows):
    """Call one of two kernels on arrays (S, R, K, Q) and statistics (S, K), rounded to dtype."""
    S, R, K, Q = shape
    statistics = [a.astype(dtype, copy=False) for a in statistics]
    if not _as_columns(shape):
        return rows(S * R, *arrays, *statistics)
    if Q > 1:
        statistics = [np.repeat(a, Q, axis=1) for a in statistics]
    return columns(S * R, *map(_flat, arrays), *statistics)


def _block_rows(shape):
    """Rows of a block and the shape of a statistic of all blocks (S, B, K Q)."""
    S, R, K, Q = shape
    rows = max(1, BLOCK // (K * Q))
    return rows, (S, -(-R // rows), K * Q)


def _moments(x, pivot):
    """Mean relative to the pivot and variance (S, K): those of blocks, merged by equation (1)."""
    S, R, K, Q = x.shape
    if not _as_columns(x.shape):
        mean, square = np.empty((S, K)), np.empty((S, K))
        row_moments(S * K, x, pivot, mean, square)
        return mean, square / (R * Q)
    rows, shape = _block_rows(x.shape)
    mean, square = np.empty(shape), np.empty(shape)
    column_moments(S * shape[1], _flat(x), np.repeat(pivot, Q, axis=1), rows, mean, square)
    if shape[1] == 1:
        mean, var = mean[:, 0], square[:, 0] / R
    else:
        share = np.diff([*range(0, R, rows), R])[:, None] / R                          # of each block
        mean, var = _merge(mean, square.sum(axis=1) / R, share)
    if Q > 1:
        mean, var = mean.reshape(S, K, Q), var.reshape(S, K, Q)
        mean, var = _merge(mean.transpose(0, 2, 1), var.mean(axis=2), 1 / Q)
    return mean, var


def _out_of_range(var, eps):
    """Whether squares of float32 may have overflowed, or vanished where that matters."""
    return not np.isfinite(var).all() or eps < TINY and (var < TINY).any()


def _merge(means, within, share):
    """Mean and variance over axis 1 of parts of which each has that share of the values."""
    mean = (means * share).sum(axis=1)
    return mean, within + (np.square(means - mean[:, None]) * share).sum(axis=1)


def _sums(g, x, y, near, mode, masked):
    """Sums (S, K) of g and of g (x - near), g counted where y > 0 unless `mode` is plain."""
    S, R, K, Q = x.shape
    if not _as_columns(x.shape):
        if mode:
            g = np.multiply(g, y > 0, out=masked)
        sums, products = np.empty((S, K)), np.empty((S, K))
        row_sums(S * K, g, x, near, sums, products)
        return sums, products
    rows, shape = _block_rows(x.shape)
    out = np.empty((S, R, 0), x.dtype) if masked is None else _flat(masked)
    partial = np.empty(shape), np.empty(shape)
    column_sums(S * shape[1], *map(_flat, (g, x, y)), np.repeat(near, Q, axis=1), rows, mode, out, *partial)
    return [p.sum(axis=1).reshape(S, K, Q).sum(axis=2) for p in partial]


@example
def _example(dtype):
    x = np.ones((2, 3), dtype)
    y, *statistics = normalize(x, (0,), eps=1.0)
    normalize_input(y, x, (0,), *statistics, eps=1.0)
    y, *statistics = normalize(x, (1,), eps=1.0)
    normalize_input(y, x, (1,), *statistics, eps=1.0)
