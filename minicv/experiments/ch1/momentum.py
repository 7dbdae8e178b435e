"""Section 1.3: momentum and Nesterov's variant, with and without the look-ahead gradient."""

import numpy as np

from ...autograd import Tensor
from ...optim import (
    SGD,
    best_lr,
    best_momentum,
    canyon,
    descend,
    momentum_torch_update,
    momentum_update,
    nesterov_fused_update,
    nesterov_update,
    sgd_update,
    sphere,
    two_basins,
)
from ...plot import PALETTE
from .. import Report, Target, experiment
from ..parts import exact, panels
from ._errata import departures
from ._paths import CANYON, START, compare, draw_line, draw_paths, reach, steps_to

NOTEBOOK = "notebooks/11_momentum.py"
SPHERE_START = (10.0, 5.0)


@experiment(
    "momentum", title="Momentum", chapter="1.3", notebook=NOTEBOOK, module="minicv/optim/sgd.py",
    paper="Polyak 1964, Some methods of speeding up the convergence of iteration methods",
    equations="v <- mu * v - lr * g; theta <- theta + v",
    shows="Momentum averages noise away, needs sqrt(kappa) instead of kappa steps, and rolls out of narrow basins.",
    departures=departures("E1.3", "E1.10"),
    targets=[*exact({
        "sphere_steps_0.1_0.5": 19, "sphere_steps_0.01_0.9": 130, "canyon_steps_best": 46, "canyon_steps_0.02_0.9": 153,
        "canyon_steps_0.005_0.9": 165, "noise_variance": (0.0526, 0.0026), "basin_end": (4, 1e-9),
        "exponent_sgd": (1, 0.06), "exponent_momentum": (0.5, 0.08), "effective_step": (10, 1e-6)}),
        Target("forms_differ_constant_lr", "<", 1e-12, tag="E"), Target("forms_differ_changing_lr", ">", 0.1, tag="E")])
def momentum(preset, rng, out, progress):
    lr, mu = best_momentum(CANYON.hessian(None))
    metrics = {f"sphere_steps_{a:g}_{m:g}": steps_to(1e-6, sphere(), momentum_update, SPHERE_START, lr=a, momentum=m)
               for a, m in ((0.1, 0.5), (0.01, 0.9))}
    metrics |= {"canyon_steps_best": steps_to(1e-6, CANYON, momentum_update, lr=lr, momentum=mu)}
    metrics |= {f"canyon_steps_{a:g}_0.9": steps_to(1e-6, CANYON, momentum_update, lr=a) for a in (0.02, 0.005)}
    kappas, plain, fast = condition_sweep({"smoke": 9, "fast": 19, "full": 37}[preset])
    late = kappas >= 100
    basin = descend(two_basins(), momentum_update, (-4.0,), 3000, lr=0.05)
    metrics |= {"noise_variance": filtered_noise(rng)[1].var(), "basin_end": basin.points[-1, 0],
                "exponent_sgd": slope(kappas[late], plain[late]), "exponent_momentum": slope(kappas[late], fast[late]),
                "forms_differ_constant_lr": forms_apart(lambda t: 0.01),
                "forms_differ_changing_lr": forms_apart(lambda t: 0.01 if t < 50 else 0.001),
                "effective_step": effective_step()}
    return Report(metrics, {
        "1.1 SGD against momentum, sphere and canyon": _figure_1_1,
        "Steps against the condition number": lambda: _sweep_figure(kappas, plain, fast),
        "Momentum is a low-pass filter": lambda: _filter_figure(rng),
        "A wide and a narrow basin": lambda: _basins(basin)})


def condition_sweep(count):
    """Condition numbers 1 ... 6400 and the steps to f < 1e-6 of SGD and momentum, each at its best rate."""
    kappas = np.geomspace(1, 6400, count)
    steps = []
    for kappa in kappas:
        landscape = canyon(kappa)
        H = landscape.hessian(None)
        lr, mu = best_momentum(H)
        steps.append((reach(1e-6, landscape, sgd_update, steps=100_000, lr=best_lr(H)).steps,
                      reach(1e-6, landscape, momentum_update, steps=100_000, lr=lr, momentum=mu).steps))
    return kappas, *np.array(steps).T


def slope(x, y):
    """Exponent p of a power law y ~ x^p, fitted in logarithms."""
    return np.polyfit(np.log(x), np.log(y), 1)[0]


def filtered_noise(rng, count=1_000_000, mu=0.9):
    """Noise of variance 1 and its normalised running velocity (1 - mu) * sum mu^k g."""
    noise = rng.standard_normal((200 + count // 100, 100))
    v, out, state = np.zeros(100), [], {}
    for g in noise:
        v, state = momentum_update(v, g, state, lr=1 - mu, momentum=mu)
        out.append(-state["v"])
    return noise[200:], np.array(out[200:])


def forms_apart(schedule):
    """Largest distance between the two conventions of momentum in 100 steps with lr = schedule(t)."""
    a, b, state_a, state_b, apart = np.array(START), np.array(START), {}, {}, 0.0
    for t in range(100):
        a, state_a = momentum_update(a, CANYON.gradient(a), state_a, lr=schedule(t))
        b, state_b = momentum_torch_update(b, CANYON.gradient(b), state_b, lr=schedule(t))
        apart = max(apart, np.abs(a - b).max())
    return apart


def effective_step(mu=0.9):
    """Length of a step in units of lr after many equal gradients."""
    theta, state = np.zeros(1), {}
    for _ in range(300):
        theta, state = momentum_update(theta, np.ones(1), state, lr=1.0, momentum=mu)
    return -state["v"][0]


def _figure_1_1():
    figure, (left, right) = panels(2)
    runs = {"SGD": reach(1e-6, sphere(), sgd_update, SPHERE_START, lr=0.1),
            "momentum": reach(1e-6, sphere(), momentum_update, SPHERE_START, lr=0.1, momentum=0.5)}
    draw_paths(left, sphere(), runs, (-11, 11), (-11, 11), title=_steps(runs))
    lr, mu = best_momentum(CANYON.hessian(None))
    runs = {"SGD": reach(1e-6, CANYON, sgd_update, lr=2 / 51),
            "momentum": reach(1e-6, CANYON, momentum_update, lr=lr, momentum=mu)}
    draw_paths(right, CANYON, runs, (-11, 11), (-3, 3), title=_steps(runs))
    return figure


def _steps(runs):
    return ", ".join(f"{label} {run.steps}" for label, run in runs.items()) + " steps"


def _sweep_figure(kappas, plain, fast):
    figure, (ax,) = panels(1)
    ax.loglog(kappas, plain, "o-", markersize=3, label="SGD, lr 2/(L + m)")
    ax.loglog(kappas, fast, "s-", markersize=3, label="momentum, best lr and mu")
    ax.loglog(kappas, 5 * kappas, ":", color="gray", label="slope 1")
    ax.loglog(kappas, 8 * np.sqrt(kappas), "--", color="gray", label="slope 1/2")
    ax.set(xlabel="condition number", ylabel="steps to f < 1e-6")
    ax.legend()
    return figure


def _filter_figure(rng):
    noise, smooth = filtered_noise(rng, count=20_000)
    figure, (ax,) = panels(1, (7.0, 3.4))
    ax.plot(noise[:, 0], linewidth=0.7, alpha=0.6, label=f"gradient noise, variance {noise.var():.3f}")
    ax.plot(smooth[:, 0], label=f"normalised velocity, variance {smooth.var():.4f}")
    ax.set(xlabel="step", ylabel="value")
    ax.legend()
    return figure


def _basins(basin):
    figure, axes = panels(2)
    small = descend(two_basins(), sgd_update, (-4.0,), 3000, lr=0.05)
    for ax, (label, run) in zip(axes, {"SGD": small, "momentum 0.9": basin}.items(), strict=True):
        draw_line(ax, two_basins(), {label: run}, -5, 9)
    return figure


@experiment(
    "nesterov", title="Nesterov momentum", chapter="1.3", notebook=NOTEBOOK, module="minicv/optim/sgd.py",
    paper="Nesterov 1983; Sutskever et al. 2013, On the importance of initialization and momentum in deep learning",
    equations="v <- mu * v - lr * grad(theta + mu * v); theta <- theta + v",
    shows="The gradient is taken where the velocity leads, which brakes before an overshoot.",
    targets=exact({
        "sphere_steps_0.1_0.5": 34, "canyon_steps_0.02_0.752": 75, "canyon_steps_0.02_0.9": 110,
        "canyon_steps_0.005_0.9": 117, "without_momentum_minus_sgd": 0, "basin_end": (4, 1e-9)}))
def nesterov(preset, rng, out, progress):
    metrics = {"sphere_steps_0.1_0.5": steps_to(1e-6, sphere(), nesterov_update, SPHERE_START, lr=0.1, momentum=0.5)}
    metrics |= {f"canyon_steps_{lr:g}_{mu:g}": steps_to(1e-6, CANYON, nesterov_update, lr=lr, momentum=mu)
                for lr, mu in ((0.02, 0.752), (0.02, 0.9), (0.005, 0.9))}
    plain = descend(CANYON, sgd_update, START, 200, lr=0.03)
    zero = descend(CANYON, nesterov_update, START, 200, lr=0.03, momentum=0.0)
    end = descend(two_basins(), nesterov_update, (-4.0,), 3000, lr=0.05).points[-1, 0]
    metrics |= {"without_momentum_minus_sgd": np.abs(plain.points - zero.points).max(), "basin_end": end}
    runs = {"SGD": descend(CANYON, sgd_update, START, 150, lr=0.02),
            "momentum": descend(CANYON, momentum_update, START, 150, lr=0.02),
            "Nesterov": descend(CANYON, nesterov_update, START, 150, lr=0.02)}
    return Report(metrics, {
        "1.2 The step of momentum and of Nesterov": _geometry,
        "1.3 SGD, momentum and Nesterov in the canyon": lambda: compare(CANYON, runs, (-11, 11), (-3, 3))})


def _geometry(lr=0.012, mu=0.9):
    """Arrows mu*v, -lr*g(theta) and -lr*g(theta + mu*v) after three steps of momentum."""
    theta, state = np.array(START), {}
    for _ in range(3):
        theta, state = momentum_update(theta, CANYON.gradient(theta), state, lr=lr, momentum=mu)
    drift = mu * state["v"]
    here, ahead = -lr * CANYON.gradient(theta), -lr * CANYON.gradient(theta + drift)
    figure, axes = panels(2, sharex=True, sharey=True)
    for ax, name, push in zip(axes, ("momentum", "Nesterov"), (here, ahead), strict=True):
        foot = theta if name == "momentum" else theta + drift
        _arrows(ax, {"$\\mu v$": (theta, drift), "gradient step": (foot, push), "whole step": (theta, drift + push)})
        ax.set(title=name, xlabel="$x_1$", ylabel="$x_2$")
    return figure


def _arrows(ax, arrows):
    for i, (label, (foot, arrow)) in enumerate(arrows.items()):
        ax.quiver(*foot, *arrow, color=PALETTE[i], angles="xy", scale_units="xy", scale=1, width=0.008, label=label)
        ax.plot(*np.stack([foot, foot + arrow]).T, alpha=0)                      # makes room for the arrow
    ax.margins(0.15)
    ax.legend()


@experiment(
    "nesterov-fused", title="Nesterov without look-ahead", chapter="1.3", notebook=NOTEBOOK,
    module="minicv/optim/sgd.py",
    paper="Bengio, Boulanger-Lewandowski & Pascanu 2013, Advances in Optimizing Recurrent Networks",
    equations="v' = mu * v - lr * g(phi); phi' = phi - mu * v + (1 + mu) * v'",
    shows="In the variable phi = theta + mu * v the look-ahead gradient is the ordinary one.",
    targets=[Target("apart_from_look_ahead", "<", 1e-12, tag="E"), Target("apart_from_class", "<", 1e-12, tag="E")])
def nesterov_fused(preset, rng, out, progress, *, lr=0.01, mu=0.9):
    theta = phi = np.array(START)
    p, state, fused, rows = Tensor(theta, requires_grad=True), {}, {}, []
    optimizer = SGD([p], lr=lr, momentum=mu, nesterov=True)
    for _ in range(200):
        theta, state = nesterov_update(theta, CANYON.gradient, state, lr=lr, momentum=mu)
        phi, fused = nesterov_fused_update(phi, CANYON.gradient(phi), fused, lr=lr, momentum=mu)
        p.grad = Tensor(CANYON.gradient(p.data))
        optimizer.step()
        rows.append((theta, phi, np.abs(phi - theta - mu * state["v"]).max(), np.abs(phi - p.data).max()))
    thetas, phis, ahead, classes = map(np.array, zip(*rows, strict=True))
    return Report({"apart_from_look_ahead": ahead.max(), "apart_from_class": classes.max()},
                  {"The two variables of Nesterov's method": lambda: _two_variables(thetas, phis)},
                  {"first steps": [{"step": t + 1, "theta": np.round(thetas[t], 4).tolist(),
                                    "phi": np.round(phis[t], 4).tolist()} for t in range(5)]})


def _two_variables(thetas, phis):
    run = descend(CANYON, nesterov_update, START, 1, lr=0.01)
    figure, (ax,) = panels(1, (6.0, 4.2))
    runs = {"theta": run._replace(points=thetas[:60]), "phi = theta + mu v": run._replace(points=phis[:60])}
    draw_paths(ax, CANYON, runs, (-11, 11), (-2, 2))
    return figure
