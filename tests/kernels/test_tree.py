"""Kernels that grow trees.

Proved here: sorting by insertion and by bytes equals NumPy's sort for ranks of one to three bytes; scans equal the
formulas of impurity over all splits, for counts and for real weights, and keep what was better before; parting is
stable; leaves are those of a walk; each kernel equals its twin; nothing is written outside.
"""

import numpy as np
import pytest

from minicv.kernels import tree as K

pytestmark = pytest.mark.ch5


def level(sizes, D=3, top=9, seed=0):
    """Nodes of these sizes over shuffled samples: rank (D, N), index, first, features (M, 2)."""
    rng = np.random.default_rng(seed)
    N = sum(sizes)
    rank = rng.integers(0, top, (D, N)).astype(np.int32)
    features = np.stack([rng.permutation(D)[:2] for _ in sizes]).astype(np.int32)
    first = np.concatenate([[0], np.cumsum(sizes)])
    index = np.concatenate([np.sort(part) for part in np.split(rng.permutation(N), first[1:-1])])
    return rank, index.astype(np.int32), first, features


@pytest.mark.parametrize("top", [1, 9, 300, 70_000, 20_000_000])
def test_sorting_equals_numpys(top):
    rank, index, first, features = level([1, 2, K.SMALL, K.SMALL + 1, 700], top=top)
    keys, twin = np.empty((2, len(index)), np.int64), np.empty((2, len(index)), np.int64)
    K.sort_samples(features.size, rank, index, first, features, keys)
    K.sort_samples_numpy(rank, index, first, features, twin)
    assert np.array_equal(keys, twin)
    for node, (a, b) in enumerate(zip(first, first[1:])):
        for q in (0, 1):
            pairs = sorted((rank[features[node, q], n], n) for n in index[a:b])
            assert [(k >> 32, k & K.LOW) for k in keys[q, a:b]] == pairs


def impurity(y, w, kind, classes=4):
    """Weight times impurity."""
    if kind == "squared_error":
        return (w * (y - np.average(y, weights=w)) ** 2).sum()
    p = np.bincount(y, w, classes) / w.sum()
    return w.sum() * (1 - (p ** 2).sum() if kind == "gini" else -(p[p > 0] * np.log2(p[p > 0])).sum())


def best_by_definition(rank, samples, features, y, w, kind, min_leaf):
    best = (-np.inf, -1, -1, -1)
    for f in sorted(features):
        values = np.unique(rank[f, samples])
        for low, high in zip(values, values[1:]):
            left = samples[rank[f, samples] <= low]
            right = samples[rank[f, samples] > low]
            if min(len(left), len(right)) >= min_leaf:
                fall = impurity(y[samples], w[samples], kind) - sum(impurity(y[s], w[s], kind) for s in (left, right))
                if fall > best[0] + 1e-9:
                    best = (fall, f, low, high)
    return best


@pytest.mark.parametrize("weights", ["counts", "real"])
@pytest.mark.parametrize("kind", ["gini", "entropy", "squared_error"])
@pytest.mark.parametrize("min_leaf", [1, 3])
def test_scans_find_the_split_of_lowest_impurity(kind, weights, min_leaf):
    rank, index, first, features = level([1, 2, 3, 5, 20, 60], seed=min_leaf)
    rng = np.random.default_rng(1)
    shape = (2, len(index))
    weight = rng.integers(1, 4, shape).astype(float) if weights == "counts" else rng.uniform(0.1, 2, shape)
    y = rng.standard_normal(shape[1]) if kind == "squared_error" else rng.integers(0, 4, shape[1]).astype(np.int32)
    trees = (np.arange(6) % 2).astype(np.int32)
    keys = np.empty((2, len(index)), np.int64)
    K.sort_samples(features.size, rank, index, first, features, keys)
    results = []
    for twin in (False, True):
        found = np.full(6, -np.inf), *(np.full(6, -1, np.int32) for _ in range(3))
        if kind == "squared_error":
            scan, settings = (K.scan_values_numpy if twin else K.scan_values), (min_leaf,)
        else:
            scan, settings = (K.scan_classes_numpy if twin else K.scan_classes), (4, min_leaf, kind == "entropy")
        scan(*() if twin else (6,), keys, first, features, trees, y, weight, *settings, *found)
        results.append(found)
        for node, (a, b) in enumerate(zip(first, first[1:])):
            best = best_by_definition(rank, index[a:b], features[node], y, weight[trees[node]], kind, min_leaf)
            assert found[0][node] == pytest.approx(best[0], abs=1e-9)
            assert tuple(f[node] for f in found[1:]) == best[1:]
    for ours, theirs in zip(*results):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_a_scan_keeps_what_was_better_before():
    rank, index, first, features = level([30])
    keys = np.empty((2, 30), np.int64)
    K.sort_samples(2, rank, index, first, features, keys)
    found = np.array([1e9]), *(np.array([v], np.int32) for v in (7, 1, 2))
    y = np.random.default_rng(0).integers(0, 2, 30).astype(np.int32)
    K.scan_classes(1, keys, first, features, np.zeros(1, np.int32), y, np.ones((1, 30)), 2, 1, False, *found)
    assert [f[0] for f in found] == [1e9, 7, 1, 2]


def test_parting_keeps_the_order_and_stays_inside():
    rank, index, first, features = level([1, 2, 9, 40])
    feature, low = features[:, 0].copy(), np.array([0, 4, 3, 5], np.int32)
    out, middle = np.full(60, -7, np.int32), np.empty(4, np.int64)
    K.part_samples(4, rank, index, first, feature, low, out[4:56], middle)
    assert (out[:4] == -7).all() and (out[56:] == -7).all()
    for node, (a, b) in enumerate(zip(first, first[1:])):
        left = [n for n in index[a:b] if rank[feature[node], n] <= low[node]]
        right = [n for n in index[a:b] if rank[feature[node], n] > low[node]]
        assert out[4:][a:b].tolist() == left + right and middle[node] == a + len(left)
    twin, middle2 = np.empty(52, np.int32), np.empty(4, np.int64)
    K.part_samples_numpy(rank, index, first, feature, low, twin, middle2)
    assert np.array_equal(twin, out[4:56]) and np.array_equal(middle, middle2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_leaves_are_those_of_a_walk(dtype):
    feature, threshold = np.array([1, -1, 0, -1, -1], np.int32), np.array([0.5, 0, -1.0, 0, 0])
    left, right = np.array([1, -1, 3, -1, -1], np.int32), np.array([2, -1, 4, -1, -1], np.int32)
    x = np.array([[0, 0.5], [-1, 0.6], [0, 0.6], [-2, 3], [5, -9]], dtype)
    leaf, twin = np.empty(5, np.int32), np.empty(5, np.int32)
    K.find_leaves(5, x, feature, threshold, left, right, leaf)
    K.find_leaves_numpy(x, feature, threshold, left, right, twin)
    assert leaf.tolist() == twin.tolist() == [1, 3, 4, 3, 1]
