"""Integral images: sums over any rectangle from four look-ups.

    S[i, j] = sum of x[h, w] over h < i, w < j                  upright, (H + 1, W + 1)             (1)
    T[i, j] = sum of x[h, w] over h < i, |w - j + 1| <= i - h - 1   tilted by 45 degrees            (2)

Row 0 and column 0 of S are zero, as in OpenCV, so that no look-up needs a special case; the table of the paper,
II(i, j) = sum over h <= i, w <= j, is the slice S[..., 1:, 1:]. Integers and booleans are summed exactly in int64,
floats in float64.

Bands of rows are independent once the columns above them are summed up. Where a band begins depends on the shape
alone, so floats are rounded alike by any number of threads.

References: Crow, SIGGRAPH 1984; Viola & Jones, CVPR 2001; Lienhart & Maydt, ICIP 2002, eq. 5 (tilted).
Departures: none.
"""

import math

import numpy as np

from ..errors import ArgError, BoxError, DTypeError, ShapeError
from .launch import example, kernel

ROWS = 64                           # of a band: the sum of so many bytes fits into 16 bits


def integral_image(x, *, squared=False):
    """Table (1) of every image.

    Parameters
    ----------
    x : array (..., H, W)
        Integers, booleans or floats. NaN and infinity spread to all entries right of and below them.
    squared : bool
        Sum the squares, from which variances of windows follow.

    Returns
    -------
    array (..., H + 1, W + 1), int64 or float64

    Raises
    ------
    ShapeError, DTypeError
        For fewer than two axes; for what is no real number.
    ArgError
        For integers whose sum could leave int64.

    >>> integral_image(np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]))[1:, 1:]
    array([[ 1,  3,  6],
           [ 5, 12, 21],
           [12, 27, 45]])
    """
    planes, dtype = _planes("integral_image", x, squared)
    M, H, W = planes.shape
    out = np.empty((M, H + 1, W + 1), dtype)
    out[:, 0], out[:, :, 0] = 0, 0
    if planes.size:
        bands = -(-H // ROWS)
        above = np.zeros((M, bands, W + 1), dtype)
        if bands > 1:
            columns = np.empty((M, bands - 1, W), np.uint16 if planes.dtype == np.uint8 else dtype)
            column_sums(M * (bands - 1), planes, columns)
            np.cumsum(columns.cumsum(axis=1, dtype=dtype), axis=2, out=above[:, 1:, 1:])
        sum_bands(M * bands, planes, above, out)
    return out.reshape(*np.shape(x)[:-2], H + 1, W + 1)


def tilted_integral_image(x):
    """Table (2) of every image: x (..., H, W) -> (..., H + 1, W + 1), int64 or float64.

    T[i, j] sums a triangle that opens upwards from its tip at pixel (i - 1, j - 1). For floats rounding grows with
    the number of rows. Errors as for `integral_image`.

    >>> tilted_integral_image(np.ones((3, 3), int))
    array([[0, 0, 0, 0],
           [0, 1, 1, 1],
           [1, 3, 4, 3],
           [3, 6, 7, 6]])
    """
    planes, dtype = _planes("tilted_integral_image", x, False)
    M, H, W = planes.shape
    out = np.zeros((M, H + 1, W + 1), dtype)
    if planes.size:
        sum_triangles(M, planes, out)
    return out.reshape(*np.shape(x)[:-2], H + 1, W + 1)


def rectangle_sums(table, boxes):
    """Sums over rectangles: table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1].

    Parameters
    ----------
    table : array (..., H + 1, W + 1)
        From `integral_image`.
    boxes : integer array (..., 4)
        Any leading shape; xyxy, half-open, inside the image.

    Returns
    -------
    array (table's leading axes, boxes' leading axes), dtype of the table

    Raises
    ------
    ShapeError, DTypeError
        For a table without rows or columns, boxes that are not (..., 4) integers.
    BoxError
        For a box that is inverted or reaches outside.

    >>> rectangle_sums(integral_image(np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])), np.array([[1, 1, 3, 3]]))
    array([28])
    """
    table, boxes, (H, W) = _checked("rectangle_sums", table, boxes)
    x1, y1, x2, y2 = np.moveaxis(boxes, -1, 0)
    good = (0 <= x1) & (x1 <= x2) & (x2 <= W) & (0 <= y1) & (y1 <= y2) & (y2 <= H)
    _check_all("rectangle_sums", boxes, good, f"0 <= x1 <= x2 <= {W} and 0 <= y1 <= y2 <= {H}")
    return table[..., y2, x2] - table[..., y1, x2] - table[..., y2, x1] + table[..., y1, x1]


def tilted_sums(table, boxes):
    """Sums over rectangles turned by 45 degrees.

    From its topmost corner (x, y) a rectangle runs w steps down to the right and h steps down to the left; it
    holds 2 w h pixels: T[y, x] - T[y + h, x - h] - T[y + w, x + w] + T[y + w + h, x + w - h].

    Parameters
    ----------
    table : array (..., H + 1, W + 1)
        From `tilted_integral_image`.
    boxes : integer array (..., 4)
        (x, y, w, h) with x - h >= 0, x + w <= W, y >= 0 and y + w + h <= H.

    Returns, raises as `rectangle_sums`.
    """
    table, boxes, (H, W) = _checked("tilted_sums", table, boxes)
    x, y, w, h = np.moveaxis(boxes, -1, 0)
    good = (0 <= w) & (0 <= h) & (w <= W) & (h <= W) & (h <= x) & (x <= W - w) & (0 <= y) & (y <= H - w - h)
    _check_all("tilted_sums", boxes, good, f"w, h, y >= 0, x - h >= 0, x + w <= {W} and y + w + h <= {H}")
    return table[..., y, x] - table[..., y + h, x - h] - table[..., y + w, x + w] + table[..., y + w + h, x + w - h]


def _planes(function, x, squared):
    """Images (or their squares) as (M, H, W), and the dtype of the table."""
    x = np.asarray(x)
    if x.ndim < 2:
        raise ShapeError(f"{function}: x has shape {x.shape}, expected (..., H, W)")
    if x.dtype.kind not in "biuf":
        raise DTypeError(f"{function}: x has dtype {x.dtype}, expected real numbers")
    x = np.ascontiguousarray(x).reshape(math.prod(x.shape[:-2]), *x.shape[-2:])
    dtype = np.float64 if x.dtype.kind == "f" else np.int64
    if x.dtype == np.bool_:
        x = x.view(np.uint8)
    if x.dtype.kind in "iu" and x.dtype != np.uint8:
        _check_range(function, x, squared)
    kept = x.dtype in (np.uint8, np.float32) and not squared
    x = x if kept else x.astype(dtype)
    return x * x if squared else x, dtype


def _check_range(function, planes, squared):
    largest = max(int(planes.max(initial=0)), -int(planes.min(initial=0)))
    total = largest**(1 + squared) * planes.shape[1] * planes.shape[2]
    if total >= 2**63:
        raise ArgError(f"{function}: x is up to {largest} in magnitude, expected values whose sum over "
                       f"{planes.shape[1]} x {planes.shape[2]} pixels is below 2^63; convert it to float64")


def _checked(function, table, boxes):
    table, boxes = np.asarray(table), np.asarray(boxes)
    if table.ndim < 2 or min(table.shape[-2:]) < 1:
        raise ShapeError(f"{function}: table has shape {table.shape}, expected (..., H + 1, W + 1)")
    if boxes.ndim < 1 or boxes.shape[-1] != 4:
        raise ShapeError(f"{function}: boxes has shape {boxes.shape}, expected (..., 4)")
    if boxes.dtype.kind not in "iu":
        raise DTypeError(f"{function}: boxes has dtype {boxes.dtype}, expected integers")
    return table, boxes.astype(np.int64), (table.shape[-2] - 1, table.shape[-1] - 1)


def _check_all(function, boxes, good, wanted):
    if not good.all():
        at = tuple(int(i) for i in np.argwhere(~good)[0])
        raise BoxError(f"{function}: boxes[{', '.join(map(str, at))}] is {boxes[at].tolist()}, expected {wanted}")


def column_sums_numpy(x, out):
    """Sums over the rows of each band but the last."""
    M, bands, W = out.shape
    x[:, :bands * ROWS].reshape(M, bands, ROWS, W).sum(axis=2, dtype=out.dtype, out=out)


def sum_bands_numpy(x, above, out):
    """Two cumulative sums."""
    x.cumsum(axis=1, dtype=out.dtype).cumsum(axis=2, out=out[:, 1:, 1:])


def sum_triangles_numpy(x, out):
    """The recursion, row by row."""
    x = np.pad(x, ((0, 0), (1, 0), (0, 0))).astype(out.dtype)
    for i in range(1, out.shape[1]):
        fresh, t1, t2 = x[:, i - 1] + x[:, i], out[:, i - 1], out[:, max(i - 2, 0)]
        out[:, i, 0], out[:, i, -1] = t1[:, 1], t1[:, -2] + fresh[:, -1]
        out[:, i, 1:-1] = t1[:, :-2] + t1[:, 2:] - t2[:, 1:-1] + fresh[:, :-1]


@kernel(twin=column_sums_numpy, out="out")
def column_sums(start, stop, x, out):
    """An item is one band of one image."""
    bands, W = out.shape[1:]
    for item in range(start, stop):
        m, band = item // bands, item % bands
        total = out[m, band]
        total[:] = 0
        for i in range(band * ROWS, (band + 1) * ROWS):
            row = x[m, i]
            for j in range(W):
                total[j] += row[j]


@kernel(twin=sum_bands_numpy, out="out")
def sum_bands(start, stop, x, above, out):
    """An item is one band of one image, written under the row `above` it (M, bands, W + 1).

    Four rows at a time: four independent running sums keep the processor busy where one would wait for itself.
    Rows after the last are computed from the last and written to a spare row.
    """
    bands, W = above.shape[1], x.shape[2]
    spare = np.zeros(W, out.dtype)
    zero = spare[0]
    for item in range(start, stop):
        m, band = item // bands, item % bands
        before, end = above[m, band, 1:], min((band + 1) * ROWS, x.shape[1])
        for i in range(band * ROWS, end, 4):
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


@example
def _example(dtype):
    for x in (np.ones((2 * ROWS, 3), dtype), np.ones((2 * ROWS, 3), np.uint8)):
        integral_image(x)
        integral_image(x, squared=True)
        tilted_integral_image(x)
