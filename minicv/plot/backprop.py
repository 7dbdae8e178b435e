"""Backpropagation on the graph of a computation with numbers, one node at a time."""

from ..errors import ArgError
from .overlay import document, shape, words
from .player import Player
from .style import PALETTE

COLUMN, ROW, WIDTH, HEIGHT = 104, 66, 74, 24         # points


def backprop_player(output, names=None, *, title="Gradients on a graph", **options):
    """A `Player` of the backward sweep: values first, then each node passes its gradient on.

    Parameters
    ----------
    output : Scalar, or any number with `data` and `sources`, pairs (argument, derivative by the argument)
        Gradients that it may hold already are neither read nor changed.
    names : dict or None
        ``{"x": x, ...}``: names of nodes; the others are v1, v2, ... in order of computation.
    title, **options
        As `Player`.

    Blue: the value, from left to right; orange: the gradient, from right to left; on each edge its local derivative.
    Hovering over a node tells value and gradient in full, over an edge what it passes on.

    Raises
    ------
    ArgError
        If `output` was computed from nothing.

    >>> from minicv.autograd.scalar import Scalar
    >>> x = Scalar(3.0)
    >>> backprop_player(x * x, {"x": x}).labels[-1]
    'v1 passes 1 back: x gets 1 · 3 + 1 · 3, together 6'
    """
    order = _computed(output)
    if len(order) < 2:
        raise ArgError("backprop_player: output has no sources, expected a number computed from others")
    named = {id(node): name for name, node in (names or {}).items()}
    free = (f"v{k}" for k in range(1, len(order) + 1))
    titles = {id(node): named.get(id(node)) or next(free) for node in order}
    places, size = _places(order)
    gradient, drawn, labels = {}, [], []

    def show(label, active=None):
        drawn.append(document(*size, _shapes(order, places, titles, gradient, active)))
        labels.append(label)

    show("all values are known, no gradient yet")
    gradient[id(output)] = 1.0
    show(f"the derivative of {titles[id(output)]} by itself is 1", output)
    for node in reversed(order):
        for source, slope in node.sources:
            gradient[id(source)] = gradient.get(id(source), 0.0) + gradient[id(node)] * slope
        if node.sources:
            show(_story(node, titles, gradient), node)
    return Player(drawn, title=title, labels=labels, **{"interval": 1500, "width": round(1.3 * size[0]), **options})


def _computed(output):
    """Every node that the output depends on, each after its sources; without recursion."""
    found, seen, stack = [], set(), [(output, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            found.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(source, False) for source, _ in reversed(node.sources)]
    return found


def _places(order):
    """Middles {id: (x, y)} in columns: a node right of its sources, an input left of its first use; and the size."""
    column = {}
    for node in order:
        column[id(node)] = 1 + max((column[id(source)] for source, _ in node.sources), default=-1)
    for node in reversed(order):
        if not node.sources:
            column[id(node)] = min(column[id(user)] for user in order if any(s is node for s, _ in user.sources)) - 1
    columns = [[node for node in order if column[id(node)] == c] for c in range(max(column.values()) + 1)]
    tall, top = max(map(len, columns)), 36
    top += 34 * any(column[id(node)] - column[id(source)] > 1 for node in order for source, _ in node.sources)
    places = {id(node): (50 + COLUMN * c, top + ROW * (r + (tall - len(nodes)) / 2))
              for c, nodes in enumerate(columns) for r, node in enumerate(nodes)}
    return places, (100 + COLUMN * (len(columns) - 1), top + 40 + ROW * (tall - 1))


def _story(node, titles, gradient):
    """What the node does, in words."""
    got, shares = gradient[id(node)], {}
    for source, slope in node.sources:
        shares.setdefault(id(source), []).append(f"{got:.3g} · {slope:.3g}")
    parts = [f"{titles[key]} gets {' + '.join(some)}, together {gradient[key]:.3g}" for key, some in shares.items()]
    return f"{titles[id(node)]} passes {got:.3g} back: " + "; ".join(parts)


def _shapes(order, places, titles, gradient, active):
    """Edges below, their derivatives, nodes with values and gradients."""
    edges = [(node, k, source, slope) for node in order for k, (source, slope) in enumerate(node.sources)]
    return [*[_edge(places, gradient, active, *edge) for edge in edges],
            *[_node(node, places[id(node)], titles, gradient, node is active) for node in order],
            *[_slope(places, *edge) for edge in edges]]


def _ends(places, node, k, source):
    """Where an edge begins and ends, and its bend: edges past other columns rise, double ones part."""
    (x0, y0), (x1, y1) = places[id(source)], places[id(node)]
    twins, columns = [s is source for s, _ in node.sources], round((x1 - x0) / COLUMN)
    bow = 16 * (2 * sum(twins[:k]) - sum(twins) + 1) - (34 + 10 * columns if columns > 1 else 0)
    return x0 + WIDTH / 2, y0, x1 - WIDTH / 2, y1, (x0 + x1) / 2, (y0 + y1) / 2 + bow


def _edge(places, gradient, active, node, k, source, slope):
    x0, y0, x1, y1, xm, ym = _ends(places, node, k, source)
    hot = node is active
    passed = gradient.get(id(node))
    told = f"local derivative {slope:.6g}" + (f", passes {passed * slope:.6g}" if hot and passed is not None else "")
    path = f"M{x0:.1f} {y0:.1f}Q{xm:.1f} {2 * ym - (y0 + y1) / 2:.1f} {x1:.1f} {y1:.1f}m-6 -3l6 3l-6 3"
    return shape("path", d=path, stroke=PALETTE[1] if hot else "#888", stroke_width=2 if hot else 1, title=told)


def _slope(places, node, k, source, slope):
    *_, xm, ym = _ends(places, node, k, source)
    return words(xm, ym + 3, f"{slope:.2f}", fill="#444", font_size=8, stroke="#fff", stroke_width=3,
                 paint_order="stroke")


def _node(node, place, titles, gradient, active):
    x, y = place
    name, passed = titles[id(node)], gradient.get(id(node))
    told = f"{name} = {node.data:.6g}" + ("" if passed is None else f", gradient {passed:.6g}")
    box = shape("rect", x=x - WIDTH / 2, y=y - HEIGHT / 2, width=WIDTH, height=HEIGHT, rx=8 if node.sources else 0,
                fill="#FFE8CC" if active else "#fff", stroke="#000", stroke_width=1 if node.sources else 2)
    texts = [words(x, y + 4, name, fill="#000", font_size=11),
             words(x, y - HEIGHT / 2 - 5, f"{node.data:.3g}", fill=PALETTE[0], font_size=10)]
    if passed is not None:
        texts.append(words(x, y + HEIGHT / 2 + 12, f"{passed:.3g}", fill="#B34E00", font_size=10, font_weight="bold"))
    return shape("g", box, *texts, title=told)
