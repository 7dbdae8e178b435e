"""Precision-recall curves with the area that an interpolation measures."""

import numpy as np

from ..errors import ArgError, ShapeError
from ..metrics.average_precision import INTERPOLATIONS, average_precision, envelope
from .style import PALETTE, new_axes


def plot_precision_recall(precision, recall, *, interpolation="interp-all", label=None, ax=None):
    """Draw a curve, the area under it as one interpolation sees it, and its average precision.

    Parameters
    ----------
    precision, recall : arrays (n,) by falling score, as `precision_recall` gives them
    interpolation : {"area", "interp-all", "11pt", "101pt"} or None
        The steps (or the points at fixed recalls) whose area or mean is the average precision; None: the curve only.
    label : str or None
        Name of the curve in the legend.

    Returns
    -------
    Axes
    """
    precision, recall = np.asarray(precision, np.float64), np.asarray(recall, np.float64)
    if precision.ndim != 1 or precision.shape != recall.shape:
        raise ShapeError(f"plot_precision_recall: precision and recall have shapes {precision.shape} and "
                         f"{recall.shape}, expected (n,) both")
    if interpolation is not None and interpolation not in INTERPOLATIONS:
        raise ArgError(f"plot_precision_recall: interpolation is {interpolation!r}, expected None or one of "
                       f"{INTERPOLATIONS}")
    ax = new_axes(ax, size=(4.6, 3.8))
    (line,) = ax.plot(recall, precision, marker="o", markersize=4, label=label or "after each detection")
    if interpolation is not None and len(recall):
        value = average_precision(precision, recall, interpolation=interpolation)
        _draw_area(ax, precision, recall, interpolation, f"{interpolation}: AP = {value:.4f}", line.get_color())
    ax.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(0, 1.05))
    ax.legend(frameon=False, loc="lower left")
    return ax


def _draw_area(ax, precision, recall, interpolation, label, color):
    """Steps of width recall_i - recall_{i-1}, or stems at the fixed recalls."""
    other = PALETTE[1] if color != PALETTE[1] else PALETTE[0]
    if interpolation in ("area", "interp-all"):
        height = precision if interpolation == "area" else envelope(precision)
        x, height = np.append(0, recall), np.append(height[0], height)
        ax.fill_between(x, 0, height, step="pre", color=other, alpha=0.2, linewidth=0)
        ax.step(x, height, where="pre", color=other, linestyle="--", label=label)
        return
    at = np.arange(11) / 10 if interpolation == "11pt" else np.linspace(0, 1, 101)
    height = np.append(envelope(precision), 0)[np.searchsorted(recall, at)]
    ax.vlines(at, 0, height, color=other, alpha=0.35, linewidth=3 if interpolation == "11pt" else 1)
    ax.plot(at, height, linestyle="none", marker="s", markersize=5 if interpolation == "11pt" else 2, color=other,
            label=label)
