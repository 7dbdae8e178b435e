"""Classification metrics against counting by hand, their invariances, and what they refuse."""

import math

import numpy as np
import pytest

from minicv.errors import ArgError, DTypeError, ShapeError
from minicv.metrics import accuracy, confusion_matrix, top_k_accuracy

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0], [0.0, 0.1, 0.9], [0.4, 0.3, 0.3]])


def test_counting_by_hand():
    assert accuracy(SCORES, np.array([1, 0, 2, 1])) == 0.75
    assert top_k_accuracy(SCORES, np.array([2, 1, 0, 1]), k=2) == 0.75
    assert top_k_accuracy(SCORES, np.array([2, 1, 0, 1]), k=3) == 1.0


def test_ties_go_to_the_lower_class_and_ignored_samples_do_not_count():
    assert accuracy(SCORES, np.array([-1, 1, -1, -1])) == 0.0
    assert accuracy(SCORES, np.array([-1, 0, -1, -1])) == 1.0
    assert math.isnan(accuracy(SCORES, np.full(4, -1)))


def test_confusion_matrix_against_a_loop():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(-1, 4, 200), rng.integers(0, 4, 200)
    expected = np.zeros((4, 4), int)
    for t, p in zip(true, predicted, strict=True):
        if t >= 0:
            expected[t, p] += 1
    counts = confusion_matrix(predicted, true, num_classes=4)
    assert (counts == expected).all() and counts.dtype == np.int64


def test_accuracy_is_the_share_on_the_diagonal():
    rng = np.random.default_rng(1)
    scores, true = rng.standard_normal((50, 5)), rng.integers(0, 5, 50)
    counts = confusion_matrix(scores.argmax(1), true, num_classes=5)
    assert accuracy(scores, true) == pytest.approx(np.trace(counts) / 50)


@pytest.mark.parametrize("call, error, match", [
    (lambda: accuracy(SCORES[0], [0]), ShapeError, r"scores has shape \(3,\)"),
    (lambda: accuracy(SCORES, np.array([0, 1, 3, 0])), ArgError, r"target\[2\] is 3"),
    (lambda: accuracy(SCORES, np.zeros(4)), DTypeError, "target has dtype float64"),
    (lambda: accuracy(SCORES, np.zeros(3, int)), ShapeError, r"expected \(4,\)"),
    (lambda: top_k_accuracy(SCORES, np.zeros(4, int), k=4), ArgError, "k is 4"),
    (lambda: confusion_matrix([0, 1], [0], num_classes=2), ShapeError, "predicted has shape"),
    (lambda: confusion_matrix([-1], [0], num_classes=2), ArgError, r"predicted\[0\] is -1"),
])
def test_wrong_input_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()
