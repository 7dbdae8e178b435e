"""Chapter 4, boxes, matching, operations: experiments reach their targets, draw, repeat; corrections are complete.

The parts that metrics are made of are compared with something else: the brute force with the algorithm it judges,
the closed form of a bias, the counts with loops.
"""

import numpy as np
import pytest

from minicv.errors import ArgError
from minicv.experiments.ch4 import (
    _boxes,
    _errata,
    anchors,
    boxes,
    corrections,
    flops,
    matching,
    suppression,
)
from minicv.experiments.parts import exact, panels, refused
from minicv.geometry import Targets, box_iou

from .checks import reaches_its_targets, runs_at_smoke_and_draws

pytestmark = pytest.mark.ch4
QUICK = {e.id: e for e in (boxes.box_ops, boxes.iou, corrections.bbox_codec, corrections.smooth, matching.hungarian,
                           anchors.kmeans_anchors, flops.flops_counter)}
ALL = QUICK | {suppression.suppression.id: suppression.suppression}


def test_the_eight_systems_are_there():
    assert sorted(ALL) == ["bbox-codec", "box-ops", "flops-counter", "hungarian-matching", "iou", "kmeans-anchors",
                           "nms", "smooth-l1"]
    assert all(e.chapter.startswith("4.") and e.system and e.targets for e in ALL.values())


@pytest.mark.parametrize("id", QUICK)
def test_experiments_of_a_few_seconds_reach_their_targets(id):
    ALL[id]("fast", rng=0).check()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("id", ALL)
def test_experiments_reach_their_targets_on_the_frozen_seeds(id, seed):
    reaches_its_targets(ALL[id], seed)


@pytest.mark.parametrize("id", ALL)
def test_every_experiment_runs_at_smoke_draws_and_repeats(id, tmp_path):
    runs_at_smoke_and_draws(ALL[id], tmp_path)


def test_every_correction_is_shown_by_an_experiment_that_names_it():
    for number, erratum in _errata.ERRATA.items():
        if erratum.shown_by in ALL:
            assert number in ALL[erratum.shown_by].departures
    assert {e.shown_by for e in _errata.ERRATA.values()} >= {"nms", "smooth-l1", "flops-counter", "kmeans-anchors",
                                                             "hungarian-matching"}
    assert "E4.1" in boxes.iou.departures
    with pytest.raises(KeyError):
        _errata.departures("E4.99")


# Parts that metrics are made of, against something else --------------------------------------------------------


def test_all_totals_are_those_of_all_maps():
    totals = matching._all_totals(np.array([[1.0, 2], [3, 5], [7, 4]]))
    assert sorted(totals) == sorted([1 + 4, 1 + 5, 2 + 3, 2 + 7, 3 + 4, 5 + 7])


def test_a_planted_wrong_assignment_is_seen(monkeypatch):
    monkeypatch.setattr(matching, "linear_assignment", lambda cost: (np.arange(2), np.array([1, 0])))
    above, broken, _ = matching._against_all(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert above == 2 and not broken
    monkeypatch.setattr(matching, "linear_assignment", lambda cost: (np.arange(2), np.array([0, 0])))
    assert matching._against_all(np.eye(2))[1]


def test_the_definition_of_suppression_by_hand():
    b = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    assert suppression._definition(b, np.array([0.8, 0.9, 0.7]), np.zeros(3), 0.5) == [1, 2]
    assert suppression._definition(b, np.array([0.8, 0.9, 0.7]), np.array([0, 1, 0]), 0.5) == [1, 0, 2]


def test_detections_around_objects_are_good_ones():
    targets = Targets(np.array([[10, 10, 40, 50]]), [0])
    found = suppression._around(np.random.default_rng(0), targets, each=50)
    assert len(found) == 50 and (box_iou(found.boxes, targets.boxes) > 0.6).all()


def test_the_slope_of_the_loss_is_its_difference_quotient():
    d, step = np.linspace(-3, 3, 50), 1e-6
    quotient = (corrections._value(d + step, 0.7) - corrections._value(d - step, 0.7)) / (2 * step)
    np.testing.assert_allclose(corrections._slope(d, 0.7), quotient, atol=1e-6)


def test_mean_iou_takes_the_best_anchor_of_each_box():
    sizes = np.array([[2.0, 2.0], [4.0, 4.0]])
    assert anchors._mean_iou(sizes, np.array([[2.0, 2.0]])) == pytest.approx((1 + 0.25) / 2)
    assert anchors._mean_iou(sizes, sizes) == 1


def test_scenes_come_with_their_targets():
    image, targets, names = _boxes.scene()
    assert image.shape == (3, 96, 96) and len(targets) in (3, 4) and len(names) == 3


def test_shared_parts():
    assert [str(t) for t in exact({"a": 1, "b": (2.0, 0.1)})] == ["a = 1", "b = 2 ± 0.1"]
    assert len(panels(3)[1]) == 3

    def fails():
        raise ArgError("no")
    assert refused(ArgError, fails, lambda: 1, fails) == 2
    with pytest.raises(ArgError):
        refused(KeyError, fails)
