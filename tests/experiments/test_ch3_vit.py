"""Chapter 3, pictures: experiments are exact where they should be, draw, and correct what they should.

Proved: everything at `smoke`, with exact targets met at that size too; targets at `fast` on three seeds when slow tests
are asked for; errata are told.
"""

import numpy as np
import pytest

import minicv.experiments.ch3.patches  # noqa: F401 - registers its experiments
import minicv.experiments.ch3.pictures  # noqa: F401
import minicv.experiments.ch3.scaling  # noqa: F401
from minicv.experiments.ch3 import _errata, _tiny
from minicv.experiments.experiment import REGISTRY
from minicv.vit import patchify

from .checks import holds_what_is_exact, reaches_its_targets, repeats

pytestmark = pytest.mark.ch3
IDS = ["pixel-transformer", "patch-embedding", "vit", "vit-analysis", "vit-data-scaling"]


@pytest.mark.parametrize("id", IDS)
def test_what_is_exact_holds_at_smoke_and_a_seed_is_a_run(id, smoke):
    report, _ = smoke(id)
    holds_what_is_exact(report)
    repeats(report, id)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("id", IDS)
def test_targets_are_reached_on_the_frozen_seeds(id, seed):
    reaches_its_targets(REGISTRY[id], seed)


@pytest.mark.parametrize("number, id", [
    ("E3.3", "vit"), ("E3.7", "vit"), ("E3.9", "vit"), ("E3.10", "pixel-transformer"), ("E3.11", "vit-analysis"),
    ("E3.13", "vit")])
def test_corrections_are_told_where_they_matter(number, id):
    assert _errata.ERRATA[number].holds in REGISTRY[id].departures


def test_pictures_are_standardized():
    rng = np.random.default_rng(0)
    train, _ = _tiny.pictures("smoke", rng)
    np.testing.assert_allclose(train["image"].mean(axis=(2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(train["image"].std(axis=(1, 2, 3)), 1, rtol=1e-4)


def test_shuffled_pictures_have_the_same_patches_in_one_other_order():
    rng = np.random.default_rng(0)
    x = rng.random((3, 2, 8, 8))
    a, b = patchify(x, 4), patchify(_tiny.shuffled(x, 4, np.random.default_rng(3)), 4)
    order = [next(k for k in range(4) if np.array_equal(b[0, i], a[0, k])) for i in range(4)]
    assert sorted(order) == [0, 1, 2, 3] and np.array_equal(b, a[:, order])
