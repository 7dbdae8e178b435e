"""Section 4.2: of boxes that overlap, keep the best."""

import numpy as np

from ...data.synthetic import Scenes
from ...geometry import Detections, Targets, box_iou, nms, soft_nms
from ...matching import linear_assignment
from ...plot import PALETTE, nms_player, show_boxes
from .. import Report, Target, experiment
from ..parts import exact, panels
from ._boxes import random_boxes, scene
from ._errata import departures


@experiment(
    "nms", title="Non-maximum suppression", chapter="4.2",
    notebook="notebooks/41_viola_jones.py", module="minicv/geometry/suppress.py",
    paper="Rosenfeld & Thurston 1971; Girshick et al. 2014; Bodla et al. 2017",
    equations="take the best box, delete those of its class with IoU > threshold, repeat",
    shows="Many boxes around one object become one; two objects closer than the threshold become one as well.",
    departures=departures("E4.7"),
    targets=[*exact({"worked_example_kept": 2, "worked_example_iou": (81 / 119, 1e-15), "sets_that_differ": 0,
                     "changed_by_a_second_pass": 0, "not_in_order": 0, "crowd_kept": 1, "crowd_kept_softly": 2}),
             Target("objects_lost_apart", "<=", 0.01), Target("objects_lost_in_crowds", ">=", 0.05)])
def suppression(preset, rng, out, progress):
    boxes, scores = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]]), np.array([0.9, 0.8, 0.7])
    crowd = np.array([[0, 0, 10, 20], [2, 0, 12, 20]])
    sets, scenes = {"smoke": (5, 3), "fast": (300, 120), "full": (2000, 1000)}[preset]
    differ, again, disorder = np.sum([_against_definition(rng) for _ in progress(range(sets), desc="sets")], axis=0)
    metrics = {"worked_example_kept": len(nms(boxes, scores, 0.5)), "worked_example_iou": box_iou(boxes, boxes)[0, 1],
               "sets_that_differ": differ, "changed_by_a_second_pass": again, "not_in_order": disorder,
               "crowd_kept": len(nms(crowd, scores[:2], 0.5)), "crowd_kept_softly": len(soft_nms(crowd, scores[:2])[0])}
    apart, packed = ({"objects": (3, 4), "overlap": 0.0}, {"objects": (3, 4), "overlap": 0.8, "crowding": 1.0})
    rows = [{"threshold": t, "lost apart": _lost(rng, scenes, t, **apart),
             "lost in crowds": _lost(rng, scenes, t, **packed)} for t in (0.3, 0.5, 0.7)]
    metrics |= {"objects_lost_apart": rows[1]["lost apart"], "objects_lost_in_crowds": rows[0]["lost in crowds"]}
    return Report(metrics, {"Before and after": lambda: _before_and_after(**packed)},
                  {"Objects without any box left, by threshold": rows},
                  players={"Box by box": lambda: _step_by_step(**packed)})


def _against_definition(rng):
    """(differs from the definition, changed by a second pass, out of order) for one random set of boxes."""
    boxes, labels = random_boxes(rng, 60), rng.integers(0, 3, 60)
    scores = np.round(rng.random(60), 1)                                            # with ties
    kept = nms(boxes, scores, 0.3, labels)
    again = nms(boxes[kept], scores[kept], 0.3, labels[kept])
    return (kept.tolist() != _definition(boxes, scores, labels, 0.3), len(again) != len(kept),
            (np.diff(scores[kept]) > 0).any())


def _definition(boxes, scores, labels, threshold):
    remaining, kept, iou = sorted(range(len(boxes)), key=lambda i: (-scores[i], i)), [], box_iou(boxes, boxes)
    while remaining:
        best = remaining.pop(0)
        kept.append(best)
        remaining = [i for i in remaining if labels[i] != labels[best] or iou[best, i] <= threshold]
    return kept


def _around(rng, targets, each=6, noise=0.04):
    """Detections as a good detector finds them before suppression: `each` around every object, class-agnostic."""
    boxes = np.repeat(targets.boxes, each, axis=0)
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    boxes = boxes + noise * size * rng.standard_normal(boxes.shape)
    return Detections(boxes, np.zeros(len(boxes), int), rng.uniform(0.5, 1, len(boxes)))


def _lost(rng, count, threshold, **options):
    """Share of objects for which no box with IoU > 0.5 of its own is left: boxes are matched one to one."""
    total = lost = 0
    for sample in Scenes(count, size=96, seed=7, **options):
        targets = Targets(sample["boxes"], sample["labels"])
        iou = box_iou(_around(rng, targets).nms(threshold).boxes, targets.boxes)
        total += len(targets)
        lost += len(targets) - (iou[linear_assignment(iou, maximize=True)] > 0.5).sum()
    return lost / total


def _step_by_step(**options):
    image, targets, _ = scene(seed=7, item=4, **options)
    found = _around(np.random.default_rng(0), targets)
    return nms_player(found.boxes, found.scores, 0.5, image=image)


def _before_and_after(**options):
    image, targets, _ = scene(seed=7, item=4, **options)
    found = _around(np.random.default_rng(0), targets)
    figure, axes = panels(3, (3.6, 3.7))
    steps = {f"{len(found)} boxes": found, "threshold 0.5": found.nms(0.5), "threshold 0.2": found.nms(0.2)}
    for ax, (title, rows) in zip(axes, steps.items(), strict=True):
        show_boxes(image, rows.boxes, color=PALETTE[4], ax=ax)
        ax.set_title(f"{title}: {len(rows)} kept, {len(targets)} objects", fontsize=9)
    return figure
