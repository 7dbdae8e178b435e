"""What the experiments of this chapter share: runs over landscapes, and their pictures."""

import numpy as np

from ...optim import below, canyon, descend
from ...plot import plot_contours, plot_curves, plot_path
from ..parts import panels

CANYON = canyon(50)
START = (10.0, 1.0)


def reach(value, landscape, update, start=START, steps=5000, **options):
    """The trajectory of an update until the function is below `value`."""
    return descend(landscape, update, start, steps, until=below(value), **options)


def steps_to(value, landscape, update, start=START, **options):
    """Number of steps until the function is below `value`; NaN when it never is."""
    run = reach(value, landscape, update, start, **options)
    return run.steps if run.converged else np.nan


def draw_paths(ax, landscape, runs, xlim, ylim, *, log=True, title=""):
    """Trajectories {label: Trajectory} over the contours of their landscape; a square window keeps angles."""
    plot_contours(landscape, xlim, ylim, log=log, ax=ax)
    for label, run in runs.items():
        plot_path(run.points, label=label, ax=ax)
    ax.set_title(title)
    if xlim == ylim:
        ax.set_aspect("equal")


def compare(landscape, runs, xlim=(-11, 11), ylim=(-1.6, 1.6), *, log=True):
    """Paths on the left, values against the step on the right."""
    figure, (left, right) = panels(2)
    draw_paths(left, landscape, runs, xlim, ylim, log=log)
    plot_curves({label: np.maximum(run.values, 1e-16) for label, run in runs.items()}, ylabel="f", log=True, ax=right)
    return figure


def draw_line(ax, landscape, runs, low, high):
    """Trajectories on a function of one variable: its graph with the visited points."""
    x = np.linspace(low, high, 400)
    ax.plot(x, landscape(x[:, None]), color="black", linewidth=1)
    for label, run in runs.items():
        (dots,) = ax.plot(run.points[:, 0], run.values, "o", markersize=3, label=label)
        ax.plot(run.points[-1, 0], run.values[-1], "*", markersize=13, color=dots.get_color())
    ax.set(xlabel="$x$", ylabel="$f(x)$", xlim=(low, high))
    ax.legend()
