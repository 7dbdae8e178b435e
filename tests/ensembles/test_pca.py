"""Principal components.

Proved here: components are eigenvectors of the covariance, orthonormal and ordered; the reconstruction error is the
sum of the dropped eigenvalues; whitening; signs; invariance under shifts and rotations; degenerate data; typed errors;
the same numbers as scikit-learn.
"""

import numpy as np
import pytest

from minicv.ensembles import PCA
from minicv.errors import ArgError, ShapeError

pytestmark = pytest.mark.ch7


def data(n=60, d=5, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)).astype(dtype)


@pytest.mark.parametrize("shape", [(60, 5), (4, 7), (2, 1)], ids=str)
def test_components_are_eigenvectors_of_the_covariance(shape):
    X = data(*shape)
    model = PCA().fit(X)
    covariance = np.cov(X.T).reshape(shape[1], shape[1])
    V, s = model.components_, model.explained_variance_
    np.testing.assert_allclose(V @ covariance, s[:, None] * V, atol=1e-10)
    np.testing.assert_allclose(V @ V.T, np.eye(min(shape)), atol=1e-12)
    assert (np.diff(s) <= 0).all() and model.explained_variance_ratio_.sum() == pytest.approx(1)
    np.testing.assert_allclose(model.singular_values_ ** 2, s * (len(X) - 1), atol=1e-10)


@pytest.mark.parametrize("k", [1, 2, 4, 5])
def test_the_reconstruction_error_is_the_sum_of_dropped_eigenvalues(k):
    X = data()
    model = PCA(k).fit(X)
    error = ((model.inverse_transform(model.transform(X)) - X) ** 2).sum() / (len(X) - 1)
    dropped = np.linalg.eigvalsh(np.cov(X.T))[:5 - k]
    assert error == pytest.approx(dropped.sum(), abs=1e-10)
    assert model.noise_variance_ == pytest.approx(dropped.mean() if k < 5 else 0)


def test_whitened_projections_have_unit_covariance_and_come_back():
    X = data()
    model = PCA(whiten=True).fit(X)
    Z = model.transform(X)
    np.testing.assert_allclose(np.cov(Z.T), np.eye(5), atol=1e-10)
    np.testing.assert_allclose(model.inverse_transform(Z), X, atol=1e-10)


def test_data_in_a_plane_stay_finite_when_whitened():
    X = data()[:, :2] @ np.ones((2, 4)) * [1, 2, 3, 4]
    Z = PCA(whiten=True).fit_transform(X)
    assert np.isfinite(Z).all() and not Z[:, 1:].any() and Z[:, 0].var(ddof=1) == pytest.approx(1)
    assert not PCA(2, whiten=True).fit_transform(np.ones((3, 4))).any()
    assert not PCA().fit(np.ones((3, 4))).explained_variance_ratio_.any()


def test_signs_and_rotations():
    X = data()
    model = PCA().fit(X)
    largest = np.abs(model.components_).argmax(axis=1)
    assert (model.components_[np.arange(5), largest] > 0).all()
    np.testing.assert_allclose(PCA().fit(-X).components_, model.components_, atol=1e-12)
    Q = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]
    turned = PCA().fit(X @ Q + 100)
    np.testing.assert_allclose(turned.explained_variance_, model.explained_variance_)
    np.testing.assert_allclose(np.abs(turned.transform(X @ Q + 100)), np.abs(model.transform(X)), atol=1e-9)


def test_float32_stays_float32_far_from_the_origin():
    X = (data(200).astype(np.float32) + 1000).astype(np.float32)
    model = PCA(2).fit(X)
    assert {a.dtype for a in (model.components_, model.transform(X), model.explained_variance_,
                              model.inverse_transform(model.transform(X)))} == {np.dtype(np.float32)}
    expected = np.linalg.eigvalsh(np.cov(X.astype(float).T))[::-1][:2]
    np.testing.assert_allclose(model.explained_variance_, expected, rtol=1e-5)
    assert PCA(2, whiten=True).fit_transform(X).dtype == np.float32


@pytest.mark.parametrize("k, X, error, text", [
    (0, data(), ArgError, "n_components is 0"),
    (6, data(), ArgError, r"n_components is 6, expected an integer in \[1, 5\]"),
    (5, data(4, 7), ArgError, r"expected an integer in \[1, 4\]"),
    (0.9, data(), ArgError, "n_components is 0.9"),
    (1, data(1), ShapeError, "at least 2 rows"),
    (1, np.full((3, 2), np.inf), ArgError, r"X\[0, 0\] is inf"),
])
def test_bad_input_is_refused_by_name(k, X, error, text):
    with pytest.raises(error, match=text):
        PCA(k).fit(X)
    with pytest.raises(ShapeError, match=r"Z has shape \(2, 3\), expected \(N, 1\)"):
        PCA(1).fit(data()).inverse_transform(np.ones((2, 3)))


@pytest.mark.oracle
@pytest.mark.parametrize("whiten", [False, True])
def test_projections_are_those_of_scikit_learn(whiten):
    decomposition = pytest.importorskip("sklearn.decomposition", reason="comparison with scikit-learn")
    X = data(100, 8)
    ours, theirs = PCA(3, whiten=whiten).fit(X), decomposition.PCA(3, whiten=whiten, svd_solver="full").fit(X)
    np.testing.assert_allclose(np.abs(ours.transform(X)), np.abs(theirs.transform(X)), atol=1e-10)
    np.testing.assert_allclose(ours.explained_variance_ratio_, theirs.explained_variance_ratio_)
    assert ours.noise_variance_ == pytest.approx(theirs.noise_variance_)
