"""Predictions and targets of one image each: fields of dicts or objects, checked before anything is computed."""

import numpy as np

from ..errors import ArgError, BoxError, DataFormatError, ShapeError
from .average_precision import check_scores

LARGEST = 2.0**500                  # of coordinates, whose products must stay finite


def field(entry, *names):
    """The first of these fields that an entry, a dict or an object, has; None without any."""
    for name in names:
        value = entry.get(name) if isinstance(entry, dict) else getattr(entry, name, None)
        if value is not None:
            return value
    return None


def paired_entries(function, predictions, targets):
    """(prediction or None, target) per image, in the order of the targets."""
    if isinstance(predictions, dict) != isinstance(targets, dict):
        raise ArgError(f"{function}: predictions is a {type(predictions).__name__}, expected a "
                       f"{type(targets).__name__} as targets")
    for name, entries in (("predictions", predictions), ("targets", targets)):
        if not hasattr(entries, "__len__"):
            raise ArgError(f"{function}: {name} is a {type(entries).__name__}, expected a sequence or a dict by image")
    if not isinstance(targets, dict):
        if len(predictions) != len(targets):
            raise ShapeError(f"{function}: predictions has {len(predictions)} entries, expected {len(targets)}, one "
                             "per image")
        return list(zip(predictions, targets, strict=True))
    unknown = [i for i in predictions if i not in targets]
    if unknown:
        raise DataFormatError(f"{function}: predictions has {len(unknown)} unknown image ids {unknown[:5]}, expected "
                              f"ids of the {len(targets)} targets")
    return [(predictions.get(i), target) for i, target in targets.items()]


def checked_pairs(function, predictions, targets, num_classes):
    if isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)) or num_classes < 1:
        raise ArgError(f"{function}: num_classes is {num_classes!r}, expected an integer >= 1")
    pairs = paired_entries(function, predictions, targets)
    return [(checked_entry(function, f"predictions[{i}]", p, num_classes, scored=True),
             checked_entry(function, f"targets[{i}]", t, num_classes)) for i, (p, t) in enumerate(pairs)]


def checked_entry(function, what, entry, num_classes, *, scored=False) -> dict:
    """boxes (R, 4) float64, labels (R,) and scores or ignore (R,) of one image; an absent prediction is empty."""
    entry = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "scores": np.zeros(0)} if entry is None else entry
    boxes, labels = np.asarray(field(entry, "boxes")), np.asarray(field(entry, "labels"))
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "iuf":
        raise ShapeError(f"{function}: {what}.boxes has shape {boxes.shape} and dtype {boxes.dtype}, expected (R, 4)")
    if labels.shape != (len(boxes),) or labels.dtype.kind not in "iu" and labels.size:
        raise ShapeError(f"{function}: {what}.labels has shape {labels.shape} and dtype {labels.dtype}, expected "
                         f"integers ({len(boxes)},)")
    boxes, labels = boxes.astype(np.float64), labels.astype(np.int64)
    wrong = np.flatnonzero(~((abs(boxes) < LARGEST).all(axis=1) & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)))
    if wrong.size:
        raise BoxError(f"{function}: {what}.boxes[{wrong[0]}] is {boxes[wrong[0]].tolist()}, expected finite x1 <= x2 "
                       "and y1 <= y2")
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if wrong.size:
        raise ArgError(f"{function}: {what}.labels[{wrong[0]}] is {labels[wrong[0]]}, expected in [0, {num_classes})")
    extra = _scores(function, what, entry, len(boxes)) if scored else _flags(function, what, entry, len(boxes))
    return {"boxes": boxes, "labels": labels, **extra}


def _scores(function, what, entry, count):
    scores = check_scores(function, field(entry, "scores"), f"{what}.scores")
    if len(scores) != count:
        raise ShapeError(f"{function}: {what}.scores has shape {scores.shape}, expected ({count},)")
    return {"scores": scores}


def _flags(function, what, entry, count):
    flags = {}
    for name in ("ignore", "difficult", "crowd"):
        value = field(entry, name)
        flags[name] = np.zeros(count, bool) if value is None else np.asarray(value)
        if flags[name].shape != (count,):
            raise ShapeError(f"{function}: {what}.{name} has shape {flags[name].shape}, expected ({count},)")
        if not np.isin(flags[name], (0, 1)).all():
            raise ArgError(f"{function}: {what}.{name} is {flags[name].tolist()!r:.60}, expected booleans")
        flags[name] = flags[name].astype(bool)
    return {"ignore": flags["ignore"] | flags["difficult"], "crowd": flags["crowd"]}
