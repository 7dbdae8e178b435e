"""Graph-based segmentation: the loop over sorted edges that joins pixels into regions.

A region C has a size |C| and an internal difference Int(C), the largest edge of its minimum spanning tree (0 for one
pixel). Edges come sorted by weight w; an edge between two regions A and B joins them if

    w <= min(Int(A) + k / |A|, Int(B) + k / |B|)

and then Int(A and B) = w, because no earlier edge was heavier. A second pass over the same edges joins every region
smaller than `min_size` to the neighbour that is closest.

Reference: Felzenszwalb & Huttenlocher, Efficient Graph-Based Image Segmentation, IJCV 2004, algorithm 1 and equation 4.
"""

import numpy as np

from .launch import example, kernel


def join_edges(edges, weights, num_nodes, k, min_size):
    """Regions of a weighted graph.

    Parameters
    ----------
    edges : int64 array (2, E), nodes in [0, num_nodes)
    weights : float64 array (E,), in ascending order
    num_nodes : int
    k : float > 0, in units of the weights
    min_size : int, in nodes

    Returns
    -------
    int64 array (num_nodes,): for each node the representative of its region, one of the region's nodes.
    """
    parent = np.arange(num_nodes)
    join(edges, weights, float(k), int(min_size), parent, np.ones(num_nodes, np.int64), np.zeros(num_nodes))
    return parent


def join_numpy(edges, weights, k, min_size, parent, size, internal):
    """The definition with a label for every node: joining renames all nodes of one region."""
    pairs = list(zip(*edges.tolist(), weights.tolist(), strict=True))
    members = [[i] for i in range(len(parent))]
    for small_only in (False, True):
        for a, b, w in pairs:
            a, b = int(parent[a]), int(parent[b])
            if small_only:
                joins = min(size[a], size[b]) < min_size
            else:
                joins = w <= min(internal[a] + k / size[a], internal[b] + k / size[b])
            if a != b and joins:
                a, b = (a, b) if size[a] >= size[b] else (b, a)
                parent[members[b]] = a
                members[a] += members[b]
                size[a] += size[b]
                internal[a] = w


@kernel(twin=join_numpy, out="parent size internal", parallel=False)
def join(edges, weights, k, min_size, parent, size, internal):
    """Union by size with path halving; both passes use the same trees."""
    for small_only in range(2):
        for e in range(weights.shape[0]):
            a, b, w = edges[0, e], edges[1, e], weights[e]
            while parent[a] != a:
                parent[a] = parent[parent[a]]
                a = parent[a]
            while parent[b] != b:
                parent[b] = parent[parent[b]]
                b = parent[b]
            if a == b:
                continue
            if small_only == 1:
                joins = min(size[a], size[b]) < min_size
            else:
                joins = w <= min(internal[a] + k / size[a], internal[b] + k / size[b])
            if joins:
                if size[a] < size[b]:
                    a, b = b, a
                parent[b] = a
                size[a] += size[b]
                internal[a] = w
    for i in range(parent.shape[0]):
        root = i
        while parent[root] != root:
            root = parent[root]
        parent[i] = root


@example
def _example(dtype):
    join_edges(np.array([[0], [1]]), np.zeros(1), 2, 1.0, 1)
