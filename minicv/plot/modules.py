"""A network as a drawing, made from the module itself: `module_svg` for pages, `plot_modules` for figures.

One forward pass tells what is called, in which order and what feeds what (`nn.flow`); `nn.cost` tells what it costs;
`diagram` says where each box stands. Both drawings only put the result on paper.
"""

import html

import numpy as np

from ..autograd.graph import Svg
from ..errors import ArgError
from ..nn.check import integer
from ..nn.cost import cost
from ..nn.flow import flow
from .diagram import LINE, PAD, diagram, route
from .style import PALETTE, new_axes

SYMBOLS = {"add": "+", "mul": "×", "sub": "−", "div": "÷", "matmul": "@", "masked_softmax": "softmax",
           "attend": "attention"}
COLORS = {"product": PALETTE[0], "scale": PALETTE[2], "plain": PALETTE[4], "op": PALETTE[3]}
SIZE = 11                       # of letters, in pixels
OPACITY = 0.14                  # of the colors; frames are grey, stronger the deeper they are


def module_svg(model, *inputs, depth=1, dtype=np.float32):
    """Draw a module as nested boxes in order of call, branches side by side.

    Parameters
    ----------
    model : Module
    *inputs : shapes, arrays or Tensors
        As for `nn.cost`: a shape such as (1, 3, 224, 224) stands for zeros.
    depth : int >= 0, default 1
        Levels of modules that are opened; 0 is a single box.
    dtype : default float32
        Of the zeros; np.int64 for modules that read token numbers.

    Returns
    -------
    Svg
        A str with an SVG document that notebooks show. A box has the name and class of a module, the shape of its
        result without the batch, parameters and multiply-accumulates. Blue: with products; green: only scales;
        orange: without parameters; round: operations that a module does itself. "× 12" marks equal modules in a row,
        the numbers are those of one; those of a module that is called at several places are of all its calls. Lines and
        text have the color of the page's text, so that it fits dark pages too.

    Raises
    ------
    ArgError
        Without inputs, and for a negative depth.

    >>> from minicv.nn import Linear, ReLU, Sequential
    >>> module_svg(Sequential(Linear(3, 4), ReLU()), (1, 3)).count("<rect")
    3
    """
    root, title, description = _diagram("module_svg", model, inputs, depth, dtype)
    width, height = _size(root)
    boxes, label = root.whole, html.escape(title)
    return Svg("\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:100%;height:auto" role="img" aria-label="{label}" '
        'fill="none" stroke="currentColor" '
        f'font-family="ui-monospace, DejaVu Sans Mono, monospace" font-size="{SIZE}">',
        f"<title>{label}</title>", f"<desc>{html.escape(description)}</desc>",
        *[_svg_box(box) for box in boxes], *[_svg_line(*edge) for box in boxes for edge in box.edges], "</svg>\n"]))


def plot_modules(model, *inputs, depth=1, dtype=np.float32, ax=None):
    """The drawing of `module_svg` as a matplotlib figure.

    Parameters
    ----------
    model, *inputs, depth, dtype
        As `module_svg`.
    ax : Axes or None
        The drawing is fitted into it.

    Returns
    -------
    Axes
    """
    root, title, _ = _diagram("plot_modules", model, inputs, depth, dtype)
    width, height = _size(root)
    ax = new_axes(ax, size=(width / 90, height / 90))
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal", label=title)
    ax.set_axis_off()
    points = _points_per_pixel(ax, width, height)
    for box in root.whole:
        _plot_box(ax, box, points)
        for edge in box.edges:
            _plot_line(ax, route(*edge), points, arrow=bool(edge[1].lines))
    return ax


def _diagram(where, model, inputs, depth, dtype):
    """The placed box of the whole; the title of the drawing; what it shows, in words."""
    if not inputs:
        raise ArgError(f"{where}: inputs is empty, expected a shape such as (1, 3, 224, 224)")
    depth = integer(where, "depth", depth, low=0)
    rows = {row.name: row for row in cost(model, *inputs, dtype=dtype).rows}
    root = diagram(flow(model, *inputs, dtype=dtype), depth, lambda steps: _words(steps, rows))
    title = f"{rows[''].kind}: {', '.join(root.lines[1:])}"
    return root, title, "; ".join(" ".join(box.lines) for box in root.boxes) or title


def _size(root):
    return root.left + root.right + 2 * PAD, root.height + 2 * PAD


# SVG --------------------------------------------------------------------------------------------------------


def _svg_box(box):
    color = COLORS.get(box.kind, "currentColor")
    texts = "".join(f'<tspan x="{x:.1f}" y="{y:.1f}" font-weight="{weight}">{html.escape(words)}</tspan>'
                    for x, y, words, weight in _text(box))
    return (f'<rect x="{box.x - box.left:.1f}" y="{box.y:.1f}" width="{box.left + box.right:.1f}" '
            f'height="{box.height:.1f}" rx="{_rounding(box):.0f}" fill="{color}" fill-opacity="{_opacity(box)}" '
            f'stroke-opacity="0.45"/><text text-anchor="middle" stroke="none" fill="currentColor">{texts}</text>')


def _svg_line(source, target, lane):
    corners = route(source, target, lane)
    (x0, y0), (x1, y1) = corners[-2:]
    head = "m-3.5 -6l3.5 6l3.5 -6" if x0 == x1 else "m6 -3.5l-6 3.5l6 3.5"
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in corners)
    return f'<path d="M{path}{head if target.lines else ""}"/>'


# matplotlib -------------------------------------------------------------------------------------------------


def _plot_box(ax, box, points):
    from matplotlib.colors import to_rgba
    from matplotlib.patches import FancyBboxPatch

    ax.add_patch(FancyBboxPatch(
        (box.x - box.left, box.y), box.left + box.right, box.height, linewidth=points, edgecolor="0.6",
        boxstyle=f"round,pad=0,rounding_size={_rounding(box)}",
        facecolor=to_rgba(COLORS.get(box.kind, "black"), _opacity(box))))
    for x, y, words, weight in _text(box):
        ax.add_patch(_letters(x, y, words, weight))


def _letters(x, y, words, weight):
    """Text as outlines that scale with the boxes; letters of whole dots would be too wide in small figures."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    path = TextPath((0, 0), words, size=SIZE, prop=FontProperties(family="DejaVu Sans Mono", weight=weight))
    middle = path.get_extents()
    place = Affine2D().translate(-(middle.x0 + middle.x1) / 2, 0).scale(1, -1).translate(x, y)
    return PathPatch(place.transform_path(path), facecolor="black", linewidth=0, snap=False, label=words)


def _plot_line(ax, corners, points, *, arrow):
    ax.plot(*zip(*corners, strict=True), color="0.3", linewidth=points)
    if arrow:
        ax.annotate("", corners[-1], corners[-2], arrowprops={
            "arrowstyle": "->", "color": "0.3", "linewidth": points, "shrinkA": 0, "shrinkB": 0,
            "mutation_scale": 10 * points})


def _points_per_pixel(ax, width, height):
    """Size of a pixel of the drawing on paper, once the figure is laid out."""
    ax.figure.draw_without_rendering()
    room = ax.get_position()
    inches = ax.figure.get_size_inches()
    return 72 * min(room.width * inches[0] / width, room.height * inches[1] / height)


# Looks and words --------------------------------------------------------------------------------------------


def _text(box):
    """(x, y of the base line, words, weight) of each line of a box; names and signs are bold."""
    return [(box.x, box.y + LINE * (k + 1) - (1 if box.kind != "op" else 0), words,
             "bold" if not k and (box.kind != "op" or len(words) == 1) else "normal")
            for k, words in enumerate(box.lines)]


def _rounding(box):
    return box.height / 2 if box.kind == "op" else 6


def _opacity(box):
    return 0.04 if box.kind == "frame" else OPACITY


def _words(steps, rows):
    """Lines of a box, and its key in `COLORS`."""
    first = steps[0]
    if first.module is None:
        return [f"{SYMBOLS.get(first.kind, first.kind)} {first.name}".strip()], "op"
    row = rows[first.path]
    name = first.name if len(steps) == 1 else f"{first.name} … {steps[-1].name}"
    times = f" × {len(steps)}" if len(steps) > 1 else ""
    amounts = [f"{_number(n)} {unit}" for n, unit in ((row.parameters, "parameters"), (row.macs, "MACs")) if n]
    lines = [name, first.kind + _settings(first.module) + times, _shape(first.output), ", ".join(amounts)]
    return [line for line in lines if line], "product" if row.macs else "scale" if row.parameters else "plain"


def _settings(module):
    """Window, stride, dilation and groups, where a module has them: " 7×7 / 2"."""
    size = getattr(module, "kernel_size", None)
    if size is None:
        return ""
    stride, dilation = (_pair(getattr(module, name, 1)) for name in ("stride", "dilation"))
    groups = getattr(module, "groups", 1)
    return (f" {'×'.join(map(str, np.broadcast_to(size, 2)))}" + (f" / {stride}" if stride != "1" else "")
            + (f", dilation {dilation}" if dilation != "1" else "") + (f", groups {groups}" if groups > 1 else ""))


def _pair(value):
    """2 for equal steps both ways, 2×1 otherwise."""
    return "×".join(map(str, dict.fromkeys(np.ravel(value).tolist())))


def _shape(shape):
    """Without the batch; a structure of shapes as it is."""
    if isinstance(shape, tuple):
        return " × ".join(map(str, shape[1:])) or "scalar"
    if isinstance(shape, dict):
        return ", ".join(f"{key}: {_shape(value)}" for key, value in shape.items())
    return ", ".join(map(_shape, shape or []))


def _number(n):
    """Three digits and a letter: 25.6 M."""
    for letter, unit in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if n >= unit:
            digits = f"{n / unit:#.3g}".rstrip(".")
            return f"{digits} {letter}"
    return str(n)
