"""D1: point clouds in the plane, the smallest data on which a classifier can be watched.

Every function returns ``x (N, 2)`` float32 and ``y (N,)`` int64. The functions of two variables
on which optimizers are watched are in `minicv.optim.landscapes`.
"""

import numpy as np

from ...errors import ArgError, ShapeError

__all__ = ["blobs", "moons", "spirals", "spam8"]


def blobs(n: int, *, centers=3, spread: float = 0.6, rng=None) -> tuple[np.ndarray, np.ndarray]:
    """`n` points around K centres: center[y] + spread * normal(0, 1); classes 0..K-1 in turn.

    centers: K, then evenly spaced on the circle of radius 3, or their coordinates (K, 2).
    """
    rng = np.random.default_rng(rng)
    if np.ndim(centers) == 0:
        angle = 2 * np.pi * np.arange(centers) / max(centers, 1)
        centers = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    centers = np.asarray(centers, np.float64)
    if centers.ndim != 2 or centers.shape[1] != 2:
        raise ShapeError(f"blobs: centers has shape {centers.shape}, expected (K, 2)")
    _check("blobs", n, len(centers), spread=spread)
    y = np.arange(n) % len(centers)
    return _cloud(centers[y], y, spread, rng)


def moons(n: int, *, noise: float = 0.1, rng=None) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaved half circles: (cos t, sin t) is class 0, (1 - cos t, 1/2 - sin t) class 1.

    t is evenly spaced in [0, pi], `noise` the standard deviation added to both coordinates.
    """
    rng = np.random.default_rng(rng)
    _check("moons", n, 2, noise=noise)
    y = np.arange(n) % 2
    t = _spaced(n, y) * np.pi
    upper = np.stack([np.cos(t), np.sin(t)], axis=1)
    return _cloud(np.where(y[:, None] == 0, upper, [1.0, 0.5] - upper), y, noise, rng)


def spirals(n: int, *, turns: float = 1.5, noise: float = 0.05,
            rng=None) -> tuple[np.ndarray, np.ndarray]:
    """Two arms r = t, angle = 2 pi turns t, the second one rotated by pi; t in (0, 1]."""
    rng = np.random.default_rng(rng)
    _check("spirals", n, 2, turns=turns, noise=noise)
    y = np.arange(n) % 2
    t = 0.05 + 0.95 * _spaced(n, y)
    angle = 2 * np.pi * turns * t + np.pi * y
    return _cloud(t[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), y, noise, rng)


def spam8() -> tuple[np.ndarray, np.ndarray]:
    """Eight mails: x = (number of links, number of capitalized words), y = 1 for spam, 0 for ham.

    With the rules x1 > 3, x1 > 10, x2 > 20 AdaBoost gets the errors 1/4, 1/6, 1/4 (B4.1).
    """
    x = [(5, 30), (10, 20), (6, 25), (5, 35), (3, 38), (0, 29), (18, 28), (12, 30)]
    return np.array(x, np.float32), np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)


def _spaced(n, y):
    """Evenly spaced numbers in [0, 1] for the points of each of the two classes."""
    count = np.bincount(y, minlength=2)
    return (np.arange(n) // 2) / np.maximum(count[y] - 1, 1)


def _cloud(points, y, spread, rng):
    noisy = points + spread * rng.standard_normal(points.shape)
    return noisy.astype(np.float32), y.astype(np.int64)


def _check(function, n, classes, **positive):
    if classes < 1:
        raise ArgError(f"{function}: centers is {classes}, expected at least 1 class")
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < classes:
        raise ArgError(f"{function}: n is {n!r}, expected an integer >= {classes}, one per class")
    for name, value in positive.items():
        if not (np.isfinite(value) and value >= 0):
            raise ArgError(f"{function}: {name} is {value}, expected a finite number >= 0")
