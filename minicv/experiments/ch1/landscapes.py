"""Section 1.1: the landscapes themselves, and all methods in one of them."""

import numpy as np

from ...optim import (
    adam_update,
    best_lr,
    best_momentum,
    canyon,
    momentum_update,
    nesterov_update,
    rosenbrock,
    saddle,
    sgd_update,
    sphere,
    two_basins,
)
from ...plot import plot_contours
from .. import Report, Target, experiment
from ..parts import exact, panels
from ._paths import CANYON, compare, reach

ALL = (sphere(), canyon(50), canyon(50, angle=30), saddle(), two_basins(), rosenbrock())


@experiment(
    "landscapes", title="Test landscapes", chapter="1.1",
    paper="Rosenbrock 1960, An automatic method for finding the greatest or least value of a function",
    equations="sphere |x|^2/2; canyon (x^2 + kappa y^2)/2; saddle x^2 - y^2; 0.05(x - 4)^2 - exp(-((x + 1)/0.35)^2)",
    module="minicv/optim/landscapes.py", notebook="notebooks/10_sgd_newton.py",
    shows="Functions with gradient and Hessian in closed form, checked against differences.",
    targets=[Target("gradient_error", "<", 1e-7, tag="E"), Target("hessian_error", "<", 1e-7, tag="E"),
             Target("slope_at_minima", "<", 1e-14, tag="E"), Target("rotation_error", "<", 1e-12, tag="E")])
def landscapes(preset, rng, out, progress):
    count = {"smoke": 5, "fast": 200, "full": 2000}[preset]
    errors = np.array([difference_errors(landscape, x) for landscape in ALL
                       for x in rng.uniform(-2, 2, (count, landscape.dim))])
    x = rng.uniform(-2, 2, (count, 2))
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    turned = np.stack([c * x[:, 0] - s * x[:, 1], s * x[:, 0] + c * x[:, 1]], axis=1)
    metrics = {"gradient_error": errors[:, 0].max(), "hessian_error": errors[:, 1].max(),
               "slope_at_minima": max(np.abs(each.gradient(m)).max() for each in ALL for m in each.minima),
               "rotation_error": np.abs(canyon(50, 30)(turned) / CANYON(x) - 1).max()}
    return Report(metrics, {"The landscapes": _gallery})


def difference_errors(landscape, x, h=1e-5):
    """Relative errors of gradient and Hessian against central differences at the point x."""
    steps = h * np.eye(landscape.dim)
    slope = np.array([(landscape(x + e) - landscape(x - e)) / (2 * h) for e in steps])
    bend = np.array([(landscape.gradient(x + e) - landscape.gradient(x - e)) / (2 * h) for e in steps])
    g, H = landscape.gradient(x), landscape.hessian(x)
    return np.abs(slope - g).max() / (1 + np.abs(g).max()), np.abs(bend - H).max() / (1 + np.abs(H).max())


def _gallery():
    figure, axes = panels(len(ALL), (3.2, 3.0))
    for ax, landscape in zip(axes, ALL, strict=True):
        if landscape.dim == 1:
            x = np.linspace(-5, 9, 300)
            ax.plot(x, landscape(x[:, None]), color="black", linewidth=1)
            ax.plot(landscape.minima[:, 0], landscape(landscape.minima), "*", markersize=12)
            ax.set(xlabel="$x$", ylabel="$f(x)$")
        else:
            plot_contours(landscape, (-2, 2), (-2, 2), log=landscape.name != "saddle", ax=ax)
        ax.set_title(landscape.name)
    return figure


STEPS = {"sgd": 227, "nesterov": 75, "momentum": 46, "adam": 305}


@experiment(
    "tour-optimizers", title="Four optimizers in a canyon", chapter="1.3",
    paper="Polyak 1964; Nesterov 1983; Kingma & Ba 2015",
    module="minicv/optim/landscapes.py", notebook="notebooks/11_momentum.py", system=False, tour=1,
    shows="Steps to f < 1e-6 in a canyon of condition number 50, each method with a good rate.",
    targets=exact({f"{name}_steps": steps for name, steps in STEPS.items()}))
def tour_optimizers(preset, rng, out, progress):
    H = CANYON.hessian(None)
    lr, mu = best_momentum(H)
    runs = {"SGD": reach(1e-6, CANYON, sgd_update, lr=best_lr(H)),
            "Nesterov": reach(1e-6, CANYON, nesterov_update, lr=0.02, momentum=0.752),
            "momentum": reach(1e-6, CANYON, momentum_update, lr=lr, momentum=mu),
            "Adam": reach(1e-6, CANYON, adam_update, lr=0.1)}
    rows = [{"method": name, "steps": run.steps, "largest |y|": f"{np.abs(run.points[1:, 1]).max():.2f}"}
            for name, run in runs.items()]
    return Report({f"{name.lower()}_steps": run.steps for name, run in runs.items()},
                  {"Paths and values": lambda: compare(CANYON, runs, (-11, 11), (-2, 2))},
                  {"steps to f < 1e-6": rows})
