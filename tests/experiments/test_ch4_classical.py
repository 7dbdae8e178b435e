"""Chapter 4, classical detection: experiments reach their targets, draw, and correct what they should.

Exact experiments run at preset `fast`; those that train run at `smoke` here and at `fast` when slow tests are asked
for.
"""

import pytest

import minicv.experiments.ch4.proposals  # noqa: F401 - registers its experiments
import minicv.experiments.ch4.viola_jones  # noqa: F401
from minicv.experiments.ch4 import _errata
from minicv.experiments.experiment import REGISTRY

from .checks import holds_what_is_exact, reaches_its_targets, repeats

pytestmark = pytest.mark.ch4
TRAINED = ["haar-features", "attentional-cascade", "viola-jones"]
UNTRAINED = ["integral-image", "superpixels", "selective-search"]


@pytest.mark.parametrize("id", TRAINED + UNTRAINED)
def test_what_is_exact_holds_at_smoke_and_a_seed_is_a_run(id, smoke):
    report, _ = smoke(id)
    holds_what_is_exact(report)
    repeats(report, id)


def test_the_hierarchy_can_be_played(smoke):
    report, _ = smoke("selective-search")
    (make,) = report.players.values()
    assert make().labels[-1].endswith("1 regions")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("id", TRAINED + UNTRAINED)
def test_targets_are_reached_on_the_frozen_seeds(id, seed):
    reaches_its_targets(REGISTRY[id], seed)


@pytest.mark.parametrize("number, id", [
    ("E4.5", "attentional-cascade"), ("E4.6", "attentional-cascade"), ("E4.7", "viola-jones")])
def test_corrections_are_told_where_they_matter(number, id):
    assert _errata.ERRATA[number].holds in REGISTRY[id].departures
