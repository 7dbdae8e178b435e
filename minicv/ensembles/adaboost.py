"""AdaBoost: many weak classifiers, each trained on what the earlier ones got wrong, vote together.

Round j, with normalized weights w and K classes:

    eps_j  = sum of w over the samples that learner j gets wrong
    beta_j = (K - 1) (1 - eps_j) / eps_j
    w      <- w beta_j where wrong, then normalized
    F(x)   = sum_j ln(beta_j) WL_j(x),    WL_j in {-1, +1}

For K = 2 this is AdaBoost as Freund & Schapire 1997, A Decision-Theoretic Generalization of On-Line
Learning, state it up to a common factor of the weights; for K > 2 it is SAMME of Zhu, Zou, Rosset &
Hastie 2009, Multi-class AdaBoost, algorithm 2, where WL is 1 for the predicted class and -1/(K - 1)
for all others.
"""

import math
import numbers

import numpy as np

from ..errors import ArgError
from .estimator import Classifier, check_integer, check_labels, check_matrix, check_weights
from .stump import TIE, DecisionStump
from .tree import DecisionTreeClassifier

LARGEST_VOTE = 700                  # exp(700) is finite in float64


class AdaBoostClassifier(Classifier):
    """Boosted weak learners.

    Parameters
    ----------
    n_estimators : int >= 1
        Rounds at most.
    estimator : classifier with `fit(X, y, sample_weight=...)`, or None
        The weak learner, cloned for each round; None is a `DecisionStump` for two classes and a
        `DecisionTreeClassifier` of depth 1 for more.
    learning_rate : float > 0
        Exponent of beta: below 1 each learner moves the weights and counts less.
    rng : Generator, int or None
        Gives every learner that has a setting `rng` its own stream.

    Attributes
    ----------
    estimators_ : list of fitted weak learners
    estimator_errors_, betas_, estimator_weights_ : float64 arrays (M,)
        eps_j, beta_j and ln(beta_j).
    classes_, n_features_in_

    Notes
    -----
    * eps_j >= 1 - 1/K: the learner is no better than guessing. It is dropped and training *stops*
      (stumps have two polarities, so there is nothing to flip); in the first round that is an error.
    * eps_j = 0: ln(beta_j) would be infinite. Training stops, and that learner, with weight 1,
      decides alone.
    * A vote of exactly 0 goes to the positive, that is larger, class.

    NB: scikit-learn divides the votes by the sum of their weights, so that its `predict_proba` gets
    no more certain with more rounds, and keeps earlier learners beside one with eps = 0. Its trees
    decide ties at random where ours take the lowest feature: on data with exact symmetries several
    classes can leave our default learner turning in a circle, which depth 2 prevents.

    Examples
    --------
    >>> model = AdaBoostClassifier(3).fit([[1.0], [2.0], [3.0], [4.0]], [0, 1, 1, 0])
    >>> model.predict([[1.0], [2.5], [5.0]])
    array([0, 1, 0])
    """

    def __init__(self, n_estimators=50, *, estimator=None, learning_rate=1.0, rng=None):
        self.n_estimators, self.estimator, self.learning_rate, self.rng = n_estimators, estimator, learning_rate, rng

    def fit(self, X, y, sample_weight=None):
        """Boost on X (N, D), labels y (N,) and initial weights (N,); returns the estimator.

        Raises
        ------
        ArgError
            n_estimators < 1, learning_rate <= 0, fewer than two classes, weights that are negative
            or sum to 0, X not finite, or a first learner that is no better than guessing.
        ShapeError
        """
        rng = np.random.default_rng(self.rng)
        check_integer("AdaBoostClassifier.fit", "n_estimators", self.n_estimators, 1)
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not 0 < rate < np.inf:
            raise ArgError(f"AdaBoostClassifier.fit: learning_rate is {rate!r}, expected a number > 0")
        X = check_matrix("AdaBoostClassifier.fit", "X", X)
        w = check_weights("AdaBoostClassifier.fit", sample_weight, len(X))
        code = self._labels("AdaBoostClassifier.fit", y, len(X))
        rounds = self._boost(X, self.classes_[code], w / w.sum(), int(rng.integers(2**31)))
        self.estimators_, errors, betas = map(list, zip(*rounds))
        self.estimator_errors_, self.betas_ = np.array(errors), np.array(betas)
        finite = np.isfinite(self.betas_)
        self.estimator_weights_ = np.where(finite, np.log(np.where(finite, self.betas_, 1)), 1.0)
        self.n_features_in_ = X.shape[1]
        return self

    def _boost(self, X, y, w, seed):
        """The kept rounds as (learner, eps, beta)."""
        learner, chance, rounds = self._learner(), 1 - 1 / len(self.classes_), []
        extra = {"order": learner.presort(X)} if hasattr(learner, "presort") else {}
        for j in range(self.n_estimators):
            weak = _copy(learner, seed, j).fit(X, y, sample_weight=w, **extra)
            wrong = weak.predict(X) != y
            eps = float(w[wrong].sum())
            if not wrong[w > 0].any():
                return [(weak, 0.0, np.inf)]
            if eps >= chance - TIE:
                break
            beta = _power((1 - eps) / eps * chance / (1 - chance), self.learning_rate)
            w = reweigh(w, wrong, beta)
            rounds.append((weak, eps, beta))
        if not rounds:
            raise ArgError(f"AdaBoostClassifier.fit: estimator has the error {eps:.6g} in the first round, expected "
                           f"less than guessing, {chance:.6g}")
        return rounds

    def _learner(self):
        if self.estimator is not None:
            return self.estimator
        return DecisionStump() if len(self.classes_) == 2 else DecisionTreeClassifier(max_depth=1)

    def decision_function(self, X):
        """F(x): (N,) for two classes, positive for the larger one; (N, K) for more."""
        *_, last = self.staged_decision_function(X)
        return last

    def staged_decision_function(self, X):
        """F(x) after each round."""
        X = self._input("decision_function", X)
        total = 0
        for weak, alpha in zip(self.estimators_, self.estimator_weights_):
            total = total + alpha * self._votes(weak, X)
            yield total

    def predict(self, X):
        """The label (N,) with the most votes."""
        return self._decide(self.decision_function(X))

    def staged_predict(self, X):
        """The labels after each round."""
        return map(self._decide, self.staged_decision_function(X))

    def staged_score(self, X, y, sample_weight=None):
        """Share of right predictions after each round."""
        w = check_weights("staged_score", sample_weight, len(X))
        return (float(np.average(predicted == y, weights=w)) for predicted in self.staged_predict(X))

    def predict_proba(self, X):
        """Probability (N, K) of each class under which F has the lowest expected exponential loss.

        p_k is proportional to exp((K - 1)/K F_k) (Zhu et al. 2009, eq. 5); for K = 2 that is the
        sigmoid of F.
        """
        F = self.decision_function(X)
        F = np.stack([-F, F], axis=1) if F.ndim == 1 else F
        e = np.exp((1 - 1 / len(self.classes_)) * (F - F.max(axis=1, keepdims=True)))
        return e / e.sum(axis=1, keepdims=True)

    def staged_weights(self, X, y, sample_weight=None):
        """The weights w (N,) before the first round and after each: what round j + 1 pays attention to."""
        X = self._input("staged_weights", X)
        w = check_weights("staged_weights", sample_weight, len(X))
        y, w = check_labels("staged_weights", y, len(X)), w / w.sum()
        yield w
        for weak, beta in zip(self.estimators_, self.betas_):
            w = reweigh(w, weak.predict(X) != y, beta) if np.isfinite(beta) else w
            yield w

    @property
    def feature_importances_(self):
        """Mean of the learners' importances (D,), weighted by their votes."""
        return np.average([e.feature_importances_ for e in self.estimators_], axis=0, weights=self.estimator_weights_)

    def _votes(self, weak, X):
        hit = weak.predict(X)[:, None] == self.classes_
        votes = np.where(hit, 1.0, -1 / (len(self.classes_) - 1))
        return votes[:, 1] if len(self.classes_) == 2 else votes

    def _decide(self, F):
        return self.classes_[(F >= 0).astype(np.int64) if F.ndim == 1 else F.argmax(axis=1)]


def _power(beta, rate):
    """beta^rate; ArgError where the weights would overflow."""
    if rate * math.log(beta) > LARGEST_VOTE:
        raise ArgError(f"AdaBoostClassifier.fit: learning_rate is {rate!r}, expected at most "
                       f"{LARGEST_VOTE / math.log(beta):.4g} where beta is {beta:.4g}; weights would overflow")
    return beta**rate


def reweigh(w, wrong, beta):
    """Weights (N,) after a round: those of errors times beta, then all normalized to sum 1."""
    w = np.where(wrong, w * beta, w)
    return w / w.sum()


def exponential_bound(eps):
    """prod_j 2 sqrt(eps_j (1 - eps_j)) after each round: the mean of exp(-y F / 2), at least the training error."""
    eps = np.asarray(eps, np.float64)
    if not ((eps >= 0) & (eps <= 1)).all():
        raise ArgError(f"exponential_bound: eps is {eps.tolist()!r:.80}, expected errors in [0, 1]")
    return np.cumprod(2 * np.sqrt(eps * (1 - eps)))


def _copy(learner, seed, j):
    """An unfitted copy for round j, with a stream of its own if it draws."""
    params = learner.get_params(deep=False)
    if "rng" in params:
        params["rng"] = np.random.default_rng([seed, j])
    return type(learner)(**params)
