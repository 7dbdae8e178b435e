"""Modules in a row, and the modules that do nothing much."""

from ..autograd.shape import flatten
from ..errors import ArgError, DTypeError
from .check import integer
from .module import Module


class Sequential(Module):
    """Modules applied one after the other, named "0", "1", ... or by the keys of a dict.

    For a plain collection of modules use a list: ``self.layers = [Linear(2, 3), Linear(3, 4)]``.

    Parameters
    ----------
    *modules : Module
        Or one dict from names to modules.

    >>> from minicv.nn import Linear
    >>> net = Sequential(Linear(2, 3, rng=0), Linear(3, 4, rng=1))
    >>> list(net.state_dict())
    ['0.weight', '0.bias', '1.weight', '1.bias']
    """

    def __init__(self, *modules):
        named = modules[0] if len(modules) == 1 and isinstance(modules[0], dict) else dict(enumerate(modules))
        for name, module in named.items():
            if not isinstance(module, Module):
                raise DTypeError(f"Sequential: item {name!r} is {module!r}, expected a Module")
            if hasattr(Module, str(name)) or not str(name) or "." in str(name):
                raise ArgError(f"Sequential: name is {name!r}, expected one that is free in every Module, without dots")
        vars(self).update({str(name): module for name, module in named.items()})

    def forward(self, x):
        """The last module of ... of the first module of x."""
        for module in self:
            x = module(x)
        return x

    def __iter__(self):
        return (m for m in list(vars(self).values()) if isinstance(m, Module))

    def __len__(self):
        return sum(1 for _ in self)

    def __getitem__(self, index):
        modules = list(self)
        return Sequential(*modules[index]) if isinstance(index, slice) else modules[index]


class Identity(Module):
    """Returns its input."""

    def forward(self, x):
        """x."""
        return x


class Flatten(Module):
    """Joins all axes from `start` on, in logical (C, H, W) order whatever the memory layout.

    Shapes: x (N, C, H, W) -> (N, C H W).
    """

    def __init__(self, start=1):
        self.start = integer("Flatten", "start", start, low=0)

    def forward(self, x):
        """x (N, ...) -> (N, D)."""
        return flatten(x, start=self.start)
