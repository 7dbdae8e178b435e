"""Section 3.1: several heads of attention, and a task that one head cannot do."""

import numpy as np

from ...autograd import Tensor, no_grad
from ...autograd.shape import concat
from ...errors import ShapeError
from ...nn import Embedding, Linear, Module, MultiHeadAttention, cross_entropy
from ...optim import Adam, Scheduler, one_cycle
from ...plot import plot_attention
from ...vit import split_heads
from .. import Report, Target, experiment
from ..parts import exact, panels, refused
from ._diagrams import HEADS, flow
from .attention import NOTEBOOK, VASWANI, gap, zero

VALUES, LENGTH = 6, 8


@experiment(
    "mhsa", title="Multi-head self-attention", chapter="3.1", notebook=NOTEBOOK, module="minicv/nn/attention.py",
    paper=VASWANI, equations="A = [A^(1) | ... | A^(h)] W_O, d_K = d_V = d / h, section 3.2.2",
    shows="As many averages per token as there are heads: two rules at once need two heads.", tour=2,
    targets=[*zero("off_separate_heads"), *exact({
        "parameters_512": 4 * 512**2 + 4 * 512, "head_counts_that_change_parameters": 0, "bad_heads_refused": 2}),
        Target("two_heads_accuracy", ">=", 0.98), Target("one_head_accuracy", "<=", 0.7)])
def mhsa(preset, rng, out, progress):
    steps = {"smoke": 5, "fast": 500, "full": 2000}[preset]
    models = {h: _train(h, steps, rng, progress) for h in (1, 2)}
    test = two_rules(8 if preset == "smoke" else 1000, rng)
    scores = {h: _accuracy(model, test) for h, model in models.items()}
    counts = {h: sum(p.size for p in MultiHeadAttention(512, h, rng=0).parameters()) for h in (1, 2, 8, 64)}
    metrics = {"off_separate_heads": _off_separate(rng), "parameters_512": counts[8],
               "head_counts_that_change_parameters": len(set(counts.values())) - 1,
               "bad_heads_refused": refused(ShapeError, *(lambda h=h: MultiHeadAttention(512, h) for h in (3, 7))),
               "two_heads_accuracy": scores[2].mean(), "one_head_accuracy": scores[1].mean()}
    rows = [{"heads": h, "previous token": a, "token of equal colour": b} for h, (a, b) in scores.items()]
    return Report(metrics, {"3.3 Two heads": lambda: flow(HEADS, size=(5.6, 4.2)),
                            "Which tokens the heads look at": lambda: _patterns(models, test)},
                  {"Share of right answers": rows})


def _off_separate(rng):
    """A layer against its heads taken apart, each attending by itself."""
    layer, x = MultiHeadAttention(12, 3, rng=rng).astype(np.float64), Tensor(rng.standard_normal((2, 5, 12)))
    return gap(layer(x), layer.out_proj(concat(*(head(x) for head in split_heads(layer)), axis=-1)))


def two_rules(count, rng):
    """Tokens with a value and one of four colours, each colour twice; asked for are, at each place, the value of the
    token before it (of the last one at the first place) and the value of the other token of its colour."""
    value = rng.integers(VALUES, size=(count, LENGTH))
    colour = rng.permuted(np.tile(np.arange(LENGTH) // 2, (count, 1)), axis=1)
    twin = ((colour[:, :, None] == colour[:, None]) & ~np.eye(LENGTH, dtype=bool)).argmax(axis=2)
    answers = np.stack([np.roll(value, 1, axis=1), np.take_along_axis(value, twin, axis=1)], axis=2)
    return {"value": value, "colour": colour, "twin": twin, "answers": answers}


class TwoRules(Module):
    """One layer of attention between the embedding and a linear read-out: logits (N, L, 2, values).

    A token does not look at itself, or its own colour would always fit.
    """

    def __init__(self, heads, width=32, *, rng=None):
        rng = np.random.default_rng(rng)
        self.value, self.colour, self.place = (Embedding(n, width, rng=rng) for n in (VALUES, LENGTH // 2, LENGTH))
        self.attention = MultiHeadAttention(width, heads, rng=rng)
        self.out = Linear(width, 2 * VALUES, rng=rng)

    def forward(self, batch):
        return self.out(self.look(batch).output).reshape(*batch["value"].shape, 2, VALUES)

    def look(self, batch):
        """Attention(output (N, L, width), weights (N, heads, L, L))."""
        x = self.value(batch["value"]) + self.colour(batch["colour"]) + self.place(np.arange(LENGTH))
        return self.attention.with_weights(x, mask=~np.eye(LENGTH, dtype=bool))


def _train(heads, steps, rng, progress, batch=128):
    model = TwoRules(heads, rng=rng)
    optimizer = Adam(model.parameters(), lr=0.02)
    schedule = Scheduler(optimizer, one_cycle(steps))
    for _ in progress(range(steps), desc=f"{heads} heads"):
        sample = two_rules(batch, rng)
        optimizer.zero_grad()
        cross_entropy(model(sample).reshape(-1, VALUES), sample["answers"].reshape(-1)).backward()
        optimizer.step()
        schedule.step()
    return model


def _accuracy(model, sample):
    """Share of right answers to both questions, (2,)."""
    with no_grad():
        return (model(sample).data.argmax(axis=-1) == sample["answers"]).mean(axis=(0, 1))


def head_weights(model, sample, i=0):
    """Weights (heads, L, L) of one sequence, and names of its tokens: colour and value."""
    with no_grad():
        weights = model.look(sample).weights.data[i]
    return weights, [f"{'abcd'[c]}{v}" for c, v in zip(sample["colour"][i], sample["value"][i], strict=True)]


def _patterns(models, sample):
    figure, axes = panels(3, (3.4, 3.4))
    (one, tokens), (two, _) = (head_weights(models[h], sample) for h in (1, 2))
    for ax, w, title in zip(axes, [*one, *two], ("the only head", "head 1 of 2", "head 2 of 2"), strict=True):
        plot_attention(w, queries=tokens, keys=tokens, top=1, ax=ax)
        ax.set_title(title)
    return figure
