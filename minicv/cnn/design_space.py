"""Design spaces (Radosavovic et al., ICCV 2019 and CVPR 2020): compare families of networks, not single networks.

Draw many networks from a space, train each briefly (`survey`), and look at the distribution of their errors,

    F(e) = 1/n |{i : e_i < e}|                                                                     (eq. 1)

A space is better if its F lies higher: more of its networks are good. Departures: none.
"""

import math
from typing import NamedTuple

import numpy as np

from ..errors import ArgError
from ..nn.check import choice, integer, number
from . import regnet
from .anynet import SPACES, Stage, belongs, fit_groups

DRAWS = 10_000              # until `sample` gives up


class Limits(NamedTuple):
    """What stages may be like (§3.2); smaller for small images."""

    stages: int = 4
    depth: int = 16                             # d <= 16
    width: int = 1024                           # w <= 1024, a multiple of 8
    ratios: tuple = (1, 2, 4)                   # b
    groups: tuple = (1, 2, 4, 8, 16, 32)        # g


def macs(stages, *, side=224, se=0.0, num_classes=1000, stem=32, stem_stride=2):
    """Multiply-adds of an `AnyNet` by formula, without building it; settings as there.

    `nn.cost` counts the same on the network itself, a thousand times slower.
    """
    for name, value in (("side", side), ("num_classes", num_classes), ("stem", stem), ("stem_stride", stem_stride)):
        integer("macs", name, value)
    n, C = math.ceil(side / stem_stride), stem
    total = 27 * C * n * n
    for stage in stages:
        w, inner = stage.width, stage.inner
        for k in range(stage.depth):
            m = n if k else math.ceil(n / 2)
            units = max(1, round(se * C)) if se else 0
            total += C * inner * n * n + (9 * stage.group_width + w) * inner * m * m + 2 * inner * units
            total += 0 if k else C * w * m * m                                  # the projection
            n, C = m, w
    return total + C * num_classes


# Sampling -----------------------------------------------------------------------------------------------------


def sample(space, limits=Limits(), *, between=None, rng=None, **network):  # noqa: B008 (a tuple does not change)
    """Draw a network: a list of Stage that fits its groups.

    Depths and widths are log-uniform, ratios and group widths uniform over their lists; in D and E widths (and depths)
    are then sorted. What breaks a condition of the space after rounding to whole groups is drawn again.

    Parameters
    ----------
    space : "A", "B", "C", "D", "E" or "regnet"
        Spaces of `anynet.SPACES`, or the rule of `regnet` with d < 4 depth, w0 and wa <= width / 4, 1.5 <= wm <= 3.
    limits : Limits
    between : (low, high), optional
        Multiply-adds, such as (360e6, 400e6).
    rng : numpy Generator, int or None
    **network
        Settings of `macs`.

    Raises
    ------
    ArgError
        If none of ten thousand draws is within `between`.
    """
    rng, limits = np.random.default_rng(rng), _check_limits(limits)
    draw = _draw_rule if choice("sample", "space", space, (*SPACES, "regnet")) == "regnet" else _draw_stages
    low, high = (0, math.inf) if between is None else between
    for _ in range(DRAWS):
        stages = draw(space, limits, rng)
        if stages is not None and low <= macs(stages, **network) <= high:
            return stages
    raise ArgError(f"sample: between is {between}, expected a range that networks of space {space!r} with {limits} "
                   f"meet; none of {DRAWS} did")


def population(space, n, limits=Limits(), *, rng=None, **options):  # noqa: B008
    """A list of n networks, each from a random stream of its own: a longer list begins with a shorter one.

    Parameters as `sample`.
    """
    streams = np.random.default_rng(rng).spawn(integer("population", "n", n))
    return [sample(space, limits, rng=stream, **options) for stream in streams]


def _check_limits(limits):
    limits = Limits(*limits)
    for name in ("stages", "depth"):
        integer("sample", name, getattr(limits, name))
    integer("sample", "width", limits.width, low=8)
    if not limits.ratios or not limits.groups:
        raise ArgError(f"sample: limits is {limits}, expected at least one ratio and one group width")
    return limits


def _log_uniform(rng, high, size=None):
    """Integers in [1, high], small ones as often in proportion as large ones."""
    return np.exp(rng.uniform(0, math.log(high + 1), size)).astype(np.int64)


def _draw_stages(space, limits, rng):
    """Stages of an AnyNet, or None if they break a condition."""
    n, later = limits.stages, lambda name: space >= name
    d, w = _log_uniform(rng, limits.depth, n), 8 * _log_uniform(rng, limits.width // 8, n)
    b = rng.choice(limits.ratios, None if later("B") else n)
    g = rng.choice(limits.groups, None if later("C") else n)
    d, w = np.sort(d) if later("E") else d, np.sort(w) if later("D") else w
    stages = [fit_groups(Stage(*values)) for values in zip(*(np.broadcast_to(v, n).tolist() for v in (d, w, g, b)))]
    fits = all(s.width % 8 == 0 and s.width <= limits.width for s in stages)
    return stages if fits and belongs(stages, space) else None


def _draw_rule(space, limits, rng):
    """Stages of a RegNet, or None if the rule makes another number of stages."""
    d, w0 = int(_log_uniform(rng, 4 * limits.depth - 1)), 8 * int(_log_uniform(rng, max(1, limits.width // 32)))
    wa, wm = float(np.exp(rng.uniform(0, math.log(limits.width / 4)))), float(rng.uniform(1.5, 3))
    g, b = (rng.choice(values).item() for values in (limits.groups, limits.ratios))
    stages = regnet.stages(regnet.Spec(d, w0, wa, wm, g, b=b))
    return stages if len(stages) == limits.stages else None


# Distributions of errors ----------------------------------------------------------------------------------------


def check_errors(where, errors):
    """`errors` as float64 (n,) with n >= 1 in [0, 1], else ArgError."""
    errors = np.asarray(errors, np.float64)
    if errors.ndim != 1 or not errors.size or not ((errors >= 0) & (errors <= 1)).all():
        raise ArgError(f"{where}: errors is {errors}, expected at least one number in [0, 1] in a row")
    return errors


def edf(errors, at):
    """Share of the networks with an error below `at` (eq. 1): float64 of the shape of `at`.

    Parameters
    ----------
    errors : array (n,) in [0, 1]
    at : array or float
        NB: strictly below; F(min) = 0 and F(infinity) = 1.

    >>> edf([0.1, 0.2, 0.2, 0.4], [0.2, 0.25, 1]).tolist()
    [0.25, 0.75, 1.0]
    """
    errors = np.sort(check_errors("edf", errors))
    return np.searchsorted(errors, np.asarray(at, np.float64), side="left") / errors.size


def bootstrap_best(values, errors, *, share=0.25, times=10_000, level=0.95, rng=None):
    """(low, median, high) of the value that the best network has (§3.1 of CVPR 2020, "empirical bootstrap").

    Again and again a share of the networks is drawn with replacement, and the value of the best of them noted.

    Parameters
    ----------
    values : array (n,)
        A property such as depth or group width.
    errors : array (n,) in [0, 1]
    share : float in (0, 1], default 0.25
    times : int, default 10 000
    level : float in [0, 1], default 0.95
        Share of the noted values between low and high.
    rng : numpy Generator, int or None
    """
    rng, errors, values = np.random.default_rng(rng), check_errors("bootstrap_best", errors), np.asarray(values)
    if values.shape != errors.shape:
        raise ArgError(f"bootstrap_best: values has shape {values.shape}, expected {errors.shape}, one for each error")
    m = max(1, round(number("bootstrap_best", "share", share, low=0, high=1, open_low=True) * errors.size))
    drawn = rng.integers(errors.size, size=(integer("bootstrap_best", "times", times), m))
    best = values[drawn[np.arange(times), errors[drawn].argmin(axis=1)]]
    return _interval(best, level)


def advantage(a, b, *, times=10_000, level=0.95, rng=None):
    """(low, value, high) of how much better space a is than b: the area between F_a and F_b, mean(b) - mean(a).

    Parameters
    ----------
    a, b : arrays (n,), (m,) in [0, 1]
        Errors of networks of both spaces.
    times, level, rng
        Of the bootstrap, as in `bootstrap_best`; an interval without 0 tells the spaces apart.
    """
    rng, a, b = np.random.default_rng(rng), check_errors("advantage", a), check_errors("advantage", b)
    times = integer("advantage", "times", times)
    mean = lambda x: x[rng.integers(x.size, size=(times, x.size))].mean(axis=1)
    low, _, high = _interval(mean(b) - mean(a), level)
    return low, float(b.mean() - a.mean()), high


def _interval(values, level):
    tail = (1 - number("bootstrap", "level", level, low=0, high=1)) / 2
    return tuple(float(q) for q in np.quantile(values, (tail, 0.5, 1 - tail)))
