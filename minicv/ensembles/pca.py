"""Principal components: the directions in which centred data vary most.

Reference: Pearson 1901, On Lines and Planes of Closest Fit to Systems of Points in Space.
"""

import numpy as np

from ..errors import ArgError, ShapeError
from .estimator import Estimator, check_integer, check_matrix


class PCA(Estimator):
    """X - mean = U S V^T; the rows of V^T are the components, S^2 / (N - 1) the variances along them.

    Parameters
    ----------
    n_components : int in [1, min(N, D)] or None
        None keeps all.
    whiten : bool
        Divide the projections by their standard deviation, so that each has variance 1.

    Attributes
    ----------
    mean_ : array (D,)
    components_ : array (k, D)
        Orthonormal rows by falling variance. In each the entry of largest magnitude is positive
        (the first among equals), so that signs do not depend on the linear algebra library.
    singular_values_, explained_variance_, explained_variance_ratio_ : arrays (k,)
    noise_variance_ : float
        Mean variance of the components that were dropped, 0 if none.

    Notes
    -----
    The squared error of a reconstruction, summed over the data, is N - 1 times the sum of the
    variances that were dropped. Everything is computed in float64 and has the dtype of X at the end.

    Examples
    --------
    >>> PCA(1).fit([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]).components_.round(6)
    array([[0.6, 0.8]])
    """

    def __init__(self, n_components=None, *, whiten=False):
        self.n_components, self.whiten = n_components, whiten

    def fit(self, X, y=None):
        """Find the components of X (N, D), N >= 2; y is ignored. Returns the estimator.

        Raises
        ------
        ArgError
            n_components is outside [1, min(N, D)], or X is not finite.
        ShapeError
        """
        X = check_matrix("PCA.fit", "X", X)
        if len(X) < 2:
            raise ShapeError(f"PCA.fit: X has shape {X.shape}, expected at least 2 rows")
        k, most = self.n_components, min(X.shape)
        if k is not None and check_integer("PCA.fit", "n_components", k, 1) > most:
            raise ArgError(f"PCA.fit: n_components is {k}, expected an integer in [1, {most}] for X {X.shape}")
        mean = X.mean(axis=0, dtype=np.float64)
        _, S, Vt = np.linalg.svd(X - mean, full_matrices=False)
        variance = S ** 2 / (len(X) - 1)
        self._set(X.dtype, mean, _fix_signs(Vt), S, variance, k or most)
        return self

    def _set(self, dtype, mean, Vt, S, variance, k):
        ratio = variance / variance.sum() if variance.sum() > 0 else np.zeros_like(variance)
        self.mean_, self.components_, self.singular_values_ = (a.astype(dtype) for a in (mean, Vt[:k], S[:k]))
        self.explained_variance_, self.explained_variance_ratio_ = variance[:k].astype(dtype), ratio[:k].astype(dtype)
        self.noise_variance_ = float(variance[k:].mean()) if k < len(variance) else 0.0
        self.n_features_in_ = len(mean)

    def transform(self, X):
        """Projections (N, k) of X (N, D). A component without variance is 0 when whitened."""
        Z = (self._input("transform", X) - self.mean_) @ self.components_.T
        return Z * self._scale(-1) if self.whiten else Z

    def fit_transform(self, X, y=None):
        """`transform` of the data that is fitted."""
        return self.fit(X).transform(X)

    def inverse_transform(self, Z):
        """The point (N, D) that belongs to projections Z (N, k); what was dropped is taken as the mean."""
        Z = check_matrix("inverse_transform", "Z", Z)
        if Z.shape[1] != len(self.components_):
            raise ShapeError(f"inverse_transform: Z has shape {Z.shape}, expected (N, {len(self.components_)})")
        return (Z * self._scale(1) if self.whiten else Z) @ self.components_ + self.mean_

    def _scale(self, sign):
        """Standard deviations (k,) to the power `sign`, 0 where they vanish beside the largest."""
        deviation = np.sqrt(self.explained_variance_)
        some = deviation > np.finfo(deviation.dtype).eps * max(deviation[0], np.finfo(deviation.dtype).tiny) * 10
        return np.where(some, np.where(some, deviation, 1) ** sign, 0)


def _fix_signs(Vt):
    """Rows with their entry of largest magnitude positive."""
    largest = np.take_along_axis(Vt, np.abs(Vt).argmax(axis=1)[:, None], axis=1)
    return Vt * np.where(largest < 0, -1, 1)
