"""The loop that joins graph nodes into regions.

Proved here: it equals the definition with sets and minimum spanning trees found independently; the loop, its twin
and the compiled form agree; isolated nodes, no edges, ties and min_size; the result is neither too fine nor too
coarse in the sense of the paper; no memory outside the outputs is written.
"""

import numpy as np
import pytest

from minicv.kernels import segment
from minicv.kernels.segment import join_edges

pytestmark = pytest.mark.ch4


def random_graph(rng, nodes, edges, levels=None):
    """Sorted random edges; few `levels` make ties."""
    pairs = rng.integers(nodes, size=(2, edges))
    pairs = pairs[:, pairs[0] != pairs[1]]
    w = rng.random(pairs.shape[1]) if levels is None else rng.integers(levels, size=pairs.shape[1]).astype(float)
    order = np.argsort(w, kind="stable")
    return np.ascontiguousarray(pairs[:, order]), w[order]


def heaviest_of_tree(nodes, edges, weights):
    """Largest edge of the minimum spanning tree of a connected node set, by Prim's algorithm."""
    inside, largest = {min(nodes)}, 0.0
    while inside != nodes:
        w, new = min((w, a if b in inside else b) for a, b, w in zip(*edges.tolist(), weights, strict=True)
                     if {a, b} <= nodes and (a in inside) != (b in inside))
        inside.add(new)
        largest = max(largest, w)
    return largest


def by_definition(edges, weights, nodes, k, min_size):
    """Algorithm 1 with sets; Int is computed afresh for every edge."""
    regions = [{i} for i in range(nodes)]
    for small_only in (False, True):
        for a, b, w in zip(*edges.tolist(), weights.tolist(), strict=True):
            A, B = (next(r for r in regions if x in r) for x in (a, b))
            if A is B:
                continue
            bound = min(heaviest_of_tree(R, edges, weights) + k / len(R) for R in (A, B))
            if min(len(A), len(B)) < min_size if small_only else w <= bound:
                regions = [r for r in regions if r is not A and r is not B] + [A | B]
    return {frozenset(r) for r in regions}


def as_sets(parent):
    return {frozenset(np.flatnonzero(parent == p).tolist()) for p in np.unique(parent)}


@pytest.mark.parametrize("seed", range(12))
def test_regions_equal_the_definition(seed):
    rng = np.random.default_rng(seed)
    edges, weights = random_graph(rng, 14, 24, levels=(None, 4)[seed % 2])
    k, min_size = rng.uniform(0.1, 3), int(rng.integers(1, 5))
    assert as_sets(join_edges(edges, weights, 14, k, min_size)) == by_definition(edges, weights, 14, k, min_size)


@pytest.mark.parametrize("seed", range(4))
def test_twin_loop_and_compiled_form_agree(seed):
    edges, weights = random_graph(np.random.default_rng(seed), 200, 900, levels=(None, 7)[seed % 2])
    results = []
    for run in (segment.join, segment.join.twin, segment.join.body):
        parent, size, internal = np.arange(200), np.ones(200, np.int64), np.zeros(200)
        run(edges, weights, 0.5, 3, parent, size, internal)
        results.append(as_sets(parent))
        assert all(size[p] == (parent == p).sum() for p in np.unique(parent))
    assert results[0] == results[1] == results[2] and 1 < len(results[0]) < 200


def test_no_edges_leave_every_node_alone():
    assert join_edges(np.zeros((2, 0), np.int64), np.zeros(0), 5, 1.0, 3).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(5))
def test_result_is_not_too_fine(seed):
    """Theorem 1 of the paper: between regions that stayed apart there is evidence for a boundary."""
    k, nodes = 0.8, 30
    edges, weights = random_graph(np.random.default_rng(seed), nodes, 90)
    parent = join_edges(edges, weights, nodes, k, 1)
    bound = {p: heaviest_of_tree(set(np.flatnonzero(parent == p).tolist()), edges, weights) + k / (parent == p).sum()
             for p in np.unique(parent)}
    apart = parent[edges[0]] != parent[edges[1]]
    assert apart.any()
    for pair in {tuple(sorted(p)) for p in parent[edges[:, apart]].T.tolist()}:
        between = min(w for a, b, w in zip(*parent[edges].tolist(), weights, strict=True) if {a, b} == set(pair))
        assert between > min(bound[p] for p in pair)


def test_nothing_is_written_outside_the_outputs():
    edges, weights = random_graph(np.random.default_rng(0), 20, 60)
    guarded = [np.full(24, 77), np.full(24, 77), np.full(24, 77.0)]
    for array, start in zip(guarded, (np.arange(20), 1, 0), strict=True):
        array[2:22] = start
    segment.join(edges, weights, 0.5, 2, *(array[2:22] for array in guarded))
    assert all((array[[0, 1, 22, 23]] == 77).all() for array in guarded)
