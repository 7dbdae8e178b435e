"""Section 3.1: an encoder and a decoder learn to turn sequences round: trained in one pass, generating step by step."""

import numpy as np

from ...autograd import no_grad
from ...data import SeqToy
from ...errors import ArgError
from ...optim import Adam, Scheduler, clip_grad_norm, one_cycle
from ...vit import Transformer, build_seq2seq, draw, generation_steps, greedy, most_likely, sample, teacher_forcing
from .. import Report, Target, experiment
from ..parts import exact, panels, refused

NOTEBOOK = "notebooks/31_transformer.py"
PAPER = "Vaswani et al. 2017, Attention Is All You Need"
STEPS = {"smoke": 2, "fast": 1400, "full": 6000}


def pairs(task, preset, rng, **options):
    """Training and test pairs as padded arrays; test sequences are new draws."""
    counts = {"smoke": (64, 16), "fast": (16000, 500), "full": (50000, 2000)}[preset]
    seed = int(rng.integers(2**31))
    return tuple(SeqToy(task, n, seed=seed, first=f, **options).arrays() for n, f in zip(counts, (0, counts[0])))


def learn(model, data, steps, rng, progress, *, batch=128, lr=8e-3, warm=True, causal=True):
    """Train with Adam on random batches; returns the loss of each step."""
    optimizer, losses = Adam(model.parameters(), lr=lr, betas=(0.9, 0.98)), []
    scheduler = Scheduler(optimizer, one_cycle(steps)) if warm and steps > 2 else None
    for _ in progress(range(steps), desc="steps"):
        rows = rng.integers(0, len(data["source"]), batch)
        loss = model.loss(data["source"][rows], data["target"][rows], causal=causal)
        model.zero_grad()
        loss.backward()
        clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        if scheduler:
            scheduler.step()
        losses.append(loss.item())
    return losses


def exact_match(model, data):
    """Share of sequences that are generated without any mistake, EoS included."""
    wanted = data["target"][:, 1:]
    found = greedy(model, data["source"], max_len=wanted.shape[1])
    found = np.pad(found, ((0, 0), (0, wanted.shape[1] - found.shape[1])))
    return (found == wanted).all(axis=1).mean()


@experiment(
    "transformer-seq2seq", title="The transformer", chapter="3.1", notebook=NOTEBOOK, module="minicv/vit/seq2seq.py",
    paper=PAPER, equations="logits = W decoder(sqrt(d) E[tokens] + pe, encoder(sqrt(d) E[source] + pe))",
    shows="One layer in the encoder and one in the decoder reverse sequences they have never seen; without positions "
          "they cannot.",
    departures="Small layers are pre-norm, which needs no long warm-up. The base model has 63.1 M parameters with a "
               "vocabulary of exactly 37000; the paper prints 65 M.",
    targets=[Target("exact_match", ">=", 0.98), Target("exact_match_without_positions", "<=", 0.3),
             *exact({"base_parameters": 63_082_496, "refused": 3})])
def transformer_seq2seq(preset, rng, out, progress, *, lr=8e-3):
    train, test = pairs("reverse", preset, rng)
    models, losses, matches, steps = {}, {}, {}, STEPS[preset]
    for positions in ("sinusoidal", "none"):
        model = build_seq2seq("tiny", 15, positions=positions, pre_norm=True, rng=rng)
        losses[positions] = learn(model, train, steps, rng, progress, lr=lr)
        matches[positions] = exact_match(model, test)
        models[positions] = model
    net, row = models["sinusoidal"], np.array([[3, 4]])
    metrics = {"exact_match": matches["sinusoidal"], "exact_match_without_positions": matches["none"],
               "base_parameters": sum(p.size for p in build_seq2seq("base", 37000, rng=rng).parameters()),
               "refused": refused(ArgError, lambda: net(row + 12, row), lambda: net.loss(row, row),
                                  lambda: Transformer(2, 8, 1, 2))}
    return Report(metrics, {"Loss": lambda: _loss_figure(losses),
                            "Tokens step by step": lambda: trace(net, test["source"][:1])})


def _loss_figure(losses):
    figure, (ax,) = panels(1)
    for name, values in losses.items():
        ax.semilogy(values, label=f"positions: {name}", linewidth=0.8)
    ax.set(xlabel="step", ylabel="cross-entropy")
    ax.legend()
    return figure


def trace(model, source, symbols=("·", "SoS", "EoS", *"0123456789.-"), *, until=None):
    """Figure 3.1: the table of tokens, one row for each step of generation, with the probability of the choice."""
    figure, (ax,) = panels(1, (6.4, 4.2))
    ax.set_axis_off()
    read = " ".join(symbols[t] for t in source[0] if t != model.pad)
    ax.set_title(f"source: {read}", loc="left")
    written = ["SoS"]
    for t, step in enumerate(generation_steps(model, source, most_likely, max_len=12)):
        if until is not None and t >= until:
            break
        token, p = int(step.tokens[0]), np.exp(step.logits[0] - step.logits[0].max())
        ax.text(0, 0.95 - t / 13, " ".join(written), family="monospace", fontsize=9)
        ax.text(0.72, 0.95 - t / 13, f"→ {symbols[token]}  ({p[token] / p.sum():.3f})", family="monospace", fontsize=9)
        written.append(symbols[token])
    return figure


@experiment(
    "teacher-forcing", title="Teacher forcing", chapter="3.1", notebook=NOTEBOOK, module="minicv/vit/seq2seq.py",
    paper="Williams & Zipser 1989, A Learning Algorithm for Continually Running Fully Recurrent Neural Networks",
    equations="inputs [SoS, t1 .. tn], expected [t1 .. tn, EoS], one pass with a causal mask",
    shows="One pass gives the logits of all steps. Without the mask each token reads its answer off the next input: "
          "the loss vanishes, and nothing can be generated.",
    targets=[*exact({"one_pass_error": (0, 1e-10), "refused": 3}), Target("leak_loss", "<=", 0.05),
             Target("leak_exact_match", "<=", 0.1)])
def teacher(preset, rng, out, progress):
    train, test = pairs("reverse", preset, rng, min_len=4)
    net = Transformer(15, 16, 2, 2, rng=rng).astype(np.float64)
    few = {name: rows[:8] for name, rows in test.items()}
    leak = build_seq2seq("tiny", 15, pre_norm=True, rng=rng)
    losses = learn(leak, train, {"smoke": 2, "fast": 300, "full": 1000}[preset], rng, progress, causal=False)
    metrics = {"one_pass_error": one_pass_error(net, few), "leak_loss": np.mean(losses[-20:]),
               "leak_exact_match": exact_match(leak, test),
               "refused": refused(ArgError, *(lambda t=t: teacher_forcing(np.array([t]))
                                              for t in ([1, 5, 6], [1, 0, 5, 2], [5, 6, 2])))}
    return Report(metrics, {"Loss without a mask": lambda: _loss_figure({"leak": losses})})


def one_pass_error(net, data):
    """Largest difference between logits of one pass and of decoding prefix by prefix."""
    inputs = teacher_forcing(data["target"]).inputs
    with no_grad():
        memory, once = net.encode(data["source"]), net(data["source"], inputs).data
        return max(np.abs(net.decode(inputs[:, :t + 1], memory).data[:, -1] - once[:, t]).max()
                   for t in range(inputs.shape[1]))


@experiment(
    "autoregressive-generation", title="Autoregressive generation", chapter="3.1", notebook=NOTEBOOK,
    module="minicv/vit/generate.py", paper=PAPER,
    equations="y_0 = SoS, y_t ~ softmax(logits(source, y_0 .. y_{t-1}) / temperature), until EoS",
    shows="Tokens come one at a time; a cache of keys and values changes the work, not the result.",
    targets=exact({"cached_tokens_differ": 0, "cached_logits_error": (0, 1e-10), "steps_at_limit": 7,
                   "steps_to_eos": 3, "cold_draws_differ": 0, "refused": 3}))
def autoregressive_generation(preset, rng, out, progress):
    net = Transformer(15, 16, 2, 2, rng=rng).astype(np.float64)
    source = pairs("reverse", "smoke", rng)[1]["source"]
    runs = [list(generation_steps(net, source, most_likely, max_len=10, cached=cached)) for cached in (True, False)]
    draws = [sample(net, source, max_len=10, cached=cached, rng=5) for cached in (True, False)]
    never = lambda logits: np.full(len(logits), 5)
    script = iter([5, 6, net.eos, 7])
    soon = lambda logits: np.full(len(logits), next(script))
    metrics = {
        "cached_tokens_differ": (draws[0] != draws[1]).sum() + sum((a.tokens != b.tokens).sum()
                                                                  for a, b in zip(*runs, strict=True)),
        "cached_logits_error": max(np.abs(a.logits - b.logits).max() for a, b in zip(*runs, strict=True)),
        "steps_at_limit": len(list(generation_steps(net, source, never, max_len=7))),
        "steps_to_eos": len(list(generation_steps(net, source, soon, max_len=7))),
        "cold_draws_differ": (draw(runs[0][0].logits, temperature=1e-9, rng=rng) != runs[0][0].tokens).sum(),
        "refused": refused(ArgError, lambda: greedy(net, source, max_len=0),
                           lambda: sample(net, source, max_len=3, temperature=0),
                           lambda: sample(net, source, max_len=3, temperature=-1))}
    return Report(metrics, {"Temperature": _temperature})


def _temperature():
    figure, (ax,) = panels(1)
    logits = np.array([2.0, 1.0, 0.0, -1.0])
    for k, temperature in enumerate((0.3, 1.0, 3.0)):
        p = np.exp(logits / temperature)
        ax.bar(np.arange(4) + 0.25 * (k - 1), p / p.sum(), 0.25, label=f"temperature {temperature}")
    ax.set(xticks=range(4), xlabel="token", ylabel="probability")
    ax.legend()
    return figure
