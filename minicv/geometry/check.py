"""Checks of boxes, scores and labels: a typed error that names the row beats a NaN loss a thousand steps later."""

import math
import numbers

import numpy as np

from ..autograd.engine import cast
from ..autograd.op import array
from ..autograd.tensor import Tensor
from ..errors import ArgError, BoxError, DTypeError, ShapeError

LARGEST_LABEL = np.iinfo(np.int64).max
FORMATS = ("xyxy", "xywh", "cxcywh")


def check_boxes(function, name, boxes, fmt="xyxy"):
    """`boxes` as an array or Tensor (N, 4) with finite coordinates and sizes >= 0.

    Raises
    ------
    ShapeError, DTypeError
        For anything but real numbers (N, 4).
    BoxError
        Names the first box that is not finite or has a negative size (D-2, D-6).
    """
    boxes = boxes if isinstance(boxes, Tensor) else np.asarray(boxes)
    values = array(boxes)
    if values.ndim != 2 or values.shape[1] != 4:
        raise ShapeError(f"{function}: {name} has shape {values.shape}, expected (N, 4); no boxes are (0, 4)")
    if values.dtype.kind not in "fiu":
        raise DTypeError(f"{function}: {name} has dtype {values.dtype}, expected real numbers")
    finite = np.isfinite(values).all(axis=1)
    ordered = _ordered(values, fmt)
    if not (finite & ordered).all():
        row = int((finite & ordered).argmin())
        hint = f"; most rows are no {fmt}: is the format right?" if 2 * np.sum(~ordered) > len(values) > 1 else ""
        what = "x1 <= x2 and y1 <= y2" if fmt == "xyxy" else "sizes w, h >= 0"
        raise BoxError(f"{function}: {name}[{row}] is {values[row].tolist()}, "
                       f"expected finite numbers with {what}{hint}")
    return boxes


def _ordered(values, fmt):
    """Rows without a negative size; a row with a NaN is not among them."""
    return (values[:, 2:] >= (values[:, :2] if fmt == "xyxy" else 0)).all(axis=1)


def check_size(function, size):
    """An image size as the pair of floats (height, width), both > 0."""
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ArgError(f"{function}: size is {size!r}, expected (height, width)")
    return tuple(check_number(function, "size", n, low=0, open_low=True) for n in size)


def check_number(function, name, value, *, low=-math.inf, high=math.inf, open_low=False):
    """`value` as a float in [low, high], or (low, high] with `open_low`; NaN, infinity and bool are refused."""
    good = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_)) and math.isfinite(value)
    if not good or not low <= value <= high or (open_low and value == low):
        span = "" if low == -math.inf and high == math.inf else f" in {'(' if open_low else '['}{low}, {high}]"
        raise ArgError(f"{function}: {name} is {value!r}, expected a finite number{span}")
    return float(value)


def check_choice(function, name, value, allowed):
    """`value` if it is one of `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise ArgError(f"{function}: {name} is {value!r}, expected one of {', '.join(map(repr, allowed))}")
    return value


def check_scores(function, scores, count, *, high=math.inf):
    """Finite scores (count,) as an array; ShapeError, DTypeError or BoxError with the first bad one (D-6, D-12)."""
    scores = array(scores)
    if scores.shape != (count,):
        raise ShapeError(f"{function}: scores has shape {scores.shape}, expected ({count},)")
    if scores.dtype.kind not in "fiu":
        raise DTypeError(f"{function}: scores has dtype {scores.dtype}, expected real numbers")
    good = np.isfinite(scores) & (True if high == math.inf else (scores >= 0) & (scores <= high))
    if not good.all():
        row = int(good.argmin())
        what = "a finite number" if high == math.inf else f"a number in [0, {high:g}]"
        raise BoxError(f"{function}: scores[{row}] is {scores[row]}, expected {what}")
    return scores


def check_labels(function, labels, count, *, low=0):
    """Class numbers (count,) >= `low` as int64; ShapeError, DTypeError or ArgError."""
    labels = array(labels)
    if labels.shape != (count,):
        raise ShapeError(f"{function}: labels has shape {labels.shape}, expected ({count},)")
    if labels.dtype.kind not in "iu" and labels.size:
        raise DTypeError(f"{function}: labels has dtype {labels.dtype}, expected class numbers (integers)")
    wrong = (labels < low) | (labels > LARGEST_LABEL)
    if wrong.any():
        row = int(wrong.argmax())
        raise ArgError(f"{function}: labels[{row}] is {labels[row]}, expected a class number in [{low}, 2^63)")
    return labels.astype(np.int64)


def in_double(function, *boxes):
    """`function` of boxes computed in float64 and rounded once (D-7).

    The result has the promoted type of float inputs and is float64 where there is an integer.
    """
    dtypes = [array(b).dtype for b in boxes]
    kind = np.result_type(np.float32, *dtypes) if all(d.kind == "f" for d in dtypes) else np.dtype(np.float64)
    return cast(function(*(cast(b, dtype=np.float64) for b in boxes)), dtype=kind)
