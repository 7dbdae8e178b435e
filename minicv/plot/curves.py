"""Learning curves."""

import numpy as np

from ..errors import ArgError, ShapeError
from .style import DASHES, PALETTE, new_axes


def plot_curves(curves, *, x=None, xlabel="step", ylabel="loss", log=False, smooth=1, ax=None):
    """Draw named curves over a common axis.

    Parameters
    ----------
    curves : dict of str to array (T,) or (S, T)
        With S rows (seeds) the mean is drawn over a band from minimum to maximum.
    x : array (T,) or None
        Positions; 0, 1, ... when None. Curves may have different lengths only with None.
    log : bool
        Logarithmic vertical axis.
    smooth : int >= 1
        Width of a running mean over the last `smooth` values; the raw curve stays as a thin line.
    ax : Axes or None

    Returns
    -------
    Axes
    """
    if smooth < 1:
        raise ArgError(f"plot_curves: smooth is {smooth}, expected >= 1")
    rows = {label: _checked(label, values, x) for label, values in curves.items()}
    ax = new_axes(ax)
    for i, (label, values) in enumerate(rows.items()):
        _draw(ax, np.arange(values.shape[1]) if x is None else x, values, label, i, smooth)
    ax.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    if len(curves) > 1:
        ax.legend(frameon=False)
    return ax


def running_mean(values, width):
    """Mean over the last `width` values (fewer at the start), values (S, T), same shape out."""
    total = np.cumsum(values, axis=1)
    before = np.concatenate([np.zeros((len(values), width)), total], axis=1)[:, :values.shape[1]]
    return (total - before) / np.minimum(np.arange(1, values.shape[1] + 1), width)


def _checked(label, values, x):
    rows = np.atleast_2d(np.asarray(values, dtype=float))
    if rows.ndim != 2 or x is not None and len(x) != rows.shape[1]:
        expected = "T" if x is None else len(x)
        raise ShapeError(f"plot_curves: {label!r} has shape {np.shape(values)}, expected "
                         f"({expected},) or (S, {expected})")
    return rows


def _draw(ax, x, values, label, i, smooth):
    style = {"color": PALETTE[i % len(PALETTE)], "linestyle": DASHES[i % len(DASHES)]}
    if smooth > 1:
        ax.plot(x, values.mean(axis=0), color=style["color"], linewidth=0.6, alpha=0.35)
        values = running_mean(values, smooth)
    ax.plot(x, values.mean(axis=0), label=label, **style)
    if len(values) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
