"""Random forests: trees on bootstrap samples, each split on a few random features, averaged.

The mean of T trees with variance s^2 and pairwise correlation rho has variance
rho s^2 + (1 - rho) s^2 / T: more trees remove the second part, random features lower rho.

Reference: Breiman 2001, Random Forests.
"""

from functools import partial

import numpy as np

from ..errors import ArgError
from .estimator import Classifier, check_integer, check_matrix, check_weights
from .growth import grow, rank_features
from .store import Stored
from .tree import leaves, make_rules, shares

TASKS = 16                          # tasks at most for an executor
GROUP = 2 ** 23                     # samples of all trees that grow at once on this machine


class RandomForestClassifier(Stored, Classifier):
    """An ensemble of decision trees whose class shares are averaged.

    Parameters
    ----------
    n_estimators : int >= 1
    criterion, max_depth, min_samples_leaf, max_features
        Of each tree, see `DecisionTreeClassifier`; "sqrt" features for each split by default.
    bootstrap : bool
        Whether each tree sees N samples drawn with replacement (among those of positive weight),
        or all of them once.
    oob_score : bool
        Estimate the accuracy from trees that did not see the sample; needs `bootstrap`.
    rng : Generator, int or None
        Gives one number, the seed; tree i draws from ``default_rng([seed, i])``, so that the forest
        does not depend on how the work is divided.

    Attributes
    ----------
    trees_ : list of Tree
    oob_decision_function_ : float64 array (N, K)
        Mean class shares over the trees that did not see the sample; NaN if all trees did.
    oob_score_ : float
        Accuracy of these, over the samples that have them.
    classes_, n_features_in_

    Examples
    --------
    >>> RandomForestClassifier(5, rng=0).fit([[0.0], [1.0], [8.0], [9.0]], [0, 0, 1, 1]).predict([[0.5], [8.5]])
    array([0, 1])
    """

    trees_: list

    def __init__(self, n_estimators=100, *, criterion="gini", max_depth=None, min_samples_leaf=1, max_features="sqrt",
                 bootstrap=True, oob_score=False, rng=None):
        self.n_estimators, self.criterion, self.max_depth = n_estimators, criterion, max_depth
        self.min_samples_leaf, self.max_features = min_samples_leaf, max_features
        self.bootstrap, self.oob_score, self.rng = bootstrap, oob_score, rng

    def fit(self, X, y, sample_weight=None, *, executor=None):
        """Grow the forest for X (N, D), labels y (N,), weights (N,); returns the estimator.

        executor : concurrent.futures.Executor or None
            Runs groups of trees elsewhere; None uses the threads of the kernels.

        Raises
        ------
        ArgError
            A setting is outside its range, `oob_score` without `bootstrap`, X is not finite, y has
            a single class, weights are negative or sum to 0.
        ShapeError
        """
        rng = np.random.default_rng(self.rng)
        where = "RandomForestClassifier.fit"
        count = check_integer(where, "n_estimators", self.n_estimators, 1)
        X = check_matrix(where, "X", X)
        weight = check_weights(where, sample_weight, len(X))
        rules = make_rules(self, X.shape[1])
        self._check_oob(where)
        code = self._labels(where, y, len(X))
        rules = rules._replace(num_classes=len(self.classes_))
        seed = int(rng.integers(2 ** 31))
        group = partial(grow_group, rank_features(X), code.astype(np.int32), weight, rules, seed, self.bootstrap)
        tasks = TASKS if executor else -(-count * len(X) // GROUP)
        blocks = np.array_split(np.arange(count), min(count, tasks))
        self.trees_ = [tree for trees in (executor.map if executor else map)(group, blocks) for tree in trees]
        self.n_features_in_ = X.shape[1]
        if self.oob_score:
            self._estimate(X, code, weight, seed)
        return self

    def predict_proba(self, X):
        """Mean over the trees of the class shares (N, K) at the leaf."""
        X = self._input("predict_proba", X)
        return sum(shares(tree)[leaves(tree, X)] for tree in self.trees_) / len(self.trees_)

    def predict(self, X):
        """The label (N,) with the highest mean share, the first among equals."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def tree_predictions(self, X):
        """The label (T, N) that each tree alone would give."""
        X = self._input("tree_predictions", X)
        return np.stack([self.classes_[tree.value.argmax(axis=1)][leaves(tree, X)] for tree in self.trees_])

    @property
    def feature_importances_(self):
        """Mean (D,) of the importances of the trees."""
        return np.mean([tree.importances(self.n_features_in_) for tree in self.trees_], axis=0)

    def _check_oob(self, where):
        if self.oob_score and not self.bootstrap:
            raise ArgError(f"{where}: oob_score is True without bootstrap, expected bootstrap=True: else no sample is "
                           "out of the bag")

    def _estimate(self, X, code, weight, seed):
        total = np.zeros((len(X), len(self.classes_)))
        for i, tree in enumerate(self.trees_):
            out = draw_weights(weight, np.random.default_rng([seed, i])) == 0
            total[out] += shares(tree)[leaves(tree, X[out])]
        sums = total.sum(axis=1, keepdims=True)
        self.oob_decision_function_ = np.divide(total, sums, out=np.full_like(total, np.nan), where=sums > 0)
        seen = (sums[:, 0] > 0) & (weight > 0)
        hit = total.argmax(axis=1) == code
        self.oob_score_ = float(np.average(hit[seen], weights=weight[seen])) if seen.any() else np.nan


def grow_group(ranks, y, weight, rules, seed, bootstrap, numbers):
    """The trees of these numbers; a function of plain arrays, so that it can run in another process."""
    rngs = [np.random.default_rng([seed, i]) for i in numbers]
    weights = np.stack([draw_weights(weight, rng) if bootstrap else weight for rng in rngs])
    return grow(ranks, y, weights, rules, rngs)


def draw_weights(weight, rng):
    """Weights (N,) of a bootstrap sample: each sample's own, as often as it is drawn."""
    able = np.flatnonzero(weight > 0)
    drawn = able[rng.integers(0, len(able), len(able))]
    return weight * np.bincount(drawn, minlength=len(weight))
