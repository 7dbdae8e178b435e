"""Section 1.2: Newton's method in one and many dimensions, and what it costs."""

import time

import numpy as np

from ...autograd import Tensor
from ...optim import Parabola, descend, hessian_bytes, newton, newton_1d, newton_update, rosenbrock, sgd_update
from ...plot import plot_curves
from .. import Report, Target, experiment
from ..parts import exact, panels
from ._errata import departures
from ._paths import CANYON, START, draw_paths

PAPER = "Nocedal & Wright 2006, Numerical Optimization, section 3.3"
RESNET_18 = 11_689_512                                     # parameters


@experiment(
    "newton-1d", title="Newton's method in one dimension", chapter="1.2", paper=PAPER,
    equations="x <- x - f'(x) / f''(x)", module="minicv/optim/newton.py", notebook="notebooks/10_sgd_newton.py",
    shows="The osculating parabola: its vertex is the next point. Parabolas take one step, x^4 keeps 2/3 each time.",
    departures=departures("E1.9"),
    targets=[Target("parabola_error", "<", 1e-12, tag="E"), Target("newton_error", "<", 1e-12, tag="E"),
             *exact({"quartic_factor": (2 / 3, 1e-14), "descends_to_maximum": 1})])
def newton_line(preset, rng, out, progress):
    a, b, x = rng.uniform(0.1, 10, 1000), rng.uniform(-10, 10, 1000), rng.uniform(-10, 10, 1000)
    errors = [abs(newton_1d(x_, a_ * x_ + b_, a_) + b_ / a_) for a_, b_, x_ in zip(a, b, x, strict=True)]
    quartic = [3.0]
    for _ in range(20):
        quartic.append(newton_1d(quartic[-1], 4 * quartic[-1]**3, 12 * quartic[-1]**2))
    path = _newton_path(2.5, 10)
    top = newton_1d(0.3, -np.sin(0.3), -np.cos(0.3), allow_saddle=True)           # cos near its maximum 0
    factors = np.divide(quartic[1:], quartic[:-1])
    worst = factors[np.argmax(np.abs(factors - 2 / 3))]
    metrics = {"parabola_error": max(errors), "quartic_factor": worst, "newton_error": abs(path[-1] - _MINIMUM),
               "descends_to_maximum": np.cos(top) > np.cos(0.3)}
    return Report(metrics, {"Newton's method fits a parabola and goes to its vertex": lambda: _parabolas(path)},
                  {"steps": [{"step": t, "x": f"{p:.15f}"} for t, p in enumerate(path)]})


_MINIMUM = 2.0 ** 0.25                                     # of x^2/2 + 1/x^2


def _curve(x):
    return x**2 / 2 + 1 / x**2


def _newton_path(x, steps):
    """Newton on x^2/2 + 1/x^2, whose minimum is at 2^(1/4)."""
    path = [x]
    for _ in range(steps):
        path.append(newton_1d(path[-1], path[-1] - 2 / path[-1]**3, 1 + 6 / path[-1]**4))
    return path


def _parabolas(path):
    figure, axes = panels(2, (4.6, 3.6))
    grid = np.linspace(0.4, 3.2, 300)
    for ax, x in zip(axes, path[:2], strict=True):
        parabola = Parabola(x, _curve(x), x - 2 / x**3, 1 + 6 / x**4)
        ax.plot(grid, _curve(grid), color="black", label="f")
        ax.plot(grid, parabola(grid), "--", label="parabola at x")
        ax.plot(x, _curve(x), "o", label=f"x = {x:.3f}")
        ax.plot(parabola.vertex, parabola(parabola.vertex), "*", markersize=13, label=f"vertex {parabola.vertex:.3f}")
        ax.set(xlabel="$x$", ylim=(0, 6.5))
        ax.legend()
    return figure


@experiment(
    "newton", title="Newton's method", chapter="1.2", paper=PAPER,
    equations="theta <- theta - lr * (H + lambda I)^-1 g", module="minicv/optim/newton.py",
    notebook="notebooks/10_sgd_newton.py",
    shows="One step on a quadratic, six in Rosenbrock's valley; k^2 memory and k^3 time rule it out for networks.",
    departures=departures("E1.9"),
    targets=[Target("quadratic_error", "<", 1e-10, tag="E"), *exact({
        "rosenbrock_1": (4.73, 0.005), "rosenbrock_2": (1412, 0.5), "rosenbrock_3": (0.056, 5e-4),
        "rosenbrock_4": (0.313, 5e-4), "rosenbrock_5": (1.9e-11, 5e-13), "rosenbrock_6": (3.4e-20, 5e-22),
        "resnet_18_terabytes": (546.6, 0.05), "megabytes_of_1000": 4})])
def newton_plane(preset, rng, out, progress):
    Q = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    A, b = Q @ np.diag(np.geomspace(1, 100, 20)) @ Q.T, rng.standard_normal(20)
    thetas, _ = newton(lambda x: (x @ Tensor(A) * x).sum() * 0.5 - (x * b).sum(), np.ones(20), steps=1)
    valley, values = newton(rosenbrock().value, np.array([-1.2, 1.0]), steps=6)
    metrics = {"quadratic_error": np.abs(A @ thetas[1] - b).max()}
    metrics |= {f"rosenbrock_{t}": values[t] for t in range(1, 7)}
    metrics |= {"resnet_18_terabytes": hessian_bytes(RESNET_18) / 1e12, "megabytes_of_1000": hessian_bytes(1000) / 1e6}
    sizes = {"smoke": (50, 100), "fast": (250, 500, 1000, 2000), "full": (250, 500, 1000, 2000)}[preset]
    rows = [_cost(k, rng) for k in progress(sizes, desc="solving")]
    return Report(metrics, {
        "Newton on a quadratic takes one step": _quadratic,
        "Newton in Rosenbrock's valley": lambda: _rosenbrock(valley, values)},
        {"Memory grows with k^2, time with k^3 (measured here, not asserted)": rows})


def _cost(k, rng):
    """Bytes of a float64 Hessian of k parameters and the time of one step with it."""
    M = rng.standard_normal((k, k))
    H, g = M @ M.T / k + np.eye(k), rng.standard_normal(k)
    start = time.perf_counter()
    newton_update(np.zeros(k), g, H)
    return {"k": k, "megabytes": hessian_bytes(k, np.float64) / 1e6,
            "milliseconds": round(1e3 * (time.perf_counter() - start), 2)}


def _quadratic():
    figure, (ax,) = panels(1, (6.0, 4.0))
    step = newton_update(np.array(START), CANYON.gradient(np.array(START)), CANYON.hessian(None))
    descent = descend(CANYON, sgd_update, START, 60, lr=2 / 51)
    runs = {"SGD, 60 steps": descent, "Newton, 1 step": descent._replace(points=np.array([START, step]))}
    draw_paths(ax, CANYON, runs, (-11, 11), (-1.6, 1.6))
    return figure


def _rosenbrock(valley, values):
    figure, (left, right) = panels(2)
    descent = descend(rosenbrock(), sgd_update, (-1.2, 1.0), 2000, lr=1e-3)
    runs = {"SGD, 2000 steps": descent, "Newton, 6 steps": descent._replace(points=valley)}
    draw_paths(left, rosenbrock(), runs, (-2, 2), (-3.5, 2.5))
    plot_curves({"Newton": np.maximum(values, 1e-20)}, ylabel="f", log=True, ax=right)
    return figure
