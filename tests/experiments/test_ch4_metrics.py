"""Section 4.1: the experiment on metrics reaches its targets on three seeds and repeats; corrections are complete."""

import numpy as np
import pytest

from minicv.data import Scenes
from minicv.experiments.ch4 import _errata
from minicv.experiments.ch4.metrics import JITTERS, det_metrics, simulate, worked_example
from minicv.metrics import step_table

from .checks import repeats

pytestmark = pytest.mark.ch4


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_targets_are_reached(seed):
    report = det_metrics("fast", rng=seed).check()
    rows = report.tables["less exact boxes"]
    assert [r["jitter in pixels"] for r in rows] == list(JITTERS)
    assert all(a["AP"] > b["AP"] for a, b in zip(rows, rows[1:], strict=False))


def test_a_seed_is_a_run(smoke):
    repeats(smoke("det-metrics")[0], "det-metrics")


def test_the_worked_example_is_the_sequence_of_B4_3():
    rows = step_table(*worked_example(), num_classes=1)
    assert "".join(r["verdict"][0] for r in rows) == "TTFTFTFF"
    assert rows[4]["iou"] > 0.5 and rows[4]["object"] is None                    # a duplicate


def test_the_simulated_detector_does_what_its_settings_say():
    scene = Scenes(1, objects=(4, 4), overlap=0.0)[0]
    exact = simulate(scene, np.random.default_rng(0), missed=0, extra=0)
    assert sorted(map(tuple, exact.boxes)) == sorted(map(tuple, scene["boxes"]))
    rng = np.random.default_rng(1)
    counts = [len(simulate(scene, rng, missed=0.25, extra=2)) for _ in range(500)]
    assert np.mean(counts) == pytest.approx(4 * 0.75 + 2, abs=0.25)


def test_the_corrections_of_this_section_are_shown_here():
    for number in ("E4.1", "E4.2", "E4.3"):
        assert _errata.ERRATA[number].shown_by == "det-metrics" and number in det_metrics.departures
    with pytest.raises(KeyError):
        _errata.departures("E4.99")
