"""The detector: windows, scanning, grouping, predictions.

Proved here: scales and grids equal loops; shrunk windows equal means of pixels; every window of a scan is judged as
its pixels say; groups equal a loop and keep separate faces apart; a trained cascade finds faces where they are, with
any brightness; empty and tiny images; the contract of `predict`; the drawings; errors.
"""

import numpy as np
import pytest

from minicv.data import FacePatches, FaceScenes
from minicv.detection.viola_jones import (
    Cascade,
    ViolaJones,
    group_boxes,
    judge_windows,
    sample_features,
    scan_image,
    train_cascade,
)
from minicv.detection.viola_jones.windows import scales, window_grid, window_patches
from minicv.errors import ArgError, DTypeError, ShapeError
from minicv.geometry import Detections
from minicv.kernels.overlap import pairwise_iou
from minicv.metrics import evaluate_detections

from .test_cascade import some_cascade

pytestmark = pytest.mark.ch4


@pytest.fixture(scope="module")
def detector():
    def faces(count, seed):
        return FacePatches(count, faces=1.0, nuisance=1.4, seed=seed).arrays()["image"][:, 0].astype(np.float64)
    scenes = [FaceScenes(30, seed=11)[i] for i in range(30)]
    cascade, _ = train_cascade(faces(300, 1), faces(200, 2), scenes, pool=sample_features(1500, rng=0), d_min=0.985,
                               f_max=0.25, budget=(3, 8, 14, 20, 30), negatives=600, rng=0)
    return ViolaJones(cascade)


# Windows ----------------------------------------------------------------------------------------------------


def test_scales_grow_by_the_factor_until_windows_do_not_fit():
    assert scales((24, 100), 24, 999, 1.25) == [1.0] and scales((23, 100), 24, 999, 1.25) == []
    np.testing.assert_allclose(scales((100, 90), 30, 60, 1.25), np.array([30, 38, 47, 59]) / 24)
    assert scales((26, 26), 24, 99, 1.01) == [1.0, 25 / 24, 26 / 24]                       # no scale twice


@pytest.mark.parametrize("scale, step", [(1.0, 1.5), (30 / 24, 1.0), (2.0, 1.5), (1.0, 0.1)])
def test_windows_cover_the_image_in_steps(scale, step):
    corners, side = window_grid((60, 50), scale, step)
    apart = max(1, round(step * scale))
    assert side == round(24 * scale)
    assert corners.tolist() == [[y, x] for y in range(0, 60 - side + 1, apart) for x in range(0, 50 - side + 1, apart)]


def test_shrunk_windows_are_means_of_pixels():
    image = np.random.default_rng(0).random((80, 70))
    ii = np.pad(image, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    boxes = np.array([[3, 5, 27, 29], [1, 2, 49, 50], [0, 7, 61, 68]])
    got = window_patches(ii, boxes)
    np.testing.assert_allclose(got[0], image[5:29, 3:27], atol=1e-11)
    np.testing.assert_allclose(got[1], image[2:50, 1:49].reshape(24, 2, 24, 2).mean((1, 3)), atol=1e-11)
    edges = np.floor(61 * np.arange(25) / 24 + 0.5).astype(int)
    assert got[2][5, 9] == pytest.approx(image[7 + edges[5]:7 + edges[6], edges[9]:edges[10]].mean())


def test_scanning_judges_every_window_as_its_pixels():
    """At whole-number scales a window and its pixel means have exactly the same features; contrast differs."""
    cascade, small = some_cascade(), np.random.default_rng(1).random((30, 28))
    small = (small + np.roll(small, 1, 0) + np.roll(small, 1, 1)) / 3
    for image, scale in ((small, 1), (small.repeat(2, 0).repeat(2, 1), 2)):
        found = scan_image(cascade, image, min_side=24 * scale, max_side=24 * scale, step=1.0)
        patches = [image[y1:y2:scale, x1:x2:scale] for x1, y1, x2, y2 in found.boxes.astype(int)]
        assert len(patches) == 35
        verdict = cascade.judge(np.array(patches))
        assert (verdict.passed == found.passed).all() and (verdict.used == found.used).all()
        np.testing.assert_allclose(verdict.margin, found.margin, atol=1e-9)


def test_the_funnel_counts_windows_stage_by_stage():
    found = scan_image(some_cascade(), FaceScenes(1, seed=2)[0]["image"][0])
    funnel = found.funnel()
    assert funnel[0] == len(found.boxes) and funnel == sorted(funnel, reverse=True) and funnel[-1] < funnel[0]
    assert funnel[-1] == len(found.accepted()[0])


# Groups -----------------------------------------------------------------------------------------------------


def test_grouping_equals_a_loop():
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 60, (40, 2))
    boxes = np.concatenate([corner, corner + 24], axis=1).astype(float)
    weight = rng.uniform(1, 2, 40)
    means, masses = group_boxes(boxes, weight, 0.35)
    seeds = []
    for i in np.argsort(-weight):
        if all(pairwise_iou(boxes[[i]], boxes[[j]]) <= 0.35 for j in seeds):
            seeds.append(i)
    groups = [[] for _ in seeds]
    for i in range(40):
        groups[int(np.argmax([pairwise_iou(boxes[[i]], boxes[[j]])[0, 0] for j in seeds]))].append(i)
    expected = [(np.average(boxes[g], axis=0, weights=weight[g]), weight[g].sum(), len(g)) for g in groups]
    np.testing.assert_allclose(means, [e[0] for e in expected])
    np.testing.assert_allclose(masses, [e[1] for e in expected])
    assert 1 < len(seeds) < 40
    assert len(group_boxes(boxes, weight, 0.35, 3)[0]) == sum(e[2] >= 3 for e in expected)


def test_groups_of_separate_faces_stay_apart():
    boxes = np.array([[0, 0, 24, 24], [1, 0, 25, 24], [40, 0, 64, 24.0]])
    means, masses = group_boxes(boxes, np.ones(3), 0.35)
    assert means.tolist() == [[0.5, 0, 24.5, 24], [40, 0, 64, 24]] and masses.tolist() == [2, 1]
    assert group_boxes(np.zeros((0, 4)), np.zeros(0), 0.35)[0].shape == (0, 4)


# Predictions ------------------------------------------------------------------------------------------------


def test_faces_are_found_where_they_are(detector):
    scenes = [FaceScenes(12, seed=21)[i] for i in range(12)]
    found = [detector.predict(s["image"][None])[0] for s in scenes]
    assert evaluate_detections(found, scenes, num_classes=1).mean_ap >= 0.85


def test_brightness_and_contrast_change_nothing(detector):
    image = FaceScenes(1, seed=22)[0]["image"][None].astype(np.float64)
    a, b = detector.predict(image)[0], detector.predict(0.5 * image + 0.2)[0]
    assert len(a) and a == b


def test_predictions_keep_the_contract(detector):
    image = np.stack([FaceScenes(2, seed=23)[i]["image"] for i in range(2)])
    found = detector.predict(image)
    assert len(found) == 2 and all(isinstance(d, Detections) for d in found)
    for d in found:
        assert d.boxes.dtype == d.scores.dtype == np.float32 and (d.labels == 0).all()
        assert (d.boxes >= 0).all() and (d.boxes[:, [0, 2]] <= 160).all() and (d.boxes[:, [1, 3]] <= 120).all()
        assert ((0 < d.scores) & (d.scores < 1)).all() and (np.diff(d.scores) <= 0).all()
    colour = detector.predict(np.repeat(image, 3, axis=1))
    assert all(np.allclose(a.boxes, b.boxes) for a, b in zip(found, colour, strict=True))


def test_images_without_windows_or_faces_have_no_detections(detector):
    assert len(detector.predict(np.zeros((1, 1, 20, 40)))[0]) == 0
    assert len(detector.predict(np.full((1, 1, 60, 60), 0.5))[0]) == 0
    assert detector.predict(np.zeros((0, 1, 60, 60))) == []


@pytest.mark.parametrize("settings, name", [
    (dict(factor=1.0), "factor"), (dict(factor=0.8), "factor"), (dict(factor=np.inf), "factor"),
    (dict(min_side=20), "min_side"), (dict(max_side=10), "max_side"), (dict(step=0), "step"),
    (dict(iou_threshold=1.0), "iou_threshold"), (dict(min_windows=0), "min_windows"), (dict(factor=np.nan), "factor"),
    (dict(min_side="a"), "min_side"), (dict(step=np.nan), "step"), (dict(min_windows=1.5), "min_windows")])
def test_bad_settings_are_refused(settings, name):
    with pytest.raises(ArgError, match=f"ViolaJones: {name} is"):
        ViolaJones(Cascade.empty(), **settings)


@pytest.mark.parametrize("images, error, words", [
    (np.zeros((1, 60, 60)), ShapeError, "images has shape"), (np.zeros((1, 2, 60, 60)), ShapeError, "images has"),
    (np.zeros((1, 1, 60, 60), np.uint8), DTypeError, "divide bytes"),
    (np.full((1, 1, 60, 60), 255.0), ArgError, r"expected \[0, 1\]"),
    (np.full((1, 1, 60, 60), np.nan), ArgError, r"expected \[0, 1\]")])
def test_bad_images_are_refused(detector, images, error, words):
    with pytest.raises(error, match=words):
        detector.predict(images)


@pytest.mark.parametrize("settings", [
    dict(factor=1.0), dict(factor=0.5), dict(factor=np.nan), dict(min_side=0), dict(min_side=1), dict(step=0)])
def test_a_scan_that_would_never_end_is_refused(settings):
    (name,) = settings
    with pytest.raises(ArgError, match=f"scan_image: {name} is"):
        scan_image(some_cascade(), np.zeros((40, 40)), **settings)


@pytest.mark.parametrize("image, error", [
    (np.zeros((1, 60, 60)), ShapeError), (np.zeros(60), ShapeError), (np.full((60, 60), np.nan), ArgError),
    (np.full((60, 60), 1j), DTypeError)])
def test_a_scan_takes_one_grey_image(image, error):
    with pytest.raises(error, match="scan_image: image"):
        scan_image(some_cascade(), image)


@pytest.mark.parametrize("change, words", [
    (dict(ends=np.array([2, 900])), "ends"), (dict(features=np.full((9, 5), 10**9)), "larger than the window"),
    (dict(threshold=np.zeros(1)), "threshold"), (dict(bias=np.zeros(9)), "bias")])
def test_a_cascade_that_would_read_beyond_its_arrays_is_refused(change, words):
    broken = some_cascade()._replace(**change)
    for call in (lambda: ViolaJones(broken), lambda: scan_image(broken, np.zeros((40, 40))),
                 lambda: broken.judge(np.zeros((1, 24, 24)))):
        with pytest.raises(ArgError, match=words):
            call()
    with pytest.raises(ArgError, match="NoneType"):
        ViolaJones(None)


@pytest.mark.parametrize("origin, scale", [
    (-1, 1.0), (41 * 41, 1.0), (16 * 41 + 17, 1.0), (0, 2.0), (0, 0.5), (0, np.nan)])
def test_windows_outside_the_tables_are_refused(origin, scale):
    table = np.zeros((41, 41))
    with pytest.raises(ArgError, match="scale"):
        judge_windows(some_cascade(), table, table, np.array([origin]), scale)
    with pytest.raises(ShapeError, match="sq has shape"):
        judge_windows(some_cascade(), table, table[:9], np.array([0]), 1.0)


def test_weights_of_groups_are_positive():
    with pytest.raises(ArgError, match="weight"):
        group_boxes(np.array([[0, 0, 5, 5.0]]), np.zeros(1), 0.3)
    means, masses = group_boxes([[0, 0, 5, 5.0], [0, 0, 7, 5]], [1.0, 3.0], 0.3)
    np.testing.assert_allclose(means, [[0, 0, 6.5, 5]])
    np.testing.assert_allclose(masses, [4.0])


def test_no_patches_have_no_verdict_D_1():
    assert some_cascade().judge(np.zeros((0, 24, 24))).passed.shape == (0,)
