"""Non-maximum suppression through the public function. Proved: the definition in loops, the worked example,
metamorphic relations, classes, ties (D8, D-9), thresholds (D7, D-10), empty input, Tensors, refusals.
The kernel's own searches are proved in tests/kernels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicv.autograd import Tensor
from minicv.errors import ArgError, BoxError, DTypeError, ShapeError
from minicv.geometry import box_iou, nms, soft_nms

from .strategies import boxes, random_boxes

pytestmark = pytest.mark.ch4


@st.composite
def scored(draw):
    """(boxes, scores with ties, labels, threshold)."""
    b = draw(boxes())
    scores = draw(st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.9]), min_size=len(b), max_size=len(b)))
    labels = draw(st.lists(st.integers(0, 2), min_size=len(b), max_size=len(b)))
    return b, np.array(scores), np.array(labels, np.int64), draw(st.sampled_from([0.0, 1 / 3, 0.5, 1.0]))


def by_definition(b, scores, labels, threshold):
    remaining, kept = sorted(range(len(b)), key=lambda i: (-scores[i], i)), []
    while remaining:
        best = remaining.pop(0)
        kept.append(best)
        remaining = [i for i in remaining
                     if labels[i] != labels[best] or box_iou(b[[best]], b[[i]])[0, 0] <= threshold]
    return kept


@settings(deadline=None)
@given(scored())
def test_kept_boxes_are_those_of_the_definition(case):
    b, scores, labels, threshold = case
    expected = by_definition(b, scores, labels, threshold)
    kept = nms(b, scores, threshold, labels)
    assert kept.dtype == np.int64 and kept.tolist() == expected
    assert nms(Tensor(b), Tensor(scores), threshold, Tensor(labels)).tolist() == expected
    assert nms(b, scores, threshold).tolist() == by_definition(b, scores, np.zeros(len(b)), threshold)


@settings(deadline=None)
@given(scored(), st.randoms(use_true_random=False))
def test_relations_that_need_no_oracle(case, random):
    """Kept boxes overlap at most by the threshold, every dropped one has a better kept one above it; twice is once."""
    b, scores, _, threshold = case
    scores = scores + np.arange(len(b)) * 1e-3                                     # no ties
    kept = nms(b, scores, threshold)
    assert (np.diff(scores[kept]) < 0).all()
    iou = box_iou(b, b)
    inside = iou[np.ix_(kept, kept)] - np.diag(iou[kept, kept])
    assert (inside <= threshold).all()
    for i in set(range(len(b))) - set(kept.tolist()):
        assert any(iou[i, k] > threshold and scores[k] > scores[i] for k in kept)
    np.testing.assert_array_equal(nms(b[kept], scores[kept], threshold), np.arange(len(kept)))
    order = np.array(random.sample(range(len(b)), len(b)), np.int64)
    np.testing.assert_array_equal(order[nms(b[order], scores[order], threshold)], kept)


def test_the_worked_example_and_a_threshold_met_exactly():
    """B4.9; D7: only an IoU above the threshold deletes."""
    b = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    scores = np.array([0.9, 0.8, 0.7])
    assert nms(b, scores, 0.5).tolist() == [0, 2]
    assert nms(b, scores, 81 / 119).tolist() == [0, 1, 2]
    assert nms(b, scores, np.nextafter(81 / 119, 0)).tolist() == [0, 2]
    assert nms(b, scores, 0.5, np.array([0, -1, 0])).tolist() == [0, 1, 2]


def test_two_true_objects_closer_than_the_threshold_merge():
    """The failure of the method; a softer rule keeps the second with a lower score."""
    crowd, scores = np.array([[0, 0, 10, 20], [2, 0, 12, 20]]), np.array([0.9, 0.8])
    assert nms(crowd, scores, 0.5).tolist() == [0]
    keep, soft = soft_nms(crowd, scores, method="linear")
    assert keep.tolist() == [0, 1] and soft[1] == pytest.approx(0.8 * (1 - 160 / 240))
    keep, soft = soft_nms(Tensor(crowd), Tensor(scores), np.array([0, 1]))
    np.testing.assert_array_equal(soft, scores)


def test_no_boxes_at_all():
    """D-1."""
    kept = nms(np.zeros((0, 4)), np.zeros(0), 0.5, np.zeros(0, int))
    assert kept.shape == (0,) and kept.dtype == np.int64


@pytest.mark.parametrize("call, error, text", [
    (lambda b, s: nms(b, s, 1.5), ArgError, r"threshold is 1.5, expected a finite number in \[0"),
    (lambda b, s: nms(b, s, -0.1), ArgError, "threshold is -0.1"),
    (lambda b, s: nms(b, s, float("nan")), ArgError, "threshold is nan"),
    (lambda b, s: nms(b, s[:1]), ShapeError, "scores"),
    (lambda b, s: nms(b, s[:, None]), ShapeError, "scores"),
    (lambda b, s: nms(b, s, 0.5, np.zeros(3, int)), ShapeError, "labels"),
    (lambda b, s: nms(b, s, 0.5, np.zeros(2)), DTypeError, "labels"),
    (lambda b, s: nms(b, s * np.nan), BoxError, "scores"),
    (lambda b, s: nms(b[:, ::-1], s), BoxError, r"boxes\[0\]"),
    (lambda b, s: nms(np.zeros((2, 5)), s), ShapeError, "boxes"),
    (lambda b, s: soft_nms(b, s, method="cubic"), ArgError, "method"),
])
def test_bad_input_is_refused(call, error, text):
    """D-6, D-10, D-12, D-13."""
    with pytest.raises(error, match=text):
        call(np.array([[0.0, 0, 2, 2], [1, 1, 3, 3]]), np.array([0.9, 0.8]))


@pytest.mark.oracle
def test_equal_to_torchvision_on_boxes_in_general_position():
    tv, torch = pytest.importorskip("torchvision", reason="the peer is optional"), pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    b, scores, labels = random_boxes(rng, 2000), rng.random(2000), rng.integers(0, 5, 2000)
    for threshold in (0.0, 0.3, 0.7):
        theirs = tv.ops.nms(torch.tensor(b), torch.tensor(scores), threshold)
        np.testing.assert_array_equal(nms(b, scores, threshold), theirs.numpy())
        theirs = tv.ops.batched_nms(torch.tensor(b), torch.tensor(scores), torch.tensor(labels), threshold)
        np.testing.assert_array_equal(nms(b, scores, threshold, labels), theirs.numpy())
