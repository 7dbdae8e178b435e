"""Functions of two variables as contour lines, with the paths that optimizers take over them."""

import numpy as np

from ..errors import ArgError, ShapeError
from .style import PALETTE, new_axes


def plot_contours(f, xlim, ylim, *, levels=20, log=False, resolution=120, ax=None):
    """Draw contour lines of `f` on a rectangle.

    Parameters
    ----------
    f : callable
        Maps points (M, 2) to values (M,).
    xlim, ylim : (low, high)
    levels : int or sequence of float
        How many lines, or their heights.
    log : bool
        Space the lines evenly in the logarithm of the height above the lowest point, which shows
        the bottom of a valley.
    resolution : int >= 2
        Grid points along each axis.

    Returns
    -------
    Axes
    """
    for name, (low, high) in {"xlim": xlim, "ylim": ylim}.items():
        if not low < high:
            raise ArgError(f"plot_contours: {name} is {(low, high)}, expected low < high")
    x, y = np.linspace(*xlim, resolution), np.linspace(*ylim, resolution)
    z = _on_grid(f, x, y)
    ax = new_axes(ax, size=(5.4, 4.2))
    heights = _log_levels(z, levels) if log and np.ndim(levels) == 0 else levels
    ax.contour(x, y, z, levels=heights, cmap="Greys_r", linewidths=0.7, alpha=0.6, zorder=1)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", xlim=xlim, ylim=ylim)
    ax.grid(False)
    return ax


def plot_path(points, *, label=None, color=None, marker="o", ax=None):
    """Draw a trajectory: a line through its points, a ring at the start and a star at the end.

    points : array (T, 2), T >= 1
    color : None takes the next colour of the palette that `ax` has not used for a path
    """
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ShapeError(f"plot_path: points has shape {points.shape}, expected (T, 2) with T >= 1")
    ax = new_axes(ax, size=(5.4, 4.2))
    drawn = sum(line.get_gid() == "path" for line in ax.lines)
    color = color or PALETTE[drawn % len(PALETTE)]
    ax.plot(*points.T, color=color, marker=marker, markersize=2.5, linewidth=1.2, label=label,
            gid="path", zorder=2)
    ax.plot(*points[0], marker="o", markerfacecolor="white", markeredgecolor=color, zorder=3)
    ax.plot(*points[-1], marker="*", color=color, markersize=11, zorder=3)
    if label:
        ax.legend(frameon=True, framealpha=0.85, edgecolor="none")             # readable over contour lines
    return ax


def _on_grid(f, x, y):
    grid = np.stack(np.meshgrid(x, y), axis=-1)                     # (Y, X, 2)
    z = np.asarray(f(grid.reshape(-1, 2)))
    if z.shape != (len(x) * len(y),):
        raise ShapeError(f"plot_contours: f gives shape {z.shape} for points "
                         f"{(len(x) * len(y), 2)}, expected {(len(x) * len(y),)}")
    return z.reshape(len(y), len(x))


def _log_levels(z, count):
    """`count` heights from the lowest to the highest value of z, closer together near the bottom."""
    low, high = np.nanmin(z), np.nanmax(z)
    return low + np.geomspace(1e-3, 1, count) * max(high - low, np.finfo(float).tiny)
