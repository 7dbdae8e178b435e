"""Drawings of modules, made from the modules."""

from ...plot import plot_modules


def diagram(module, shape, depth=1):
    """The figure of a module for inputs of `shape`, opened `depth` levels."""
    return plot_modules(module, shape, depth=depth).figure
