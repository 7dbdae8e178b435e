"""Integral images: sums over any rectangle from four look-ups.

    S[i, j] = sum of x[h, w] over h < i, w < j                  upright, (H + 1, W + 1)             (1)
    T[i, j] = sum of x[h, w] over h < i, |w - j + 1| <= i - h - 1   tilted by 45 degrees            (2)

Row 0 and column 0 of S are zero, as in OpenCV, so that no look-up needs a special case; the table of the paper,
II(i, j) = sum over h <= i, w <= j, is the slice S[..., 1:, 1:]. Integers and booleans are summed exactly in int64,
floats in float64.

Row sums have no parallelism as they stand. Here sums over windows of 2, 4, 8 and 16 pixels come first, each one
vector addition; then the sum up to pixel j is that up to j - 16 plus one window. Bytes need 16 bits for this.
Bands of rows start from column sums taken before and are independent of each other.

References: Crow, SIGGRAPH 1984; Viola & Jones, CVPR 2001; Lienhart & Maydt, ICIP 2002, eq. 5 (tilted).
Departures: none.
"""

import math

import numpy as np

from ..errors import ArgError, BoxError, DTypeError, ShapeError
from .launch import example, kernel

ROWS = 64                           # of a band: sums of so many bytes fit into 16 bits, their squares into 32


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
    planes, work, total = _planes("integral_image", x, squared)
    M, H, W = planes.shape
    out = np.zeros((M, H + 1, W + 1), total)
    if planes.size:
        bands = -(-H // ROWS)
        above = np.zeros((M, bands, W + 1), total)
        if bands > 1:
            columns = np.empty((M, bands - 1, W), work)
            column_sums(M * (bands - 1), planes, columns)
            np.cumsum(columns.cumsum(axis=1, dtype=total), axis=2, out=above[:, 1:, 1:])
        sum_bands(M * bands, planes, above, np.empty(0, work), out)
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
    planes, _, total = _planes("tilted_integral_image", x, False)
    M, H, W = planes.shape
    out = np.zeros((M, H + 1, W + 1), total)
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
    """Images (or their squares) as (M, H, W), the dtype of sums over a band or window, and the dtype of the table."""
    x = np.asarray(x)
    if x.ndim < 2:
        raise ShapeError(f"{function}: x has shape {x.shape}, expected (..., H, W)")
    if x.dtype.kind not in "biuf":
        raise DTypeError(f"{function}: x has dtype {x.dtype}, expected real numbers")
    x = np.ascontiguousarray(x).reshape(math.prod(x.shape[:-2]), *x.shape[-2:])
    if x.dtype.kind == "f":
        work = total = np.float64
        x = x if x.dtype == np.float32 and not squared else x.astype(np.float64)
    elif x.dtype in (np.bool_, np.uint8):
        x, work, total = x.view(np.uint8), np.uint32 if squared else np.uint16, np.int64
    else:
        _check_range(function, x, squared)
        x, work, total = x.astype(np.int64), np.int64, np.int64
    return np.square(x, dtype=work) if squared else x, work, total


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


def sum_bands_numpy(x, above, work, out):
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
def sum_bands(start, stop, x, above, work, out):
    """An item is one band of one image, written under the row `above` it (M, bands, W + 1). Shifted views take the
    place of indices j - 1, j - 2, ...: only then are the loops vectorised."""
    bands, W = above.shape[1], x.shape[2]
    a, b, total = np.zeros(16 + W, work.dtype), np.zeros(16 + W, work.dtype), np.zeros(16 + W, out.dtype)
    a0, a1, a4, b0, b2, b8, total0 = a[16:], a[15:], a[12:], b[16:], b[14:], b[8:], total[16:]
    for item in range(start, stop):
        m, band = item // bands, item % bands
        before = above[m, band, 1:]
        for i in range(band * ROWS, min((band + 1) * ROWS, x.shape[1])):
            row, after = x[m, i], out[m, i + 1, 1:]
            for j in range(W):
                a0[j] = row[j]
            for j in range(W):
                b0[j] = a0[j] + a1[j]
            for j in range(W):
                a0[j] = b0[j] + b2[j]
            for j in range(W):
                b0[j] = a0[j] + a4[j]
            for j in range(W):
                total0[j] = total[j] + (b0[j] + b8[j])          # and a sum of 16 pixels
            for j in range(W):
                after[j] = before[j] + total0[j]
            before = after


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
