r"""Functions to watch optimizers on (course 1.1): value, gradient and Hessian in closed form.

On a quadratic everything is known beforehand: which learning rates converge, and which is best.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..autograd.elementwise import exp
from ..errors import ArgError, ShapeError


@dataclass(frozen=True)
class Landscape:
    """A function of `dim` variables.

    value : points (..., dim), an array or a Tensor, to (...)
    gradient : points (..., dim) to (..., dim)
    hessian : point (dim,) to (dim, dim)
    minima : array (M, dim), the known minima, lowest first; (0, dim) if there is none
    """

    name: str
    dim: int
    value: Callable = field(repr=False)
    gradient: Callable = field(repr=False)
    hessian: Callable = field(repr=False)
    minima: np.ndarray = field(repr=False)

    def __call__(self, points):
        """Values (...) of points (..., dim)."""
        return self.value(self.check(points))

    def check(self, points):
        """`points` as a float array, or a ShapeError when they have another number of coordinates."""
        points = np.asarray(points)
        points = points if points.dtype.kind == "f" else points.astype(np.float64)
        if points.ndim < 1 or points.shape[-1] != self.dim:
            raise ShapeError(f"{self.name}: points have shape {points.shape}, expected (..., {self.dim})")
        return points

    def distance(self, points):
        """Euclidean distance (...) of points to the lowest minimum."""
        if not len(self.minima):
            raise ArgError(f"{self.name}: it has no minimum, expected one to measure a distance to")
        return np.linalg.norm(self.check(points) - self.minima[0], axis=-1)


def quadratic(A, name="quadratic"):
    r""":math:`\frac12 x^\top A x` for a symmetric matrix A (n, n)."""
    A = np.asarray(A, dtype=np.float64)
    if A.ndim != 2 or A.shape[0] != A.shape[1] or not np.allclose(A, A.T):
        raise ShapeError(f"quadratic: A has shape {A.shape}, expected a symmetric (n, n)")
    n = len(A)
    definite = np.linalg.eigvalsh(A)[0] > 0
    return Landscape(name, n, lambda x: ((x @ A) * x).sum(-1) / 2, lambda x: x @ A, lambda x: A,
                     np.zeros((1 if definite else 0, n)))


def sphere(dim=2):
    r""":math:`\frac12\|x\|^2`: equally curved in all directions."""
    return quadratic(np.eye(dim), "sphere")


def canyon(kappa=50.0, angle=0.0):
    r""":math:`\frac12(x^2 + \kappa y^2)`, turned by `angle` degrees counter-clockwise.

    kappa > 0 is the ratio of the curvatures, the condition number where it is above 1.
    """
    if not 0 < kappa < np.inf:
        raise ArgError(f"canyon: kappa is {kappa!r}, expected a finite number > 0")
    R = rotation(angle)
    return quadratic(R @ np.diag([1.0, kappa]) @ R.T, f"canyon {kappa:g}" + (f", {angle:g} degrees" if angle else ""))


def rotation(angle):
    """Matrix (2, 2) that turns points by `angle` degrees counter-clockwise."""
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return np.array([[c, -s], [s, c]])


def saddle():
    """x^2 - y^2: flat at the origin, which is no minimum."""
    return quadratic(np.diag([2.0, -2.0]), "saddle")


def two_basins():
    """0.05 (x - 4)^2 - exp(-((x + 1)/0.35)^2): a wide basin at 4 and a narrow, higher one near -0.97."""
    def bump(x):
        z = (x[..., 0] + 1) / 0.35
        return z, exp(-z * z)

    def value(x):
        return 0.05 * (x[..., 0] - 4) ** 2 - bump(x)[1]

    def gradient(x):
        z, e = bump(x)
        return (0.1 * (x[..., 0] - 4) + 2 * z / 0.35 * e)[..., None]

    def hessian(x):
        z, e = bump(x)
        return np.reshape(0.1 + (2 - 4 * z * z) / 0.35**2 * e, (1, 1))

    return Landscape("two basins", 1, value, gradient, hessian, np.array([[4.0], [-0.9693282179985678]]))


def rosenbrock():
    """(1 - x)^2 + 100 (y - x^2)^2: a curved valley with its minimum at (1, 1) (Rosenbrock 1960)."""
    def value(p):
        x, y = p[..., 0], p[..., 1]
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2

    def gradient(p):
        x, y = p[..., 0], p[..., 1]
        return np.stack([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)], axis=-1)

    def hessian(p):
        x, y = p
        return np.array([[2 - 400 * y + 1200 * x * x, -400 * x], [-400 * x, 200.0]])

    return Landscape("Rosenbrock", 2, value, gradient, hessian, np.array([[1.0, 1.0]]))


def lr_bound(H):
    """2/L with L the largest eigenvalue of the Hessian: gradient descent diverges above it."""
    return 2 / _curvatures("lr_bound", H)[-1]


def best_lr(H):
    """2/(L + m): the constant rate with the fastest worst case, factor (kappa - 1)/(kappa + 1) a step."""
    curvatures = _curvatures("best_lr", H)
    return 2 / (curvatures[-1] + curvatures[0])


def best_momentum(H):
    r"""(lr, momentum) of Polyak's heavy ball with the fastest worst case on a quadratic:
    :math:`4/(\sqrt L+\sqrt m)^2` and :math:`((\sqrt L-\sqrt m)/(\sqrt L+\sqrt m))^2`.
    """
    curvatures = _curvatures("best_momentum", H)
    low, high = np.sqrt(curvatures[0]), np.sqrt(curvatures[-1])
    return 4 / (high + low) ** 2, ((high - low) / (high + low)) ** 2


def _curvatures(function, H):
    eigenvalues = np.linalg.eigvalsh(np.asarray(H, dtype=np.float64)).tolist()
    if not eigenvalues[0] > 0:
        raise ArgError(f"{function}: smallest curvature is {eigenvalues[0]:.3g}, expected > 0 (a convex bowl)")
    return eigenvalues
