"""Loops of layer norm: rows (S, Q), each normalised, scaled and shifted in one visit; see `normalize` for `near`.

Deviations are stored before they are summed: a compiler that may reorder sums must not see s + (x - near).
"""

import numpy as np

from .launch import kernel, part

CHUNK, RUN = 1024, 32                   # values, and rows, that are summed in the precision of x before float64


@part(allow="contract reassoc")
def total(a):
    """Sum of a row, float64."""
    found = 0.0
    for start in range(0, a.size, CHUNK):
        chunk = a[start:start + CHUNK]
        near = a.dtype.type(0)
        for i in range(chunk.size):
            near += chunk[i]
        found += near
    return found


@part(allow="contract reassoc")
def sums(a, b):
    """Sum of a row, and of its products with another: float64."""
    of_a, of_ab = 0.0, 0.0
    for start in range(0, a.size, CHUNK):
        first, second = a[start:start + CHUNK], b[start:start + CHUNK]
        near_a = near_ab = a.dtype.type(0)
        for i in range(first.size):
            near_a += first[i]
            near_ab += first[i] * second[i]
        of_a += near_a
        of_ab += near_ab
    return of_a, of_ab


def normalize_rows_numpy(x, weight, bias, eps, y, near, rest, inverse):
    """The formulas in float64."""
    exact = x.astype(np.float64)
    mean = exact[:, 0] + (exact - exact[:, :1]).mean(axis=1)
    near[...] = mean
    d = exact - near[:, None]
    rest[...] = d.mean(axis=1)
    d -= rest[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse[...] = 1 / np.sqrt(np.square(d).mean(axis=1) + eps)
        y[...] = d * inverse[:, None] * weight + bias


@kernel(twin=normalize_rows_numpy, out="y near rest inverse", allow="contract")
def normalize_rows(start, stop, x, weight, bias, eps, y, near, rest, inverse):
    """y = weight (x - mean) / sqrt(var + eps) + bias with mean = near + rest, and inverse = 1 / sqrt(var + eps)."""
    Q = x.shape[1]
    real, d = x.dtype.type, np.empty(Q, x.dtype)
    for s in range(start, stop):
        center = real(total(x[s]) / Q)
        for i in range(Q):
            d[i] = x[s, i] - center
        rest_sum, squares = sums(d, d)
        left = rest_sum / Q
        var = squares / Q - left * left
        var = 0.0 if var < 0 else var
        factor = np.divide(1.0, np.sqrt(var + eps))
        near[s], rest[s], inverse[s] = center, left, factor
        scale, shift = real(factor), real(0.0 if left == 0 else -left * factor)
        for i in range(Q):
            y[s, i] = (d[i] * scale + shift) * weight[i] + bias[i]


def rows_gradient_numpy(g, x, weight, near, rest, inverse, rows, gx, gw, gb):
    """The formulas in float64."""
    z = (x.astype(np.float64) - near[:, None] - rest[:, None]) * inverse[:, None]
    h = g * weight.astype(np.float64)
    h_mean, hz_mean = h.mean(axis=1, keepdims=True), (h * z).mean(axis=1, keepdims=True)
    gx[...] = inverse[:, None] * (h - h_mean - z * hz_mean)
    for b in range(len(gw)):
        block = slice(b * rows, (b + 1) * rows)
        gw[b] = (g[block] * z[block]).sum(axis=0)
        gb[b] = g[block].sum(axis=0, dtype=np.float64)


@kernel(twin=rows_gradient_numpy, out="gx gw gb", allow="contract")
def rows_gradient(start, stop, g, x, weight, near, rest, inverse, rows, gx, gw, gb):
    """An item is a block of rows: gx = inverse (h - mean(h) - z mean(h z)), h = weight g; gw, gb sum g z and g."""
    S, Q = x.shape
    real = x.dtype.type
    z, h, of_w, of_b = np.empty(Q, x.dtype), np.empty(Q, x.dtype), np.empty(Q, x.dtype), np.empty(Q, x.dtype)
    for b in range(start, stop):
        last = min(b * rows + rows, S)
        gw[b, :], gb[b, :] = 0, 0
        for top in range(b * rows, last, RUN):
            of_w[:], of_b[:] = 0, 0
            for s in range(top, min(top + RUN, last)):
                center, scale, shift = near[s], real(inverse[s]), real(-rest[s] * inverse[s])
                for i in range(Q):
                    z[i] = (x[s, i] - center) * scale + shift
                    h[i] = g[s, i] * weight[i]
                for i in range(Q):
                    of_w[i] += g[s, i] * z[i]
                    of_b[i] += g[s, i]
                of_h, of_hz = sums(h, z)
                h_mean, hz_mean = real(of_h / Q), real(of_hz / Q)
                for i in range(Q):
                    gx[s, i] = scale * (h[i] - h_mean - z[i] * hz_mean)
            for i in range(Q):
                gw[b, i] += of_w[i]
                gb[b, i] += of_b[i]
