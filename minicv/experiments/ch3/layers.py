"""Section 3.1: what stands around attention: embeddings, norms, and the network of each token."""

import numpy as np

from ...autograd import Tensor, jacobian
from ...autograd.conv import conv1d
from ...errors import ArgError, ShapeError
from ...nn import BatchNorm1d, BatchNorm2d, Embedding, GroupNorm, InstanceNorm2d, LayerNorm
from ...nn.linear import affine
from ...plot import PALETTE, figure_style
from ...vit import EncoderLayer
from .. import Report, Target, experiment
from ..parts import exact, panels, refused
from ._errata import departures
from .attention import NOTEBOOK, VASWANI, gap, zero


@experiment(
    "embedding-layer", title="Embedding layer", chapter="3.1", notebook=NOTEBOOK, module="minicv/nn/embedding.py",
    paper=VASWANI, equations="y_t = sqrt(d) W[id_t]; tied output: logits = h W^T, section 3.4",
    shows="A look-up: rows that are not used get no gradient, rows used twice get both.",
    targets=[*exact({"gradient_of_unused_rows": 0, "bad_ids_refused": 2,
                     "error_names_id_and_vocabulary": 1}),
             *zero("repeats_accumulate_off", "one_hot_product_off", "tied_gradient_off")])
def embedding(preset, rng, out, progress):
    table, ids = Embedding(12, 6, rng=rng).astype(np.float64), np.array([[3, 7, 3], [5, 3, 7]])
    g = rng.standard_normal((2, 3, 6))
    (table(ids) * g).sum().backward()
    found, expected = table.weight.grad.data, np.zeros((12, 6))
    for place in np.ndindex(ids.shape):
        expected[ids[place]] += g[place]
    message = _message(lambda: table(np.array([12])))
    metrics = {"gradient_of_unused_rows": np.abs(found[np.setdiff1d(np.arange(12), ids)]).max(),
               "repeats_accumulate_off": gap(found, expected),
               "one_hot_product_off": gap(table(ids), np.eye(12)[ids] @ table.weight.data),
               "bad_ids_refused": refused(ValueError, lambda: table(np.array([12])), lambda: table(np.array([-1]))),
               "error_names_id_and_vocabulary": "12" in message and "id" in message,
               "tied_gradient_off": _tied(table, ids, g)}
    return Report(metrics, {"The embedding": lambda: _look_up(table, ids[0]),
                            "Gradient of the table": lambda: _table(found)})


def _message(call):
    try:
        call()
    except ValueError as error:
        return str(error)
    return ""


def _tied(table, ids, g):
    """One table at both ends: its gradient against that of two tables with the same numbers, added."""
    def gradients(first, last):
        h = first(ids) * 6**0.5
        first.zero_grad()
        last.zero_grad()
        (affine(h * g, last.weight) ** 2).sum().backward()
        return first.weight.grad.data, last.weight.grad.data

    other = Embedding(12, 6, rng=0).astype(np.float64)
    other.load_state_dict(table.state_dict())
    first, last = gradients(table, other)
    both = first + last
    return gap(gradients(table, table)[0], both) / np.abs(both).max()


def _look_up(table, ids):
    """Tokens as rows with a single one, times the table, are rows of the table."""
    figure, axes = panels(3, (3.4, 2.8), gridspec_kw={"width_ratios": (12, 6, 6)})
    parts = {"one-hot rows  (T, V)": np.eye(len(table.weight.data))[ids], "@ table W  (V, d)": table.weight.data,
             "= vectors  (T, d)": table(ids).data}
    for ax, (title, values) in zip(axes, parts.items(), strict=True):
        top = np.abs(values).max()
        ax.imshow(values, cmap="RdBu_r", vmin=-top, vmax=top)
        ax.set(title=title, xticks=[], yticks=range(len(values)))
        ax.grid(False)
    for ax in axes[::2]:
        ax.set_yticklabels([f"token {k}" for k in ids])
    return figure


def _table(gradient):
    figure, (ax,) = panels(1, (5.0, 3.2))
    top = np.abs(gradient).max()
    ax.imshow(gradient.T, cmap="RdBu_r", vmin=-top, vmax=top)
    ax.set(xlabel="row of the table (3 is used three times, 7 twice, 5 once)", ylabel="dimension")
    ax.set_xticks(range(12))
    ax.grid(False)
    return figure


@experiment(
    "layer-norm", title="Layer normalisation", chapter="3.1", notebook=NOTEBOOK, module="minicv/nn/norm.py",
    paper="Ba, Kiros & Hinton 2016, Layer Normalization",
    equations="(a - mean) / sqrt(var + eps) * gamma + beta over the D numbers of a token, equations 3-4",
    shows="Each token alone, the same in training and inference; batch norm with two sequences drifts.",
    departures=departures("E3.12"),
    targets=[*exact({"train_minus_eval": 0, "change_by_other_tokens": 0, "one_value_without_eps_refused": 1}),
             *zero("token_means", "formula_off"), *exact({"token_variances": (1, 1e-4)}),
             Target("batch_norm_train_minus_eval", ">=", 0.5)])
def layer_norm(preset, rng, out, progress):
    norm, x = LayerNorm(64).astype(np.float64), 3 + 2 * rng.standard_normal((2, 5, 64))
    y, alone = norm(Tensor(x)).data, norm(Tensor(x[:1])).data
    with norm.evaluating():
        still = norm(Tensor(x)).data
    mean, var = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    drift = [_drift(rng, size) for size in (2, 4, 8, 16, 32, 64)]
    metrics = {"token_means": np.abs(y.mean(axis=-1)).max(), "token_variances": y.var(axis=-1).mean(),
               "formula_off": gap(y, (x - mean) / np.sqrt(var + 1e-5)), "train_minus_eval": gap(y, still),
               "change_by_other_tokens": gap(y[:1], alone), "batch_norm_train_minus_eval": drift[0],
               "one_value_without_eps_refused": refused(ArgError, lambda: LayerNorm(1, eps=0.0))}
    return Report(metrics, {"Training and inference differ": lambda: _drifts(drift)})


def _drift(rng, size, width=16, steps=100):
    """Mean |training - inference| of batch norm after `steps` batches of `size` vectors."""
    norm = BatchNorm1d(width)
    for _ in range(steps):
        x = Tensor(rng.standard_normal((size, width)).astype(np.float32))
        y = norm(x)
    with norm.evaluating():
        return np.abs(norm(x).data - y.data).mean()


def _drifts(drift):
    figure, (ax,) = panels(1, (5.4, 3.2))
    ax.semilogx((2, 4, 8, 16, 32, 64), drift, "o-", base=2, label="batch norm")
    ax.semilogx((2, 64), (0, 0), "s--", base=2, label="layer norm")
    ax.set(xlabel="vectors in a batch", ylabel="|training - inference|")
    ax.legend()
    return figure


AXES = {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3), "group": (2, 3, 4)}


@experiment(
    "norm-axes", title="Axes of normalisation", chapter="3.1", notebook=NOTEBOOK, module="minicv/nn/norm.py",
    paper="Ioffe & Szegedy 2015; Ulyanov et al. 2016; Wu & He 2018, Group Normalization, figure 2",
    equations="(x - mean) / sqrt(var + eps), mean and var over a set of axes of (N, C, H, W)",
    shows="Four norms are one formula; only the axes over which mean and variance run differ.",
    targets=[*zero("batch_off", "layer_off", "instance_off", "group_off", "one_group_minus_layer",
                   "group_per_channel_minus_instance"),
             *exact({"groups_that_do_not_divide_refused": 1, "one_value_per_channel_refused": 1})])
def norm_axes(preset, rng, out, progress):
    x = 1 + 2 * rng.standard_normal((3, 6, 4, 5))
    layers = {"batch": BatchNorm2d(6), "layer": LayerNorm((6, 4, 5)), "instance": InstanceNorm2d(6),
              "group": GroupNorm(2, 6)}
    found = {name: layer.astype(np.float64)(Tensor(x)).data for name, layer in layers.items()}
    metrics = {f"{name}_off": gap(found[name], _normalise(x, AXES[name], groups=2 if name == "group" else None))
               for name in AXES}
    one, each = (GroupNorm(g, 6).astype(np.float64)(Tensor(x)) for g in (1, 6))
    metrics |= {"one_group_minus_layer": gap(one, found["layer"]),
                "group_per_channel_minus_instance": gap(each, found["instance"]),
                "groups_that_do_not_divide_refused": refused(ShapeError, lambda: GroupNorm(4, 6)),
                "one_value_per_channel_refused": refused(ShapeError, lambda: BatchNorm2d(3)(np.ones((1, 3, 1, 1))))}
    return Report(metrics, {"3.4 Axes of the norms": _cubes})


def _normalise(x, axes, groups=None):
    """The one formula; with groups the channels are split first, (N, groups, C / groups, H, W)."""
    z = x if groups is None else x.reshape(len(x), groups, -1, *x.shape[2:])
    z = (z - z.mean(axis=axes, keepdims=True)) / np.sqrt(z.var(axis=axes, keepdims=True) + 1e-5)
    return z.reshape(x.shape)


def _cubes(N=4, C=6, S=4):
    """Blocks of batch x channels x positions; the blocks that share one mean with the front one are orange."""
    import matplotlib.pyplot as plt

    n, c, _ = np.indices((N, C, S))
    shared = {"batch norm": c == 0, "layer norm": n == 0, "instance norm": (n == 0) & (c == 0),
              "group norm": (n == 0) & (c < C // 2)}
    with figure_style():
        figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), subplot_kw={"projection": "3d"})
    for ax, (name, together) in zip(axes, shared.items(), strict=True):
        ax.voxels(np.ones((N, C, S), bool), facecolors=np.where(together, PALETTE[1], "#DDE6EE"), edgecolor="#777777",
                  linewidth=0.4)
        ax.set(title=name, xlabel="N", ylabel="C", zlabel="H, W", xticklabels=[], yticklabels=[], zticklabels=[])
        ax.set_box_aspect((N, C, S))
        ax.view_init(elev=22, azim=-128)
    return figure


@experiment(
    "ffn", title="Network of each token", chapter="3.1", notebook=NOTEBOOK, module="minicv/vit/encoder.py",
    paper=VASWANI,
    equations="FFN(x) = relu(x W1 + b1) W2 + b2, d_ff = 4 d, equation 2",
    shows="The same small network for every token, two convolutions of size 1: only attention mixes tokens.",
    departures=departures("E3.4"),
    targets=[*zero("off_convolutions", "permutation_residual"),
             *exact({"jacobian_between_tokens": 0, "weights_over_d2": 8}),
             Target("attention_between_tokens", ">", 1e-3, tag="E")])
def ffn(preset, rng, out, progress):
    layer, x = EncoderLayer(8, 2, rng=rng).astype(np.float64), rng.standard_normal((1, 5, 8))
    y, order = layer.ffn(Tensor(x)).data, rng.permutation(5)
    without = _blocks(lambda t: layer.norm2(t + layer.ffn(t)), x)
    whole = _blocks(layer, x)
    across = ~np.eye(5, dtype=bool)
    first, last = layer.linear1, layer.linear2
    metrics = {"off_convolutions": gap(y, _convolutions(first, last, x)),
               "permutation_residual": gap(layer.ffn(Tensor(x[:, order])).data, y[:, order]),
               "jacobian_between_tokens": without[across].max(), "attention_between_tokens": whole[across].min(),
               "weights_over_d2": (first.weight.size + last.weight.size) / 8**2}
    return Report(metrics, {"Which token depends on which": lambda: _jacobians(without, whole)})


def _convolutions(first, last, x):
    """The same by convolutions of size 1 over (N, D, L)."""
    h = np.maximum(conv1d(x.swapaxes(1, 2), first.weight.data[:, :, None], first.bias.data), 0)
    return conv1d(h, last.weight.data[:, :, None], last.bias.data).swapaxes(1, 2)


def _blocks(function, x):
    """Largest derivative of each output token by each input token, (L, L)."""
    j = np.asarray(jacobian(function, Tensor(x)).data).reshape(*x.shape[1:], *x.shape[1:])
    return np.abs(j).max(axis=(1, 3))


def _jacobians(*blocks):
    figure, axes = panels(2, (3.6, 3.4))
    for ax, block, title in zip(axes, blocks, ("norm and FFN", "with attention"), strict=True):
        ax.imshow(block, cmap="Blues", vmin=0)
        ax.set(title=title, xlabel="input token", ylabel="output token")
        ax.grid(False)
    return figure
