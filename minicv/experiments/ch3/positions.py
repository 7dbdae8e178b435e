"""Section 3.1.5: where a token stands, and what attention costs beside recurrence."""

import numpy as np

from ...autograd import Tensor, grad
from ...errors import ArgError, ShapeError
from ...nn import GRU, Linear, MultiHeadAttention, Parameter, cost, init
from ...vit import LearnedPositions, sinusoidal, sinusoidal_2d
from .. import Report, experiment
from ..parts import exact, panels, refused
from ._errata import departures

NOTEBOOK = "notebooks/31_transformer.py"


@experiment(
    "positional-encoding-sin", title="Sinusoidal positions", chapter="3.1", notebook=NOTEBOOK,
    module="minicv/vit/position.py", paper="Vaswani et al. 2017, Attention Is All You Need, section 3.5",
    equations="pe[p, 2i] = sin(p / 10000^(2i/d)), pe[p, 2i+1] = cos(the same), i = 0 .. d/2 - 1",
    shows="Every row has the same length, products depend on the distance only, and a step is a rotation.",
    departures=departures("E3.6"),
    targets=exact({"worked_example_error": (0, 1e-5), "norm_error": (0, 1e-10), "distance_error": (0, 1e-9),
                   "rotation_error": (0, 1e-9), "grid_halves_error": (0, 1e-12), "refused": 2}))
def positional_encoding_sin(preset, rng, out, progress, *, dim=512):
    length = {"smoke": 20, "fast": 200, "full": 2000}[preset]
    pe = sinusoidal(length, dim)
    products = pe @ pe.T
    metrics = {
        "worked_example_error": np.abs(sinusoidal(2, 4)[1] - [0.84147, 0.54030, 0.0099998, 0.99995]).max(),   # B3.3
        "norm_error": np.abs((pe**2).sum(axis=1) - dim / 2).max(),
        "distance_error": max(np.ptp(np.diagonal(products, k)) for k in range(length)),
        "rotation_error": max(np.abs(pe[:-k] @ rotation(k, dim) - pe[k:]).max() for k in (1, 2, 7)),
        "grid_halves_error": grid_halves_error(dim // 8),
        "refused": refused(ArgError, lambda: sinusoidal(4, 5), lambda: sinusoidal(4, 6, start=-1))}
    return Report(metrics, {"Sinusoidal positions": lambda: _maps(sinusoidal(100, 64), "sinusoidal"),
                            "Products of rows": lambda: _products(sinusoidal(100, 64)),
                            "Rows and columns of a grid": _grid})


def rotation(k, dim):
    """The matrix (dim, dim) with pe(p) R = pe(p + k) for all p: a block that turns for each pair."""
    angle = k / 10000 ** (np.arange(0, dim, 2) / dim)
    R, even = np.zeros((dim, dim)), np.arange(0, dim, 2)
    R[even, even] = R[even + 1, even + 1] = np.cos(angle)
    R[even + 1, even], R[even, even + 1] = np.sin(angle), -np.sin(angle)
    return R


def grid_halves_error(dim):
    """A grid's first half of the channels depends on the row alone, the second on the column; both are (1)."""
    grid = sinusoidal_2d(np.ones((1, 5, 7), bool), 2 * dim, normalize=False)[0]
    rows, columns = (sinusoidal(n, dim, start=1) for n in (5, 7))
    return max(np.abs(grid[:dim] - rows.T[:, :, None]).max(), np.abs(grid[dim:] - columns.T[:, None, :]).max())


def _maps(table, title):
    figure, (ax,) = panels(1)
    picture = ax.imshow(table, aspect="auto", cmap="RdBu_r", interpolation="nearest")
    ax.set(title=title, xlabel="dimension", ylabel="position")
    ax.grid(False)
    figure.colorbar(picture, ax=ax)
    return figure


def _products(pe):
    figure, (left, right) = panels(2)
    left.imshow(pe @ pe.T, cmap="viridis")
    left.set(title="pe(p) · pe(q)", xlabel="q", ylabel="p")
    left.grid(False)
    for p in (10, 50, 80):
        right.plot(np.arange(100) - p, pe @ pe[p], label=f"p = {p}")
    right.set(title="the same curve for every p", xlabel="q - p", ylabel="pe(p) · pe(q)")
    right.legend()
    return figure


def _grid():
    figure, axes = panels(4, (2.6, 2.6))
    grid = sinusoidal_2d(np.ones((1, 16, 16), bool), 64)[0]
    for ax, c in zip(axes, (0, 2, 32, 35), strict=True):
        ax.imshow(grid[c], cmap="RdBu_r", vmin=-1, vmax=1)
        ax.set_title(f"channel {c}: {'row' if c < 32 else 'column'}", fontsize=9)
        ax.set(xticks=[0, 5, 10, 15], yticks=[0, 5, 10, 15], xlabel="column")
        ax.grid(False)
    axes[0].set_ylabel("row")
    return figure


@experiment(
    "positional-encoding-learned", title="Learned positions", chapter="3.1", notebook=NOTEBOOK,
    module="minicv/vit/position.py", paper="Gehring et al. 2017; Dosovitskiy et al. 2021",
    equations="y_p = x_p + E_p, E trained",
    shows="A table with a row for each position: only rows in use are trained, and longer inputs have none.",
    targets=exact({"parameters": 197 * 768, "unused_row_gradient": 0, "used_row_gradient_error": 0, "refused": 1,
                   "stretched_constant_error": (0, 1e-6)}))
def positional_encoding_learned(preset, rng, out, progress):
    layer, long = LearnedPositions(197, 768, rng=rng), np.zeros((2, 198, 768), np.float32)
    layer(Tensor(long[:, :50])).sum().backward()
    g = layer.weight.grad.data
    stretched = LearnedPositions(4, 3, interpolate=True)
    init.assign(stretched.weight, np.tile([1.0, 2.0, 3.0], (4, 1)))
    metrics = {"parameters": layer.weight.size, "unused_row_gradient": np.abs(g[50:]).max(),
               "used_row_gradient_error": np.abs(g[:50] - 2).max(),
               "refused": refused(ShapeError, lambda: layer(Tensor(long))),
               "stretched_constant_error": np.abs(stretched(Tensor(long[:1, :9, :3])).data - [1, 2, 3]).max()}
    return Report(metrics, {"A learned table before training": lambda: _maps(layer.weight.data[:100, :64], "learned")})


@experiment(
    "complexity-attn-vs-rnn", title="Attention beside recurrence", chapter="3.1", notebook=NOTEBOOK,
    module="minicv/nn/cost.py", paper="Vaswani et al. 2017, Attention Is All You Need, table 1",
    equations="n^2 d against n d^2 multiply-accumulates, 1 against n steps in sequence",
    shows="Attention is cheaper while n < d; its path between any two tokens has one step, a recurrence needs n.",
    targets=exact({"ratio_over_n_by_d_error": (0, 0.01), "crossover_over_d": (1, 0.01), "projections": 4 * 197 * 768**2,
                   "attention_products": 2 * 197**2 * 768, "ffn": 8 * 197 * 768**2,
                   "quadratic_exceeds_projections_beyond": 2 * 768}))
def complexity(preset, rng, out, progress):
    d, lengths = 32, {"smoke": (4, 8), "fast": (4, 8, 16, 32, 64), "full": (4, 8, 16, 32, 64, 128, 256)}[preset]
    ratios = {n: product_macs(n, d)[0] / product_macs(n, d)[1] for n in (8, 32, 128)}
    metrics = {"ratio_over_n_by_d_error": max(abs(r * d / n - 1) for n, r in ratios.items()),
               "crossover_over_d": crossover(16) / 16, **base_block(197, 768),
               "quadratic_exceeds_projections_beyond": next(n for n in range(1, 4 * 768)
                                                            if 2 * n * n * 768 > 4 * n * 768**2) - 1}
    paths = [{"n": n, "attention": reach(MultiHeadAttention(d, 2, rng=0), n, d), "GRU": reach(GRU(d, d, rng=0), n, d)}
             for n in progress(lengths, desc="lengths")]
    return Report(metrics, {"Cost and reach": lambda: _complexity_figure(d, paths)},
                  {"Norm of the derivative of the last output by the first input": paths})


def product_macs(n, d):
    """(Q K' and A V of attention, W x and U h of a simple recurrence): counted, a GRU being three of them."""
    return base_block(n, d, heads=2)["attention_products"], cost(GRU(d, d), (1, n, d)).macs / 3


def crossover(d):
    """The smallest n for which attention costs at least as much, around d."""
    return next(n for n in range(d // 2, 2 * d) if np.divide(*product_macs(n, d)) >= 1)


def base_block(n, d, heads=12):
    """B3.7: multiply-accumulates of one layer, counted: projections, the two products with n^2, and the FFN."""
    attention = cost(MultiHeadAttention(d, heads), (1, n, d)).macs
    projections = 4 * cost(Linear(d, d), (1, n, d)).macs
    ffn = sum(cost(Linear(a, b), (1, n, a)).macs for a, b in ((d, 4 * d), (4 * d, d)))
    return {"projections": projections, "attention_products": attention - projections, "ffn": ffn}


def reach(layer, n, d):
    """Norm of the derivative of a projection of the last output by the first input."""
    x = Parameter(np.random.default_rng(n).standard_normal((1, n, d)).astype(np.float32))
    y = layer(x)
    (g,) = grad((y[0] if isinstance(y, tuple) else y)[:, -1].sum(), [x])
    return float(np.linalg.norm(g.data[0, 0]))


def _complexity_figure(d, paths):
    figure, (left, right) = panels(2)
    n = np.arange(1, 4 * d)
    left.loglog(n, n * n * d, label="attention, n² d")
    left.loglog(n, n * d * d, label="recurrence, n d²")
    left.axvline(d, color="gray", linestyle=":")
    left.set(xlabel="tokens n", ylabel="multiply-accumulates", title=f"equal at n = d = {d}")
    for name in ("attention", "GRU"):
        right.loglog([row["n"] for row in paths], [row[name] for row in paths], marker="o", label=name)
    right.set(xlabel="tokens n", ylabel="norm of d last / d first", title="how far the gradient reaches")
    right.set_xticks([row["n"] for row in paths], [row["n"] for row in paths])
    right.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    for ax in (left, right):
        ax.legend()
    return figure
