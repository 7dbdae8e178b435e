"""Precision-recall curves and the area under them.

Proved here: the worked example B4.3 and row E3 in all interpolations; every interpolation against its definition as
loops; recall never falls as the threshold falls; perfect is 1; a lower-scored false positive never helps; monotone
maps of the scores and duplicating everything change nothing; what is refused (E11). In the oracle lane: "area"
against scikit-learn.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicv.errors import ArgError, BoxError, ShapeError
from minicv.metrics import average_precision, envelope, precision_recall

pytestmark = pytest.mark.ch4
B43 = np.array([1, 1, 0, 1, 0, 1, 0, 0], bool), np.linspace(0.9, 0.2, 8), 5
LABELS = st.lists(st.booleans(), max_size=25)


def ap(correct, scores, count, interpolation="interp-all"):
    curve = precision_recall(np.asarray(correct, bool), np.asarray(scores, float), count)
    return average_precision(curve.precision, curve.recall, interpolation=interpolation)


def by_loops(correct, count, interpolation):
    """From the definition, with fractions of whole numbers."""
    tp, points = 0, []
    for i, c in enumerate(correct, 1):
        tp += c
        points.append((tp / i, tp / count, c))
    def best(r):
        return max((p for p, recall, _ in points if recall >= r), default=0.0)
    if interpolation == "area":
        return sum(p / count for p, _, c in points if c)
    if interpolation == "interp-all":
        return sum(best(k / count) / count for k in range(1, tp + 1))
    steps = 10 if interpolation == "11pt" else 100
    return sum(best(k / 10 if steps == 10 else k * 0.01) for k in range(steps + 1)) / (steps + 1)


def test_the_worked_example_B4_3():
    curve = precision_recall(*B43)
    np.testing.assert_allclose(curve.precision, [1, 1, 2 / 3, 3 / 4, 3 / 5, 4 / 6, 4 / 7, 4 / 8])
    np.testing.assert_allclose(curve.recall, [0.2, 0.4, 0.4, 0.6, 0.6, 0.8, 0.8, 0.8])
    expected = {"interp-all": 0.6833, "11pt": 0.7121, "101pt": 0.6865, "area": 0.6833}
    for interpolation, value in expected.items():
        assert ap(*B43, interpolation) == pytest.approx(value, abs=5e-5)


def test_two_of_three_right_E3():
    example = [True, False, True], [0.9, 0.8, 0.7], 2
    assert ap(*example, "101pt") == pytest.approx(0.834983, abs=5e-7)
    assert ap(*example, "11pt") == pytest.approx(0.848485, abs=5e-7)
    assert ap(*example) == pytest.approx(0.833333, abs=5e-7)


@pytest.mark.parametrize("interpolation", ["area", "interp-all", "11pt", "101pt"])
@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(correct=LABELS, missed=st.integers(0, 10))
def test_every_interpolation_follows_its_definition(interpolation, correct, missed):
    count = sum(correct) + missed
    scores = np.linspace(1, 0, len(correct))
    if count:
        assert ap(correct, scores, count, interpolation) == pytest.approx(by_loops(correct, count, interpolation))


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(correct=LABELS, missed=st.integers(0, 5), seed=st.integers(0, 1000))
def test_what_changes_nothing_and_what_never_helps(correct, missed, seed):
    rng = np.random.default_rng(seed)
    count, scores = sum(correct) + missed, 0.1 + 0.8 * rng.permutation(len(correct) + 1)[:len(correct)] / 30
    if not count:
        return
    value = ap(correct, scores, count)
    curve = precision_recall(np.array(correct, bool), scores, count)
    assert (np.diff(curve.recall) >= 0).all() and (np.diff(envelope(curve.precision)) <= 0).all()
    assert ap(correct, scores**2, count) == value
    assert ap([*correct, False], [*scores, 0.0], count) == pytest.approx(value, abs=1e-12)   # lower-scored: no gain
    assert ap([*correct, False], [*scores, 1.0], count) <= value + 1e-12
    order = rng.permutation(len(correct))
    assert ap(np.array(correct, bool)[order], scores[order], count) == value
    for interpolation in ("interp-all", "101pt", "11pt"):
        twice = ap(np.repeat(correct, 2), np.repeat(scores, 2), 2 * count, interpolation)
        assert twice == pytest.approx(ap(correct, scores, count, interpolation), abs=1e-12)


def test_perfect_is_one_nothing_is_zero_and_without_objects_there_is_no_number():
    for interpolation in ("area", "interp-all", "11pt", "101pt"):
        assert ap([True] * 4, [0.9, 0.8, 0.7, 0.6], 4, interpolation) == pytest.approx(1)
        assert ap([], [], 3, interpolation) == 0 == ap([False] * 3, [0.5] * 3, 2, interpolation)
        assert math.isnan(ap([False], [0.5], 0, interpolation))


def test_equal_scores_keep_their_order_E9():
    assert ap([False, True], [0.5, 0.5], 1) == 0.5 and ap([True, False], [0.5, 0.5], 1) == 1.0


@pytest.mark.parametrize("call, error, words", [
    (lambda: precision_recall(np.array([True]), [np.nan], 1), BoxError, r"scores\[0\] is nan"),
    (lambda: precision_recall(np.array([True, True]), [0.5, 1.01], 2), BoxError, r"scores\[1\] is 1.01"),
    (lambda: precision_recall(np.array([True]), [-0.1], 1), BoxError, "expected in \\[0, 1\\]"),
    (lambda: precision_recall(np.array([True]), ["a"], 1), ShapeError, "scores has shape"),
    (lambda: precision_recall(np.array([1]), [0.5], 1), ShapeError, "correct has shape .* int64"),
    (lambda: precision_recall(np.array([True, True]), [0.5], 1), ShapeError, r"bool \(1,\)"),
    (lambda: precision_recall(np.array([True, True]), [0.5, 0.5], 1), ArgError, "num_objects is 1"),
    (lambda: average_precision([1], [1], interpolation="12pt"), ArgError, "interpolation is '12pt'"),
    (lambda: average_precision([1, 1], [1]), ShapeError, "shapes"),
    (lambda: average_precision([1.5], [1]), ArgError, "precision has values"),
    (lambda: average_precision([1, 1], [0.5, 0.4]), ArgError, "recall is not a rising"),
    (lambda: average_precision([1], [1.5]), ArgError, "recall is not"),
])
def test_wrong_input_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.oracle
def test_the_plain_area_is_that_of_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics", reason="live comparison")
    rng = np.random.default_rng(0)
    for _ in range(100):
        correct, scores = rng.random(30) < 0.4, rng.permutation(30) / 30
        if correct.any():
            expected = reference.average_precision_score(correct, scores)
            assert ap(correct, scores, correct.sum(), "area") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("count", [1.5, math.nan, None, True])
def test_the_number_of_objects_is_an_integer(count):
    with pytest.raises(ArgError, match="num_objects is"):
        precision_recall(np.array([True]), [0.5], count)
