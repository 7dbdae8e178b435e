"""A picture of the recorded graph, as an SVG string.

Time runs from left to right: leaves at the left, each operation one column behind the last of its arguments, the
output at the right. The drawing follows Sugiyama et al., IEEE Trans. SMC 1981: put nodes into layers, break long
edges at every layer they cross, order each layer by the mean position of its neighbors, then set coordinates.

Lines and text use `currentColor`, so the picture fits light and dark pages; the same graph gives the same bytes.
"""

import html
import weakref
from dataclasses import dataclass, field

import numpy as np

from ..errors import ArgError, GraphError
from .engine import topological
from .op import Meta, Node
from .tensor import Tensor

CHAR, LINE, GAP_X, GAP_Y, MARGIN = 7.3, 16, 46, 18, 10      # pixels; CHAR is the width of one letter
SMALL = 4                                                  # values are shown up to this many elements


def retain_grad(x):
    """Ask for ``x.grad`` of an intermediate result: the gradient of the latest `backward` through it.

    A leaf has its gradient anyway. GraphError when x does not require a gradient. NB: PyTorch adds up the
    gradients of several passes; here the latest one stands.
    """
    if not x.requires_grad:
        raise GraphError("retain_grad: tensor does not require a gradient, expected one that does")
    if x.node is not None:
        x.node.retain = weakref.ref(x)


class Svg(str):
    """The text of an SVG document; notebooks show it as a picture."""

    def _repr_svg_(self):
        return str(self)


def graph(output, *, names=None, max_nodes=500):
    """Draw what `output` was computed from.

    Parameters
    ----------
    output : Tensor
        A computed tensor whose graph has not been freed: draw before `backward`, or pass it retain_graph=True.
    names : dict, optional
        ``{"w": w, ...}``: labels of leaves and other inputs; the others are called x1, x2, ... in order of use.
    max_nodes : int
        ArgError when there are more boxes than this.

    Returns
    -------
    Svg
        A str with an SVG document. A box shows the name, the shape and, up to four elements, value and gradient:
        values of intermediate results where they were computed under `keep_values`, gradients after `backward`
        (of intermediate results after `retain_grad`). Thick: leaf; dashed: input without gradient.

    Raises
    ------
    GraphError
        For a leaf, and for a graph that was freed.
    """
    boxes = _collect(output, names or {}, max_nodes)
    layers = _layers(boxes)
    _place(layers)
    return Svg(_svg(boxes, layers, output))


@dataclass(eq=False)
class _Box:
    kind: str                       # "op", "leaf", "data" or "bend" (where a long edge crosses a layer)
    lines: list = field(default_factory=list)
    sources: list = field(default_factory=list)
    layer: int = 0
    x: float = 0.0
    y: float = 0.0
    column: tuple = (0.0, 0.0)      # left and right side of its layer

    @property
    def width(self):
        return max(map(len, self.lines), default=0) * CHAR + (16 if self.lines else 0)

    @property
    def height(self):
        return len(self.lines) * LINE + (12 if self.lines else 0)


# What is drawn ------------------------------------------------------------------------------------------


def _collect(output, names, max_nodes):
    """Boxes in order of computation; each one's sources come before it."""
    if output.node is None:
        raise GraphError("graph: output is a leaf, expected a tensor that was computed from one")
    order = topological(output.node)
    if any(node.freed for node in order):
        raise GraphError("graph: the graph was freed by backward; draw it before, or pass retain_graph=True")
    labels = {id(tensor): name for name, tensor in names.items()}
    found = {}
    for node in reversed(order):
        sources, scalars = [], []
        for parent, saved in zip(node.parents, node.saved):
            if isinstance(parent, Node):
                sources.append(found[parent])
            elif isinstance(parent, Tensor) or isinstance(saved, (Tensor, Meta)):
                sources.append(_input_box(found, parent, saved, labels))
            elif saved is not None:
                scalars.append(f"{saved:.4g}")
        kept = node.retain() if node.retain is not None else None
        gradient = None if kept is None else kept.grad
        lines = [" ".join([node.op.name, *scalars]), *_facts(node, node.value, gradient)]
        found[node] = _Box("op", lines, sources)
        if len(found) > max_nodes:
            raise ArgError(f"graph: output has more than {max_nodes} boxes (max_nodes); draw a smaller part")
    return list(found.values())


def _input_box(found, parent, saved, labels):
    """Box of a leaf or of an input without gradient; one per Tensor."""
    x = saved if parent is None else parent
    key = object() if isinstance(x, Meta) else id(x)
    if key not in found:
        name = labels.get(id(x)) or f"x{1 + sum(box.kind != 'op' for box in found.values())}"
        values = None if isinstance(x, Meta) else x.data
        found[key] = _Box("data" if parent is None else "leaf", [name, *_facts(x, values, getattr(x, "grad", None))])
    return found[key]


def _facts(x, values, gradient):
    """Lines with the shape, the value and the gradient, as far as they are known and small."""
    lines = [str(x.shape) if x.shape else "scalar"]
    if x.dtype != np.float32:
        lines[0] += f" {x.dtype}"
    if values is not None and 0 < values.size <= SMALL:
        lines.append(_words(values))
    if gradient is not None and 0 < gradient.size <= SMALL:
        lines.append(f"grad {_words(gradient.data)}")
    return lines


def _words(values):
    return ", ".join(f"{v:.4g}" for v in np.ravel(values).tolist())


# Where it is drawn ----------------------------------------------------------------------------------------


def _layers(boxes):
    """Lists of boxes per layer, in a good order; adds the bends."""
    for box in boxes:
        box.layer = 1 + max((s.layer for s in box.sources), default=0) if box.kind == "op" else 0
    users = {box: [u for u in boxes if box in u.sources] for box in boxes if box.kind != "op"}
    for box, using in users.items():                       # an input stands right before its first use
        box.layer = min(u.layer for u in using) - 1
    layers = [[] for _ in range(max(box.layer for box in boxes) + 1)]
    for box in boxes:
        layers[box.layer].append(box)
    bends = {}
    for box in boxes:
        box.sources = [_bent(source, box, layers, bends) for source in box.sources]
    _order(layers)
    return layers


def _bent(source, box, layers, bends):
    """The last bend on the way from `source` to `box`, or `source` if it is in the layer before.

    All edges of one source share their bends, so they run as one line until they part.
    """
    last = source
    for layer in range(source.layer + 1, box.layer):
        if (source, layer) not in bends:
            bends[source, layer] = _Box("bend", sources=[last], layer=layer)
            layers[layer].append(bends[source, layer])
        last = bends[source, layer]
    return last


def _order(layers):
    """Sort each layer by the mean position of its neighbors, sweeping to and fro: few crossings."""
    for _ in range(4):
        for left, right in zip(layers, layers[1:], strict=False):
            row = {box: i for i, box in enumerate(left)}
            right.sort(key=lambda box, row=row: np.mean([row[s] for s in box.sources]) if box.sources else 0)
        for left, right in reversed(list(zip(layers, layers[1:], strict=False))):
            entries = {box: [] for box in left}
            for i, user in enumerate(right):
                for k, source in enumerate(user.sources):
                    entries[source].append(i + k / len(user.sources))
            left.sort(key=lambda box, entries=entries: np.mean(entries[box]) if entries[box] else 0)


def _place(layers):
    """Columns side by side, each centered on the common middle line."""
    tall = max(_tall(layer) for layer in layers)
    x = MARGIN
    for layer in layers:
        wide, y = max(box.width for box in layer), MARGIN + (tall - _tall(layer)) / 2
        for box in layer:
            box.x, box.y, box.column = x + (wide - box.width) / 2, y, (x, x + wide)
            y += box.height + GAP_Y
        x += wide + GAP_X


def _tall(layer):
    return sum(box.height + GAP_Y for box in layer) - GAP_Y


# Drawing --------------------------------------------------------------------------------------------------


def _svg(boxes, layers, output):
    everything = [box for layer in layers for box in layer]
    width = max(box.x + box.width for box in everything) + MARGIN
    height = max(box.y + box.height for box in everything) + MARGIN
    ops = sum(box.kind == "op" for box in boxes)
    alt = _escape(f"Graph of {ops} operations on {len(boxes) - ops} inputs; the result comes from "
                  f"{output.node.op.name} and has shape {output.shape}")
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{alt}" fill="none" stroke="currentColor" '
        'font-family="ui-monospace, monospace" font-size="12">',
        f"<title>{alt}</title>",
        *[_edge(source, box, k) for box in everything for k, source in enumerate(box.sources)],
        *[_drawn(box) for box in boxes], "</svg>\n"])


_FRAMES = {"op": 'rx="9"', "leaf": 'stroke-width="2.5"', "data": 'stroke-dasharray="4 3"'}


def _drawn(box):
    rows = "".join(f'<tspan x="{box.x + box.width / 2:.1f}" dy="{LINE if i else 0}">{_escape(line)}</tspan>'
                   for i, line in enumerate(box.lines))
    return (f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
            f'{_FRAMES[box.kind]}/><text x="{box.x + box.width / 2:.1f}" y="{box.y + LINE + 2:.1f}" '
            f'text-anchor="middle" stroke="none" fill="currentColor">{rows}</text>')


def _edge(source, box, k):
    """Line from the right side of `source` to entry k at the left side of `box`; an arrow unless it is a bend.

    It curves only between the columns, so that it never runs through a neighbor.
    """
    x0, y0 = source.x + source.width, source.y + source.height / 2
    x1, y1 = box.x, box.y + box.height * (k + 1) / (len(box.sources) + 1)
    start, stop = source.column[1], box.column[0]
    mid = (start + stop) / 2
    head = "m-6 -3l6 3l-6 3" if box.kind == "op" else ""
    return (f'<path d="M{x0:.1f} {y0:.1f}H{start:.1f}C{mid:.1f} {y0:.1f} {mid:.1f} {y1:.1f} {stop:.1f} {y1:.1f}'
            f'H{x1:.1f}{head}"/>')


def _escape(text):
    """Safe inside SVG text and attributes; characters that XML forbids become '?'."""
    return html.escape("".join(c if c.isprintable() else "?" for c in text))
