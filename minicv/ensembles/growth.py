"""Growing binary trees: the loop over levels that decision trees and forests share.

Trees grow breadth first, all trees of a group at once; nothing recurses. Which features a node may
look at is drawn from the stream of its tree, so that the result does not depend on the group.
"""

from typing import NamedTuple

import numpy as np

from ..kernels.tree import part_samples, scan_classes, scan_values, sort_samples
from .stump import midpoint

BUFFER = 2 ** 22                    # keys held at once; more features are looked at one window after the other


class Ranks(NamedTuple):
    """rank[f, n]: how many distinct values of feature f are below that of sample n; values[f]: these, ascending."""

    rank: np.ndarray
    values: list


class Tree(NamedTuple):
    """A grown tree as arrays over its nodes (M,), the root first, parents before children.

    feature : int32, -1 at leaves
    threshold : float64; x[feature] <= threshold goes to the left
    left, right : int32, numbers of the children, -1 at leaves
    value : float64 (M, K)
        Weight of each class, or the weighted mean of the targets (M, 1).
    weight : float64, of the training samples that reach the node
    samples : int64, their number
    gain : float64, fall of weight times impurity by the split, 0 at leaves
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    weight: np.ndarray
    samples: np.ndarray
    gain: np.ndarray

    @property
    def depth(self):
        """Longest way from the root to a leaf."""
        depth = np.zeros(len(self.feature), np.int64)
        for node in np.flatnonzero(self.feature >= 0):
            depth[[self.left[node], self.right[node]]] = depth[node] + 1
        return int(depth.max())

    def importances(self, num_features):
        """Share (D,) of each feature in the gain of all splits; zeros without splits."""
        inner = self.feature >= 0
        total = np.bincount(self.feature[inner], self.gain[inner], minlength=num_features)
        return total / total.sum() if total.sum() > 0 else total


class Rules(NamedTuple):
    """When and how nodes are split. criterion: "gini", "entropy" or "squared_error"; the rest are integers."""

    criterion: str
    max_depth: float
    min_samples_leaf: int
    max_features: int
    num_classes: int


def rank_features(x) -> Ranks:
    """Ranks (D, N) int32 of x (N, D)."""
    rank, values = np.empty(x.shape[::-1], np.int32), []
    for row, column in zip(rank, x.T):
        distinct, row[:] = np.unique(column, return_inverse=True)
        values.append(distinct)
    return Ranks(rank, values)


def grow(ranks, y, weights, rules, rngs) -> list[Tree]:
    """Grow one tree for each row of `weights` (T, N); samples of weight 0 are left out.

    y : int32 (N,) class numbers, or float64 targets with the criterion "squared_error"
    rngs : a Generator for each tree
    """
    tree, index = np.nonzero(weights)
    level = _Level(index.astype(np.int32), np.searchsorted(tree, np.arange(len(weights) + 1)),
                   np.arange(len(weights), dtype=np.int32))
    levels, count, depth = [], 0, 0
    while len(level.tree):
        value, weight, impure = _statistics(level, y, weights, rules)
        size = np.diff(level.first)
        able = impure & (size >= 2 * rules.min_samples_leaf) & (depth < rules.max_depth)
        split = _best_splits(level, able, ranks.rank, y, weights, rules, rngs)
        inner = split.feature >= 0
        child = count + len(size) + 2 * (np.cumsum(inner) - 1)
        left = np.where(inner, child, -1)
        threshold = [midpoint(ranks.values[f][a], ranks.values[f][b]) if f >= 0 else 0.0
                     for f, a, b in zip(split.feature, split.low, split.high)]
        gain = np.where(inner, np.maximum(split.gain, 0), 0)
        right = np.where(inner, left + 1, -1)
        levels.append((level.tree, split.feature, np.array(threshold), left, right, value, weight, size, gain))
        count, depth, level = count + len(size), depth + 1, _descend(level, split, ranks.rank)
    return _trees([np.concatenate(column) for column in zip(*levels)], len(weights))


class _Level(NamedTuple):
    """Node j belongs to tree[j] and owns index[first[j]:first[j + 1]]."""

    index: np.ndarray
    first: np.ndarray
    tree: np.ndarray

    def part(self, chosen):
        """The level with some of its nodes only."""
        size = np.diff(self.first)
        mine = np.repeat(chosen, size)
        return _Level(self.index[mine], np.concatenate([[0], np.cumsum(size[chosen])]), self.tree[chosen])


class _Splits(NamedTuple):
    gain: np.ndarray
    feature: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def none(cls, count):
        """No split yet, for `count` nodes; any split is better."""
        return cls(np.full(count, -np.inf), *(np.full(count, -1, np.int32) for _ in range(3)))


def _statistics(level, y, weights, rules):
    """Value (M, K) and weight (M,) of each node, and whether it holds different targets."""
    M = len(level.tree)
    node = np.repeat(np.arange(M), np.diff(level.first))
    w, t = weights[level.tree[node], level.index], y[level.index]
    weight = np.bincount(node, w, M)
    if rules.criterion == "squared_error":
        low, high = (f.reduceat(t, level.first[:-1]) for f in (np.minimum, np.maximum))
        mean = np.clip(np.bincount(node, w * t, M) / weight, low, high)
        return mean[:, None], weight, low < high
    K = rules.num_classes
    value = np.bincount(node * K + t, w, M * K).reshape(M, K)
    return value, weight, (value > 0).sum(axis=1) > 1


def _best_splits(level, able, rank, y, weights, rules, rngs):
    """The best split of each node among the features it draws, and feature -1 for nodes that get none."""
    found = _Splits.none(len(able))
    order = _draw_features(level.tree[able], len(rank), rules.max_features, rngs)
    pending, seen = np.flatnonzero(able), 0
    while len(pending) and seen < len(rank):
        part = level.part(np.isin(np.arange(len(able)), pending))
        width = max(1, min(rules.max_features - seen % rules.max_features, BUFFER // max(1, len(part.index))))
        features = order[:, seen:seen + width]
        splits = _Splits(*(a[pending] for a in found))
        _scan(part, features, rank, y, weights, rules, splits)
        for whole, some in zip(found, splits):
            whole[pending] = some
        seen += features.shape[1]
        done = (splits.feature >= 0) & (seen % rules.max_features == 0)     # whole draws only, however windows fall
        pending, order = pending[~done], order[~done]
    return found


def _scan(part, features, rank, y, weights, rules, splits):
    keys = np.empty((features.shape[1], len(part.index)), np.int64)
    features = np.ascontiguousarray(features)
    sort_samples(features.size, rank, part.index, part.first, features, keys)
    if rules.criterion == "squared_error":
        scan_values(len(part.tree), keys, part.first, features, part.tree, y, weights, rules.min_samples_leaf, *splits)
    else:
        scan_classes(len(part.tree), keys, part.first, features, part.tree, y, weights, rules.num_classes,
                     rules.min_samples_leaf, rules.criterion == "entropy", *splits)


def _draw_features(tree, count, max_features, rngs):
    """The order (M, D) in which each node looks at the features: random if it does not look at all of them."""
    if max_features == count:
        return np.broadcast_to(np.arange(count, dtype=np.int32), (len(tree), count))
    drawn = [rngs[t].random((n, count), np.float32) for t, n in zip(*np.unique(tree, return_counts=True))]
    return np.concatenate(drawn).argsort(axis=1).astype(np.int32) if drawn else np.empty((0, count), np.int32)


def _descend(level, split, rank):
    """The level below: two nodes for each that was split."""
    inner = split.feature >= 0
    part = level.part(inner)
    index, middle = np.empty_like(part.index), np.empty(len(part.tree), np.int64)
    part_samples(len(middle), rank, part.index, part.first, split.feature[inner], split.low[inner], index, middle)
    first = np.concatenate([[0], np.stack([middle, part.first[1:]], axis=1).ravel()])
    return _Level(index, first, np.repeat(part.tree, 2))


def _trees(columns, count):
    """Nodes of all trees, level after level, as one `Tree` each; children get their number in the tree."""
    tree, feature, threshold, left, right, *rest = columns
    order = np.argsort(tree, kind="stable")
    start = np.searchsorted(tree[order], np.arange(count + 1))
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order)) - start[tree[order]]
    left, right = (np.where(a >= 0, number[a], -1).astype(np.int32) for a in (left, right))
    return [Tree(*(a[order[s:e]] for a in (feature, threshold, left, right, *rest))) for s, e in zip(start, start[1:])]
