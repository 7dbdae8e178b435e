r"""Second-order methods (course 1.2): a step to where the osculating parabola is flat.

In one dimension :math:`x - f'(x)/f''(x)`, in k dimensions :math:`\theta - H^{-1}g`. On a quadratic one
step is exact. The price is H itself: k^2 numbers to hold and about k^3/3 multiplications to solve.
"""

import math
from typing import NamedTuple

import numpy as np

from ..autograd.tensor import Tensor
from ..autograd.transforms import hessian as exact_hessian
from ..autograd.transforms import vjp
from ..errors import ArgError, LimitError, ShapeError
from .checks import check

MAX_PARAMETERS = 2000


class Parabola(NamedTuple):
    """The parabola through (x, value) with the slope and curvature of f there."""

    x: float
    value: float
    slope: float
    curvature: float

    def __call__(self, at):
        """Its height at the points `at`."""
        d = np.asarray(at) - self.x
        return self.value + self.slope * d + self.curvature * d * d / 2

    @property
    def vertex(self):
        """Where it is flat: the next point of Newton's method."""
        return newton_1d(self.x, self.slope, self.curvature, allow_saddle=True)


def newton_1d(x, slope, curvature, *, allow_saddle=False):
    """``x - slope / curvature``: the vertex of the parabola that touches f at x.

    Parameters
    ----------
    x, slope, curvature : float
        A point and the first and second derivative of f there.
    allow_saddle : bool
        Accept a negative curvature; the step then leads to a maximum of the parabola.

    Raises
    ------
    ArgError
        If the curvature is zero or not finite, or negative without `allow_saddle`.

    Any quadratic is solved in one step; on x^4 each step multiplies x by 2/3.

    >>> newton_1d(3.0, 108.0, 108.0)          # x^4 at 3
    2.0
    """
    if curvature == 0 or not math.isfinite(curvature) or not math.isfinite(slope):
        raise ArgError(f"newton_1d: slope is {slope} and curvature {curvature} at x = {x}, expected finite numbers "
                       "and a curvature other than 0; the parabola has no vertex")
    if curvature < 0 and not allow_saddle:
        raise ArgError(f"newton_1d: curvature is {curvature} at x = {x}, expected > 0; the step would go to a maximum "
                       "(allow_saddle=True permits it)")
    return x - slope / curvature


def newton_update(theta, g, H, *, lr=1.0, damping=0.0):
    r""":math:`\theta - \eta\,(H + \lambda I)^{-1} g` by solving a linear system; H is not inverted.

    Parameters
    ----------
    theta, g : array (k,)
        Point and gradient.
    H : array (k, k)
        Hessian. The step leads to a *stationary* point of the quadratic model, to a minimum only if
        H + damping I is positive definite.
    lr : float > 0
        With lr other than 1 even a quadratic takes many steps.
    damping : float >= 0
        lambda; large values turn the step towards plain gradient descent (Levenberg 1944).

    Raises
    ------
    ShapeError
        If shapes do not fit.
    LimitError
        If k exceeds `MAX_PARAMETERS`.
    ArgError
        If H + damping I is singular (in working precision) or not finite.

    Reference: Nocedal & Wright, Numerical Optimization, 2006, section 3.3.
    """
    check("newton_update", lr=lr, weight_decay=damping)
    theta, g, H = np.asarray(theta), np.asarray(g), np.asarray(H)
    check_size("newton_update", theta.size, theta.dtype)
    if theta.ndim != 1 or g.shape != theta.shape or H.shape != (theta.size, theta.size):
        raise ShapeError(f"newton_update: theta, g, H have shapes {theta.shape}, {g.shape}, {H.shape}, expected "
                         "(k,), (k,) and a square (k, k)")
    return theta - lr * _solve(H + damping * np.eye(theta.size, dtype=H.dtype), g)


def newton(f, theta, *, steps, lr=1.0, damping=0.0, hessian="autograd"):
    """Minimise f with Newton's method.

    Parameters
    ----------
    f : callable
        Tensor (k,) to scalar Tensor.
    theta : array (k,)
        Start, float64 for the full accuracy.
    steps : int >= 0
    lr, damping : as in `newton_update`
    hessian : {"autograd", "finite"}
        Differentiate the gradient again, or take differences of it.

    Returns
    -------
    thetas : array (steps + 1, k)
    values : array (steps + 1,)

    Raises
    ------
    ArgError, ShapeError, LimitError
        As `newton_update`, before any Hessian is computed.
    """
    if hessian not in ("autograd", "finite"):
        raise ArgError(f"newton: hessian is {hessian!r}, expected 'autograd' or 'finite'")
    theta = as_floats(theta)
    if theta.ndim != 1 or not theta.size:
        raise ShapeError(f"newton: theta has shape {theta.shape}, expected (k,) with k >= 1")
    check_size("newton", theta.size, theta.dtype)
    thetas = [theta]
    for _ in range(steps):
        x = thetas[-1]
        H = exact_hessian(f, x).numpy() if hessian == "autograd" else finite_hessian(f, x)
        thetas.append(newton_update(x, gradient_of(f, x), H, lr=lr, damping=damping))
    return np.stack(thetas), np.array([f(Tensor(t)).item() for t in thetas])


def as_floats(theta):
    """`theta` as an array of floats: as it is, or float64."""
    theta = np.asarray(theta)
    return theta if theta.dtype.kind == "f" else theta.astype(np.float64)


def gradient_of(f, theta):
    """Gradient of ``f`` (Tensor to scalar Tensor) at the array `theta`, as an array."""
    return vjp(f, theta)[1].numpy()


def finite_hessian(f, theta):
    """Hessian (k, k) by central differences of the gradient, made symmetric; error about 1e-9 in float64."""
    theta = np.asarray(theta)
    h = np.finfo(theta.dtype).eps ** (1 / 3) * np.maximum(1, np.abs(theta))
    steps = np.diag(h).astype(theta.dtype, copy=False)
    H = np.stack([(gradient_of(f, theta + e) - gradient_of(f, theta - e)) / (2 * e.sum()) for e in steps])
    return (H + H.T) / 2


def hessian_bytes(k, dtype=np.float32):
    """Memory of a k x k Hessian in bytes.

    >>> hessian_bytes(1000)
    4000000
    """
    return int(k) ** 2 * np.dtype(dtype).itemsize


def check_size(function, k, dtype, limit=MAX_PARAMETERS):
    """Raise a LimitError when a Hessian of k parameters would be too large, with its size in bytes."""
    if k > limit:
        raise LimitError(f"{function}: theta has {k} parameters, expected at most {limit}; the Hessian alone would "
                         f"take {hessian_bytes(k, dtype):.3g} bytes")


def _solve(H, g):
    """H^-1 g, refused where the length of the step shows that H is singular to working precision."""
    if not (np.isfinite(H).all() and np.isfinite(g).all()):
        raise ArgError("newton_update: H or g holds NaN or infinity, expected finite numbers")
    try:
        d = np.linalg.solve(H, g)
    except np.linalg.LinAlgError:
        d = None
    if d is None or _amplified(H, d, g) * np.finfo(d.dtype).eps * len(g) > 1:
        raise ArgError(f"newton_update: H of shape {H.shape} is singular, expected full rank; "
                       "damping > 0 makes it so")
    return d


def _amplified(H, d, g):
    """||H|| ||d|| / ||g||, at most the condition number of H."""
    return np.linalg.norm(H) * np.linalg.norm(d) / max(np.linalg.norm(g), np.finfo(g.dtype).tiny)
