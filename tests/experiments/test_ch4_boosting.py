"""Section 4.2: the experiments on boosting reach their targets for two seeds and draw; corrections name experiments."""

import matplotlib
import numpy as np
import pytest

from minicv.ensembles import Stump
from minicv.experiments.ch4 import _errata, boosting
from minicv.experiments.experiment import REGISTRY

pytestmark = pytest.mark.ch4
PRESETS = [("decision-stump", "fast"), ("adaboost", "smoke"), pytest.param("adaboost", "fast", marks=pytest.mark.slow)]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("id, preset", PRESETS)
def test_experiments_reach_their_targets_and_draw(id, preset, seed):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    report = REGISTRY[id](preset, rng=seed).check()
    learned = {"moons_accuracy"} if preset == "smoke" else set()
    assert {t.metric for t in report.missed} <= learned
    for draw in report.figures.values():
        figure = draw()
        assert all(ax.has_data() for ax in figure.axes)
        plt.close("all")


def test_a_wrong_stump_would_be_noticed(monkeypatch):
    monkeypatch.setattr(boosting, "best_stump", lambda x, y, w: Stump(0, 99.0, 1, 0.5))
    assert not boosting.compare_stumps(*boosting.random_set(np.random.default_rng(0)))


def test_corrections_are_about_experiments_of_the_chapter():
    for number in ("E4.4", "E4.5"):
        erratum = _errata.ERRATA[number]
        assert erratum.said and erratum.holds and erratum.shown_by in REGISTRY
        assert erratum.holds in _errata.departures(number)
