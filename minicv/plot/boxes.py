"""Boxes over a picture, and the matrix of costs from which predictions and objects are matched."""

import numpy as np

from ..errors import ShapeError
from ..geometry import Detections, Targets, check_boxes
from .images import show_image
from .style import PALETTE, SEQUENTIAL, new_axes


def show_boxes(image, rows, *, names=None, color=None, dashed=None, ax=None):
    """Draw boxes over an image and return the Axes.

    Parameters
    ----------
    image : array (3, H, W), (1, H, W) or (H, W) in [0, 1], or None
        None draws on what `ax` shows already.
    rows : Detections, Segments, Targets, or boxes (R, 4) xyxy in pixels
        Captions are the class and, for detections, the score.
    names : list of str or None
        Names of the classes; their numbers without it.
    color : matplotlib color or None
        One colour for all; default: one for each class, from a palette for all kinds of colour vision.
    dashed : bool or None
        Dashed outlines; default: for Targets, so that truth and findings can be told apart without colour.

    Raises
    ------
    ShapeError
        If a label has no name.
    """
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import Normal, Stroke

    boxes, labels, captions = _read(rows, names)
    ax = show_image(image, ax=ax) if image is not None else _ready(new_axes(ax), ax is None, boxes)
    dashed = isinstance(rows, Targets) if dashed is None else dashed
    solid = {"dash_offset": 0, "dash_list": None}
    halo = [Stroke(linewidth=3.5, foreground="white", dashes=solid), Normal()]      # readable on any picture
    for (x1, y1, x2, y2), label, caption in zip(boxes, labels, captions, strict=True):
        edge = color or PALETTE[label % len(PALETTE)]
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=edge, linewidth=1.8,
                               linestyle="--" if dashed else "-", path_effects=halo))
        if caption:
            _write(ax, x1, y2 if dashed else y1, caption, edge, below=dashed)
    return ax


def _read(rows, names):
    """(boxes, labels, captions) of any of the kinds of rows."""
    if not isinstance(rows, (Detections, Targets)):
        boxes = np.asarray(check_boxes("show_boxes", "rows", rows))
        return boxes, [0] * len(boxes), [""] * len(boxes)
    if names is not None and len(rows) and rows.labels.max() >= len(names):
        raise ShapeError(f"show_boxes: names has {len(names)} entries, expected at least {rows.labels.max() + 1}")
    captions = [str(k) if names is None else names[k] for k in rows.labels]
    if isinstance(rows, Detections):
        captions = [f"{word} {score:.2f}" for word, score in zip(captions, rows.scores, strict=True)]
    return rows.boxes, rows.labels, captions


def _ready(ax, fresh, boxes):
    """An Axes of its own shows all boxes, y downwards as in pictures; one that was given stays as it is."""
    if fresh:
        low, high = (boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)) if len(boxes) else ((0, 0), (1, 1))
        pad = 0.08 * max(high[0] - low[0], high[1] - low[1], 1)
        ax.set(xlim=(low[0] - pad, high[0] + pad), ylim=(high[1] + pad, low[1] - pad), aspect="equal")
    return ax


def _write(ax, x, y, caption, edge, below):
    """A caption on a plate of the box's colour, inside the box at its top or bottom left corner."""
    ax.text(x, y, caption, fontsize=7.5, va="bottom" if below else "top", color=_ink(edge), clip_on=True,
            bbox={"facecolor": edge, "edgecolor": "none", "pad": 1.0})


def _ink(color):
    """Black or white, whichever is easier to read on `color` (relative luminance of WCAG 2)."""
    from matplotlib.colors import to_rgb

    light = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return "black" if np.dot(light, (0.2126, 0.7152, 0.0722)) > 0.179 else "white"


def plot_costs(costs, matches=None, *, rows=None, columns=None, ax=None):
    """Draw a matrix of costs with its numbers; the matched cells have a thick frame.

    Parameters
    ----------
    costs : array (N, M)
    matches : (row positions, column positions) or None, as the assignment gives them
    rows, columns : lists of N and M names, or None for numbers

    Returns
    -------
    Axes
    """
    from matplotlib.patches import Rectangle

    costs = np.asarray(costs, dtype=float)
    if costs.ndim != 2 or not costs.size:
        raise ShapeError(f"plot_costs: costs has shape {costs.shape}, expected (N, M) with N, M >= 1")
    names = [list(range(n)) if given is None else list(given) for n, given in zip(costs.shape, (rows, columns))]
    if (len(names[0]), len(names[1])) != costs.shape:
        raise ShapeError(f"plot_costs: rows and columns have {len(names[0])} and {len(names[1])} names, "
                         f"expected {costs.shape[0]} and {costs.shape[1]}")
    ax = new_axes(ax, size=(2.0 + 0.8 * costs.shape[1], 1.2 + 0.5 * costs.shape[0]))
    shown = ax.imshow(costs, cmap=SEQUENTIAL, aspect="auto")
    for (i, j), value in np.ndenumerate(costs):
        ax.text(j, i, f"{value:.3g}", ha="center", va="center", color=_ink(shown.cmap(shown.norm(value))))
    for i, j in zip(*(() if matches is None else matches), strict=True):
        ax.add_patch(Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor=PALETTE[1], linewidth=3.5))
    ax.set_xticks(range(costs.shape[1]), names[1])
    ax.set_yticks(range(costs.shape[0]), names[0])
    ax.grid(False)
    return ax
