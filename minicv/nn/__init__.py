"""Layers, losses, initial values and the cost of a network."""

from . import init
from .linear import Linear
from .module import Buffer, Handle, Loaded, Module, Parameter

__all__ = ["Buffer", "Handle", "Linear", "Loaded", "Module", "Parameter", "init"]
