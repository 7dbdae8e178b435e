"""What a network costs: parameters, multiply-accumulates, activations, receptive field.

Nothing is declared by the layers: a forward pass is run on zeros and every matrix product and convolution
that happens is counted, also those of functions called without a layer.

One MAC is one multiplication with its addition; "GMAC" is what many papers print as "GFLOPs". Others count two
operations for a MAC and one for each bias that is added: `Cost.flops` speaks all of these languages. Norms,
activations, pooling and resizing are never counted, as is usual. An op about which nothing is known is refused.
"""

import html
import math
from typing import NamedTuple

import numpy as np

from ..autograd.attention import attend, masked_softmax
from ..autograd.conv import conv2d_filter, conv2d_input, correlate2d
from ..autograd.elementwise import add
from ..autograd.linalg import contract, inv, matmul, solve
from ..autograd.modes import no_grad, observe
from ..autograd.op import Op, shape_of
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
    biases: int                 # additions of a bias to the result of a counted product

    def flops(self, *, per_mac=2, bias=True):
        """Operations in the convention asked for; ``per_mac=1, bias=False`` are the MACs."""
        return integer("flops", "per_mac", per_mac, high=2) * self.macs + bool(bias) * self.biases


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

    def flops(self, *, per_mac=2, bias=True):
        """Operations of the forward pass.

        Parameters
        ----------
        per_mac : {1, 2}
            1 counts a multiply-accumulate as one operation, 2 the multiplication and the addition.
        bias : bool
            Whether adding a bias is an operation, one for each output value.
        """
        return self.rows[0].flops(per_mac=per_mac, bias=bias)

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
        With `.parameters`, `.macs`, `.flops()`, `.activations` and one row for each module.

    Raises
    ------
    ArgError
        Without inputs; and for an op of unknown cost, which `register_macs` makes known.

    >>> from minicv.nn import Linear
    >>> cost(Linear(3, 4), (2, 3)).rows[0]
    Row(name='', kind='Linear', output=(2, 4), parameters=16, macs=24, activations=8, biases=8)
    """
    if not inputs:
        raise ArgError("cost: inputs is empty, expected a shape such as (1, 3, 224, 224)")
    tensors = [zeros("cost", x, dtype) for x in inputs]
    tally = _Tally(module)
    try:
        with module.evaluating(), no_grad(), observe(tally.op), np.errstate(all="ignore"):
            module(*tensors)
    finally:
        tally.close()
    return Cost([Row(name, type(m).__name__, tally.outputs.get(name), sum(p.size for p in m.parameters()),
                     *(tally.counts[what].get(name, 0) for what in COUNTED)) for name, m in module.named_modules()])


def zeros(where, x, dtype):
    """A shape as a Tensor of zeros, an array as a Tensor, a Tensor as it is; `where` names the function in errors."""
    if not isinstance(x, (tuple, list)):
        return x if isinstance(x, Tensor) else Tensor(x)
    return Tensor(np.zeros([integer(where, "shape", n) for n in x], dtype))


class _Tally:
    """Adds what each op costs to all modules that are running."""

    def __init__(self, module):
        self.running, self.outputs, self.handles, self.product = [], {}, [], None
        self.counts = {what: {} for what in COUNTED}
        for name, m in module.named_modules():
            self.handles += [m.register_forward_pre_hook(lambda m, x, name=name: self.running.append(name)),
                             m.register_forward_hook(lambda m, x, y, name=name: self._leave(name, y))]

    def _leave(self, name, y):
        self.running.pop()
        self.outputs[name] = shapes(y)

    def op(self, op, inputs, settings, y):
        """Observer of ops."""
        if count := MACS.get(op):
            biased = op is correlate2d and len(inputs) == 3 and inputs[2] is not None
            self._add(count(inputs, settings, y), y.size, y.size if biased else 0)
            self.product = y
        elif op is add and inputs[0] is self.product and shape_of(inputs[1]) != y.shape:
            self._add(0, 0, y.size)                        # a product plus something that is broadcast
        elif op.__module__ not in COSTLESS_MODULES and op not in COSTLESS:
            where = self.running[-1] if self.running else ""
            raise ArgError(f"cost: {op.name} in {where or 'the module'} has no known cost, expected one; give it with "
                           f"register_macs({op.name}, lambda inputs, settings, y: ...)")

    def _add(self, *amounts):
        for what, amount in zip(COUNTED, amounts, strict=True):
            for name in set(self.running):
                self.counts[what][name] = self.counts[what].get(name, 0) + amount

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


def _solve(inputs, settings, y):
    """Elimination, (n^3 - n) / 3, then n^2 for each right-hand side; the inverse has n of them."""
    n = inputs[0].shape[-1]
    return y.size * n + math.prod(inputs[0].shape[:-2]) * (n**3 - n) // 3


COUNTED = ("macs", "activations", "biases")
COSTLESS = {masked_softmax}
COSTLESS_MODULES = {f"minicv.autograd.{name}" for name in (
    "activation", "elementwise", "engine", "index", "normalize", "pool", "random", "reduce", "resample", "roi",
    "shape", "softmax", "standardize")} | {"minicv.nn.nll"}
MACS = {          # op: (inputs, settings, result) -> multiply-accumulates
    correlate2d: lambda inputs, settings, y: y.size * math.prod(inputs[1].shape[1:]),
    conv2d_input: lambda inputs, settings, y: inputs[0].size * math.prod(inputs[1].shape[1:]),
    conv2d_filter: lambda inputs, settings, y: inputs[1].size * math.prod(y.shape[1:]),
    attend: lambda inputs, settings, y: (inputs[0].size + y.size) * inputs[1].shape[1],
    matmul: lambda inputs, settings, y: y.size * inputs[0].shape[-1],
    contract: _einsum,
    inv: _solve,
    solve: _solve,
}


def register_macs(op, rule):
    """Tell `cost` what an op of your own costs.

    Parameters
    ----------
    op : Op
        Made with `minicv.autograd.op`.
    rule : callable
        ``rule(inputs, settings, y) -> int``, multiply-accumulates; return 0 for an op that should not count.

    Raises ArgError if `op` is not an Op.
    """
    if not isinstance(op, Op):
        raise ArgError(f"register_macs: op is {op!r}, expected an Op made with @op")
    MACS[op] = rule


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
