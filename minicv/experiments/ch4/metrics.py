"""Section 4.1: when is a detection right, and how good is a detector?"""

import numpy as np

from ...data import Scenes
from ...geometry import Detections, Targets, box_iou
from ...metrics import (
    average_precision,
    evaluate_coco_arrays,
    evaluate_detections,
    match_detections,
    precision_recall,
    step_table,
)
from ...plot import plot_precision_recall, show_boxes, show_image, threshold_player
from .. import Report, Target, experiment
from ..parts import panels
from ._errata import departures

THRESHOLDS = np.linspace(0.5, 0.95, 10)
JITTERS = (0.0, 0.5, 1.0, 2.0, 3.0)                            # pixels
EXPECTED = {                                                   # the worked example: 8 detections of 5 objects
    "precision": [1, 1, 2 / 3, 3 / 4, 3 / 5, 4 / 6, 4 / 7, 4 / 8],
    "recall": [0.2, 0.4, 0.4, 0.6, 0.6, 0.8, 0.8, 0.8]}


def worked_example():
    """(predictions, targets): right, right, wrong, right, wrong, right, wrong, wrong by falling score.

    The third detection misses, the fifth finds an object a second time, the seventh is too far off.
    """
    corners = np.array([[4, 4], [34, 6], [8, 36], [40, 40], [60, 14]])
    objects = np.concatenate([corners, corners + [16, 14]], axis=1).astype(np.float32)
    found = objects[[0, 1, 1, 2, 0, 3, 4, 4]] + np.float32([[1], [0], [0], [-1], [2], [1], [9], [40]])
    found[2] = 20, 60, 30, 70
    scores = [0.95, 0.9, 0.85, 0.75, 0.65, 0.5, 0.4, 0.3]
    return [Detections(found, np.zeros(8, int), scores)], [Targets(objects, np.zeros(5, int))]


def simulate(scene, rng, *, jitter=0.0, missed=0.1, extra=1.0):
    """What an imperfect detector might say about a scene.

    jitter: standard deviation of every coordinate in pixels. missed: share of objects not found. extra: mean number
    of boxes anywhere. The right ones score higher on average.
    """
    kept = rng.random(len(scene["labels"])) >= missed
    near, labels = scene["boxes"][kept], scene["labels"][kept]
    near = near + jitter * rng.standard_normal(near.shape)
    count = rng.poisson(extra)
    low = rng.uniform(0, 40, (count, 2))
    far = np.concatenate([low, low + rng.uniform(8, 24, (count, 2))], axis=1)
    boxes = np.concatenate([np.minimum(near[:, :2], near[:, 2:] - 1), near[:, 2:]], axis=1)
    scores = np.concatenate([rng.beta(6, 2, len(near)), rng.beta(2, 6, count)])
    return Detections(np.concatenate([boxes, far]), np.concatenate([labels, rng.integers(0, 3, count)]), scores)


@experiment(
    "det-metrics", title="Precision, recall and average precision", chapter="4.1",
    notebook="notebooks/40_metrics.py",
    module="minicv/metrics/detection.py",
    paper="Everingham et al. 2010, The Pascal Visual Object Classes Challenge; Lin et al. 2014, Microsoft COCO",
    equations="precision = TP / (TP + FP), recall = TP / objects, AP = area under their curve",
    shows="One curve, four average precisions; and why COCO's mean over IoU thresholds rewards exact boxes.",
    departures=departures("E4.1", "E4.2", "E4.3"),
    targets=[Target("ap_all_points", "~", 0.6833, tag="E", tol=5e-5),
             Target("ap_11_points", "~", 0.7121, tag="E", tol=5e-5),
             Target("ap_101_points", "~", 0.6865, tag="E", tol=5e-5), Target("curve_error", "<", 1e-12, tag="E"),
             Target("perfect_ap", "~", 1, tag="E", tol=1e-12), Target("perfect_coco_ap", "~", 1, tag="E", tol=1e-12),
             Target("right_duplicates", "==", 0, tag="E"), Target("recall_falls", "==", 0, tag="E"),
             Target("absent_class_is_na", "==", 1, tag="E"), Target("right_at_equality", "==", 1, tag="E"),
             Target("right_above_equality", "==", 0, tag="E"), Target("coco_minus_ten_evaluations", "<", 1e-9, tag="E"),
             Target("ap50_kept", ">=", 0.93), Target("coco_ap_kept", "<=", 0.75)])
def det_metrics(preset, rng, out, progress, *, missed=0.1, extra=1.0):
    count = {"smoke": 8, "fast": 200, "full": 1000}[preset]
    data = Scenes(count, objects=(2, 4), overlap=0.0, seed=int(rng.integers(2**31)))
    scenes = [data[i] for i in range(count)]
    targets = [Targets(s["boxes"], s["labels"], s["masks"]) for s in scenes]
    seed = int(rng.integers(2**31))                            # the detectors differ in nothing but their jitter
    found = {jitter: [simulate(s, np.random.default_rng([seed, i]), jitter=jitter, missed=missed, extra=extra)
                      for i, s in enumerate(scenes)] for jitter in JITTERS}
    scores = {jitter: evaluate_coco_arrays(p, targets, num_classes=3) for jitter, p in found.items()}
    example = worked_example()
    metrics = _example_metrics(example) | _rules(targets, found[1.0])
    metrics["coco_minus_ten_evaluations"] = _against_definition(found[1.0], targets, scores[1.0], progress)
    kept = scores[1.0].figures / scores[0.0].figures           # with boxes that are a pixel off
    metrics |= {"coco_ap_kept": kept[0], "ap50_kept": kept[1]}
    rows = [{"jitter in pixels": j, **{k: v for k, v in s.named().items() if k in ("AP", "AP50", "AP75", "AR_100")}}
            for j, s in scores.items()]
    return Report(metrics, {
        "One curve, three ways to take its area": lambda: _curve_figure(example),
        "Recall and precision in four situations": lambda: _situations_figure(scenes[0]),
        "Objects (dashed), detections with their scores, and their curve": lambda: _scene_figure(
            scenes, found[1.0], targets),
        "Average precision against the IoU threshold": lambda: _threshold_figure(scores),
    }, {"worked example, step by step": step_table(*example, num_classes=1), "less exact boxes": rows},
        players={"The threshold moves": lambda: threshold_player(example[0][0], example[1][0])})


def _example_metrics(example):
    curve = evaluate_detections(*example, num_classes=1).curves[0]
    error = max(np.abs(getattr(curve, name) - values).max() for name, values in EXPECTED.items())
    ap = {name: average_precision(curve.precision, curve.recall, interpolation=name)
          for name in ("interp-all", "11pt", "101pt", "area")}
    return {"ap_all_points": ap["interp-all"], "ap_11_points": ap["11pt"], "ap_101_points": ap["101pt"],
            "ap_plain_area": ap["area"], "curve_error": error}


def _rules(targets, found):
    """The rules of matching as numbers."""
    perfect = [t.detections() for t in targets]
    doubled = [Detections(np.repeat(t.boxes, 2, axis=0), np.repeat(t.labels, 2), np.ones(2 * len(t))) for t in targets]
    right = sum(c.recall[-1] * n for c, n in zip(*_curves(doubled, targets), strict=True) if n)
    objects = sum(len(t) for t in targets)
    curves, _ = _curves(found, targets)
    half = box_iou(np.array([[0.0, 0, 4, 4]]), np.array([[0.0, 0, 4, 2]]))       # exactly 1 / 2
    absent = evaluate_detections(perfect, targets, num_classes=4)
    return {"perfect_ap": absent.mean_ap,
            "perfect_coco_ap": evaluate_coco_arrays(perfect, targets, num_classes=3).figures[0],
            "right_duplicates": round(right) - objects,
            "recall_falls": sum(int((np.diff(c.recall) < 0).sum()) for c in curves),
            "absent_class_is_na": float(np.isnan(absent.ap[3]) and not np.isnan(absent.ap[:3]).any()),
            "right_at_equality": int((match_detections(half).objects >= 0).sum()),
            "right_above_equality": int((match_detections(half, strict=True).objects >= 0).sum())}


def _curves(predictions, targets):
    scores = evaluate_detections(predictions, targets, num_classes=3)
    return scores.curves, scores.num_objects


def _against_definition(predictions, targets, scores, progress):
    """Largest difference between COCO's AP per class and the mean of ten evaluations by the readable code."""
    ap = [evaluate_detections(predictions, targets, num_classes=3, threshold=t, interpolation="101pt").ap
          for t in progress(THRESHOLDS, desc="thresholds")]
    return np.abs(np.mean(ap, axis=0) - scores.ap).max()


# Figures --------------------------------------------------------------------------------------------------


def _curve_figure(example):
    curve = evaluate_detections(*example, num_classes=1).curves[0]
    figure, axes = panels(3, (4.2, 3.6))
    for ax, name in zip(axes, ("interp-all", "11pt", "101pt"), strict=True):
        plot_precision_recall(curve.precision, curve.recall, interpolation=name, ax=ax)
    return figure


def _situations_figure(scene):
    """Few or many detections, right or wrong, of one scene."""
    boxes, count = scene["boxes"], len(scene["labels"])
    corners = 16 * np.stack(np.mgrid[:4, :4], axis=-1).reshape(-1, 2) + 1
    free = np.concatenate([corners, corners + 14], axis=1).astype(np.float32)
    wrong = free[np.argsort(box_iou(free, boxes).max(axis=1), kind="stable")[:4]]
    situations = {"cautious": boxes[:1], "complete": boxes, "eager": np.concatenate([boxes, wrong]),
                  "lost": np.concatenate([boxes[:1], wrong])}
    figure, axes = panels(4, size=(3.0, 3.6))
    target = [Targets(boxes, np.zeros(count, int))]
    for ax, (name, found) in zip(axes, situations.items(), strict=True):
        rows = Detections(found, np.zeros(len(found), int), np.ones(len(found)))
        curve = evaluate_detections([rows], target, num_classes=1).curves[0]
        show_image(scene["image"], ax=ax)
        show_boxes(None, boxes, color="black", dashed=True, ax=ax)
        show_boxes(None, found, color="#D55E00", dashed=False, ax=ax)
        ax.set_title(f"{name}: precision {curve.precision[-1]:.2f},\nrecall {curve.recall[-1]:.2f}")
    return figure


def _scene_figure(scenes, found, targets):
    """A scene with some wrong detections among the right ones, and the curve of all its classes together."""
    curves = [_pooled(p, t) for p, t in zip(found, targets, strict=True)]
    value = [average_precision(c.precision, c.recall) if len(c.scores) > 3 else 9 for c in curves]
    i = int(np.argmin(np.abs(np.array(value) - 0.7)))
    figure, (left, right) = panels(2, (4.2, 3.6))
    names = ("disc", "square", "triangle")
    show_image(scenes[i]["image"], ax=left)
    show_boxes(None, targets[i], names=names, ax=left)
    show_boxes(None, found[i], names=names, ax=left)
    plot_precision_recall(curves[i].precision, curves[i].recall, ax=right)
    return figure


def _pooled(prediction, target):
    """The curve of one image, all classes together."""
    rows = [row for k in range(3) for row in step_table([prediction], [target], num_classes=3, label=k)]
    right = np.array([r["verdict"] == "TP" for r in rows], bool)
    return precision_recall(right, [r["score"] for r in rows], len(target))


def _threshold_figure(scores):
    figure, (ax,) = panels(1, size=(5.4, 3.8))
    for jitter, s in scores.items():
        ax.plot(THRESHOLDS, np.nanmean(s.precision[..., 0, -1], axis=(1, 2)), marker="o", markersize=3,
                label=f"{jitter:g} px: AP {s.figures[0]:.2f}")
    ax.set(xlabel="IoU threshold", ylabel="average precision", ylim=(0, 1))
    ax.legend(title="jitter of the boxes", loc="center left", bbox_to_anchor=(1.01, 0.5))       # beside the curves
    return figure
