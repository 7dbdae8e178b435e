"""Is a detection right? Matching, average precision per class and its mean, on arrays per image.

images: one target and one prediction each
  | match_detections   greedy, by falling score                       -> object or none per detection
  | precision_recall   all images of a class together                 -> PRCurve
  | average_precision  one number per class, NaN without objects      -> mean over the classes that have some
DetectionScores

The code here is written to be read; `coco` does the same for many thresholds at once, fast.
"""

import numbers
from typing import NamedTuple

import numpy as np

from ..errors import ArgError, ShapeError
from .average_precision import average_precision, precision_recall
from .entries import checked_pairs


class Matches(NamedTuple):
    """Per detection: the object it matches or -1 (n,) int64, and whether it counts neither way (n,) bool."""

    objects: np.ndarray
    ignored: np.ndarray


class DetectionScores(NamedTuple):
    """mean_ap: mean of `ap` over classes with objects, NaN if there is none. ap (K,): NaN without objects.
    curves: one PRCurve per class. num_objects, num_detections (K,): those that count."""

    mean_ap: float
    ap: np.ndarray
    curves: tuple
    num_objects: np.ndarray
    num_detections: np.ndarray


def match_detections(ious, *, threshold=0.5, strict=False, ignore=None, crowd=None, assign="unmatched") -> Matches:
    """Match the detections of one image and class to its objects.

    Parameters
    ----------
    ious : array (n, G)
        Intersection over union; row i belongs to the detection with the i-th highest score.
    threshold : float in (0, 1]
    strict : bool
        Whether a match needs IoU > threshold instead of >= (COCO and VOC: >=).
    ignore : bool (G,) or None
        Objects that count neither as found nor as missed, and their detections neither as right nor wrong.
    crowd : bool (G,) or None
        Objects that any number of detections may match; they are ignored, too.
    assign : {"unmatched", "best"}
        "unmatched" (COCO): to the free object of highest IoU, to an ignored one only if no other is left.
        "best" (VOC): to the object of highest IoU, and wrong if that is taken. Here ignored objects are never
        used up.

    Every object is matched at most once, so that a second detection of it is wrong.
    """
    ious, ignore, crowd = _checked_match(ious, threshold, ignore, crowd, assign)
    enough = ious > threshold if strict else ious >= threshold
    free = np.ones(ious.shape[1], bool)
    objects, ignored = np.full(len(ious), -1), np.zeros(len(ious), bool)
    for d, row in enumerate(ious):
        g = (_best if assign == "best" else _best_free)(row, enough[d], free, ignore)
        if g >= 0:
            objects[d], ignored[d] = g, ignore[g]
            free[g] = crowd[g] or assign == "best" and ignore[g]
    return Matches(objects, ignored)


def _best(row, enough, free, ignore):
    """The object of highest IoU, -1 if that is too low or taken."""
    g = int(row.argmax()) if row.size else -1
    return g if g >= 0 and enough[g] and free[g] else -1


def _best_free(row, enough, free, ignore):
    """The free object of highest IoU (of equal ones the last), one that is ignored only as a last resort."""
    for kind in (False, True):
        chosen = np.flatnonzero(enough & free & (ignore == kind))
        if len(chosen):
            return int(chosen[row[chosen] == row[chosen].max()][-1])
    return -1


def evaluate_detections(predictions, targets, *, num_classes, threshold=0.5, strict=False,
                        interpolation="interp-all", assign="unmatched", inclusive=False) -> DetectionScores:
    """Average precision of every class at one IoU threshold, and its mean.

    Parameters
    ----------
    predictions, targets : sequences with one entry per image, or dicts {image id: entry}
        An entry is a dict or an object with ``boxes`` (R, 4) xyxy and ``labels`` (R,), a prediction also with
        ``scores`` (R,) in [0, 1]; a target may have ``ignore`` or ``difficult`` (R,) bool: neither found nor missed.
    num_classes : int
        K; labels lie in [0, K).
    threshold, strict, assign : see `match_detections`
    interpolation : see `average_precision`
    inclusive : bool
        Whether x2 and y2 are the last pixel inside, so that a box is x2 - x1 + 1 wide, as in the VOC kit.

    Pascal VOC 2007: ``interpolation="11pt", assign="best"``; from 2010 on ``"interp-all"``.
    Raises DataFormatError for predictions of unknown images (up to five are named), BoxError for inverted or
    non-finite boxes and scores outside [0, 1], ShapeError and ArgError for the rest.
    """
    pairs = checked_pairs("evaluate_detections", predictions, targets, num_classes)
    settings = dict(threshold=threshold, strict=strict, assign=assign)
    _check_settings(settings, interpolation)
    curves, counts = [], []
    for label in range(num_classes):
        rows = [_match_image(p, t, label, inclusive, settings) for p, t in pairs
                if label in p["labels"] or label in t["labels"]]
        found, scores = (np.concatenate([r[k] for r in rows]) if rows else np.zeros(0) for k in (0, 1))
        counts.append(sum(r[2] for r in rows))
        curves.append(precision_recall(found.astype(bool), scores, counts[-1]))
    ap = np.array([average_precision(c.precision, c.recall, interpolation=interpolation) if n else np.nan
                   for c, n in zip(curves, counts, strict=True)])
    mean = float(ap[~np.isnan(ap)].mean()) if any(counts) else float("nan")
    return DetectionScores(mean, ap, tuple(curves), np.array(counts), np.array([len(c.scores) for c in curves]))


def evaluate_voc(predictions, targets, *, num_classes, year=2010, threshold=0.5, inclusive=False) -> DetectionScores:
    """`evaluate_detections` by the rules of Pascal VOC; before 2010 with 11 points.

    Objects marked ``difficult`` are neither required nor punished. inclusive=True for boxes as they stand in the
    files, where x2 and y2 are the last pixel inside.
    """
    if not isinstance(year, (int, np.integer)):
        raise ArgError(f"evaluate_voc: year is {year!r}, expected an integer such as 2007")
    interpolation = "interp-all" if year >= 2010 else "11pt"
    return evaluate_detections(predictions, targets, num_classes=num_classes, threshold=threshold, assign="best",
                               interpolation=interpolation, inclusive=inclusive)


def step_table(predictions, targets, *, num_classes, label=0, threshold=0.5, strict=False, assign="unmatched",
               inclusive=False) -> list:
    """Every step from detections to the curve of one class, one dict per detection by falling score.

    Arguments as in `evaluate_detections`. Keys: rank (from 1), image (position or id), score, iou (with the object
    it matches, else the highest), object (position in its target or None), verdict ("TP", "FP" or "ignored"), tp, fp,
    precision and recall after this step (None for steps that are ignored).
    """
    pairs = checked_pairs("step_table", predictions, targets, num_classes)
    if label not in range(num_classes):
        raise ArgError(f"step_table: label is {label!r}, expected in [0, {num_classes})")
    names = list(targets) if isinstance(targets, dict) else range(len(pairs))
    settings = dict(threshold=threshold, strict=strict, assign=assign)
    _check_settings(settings)
    rows, total = [], 0
    for name, (p, t) in zip(names, pairs, strict=True):
        steps, count = _steps(p, t, label, inclusive, settings)
        rows += [{"rank": 0, "image": name, **step} for step in steps]
        total += count
    rows.sort(key=lambda row: -row["score"])                                     # stable
    tp = fp = 0
    for rank, row in enumerate(rows, 1):
        counts = row["verdict"] != "ignored"
        tp, fp = tp + (row["verdict"] == "TP"), fp + (row["verdict"] == "FP")
        row.update(rank=rank, tp=tp, fp=fp, precision=tp / (tp + fp) if counts else None,
                   recall=tp / total if counts and total else None)
    return rows


def _select(prediction, target, label, inclusive):
    """Of one class: its detections by falling score, its objects, their IoU and the flags of the objects."""
    order = np.flatnonzero(prediction["labels"] == label)
    order = order[np.argsort(-prediction["scores"][order], kind="stable")]
    objects = np.flatnonzero(target["labels"] == label)
    flags = {name: target[name][objects] for name in ("ignore", "crowd")}
    flags["ignore"] |= flags["crowd"]
    ious = box_overlaps(prediction["boxes"][order], target["boxes"][objects], flags["crowd"], inclusive)
    return order, objects, ious, flags


def _match_image(prediction, target, label, inclusive, settings):
    """(right (n,), scores (n,)) of the detections that count, and the number of objects that do."""
    order, objects, ious, flags = _select(prediction, target, label, inclusive)
    matches = match_detections(ious, **flags, **settings)
    kept = ~matches.ignored
    return (matches.objects >= 0)[kept], prediction["scores"][order][kept], int((~flags["ignore"]).sum())


def _steps(prediction, target, label, inclusive, settings):
    order, objects, ious, flags = _select(prediction, target, label, inclusive)
    matches = match_detections(ious, **flags, **settings)
    rows = []
    for d, row, g, ignored in zip(order, ious, *matches, strict=True):
        verdict = "ignored" if ignored else "TP" if g >= 0 else "FP"
        rows.append({"score": float(prediction["scores"][d]), "iou": float(row[g] if g >= 0 else row.max(initial=0)),
                     "object": int(objects[g]) if g >= 0 else None, "verdict": verdict})
    return rows, int((~flags["ignore"]).sum())


def box_overlaps(boxes, objects, crowd, inclusive=False):
    """IoU (n, G) of boxes xyxy in float64, 0 with a box of no area; with a crowd the union is the box alone."""
    low = np.maximum(boxes[:, None, :2], objects[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], objects[None, :, 2:])
    shared = np.clip(high - low + inclusive, 0, None).prod(axis=2)
    own, other = ((b[:, 2:] - b[:, :2] + inclusive).prod(axis=1) for b in (boxes, objects))
    union = own[:, None] + np.where(crowd, 0, other - shared)
    return shared / np.where(union > 0, union, 1)


def _check_settings(settings, interpolation="area"):
    """Refuse them even where nothing has to be matched."""
    match_detections(np.zeros((0, 0)), **settings)
    average_precision([], [], interpolation=interpolation)


def _checked_match(ious, threshold, ignore, crowd, assign):
    ious = np.asarray(ious, np.float64)
    if ious.ndim != 2:
        raise ShapeError(f"match_detections: ious has shape {ious.shape}, expected (n, G)")
    if not ((ious >= 0) & (ious <= 1)).all():
        raise ArgError("match_detections: ious has values outside [0, 1]")
    if not isinstance(threshold, numbers.Real) or not 0 < threshold <= 1:
        raise ArgError(f"match_detections: threshold is {threshold}, expected a number in (0, 1]")
    if assign not in ("unmatched", "best"):
        raise ArgError(f"match_detections: assign is {assign!r}, expected 'unmatched' or 'best'")
    flags = [np.zeros(ious.shape[1], bool) if f is None else np.asarray(f, bool) for f in (ignore, crowd)]
    for name, flag in zip(("ignore", "crowd"), flags, strict=True):
        if flag.shape != ious.shape[1:]:
            raise ShapeError(f"match_detections: {name} has shape {flag.shape}, expected ({ious.shape[1]},)")
    return ious, flags[0] | flags[1], flags[1]
