"""Classification: how often the largest score belongs to the right class."""

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError


def accuracy(scores, target, *, ignore_index=-1):
    """Fraction of samples whose largest score is that of the target class.

    Parameters
    ----------
    scores : array (N, K)
        Logits or probabilities; ties go to the lower class.
    target : int array (N,)
        Classes in [0, K); `ignore_index` leaves a sample out.

    Returns
    -------
    float in [0, 1]; NaN when nothing is left to count.
    """
    return top_k_accuracy(scores, target, k=1, ignore_index=ignore_index)


def top_k_accuracy(scores, target, *, k, ignore_index=-1):
    """Fraction of samples whose target is among the `k` largest scores; ties go to the lower class."""
    scores, target = np.asarray(scores), np.asarray(target)
    if scores.ndim != 2:
        raise ShapeError(f"top_k_accuracy: scores has shape {scores.shape}, expected (N, K)")
    target = _classes("top_k_accuracy", "target", target, scores.shape[1], ignore_index)
    if len(target) != len(scores):
        raise ShapeError(f"top_k_accuracy: target has shape {target.shape}, expected ({len(scores)},)")
    if not 1 <= k <= scores.shape[1]:
        raise ArgError(f"top_k_accuracy: k is {k}, expected in [1, {scores.shape[1]}]")
    kept = target != ignore_index
    best = np.argsort(-scores[kept], axis=1, kind="stable")[:, :k]
    hits = (best == target[kept, None]).any(axis=1)
    return float(hits.mean()) if len(hits) else float("nan")


def confusion_matrix(predicted, true, *, num_classes, ignore_index=-1):
    """counts[t, p]: how many samples of true class t were predicted as class p.

    Parameters
    ----------
    predicted, true : int arrays (N,) in [0, num_classes)
        Samples whose true class is `ignore_index` are left out.

    Returns
    -------
    int64 array (num_classes, num_classes); rows sum to the class sizes.
    """
    true = _classes("confusion_matrix", "true", np.asarray(true), num_classes, ignore_index)
    predicted = _classes("confusion_matrix", "predicted", np.asarray(predicted), num_classes, None)
    if predicted.shape != true.shape:
        raise ShapeError(f"confusion_matrix: predicted has shape {predicted.shape}, expected {true.shape}")
    kept = true != ignore_index
    pairs = true[kept] * num_classes + predicted[kept]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def _classes(function, name, labels, num_classes, ignore_index):
    """Checked labels (N,) as int64."""
    if labels.ndim != 1:
        raise ShapeError(f"{function}: {name} has shape {labels.shape}, expected (N,)")
    if labels.dtype.kind not in "iu" and labels.size:
        raise DTypeError(f"{function}: {name} has dtype {labels.dtype}, expected integers")
    wrong = np.flatnonzero((labels != ignore_index) & ~((labels >= 0) & (labels < num_classes)))
    if wrong.size:
        i = wrong[0]
        raise ArgError(f"{function}: {name}[{i}] is {labels[i]}, expected a class in [0, {num_classes})")
    return labels.astype(np.int64)
