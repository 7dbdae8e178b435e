"""What a network costs: parameters, multiply-accumulates, activations, receptive field.

Nothing is declared by the layers: a forward pass is run on zeros and every matrix product and convolution
that happens is counted, also those of functions called without a layer.

One MAC is one multiplication with its addition; "GMAC" is what many papers print as "GFLOPs". Biases,
norms, activations, pooling and resizing are not counted, as is usual.
"""

import html
import math
from typing import NamedTuple

import numpy as np

from ..autograd.modes import no_grad, observe
from ..autograd.tensor import Tensor
from ..errors import ArgError, ShapeError
from .check import integer, pair


class Row(NamedTuple):
    """One module: everything that its call did, modules inside it included."""

    name: str
    kind: str
    output: object              # shape of the result, or a list or dict of shapes; None if it was not called
    parameters: int
    macs: int
    activations: int            # elements of the results of the counted products


class Cost:
    """Rows of all modules in order of assignment, the whole first; prints as a table."""

    def __init__(self, rows):
        self.rows = rows

    @property
    def parameters(self):
        """Number of parameters, trainable or frozen."""
        return self.rows[0].parameters

    @property
    def macs(self):
        """Multiply-accumulates of the forward pass."""
        return self.rows[0].macs

    @property
    def activations(self):
        """Elements of the results of all convolutions and matrix products (Radosavovic et al., CVPR 2020)."""
        return self.rows[0].activations

    def __getitem__(self, name):
        return next(row for row in self.rows if row.name == name)

    def _cells(self):
        head = ("name", "module", "output", "parameters", "MACs", "activations")
        return [head] + [(r.name or "(whole)", r.kind, "-" if r.output is None else str(r.output),
                          f"{r.parameters:,}", f"{r.macs:,}", f"{r.activations:,}") for r in self.rows]

    def __str__(self):
        cells = self._cells()
        widths = [max(len(row[k]) for row in cells) for k in range(6)]
        lines = ["  ".join(row[k].ljust(widths[k]) if k < 3 else row[k].rjust(widths[k]) for k in range(6))
                 for row in cells]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])

    __repr__ = __str__

    def _repr_html_(self):
        head, *rows = ("".join(f"<td>{html.escape(c)}</td>" for c in row) for row in self._cells())
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head.replace('td>', 'th>')}</tr></thead><tbody>{body}</tbody></table>"


def cost(module, *inputs, dtype=np.float32):
    """Count the cost of one forward pass in evaluation mode, without recording a graph.

    Parameters
    ----------
    module : Module
    *inputs : shapes, arrays or Tensors
        A shape such as (1, 3, 224, 224), batch included, stands for zeros of `dtype`.
    dtype : default float32
        Use np.int64 for modules that read token numbers.

    Returns
    -------
    Cost
        With `.parameters`, `.macs`, `.activations` and one row for each module.

    >>> from minicv.nn import Linear
    >>> cost(Linear(3, 4), (2, 3)).rows[0]
    Row(name='', kind='Linear', output=(2, 4), parameters=16, macs=24, activations=8)
    """
    if not inputs:
        raise ArgError("cost: inputs is empty, expected a shape such as (1, 3, 224, 224)")
    tensors = [_zeros(x, dtype) for x in inputs]
    tally = _Tally(module)
    try:
        with module.evaluating(), no_grad(), observe(tally.op), np.errstate(all="ignore"):
            module(*tensors)
    finally:
        tally.close()
    return Cost([Row(name, type(m).__name__, tally.outputs.get(name), sum(p.size for p in m.parameters()),
                     tally.macs.get(name, 0), tally.activations.get(name, 0)) for name, m in module.named_modules()])


def _zeros(x, dtype):
    if not isinstance(x, (tuple, list)):
        return x if isinstance(x, Tensor) else Tensor(x)
    return Tensor(np.zeros([integer("cost", "shape", n) for n in x], dtype))


class _Tally:
    """Adds what each op costs to all modules that are running."""

    def __init__(self, module):
        self.running, self.macs, self.activations, self.outputs, self.handles = [], {}, {}, {}, []
        for name, m in module.named_modules():
            self.handles += [m.register_forward_pre_hook(lambda m, x, name=name: self.running.append(name)),
                             m.register_forward_hook(lambda m, x, y, name=name: self._leave(name, y))]

    def _leave(self, name, y):
        self.running.pop()
        self.outputs[name] = shapes(y)

    def op(self, op, inputs, settings, y):
        """Observer of ops."""
        if count := MACS.get(op.name):
            macs = count(inputs, settings, y)
            for name in set(self.running):
                self.macs[name] = self.macs.get(name, 0) + macs
                self.activations[name] = self.activations.get(name, 0) + y.size

    def close(self):
        """Take the hooks away again."""
        for handle in self.handles:
            handle.remove()


def shapes(y):
    """The shape of a Tensor; lists and dicts of shapes for structures of Tensors."""
    if isinstance(y, dict):
        return {key: shapes(value) for key, value in y.items()}
    if isinstance(y, (list, tuple)):
        return [shapes(value) for value in y]
    return getattr(y, "shape", None)


def _einsum(inputs, settings, y):
    """Product of the sizes of all different labels, as if contracted at once."""
    sizes = {}
    for labels, x in zip(settings["labels"], inputs, strict=True):
        for label, n in zip(labels, x.shape, strict=True):
            sizes[label] = max(n, sizes.get(label, 1))
    return math.prod(sizes.values()) * (len(inputs) - 1)


MACS = {          # op: (inputs, settings, result) -> multiply-accumulates
    "correlate2d": lambda inputs, settings, y: y.size * math.prod(inputs[1].shape[1:]),
    "conv2d_input": lambda inputs, settings, y: inputs[0].size * math.prod(inputs[1].shape[1:]),
    "matmul": lambda inputs, settings, y: y.size * inputs[0].shape[-1],
    "contract": _einsum,
}


# Receptive field ----------------------------------------------------------------------------------------


class ReceptiveField(NamedTuple):
    """What one output pixel sees; each value a pair (vertical, horizontal), in input pixels.

    The field of output pixel i covers [start + i stride, start + i stride + size).
    """

    size: tuple
    stride: tuple
    start: tuple


def receptive_field(layers):
    r"""Receptive field of a chain of layers.

    With kernel k, stride s, dilation d, padding p the size r, stride j and start a go from layer to layer as
    :math:`r \mathrel{+}= (k-1) d j`, :math:`a \mathrel{-}= p j`, :math:`j \mathrel{*}= s`
    (Araujo et al., Distill 2019, eq. 2-4).

    Parameters
    ----------
    layers : Sequential, or list of layers and of tuples (kernel, stride, dilation, padding)
        Missing entries of a tuple are 1, 1 and 0. Layers without a `kernel_size` see one pixel.

    >>> receptive_field([(3,), (3, 2), (3, 1, 2)]).size
    (13, 13)
    """
    size, stride, start = (1, 1), (1, 1), (0, 0)
    for layer in _chain(layers):
        k, s, d, p = _geometry(layer)
        size = tuple(r + (k[i] - 1) * d[i] * stride[i] for i, r in enumerate(size))
        start = tuple(a - p[i] * stride[i] for i, a in enumerate(start))
        stride = tuple(j * s[i] for i, j in enumerate(stride))
    return ReceptiveField(size, stride, start)


def _chain(layers):
    """The layers of nested lists and Sequentials in order."""
    if isinstance(layers, list) or hasattr(layers, "__iter__") and hasattr(layers, "named_children"):
        for layer in layers:
            yield from _chain(layer)
    else:
        yield layers


def _geometry(layer):
    """(kernel, stride, dilation, padding), each a pair."""
    if isinstance(layer, tuple):
        k, s, d, p = (*layer, *(1, 1, 1, 0)[len(layer):])
    elif hasattr(layer, "output_padding") or getattr(layer, "children", list)():
        raise ArgError(f"receptive_field: {type(layer).__name__} is not a plain layer, expected a chain")
    elif getattr(layer, "whole", False):
        raise ShapeError(f"receptive_field: {type(layer).__name__} sees the whole image, whatever its size")
    else:
        k, s, d = (getattr(layer, n, 1) for n in ("kernel_size", "stride", "dilation"))
        p = getattr(layer, "padding", 0)
    if p == "same":
        p = tuple(b * (a - 1) // 2 for a, b in zip(pair("", "k", k), pair("", "d", d), strict=True))
    names = ("kernel", "stride", "dilation", "padding")
    return tuple(pair("receptive_field", n, v, low=n != "padding") for n, v in zip(names, (k, s, d, p), strict=True))
