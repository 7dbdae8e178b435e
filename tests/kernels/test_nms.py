"""Non-maximum suppression.

Proved here: the kept boxes equal those of the definition as loops, by both searches and both twins, for box soups with
many ties, sizes over ten powers of two and classes; boxes kept overlap at most by the threshold and each dropped
one overlaps a better kept one more; permutation, idempotence, monotone score changes (3.3); ties, thresholds, classes,
empty input, absurd coordinates, many boxes (D-1, D-9, D-10, D-11, D-17); soft suppression equals its definition;
errors (D-2, D-6, D-12, D-13).
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicv.errors import ArgError, BoxError, DTypeError, ShapeError
from minicv.kernels import nms as module
from minicv.kernels.launch import load_numba
from minicv.kernels.nms import batched_nms, nms, soft_nms
from minicv.kernels.overlap import pairwise_iou

pytestmark = pytest.mark.ch4
FIXED = settings(deadline=None, derandomize=True, database=None, max_examples=150)

ROW = st.tuples(*[st.integers(0, 7)] * 2, *[st.integers(0, 4)] * 2, st.integers(-2, 3), st.integers(0, 2))
SOUP = st.lists(ROW, max_size=16).map(lambda rows: np.array(rows, np.float64).reshape(-1, 6))
THRESHOLD = st.sampled_from([0.0, 0.2, 1 / 3, 0.5, 0.75, 1.0])


def unpack(soup):
    """Boxes, scores and labels of hypothesis rows: coarse integers, so equal boxes, scores and exact IoUs abound."""
    boxes = np.concatenate([soup[:, :2], soup[:, :2] + soup[:, 2:4]], axis=1)
    return boxes, soup[:, 4], soup[:, 5].astype(np.int64)


def scene(n, seed=0, octaves=10):
    """Clustered boxes of sizes over many octaves, float32, with scores on a grid (ties)."""
    rng = np.random.default_rng(seed)
    size = 2.0 ** rng.uniform(0, octaves, (max(1, n // 8), 2))
    centre = rng.uniform(-1000, 1000, size.shape)
    at = rng.integers(0, len(size), n)
    c, s = centre[at] + 0.2 * size[at] * rng.standard_normal((n, 2)), size[at] * 1.2 ** rng.standard_normal((n, 2))
    return np.concatenate([c - s / 2, c + s / 2], axis=1).astype(np.float32), rng.integers(0, 50, n) / 50.0


def by_definition(boxes, scores, labels, threshold):
    """Best first, lower index among equals; a box stays unless a kept one of its class overlaps it more."""
    keep = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        x1, y1, x2, y2 = map(float, boxes[i])
        for j in keep:
            u1, v1, u2, v2 = map(float, boxes[j])
            inter = max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1))
            union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - inter
            if labels[i] == labels[j] and inter > 0 and inter / union > threshold:
                break
        else:
            keep.append(i)
    return keep


@FIXED
@given(SOUP, THRESHOLD, st.sampled_from([0, 10**9]))
def test_nms_equals_its_definition_by_both_searches(soup, threshold, few):
    """D7, D8: soups full of ties and of overlaps exactly at the threshold."""
    boxes, scores, labels = unpack(soup)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEW", few)
        assert batched_nms(boxes, scores, labels, iou_threshold=threshold).tolist() == by_definition(
            boxes, scores, labels, threshold)
        assert nms(boxes, scores, iou_threshold=threshold).tolist() == by_definition(
            boxes, scores, np.zeros(len(boxes)), threshold)


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.3, 0.5, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("octaves", [0, 3, 12])
def test_both_searches_agree_on_scenes_of_all_sizes(threshold, octaves, monkeypatch):
    boxes, scores = scene(400, seed=octaves, octaves=octaves)
    labels = np.random.default_rng(1).integers(0, 3, len(boxes))
    found = []
    for few in (0, 10**9):
        monkeypatch.setattr(module, "FEW", few)
        found.append(batched_nms(boxes, scores, labels, iou_threshold=threshold))
    assert np.array_equal(*found) and 0 < len(found[0]) <= 400


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.8])
def test_twins_agree_with_the_loops(threshold):
    boxes, scores = scene(60, octaves=3)
    order = module.descending(scores)
    boxes, labels = boxes[order].astype(np.float64), np.arange(60) % 2
    sides = (boxes[:, 2:] - boxes[:, :2]).T.copy()
    cells = [a for side in sides for a in module._cells(side, threshold)]
    masks = []
    for function, extra in ((module.suppress_pairs, ()), (module.suppress_cells, cells)):
        for run in (function, function.twin):
            guarded = np.ones(62, bool)
            run(boxes, labels, threshold, *extra, guarded[1:-1])
            assert guarded[0] and guarded[-1]
            masks.append(guarded)
    assert all(np.array_equal(m, masks[0]) for m in masks)


@FIXED
@given(SOUP, THRESHOLD, st.integers(0, 2**32 - 1))
def test_what_is_kept_and_why(soup, threshold, seed):
    """3.3: kept pairs overlap at most by the threshold; what is dropped has a better kept neighbour; permuting the
    input permutes the result; once more changes nothing; so does a monotone change of the scores."""
    boxes, scores, _ = unpack(soup)
    scores = scores + np.random.default_rng(seed).permutation(len(scores)) * 1e-3    # distinct
    keep = nms(boxes, scores, iou_threshold=threshold)
    iou = pairwise_iou(boxes, boxes)
    assert (np.triu(iou[np.ix_(keep, keep)], 1) <= threshold).all()
    assert (np.diff(scores[keep]) < 0).all() and len(set(keep)) == len(keep)
    for i in set(range(len(boxes))) - set(keep.tolist()):
        assert ((iou[i, keep] > threshold) & (scores[keep] > scores[i])).any()
    shuffled = np.random.default_rng(seed).permutation(len(boxes))
    assert np.array_equal(shuffled[nms(boxes[shuffled], scores[shuffled], iou_threshold=threshold)], keep)
    assert np.array_equal(nms(boxes[keep], scores[keep], iou_threshold=threshold), np.arange(len(keep)))
    assert np.array_equal(nms(boxes, np.exp(scores), iou_threshold=threshold), keep)


def test_the_example_of_the_course():
    """B4.9: boxes 1 and 2 overlap with 81 / 119 = 0.681."""
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], np.float32)
    assert pairwise_iou(boxes[:1], boxes[1:2]) == np.float32(81 / 119)
    assert nms(boxes, [0.9, 0.8, 0.7]).tolist() == [0, 2]
    assert nms(boxes, [0.7, 0.8, 0.9], iou_threshold=0.7).tolist() == [2, 1, 0]


def test_equal_scores_keep_the_lower_index():
    """D-9, E9: also for identical boxes, for both zeros and for unsigned integers, which have no negative."""
    same = np.tile([[0.0, 0, 1, 1]], (5, 1))
    assert nms(same, np.zeros(5)).tolist() == [0]
    apart = np.arange(5)[:, None] * [10.0] + [0, 0, 1, 1]
    assert nms(apart, [0.0, -0.0, 1.0, 0.0, 1.0]).tolist() == [2, 4, 0, 1, 3]
    assert nms(apart, np.array([0, 3, 255, 3, 0], np.uint8)).tolist() == [2, 1, 3, 0, 4]
    assert nms(apart, np.array([2**62, 2**62 + 1, -2**63, 0, 0])).tolist() == [1, 0, 3, 4, 2]


def test_suppression_needs_more_than_the_threshold():
    """D-10: exactly at the threshold a box stays; 0 drops whatever overlaps, touching does not; 1 drops nothing."""
    boxes, scores = np.array([[0, 0, 2, 1], [0, 0, 1, 1], [2, 0, 3, 1]]), [3, 2, 1]
    assert nms(boxes, scores, iou_threshold=0.5).tolist() == [0, 1, 2]
    assert nms(boxes, scores, iou_threshold=np.nextafter(0.5, 0)).tolist() == [0, 2]
    assert nms(boxes, scores, iou_threshold=0).tolist() == [0, 2]
    assert nms(np.tile(boxes, (2, 1)), np.tile(scores, 2), iou_threshold=1).tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("few", [0, 500])
def test_classes_never_meet_however_many_and_however_far(few, monkeypatch):
    """D-11: labels and coordinates at which shifting boxes by class would lose every digit."""
    monkeypatch.setattr(module, "FEW", few)
    boxes = np.tile(np.array([[0, 0, 8, 8], [1, 0, 9, 8]], np.float32) + np.float32(2**20), (3, 1))
    labels = np.array([0, 0, 2**40, 2**40, -7, 2**40 + 1])
    keep = batched_nms(boxes, [6, 5, 4, 3, 2, 1], labels)
    assert keep.tolist() == [0, 2, 4, 5]
    assert np.array_equal(keep, batched_nms(boxes, [6, 5, 4, 3, 2, 1], labels.astype(np.float64)))


def test_batched_nms_is_nms_class_by_class():
    boxes, scores = scene(700, octaves=4)
    scores = scores + np.arange(700) * 1e-5
    labels = np.random.default_rng(0).integers(0, 80, 700)
    parts = [np.flatnonzero(labels == k) for k in range(80)]
    expected = np.concatenate([p[nms(boxes[p], scores[p])] for p in parts])
    assert np.array_equal(batched_nms(boxes, scores, labels), expected[np.argsort(-scores[expected])])


@pytest.mark.parametrize("function", [nms, lambda b, s: batched_nms(b, s, np.zeros(0, int)), soft_nms])
def test_no_boxes(function):
    """D-1."""
    found = function(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    keep = found if isinstance(found, np.ndarray) else found.keep
    assert keep.shape == (0,) and keep.dtype == np.int64


@pytest.mark.parametrize("few", [0, 10**9])
@pytest.mark.parametrize("factor", [1e-305, 1e-160, 1.0, 1e160, 1e305])
def test_absurd_coordinates(factor, few, monkeypatch):
    monkeypatch.setattr(module, "FEW", few)
    boxes = np.array([[-3, -3, 3, 3], [-2, -3, 4, 3], [2, 2, 9, 9], [1, 1, 1, 9]]) * factor
    assert nms(boxes, [4, 3, 2, 1]).tolist() == [0, 2, 3]


def test_specks_beside_a_giant_and_boxes_without_area(monkeypatch):
    """D-4, D-8: also where sizes differ by more than cells are made for."""
    monkeypatch.setattr(module, "FEW", 0)
    specks = np.array([[0, 0, 1, 1], [0.1, 0, 1.1, 1], [5, 5, 5, 6], [5, 5, 5, 6]])
    for far in (1e3, 1e12, 1e18, 1e100):
        boxes = np.concatenate([specks, [[-far, -far, far, far]]])
        assert nms(boxes, [1, 2, 3, 4, 5]).tolist() == [4, 3, 2, 1]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.float16])
def test_small_types_are_promoted(dtype):
    """D-7: in uint8 the areas would wrap."""
    boxes = np.array([[0, 0, 100, 100], [10, 0, 110, 100], [0, 100, 20, 120]]).astype(dtype)
    assert nms(boxes, [3, 2, 1]).tolist() == [0, 2]


def test_a_hundred_thousand_boxes_need_linear_memory():
    """D-17: all pairs would be 80 GB; sparse, so that nearly all are kept."""
    rng, n = np.random.default_rng(0), 100_000 if load_numba() else 4000      # the twin tries all pairs
    corner = rng.uniform(0, 60 * n**0.5, (n, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(2, 40, (n, 2))], axis=1)
    boxes[0] = [0, 0, *corner.max(axis=0)]
    keep = nms(boxes, rng.random(n))
    assert 0.95 * n < len(keep) < n
    some = keep[:300]
    assert (np.triu(pairwise_iou(boxes[some], boxes[some]), 1) <= 0.5).all()


def soft_by_definition(boxes, scores, labels, factor, least):
    scores, left, out = [float(s) for s in scores], list(range(len(boxes))), []
    while left:
        best = max(left, key=lambda i: (scores[i], -i))
        if scores[best] < least:
            break
        left.remove(best)
        out.append((best, scores[best]))
        for j in left:
            if labels[j] == labels[best]:
                scores[j] *= factor(float(pairwise_iou(boxes[best:best + 1], boxes[j:j + 1])[0, 0]))
    return out


@FIXED
@given(SOUP, THRESHOLD, st.sampled_from(["linear", "gaussian"]))
def test_soft_nms_equals_its_definition(soup, threshold, method):
    boxes, scores, labels = unpack(soup)
    scores = (scores + 2) / 5
    factor = {"linear": lambda v: 1 - v if v > threshold else 1.0, "gaussian": lambda v: math.exp(-v * v / 0.4)}[method]
    expected = soft_by_definition(boxes, scores, labels, factor, 0.05)
    found = soft_nms(boxes, scores, labels, method=method, iou_threshold=threshold, sigma=0.4, score_threshold=0.05)
    np.testing.assert_allclose(found.scores, [s for _, s in expected], rtol=1e-12)
    assert (np.diff(found.scores) <= 0).all() and len(set(found.keep.tolist())) == len(found.keep)
    if method == "linear":                  # products of different exponentials may tie up to rounding
        assert found.keep.tolist() == [i for i, _ in expected]


def test_soft_nms_lowers_where_nms_drops():
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], np.float32)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    found = soft_nms(boxes, scores)
    assert found.keep.tolist() == [0, 2, 1] and found.scores.dtype == np.float32
    np.testing.assert_allclose(found.scores, [0.9, 0.7, 0.8 * (1 - 81 / 119)], rtol=1e-6)
    gaussian = soft_nms(boxes, scores, method="gaussian").scores
    np.testing.assert_allclose(gaussian, [0.9, 0.7, 0.8 * math.exp(-2 * (81 / 119) ** 2)], rtol=1e-6)
    assert soft_nms(boxes, scores, score_threshold=0.5).keep.tolist() == [0, 2]
    assert soft_nms(boxes, scores, [0, 1, 0]).keep.tolist() == [0, 1, 2]
    assert np.array_equal(scores, np.array([0.9, 0.8, 0.7], np.float32))


def test_soft_twin_agrees_with_the_loop():
    boxes, scores = scene(80, octaves=2)
    outputs = []
    for run in (module.soften, module.soften.twin):
        lowered, order = scores.copy(), np.full(80, -1)
        run(boxes.astype(np.float64), np.arange(80) % 2, True, 0.3, 0.5, 0.1, lowered, order)
        outputs.append((lowered, order))
    np.testing.assert_allclose(*(o[0] for o in outputs), rtol=1e-13)
    assert np.array_equal(*(o[1] for o in outputs))


GOOD = np.array([[0, 0, 1, 1.0], [2, 2, 3, 3]])


@pytest.mark.parametrize("boxes, scores, error, words", [
    (GOOD, [1.0], ShapeError, r"scores has shape \(1,\), expected \(2,\)"),
    (GOOD, [[1.0], [2.0]], ShapeError, r"scores has shape \(2, 1\)"),
    (np.zeros((2, 5)), [1, 2], ShapeError, r"boxes has shape \(2, 5\)"),
    (GOOD[:, [2, 3, 0, 1]], [1, 2], BoxError, r"boxes\[0\] is \[1.0, 1.0, 0.0, 0.0\]"),
    (GOOD * np.nan, [1, 2], BoxError, r"boxes\[0\] is \[nan"),
    (GOOD, [1, np.nan], BoxError, r"scores\[1\] is nan, expected a finite number"),
    (GOOD, [np.inf, 1], BoxError, r"scores\[0\] is inf"),
    (GOOD, [True, False], DTypeError, "scores has dtype bool"),
    (GOOD, [1j, 2], DTypeError, "scores has dtype complex"),
])
def test_bad_boxes_and_scores_are_refused(boxes, scores, error, words):
    """D-2, D-6, D-12, D-13."""
    for name, function in (("nms", nms), ("soft_nms", soft_nms),
                           ("batched_nms", lambda b, s: batched_nms(b, s, np.zeros(2, int)))):
        with pytest.raises(error, match=f"{name}: {words}"):
            function(boxes, scores)


@pytest.mark.parametrize("value", [-0.1, 1.0001, np.nan, "0.5", None, True])
def test_thresholds_outside_zero_and_one_are_refused(value):
    """D-10."""
    for function in (nms, soft_nms):
        with pytest.raises(ArgError, match="iou_threshold is .*expected a number in"):
            function(GOOD, [1, 2], iou_threshold=value)


@pytest.mark.parametrize("labels, error, words", [
    ([0], ShapeError, r"labels has shape \(1,\)"),
    ([[0], [1]], ShapeError, r"labels has shape \(2, 1\)"),
    ([0, 0.5], DTypeError, "labels is float64 with values that are no whole numbers"),
    ([0, np.nan], DTypeError, "labels"),
    ([0, np.inf], DTypeError, "labels"),
    (["a", "b"], DTypeError, "labels is <U1"),
])
def test_bad_labels_are_refused(labels, error, words):
    """D-12, D-13: whole floats pass, see the test of classes."""
    with pytest.raises(error, match=f"batched_nms: {words}"):
        batched_nms(GOOD, [1, 2], labels)


@pytest.mark.parametrize("change, error, words", [
    (dict(method="cubic"), ArgError, "method is 'cubic', expected one of linear, gaussian"),
    (dict(sigma=0), ArgError, "sigma is 0, expected a number above 0"),
    (dict(sigma=np.nan), ArgError, "sigma is nan"),
    (dict(score_threshold=np.nan), ArgError, "score_threshold is nan"),
    (dict(scores=[1, -2.0]), BoxError, r"scores\[1\] is -2.0, expected at least 0"),
])
def test_bad_settings_of_soft_nms_are_refused(change, error, words):
    with pytest.raises(error, match=f"soft_nms: {words}"):
        soft_nms(**{"boxes": GOOD, "scores": [1.0, 2.0], **change})


@pytest.mark.oracle
def test_torchvision_keeps_the_same_boxes():
    torch, ops = pytest.importorskip("torch"), pytest.importorskip("torchvision.ops")
    for n in (300, 3000):
        boxes, scores = scene(n, octaves=5)
        scores = np.random.default_rng(0).permutation(n) / n          # torchvision leaves ties open
        labels = np.random.default_rng(1).integers(0, 9, n)
        b, s = torch.tensor(boxes, dtype=torch.float64), torch.tensor(scores)
        for threshold in (0.0, 0.3, 0.5, 0.7):
            assert np.array_equal(nms(boxes, scores, iou_threshold=threshold), ops.nms(b, s, threshold).numpy())
            assert np.array_equal(batched_nms(boxes, scores, labels, iou_threshold=threshold),
                                  ops.batched_nms(b, s, torch.tensor(labels), threshold).numpy())
