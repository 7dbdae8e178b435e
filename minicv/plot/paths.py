"""Optimizers on their way over a landscape, step by step."""

import numpy as np

from ..errors import ArgError, ShapeError
from .contours import plot_contours
from .overlay import Overlay, shape
from .style import PALETTE, figure_style

DASHES = (None, "5 2", "1 2", "6 2 1 2")            # told apart without colour, too


def paths_player(*landscapes, steps=None, frames=12, title="Paths of optimizers", size=None, levels=8, log=True,
                 **options):
    """A `Player` of trajectories over the contour lines of one function, or of several side by side.

    Parameters
    ----------
    *landscapes : (f, xlim, ylim, {name: points (T, 2)})
        One panel each; f maps points (M, 2) to values (M,).
    steps : sequence of int or None
        Steps to show; None: about `frames` of them, close together at the start.
    title, **options
        As `Player`.
    size : (width, height) in inches or None
    levels, log
        As `plot_contours`; `log` may be a sequence with one entry for each panel.

    Hovering over a point tells its step, its place and its value. A path that has ended waits at its last point.

    Raises
    ------
    ArgError
        Without landscapes or paths, or for a step that is negative.
    ShapeError
        If a path has another shape.

    >>> f = lambda p: (p ** 2).sum(axis=1)
    >>> paths_player((f, (-2, 2), (-2, 2), {"SGD": [[1, 1], [0.5, 0.5]]})).labels[-1]
    'after 1 step: SGD f = 0.5'
    """
    import matplotlib.pyplot as plt

    walks = [(name, f, _points(points)) for f, _, _, paths in landscapes for name, points in paths.items()]
    if not walks:
        raise ArgError("paths_player: landscapes is empty, expected at least one with at least one path")
    last = max(len(points) for _, _, points in walks) - 1
    steps = _spread(last, frames) if steps is None else [int(t) for t in steps]
    if not steps or min(steps) < 0:
        raise ArgError(f"paths_player: steps is {steps}, expected integers >= 0")
    with figure_style():
        figure, axes = plt.subplots(1, len(landscapes), figsize=size or (max(4.8, 3.2 * len(landscapes)), 3.0),
                                    squeeze=False)
    for ax, landscape, even in zip(axes[0], landscapes, np.broadcast_to(log, len(landscapes)), strict=True):
        _background(ax, *landscape, levels, bool(even))
    overlay = Overlay(figure)
    return overlay.player([_paths(overlay, axes[0], landscapes, t, steps) for t in steps], title=title,
                          labels=[_label(walks, t) for t in steps],
                          **{"interval": 700, "width": round(96 * figure.get_figwidth()), **options})


def _points(points):
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ShapeError(f"paths_player: a path has shape {points.shape}, expected (T, 2) with T >= 1")
    return points


def _spread(last, count):
    """About `count` steps from 0 to the last, growing apart."""
    return np.unique(np.geomspace(1, last + 1, count).round().astype(int) - 1).tolist()


def _background(ax, f, xlim, ylim, paths, levels, log):
    """Contours and the legend; what moves comes later."""
    plot_contours(f, xlim, ylim, levels=levels, log=log, resolution=80, ax=ax)
    if len(paths) == 1:
        ax.set_title(*paths)
        return
    for k, name in enumerate(paths):
        dashes = DASHES[k % len(DASHES)]
        ax.plot([], [], color=PALETTE[k], linestyle=(0, tuple(map(float, dashes.split()))) if dashes else "-",
                label=name)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(paths), frameon=False)


def _paths(overlay, axes, landscapes, t, steps):
    """Shapes of all paths up to step t: lines, and points at the steps that have a frame."""
    for ax, (f, xlim, ylim, paths) in zip(axes, landscapes, strict=True):
        for k, (name, points) in enumerate(paths.items()):
            points = _points(points)[:t + 1]
            yield overlay.line(ax, _within(points, xlim, ylim), stroke=PALETTE[k], stroke_width=1.3,
                               stroke_dasharray=DASHES[k % len(DASHES)])
            for s in sorted({s for s in steps if s < len(points)} | {len(points) - 1}):
                (x, y), value = points[s], f(points[s:s + 1])[0]
                if (points[s] == _within(points[s], xlim, ylim)).all():
                    cx, cy = overlay.at(ax, (x, y))
                    yield shape("circle", cx=cx, cy=cy, r=5 if s == len(points) - 1 else 2, fill=PALETTE[k],
                                title=f"{name}, step {s}: ({x:.3g}, {y:.3g}), f = {value:.3g}")


def _within(points, xlim, ylim):
    """Points cut off where they leave the panel."""
    return np.clip(points, (xlim[0], ylim[0]), (xlim[1], ylim[1]))


def _label(walks, t):
    values = ", ".join(f"{name} f = {f(points[:t + 1])[-1]:.3g}" for name, f, points in walks)
    return f"after {t} step{'' if t == 1 else 's'}: {values}"
