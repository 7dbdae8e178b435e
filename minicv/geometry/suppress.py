"""Of boxes that overlap, keep the best: non-maximum suppression."""

import numpy as np

from ..autograd.op import array
from ..kernels import nms as kernel
from .check import check_boxes, check_labels, check_number

ANY = np.iinfo(np.int64).min            # labels only tell boxes apart, so they may be negative


def nms(boxes, scores, threshold=0.5, labels=None):
    """Positions of the boxes that non-maximum suppression keeps, by descending score.

    Again and again the best remaining box goes to the output, and the boxes *of its class* that overlap it with
    IoU > threshold are deleted.

    Parameters
    ----------
    boxes : Tensor or array (N, 4), xyxy
    scores : Tensor or array (N,), finite; equal scores: the lower position first (D8)
    threshold : float in [0, 1]
        0 keeps only boxes that do not overlap, 1 keeps all.
    labels : int array (N,) or None
        Boxes of different classes never delete each other; None is one class.

    Returns
    -------
    int64 array (R,)

    Raises
    ------
    ShapeError, DTypeError, ArgError
    BoxError
        For a box that is inverted or not finite, or a score that is not finite (D-6).

    References: Rosenfeld & Thurston 1971; Girshick et al., CVPR 2014.
    NB: overlaps are compared in float64, torchvision compares in the type of the boxes (D7).

    >>> nms(np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]]), np.array([0.9, 0.8, 0.7]))
    array([0, 2])
    """
    threshold = check_number("nms", "threshold", threshold, low=0, high=1)
    if labels is None:
        return kernel.nms(array(boxes), array(scores), iou_threshold=threshold)
    labels = check_labels("nms", labels, len(check_boxes("nms", "boxes", boxes)), low=ANY)
    return kernel.batched_nms(array(boxes), array(scores), labels, iou_threshold=threshold)


def soft_nms(boxes, scores, labels=None, *, method="linear", iou_threshold=0.3, sigma=0.5, score_threshold=1e-3):
    """Lower the scores of overlapping boxes instead of deleting them (Bodla et al., ICCV 2017).

    See `minicv.kernels.nms.soft_nms` for the two methods. Arguments may be Tensors, as for `nms`.

    Returns
    -------
    (keep, scores) : int64 positions (R,) and their lowered scores (R,), descending
    """
    labels = None if labels is None else array(labels)
    return kernel.soft_nms(array(boxes), array(scores), labels, method=method, iou_threshold=iou_threshold,
                           sigma=sigma, score_threshold=score_threshold)
