"""Section 1.1: stochastic gradient descent, on digits and on landscapes."""

import numpy as np

from ...autograd import Tensor, no_grad
from ...data import Glyphs10
from ...nn import Linear, cross_entropy
from ...optim import SGD, best_lr, descend, lr_bound, minibatches, saddle, sgd_update, sphere, train_epoch, two_basins
from ...plot import paths_player, plot_curves, show_images
from .. import Report, Target, experiment
from ..parts import exact, panels
from ._errata import departures
from ._paths import CANYON, START, draw_line, draw_paths, reach, steps_to

PAPER = "Robbins & Monro 1951, A Stochastic Approximation Method"
SPHERE_START = (10.0, 5.0)


@experiment(
    "minibatch-sgd", title="Mini-batch SGD", chapter="1.1", paper=PAPER, equations="theta <- theta - lr * g(batch)",
    module="minicv/optim/minibatch.py", notebook="notebooks/10_sgd_newton.py",
    shows="Softmax regression on synthetic digits: the epoch loop with batches of 1, 32 and all samples.",
    departures=departures("E1.1"),
    targets=[Target("accuracy", ">=", 0.98),
             *exact({"last_batch_of_10_by_4": 2, "seen_once": 1, "rerun_difference": 0})])
def minibatch_sgd(preset, rng, out, progress, *, lr=0.1, batch_size=32, epochs=5):
    count, held = {"smoke": (200, 100), "fast": (5000, 1000), "full": (20_000, 4000)}[preset]
    seed = int(rng.integers(2**31))
    train, test = glyphs(count, seed, 0, progress), glyphs(held, seed, count, progress)
    sizes = {f"B = {batch_size}": batch_size, "B = 1": 1, "B = N": count}
    lengths = {"B = 1": epochs if preset == "full" else 1}           # its N steps an epoch take a while
    epochs = 1 if preset == "smoke" else epochs
    runs = {name: fit(train, test, lr, size, lengths.get(name, epochs), seed, progress) for name, size in sizes.items()}
    first, reached, W = runs[f"B = {batch_size}"]
    again = fit(train, test, lr, batch_size, 1, seed, progress)[0]
    seen = np.bincount(np.concatenate(minibatches(count, batch_size, rng=rng)), minlength=count)
    metrics = {"accuracy": reached, "accuracy_batch_1": runs["B = 1"][1], "accuracy_batch_all": runs["B = N"][1],
               "last_batch_of_10_by_4": len(minibatches(10, 4, rng=rng)[-1]), "seen_once": (seen == 1).all(),
               "rerun_difference": np.abs(first[:len(again)] - again).max()}
    rows = [{"batch": name, "epochs": lengths.get(name, epochs), "steps": len(losses),
             "last loss": f"{losses[-50:].mean():.3f}", "test accuracy": f"{accuracy:.3f}"}
            for name, (losses, accuracy, _) in runs.items()]
    return Report(metrics, {
        "Loss against samples seen: small batches are noisy but make more steps": lambda: _loss_figure(runs, sizes),
        "The learned weights are templates of the digits": lambda: show_images(_templates(W), columns=5).figure,
    }, {"runs": rows})


def glyphs(count, seed, first, progress):
    """Flat images (count, 784), centred, and labels (count,) of synthetic digits."""
    data = Glyphs10(count, seed=seed, first=first)
    samples = [data[i] for i in progress(range(count), desc="drawing digits")]
    return np.stack([s["image"].ravel() for s in samples]) - np.float32(0.2), np.array([s["label"] for s in samples])


def fit(train, test, lr, batch_size, epochs, seed, progress):
    """Losses of all batches, accuracy on the test samples, and the weights (10, 784) of softmax regression."""
    (x, y), rng = train, np.random.default_rng(seed)
    model = Linear(x.shape[1], 10, rng=rng)
    optimizer = SGD(model.named_parameters(), lr=lr, missing="error")

    def loss(batch):
        return cross_entropy(model(Tensor(x[batch])), y[batch])

    losses = [train_epoch(loss, len(y), optimizer, batch_size, rng=rng)
              for _ in progress(range(epochs), desc=f"batches of {batch_size}")]
    with no_grad():
        predicted = model(Tensor(test[0])).argmax(axis=1)
    return np.concatenate(losses), np.mean(predicted == test[1]), model.weight.data


def _loss_figure(runs, sizes):
    figure, (ax,) = panels(1)
    for name, (losses, _, _) in runs.items():
        smooth = np.convolve(losses, np.ones(20) / 20, "valid") if len(losses) > 40 else losses
        ax.plot(np.arange(len(smooth)) * sizes[name], smooth, label=name, marker="o" if len(losses) < 10 else "")
    ax.set(xlabel="samples seen", ylabel="loss", yscale="log")
    ax.legend()
    return figure


def _templates(W):
    low, high = np.quantile(W, [0.01, 0.99])
    return np.clip((W - low) / (high - low), 0, 1).reshape(10, 1, 28, 28)


@experiment(
    "sgd", title="Gradient descent step", chapter="1.1", paper=PAPER, module="minicv/optim/sgd.py",
    equations="theta <- theta - lr * (g + lambda * theta)", notebook="notebooks/10_sgd_newton.py",
    shows="Spheres are easy; in canyons the path oscillates while the loss falls steadily; saddles and basins trap it.",
    departures=departures("E1.2"),
    targets=[*exact({
        "sphere_steps_lr_1": 1, "sphere_steps_lr_0.5": 13, "sphere_steps_lr_0.1": 86, "sphere_steps_lr_0.01": 894,
        "canyon_steps_best_lr": 227, "canyon_steps_lr_0.02": 439, "canyon_steps_lr_0.005": 1769,
        "sign_changes_in_60_steps": 59, "loss_always_falls": 1, "diverges_above_bound": 1, "stays_on_saddle_axis": 1,
        "saddle_x_after_200": (7.055e-10, 5e-13), "basin_end": (-0.9693, 5e-5)}),
        Target("noise_leaves_saddle", ">", 1, tag="E")])
def sgd(preset, rng, out, progress):
    H = CANYON.hessian(None)
    metrics = {f"sphere_steps_lr_{lr:g}": steps_to(1e-6, sphere(), sgd_update, SPHERE_START, lr=lr)
               for lr in (1.0, 0.5, 0.1, 0.01)}
    metrics |= {"canyon_steps_best_lr": steps_to(1e-6, CANYON, sgd_update, lr=best_lr(H))}
    metrics |= {f"canyon_steps_lr_{lr:g}": steps_to(1e-6, CANYON, sgd_update, lr=lr) for lr in (0.02, 0.005)}
    run = reach(1e-6, CANYON, sgd_update, lr=best_lr(H))
    exact = descend(saddle(), sgd_update, (1.0, 0.0), 200, lr=0.05)
    noisy = descend(saddle(), sgd_update, (1.0, 0.0), 200, lr=0.05, noise=0.01, rng=rng)
    trapped = descend(two_basins(), sgd_update, (-4.0,), 1000, lr=0.05)
    above, below = (descend(CANYON, sgd_update, START, 20_000, lr=f * lr_bound(H)).diverged for f in (1.002, 0.998))
    metrics |= {"sign_changes_in_60_steps": np.sum(np.diff(np.sign(run.points[1:61, 1])) != 0),
                "loss_always_falls": (np.diff(run.values) < 0).all(), "diverges_above_bound": above and not below,
                "saddle_x_after_200": exact.points[-1, 0], "stays_on_saddle_axis": (exact.points[:, 1] == 0).all(),
                "noise_leaves_saddle": abs(noisy.points[-1, 1]), "basin_end": trapped.points[-1, 0]}
    return Report(metrics, {
        "SGD on a sphere: the rate decides": _spheres,
        "SGD in a canyon: the path oscillates, the loss does not tell": _canyons,
        "SGD meets a saddle and a narrow basin": lambda: _traps(exact, noisy, trapped)},
        players={"In a canyon, step by step": lambda: _walk(run)})


def _walk(best):
    slow = descend(CANYON, sgd_update, START, best.steps, lr=0.005)
    return paths_player((CANYON, (-11, 11), (-1.6, 1.6), {"best rate": best.points, "rate 0.005": slow.points}))


def _spheres():
    figure, axes = panels(3, (4.0, 3.6))
    for ax, lr in zip(axes, (0.1, 0.5, 1.9), strict=True):
        run = reach(1e-6, sphere(), sgd_update, SPHERE_START, lr=lr)
        draw_paths(ax, sphere(), {f"lr {lr}": run}, (-11, 11), (-11, 11), title=f"{run.steps} steps")
    return figure


def _canyons():
    figure, (left, middle, right) = panels(3, (4.4, 3.6))
    runs = {"lr 2/51": descend(CANYON, sgd_update, START, 60, lr=2 / 51),
            "lr 0.005": descend(CANYON, sgd_update, START, 60, lr=0.005)}
    draw_paths(left, CANYON, runs, (-11, 11), (-1.6, 1.6))
    plot_curves({label: run.points[:, 1] for label, run in runs.items()}, ylabel="$x_2$", ax=middle)
    plot_curves({label: run.values for label, run in runs.items()}, ylabel="f", log=True, ax=right)
    return figure


def _traps(exact, noisy, trapped):
    figure, (left, right) = panels(2)
    inside = np.abs(noisy.points[:, 1]) < 1.5
    runs = {"exact gradient": exact, "noisy gradient": noisy._replace(points=noisy.points[inside])}
    draw_paths(left, saddle(), runs, (-1.5, 1.5), (-1.5, 1.5), log=False, title="saddle")
    draw_line(right, two_basins(), {"SGD": trapped}, -5, 9)
    return figure
