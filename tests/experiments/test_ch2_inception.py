"""Sections 2.1 and 2.2: exact experiments reach their targets; what they compare would notice an error; corrections."""

import numpy as np
import pytest

from minicv.autograd import Tensor
from minicv.cnn.resnet import BasicBlock
from minicv.experiments.ch2 import _errata, backbones, heads, inception, inception_resnet, residual, resnets
from minicv.experiments.experiment import REGISTRY

pytestmark = pytest.mark.ch2
MODULES = (backbones, heads, inception, inception_resnet, residual, resnets)


@pytest.mark.parametrize("id", ["inception-module", "bottleneck-block", "alexnet"])
def test_exact_experiments_reach_their_targets(id):
    REGISTRY[id]("fast", rng=0).check()


def test_a_silent_branch_is_heard_again_afterwards():
    """The drop of a branch is the difference of two accuracies, and the hook is gone afterwards."""
    net = inception.small(np.random.default_rng(0))
    x = np.random.default_rng(1).random((20, 3, 32, 32), np.float32)
    before = inception.scores(net, x)
    test = {"image": x, "label": before.argmax(axis=1)}                     # whole network: always right
    drops = inception.branch_drops(net, net.inception4a, test)
    assert list(drops) == ["branch1", "branch2", "branch3", "branch4"]
    assert all((0 <= drop).all() and (drop <= 1).all() for drop in drops.values())
    np.testing.assert_array_equal(inception.scores(net, x), before)


def test_a_pool_behind_the_projection_is_noticed():
    off, other = inception._against_definition(np.random.default_rng(0))
    assert off < 1e-5 < other


def test_increments_are_what_the_block_adds():
    block, x = BasicBlock(4, 4, rng=0), Tensor(np.random.default_rng(0).random((2, 4, 5, 5), np.float32))
    after, before = residual.increments(block, x)
    np.testing.assert_allclose(block(x).data, np.maximum(x.data + before, 0), atol=1e-6)
    np.testing.assert_array_equal(after, np.maximum(before, 0))


def test_corrections_are_about_experiments_of_the_chapter():
    for number in (f"E2.{n}" for n in range(1, 9)):
        erratum = _errata.ERRATA[number]
        assert erratum.said and erratum.shown_by in REGISTRY and erratum.holds in _errata.departures(number)
