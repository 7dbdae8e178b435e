"""Decision trees: exact greedy splits by Gini impurity, entropy or squared error.

Reference: Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees.
"""

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError
from ..kernels.tree import find_leaves
from .estimator import Classifier, Estimator, check_choice, check_integer, check_matrix, check_weights
from .growth import Rules, grow, rank_features
from .store import Stored


class DecisionTreeClassifier(Stored, Classifier):
    """A tree that asks one feature at a time and answers with the class weights at its leaf.

    Parameters
    ----------
    criterion : {"gini", "entropy"}
    max_depth : int >= 1 or None
        None grows until leaves are pure.
    min_samples_leaf : int >= 1
        Samples of positive weight that each side of a split must keep.
    max_features : int in [1, D], "sqrt" or None
        Features that each node draws and looks at, None for all. A node whose draw is constant
        draws on until a split is found.
    rng : Generator, int or None
        Only used if nodes do not look at all features.

    Attributes
    ----------
    tree_ : Tree
    classes_, n_features_in_

    Notes
    -----
    Thresholds lie halfway between values; x <= threshold goes to the left. A node that is not pure
    is split even if no split lowers the impurity, as in XOR. Among equal gains the lowest feature
    wins, then the lowest threshold.

    NB: scikit-learn decides ties between features at random.

    Examples
    --------
    >>> model = DecisionTreeClassifier(max_depth=2).fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])
    >>> model.predict([[0, 1], [1, 1]])
    array([1, 0])
    """

    def __init__(self, *, criterion="gini", max_depth=None, min_samples_leaf=1, max_features=None, rng=None):
        self.criterion, self.max_depth, self.min_samples_leaf = criterion, max_depth, min_samples_leaf
        self.max_features, self.rng = max_features, rng

    @staticmethod
    def presort(X):
        """The ranks that `fit` can reuse as long as X stays the same."""
        return rank_features(check_matrix("presort", "X", X))

    def fit(self, X, y, sample_weight=None, *, order=None):
        """Grow the tree for X (N, D), labels y (N,), weights (N,); returns the estimator.

        order : what `presort(X)` returned, or None

        Raises
        ------
        ArgError
            A setting is outside its range, X is not finite, y has a single class, weights are
            negative or sum to 0.
        ShapeError
        """
        rng = np.random.default_rng(self.rng)
        X = check_matrix("DecisionTreeClassifier.fit", "X", X, finite=order is None)
        weight = check_weights("DecisionTreeClassifier.fit", sample_weight, len(X))
        rules = make_rules(self, X.shape[1])
        code = self._labels("DecisionTreeClassifier.fit", y, len(X))
        rules = rules._replace(num_classes=len(self.classes_))
        ranks = rank_features(X) if order is None else order
        self.tree_, = grow(ranks, code.astype(np.int32), weight[None], rules, [rng])
        self.n_features_in_ = X.shape[1]
        return self

    def apply(self, X):
        """Number (N,) int32 of the leaf that each row of X (N, D) reaches."""
        return leaves(self.tree_, self._input("apply", X))

    def predict_proba(self, X):
        """Share (N, K) of each class in the weight at the leaf."""
        X = self._input("predict_proba", X)
        return shares(self.tree_)[leaves(self.tree_, X)]

    def predict(self, X):
        """The label (N,) of highest weight at the leaf, the first among equals."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    @property
    def feature_importances_(self):
        """Share (D,) of each feature in the impurity that the splits removed."""
        return self.tree_.importances(self.n_features_in_)


class DecisionTreeRegressor(Stored, Estimator):
    """A tree that answers with the weighted mean of the targets at its leaf.

    Settings and rules as in `DecisionTreeClassifier`; the criterion is the squared error.
    """

    criterion = "squared_error"
    classes_ = np.zeros(0)
    _estimator_type = "regressor"

    def __init__(self, *, max_depth=None, min_samples_leaf=1, max_features=None, rng=None):
        self.max_depth, self.min_samples_leaf = max_depth, min_samples_leaf
        self.max_features, self.rng = max_features, rng

    def fit(self, X, y, sample_weight=None):
        """Grow the tree for X (N, D), targets y (N,), weights (N,); returns the estimator."""
        rng = np.random.default_rng(self.rng)
        X = check_matrix("DecisionTreeRegressor.fit", "X", X)
        y = _check_targets(y, len(X))
        weight = check_weights("DecisionTreeRegressor.fit", sample_weight, len(X))
        rules, mean = make_rules(self, X.shape[1]), np.average(y, weights=weight)
        tree, = grow(rank_features(X), y - mean, weight[None], rules, [rng])      # around 0, sums keep their digits
        self.tree_ = tree._replace(value=tree.value + mean)
        self.n_features_in_ = X.shape[1]
        return self

    apply = DecisionTreeClassifier.apply
    feature_importances_ = DecisionTreeClassifier.feature_importances_

    def predict(self, X):
        """The mean (N,) float64 at the leaf."""
        X = self._input("predict", X)
        return self.tree_.value[leaves(self.tree_, X), 0]

    def score(self, X, y, sample_weight=None) -> float:
        """R^2 = 1 - squared error / squared deviation from the mean; 1 is perfect."""
        y, w = _check_targets(y, len(X)), check_weights("score", sample_weight, len(X))
        error = np.average((y - self.predict(X)) ** 2, weights=w)
        spread = np.average((y - np.average(y, weights=w)) ** 2, weights=w)
        return float(1 - error / spread) if spread > 0 else float(error == 0)


def make_rules(model, count) -> Rules:
    """The settings of a tree or forest, checked, for `count` features."""
    where = f"{type(model).__name__}.fit"
    if model.criterion != "squared_error":
        check_choice(where, "criterion", model.criterion, ("gini", "entropy"))
    depth = np.inf if model.max_depth is None else check_integer(where, "max_depth", model.max_depth, 1)
    leaf = check_integer(where, "min_samples_leaf", model.min_samples_leaf, 1)
    features = {None: count, "sqrt": max(1, int(np.sqrt(count)))}.get(model.max_features, model.max_features)
    if isinstance(features, str) or check_integer(where, "max_features", features, 1) > count:
        raise ArgError(f"{where}: max_features is {features!r}, expected an integer in [1, {count}], 'sqrt' or None")
    return Rules(model.criterion, depth, leaf, features, 0)


def leaves(tree, x):
    """Number (N,) int32 of the leaf of each row of x (N, D)."""
    leaf = np.empty(len(x), np.int32)
    find_leaves(len(x), x, tree.feature, tree.threshold, tree.left, tree.right, leaf)
    return leaf


def shares(tree):
    """Share (M, K) of each class in the weight at each node."""
    return tree.value / tree.weight[:, None]


def export_text(model, *, feature_names=None, decimals=2) -> str:
    """A tree as indented text, one line for each question and each leaf.

    Examples
    --------
    >>> print(export_text(DecisionTreeClassifier().fit([[1.0], [2.0]], [0, 1])))
    x[0] <= 1.50
        class 0 (1 sample)
    x[0] > 1.50
        class 1 (1 sample)
    """
    tree, lines, stack = model.tree_, [], [(0, 0, "")]
    while stack:
        node, depth, question = stack.pop()
        lines += [question] if question else []
        f = tree.feature[node]
        indent = "    " * depth
        if f < 0:
            count = int(tree.samples[node])
            lines.append(f"{indent}{leaf_text(model, node, decimals)} ({count} sample{'s' * (count != 1)})")
            continue
        name, t = feature_names[f] if feature_names else f"x[{f}]", f"{tree.threshold[node]:.{decimals}f}"
        stack += [(tree.right[node], depth + 1, f"{indent}{name} > {t}"),
                  (tree.left[node], depth + 1, f"{indent}{name} <= {t}")]
    return "\n".join(lines)


def leaf_text(model, node, decimals=2):
    """What a node answers: its class, or its value."""
    value = model.tree_.value[node]
    return f"class {model.classes_[value.argmax()]}" if len(model.classes_) else f"value {value[0]:.{decimals}f}"


def _check_targets(y, count):
    y = np.asarray(y)
    if y.shape != (count,):
        raise ShapeError(f"DecisionTreeRegressor: y has shape {y.shape}, expected ({count},)")
    if y.dtype.kind not in "fiub":
        raise DTypeError(f"DecisionTreeRegressor: y has dtype {y.dtype}, expected real numbers")
    if not np.isfinite(y).all():
        raise ArgError("DecisionTreeRegressor: y holds numbers that are not finite")
    return y.astype(np.float64)
