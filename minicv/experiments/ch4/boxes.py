"""Section 4.1: boxes, their formats and how they overlap."""

import numpy as np

from ...data.synthetic import Scenes
from ...errors import BoxError
from ...geometry import (
    Detections,
    Targets,
    box_area,
    box_convert,
    box_iou,
    clip_boxes,
    denormalize_boxes,
    distance_box_iou,
    flip_boxes,
    generalized_box_iou,
    masks_to_boxes,
    normalize_boxes,
)
from ...plot import PALETTE, show_boxes
from .. import Report, Target, experiment
from ..parts import exact, panels, refused
from ._boxes import BAD, random_boxes, scene
from ._errata import departures

NOTEBOOK = "notebooks/40_metrics.py"
FORMATS = ("xyxy", "xywh", "cxcywh")


@experiment(
    "box-ops", title="Boxes and their formats", chapter="4.1", notebook=NOTEBOOK, module="minicv/geometry/boxes.py",
    paper="Everingham et al. 2010, The Pascal VOC challenge", equations="w = x2 - x1, cx = (x1 + x2) / 2",
    shows="Corners, corner and size, centre and size: the same box; what happens to a box when its image is mirrored.",
    targets=[Target("worst_round_trip", "<=", 1e-12, tag="E"),
             *exact({"flip_twice": 0, "mask_boxes_differ": 0, "area_outside": 0, "bad_boxes_refused": 6})])
def box_ops(preset, rng, out, progress):
    boxes = random_boxes(rng, {"smoke": 100, "fast": 100_000, "full": 1_000_000}[preset])
    size = (80, 120)
    trips = [np.abs(box_convert(box_convert(boxes, "xyxy", fmt), fmt, "xyxy") - boxes).max() for fmt in FORMATS]
    trips.append(np.abs(denormalize_boxes(normalize_boxes(boxes, size), size) - boxes).max())
    grid = np.floor(boxes)
    twice = [flip_boxes(flip_boxes(grid, size, axis=axis), size, axis=axis) for axis in ("horizontal", "vertical")]
    outside = boxes + [200, 200, 200, 200]
    bad = refused(BoxError, *(lambda b=b: box_convert(b, "xyxy", "cxcywh") for b in BAD),
                  *(lambda f=f: box_convert(np.array([[0, 0, -1.0, 2]]), f, "xyxy") for f in ("xywh", "cxcywh")))
    metrics = {"worst_round_trip": max(trips), "flip_twice": max(np.abs(t - grid).max() for t in twice),
               "mask_boxes_differ": _mirror_errors(preset), "area_outside": box_area(clip_boxes(outside, size)).max(),
               "bad_boxes_refused": bad}
    rows = [{"format": fmt, "numbers": box_convert(np.array([[2, 3, 6, 5]]), "xyxy", fmt)[0].tolist()}
            for fmt in FORMATS]
    return Report(metrics, {"A scene, mirrored with its boxes": _mirrored}, {"One box in three formats": rows})


def _mirror_errors(preset):
    """Boxes of mirrored masks that differ from the mirrored boxes, over scenes."""
    scenes = Scenes({"smoke": 3, "fast": 200, "full": 1000}[preset], seed=0)
    size = (scenes.size, scenes.size)
    pairs = [(masks_to_boxes(s["masks"][:, :, ::-1]), flip_boxes(s["boxes"], size)) for s in scenes]
    return sum((a != b).any(axis=1).sum() for a, b in pairs)


def _mirrored():
    image, targets, names = scene()
    mirrored = Targets(flip_boxes(targets.boxes, image.shape[1:]), targets.labels)
    figure, axes = panels(2, (3.6, 3.6))
    for ax, picture, rows, title in zip(axes, (image, image[:, :, ::-1]), (targets, mirrored),
                                        ("image", "mirrored: x becomes W - x"), strict=True):
        show_boxes(picture, rows, names=names, ax=ax).set_title(title)
    return figure


@experiment(
    "iou", title="Intersection over union", chapter="4.1", notebook=NOTEBOOK, module="minicv/geometry/overlap.py",
    paper="Jaccard 1901; Rezatofighi et al. 2019, Generalized intersection over union",
    equations="IoU = |a and b| / (|a| + |b| - |a and b|); GIoU = IoU - |hull minus union| / |hull|",
    shows="IoU is the share of common pixels; it falls fast with a shift and is 0 for all distant boxes, unlike GIoU.",
    departures=departures("E4.1") + " A box without area has IoU 0 with every box instead of being an error.",
    targets=[*exact({
        "worked_example": (1 / 7, 1e-15), "printed_formula": (1.0, 1e-15), "inclusive": (2 / 7, 1e-15),
        "giou_worked_example": (-1 / 3, 1e-15), "asymmetry": 0, "of_equal_boxes": 1, "of_disjoint_boxes": 0,
        "of_boxes_without_area": 0, "bad_boxes_refused": 8}),
        Target("lowest", ">=", 0, tag="E"), Target("highest", "<=", 1, tag="E"),
        Target("off_pixel_count", "<=", 1e-15, tag="E"), Target("highest_of_different", "<", 1, tag="E")])
def iou(preset, rng, out, progress):
    a, b = np.array([[0, 0, 2, 2]]), np.array([[1, 1, 3, 3]])
    boxes = random_boxes(rng, {"smoke": 50, "fast": 1000, "full": 4000}[preset])
    matrix = box_iou(boxes, boxes)
    ratio = box_iou(a, b)[0, 0]
    union = 8 - 1.0
    metrics = {
        "worked_example": ratio, "printed_formula": 1 / (box_area(a)[0] + box_area(b)[0] - union),
        "inclusive": box_iou(a, b, inclusive=True)[0, 0],
        "giou_worked_example": generalized_box_iou(np.array([[0, 0, 1, 1]]), np.array([[2, 0, 3, 1]]))[0, 0],
        "asymmetry": np.abs(matrix - matrix.T).max(), "of_equal_boxes": matrix.diagonal().min(),
        "of_disjoint_boxes": box_iou(boxes, boxes + 1000).max(), "lowest": matrix.min(), "highest": matrix.max(),
        "highest_of_different": (matrix - np.eye(len(boxes))).max(),
        "of_boxes_without_area": box_iou(np.array([[1, 1, 1, 1], [0, 0, 2, 0]]), np.array([[0, 0, 2, 2]])).max(),
        "off_pixel_count": _off_pixel_count(rng, {"smoke": 20, "fast": 300, "full": 1000}[preset]),
        "bad_boxes_refused": refused(BoxError, *(lambda b=b: box_iou(b, boxes) for b in BAD),
                                     *(lambda b=b: box_iou(boxes, b) for b in BAD))}
    return Report(metrics, {"4.1 Four detectors: what they find and what they get wrong": _scenarios,
                            "4.2 Objects and detections with their scores": _objects_and_detections,
                            "How IoU and its extensions fall with a shift": _shifts})


def _off_pixel_count(rng, count, extent=24):
    """Largest difference between IoU and the same ratio counted on painted pixels."""
    corner, size = rng.integers(0, extent // 2, (count, 2)), rng.integers(1, extent // 2, (count, 2))
    boxes = np.concatenate([corner, corner + size], axis=1)
    y, x = np.mgrid[:extent, :extent]
    painted = ((boxes[:, 0, None, None] <= x) & (x < boxes[:, 2, None, None])
               & (boxes[:, 1, None, None] <= y) & (y < boxes[:, 3, None, None])).reshape(count, -1).astype(float)
    common = painted @ painted.T
    union = painted.sum(axis=1)[:, None] + painted.sum(axis=1) - common
    return np.abs(box_iou(boxes, boxes) - common / union).max()


def _scenarios():
    """Few and sure, many and wild, right, wrong: drawn with their recall and precision at IoU 0.5."""
    image, targets, _ = scene()
    rng = np.random.default_rng(0)
    near, wild = targets.boxes + rng.uniform(-1.5, 1.5, targets.boxes.shape), np.floor(random_boxes(rng, 6, 60))
    kinds = {"few and right": near[:1], "all, with false alarms": np.concatenate([near, wild]), "all right": near,
             "badly placed": targets.boxes + [9, 9, 9, 9]}
    figure, axes = panels(4, (3.0, 3.6))
    for ax, (title, boxes) in zip(axes, kinds.items(), strict=True):
        show_boxes(image, targets, color="black", names=[""] * 3, ax=ax)
        show_boxes(None, boxes, color=PALETTE[1], ax=ax)
        hits = (box_iou(boxes, targets.boxes) > 0.5).any(axis=0).sum()
        ax.set_title(f"{title}\nrecall {hits / len(targets):.2f}, precision {hits / len(boxes):.2f}", fontsize=9)
    return figure


def _objects_and_detections():
    image, targets, names = scene()
    scores = np.linspace(0.95, 0.6, len(targets))
    found = Detections(clip_boxes(targets.boxes + [1, -2, 3, 1], (96, 96)), targets.labels, scores)
    figure, (ax,) = panels(1, (5.0, 5.0))
    show_boxes(image, targets, names=[""] * 3, color="black", ax=ax)
    show_boxes(None, found, names=names, color=PALETTE[1], ax=ax)
    ax.set_title("objects dashed, detections solid")
    return figure


def _shifts():
    shift = np.linspace(0, 3, 121)
    moved = np.stack([shift, 0 * shift, shift + 1, 0 * shift + 1], axis=1)
    figure, (ax,) = panels(1, (6.0, 3.8))
    curves = (("IoU", box_iou, "-"), ("GIoU", generalized_box_iou, "--"), ("DIoU", distance_box_iou, "-."))
    for label, f, dash in curves:
        ax.plot(shift, f(np.array([[0, 0, 1, 1]]), moved)[0], dash, label=label)
    ax.axhline(0.5, color="gray", linewidth=1, linestyle=":")
    ax.set(xlabel="horizontal shift of a unit square", ylabel="agreement")
    ax.legend()
    return figure
