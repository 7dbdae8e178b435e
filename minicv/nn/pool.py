"""Pooling layers; the functions of the same name are in `autograd.pool`."""

from ..autograd import pool as ops
from ..errors import ArgError
from .check import pair
from .module import Module


class _Pool(Module):
    def _window(self, kernel_size, stride, padding, ceil_mode):
        where = type(self).__name__
        self.kernel_size = pair(where, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair(where, "stride", stride)
        self.padding, self.ceil_mode = pair(where, "padding", padding, low=0), bool(ceil_mode)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ArgError(f"{where}: padding is {self.padding}, expected at most half of "
                           f"kernel_size = {self.kernel_size}, so that no window is all padding")

    def extra_repr(self):
        """Window."""
        return (f"{self.kernel_size}, stride={self.stride}" + (f", padding={self.padding}" if any(self.padding) else "")
                + (", ceil_mode=True" if self.ceil_mode else ""))


class MaxPool2d(_Pool):
    """Largest value of each window.

    Shapes: x (N, C, H, W) -> (N, C, I, J), I = (H + 2 padding - dilation (P - 1) - 1) // stride + 1.

    Parameters
    ----------
    kernel_size : int or pair
    stride : int or pair, default kernel_size
    padding : int or pair, default 0
        At most half of the kernel (L7); padding is never the maximum.
    dilation : int or pair, default 1
    ceil_mode : bool, default False
        Round the output size up; a window always starts inside the image or its left padding.
    """

    def __init__(self, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False):
        self._window(kernel_size, stride, padding, ceil_mode)
        self.dilation = pair("MaxPool2d", "dilation", dilation)

    def forward(self, x):
        """x (N, C, H, W) -> (N, C, I, J)."""
        return ops.max_pool2d(x, size=self.kernel_size, stride=self.stride, padding=self.padding,
                              dilation=self.dilation, ceil_mode=self.ceil_mode)


class AvgPool2d(_Pool):
    """Mean of each window.

    Shapes: x (N, C, H, W) -> (N, C, I, J).

    Parameters
    ----------
    kernel_size, stride, padding, ceil_mode
        As `MaxPool2d`.
    count_include_pad : bool, default True
        Divide by the whole window, zeros of the padding included.
    """

    def __init__(self, kernel_size, *, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        self._window(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = bool(count_include_pad)

    def forward(self, x):
        """x (N, C, H, W) -> (N, C, I, J)."""
        return ops.avg_pool2d(x, size=self.kernel_size, stride=self.stride, padding=self.padding,
                              ceil_mode=self.ceil_mode, count_include_pad=self.count_include_pad)


class L2Pool2d(_Pool):
    """Root of the mean square of each window (FaceNet's pooling). Parameters as `MaxPool2d`, without dilation."""

    def __init__(self, kernel_size, *, stride=None, padding=0, ceil_mode=False):
        self._window(kernel_size, stride, padding, ceil_mode)

    def forward(self, x):
        """x (N, C, H, W) -> (N, C, I, J)."""
        return ops.l2_pool2d(x, size=self.kernel_size, stride=self.stride, padding=self.padding,
                             ceil_mode=self.ceil_mode)


class AdaptiveAvgPool2d(Module):
    """Means over a grid of cells of any image: x (N, C, H, W) -> (N, C, I, J).

    Parameters
    ----------
    size : int or (I, J)
    """

    whole = True                # the receptive field depends on the size of the image

    def __init__(self, size):
        self.size = pair(type(self).__name__, "size", size)

    def forward(self, x):
        """x (N, C, H, W) -> (N, C, I, J)."""
        return ops.adaptive_avg_pool2d(x, size=self.size)

    def extra_repr(self):
        """Size of the result."""
        return f"{self.size}"


class AdaptiveMaxPool2d(AdaptiveAvgPool2d):
    """Maxima over a grid of cells of any image: x (N, C, H, W) -> (N, C, I, J).

    Parameters
    ----------
    size : int or (I, J)
    """

    def forward(self, x):
        """x (N, C, H, W) -> (N, C, I, J)."""
        return ops.adaptive_max_pool2d(x, size=self.size)


class GlobalAvgPool2d(Module):
    """Mean over all positions: x (N, C, H, W) -> (N, C). NB: flattens, unlike AdaptiveAvgPool2d(1)."""

    whole = True

    def forward(self, x):
        """x (N, C, H, W) -> (N, C)."""
        return ops.global_avg_pool(x)
