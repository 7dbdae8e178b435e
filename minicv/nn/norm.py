"""Normalisation layers: they own scale, shift and running statistics; the mathematics is in `autograd.normalize`."""

import numpy as np

from ..autograd import normalize as ops
from ..autograd.modes import no_grad
from ..errors import ArgError, ShapeError
from . import init
from .check import channels, divisible, integer, number
from .module import Buffer, Module, Parameter


def _scale_and_shift(module, shape, affine):
    module.weight = Parameter(init.ones(shape)) if affine else None
    module.bias = Parameter(init.zeros(shape)) if affine else None


class _BatchNorm(Module):
    ranks, layout = (), ""

    def __init__(self, num_features, *, eps=1e-5, momentum=0.1, affine=True):
        where = type(self).__name__
        self.num_features = integer(where, "num_features", num_features)
        self.eps = number(where, "eps", eps, low=0)
        self.momentum = momentum if momentum is None else number(where, "momentum", momentum, low=0, high=1)
        _scale_and_shift(self, (self.num_features,), affine)
        self.running_mean = Buffer(init.zeros((self.num_features,)))
        self.running_var = Buffer(init.ones((self.num_features,)))
        self.num_batches_tracked = Buffer(np.array(0, np.int64))

    def forward(self, x, residual=None, activation=None):
        """x (N, C, ...) -> the same shape; with `residual` of that shape added, then `activation` (None or "relu").

        ``norm(x, r, "relu")`` is ``relu(norm(x) + r)`` in one pass, forward and backward.
        """
        where = type(self).__name__
        if x.ndim not in self.ranks:
            raise ShapeError(f"{where}: x has shape {x.shape}, expected {self.layout}")
        channels(where, x, self.num_features, layout=self.layout)
        y, mean, var = ops.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var,
                                      residual=residual, activation=activation, training=self.training,
                                      momentum=self._weight_of_batch(), eps=self.eps)
        if self.training and x.size:
            self._remember(mean, var)
        return y

    def _weight_of_batch(self):
        """The momentum; None stands for the plain average of all batches so far."""
        return 1 / (self.num_batches_tracked.item() + 1) if self.momentum is None else self.momentum

    def _remember(self, mean, var):
        with no_grad():
            self.running_mean.copy_(mean)
            self.running_var.copy_(var)
            self.num_batches_tracked += 1

    def extra_repr(self):
        """Size, and the settings that are not the default."""
        return (f"{self.num_features}" + (f", eps={self.eps}" if self.eps != 1e-5 else "")
                + (f", momentum={self.momentum}" if self.momentum != 0.1 else "")
                + ("" if self.weight is not None else ", affine=False"))


class BatchNorm2d(_BatchNorm):
    r"""Normalises each channel over batch and positions: :math:`y = \gamma (x - m)/\sqrt{v + \epsilon} + \beta`.

    In training m and v are those of the batch, and each forward pass moves the running statistics by
    ``momentum`` towards them, once, also under `no_grad`. In evaluation the running statistics are used and
    nothing is written. Reference: Ioffe and Szegedy, ICML 2015, algorithm 1.

    Shapes: x (N, C, H, W) -> (N, C, H, W); all parameters and statistics (C,).

    Parameters
    ----------
    num_features : int
    eps : float, default 1e-5
    momentum : float in [0, 1] or None, default 0.1
        Weight of the new batch; None gives all batches the same weight (a cumulative average).
        NB: as in PyTorch; TensorFlow's momentum is one minus this.
    affine : bool, default True
        Learn scale and shift.

    Raises
    ------
    ShapeError
        In training with one value per channel, which has no variance (L11).

    >>> x = np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2)
    >>> BatchNorm2d(1)(x).mean().item()
    0.0
    """

    ranks, layout = (4,), "(N, C, H, W)"


class BatchNorm1d(_BatchNorm):
    """`BatchNorm2d` for vectors x (N, C) or sequences x (N, C, L)."""

    ranks, layout = (2, 3), "(N, C) or (N, C, L)"


class FrozenBatchNorm2d(Module):
    """`BatchNorm2d` whose scale, shift and statistics are constants, for detectors that fine-tune a backbone.

    Shapes: x (N, C, H, W). State: `weight`, `bias`, `running_mean`, `running_var`, all buffers.

    Parameters
    ----------
    num_features : int
    eps : float, default 1e-5
    """

    def __init__(self, num_features, *, eps=1e-5):
        self.num_features = integer("FrozenBatchNorm2d", "num_features", num_features)
        self.eps = number("FrozenBatchNorm2d", "eps", eps, low=0)
        for name, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            setattr(self, name, Buffer(init.constant((self.num_features,), value=value)))

    def forward(self, x, residual=None, activation=None):
        """x (N, C, H, W) -> the same shape; `residual` and `activation` as in `BatchNorm2d`."""
        channels("FrozenBatchNorm2d", x, self.num_features)
        return ops.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, residual=residual,
                              activation=activation, eps=self.eps).y

    def extra_repr(self):
        """Size."""
        return f"{self.num_features}"


class LayerNorm(Module):
    """Normalises each item over its last axes. Reference: Ba et al., 2016, eq. 3-4.

    Shapes: x (..., *normalized_shape); weight and bias of that shape.

    Parameters
    ----------
    normalized_shape : int or tuple
        Sizes of the last axes. For a norm over the channels of an image call `layer_norm(x, axes=1)`.
    eps : float, default 1e-5
        NB: ViT uses 1e-6.
    affine : bool, default True
    """

    def __init__(self, normalized_shape, *, eps=1e-5, affine=True):
        sizes = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        self.normalized_shape = tuple(integer("LayerNorm", "normalized_shape", n) for n in sizes)
        self.eps = number("LayerNorm", "eps", eps, low=0)
        if self.eps == 0 and set(self.normalized_shape) == {1}:
            raise ArgError("LayerNorm: eps is 0 for normalized_shape 1, expected > 0; one value has variance 0")
        _scale_and_shift(self, self.normalized_shape, affine)

    def forward(self, x):
        """x (..., *normalized_shape) -> the same shape."""
        n = len(self.normalized_shape)
        if x.shape[-n:] != self.normalized_shape:
            raise ShapeError(f"LayerNorm: x has shape {x.shape}, expected the last sizes {self.normalized_shape}")
        return ops.layer_norm(x, self.weight, self.bias, axes=tuple(range(-n, 0)), eps=self.eps)

    def extra_repr(self):
        """Sizes."""
        return f"{self.normalized_shape}"


class GroupNorm(Module):
    """Normalises each image over runs of channels and all positions. Reference: Wu and He, ECCV 2018, eq. 7.

    Shapes: x (N, C, ...); weight and bias (C,).

    Parameters
    ----------
    num_groups, num_channels : int
        The second is a multiple of the first.
    eps : float, default 1e-5
    affine : bool, default True
    """

    def __init__(self, num_groups, num_channels, *, eps=1e-5, affine=True):
        self.num_groups = integer("GroupNorm", "num_groups", num_groups)
        self.num_channels = integer("GroupNorm", "num_channels", num_channels)
        divisible("GroupNorm", "num_channels", self.num_channels, "num_groups", self.num_groups)
        self.eps = number("GroupNorm", "eps", eps, low=0)
        _scale_and_shift(self, (self.num_channels,), affine)

    def forward(self, x):
        """x (N, C, ...) -> the same shape."""
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"GroupNorm: x has shape {x.shape}, expected (N, {self.num_channels}, ...)")
        return ops.group_norm(x, self.weight, self.bias, groups=self.num_groups, eps=self.eps)

    def extra_repr(self):
        """Sizes."""
        return f"{self.num_groups}, {self.num_channels}"


class InstanceNorm2d(Module):
    """Normalises each channel of each image over its positions. Reference: Ulyanov et al., 2016.

    Shapes: x (N, C, H, W).

    Parameters
    ----------
    num_features : int
    eps : float, default 1e-5
    affine : bool, default False
        Learn scale and shift (C,); off by default as in PyTorch.
    """

    def __init__(self, num_features, *, eps=1e-5, affine=False):
        self.num_features = integer("InstanceNorm2d", "num_features", num_features)
        self.eps = number("InstanceNorm2d", "eps", eps, low=0)
        _scale_and_shift(self, (self.num_features,), affine)

    def forward(self, x):
        """x (N, C, H, W) -> the same shape."""
        if x.ndim != 4:
            raise ShapeError(f"InstanceNorm2d: x has shape {x.shape}, expected (N, C, H, W)")
        channels("InstanceNorm2d", x, self.num_features)
        return ops.instance_norm(x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self):
        """Size."""
        return f"{self.num_features}"


class LocalResponseNorm(Module):
    """Divides by the energy of neighbouring channels; see `autograd.normalize.local_response_norm`.

    Parameters
    ----------
    size : int
        Number of neighbouring channels.
    alpha, beta, k : float, default 1e-4, 0.75, 1
        AlexNet's published values are alpha = 5e-4 in this convention, beta = 0.75 and k = 2.
    """

    def __init__(self, size, *, alpha=1e-4, beta=0.75, k=1.0):
        self.size = integer("LocalResponseNorm", "size", size)
        self.alpha, self.beta = number("LocalResponseNorm", "alpha", alpha), number("LocalResponseNorm", "beta", beta)
        self.k = number("LocalResponseNorm", "k", k, low=0)

    def forward(self, x):
        """x (N, C, ...) -> the same shape."""
        return ops.local_response_norm(x, size=self.size, alpha=self.alpha, beta=self.beta, k=self.k)

    def extra_repr(self):
        """Settings."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
