"""L-BFGS: the curvature of the last few steps instead of the Hessian, for full-batch problems."""

from collections import deque

import numpy as np

from ..autograd.transforms import vjp
from ..errors import ArgError, DivergenceError, ShapeError
from .newton import as_floats


def lbfgs(f, theta, *, steps, memory=10, tolerance=1e-10):
    """Minimise a smooth function of k variables with O(memory k) storage.

    Parameters
    ----------
    f : callable
        Tensor (k,) to scalar Tensor; without noise, so never a mini-batch.
    theta : array (k,)
    steps : int >= 0
        At most so many.
    memory : int >= 1
        Pairs (change of theta, change of gradient) that are kept.
    tolerance : float >= 0
        Stop when no element of the gradient is larger.

    Returns
    -------
    thetas : array (T + 1, k)
    values : array (T + 1,), never increasing

    Raises
    ------
    ShapeError, ArgError
        If theta is no vector or an option is out of range.
    DivergenceError
        If f or its gradient is not finite at the start.

    Reference: Nocedal & Wright, Numerical Optimization, 2006, algorithms 7.4 and 7.5.
    Departures: the step length comes from halving until f falls enough (Armijo) instead of a Wolfe search;
    pairs without positive curvature are left out, which keeps every direction a descent.
    """
    theta = as_floats(theta)
    if theta.ndim != 1 or not theta.size:
        raise ShapeError(f"lbfgs: theta has shape {theta.shape}, expected (k,) with k >= 1")
    if steps < 0 or memory < 1 or not tolerance >= 0:
        raise ArgError(f"lbfgs: steps, memory, tolerance is {steps}, {memory}, {tolerance}, expected >= 0, >= 1, >= 0")
    value, g = _value_and_gradient(f, theta)
    if not (np.isfinite(value) and np.isfinite(g).all()):
        raise DivergenceError(f"lbfgs: f is {value} at the start, expected a finite value and gradient")
    thetas, values, pairs = [theta], [value], deque(maxlen=memory)
    while len(thetas) <= steps and np.abs(g).max() > tolerance:
        found = _search(f, thetas[-1], values[-1], g, two_loops(g, pairs), first=not pairs)
        if found is None:                                    # f is as low as its rounding lets us see
            break
        new, value, new_g = found
        s, y = new - thetas[-1], new_g - g
        if s @ y > 1e-10 * np.sqrt((s @ s) * (y @ y)):
            pairs.append((s, y))
        thetas.append(new)
        values.append(value)
        g = new_g
    return np.stack(thetas), np.array(values)


def two_loops(g, pairs):
    """-H^-1 g for the inverse Hessian that the (s, y) pairs, oldest first, imply."""
    q, alphas = g.copy(), []
    for s, y in reversed(pairs):
        alphas.append((s @ q) / (s @ y))
        q -= alphas[-1] * y
    if pairs:
        s, y = pairs[-1]
        q *= (s @ y) / (y @ y)
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - (y @ q) / (s @ y)) * s
    return -q


def _search(f, theta, value, g, direction, first):
    """(theta, value, gradient) after the longest halved step with enough descent; None if there is none."""
    length = min(1.0, 1.0 / float(np.abs(g).sum())) if first else 1.0
    for _ in range(40):
        new = theta + length * direction
        new_value, new_g = _value_and_gradient(f, new)
        if new_value <= value + 1e-4 * length * float(direction @ g) and new_value < value:
            return new, new_value, new_g
        length /= 2
    return None


def _value_and_gradient(f, theta):
    y, g = vjp(f, theta)
    return y.item(), g.numpy()
