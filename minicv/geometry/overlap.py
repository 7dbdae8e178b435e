r"""How well two boxes agree: IoU and its extensions that still say something about boxes that do not touch.

With the hull C, the smallest box around a and b, the distance d of the centres and the diagonal c of the hull:

.. math::
    \mathrm{IoU}  &= |a \cap b| \,/\, (|a| + |b| - |a \cap b|) \\
    \mathrm{GIoU} &= \mathrm{IoU} - |C \setminus (a \cup b)| \,/\, |C| \\
    \mathrm{DIoU} &= \mathrm{IoU} - d^2 / c^2 \\
    \mathrm{CIoU} &= \mathrm{DIoU} - \alpha v, \quad
    v = \tfrac{4}{\pi^2} (\arctan\tfrac{w_b}{h_b} - \arctan\tfrac{w_a}{h_a})^2, \quad
    \alpha = v / (1 - \mathrm{IoU} + v)

The formulas are a few lines of ops, so they have derivatives of every order; arrays give arrays. Two arrays of
boxes under plain IoU take the compiled kernel instead.

No epsilon is added anywhere: equal boxes have exactly the value 1 (D-5). A box without area has IoU 0 with every
box (D6); only in GIoU, DIoU and CIoU two *equal* boxes without area count as agreeing, so that their loss is 0 (D-4).

References: Jaccard 1901; Rezatofighi et al., CVPR 2019 (GIoU); Zheng et al., AAAI 2020 (DIoU, CIoU).
Departures: none. NB: torchvision adds 1e-7 to denominators of the losses and gives NaN for empty boxes in box_iou.
"""

import math

import numpy as np

from ..autograd.activation import relu
from ..autograd.elementwise import arctan2, maximum, minimum, where
from ..autograd.op import array
from ..autograd.reduce import mean, sum
from ..autograd.tensor import Tensor
from ..errors import ShapeError
from ..kernels.overlap import pairwise_iou, scale_exponent
from .boxes import _area
from .check import check_boxes, check_choice, in_double


def box_iou(a, b, *, paired=False, inclusive=False):
    """Intersection over union.

    Parameters
    ----------
    a, b : Tensor or array (N, 4), (M, 4), boxes xyxy
    paired : bool, default False
        False compares every box of a with every box of b, (N, M); True row with row, (N,).
    inclusive : bool, default False
        Count x2 and y2 as covered pixels (widths x2 - x1 + 1), as old code does.

    Returns
    -------
    Tensor or array in [0, 1]; equal boxes give exactly 1, boxes without area 0.

    Raises ShapeError, DTypeError; BoxError for a box that is not finite or has x2 < x1 or y2 < y1.

    >>> box_iou(np.array([[0, 0, 2, 2]]), np.array([[1, 1, 3, 3], [4, 0, 6, 2]])).round(4)
    array([[0.1429, 0.    ]])
    """
    a, b = _checked("box_iou", a, b, paired)
    if paired or inclusive or isinstance(a, Tensor) or isinstance(b, Tensor):
        return _compare(lambda a, b: _iou(a, b, inclusive), a, b, paired)
    return pairwise_iou(a, b)


def generalized_box_iou(a, b, *, paired=False):
    """GIoU in (-1, 1]: negative for boxes far apart. Arguments, shapes and errors as `box_iou`."""
    return _compare(_giou, *_checked("generalized_box_iou", a, b, paired), paired)


def distance_box_iou(a, b, *, paired=False):
    """DIoU in (-1, 1]: also the centres should meet. Arguments, shapes and errors as `box_iou`."""
    return _compare(_diou, *_checked("distance_box_iou", a, b, paired), paired)


def complete_box_iou(a, b, *, paired=False):
    """CIoU in (-2, 1]: also the shapes should agree. Arguments, shapes and errors as `box_iou`.

    The weight alpha counts as a constant in derivatives, as in the paper.
    """
    return _compare(_ciou, *_checked("complete_box_iou", a, b, paired), paired)


def box_loss(boxes, target, *, kind="giou", reduction="mean"):
    """1 - agreement of each box with its own target.

    Parameters
    ----------
    boxes, target : Tensor or array (N, 4), xyxy
    kind : {"iou", "giou", "diou", "ciou"}
        "iou" has no gradient for boxes that do not touch.
    reduction : {"mean", "sum", "none"}
        The mean over no boxes is 0, with a gradient of 0 (D-1). Many detectors divide the sum by a count of their own.

    Returns
    -------
    scalar, or (N,) with "none"

    Raises ShapeError, DTypeError, ArgError; BoxError before a bad box becomes a NaN loss (D-3).
    """
    check_choice("box_loss", "kind", kind, tuple(_KINDS))
    check_choice("box_loss", "reduction", reduction, ("mean", "sum", "none"))
    loss = 1 - _compare(_KINDS[kind], *_checked("box_loss", boxes, target, True, ("boxes", "target")), True)
    return loss if reduction == "none" else sum(loss) if reduction == "sum" or not len(loss) else mean(loss)


# The formulas, on float64 boxes (..., 4) that broadcast ----------------------------------------------------------


def _iou(a, b, inclusive=False):
    inter = _intersection(a, b, inclusive)
    return _ratio(inter, _area(a, inclusive) + _area(b, inclusive) - inter)


def _giou(a, b):
    inter, hull = _intersection(a, b), _hull(a, b)
    area = hull[0] * hull[1]
    return _agreement(a, b) - _ratio(area - (_area(a) + _area(b) - inter), area)


def _diou(a, b):
    dx, dy = ((a[..., k] + a[..., k + 2] - b[..., k] - b[..., k + 2]) * 0.5 for k in (0, 1))
    w, h = _hull(a, b)
    return _agreement(a, b) - _ratio(dx * dx + dy * dy, w * w + h * h)


def _ciou(a, b):
    turn = _shape_angle(b) - _shape_angle(a)
    v = turn * turn * (4 / np.pi**2)
    fixed = array(v)                                                    # alpha is a constant on purpose
    return _diou(a, b) - v * _ratio(fixed, 1 - array(_agreement(a, b)) + fixed)


_KINDS = {"iou": _iou, "giou": _giou, "diou": _diou, "ciou": _ciou}


def _intersection(a, b, inclusive=False):
    w, h = (relu(minimum(a[..., k + 2], b[..., k + 2]) - maximum(a[..., k], b[..., k]) + inclusive) for k in (0, 1))
    return w * h


def _hull(a, b):
    """Width and height of the smallest box around both."""
    return tuple(maximum(a[..., k + 2], b[..., k + 2]) - minimum(a[..., k], b[..., k]) for k in (0, 1))


def _agreement(a, b):
    """IoU, and 1 for equal boxes without area."""
    x, y = array(a), array(b)
    equal = (x == y).all(axis=-1) & (array(_area(a)) == 0)
    return where(equal, 1.0, _iou(a, b))


def _shape_angle(boxes):
    return arctan2(boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1])


def _ratio(part, whole):
    """part / whole, 0 where the whole is nothing; both values and derivatives stay finite."""
    some = array(whole) > 0
    return where(some, part / where(some, whole, 1.0), 0.0)


# Plumbing ---------------------------------------------------------------------------------------------------------


def _checked(function, a, b, paired, names=("a", "b")):
    a, b = check_boxes(function, names[0], a), check_boxes(function, names[1], b)
    if paired and len(a) != len(b):
        raise ShapeError(f"{function}: {names[1]} has {len(b)} boxes, expected {len(a)} as {names[0]}")
    return a, b


def _compare(formula, a, b, paired):
    """`formula` of a and b row by row, or of all pairs; absurd coordinates are scaled first, which changes nothing."""
    e = max(scale_exponent(*(array(x).astype(np.float64) for x in (a, b))), -1000)
    unit = math.ldexp(1.0, -e)

    def scaled(a, b):
        a, b = (a * unit, b * unit) if e else (a, b)
        return formula(a, b) if paired else formula(a[:, None, :], b[None, :, :])
    return in_double(scaled, a, b)
