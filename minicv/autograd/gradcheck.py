"""Checking gradients against finite differences, to any order.

For a function y = f(x) and a random cotangent c the scalar s(x) = <c, f(x)> is differentiated twice: by the
engine and by the five-point stencil

    s'(x) = (8 s(x+h) - 8 s(x-h) - s(x+2h) + s(x-2h)) / 12h + O(h^4)                                    (1)

in float64. With h = 1e-3 the formula is good to about 1e-11, so that a relative error of 1e-6 in a rule is
plainly visible. The cotangent is random and not uniform: a cotangent of ones hides every mistake that a sum
cancels. Order 2 checks the gradient itself in the same way, as a function of x and of c.

A stencil across a kink says nothing. The fourth difference of the five points, h^4 s'''' for a smooth
function but of size h at a kink, tells the two apart; such a sample is refused, not judged.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, DTypeError, GradientError
from .engine import grad
from .modes import enable_grad, no_grad
from .tensor import Tensor

STEP = 1e-3
_STENCIL = (2, 1, 0, -1, -2)
_FULL = 64                 # check every element up to this size, random directions above
_DIRECTIONS = 3


class GradReport(NamedTuple):
    """The worst element of a gradient check; it passes when `error` <= 1."""

    error: float           # |numeric - analytic| / tolerance
    order: int
    input: int             # which argument; at order n > 1 argument 0 is the cotangent of order n - 1
    index: tuple | None    # element, None for a random direction
    analytic: float
    numeric: float

    @property
    def passed(self):
        """True when every element agrees within the tolerance."""
        return self.error <= 1

    def __str__(self):
        where = "a random direction" if self.index is None else f"element {list(self.index)}"
        return (f"order {self.order}, input {self.input}, {where}: analytic {self.analytic:.12g}, "
                f"numeric {self.numeric:.12g}, {self.error:.3g} times the tolerance")


def gradcheck(fn, inputs, *, order=2, rtol=1e-6, atol=1e-9, rng=0, raises=True):
    """Compare the gradient of `fn`, and of its gradient, with finite differences.

    Parameters
    ----------
    fn : callable
        ``fn(*inputs) -> Tensor``; must be deterministic.
    inputs : sequence
        float64 arrays or Tensors are checked; integers, scalars and None are passed on as they are.
    order : int, default 2
        1 checks the gradient, 2 also the gradient of the gradient, and so on.
    rtol, atol : float
        Allowed error is ``atol + rtol * (largest magnitude of that gradient, at least 1e-3)``; `rtol` may also be a
        sequence, one for each order.
    rng : Generator, int or None
    raises : bool, default True
        Raise GradientError for a wrong gradient instead of returning a failed report.

    Returns
    -------
    GradReport of the worst element over all orders.

    Raises
    ------
    GradientError
        When the gradient is wrong, not finite, not repeatable, or a sample sits on a kink.
    """
    if order < 1:
        raise ArgError(f"gradcheck: order is {order}, expected at least 1")
    rng = np.random.default_rng(rng)
    inputs = [x.data if isinstance(x, Tensor) else x for x in inputs]
    _check_inputs(inputs)
    worst = None
    for level, tolerance in enumerate(np.broadcast_to(rtol, order).tolist(), start=1):
        report = _check_first(fn, inputs, level, tolerance, atol, rng)
        worst = report if worst is None or not report.error <= worst.error else worst
        if not report.passed:
            break
        fn, inputs = _gradient_function(fn, inputs, rng)
    if raises and not worst.passed:
        raise GradientError(f"gradcheck: {worst}")
    return worst


def _check_inputs(inputs):
    for k, x in enumerate(inputs):
        if isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.dtype != np.float64:
            raise DTypeError(f"gradcheck: input {k} has dtype {x.dtype}, expected float64; "
                             "finite differences need the precision")
    if not any(map(_checked, inputs)):
        raise ArgError("gradcheck: no input is a float64 array, expected at least one")


def _checked(x):
    return isinstance(x, np.ndarray) and x.dtype == np.float64


def _outputs(fn, values):
    y = fn(*values)
    return list(y) if isinstance(y, (tuple, list)) else [y]


def _random_cotangents(outputs, rng):
    """Magnitudes between 0.5 and 1.5 with random signs: no element is small, none are alike."""
    return [rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape) for y in outputs]


def _contract(outputs, cotangents):
    total = None
    for y, c in zip(outputs, cotangents, strict=True):
        term = (y * c).sum()
        total = term if total is None else total + term
    return total


def _check_first(fn, inputs, level, rtol, atol, rng):
    with no_grad():
        outputs = _outputs(fn, inputs)
    cotangents = _random_cotangents(outputs, rng)
    analytic = _analytic(fn, inputs, cotangents, level)

    def scalar(*values):
        with no_grad():
            ys = _outputs(fn, values)
        return float(sum(np.vdot(c, y.data if isinstance(y, Tensor) else y)
                         for c, y in zip(cotangents, ys, strict=True)))

    worst = GradReport(0.0, level, 0, None, 0.0, 0.0)
    for k, x in enumerate(inputs):
        if _checked(x):
            tolerance = atol + rtol * max(np.abs(analytic[k]).max(initial=0.0), 1e-3)
            for index, a, n, scale in _numeric(scalar, inputs, k, analytic[k], rng):
                error = abs(a - n) / (tolerance * scale)
                if not error <= worst.error:
                    worst = GradReport(error if np.isfinite(error) else np.inf, level, k, index, a, n)
    return worst


def _analytic(fn, inputs, cotangents, level):
    """Gradients by the engine, computed on arrays twice (must repeat) and with a graph (must agree)."""
    runs = []
    for create_graph in (False, False, True):
        leaves = [Tensor(x, requires_grad=True) if _checked(x) else x for x in inputs]
        with enable_grad():
            total = _contract(_outputs(fn, leaves), cotangents)
        wanted = [t for t in leaves if isinstance(t, Tensor)]
        if isinstance(total, Tensor) and total.requires_grad:
            found = grad(total, wanted, create_graph=create_graph, allow_unused=True)
        else:
            found = [None] * len(wanted)
        found = iter([np.zeros(t.shape) if g is None else g.data for t, g in zip(wanted, found, strict=True)])
        runs.append([next(found) if _checked(x) else None for x in inputs])
    for k, (a, b, c) in enumerate(zip(*runs, strict=True)):
        if a is None:
            continue
        if not np.array_equal(a, b, equal_nan=True):
            raise GradientError(f"gradcheck: order {level}, input {k}: two runs gave different gradients")
        if not np.allclose(a, c, rtol=1e-9, atol=1e-11, equal_nan=True):
            raise GradientError(f"gradcheck: order {level}, input {k}: the gradient differs by "
                                f"{np.abs(a - c).max():.3g} when it is recorded (create_graph=True)")
    return runs[0]


def _numeric(scalar, inputs, k, analytic, rng):
    """(index, analytic, numeric, scale) for every element of input k, or for random directions."""
    x = inputs[k]
    if x.size <= _FULL:
        for index in np.ndindex(x.shape):
            unit = np.zeros(x.shape)
            unit[index] = 1.0
            h = STEP * max(1.0, abs(x[index]) / 1000)
            yield index, float(analytic[index]), _stencil(scalar, inputs, k, unit, h, index), 1.0
    else:
        for _ in range(_DIRECTIONS):
            v = rng.standard_normal(x.shape)
            yield None, float((analytic * v).sum()), _stencil(scalar, inputs, k, v, STEP, None), np.sqrt(x.size)


def _stencil(scalar, inputs, k, direction, h, index):
    """Equation (1) along `direction`, with the kink test."""
    def at(t):
        values = list(inputs)
        values[k] = inputs[k] + t * h * direction
        return scalar(*values)
    s = [at(t) for t in _STENCIL]
    slope = (8 * (s[1] - s[3]) - (s[0] - s[4])) / (12 * h)
    fourth = abs(s[0] - 4 * s[1] + 6 * s[2] - 4 * s[3] + s[4])
    noise = 1e-13 * max(map(abs, s))
    if fourth > 1e-2 * h * max(abs(slope), 1e-2) + noise:
        raise GradientError(f"gradcheck: input {k} at {'a random direction' if index is None else list(index)} is "
                            f"within {2 * h:g} of a kink or a jump; move the sample away")
    return slope


def _gradient_function(fn, inputs, rng):
    """The gradient of `fn` as a function of (cotangents, *inputs), with inputs to check it at."""
    with no_grad():
        outputs = _outputs(fn, inputs)
    count = len(outputs)
    checked = [k for k, x in enumerate(inputs) if _checked(x)]

    def gradient(*values):
        with enable_grad():
            cotangents, values = values[:count], list(values[count:])
            for k in checked:
                if not isinstance(values[k], Tensor):
                    values[k] = Tensor(values[k])
                if not values[k].requires_grad:
                    values[k].requires_grad = True
            total = _contract(_outputs(fn, values), cotangents)
            wanted = [values[k] for k in checked]
            if not (isinstance(total, Tensor) and total.requires_grad):
                return [t * 0.0 for t in wanted]
            found = grad(total, wanted, create_graph=True, allow_unused=True)
        return [t * 0.0 if g is None else g for t, g in zip(wanted, found, strict=True)]

    return gradient, [*_random_cotangents(outputs, rng), *inputs]
