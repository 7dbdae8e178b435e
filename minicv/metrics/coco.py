"""COCO evaluation: mean average precision over IoU thresholds, sizes of objects and numbers of detections.

arrays per image or COCO's dicts
  | Objects       flat arrays of all objects and all detections
  | sort          detections by (class, image, falling score), objects by (class, image)
  | overlaps      boxes or masks, only of one image and class
  | match_groups  for every area range and threshold             -> right, wrong or ignored
  | accumulate    precision at 101 recalls, for every class      -> CocoScores
The figures are those of the reference toolbox to rounding, on data without its traps (see `evaluate_coco`).
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, ShapeError
from ..geometry.rle import rle_area, rle_overlap
from ..kernels.coco import accumulate, box_overlaps, match_groups
from .coco_input import objects_from_arrays, objects_from_dicts

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10))
AREAS = ((0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10))
NAMES = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
         "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large")


class CocoScores(NamedTuple):
    """figures (12,): AP, AP50, AP75, AP of small, medium, large objects; AR with the first, second and last number of
    detections, AR of small, medium, large; NaN where nothing is defined. precision (T, R, K, A, M) at 101 recalls,
    recall (T, K, A, M): IoU thresholds T, classes K, area ranges A, numbers of detections M. ap (K,): AP per class.
    num_objects, num_detections (K,): all that are there, so that detections of a class without objects show."""

    figures: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    ap: np.ndarray
    class_ids: np.ndarray
    num_objects: np.ndarray
    num_detections: np.ndarray

    def named(self) -> dict:
        """The twelve figures by name."""
        return dict(zip(NAMES, self.figures.tolist(), strict=True))

    def lines(self) -> str:
        """The twelve figures as text; -1 where nothing is defined, as is the custom."""
        return "\n".join(f"{name:<10} {-1 if np.isnan(value) else value:.3f}" for name, value in self.named().items())


def evaluate_coco(dataset, results, *, iou_type="bbox", thresholds=THRESHOLDS, areas=AREAS,
                  max_dets=(1, 10, 100)) -> CocoScores:
    """The twelve figures of COCO from its dicts.

    Parameters
    ----------
    dataset : dict
        ``images`` [{id, height, width}], ``categories`` [{id}], ``annotations`` [{id, image_id, category_id, bbox
        [x, y, width, height], area, segmentation, iscrowd, ignore}]. Missing iscrowd and ignore are 0, a missing area
        is that of the mask ("segm") or box. An annotation with iscrowd or ignore counts neither way.
    results : list of dict
        {image_id, category_id, score in [0, 1], bbox or, for "segm", segmentation}.
    iou_type : {"bbox", "segm"}
    thresholds : IoU thresholds (T,) in (0, 1]
    areas : (all, small, medium, large), each (low, high) in pixels, bounds included; they select objects by `area`
        and detections without match by the area of their box or mask
    max_dets : three rising numbers; per image and class so many detections of highest score count

    Classes without objects (crowds are none) are NaN and left out of means. Equal scores keep the order of the list.
    Departures from the reference toolbox: an annotation may have id 0, a list may be empty, ``ignore`` is not
    overwritten by ``iscrowd``, AP honours `max_dets`, the area of a mask is that of the mask even if the result has a
    ``bbox``, too, and what it lets pass silently is refused: results of unknown
    images or classes (DataFormatError, up to five ids are named), scores that are NaN or outside [0, 1] and boxes of
    negative size (BoxError).
    Reference: Lin et al. 2014, Microsoft COCO: Common Objects in Context.
    """
    _check_settings("evaluate_coco", iou_type, thresholds, areas, max_dets)
    truth, found, class_ids, images = objects_from_dicts(dataset, results, iou_type)
    return _evaluate(truth, found, class_ids, images, thresholds, areas, max_dets)


def evaluate_coco_arrays(predictions, targets, *, num_classes, iou_type="bbox", thresholds=THRESHOLDS, areas=AREAS,
                         max_dets=(1, 10, 100)) -> CocoScores:
    """`evaluate_coco` of arrays per image.

    predictions, targets: sequences with one entry per image, or dicts {image id: entry}; an entry is a dict or an
    object with ``boxes`` (R, 4) xyxy, ``labels`` (R,) in [0, num_classes), a prediction also ``scores`` (R,); a target
    may have ``crowd``, ``ignore`` (R,) bool and ``areas`` (R,). For "segm" both have ``masks``, bool (R, H, W) or a
    list of RLE.
    """
    _check_settings("evaluate_coco_arrays", iou_type, thresholds, areas, max_dets)
    truth, found, images = objects_from_arrays(predictions, targets, num_classes, iou_type)
    return _evaluate(truth, found, np.arange(num_classes), images, thresholds, areas, max_dets)


def _evaluate(truth, found, class_ids, images, thresholds, areas, max_dets):
    """Sort, match, accumulate."""
    thresholds, areas, max_dets = np.array(thresholds, float), np.array(areas, float), np.array(max_dets)
    num_detections = np.bincount(found.label, minlength=len(class_ids))
    truth = truth.take(np.lexsort((truth.image, truth.label)))
    found = found.take(np.lexsort((-found.score, found.image, found.label)))
    groups, rank = _groups(found, images)
    found, rank = found.take(rank < max_dets[-1]), rank[rank < max_dets[-1]]
    groups, _ = _groups(found, images)
    state, ignore = _match(truth, found, groups, images, thresholds, areas)
    classes = np.searchsorted(found.label, np.arange(len(class_ids) + 1))
    order = np.lexsort((-found.score, found.label))                              # stable: ties by image, then input
    positives = np.stack([np.bincount(truth.label[row == 0], minlength=len(class_ids)) for row in ignore], axis=1)
    shape = len(class_ids), len(areas), len(max_dets), len(thresholds)
    precision, recall = np.zeros((*shape, 101)), np.zeros(shape)
    accumulate(len(class_ids), classes, order, rank, state, positives, max_dets, np.linspace(0, 1, 101), precision,
               recall)
    precision, recall = precision.transpose(3, 4, 0, 1, 2), recall.transpose(3, 0, 1, 2)
    return CocoScores(_figures(precision, recall, thresholds), precision, recall,
                      _mean(precision[..., 0, -1], axis=(0, 1)), class_ids,
                      np.bincount(truth.label, minlength=len(class_ids)), num_detections)


def _groups(found, images):
    """Bounds of the groups of one class and image (n + 1,), and the rank of each detection in its group."""
    key = found.label * images + found.image
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    bounds = np.append(starts, len(key))
    return bounds, np.arange(len(key)) - np.repeat(starts, np.diff(bounds))


def _match(truth, found, groups, images, thresholds, areas):
    """state (A, T, D) of the detections and whether an object is ignored (A, G)."""
    own, other = found.label * images + found.image, truth.label * images + truth.image
    first = np.searchsorted(other, own)
    offset = np.append(0, np.cumsum(np.searchsorted(other, own, side="right") - first))
    ious = _overlaps(truth, found, first, offset)
    ignore = (truth.ignore | truth.crowd | _outside(truth.area, areas)).astype(np.uint8)
    state = np.zeros((len(areas), len(thresholds), len(own)), np.int8)
    taken = np.zeros((len(areas), len(thresholds), len(other)), np.int8)
    match_groups(len(groups) - 1, groups, ious, offset, first, truth.crowd.astype(np.uint8), ignore,
                 _outside(found.area, areas).astype(np.uint8), thresholds, state, taken)
    return state, ignore


def _overlaps(truth, found, first, offset):
    """IoU of every detection with the objects of its image and class, one list after the other."""
    y = np.zeros(offset[-1])
    if found.masks is None:
        box_overlaps(len(found.boxes), found.boxes, truth.boxes, truth.crowd.astype(np.uint8), first, offset, y)
        return y
    d = np.repeat(np.arange(len(found.image)), np.diff(offset))
    g = first[d] + np.arange(len(d)) - offset[d]
    shared = rle_overlap(found.masks, truth.masks, np.stack([d, g], axis=1))
    own, other = (np.array([rle_area(m) for m in o.masks], np.int64) for o in (found, truth))
    return shared / np.maximum(own[d] + np.where(truth.crowd[g], 0, other[g] - shared), 1)


def _outside(area, areas):
    """Whether an area (n,) lies outside each range: (A, n)."""
    return (area < areas[:, :1]) | (area > areas[:, 1:])


def _mean(values, axis=None):
    """Mean over what is defined; NaN if nothing is."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    return np.where(count, np.where(defined, values, 0).sum(axis=axis) / np.maximum(count, 1), np.nan)


def _figures(precision, recall, thresholds):
    """The twelve numbers in their customary order."""
    at = [np.isclose(thresholds, t, rtol=0, atol=1e-9) for t in (0.5, 0.75)]
    ap = [precision[..., 0, -1], *(precision[t][..., 0, -1] for t in at), *(precision[..., a, -1] for a in (1, 2, 3))]
    ar = [*(recall[..., 0, m] for m in range(3)), *(recall[..., a, -1] for a in (1, 2, 3))]
    return np.array([_mean(values) for values in ap + ar])


def _check_settings(function, iou_type, thresholds, areas, max_dets):
    if iou_type not in ("bbox", "segm"):
        raise ArgError(f"{function}: iou_type is {iou_type!r}, expected 'bbox' or 'segm'")
    thresholds, areas, dets = (np.asarray(x, float) for x in (thresholds, areas, max_dets))
    if thresholds.ndim != 1 or not thresholds.size or not ((thresholds > 0) & (thresholds <= 1)).all():
        raise ArgError(f"{function}: thresholds is {thresholds.tolist()}, expected numbers in (0, 1]")
    if areas.shape != (4, 2) or not (areas[:, 0] <= areas[:, 1]).all():
        raise ShapeError(f"{function}: areas has shape {areas.shape}, expected four (low, high) with low <= high")
    if dets.shape != (3,) or not (np.diff(dets) >= 0).all() or dets[0] < 1 or (dets % 1).any():
        raise ArgError(f"{function}: max_dets is {max_dets}, expected three rising integers >= 1")
