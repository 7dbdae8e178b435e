"""What COCO evaluation computes with: flat arrays of objects, from COCO's dicts or from arrays per image."""

from itertools import chain
from typing import NamedTuple

import numpy as np

from ..errors import ArgError, BoxError, DataFormatError, ShapeError
from ..geometry.polygons import segmentation_rle
from ..geometry.rle import check_rle, check_size, rle_area, rle_box, rle_encode, rles_from_strings
from .average_precision import check_scores
from .entries import LARGEST, checked_pairs, field, paired_entries


class Objects(NamedTuple):
    """D objects or detections: image and label (D,) positions int64, boxes (D, 4) float64 (x, y, width, height), masks
    (list of RLE or None), area and score (D,) float64, crowd and ignore (D,) bool."""

    image: np.ndarray
    label: np.ndarray
    boxes: np.ndarray
    masks: list
    area: np.ndarray
    score: np.ndarray
    crowd: np.ndarray
    ignore: np.ndarray

    def take(self, which):
        """The objects at these positions, or where a bool array is True."""
        picked = {name: value[which] for name, value in self._asdict().items() if name != "masks"}
        where = np.arange(len(self.image))[which]
        return Objects(masks=None if self.masks is None else [self.masks[i] for i in where], **picked)


def make_objects(image, label, boxes, masks, area=None, score=None, crowd=None, ignore=None):
    """Objects with the usual values for what is not given: area of the mask or box, no flag set."""
    count = len(image)
    if area is None:
        area = boxes[:, 2] * boxes[:, 3] if masks is None else np.array([rle_area(m) for m in masks], float)
    flags = [np.zeros(count, bool) if f is None else f for f in (crowd, ignore)]
    return Objects(image, label, boxes, masks, area, np.zeros(count) if score is None else score, *flags)


# COCO's dicts ---------------------------------------------------------------------------------------------


def objects_from_dicts(dataset, results, iou_type):
    """(objects, detections, class ids (K,) rising, number of images) of a data set and a list of results."""
    images, annotations, categories = (_part(dataset, name) for name in ("images", "annotations", "categories"))
    if not isinstance(results, (list, tuple)):
        raise DataFormatError(f"evaluate_coco: results is a {type(results).__name__}, expected a list of dicts")
    image_ids, class_ids = (np.unique(_integers(name, "id", rows)) for name, rows in
                            (("images", images), ("categories", categories)))
    sizes = _sizes(images) if iou_type == "segm" else None
    truth = _columns("annotations", annotations, image_ids, class_ids, sizes)
    crowd, ignore = (_flags(annotations, key) for key in ("iscrowd", "ignore"))
    found = _columns("results", results, image_ids, class_ids, sizes)
    score = check_scores("evaluate_coco", [r.get("score", np.nan) for r in results], "results' score")
    truth = truth._replace(crowd=crowd, ignore=ignore, area=_areas(annotations, truth.area))
    return truth, found._replace(score=score), class_ids, len(image_ids)


def _flags(annotations, key):
    values = [a.get(key, 0) for a in annotations]
    wrong = [v for v in values if v not in (0, 1)]
    if wrong:
        raise DataFormatError(f"evaluate_coco: annotations have {len(wrong)} times {key} such as {wrong[0]!r:.40}, "
                              "expected 0 or 1")
    return np.array(values, bool)


def _part(dataset, name):
    rows = dataset.get(name) if isinstance(dataset, dict) else None
    if not isinstance(rows, (list, tuple)):
        raise DataFormatError(f"evaluate_coco: dataset has {type(rows).__name__} as {name}, expected a dict with lists "
                              "images, annotations, categories")
    return rows


def _integers(what, key, rows):
    """The values of one key, int64."""
    try:
        values = np.array([row[key] for row in rows]) if rows else np.zeros(0, np.int64)
    except (KeyError, TypeError, ValueError) as e:
        raise DataFormatError(f"evaluate_coco: {what} have a {key} that is missing: {e!r:.80}") from None
    if values.dtype.kind not in "iu" or values.ndim != 1:
        first = values.flat[0] if values.size else []
        raise DataFormatError(f"evaluate_coco: {what} have a {key} that is no integer, such as {first!r:.40}")
    return values.astype(np.int64)


def _sizes(images):
    """(height, width) by image id."""
    columns = (_integers("images", key, images).tolist() for key in ("id", "height", "width"))
    return {i: check_size((height, width), f"image {i}") for i, height, width in zip(*columns, strict=True)}


def _areas(annotations, own):
    """The annotated areas; that of the mask or box where there is none."""
    areas = [a.get("area") for a in annotations]
    try:
        area = np.array([o if a is None else a for a, o in zip(areas, own, strict=True)], np.float64)
    except (TypeError, ValueError):
        area = np.array([[np.nan]])
    if area.shape != own.shape or not (area >= 0).all():
        raise DataFormatError("evaluate_coco: annotations have an area that is no number >= 0")
    return area


def _columns(what, entries, image_ids, class_ids, sizes):
    """The fields that objects and results have in common."""
    image = _positions(what, "image_id", entries, image_ids)
    label = _positions(what, "category_id", entries, class_ids)
    if sizes is None:
        return make_objects(image, label, _boxes(what, entries), None)
    masks = _masks(what, entries, [sizes[e["image_id"]] for e in entries])
    return make_objects(image, label, np.zeros((len(masks), 4)), masks)


def _masks(what, entries, sizes):
    """Segmentations as RLE; all compressed strings, which are most, in one go."""
    def name(i):
        return f"segmentation of {what}[{i}] (id {entries[i].get('id')})"

    forms = [e.get("segmentation") for e in entries]
    packed = [i for i, (form, size) in enumerate(zip(forms, sizes, strict=True)) if isinstance(form, dict)
              and isinstance(form.get("counts"), (str, bytes)) and form.get("size") == list(size)]
    read = rles_from_strings([forms[i]["counts"] for i in packed], [sizes[i] for i in packed],
                             what=lambda k: name(packed[k]))
    found = dict(zip(packed, read, strict=True))
    return [found[i] if i in found else segmentation_rle(form, size, what=name(i))
            for i, (form, size) in enumerate(zip(forms, sizes, strict=True))]


def _positions(what, key, entries, ids):
    """Where the ids of all entries are in `ids`, which rise."""
    wanted = _integers(what, key, entries)
    position = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
    unknown = wanted[ids[position] != wanted] if len(ids) else wanted
    if unknown.size:
        raise DataFormatError(f"evaluate_coco: {what} have {unknown.size} entries with unknown {key}, such as "
                              f"{np.unique(unknown)[:5].tolist()}, expected ids of the data set")
    return position


def _boxes(what, entries):
    try:
        lengths = {len(e["bbox"]) for e in entries} - {4}
        boxes = np.fromiter(chain.from_iterable(e["bbox"] for e in entries), float, -1 if lengths else 4 * len(entries))
    except (KeyError, TypeError, ValueError) as e:
        raise DataFormatError(f"evaluate_coco: {what} have a bbox that is missing or no numbers: {e!r:.80}") from None
    if lengths:
        raise DataFormatError(f"evaluate_coco: {what} have a bbox of {lengths.pop()} numbers, expected x, y, width, "
                              "height")
    boxes = boxes.reshape(-1, 4)
    wrong = np.flatnonzero(~((abs(boxes) < LARGEST).all(axis=1) & (boxes[:, 2:] >= 0).all(axis=1)))
    if wrong.size:
        raise BoxError(f"evaluate_coco: {what}[{wrong[0]}].bbox is {boxes[wrong[0]].tolist()}, expected finite x, y, "
                       "width >= 0 and height >= 0")
    return boxes


# Arrays per image -----------------------------------------------------------------------------------------


def objects_from_arrays(predictions, targets, num_classes, iou_type):
    """(objects, detections, number of images) of one entry per image."""
    function = "evaluate_coco_arrays"
    pairs = paired_entries(function, predictions, targets)
    if iou_type == "segm":
        pairs = [tuple(None if e is None else _with_masks(function, name, e) for name, e in zip(
            ("predictions", "targets"), pair, strict=True)) for pair in pairs]
    checked = checked_pairs(function, [p for p, _ in pairs], [t for _, t in pairs], num_classes)
    truth = _flat([t for _, t in checked], [t for _, t in pairs], iou_type)
    found = _flat([p for p, _ in checked], [p for p, _ in pairs], iou_type)
    areas = [field(t, "areas") for _, t in pairs]
    if any(a is not None for a in areas):
        truth = truth._replace(area=_joined(_checked_areas(function, i, a, truth.area[truth.image == i])
                                            for i, a in enumerate(areas)))
    return truth, found, len(pairs)


def _checked_areas(function, i, areas, own):
    """The areas (R,) of one target, those of its boxes or masks where it has none."""
    areas = np.asarray(own if areas is None else areas)
    if areas.shape != own.shape or areas.dtype.kind not in "iuf":
        raise ShapeError(f"{function}: targets[{i}].areas has shape {areas.shape} and dtype {areas.dtype}, expected "
                         f"numbers {own.shape}")
    if not (areas >= 0).all():
        raise ArgError(f"{function}: targets[{i}].areas is {areas.tolist()!r:.60}, expected numbers >= 0")
    return areas


def _with_masks(function, name, entry):
    """The entry with its masks as RLE, and the boxes around them."""
    masks, labels = field(entry, "masks"), field(entry, "labels")
    counts = [None if rows is None else len(rows) for rows in (masks, labels)]
    if None in counts or counts[0] != counts[1]:
        raise ShapeError(f"{function}: {name} have {counts[0]} masks and {counts[1]} labels, expected as many")
    masks = [check_rle(m.counts, m.size, what=name) if hasattr(m, "counts") else rle_encode(m) for m in masks]
    names = ("labels", "scores", "crowd", "ignore", "difficult", "areas")
    return {"boxes": np.array([rle_box(m) for m in masks]).reshape(-1, 4), "masks": masks,
            **{n: field(entry, n) for n in names}}


def _flat(checked, entries, iou_type):
    """Entries of all images one after the other."""
    image = np.repeat(np.arange(len(checked)), [len(e["labels"]) for e in checked])
    boxes = _joined((e["boxes"] for e in checked), (0, 4))
    boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    masks = [m for e in entries if e is not None for m in e["masks"]] if iou_type == "segm" else None
    names = [n for n in ("crowd", "ignore", "scores") if checked and n in checked[0]]
    extra = {n.removesuffix("s"): _joined(e[n] for e in checked) for n in names}
    return make_objects(image, _joined(e["labels"] for e in checked).astype(np.int64), boxes, masks, **extra)


def _joined(arrays, empty=(0,)):
    arrays = [np.asarray(a) for a in arrays]
    return np.concatenate(arrays) if arrays else np.zeros(empty)
