"""Drawings for Viola-Jones: integral images as numbers, features over a face, the funnel of a cascade."""

import math

import numpy as np

from ..detection.viola_jones import KINDS
from ..errors import ShapeError
from .images import show_image
from .style import PALETTE, figure_style, new_axes


def show_numbers(table, *, highlight=None, corners=None, title=None, ax=None):
    """Draw a small table (H, W) as a grid of numbers.

    highlight: box (x1, y1, x2, y2) of cells to shade; corners: letter to the cell (row, column) that it marks.
    """
    from matplotlib.patches import Rectangle

    table = np.asarray(table)
    if table.ndim != 2:
        raise ShapeError(f"show_numbers: table has shape {table.shape}, expected (H, W)")
    height, width = table.shape
    ax = new_axes(ax, size=(0.6 * width + 0.4, 0.6 * height + 0.6))
    if highlight is not None:
        x1, y1, x2, y2 = highlight
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, facecolor=PALETTE[0], alpha=0.3, edgecolor="none"))
    for i, j in np.ndindex(height, width):
        ax.add_patch(Rectangle((j, i), 1, 1, fill=False, edgecolor="black", linewidth=0.8))
        ax.text(j + 0.5, i + 0.5, f"{table[i, j]:g}", ha="center", va="center", fontsize=11)
    for letter, (i, j) in (corners or {}).items():
        ax.text(j + 0.88, i + 0.9, letter, ha="center", va="center", fontsize=9, color=PALETTE[1], fontweight="bold")
    ax.set(xlim=(-0.05, width + 0.05), ylim=(height + 0.05, -0.05), aspect="equal")
    ax.set_axis_off()
    if title:
        ax.set_title(title)
    return ax


def draw_feature(feature, *, ax, alpha=0.85):
    """Draw one feature (kind, x, y, w, h) over what `ax` shows: light cells white, dark cells black."""
    from matplotlib.patches import Rectangle

    kind, x, y, w, h = (int(v) for v in feature)
    for (i, j), sign in np.ndenumerate(KINDS[kind]):
        ax.add_patch(Rectangle((x + j * w, y + i * h), w, h, facecolor="white" if sign > 0 else "black", alpha=alpha,
                               edgecolor=PALETTE[1], linewidth=1.0))
    return ax


def show_features(image, features, *, titles=None, columns=6):
    """A Figure with every feature (F, 5) over one picture of a window (24, 24) or (1, 24, 24)."""
    import matplotlib.pyplot as plt

    features = np.asarray(features)
    if titles is not None and len(titles) != len(features):
        raise ShapeError(f"show_features: titles has {len(titles)} entries, expected {len(features)}")
    columns = min(columns, len(features))
    rows = math.ceil(len(features) / columns)
    with figure_style():
        figure, axes = plt.subplots(rows, columns, figsize=(1.7 * columns, 1.9 * rows), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for n, (ax, feature) in enumerate(zip(axes.flat, features)):
        draw_feature(feature, ax=show_image(image, title=titles and titles[n], ax=ax))
    return figure


def plot_funnel(counts, *, labels=None, ax=None):
    """How many windows reach each stage and pass the last: bars (S + 1,) on a logarithmic axis."""
    counts = np.asarray(counts, np.float64)
    labels = labels or ["all", *(f"passed {s}" for s in range(1, len(counts)))]
    ax = new_axes(ax, size=(6.0, 0.5 * len(counts) + 1.2))
    ax.barh(range(len(counts)), np.maximum(counts, 0.5), color=PALETTE[0])
    for s, n in enumerate(counts):
        ax.text(max(n, 0.5) * 1.15, s, f"{n:,.0f} ({n / max(counts[0], 1):.2%})", va="center", fontsize=9)
    ax.set(xscale="log", xlabel="windows", yticks=range(len(counts)), yticklabels=labels,
           xlim=(0.5, max(counts[0], 1) * 40))
    ax.invert_yaxis()
    return ax
