"""Masks as runs: how many pixels two run-length codes have in common."""

import numpy as np

from .launch import example, kernel


def run_overlap_numpy(a, a_starts, b, b_starts, pairs, y):
    """With F(p) = pixels of b before position p, which is linear between run ends, a run [s, e) of a shares
    F(e) - F(s) pixels with b."""
    for k, (m, n) in enumerate(pairs):
        ends, counts = np.cumsum(a[a_starts[m]:a_starts[m + 1]]), b[b_starts[n]:b_starts[n + 1]]
        before = np.cumsum(counts * (np.arange(len(counts)) % 2))
        shared = np.interp(ends, np.append(0, np.cumsum(counts)), np.append(0, before))
        y[k] = (shared[1::2] - shared[0::2][:len(ends) // 2]).sum()


@kernel(twin=run_overlap_numpy, out="y")
def run_overlap(start, stop, a, a_starts, b, b_starts, pairs, y):
    """y[k] = number of pixels that masks a[pairs[k, 0]] and b[pairs[k, 1]] share.

    Mask m of a has the runs a[a_starts[m]:a_starts[m + 1]], background first. Both lists of runs are walked
    side by side, always to the nearer of the two run ends.
    """
    for k in range(start, stop):
        i, i_end = a_starts[pairs[k, 0]], a_starts[pairs[k, 0] + 1]
        j, j_end = b_starts[pairs[k, 1]], b_starts[pairs[k, 1] + 1]
        i_first, j_first, total = i, j, 0
        left_a = a[i] if i < i_end else 0
        left_b = b[j] if j < j_end else 0
        while i < i_end and j < j_end:
            step = left_a if left_a < left_b else left_b
            if (i - i_first) & (j - j_first) & 1:
                total += step
            left_a -= step
            left_b -= step
            if left_a == 0:
                i += 1
                left_a = a[i] if i < i_end else 0
            if left_b == 0:
                j += 1
                left_b = b[j] if j < j_end else 0
        y[k] = total


@example
def _example(dtype):
    runs, starts, y = np.array([1, 2, 1]), np.array([0, 3]), np.zeros(1, np.int64)
    run_overlap(1, runs, starts, runs, starts, np.zeros((1, 2), np.int64), y)
