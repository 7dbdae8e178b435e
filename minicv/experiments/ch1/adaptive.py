"""Section 1.4: AdaGrad, RMSProp and Adam, one rate for each parameter."""

import numpy as np

from ...optim import (
    adagrad_update,
    adam_direction,
    adam_update,
    canyon,
    descend,
    momentum_update,
    rmsprop_update,
    rotation,
    sgd_update,
    two_basins,
)
from .. import Report, Target, experiment
from ..parts import exact, panels
from ._errata import departures
from ._paths import CANYON, START, compare, draw_paths, reach, steps_to

NOTEBOOK = "notebooks/12_adaptive.py"
RACE = {"SGD": (sgd_update, 0.02), "AdaGrad": (adagrad_update, 0.5), "RMSProp": (rmsprop_update, 0.1),
        "Adam": (adam_update, 0.1)}


def race(*names, steps=500):
    """Trajectories in the canyon of the named methods with the rates of `RACE`."""
    return {name: descend(CANYON, RACE[name][0], START, steps, lr=RACE[name][1]) for name in names}


def distances(run):
    """Distance to the optimum after 100 and 500 steps."""
    return {f"distance_{t}": CANYON.distance(run.points[t]) for t in (100, 500)}


@experiment(
    "adagrad", title="AdaGrad", chapter="1.4", notebook=NOTEBOOK, module="minicv/optim/adagrad.py",
    paper="Duchi, Hazan & Singer 2011, Adaptive Subgradient Methods",
    equations="s <- s + g * g; theta <- theta - lr * g / (sqrt(s) + eps)",
    shows="Every parameter gets its own rate, but the rates only ever fall: at a small lr it stalls.",
    departures=departures("E1.12"),
    targets=exact({
        "stalled_distance_100": (8.21, 0.005), "stalled_distance_500": (6.05, 0.005), "distance_100": (2.76, 0.005),
        "distance_500": (0.078, 5e-4), "history_never_falls": 1, "step_times_root_t": (1, 1e-11)}))
def adagrad(preset, rng, out, progress):
    slow, fast = (descend(CANYON, adagrad_update, START, 500, lr=lr) for lr in (0.1, 0.5))
    metrics = {f"stalled_{name}": value for name, value in distances(slow).items()} | distances(fast)
    steps, histories = unit_steps(adagrad_update, 100, lr=1.0, eps=0.0)
    product = steps * np.sqrt(np.arange(1, 101))
    metrics |= {"history_never_falls": (np.diff(histories) >= 0).all(),
                "step_times_root_t": product[np.argmax(np.abs(product - 1))]}
    return Report(metrics, {
        "1.4 A loss that is steep in w1 and shallow in w2": _steep_and_shallow,
        "1.5 SGD and AdaGrad": lambda: compare(
            CANYON, race("SGD") | {"AdaGrad, lr 0.1": slow, "AdaGrad, lr 0.5": fast}),
        "The step of AdaGrad falls like 1/sqrt(t)": lambda: _steps_figure(
            {"AdaGrad": steps, "RMSProp": unit_steps(rmsprop_update, 100, lr=1.0)[0]})})


def unit_steps(update, count, **options):
    """Step lengths and histories s of an update whose gradient is always 1."""
    theta, state, steps, histories = np.zeros(1), {}, [], []
    for _ in range(count):
        before, (theta, state) = theta, update(theta, np.ones(1), state, **options)
        steps.append((before - theta)[0])
        histories.append(state["s"][0])
    return np.array(steps), np.array(histories)


def _steep_and_shallow():
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(9.5, 3.8))
    landscape = canyon(1 / 12)                                     # curvature 1 along w1, 1/12 along w2
    draw_paths(figure.add_subplot(1, 2, 1), landscape, {}, (-4, 4), (-4, 4), log=False)
    x, y = np.meshgrid(np.linspace(-4, 4, 60), np.linspace(-4, 4, 60))
    ax = figure.add_subplot(1, 2, 2, projection="3d")
    ax.plot_surface(x, y, landscape(np.stack([x, y], axis=-1)), cmap="viridis", linewidth=0)
    for axes in figure.axes:
        axes.set(xlabel="$w_1$", ylabel="$w_2$")
    return figure


def _steps_figure(curves):
    figure, (ax,) = panels(1)
    for label, steps in curves.items():
        ax.loglog(np.arange(1, len(steps) + 1), steps, label=label)
    ax.set(xlabel="step", ylabel="step length in units of lr, gradient 1")
    ax.legend()
    return figure


@experiment(
    "rmsprop", title="RMSProp", chapter="1.4", notebook=NOTEBOOK, module="minicv/optim/adagrad.py",
    paper="Tieleman & Hinton 2012, Lecture 6.5 (Coursera)",
    equations="s <- beta * s + (1 - beta) * g * g; theta <- theta - lr * g / (sqrt(s) + eps)",
    shows="Forgetting the old gradients cures the stalling, but near the minimum the steps stay about lr long.",
    departures=departures("E1.8"),
    targets=[*exact({"distance_100": (0.88, 0.005), "distance_500": (0.071, 5e-4), "constant_gradient_step": (1, 1e-9),
                     "spike_step": (3.162, 5e-4)}),
             Target("lowest_value", ">", 1e-6, tag="E"), Target("distance_to_small_basin", "<", 0.06, tag="E")])
def rmsprop(preset, rng, out, progress):
    run = descend(CANYON, rmsprop_update, START, 2000, lr=0.1)
    basin = descend(two_basins(), rmsprop_update, (-4.0,), 3000, lr=0.05)
    theta, state = np.zeros(1), {"s": np.zeros(1)}
    spike = -rmsprop_update(theta, np.ones(1), state, lr=1.0, eps=0.0)[0][0]
    steps = unit_steps(rmsprop_update, 300, lr=1.0, eps=0.0)[0]
    metrics = distances(run) | {
        "lowest_value": run.values.min(), "constant_gradient_step": steps[-1], "spike_step": spike,
        "distance_to_small_basin": np.abs(basin.points[500:] - two_basins().minima[1]).max()}
    return Report(metrics, {
        "1.6 SGD, AdaGrad and RMSProp": lambda: compare(CANYON, race("SGD", "AdaGrad", "RMSProp")),
        "RMSProp ends in a cycle of length lr": lambda: _cycle(run)})


def _cycle(run):
    figure, (left, right) = panels(2)
    draw_paths(left, CANYON, {"last 100 points": run._replace(points=run.points[-100:])}, (-0.12, 0.12), (-0.12, 0.12))
    right.semilogy(CANYON.distance(run.points))
    right.set(xlabel="step", ylabel="distance to the optimum")
    return figure


ROTATION = {0: (106, 261, 193), 15: (106, 254, 225), 30: (106, 310, 284), 45: (106, 351, 330)}
ROTATED = {"momentum": (momentum_update, {"lr": 0.02}), "adam": (adam_update, {"lr": 0.1}),
           "adagrad": (adagrad_update, {"lr": 1.0})}


@experiment(
    "adam", title="Adam", chapter="1.4", notebook=NOTEBOOK, module="minicv/optim/adam.py",
    paper="Kingma & Ba 2015, Adam: A Method for Stochastic Optimization, algorithm 1",
    equations="theta <- theta - lr * mh / (sqrt(sh) + eps), mh = m / (1 - b1^t), sh = s / (1 - b2^t)",
    shows="The debiased step, its bounds, and its weakness: landscapes that are not aligned with the axes.",
    departures=departures("E1.4", "E1.5", "E1.6"),
    targets=exact({
        "distance_100": (2.24, 0.005), "distance_500": (4.2e-8, 5e-10), "first_step": (1, 1e-12),
        "first_step_biased": (3.162, 5e-4), "spike": (3.162, 5e-4), "supremum": (7.270, 5e-4),
        "growing_gradient": (7.26, 0.005), "batch_noise_ratio": (21, 1.5), "basin_end": (-0.9693, 5e-5)}
        | {f"{name}_steps_{angle}_degrees": steps[k] for angle, steps in ROTATION.items()
           for k, name in enumerate(ROTATED)}))
def adam(preset, rng, out, progress):
    b1, b2 = 0.9, 0.999
    metrics = distances(race("Adam")["Adam"]) | {
        "first_step": abs(directions([-7.0], eps=0.0)[-1]),
        "first_step_biased": directions([1.0], eps=0.0, debias=False)[-1],
        "spike": directions([0.0] * 20_000 + [1.0])[-1],
        "supremum": (1 - b1) / np.sqrt((1 - b2) * (1 - b1**2 / b2)),
        "growing_gradient": directions([(b1 / b2) ** (6000 - k) for k in range(1, 6001)])[-1],
        "basin_end": descend(two_basins(), adam_update, (-4.0,), 3000, lr=0.05).points[-1, 0]}
    for angle in ROTATION:
        landscape, start = canyon(50, angle), rotation(angle) @ START
        metrics |= {f"{name}_steps_{angle}_degrees": steps_to(1e-4, landscape, update, start, **options)
                    for name, (update, options) in ROTATED.items()}
    points = least_squares(rng)
    draws = {"smoke": 1000, "fast": 30_000, "full": 60_000}[preset]
    metrics["batch_noise_ratio"] = noise(points, 4, rng, draws) / noise(points, 64, rng, draws)
    seed = int(rng.integers(2**31))
    return Report(metrics, {
        "1.7 SGD, AdaGrad, RMSProp and Adam": lambda: compare(CANYON, race(*RACE)),
        "1.8 The same on batches of 64 and of 4": lambda: _batches(points, seed),
        "Adam in a canyon that is not aligned with the axes": _turned,
        "Debiasing: the first steps on a constant gradient": _debiasing})


def directions(gradients, eps=1e-300, **options):
    """Adam's steps in units of lr for a sequence of gradients."""
    state, out = {}, []
    for g in gradients:
        d, state = adam_direction(np.array(g), state, eps=eps, **options)
        out.append(float(d))
    return out


def least_squares(rng, count=256):
    """Points X (count, 2), the second coordinate seven times as wide, and noisy targets of the line w = (1, 1)."""
    X = rng.standard_normal((count, 2)) * [1.0, 7.0]
    return X, X @ [1.0, 1.0] + rng.standard_normal(count)


def batch_gradient(w, points, batch):
    """Gradient of half the mean squared error on the chosen points."""
    X, y = points[0][batch], points[1][batch]
    return X.T @ (X @ w - y) / len(y)


def noise(points, batch_size, rng, draws=30_000):
    """Variance of the gradient of random batches at w = 0, summed over coordinates.

    Without replacement it is proportional to (1 - B/N)/B: for N = 256 the ratio of B = 4 to 64 is 21.
    """
    X, y = points
    samples = X * -y[:, None]                                      # gradients of the single points at 0
    gradients = [samples[rng.permutation(len(y))[:batch_size]].mean(axis=0) for _ in range(draws)]
    return np.var(gradients, axis=0).sum()


def _batches(points, seed):
    figure, axes = panels(2, (5.0, 4.2))
    H = points[0].T @ points[0] / len(points[1])
    best = np.linalg.solve(H, points[0].T @ points[1] / len(points[1]))

    def height(w):
        return (((w - best) @ H) * (w - best)).sum(-1) / 2

    from ...plot import plot_contours, plot_path
    for ax, size in zip(axes, (64, 4), strict=True):
        plot_contours(height, (-0.6, 4.4), (-0.4, 2.4), log=True, ax=ax)
        for name, lr in {"SGD": 0.02, "AdaGrad": 0.3, "RMSProp": 0.05, "Adam": 0.05}.items():
            plot_path(_descent_on_batches(points, RACE[name][0], lr, size, seed), label=name, ax=ax)
        ax.set_title(f"batches of {size}")
    return figure


def _descent_on_batches(points, update, lr, batch_size, seed, steps=120):
    rng, w, state = np.random.default_rng(seed), np.array([4.0, 2.0]), {}
    path = [w]
    for _ in range(steps):
        batch = rng.choice(len(points[1]), batch_size, replace=False)
        w, state = update(w, batch_gradient(w, points, batch), state, lr=lr)
        path.append(w)
    return path


def _turned():
    figure, axes = panels(2, (4.8, 4.2))
    for ax, angle in zip(axes, (0, 45), strict=True):
        landscape, start = canyon(50, angle), rotation(angle) @ START
        runs = {name: reach(1e-4, landscape, update, start, **options) for name, (update, options) in ROTATED.items()}
        title = ", ".join(f"{name} {run.steps}" for name, run in runs.items())
        draw_paths(ax, landscape, runs, (-11, 11), (-11, 11), title=title)
    return figure


def _debiasing():
    ones = [1.0] * 3000
    figure, (ax,) = panels(1)
    ax.semilogx(np.arange(1, 3001), directions(ones), label="debiased")
    ax.semilogx(np.arange(1, 3001), directions(ones, debias=False), label="as accumulated")
    ax.set(xlabel="step", ylabel="step length in units of lr")
    ax.legend()
    return figure
