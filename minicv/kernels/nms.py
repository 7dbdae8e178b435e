"""Non-maximum suppression: of boxes that overlap much, keep the best.

Greedy: take boxes by descending score (equal scores: lower index first); a box is kept unless a kept box of its
class overlaps it with IoU > threshold, compared in float64. Two searches give the same answer:

    all pairs   each kept box strikes out the rest in one vectorised loop; best up to a thousand boxes
    cells       kept boxes lie in a hash table of cells, on levels: a box whose width is in [2^(k-1), 2^k) and whose
                height is in [2^(l-1), 2^l) lies in the cell of size 2^k x 2^l that holds its corner (x1, y1)

If IoU > t, both widths share more than t times the larger one, and so do the heights. Hence only levels of widths
between t times the own and its inverse are visited, likewise for heights, and there only the cells from
x1 - (1 - t) 2^k to x1 + (1 - t) width. Where these would be more cells than kept boxes on the level, all of those are
compared: at most (boxes times kept boxes) comparisons, memory O(N).

References: Rosenfeld & Thurston, IEEE Trans. Computers 1971; Girshick et al., CVPR 2014; soft suppression: Bodla et
al., ICCV 2017.
Departures: none. NB: torchvision compares in the dtype of the boxes and separates classes by shifting boxes.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, BoxError, DTypeError, ShapeError
from .launch import example
from .nms_loops import soften, suppress_cells, suppress_pairs
from .overlap import check_boxes, scale_exponent

FEW = 1000                          # up to here all pairs are mostly faster
FINEST = 2.0**-40                   # of the largest coordinate: smaller sides are left to the search of all pairs
METHODS = ("linear", "gaussian")


def nms(boxes, scores, *, iou_threshold=0.5):
    """Indices of the boxes that are kept, by descending score.

    Parameters
    ----------
    boxes : array (N, 4)
        xyxy, any real dtype.
    scores : array (N,)
        Any finite numbers.
    iou_threshold : float in [0, 1]
        A box goes if its IoU with a better kept box is larger; 0 keeps only boxes that do not overlap.

    Returns
    -------
    int64 array (R,)

    Raises
    ------
    ShapeError, DTypeError
        For boxes that are not (N, 4) or scores that are not (N,) real numbers.
    BoxError
        For a box that is inverted or not finite, or a score that is not finite.
    ArgError
        For a threshold outside [0, 1].

    >>> nms(np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]]), np.array([0.9, 0.8, 0.7]))
    array([0, 2])
    """
    boxes, scores = _checked("nms", boxes, scores, iou_threshold)
    return _keep(boxes, scores, np.zeros(len(boxes), np.int64), iou_threshold)


def batched_nms(boxes, scores, labels, *, iou_threshold=0.5):
    """`nms` for each class (or image) on its own: boxes with different labels (N,) never meet.

    Labels are any integers, compared as such. Returns int64 indices (R,) by descending score over all classes.
    """
    boxes, scores = _checked("batched_nms", boxes, scores, iou_threshold)
    return _keep(boxes, scores, _check_labels("batched_nms", labels, len(boxes)), iou_threshold)


class SoftNMS(NamedTuple):
    """Result of `soft_nms`: int64 indices (R,) and their lowered scores (R,), descending."""
    keep: np.ndarray
    scores: np.ndarray


def soft_nms(boxes, scores, labels=None, *, method="linear", iou_threshold=0.3, sigma=0.5, score_threshold=1e-3):
    """Lower the scores of overlapping boxes instead of dropping them.

    Again and again the best remaining box is taken, and each other one of its class is multiplied by

        linear:    1 - IoU  if IoU > iou_threshold, else 1                              (Bodla et al., eq. 2)
        gaussian:  exp(-IoU^2 / sigma)                                                  (eq. 3)

    Parameters
    ----------
    boxes, scores
        As for `nms`, but scores at least 0.
    labels : integer array (N,) or None
        Classes as in `batched_nms`; None is one class.
    method : {"linear", "gaussian"}
    iou_threshold : float in [0, 1]
        For "linear".
    sigma : float > 0
        For "gaussian".
    score_threshold : float
        Boxes whose score falls below are left out.

    Returns
    -------
    SoftNMS
        Scores in the dtype given, float64 for integers.

    Raises
    ------
    ShapeError, DTypeError, BoxError, ArgError
        As `nms`; and for a negative score, an unknown method, or a sigma that is not positive.
    """
    wanted = np.asarray(scores).dtype
    boxes, scores = _checked("soft_nms", boxes, scores, iou_threshold)
    labels = np.zeros(len(boxes), np.int64) if labels is None else _check_labels("soft_nms", labels, len(boxes))
    _check_soft(scores, method, sigma, score_threshold)
    scores, order = scores.astype(np.float64), np.full(len(boxes), -1, np.int64)
    soften(_scaled(boxes), labels, method == "linear", float(iou_threshold), float(sigma), float(score_threshold),
           scores, order)
    order = order[order >= 0]
    return SoftNMS(order, scores[order].astype(wanted if wanted.kind == "f" else np.float64))


def descending(values):
    """Order of falling values (N,); equal values keep theirs. Works for every dtype without changing a value."""
    return len(values) - 1 - np.argsort(values[::-1], kind="stable")[::-1]


def _keep(boxes, scores, labels, threshold):
    order = descending(scores)
    keep, boxes, labels = np.ones(len(order), bool), _scaled(boxes).take(order, axis=0), labels[order]
    if len(order) <= FEW:
        suppress_pairs(boxes, labels, float(threshold), keep)
    else:
        _keep_of_many(boxes, labels, float(threshold), keep)
    return order[keep]


def _keep_of_many(boxes, labels, threshold, keep):
    """`suppress_cells` for the boxes that have an area (others neither go nor suppress), unless some are too fine."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    solid = width * height > 0
    finest = np.minimum(width, height).min(where=solid, initial=np.inf)
    if finest < abs(boxes).max() * FINEST:
        suppress_pairs(boxes, labels, threshold, keep)
    elif solid.any():
        some = keep[solid]
        suppress_cells(boxes[solid], labels[solid], threshold, *_cells(width[solid], threshold),
                       *_cells(height[solid], threshold), some)
        keep[solid] = some


def _scaled(boxes):
    e = scale_exponent(boxes)
    return np.ldexp(boxes, -e) if e else boxes


def _cells(side, threshold):
    """For one axis: levels (N, 3), own, first and last to search, counted from the smallest side; 1 / cell size of
    each level."""
    levels = np.empty((len(side), 3), np.int64)
    levels[:, 0] = own = _exponent(side)
    lowest, highest = own.min(), own.max()
    ratio = max(threshold * (1 - 1e-9), 1e-15)                  # far less than IoU can be off by rounding
    levels[:, 1] = _exponent(side * ratio).clip(lowest)
    levels[:, 2] = _exponent(side / ratio).clip(None, highest)
    return levels - lowest, np.ldexp(1.0, -np.arange(lowest, highest + 1))


def _exponent(x):
    """e with 2^(e - 1) <= x < 2^e for positive float64 x: read from its bits."""
    return (x.view(np.int64) >> 52) - 1022


def _checked(function, boxes, scores, threshold):
    boxes, scores = check_boxes(function, "boxes", boxes), np.asarray(scores)
    if scores.shape != boxes.shape[:1]:
        raise ShapeError(f"{function}: scores has shape {scores.shape}, expected {boxes.shape[:1]} as for the boxes")
    if scores.dtype.kind not in "fiu":
        raise DTypeError(f"{function}: scores has dtype {scores.dtype}, expected real numbers")
    if not np.isfinite(scores).all():
        row = int(np.isfinite(scores).argmin())
        raise BoxError(f"{function}: scores[{row}] is {scores[row]}, expected a finite number")
    _check_number(function, "iou_threshold", threshold, "a number in [0, 1]", lambda t: 0 <= t <= 1)
    return boxes, scores


def _check_labels(function, labels, count):
    """Labels as int64 (N,); whole floats are taken, too."""
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise ShapeError(f"{function}: labels has shape {labels.shape}, expected ({count},) as for the boxes")
    if labels.dtype.kind not in "iuf" or not (np.isfinite(labels) & (labels == np.trunc(labels))).all():
        raise DTypeError(f"{function}: labels is {labels.dtype} with values that are no whole numbers, "
                         f"expected integers")
    return labels.astype(np.int64)


def _check_soft(scores, method, sigma, score_threshold):
    if method not in METHODS:
        raise ArgError(f"soft_nms: method is {method!r}, expected one of {', '.join(METHODS)}")
    if (scores < 0).any():
        row = int((scores < 0).argmax())
        raise BoxError(f"soft_nms: scores[{row}] is {scores[row]}, expected at least 0; "
                       f"a factor below 1 would raise it")
    _check_number("soft_nms", "sigma", sigma, "a number above 0", lambda v: 0 < v < np.inf)
    _check_number("soft_nms", "score_threshold", score_threshold, "a finite number", np.isfinite)


def _check_number(function, name, value, wanted, good):
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not good(value):
        raise ArgError(f"{function}: {name} is {value!r}, expected {wanted}")


@example
def _example(dtype):
    boxes, scores, labels = np.ones((2 * FEW, 4), dtype), np.zeros(2 * FEW, dtype), np.zeros(2 * FEW, np.int64)
    boxes[:, :2] = 0
    for n in (1, 2 * FEW):
        batched_nms(boxes[:n], scores[:n], labels[:n])
    soft_nms(boxes[:2], scores[:2])
