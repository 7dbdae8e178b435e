"""Section 1.4: weight decay, inside Adam's gradient and beside it."""

import numpy as np

from ...nn import Conv2d, Embedding, LayerNorm, Linear, Module, MultiHeadAttention, Parameter
from ...optim import AdamW, adam_l2_update, adamw_update, decay_groups, momentum_update, sgd_update
from .. import Report, Target, experiment
from ..parts import exact, panels
from ._errata import departures

NOTEBOOK = "notebooks/12_adaptive.py"
SCALES = (10.0, 0.1)                                               # standard deviations of the two gradients


def shrink(update, rng, steps, count=2000, **options):
    """Mean weights (steps + 1, 2) that start at 1 under zero-mean gradients of the two `SCALES`."""
    theta, state = np.ones((2, count)), {}
    path = [theta.mean(axis=1)]
    for _ in range(steps):
        g = rng.standard_normal(theta.shape) * np.reshape(SCALES, (2, 1))
        theta, state = update(theta, g, state, **options)
        path.append(theta.mean(axis=1))
    return np.array(path)


def ratio(path):
    """Log-shrinkage of the weight with the small gradient over that of the one with the large."""
    return float(np.divide(*np.log(path[-1])[::-1]))


def apart(update, rng, lr=0.1, weight_decay=0.3, steps=50):
    """Largest distance between an L2 penalty and a decay of lr * weight_decay under the same gradients."""
    penalised = decayed = rng.standard_normal(5)
    one, two, most = {}, {}, 0.0
    for g in rng.standard_normal((steps, 5)):
        penalised, one = update(penalised, g, one, lr=lr, weight_decay=weight_decay)
        decay = lr * weight_decay * decayed
        decayed, two = update(decayed, g, two, lr=lr)
        decayed = decayed - decay
        most = max(most, np.abs(penalised - decayed).max())
    return most


@experiment(
    "adam-l2", title="Adam with an L2 penalty", chapter="1.4", notebook=NOTEBOOK, module="minicv/optim/adam.py",
    paper="Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, section 2",
    equations="g <- g + lambda * theta, then Adam",
    shows="A penalty in the gradient is divided by the gradient's scale: weights with large gradients hardly shrink.",
    departures=departures("E1.11"),
    targets=[Target("shrinkage_ratio", ">=", 45), Target("sgd_penalty_minus_decay", "<", 1e-12, tag="E"),
             Target("momentum_penalty_minus_decay", ">", 0.1, tag="E")])
def adam_l2(preset, rng, out, progress, *, lr=1e-3, weight_decay=0.1):
    steps = {"smoke": 50, "fast": 300, "full": 600}[preset]
    paths = {name: shrink(update, rng, steps, lr=lr, weight_decay=weight_decay)
             for name, update in {"Adam, L2": adam_l2_update, "AdamW": adamw_update}.items()}
    metrics = {"shrinkage_ratio": ratio(paths["Adam, L2"]), "shrinkage_ratio_adamw": ratio(paths["AdamW"]),
               "sgd_penalty_minus_decay": apart(sgd_update, rng),
               "momentum_penalty_minus_decay": apart(momentum_update, rng)}
    return Report(metrics, {"L2 in Adam shrinks by gradient scale, AdamW shrinks alike": lambda: _shrink_figure(paths)})


def _shrink_figure(paths):
    figure, axes = panels(2, sharey=True)
    for ax, (name, path) in zip(axes, paths.items(), strict=True):
        for k, scale in enumerate(SCALES):
            ax.plot(path[:, k], label=f"gradient std {scale}")
        ax.set(title=name, xlabel="step", ylabel="mean weight")
        ax.legend()
    return figure


class SmallTransformer(Module):
    """The parts of a vision transformer whose parameters a decay treats differently."""

    def __init__(self, rng):
        self.patch_embed = Conv2d(3, 16, 4, stride=4, rng=rng)
        self.cls_token, self.pos_embed = Parameter(np.zeros((1, 1, 16))), Parameter(np.zeros((1, 65, 16)))
        self.words = Embedding(10, 16, rng=rng)
        self.norm, self.attention = LayerNorm(16), MultiHeadAttention(16, 2, rng=rng)
        self.head = Linear(16, 10, rng=rng)


@experiment(
    "adamw", title="AdamW", chapter="1.4", notebook=NOTEBOOK, module="minicv/optim/adam.py",
    paper="Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, algorithm 2",
    equations="theta <- theta - lr * mh / (sqrt(sh) + eps) - lr * lambda * theta (or - lambda * theta)",
    shows="Decay beside the step shrinks all weights alike; biases, norms and embeddings are better left out.",
    departures=departures("E1.7"),
    targets=[Target("shrinkage_ratio", "~", 1, tol=0.1), Target("decay_lr_error", "<", 1e-12, tag="E"),
             Target("decay_plain_error", "<", 1e-12, tag="E"),
             *exact({"decayed_vectors": 0, "decayed_tables": 0, "spared_unchanged": 1})])
def adamw(preset, rng, out, progress, *, lr=0.1, weight_decay=0.02):
    steps = {"smoke": 50, "fast": 300, "full": 600}[preset]
    model = SmallTransformer(rng)
    groups = decay_groups(model, weight_decay)
    decayed = groups[0]["params"]
    metrics = {"shrinkage_ratio": ratio(shrink(adamw_update, rng, steps, lr=1e-3, weight_decay=0.1)),
               "decay_lr_error": decay_error("lr", 1 - lr * weight_decay, lr, weight_decay),
               "decay_plain_error": decay_error("plain", 1 - weight_decay, lr, weight_decay),
               "decayed_vectors": sum(p.ndim <= 1 for _, p in decayed),
               "decayed_tables": sum(name in ("cls_token", "pos_embed", "words.weight") for name, _ in decayed),
               "spared_unchanged": spared_unchanged(groups, lr)}
    rows = [{"parameter": name, "shape": str(p.shape), "weight decay": group["weight_decay"]}
            for group in groups for name, p in group["params"]]
    return Report(metrics, {"Decay without gradient, one number": lambda: _conventions(lr, weight_decay)},
                  {"parameter groups of a small transformer": rows})


def decay_error(decay, factor, lr, weight_decay, steps=100):
    """Largest relative distance from factor^t when all gradients are zero."""
    theta, state, worst = np.ones(1), {}, 0.0
    for t in range(1, steps + 1):
        theta, state = adamw_update(theta, np.zeros(1), state, lr=lr, weight_decay=weight_decay, decay=decay)
        worst = max(worst, abs(theta[0] / factor**t - 1))
    return worst


def spared_unchanged(groups, lr):
    """Whether a step with zero gradients moves the decayed parameters and only those."""
    optimizer = AdamW(groups, lr=lr)
    before = [[p.data.copy() for p in group["params"]] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = np.zeros(p.shape, p.dtype)
    optimizer.step()
    same = [[np.array_equal(a, p.data) for a, p in zip(arrays, group["params"], strict=True)]
            for arrays, group in zip(before, optimizer.param_groups, strict=True)]
    return not any(same[0]) and all(same[1])


def _conventions(lr, weight_decay):
    figure, (ax,) = panels(1)
    t = np.arange(200)
    ax.semilogy(t, (1 - lr * weight_decay) ** t, label=f"decay='lr': (1 - {lr} * {weight_decay})^t")
    ax.semilogy(t, (1 - weight_decay) ** t, label=f"decay='plain': (1 - {weight_decay})^t")
    ax.set(xlabel="step", ylabel="weight")
    ax.legend()
    return figure
