"""Decision trees.

Proved here: every split of a grown tree is the best one by brute force, and depth, leaves and values follow from the
data; XOR; weights and copies; monotone transforms, order of features and names of labels; depth beyond Python's
recursion limit; files; typed errors; the trees of scikit-learn where no ties are left.
"""

import inspect
import json
import sys

import numpy as np
import pytest

from minicv.data.synthetic.toy2d import blobs, moons
from minicv.ensembles import DecisionTreeClassifier, DecisionTreeRegressor, export_text
from minicv.errors import ArgError, DataFormatError, DTypeError, ShapeError
from minicv.files import npz_bytes, read_npz

pytestmark = pytest.mark.ch5


def random_set(seed, N=40, D=3):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 8, (N, D)) / 2, rng.integers(0, 3, N), rng.integers(1, 4, N)


def gini(y, w):
    p = np.bincount(y, w) / w.sum()
    return w.sum() * (1 - (p ** 2).sum())


def squares(y, w):
    return (w * (y - np.average(y, weights=w)) ** 2).sum()


def walk(tree, x, node=0, samples=None, depth=0):
    """Every node with its samples and depth, by following the thresholds."""
    samples = np.arange(len(x)) if samples is None else samples
    yield node, samples, depth
    if tree.feature[node] >= 0:
        left = x[samples, tree.feature[node]] <= tree.threshold[node]
        yield from walk(tree, x, tree.left[node], samples[left], depth + 1)
        yield from walk(tree, x, tree.right[node], samples[~left], depth + 1)


def best_fall(x, y, w, impurity, min_leaf):
    falls = [impurity(y, w) - impurity(y[left], w[left]) - impurity(y[~left], w[~left])
             for f in range(x.shape[1]) for t in np.unique(x[:, f])[:-1]
             for left in [x[:, f] <= t] if min(left.sum(), (~left).sum()) >= min_leaf]
    return max(falls, default=None)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("min_leaf, depth", [(1, None), (4, None), (1, 3)])
def test_every_split_of_a_classifier_is_the_best_by_brute_force(seed, min_leaf, depth):
    x, y, w = random_set(seed)
    model = DecisionTreeClassifier(min_samples_leaf=min_leaf, max_depth=depth).fit(x, y, w)
    tree, seen = model.tree_, []
    for node, samples, d in walk(tree, x):
        seen.append(node)
        xs, ys, ws = x[samples], y[samples], w[samples]
        assert tree.value[node].tolist() == np.bincount(ys, ws, 3).tolist()
        assert tree.samples[node] == len(samples) and tree.weight[node] == ws.sum()
        best = best_fall(xs, ys, ws, gini, min_leaf)
        if tree.feature[node] >= 0:
            assert tree.gain[node] == pytest.approx(best, abs=1e-9)
        else:
            assert best is None or gini(ys, ws) == 0 or d == depth
    assert sorted(seen) == list(range(len(tree.feature)))
    assert tree.depth == max(d for *_, d in walk(tree, x)) and (depth is None or tree.depth <= depth)


@pytest.mark.parametrize("seed", range(6))
def test_every_split_of_a_regressor_is_the_best_by_brute_force(seed):
    x, _, w = random_set(seed)
    y = np.random.default_rng(seed).standard_normal(40) + 1e3
    model = DecisionTreeRegressor(min_samples_leaf=2).fit(x, y, w)
    for node, samples, _ in walk(model.tree_, x):
        xs, ys, ws = x[samples], y[samples], w[samples]
        assert model.tree_.value[node, 0] == pytest.approx(np.average(ys, weights=ws), rel=1e-12)
        if model.tree_.feature[node] >= 0:
            assert model.tree_.gain[node] == pytest.approx(best_fall(xs, ys, ws, squares, 2), abs=1e-8)
    error = sum(squares(y[s], w[s]) for node, s, _ in walk(model.tree_, x) if model.tree_.feature[node] < 0)
    assert model.score(x, y, w) == pytest.approx(1 - error / squares(y, w), abs=1e-9)


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
def test_xor_is_solved_at_depth_two_by_a_first_split_without_gain(criterion):
    x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), [0, 1, 1, 0]
    model = DecisionTreeClassifier(criterion=criterion, max_depth=2).fit(x, y)
    assert model.score(x, y) == 1 and model.tree_.gain[0] == 0 and model.tree_.depth == 2


def test_a_weight_of_two_is_a_sample_twice_and_of_zero_none():
    x, y, w = random_set(3)
    w = w - 1
    copies = np.repeat(np.arange(40), w)
    grid = np.random.default_rng(0).uniform(0, 4, (50, 3))
    for Model in (DecisionTreeClassifier, DecisionTreeRegressor):
        a, b = Model().fit(x, y, w), Model().fit(x[copies], y[copies])
        np.testing.assert_allclose(a.predict(grid), b.predict(grid))
        np.testing.assert_allclose(a.tree_.weight, b.tree_.weight)
        np.testing.assert_allclose(a.predict(grid), Model().fit(x, y, w * 0.3).predict(grid))


def test_monotone_transforms_names_of_labels_and_order_of_features_change_no_answer():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((80, 4)), rng.integers(0, 3, 80)
    model = DecisionTreeClassifier().fit(x, y)
    assert np.array_equal(DecisionTreeClassifier().fit(np.exp(x), y).apply(np.exp(x)), model.apply(x))
    words = np.array(["cat", "dog", "eel"])
    assert np.array_equal(DecisionTreeClassifier().fit(x, words[y]).predict(x), words[model.predict(x)])
    assert np.array_equal(DecisionTreeClassifier().fit(x, y == 1).predict(x), y == 1)
    turned = DecisionTreeClassifier(max_depth=4).fit(x[:, ::-1], y)
    assert np.array_equal(turned.predict(x[:, ::-1]), DecisionTreeClassifier(max_depth=4).fit(x, y).predict(x))
    np.testing.assert_allclose(turned.feature_importances_.sum(), 1)


def test_a_chain_deeper_than_the_recursion_limit_grows_prints_and_answers():
    x, y = np.arange(400.0)[:, None], np.arange(400) % 2
    w = 4.0 ** -np.arange(400)                                    # exact; each split cuts off the heaviest sample
    model = DecisionTreeClassifier().fit(x, y, w)                 # and everything is compiled
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        model.fit(x, y, w)
        assert model.score(x, y) == 1 and model.tree_.depth == 399
        assert export_text(model).count("class") == 400
    finally:
        sys.setrecursionlimit(limit)


def test_neighbouring_numbers_are_told_apart():
    for dtype in (np.float32, np.float64):
        x = np.array([1, np.nextafter(dtype(1), dtype(2))], dtype)[:, None]
        assert DecisionTreeClassifier().fit(x, [0, 1]).predict(x).tolist() == [0, 1]


def test_probabilities_are_class_shares_and_ties_go_to_the_first():
    model = DecisionTreeClassifier().fit(np.zeros((4, 1)), [5, 5, 7, 9])
    np.testing.assert_allclose(model.predict_proba([[0.0]]), [[0.5, 0.25, 0.25]])
    assert DecisionTreeClassifier().fit(np.zeros((2, 1)), [8, 3]).predict([[0.0]]) == [3]
    assert not model.feature_importances_.any()


def test_random_features_depend_on_the_stream_only_and_constant_ones_are_passed_over():
    x, y = blobs(100, centers=3, spread=1.5, rng=0)
    x = np.hstack([x, np.ones((100, 30), np.float32)])
    a, b, c = (DecisionTreeClassifier(max_features=1, rng=r).fit(x, y) for r in (0, 0, 1))
    assert np.array_equal(a.tree_.feature, b.tree_.feature) and a.score(x, y) == 1
    assert len(a.tree_.feature) != len(c.tree_.feature) or not np.array_equal(a.tree_.threshold, c.tree_.threshold)
    assert set(a.tree_.feature) <= {-1, 0, 1}


def test_windows_of_features_do_not_change_the_tree(monkeypatch):
    from minicv.ensembles import growth

    x, y = np.random.default_rng(0).standard_normal((60, 12)), np.arange(60) % 4
    for settings in ({}, dict(max_features=5, rng=3)):
        whole = DecisionTreeClassifier(**settings).fit(x, y).tree_
        monkeypatch.setattr(growth, "BUFFER", 130)
        for a, b in zip(whole, DecisionTreeClassifier(**settings).fit(x, y).tree_):
            assert np.array_equal(a, b)
        monkeypatch.undo()


def test_the_text_shows_questions_and_answers():
    x, y = [[1.0, 0], [2, 0], [3, 1]], ["a", "b", "c"]
    text = export_text(DecisionTreeClassifier().fit(x, y), feature_names=["size", "hue"])
    assert text.splitlines() == ["size <= 1.50", "    class a (1 sample)", "size > 1.50", "    size <= 2.50",
                                 "        class b (1 sample)", "    size > 2.50", "        class c (1 sample)"]
    assert export_text(DecisionTreeRegressor().fit(x, [1.0, 1, 1])) == "value 1.00 (3 samples)"


@pytest.mark.parametrize("Model", [DecisionTreeClassifier, DecisionTreeRegressor])
def test_files_bring_back_the_same_tree(Model, tmp_path):
    x, y = moons(80, noise=0.3, rng=0)
    model = Model(max_depth=5, rng=np.random.default_rng(0)).fit(x, y)
    model.save(tmp_path / "tree.npz")
    loaded = Model.load(tmp_path / "tree.npz")
    assert np.array_equal(loaded.predict(x), model.predict(x)) and loaded.max_depth == 5
    with pytest.raises(DataFormatError, match="holds a"):
        ({DecisionTreeClassifier, DecisionTreeRegressor} - {Model}).pop().load(tmp_path / "tree.npz")


@pytest.mark.parametrize("name, value", [("left", 0), ("left", 10**6), ("right", -5), ("feature", 2), ("feature", 99),
                                         ("threshold", np.nan), ("weight", 0)])
def test_a_file_with_a_tree_that_leads_astray_is_refused(name, value, tmp_path):
    x, y = moons(60, noise=0.3, rng=0)
    DecisionTreeClassifier().fit(x, y).save(tmp_path / "tree.npz")
    arrays = read_npz(tmp_path / "tree.npz")
    arrays[name] = arrays[name].copy()
    arrays[name][0] = value
    (tmp_path / "tree.npz").write_bytes(npz_bytes(arrays))
    with pytest.raises(DataFormatError, match="leads nowhere, in circles, or to unknown features"):
        DecisionTreeClassifier.load(tmp_path / "tree.npz")


@pytest.mark.parametrize("name", ["head", "nodes", "feature", "value", "classes"])
def test_a_file_with_missing_or_misshapen_arrays_is_refused(name, tmp_path):
    x, y = moons(60, noise=0.3, rng=0)
    DecisionTreeClassifier().fit(x, y).save(tmp_path / "tree.npz")
    arrays = read_npz(tmp_path / "tree.npz")
    short = arrays[name][:-1].astype(np.float32)
    for broken in ({k: v for k, v in arrays.items() if k != name}, arrays | {name: short}):
        (tmp_path / "tree.npz").write_bytes(npz_bytes(broken))
        with pytest.raises(DataFormatError):
            DecisionTreeClassifier.load(tmp_path / "tree.npz")


def test_labels_that_are_words_cannot_be_stored(tmp_path):
    model = DecisionTreeClassifier().fit([[0.0], [1.0]], ["a", "b"])
    with pytest.raises(DTypeError):
        model.save(tmp_path / "tree.npz")
    with pytest.raises(ArgError, match="not fitted"):
        DecisionTreeClassifier().save(tmp_path / "tree.npz")
    assert not list(tmp_path.iterdir())


X, Y = np.random.default_rng(0).standard_normal((9, 2)), np.arange(9) % 2


@pytest.mark.parametrize("settings, args, error, text", [
    (dict(criterion="log"), (X, Y), ArgError, "criterion is 'log', expected one of 'gini', 'entropy'"),
    (dict(max_depth=0), (X, Y), ArgError, "max_depth is 0"),
    (dict(max_depth=2.5), (X, Y), ArgError, "max_depth is 2.5"),
    (dict(min_samples_leaf=0), (X, Y), ArgError, "min_samples_leaf is 0"),
    (dict(max_features=0), (X, Y), ArgError, "max_features is 0"),
    (dict(max_features=3), (X, Y), ArgError, r"max_features is 3, expected an integer in \[1, 2\]"),
    (dict(max_features="log2"), (X, Y), ArgError, "max_features is 'log2'"),
    ({}, (np.empty((0, 2)), []), ShapeError, r"X has shape \(0, 2\)"),
    ({}, (X * np.inf, Y), ArgError, r"X\[0, 0\] is -?(inf|nan)"),
    ({}, (X, Y[:5]), ShapeError, r"y has shape \(5,\)"),
    ({}, (X, Y * 0), ArgError, "y holds 1 class"),
    ({}, (X, Y, Y - 1), ArgError, r"sample_weight\[0\] is -1"),
    ({}, (X, Y, Y * 0), ArgError, "sums to 0"),
], ids=lambda v: str(v)[:25])
def test_bad_input_is_refused_by_name(settings, args, error, text):
    model = DecisionTreeClassifier(**settings)
    with pytest.raises(error, match=text):
        model.fit(*args)
    with pytest.raises(ArgError, match="not fitted"):
        model.predict(X)


@pytest.mark.parametrize("y, error", [(np.full(9, np.nan), ArgError), (np.ones(8), ShapeError),
                                      (np.array(["a"] * 9), DTypeError)])
def test_bad_targets_are_refused(y, error):
    with pytest.raises(error, match="y h"):
        DecisionTreeRegressor().fit(X, y)


@pytest.mark.oracle
@pytest.mark.parametrize("criterion", ["gini", "entropy", "squared_error"])
@pytest.mark.parametrize("settings", [{}, dict(max_depth=4), dict(min_samples_leaf=5)], ids=str)
def test_trees_are_those_of_scikit_learn(criterion, settings):
    """Weights are whole: with real ones scikit-learn's entropy of a pure node can be 1e-16, and it splits the node.

    Where leaves get small, several features split equally well, and scikit-learn picks one at random.
    """
    theirs = pytest.importorskip("sklearn.tree", reason="comparison with scikit-learn")
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((300, 3)).astype(np.float32), rng.integers(1, 4, 300)
    if criterion == "squared_error":
        y = np.sin(x.sum(axis=1)) + 0.1 * rng.standard_normal(300)
        ours, peer = DecisionTreeRegressor(**settings), theirs.DecisionTreeRegressor(random_state=0, **settings)
    else:
        y = (x.sum(axis=1) > 0).astype(int) + (x[:, 0] > 1)
        ours = DecisionTreeClassifier(criterion=criterion, **settings)
        peer = theirs.DecisionTreeClassifier(criterion=criterion, random_state=0, **settings)
    a, b = ours.fit(x, y, w).tree_, peer.fit(x, y, w).tree_
    assert len(a.feature) == b.node_count and a.depth == b.max_depth
    np.testing.assert_allclose(ours.predict(x), peer.predict(x), rtol=1e-9)
    assert (a.feature[0], a.threshold[0]) == (b.feature[0], pytest.approx(b.threshold[0]))
    if settings:
        np.testing.assert_allclose(ours.feature_importances_, peer.feature_importances_, atol=0.01)


def head(**changes):
    """A change of the settings of an archive."""
    return lambda arrays: {"head": np.frombuffer(json.dumps(
        {**json.loads(arrays["head"].tobytes()), **changes}).encode(), np.uint8)}


@pytest.mark.parametrize("change, words", [
    (lambda a: {"head": np.frombuffer(b"[" * 200_000, np.uint8)}, "no archive"), (head(features="2"), "features"),
    (head(features=None), "features"), (head(features=2.5), "features"), (head(features=True), "features"),
    (lambda a: {"classes": np.zeros((2, 2))}, "classes"), (lambda a: {"classes": np.array(2)}, "classes"),
    (lambda a: {"classes": np.array([np.nan, 1])}, "classes"), (lambda a: {"classes": np.array([1, 1])}, "classes"),
    (lambda a: {"classes": np.array([0, 1j])}, "classes"), (lambda a: {"value": -a["value"]}, "negative"),
    (lambda a: {"value": a["value"] * np.nan}, "not finite"),
    (lambda a: {"weight": a["weight"] * np.inf}, "not finite"),
    (lambda a: {"gain": a["gain"] * np.nan}, "not finite"), (lambda a: {"samples": -a["samples"]}, "empty nodes"),
    (lambda a: {k: np.concatenate([v, v]) for k, v in a.items() if k not in ("head", "classes")}, "2 trees")])
def test_archives_with_senseless_numbers_are_refused_F19(tmp_path, change, words):
    x = np.random.default_rng(0).random((30, 2))
    DecisionTreeClassifier(max_depth=3).fit(x, x[:, 0] > 0.5).save(tmp_path / "tree.npz")
    arrays = dict(read_npz(tmp_path / "tree.npz"))
    (tmp_path / "tree.npz").write_bytes(npz_bytes({**arrays, **change(arrays)}))
    with pytest.raises(DataFormatError, match=words):
        DecisionTreeClassifier.load(tmp_path / "tree.npz")
