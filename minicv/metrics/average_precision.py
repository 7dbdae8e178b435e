"""Precision, recall, their curve, and the four ways to turn the curve into one number."""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, BoxError, ShapeError

INTERPOLATIONS = ("area", "interp-all", "11pt", "101pt")


class PRCurve(NamedTuple):
    """Precision and recall (n,) after each of n detections by falling score (n,)."""

    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray


def precision_recall(correct, scores, num_objects) -> PRCurve:
    """The curve of detections of one class.

    precision_i = TP_i / i, recall_i = TP_i / num_objects, with TP_i = right ones among the first i by falling
    score; equal scores keep their order. Lowering the score threshold never lowers recall.

    Parameters
    ----------
    correct : bool array (n,)
        Whether a detection is a true positive; those that count neither way are left out before.
    scores : array (n,) in [0, 1]
    num_objects : int >= 0
        Objects that could be found; with 0, recall is NaN.
    """
    correct, scores = np.asarray(correct), check_scores("precision_recall", scores)
    if correct.shape != scores.shape or correct.dtype != bool:
        raise ShapeError(f"precision_recall: correct has shape {correct.shape} and dtype {correct.dtype}, expected "
                         f"bool {scores.shape}")
    if isinstance(num_objects, bool) or not isinstance(num_objects, (int, np.integer)):
        raise ArgError(f"precision_recall: num_objects is {num_objects!r}, expected an integer")
    if num_objects < correct.sum():
        raise ArgError(f"precision_recall: num_objects is {num_objects}, expected at least the {correct.sum()} found")
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(correct[order])
    recall = found / num_objects if num_objects else np.full(len(found), np.nan)
    return PRCurve(found / np.arange(1, len(found) + 1), recall, scores[order])


def envelope(precision) -> np.ndarray:
    """The largest precision (n,) at this or any later detection, which never rises."""
    return np.maximum.accumulate(np.asarray(precision, np.float64)[::-1])[::-1]


def average_precision(precision, recall, *, interpolation="interp-all") -> float:
    """The area under a precision-recall curve.

    Parameters
    ----------
    precision, recall : arrays (n,) by falling score, as `precision_recall` gives them
    interpolation : {"area", "interp-all", "11pt", "101pt"}
        area: sum_i (r_i - r_{i-1}) p_i. interp-all: the same with the envelope of p (VOC from 2010 on).
        11pt: mean of the envelope at recall 0, 0.1, ..., 1 (VOC 2007). 101pt: at 0, 0.01, ..., 1 (COCO).

    Returns
    -------
    float in [0, 1]; 0 without detections, NaN if recall is NaN (no objects).

    References: Everingham et al. 2010, The Pascal Visual Object Classes Challenge, section 4.2; Lin et al. 2014,
    Microsoft COCO. NB: the 101 recalls are k times the double nearest to 0.01, as in COCO's own code, so that a
    recall of 7/20 does not reach the 35th of them; the 11 recalls are exact.
    """
    precision, recall = np.asarray(precision, np.float64), np.asarray(recall, np.float64)
    _check_curve(precision, recall, interpolation)
    if np.isnan(recall).any():
        return float("nan")
    if interpolation == "area":
        return float((np.diff(recall, prepend=0) * precision).sum())
    if interpolation == "interp-all":
        return float((np.diff(recall, prepend=0) * envelope(precision)).sum())
    at = np.arange(11) / 10 if interpolation == "11pt" else np.linspace(0, 1, 101)
    return float(np.append(envelope(precision), 0)[np.searchsorted(recall, at)].mean())


def _check_curve(precision, recall, interpolation):
    if interpolation not in INTERPOLATIONS:
        raise ArgError(f"average_precision: interpolation is {interpolation!r}, expected one of {INTERPOLATIONS}")
    if precision.ndim != 1 or recall.shape != precision.shape:
        raise ShapeError(f"average_precision: precision and recall have shapes {precision.shape} and {recall.shape}, "
                         "expected (n,) both")
    if not ((precision >= 0) & (precision <= 1)).all():
        raise ArgError("average_precision: precision has values outside [0, 1]")
    if ((recall < 0) | (recall > 1)).any() or (np.diff(recall) < 0).any():
        raise ArgError("average_precision: recall is not a rising sequence in [0, 1]; sort by falling score first")


def check_scores(function, scores, name="scores"):
    """Scores (n,) as float64; BoxError for one that is no number in [0, 1]."""
    scores = np.asarray(scores)
    if scores.ndim != 1 or scores.dtype.kind not in "iuf" and scores.size:
        raise ShapeError(f"{function}: {name} has shape {scores.shape} and dtype {scores.dtype}, expected numbers (n,)")
    scores = scores.astype(np.float64)
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1)))                    # NaN is neither
    if wrong.size:
        raise BoxError(f"{function}: {name}[{wrong[0]}] is {scores[wrong[0]]}, expected in [0, 1]; "
                       "turn logits into probabilities first")
    return scores
