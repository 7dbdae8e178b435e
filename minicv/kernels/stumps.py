"""Decision stumps: the best threshold of every feature in one pass over samples sorted beforehand.

A stump says +1 above a threshold and -1 elsewhere, or the opposite. Give each sample the signed
weight w y with y in {-1, +1}. Moving the threshold past a sample changes the weight of the errors
by exactly that number, so with c = the sum over samples that are not above the threshold

    error of polarity +1 = W_neg + c,      error of polarity -1 = W_pos - c,

and a feature is as good as its lowest or highest c. The scan keeps these two numbers and nothing
else; where they occur is asked only of the feature that wins.

The order of the samples does not depend on the weights: it is made once and serves all rounds of
boosting. Entry s of a row is n where a threshold may follow sample n, and ~n (negative) where the
next sample has the same value.
"""

import numpy as np

from ..errors import ShapeError
from .launch import example, kernel


def sort_features(x):
    """Order (d, N) int32 of the samples of x (N, d) by every feature; equal values are marked.

    NaN must be ruled out before.
    """
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[0] < 1:
        raise ShapeError(f"sort_features: x has shape {x.shape}, expected (N, d) with N >= 1")
    order = np.empty(x.shape[::-1], np.int32)
    for row, column in zip(order, x.T):
        index = np.argsort(column, kind="stable")
        value = column[index]
        row[:-1] = np.where(value[:-1] == value[1:], ~index[:-1], index[:-1])
        row[-1] = index[-1]
    return order


def scan_features_numpy(order, signed, low, high):
    """Cumulative sums, looked at where a threshold may stand."""
    for f, row in enumerate(order):
        c = np.cumsum(signed[np.where(row < 0, ~row, row)])[row >= 0]
        low[f], high[f] = c.min(), c.max()


@kernel(twin=scan_features_numpy, out="low high")
def scan_features(start, stop, order, signed, low, high):
    """An item is four features, scanned side by side: each has to wait for its own sum only."""
    d, N = order.shape
    for item in range(start, stop):
        f = 4 * item
        f1, f2, f3 = min(f + 1, d - 1), min(f + 2, d - 1), min(f + 3, d - 1)
        a, b, c, e = order[f], order[f1], order[f2], order[f3]
        a_sum = b_sum = c_sum = e_sum = 0.0
        a_low = b_low = c_low = e_low = np.inf
        a_high = b_high = c_high = e_high = -np.inf
        for s in range(N):
            i, j, k, l = a[s], b[s], c[s], e[s]
            a_sum += signed[i ^ (i >> 31)]                  # i, or ~i where i is negative
            b_sum += signed[j ^ (j >> 31)]
            c_sum += signed[k ^ (k >> 31)]
            e_sum += signed[l ^ (l >> 31)]
            a_low = a_sum if i >= 0 and a_sum < a_low else a_low
            b_low = b_sum if j >= 0 and b_sum < b_low else b_low
            c_low = c_sum if k >= 0 and c_sum < c_low else c_low
            e_low = e_sum if l >= 0 and e_sum < e_low else e_low
            a_high = a_sum if i >= 0 and a_sum > a_high else a_high
            b_high = b_sum if j >= 0 and b_sum > b_high else b_high
            c_high = c_sum if k >= 0 and c_sum > c_high else c_high
            e_high = e_sum if l >= 0 and e_sum > e_high else e_high
        low[f], low[f1], low[f2], low[f3] = a_low, b_low, c_low, e_low
        high[f], high[f1], high[f2], high[f3] = a_high, b_high, c_high, e_high


def scan_stumps(order, signed):
    """Lowest and highest sum of signed weights below a threshold, for every feature.

    Parameters
    ----------
    order : int32 array (d, N)
        From `sort_features`.
    signed : array (N,)
        w y, the weight of each sample with the sign of its class; summed in float64.

    Returns
    -------
    low, high : float64 arrays (d,)
    """
    d, N = order.shape
    if signed.shape != (N,):
        raise ShapeError(f"scan_stumps: signed has shape {signed.shape}, expected ({N},)")
    low, high = np.empty(d), np.empty(d)
    scan_features(-(-d // 4), order, signed.astype(np.float64, copy=False), low, high)
    return low, high


@example
def _example(dtype):
    scan_stumps(sort_features(np.eye(3, dtype=dtype)), np.ones(3, dtype))
