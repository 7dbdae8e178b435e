r"""Making a network larger: deeper, wider, with larger images, or all at once (Tan and Le, ICML 2019).

A network with d times the blocks, w times the channels and r times the side of the image costs about
:math:`d\,w^2 r^2` times the multiply-adds. Compound scaling grows all three from one number,

    d = alpha^phi,  w = beta^phi,  r = gamma^phi     with  alpha beta² gamma² = 2, all at least 1        (eq. 3)

so that each step of phi doubles the cost. The triple is found by a grid search at phi = 1 (§3.3). The published
triple multiplies to 1.92; the published B1 to B7 follow a table instead, see `efficientnet.VARIANTS`.
Departures: none.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from ..errors import ArgError
from ..nn.check import integer, number
from .squeeze import round_channels

TOLERANCE = 0.1             # how far alpha beta² gamma² may be from 2


class Scale(NamedTuple):
    """Multipliers of a base network; one alone differs from 1 for scaling in a single dimension."""

    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0

    @property
    def cost(self):
        """Multiply-adds relative to those of the base: d w² r²."""
        return self.depth * self.width ** 2 * self.resolution ** 2


def check_scale(where, scale):
    """`scale` as a Scale of positive finite numbers, else ArgError."""
    if not isinstance(scale, tuple) or len(scale) != 3:
        raise ArgError(f"{where}: scale is {scale!r}, expected a Scale (depth, width, resolution)")
    return Scale(*(number(where, name, value, low=0, open_low=True) for name, value in zip(Scale._fields, scale)))


def scale_network(depths, widths, scale, *, multiple=8):
    """(depths, widths) of the stages of a larger or smaller network.

    Parameters
    ----------
    depths, widths : sequences of int
        Blocks and channels of each stage of the base.
    scale : Scale
        Depths are rounded up, widths to the nearest multiple (`squeeze.round_channels`): no stage vanishes.
    multiple : int, default 8

    Raises
    ------
    ArgError
        For multipliers that are not positive, and stages without blocks or channels.

    >>> scale_network((2, 2, 2, 2), (64, 128, 256, 512), Scale(depth=1.2, width=1.1))
    ((3, 3, 3, 3), (72, 144, 280, 560))
    """
    where, scale = "scale_network", check_scale("scale_network", scale)
    if len(depths) != len(widths):
        raise ArgError(f"{where}: depths, widths are {depths}, {widths}, expected one of each for every stage")
    # the slack keeps 25 * 2.2 = 55.00000000000001 from becoming 56
    d = [math.ceil(integer(where, "depths", n) * scale.depth - 1e-9) for n in depths]
    w = [round_channels(integer(where, "widths", n) * scale.width, multiple) for n in widths]
    return tuple(d), tuple(w)


def scale_side(side, scale, *, multiple=1):
    """Side of the image for `scale`, to the nearest multiple and at least one of them."""
    side, multiple = integer("scale_side", "side", side), integer("scale_side", "multiple", multiple)
    return max(1, round(side * check_scale("scale_side", scale).resolution / multiple)) * multiple


def exponent(factors, costs):
    """Slope of log(cost) over log(factor): 1 for depth, 2 for width and resolution.

    Parameters
    ----------
    factors, costs : arrays (n,) of positive numbers, at least two different factors
    """
    factors, costs = np.asarray(factors, np.float64), np.asarray(costs, np.float64)
    positive = all(((0 < a) & (a < np.inf)).all() for a in (factors, costs))
    if factors.ndim != 1 or factors.shape != costs.shape or not positive:
        raise ArgError(f"exponent: factors, costs are {factors}, {costs}, expected as many positive numbers")
    if len(set(factors.tolist())) < 2:
        raise ArgError(f"exponent: factors is {factors}, expected at least two different ones")
    x = np.log(factors) - np.log(factors).mean()
    return float(x @ np.log(costs) / (x @ x))


# Compound scaling ---------------------------------------------------------------------------------------------


def compound(phi, *, alpha=1.2, beta=1.1, gamma=1.15, tolerance=TOLERANCE):
    """The Scale of equation 3.

    Parameters
    ----------
    phi : float
        The compound coefficient; 0 is the base, negative numbers make smaller networks.
    alpha, beta, gamma : float >= 1
        Bases of depth, width and resolution; default those of EfficientNet.
    tolerance : float >= 0
        How far alpha beta² gamma² may be from 2.

    Raises
    ------
    ArgError
        For a base below 1, and for triples that break the constraint.

    >>> [round(0.39 * compound(phi).cost, 2) for phi in range(4)]           # G multiply-adds
    [0.39, 0.75, 1.44, 2.76]
    """
    phi = number("compound", "phi", phi)
    triple = Scale(*(number("compound", name, value, low=1)
                     for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma))))
    if abs(triple.cost - 2) > number("compound", "tolerance", tolerance, low=0):
        raise ArgError(f"compound: alpha beta² gamma² is {triple.cost:.4g}, expected 2 within {tolerance}")
    return Scale(*(base ** phi for base in triple))


def candidates(*, step=0.05, high=2.0, target=2.0, tolerance=TOLERANCE, cost=None):
    """All triples on a grid of at least 1 whose cost is near `target`: a list of Scale.

    Parameters
    ----------
    step, high : float > 0, float >= 1
        The grid is 1, 1 + step, ... up to `high` in each direction.
    target, tolerance : float
        Wanted cost relative to the base, and how far from it.
    cost : function from a Scale to a float, optional
        Relative cost of the network that is really built; default d w² r².
    """
    step = number("candidates", "step", step, low=0, open_low=True)
    count = int((number("candidates", "high", high, low=1) - 1) / step + 1e-9) + 1
    target = number("candidates", "target", target, low=0, open_low=True)
    tolerance, cost = number("candidates", "tolerance", tolerance, low=0), cost or (lambda scale: scale.cost)
    grid = (Scale(*(round(1 + i * step, 12) for i in index)) for index in itertools.product(range(count), repeat=3))
    return [scale for scale in grid if abs(cost(scale) - target) <= tolerance]


def grid_search(score, **grid):
    """The (Scale, score) with the highest score among `candidates(**grid)`; the first of equals.

    Parameters
    ----------
    score : function from a Scale to a float
        Such as the validation accuracy of the scaled network after a short training.
    **grid
        As `candidates`.

    Raises
    ------
    ArgError
        If no triple meets the constraint, or a score is not a finite number.
    """
    scales = candidates(**grid)
    if not scales:
        raise ArgError(f"grid_search: grid is {grid}, expected one with a triple near the target; make step smaller")
    scores = [number("grid_search", f"score of {tuple(scale)}", score(scale)) for scale in scales]
    best = int(np.argmax(scores))
    return scales[best], scores[best]
