"""Integral images: sums over any rectangle from four look-ups.

    S[i, j] = sum of x[h, w] over h < i, w < j                  upright, (H + 1, W + 1)             (1)
    T[i, j] = sum of x[h, w] over h < i, |w - j + 1| <= i - h - 1   tilted by 45 degrees            (2)

Row 0 and column 0 of S are zero, as in OpenCV, so that no look-up needs a special case; the table of the paper,
II(i, j) = sum over h <= i, w <= j, is the slice S[..., 1:, 1:]. Integers and booleans are summed exactly in int64,
floats in float64.

Bands of rows are independent once the columns above them are summed up. For floats the shape alone says where a band
begins, so that they are rounded alike by any number of threads; integers are exact, and each thread gets one band.

References: Crow, SIGGRAPH 1984; Viola & Jones, CVPR 2001; Lienhart & Maydt, ICIP 2002, eq. 5 (tilted).
Departures: none.
"""

import math

import numpy as np

from ..errors import ArgError, BoxError, DTypeError, ShapeError
from . import threads
from .buffers import empty
from .host import host
from .launch import compiler_runs, example

BYTE_ROWS = 2**24                   # rows of bytes whose sum surely fits uint32
ROWS = 64                           # of a band, at least


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
    out = empty((M, H + 1, W + 1), dtype)
    out[:, 0], out[:, :, 0] = 0, 0
    if planes.size:
        _sum_planes(planes, out)
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
        from .integral_loops import sum_triangles
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


def _sum_planes(planes, out):
    """Fill the table under its first row, band by band."""
    from .integral_loops import column_sums, sum_bands, sum_byte_bands
    M, H, W = planes.shape
    rows = ROWS if out.dtype == np.float64 else max(ROWS, min(-(-H // threads.get_num_threads()), BYTE_ROWS))
    bands, is_bytes = -(-H // rows), planes.dtype == np.uint8
    above = np.zeros((M, bands, W + 1), out.dtype)
    if bands > 1:
        columns = np.empty((M, bands - 1, W), np.uint32 if is_bytes else out.dtype)
        column_sums(M * (bands - 1), planes, rows, columns)
        np.cumsum(columns.cumsum(axis=1, dtype=out.dtype), axis=2, out=above[:, 1:, 1:])
    if is_bytes:
        sum_byte_bands(M * bands, planes, above, rows, _routine(), 2 * host().lanes, out)
    else:
        sum_bands(M * bands, planes, above, rows, out)


def _routine():
    """Address of the routine of `prefix`, which the twin does not need."""
    if not compiler_runs():
        return 0
    from .prefix import running_row
    return running_row.address


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


@example
def _example(dtype):
    for x in (np.ones((2 * ROWS, 3), dtype), np.ones((2 * ROWS, 3), np.uint8)):
        integral_image(x)
        integral_image(x, squared=True)
        tilted_integral_image(x)
