"""Windows as columns of a matrix, in PyTorch's order, and the adjoint that adds them back.

    columns[n, (c P + p) Q + q, i J + j] = x[n, c, i s + p d - top, j s + q d - left]

Copies of strided views are all there is to it, so NumPy alone does it at full speed.
"""

import numpy as np

from ..errors import ShapeError
from .layout import check_images
from .windows import output_size, pads, pair, windows


def unfold(x, kernel, *, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    """Columns (N, C P Q, I J) of x (N, C, H, W); `kernel` is (P, Q)."""
    check_images("unfold", x=x)
    kernel, stride, padding, dilation = _settings("unfold", kernel, stride, padding, dilation)
    I, J = output_size("unfold", x.shape[2:], kernel, stride, padding, dilation)
    v = windows(x, kernel, stride, padding, dilation)           # (N, C, I, J, P, Q)
    N, C, P, Q = *x.shape[:2], *kernel
    return v.transpose(0, 1, 4, 5, 2, 3).reshape(N, C * P * Q, I * J)


def fold(columns, kernel, *, size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    """Adjoint of `unfold`: columns (N, C P Q, I J) added up into (N, C, H, W), `size` = (H, W)."""
    kernel, stride, padding, dilation = _settings("fold", kernel, stride, padding, dilation)
    H, W = pair("fold", "size", size)
    I, J = output_size("fold", (H, W), kernel, stride, padding, dilation)
    (P, Q), (sh, sw) = kernel, stride
    if columns.ndim != 3 or columns.shape[1] % (P * Q) or columns.shape[2] != I * J:
        raise ShapeError(f"fold: columns has shape {columns.shape}, expected (N, C * {P * Q}, "
                         f"{I * J}) for size {(H, W)} and kernel {kernel}")
    v = columns.reshape(len(columns), columns.shape[1] // (P * Q), P, Q, I, J)
    (top, bottom), (left, right) = padding
    x = np.zeros((*v.shape[:2], H + top + bottom, W + left + right), columns.dtype)
    for p in range(P):
        for q in range(Q):
            h, w = p * dilation[0], q * dilation[1]
            x[:, :, h:h + (I - 1) * sh + 1:sh, w:w + (J - 1) * sw + 1:sw] += v[:, :, p, q]
    return np.ascontiguousarray(x[:, :, top:top + H, left:left + W])


def _settings(function, kernel, stride, padding, dilation):
    return (pair(function, "kernel", kernel), pair(function, "stride", stride),
            pads(function, padding), pair(function, "dilation", dilation))
