"""Hierarchical grouping: join the most similar neighbours until one region is left.

With S superpixels there are S - 1 joins; join t makes region S + t of two older ones, so the 2 S - 1 regions form a
binary tree whose root is the whole image.

Reference: Uijlings et al., Selective Search for Object Recognition, IJCV 2013, algorithm 1.
"""

import heapq
from typing import NamedTuple

import numpy as np

from ...errors import ArgError, DTypeError, ShapeError
from .regions import MEASURES, Regions, describe, neighbor_pairs, union
from .superpixels import check_image


class Hierarchy(NamedTuple):
    """A tree of regions over superpixels."""

    labels: np.ndarray       # (H, W) int64, superpixels 0 ... S - 1
    merges: np.ndarray       # (S - 1, 2) int64: join t makes region S + t of these two
    similarity: np.ndarray   # (S - 1,) float64, of the two
    boxes: np.ndarray        # (2 S - 1, 4) float64 xyxy, of all regions; the last is the whole image
    sizes: np.ndarray        # (2 S - 1,) float64, pixels

    def after(self, joins):
        """Region of every pixel (H, W) after that many joins; `after(0)` are the superpixels."""
        region = np.arange(len(self.sizes))
        first = len(self.sizes) - len(self.merges)
        for t, pair in enumerate(self.merges[:joins]):
            region[np.isin(region, pair)] = first + t
        return region[self.labels]


def group(labels, image, measures=tuple(MEASURES)):
    """Build the hierarchy over superpixels.

    labels (H, W) int64, segments 0 ... S - 1; image (C, H, W) in [0, 1], in the colour space to compare in;
    measures: names of `MEASURES` whose sum is the similarity. Of equally similar pairs the oldest regions join.

    Raises ShapeError, DTypeError, ArgError unless labels are of the image's size and every number below the largest
    occurs, the image has values in [0, 1] and the measures are known.
    """
    image = check_image("group", image)
    _check_labels(labels, image.shape[1:])
    if not measures or set(measures) - set(MEASURES):
        raise ArgError(f"group: measures is {measures!r}, expected some of {tuple(MEASURES)}")
    table = _Table(describe(labels, image), [MEASURES[name] for name in measures], labels.size)
    neighbors = _neighbor_sets(neighbor_pairs(labels), len(table.size))
    queue = []
    for a, near in enumerate(neighbors):
        table.push(queue, a, [b for b in near if b > a])
    merges, similarity = [], []
    while len(merges) < len(neighbors) - len(merges) - 1:
        s, a, b = heapq.heappop(queue)
        if neighbors[a] is None or neighbors[b] is None:   # one of them has joined another region
            continue
        merges.append((a, b))
        similarity.append(-s)
        new = table.join(a, b)
        near = (neighbors[a] | neighbors[b]) - {a, b}
        neighbors[a] = neighbors[b] = None
        neighbors.append(near)
        for r in near:
            neighbors[r] = neighbors[r] - {a, b} | {new}
        table.push(queue, new, sorted(near))
    return Hierarchy(labels, np.array(merges, np.int64).reshape(-1, 2), np.array(similarity), table.rows().box,
                     table.rows().size)


def _check_labels(labels, size):
    if np.shape(labels) != size:
        raise ShapeError(f"group: labels has shape {np.shape(labels)}, expected {size} as image")
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"group: labels has dtype {labels.dtype}, expected integers")
    if labels.min() < 0 or labels.max() >= labels.size or not np.bincount(labels.ravel()).all():
        raise ArgError(f"group: labels reach from {labels.min()} to {labels.max()}, expected every segment 0 ... S - 1")


def _neighbor_sets(pairs, count):
    sets = [set() for _ in range(count)]
    for a, b in pairs.tolist():
        sets[a].add(b)
        sets[b].add(a)
    return sets


class _Table:
    """Features of all regions, with room for those that joining makes."""

    def __init__(self, regions, measures, pixels):
        self.used, self.measures, self.pixels = len(regions.size), measures, pixels
        self.all = Regions(*(np.concatenate([x, np.zeros((len(x) - 1, *x.shape[1:]))]) for x in regions))

    @property
    def size(self):
        return self.all.size[:self.used]

    def rows(self, index=slice(None)):
        return Regions(*(x[index] for x in self.all))

    def join(self, a, b):
        """Append the union of two regions; its number."""
        for column, value in zip(self.all, union(self.rows(a), self.rows(b)), strict=True):
            column[self.used] = value
        self.used += 1
        return self.used - 1

    def push(self, queue, a, others):
        """Queue the pairs of region a with others, the most similar first, then the oldest."""
        if not others:
            return
        one, many = self.rows([a]), self.rows(others)
        similarity = sum(measure(one, many, self.pixels) for measure in self.measures)
        for s, b in zip(similarity.tolist(), others, strict=True):
            heapq.heappush(queue, (-s, min(a, b), max(a, b)))
