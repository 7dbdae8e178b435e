"""The table of rows: name -> (function of a side, tolerance of the error column)."""

from collections.abc import Callable
from typing import NamedTuple

ROWS = {}


class Row(NamedTuple):
    """`tolerance`: largest difference of any result of the two sides, relative to the largest number in it."""
    make: Callable
    tolerance: float
    group: str


def row(name, group, make, tolerance=1e-5):
    """Add a row; `make(side)` returns the side's `Work`."""
    ROWS[name] = Row(make, tolerance, group)


def load():
    """All rows, in the order of the report."""
    from . import rows_conv, rows_nets, rows_ops  # noqa: F401  (each adds its rows)
    order = ["convolution", "linear", "normalisation", "element-wise", "pooling", "attention", "autograd", "optimizer",
             "network"]
    return dict(sorted(ROWS.items(), key=lambda item: order.index(item[1].group)))
