"""Classifiers in the plane: samples as large as their weights, stumps as lines, decisions as regions."""

import numpy as np

from ..errors import ArgError, ShapeError
from .style import PALETTE, new_axes

MARKERS = "osD^vP*X"


def plot_weights(x, y, weight=None, *, wrong=None, class_names=None, area=200, ax=None):
    """Draw samples in the plane; the area of a marker is proportional to the weight of its sample.

    Parameters
    ----------
    x : array (N, 2)
    y : int array (N,), classes in [0, 8)
    weight : array (N,), >= 0 and not all 0; None for equal weights
    wrong : bool array (N,) or None
        Samples to cross out.
    class_names : list of str or None
    area : float > 0
        Of a marker with the mean weight, in square points.

    Returns
    -------
    Axes
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ShapeError(f"plot_weights: x has shape {x.shape}, expected (N, 2)")
    weight = np.ones(len(x)) if weight is None else np.asarray(weight, np.float64)
    for name, a in {"y": y, "weight": weight, "wrong": y if wrong is None else np.asarray(wrong)}.items():
        if a.shape != (len(x),):
            raise ShapeError(f"plot_weights: {name} has shape {a.shape}, expected ({len(x)},)")
    if len(x) and not ((weight >= 0).all() and weight.sum() > 0 and (y >= 0).all() and (y < len(MARKERS)).all()):
        raise ArgError("plot_weights: weight or y is outside its range, expected weights >= 0, not all 0, and classes "
                       f"in [0, {len(MARKERS)})")
    ax = new_axes(ax, size=(5.0, 4.2))
    sizes = area * weight / weight.mean() if len(x) else weight
    for k in np.unique(y):
        label = class_names[k] if class_names else f"class {k}"
        ax.scatter(*x[y == k].T, s=sizes[y == k], color=PALETTE[k], marker=MARKERS[k], alpha=0.75, edgecolor="white",
                   label=label, zorder=3)
    if wrong is not None and np.any(wrong):
        ax.scatter(*x[np.asarray(wrong)].T, s=max(20, area / 3), color="black", marker="x", linewidth=1.5,
                   label="wrong", zorder=4)
    return ax


def plot_stump(feature, threshold, polarity=1, *, label=None, ax=None):
    """Draw a stump in the plane: a line at its threshold and arrows to its positive side; returns the Axes.

    feature : 0 (horizontal axis) or 1 (vertical); the limits of `ax` must be set before.
    """
    if feature not in (0, 1):
        raise ArgError(f"plot_stump: feature is {feature!r}, expected 0 or 1")
    ax = new_axes(ax, size=(5.0, 4.2))
    draw, low, high = (ax.axvline, *ax.get_xlim()) if feature == 0 else (ax.axhline, *ax.get_ylim())
    draw(threshold, color="black", linewidth=1.5, label=label, zorder=2)
    across, step = ax.get_ylim() if feature == 0 else ax.get_xlim(), 0.07 * (high - low) * polarity
    for share in (0.12, 0.5, 0.88):
        at = across[0] + share * (across[1] - across[0])
        start, end = [(t, at) if feature == 0 else (at, t) for t in (threshold, threshold + step)]
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "black", "lw": 1.2})
    return ax


def plot_regions(predict, xlim, ylim, *, resolution=200, ax=None):
    """Colour the plane by the class that `predict` gives.

    Parameters
    ----------
    predict : callable
        Maps points (M, 2) to classes (M,), integers in [0, 8).
    xlim, ylim : (low, high)
    resolution : int >= 2
        Grid points along each axis.

    Returns
    -------
    Axes
    """
    for name, (low, high) in {"xlim": xlim, "ylim": ylim}.items():
        if not low < high:
            raise ArgError(f"plot_regions: {name} is {(low, high)}, expected low < high")
    x, y = np.linspace(*xlim, resolution), np.linspace(*ylim, resolution)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    label = np.asarray(predict(grid))
    if label.shape != (len(grid),):
        raise ShapeError(f"plot_regions: predict gives shape {label.shape} for points {grid.shape}, expected "
                         f"({len(grid)},)")
    ax = new_axes(ax, size=(5.0, 4.2))
    levels = np.arange(len(MARKERS) + 1) - 0.5
    ax.contourf(x, y, label.reshape(resolution, resolution), levels=levels, colors=PALETTE, alpha=0.18, zorder=0)
    ax.set(xlim=xlim, ylim=ylim)
    ax.grid(False)
    return ax
