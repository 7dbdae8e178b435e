"""COCO: one JSON file with images, annotations and categories.

Boxes are [x, y, width, height] in pixels; a segmentation is a list of polygons or a run-length code. Category ids have
gaps; labels here are positions in the list of categories by rising id.
Reference: Lin et al. 2014, Microsoft COCO, and the description of its data format.
"""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np

from ...errors import ArgError, DataFormatError, DataMissingError, MinicvError, ShapeError
from ...files import atomic_write, check_member_name, read_limited, safe_join
from ...geometry.polygons import segmentation_rle
from ...geometry.rle import rle_decode, rle_encode, rle_to_string
from ..datasets import check_classes, check_index
from .image import read_image, write_png

__all__ = ["COCO", "coco_dict", "parse_coco", "write_coco"]

MAX_BYTES = 2**30
PARTS = ("images", "annotations", "categories")


def parse_coco(data: bytes, *, what: str = "coco") -> dict:
    """images, annotations and categories of a COCO file, each a checked list of dicts.

    Missing ``iscrowd`` and ``ignore`` become 0; a missing ``area`` is that of the box. Everything is checked but the
    pixels of the masks; those are when they are made.
    Raises DataFormatError: no JSON, NaN, a key that occurs twice, too deep; or one message with all kinds of faults,
    how often each occurs and the first five ids: ids that are no integers or occur twice, image_id or category_id
    that do not exist, sizes that are not positive, boxes that are not four finite numbers or have a negative side,
    flags other than 0 and 1, segmentations that are none, file names that leave their folder.
    """
    content = _parse_json(data, what)
    if not isinstance(content, dict):
        raise DataFormatError(f"parse_coco: {what} holds a {type(content).__name__}, expected an object with {PARTS}")
    dataset = {}
    for part in PARTS:
        dataset[part] = content.get(part)
        if not isinstance(dataset[part], list) or not all(isinstance(entry, dict) for entry in dataset[part]):
            raise DataFormatError(f"parse_coco: {what}: {part} is a {type(dataset[part]).__name__}, expected a list of "
                                  "objects")
    faults = _Faults()
    _check_ids(dataset, faults)
    for image in dataset["images"]:
        _check_image(image, faults)
    for category in dataset["categories"]:
        faults.unless(isinstance(category.get("name"), str), "categories without a name", category)
    images, categories = ({entry.get("id") for entry in dataset[part] if _is_int(entry.get("id"))}
                          for part in ("images", "categories"))
    for annotation in dataset["annotations"]:
        _check_annotation(annotation, images, categories, faults)
    faults.report(what)
    for annotation in dataset["annotations"]:
        _, _, width, height = annotation["bbox"]
        annotation.update({"iscrowd": 0, "ignore": 0, "area": float(width * height)} | annotation)
    return dataset


class _Faults(dict):
    """What is wrong, and the ids of the entries where it is."""

    def unless(self, good, kind, entry):
        if not good:
            self.setdefault(kind, []).append(entry.get("id"))

    def report(self, what):
        if self:
            kinds = "; ".join(f"{len(ids)} {kind} (ids {ids[:5]!r:.100})" for kind, ids in self.items())
            raise DataFormatError(f"parse_coco: {what} has {kinds}, expected none")


def _parse_json(data, what):
    def pairs(items):
        entry = dict(items)
        if len(entry) < len(items):
            twice = Counter(key for key, _ in items).most_common(1)[0][0]
            raise DataFormatError(f"parse_coco: {what} has the duplicate key {twice!r:.60}, expected each once")
        return entry

    def constant(name):
        raise DataFormatError(f"parse_coco: {what} has the value {name}, expected finite numbers")

    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=pairs, parse_constant=constant)
    except DataFormatError:
        raise
    except RecursionError:
        raise DataFormatError(f"parse_coco: {what} is nested too deep") from None
    except ValueError as e:                          # no JSON, no UTF-8, an integer of thousands of digits
        raise DataFormatError(f"parse_coco: {what} is no sound JSON: {e}") from None


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**62


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**62   # NaN is not


def _check_ids(dataset, faults):
    for part in PARTS:
        seen = set()
        for entry in dataset[part]:
            id = entry.get("id")
            faults.unless(_is_int(id), f"{part} with an id that is no integer", entry)
            if _is_int(id):
                faults.unless(id not in seen, f"{part} with the id of another", entry)
                seen.add(id)


def _check_image(image, faults):
    sizes = [image.get(side) for side in ("height", "width")]
    faults.unless(all(_is_int(n) and n > 0 for n in sizes), "images without a positive height and width", image)
    try:
        check_member_name("parse_coco", image.get("file_name"))
    except MinicvError:
        faults.unless(False, "images whose file_name is missing or leaves its folder", image)


def _check_annotation(annotation, images, categories, faults):
    for key, known in (("image_id", images), ("category_id", categories)):
        value = annotation.get(key)
        faults.unless(_is_int(value) and value in known, f"annotations with an unknown {key}", annotation)
    box = annotation.get("bbox")
    good = isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
    faults.unless(good, "annotations whose bbox is not four numbers", annotation)
    faults.unless(not good or min(box[2:]) >= 0, "annotations whose bbox has a negative side", annotation)
    for key in ("iscrowd", "ignore"):
        faults.unless(annotation.get(key, 0) in (0, 1), f"annotations whose {key} is not 0 or 1", annotation)
    area = annotation.get("area", 0)
    faults.unless(_is_number(area) and area >= 0, "annotations whose area is no number >= 0", annotation)
    faults.unless(_is_segmentation(annotation.get("segmentation", {"counts": "", "size": []})),
                  "annotations whose segmentation is neither polygons nor runs", annotation)


def _is_segmentation(value):
    if isinstance(value, dict):
        return isinstance(value.get("counts"), (str, list)) and isinstance(value.get("size"), list)
    return isinstance(value, list) and len(value) > 0 and all(
        isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 and all(map(_is_number, p)) for p in value)


class COCO:
    """The pictures, boxes and masks of a data set in COCO's format.

    ======  ==========  =======  ====================================================
    field   shape       dtype    meaning
    ======  ==========  =======  ====================================================
    image   (3, H, W)   float32  RGB in [0, 1]
    boxes   (R, 4)      float32  xyxy in pixels, half-open
    labels  (R,)        int64    position in `class_names` and `category_ids`
    crowd   (R,)        bool     a region with many objects: counts neither way
    masks   (R, H, W)   bool     only with ``masks=True``
    ======  ==========  =======  ====================================================

    root: folder of the pictures. annotations: the JSON file. keep_empty: whether pictures without annotations stay.
    `dataset` holds the checked content of the file for `metrics.evaluate_coco`; `image_ids` (N,) the id of item i.
    Raises DataMissingError if a file is absent; DataFormatError if a picture has another size than the file says or a
    mask does not fit, with the id; and as `parse_coco`.
    """

    lists = ("image", "boxes", "labels", "crowd", "masks")

    def __init__(self, root, annotations, *, masks: bool = False, keep_empty: bool = True):
        if not Path(annotations).is_file():
            raise DataMissingError(f"COCO: annotations is {str(annotations)!r}, expected a JSON file; unpack "
                                   "the archives of the data set, nothing is downloaded")
        self.root, self.what, self.masks = Path(root), str(annotations), masks
        self.dataset = parse_coco(read_limited(annotations, MAX_BYTES), what=self.what)
        categories = sorted(self.dataset["categories"], key=lambda c: c["id"])
        self.class_names = tuple(c["name"] for c in categories)
        self.category_ids = np.array([c["id"] for c in categories], np.int64)
        self._by_image = {image["id"]: [] for image in self.dataset["images"]}
        for annotation in self.dataset["annotations"]:
            self._by_image[annotation["image_id"]].append(annotation)
        self._images = [image for image in self.dataset["images"] if keep_empty or self._by_image[image["id"]]]
        self.image_ids = np.array([image["id"] for image in self._images], np.int64)

    def __len__(self):
        return len(self._images)

    def __getitem__(self, i):
        check_index("COCO", i, len(self))
        info, path = self._images[i], safe_join(self.root, self._images[i]["file_name"])
        image, rows = read_image(path), self._by_image[info["id"]]
        if image.shape[1:] != (info["height"], info["width"]):
            raise DataFormatError(f"COCO: {str(path)!r} is {image.shape[1]} x {image.shape[2]}, expected "
                                  f"{info['height']} x {info['width']} as {self.what} says")
        x, y, width, height = np.array([a["bbox"] for a in rows], np.float64).reshape(-1, 4).T
        labels = np.searchsorted(self.category_ids, np.array([a["category_id"] for a in rows], np.int64))
        sample = {"image": image, "boxes": np.stack([x, y, x + width, y + height], axis=1).astype(np.float32),
                  "labels": labels, "crowd": np.array([a["iscrowd"] for a in rows], bool)}
        return sample | ({"masks": self._masks(rows, info)} if self.masks else {})

    def results(self, predictions) -> list:
        """Predictions, one per item, as COCO's list of results for `metrics.evaluate_coco` or a file.

        predictions: dicts, `Detections` or `Segments`: boxes (R, 4) xyxy, labels, scores (R,), masks (R, H, W).
        Raises ShapeError for another number of predictions, ArgError for a label that is no position in `class_names`.
        """
        if len(predictions) != len(self):
            raise ShapeError(f"COCO.results: predictions has {len(predictions)} entries, expected {len(self)}")
        rows = []
        for id, p in zip(self.image_ids.tolist(), predictions, strict=True):
            p = p if isinstance(p, dict) else p.arrays()
            check_classes("COCO.results", p["labels"], self.class_names)
            masks = p.get("masks")
            for k, (x1, y1, x2, y2) in enumerate(np.asarray(p["boxes"], float).tolist()):
                row = {"image_id": id, "category_id": int(self.category_ids[p["labels"][k]]),
                       "score": float(p["scores"][k]), "bbox": [x1, y1, x2 - x1, y2 - y1]}
                rows.append(row if masks is None else row | {"segmentation": _pack(masks[k])})
        return rows

    def _masks(self, rows, info):
        size = info["height"], info["width"]
        masks = [rle_decode(segmentation_rle(a.get("segmentation"), size, what=f"{self.what}: annotation {a['id']}"))
                 for a in rows]
        return np.array(masks, bool).reshape(-1, *size)


def _pack(mask):
    """A bool mask (H, W) as COCO's compressed run-length code."""
    return {"size": [int(n) for n in mask.shape], "counts": rle_to_string(rle_encode(mask))}


def coco_dict(samples, class_names) -> dict:
    """Samples (boxes, labels, image; masks and crowd if there) as COCO's dicts; ids count from 1, masks become RLE."""
    images, annotations = [], []
    for i, sample in enumerate(samples, 1):
        height, width = sample["image"].shape[1:]
        images.append({"id": i, "file_name": f"{i:06d}.png", "height": height, "width": width})
        for k, (x1, y1, x2, y2) in enumerate(np.asarray(sample["boxes"], float).tolist()):
            row = {"id": len(annotations) + 1, "image_id": i, "category_id": int(sample["labels"][k]) + 1,
                   "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1),
                   "iscrowd": int(sample["crowd"][k]) if "crowd" in sample else 0}
            if "masks" in sample:
                row |= {"area": float(np.sum(sample["masks"][k])), "segmentation": _pack(sample["masks"][k])}
            annotations.append(row)
    return {"images": images, "annotations": annotations,
            "categories": [{"id": k, "name": name} for k, name in enumerate(class_names, 1)]}


def write_coco(root, samples, class_names) -> None:
    """Write samples as ``root/images/*.png`` and ``root/annotations.json``, which `COCO` reads."""
    samples = list(samples)
    dataset = coco_dict(samples, class_names)
    if not all(math.isfinite(v) for a in dataset["annotations"] for v in a["bbox"]):
        raise ArgError("write_coco: samples have boxes that are not finite")
    data = json.dumps(dataset, indent=1, allow_nan=False).encode("utf-8")
    parse_coco(data, what="samples")                              # never write what cannot be read back
    (Path(root) / "images").mkdir(parents=True, exist_ok=True)
    for image, sample in zip(dataset["images"], samples, strict=True):
        write_png(Path(root) / "images" / image["file_name"], sample["image"])
    atomic_write(Path(root) / "annotations.json", data)
