"""COCO evaluation.

Proved here: the twelve figures of stored data sets are those of the reference toolbox (`coco_reference.json`, made by
`coco_data.py`) for boxes and masks; rows E1-E16 of the fault catalogue; arrays and dicts, boxes and masks of
rectangles agree; loops and twins agree; image order, ids and monotone maps of scores change nothing; what is refused.
In the oracle lane: 200 random data sets, all precisions and recalls, against pycocotools to 1e-9.
"""

import json

import numpy as np
import pytest

from minicv.errors import ArgError, BoxError, DataFormatError, ShapeError
from minicv.geometry import RLE, rle_decode, segmentation_rle
from minicv.kernels import launch
from minicv.metrics import evaluate_coco, evaluate_coco_arrays
from tests.metrics.coco_data import KINDS, STORED, random_data, reference

pytestmark = pytest.mark.ch4
ROWS = json.loads(STORED.read_text(encoding="utf-8"))["figures"]
SIZE = {"height": 100, "width": 100}


def world(*boxes, images=1, classes=1, **flags):
    """A data set with these boxes in image 1, class 1; flags: {name: list}."""
    annotations = [{"id": k + 1, "image_id": 1, "category_id": 1, "bbox": list(b), "area": b[2] * b[3], "iscrowd": 0,
                    **{name: values[k] for name, values in flags.items()}} for k, b in enumerate(boxes)]
    return {"images": [{"id": i + 1, **SIZE} for i in range(images)], "annotations": annotations,
            "categories": [{"id": c + 1} for c in range(classes)]}


def result(box, score, image=1, label=1):
    return {"image_id": image, "category_id": label, "bbox": list(box), "score": score}


def minus(figures):
    return np.where(np.isnan(figures), -1, figures)


A, B, FAR = (0, 0, 10, 10), (30, 30, 20, 20), (70, 70, 10, 10)


@pytest.mark.parametrize("row", ROWS)
def test_stored_figures_of_the_reference_toolbox_K20(row):
    kind, seed = row.split()
    dataset, results = random_data(int(seed), masks=kind == "segm")
    figures = evaluate_coco(dataset, results, iou_type=kind).figures
    np.testing.assert_allclose(minus(figures), ROWS[row], rtol=0, atol=1e-9)


def test_ids_of_annotations_do_not_matter_E1_E2():
    for boxes in ((A,), (A, B)):
        dataset = world(*boxes)
        for a in dataset["annotations"]:
            a["id"] -= 1                                                         # 0 and 1
        assert evaluate_coco(dataset, [result(b, 0.9) for b in boxes]).figures[0] == pytest.approx(1)


def test_two_of_three_right_E3():
    scores = evaluate_coco(world(A, B), [result(A, 0.9), result(FAR, 0.8), result(B, 0.7)])
    assert scores.figures[0] == pytest.approx(0.834983, abs=5e-7)


def test_detections_inside_a_crowd_do_not_count_E4_E7():
    dataset = world(A, (30, 30, 60, 60), iscrowd=[0, 1])
    results = [result((40 + k, 40, 9, 9), 0.9) for k in range(3)] + [result(A, 0.5)]
    assert evaluate_coco(dataset, results).figures[0] == pytest.approx(1)
    dataset["annotations"][1]["iscrowd"] = 0
    assert evaluate_coco(dataset, results).figures[0] == pytest.approx(0.1262, abs=5e-5)
    only = evaluate_coco(world(A, iscrowd=[1]), [result(A, 0.5)])
    assert np.isnan(only.figures).all() and only.num_objects.tolist() == [1]
    assert only.lines().splitlines()[0].split() == ["AP", "-1.000"]


def test_images_and_classes_without_objects_E5_E6():
    assert evaluate_coco(world(A, images=2), [result(A, 0.5), result(A, 0.9, image=2)]).figures[0] == 0.5
    scores = evaluate_coco(world(A, classes=2), [result(A, 0.5), result(A, 0.9, label=2), result(B, 0.9, label=2)])
    assert scores.figures[0] == pytest.approx(1) and np.isnan(scores.ap).tolist() == [False, True]
    assert scores.num_objects.tolist() == [1, 0] and scores.num_detections.tolist() == [1, 2]


def test_nothing_found_is_zero_and_nothing_there_is_undefined_E8():
    scores = evaluate_coco(world(A), [])
    assert scores.figures[[0, 1, 2, 3, 6, 7, 8, 9]].tolist() == [0] * 8
    assert np.isnan(scores.figures[[4, 5, 10, 11]]).all()
    assert np.isnan(evaluate_coco(world(), []).figures).all()
    assert np.isnan(evaluate_coco({"images": [], "annotations": [], "categories": []}, []).figures).all()


def test_equal_scores_keep_the_order_of_the_list_E9():
    wrong, right = result(FAR, 0.5), result(A, 0.5)
    assert evaluate_coco(world(A), [wrong, right]).figures[0] == 0.5
    assert evaluate_coco(world(A), [right, wrong]).figures[0] == pytest.approx(1)


def test_only_so_many_detections_count_E10_E14():
    results = [result(FAR, 0.9)] * 100 + [result(A, 0.1)]
    assert evaluate_coco(world(A), results).figures[0] == 0
    more = evaluate_coco(world(A), results, max_dets=(1, 100, 101))
    assert more.figures[0] == pytest.approx(1 / 101) and more.figures[6:9].tolist() == [0, 0, 1]


def test_missing_keys_have_usual_values_and_ignore_is_honoured_E13():
    dataset = world(A, (30, 30, 60, 60))
    for a in dataset["annotations"]:
        del a["iscrowd"], a["area"]
    results = [result((30, 30, 60, 60), 0.9), result(A, 0.8)]
    scores = evaluate_coco(dataset, results)
    assert scores.figures[:6].tolist() == pytest.approx([1, 1, 1, 1, 1, np.nan], nan_ok=True)
    dataset["annotations"][1]["ignore"] = 1
    scores = evaluate_coco(dataset, results[1:])
    assert scores.figures[0] == pytest.approx(1) and np.isnan(scores.figures[4])


def test_ranges_go_by_the_area_of_the_annotation_E15():
    dataset = world((0, 0, 40, 40), area=[900])                                  # the box has 1600 pixels, medium
    figures = evaluate_coco(dataset, [result((0, 0, 40, 40), 0.9)]).figures
    assert figures[3] == pytest.approx(1) and np.isnan(figures[4])


def test_arrays_and_dicts_and_masks_of_rectangles_agree():
    rng = np.random.default_rng(0)
    targets, predictions, annotations, results = [], [], [], []
    for image in range(6):
        boxes, guesses = (np.array([[x, y, x + w, y + h] for x, y, w, h in rng.integers(2, 30, (n, 4))], np.float32)
                          for n in rng.integers(1, 6, 2))
        guesses = np.concatenate([guesses, boxes[:2]])
        targets.append({"boxes": boxes, "labels": rng.integers(0, 2, len(boxes)),
                        "crowd": rng.random(len(boxes)) < 0.2})
        predictions.append({"boxes": guesses, "labels": rng.integers(0, 2, len(guesses)),
                            "scores": rng.random(len(guesses)).astype(np.float32)})
        for entry, rows in ((targets[-1], annotations), (predictions[-1], results)):
            for k, (x1, y1, x2, y2) in enumerate(entry["boxes"].tolist()):
                row = {"image_id": image, "category_id": 10 + int(entry["labels"][k]),
                       "bbox": [x1, y1, x2 - x1, y2 - y1], "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]]}
                rows.append(row | ({"score": float(entry["scores"][k])} if "scores" in entry else
                                   {"id": len(rows), "iscrowd": int(entry["crowd"][k])}))
    dataset = {"images": [{"id": i, **SIZE} for i in range(6)], "annotations": annotations,
               "categories": [{"id": 10}, {"id": 11}]}
    expected = evaluate_coco(dataset, results)
    masked = [[{**e, "masks": [rle_decode(segmentation_rle([[x1, y1, x2, y1, x2, y2, x1, y2]], (100, 100)))
                               for x1, y1, x2, y2 in e["boxes"].tolist()]} for e in part]
              for part in (predictions, targets)]
    for scores in (evaluate_coco(dataset, results, iou_type="segm"),
                   evaluate_coco_arrays(predictions, targets, num_classes=2),
                   evaluate_coco_arrays(*masked, num_classes=2, iou_type="segm")):
        np.testing.assert_allclose(scores.figures, expected.figures, atol=1e-12)
        np.testing.assert_allclose(scores.precision, expected.precision, atol=1e-12)
    assert 0 < expected.figures[0] < 1
    assert expected.precision.shape == (10, 101, 2, 4, 3) and expected.recall.shape == (10, 2, 4, 3)
    assert list(expected.named().values())[:2] == expected.figures[:2].tolist()


def test_areas_of_targets_choose_the_range():
    box = {"boxes": np.array([[0, 0, 40, 40]]), "labels": np.array([0])}
    found, targets = [{**box, "scores": np.array([0.9])}], [{**box, "areas": np.array([900.0])}]
    assert np.isnan(evaluate_coco_arrays(found, targets, num_classes=1).figures[4])
    assert evaluate_coco_arrays(found, [box], num_classes=1).figures[4] == pytest.approx(1)


def test_order_of_images_ids_and_monotone_scores_change_nothing():
    dataset, results = random_data(3)
    for r in results:
        r["score"] = float(np.round(r["score"], 6))
    results = list({r["score"]: r for r in results}.values())                    # no ties
    expected = evaluate_coco(dataset, results).figures
    flipped = {**dataset, "images": dataset["images"][::-1]}
    np.testing.assert_array_equal(evaluate_coco(flipped, results[::-1]).figures, expected)
    mapped = [{**r, "score": r["score"] ** 3} for r in results]
    np.testing.assert_array_equal(evaluate_coco(dataset, mapped).figures, expected)
    moved = json.loads(json.dumps([dataset, results]).replace('"image_id": ', '"image_id": 9'))
    for image in moved[0]["images"]:
        image["id"] = int(f"9{image['id']}")
    np.testing.assert_array_equal(evaluate_coco(*moved).figures, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_loops_and_twins_agree(kind, monkeypatch):
    for seed in range(20, 26):
        dataset, results = random_data(seed, masks=kind == "segm")
        monkeypatch.setattr(launch, "TWINS_ONLY", False)
        loops = evaluate_coco(dataset, results, iou_type=kind)
        monkeypatch.setattr(launch, "TWINS_ONLY", True)
        twins = evaluate_coco(dataset, results, iou_type=kind)
        for a, b in zip(loops, twins, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


# Errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("results, error, words", [
    ([result(A, 0.5, image=k) for k in range(2, 9)], DataFormatError,
     r"7 entries with unknown image_id, such as \[2, 3, 4, 5, 6\]"),
    ([result(A, 0.5, label=9)], DataFormatError, r"unknown category_id, such as \[9\]"),
    ([result(A, float("nan"))], BoxError, r"results' score\[0\] is nan"), ([result(A, 1.5)], BoxError, "is 1.5"),
    ([{"image_id": 1, "category_id": 1, "bbox": A}], BoxError, "is nan"),
    ([result((0, 0, -1, 5), 0.5)], BoxError, r"results\[0\].bbox is \[0.0, 0.0, -1.0, 5.0\]"),
    ([result((0, 0, float("inf"), 5), 0.5)], BoxError, "finite"),
    ([result((0, 0, 5), 0.5)], DataFormatError, "3 numbers"),
    ([{"image_id": 1, "category_id": 1, "score": 0.5}], DataFormatError, "bbox that is missing"),
    ([{"category_id": 1, "score": 0.5}], DataFormatError, "image_id that is missing"),
    ([result(A, 0.5, image="1x")], DataFormatError, "image_id that is no integer"),
    ([result(A, 0.5, label=1.5)], DataFormatError, "category_id that is no integer, such as"),
    ([result(("a", 0, 1, 1), 0.5)], DataFormatError, "no numbers")])
def test_results_that_are_wrong_are_refused_E11_E12(results, error, words):
    with pytest.raises(error, match=words):
        evaluate_coco(world(A), results)


@pytest.mark.parametrize("part, rows, words", [
    ("images", None, "NoneType as images"), ("categories", [{}], "categories have a id that is missing"),
    ("images", [{"id": "1", **SIZE}], "images have a id that is no integer"),
    ("annotations", [{**world(A)["annotations"][0], "area": "large"}], "area that is no number"),
    ("annotations", [{**world(A)["annotations"][0], "area": -1}], "area that is no number"),
    ("annotations", [{**world(A)["annotations"][0], "image_id": 5}], "unknown image_id")])
def test_data_sets_that_are_none_are_refused(part, rows, words):
    with pytest.raises(DataFormatError, match=f"evaluate_coco: .*{words}"):
        evaluate_coco({**world(A), part: rows}, [])
    with pytest.raises(DataFormatError, match="NoneType as images"):
        evaluate_coco([], [])


def test_masks_need_the_sizes_of_the_images():
    with pytest.raises(DataFormatError, match="images have a height that is missing"):
        evaluate_coco({**world(A), "images": [{"id": 1}]}, [], iou_type="segm")


def test_wrong_masks_are_refused_with_their_annotation_E20():
    dataset = world(A, segmentation=[{"size": [100, 100], "counts": "5"}])
    with pytest.raises(DataFormatError, match=r"segmentation of annotations\[0\] \(id 1\) has counts that sum to 5"):
        evaluate_coco(dataset, [], iou_type="segm")
    with pytest.raises(ShapeError, match="targets have None masks"):
        evaluate_coco_arrays([None], [{"boxes": np.zeros((0, 4)), "labels": []}], num_classes=1, iou_type="segm")


@pytest.mark.parametrize("settings, error, words", [
    ({"iou_type": "keypoints"}, ArgError, "iou_type is 'keypoints'"), ({"thresholds": ()}, ArgError, "thresholds is"),
    ({"thresholds": (0.5, 1.5)}, ArgError, "thresholds is"), ({"areas": ((0, 1),)}, ShapeError, "areas has shape"),
    ({"areas": ((1, 0),) * 4}, ShapeError, "areas"), ({"max_dets": (10, 1, 100)}, ArgError, "max_dets is"),
    ({"max_dets": (1, 10)}, ArgError, "max_dets is"), ({"max_dets": (0, 1, 2)}, ArgError, "max_dets is")])
def test_settings_are_checked(settings, error, words):
    with pytest.raises(error, match=f"evaluate_coco: {words}"):
        evaluate_coco(world(A), [], **settings)


# Live reference -------------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("kind", KINDS)
def test_random_data_sets_equal_the_reference_toolbox_K20(kind):
    pytest.importorskip("pycocotools", reason="live comparison with the reference toolbox")
    for seed in range(100, 200):
        dataset, results = random_data(seed, masks=kind == "segm")
        if not results:                                                          # the toolbox cannot
            continue
        settings = {} if seed % 4 else {"maxDets": [2, 5, 100]}
        theirs = reference(dataset, results, kind, **settings)
        ours = evaluate_coco(dataset, results, iou_type=kind, max_dets=settings.get("maxDets", (1, 10, 100)))
        np.testing.assert_allclose(minus(ours.figures), theirs.stats, rtol=0, atol=1e-9)
        np.testing.assert_allclose(minus(ours.precision), theirs.eval["precision"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(minus(ours.recall), theirs.eval["recall"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("results", [None, "text", {"a": 1}, iter([])])
def test_results_are_a_list(results):
    with pytest.raises(DataFormatError, match="results is a"):
        evaluate_coco(world((0, 0, 5, 5)), results)


@pytest.mark.parametrize("flag", ["0", 2, None, [0]])
@pytest.mark.parametrize("key", ["iscrowd", "ignore"])
def test_flags_are_zero_or_one_E13(key, flag):
    with pytest.raises(DataFormatError, match=f"{key} such as"):
        evaluate_coco(world((0, 0, 5, 5), **{key: [flag]}), [])


def test_areas_belong_to_their_own_target():
    def entry(areas, count=2):
        return {"boxes": np.tile([[0, 0, 5, 5.0]], (count, 1)), "labels": [0] * count, "areas": areas}

    for areas, error in (([1, 2, 3], ShapeError), (["a", "b"], ShapeError), ([1, np.nan], ArgError),
                         ([-1, 1], ArgError)):
        with pytest.raises(error, match=r"targets\[0\].areas"):                 # together there are as many as objects
            evaluate_coco_arrays([None] * 2, [entry(areas), entry([1])], num_classes=1)


def test_masks_given_as_runs_are_checked_E20():
    whole, broken = RLE((3, 3), np.array([0, 9])), RLE((3, 3), np.array([100]))
    with pytest.raises(DataFormatError, match="counts"):
        evaluate_coco_arrays([{"masks": [broken], "labels": [0], "scores": [0.5]}], [{"masks": [whole], "labels": [0]}],
                             num_classes=1, iou_type="segm")
    with pytest.raises(ShapeError, match="0 masks and None labels"):
        evaluate_coco_arrays([{"masks": []}], [{"masks": [], "labels": []}], num_classes=1, iou_type="segm")


def test_boxes_whose_areas_would_overflow_are_refused():
    with pytest.raises(BoxError, match="bbox"):
        evaluate_coco(world((0, 0, 1e200, 1e200)), [])


@pytest.mark.parametrize("part, key", [("images", "id"), ("categories", "id"), ("annotations", "image_id")])
def test_an_empty_list_is_no_id(part, key):
    data = world((0, 0, 5, 5))
    data[part][0][key] = []
    with pytest.raises(DataFormatError, match=f"{key} that is no integer"):
        evaluate_coco(data, [])
