"""Loops of assignment: the best one-to-one matching of rows to columns, and the greedy one.

Best: rows join one after another. For each, Dijkstra's algorithm finds the shortest alternating path to a free column
under reduced costs c[i, j] - u[i] - v[j] >= 0, the path is flipped, and the prices u, v are updated so that matched
pairs cost 0 again. O(R^2 C) for R <= C. Among equally near columns a free one comes first, then the lowest index.

References: Jonker & Volgenant, Computing 38 (1987); Crouse, IEEE Trans. AES 52 (2016), section III (rectangular).
"""

import numpy as np

from .launch import example, kernel


def shortest_paths_numpy(cost, columns):
    """The loop with all columns at once."""
    R, C = cost.shape
    u, v, row_of = np.zeros(R), np.zeros(C), np.full(C, -1)
    for new in range(R):
        near, path, done = np.full(C, np.inf), np.full(C, -1), np.zeros(C, bool)
        i, low = new, 0.0
        while True:
            reduced = (low - u[i]) + cost[i] - v
            better = ~done & (reduced < near)
            near[better], path[better] = reduced[better], i
            low = near[~done].min()
            ties = np.flatnonzero(~done & (near == low))
            j = ties[np.argmax(row_of[ties] < 0)]
            done[j] = True
            if row_of[j] < 0:
                break
            i = row_of[j]
        inner = np.flatnonzero(done & (row_of >= 0))
        u[new] += low
        u[row_of[inner]] += low - near[inner]
        v[done] -= low - near[done]
        while True:
            row_of[j] = i = path[j]
            columns[i], j = j, columns[i]
            if i == new:
                break


@kernel(twin=shortest_paths_numpy, out="columns", parallel=False)
def shortest_paths(cost, columns):
    """cost (R, C) float64, finite, R <= C; writes the column of each row (R,), which comes in as -1."""
    R, C = cost.shape
    u, v, row_of = np.zeros(R), np.zeros(C), np.full(C, -1)
    near, path, left = np.empty(C), np.empty(C, np.int64), np.empty(C, np.uint32)
    for new in range(R):
        near[:] = np.inf
        for j in range(C):
            left[j] = j                                         # columns not done: the first C - done of `left`
        i, low, done, j = new, 0.0, 0, -1
        while j < 0 or row_of[j] >= 0:
            i = new if j < 0 else row_of[j]
            base, row, best = low - u[i], cost[i], 0
            low = np.inf
            for k in range(C - done):
                c = left[k]
                reduced = base + row[c] - v[c]
                if reduced < near[c]:
                    near[c], path[c] = reduced, i
                if near[c] <= low:
                    b = left[best]
                    if near[c] < low or row_of[c] < 0 <= row_of[b] or ((row_of[c] < 0) == (row_of[b] < 0) and c < b):
                        low, best = near[c], k
            j = int(left[best])
            done += 1
            left[best], left[C - done] = left[C - done], left[best]
        u[new] += low
        for k in range(C - done, C):
            if row_of[left[k]] >= 0:
                u[row_of[left[k]]] += low - near[left[k]]
            v[left[k]] -= low - near[left[k]]
        while True:
            i = path[j]
            row_of[j] = i
            columns[i], j = j, columns[i]
            if i == new:
                break


def take_greedily_numpy(order, taken, columns):
    """The loop as it is: every step depends on the last."""
    take_greedily.body(order, taken, columns)


@kernel(twin=take_greedily_numpy, out="taken columns", parallel=False)
def take_greedily(order, taken, columns):
    """Goes through flat positions i C + j in `order` and takes each whose row and column are free.

    columns (R,) comes in as -1; `taken` (C,) is scratch of zeros."""
    C, rest = len(taken), min(len(columns), len(taken))
    for k in range(len(order)):
        i, j = order[k] // C, order[k] % C
        if rest > 0 and columns[i] < 0 and taken[j] == 0:
            columns[i], taken[j] = j, 1
            rest -= 1


@example
def _example(dtype):
    shortest_paths(np.zeros((1, 2)), np.full(1, -1))
    take_greedily(np.arange(2), np.zeros(2, np.int64), np.full(1, -1))
