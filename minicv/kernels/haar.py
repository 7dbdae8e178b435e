"""Loops of the boosted cascade: feature values of many windows, and stage after stage until a window is rejected.

A rectangle sum is four look-ups in an integral image, so a Haar-like feature is a sparse linear form in it, with six
to nine *taps*:

    value(window) = (1 / std(window)) sum_t coef[t] ii[origin(window) + offset[t]]

`ii` is a flat integral image with a zero row above and a zero column on the left; an origin is the position of a
window's top-left corner in it. The same form serves 24 x 24 patches lying one after the other and all windows of one
image at one scale.
"""

import numpy as np

from .launch import example, kernel

MIN_STD = 0.01                      # a window with less contrast counts as one with this


def feature_rows_numpy(columns, inv_std, offset, coef, y):
    """One matrix product a tap."""
    for f in range(len(y)):
        y[f] = inv_std * (coef[f] @ columns[offset[f]])


def cascade_numpy(ii, sq, origin, corner, area, offset, coef, threshold, vote, ends, bias, passed, margin, used):
    """Stage by stage on all windows that are left."""
    mean = (ii[origin[:, None] + corner] @ _CORNERS) / area
    variance = (sq[origin[:, None] + corner] @ _CORNERS) / area - mean**2
    inv_std = 1 / np.sqrt(np.maximum(variance, MIN_STD**2))
    passed[...], margin[...], used[...] = 0, 0, 0
    left, begin = np.arange(len(origin)), 0
    for s, end in enumerate(ends):
        total = np.zeros(len(left))
        for f in range(begin, end):
            value = inv_std[left] * (ii[origin[left][:, None] + offset[f]] @ coef[f])
            total += np.where(value >= threshold[f], vote[f], -vote[f])
        margin[left] = total - bias[s]
        used[left] += end - begin
        left, begin = left[total >= bias[s]], end
        passed[left] += 1


_CORNERS = np.array([1.0, -1.0, -1.0, 1.0])


@kernel(twin=feature_rows_numpy, out="y")
def feature_rows(start, stop, columns, inv_std, offset, coef, y):
    """columns (positions, N): integral images of N patches, transposed; an item is one feature, a row of y (F, N)."""
    N = y.shape[1]
    for f in range(start, stop):
        total = np.zeros(N)
        for t in range(offset.shape[1]):
            c = coef[f, t]
            if c != 0:
                row = columns[offset[f, t]]
                for n in range(N):
                    total[n] += c * row[n]
        for n in range(N):
            y[f, n] = inv_std[n] * total[n]


@kernel(twin=cascade_numpy, out="passed margin used")
def cascade(start, stop, ii, sq, origin, corner, area, offset, coef, threshold, vote, ends, bias, passed, margin,
            used):
    """An item is one window: how many stages it passed, its margin in the last one it saw, features computed."""
    for n in range(start, stop):
        o = origin[n]
        c0, c1, c2, c3 = o + corner[0], o + corner[1], o + corner[2], o + corner[3]
        mean = (ii[c0] - ii[c1] - ii[c2] + ii[c3]) / area
        variance = (sq[c0] - sq[c1] - sq[c2] + sq[c3]) / area - mean * mean
        std = np.sqrt(max(variance, MIN_STD * MIN_STD))
        begin, stages, gap, alive = 0, 0, 0.0, True
        while alive and stages < ends.shape[0]:
            total = 0.0
            for f in range(begin, ends[stages]):
                value = 0.0
                for t in range(offset.shape[1]):
                    value += coef[f, t] * ii[o + offset[f, t]]
                if value >= threshold[f] * std:
                    total += vote[f]
                else:
                    total -= vote[f]
            gap = total - bias[stages]
            begin = ends[stages]
            if gap >= 0:
                stages += 1
            else:
                alive = False
        passed[n], margin[n], used[n] = stages, gap, begin


@example
def _example(dtype):
    one, none = np.ones((1, 1)), np.zeros((1, 1), np.int64)
    feature_rows(1, one, one[0], none, one, np.empty((1, 1), np.float32))
    out = np.empty(1, np.int64), np.empty(1), np.empty(1, np.int64)
    cascade(1, one[0], one[0], none[0], np.zeros(4, np.int64), 1.0, none, one, one[0], one[0], none[0], one[0], *out)
