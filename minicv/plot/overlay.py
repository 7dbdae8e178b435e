"""Drawings over a figure: shapes of SVG in the data coordinates of its axes, for frames with a common background.

The figure is stored once, as pixels; each frame holds only what moves. Shapes with a `title` tell it on hover.
"""

import html

import numpy as np

from .player import Player

STEP = 0.8              # points; shorter steps of a line are left out


def shape(name, *inside, title="", **attributes):
    """An element of SVG as text; underscores in attribute names become hyphens, numbers are rounded to 0.1.

    >>> shape("circle", cx=1.0, cy=2.25, r=3, stroke_width=2, title="a < b")
    '<circle cx="1" cy="2.2" r="3" stroke-width="2"><title>a &lt; b</title></circle>'
    """
    text = "".join(f' {key.replace("_", "-")}="{html.escape(_short(value))}"' for key, value in attributes.items()
                   if value is not None)
    inside = (f"<title>{html.escape(title)}</title>" if title else "") + "".join(inside)
    return f"<{name}{text}>{inside}</{name}>" if inside else f"<{name}{text}/>"


def words(x, y, text, **attributes):
    """A line of text with its middle at x and its base line at y."""
    return shape("text", html.escape(str(text)), x=x, y=y, **{"text_anchor": "middle", "font_size": 9, **attributes})


def document(width, height, shapes):
    """An SVG document of this size around the shapes."""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_short(width)} {_short(height)}" fill="none" '
            f'font-family="DejaVu Sans, Verdana, sans-serif">{"".join(shapes)}</svg>')


def _short(value):
    return f"{round(float(value), 1) + 0.0:g}" if isinstance(value, (float, np.floating)) else str(value)


class Overlay:
    """Where data of the axes of a figure lie on its pixels; one unit is a point, 1/72 inch.

    The figure is laid out once and keeps its layout from then on.
    """

    def __init__(self, figure):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        self.figure = figure
        self.width, self.height = figure.get_size_inches() * 72

    def at(self, ax, points):
        """Points (..., 2) in data coordinates of `ax` to places (..., 2) in the drawing, y downwards."""
        points = np.asarray(points, np.float64)
        pixels = ax.transData.transform(points.reshape(-1, 2)).reshape(points.shape) * 72 / self.figure.dpi
        return pixels * (1, -1) + (0, self.height)

    def box(self, ax, box, **attributes):
        """A rectangle for a box xyxy in data coordinates."""
        (x1, y1), (x2, y2) = self.at(ax, np.reshape(box, (2, 2)))
        return shape("rect", x=min(x1, x2), y=min(y1, y2), width=abs(x2 - x1), height=abs(y2 - y1), **attributes)

    def line(self, ax, points, **attributes):
        """A line through points (N, 2) in data coordinates, without steps that are too small to see."""
        places = self.at(ax, points)
        kept = [0]
        for n in range(1, len(places)):
            if np.abs(places[n] - places[kept[-1]]).max() > STEP or n == len(places) - 1:
                kept.append(n)
        return shape("polyline", points=" ".join(f"{_short(x)},{_short(y)}" for x, y in places[kept]), **attributes)

    def frame(self, shapes):
        """One frame of a player whose background is the figure."""
        return document(self.width, self.height, shapes)

    def player(self, frames, **options):
        """A `Player` of frames, each some shapes, over the figure, which is closed."""
        import matplotlib.pyplot as plt

        player = Player([self.frame(shapes) for shapes in frames], background=self.figure, **options)
        plt.close(self.figure)
        return player
