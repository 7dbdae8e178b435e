"""What tests of experiments share."""

from minicv.experiments import run


def repeats(report, id):
    """A seed is a run: the metrics of `report` once more."""
    assert report.metrics == run(id, "smoke", seed=0).report.metrics


def holds_what_is_exact(report):
    """Targets without learning are met at any size."""
    assert not [target for target in report.targets if target.tag != "T" and not target.passed(report.metrics)]


def reaches_its_targets(experiment, seed):
    """No target missed at preset `fast`."""
    report = experiment("fast", rng=seed)
    missed = [str(t) for t in experiment.targets if not t.passed(report.metrics)]
    assert not missed, report.metrics
