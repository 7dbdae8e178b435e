"""Growing decision trees level by level: sort the samples of each node, scan for the best split, part them.

All nodes of a level, of one tree or of many, are worked on at once. Node j owns the samples
``index[first[j]:first[j + 1]]``, which ascend. Features are compared by rank: ``rank[f, n]`` counts the distinct
values of feature f below that of sample n, so that sorting is a matter of integers.

A split sends rank <= low to the left. Its gain is the fall of weight times impurity,

    gini:     sum_c L_c^2 / L + sum_c R_c^2 / R - sum_c T_c^2 / T
    entropy:  sum_c g(L_c) - g(L) + sum_c g(R_c) - g(R) - sum_c g(T_c) + g(T),  g(t) = t log2 t
    squares:  S_L^2 / L + S_R^2 / R - S^2 / T

with L_c, R_c, T_c the weight of class c on the left, the right and in the node, and S the weighted
sum of the targets. Gains within `TIE` of the node's weight are equal; then the lowest feature wins,
then the lowest threshold.
"""

import numpy as np

from .launch import example, kernel

SMALL = 40                          # up to here insertion is faster than counting digits
TIE = 1e-12
LOW = 2 ** 32 - 1                   # a key is rank * 2^32 + sample


def sort_samples_numpy(rank, index, first, features, keys):
    """Keys of the samples of every node, sorted; row q is for the node's feature number q."""
    for node, (a, b) in enumerate(zip(first, first[1:])):
        keys[:, a:b] = np.sort((rank[features[node]][:, index[a:b]].astype(np.int64) << 32) | index[a:b], axis=1)


@kernel(twin=sort_samples_numpy, out="keys")
def sort_samples(start, stop, rank, index, first, features, keys):
    """An item is one feature of one node: insertion if it is small, else by the rank's bytes."""
    W, n = keys.shape
    other, count = np.empty(n, np.int64), np.empty(257, np.int64)
    for item in range(start, stop):
        node = item // W
        q = item - node * W
        a, b, f = first[node], first[node + 1], features[node, q]
        k, size, largest = keys[q, a:b], b - a, 0
        for i in range(size):
            r = np.int64(rank[f, index[a + i]])
            k[i] = (r << 32) | index[a + i]
            largest = max(largest, r)
        if size <= SMALL:
            for i in range(1, size):
                key, j = k[i], i - 1
                while j >= 0 and k[j] > key:
                    k[j + 1] = k[j]
                    j -= 1
                k[j + 1] = key
            continue
        shift = 32
        while largest > 0:
            count[:] = 0
            for i in range(size):
                count[((k[i] >> shift) & 255) + 1] += 1
            for i in range(256):
                count[i + 1] += count[i]
            for i in range(size):
                byte = (k[i] >> shift) & 255
                other[count[byte]] = k[i]
                count[byte] += 1
            k[:] = other[:size]
            shift, largest = shift + 8, largest >> 8


def scan_classes_numpy(keys, first, features, tree, y, weight, num_classes, min_leaf, entropy,
                       gain, feature, low, high):
    """Cumulative class weights of each sorted node, and the formulas of the module."""
    def purity(count):
        total = count.sum(axis=-1)
        if entropy:
            return _plogp(count).sum(axis=-1) - _plogp(total)
        return (count ** 2).sum(axis=-1) / np.where(total > 0, total, 1)

    for node, (a, b) in enumerate(zip(first, first[1:])):
        for q, f in enumerate(features[node]):
            sample = keys[q, a:b] & LOW
            one_hot = np.eye(num_classes)[y[sample]] * weight[tree[node], sample, None]
            total = one_hot.sum(axis=0)
            left = one_hot.cumsum(axis=0)[:-1]
            gains = purity(left) + purity(total - left) - purity(total)
            _keep_best(gains, keys[q, a:b] >> 32, min_leaf, TIE * total.sum(), f, node, gain, feature, low, high)


def scan_values_numpy(keys, first, features, tree, y, weight, min_leaf, gain, feature, low, high):
    """Cumulative sums of each sorted node."""
    for node, (a, b) in enumerate(zip(first, first[1:])):
        for q, f in enumerate(features[node]):
            sample = keys[q, a:b] & LOW
            w, v = weight[tree[node], sample], y[sample]
            left, S = w.cumsum()[:-1], (w * v).cumsum()[:-1]
            T, total = w.sum(), (w * v).sum()
            gains = S ** 2 / left + (total - S) ** 2 / (T - left) - total ** 2 / T
            _keep_best(gains, keys[q, a:b] >> 32, min_leaf, TIE * (w * v * v).sum(), f, node, gain, feature, low, high)


def _plogp(p):
    return p * np.log2(np.where(p > 0, p, 1))


def _keep_best(gains, ranks, min_leaf, tie, f, node, gain, feature, low, high):
    """Take the best split of a feature into the results of its node, if it is better."""
    i = np.arange(1, len(ranks))
    allowed = (ranks[:-1] < ranks[1:]) & (i >= min_leaf) & (len(ranks) - i >= min_leaf)
    for s in np.flatnonzero(allowed):
        if gains[s] > gain[node] + tie or (gains[s] > gain[node] - tie and f < feature[node]):
            gain[node], feature[node], low[node], high[node] = gains[s], f, ranks[s], ranks[s + 1]


@kernel(twin=scan_classes_numpy, out="gain feature low high")
def scan_classes(start, stop, keys, first, features, tree, y, weight, num_classes, min_leaf, entropy,
                 gain, feature, low, high):
    """An item is a node. `left_score` and `right_score` are kept up to date as samples move to the left."""
    left, right = np.empty(num_classes), np.empty(num_classes)
    for node in range(start, stop):
        a, b, t = first[node], first[node + 1], tree[node]
        best, chosen = gain[node], feature[node]
        for q in range(len(keys)):
            f, k = features[node, q], keys[q, a:b]
            left[:], right[:] = 0.0, 0.0
            for i in range(len(k)):
                n = k[i] & LOW
                right[y[n]] += weight[t, n]
            L, T, left_score, right_score = 0.0, right.sum(), 0.0, 0.0
            for c in range(num_classes):
                if entropy:
                    right_score += right[c] * np.log2(right[c]) if right[c] > 0 else 0.0
                else:
                    right_score += right[c] * right[c]
            node_score = right_score - T * np.log2(T) if entropy else right_score / T
            for i in range(len(k) - 1):
                n = k[i] & LOW
                c, w = y[n], weight[t, n]
                l, r = left[c], right[c]
                left[c], right[c], L = l + w, r - w, L + w
                if entropy:
                    left_score += (l + w) * np.log2(l + w) - (l * np.log2(l) if l > 0 else 0.0)
                    right_score += ((r - w) * np.log2(r - w) if r > w else 0.0) - r * np.log2(r)
                else:
                    left_score += w * (2 * l + w)
                    right_score -= w * (2 * r - w)
                if k[i] >> 32 == k[i + 1] >> 32 or i + 1 < min_leaf or len(k) - i - 1 < min_leaf or L >= T:
                    continue
                R = T - L
                if entropy:
                    fall = left_score - L * np.log2(L) + right_score - R * np.log2(R) - node_score
                else:
                    fall = left_score / L + right_score / R - node_score
                if fall > best + TIE * T or (fall > best - TIE * T and f < chosen):
                    best, chosen, low[node], high[node] = fall, f, k[i] >> 32, k[i + 1] >> 32
        gain[node], feature[node] = best, chosen


@kernel(twin=scan_values_numpy, out="gain feature low high")
def scan_values(start, stop, keys, first, features, tree, y, weight, min_leaf, gain, feature, low, high):
    """An item is a node."""
    for node in range(start, stop):
        a, b, t = first[node], first[node + 1], tree[node]
        best, chosen = gain[node], feature[node]
        for q in range(len(keys)):
            f, k = features[node, q], keys[q, a:b]
            T = total = squares = L = S = 0.0
            for i in range(len(k)):
                n = k[i] & LOW
                T += weight[t, n]
                total += weight[t, n] * y[n]
                squares += weight[t, n] * y[n] * y[n]
            for i in range(len(k) - 1):
                n = k[i] & LOW
                L += weight[t, n]
                S += weight[t, n] * y[n]
                if k[i] >> 32 == k[i + 1] >> 32 or i + 1 < min_leaf or len(k) - i - 1 < min_leaf or L >= T:
                    continue
                fall = S * S / L + (total - S) * (total - S) / (T - L) - total * total / T
                if fall > best + TIE * squares or (fall > best - TIE * squares and f < chosen):
                    best, chosen, low[node], high[node] = fall, f, k[i] >> 32, k[i + 1] >> 32
        gain[node], feature[node] = best, chosen


def part_samples_numpy(rank, index, first, feature, low, out, middle):
    """Left samples first, then right ones, in their old order; `middle` is where the right ones begin."""
    for node, (a, b) in enumerate(zip(first, first[1:])):
        left = rank[feature[node], index[a:b]] <= low[node]
        out[a:b] = np.concatenate([index[a:b][left], index[a:b][~left]])
        middle[node] = a + left.sum()


@kernel(twin=part_samples_numpy, out="out middle")
def part_samples(start, stop, rank, index, first, feature, low, out, middle):
    """An item is a node: right samples wait at the end of its range, then turn around."""
    for node in range(start, stop):
        a, b, f, r = first[node], first[node + 1], feature[node], low[node]
        left, right = a, b
        for i in range(a, b):
            n = index[i]
            if rank[f, n] <= r:
                out[left] = n
                left += 1
            else:
                right -= 1
                out[right] = n
        middle[node] = left
        i, j = left, b - 1
        while i < j:
            out[i], out[j] = out[j], out[i]
            i += 1
            j -= 1


def find_leaves_numpy(x, feature, threshold, left, right, leaf):
    """All samples go down one level at a time."""
    leaf[...] = 0
    while (inner := feature[leaf] >= 0).any():
        n = np.flatnonzero(inner)
        node = leaf[n]
        leaf[n] = np.where(x[n, feature[node]] <= threshold[node], left[node], right[node])


@kernel(twin=find_leaves_numpy, out="leaf")
def find_leaves(start, stop, x, feature, threshold, left, right, leaf):
    """An item is a sample."""
    for n in range(start, stop):
        node = 0
        while feature[node] >= 0:
            node = left[node] if x[n, feature[node]] <= threshold[node] else right[node]
        leaf[n] = node


@example
def _example(dtype):
    rank, index, first = np.array([[0, 1]], np.int32), np.arange(2, dtype=np.int32), np.array([0, 2])
    features, keys, weight = np.zeros((1, 1), np.int32), np.empty((1, 2), np.int64), np.ones((1, 2))
    sort_samples(1, rank, index, first, features, keys)
    ints = np.zeros(1, np.int32)
    found = np.full(1, -np.inf), *(np.zeros(1, np.int32) for _ in range(3))
    scan_classes(1, keys, first, features, ints, index, weight, 2, 1, False, *found)
    scan_values(1, keys, first, features, ints, np.zeros(2), weight, 1, *found)
    part_samples(1, rank, index, first, ints, ints, np.empty(2, np.int32), np.empty(1, np.int64))
    find_leaves(1, np.ones((1, 1), dtype), -np.ones(1, np.int32), np.zeros(1), ints, ints, np.empty(1, np.int32))
