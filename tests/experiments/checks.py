"""What tests of experiments share."""

import matplotlib
import numpy as np

from minicv.experiments import run


def runs_at_smoke_and_draws(experiment, out):
    """Finite metrics, figures with content, tables of equal rows, exact targets met here too, twice the same."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    report = experiment("smoke", rng=0, out=out)
    assert all(np.isfinite(value) for value in report.metrics.values()) and report.figures
    for caption, draw in report.figures.items():
        figure = draw()
        assert caption and figure.axes and all(ax.has_data() or ax.texts for ax in figure.axes)
        plt.close("all")
    for rows in report.tables.values():
        assert rows and all(list(row) == list(rows[0]) for row in rows)
    for target in experiment.targets:                       # what is exact holds at any size
        assert target.tag == "T" or target.passed(report.metrics), target
    assert report.metrics == experiment("smoke", rng=0).metrics


def reaches_its_targets(experiment, seed):
    """No target missed at preset `fast`."""
    report = experiment("fast", rng=seed)
    missed = [str(t) for t in experiment.targets if not t.passed(report.metrics)]
    assert not missed, report.metrics


def repeats(report, id):
    """A seed is a run: the metrics of `report`, of preset `smoke` and seed 0, once more."""
    assert report.metrics == run(id, "smoke", seed=0).report.metrics


def holds_what_is_exact(report):
    """Targets without learning are met at any size."""
    assert not [target for target in report.targets if target.tag != "T" and not target.passed(report.metrics)]
