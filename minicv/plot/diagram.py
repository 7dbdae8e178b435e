"""Where the boxes of a network stand: nested frames, steps from top to bottom, branches side by side.

The steps of a frame form a graph from its input to its result. It is taken apart where all paths meet: between two
such points lie branches that do not touch, each of which is taken apart in the same way; a direct way from one point to
the next is a lane, an empty column beside the others. What is neither a series nor parallel stands in one column, with
lanes at its right. Steps in a row that are equal are drawn once.
"""

from dataclasses import dataclass, field

CHAR, LINE = 6.65, 15                       # width and height of a letter, in pixels, at a size of 11
GAP, LANE, PAD, SPACE = 22, 16, 12, 18      # between rows, width of a lane, inside frames, between branches


@dataclass(eq=False)
class Part:
    """Anything with an extent: `left` and `right` of its axis x, `height` below its top y."""

    left: float = 0.0
    right: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0

    def move(self, x, y):
        """Put the axis at x and the top at y."""
        self.x, self.y = x, y


@dataclass(eq=False)
class Box(Part):
    """A step: lines of text, and what is drawn inside. Without lines, a point where lines begin or end."""

    steps: list = field(default_factory=list)           # equal ones share the box
    lines: list = field(default_factory=list)
    kind: str = ""
    inside: Part = None
    boxes: list = field(default_factory=list)           # of `inside`, in order of call
    edges: list = field(default_factory=list)           # (Box, Box, lane or None), points included

    def move(self, x, y):
        """With everything inside."""
        super().move(x, y)
        if self.inside:
            self.inside.move(x, y + PAD / 2 + LINE * len(self.lines))

    @property
    def whole(self):
        """This box and all inside it, frames before their contents."""
        return [self, *[b for box in self.boxes for b in box.whole]]


class Column(Part):
    """Parts below each other on one axis."""

    def __init__(self, parts):
        gaps = GAP * (len(parts) - 1)
        super().__init__(max(p.left for p in parts), max(p.right for p in parts), sum(p.height for p in parts) + gaps)
        self.parts = parts

    def move(self, x, y):
        """With all parts."""
        super().move(x, y)
        for part in self.parts:
            part.move(x, y)
            y += part.height + GAP


class Row(Part):
    """Branches side by side; the axis is that of the only one that is not a lane, or the middle."""

    def __init__(self, parts):
        wide = [p for p in parts if not isinstance(p, Lane)]
        width = sum(p.left + p.right for p in parts) + SPACE * (len(parts) - 1)
        left = wide[0].left if len(wide) == 1 else width / 2
        super().__init__(left, width - left, max(p.height for p in parts))
        self.parts = parts

    def move(self, x, y):
        """With all parts."""
        super().move(x, y)
        x -= self.left
        for part in self.parts:
            part.move(x + part.left, y)
            x += part.left + part.right + SPACE


class Lane(Part):
    """Room for a line past other boxes."""

    def __init__(self):
        super().__init__(LANE / 2, LANE / 2)


class Ladder(Column):
    """Steps in order of call, with lanes at the right for all lines but those between neighbors."""

    def __init__(self, parts, lanes):
        super().__init__(parts)
        self.lanes, self.wide = lanes, self.right
        self.right += SPACE + LANE * len(lanes)

    def move(self, x, y):
        """With all parts and lanes."""
        super().move(x, y)
        for k, lane in enumerate(self.lanes):
            lane.move(x + self.wide + SPACE / 2 + LANE * (k + 0.5), y)


def diagram(step, depth, text):
    """The Box of a step, placed, with `depth` levels of steps inside.

    text : function from a list of equal steps to the lines of their box and a word about its look
    """
    box = _box([step], depth, text)
    box.move(box.left + PAD, PAD)
    return box


def _box(steps, depth, text):
    lines, kind = text(steps)
    box = Box(steps=steps, lines=lines, kind=kind)
    half = max(map(len, box.lines), default=0) * CHAR / 2 + (8 if steps[0].module else 5)
    box.left = box.right = max(half, 11)
    box.height = LINE * len(box.lines) + (9 if steps[0].module else 7)
    if depth > 0 and steps[0].steps:
        _fill(box, depth, text)
        box.kind = "frame"
        box.left, box.right = max(half, box.inside.left + PAD), max(half, box.inside.right + PAD)
        box.height = LINE * len(box.lines) + box.inside.height + PAD / 2
    return box


def _fill(box, depth, text):
    """Everything inside: equal steps together, lines between them, their arrangement."""
    scope = box.steps[0]
    groups = _equal_runs(scope)
    box.boxes = [_box(group, depth - 1, text) for group in groups]
    number = {step: k for k, group in enumerate(groups) for step in group} | {scope: -1}
    n = len(groups)
    edges = {(number[s], k) for k, group in enumerate(groups) for s in group[0].sources}
    edges |= {(number[s], n) for s in scope.results}
    lanes, ends = {}, {-1: Box(), n: Box()}
    boxes = ends | dict(enumerate(box.boxes))
    middle = _parallel(list(range(n)), -1, n, _Graph(edges, boxes, lanes))
    box.inside = Column([ends[-1], middle, ends[n]])
    box.edges = [(boxes[a], boxes[b], lanes.get((a, b))) for a, b in sorted(edges)]


def _equal_runs(scope):
    """Lists of steps: one follows the other and looks like it, and nothing else reads what is between."""
    readers = {}
    for step in [*scope.steps, scope]:
        for source in scope.results if step is scope else step.sources:
            readers.setdefault(source, []).append(step)
    groups = []
    for step in scope.steps:
        last = groups[-1][-1] if groups else None
        if last and step.sources == [last] and readers[last] == [step] and _look(step) == _look(last):
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def _look(step):
    return (repr(step.module), step.output) if step.module and step.steps else id(step)


# Taking apart -----------------------------------------------------------------------------------------------


@dataclass
class _Graph:
    edges: set          # (a, b): numbers of boxes; what comes first has the smaller number
    boxes: dict         # number: Box
    lanes: dict         # edge: Lane, filled on the way


def _parallel(items, start, stop, graph):
    """The branches between two points that all paths go through."""
    parts = [_series(branch, start, stop, graph) for branch in _branches(items, graph)]
    if (start, stop) in graph.edges and items:
        graph.lanes[start, stop] = Lane()
        parts.append(graph.lanes[start, stop])
    return parts[0] if len(parts) == 1 else Row(parts) if parts else Box()


def _series(items, start, stop, graph):
    """One branch: the points inside it that all paths go through, and what is between them."""
    inner = {start, *items, stop}
    edges = [(a, b) for a, b in graph.edges if a in inner and b in inner and (a, b) != (start, stop)]
    cuts = [v for v in items if not any(a < v < b for a, b in edges)]
    if not cuts:
        return _ladder(items, edges, graph)
    parts = []
    for a, b in zip([start, *cuts], [*cuts, stop], strict=True):
        between = [v for v in items if a < v < b]
        if between:
            parts.append(_parallel(between, a, b, graph))
        if b != stop:
            parts.append(graph.boxes[b])
    return Column(parts)


def _branches(items, graph):
    """Lists of the items that are connected among themselves."""
    group = {v: {v} for v in items}
    for a, b in graph.edges:
        if a in group and b in group and group[a] is not group[b]:
            group[a] |= group[b]
            for v in group[b]:
                group[v] = group[a]
    return list({id(g): sorted(g) for g in group.values()}.values())


def _ladder(items, edges, graph):
    row = [min(a for a, _ in edges), *items, max(b for _, b in edges)]
    neighbors = set(zip(row, row[1:], strict=False))
    for edge in sorted(edges, key=lambda e: (e[1] - e[0], e)):
        if edge not in neighbors:
            graph.lanes[edge] = Lane()
    lanes = [graph.lanes[e] for e in sorted(edges, key=lambda e: (e[1] - e[0], e)) if e in graph.lanes]
    return Ladder([graph.boxes[v] for v in items], lanes)


# Lines ------------------------------------------------------------------------------------------------------


def route(source, target, lane):
    """Corners of the line from one box to another: down, across in the gap, down again; a lane ends at the side."""
    x0, y0, x1, y1 = source.x, source.y + source.height, target.x, target.y
    if lane is None:
        if x0 == x1:
            return [(x0, y0), (x1, y1)]
        across = y1 - GAP / 2
        return [(x0, y0), (x0, across), (x1, across), (x1, y1)]
    ends = [(lane.x, y1 - GAP / 2), (x1, y1 - GAP / 2), (x1, y1)]
    if target.lines and target.right < 40 and not target.inside:
        ends = [(lane.x, y1 + target.height / 2), (x1 + target.right, y1 + target.height / 2)]
    return [(x0, y0), (x0, y0 + GAP / 2), (lane.x, y0 + GAP / 2), *ends]
