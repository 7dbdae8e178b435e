"""Section 3.2: the vision transformer, and what it looks at."""

import time

import numpy as np

from ...autograd import Tensor, no_grad
from ...data import Shapes10
from ...ensembles import PCA
from ...errors import ArgError, ShapeError
from ...metrics import accuracy, confusion_matrix
from ...nn import Conv2d, MultiHeadAttention, cost, init
from ...plot import plot_confusion
from ...plot.vit import plot_attention_distance, show_principal_filters, show_rollout, show_similarity
from ...vit import (
    VARIANTS,
    AttentionRecord,
    ViT,
    attention_distance,
    attention_rollout,
    patch_filters,
    position_similarity,
    principal_filters,
)
from .. import Report, Target, experiment
from ..classify import scores
from ..parts import exact, panels, refused
from ._errata import departures
from ._tiny import NOTEBOOK, PAPER, largest, pictures, shuffled, tiny, trained

PARAMETERS = {"vit_b_16": 86_567_656, "vit_b_32": 88_224_232, "vit_l_16": 304_326_632, "vit_l_32": 306_535_400,
              "vit_h_14": 632_045_800, "vit_ti_16": 5_717_416, "vit_s_16": 22_050_664}
GMACS = {"vit_b_16": 17.56, "vit_b_32": 4.41, "vit_l_16": 61.55, "vit_l_32": 15.38, "vit_h_14": 167.3,
         "vit_ti_16": 1.25, "vit_s_16": 4.60}
BLOCKS = {"vit_b_16": 85_054_464, "vit_l_16": 302_309_376, "vit_h_14": 629_678_080}


# The network ------------------------------------------------------------------------------------------------


@experiment(
    "vit", title="Vision transformer", chapter="3.2", notebook=NOTEBOOK, paper=PAPER,
    equations="z = [class; x E] + p;  z += msa(ln z);  z += mlp(ln z);  y = ln(z)_0 W", module="minicv/vit/vit.py",
    shows="An encoder on patches classifies pictures; the table of variants is met to the last parameter.",
    departures=departures("E3.3", "E3.7", "E3.9", "E3.13") + " What positions are worth is only observed: the ten "
               "shapes are recognized nearly as well with positions set to zero.",
    targets=[*exact({f"parameters_{name}": n for name, n in PARAMETERS.items()}),
             *exact({f"gmacs_{name}": (g, 0.01 * g) for name, g in GMACS.items()}),
             *exact({f"blocks_{name}": n for name, n in BLOCKS.items()}),
             *exact({"headless_b_16": 85_798_656, "refused": 3, "attention_share": (0.041, 5e-4)}),
             Target("order_changes", "<", 1e-10, tag="E"), Target("accuracy", ">=", 0.8)])
def vit(preset, rng, out, progress):
    count, epochs = {"smoke": (64, 1), "fast": (4000, 8), "full": (16_000, 15)}[preset]
    train, test = pictures(preset, rng, count=count)
    net = trained(tiny(rng), train, epochs, rng, progress)
    logits = scores(net, test["image"])
    rows = [_variant(name) for name in PARAMETERS]
    metrics = {f"parameters_{row['model']}": row["parameters"] for row in rows}
    metrics |= {f"gmacs_{row['model']}": row["GMACs"] for row in rows}
    metrics |= {f"blocks_{row['model']}": row["blocks"] for row in rows if row["model"] in BLOCKS}
    n, d = 197, 768
    metrics |= {
        "headless_b_16": rows[0]["without head"], "refused": _wrong_sizes(rng),
        "attention_share": 2 * n * n * d / (2 * n * n * d + 12 * n * d * d),
        "order_changes": _order_changes(test["image"][:4], rng),
        "accuracy": accuracy(logits, test["label"])}
    init.assign(net.pos_embed, np.zeros(net.pos_embed.shape))
    metrics["lost_without_positions"] = metrics["accuracy"] - accuracy(scores(net, test["image"]), test["label"])
    metrics["smallest_net_parameters"] = sum(p.size for p in net.parameters())
    return Report(metrics, {"What the small ViT takes for what": lambda: _confusions(logits, test["label"]),
                            "Where the multiply-adds are": _shares},
                  {"Variants": rows, "Throughput on this machine (observed)": _throughput(preset, rng)})


def _variant(name):
    """Parameters and multiply-adds from the network with one of its blocks, which are all alike."""
    patch, dim, depth, heads = VARIANTS[name]
    one = cost(ViT(patch, dim, 1, heads, rng=0), (1, 3, 224, 224))
    block = one["blocks.0"]
    return {"model": name, "parameters": one.parameters + (depth - 1) * block.parameters,
            "GMACs": round((one.macs + (depth - 1) * block.macs) / 1e9, 3), "blocks": depth * block.parameters,
            "without head": one.parameters + (depth - 1) * block.parameters - one["head"].parameters}


def _wrong_sizes(rng):
    net = tiny(rng)
    return refused(ShapeError, *(lambda size=size: net(np.zeros((1, 3, *size), np.float32))
                                 for size in ((28, 32), (32, 64), (30, 32))))


def _order_changes(images, rng):
    """Largest change of the logits without positions when patches change places."""
    net = tiny(rng, positions="none").astype(np.float64).eval()
    init.assign(net.head.weight, rng.standard_normal((10, 48)))
    x = images.astype(np.float64)
    return largest(scores(net, x), scores(net, shuffled(x, 4, rng)))


def _throughput(preset, rng):
    """Forward passes of a 3x3 convolution and of attention, both 192 channels wide on a grid of 14 x 14."""
    images = 1 if preset == "smoke" else 16
    layers = {"3x3 convolution": (Conv2d(192, 192, 3, padding=1, rng=rng), (images, 192, 14, 14)),
              "self-attention": (MultiHeadAttention(192, 3, rng=rng), (images, 196, 192))}
    rows = []
    for name, (layer, shape) in layers.items():
        macs, x, times = cost(layer, shape).macs, Tensor(rng.standard_normal(shape).astype(np.float32)), []
        for _ in range(2 if preset == "smoke" else 8):
            start = time.perf_counter()
            with no_grad():
                layer(x)
            times.append(time.perf_counter() - start)
        rows.append({"layer": name, "million MACs": macs / 1e6, "ms": round(1e3 * min(times), 2),
                     "GMAC/s": round(macs / min(times) / 1e9, 1)})
    return rows


def _confusions(logits, labels):
    names = Shapes10(1).class_names
    return plot_confusion(confusion_matrix(logits.argmax(axis=1), labels, num_classes=10), class_names=names).figure


def _shares():
    figure, (ax,) = panels(1, (6.0, 3.8))
    d, n = 768, np.geomspace(50, 50_176, 200)
    linear, product = 12 * n * d * d, 2 * n * n * d
    ax.plot(n, product / (linear + product), label="attention, 2 n² d")
    ax.plot(n, linear / (linear + product), "--", label="linear layers, 12 n d²")
    for tokens, name in ((197, "16 x 16 patches"), (6 * d, "n = 6 d"), (50_176, "pixels")):
        ax.axvline(tokens, color="gray", linewidth=1)
        ax.text(tokens, 1.02, name, ha="center", va="bottom", fontsize=8)
    ax.set(xscale="log", xlabel="tokens n, with d = 768", ylabel="share of the multiply-adds", ylim=(0, 1))
    ax.legend(loc="center left")
    return figure


# What it looks at -------------------------------------------------------------------------------------------


@experiment(
    "vit-analysis", title="What a vision transformer looks at", chapter="3.2", notebook=NOTEBOOK,
    paper=PAPER + ", section 4.5; Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers",
    equations="distance_q = sum_k a_qk |p_q - p_k|;  rollout = prod (I + A) / 2", module="minicv/vit/analysis.py",
    shows="Filters of edges and colors, positions that know rows and columns, heads that look near and far.",
    departures=departures("E3.11") + " Ten shapes instead of 300 million photographs, so filters are faint.",
    targets=[*exact({"uniform_distance": (116.5, 0.05), "refused": 2}),
             Target("rollout_sum_error", "<", 1e-6, tag="E"), Target("weights_sum_error", "<", 1e-5, tag="E"),
             Target("row_and_column_gain", ">=", 0.02)])
def analysis(preset, rng, out, progress):
    count, epochs, depth = {"smoke": (64, 1, 2), "fast": (4000, 3, 6), "full": (16_000, 15, 6)}[preset]
    train, test = pictures(preset, rng, count=count)
    net, images = tiny(rng, depth=depth), test["image"][:100]
    before = _weights(net, images)
    trained(net, train, epochs, rng, progress)
    after, filters = _weights(net, images), patch_filters(net)
    far = {name: attention_distance(w, 8, 4).mean(axis=1) for name, w in (("before", before), ("after", after))}
    rollout, similarity = attention_rollout(after[:, :6]), position_similarity(net.pos_embed, 8)
    near = _same_row_or_column(8)
    uniform = attention_distance(np.full((65, 65), 1 / 65), 8, 4).item()
    metrics = {
        "uniform_distance": attention_distance(np.full((197, 197), 1 / 197), 14, 16).item(),
        "refused": refused(ArgError, lambda: AttentionRecord(net).weights, lambda: AttentionRecord(net.head)),
        "rollout_sum_error": largest(rollout.sum(axis=-1), 1), "weights_sum_error": largest(after.sum(axis=-1), 1),
        "row_and_column_gain": similarity[near == 1].mean() - similarity[near == 0].mean(),
        "distance_first_layer": far["after"][0].mean(), "distance_last_layer": far["after"][-1].mean(),
        "accuracy": accuracy(scores(net, test["image"]), test["label"])}
    shares = PCA(14).fit(filters.reshape(len(filters), -1)).explained_variance_ratio_
    rows = [{"layer": n + 1} | {f"head {h + 1}": round(d, 1) for h, d in enumerate(heads)}
            for n, heads in enumerate(far["after"])]
    return Report(metrics, {
        "Principal components of the columns of W_E": lambda: show_principal_filters(
            principal_filters(filters, 14), shares=shares).figure,
        "Cosine similarity of the positions": lambda: show_similarity(similarity).figure,
        "Mean attention distance of every head": lambda: plot_attention_distance(
            far["after"], before=far["before"], uniform=uniform).figure,
        "Attention rollout of the class token": lambda: show_rollout(
            _visible(images[:6]), rollout[:, 0, 1:].reshape(-1, 8, 8))},
        {"Mean attention distance in pixels": rows})


def _weights(net, images):
    """Attention weights (layers, N, heads, L, L) of images."""
    with no_grad(), net.evaluating(), AttentionRecord(net) as record:
        net(Tensor(images))
    return record.weights


def _same_row_or_column(side):
    """1 for two different patches in one row or column, 0 for others, -1 for a patch with itself: (I, J, I, J)."""
    i, j, k, m = np.indices((side,) * 4)
    return np.where((i == k) & (j == m), -1, (i == k) | (j == m))


def _visible(images):
    """Standardized images with values in [0, 1]."""
    low, high = (f(images, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    return (images - low) / (high - low)
