"""A score threshold on its way down: what is kept in the picture, and where that is on the precision-recall curve."""

import numpy as np

from ..errors import ArgError
from ..metrics.detection import step_table
from .boxes import show_boxes
from .overlay import Overlay, shape
from .precision_recall import plot_precision_recall
from .style import PALETTE, figure_style


def threshold_player(prediction, target, *, label=0, threshold=0.5, image=None, interpolation=None,
                     title="The threshold moves along the precision-recall curve", **options):
    """A `Player` of the score threshold over the detections of one class in one image.

    Parameters
    ----------
    prediction : Detections, with at least one of the class
    target : Targets
    label : int
        The class.
    threshold : float
        Least IoU of a right detection, as in `metrics.step_table`.
    image : array (3, H, W) or (1, H, W) in [0, 1], or None
    interpolation : None or as in `plot_precision_recall`
        Draws the area below the curve as well.
    title, **options
        As `Player`.

    Objects are dashed and black; right detections green, false ones orange and dotted. Hovering over a box or a point
    of the curve tells its numbers.
    """
    import matplotlib.pyplot as plt

    own = prediction.labels == label
    if not own.any():
        raise ArgError(f"threshold_player: prediction has no detection of class {label}, expected at least one")
    classes = 1 + int(np.concatenate([prediction.labels, target.labels]).max())
    rows = step_table([prediction], [target], num_classes=classes, label=label, threshold=threshold)
    boxes = prediction.boxes[own][np.argsort(-prediction.scores[own], kind="stable")]
    objects = target.boxes[target.labels == label]
    with figure_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.2))
    _scene(left, image, objects, boxes)
    curve = np.array([[row["recall"], row["precision"]] for row in rows])
    plot_precision_recall(curve[:, 1], curve[:, 0], interpolation=interpolation, ax=right)
    right.set_title("" if interpolation else f"{len(objects)} objects, {len(boxes)} detections")
    if interpolation is None:
        right.get_legend().remove()
    overlay = Overlay(figure)
    drawn = [[*_kept(overlay, left, boxes[:k], rows), *_points(overlay, right, curve, rows, k)]
             for k in range(len(rows) + 1)]
    labels = ["threshold above all scores: nothing is kept"] + [
        f"threshold {row['score']:.2f}: {row['tp']} right, {row['fp']} wrong, precision {row['precision']:.2f}, "
        f"recall {row['recall']:.2f}" for row in rows]
    return overlay.player(drawn, title=title, labels=labels, **{"interval": 1200, "width": 640, **options})


def _scene(ax, image, objects, boxes):
    """The image, or white paper of the right size, with the objects."""
    if image is None:
        height, width = np.ceil(np.concatenate([objects, boxes])[:, [3, 2]].max(axis=0) + 2).astype(int)
        image = np.ones((1, height, width))
    show_boxes(image, objects, color="black", dashed=True, ax=ax)


def _kept(overlay, ax, boxes, rows):
    """Boxes above the threshold, the last one thicker."""
    for k, (box, row) in enumerate(zip(boxes, rows, strict=False)):
        right = row["verdict"] == "TP"
        yield overlay.box(ax, box, stroke=PALETTE[2 if right else 1], stroke_width=3 if k == len(boxes) - 1 else 1.5,
                          stroke_dasharray=None if right else "2 2", pointer_events="all",
                          title=f"{'right' if right else 'wrong'}, score {row['score']:.2f}, IoU {row['iou']:.2f}")


def _points(overlay, ax, curve, rows, k):
    """A point for each threshold, the present one large."""
    for i, ((x, y), row) in enumerate(zip(overlay.at(ax, curve), rows, strict=True)):
        yield shape("circle", cx=x, cy=y, r=6 if i == k - 1 else 3, fill=PALETTE[1 if i == k - 1 else 0],
                    title=f"threshold {row['score']:.2f}: precision {row['precision']:.3f}, recall {row['recall']:.3f}")
