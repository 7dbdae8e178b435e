"""k-means.

Proved here: each step equals its definition as loops; the inertia never rises, for all distances and centroids; a
cluster without points is filled; planted clusters and box sizes are found; the result moves with the data (shift,
order); typed errors; the same centres as scikit-learn from the same start.
"""

import itertools

import numpy as np
import pytest

from minicv.ensembles import KMeans, size_iou
from minicv.errors import ArgError, MinicvError, ShapeError

pytestmark = pytest.mark.ch4
KINDS = list(itertools.product(("euclidean", "iou"), ("mean", "median")))


def sizes(n, seed=0):
    return np.random.default_rng(seed).uniform(1, 90, (n, 2))


def cost(distance, a, b):
    """The definition, one pair at a time."""
    if distance == "euclidean":
        return sum((p - q) ** 2 for p, q in zip(a, b))
    both = min(a[0], b[0]) * min(a[1], b[1])
    return 1 - both / (a[0] * a[1] + b[0] * b[1] - both)


def planted(centers, n=300, spread=0.03, seed=0):
    rng = np.random.default_rng(seed)
    centers = np.asarray(centers, float)
    return centers[rng.integers(len(centers), size=n)] * rng.uniform(1 - spread, 1 + spread, (n, 2))


@pytest.mark.parametrize("distance, centroid", KINDS)
def test_labels_and_inertia_are_those_of_the_definition(distance, centroid):
    X = sizes(60)
    model = KMeans(4, distance=distance, centroid=centroid, rng=1).fit(X)
    table = np.array([[cost(distance, x, c) for c in model.cluster_centers_] for x in X])
    assert np.array_equal(model.labels_, table.argmin(axis=1))
    assert model.inertia_ == pytest.approx(table.min(axis=1).sum(), rel=1e-12)
    assert model.score(X) == pytest.approx(-model.inertia_)
    assert np.array_equal(model.predict(X), model.labels_)
    expected = np.sqrt(table) if distance == "euclidean" else table
    np.testing.assert_allclose(model.transform(X), expected, atol=1e-12)


def test_lloyds_iteration_equals_loops():
    X = sizes(80).astype(np.float32)
    start, centers = X[:5].copy(), X[:5].astype(float)
    for _ in range(4):
        label = np.array([min(range(5), key=lambda k: cost("euclidean", x, centers[k])) for x in X.astype(float)])
        centers = np.array([X[label == k].astype(float).mean(axis=0) for k in range(5)])
    model = KMeans(5, init=start, max_iter=4, tol=0).fit(X)
    np.testing.assert_allclose(model.cluster_centers_, centers, rtol=1e-6)
    assert model.cluster_centers_.dtype == np.float32 and model.n_iter_ == 4


@pytest.mark.parametrize("distance, centroid", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_the_inertia_never_rises(distance, centroid, seed):
    X = np.rint(sizes(120, seed) / 6) + 1                                        # with many equal points
    model = KMeans(9, distance=distance, centroid=centroid, tol=0, rng=seed).fit(X)
    history = np.array(model.inertia_history_)
    assert (np.diff(history) <= 1e-9 * history[0]).all()
    assert len(history) == model.n_iter_ + 1 and history[-1] == model.inertia_


@pytest.mark.parametrize("distance", ["euclidean", "iou"])
def test_clusters_that_lose_their_points_are_filled(distance):
    X = planted([(5, 5), (30, 60), (80, 20)])
    far = np.vstack([X[:1], np.full((2, 2), 1e4)])                               # nobody is near these two
    model = KMeans(3, distance=distance, init=far).fit(X)
    assert set(model.labels_) == {0, 1, 2}
    assert (np.diff(model.inertia_history_) <= 0).all()


def test_as_many_clusters_as_distinct_points_cost_nothing():
    X = np.repeat(np.rint(sizes(6)), 5, axis=0)                                  # whole: their means are exact
    for seed in range(5):
        assert KMeans(6, rng=seed).fit(X).inertia_ == 0
        assert KMeans(6, init=np.full((6, 2), 500.0) + np.arange(6)[:, None]).fit(X).inertia_ == 0


@pytest.mark.parametrize("centroid", ["mean", "median"])
def test_planted_box_sizes_are_recovered(centroid):
    truth = [(10, 13), (62, 45), (156, 198)]
    X = planted(truth)
    found = KMeans(3, distance="iou", centroid=centroid, n_init=4, rng=0).fit(X).cluster_centers_
    np.testing.assert_allclose(found[found.prod(axis=1).argsort()], truth, rtol=0.02)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_iou_anchors_fit_boxes_better_than_euclidean_ones(seed):
    rng = np.random.default_rng(seed)
    X = np.exp(rng.uniform(np.log(8), np.log(300), (400, 1))) * np.exp(rng.normal(0, 0.4, (400, 2)))
    fit = {d: size_iou(X[:, None], KMeans(5, distance=d, n_init=5, rng=seed).fit(X).cluster_centers_).max(axis=1).mean()
           for d in ("iou", "euclidean")}
    assert fit["iou"] > fit["euclidean"]


def test_size_iou_of_a_box_and_its_half():
    assert size_iou(np.array([2.0, 4.0]), np.array([2.0, 2.0])) == 0.5
    assert size_iou(np.array([3.0, 1.0]), np.array([1.0, 3.0])) == pytest.approx(1 / 5)


def test_moving_and_reordering_the_points_moves_and_reorders_the_result():
    X, order = sizes(90), np.random.default_rng(3).permutation(90)
    model = KMeans(4, init=X[:4]).fit(X)
    moved = KMeans(4, init=X[:4] + 1000).fit(X + 1000)
    np.testing.assert_allclose(moved.cluster_centers_ - 1000, model.cluster_centers_, rtol=1e-9)
    mixed = KMeans(4, init=X[:4]).fit(X[order])
    assert np.array_equal(mixed.labels_, model.labels_[order])


def test_the_same_seed_gives_the_same_clusters_and_more_starts_never_cost_more():
    X = sizes(200)
    a, b = (KMeans(12, rng=5).fit(X) for _ in range(2))
    assert np.array_equal(a.cluster_centers_, b.cluster_centers_)
    one, many = (KMeans(12, n_init=n, rng=np.random.default_rng(5)).fit(X).inertia_ for n in (1, 10))
    assert many <= one


@pytest.mark.parametrize("settings, X, error, text", [
    (dict(n_clusters=0), sizes(5), ArgError, "n_clusters is 0"),
    (dict(n_clusters=2.0), sizes(5), ArgError, "n_clusters is 2.0"),
    (dict(n_clusters=6), sizes(5), ArgError, "n_clusters is 6, expected at most the number of distinct points, 5"),
    (dict(n_clusters=2), np.ones((9, 2)), ArgError, "distinct points, 1"),
    (dict(n_clusters=1, distance="cosine"), sizes(5), ArgError, "distance is 'cosine'"),
    (dict(n_clusters=1, centroid="mode"), sizes(5), ArgError, "centroid is 'mode'"),
    (dict(n_clusters=1, init="random"), sizes(5), ArgError, "init is 'random'"),
    (dict(n_clusters=2, init=np.ones((3, 2))), sizes(5), ShapeError, "init has shape"),
    (dict(n_clusters=1, n_init=0), sizes(5), ArgError, "n_init is 0"),
    (dict(n_clusters=1, max_iter=0), sizes(5), ArgError, "max_iter is 0"),
    (dict(n_clusters=1, tol=-1), sizes(5), ArgError, "tol is -1"),
    (dict(n_clusters=1, distance="iou"), [[1.0, 2], [0, 3]], ArgError, r"X\[1\] is \[0.0, 3.0\], expected sizes > 0"),
    (dict(n_clusters=1, distance="iou"), np.ones((4, 3)), ShapeError, r"expected \(N, 2\)"),
    (dict(n_clusters=1), [[1.0, np.nan]], ArgError, r"X\[0, 1\] is nan"),
    (dict(n_clusters=1), np.empty((0, 2)), ShapeError, r"X has shape \(0, 2\)"),
    (dict(n_clusters=1), np.ones(3), ShapeError, r"X has shape \(3,\)"),
], ids=lambda v: str(v)[:30])
def test_bad_input_is_refused_by_name(settings, X, error, text):
    model = KMeans(**settings)
    with pytest.raises(error, match=text):
        model.fit(X)
    assert not hasattr(model, "cluster_centers_")


def test_predict_wants_a_fitted_model_and_the_same_features():
    with pytest.raises(ArgError, match="not fitted"):
        KMeans(2).predict(sizes(3))
    model = KMeans(2, rng=0).fit(sizes(9))
    with pytest.raises(ShapeError, match=r"expected \(N, 2\)"):
        model.predict(np.ones((3, 3)))
    assert issubclass(ShapeError, MinicvError)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_centres_are_those_of_scikit_learn(dtype):
    cluster = pytest.importorskip("sklearn.cluster", reason="comparison with scikit-learn")
    X = np.random.default_rng(0).standard_normal((700, 7)).astype(dtype)
    ours = KMeans(9, init=X[:9], tol=0, max_iter=25).fit(X)
    theirs = cluster.KMeans(9, init=X[:9], n_init=1, tol=0, max_iter=25).fit(X)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-5)
    assert np.array_equal(ours.labels_, theirs.labels_)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("settings", [dict(), dict(distance="iou"), dict(centroid="median")])
def test_numbers_whose_squares_vanish_or_overflow_are_refused(settings, scale):
    X = np.random.default_rng(0).random((9, 2)) + 0.1
    with pytest.raises(ArgError, match="X has values up to"):
        KMeans(2, rng=0, **settings).fit(X * scale)
    with pytest.raises(ArgError, match="float32"):
        KMeans(2, rng=0, **settings).fit((X * np.sqrt(scale) ** 0.3).astype(np.float32))
