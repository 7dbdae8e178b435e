"""Estimators: a boosting round over many features, a random forest, k-means; beside scikit-learn where it is there.

The sizes are those of a face detector's round (10 000 features of 5 000 windows), of a small forest and of Lloyd's
iteration on many points. ``python benchmarks/run.py --only ensembles`` prints all lines of one run; compare these.
"""

import importlib.util

import numpy as np

from minicv.ensembles import KMeans, RandomForestClassifier, search_stumps, sort_features

PEER = importlib.util.find_spec("sklearn") is not None


class StumpSuite:
    """One round of boosting on features sorted beforehand, against cumulative sums in NumPy."""

    param_names, params = ["features"], [[1000, 10_000]]

    def setup(self, features):
        rng = np.random.default_rng(0)
        x = rng.random((5000, features), np.float32)
        self.order, self.y, self.weight = sort_features(x), rng.choice([-1, 1], 5000), rng.random(5000)

    def time_minicv(self, features):
        search_stumps(self.order, self.y, self.weight)

    def time_numpy(self, features):
        signed = self.weight * self.y
        for rows in np.array_split(self.order, max(1, features // 500)):
            sums = np.cumsum(signed[np.where(rows < 0, ~rows, rows)], axis=1)
            sums.min(axis=1), sums.max(axis=1)


class ForestSuite:
    """20 trees on 10 000 samples with 64 features and 10 classes."""

    def setup(self):
        rng = np.random.default_rng(0)
        self.y = rng.integers(0, 10, 10_000)
        centers = 1.2 * rng.standard_normal((10, 64))
        self.x = (centers[self.y] + 2 * rng.standard_normal((10_000, 64))).astype(np.float32)

    def time_minicv(self):
        RandomForestClassifier(20, rng=0).fit(self.x, self.y)

    if PEER:
        def time_scikit_learn(self):
            from sklearn.ensemble import RandomForestClassifier as Peer

            Peer(20, n_jobs=-1, random_state=0).fit(self.x, self.y)


class KMeansSuite:
    """20 iterations on 100 000 points with 16 features, 64 clusters, from given centres."""

    def setup(self):
        self.x = np.random.default_rng(0).standard_normal((100_000, 16), np.float32)

    def time_minicv(self):
        KMeans(64, init=self.x[:64], max_iter=20, tol=0).fit(self.x)

    if PEER:
        def time_scikit_learn(self):
            import warnings

            from sklearn.cluster import KMeans as Peer

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")                     # that it has not converged
                Peer(64, init=self.x[:64], n_init=1, max_iter=20, tol=0).fit(self.x)
