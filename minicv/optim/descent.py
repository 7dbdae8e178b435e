"""Following an update rule over a landscape: `descend` records where it goes and why it stops."""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, ShapeError


class Trajectory(NamedTuple):
    """What `descend` saw: points (T + 1, dim), values (T + 1,), and why it stopped."""

    points: np.ndarray
    values: np.ndarray
    converged: bool
    diverged: bool

    @property
    def steps(self):
        """Number of steps taken."""
        return len(self.values) - 1


def below(value):
    """Stopping rule: the function value is below `value`."""
    return lambda x, f, g: f < value


def flat(size):
    """Stopping rule: the gradient is shorter than `size`."""
    return lambda x, f, g: np.linalg.norm(g) < size


def descend(landscape, update, start, steps, *, until=None, noise=0.0, rng=None, limit=1e12, **options):
    """Follow an update rule over a landscape.

    Parameters
    ----------
    landscape : Landscape
    update : callable
        One of the `*_update` functions: ``(theta, g, state, **options) -> theta, state``.
    start : array (dim,)
    steps : int >= 1
        At most so many.
    until : callable or None
        Stopping rule ``(point, value, gradient) -> bool``, `below` or `flat`; checked before each step too.
    noise : float >= 0
        Standard deviation of Gaussian noise on every gradient, a stand-in for mini-batches.
    rng : Generator, int or None
    limit : float
        The run counts as diverged, and ends, when a value is above `limit` in size or NaN.
    **options
        For the update: lr and so on.

    Returns
    -------
    Trajectory

    Raises
    ------
    ShapeError
        If the start does not have `dim` coordinates.
    ArgError
        If `steps` or `noise` is out of range.
    """
    rng = np.random.default_rng(rng)
    start = landscape.check(start)
    if start.ndim != 1:
        raise ShapeError(f"descend: start has shape {start.shape}, expected ({landscape.dim},)")
    if steps < 1 or not 0 <= noise < np.inf:
        raise ArgError(f"descend: steps, noise is {steps!r}, {noise!r}, expected steps >= 1 and noise >= 0")

    def gradient(x):
        g = landscape.gradient(x)
        return g + noise * rng.standard_normal(x.shape).astype(x.dtype, copy=False) if noise else g

    given = (lambda x: gradient) if getattr(update, "looks_ahead", False) else gradient
    x, state, points, values = start, {}, [start], [float(landscape.value(start))]
    converged = until is not None and bool(until(x, values[-1], landscape.gradient(x)))
    while not converged and len(points) <= steps and abs(values[-1]) <= limit:
        x, state = update(x, given(x), state, **options)
        points.append(x)
        values.append(float(landscape.value(x)))
        converged = until is not None and bool(until(x, values[-1], landscape.gradient(x)))
    return Trajectory(np.array(points), np.array(values), converged, not abs(values[-1]) <= limit)
