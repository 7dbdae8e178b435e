"""Landscapes against finite differences and autograd, learning-rate formulas, the recorder and its refusals."""

import numpy as np
import pytest

from minicv.autograd.transforms import hessian, vjp
from minicv.errors import ArgError, ShapeError
from minicv.optim import (
    adam_update,
    below,
    best_lr,
    best_momentum,
    canyon,
    descend,
    flat,
    lr_bound,
    momentum_update,
    nesterov_update,
    quadratic,
    rosenbrock,
    rotation,
    saddle,
    sgd_update,
    sphere,
    two_basins,
)

pytestmark = pytest.mark.ch1
ALL = [sphere(3), canyon(), canyon(7.0, angle=30), saddle(), two_basins(), rosenbrock(),
       quadratic([[2.0, 1], [1, 3]])]
names = [landscape.name for landscape in ALL]


def points(landscape, count=20):
    return np.random.default_rng(0).uniform(-2, 2, (count, landscape.dim))


@pytest.mark.parametrize("landscape", ALL, ids=names)
def test_gradient_and_hessian_match_finite_differences(landscape):
    h = 1e-5
    for x in points(landscape):
        e = h * np.eye(landscape.dim)
        slope = [(landscape(x + d) - landscape(x - d)) / (2 * h) for d in e]
        np.testing.assert_allclose(landscape.gradient(x), slope, rtol=1e-6, atol=1e-6)
        bend = [(landscape.gradient(x + d) - landscape.gradient(x - d)) / (2 * h) for d in e]
        np.testing.assert_allclose(landscape.hessian(x), bend, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("landscape", ALL, ids=names)
def test_gradient_and_hessian_match_autograd(landscape):
    for x in points(landscape, 5):
        np.testing.assert_allclose(landscape.gradient(x), vjp(landscape.value, x)[1].numpy(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(landscape.hessian(x), hessian(landscape.value, x).numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("landscape", ALL, ids=names)
def test_batches_of_points_equal_single_points(landscape):
    batch = points(landscape, 6).reshape(2, 3, landscape.dim)
    assert landscape(batch).shape == (2, 3) and landscape.gradient(batch).shape == batch.shape
    np.testing.assert_array_equal(landscape(batch)[1, 2], landscape(batch[1, 2]))
    np.testing.assert_allclose(landscape.gradient(batch)[1, 2], landscape.gradient(batch[1, 2]), rtol=1e-14)


@pytest.mark.parametrize("landscape", ALL, ids=names)
def test_minima_are_flat_and_curved_upwards(landscape):
    for x in landscape.minima:
        np.testing.assert_allclose(landscape.gradient(x), 0, atol=1e-14)
        assert (np.linalg.eigvalsh(landscape.hessian(x)) > 0).all()
    assert len(landscape.minima) == {"saddle": 0, "two basins": 2}.get(landscape.name, 1)
    assert (np.diff(landscape(landscape.minima)) > 0).all()
    if len(landscape.minima):
        assert landscape.distance(landscape.minima[0]) == 0


def test_values_by_hand():
    assert sphere()((3.0, 4.0)) == 12.5 and canyon(50)((10, 1)) == 75 and saddle()((3.0, 2.0)) == 5
    assert rosenbrock()((-1.2, 1.0)) == pytest.approx(24.2) and two_basins()((4.0,)) == pytest.approx(0, abs=1e-12)


def test_a_turned_canyon_is_the_canyon_of_turned_points():
    x = points(canyon())
    np.testing.assert_allclose(canyon(50, 30)(x @ rotation(30).T), canyon(50)(x), rtol=1e-12)


def test_rates_of_the_quadratics():
    """The factor of the slowest direction after one step is (kappa - 1)/(kappa + 1), at both ends of the spectrum."""
    H = quadratic([[2.0, 1], [1, 3]]).hessian(None)
    m, L = np.linalg.eigvalsh(H)
    assert lr_bound(H) == pytest.approx(2 / L)
    assert 1 - best_lr(H) * m == pytest.approx((L - m) / (L + m)) == pytest.approx(best_lr(H) * L - 1)
    lr, momentum = best_momentum(H)
    for curvature in (m, L):                     # the iteration matrix has the spectral radius sqrt(momentum)
        M = np.array([[1 + momentum - lr * curvature, -momentum], [1, 0]])
        assert np.abs(np.linalg.eigvals(M)).max() == pytest.approx(momentum**0.5, rel=1e-6)


def test_steps_grow_like_kappa_and_with_momentum_like_its_root():
    """Exponents from a factor 64 in kappa; both carry a logarithm on top, from the start value and from t rho^t."""
    counts = []
    for kappa in (100.0, 6400.0):
        landscape = canyon(kappa)
        H = landscape.hessian(None)
        lr, momentum = best_momentum(H)
        runs = [descend(landscape, sgd_update, (10.0, 1.0), 100_000, until=below(1e-6), lr=best_lr(H)),
                descend(landscape, momentum_update, (10.0, 1.0), 100_000, until=below(1e-6), lr=lr, momentum=momentum)]
        counts.append([run.steps for run in runs])
    exponents = np.log(np.divide(*counts[::-1])) / np.log(64)
    assert 1 <= exponents[0] < 1.06 and 0.5 <= exponents[1] < 0.58


@pytest.mark.parametrize("kappa", [0.0, -1.0, np.inf, np.nan])
def test_canyon_refuses_kappa(kappa):
    with pytest.raises(ArgError, match="canyon: kappa is"):
        canyon(kappa)


def test_a_start_of_the_wrong_size_is_refused():
    for start in ((1.0,), (1.0, 2.0, 3.0), 1.0):
        with pytest.raises(ShapeError, match="sphere: points have shape"):
            descend(sphere(), sgd_update, start, 5, lr=0.1)
    with pytest.raises(ShapeError, match=r"expected \(2,\)"):
        descend(sphere(), sgd_update, np.ones((4, 2)), 5, lr=0.1)


@pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 5, "noise": -1.0}, {"steps": 5, "lr": 0.0}])
def test_recorder_refuses_bad_options(options):
    with pytest.raises(ArgError):
        descend(sphere(), sgd_update, (1.0, 1.0), **{"lr": 0.1, **options})


@pytest.mark.parametrize("call", [lambda: lr_bound(np.diag([1.0, -1])), lambda: best_lr(np.zeros((2, 2))),
                                  lambda: saddle().distance((1.0, 2.0)), lambda: quadratic([[1.0, 2]]),
                                  lambda: quadratic([[1.0, 2], [0, 1]])])
def test_what_has_no_minimum_or_symmetry_is_refused(call):
    with pytest.raises((ArgError, ShapeError), match="expected"):
        call()


def test_recorder_keeps_every_point_and_the_start():
    start = np.array([10.0, 5.0])
    run = descend(sphere(), sgd_update, start, 4, lr=0.5)
    np.testing.assert_array_equal(run.points, [start / 2**t for t in range(5)])
    np.testing.assert_array_equal(run.values, sphere()(run.points))
    assert run.steps == 4 and not run.converged and not run.diverged


def test_recorder_stops_at_once_where_the_rule_already_holds():
    run = descend(sphere(), sgd_update, (0.0, 0.0), 10, until=flat(1e-9), lr=0.1)
    assert run.steps == 0 and run.converged


def test_divergence_ends_the_run():
    run = descend(sphere(), sgd_update, (1.0, 1.0), 10_000, lr=3.0)
    assert run.diverged and run.steps < 50 and np.isfinite(run.values[:-1]).all()


def test_noise_is_reproducible_and_reaches_look_ahead_gradients():
    for update in (sgd_update, nesterov_update, adam_update):
        runs = [descend(sphere(), update, (1.0, 1.0), 20, lr=0.1, noise=0.5, rng=seed) for seed in (1, 1, 2)]
        np.testing.assert_array_equal(runs[0].points, runs[1].points)
        assert not np.array_equal(runs[0].points, runs[2].points)
