"""Nearest centres: the assignment step of k-means, and the sums of its update step.

Points are given feature by feature, x (D, N), so that neighbouring numbers belong to neighbouring
points: the loops run over a block of points at once, whatever D and K are, and the squared
distances of a block never leave the cache. Differences are formed before they are squared, so that
a point has distance 0 to a centre that equals it (the expansion |x|^2 - 2 x.c + |c|^2 has not).
"""

import numpy as np

from .launch import example, kernel

BLOCK = 512                         # points whose distances are worked on together


def nearest_centers_numpy(x, centers, label, distance):
    """The definition: argmin over k of sum_d (x[d, n] - centers[k, d])^2."""
    distance[...], label[...] = np.inf, 0
    for k, center in enumerate(centers):
        d = ((x - center[:, None]) ** 2).sum(axis=0)
        np.copyto(label, k, where=d < distance)
        np.minimum(distance, d, out=distance)


@kernel(twin=nearest_centers_numpy, out="label distance")
def nearest_centers(start, stop, x, centers, label, distance):
    """An item is a block of points; four features at a time, so that sums are loaded less often."""
    D, N = x.shape
    total = np.empty(BLOCK, x.dtype)
    for item in range(start, stop):
        n = item * BLOCK
        size = min(BLOCK, N - n)
        best, chosen = distance[n:n + size], label[n:n + size]
        best[:] = np.inf
        chosen[:] = 0
        for k in range(len(centers)):
            total[:size] = 0
            for d in range(0, D - D % 4, 4):
                x0, x1, x2, x3 = x[d, n:n + size], x[d + 1, n:n + size], x[d + 2, n:n + size], x[d + 3, n:n + size]
                c0, c1, c2, c3 = centers[k, d], centers[k, d + 1], centers[k, d + 2], centers[k, d + 3]
                for i in range(size):
                    a, b, c, e = x0[i] - c0, x1[i] - c1, x2[i] - c2, x3[i] - c3
                    total[i] += (a * a + b * b) + (c * c + e * e)
            for d in range(D - D % 4, D):
                for i in range(size):
                    a = x[d, n + i] - centers[k, d]
                    total[i] += a * a
            for i in range(size):
                nearer = total[i] < best[i]
                best[i] = total[i] if nearer else best[i]
                chosen[i] = k if nearer else chosen[i]


def sum_members_numpy(x, label, total):
    """total[d, k] = sum of x[d, n] over the points n with label k."""
    for d in range(len(x)):
        total[d] = np.bincount(label, weights=x[d], minlength=total.shape[1])


@kernel(twin=sum_members_numpy, out="total")
def sum_members(start, stop, x, label, total):
    """An item is one feature; its sums are in float64, in the order of the points."""
    for d in range(start, stop):
        total[d] = 0
        for n in range(len(label)):
            total[d, label[n]] += x[d, n]


def nearest(x, centers):
    """The nearest of K centres for each of N points.

    Parameters
    ----------
    x : array (D, N), float32 or float64, finite
        Points as columns.
    centers : array (K, D) of the same dtype, K >= 1

    Returns
    -------
    label : int32 array (N,)
        The lowest k among equally near centres.
    distance : array (N,) of x's dtype
        Squared Euclidean distance to it.
    """
    N = x.shape[1]
    label, distance = np.empty(N, np.int32), np.empty(N, x.dtype)
    nearest_centers(-(-N // BLOCK), x, centers, label, distance)
    return label, distance


def member_sums(x, label, count):
    """Sum (count, D) in float64 of the points x (D, N) of each label (N,) int32 in [0, count)."""
    total = np.empty((len(x), count))
    sum_members(len(x), x, label, total)
    return total.T


@example
def _example(dtype):
    x = np.ones((5, 3), dtype)
    label, _ = nearest(x, np.ones((2, 5), dtype))
    member_sums(x, label, 2)
