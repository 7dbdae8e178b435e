"""Loops of `softmax`: rows (S, K) of float32, each in one visit while it is in the cache.

The maximum is the part that compilers leave scalar, because NaN makes it depend on the order. Bits of floats,
read as integers, are ordered like the floats once the bits of negative numbers are turned over,

    key(b) = b ^ ((b >> 31) & 0x7fffffff)                                                               (1)

and the maximum of integers is a vector instruction. NaN with a positive sign is the largest key; one with a
negative sign is the smallest and is found by the sum of the exponentials, which it makes NaN.
"""

import numpy as np

from .elementary_loops import exp32
from .launch import kernel, part

SIGN_OFF, SHIFT = np.int32(0x7fffffff), np.int32(31)
LEAST = np.int32(-2**31)
CHUNK = 128                             # exponentials that are summed in float32 before they are added in float64


@part(allow="contract")
def key(b):
    """Equation (1); its own inverse."""
    return np.int32(b ^ np.int32(np.int32(b >> SHIFT) & SIGN_OFF))


@part
def largest(row):
    """Largest value of a row of floats, given as integers."""
    top = LEAST
    for i in range(row.size):
        top = max(top, key(row[i]))
    return np.int32(key(np.int32(top))).view(np.float32)


@part(allow="contract reassoc")
def total(row):
    """Sum of a row of exponentials, float64."""
    found = 0.0
    for start in range(0, row.size, CHUNK):
        chunk = row[start:start + CHUNK]
        near = np.float32(0)
        for i in range(chunk.size):
            near += chunk[i]
        found += near
    return found


def _no_twin(*args):
    raise NotImplementedError                               # the functions above take NumPy instead


@kernel(twin=_no_twin, out="y", allow="contract")
def softmax(start, stop, x, bits, y):
    """y = exp(x - max) / sum; `bits` is x as int32."""
    K = x.shape[1]
    for r in range(start, stop):
        top = largest(bits[r])
        for i in range(K):
            y[r, i] = exp32(x[r, i] - top)
        scale = np.float32(np.divide(1.0, total(y[r])))
        for i in range(K):
            y[r, i] *= scale


@kernel(twin=_no_twin, out="y", allow="contract")
def log_softmax(start, stop, x, bits, y):
    """y = x - max - log sum, for which y holds the exponentials first."""
    K = x.shape[1]
    for r in range(start, stop):
        top = largest(bits[r])
        for i in range(K):
            y[r, i] = exp32(x[r, i] - top)
        rest = np.float32(np.log(total(y[r])))
        for i in range(K):
            y[r, i] = x[r, i] - top - rest


@kernel(twin=_no_twin, out="y", allow="contract")
def logsumexp(start, stop, x, bits, y):
    """y = max + log sum exp(x - max); a row whose maximum is infinite gives it."""
    scratch = np.empty(x.shape[1], np.float32)
    K = x.shape[1]
    for r in range(start, stop):
        top = largest(bits[r])
        shift = top if abs(top) < np.inf else np.float32(0)
        for i in range(K):
            scratch[i] = exp32(x[r, i] - shift)
        y[r] = np.float32(shift + np.log(total(scratch)))


@kernel(twin=_no_twin, out="y p", allow="contract")
def nll(start, stop, x, bits, target, y, p):
    """y = log sum exp(x) - x[target] and p = softmax(x)."""
    K = x.shape[1]
    for r in range(start, stop):
        top = largest(bits[r])
        shift = top if abs(top) < np.inf else np.float32(0)
        for i in range(K):
            p[r, i] = exp32(x[r, i] - shift)
        found = total(p[r])
        y[r] = np.float32(np.log(found) - (np.float64(x[r, target[r]]) - np.float64(shift)))
        scale = np.float32(np.divide(1.0, found))
        for i in range(K):
            p[r, i] *= scale


@part(allow="contract reassoc")
def dot(a, b):
    """Sum of products of two rows, float64 over chunks."""
    found = 0.0
    for start in range(0, a.size, CHUNK):
        first, second = a[start:start + CHUNK], b[start:start + CHUNK]
        near = np.float32(0)
        for i in range(first.size):
            near += first[i] * second[i]
        found += near
    return np.float32(found)


@kernel(twin=_no_twin, out="gx", allow="contract")
def softmax_slope(start, stop, g, y, gx):
    """gx = y (g - sum g y)."""
    K = gx.shape[1]
    for r in range(start, stop):
        mean = dot(g[r], y[r])
        for i in range(K):
            gx[r, i] = y[r, i] * (g[r, i] - mean)


@kernel(twin=_no_twin, out="gx", allow="contract")
def log_softmax_slope(start, stop, g, y, gx):
    """gx = g - exp(y) sum g."""
    K = gx.shape[1]
    for r in range(start, stop):
        size = np.float32(total(g[r]))
        for i in range(K):
            gx[r, i] = g[r, i] - exp32(y[r, i]) * size


@kernel(twin=_no_twin, out="gx", allow="contract")
def nll_slope(start, stop, g, p, target, gx):
    """gx = g (p - [k = target])."""
    K = gx.shape[1]
    for r in range(start, stop):
        slope = g[r]
        for i in range(K):
            gx[r, i] = slope * p[r, i]
        gx[r, target[r]] -= slope


@kernel(twin=_no_twin, out="gx", allow="contract")
def logsumexp_slope(start, stop, g, x, y, gx):
    """gx = g exp(x - y), with 0 for y where that is -inf."""
    K = gx.shape[1]
    for r in range(start, stop):
        slope = g[r]
        shift = np.float32(0) if y[r] == -np.inf else y[r]
        for i in range(K):
            gx[r, i] = slope * exp32(x[r, i] - shift)
