"""Section 2.4: squeeze and excitation, SENet."""

import numpy as np

from ... import cnn, nn
from ...autograd import Tensor, no_grad
from ...cnn.resnet import BasicBlock
from ...cnn.senet import SEBasicBlock
from ...cnn.squeeze import SqueezeExcite
from ...errors import ArgError
from ...metrics import accuracy
from ...optim import Adam
from .. import Report, Target, experiment
from ..classify import learn, scores, shapes
from ..parts import exact, panels, refused
from ._blocks import diagram, small_net
from ._errata import departures
from ._paper import count, gate, table

NOTEBOOK = "notebooks/22_branches_and_gates.py"
PAPER = "Hu et al. 2018, Squeeze-and-Excitation Networks"


@experiment(
    "se-module", title="Squeeze and excitation", chapter="2.4", notebook=NOTEBOOK, module="minicv/cnn/squeeze.py",
    paper=PAPER, equations="s = sigmoid(W2 relu(W1 mean(x))), y_c = s_c x_c; 2 C^2 / r weights",
    shows="Each channel gets one factor in (0, 1), which depends on the means of all channels and on no position.",
    departures=departures("E2.11"),
    targets=[*exact({"weights": 512, "biases": 68, "too_few_channels_refused": 2}),
             Target("smallest_gate", ">", 0, tag="E"), Target("largest_gate", "<", 1, tag="E"),
             Target("open_gate_changes", "<=", 1e-12, tag="E"), Target("permutation_changes", "<=", 1e-12, tag="E"),
             Target("differs_from_definition", "<=", 1e-12, tag="E")])
def se_module(preset, rng, out, progress):
    module, x = SqueezeExcite(64, rng=rng).astype(np.float64), rng.standard_normal((16, 64, 7, 6)) + 1
    with no_grad():
        s, y = module.gate(x).data, module(x).data
        shuffled = module.gate(rng.permutation(x.reshape(16, 64, -1), axis=2).reshape(x.shape)).data
        opened = SqueezeExcite(64, rng=rng).astype(np.float64)
        nn.init.assign(opened.fc2.bias, np.full(64, 50.0))
        unchanged = opened(x).data
    sizes = {p.ndim: sum(q.size for q in module.parameters() if q.ndim == p.ndim) for p in module.parameters()}
    metrics = {"weights": sizes[4], "biases": sizes[1], "smallest_gate": s.min(), "largest_gate": s.max(),
               "open_gate_changes": np.abs(unchanged - x).max(), "permutation_changes": np.abs(shuffled - s).max(),
               "differs_from_definition": np.abs(definition(module, x) - y).max(),
               "too_few_channels_refused": refused(ArgError, lambda: SqueezeExcite(15), lambda: SqueezeExcite(64, 0))}
    return Report(metrics, {"Channels, their means, their factors": lambda: _gated(x, s, y)},
                  {"Gates of SE-ResNet-50": [
                      {"channels": C, "blocks": n, "parameters of a gate": 2 * C * C // 16 + C // 16 + C,
                       "all": n * (2 * C * C // 16 + C // 16 + C)}
                      for C, n in zip((256, 512, 1024, 2048), (3, 4, 6, 3), strict=True)]})


def definition(module, x):
    """Equations 2 to 4 of the paper with matrices."""
    W1, W2 = (fc.weight.data[:, :, 0, 0] for fc in (module.fc1, module.fc2))
    hidden = np.maximum(x.mean(axis=(2, 3)) @ W1.T + module.fc1.bias.data, 0)
    s = 1 / (1 + np.exp(-(hidden @ W2.T + module.fc2.bias.data)))
    return x * s[:, :, None, None]


def _gated(x, s, y):
    figure, axes = panels(4, (2.6, 3.0))
    limits = {"vmin": -3, "vmax": 3, "cmap": "RdBu_r", "aspect": "auto"}
    for ax, values, title in zip(axes, (x[0, :16].reshape(16, -1), x[0, :16].mean(axis=(1, 2))[:, None],
                                        s[0, :16, :, 0], y[0, :16].reshape(16, -1)),
                                 ("x", "mean over positions", "factor s", "s x"), strict=True):
        ax.imshow(values, **(limits if title != "factor s" else {"vmin": 0, "vmax": 1, "aspect": "auto"}))
        ax.set(title=title, xticks=[], yticks=[])
    axes[0].set(ylabel="channel", xlabel="position")
    axes[3].set_xlabel("position")
    return figure


PUBLISHED = {"seresnet50": (28_088_024, 4.09), "seresnext50_32x4d": (27_559_896, 4.23),
             "seresnext101_32x4d": (48_955_416, 7.97), "senet154": (115_088_984, 20.8)}


@experiment(
    "senet", title="SENet", chapter="2.4", notebook=NOTEBOOK, module="minicv/cnn/senet.py", paper=PAPER,
    equations="y = relu(s F(x) + x)", departures=departures("E2.19"),
    shows="The gate stands before the sum; it learns to close a channel that only distracts.",
    targets=[*exact({"parameter_counts_off": 0, "unknown_depth_refused": 1}),
             Target("worst_mac_error", "<=", 0.01, tag="E"), Target("accuracy", ">=", 0.93),
             Target("informative_minus_distractor_gate", ">=", 0.3), Target("toy_accuracy", ">=", 0.9)])
def senet(preset, rng, out, progress):
    names = list(PUBLISHED)[:1 if preset == "smoke" else None]
    counted = count(progress(names, desc="networks"), 224, preset)
    toy = distraction(rng, {"smoke": 10}.get(preset, 600))
    train, test = shapes(preset, rng)
    models, epochs = {}, {"smoke": 1, "fast": 4, "full": 10}[preset]
    for name, block in (("with gates", SEBasicBlock), ("without", BasicBlock)):
        models[name] = _small(block, rng)
        learn(models[name], train, epochs=epochs, rng=rng, progress=progress, lr=0.1)
    rows = [{"network": name, "parameters": sum(p.size for p in model.parameters()),
             "accuracy": accuracy(scores(model, test["image"]), test["label"])} for name, model in models.items()]
    means = _gates(models["with gates"], test)
    metrics = gate(counted, PUBLISHED) | {
        "accuracy": rows[0]["accuracy"], "accuracy_without": rows[1]["accuracy"],
        "informative_minus_distractor_gate": toy["informative"].mean() - toy["distractor"].mean(),
        "toy_accuracy": toy["accuracy"], "toy_accuracy_without": toy["accuracy without gate"],
        "unknown_depth_refused": refused(ArgError, lambda: cnn.build("seresnet42"))}
    return Report(metrics, {
        "Figure 2.5: SE-ResNet module": _module,
        "Factors of the channel with the stripes and of the one that distracts": lambda: _toy(toy),
        "Mean factors of the last block for each class": lambda: _classes(means)},
        {"Networks of the paper at 224 pixels": table(counted), "Small networks on ten shapes": rows})


def _small(block, rng):
    return small_net(block(16, 16, rng=rng), block(16, 32, stride=2, rng=rng), block(32, 64, stride=2, rng=rng),
                     channels=16, features=64, rng=rng)


class Gated(nn.Module):
    """Logits of the sum of two channels (N, 2, 8, 8), which a gate may weigh before."""

    def __init__(self, gated, *, rng):
        self.se = SqueezeExcite(2, 8, rng=rng) if gated else nn.Identity()
        self.fc = nn.Linear(64, 2, rng=rng)

    def forward(self, x):
        """x (N, 2, 8, 8) -> (N, 2)."""
        return self.fc(self.se(x).sum(axis=1).reshape(len(x.data), 64))


def stripes(n, rng):
    """Pictures (n, 2, 8, 8), the direction of the stripes in the informative channel, and which channel that is.

    The other one has stripes of a direction of its own. It is brighter: that is all that tells them apart.
    """
    which, label, other = rng.integers(0, 2, (3, n))
    wave = np.broadcast_to(np.where(np.arange(8) % 4 < 2, 1.0, -1.0), (8, 8))
    patterns = np.stack([wave, wave.T])
    x = np.empty((n, 2, 8, 8))
    x[np.arange(n), which], x[np.arange(n), 1 - which] = patterns[label], patterns[other] + 1
    return (x + 0.3 * rng.standard_normal(x.shape)).astype(np.float32), label, which


def distraction(rng, steps):
    """Train with and without a gate; factors of the two kinds of channels, accuracies on new pictures."""
    test, truth, which = stripes(1000, rng)
    found = {}
    for name, gated in (("accuracy without gate", False), ("accuracy", True)):
        model = Gated(gated, rng=rng)
        optimizer = Adam(model.parameters(), lr=0.01)
        for _ in range(steps):
            x, label, _ = stripes(64, rng)
            optimizer.zero_grad()
            nn.cross_entropy(model(Tensor(x)), label).backward()
            optimizer.step()
        with no_grad():
            found[name] = accuracy(model(Tensor(test)).data, truth)
    with no_grad():
        s = model.se.gate(Tensor(test)).data[:, :, 0, 0]
    at = np.arange(len(s))
    return found | {"informative": s[at, which], "distractor": s[at, 1 - which]}


def _gates(model, test):
    """Mean factors (10, C) of the last block."""
    block, seen = [m for m in model.modules() if isinstance(m, SqueezeExcite)][-1], []
    handle = block.register_forward_hook(lambda m, inputs, y: seen.append(m.gate(inputs[0]).data[:, :, 0, 0]))
    scores(model, test["image"])
    handle.remove()
    s = np.concatenate(seen)
    return np.stack([s[test["label"] == k].mean(axis=0) if (test["label"] == k).any() else 0 * s[0] for k in range(10)])


def _module():
    return diagram({"residual module": [["x"], ["F(x)"], ["+"], ["ReLU"]],
                    "SE-ResNet module": [["x"], ["F(x): H×W×C"], ["global average: 1×1×C"], ["1×1, C/r + ReLU"],
                                         ["1×1, C + sigmoid"], ["×"], ["+"], ["ReLU"]]}, (3.0, 5.0))


def _toy(toy):
    figure, axes = panels(2, (4.4, 3.0))
    x, label, which = stripes(1, np.random.default_rng(3))
    axes[0].imshow(np.concatenate([x[0, which[0]], np.full((8, 1), np.nan), x[0, 1 - which[0]]], axis=1), cmap="gray")
    axes[0].set(title="informative, distractor", xticks=[], yticks=[])
    for name, dash in (("informative", "solid"), ("distractor", "dashed")):
        axes[1].hist(toy[name], bins=np.linspace(0, 1, 41), histtype="step", linestyle=dash, label=name, linewidth=1.8)
    axes[1].set(xlabel="factor", ylabel="pictures")
    axes[1].legend()
    return figure


def _classes(means):
    figure, (ax,) = panels(1, (6.4, 3.0))
    image = ax.imshow(means, aspect="auto", vmin=0, vmax=1)
    ax.set(xlabel="channel", ylabel="class", yticks=range(10))
    figure.colorbar(image, ax=ax)
    return figure
