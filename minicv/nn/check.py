"""Checks of the settings of layers and losses: a typed error at construction beats a wrong number later."""

import math
import numbers

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError

LARGEST = 2 ** 31 - 1       # sizes above this are slips of the pen, and would overflow in index arithmetic


def integer(where, name, value, *, low=1, high=LARGEST):
    """`value` as an int in [low, high]; bools and floats are refused (L1, L2)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise ArgError(f"{where}: {name} is {value!r}, expected an integer >= {low}")
    if not low <= value <= high:
        raise ArgError(f"{where}: {name} is {value}, expected an integer in [{low}, {high}]")
    return int(value)


def pair(where, name, value, *, low=1):
    """An integer or a pair of integers as the pair (vertical, horizontal)."""
    if not isinstance(value, (tuple, list)):
        value = (value, value)
    if len(value) != 2:
        raise ArgError(f"{where}: {name} is {value!r}, expected an integer or a pair (vertical, horizontal)")
    return tuple(integer(where, name, v, low=low) for v in value)


def integers(where, name, values, count):
    """`values` as a tuple of `count` integers >= 1."""
    if not isinstance(values, (tuple, list)) or len(values) != count:
        raise ArgError(f"{where}: {name} is {values!r}, expected {count} integers")
    return tuple(integer(where, name, v) for v in values)


def number(where, name, value, *, low=-math.inf, high=math.inf, open_low=False):
    """`value` as a finite float in [low, high], or in (low, high] with `open_low`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ArgError(f"{where}: {name} is {value!r}, expected a finite number")
    if not low <= value <= high or (open_low and value == low):
        bracket = "(" if open_low else "["
        raise ArgError(f"{where}: {name} is {value}, expected a number in {bracket}{low}, {high}]")
    return float(value)


def choice(where, name, value, allowed):
    """`value` if it is one of the strings `allowed`."""
    if value not in allowed:
        raise ArgError(f"{where}: {name} is {value!r}, expected one of {', '.join(map(repr, allowed))}")
    return value


def divisible(where, name, value, by_name, by):
    """ShapeError unless `value` is a multiple of `by` (L3)."""
    if value % by:
        raise ShapeError(f"{where}: {name} is {value}, expected a multiple of {by_name} = {by}")


def rank(where, x, ndim, layout):
    """ShapeError unless `x` has `ndim` axes, described by `layout` such as "(N, C, H, W)" (L10)."""
    if x.ndim != ndim:
        raise ShapeError(f"{where}: x has shape {x.shape}, expected {ndim}-D {layout}")


def channels(where, x, expected, *, axis=1, layout="(N, C, H, W)"):
    """ShapeError unless axis `axis` of `x` has `expected` elements; hints at channels-last input."""
    if x.shape[axis] != expected:
        last = x.ndim > 2 and axis == 1 and x.shape[-1] == expected
        hint = "; the last axis fits: is the input channels-last?" if last else ""
        raise ShapeError(f"{where}: x has shape {x.shape}, expected {expected} channels in {layout}{hint}")


def floating(where, name, x):
    """DTypeError unless `x` holds floating-point numbers."""
    if x.dtype.kind != "f":
        raise DTypeError(f"{where}: {name} has dtype {x.dtype}, expected float32 or float64")
