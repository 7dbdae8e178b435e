"""Section 4.2: integral images, Haar-like features, the attentional cascade and the detector of Viola and Jones."""

import time

import numpy as np

from ...data import portrait
from ...detection.viola_jones import (
    ViolaJones,
    all_features,
    count_features,
    expected_features,
    feature_taps,
    feature_values,
    overall_rates,
    sample_features,
    train_cascade,
)
from ...kernels.integral import integral_image, rectangle_sums
from ...metrics import evaluate_detections
from ...plot import plot_precision_recall, show_boxes
from ...plot.haar import plot_funnel, show_features, show_numbers
from ...plot.style import figure_style
from .. import Report, Target, experiment
from ..parts import panels
from ._errata import departures
from ._faces import SIZES, TEST, draw_seed, faces, scenes, train_on_faces, window_rates

NOTEBOOK = "notebooks/41_viola_jones.py"
PAPER = "Viola & Jones 2001, Rapid Object Detection using a Boosted Cascade of Simple Features; IJCV 2004"
EXAMPLE = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])


# Integral image ---------------------------------------------------------------------------------------------


@experiment(
    "integral-image", title="Integral images", chapter="4.2", notebook=NOTEBOOK,
    paper="Crow 1984, Summed-Area Tables; " + PAPER,
    equations="II(i, j) = I(i, j) + II(i - 1, j) + II(i, j - 1) - II(i - 1, j - 1); sum = II(A) - II(B) - II(C) + "
              "II(D)", module="minicv/kernels/integral.py",
    shows="A table from which any rectangle's sum takes four look-ups, whatever its size; float32 is not enough.",
    departures="The table has a zero row and column in front, so that no rectangle is a special case.",
    targets=[Target("table_error", "==", 0, tag="E"), Target("lower_right_2x2", "==", 28, tag="E"),
             Target("recursion_error", "==", 0, tag="E"), Target("rectangles_wrong", "==", 0, tag="E"),
             Target("squares_wrong", "==", 0, tag="E"), Target("float32_error", ">", 100, tag="E")])
def integral(preset, rng, out, progress):
    table = integral_image(EXAMPLE)
    side = {"smoke": 64, "fast": 2048, "full": 4096}[preset]
    image = rng.integers(0, 256, (side, side)).astype(np.uint8)
    ii = integral_image(image)
    boxes = _random_boxes(rng, side, 200)
    sums = [image[y1:y2, x1:x2].sum(dtype=np.int64) for x1, y1, x2, y2 in boxes]
    squares = [(image[y1:y2, x1:x2].astype(np.int64) ** 2).sum() for x1, y1, x2, y2 in boxes]
    bright = np.full((2048, 2048), 255, np.uint8)                                # smaller pictures lose less
    narrow = bright.cumsum(0, dtype=np.float32).cumsum(1, dtype=np.float32)
    corner = narrow[-1, -1] - narrow[-17, -1] - narrow[-1, -17] + narrow[-17, -17]
    metrics = {
        "table_error": np.abs(table[1:, 1:] - [[1, 3, 6], [5, 12, 21], [12, 27, 45]]).max(),
        "lower_right_2x2": rectangle_sums(table, np.array([1, 1, 3, 3])).item(),
        "recursion_error": np.abs(ii[1:, 1:] - (image + ii[:-1, 1:] + ii[1:, :-1] - ii[:-1, :-1])).max(),
        "rectangles_wrong": (rectangle_sums(ii, boxes) != sums).sum(),
        "squares_wrong": (rectangle_sums(integral_image(image, squared=True), boxes) != squares).sum(),
        "float32_error": abs(float(corner) - 255 * 256)}
    return Report(metrics, {"An image and its integral image": _tables, "A sum from four corners": _corners},
                  {"Time of 100 000 sums (measured here, not asserted)": _times(ii, rng)})


def _random_boxes(rng, side, count):
    ends = np.sort(rng.integers(0, side + 1, (count, 2, 2)), axis=1)             # (count, low/high, x/y)
    return ends.reshape(count, 4)


def _times(ii, rng):
    rows = []
    for width in (2, 20):
        corner = rng.integers(0, len(ii) - width, (100_000, 2))
        boxes = np.concatenate([corner, corner + width], axis=1)
        start = time.perf_counter()
        rectangle_sums(ii, boxes)
        rows.append({"pixels": width**2, "milliseconds": round(1e3 * (time.perf_counter() - start), 2)})
    return rows


def _tables():
    figure, (left, right) = panels(2, (2.6, 2.6))
    show_numbers(EXAMPLE, highlight=(0, 0, 2, 2), title="image", ax=left)
    show_numbers(EXAMPLE.cumsum(0).cumsum(1), highlight=(1, 1, 2, 2), title="integral image", ax=right)
    right.text(1.5, 3.35, "12 = 1 + 2 + 4 + 5", ha="center", fontsize=8)
    return figure


def _corners():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 10, (6, 7))
    ii = integral_image(image)
    x1, y1, x2, y2 = box = (2, 1, 5, 4)
    figure, (left, right) = panels(2, (4.2, 4.2))
    total = rectangle_sums(ii, np.array(box)).item()
    show_numbers(image, highlight=box, title=f"sum = {total}", ax=left)
    terms = f"{ii[y2, x2]} - {ii[y1, x2]} - {ii[y2, x1]} + {ii[y1, x1]} = {total}"
    show_numbers(ii, corners={"A": (y2, x2), "B": (y1, x2), "C": (y2, x1), "D": (y1, x1)}, ax=right,
                 title="A - B - C + D = " + terms)
    return figure


# Haar-like features -----------------------------------------------------------------------------------------


@experiment(
    "haar-features", title="Haar-like features", chapter="4.2", notebook=NOTEBOOK,
    paper="Papageorgiou, Oren & Poggio 1998, A General Framework for Object Detection; " + PAPER,
    equations="value = (sum of light - sum of dark) / std; WL = 1 if s f >= s rho else -1",
    module="minicv/detection/viola_jones/haar.py",
    shows="162 336 features of a 24 x 24 window; boosting picks a few, and these lie on eyes, nose and mouth.",
    departures="Line features weigh the middle twice and cells count by their means, so that flat windows give 0 at "
               "every scale.",
    targets=[*(Target(name, "==", n, tag="E") for name, n in (
        ("features", 162_336), ("vertical_edges", 43_200), ("horizontal_edges", 43_200), ("vertical_lines", 27_600),
        ("horizontal_lines", 27_600), ("checkers", 20_736))), Target("flat_window", "<", 1e-6, tag="E"),
        Target("light_changes", "<", 1e-5, tag="E"), Target("twice_as_large", "<", 1e-12, tag="E"),
        Target("first_feature_error", "<=", 0.2), Target("on_the_face", ">=", 0.8)])
def haar_features(preset, rng, out, progress):
    counts = count_features()
    count, _, views, pool, negatives, _ = SIZES[preset]
    train = faces(count, draw_seed(rng))
    cascade, (report,) = train_cascade(
        train, faces(200, draw_seed(rng)), scenes(views, draw_seed(rng)), pool=sample_features(pool, rng=rng),
        stages=1, f_max=1e-6, budget=(12,), negatives=negatives, rng=rng, progress=progress)
    some, patches = sample_features(300, rng=rng), train[:20].astype(np.float64)
    values = feature_values(some, patches)
    metrics = {"features": len(all_features())} | dict(zip(
        ("vertical_edges", "horizontal_edges", "vertical_lines", "horizontal_lines", "checkers"), counts, strict=True))
    metrics |= {
        "flat_window": np.abs(feature_values(some, np.full((1, 24, 24), 0.7))).max(),
        "light_changes": np.abs(feature_values(some, 0.5 * patches + 0.2) - values).max(),
        "twice_as_large": _scaled_difference(some, patches[0]),
        "first_feature_error": _error_of_first(cascade),
        "on_the_face": np.mean([_inside_face(f) for f in cascade.features])}
    titles = [f"{n + 1}: vote {abs(v):.2f}" for n, v in enumerate(cascade.vote)]
    kinds = [{"kind": name, "features": n} for name, n in zip(
        ("vertical edge", "horizontal edge", "vertical line", "horizontal line", "checker"), counts, strict=True)]
    return Report(metrics, {
        "The features that boosting takes first, over the mean face": lambda: show_features(
            train.mean(0), cascade.features, titles=titles),
        "Kinds of features": _kinds}, {"Features of a window of 24 x 24 pixels": kinds})


def _error_of_first(cascade):
    """Weighted error of the first stump, from its vote ln((1 - e) / e)."""
    return 1 / (1 + np.exp(abs(cascade.vote[0])))


def _inside_face(feature):
    """Whether the centre of a feature lies within the head, an ellipse in the middle of the window."""
    from ...detection.viola_jones import KINDS

    kind, x, y, w, h = feature
    rows, columns = KINDS[kind].shape
    return ((x + columns * w / 2 - 12) / 9.5) ** 2 + ((y + rows * h / 2 - 12) / 11.5) ** 2 <= 1


def _scaled_difference(features, patch):
    """Largest difference between values on a window and on the same window with every pixel doubled."""
    values = []
    for scale in (1, 2):
        ii = integral_image(patch.repeat(scale, 0).repeat(scale, 1))
        offset, coef = feature_taps(features, float(scale), ii.shape[1])
        values.append((ii.ravel()[offset] * coef).sum(1))
    return np.abs(values[0] - values[1]).max()


def _kinds():
    features = np.array([[0, 6, 6, 6, 12], [1, 6, 6, 12, 6], [2, 3, 6, 6, 12], [3, 6, 3, 12, 6], [4, 6, 6, 6, 6]])
    return show_features(np.full((24, 24), 0.6), features, columns=5, titles=[
        "43 200", "43 200", "27 600", "27 600", "20 736"])


# The cascade ------------------------------------------------------------------------------------------------


@experiment(
    "attentional-cascade", title="The attentional cascade", chapter="4.2", notebook=NOTEBOOK, paper=PAPER,
    equations="D = prod d_i, F = prod f_i; mean features = n_1 + n_2 f_1 + n_3 f_1 f_2 + ...",
    module="minicv/detection/viola_jones/training.py",
    shows="Most windows are rejected by three features; each stage learns from what the stages before got wrong.",
    departures=departures("E4.5", "E4.6") + " Five stages instead of 38.",
    targets=[Target("stages", "==", 5), Target("detection_rate", ">=", 0.95),
             Target("false_positives_per_window", "<=", 1e-3), Target("features_per_window", "<=", 8),
             Target("ten_stages_D", "~", 0.904, tag="E", tol=5e-4),
             Target("ten_stages_F", "~", 5.9e-6, tag="E", tol=1e-8)])
def attentional_cascade(preset, rng, out, progress, *, d_min=0.985, f_max=0.2):
    cascade, reports = train_on_faces(preset, rng, progress, d_min=d_min, f_max=f_max)
    count, views = TEST[preset]
    test, rates = faces(count, draw_seed(rng)), window_rates(cascade, scenes(views, draw_seed(rng)))
    D, F = overall_rates([0.99] * 10, [0.3] * 10)
    metrics = {
        "stages": cascade.num_stages, "detection_rate": (cascade.judge(test).passed == cascade.num_stages).mean(),
        "false_positives_per_window": rates.reach[-1] / rates.windows, "features_per_window": rates.features,
        "features": len(cascade.vote), "ten_stages_D": D, "ten_stages_F": F,
        "features_per_window_predicted": expected_features(
            cascade.stage_sizes, [r.false_positive for r in reports]),
        "stages_out_of_budget": sum(not r.reached for r in reports)}
    rows = [{"stage": s + 1, "features": r.features, "detection": round(r.detection, 4),
             "false positive": round(r.false_positive, 4), "bias": round(r.bias, 3), "negatives": r.negatives,
             "windows looked at": r.scanned, "f_max reached": "yes" if r.reached else "no, budget spent"}
            for s, r in enumerate(reports)]
    return Report(metrics, {
        "The funnel: windows without a face that reach each stage": lambda: plot_funnel(rates.reach).figure,
        "Rates multiply from stage to stage": lambda: _products(reports, rates),
        "Features of the first two stages, over the mean face": lambda: show_features(
            test.mean(0), cascade.first(2).features)}, {"Stages": rows})


def _products(reports, rates):
    figure, (left, right) = panels(2, (4.6, 3.4))
    stages = np.arange(len(reports) + 1)
    left.plot(stages, np.append(1, np.cumprod([r.detection for r in reports])), "o-")
    left.set(xlabel="stages", ylabel="detection rate D", ylim=(0.9, 1.003))
    right.plot(stages, np.append(1, np.cumprod([r.false_positive for r in reports])), "o-", label="product of f")
    right.plot(stages, np.maximum(rates.reach / rates.windows, 1e-7), "s--", label="on test scenes")
    right.set(xlabel="stages", ylabel="false positives a window, F", yscale="log")
    right.legend()
    for ax in (left, right):
        ax.set_xticks(stages)
    return figure


# The detector -----------------------------------------------------------------------------------------------


@experiment(
    "viola-jones", title="The Viola-Jones detector", chapter="4.2", notebook=NOTEBOOK, paper=PAPER, tour=1,
    equations="scale 1.25, step ~ scale, features / std of the window",
    module="minicv/detection/viola_jones/detector.py",
    shows="All windows at all scales in milliseconds, grouped into faces; trained on cartoons, it meets a photograph.",
    departures=departures("E4.7"),
    targets=[Target("ap50", ">=", 0.85)])
def viola_jones(preset, rng, out, progress, *, d_min=0.985, f_max=0.2):
    cascade, _ = train_on_faces(preset, rng, progress, d_min=d_min, f_max=f_max)
    detector = ViolaJones(cascade)
    views = scenes(TEST[preset][1], draw_seed(rng), faces=(1, 4), side=(24, 60))
    start = time.perf_counter()
    found = [detector.predict(view["image"][None])[0] for view in views]
    seconds = (time.perf_counter() - start) / len(views)
    scores = evaluate_detections(found, views, num_classes=1)
    photo = portrait()
    least = 180 if preset == "smoke" else 60                       # a half-trained cascade accepts most small windows
    (seen,) = ViolaJones(cascade, min_side=least).predict(photo[None])
    overlap = [_face_iou(box) for box in seen.boxes]
    metrics = {"ap50": scores.mean_ap, "recall": scores.curves[0].recall[-1] if len(scores.curves[0].recall) else 0.0,
               "objects": int(scores.num_objects[0]), "detections": int(scores.num_detections[0]),
               "portrait_detections": len(seen), "portrait_best_iou": max(overlap, default=0.0)}
    windows = [detector.scan(view["image"][0].astype(np.float64)) for view in views[:4]]
    rows = [{"scene": i, "windows": len(w.boxes), "accepted": w.funnel()[-1], "detections": len(found[i]),
             "faces": len(views[i]["boxes"])} for i, w in enumerate(windows)]
    return Report(metrics, {
        "Faces found (solid) and true (dashed)": lambda: _show(views[:3], found[:3]),
        "Precision and recall": lambda: plot_precision_recall(
            scores.curves[0].precision, scores.curves[0].recall).figure,
        "A photograph, for a detector that has seen cartoons only": lambda: show_boxes(
            photo, seen, names=["face"]).figure,
        "Accepted windows before grouping": lambda: _accepted(views[0], windows[0], found[0])},
        {"Windows": rows, "Speed (measured here, not asserted)": [
            {"pixels": "160 x 120", "milliseconds an image": round(1e3 * seconds, 1)}]})


FACE = np.array([175.0, 110.0, 355.0, 330.0])              # head of the portrait, drawn by hand: (x1, y1, x2, y2)


def _face_iou(box):
    low, high = np.maximum(box[:2], FACE[:2]), np.minimum(box[2:], FACE[2:])
    inter = np.prod(np.maximum(high - low, 0))
    areas = [np.prod(b[2:] - b[:2]) for b in (box, FACE)]
    return float(inter / (sum(areas) - inter))


def _show(views, found):
    import matplotlib.pyplot as plt

    with figure_style():
        figure, axes = plt.subplots(1, 3, figsize=(10, 2.8), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, view, rows in zip(axes.flat, views, found):
        show_boxes(view["image"], view["boxes"], color="black", dashed=True, ax=ax)
        show_boxes(None, rows, names=["face"], ax=ax)
    return figure


def _accepted(view, windows, found):
    figure, (left, right) = panels(2, (4.6, 3.6))
    boxes = windows.accepted()[0]
    show_boxes(view["image"], boxes[:300], ax=left).set_title(f"{len(boxes)} of {len(windows.boxes):,} windows")
    show_boxes(view["image"], found, names=["face"], ax=right).set_title(f"{len(found)} groups")
    return figure
