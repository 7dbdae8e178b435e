"""Scaling of networks: what depth, width and resolution cost, the compound rule, the grid search.

Costs are counted on real networks (`nn.cost`), not taken from the formula that is tested.
"""

import functools
import math

import numpy as np
import pytest

from minicv import cnn
from minicv.cnn.efficientnet import B0, VARIANTS, EfficientNet
from minicv.cnn.resnet import BasicBlock, ResNet, Spec
from minicv.cnn.scaling import Scale, candidates, compound, exponent, grid_search, scale_network, scale_side
from minicv.errors import ArgError

from .paper import size

pytestmark = pytest.mark.ch2
DEPTHS, WIDTHS = (4, 4, 4, 4), (64, 128, 256, 512)


def macs(scale):
    """Multiply-adds of a scaled ResNet of basic blocks on images of 256 pixels at scale 1."""
    depths, widths = scale_network(DEPTHS, WIDTHS, scale)
    side = scale_side(256, scale, multiple=32)
    return size(lambda: ResNet(Spec(BasicBlock, depths), widths=widths).eval(), (1, 3, side, side))[1]


@pytest.mark.parametrize("name, expected", [("depth", 1), ("width", 2), ("resolution", 2)])
def test_cost_is_linear_in_depth_and_quadratic_in_width_and_resolution(name, expected):
    factors = (0.5, 1, 1.5, 2)
    assert exponent(factors, [macs(Scale(**{name: f})) for f in factors]) == pytest.approx(expected, abs=0.15)


def test_the_formula_is_near_what_networks_cost():
    """d w² r² against the count of a network that grows in all three directions."""
    scale = Scale(1.5, 1.25, 1.25)
    assert macs(scale) / macs(Scale()) == pytest.approx(scale.cost, rel=0.05)


def test_exponents_are_slopes():
    x = np.array([0.5, 1, 3])
    assert exponent(x, 7 * x ** 1.5) == pytest.approx(1.5, rel=1e-12)


# Compound scaling -------------------------------------------------------------------------------------------------


def test_published_triple_nearly_doubles():
    """B2.4: 1.9203 for each step, from 0.39 G."""
    assert compound(1).cost == pytest.approx(1.9203, abs=5e-5)
    found = [0.39 * compound(phi).cost for phi in range(8)]
    np.testing.assert_allclose(found, [0.39, 0.749, 1.438, 2.762, 5.303, 10.18, 19.56, 37.55], rtol=5e-4)
    assert compound(0) == Scale(1, 1, 1) and compound(-1).cost == pytest.approx(1 / compound(1).cost)


def test_bases_are_those_of_depth_width_and_resolution():
    """alpha^phi, beta^phi, gamma^phi in this order (E2.15)."""
    assert compound(2) == pytest.approx((1.44, 1.21, 1.3225))


def test_named_networks_follow_the_rule_only_roughly():
    """E2.15: the tables of B1 to B7 are not alpha^phi; in cost they are within a third of it."""
    costs = [size(lambda n=name: cnn.build(n).eval(), (1, 3, spec.resolution, spec.resolution))[1]
             for name, spec in VARIANTS.items()]
    ratios = [cost / costs[0] / compound(phi).cost for phi, cost in enumerate(costs)]
    assert all(2 / 3 < ratio < 4 / 3 for ratio in ratios) and max(abs(ratio - 1) for ratio in ratios) > 0.1


@pytest.mark.parametrize("options, words", [
    (dict(alpha=0.9), "alpha is 0.9"), (dict(gamma=0.99), "gamma is 0.99"), (dict(beta=float("inf")), "beta is inf"),
    (dict(beta=1.2), "alpha beta² gamma² is 2.285, expected 2 within 0.1"), (dict(tolerance=-1), "tolerance is -1"),
    (dict(alpha=1.0), "alpha beta² gamma² is 1.6")])
def test_triples_outside_the_constraint_are_refused(options, words):
    with pytest.raises(ArgError, match=f"compound: {words}"):
        compound(1, **options)
    with pytest.raises(ArgError, match="compound: phi is nan"):
        compound(float("nan"))


# Grid search --------------------------------------------------------------------------------------------------------


def test_candidates_are_all_triples_near_two():
    found = set(candidates(step=0.05))
    grid = [1 + i / 20 for i in range(21)]
    assert {tuple(round(x, 6) for x in s) for s in found} == {
        (round(a, 6), round(b, 6), round(c, 6)) for a in grid for b in grid for c in grid
        if abs(a * b ** 2 * c ** 2 - 2) <= 0.1}
    assert (1.2, 1.1, 1.15) in found


def test_the_search_finds_the_best_triple_of_a_known_score():
    """A score with its peak at the published triple; and a peak off the grid leads to its neighbour."""
    peak = lambda a, b, c: lambda s: -((s.depth - a) ** 2 + (s.width - b) ** 2 + (s.resolution - c) ** 2)
    assert grid_search(peak(1.2, 1.1, 1.15))[0] == (1.2, 1.1, 1.15)
    assert grid_search(peak(1.21, 1.09, 1.16))[0] == (1.2, 1.1, 1.15)
    scale, score = grid_search(peak(9, 1, 1), tolerance=0.02)                     # everything into depth
    assert scale == (2, 1, 1) and score == -49


def test_the_search_among_real_networks_respects_their_real_cost():
    """The constraint on counted multiply-adds of a small EfficientNet, whose channels and blocks are rounded."""
    @functools.cache
    def count(scale):
        side = scale_side(64, scale, multiple=8)
        return size(lambda: EfficientNet(0.5 * scale.width, 2 * scale.depth, rows=B0[:4]).eval(), (1, 3, side, side))[1]

    base, seen = count(Scale()), []
    scale, _ = grid_search(lambda s: seen.append(s) or s.width, step=0.25, high=1.5, tolerance=0.15,
                           cost=lambda s: count(s) / base)
    assert len(seen) > 1 and all(abs(count(s) / base - 2) <= 0.15 for s in seen)
    assert scale.width == max(s.width for s in seen)


def test_equal_scores_give_the_first_and_bad_ones_are_refused():
    assert grid_search(lambda s: 0.0)[0] == candidates()[0]
    with pytest.raises(ArgError, match="grid_search: score of .* is nan"):
        grid_search(lambda s: math.nan)
    with pytest.raises(ArgError, match="expected one with a triple near the target"):
        grid_search(lambda s: 0.0, step=0.9, tolerance=0.01)


# Sizes ----------------------------------------------------------------------------------------------------------------


def test_no_stage_vanishes():
    assert scale_network((1, 2), (8, 16), Scale(0.01, 0.01)) == ((1, 1), (8, 8))
    assert scale_side(32, Scale(resolution=0.001)) == 1 and scale_side(100, Scale(), multiple=32) == 96


def test_depths_round_up_but_not_because_of_rounding_errors():
    assert 25 * 2.2 > 55
    assert scale_network((25, 3), (8, 8), Scale(depth=2.2))[0] == (55, 7)


def test_the_depths_and_widths_of_efficientnet_come_out():
    spec = VARIANTS["efficientnet_b4"]
    found = scale_network([r.blocks for r in B0], [r.channels for r in B0], Scale(spec.depth, spec.width))
    assert found == ((2, 4, 4, 6, 6, 8, 2), (24, 32, 56, 112, 160, 272, 448))


@pytest.mark.parametrize("make, words", [
    (lambda: scale_network((1,), (8,), Scale(depth=0)), "scale_network: depth is 0"),
    (lambda: scale_network((1,), (8,), Scale(width=-1)), "scale_network: width is -1"),
    (lambda: scale_network((1,), (8,), Scale(width=math.nan)), "scale_network: width is nan"),
    (lambda: scale_network((0,), (8,), Scale()), "scale_network: depths is 0"),
    (lambda: scale_network((1,), (0,), Scale()), "scale_network: widths is 0"),
    (lambda: scale_network((1,), (8,), 2.0), "scale_network: scale is 2.0, expected a Scale"),
    (lambda: scale_network((1,), (8,), (1, 2)), r"scale_network: scale is \(1, 2\)"),
    (lambda: scale_side(0, Scale()), "scale_side: side is 0"),
    (lambda: scale_side(32, Scale(resolution=0)), "scale_side: resolution is 0"),
    (lambda: candidates(step=0), "candidates: step is 0"),
    (lambda: candidates(high=0.5), "candidates: high is 0.5"),
    (lambda: candidates(target=0), "candidates: target is 0"),
    (lambda: exponent([1, 1], [2, 3]), "exponent: factors is .*, expected at least two different"),
    (lambda: exponent([1, 2], [0, 3]), "exponent: factors, costs are"),
    (lambda: exponent([1, 2], [1, math.inf]), "exponent: factors, costs are"),
    (lambda: scale_network((1, 2), (8,), Scale()), "scale_network: depths, widths are"),
    (lambda: scale_network((1,), (8,), Scale(), multiple=1.5), "multiple is 1.5"),
    (lambda: exponent([1, 2], [1, 2, 3]), "exponent: factors, costs are"),
])
def test_impossible_scales_are_refused(make, words):
    with pytest.raises(ArgError, match=words):
        make()
