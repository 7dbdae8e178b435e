r"""Boxes as corrections of reference boxes: what a detector learns instead of coordinates.

With the reference (xa, ya, wa, ha) and the box (x, y, w, h), both as centre and size,

.. math:: t = \left(\frac{x - x_a}{w_a}, \frac{y - y_a}{h_a}, \ln\frac{w}{w_a}, \ln\frac{h}{h_a}\right),

which does not change when image and boxes are shifted or scaled together.

Reference: Girshick et al., CVPR 2014 (R-CNN), appendix C, eq. 6-9; means and deviations as in Girshick, ICCV 2015.
"""

import math

import numpy as np

from ..autograd.elementwise import clip, exp, log
from ..autograd.op import array
from ..autograd.shape import concat
from ..autograd.tensor import Tensor
from ..errors import BoxError, DTypeError, ShapeError
from .boxes import box_convert
from .check import check_boxes, check_number, in_double

MAX_LOG_RATIO = math.log(1000 / 16)       # 4.135: no decoded side is more than 62.5 times that of its reference


def encode_boxes(boxes, anchors, *, means=(0, 0, 0, 0), stds=(1, 1, 1, 1)):
    """Corrections (N, 4) = (dx, dy, dw, dh) that turn the anchors into the boxes, minus `means`, over `stds`.

    Parameters
    ----------
    boxes, anchors : Tensor or array (N, 4), xyxy
    means, stds : 4 numbers, stds > 0
        Fast R-CNN divides by (0.1, 0.1, 0.2, 0.2), so that corrections are of the size of 1.

    Raises
    ------
    ShapeError, DTypeError, ArgError
    BoxError
        For a box or an anchor without area, whose logarithm is not finite (D-16).

    >>> encode_boxes(np.array([[39.0, 50, 69, 70]]), np.array([[40.0, 30, 60, 70]])).round(4)
    array([[ 0.2   ,  0.25  ,  0.4055, -0.6931]])
    """
    means, stds = _scaling("encode_boxes", means, stds)
    boxes, anchors = _with_area("encode_boxes", "boxes", boxes), _with_area("encode_boxes", "anchors", anchors)
    _same_count("encode_boxes", "boxes", boxes, anchors)

    def encode(b, a):
        b, a = box_convert(b, "xyxy", "cxcywh"), box_convert(a, "xyxy", "cxcywh")
        shift = (b[:, :2] - a[:, :2]) / a[:, 2:]
        return (concat(shift, log(b[:, 2:] / a[:, 2:]), axis=1) - means) / stds
    return in_double(encode, boxes, anchors)


def decode_boxes(corrections, anchors, *, means=(0, 0, 0, 0), stds=(1, 1, 1, 1), max_log_ratio=MAX_LOG_RATIO):
    """Boxes xyxy (N, 4) that the corrections (N, 4) make of the anchors (N, 4) xyxy: the inverse of `encode_boxes`.

    Parameters
    ----------
    max_log_ratio : float >= 0
        dw and dh are cut to at most this, lest an untrained network overflow; the gradient of what is cut is 0.
        NB: like torchvision; the limit is on growth only.

    Raises ShapeError, DTypeError, ArgError; BoxError for an anchor without area or a correction that is not finite.
    """
    means, stds = _scaling("decode_boxes", means, stds)
    limit = check_number("decode_boxes", "max_log_ratio", max_log_ratio, low=0)
    corrections, anchors = _corrections(corrections), _with_area("decode_boxes", "anchors", anchors)
    _same_count("decode_boxes", "corrections", corrections, anchors)

    def decode(t, a):
        t, a = t * stds + means, box_convert(a, "xyxy", "cxcywh")
        centre = a[:, :2] + t[:, :2] * a[:, 2:]
        half = 0.5 * a[:, 2:] * exp(clip(t[:, 2:], high=limit))
        return concat(centre - half, centre + half, axis=1)
    return in_double(decode, corrections, anchors)


def _with_area(function, name, boxes):
    boxes = check_boxes(function, name, boxes)
    values = array(boxes)
    good = (values[:, :2] < values[:, 2:]).all(axis=1)
    if not good.all():
        row = int(good.argmin())
        raise BoxError(f"{function}: {name}[{row}] is {values[row].tolist()}, expected width and height > 0")
    return boxes


def _corrections(corrections):
    corrections = corrections if isinstance(corrections, Tensor) else np.asarray(corrections)
    values = array(corrections)
    if values.ndim != 2 or values.shape[1] != 4:
        raise ShapeError(f"decode_boxes: corrections has shape {values.shape}, expected (N, 4)")
    if values.dtype.kind != "f":
        raise DTypeError(f"decode_boxes: corrections has dtype {values.dtype}, expected floats")
    good = np.isfinite(values).all(axis=1)
    if not good.all():
        row = int(good.argmin())
        raise BoxError(f"decode_boxes: corrections[{row}] is {values[row].tolist()}, expected finite numbers")
    return corrections


def _same_count(function, name, x, anchors):
    if len(x) != len(anchors):
        raise ShapeError(f"{function}: {name} has {len(x)} rows, expected {len(anchors)} as anchors")


def _scaling(function, means, stds):
    for name, values in (("means", means), ("stds", stds)):
        if np.shape(values) != (4,):
            raise ShapeError(f"{function}: {name} has shape {np.shape(values)}, expected (4,)")
        for v in values:
            check_number(function, name, v, low=0 if name == "stds" else -math.inf, open_low=name == "stds")
    return np.asarray(means, dtype=np.float64), np.asarray(stds, dtype=np.float64)
