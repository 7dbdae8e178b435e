"""Decision stumps.

Proved here: the best stump is that of brute force on 200 random sets, ties included; a weight of two is a sample
twice; orders of features and monotone transforms act as they must; thresholds separate the values they should; labels
may have any names; typed errors.
"""

from fractions import Fraction

import numpy as np
import pytest

from minicv.ensembles import DecisionStump, best_stump, search_stumps, sort_features
from minicv.ensembles.stump import midpoint
from minicv.errors import ArgError, ShapeError

pytestmark = pytest.mark.ch4


def brute_force(x, y, weight):
    """All features, thresholds and polarities in order of preference, in exact arithmetic."""
    total, best = sum(map(Fraction, weight)), None
    for f in range(x.shape[1]):
        for t in sorted(set(x[:, f])):
            for polarity in (1, -1):
                error = sum(Fraction(w) for v, label, w in zip(x[:, f], y, weight)
                            if (polarity if v > t else -polarity) != label) / total
                if best is None or error < best[3]:
                    best = f, t, polarity, error
    return best


def random_set(seed):
    rng = np.random.default_rng(seed)
    N, d = rng.integers(1, 14), rng.integers(1, 7)
    x = rng.integers(0, rng.integers(2, 9), (N, d)) / 4
    return x, rng.choice([-1, 1], N), rng.integers(0, 5, N) + np.eye(N, dtype=int)[0]


@pytest.mark.parametrize("seed", range(200))
def test_the_best_stump_is_that_of_brute_force(seed):
    x, y, weight = random_set(seed)
    expected = brute_force(x, y, weight.tolist())
    found = best_stump(x, y, weight)
    assert found[:3] == expected[:3]
    assert found.error == pytest.approx(float(expected[3]), abs=1e-12)
    assert best_stump(x, y, weight / 7)[:3] == expected[:3]                      # weights that are no binary fractions
    middle = best_stump(x, y, weight, thresholds="midpoints")
    assert np.array_equal(x[:, middle.feature] > middle.threshold, x[:, found.feature] > found.threshold)


@pytest.mark.parametrize("seed", range(20))
def test_a_weight_of_two_is_a_sample_twice_and_of_zero_none(seed):
    x, y, weight = random_set(seed)
    copies = np.repeat(np.arange(len(y)), weight)
    a, b = best_stump(x, y, weight), best_stump(x[copies], y[copies])
    if (weight > 0).all():
        assert a[:3] == b[:3]
    assert a.error == pytest.approx(b.error, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_order_of_samples_and_monotone_transforms_change_nothing(seed):
    x, y, weight = random_set(seed)
    found, order = best_stump(x, y, weight), np.random.default_rng(seed).permutation(len(y))
    assert best_stump(x[order], y[order], weight[order])[:3] == found[:3]
    bent = best_stump(np.exp(3 * x), y, weight)
    assert (bent.feature, bent.polarity) == (found.feature, found.polarity)
    assert bent.threshold == np.exp(3 * found.threshold)
    mirrored = best_stump(x, -y, weight)
    assert mirrored.error == pytest.approx(found.error, abs=1e-12)


def test_the_order_can_be_made_once_for_many_weights():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 9)).astype(np.float32), rng.choice([-1, 1], 50)
    order = sort_features(x)
    for _ in range(5):
        weight = rng.random(50)
        found = search_stumps(order, y, weight)
        direct = best_stump(x, y, weight)
        assert (found.feature, found.polarity, found.error) == (direct.feature, direct.polarity, direct.error)
        assert x[found.sample, found.feature] == direct.threshold
        assert best_stump(x.T.copy().T, y, weight, order=order) == direct


def test_equal_errors_go_to_the_lowest_feature_threshold_and_positive_polarity():
    assert best_stump(np.array([[0.0, 0], [1, 1]]), [-1, 1])[:3] == (0, 0.0, 1)
    assert best_stump([[1.0], [1.0]], [-1, 1])[:3] == (0, 1.0, 1)
    assert best_stump([[0.0], [1.0], [2.0]], [1, -1, 1])[:3] == (0, 0.0, -1)      # not (0, 1.0, 1)
    assert best_stump([[5.0], [6.0]], [1, 1])[:3] == (0, 6.0, -1)                 # a constant answer


@pytest.mark.parametrize("low, high", [(1.0, 2.0), (1.0, np.nextafter(1.0, 2)), (-1e308, 1e308), (1e308, 1.5e308),
                                       (5e-324, 1e-323), (3.0, 3.0)])
def test_midpoints_separate_even_neighbouring_numbers(low, high):
    t = midpoint(low, high)
    assert low <= t < high or low == t == high


@pytest.mark.parametrize("names", [(0, 1), (-1, 1), (3, 7), ("cat", "dog"), (False, True)], ids=str)
def test_labels_may_have_any_names(names):
    x, y, weight = random_set(12)
    named = np.array(names)[(y + 1) // 2]
    model = DecisionStump().fit(x, named, weight)
    found = best_stump(x, y, weight)
    assert (model.feature_, model.threshold_, model.polarity_, model.error_) == found
    assert model.classes_.tolist() == sorted(names)
    assert 1 - model.score(x, named, weight) == pytest.approx(found.error, abs=1e-12)
    assert model.feature_importances_.tolist() == [float(f == found.feature) for f in range(x.shape[1])]


@pytest.mark.parametrize("x, y, weight, error, text", [
    (np.ones((2, 1)), [0, 1], None, ArgError, r"y\[0\] is .*0.*, expected -1 or \+1"),
    (np.ones((2, 1)), [1, -1, 1], None, ShapeError, r"y has shape \(3,\)"),
    (np.ones((2, 1)), [1, -1], [1, -0.5], ArgError, r"sample_weight\[1\] is -0.5"),
    (np.ones((2, 1)), [1, -1], [0, 0], ArgError, "sums to 0"),
    (np.ones((2, 1)), [1, -1], [1, np.nan], ArgError, r"sample_weight\[1\] is nan"),
    (np.ones((2, 1)), [1, -1], [1], ShapeError, "sample_weight has shape"),
    ([[np.inf], [1]], [1, -1], None, ArgError, r"x\[0, 0\] is inf"),
    (np.ones((0, 1)), [], None, ShapeError, r"x has shape \(0, 1\)"),
    (np.ones(2), [1, -1], None, ShapeError, r"x has shape \(2,\)"),
], ids=lambda v: str(v)[:25])
def test_bad_input_is_refused_by_name(x, y, weight, error, text):
    with pytest.raises(error, match=text):
        best_stump(x, y, weight)


def test_settings_and_classes_are_checked():
    with pytest.raises(ArgError, match="thresholds is 'all'"):
        best_stump(np.ones((2, 1)), [1, -1], thresholds="all")
    with pytest.raises(ShapeError, match="order has shape"):
        best_stump(np.ones((2, 1)), [1, -1], order=np.zeros((2, 2), np.int32))
    with pytest.raises(ArgError, match="y holds 1 class, expected at least 2"):
        DecisionStump().fit(np.ones((2, 1)), [1, 1])
    with pytest.raises(ArgError, match="y holds 3 classes, expected 2"):
        DecisionStump().fit(np.ones((3, 1)), [1, 2, 3])
    with pytest.raises(ArgError, match="not fitted"):
        DecisionStump().predict(np.ones((3, 1)))


def test_an_order_that_sort_features_did_not_make_is_refused():
    x, y = np.random.default_rng(0).random((6, 2)), [1, -1, 1, -1, 1, -1]
    order = sort_features(x)
    for wrong in (order.astype(float), order[0], order.tolist(), np.zeros((0, 6), np.int32)):
        with pytest.raises(ShapeError, match="order"):
            search_stumps(wrong, y)
    with pytest.raises(ShapeError, match="order"):
        best_stump(x, y, order=order.astype(float))
