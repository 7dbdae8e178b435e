"""One visual language for all figures: colours, sizes and line widths in one place.

The colours are those of Okabe & Ito (2008), chosen to stay apart for every common kind of colour
vision; lines also differ in their dashes, so that a figure survives a black and white print.
"""

import contextlib

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D00")
DASHES = ("-", "--", "-.", ":")
SEQUENTIAL = "viridis"            # values from low to high
DIVERGING = "RdBu_r"              # values around zero
WIDTH, HEIGHT = 6.0, 3.8          # inches

_STYLE = {
    "figure.figsize": (WIDTH, HEIGHT), "figure.dpi": 100, "figure.constrained_layout.use": True,
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
    "font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10, "legend.fontsize": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "axes.axisbelow": True, "lines.linewidth": 1.8, "legend.frameon": False,
    "image.interpolation": "nearest", "image.cmap": SEQUENTIAL,
    "svg.hashsalt": "minicv", "svg.fonttype": "path",
}


@contextlib.contextmanager
def figure_style():
    """Draw in the project's style inside a ``with`` block; the global settings stay untouched."""
    import matplotlib
    from cycler import cycler

    with matplotlib.rc_context({**_STYLE, "axes.prop_cycle": cycler(color=PALETTE)}):
        yield


def new_axes(ax=None, *, size=None):
    """`ax` itself, or the Axes of a new figure in the project's style.

    size : (width, height) in inches or None
    """
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    with figure_style():
        return plt.subplots(figsize=size)[1]
