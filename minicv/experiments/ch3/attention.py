"""Section 3.1: attention between two sets of tokens, within one, and without a view of the future."""

import numpy as np

from ...autograd import Tensor
from ...errors import ArgError, ShapeError
from ...nn import MultiHeadAttention, init
from ...plot import plot_attention
from ...vit import ProjectedAttention, dot_product_attention, scaled_dot_attention, sinusoidal, weigh
from .. import Report, Target, experiment
from ..parts import exact, panels, refused
from ._diagrams import CROSS, DOT, FIVE, SCALED, SELF, flow
from ._errata import departures

NOTEBOOK, MODULE = "notebooks/30_attention.py", "minicv/vit/attention.py"
VASWANI = "Vaswani et al. 2017, Attention Is All You Need"


def zero(*names, tol=1e-12):
    """Exact targets: these numbers are 0 up to rounding."""
    return exact({name: (0, tol) for name in names})


def layer(width, rng, **options):
    """A head of attention in float64."""
    return ProjectedAttention(width, rng=rng, **options).astype(np.float64)


def gap(a, b):
    """Largest difference of two arrays or Tensors."""
    return np.abs(np.asarray(getattr(a, "data", a)) - np.asarray(getattr(b, "data", b))).max()


def _loops(q, k, v, scale):
    """Attention of one query after the other, one number after the other."""
    out = np.zeros((len(q), v.shape[1]))
    for i, j in np.ndindex(out.shape):
        e = [np.exp(scale * sum(a * b for a, b in zip(q[i], key, strict=True))) for key in k]
        out[i, j] = sum(w * x for w, x in zip(e, v[:, j], strict=True)) / sum(e)
    return out


@experiment(
    "dot-product-attention", title="Dot-product attention", chapter="3.1", notebook=NOTEBOOK, module=MODULE,
    paper="Luong, Pham & Manning 2015, Effective Approaches to Attention-based Neural Machine Translation",
    equations="A = softmax(X Y^T) Y", shows="An average of the rows of Y, weighted by similarity: a soft look-up.",
    targets=[*zero("off_loops", "row_sums_off_one", "far_query_off_its_row"), *exact({"unequal_widths_refused": 1})])
def dot_product(preset, rng, out, progress):
    x, y = rng.standard_normal((2, 6, 5))
    rows, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    far = [dot_product_attention(100 * rows[i:i + 1], rows).output[0] for i in range(5)]
    output, weights = dot_product_attention(x, y)
    metrics = {"off_loops": gap(output, _loops(x, y, y, 1)), "row_sums_off_one": gap(weights.sum(axis=1), 1),
               "far_query_off_its_row": gap(far, rows),
               "unequal_widths_refused": refused(ShapeError, lambda: dot_product_attention(x, y[:, :4]))}
    return Report(metrics, {"Dot-product attention": lambda: flow(DOT),
                            "Weights of a query that grows": lambda: _growing(rows)})


def _growing(rows, lengths=(0, 1, 2, 5, 20)):
    queries = np.array(lengths)[:, None] * rows[2]
    return plot_attention(dot_product_attention(queries, rows).weights, numbers=True,
                          queries=[f"{n} × row 2" for n in lengths]).figure


@experiment(
    "scaled-dot-attention", title="Scaled dot-product attention", chapter="3.1", notebook=NOTEBOOK, module=MODULE,
    paper=VASWANI, equations="A = softmax(Q K^T / sqrt(d_K)) V, equation 1",
    shows="Products of wide vectors are large and softmax picks one key; divided by sqrt(d_K) it stays soft.",
    departures=departures("E3.1", "E3.2"), tour=1,
    targets=[*exact({"weight_1": (0.6698, 5e-5), "weight_2": (0.3302, 5e-5), "output_1": (6.698, 5e-4),
                     "output_2": (3.302, 5e-4), "variance_over_width": (1, 0.05), "variance_scaled": (1, 0.05),
                     "bad_inputs_refused": 3, "zeros_for_no_key": 1}), *zero("off_loops"),
             Target("largest_weight_unscaled", ">", 0.9), Target("largest_weight_scaled", "<", 0.26)])
def scaled(preset, rng, out, progress):
    draws = 2000 if preset == "smoke" else 100_000
    output, weights = scaled_dot_attention(np.array([[1.0, 0.0]]), np.eye(2), 10 * np.eye(2))
    products = np.array([_products(rng, draws, d).var() for d in progress((64, 512), desc="widths")])
    q, k, v = rng.standard_normal((3, 7, 4))
    metrics = dict(zip(("weight_1", "weight_2", "output_1", "output_2"), [*weights[0], *output[0]], strict=True))
    metrics |= {"variance_over_width": products[0] / 64, "variance_scaled": (products[1] / 512),
                "off_loops": gap(scaled_dot_attention(q, k, v).output, _loops(q, k, v, 0.5))}
    widths = (2, 8, 32, 128, 512)
    largest = {d: _largest(rng, d, 50 if preset == "smoke" else 1000) for d in widths}
    metrics |= {"largest_weight_unscaled": largest[512][0], "largest_weight_scaled": largest[512][1],
                "bad_inputs_refused": refused((ArgError, ShapeError), lambda: scaled_dot_attention(
                    q, k, v, np.zeros((7, 7), bool)), lambda: scaled_dot_attention(q, k, v[:6]),
                    lambda: scaled_dot_attention(q, k[:, :3], v)),
                "zeros_for_no_key": not scaled_dot_attention(
                    q, k, v, np.zeros((7, 7), bool), empty="zero").output.any()}
    return Report(metrics, {"Scaled dot-product attention": lambda: flow(SCALED),
                            "Five kinds of attention": lambda: flow(*FIVE.values(), titles=list(FIVE)),
                            "The largest of 16 weights": lambda: _temperature(largest)})


def _products(rng, draws, d):
    q, k = rng.standard_normal((2, draws, d), np.float32)
    return (q * k).sum(axis=1, dtype=np.float64)


def _largest(rng, d, count, keys=16):
    """Mean of the largest weight among `keys`, without and with the factor 1 / sqrt(d)."""
    scores = rng.standard_normal((count, 1, d)) @ rng.standard_normal((count, d, keys))
    return [weigh(s).max(axis=-1).mean() for s in (scores, scores / d**0.5)]


def _temperature(largest):
    figure, (ax,) = panels(1, (5.4, 3.4))
    for i, (name, style) in enumerate((("scores q k", "o-"), ("divided by √d_K", "s--"))):
        ax.semilogx(list(largest), [pair[i] for pair in largest.values()], style, label=name)
    ax.axhline(1 / 16, color="gray", linewidth=1)
    ax.set(xlabel="width d_K", ylabel="mean of the largest weight", ylim=(0, 1))
    ax.legend()
    return figure


@experiment(
    "self-attention", title="Self-attention", chapter="3.1", notebook=NOTEBOOK, module=MODULE, paper=VASWANI,
    equations="scaled dot-product attention with X = Y; SA(P X) = P SA(X)",
    shows="Tokens are a set: permute them and the outputs are permuted; only added positions break it.",
    targets=[*zero("permutation_residual"), Target("residual_with_positions", ">=", 1e-2)])
def self_attention(preset, rng, out, progress):
    lengths = (4, 8) if preset == "smoke" else (4, 8, 16, 32, 64, 128)
    residuals = {n: _residuals(rng, n) for n in progress(lengths, desc="lengths")}
    plain, placed = np.array(list(residuals.values())).T
    return Report({"permutation_residual": plain.max(), "residual_with_positions": placed.min()},
                  {"Self-attention": lambda: flow(SELF), "Permutation equivariance": lambda: _equivariance(residuals)})


def _residuals(rng, n, width=16):
    """|SA(P X) - P SA(X)|, and the same when positions are added to whatever comes in."""
    head, x, order = layer(width, rng), rng.standard_normal((n, width)), np.roll(rng.permutation(n), 1)
    order = order if (order != np.arange(n)).any() else order[::-1]
    return [gap(head(Tensor(x[order] + p)).data, head(Tensor(x + p)).data[order])
            for p in (np.zeros((n, width)), sinusoidal(n, width))]


def _equivariance(residuals):
    figure, (ax,) = panels(1, (5.4, 3.4))
    for values, label, style in zip(np.array(list(residuals.values())).T, ("tokens", "tokens + positions"),
                                    ("o-", "s--"), strict=True):
        ax.loglog(list(residuals), np.maximum(values, 1e-18), style, label=label)
    ax.set(xlabel="tokens", ylabel="largest |SA(P X) - P SA(X)|", ylim=(1e-18, 10))
    ax.legend()
    return figure


@experiment(
    "masked-self-attention", title="Masked self-attention", chapter="3.1", notebook=NOTEBOOK, module=MODULE,
    paper=VASWANI, equations="softmax(Q K^T / sqrt(d_K) + mask) V, mask = -inf above the diagonal, section 3.2.3",
    shows="With -inf before the softmax an output cannot depend on later tokens.", departures=departures("E3.5"),
    targets=[*exact({"change_of_the_past": 0, "first_row_on_itself": 1, "uniform_rows_off": (0, 1e-15),
                     "zeroed_row_sum": 0.5, "not_square_refused": 1}), *zero("renormalised_off"),
             Target("change_of_the_future", ">", 0.01)])
def masked(preset, rng, out, progress):
    head, x = layer(8, rng), rng.standard_normal((6, 8))
    changes = [gap(part, other) for part, other in _after_change(head, x, 3, rng)]
    soft, causal, tri = weigh(np.zeros((4, 4))), weigh(np.zeros((4, 4)), causal=True), np.tri(4)
    free, strict = (head.with_weights(Tensor(x), causal=c).weights.data for c in (False, True))
    cut = free * np.tri(6)
    metrics = {"change_of_the_past": changes[0], "change_of_the_future": changes[1],
               "first_row_on_itself": strict[0, 0], "uniform_rows_off": gap(causal, tri / np.arange(1, 5)[:, None]),
               "zeroed_row_sum": (soft * tri)[1].sum(),
               "renormalised_off": gap(cut / cut.sum(axis=1, keepdims=True), strict),
               "not_square_refused": refused(ShapeError, lambda: weigh(np.zeros((2, 3)), causal=True))}
    return Report(metrics, {"Masked attention": lambda: _masks(free, cut, strict)})


def _after_change(head, x, i, rng):
    """Outputs before and after token i and all later ones are replaced: of the past, and of the rest."""
    y = np.concatenate([x[:i], rng.standard_normal((len(x) - i, x.shape[1]))])
    before, after = (head(Tensor(a), causal=True).data for a in (x, y))
    return (before[:i], after[:i]), (before[i:], after[i:])


def _masks(*weights):
    figure, axes = panels(3, (3.6, 3.6))
    for ax, w, title in zip(axes, weights, ("softmax", "softmax, then zeros", "-inf, then softmax"), strict=True):
        plot_attention(w, numbers=True, top=1, ax=ax)
        ax.set(title=title, yticklabels=[f"{i}  (sum {s:.2f})" for i, s in enumerate(w.sum(axis=1))])
    return figure


@experiment(
    "cross-attention", title="Cross-attention", chapter="3.1", notebook=NOTEBOOK, module=MODULE, paper=VASWANI,
    equations="Q = X W_Q from the decoder, K = Y W_K and V = Y W_V from the encoder, section 3.2.3",
    shows="Every query is on its own, keys and values are computed once: an addition to each token of the decoder.",
    targets=[*exact({"change_of_other_outputs": 0, "silent_delta": 0, "unequal_widths_refused": 1}),
             *zero("kept_memory_off", "one_by_one_off"), Target("change_of_own_output", ">", 1e-3)])
def cross(preset, rng, out, progress):
    head, x = layer(8, rng, source_dim=6, value_dim=8), rng.standard_normal((5, 8))
    y = Tensor(rng.standard_normal((7, 6)))
    memory, before = head.memory(y), head(Tensor(x), y).data
    moved = x + np.eye(5)[:, 2:3]
    after, others = head(Tensor(moved), y).data, np.arange(5) != 2
    singles = np.concatenate([head.attend(Tensor(x[i:i + 1]), *memory).output.data for i in range(5)])
    delta = MultiHeadAttention(8, 2, rng=rng)
    init.assign(delta.out_proj.weight, np.zeros((8, 8)))
    metrics = {"change_of_other_outputs": gap(before[others], after[others]),
               "change_of_own_output": gap(before[2], after[2]),
               "kept_memory_off": gap(head.attend(Tensor(x), *memory).output, before),
               "one_by_one_off": gap(singles, before),
               "silent_delta": gap(delta(Tensor(np.float32(x[None]))), 0),
               "unequal_widths_refused": refused(ShapeError, lambda: dot_product_attention(x, y))}
    return Report(metrics, {"3.6 Cross-attention": lambda: flow(CROSS, size=(5.6, 4.0))})
