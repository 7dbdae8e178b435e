"""Convolution and its two adjoints as formulas: the explanation of `conv` and its oracle.

Arguments are those of the functions without ``_numpy``, as pairs, and are not checked.
"""

import numpy as np

from .windows import windows


def conv2d_numpy(x, w, *, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """`conv2d` as the formula: windows times filter, summed over c, p and q in each group."""
    v = windows(x, w.shape[2:], stride, padding, dilation)      # (N, C, I, J, P, Q)
    v = v.reshape(len(x), groups, w.shape[1], *v.shape[2:])
    y = np.einsum("nkcijpq,kocpq->nkoij", v, w.reshape(groups, -1, *w.shape[1:]), optimize=True)
    return y.reshape(len(x), len(w), *y.shape[3:])


def conv2d_input_numpy(g, w, *, size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1),
                       groups=1):
    """`conv2d_input` as the formula: every g adds its filter to its window of the padded image."""
    (N, O, I, J), (_, C, P, Q) = g.shape, w.shape
    (top, bottom), (left, right) = padding
    gx = np.zeros((N, groups, C, size[0] + top + bottom, size[1] + left + right),
                  np.result_type(g, w))
    v = np.einsum("nkoij,kocpq->nkcijpq", g.reshape(N, groups, O // groups, I, J),
                  w.reshape(groups, O // groups, C, P, Q), optimize=True)
    for p in range(P):
        for q in range(Q):
            rows = p * dilation[0] + stride[0] * np.arange(I)
            columns = q * dilation[1] + stride[1] * np.arange(J)
            gx[..., rows[:, None], columns] += v[..., p, q]
    return gx[..., top:top + size[0], left:left + size[1]].reshape(N, groups * C, *size)


def conv2d_filter_numpy(x, g, *, size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1),
                        groups=1):
    """`conv2d_filter` as the formula: windows times g, summed over n, i and j in each group."""
    N, O, I, J = g.shape
    v = windows(x, size, stride, padding, dilation)[:, :, :I, :J]
    v = v.reshape(N, groups, x.shape[1] // groups, *v.shape[2:])
    g = g.reshape(N, groups, O // groups, I, J)
    gw = np.einsum("nkcijpq,nkoij->kocpq", v, g, optimize=True)
    return gw.reshape(O, *gw.shape[2:])
