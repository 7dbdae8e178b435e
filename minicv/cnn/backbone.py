"""What detection and segmentation ask of any network: its maps, and more resolution from the same weights.

Where a stride s is taken out of a network, later filters look at every s-th pixel (Yu et al., CVPR 2017):

    y[i] = sum_p w[p] x[s i + s p]    becomes    y[i] = sum_p w[p] x[i + s p],

so that the dilated network computes at every s-th pixel what the original does, and as much again between them.
"""

import numpy as np

from ..autograd.modes import no_grad, observe
from ..autograd.tensor import Tensor
from ..errors import ArgError
from ..nn import AvgPool2d, Conv2d, MaxPool2d
from ..nn.check import integer
from ..nn.cost import zeros


def pyramid(net, x):
    """Feature maps of any network: x (N, 3, H, W) -> {"c1": (N, C, I, J), ...}, finest first.

    NB: most networks return it from `features`; where published weights call a chain of layers so, from `pyramid`.

    >>> from minicv import cnn
    >>> net, x = cnn.build("mobilenet_v2", rng=0).eval(), np.zeros((1, 3, 64, 64), np.float32)
    >>> {name: y.shape[1:] for name, y in pyramid(net, x).items() if name > "c3"}
    {'c4': (96, 4, 4), 'c5': (1280, 2, 2)}
    """
    return (net.pyramid if hasattr(net, "pyramid") else net.features)(x)


def before_pools(layers, x, level):
    """Maps {"c<level>": ..., ...} of a chain of layers: what each of its maximum pools reads."""
    maps = {}
    for layer in layers:
        if isinstance(layer, MaxPool2d):
            maps[f"c{len(maps) + level}"] = x
        x = layer(x)
    return maps


def dilate(net, stride, *inputs):
    """Keep the resolution of a network where its total stride has reached `stride`; returns the network.

    Later strides become 1 and the filters behind them are spread, so that the weights keep their meaning: at every
    second (fourth) pixel the maps are those of the network before.

    Parameters
    ----------
    net : Module
        Changed in place, not at all if it is refused.
    stride : int
        A power of two, such as 8 or 16.
    *inputs : shapes, arrays or Tensors
        As in `nn.cost`, e.g. (1, 3, 64, 64). Strides are not guessed from names but seen in one forward pass.

    Raises
    ------
    ArgError
        For a stride that the network steps over, average pools that would have to be spread, and layers that are used
        at two resolutions.

    NB: gates read the mean of all pixels, which with more pixels is a similar but not the same number; pools that round
    their size up may lose their last row.

    >>> from minicv import cnn
    >>> net = dilate(cnn.build("regnet_y_400mf", rng=0).eval(), 8, (1, 3, 64, 64))
    >>> [y.shape[2] for y in pyramid(net, np.zeros((1, 3, 64, 64), np.float32)).values()]
    [32, 16, 8, 8, 8]
    """
    integer("dilate", "stride", stride)
    if not inputs:
        raise ArgError("dilate: inputs is empty, expected a shape such as (1, 3, 64, 64)")
    seen = _Strides(net).run(inputs)
    settings = [(layer, _spread(layer, before, stride)) for layer, before in seen]
    for layer, values in settings:
        vars(layer).update(values)
    if hasattr(net, "strides"):
        net.strides = {name: min(s, stride) for name, s in net.strides.items()}
    return net


def _spread(layer, before, stride):
    """New settings of a convolution or pool that reads a map of total stride `before`."""
    after = before * layer.stride[0]
    now, later = min(before, stride), min(after, stride)
    if before % now or later % now or after % later:
        raise ArgError(f"dilate: stride is {stride}, expected one that the network has; it goes from {before} to "
                       f"{after}")
    factor, settings = before // now, {"stride": (later // now, later // now)}
    if factor > 1 and max(layer.kernel_size) > 1:
        if isinstance(layer, AvgPool2d):
            raise ArgError(f"dilate: stride is {stride}, expected at least {before}, where the network has average "
                           "pools, which cannot be spread")
        settings |= {name: tuple(factor * v for v in getattr(layer, name)) for name in ("padding", "dilation")}
    return settings


class _Strides:
    """Watches one forward pass: at which total stride each convolution and pool reads."""

    def __init__(self, net):
        self.net, self.strides, self.found, self.handles = net, {}, {}, []          # by id
        for layer in net.modules():
            if isinstance(layer, (Conv2d, MaxPool2d, AvgPool2d)):
                self.handles += [layer.register_forward_pre_hook(self._enter), layer.register_forward_hook(self._leave)]

    def run(self, inputs):
        """Pairs (layer, total stride of what it reads)."""
        try:
            with no_grad(), observe(self._op):
                self.net(*[zeros("dilate", x, np.float32) for x in inputs])
        finally:
            for handle in self.handles:
                handle.remove()
        return list(self.found.values())

    def _of(self, x):
        return self.strides.get(id(x), (x, 1))[1]

    def _enter(self, layer, inputs):
        before = self._of(inputs[0])
        if self.found.setdefault(id(layer), (layer, before))[1] != before or layer.stride[0] != layer.stride[1]:
            raise ArgError(f"dilate: net has a {type(layer).__name__} at two resolutions, expected one for each layer")

    def _leave(self, layer, inputs, y):
        self.strides[id(y)] = y, self._of(inputs[0]) * layer.stride[0]

    def _op(self, op, inputs, settings, y):
        self.strides[id(y)] = y, max([self._of(x) for x in inputs if isinstance(x, Tensor)], default=1)
