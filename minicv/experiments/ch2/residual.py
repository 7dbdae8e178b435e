"""Section 2.2: what residual blocks start as, what flows through a stack of them, what depth does without."""

import numpy as np

from ... import nn
from ...autograd import Tensor, grad, no_grad
from ...autograd.activation import relu
from ...cnn.resnet import BasicBlock, Bottleneck
from ...cnn.resnet import build as build_resnet
from ...cnn.resnet_cifar import CifarResNet
from ...errors import ArgError, ShapeError
from ...nn.init import assign, xavier_uniform, zero_gamma
from ...plot import plot_curves
from .. import Report, Target, experiment
from ..classify import learn, shapes
from ..parts import exact, panels, refused
from ._diagrams import diagram
from ._errata import departures

PAPER = "He et al. 2016, Deep Residual Learning for Image Recognition"
NOTEBOOK, MODULE = "notebooks/21_residual.py", "minicv/cnn/resnet.py"
DEPTHS = (8, 20, 44)


class Plain(nn.Module):
    """Two 3x3 convolutions and ReLU, neither norm nor skip: x (N, C, H, W) -> the same shape."""

    def __init__(self, channels, *, rng=None):
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, rng=rng) for _ in range(2))

    def forward(self, x):
        """x (N, C, H, W) -> the same shape."""
        return relu(self.conv2(relu(self.conv1(x))))


def weights(module):
    """Number of parameters of convolutions."""
    return sum(m.weight.size for m in module.modules() if isinstance(m, nn.Conv2d))


@experiment(
    "residual-block", title="Residual block and skip connection", chapter="2.2", paper=PAPER, notebook=NOTEBOOK,
    module=MODULE, equations="y = relu(F(x) + S(x)), eq. 1, 2",
    shows="Gradients reach the first of fifty blocks; without skips 44 layers learn worse than 8.",
    departures=departures("E2.5"),
    targets=[*exact({"conv_weights": 73_728, "identity_shortcuts_refused": 1, "negative_after_relu": 0}),
             Target("zero_gamma_off_identity", "<=", 1e-7, tag="E"), Target("negative_before_relu", ">=", 0.3),
             Target("residual_ratio", "<", 10), Target("plain_ratio", ">", 1000),
             Target("plain_44_over_residual_44", ">", 1)])
def residual_block(preset, rng, out, progress, *, blocks=50, epochs=4):
    x = Tensor(rng.standard_normal((4, 64, 8, 8)).astype(np.float32))
    block = BasicBlock(64, 64, rng=rng)
    zero_gamma(block, "bn2")
    off = np.abs(block(x).data - np.maximum(x.data, 0)).max()
    flows = gradient_flow(blocks if preset != "smoke" else 4, rng)
    after, before = increments(BasicBlock(64, 64, rng=rng), relu(x))
    losses = depth_losses(preset, rng, progress, epochs)
    metrics = {
        "conv_weights": weights(block), "zero_gamma_off_identity": off,
        "identity_shortcuts_refused": refused(ShapeError, lambda: _without_projection(x)),
        "residual_ratio": _ratio(flows["residual, batch norm"]), "plain_ratio": _ratio(flows["plain, Glorot"]),
        "plain_he_ratio": _ratio(flows["plain, He"]), "negative_after_relu": float((after < 0).mean()),
        "negative_before_relu": float((before < 0).mean()), "mean_after_relu": after.mean(),
        "mean_before_relu": before.mean(),
        **{f"{kind}_{depth}_loss": curve[-1] for (kind, depth), curve in losses.items()},
        "plain_44_over_residual_44": losses["plain", DEPTHS[-1]][-1] / losses["residual", DEPTHS[-1]][-1]}
    return Report(metrics, {
        "Skip connection": lambda: diagram(BasicBlock(64, 64, rng=0), (1, 64, 56, 56), depth=1),
        "Norm of the gradient at the input of each block": lambda: plot_curves(
            flows, xlabel="block", ylabel="norm of the gradient", log=True).figure,
        "What a block adds, before and after ReLU": lambda: _increments(before, after),
        "Training loss, plain and residual": lambda: _depths(losses)},
        {"Training loss by depth": [
            {"depth": depth, **{kind: losses[kind, depth][-1] for kind in ("plain", "residual")}} for depth in DEPTHS]})


def _without_projection(x):
    """A block that halves the map but is left with the identity as its shortcut."""
    block = BasicBlock(64, 64, stride=2, rng=0)
    block.downsample = None
    return block(x)


def gradient_flow(count, rng, channels=16):
    """{kind of block: norm of the gradient at the input of each of `count` blocks, as drawn}."""
    x = rng.standard_normal((8, channels, 16, 16)).astype(np.float32)
    kinds = {"residual, batch norm": [BasicBlock(channels, channels, rng=rng) for _ in range(count)],
             "plain, He": [Plain(channels, rng=rng) for _ in range(count)],
             "plain, Glorot": [_glorot(Plain(channels, rng=rng), rng) for _ in range(count)]}
    flows = {}
    for kind, blocks in kinds.items():
        inputs = [Tensor(x, requires_grad=True)]
        for block in blocks:
            inputs.append(block(inputs[-1]))
        gradients = grad((inputs[-1] * rng.standard_normal(x.shape).astype(np.float32)).sum(), inputs[:-1])
        flows[kind] = np.array([np.linalg.norm(g.data) for g in gradients])
    return flows


def _glorot(block, rng):
    for layer in (block.conv1, block.conv2):
        assign(layer.weight, xavier_uniform(layer.weight.shape, rng=rng))
    return block


def _ratio(norms):
    """Last / first: how many times smaller the gradient is that reaches the first block."""
    return norms[-1] / norms[0]


def increments(block, x):
    """What a block would add to x behind its last ReLU, and what it does add in front of it."""
    with no_grad():
        y = block.bn2(block.conv2(block.bn1(block.conv1(x), activation="relu")))
    return np.maximum(y.data, 0), y.data


def depth_losses(preset, rng, progress, epochs):
    """{(kind, depth): training loss of each epoch} of CIFAR networks with and without shortcuts."""
    count, epochs = {"smoke": (64, 1), "fast": (1500, epochs), "full": (4000, 4 * epochs)}[preset]
    train, _ = shapes(preset, rng, count=count, held=1, size=16)
    seed = int(rng.integers(2**31))
    how = {"lr": 0.05, "batch": 32, "clip_norm": 1.0}     # without clipping the deepest leaves its start badly
    return {(kind, depth): learn(CifarResNet(depth, width=8, plain=kind == "plain", rng=seed), train, epochs=epochs,
                                 rng=np.random.default_rng(seed), progress=progress, **how)["loss"]
            for depth in DEPTHS for kind in ("plain", "residual")}


def _increments(before, after):
    figure, (ax,) = panels(1, (6.0, 3.2))
    for values, label in ((before, "in front of ReLU"), (after, "behind ReLU")):
        ax.hist(values.ravel(), np.linspace(-3, 3, 61), alpha=0.55, label=label)
    ax.set(xlabel="increment", ylabel="values", yscale="log")
    ax.legend()
    return figure


def _depths(losses):
    figure, axes = panels(2, (4.2, 3.4), sharey=True)
    for ax, kind in zip(axes, ("plain", "residual"), strict=True):
        curves = {f"{depth} layers": losses[kind, depth] for depth in DEPTHS}
        plot_curves(curves, x=np.arange(1, len(losses[kind, DEPTHS[0]]) + 1), xlabel="epoch", ax=ax).set_title(kind)
    return figure


@experiment(
    "bottleneck-block", title="Bottleneck block", chapter="2.2", paper=PAPER, notebook=NOTEBOOK, module=MODULE,
    equations="1x1 (C -> C/4), 3x3, 1x1 (C/4 -> C), added to x; fig. 5",
    shows="Three layers on four times the channels for the price of two; where the stride sits and what that costs.",
    departures=departures("E2.4"),
    targets=exact({"basic_weights": 73_728, "bottleneck_weights": 69_632, "stride_shapes_differ": 0,
                   "stride_weights_differ": 0, "resnet50_3x3_gmac": (4.09, 0.01), "resnet50_1x1_gmac": (3.86, 0.01),
                   "pixels_skipped_3x3": 0, "pixels_skipped_1x1": 0.75, "width_refused": 1}))
def bottleneck_block(preset, rng, out, progress):
    basic, bottleneck = BasicBlock(64, 64, rng=rng), Bottleneck(256, 64, rng=rng)
    strided = {where: Bottleneck(256, 128, stride=2, stride_in=where, rng=rng) for where in ("3x3", "1x1")}
    x = Tensor(rng.standard_normal((2, 256, 14, 14)).astype(np.float32))
    shapes_ = [block(x).shape for block in strided.values()]
    thin = {"widths": (8, 16, 32, 64)} if preset == "smoke" else {}
    whole = {where: nn.cost(build_resnet("resnet50", stride_in=where, rng=0, **thin), (1, 3, 224, 224)).macs / 1e9
             for where in strided}
    metrics = {
        "basic_weights": weights(basic), "bottleneck_weights": weights(bottleneck),
        "stride_shapes_differ": int(shapes_[0] != shapes_[1]),
        "stride_weights_differ": abs(weights(strided["3x3"]) - weights(strided["1x1"])),
        "width_refused": refused(ArgError, lambda: Bottleneck(250, 250 / 4, rng=0)),
        **{f"resnet50_{where}_gmac": giga for where, giga in whole.items()},
        **{f"pixels_skipped_{where}": _skipped(block, x) for where, block in strided.items()}}
    rows = [{"block": name, "channels": C, "weights": weights(block), "MMAC at 56 x 56":
             nn.cost(block, (1, C, 56, 56)).macs / 1e6} for name, C, block in (
                 ("two 3x3", 64, basic), ("bottleneck", 256, bottleneck))]
    return Report(metrics, {
        "2.4 Residual block, standard": lambda: diagram(basic, (1, 64, 56, 56)),
        "2.4 Residual block, bottleneck": lambda: diagram(bottleneck, (1, 256, 56, 56))},
        {"Blocks of about equal cost": rows})


def _skipped(block, x):
    """Share of the pixels of x to which F does not look at all."""
    x = Tensor(x.data, requires_grad=True)
    with block.evaluating():
        y = block.bn3(block.conv3(block.bn2(block.conv2(block.bn1(block.conv1(x), activation="relu")),
                                            activation="relu")))
    (g,) = grad((y * y).sum(), [x])
    return float((np.abs(g.data).sum(axis=(0, 1)) == 0).mean())
