"""Chapter 2, branches, gates, mobile and wide networks: systems are there, reach their targets, draw and repeat.

The parts that metrics are made of are compared with something else: the block-diagonal weight with its definition, the
rank-1 residual with a weight whose residual is known; a wrong count is seen.
"""

import numpy as np
import pytest

from minicv.experiments.ch2 import _errata, _paper, mobile, resnext, squeeze, wide

from .checks import reaches_its_targets, runs_at_smoke_and_draws

pytestmark = pytest.mark.ch2
QUICK = {e.id: e for e in (resnext.grouped_conv, resnext.resnext_block, squeeze.se_module, mobile.separable,
                           mobile.inverted)}
ALL = QUICK | {e.id: e for e in (resnext.resnext, squeeze.senet, mobile.mobilenet_v2, wide.wide_resnet)}


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
    ours = {number: e for number, e in _errata.ERRATA.items() if e.shown_by in ALL}
    assert {"E2.9", "E2.10", "E2.11", "E2.12", "E2.13", "E2.14", "E2.19"} <= ours.keys()
    assert all(number in ALL[e.shown_by].departures for number, e in ours.items())


def test_a_wrong_count_is_seen():
    counted = _paper.count(["wrn_16_1"], 32, "fast")
    assert _paper.gate(counted, {"wrn_16_1": (175_066, None)}) == {"parameter_counts_off": 0, "worst_mac_error": 0}
    wrong = _paper.gate(counted, {"wrn_16_1": (175_067, 0.02)})
    assert wrong["parameter_counts_off"] == 1 and wrong["worst_mac_error"] > 0.3


def test_a_block_diagonal_weight_by_its_definition():
    w = np.random.default_rng(0).standard_normal((6, 2, 1, 1))
    dense = resnext.block_diagonal(w, 3)
    for o, c in np.ndindex(6, 6):
        inside = o // 2 == c // 2
        assert dense[o, c, 0, 0] == (w[o, c % 2, 0, 0] if inside else 0)


def test_the_residual_of_two_orthogonal_filters_is_a_half():
    w = np.eye(2).reshape(2, 1, 1, 2)
    assert mobile.residual(w) == pytest.approx(0.5) and mobile.residual(w[:1]) == pytest.approx(0, abs=1e-15)


def test_stripes_tell_the_class_in_the_informative_channel_only():
    x, label, which = squeeze.stripes(2000, np.random.default_rng(0))
    at = np.arange(len(x))
    found = [
        (x[at, c].mean(axis=1).std(axis=1) < x[at, c].mean(axis=2).std(axis=1)).astype(int) for c in (which, 1 - which)]
    assert np.mean(found[0] == label) == 1 and abs(np.mean(found[1] == label) - 0.5) < 0.05
