"""Detections on their way out: suppression box by box, and the windows that each stage of a cascade leaves."""

import numpy as np

from ..errors import ArgError, ShapeError
from ..geometry import box_iou, check_boxes
from .images import show_image
from .overlay import Overlay, shape, words
from .style import PALETTE, figure_style

LOOKS = {"interval": 1500, "width": 460}


def nms_player(boxes, scores, threshold=0.5, *, image=None, title="Non-maximum suppression", **options):
    """A `Player` of greedy suppression: the best box that is left is kept, what overlaps it goes.

    Parameters
    ----------
    boxes : array (R, 4) xyxy, R >= 1
    scores : array (R,)
    threshold : float in [0, 1]
        Boxes with a larger IoU with a kept one go, as in `geometry.nms`.
    image : array (3, H, W) or (1, H, W) in [0, 1], or None
        What lies below.
    title, **options
        As `Player`.

    Kept boxes are green and thick, those that go in this step orange and dashed, all that are left blue. Hovering over
    a box tells its number, its score and, when it goes, the overlap.

    >>> nms_player([[0, 0, 2, 2], [0, 0, 2, 3]], [0.9, 0.8]).labels[-1]
    'box 0 with score 0.90 stays; 1 overlaps it by more than 0.5 and goes, 0 are left'
    """
    boxes = np.asarray(check_boxes("nms_player", "boxes", boxes), np.float64)
    scores = np.asarray(scores, np.float64)
    if not len(boxes) or scores.shape != (len(boxes),):
        raise ShapeError(f"nms_player: boxes and scores have shapes {boxes.shape} and {scores.shape}, expected (R, 4) "
                         "and (R,) with R >= 1")
    if not 0 <= threshold <= 1:
        raise ArgError(f"nms_player: threshold is {threshold}, expected a number in [0, 1]")
    overlay, ax = _canvas(boxes, image)
    drawn, labels = zip(*_steps(overlay, ax, boxes, scores, threshold, image is not None),
                        strict=True)
    return overlay.player(drawn, title=title, labels=list(labels), **LOOKS | options)


def _steps(overlay, ax, boxes, scores, threshold, pictured):
    """Yield (frame, label) before the first step and after each; over a picture boxes have a white edge."""
    overlap, kept = box_iou(boxes, boxes), []
    left = np.argsort(-scores, kind="stable").tolist()

    def frame(gone=()):
        told = {i: f"box {i}, score {scores[i]:.2f}" for i in range(len(boxes))}
        told |= {i: f"{told[i]}, IoU {overlap[i, kept[-1]]:.2f} with box {kept[-1]}" for i in gone}
        looks = [(left, {"stroke": PALETTE[0], "stroke_width": 1}),
                 (gone, {"stroke": PALETTE[1], "stroke_width": 1.5, "stroke_dasharray": "4 2"}),
                 (kept, {"stroke": PALETTE[2], "stroke_width": 3})]
        drawn = []
        for some, look in looks:
            halo = [overlay.box(ax, boxes[i], stroke="#fff", stroke_width=look["stroke_width"] + 2) for i in some]
            drawn += halo * pictured + [overlay.box(ax, boxes[i], title=told[i], pointer_events="stroke", **look)
                                        for i in some]
        return drawn + _scores(overlay, ax, boxes, scores, kept)

    yield frame(), f"{len(boxes)} boxes, threshold {threshold:g}"
    while left:
        best = left.pop(0)
        kept.append(best)
        gone = [i for i in left if overlap[best, i] > threshold]
        left[:] = [i for i in left if i not in gone]
        verb = "overlaps it by more than {:g} and goes" if len(gone) == 1 else "overlap it by more than {:g} and go"
        yield frame(gone), (f"box {best} with score {scores[best]:.2f} stays; {len(gone)} {verb.format(threshold)}, "
                            f"{len(left)} are left")


def _scores(overlay, ax, boxes, scores, kept):
    """The score in the middle of each kept box, on a white edge."""
    return [words(*overlay.at(ax, boxes[i].reshape(2, 2).mean(axis=0)), f"{scores[i]:.2f}", fill=PALETTE[2],
                  stroke="#fff", stroke_width=3, paint_order="stroke", font_weight="bold", font_size=11) for i in kept]


def windows_player(image, boxes, passed, *, found=None, most=60, title="The windows that each stage leaves", **options):
    """A `Player` of a cascade: the windows that are left after each of its stages.

    Parameters
    ----------
    image : array (3, H, W) or (1, H, W) in [0, 1]
    boxes : array (R, 4) xyxy, all windows that were looked at
    passed : int array (R,)
        How many stages each has passed, as in `detection.viola_jones.Scan`.
    found : array (K, 4) or None
        Detections for a last frame.
    most : int
        Windows drawn in a frame, evenly taken from all.
    title, **options
        As `Player`.
    """
    boxes = np.asarray(check_boxes("windows_player", "boxes", boxes), np.float64)
    passed = np.asarray(passed)
    if not len(boxes) or passed.shape != (len(boxes),):
        raise ShapeError(f"windows_player: boxes and passed have shapes {boxes.shape} and {passed.shape}, expected "
                         "(R, 4) and (R,) with R >= 1")
    overlay, ax = _canvas(boxes, image)
    drawn, labels = [], []
    for stage in range(passed.max() + 1):
        left = np.flatnonzero(passed >= stage)
        some = left[np.linspace(0, len(left) - 1, min(most, len(left))).round().astype(int)]
        drawn.append([_outlines(overlay, ax, boxes[some], PALETTE[1], 1)])
        labels.append(f"after {stage} stages: {len(left):,} of {len(boxes):,} windows are left "
                      f"({len(left) / len(boxes):.2%})" + (f", {len(some)} are drawn" if len(some) < len(left) else ""))
    if found is not None:
        drawn.append([_outlines(overlay, ax, np.reshape(found, (-1, 4)), PALETTE[5], 3)])
        labels.append(f"windows that overlap are averaged: {len(found)} detections")
    return overlay.player(drawn, title=title, labels=labels, **LOOKS | options)


def _outlines(overlay, ax, boxes, color, width):
    """All boxes as one path, which is short."""
    ends = overlay.at(ax, boxes.reshape(-1, 2, 2)).round(1)
    path = "".join(f"M{x1:g} {y1:g}H{x2:g}V{y2:g}H{x1:g}z" for (x1, y1), (x2, y2) in ends)
    return shape("path", d=path, stroke=color, stroke_width=width)


def _canvas(boxes, image):
    """A figure of the image, or of white, and its Axes."""
    low, high = boxes.reshape(-1, 2).min(axis=0), boxes.reshape(-1, 2).max(axis=0)
    size = np.ceil(high + np.maximum(0.05 * (high - low), 1)).astype(int) if image is None else image.shape[:0:-1]
    import matplotlib.pyplot as plt

    width = 4.6
    with figure_style():
        figure, ax = plt.subplots(figsize=(width, width * size[1] / size[0]))
    figure.set_layout_engine("none")
    ax.set_position((0, 0, 1, 1))
    show_image(np.ones((1, size[1], size[0])) if image is None else image, ax=ax)
    ax.set(aspect="auto")
    return Overlay(figure), ax
