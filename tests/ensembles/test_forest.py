"""Random forests.

Proved here: the forest is the mean of its trees, each a decision tree on its bootstrap sample; the result does not
depend on threads, groups or executors; out-of-bag estimates equal loops; random features lower the correlation of
trees and the forest beats one tree; files; typed errors; accuracy next to scikit-learn.
"""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from minicv.data.synthetic.toy2d import blobs, moons
from minicv.ensembles import DecisionTreeClassifier, RandomForestClassifier, forest
from minicv.errors import ArgError, ShapeError
from minicv.kernels import launch, threads

pytestmark = pytest.mark.ch5


def redundant(n, seed):
    """Three classes; feature 0 is strong and comes three times, ten weak features, noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    strong = y + rng.normal(0, 0.7, n)
    weak = 0.5 * np.eye(3)[y] @ np.random.default_rng(0).standard_normal((3, 10)) + rng.standard_normal((n, 10))
    return np.column_stack([strong, strong, strong, weak]).astype(np.float32), y


def same(a, b):
    return len(a.trees_) == len(b.trees_) and all(np.array_equal(p, q) for s, t in zip(a.trees_, b.trees_)
                                                  for p, q in zip(s, t))


def test_each_tree_is_a_decision_tree_on_its_bootstrap_sample():
    x, y = redundant(120, 1)
    model = RandomForestClassifier(4, max_features=None, max_depth=5, rng=0).fit(x, y)
    seed = int(np.random.default_rng(0).integers(2 ** 31))
    total = 0
    for i, tree in enumerate(model.trees_):
        rng = np.random.default_rng([seed, i])
        drawn = np.bincount(rng.integers(0, 120, 120), minlength=120)
        alone = DecisionTreeClassifier(max_depth=5).fit(x, y, drawn)
        for a, b in zip(tree, alone.tree_):
            assert np.array_equal(a, b)
        total = total + alone.predict_proba(x)
        assert np.array_equal(model.tree_predictions(x)[i], alone.predict(x))
    np.testing.assert_allclose(model.predict_proba(x), total / 4)
    assert np.array_equal(model.predict(x), total.argmax(axis=1))
    assert model.feature_importances_.sum() == pytest.approx(1)


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_an_executor_changes_nothing(pool):
    x, y = redundant(150, 2)
    alone = RandomForestClassifier(19, rng=3).fit(x, y)
    with pool(2) as executor:
        assert same(alone, RandomForestClassifier(19, rng=3).fit(x, y, executor=executor))


def test_threads_and_groups_change_nothing(monkeypatch):
    x, y = redundant(150, 2)
    alone = RandomForestClassifier(7, rng=3).fit(x, y)
    monkeypatch.setattr(launch, "SERIAL_ELEMENTS", 1)
    monkeypatch.setattr(threads, "_chosen", 3)
    monkeypatch.setattr(forest, "GROUP", 400)
    assert same(alone, RandomForestClassifier(7, rng=3).fit(x, y))
    assert not same(alone, RandomForestClassifier(7, rng=4).fit(x, y))


def test_out_of_bag_estimates_equal_loops():
    x, y = redundant(60, 3)
    model = RandomForestClassifier(9, oob_score=True, rng=0).fit(x, y)
    seed = int(np.random.default_rng(0).integers(2 ** 31))
    drawn = [set(np.random.default_rng([seed, i]).integers(0, 60, 60)) for i in range(9)]
    hits, votes = [], model.oob_decision_function_
    for n in range(60):
        out = [tree for tree, bag in zip(model.trees_, drawn) if n not in bag]
        if not out:
            assert np.isnan(votes[n]).all()
            continue
        mean = np.mean([t.value[a] / t.weight[a] for t in out for a in [walk(t, x[n])]], axis=0)
        np.testing.assert_allclose(votes[n], mean)
        hits.append(mean.argmax() == y[n])
    assert model.oob_score_ == pytest.approx(np.mean(hits))


def walk(tree, x):
    node = 0
    while tree.feature[node] >= 0:
        node = (tree.left if x[tree.feature[node]] <= tree.threshold[node] else tree.right)[node]
    return node


def test_random_features_lower_the_correlation_of_the_errors_of_trees():
    x, y = redundant(600, 4)
    test, truth = redundant(600, 5)

    def correlation(max_features):
        model = RandomForestClassifier(20, max_features=max_features, rng=0).fit(x, y)
        return np.corrcoef(model.tree_predictions(test) != truth)[np.triu_indices(20, 1)].mean()

    few, half, all_ = (correlation(m) for m in (1, 6, None))
    assert few < half < all_


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_forest_is_better_and_steadier_than_a_tree(seed):
    x, y = redundant(400, seed)
    test, truth = redundant(1000, seed + 10)
    keep = np.random.default_rng(seed).permutation(400)[:380]                      # without 5 % of the data
    change = {}
    for model in (DecisionTreeClassifier(), RandomForestClassifier(40, rng=seed)):
        whole, less = model.fit(x, y).predict(test), model.clone().fit(x[keep], y[keep]).predict(test)
        change[type(model)] = np.mean(whole != less), np.mean(whole == truth)
    tree, many = change[DecisionTreeClassifier], change[RandomForestClassifier]
    assert many[0] < tree[0] and many[1] >= tree[1] + 0.03


def test_without_bootstrap_and_with_all_features_all_trees_are_equal():
    x, y = redundant(80, 6)
    model = RandomForestClassifier(3, bootstrap=False, max_features=None, rng=0).fit(x, y)
    assert all(np.array_equal(model.trees_[0].threshold, tree.threshold) for tree in model.trees_)
    assert model.score(x, y) == 1


def test_samples_without_weight_are_never_drawn():
    x, y = moons(60, noise=0.1, rng=0)
    weight = np.r_[np.ones(30), np.zeros(30)]
    a = RandomForestClassifier(5, rng=0).fit(x, y, weight)
    b = RandomForestClassifier(5, rng=0).fit(x[:30], y[:30])
    assert np.array_equal(a.predict_proba(x), b.predict_proba(x))


def test_files_bring_back_the_same_forest(tmp_path):
    x, y = moons(80, noise=0.3, rng=0)
    model = RandomForestClassifier(6, max_depth=4, rng=0).fit(x, y * 5 - 2)
    model.save(tmp_path / "forest.npz")
    loaded = RandomForestClassifier.load(tmp_path / "forest.npz")
    assert np.array_equal(loaded.predict_proba(x), model.predict_proba(x)) and same(loaded, model)
    assert loaded.classes_.tolist() == [-2, 3] and loaded.max_depth == 4


@pytest.mark.parametrize("settings, error, text", [
    (dict(n_estimators=0), ArgError, "n_estimators is 0"),
    (dict(max_features=3), ArgError, r"max_features is 3, expected an integer in \[1, 2\]"),
    (dict(oob_score=True, bootstrap=False), ArgError, "oob_score is True without bootstrap"),
    (dict(max_depth=0), ArgError, "max_depth is 0"),
    (dict(criterion="error"), ArgError, "criterion is 'error'"),
])
def test_bad_settings_are_refused_by_name(settings, error, text):
    with pytest.raises(error, match=text):
        RandomForestClassifier(**settings).fit(*moons(20, rng=0))


def test_predict_wants_a_fitted_forest_and_the_same_features():
    with pytest.raises(ArgError, match="not fitted"):
        RandomForestClassifier().predict(np.ones((1, 2)))
    with pytest.raises(ShapeError, match=r"expected \(N, 2\)"):
        RandomForestClassifier(2, rng=0).fit(*moons(20, rng=0)).predict(np.ones((1, 3)))


@pytest.mark.oracle
def test_accuracy_is_that_of_scikit_learn():
    ensemble = pytest.importorskip("sklearn.ensemble", reason="comparison with scikit-learn")
    x, y = blobs(600, centers=6, spread=1.5, rng=0)
    test, truth = blobs(3000, centers=6, spread=1.5, rng=1)
    ours = [RandomForestClassifier(60, oob_score=True, rng=s).fit(x, y) for s in range(3)]
    theirs = [ensemble.RandomForestClassifier(60, oob_score=True, random_state=s).fit(x, y) for s in range(3)]
    for a, b in ((f(ours), f(theirs)) for f in (lambda ms: np.mean([m.score(test, truth) for m in ms]),
                                               lambda ms: np.mean([m.oob_score_ for m in ms]))):
        assert a == pytest.approx(b, abs=0.015)
