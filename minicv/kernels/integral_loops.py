"""Loops of integral images: the columns of a band, the running sums of its rows, triangles."""

import numpy as np

from .launch import kernel, load_numba, part

if load_numba() is not None:
    from .simd import call


def column_sums_numpy(x, rows, out):
    """Sums over the rows of each band but the last."""
    M, bands, W = out.shape
    x[:, :bands * rows].reshape(M, bands, rows, W).sum(axis=2, dtype=out.dtype, out=out)


def sum_bands_numpy(x, above, *settings_and_out):
    """Two cumulative sums."""
    out = settings_and_out[-1]
    x.cumsum(axis=1, dtype=out.dtype).cumsum(axis=2, out=out[:, 1:, 1:])


def sum_triangles_numpy(x, out):
    """The recursion, row by row."""
    x = np.pad(x, ((0, 0), (1, 0), (0, 0))).astype(out.dtype)
    for i in range(1, out.shape[1]):
        fresh, t1, t2 = x[:, i - 1] + x[:, i], out[:, i - 1], out[:, max(i - 2, 0)]
        out[:, i, 0], out[:, i, -1] = t1[:, 1], t1[:, -2] + fresh[:, -1]
        out[:, i, 1:-1] = t1[:, :-2] + t1[:, 2:] - t2[:, 1:-1] + fresh[:, :-1]


@kernel(twin=column_sums_numpy, out="out")
def column_sums(start, stop, x, rows, out):
    """An item is one band of `rows` rows of one image."""
    bands, W = out.shape[1:]
    for item in range(start, stop):
        m, band = item // bands, item % bands
        total = out[m, band]
        total[:] = 0
        for i in range(band * rows, (band + 1) * rows):
            row = x[m, i]
            for j in range(W):
                total[j] += row[j]


@kernel(twin=sum_bands_numpy, out="out")
def sum_bands(start, stop, x, above, rows, out):
    """An item is one band of `rows` rows of one image, written under the row `above` it (M, bands, W + 1).

    Four rows at a time: four independent running sums keep the processor busy where one would wait for itself.
    Rows after the last are computed from the last and written to a spare row.
    """
    bands, W = above.shape[1], x.shape[2]
    spare = np.zeros(W, out.dtype)
    zero = spare[0]
    for item in range(start, stop):
        m, band = item // bands, item % bands
        before, end = above[m, band, 1:], min((band + 1) * rows, x.shape[1])
        for i in range(band * rows, end, 4):
            x0, x1, x2, x3 = x[m, i], x[m, min(i + 1, end - 1)], x[m, min(i + 2, end - 1)], x[m, min(i + 3, end - 1)]
            y0 = out[m, i + 1, 1:]
            y1 = out[m, i + 2, 1:] if i + 1 < end else spare
            y2 = out[m, i + 3, 1:] if i + 2 < end else spare
            y3 = out[m, i + 4, 1:] if i + 3 < end else spare
            a, b, c, d = zero, zero, zero, zero
            for j in range(W):
                a, b, c, d = a + x0[j], b + x1[j], c + x2[j], d + x3[j]
                total = before[j] + a
                y0[j] = total
                total += b
                y1[j] = total
                total += c
                y2[j] = total
                y3[j] = total + d
            before = y3


@part
def sum_columns(first, stop, x, above, y):
    """y[j] = above[j] + sum of x[i] over i <= j, for first <= j < stop; the columns before are done."""
    total = y[first - 1] - above[first - 1] if first else 0
    for j in range(first, stop):
        total += x[j]
        y[j] = above[j] + total


@kernel(twin=sum_bands_numpy, out="out", vector=True)
def sum_byte_bands(start, stop, x, above, rows, address, lanes, out):
    """As `sum_bands`: vectors of `lanes` bytes by the routine of `prefix` at `address`, the columns round them here.

    Vectors begin where those of y do not lie across two cache lines: such stores take twice the time.
    """
    bands, W = above.shape[1], x.shape[2]
    for item in range(start, stop):
        m, band = item // bands, item % bands
        before = above[m, band, 1:]
        for i in range(band * rows, min((band + 1) * rows, x.shape[1])):
            row, y = x[m, i], out[m, i + 1, 1:]
            first = min(-(y.ctypes.data // 8) % 8, W)
            groups = (W - first) // lanes
            sum_columns(0, first, row, before, y)
            if groups:
                carry = y[first - 1] - before[first - 1] if first else 0
                call(address, (groups, carry, before.ctypes.data + 8 * first, row.ctypes.data + first,
                               y.ctypes.data + 8 * first))
            sum_columns(first + groups * lanes, W, row, before, y)
            before = y


@kernel(twin=sum_triangles_numpy, out="out")
def sum_triangles(start, stop, x, out):
    """An item is one image. Inside, T[i, j] = T[i-1, j-1] + T[i-1, j+1] - T[i-2, j] + x[i-1, j-1] + x[i-2, j-1];
    beyond the sides T[i, -1] = T[i-1, 0] and T[i, W+1] = T[i-1, W], so that there terms cancel."""
    H, W = x.shape[1:]
    for m in range(start, stop):
        fresh = np.zeros(W, out.dtype)
        for i in range(1, H + 1):
            t, t1, t2, row, last = out[m, i], out[m, i - 1], out[m, max(i - 2, 0)], x[m, i - 1], x[m, max(i - 2, 0)]
            for j in range(W):
                fresh[j] = row[j]
            if i > 1:
                for j in range(W):
                    fresh[j] += last[j]
            t[0], t[W] = t1[1], t1[W - 1] + fresh[W - 1]
            inner, right, up = t[1:], t1[2:], t2[1:]
            for j in range(W - 1):
                inner[j] = t1[j] + right[j] - up[j] + fresh[j]
