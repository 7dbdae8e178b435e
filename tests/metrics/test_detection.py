"""Matching detections to objects, average precision per class, VOC, the table of steps.

Proved here: matching against all its rules by hand and against a slow search; each object is found once (E4.2);
perfect is 1, duplicates are wrong (B4.3); classes without objects are n/a and left out (E6); images without objects
count (E5); difficult objects (E18) and both pixel conventions; table, curve and scores agree; what is refused
(E11, E12).
"""

import numpy as np
import pytest

from minicv.errors import ArgError, BoxError, DataFormatError, ShapeError
from minicv.geometry import Detections, Segments, Targets
from minicv.metrics import (
    average_precision,
    evaluate_coco_arrays,
    evaluate_detections,
    evaluate_voc,
    match_detections,
    step_table,
)
from minicv.metrics.detection import box_overlaps

pytestmark = pytest.mark.ch4


def entry(boxes=(), labels=None, **more):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), np.int64) if labels is None else np.array(labels, np.int64)
    return {"boxes": boxes, "labels": labels, **{k: np.array(v) for k, v in more.items()}}


def random_images(rng, count=8, classes=3):
    predictions, targets = [], []
    for _ in range(count):
        boxes = random_boxes(rng, rng.integers(0, 6))
        labels = rng.integers(0, classes, len(boxes))
        noisy = np.concatenate([boxes + np.sort(rng.normal(0, 2, boxes.shape), axis=1), random_boxes(rng, 3)])
        noisy[:, 2:] = np.maximum(noisy[:, 2:], noisy[:, :2] + 1)
        guesses = np.concatenate([labels, rng.integers(0, classes, 3)])
        targets.append(entry(boxes, labels, ignore=rng.random(len(boxes)) < 0.2))
        predictions.append(entry(noisy, guesses, scores=rng.random(len(noisy))))
    return predictions, targets


def random_boxes(rng, count):
    low = rng.uniform(0, 50, (count, 2))
    return np.concatenate([low, low + rng.uniform(4, 30, (count, 2))], axis=1)


# Matching -------------------------------------------------------------------------------------------------


def test_each_object_is_matched_once_to_the_free_one_of_highest_iou():
    ious = [[0.6, 0.7, 0.0], [0.9, 0.8, 0.0], [0.4, 0.95, 0.49], [0.3, 0.2, 0.5]]
    assert match_detections(ious).objects.tolist() == [1, 0, -1, 2]
    assert match_detections(ious, strict=True).objects.tolist() == [1, 0, -1, -1]       # 0.5 > 0.5 is wrong
    assert match_detections(ious, threshold=0.75).objects.tolist() == [-1, 0, 1, -1]
    assert match_detections(ious, assign="best").objects.tolist() == [1, 0, -1, 2]
    second = [[0.6, 0.7], [0.6, 0.7]]
    assert match_detections(second).objects.tolist() == [1, 0]
    assert match_detections(second, assign="best").objects.tolist() == [1, -1]          # VOC: a duplicate


def test_ignored_objects_are_a_last_resort_and_crowds_are_never_used_up():
    ious = [[0.6, 0.9], [0.55, 0.9], [0.0, 0.9]]
    ignore = [False, True]
    plain = match_detections(ious, ignore=ignore)
    assert plain.objects.tolist() == [0, 1, -1] and plain.ignored.tolist() == [False, True, False]
    crowd = match_detections(ious, crowd=ignore)
    assert crowd.objects.tolist() == [0, 1, 1] and crowd.ignored.tolist() == [False, True, True]
    voc = match_detections(ious, ignore=ignore, assign="best")
    assert voc.objects.tolist() == [1, 1, 1] and voc.ignored.all()


def test_matching_without_detections_or_objects():
    assert match_detections(np.zeros((0, 3))).objects.shape == (0,)
    assert match_detections(np.zeros((2, 0))).objects.tolist() == [-1, -1]
    assert match_detections(np.zeros((2, 0)), assign="best").objects.tolist() == [-1, -1]


def slow_match(ious, threshold, ignore, crowd):
    """Every detection in turn looks at all objects, worst to best."""
    used, result = set(), []
    for row in ious:
        candidates = [(not (ignore[g] or crowd[g]), iou, g) for g, iou in enumerate(row)
                      if iou >= threshold and (g not in used or crowd[g])]
        result.append(max(candidates)[2] if candidates else -1)
        used.add(result[-1])
    return result


def test_matching_against_a_slow_search():
    rng = np.random.default_rng(0)
    for _ in range(300):
        n, g = rng.integers(0, 8, 2)
        ious, crowd = np.round(rng.random((n, g)), 1), rng.random(g) < 0.2
        ignore = rng.random(g) < 0.3
        got = match_detections(ious, ignore=ignore, crowd=crowd)
        assert got.objects.tolist() == slow_match(ious, 0.5, ignore, crowd)
        assert got.ignored.tolist() == [o >= 0 and bool(ignore[o] or crowd[o]) for o in got.objects]


def test_overlaps_against_counting_pixels():
    rng = np.random.default_rng(1)
    boxes = np.sort(rng.integers(0, 12, (20, 2, 2)), axis=1).reshape(20, 4).astype(float)
    for inclusive in (False, True):
        sets = [{(x, y) for x in range(int(x1), int(x2) + inclusive) for y in range(int(y1), int(y2) + inclusive)}
                for x1, y1, x2, y2 in boxes]
        got = box_overlaps(boxes, boxes, np.zeros(20, bool), inclusive)
        for a in range(20):
            for b in range(20):
                union = len(sets[a] | sets[b])
                both = len(sets[a] & sets[b])
                assert got[a, b] == pytest.approx(both / union if union else 0)
    assert box_overlaps(np.array([[0.0, 0, 2, 2]]), np.array([[0.0, 0, 9, 9]]), np.array([True])) == 1


# Average precision ----------------------------------------------------------------------------------------


def test_a_perfect_detector_has_one_and_duplicates_cost():
    rng = np.random.default_rng(2)
    _, targets = random_images(rng)
    perfect = [{**t, "scores": rng.random(len(t["labels"]))} for t in targets]
    assert evaluate_detections(perfect, targets, num_classes=3).mean_ap == pytest.approx(1)
    one = [entry([[0, 0, 9, 9]])]
    double = [entry([[0, 0, 9, 9], [0, 0, 9, 9]], scores=[0.8, 0.9])]
    scores = evaluate_detections(double, one, num_classes=1, interpolation="area")
    assert scores.mean_ap == 1 and scores.curves[0].precision.tolist() == [1, 0.5]


def test_classes_without_objects_are_not_available_and_left_out_E6():
    targets = [entry([[0, 0, 9, 9]], [1])]
    predictions = [entry([[0, 0, 9, 9], [0, 0, 9, 9]], [1, 2], scores=[0.5, 0.9])]
    scores = evaluate_detections(predictions, targets, num_classes=4)
    assert scores.mean_ap == 1 and np.isnan(scores.ap).tolist() == [True, False, True, True]
    assert scores.num_objects.tolist() == [0, 1, 0, 0] and scores.num_detections.tolist() == [0, 1, 1, 0]
    assert np.isnan(evaluate_detections([entry(scores=[])], [entry()], num_classes=2).mean_ap)
    assert np.isnan(evaluate_detections([], [], num_classes=2).mean_ap)


def test_an_image_without_objects_counts_E5_and_nothing_found_is_zero_E8():
    targets = [entry([[0, 0, 9, 9]]), entry()]
    predictions = [entry([[0, 0, 9, 9]], scores=[0.5]), entry([[0, 0, 9, 9]], scores=[0.9])]
    assert evaluate_detections(predictions, targets, num_classes=1).mean_ap == 0.5
    assert evaluate_detections([entry(scores=[])] * 2, targets, num_classes=1).mean_ap == 0


def test_dicts_by_image_id_and_absent_predictions():
    targets = {"a": entry([[0, 0, 9, 9]]), 7: entry([[1, 1, 5, 5]])}
    scores = evaluate_detections({7: entry([[1, 1, 5, 5]], scores=[0.5])}, targets, num_classes=1)
    assert scores.mean_ap == 0.5
    (row,) = step_table({7: entry([[1, 1, 5, 5]], scores=[0.5])}, targets, num_classes=1)
    assert row["image"] == 7 and row["recall"] == 0.5


def test_detections_and_targets_serve_as_entries():
    masks = np.zeros((2, 12, 12), bool)
    masks[0, :9, :9], masks[1, 2:, 3:] = True, True
    crowd = Targets([[0, 0, 9, 9], [3, 2, 12, 12]], [0, 0], masks, np.array([False, True]))
    found = Segments.from_masks(masks[[0, 1, 1]], [0, 0, 0], [0.5, 0.9, 0.8])
    assert evaluate_detections([found], [crowd], num_classes=1).mean_ap == 1
    for kind in ("bbox", "segm"):
        assert evaluate_coco_arrays([found], [crowd], num_classes=1, iou_type=kind).figures[0] == pytest.approx(1)
    plain = Targets(crowd.boxes, crowd.labels)
    assert evaluate_detections([plain.detections()], [plain], num_classes=1).mean_ap == 1
    assert evaluate_detections([Detections.empty()], [Targets.empty()], num_classes=1).num_objects.tolist() == [0]


@pytest.mark.parametrize("interpolation", ["area", "interp-all", "11pt", "101pt"])
def test_the_table_of_steps_gives_the_same_curve(interpolation):
    predictions, targets = random_images(np.random.default_rng(3))
    scores = evaluate_detections(predictions, targets, num_classes=3, interpolation=interpolation)
    for label in range(3):
        rows = step_table(predictions, targets, num_classes=3, label=label)
        assert [r["rank"] for r in rows] == list(range(1, len(rows) + 1))
        kept = [r for r in rows if r["verdict"] != "ignored"]
        assert [r["precision"] for r in kept] == pytest.approx(scores.curves[label].precision.tolist())
        assert [r["recall"] for r in kept] == pytest.approx(scores.curves[label].recall.tolist())
        value = average_precision([r["precision"] for r in kept], [r["recall"] for r in kept],
                                  interpolation=interpolation)
        assert value == pytest.approx(scores.ap[label])
        for r in rows:
            assert r["verdict"] == "FP" or r["iou"] >= 0.5
            if r["object"] is not None:
                assert targets[r["image"]]["labels"][r["object"]] == label


def test_one_threshold_of_coco_is_the_readable_evaluation():
    for seed in range(10):
        predictions, targets = random_images(np.random.default_rng([4, seed]))
        slow = evaluate_detections(predictions, targets, num_classes=3, interpolation="101pt", threshold=0.6)
        fast = evaluate_coco_arrays(predictions, targets, num_classes=3, thresholds=(0.6,))
        np.testing.assert_allclose(fast.ap, slow.ap, atol=1e-12)


# VOC ------------------------------------------------------------------------------------------------------


def test_difficult_objects_are_neither_required_nor_punished_E18():
    targets = [entry([[0, 0, 9, 9], [20, 20, 29, 29]], difficult=[False, True])]
    found = [entry([[20, 20, 29, 29], [20, 20, 29, 29], [0, 0, 9, 9], [0, 0, 9, 9]], scores=[0.9, 0.8, 0.7, 0.6])]
    scores = evaluate_voc(found, targets, num_classes=1)
    assert scores.mean_ap == 1 and scores.num_objects.tolist() == [1]
    assert scores.curves[0].precision.tolist() == [1, 0.5]                              # the duplicate is wrong
    assert evaluate_voc(found[:1], [entry([[20, 20, 29, 29]])], num_classes=1).mean_ap == 1


def test_both_pixel_conventions_and_both_years_E18():
    """IoU of [0, 9] x [0, 9] and [0, 9] x [0, 4]: 50 / 100 in pixels that are included, 36 / 81 in half-open boxes."""
    targets = [entry([[0, 0, 9, 9]])]
    predictions = [entry([[0, 0, 9, 4]], scores=[0.5])]
    assert evaluate_voc(predictions, targets, num_classes=1, inclusive=True).mean_ap == 1
    assert evaluate_voc(predictions, targets, num_classes=1).mean_ap == 0
    targets = [entry([[0, 0, 9, 9], [20, 20, 29, 29]])]
    predictions = [entry([[0, 0, 9, 9], [40, 40, 49, 49], [20, 20, 29, 29]], scores=[0.9, 0.8, 0.7])]
    assert evaluate_voc(predictions, targets, num_classes=1, year=2007).mean_ap == pytest.approx(0.848485, abs=5e-7)
    assert evaluate_voc(predictions, targets, num_classes=1, year=2012).mean_ap == pytest.approx(0.833333, abs=5e-7)


# Errors ---------------------------------------------------------------------------------------------------

ONE = entry([[0, 0, 9, 9]])
SCORED = entry([[0, 0, 9, 9]], scores=[0.5])


@pytest.mark.parametrize("predictions, targets, error, words", [
    ({k: SCORED for k in range(9)}, {3: ONE}, DataFormatError, r"8 unknown image ids \[0, 1, 2, 4, 5\]"),
    ([SCORED], [], ShapeError, "predictions has 1 entries, expected 0"),
    ([SCORED], {0: ONE}, ArgError, "predictions is a list"),
    ([entry([[0, 0, 9, 9]], scores=[1.5])], [ONE], BoxError, r"predictions\[0\].scores\[0\] is 1.5"),
    ([entry([[0, 0, 9, 9]], scores=[np.nan])], [ONE], BoxError, "is nan"),
    ([entry([[0, 0, 9, 9]], scores=[0.5, 0.5])], [ONE], ShapeError, r"scores has shape \(2,\)"),
    ([ONE], [ONE], ShapeError, "scores has shape"),
    ([entry([[9, 0, 0, 9]], scores=[0.5])], [ONE], BoxError, r"predictions\[0\].boxes\[0\] is \[9.0, 0.0"),
    ([SCORED], [entry([[0, 0, np.inf, 9]])], BoxError, r"targets\[0\].boxes\[0\]"),
    ([SCORED], [entry([[0, 0, 9, 9]], [2])], ArgError, r"labels\[0\] is 2, expected in \[0, 2\)"),
    ([SCORED], [{"boxes": np.zeros((1, 5)), "labels": np.zeros(1, int)}], ShapeError, r"shape \(1, 5\)"),
    ([SCORED], [{"boxes": np.zeros((1, 4)), "labels": np.zeros(1)}], ShapeError, "labels has shape .* float64"),
    ([SCORED], [entry([[0, 0, 9, 9]], ignore=[True, False])], ShapeError, "ignore has shape"),
])
def test_entries_that_are_wrong_are_refused_E11_E12(predictions, targets, error, words):
    for function in (evaluate_detections, evaluate_coco_arrays, step_table):
        with pytest.raises(error, match=words):
            function(predictions, targets, num_classes=2)


@pytest.mark.parametrize("ious, settings, error, words", [
    ([0.5], {}, ShapeError, "ious has shape"), ([[1.5]], {}, ArgError, "outside"),
    ([[np.nan]], {}, ArgError, "outside"),
    ([[0.5]], {"threshold": 0}, ArgError, "threshold is 0"), ([[0.5]], {"assign": "any"}, ArgError, "assign is 'any'"),
    ([[0.5]], {"crowd": [True, True]}, ShapeError, "crowd has shape")])
def test_arguments_of_matching_are_checked(ious, settings, error, words):
    with pytest.raises(error, match=f"match_detections: .*{words}"):
        match_detections(ious, **settings)


def test_the_number_of_classes_is_checked():
    for wrong in (0, 2.0, True):
        with pytest.raises(ArgError, match="num_classes is"):
            evaluate_detections([SCORED], [ONE], num_classes=wrong)


@pytest.mark.parametrize("call, words", [
    (lambda: evaluate_detections([], [], num_classes=1, threshold=7), "threshold is 7"),
    (lambda: evaluate_detections([], [], num_classes=1, threshold=None), "threshold is None"),
    (lambda: evaluate_detections([], [], num_classes=1, assign="first"), "assign is 'first'"),
    (lambda: evaluate_detections([], [], num_classes=1, interpolation="12pt"), "interpolation is '12pt'"),
    (lambda: step_table([], [], num_classes=1, threshold=0), "threshold is 0"),
    (lambda: step_table([], [], num_classes=2, label=2), "label is 2"),
    (lambda: evaluate_voc([], [], num_classes=1, year="2007"), "year is '2007'"),
    (lambda: evaluate_detections((x for x in ()), [], num_classes=1), "predictions is a generator"),
    (lambda: evaluate_detections([], None, num_classes=1), "targets is a NoneType")])
def test_settings_are_checked_even_where_nothing_is_there(call, words):
    with pytest.raises(ArgError, match=words):
        call()


def test_difficult_objects_stay_difficult_beside_other_ignored_ones_E13():
    boxes = [[0, 0, 4, 4], [9, 9, 12, 12], [20, 20, 25, 25]]
    target = entry(boxes, ignore=[True, False, False], difficult=[False, True, False])
    scores = evaluate_detections([entry(boxes, scores=[0.9, 0.8, 0.7])], [target], num_classes=1)
    assert scores.num_objects.tolist() == [1] and scores.num_detections.tolist() == [1]


def test_flags_that_are_text_are_refused():
    with pytest.raises(ArgError, match=r"targets\[0\].ignore"):
        evaluate_detections([None], [entry([[0, 0, 1, 1]], ignore=["no"])], num_classes=1)


def test_boxes_whose_areas_would_overflow_are_refused():
    with pytest.raises(BoxError, match=r"targets\[0\].boxes"):
        evaluate_detections([None], [{"boxes": np.array([[0, 0, 1e200, 1e200]]), "labels": [0]}], num_classes=1)
