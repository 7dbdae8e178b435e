"""AdaBoost.

Proved here: the eight mails of the worked example, round by round (B4.1); the algorithm equals loops over the formulas;
training error below the exponential bound, which is the mean loss; the last learner is at error 1/2 afterwards; the
three common ways of writing the algorithm agree (E4.5); what eps = 0 and eps >= 1/2 do; weights and copies of samples;
names of labels; settings by name; parity with scikit-learn's SAMME.
"""

import numpy as np
import pytest

from minicv.data.synthetic.toy2d import blobs, moons, spam8
from minicv.ensembles import AdaBoostClassifier, DecisionStump, best_stump, exponential_bound
from minicv.errors import ArgError, ShapeError

pytestmark = pytest.mark.ch4


def noisy(n=150, seed=0):
    return moons(n, noise=0.3, rng=seed)


def by_loops(x, y, rounds):
    """Freund and Schapire's algorithm, sample by sample; y in {-1, +1}."""
    w, votes = [1 / len(y)] * len(y), []
    for _ in range(rounds):
        f, t, s, _ = best_stump(x, y, w)
        h = [s if row[f] > t else -s for row in x]
        eps = sum(wi for wi, hi, yi in zip(w, h, y) if hi != yi)
        beta = (1 - eps) / eps
        w = [wi * beta if hi != yi else wi for wi, hi, yi in zip(w, h, y)]
        w = [wi / sum(w) for wi in w]
        votes.append((np.log(beta), h, eps))
    return votes, w


def test_the_spam_example_is_reproduced_exactly():
    """B4.1."""
    x, y = spam8()
    model = AdaBoostClassifier(3).fit(x, y)
    assert [(e.feature_, e.threshold_, e.polarity_) for e in model.estimators_] == [(0, 3, 1), (0, 10, 1), (1, 20, 1)]
    np.testing.assert_allclose(model.estimator_errors_, [1 / 4, 1 / 6, 1 / 4], rtol=1e-12)
    np.testing.assert_allclose(model.betas_, [3, 5, 3], rtol=1e-12)
    np.testing.assert_allclose(model.estimator_weights_, [1.0986, 1.6094, 1.0986], atol=5e-5)
    weights = list(model.staged_weights(x, y))
    np.testing.assert_allclose(weights[0], np.full(8, 1 / 8))
    np.testing.assert_allclose(weights[1], np.where(np.arange(8) < 2, 1 / 4, 1 / 12))
    np.testing.assert_allclose(weights[2], [3 / 20] * 2 + [1 / 4] * 2 + [1 / 20] * 4)
    np.testing.assert_allclose(weights[3], [.3, .1, 1 / 6, 1 / 6, .1, .1, 1 / 30, 1 / 30])
    assert np.flatnonzero(model.predict(x) != y).tolist() == [0]
    assert model.decision_function(x)[0] == pytest.approx(2 * np.log(3) - np.log(5))
    assert exponential_bound(model.estimator_errors_)[-1] == pytest.approx(0.5590, abs=5e-5)


def test_boosting_equals_loops_over_the_formulas():
    x, y = noisy()
    signs = 2 * y - 1
    votes, w = by_loops(x, signs, 12)
    model = AdaBoostClassifier(12).fit(x, y)
    np.testing.assert_allclose(model.estimator_errors_, [v[2] for v in votes], rtol=1e-9)
    np.testing.assert_allclose(model.decision_function(x), sum(a * np.array(h) for a, h, _ in votes), rtol=1e-9)
    np.testing.assert_allclose(list(model.staged_weights(x, y))[-1], w, rtol=1e-9)
    np.testing.assert_allclose(model.predict_proba(x)[:, 1], 1 / (1 + np.exp(-model.decision_function(x))))


@pytest.mark.parametrize("seed", range(5))
def test_training_error_is_below_the_bound_which_is_the_mean_exponential_loss(seed):
    x, y = noisy(seed=seed)
    model = AdaBoostClassifier(40).fit(x, y)
    bound = exponential_bound(model.estimator_errors_)
    for total, predicted, b in zip(model.staged_decision_function(x), model.staged_predict(x), bound, strict=True):
        assert np.mean(np.exp(-(2 * y - 1) * total / 2)) == pytest.approx(b, rel=1e-9)
        assert np.mean(predicted != y) <= b


def test_after_each_round_its_learner_is_at_error_one_half():
    x, y = noisy()
    model = AdaBoostClassifier(20).fit(x, y)
    weights = list(model.staged_weights(x, y))
    assert len(weights) == 21
    for e, w in zip(model.estimators_, weights[1:]):
        assert w[e.predict(x) != y].sum() == pytest.approx(0.5, abs=1e-12)
        assert w.sum() == pytest.approx(1)


def test_three_ways_to_write_the_algorithm_give_the_same_classifier():
    """E4.5: multiply errors by beta; or hits by 1/beta with WL in {0, 1}; or both by exp(-+ half a logarithm)."""
    x, y = noisy()
    signs = 2 * y - 1
    model = AdaBoostClassifier(15).fit(x, y)
    w_vj, w_exp, F_vj, F_exp, alphas = np.ones(len(y)), np.ones(len(y)), 0, 0, 0
    for _ in range(15):
        a, b = best_stump(x, signs, w_vj), best_stump(x, signs, w_exp)
        assert a[:3] == b[:3]
        h = np.where(x[:, a.feature] > a.threshold, a.polarity, -a.polarity)
        wrong, alpha = h != signs, np.log((1 - a.error) / a.error)
        w_vj = np.where(wrong, w_vj, w_vj * a.error / (1 - a.error))
        w_exp = w_exp * np.exp(-alpha / 2 * signs * h)
        F_vj, F_exp, alphas = F_vj + alpha * (h > 0), F_exp + alpha / 2 * h, alphas + alpha
    np.testing.assert_allclose(2 * F_exp, model.decision_function(x), atol=1e-9)
    np.testing.assert_allclose(2 * F_vj - alphas, model.decision_function(x), atol=1e-9)
    assert np.array_equal(F_vj >= alphas / 2, model.predict(x) == 1)


def test_a_learner_without_errors_ends_training_and_decides_alone():
    model = AdaBoostClassifier(10).fit([[0.0], [1.0], [2.0]], [0, 1, 1])
    assert len(model.estimators_) == 1 and model.estimator_errors_.tolist() == [0] and model.betas_[0] == np.inf
    assert model.decision_function([[0.0], [5.0]]).tolist() == [-1, 1]
    assert len(list(model.staged_weights([[0.0]], [0]))) == 2


def test_a_first_learner_at_chance_is_an_error_and_a_later_one_ends_training():
    with pytest.raises(ArgError, match="error 0.5 in the first round, expected less than guessing, 0.5"):
        AdaBoostClassifier(5).fit([[0.0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])       # no stump knows XOR
    model = AdaBoostClassifier(5).fit(np.zeros((3, 1)), [0, 1, 1])                        # then both answers cost 1/2
    assert model.estimator_errors_ == pytest.approx([1 / 3]) and model.predict([[0.0]]) == [1]


def test_more_than_two_classes_learn_by_samme():
    x, y = blobs(240, centers=5, spread=0.5, rng=0)
    model = AdaBoostClassifier(60).fit(x, y)
    assert model.score(x, y) > 0.95 and (model.estimator_errors_ < 0.8).all()
    assert model.decision_function(x).shape == (240, 5)
    np.testing.assert_allclose(model.decision_function(x).sum(axis=1), 0, atol=1e-9)       # codes sum to zero
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1)
    assert np.array_equal(model.predict_proba(x).argmax(axis=1), model.predict(x))
    for e, w in zip(model.estimators_, list(model.staged_weights(x, y))[1:]):
        assert w[e.predict(x) != y].sum() == pytest.approx(0.8, abs=1e-9)                 # as good as guessing


def test_the_exponent_shrinks_every_vote():
    x, y = noisy()
    slow = AdaBoostClassifier(5, learning_rate=0.5).fit(x, y)
    eps = slow.estimator_errors_
    np.testing.assert_allclose(slow.estimator_weights_, 0.5 * np.log((1 - eps) / eps))


def test_a_weight_of_two_is_a_sample_twice():
    x, y = noisy(60)
    weight = np.random.default_rng(0).integers(1, 4, 60)
    copies = np.repeat(np.arange(60), weight)
    a, b = AdaBoostClassifier(10).fit(x, y, weight), AdaBoostClassifier(10).fit(x[copies], y[copies])
    np.testing.assert_allclose(a.decision_function(x), b.decision_function(x), rtol=1e-9)


@pytest.mark.parametrize("names", [("cat", "dog"), (-5, 12), (False, True)], ids=str)
def test_labels_may_have_any_names(names):
    x, y = noisy(80)
    named = np.array(names)[y]
    model = AdaBoostClassifier(8).fit(x, named)
    assert np.array_equal(model.predict(x), np.array(names)[AdaBoostClassifier(8).fit(x, y).predict(x)])
    assert model.classes_.tolist() == sorted(names)


def test_staged_results_end_with_the_final_ones():
    x, y = noisy()
    model = AdaBoostClassifier(9).fit(x, y)
    scores, predictions = list(model.staged_score(x, y)), list(model.staged_predict(x))
    assert len(scores) == len(predictions) == 9
    assert scores[-1] == model.score(x, y) and np.array_equal(predictions[-1], model.predict(x))
    assert model.feature_importances_.sum() == pytest.approx(1)


def test_unused_features_change_nothing():
    x, y = noisy(60)
    model = AdaBoostClassifier(8).fit(x, y)
    wide = AdaBoostClassifier(8).fit(np.hstack([x, x]), y)                                # copies lose all ties
    assert np.array_equal(wide.decision_function(np.hstack([x, -x])), model.decision_function(x))


def test_settings_are_read_and_changed_by_name():
    model = AdaBoostClassifier(5, estimator=DecisionStump())
    params = model.get_params()
    assert params["n_estimators"] == 5 and params["estimator__thresholds"] == "data"
    model.set_params(n_estimators=7, estimator__thresholds="midpoints")
    assert model.n_estimators == 7 and model.estimator.thresholds == "midpoints"
    assert repr(AdaBoostClassifier(7)) == "AdaBoostClassifier(n_estimators=7)"
    twin = model.clone()
    assert twin.n_estimators == 7 and twin is not model and not hasattr(twin, "estimators_")
    with pytest.raises(ArgError, match="rounds is no setting of AdaBoostClassifier"):
        model.set_params(n_estimators=1, rounds=3)
    assert model.n_estimators == 7


@pytest.mark.parametrize("settings, args, error, text", [
    (dict(n_estimators=0), noisy(9), ArgError, "n_estimators is 0"),
    (dict(n_estimators=True), noisy(9), ArgError, "n_estimators is True"),
    (dict(learning_rate=0), noisy(9), ArgError, "learning_rate is 0"),
    ({}, (noisy(9)[0], np.zeros(9, int)), ArgError, "y holds 1 class"),
    ({}, (noisy(9)[0], np.zeros(8, int)), ShapeError, r"y has shape \(8,\)"),
    ({}, (noisy(9)[0], np.linspace(0, 1, 9)), ArgError, "not whole"),
    ({}, (*noisy(9), -np.ones(9)), ArgError, r"sample_weight\[0\] is -1"),
    ({}, (np.full((9, 2), np.nan), noisy(9)[1]), ArgError, r"X\[0, 0\] is nan"),
], ids=lambda v: str(v)[:25])
def test_bad_input_is_refused_by_name(settings, args, error, text):
    with pytest.raises(error, match=text):
        AdaBoostClassifier(**settings).fit(*args)


def test_inputs_are_not_changed_and_may_be_read_only():
    x, y = noisy(40)
    weight = np.ones(40)
    before = x.copy(), y.copy(), weight.copy()
    for a in (x, y, weight):
        a.flags.writeable = False
    first = AdaBoostClassifier(5).fit(x, y, weight)
    again = first.decision_function(x)
    assert np.array_equal(first.fit(x, y, weight).decision_function(x), again)             # fit forgets the past
    assert all(np.array_equal(a, b) for a, b in zip(before, (x, y, weight)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_hundred_stumps_separate_the_moons(seed):
    x, y = moons(1000, noise=0.2, rng=seed)
    assert AdaBoostClassifier(200).fit(x, y).score(*moons(1000, noise=0.2, rng=seed + 100)) >= 0.92


@pytest.mark.oracle
def test_clone_of_scikit_learn_copies_the_settings():
    base = pytest.importorskip("sklearn.base", reason="its clone works by get_params")
    model = AdaBoostClassifier(3, estimator=DecisionStump(thresholds="midpoints"), rng=1).fit(*noisy())
    twin = base.clone(model)
    assert twin.get_params()["estimator__thresholds"] == "midpoints" and twin.rng == 1
    assert not hasattr(twin, "estimators_")


@pytest.mark.oracle
@pytest.mark.parametrize("classes, depth", [(2, 1), (3, 1), (4, 2)])
def test_votes_are_those_of_scikit_learn(classes, depth):
    ensemble = pytest.importorskip("sklearn.ensemble", reason="comparison with scikit-learn")
    from sklearn.tree import DecisionTreeClassifier as Theirs

    from minicv.ensembles import DecisionTreeClassifier as Ours

    x, y = blobs(200, centers=classes, spread=2.0, rng=classes)
    x = x.astype(np.float64)
    ours = AdaBoostClassifier(20, estimator=Ours(max_depth=depth)).fit(x, y)
    theirs = ensemble.AdaBoostClassifier(Theirs(max_depth=depth, random_state=0), n_estimators=20).fit(x, y)
    np.testing.assert_allclose(ours.estimator_errors_, theirs.estimator_errors_[:20], rtol=1e-9)
    np.testing.assert_allclose(ours.estimator_weights_, theirs.estimator_weights_[:20], rtol=1e-9)
    assert np.array_equal(ours.predict(x), theirs.predict(x))
    scale = ours.estimator_weights_.sum() / (2 if classes == 2 else 1)
    np.testing.assert_allclose(ours.decision_function(x) / scale, theirs.decision_function(x), atol=1e-9)


@pytest.mark.parametrize("rate", ["a", True, None, np.nan, 1e300])
def test_learning_rates_that_are_none_or_overflow_are_refused(rate):
    X = np.random.default_rng(0).random((20, 2))
    y = (X[:, 0] + 0.5 * X[:, 1] > 0.7).astype(int)
    with pytest.raises(ArgError, match="learning_rate is"):
        AdaBoostClassifier(5, learning_rate=rate).fit(X, y)


def test_weights_whose_sum_overflows_are_refused():
    with pytest.raises(ArgError, match="sample_weight sums to inf"):
        AdaBoostClassifier(2).fit([[0.0], [1.0]], [0, 1], [1e308, 1e308])


def test_staged_weights_need_a_label_for_every_row():
    model = AdaBoostClassifier(2).fit([[0.0], [1.0], [2.0]], [0, 1, 0])
    with pytest.raises(ShapeError, match="staged_weights: y has shape"):
        list(model.staged_weights([[0.0], [1.0], [2.0]], [0]))


def test_the_bound_takes_errors_between_zero_and_one():
    with pytest.raises(ArgError, match="exponential_bound: eps"):
        exponential_bound([0.5, -0.1])
