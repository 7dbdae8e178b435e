"""Chapter 1: every system has an experiment that runs, reaches its targets and draws; corrections are complete.

The exact experiments run at preset `fast` for two seeds; those that train run at `smoke` here and at
`fast` when slow tests are asked for.
"""

import matplotlib
import numpy as np
import pytest

from minicv.experiments import catalog, run
from minicv.experiments.ch1 import _errata, _paths, adamw, adaptive, momentum

from .checks import repeats

pytestmark = pytest.mark.ch1
EXACT = ["sgd", "newton-1d", "newton", "momentum", "nesterov", "nesterov-fused", "adagrad", "rmsprop", "adam",
         "adam-l2", "adamw", "landscapes", "tour-optimizers"]
TRAINED = ["minibatch-sgd", "adam-or-nesterov"]


def test_all_thirteen_systems_of_the_chapter_have_an_experiment():
    systems = [row["id"] for row in catalog.load().values() if row["chapter"] == 1 and row["system"]]
    assert sorted(systems) == sorted(set(EXACT + ["minibatch-sgd"]) - {"tour-optimizers"}) and len(systems) == 13


@pytest.mark.parametrize("id", EXACT)
def test_exact_experiments_reach_their_targets_and_draw(id):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    report = run(id, "fast", seed=0).report.check()
    assert report.figures
    for draw in report.figures.values():
        figure = draw()
        assert figure.axes and all(ax.has_data() or ax.images for ax in figure.axes)
        plt.close(figure)
    assert run(id, "smoke", seed=7).passed


@pytest.mark.parametrize("id", TRAINED)
def test_trained_experiments_repeat(id, smoke):
    repeats(smoke(id)[0], id)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("id", ["minibatch-sgd", "momentum", "adam", "adam-l2", "adamw"])
def test_experiments_with_randomness_reach_their_targets_on_the_frozen_seeds(id, seed):
    run(id, "fast", seed=seed).report.check()


@pytest.mark.slow
def test_both_methods_learn_the_shapes():
    metrics = run("adam-or-nesterov", "fast", seed=0).report.metrics
    assert min(metrics.values()) > 0.5                                             # ten classes


def test_tables_of_the_experiments_agree_with_the_targets(smoke):
    report, _ = smoke("tour-optimizers")
    (rows,) = report.tables.values()
    assert {row["method"]: row["steps"] for row in rows} == {"SGD": 227, "Nesterov": 75, "momentum": 46, "Adam": 305}


def test_twelve_corrections_each_shown_by_an_experiment():
    ids = catalog.load()
    assert list(_errata.ERRATA) == [f"E1.{k}" for k in range(1, 13)]
    for number, erratum in _errata.ERRATA.items():
        assert erratum.shown_by in ids and number in ids[erratum.shown_by]["departures"]
    with pytest.raises(KeyError):
        _errata.departures("E1.99")


# Parts that metrics are made of, against something else --------------------------------------------------


def test_steps_to_is_nan_where_the_goal_is_never_reached():
    assert np.isnan(_paths.steps_to(1e-6, _paths.CANYON, momentum.sgd_update, lr=0.041))


def test_slope_is_the_exponent_of_a_power_law():
    x = np.geomspace(1, 1000, 7)
    assert momentum.slope(x, 3 * x**0.7) == pytest.approx(0.7)


def test_batch_noise_follows_the_formula_of_sampling_without_replacement():
    points = adaptive.least_squares(np.random.default_rng(0), count=64)
    single = (points[0] * -points[1][:, None]).var(axis=0, ddof=1).sum()
    measured = adaptive.noise(points, 8, np.random.default_rng(1), draws=20_000)
    assert measured == pytest.approx(single / 8 * (1 - 8 / 64), rel=0.05)


def test_batch_gradient_is_the_gradient_of_the_loss():
    points, w, batch = adaptive.least_squares(np.random.default_rng(0)), np.array([0.3, -2.0]), np.arange(5)

    def loss(w):
        return ((points[0][batch] @ w - points[1][batch]) ** 2).mean() / 2

    slopes = [(loss(w + e) - loss(w - e)) / 2e-5 for e in 1e-5 * np.eye(2)]
    np.testing.assert_allclose(adaptive.batch_gradient(w, points, batch), slopes, rtol=1e-6)


def test_ratio_compares_log_shrinkages():
    assert adamw.ratio(np.array([[1.0, 1.0], [0.9, 0.9**3]])) == pytest.approx(3)
