"""k-means: centres that are close to many points; on box sizes with 1 - IoU it gives anchors.

References: Lloyd 1982, Least Squares Quantization in PCM; Arthur & Vassilvitskii 2007, k-means++;
Redmon & Farhadi 2017, YOLO9000, section 2 ("dimension clusters").
"""

import numpy as np

from ..errors import ArgError, ShapeError
from ..kernels.nearest import member_sums, nearest
from .estimator import Estimator, check_choice, check_integer, check_matrix

DISTANCES, CENTROIDS = ("euclidean", "iou"), ("mean", "median")


class KMeans(Estimator):
    """Partition N points into K clusters, alternating nearest centres and centroids.

    Parameters
    ----------
    n_clusters : int >= 1
    distance : {"euclidean", "iou"}
        The cost of a point: its squared Euclidean distance to the centre; or 1 - IoU of two boxes
        with the same centre, where a point is a size (width, height) > 0.
    centroid : {"mean", "median"}
        The new centre of a cluster, feature by feature.
    n_init : int >= 1
        Independent starts; the one with the lowest inertia is kept.
    init : "k-means++" or array (K, D)
        A first centre at random, then each next one with probability proportional to its cost; or
        given centres (then `n_init` plays no role).
    max_iter : int >= 1
    tol : float >= 0
        Stop once the centres move less: sum of squared shifts <= tol * mean variance of the features.
    rng : Generator, int or None

    Attributes
    ----------
    cluster_centers_ : array (K, D) of the dtype of X
    labels_ : int64 array (N,)
        The nearest centre of each point, the lowest index among equals.
    inertia_ : float
        Sum of the costs to the nearest centres.
    inertia_history_ : list of float
        Before each update and at the end; it never rises.
    n_iter_ : int

    Notes
    -----
    * A cluster that lost all its points gets the point with the highest cost, then the next cluster
      the point with the highest cost that is left.
    * Only with "euclidean" and "mean" is the centroid the point of lowest cost. Otherwise a cluster
      keeps its old centre where the centroid would be worse, so that the inertia cannot rise.

    NB: scikit-learn draws several candidates for each k-means++ centre and keeps the best.

    Examples
    --------
    >>> KMeans(2, rng=0).fit([[0.0], [1.0], [9.0], [10.0]]).inertia_
    1.0
    """

    def __init__(self, n_clusters=8, *, distance="euclidean", centroid="mean", n_init=1, init="k-means++",
                 max_iter=300, tol=1e-4, rng=None):
        self.n_clusters, self.distance, self.centroid = n_clusters, distance, centroid
        self.n_init, self.init, self.max_iter, self.tol, self.rng = n_init, init, max_iter, tol, rng

    def fit(self, X, y=None):
        """Find centres for the points X (N, D); y is ignored. Returns the estimator.

        Raises
        ------
        ArgError
            A setting is outside its range, X is not finite, has fewer than `n_clusters` distinct
            points, or with "iou" a size that is not positive.
        ShapeError
            X is not (N, D), with "iou" not (N, 2), or `init` not (n_clusters, D).
        """
        rng = np.random.default_rng(self.rng)
        X = self._check(X)
        given = not isinstance(self.init, str)
        starts = [np.array(self.init, X.dtype)] if given else rng.spawn(self.n_init)
        points = _POINTS[self.distance](X)
        runs = [self._run(points, start if given else plus_plus(points, self.n_clusters, start)) for start in starts]
        best = min(runs, key=lambda run: run[2][-1])                    # the first among equals
        self.cluster_centers_, self.labels_, self.inertia_history_ = best
        self.inertia_, self.n_iter_, self.n_features_in_ = best[2][-1], len(best[2]) - 1, X.shape[1]
        return self

    def fit_predict(self, X, y=None):
        """The labels of `fit`."""
        return self.fit(X).labels_

    def predict(self, X):
        """Index (N,) int64 of the nearest centre of each row of X (N, D)."""
        return self._assign("predict", X)[0].astype(np.int64)

    def transform(self, X):
        """Distances (N, K) to every centre: Euclidean (not squared), or 1 - IoU."""
        points = self._points("transform", X)
        cost = np.stack([points.cost(center) for center in self.cluster_centers_], axis=1)
        return np.sqrt(cost) if self.distance == "euclidean" else cost

    def score(self, X, y=None) -> float:
        """Minus the inertia of X (N, D): higher is better."""
        return -float(self._assign("score", X)[1].sum(dtype=np.float64))

    def _assign(self, function, X):
        return self._points(function, X).nearest(self.cluster_centers_)

    def _points(self, function, X):
        X = self._input(function, X)
        if self.distance == "iou":
            _check_sizes(function, X)
        return _POINTS[self.distance](X.astype(self.cluster_centers_.dtype, copy=False))

    def _check(self, X):
        for name, low in (("n_clusters", 1), ("n_init", 1), ("max_iter", 1)):
            check_integer("KMeans.fit", name, getattr(self, name), low)
        check_choice("KMeans.fit", "distance", self.distance, DISTANCES)
        check_choice("KMeans.fit", "centroid", self.centroid, CENTROIDS)
        if not (np.isscalar(self.tol) and np.isfinite(self.tol) and self.tol >= 0):
            raise ArgError(f"KMeans.fit: tol is {self.tol!r}, expected a finite number >= 0")
        X = check_matrix("KMeans.fit", "X", X)
        if self.distance == "iou":
            _check_sizes("KMeans.fit", X)
        if isinstance(self.init, str):
            check_choice("KMeans.fit", "init", self.init, ("k-means++",))
        elif check_matrix("KMeans.fit", "init", self.init).shape != (self.n_clusters, X.shape[1]):
            raise ShapeError(f"KMeans.fit: init has shape {np.shape(self.init)}, "
                             f"expected {(self.n_clusters, X.shape[1])}")
        elif self.distance == "iou":
            _check_sizes("KMeans.fit", np.asarray(self.init), "init")
        _check_range(X, self.distance)
        if not _has_distinct(X, self.n_clusters):
            raise ArgError(f"KMeans.fit: n_clusters is {self.n_clusters}, expected at most the number of distinct "
                           f"points, {len(np.unique(X, axis=0))}")
        return X

    def _run(self, points, centers):
        """Lloyd's iteration from `centers`: the last centres, labels and the history of the inertia."""
        scale, history = self.tol * points.X.var(axis=0, dtype=np.float64).mean(), []
        label, cost = points.nearest(centers)
        for _ in range(self.max_iter):
            history.append(float(cost.sum(dtype=np.float64)))
            moved = self._update(points, centers, label, cost)
            shift = ((moved - centers).astype(np.float64) ** 2).sum()
            old, centers = label, moved
            label, cost = points.nearest(centers)
            if shift <= scale or np.array_equal(label, old):
                break
        history.append(float(cost.sum(dtype=np.float64)))
        return centers, label.astype(np.int64), history

    def _update(self, points, centers, label, cost):
        """The centroids of the clusters, after giving a point to each empty one."""
        label, centers = fill_empty(points, centers, label, cost)
        moved = (points.means if self.centroid == "mean" else points.medians)(label, len(centers))
        if (self.distance, self.centroid) == ("euclidean", "mean"):
            return moved
        before, after = (points.own_cost(c, label) for c in (centers, moved))
        worse = np.bincount(label, after, len(centers)) > np.bincount(label, before, len(centers))
        return np.where(worse[:, None], centers, moved)


class Points:
    """Points X (N, D) with the squared Euclidean distance as cost."""

    def __init__(self, X):
        self.X, self.columns = X, np.ascontiguousarray(X.T)

    def nearest(self, centers):
        """Label (N,) int32 and cost (N,) of the nearest of `centers` (K, D)."""
        return nearest(self.columns, centers)

    def cost(self, center):
        """Cost (N,) of one centre (D,)."""
        return self.nearest(center[None])[1]

    def own_cost(self, centers, label):
        """Cost (N,) of the centre that each point belongs to."""
        return ((self.X - centers[label]).astype(np.float64) ** 2).sum(axis=1)

    def means(self, label, count):
        """Mean (K, D) of each cluster; none is empty."""
        size = np.bincount(label, minlength=count)
        return (member_sums(self.columns, label, count) / size[:, None]).astype(self.X.dtype)

    def medians(self, label, count):
        """Median (K, D) of each cluster, feature by feature; none is empty."""
        return np.stack([np.median(self.X[label == k], axis=0) for k in range(count)]).astype(self.X.dtype)


class Sizes(Points):
    """Box sizes X (N, 2) with 1 - IoU as cost."""

    def nearest(self, centers):
        cost = np.stack([self.cost(center) for center in centers])                # (K, N)
        label = cost.argmin(axis=0).astype(np.int32)
        return label, np.take_along_axis(cost, label[None], axis=0)[0]

    def cost(self, center):
        return 1 - size_iou(self.X, center)

    def own_cost(self, centers, label):
        return 1 - size_iou(self.X, centers[label]).astype(np.float64)


_POINTS = {"euclidean": Points, "iou": Sizes}


def size_iou(a, b):
    """IoU of boxes with the same centre and sizes a (..., 2) and b (..., 2): overlap is min by min."""
    both = np.minimum(a, b).prod(axis=-1)
    return both / (a.prod(axis=-1) + b.prod(axis=-1) - both)


def plus_plus(points, count, rng):
    """k-means++: `count` of the points (K, D), each drawn with probability proportional to its cost so far."""
    chosen = [rng.integers(len(points.X))]
    cost = points.cost(points.X[chosen[0]]).astype(np.float64)
    for _ in range(1, count):
        total = np.cumsum(cost)
        chosen.append(min(np.searchsorted(total, rng.random() * total[-1], side="right"), np.flatnonzero(cost)[-1]))
        cost = np.minimum(cost, points.cost(points.X[chosen[-1]]))
    return points.X[chosen]


def fill_empty(points, centers, label, cost):
    """Labels and centres after moving the point of highest cost to each cluster without points."""
    size = np.bincount(label, minlength=len(centers))
    if size.all():
        return label, centers
    label, centers, cost = label.copy(), centers.copy(), cost.copy()
    for k in np.flatnonzero(size == 0):
        n = int(np.where(size[label] > 1, cost, -1).argmax())
        size[label[n]] -= 1
        size[k], label[n], centers[k], cost[n] = 1, k, points.X[n], 0
        cost = np.minimum(cost, points.cost(points.X[n]))                # its twins are served, too
    return label, centers


def _check_sizes(function, X, name="X"):
    if X.shape[1] != 2:
        raise ShapeError(f"{function}: {name} has shape {X.shape}, expected (N, 2), width and height, with "
                         "distance 'iou'")
    if not (X > 0).all():
        row = np.flatnonzero((X <= 0).any(axis=1))[0]
        raise ArgError(f"{function}: {name}[{row}] is {X[row].tolist()}, expected sizes > 0 with distance 'iou'")


def _check_range(X, distance):
    """Squares (and products of sides) must neither overflow nor vanish in the dtype of X."""
    limits, spread = np.finfo(X.dtype), np.ptp(X.astype(np.float64) / 2, axis=0).max() * 2
    largest, smallest = float(abs(X).max()), float(X.min()) if distance == "iou" else spread
    if largest > np.sqrt(limits.max / X.shape[1]) / 2 or 0 < smallest < np.sqrt(limits.tiny):
        raise ArgError(f"KMeans.fit: X has values up to {largest:g} that differ by {spread:g}, expected numbers whose "
                       f"squares exist in {X.dtype}; bring them to another unit")


def _has_distinct(X, count):
    """Whether X has `count` distinct rows; few rows are usually enough to see it."""
    some = X[:4 * count]
    return len(X) >= count and (len(np.unique(some, axis=0)) >= count or
                                (len(some) < len(X) and len(np.unique(X, axis=0)) >= count))
