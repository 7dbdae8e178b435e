"""Decision stumps: one feature, one threshold, and which side is positive.

    h(x) = polarity  if x[feature] > threshold  else  -polarity

References: Ai & Langley 1992, Induction of One-Level Decision Trees; Viola & Jones 2001, section 3.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, ShapeError
from ..kernels.stumps import scan_stumps, sort_features
from .estimator import Classifier, check_choice, check_matrix, check_weights

THRESHOLDS = ("data", "midpoints")
TIE = 1e-12                         # errors that differ by less of the total weight are equal


class Stump(NamedTuple):
    """A stump and its share of the weight in error."""

    feature: int
    threshold: float
    polarity: int
    error: float


class Split(NamedTuple):
    """The best stump as positions: its threshold lies at or after `sample`, before `above` (-1: no sample)."""

    feature: int
    sample: int
    above: int
    polarity: int
    error: float


def best_stump(x, y, weight=None, *, thresholds="data", order=None) -> Stump:
    """The stump of lowest weighted error, in O(d N log N), or O(d N) if the order is known.

    Parameters
    ----------
    x : array (N, d), finite
    y : array (N,) of -1 and +1
    weight : array (N,), >= 0, not all 0; None for equal weights
    thresholds : {"data", "midpoints"}
        Thresholds are values that occur, or halfway to the next larger value that occurs. The
        largest value itself is always among them: above it is nothing, so that constant answers
        compete too.
    order : int32 array (d, N) or None
        From `sort_features(x)`; x is then taken on trust to be finite.

    Among equal errors (within 1e-12 of the total weight) the lowest feature wins, then the lowest
    threshold, then polarity +1.

    Raises
    ------
    ArgError
        y holds other numbers, weights are negative or sum to 0, or x is not finite.
    ShapeError

    Examples
    --------
    >>> best_stump([[1.0], [2.0], [3.0]], [-1, 1, 1])
    Stump(feature=0, threshold=1.0, polarity=1, error=0.0)
    """
    check_choice("best_stump", "thresholds", thresholds, THRESHOLDS)
    x = check_matrix("best_stump", "x", x, finite=order is None)
    order = sort_features(x) if order is None else order
    if np.shape(order) != x.shape[::-1]:
        raise ShapeError(f"best_stump: order has shape {np.shape(order)}, expected {x.shape[::-1]}")
    found = search_stumps(order, y, weight)
    low = x[found.sample, found.feature]
    high = x[found.above, found.feature] if thresholds == "midpoints" and found.above >= 0 else low
    return Stump(found.feature, midpoint(low, high), found.polarity, found.error)


def search_stumps(order, y, weight=None) -> Split:
    """`best_stump` on samples that are known by their order only: int32 (d, N) from `sort_features`.

    This is the form for many rounds over many features, as in Viola & Jones.
    """
    if not isinstance(order, np.ndarray) or order.ndim != 2 or order.dtype.kind != "i" or not order.size:
        raise ShapeError(f"search_stumps: order is a {type(order).__name__} of shape {np.shape(order)}, expected "
                         "what sort_features returned, int32 (d, N)")
    y = _check_signs(y, order.shape[1])
    weight = check_weights("search_stumps", weight, len(y))
    signed, total = weight * y, weight.sum()
    negative, positive = weight[y < 0].sum(), weight[y > 0].sum()
    low, high = scan_stumps(order, signed)
    error = np.minimum(negative + low, positive - high)                           # (d,)
    feature = int(np.argmax(error <= error.min() + TIE * total))                  # the first one
    row = order[feature]
    index = np.where(row < 0, ~row, row)
    place = np.flatnonzero(row >= 0)                                              # where thresholds may stand
    below = np.cumsum(signed[index])[place]
    both = np.stack([negative + below, positive - below], axis=1).ravel()         # + before - at each threshold
    t, flipped = divmod(int(np.argmax(both <= error[feature] + TIE * total)), 2)
    s = place[t]
    above = index[s + 1] if s + 1 < len(index) else -1
    return Split(feature, int(index[s]), int(above), 1 - 2 * flipped, float(max(error[feature], 0) / total))


def midpoint(low, high) -> float:
    """A number t with low <= t < high (or low = high = t), halfway between them."""
    low, high = float(low), float(high)
    middle = low / 2 + high / 2
    return middle if low <= middle < high else low


class DecisionStump(Classifier):
    """A classifier of two classes with a single threshold; the weak learner of AdaBoost.

    Parameters
    ----------
    thresholds : {"data", "midpoints"}
        See `best_stump`.

    Attributes
    ----------
    feature_, threshold_, polarity_, error_
        Of the best `Stump`; the positive class is the larger label.
    classes_ : array (2,)
    """

    def __init__(self, *, thresholds="data"):
        self.thresholds = thresholds

    @staticmethod
    def presort(X):
        """The order that `fit` can reuse as long as X stays the same."""
        return sort_features(check_matrix("presort", "X", X))

    def fit(self, X, y, sample_weight=None, *, order=None):
        """Find the best stump for X (N, d) and y (N,) with two classes; returns the estimator."""
        X = check_matrix("DecisionStump.fit", "X", X, finite=order is None)
        code = self._labels("DecisionStump.fit", y, len(X))
        if len(self.classes_) != 2:
            raise ArgError(f"DecisionStump.fit: y holds {len(self.classes_)} classes, expected 2")
        weight = check_weights("DecisionStump.fit", sample_weight, len(X))
        found = best_stump(X, 2 * code - 1, weight, thresholds=self.thresholds, order=order)
        self.feature_, self.threshold_, self.polarity_, self.error_ = found
        self.n_features_in_ = X.shape[1]
        return self

    def decision_function(self, X):
        """+1 or -1 for each row of X (N, d); of X only the column of the feature must be finite."""
        X = self._input("decision_function", X, finite=False)
        column = check_matrix("decision_function", "X", X[:, self.feature_, None])[:, 0]
        return np.where(column > self.threshold_, self.polarity_, -self.polarity_)

    def predict(self, X):
        """Labels (N,) for X (N, d)."""
        positive = self.decision_function(X) > 0
        return self.classes_[positive.astype(np.int64)]

    @property
    def feature_importances_(self):
        """1 for the feature that is used, 0 for all others."""
        return (np.arange(self.n_features_in_) == self.feature_).astype(np.float64)


def _check_signs(y, count):
    y = np.asarray(y)
    if y.shape != (count,):
        raise ShapeError(f"search_stumps: y has shape {y.shape}, expected ({count},)")
    wrong = ~np.isin(y, (-1, 1))
    if wrong.any():
        raise ArgError(f"search_stumps: y[{wrong.argmax()}] is {y[wrong.argmax()]!r}, expected -1 or +1")
    return y.astype(np.float64)
