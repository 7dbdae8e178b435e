"""How far boxes cover each other: area of the intersection and intersection over union, for all pairs.

    inter(a, b) = max(0, min(a.x2, b.x2) - max(a.x1, b.x1)) max(0, min(a.y2, b.y2) - max(a.y1, b.y1))
    IoU(a, b)   = inter / (area(a) + area(b) - inter),  0 where a box has no area

Boxes are rows (x1, y1, x2, y2) in pixels, half-open: the width is x2 - x1. Everything is computed in float64,
from integers and small floats too, and rounded once. Identical boxes have IoU 1 exactly, IoU is symmetric
bit for bit, and it is never above 1.

Reference: Jaccard, Bull. Soc. Vaud. Sci. Nat. 37 (1901), for sets.
Departures: none. NB: torchvision's box_iou gives NaN for two boxes without area and computes in the dtype of the
boxes.
"""

import numpy as np

from ..errors import BoxError, DTypeError, ShapeError
from .launch import example, kernel

LARGEST_EXPONENT = 500              # products of two coordinates below 2^500 stay finite


def pairwise_iou(a, b):
    """Intersection over union of every box of a with every box of b.

    Parameters
    ----------
    a, b : array (N, 4), (M, 4)
        Boxes xyxy, integers or floats.

    Returns
    -------
    array (N, M) in [0, 1], float32 where neither input is wider than that, else float64.

    Raises
    ------
    ShapeError, DTypeError
        For anything but real numbers (N, 4) and (M, 4).
    BoxError
        For a box that is not finite or has x2 < x1 or y2 < y1.

    >>> pairwise_iou(np.array([[0, 0, 2, 2]]), np.array([[1, 1, 3, 3], [2, 0, 4, 2]])).round(4)
    array([[0.1429, 0.    ]])
    """
    dtype, a, b = _checked_pair("pairwise_iou", a, b)
    out, e = np.empty((len(a), len(b)), dtype), scale_exponent(a, b)
    iou(len(a), np.ldexp(a, -e), np.ldexp(b.T, -e), out)
    return out


def pairwise_intersection(a, b):
    """Area of the intersection of every box of a (N, 4) with every box of b (M, 4), in square pixels: (N, M).

    Arguments, dtype of the result and errors as for `pairwise_iou`.
    """
    dtype, a, b = _checked_pair("pairwise_intersection", a, b)
    out = np.empty((len(a), len(b)), dtype)
    intersection(len(a), a, b.T, out)
    return out


def check_boxes(function, name, boxes):
    """Boxes as float64 (N, 4), after raising ShapeError, DTypeError or BoxError for what is no list of boxes."""
    boxes = np.asarray(boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"{function}: {name} has shape {boxes.shape}, expected (N, 4); no boxes are (0, 4)")
    if boxes.dtype.kind not in "fiu":
        raise DTypeError(f"{function}: {name} has dtype {boxes.dtype}, expected real numbers")
    boxes = boxes.astype(np.float64, copy=False)
    if not np.isfinite(boxes).all() or not (boxes[:, :2] <= boxes[:, 2:]).all():
        good = np.isfinite(boxes).all(axis=1) & (boxes[:, :2] <= boxes[:, 2:]).all(axis=1)
        row = int(good.argmin())
        raise BoxError(f"{function}: {name}[{row}] is {boxes[row].tolist()}, "
                       f"expected finite x1 <= x2 and y1 <= y2")
    return boxes


def scale_exponent(*boxes):
    """e such that areas of boxes 2^-e neither overflow nor vanish; 0 for all but absurd coordinates.

    Scaling by a power of two is exact and changes no IoU.
    """
    e = int(np.frexp(max(abs(b).max(initial=0) for b in boxes))[1])
    return e if abs(e) > LARGEST_EXPONENT else 0


def _checked_pair(function, a, b):
    """(dtype of the result, float64 a, float64 b)."""
    checked = check_boxes(function, "a", a), check_boxes(function, "b", b)
    single = np.result_type(np.asarray(a), np.asarray(b)) in (np.float16, np.float32)
    return np.float32 if single else np.float64, *checked


def overlap_numpy(a, b):
    """The first formula, for boxes (N, 4) and transposed boxes (4, M): float64 (N, M)."""
    x1, y1, x2, y2 = (a[:, k, None] for k in range(4))
    w = np.minimum(x2, b[2]) - np.maximum(x1, b[0])
    h = np.minimum(y2, b[3]) - np.maximum(y1, b[1])
    return np.multiply(w, h, where=(w > 0) & (h > 0), out=np.zeros(w.shape))


def intersection_numpy(a, b, out):
    """The first formula."""
    with np.errstate(over="ignore"):
        out[...] = overlap_numpy(a, b)


def iou_numpy(a, b, out):
    """Both formulas."""
    inter = overlap_numpy(a, b)
    areas = [(v[2] - v[0]) * (v[3] - v[1]) for v in (a.T, b)]
    union = areas[0][:, None] + areas[1] - inter
    out[...] = inter / np.where(union > 0, union, 1)


@kernel(twin=intersection_numpy, out="out")
def intersection(start, stop, a, b, out):
    """An item is one row of the result; the inner loop runs over transposed boxes b (4, M)."""
    for i in range(start, stop):
        x1, y1, x2, y2 = a[i, 0], a[i, 1], a[i, 2], a[i, 3]
        for j in range(b.shape[1]):
            w = min(x2, b[2, j]) - max(x1, b[0, j])
            h = min(y2, b[3, j]) - max(y1, b[1, j])
            out[i, j] = w * h if (w > 0) & (h > 0) else 0.0


@kernel(twin=iou_numpy, out="out")
def iou(start, stop, a, b, out):
    """As `intersection`. `np.divide` has no check for zero, which would keep the loop from being vectorised."""
    area = (b[2] - b[0]) * (b[3] - b[1])
    for i in range(start, stop):
        x1, y1, x2, y2 = a[i, 0], a[i, 1], a[i, 2], a[i, 3]
        own = (x2 - x1) * (y2 - y1)
        for j in range(b.shape[1]):
            w = max(min(x2, b[2, j]) - max(x1, b[0, j]), 0.0)
            h = max(min(y2, b[3, j]) - max(y1, b[1, j]), 0.0)
            union = own + area[j] - w * h
            out[i, j] = np.divide(w * h, union if union > 0 else 1.0)


@example
def _example(dtype):
    boxes = np.array([[0, 0, 1, 1]], dtype)
    pairwise_iou(boxes, boxes)
    pairwise_intersection(boxes, boxes)
