"""Section 3.1: translating with recurrent networks, with attention and with one vector for the whole source."""

import numpy as np

from ...autograd import Tensor
from ...data import PAD, ArrayDataset, DataLoader, SeqToy
from ...errors import MinicvError
from ...nn import cross_entropy
from ...optim import Adam, Scheduler, one_cycle
from ...plot import PALETTE, plot_attention
from ...plot.style import DASHES
from ...train import fit
from ...vit import AdditiveAttention, RecurrentTranslator
from .. import Report, Target, experiment
from ..parts import exact, panels, refused
from ._diagrams import ADDITIVE, flow
from .attention import NOTEBOOK, gap, zero

MODULE = "minicv/vit/recurrent.py"


@experiment(
    "traditional-attention", title="Attention between recurrent networks", chapter="3.1", notebook=NOTEBOOK,
    module=MODULE, paper="Bahdanau, Cho & Bengio 2015, Neural Machine Translation by Jointly Learning to Align",
    equations="e_tj = v^T tanh(W s_(t-1) + U h_j), a = softmax(e), c_t = sum_j a_tj h_j, equations 5-6",
    shows="Nobody tells the network which input belongs to which output, yet its weights become that table.",
    targets=[*zero("off_loops"), *exact({"row_sums_off_one": (0, 1e-6), "bad_sources_refused": 2}),
             Target("reverse_token_accuracy", ">=", 0.95), Target("reverse_alignment", ">=", 0.9),
             Target("dates_exact", ">=", 0.95)])
def traditional(preset, rng, out, progress):
    steps = {"smoke": 3, "fast": 300, "full": 1500}[preset]
    reverse, dates = (task_data(task, preset, rng) for task in ("reverse", "date"))
    models = {task[0].task: train_translator(*task[:2], n, rng, progress)
              for task, n in ((reverse, steps), (dates, 2 * steps // 3))}
    tokens, weights = models["reverse"].translate(reverse[2]["source"])
    metrics = {"off_loops": _off_loops(rng), "row_sums_off_one": gap(weights.sum(axis=-1), 1),
               "reverse_token_accuracy": token_accuracy(tokens, reverse[2]["target"]),
               "reverse_alignment": alignment(weights, reverse[2]["source"]),
               "dates_exact": exact_share(models["date"].translate(dates[2]["source"]).output, dates[2]["target"]),
               "bad_sources_refused": refused(MinicvError, *(lambda s=s: models["reverse"].read(s) for s in (
                   np.zeros((1, 0), int), np.full((1, 3), PAD))))}
    return Report(metrics, {"Traditional attention": lambda: flow(ADDITIVE, size=(5.6, 4.2)),
                            "3.2 Weights of a translation: dates": lambda: translation(models["date"], dates[2]),
                            "Weights of reversing": lambda: translation(models["reverse"], reverse[2])})


@experiment(
    "rnn-baseline", title="Translation through one vector", chapter="3.1", notebook=NOTEBOOK, module=MODULE,
    paper="Sutskever, Vinyals & Le 2014, Sequence to Sequence Learning with Neural Networks; Cho et al. 2014",
    equations="s_0 = tanh(W h_last): the source is one vector, whatever its length",
    shows="Without attention long sequences do not fit into the vector; with it length hardly matters.",
    targets=exact({"numbers_for_3_tokens": 32, "numbers_for_10_tokens": 32, "empty_sources_refused": 2}))
def baseline(preset, rng, out, progress):
    steps = {"smoke": 3, "fast": 300, "full": 3000}[preset]
    train, data, _ = task_data("reverse", preset, rng)
    models = {name: train_translator(train, data, steps, rng, progress, attention=name == "attention", hidden=32)
              for name in ("one vector", "attention")}
    plain, lengths = models["one vector"], (2, 10) if preset == "smoke" else range(2, 11)
    tests = {n: SeqToy("reverse", 200, min_len=n, max_len=n, seed=train.seed, first=train.length).arrays()
             for n in lengths}
    shares = {name: [token_accuracy(model.translate(test["source"]).output, test["target"]) for test in tests.values()]
              for name, model in models.items()}
    metrics = {f"numbers_for_{n}_tokens": plain.read(tests[10]["source"][:1, :n])[1][0].size for n in (3, 10)}
    metrics |= {"empty_sources_refused": refused(MinicvError, *(
        lambda m=m: m.read(np.zeros((1, 0), int)) for m in models.values()))}
    for name, values in shares.items():
        metrics |= {f"{name.replace(' ', '_')}_length_{n}": values[i] for n, i in ((2, 0), (10, -1))}
    return Report(metrics, {"Accuracy against length": lambda: _lengths(list(lengths), shares)},
                  {"Share of right tokens": [{"length": n} | {name: values[i] for name, values in shares.items()}
                                             for i, n in enumerate(lengths)]})


def task_data(task, preset, rng):
    """A stream of training pairs, its arrays, and the arrays of pairs from further down the stream."""
    count, held = (64, 16) if preset == "smoke" else (8000, 500)
    seed, least = int(rng.integers(2**31)), 1 if task == "date" else 2
    train, test = (SeqToy(task, n, min_len=least, seed=seed, first=first) for n, first in ((count, 0), (held, count)))
    return train, train.arrays(), test.arrays()


def train_translator(stream, data, steps, rng, progress, *, batch=64, **options):
    """A translator after `steps` batches; loss over the tokens that are no padding."""
    model = RecurrentTranslator(stream.num_tokens, both=False, rng=rng, **{"hidden": 64, **options})
    loader = DataLoader(ArrayDataset(**data), min(batch, len(stream)), shuffle=True, seed=int(rng.integers(2**31)))
    optimizer = Adam(model.parameters(), lr=0.01)
    epochs = -(-steps // len(loader))
    fit(model, _loss, loader, optimizer, epochs=epochs, progress=progress, clip_norm=1.0,
        scheduler=Scheduler(optimizer, one_cycle(epochs * len(loader))))
    return model


def _loss(model, batch):
    target = batch["target"][:, 1:]
    logits = model(batch["source"], batch["target"][:, :-1])
    return cross_entropy(logits.reshape(-1, model.num_tokens), np.where(target == PAD, -1, target).reshape(-1))


def _aligned(tokens, target):
    """Written tokens beside the answer without its SOS, and where the answer has tokens."""
    wanted = target[:, 1:]
    written = np.full_like(wanted, PAD)
    written[:, :tokens.shape[1]] = tokens[:, :wanted.shape[1]]
    return written == wanted, wanted != PAD


def token_accuracy(tokens, target):
    """Share of the answer's tokens, EOS included, that are written where they belong."""
    right, there = _aligned(tokens, target)
    return right[there].mean()


def exact_share(tokens, target):
    """Share of answers without any mistake."""
    right, there = _aligned(tokens, target)
    return (right | ~there).all(axis=1).mean()


def alignment(weights, source):
    """Share of the tokens of reversed sequences whose largest weight is on the input they are a copy of."""
    n, t = (source != PAD).sum(axis=1, keepdims=True), np.arange(weights.shape[1])
    return (weights.argmax(axis=2) == n - 1 - t)[t < n].mean()


def _off_loops(rng):
    """Additive attention against its formula, one product at a time."""
    layer = AdditiveAttention(3, 4, 5, rng=rng).astype(np.float64)
    s, h = rng.standard_normal((1, 1, 3)), rng.standard_normal((1, 6, 4))
    W, U, v = (part.weight.data for part in (layer.query, layer.key, layer.score))
    e = np.exp([float(v[0] @ np.tanh(W @ s[0, 0] + U @ row)) for row in h[0]])
    context = sum(w * row for w, row in zip(e / e.sum(), h[0], strict=True))
    return gap(layer(Tensor(s), Tensor(h)).output.data[0, 0], context)


def translation(model, test, i=0):
    """The weights of one translation as a heat-map."""
    names = SeqToy("copy", 1).symbols
    source = test["source"][i][test["source"][i] != PAD]
    tokens, weights = model.translate(source[None])
    return plot_attention(weights[0], queries=[names[t] for t in tokens[0]], keys=[names[t] for t in source]).figure


def _lengths(lengths, shares):
    figure, (ax,) = panels(1, (5.4, 3.4))
    for (name, values), dash, color in zip(shares.items(), DASHES, PALETTE, strict=False):
        ax.plot(lengths, values, "o" + dash, color=color, label=name)
    ax.set(xlabel="length of the sequence", ylabel="share of right tokens", ylim=(0, 1.02))
    ax.legend()
    return figure
