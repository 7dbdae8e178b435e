"""The list of everything differentiable, with the cases it is tested on.

One `OpSpec` per exported op or differentiable function. The tests in `tests/testing/test_registry.py` are
generated from it: values against an independent oracle, gradients to second order, layouts, broadcasting,
dtypes, empty arrays, NaN, errors, threads. An exported op without a spec fails the suite. The cases live in
`minicv/testing/cases/<family>.py`, one function `specs()` per file.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


class Sample(NamedTuple):
    """One call: positional inputs (float64 arrays, integer arrays, scalars or None) and settings."""

    inputs: tuple
    settings: dict = {}
    note: str = ""


class Bad(NamedTuple):
    """One call that must fail: inputs and settings, the error class and a regular expression for its text."""

    inputs: tuple
    settings: dict
    error: type
    match: str


@dataclass(frozen=True)
class OpSpec:
    """How one op is tested.

    Parameters
    ----------
    fn : callable
        The op, or a function of Tensors composed of ops: ``fn(*inputs, **settings)``, one result.
    ref : callable
        Independent oracle on arrays, ``ref(*inputs, **settings)``: loops, a formula or NumPy in float64; never
        the same helper as the op.
    samples : callable
        ``samples(rng) -> list of Sample``, at least 8: scalar, one element, typical, broadcast pair, axes of size 1,
        empty, large values; away from kinks by construction. Float inputs are float64; the tests cast them.
    errors : callable
        ``errors() -> list of Bad``, at least 5 where the op can reject that many things.
    order : int
        Highest order of derivative that is tested (2, or less with a reason in `why`).
    rtol32 : float
        Relative tolerance of the float32 result against the float64 oracle (of the largest magnitude).
    nan : str
        "propagates": a NaN in an input gives a NaN in the result; "selects": it may be left out (indexing, where).
    """

    fn: Callable
    ref: Callable
    samples: Callable
    errors: Callable = field(default=lambda: [])
    order: int = 2
    why: str = ""
    rtol: float = 1e-12
    rtol32: float = 2e-6
    nan: str = "propagates"
    name: str = ""

    @property
    def label(self):
        """Name under which tests and the command line know it."""
        return self.name or getattr(self.fn, "name", None) or self.fn.__name__


def specs():
    """Every spec by name, read from all files of `minicv.testing.cases`."""
    from . import cases
    found = {}
    for info in sorted(pkgutil.iter_modules(cases.__path__), key=lambda i: i.name):
        for spec in importlib.import_module(f"{cases.__name__}.{info.name}").specs():
            if spec.label in found:
                raise ValueError(f"two specs are called {spec.label}")
            found[spec.label] = spec
    return found


def check_op(spec, order=2):
    """Gradient checks of all samples of a spec; see `minicv.testing.checks.check_op`."""
    from .checks import check_op
    return check_op(spec, order)
