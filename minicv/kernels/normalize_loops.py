"""Loops of `normalize`: moments, sums, scale and shift, and the gradient.

Two forms. *Columns* are arrays (S, R, K) with statistics (S, K): the loop over k is the vector. *Rows* are
arrays (S, R, K, Q) with statistics (S, K): the loop over q is the vector.

Both sum short runs in the precision of the data, relative to a value `near` the mean, the mean of the run
before or at first of the run itself, and add the runs in float64. With n values, r = sum (x - near) and
q = sum (x - near)^2, a run has mean near + r / n and squared deviations q - r^2 / n; nothing large is ever
subtracted from something large,
and a rounding error does not grow with the number of runs.

Modes of scale and shift and of the sums of the gradient: 0 plain, 1 followed by relu, 2 with a residual and relu.
"""

import numpy as np

from .launch import kernel

RUN = 32                            # rows of a run of columns
CHUNK = 1024                        # values of a run of one row
PLAIN, RELU, RESIDUAL_RELU = 0, 1, 2


# Twins -------------------------------------------------------------------------------------------------


def _blocks(x, rows):
    """Blocks of `rows` rows (S, rows, K) with their index."""
    return enumerate(np.split(x, range(rows, x.shape[1], rows), axis=1))


def column_moments_numpy(x, pivot, rows, mean, square):
    """Mean relative to the pivot and squared deviations of each block."""
    for b, block in _blocks(x, rows):
        d = block - pivot[:, None].astype(np.float64)
        mean[:, b] = d.mean(axis=1)
        square[:, b] = np.square(d - mean[:, b, None]).sum(axis=1)


def column_sums_numpy(g, x, y, near, rows, mode, masked, sums, products):
    """Both sums of each block; in mode 2 the masked gradient is stored."""
    g = np.where(y > 0, g, 0) if mode else g
    if mode == RESIDUAL_RELU:
        masked[...] = g
    for b, block in _blocks(g, rows):
        d = x[:, b * rows:(b + 1) * rows] - near[:, None].astype(np.float64)
        sums[:, b] = block.sum(axis=1, dtype=np.float64)
        products[:, b] = (block * d).sum(axis=1)


def column_apply_numpy(x, residual, near, scale, shift, mode, y):
    """act((x - near) scale + shift + residual)."""
    y[...] = (x - near[:, None]) * scale[:, None] + shift[:, None]
    if mode == RESIDUAL_RELU:
        y += residual
    if mode:
        np.maximum(y, 0, out=y)


def column_gradient_numpy(g, x, y, near, scale, slope, shift, mode, gx):
    """scale g - slope (x - near) + shift."""
    g = np.where(y > 0, g, 0) if mode else g
    gx[...] = scale[:, None] * g - slope[:, None] * (x - near[:, None]) + shift[:, None]


def row_moments_numpy(x, pivot, mean, square):
    """Mean relative to the pivot and squared deviations."""
    d = x - pivot[:, None, :, None].astype(np.float64)
    mean[...] = d.mean(axis=(1, 3))
    square[...] = np.square(d - mean[:, None, :, None]).sum(axis=(1, 3))


def row_sums_numpy(g, x, near, sums, products):
    """Sums of g and of g (x - near)."""
    sums[...] = g.sum(axis=(1, 3), dtype=np.float64)
    products[...] = (g * (x - near[:, None, :, None].astype(np.float64))).sum(axis=(1, 3))


def row_apply_numpy(x, near, scale, shift, y):
    """(x - near) scale + shift."""
    near, scale, shift = (a[:, None, :, None] for a in (near, scale, shift))
    y[...] = (x - near) * scale + shift


def row_gradient_numpy(g, x, near, scale, slope, shift, gx):
    """scale g - slope (x - near) + shift."""
    near, scale, slope, shift = (a[:, None, :, None] for a in (near, scale, slope, shift))
    gx[...] = scale * g - slope * (x - near) + shift


# Columns -----------------------------------------------------------------------------------------------


@kernel(twin=column_moments_numpy, out="mean square", allow="contract")
def column_moments(start, stop, x, pivot, rows, mean, square):
    """An item is a block of `rows` rows: mean (S, B, K) relative to the pivot, squared deviations from it."""
    R, K = x.shape[1:]
    B = mean.shape[1]
    near, total, squares = np.empty(K, x.dtype), np.empty(K, x.dtype), np.empty(K, x.dtype)
    for item in range(start, stop):
        s = item // B
        b = item - s * B
        first, last = b * rows, min(b * rows + rows, R)
        origin, all_totals, all_squares = x[s, first], mean[s, b], square[s, b]
        n = min(RUN, last - first)
        for k in range(K):
            total[k] = 0
            all_totals[k] = 0
            all_squares[k] = 0
        for r in range(first, first + n):
            for k in range(K):
                total[k] += x[s, r, k] - origin[k]
        for k in range(K):
            near[k] = origin[k] + total[k] / n
        for top in range(first, last, RUN):
            n = min(top + RUN, last) - top
            for k in range(K):
                total[k] = 0
                squares[k] = 0
            for r in range(top, top + n):
                for k in range(K):
                    d = x[s, r, k] - near[k]
                    total[k] += d
                    squares[k] += d * d
            share = 1.0 / n
            for k in range(K):
                rest = total[k] * share
                u = np.float64(near[k]) - np.float64(origin[k]) + rest
                all_totals[k] += n * u
                all_squares[k] += squares[k] - rest * total[k] + n * u * u
                near[k] = origin[k] + u
        share = 1.0 / (last - first)
        for k in range(K):
            u = all_totals[k] * share
            all_squares[k] = max(all_squares[k] - u * all_totals[k], 0.0 * u)
            all_totals[k] = u + (np.float64(origin[k]) - np.float64(pivot[s, k]))


@kernel(twin=column_sums_numpy, out="masked sums products", allow="contract")
def column_sums(start, stop, g, x, y, near, rows, mode, masked, sums, products):
    """An item is a block: sums (S, B, K) of g and of g (x - near); mode 2 stores g where y > 0."""
    R, K = x.shape[1:]
    B = sums.shape[1]
    total, product = np.empty(K, x.dtype), np.empty(K, x.dtype)
    zero = x.dtype.type(0)
    for item in range(start, stop):
        s = item // B
        b = item - s * B
        first, last = b * rows, min(b * rows + rows, R)
        center, all_totals, all_products = near[s], sums[s, b], products[s, b]
        all_totals[:] = 0
        all_products[:] = 0
        for top in range(first, last, RUN):
            total[:] = 0
            product[:] = 0
            for r in range(top, min(top + RUN, last)):
                if mode == 0:
                    for k in range(K):
                        total[k] += g[s, r, k]
                        product[k] += g[s, r, k] * (x[s, r, k] - center[k])
                elif mode == 1:
                    for k in range(K):
                        v = g[s, r, k] if y[s, r, k] > zero else zero
                        total[k] += v
                        product[k] += v * (x[s, r, k] - center[k])
                else:
                    for k in range(K):
                        masked[s, r, k] = g[s, r, k] if y[s, r, k] > zero else zero
                    for k in range(K):
                        total[k] += masked[s, r, k]
                        product[k] += masked[s, r, k] * (x[s, r, k] - center[k])
            for k in range(K):
                all_totals[k] += total[k]
                all_products[k] += product[k]


@kernel(twin=column_apply_numpy, out="y", allow="contract")
def column_apply(start, stop, x, residual, near, scale, shift, mode, y):
    """An item is a row (s, r)."""
    R, K = x.shape[1:]
    zero = x.dtype.type(0)
    for item in range(start, stop):
        s = item // R
        r = item - s * R
        if mode == 0:
            for k in range(K):
                y[s, r, k] = (x[s, r, k] - near[s, k]) * scale[s, k] + shift[s, k]
        elif mode == 1:
            for k in range(K):
                v = (x[s, r, k] - near[s, k]) * scale[s, k] + shift[s, k]
                y[s, r, k] = zero if v <= zero else v
        else:
            for k in range(K):
                v = (x[s, r, k] - near[s, k]) * scale[s, k] + shift[s, k] + residual[s, r, k]
                y[s, r, k] = zero if v <= zero else v


@kernel(twin=column_gradient_numpy, out="gx", allow="contract")
def column_gradient(start, stop, g, x, y, near, scale, slope, shift, mode, gx):
    """An item is a row (s, r)."""
    R, K = x.shape[1:]
    zero = x.dtype.type(0)
    for item in range(start, stop):
        s = item // R
        r = item - s * R
        if mode == 0:
            for k in range(K):
                gx[s, r, k] = scale[s, k] * g[s, r, k] - slope[s, k] * (x[s, r, k] - near[s, k]) + shift[s, k]
        else:
            for k in range(K):
                v = g[s, r, k] if y[s, r, k] > zero else zero
                gx[s, r, k] = scale[s, k] * v - slope[s, k] * (x[s, r, k] - near[s, k]) + shift[s, k]


# Rows --------------------------------------------------------------------------------------------------


@kernel(twin=row_moments_numpy, out="mean square", allow="contract reassoc")
def row_moments(start, stop, x, pivot, mean, square):
    """An item is a group (s, k)."""
    S, R, K, Q = x.shape
    real, deviation = x.dtype.type, np.empty(CHUNK, x.dtype)
    for item in range(start, stop):
        s = item // K
        k = item - s * K
        origin = pivot[s, k]
        values = x[s, 0, k, :CHUNK]
        for i in range(values.size):
            deviation[i] = values[i] - origin
        total = real(0)
        for i in range(values.size):
            total += deviation[i]
        near = real(origin + total / values.size)
        all_total, all_square = 0.0, 0.0
        for r in range(R):
            for c in range(0, Q, CHUNK):
                values = x[s, r, k, c:c + CHUNK]
                total, squares = real(0), real(0)
                for i in range(values.size):
                    deviation[i] = values[i] - near
                for i in range(values.size):
                    total += deviation[i]
                    squares += deviation[i] * deviation[i]
                n = values.size
                rest = np.float64(total) / n
                u = np.float64(near) - np.float64(origin) + rest
                all_total += n * u
                all_square += squares - rest * total + n * u * u
                near = real(origin + u)
        u = all_total / (R * Q)
        mean[s, k] = u
        square[s, k] = max(all_square - u * all_total, 0.0 * u)


@kernel(twin=row_sums_numpy, out="sums products", allow="contract reassoc")
def row_sums(start, stop, g, x, near, sums, products):
    """An item is a group (s, k): sums of g and of g (x - near)."""
    S, R, K, Q = x.shape
    real, deviation = x.dtype.type, np.empty(CHUNK, x.dtype)
    for item in range(start, stop):
        s = item // K
        k = item - s * K
        all_total, all_product, center = 0.0, 0.0, near[s, k]
        for r in range(R):
            for c in range(0, Q, CHUNK):
                slopes, values = g[s, r, k, c:c + CHUNK], x[s, r, k, c:c + CHUNK]
                total, product = real(0), real(0)
                for i in range(values.size):
                    deviation[i] = values[i] - center
                for i in range(values.size):
                    total += slopes[i]
                    product += slopes[i] * deviation[i]
                all_total += total
                all_product += product
        sums[s, k], products[s, k] = all_total, all_product


@kernel(twin=row_apply_numpy, out="y", allow="contract")
def row_apply(start, stop, x, near, scale, shift, y):
    """An item is a row (s, r)."""
    S, R, K, Q = x.shape
    for item in range(start, stop):
        s = item // R
        r = item - s * R
        for k in range(K):
            values, out, m, a, b = x[s, r, k], y[s, r, k], near[s, k], scale[s, k], shift[s, k]
            for q in range(Q):
                out[q] = (values[q] - m) * a + b


@kernel(twin=row_gradient_numpy, out="gx", allow="contract")
def row_gradient(start, stop, g, x, near, scale, slope, shift, gx):
    """An item is a row (s, r)."""
    S, R, K, Q = x.shape
    for item in range(start, stop):
        s = item // R
        r = item - s * R
        for k in range(K):
            slopes, values, out = g[s, r, k], x[s, r, k], gx[s, r, k]
            m, a, d, b = near[s, k], scale[s, k], slope[s, k], shift[s, k]
            for q in range(Q):
                out[q] = a * slopes[q] - d * (values[q] - m) + b
