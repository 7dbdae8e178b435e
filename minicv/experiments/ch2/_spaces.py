"""Figures about families of networks: distributions of errors, stages, the rule of RegNet."""

import numpy as np

from ...cnn import design_space, regnet
from ...plot import PALETTE, plot_curves
from ..parts import panels


def distributions(errors):
    """F(e) of each space; errors {space: array (n,)}."""
    figure, (ax,) = panels(1, (5.4, 3.8))
    at = np.linspace(0, 1, 501)
    plot_curves({f"{space}, {len(e)} networks": design_space.edf(e, at) for space, e in errors.items()}, x=at,
                xlabel="error e", ylabel="share of networks with a lower error", ax=ax)
    found = np.concatenate(list(errors.values()))
    ax.set(xlim=(max(0, found.min() - 0.05), min(1, found.max() + 0.05)), ylim=(-0.02, 1.02))
    return figure


def depths(values, errors):
    """Error over depth with the interval of the best depth; both {space: array (n,)}."""
    figure, axes = panels(len(values), (3.4, 3.4), sharey=True, sharex=True)
    for ax, color, (space, depth) in zip(axes, PALETTE, values.items(), strict=False):
        low, middle, high = design_space.bootstrap_best(depth, errors[space], times=2000, rng=0)
        ax.axvspan(low - 0.1, high + 0.1, color=color, alpha=0.15, linewidth=0)
        ax.axvline(middle, color=color, linewidth=1)
        ax.plot(depth, errors[space], "o", color=color, markersize=4)
        ax.set(xlabel="blocks", title=f"space {space}")
    axes[0].set_ylabel("error")
    return figure


def widths(spaces):
    """Width of each block of some networks; {title: list of lists of Stage}."""
    figure, axes = panels(len(spaces), (3.6, 3.2))
    for ax, (title, networks) in zip(axes, spaces.items(), strict=True):
        for color, stages in zip(PALETTE, networks, strict=False):
            values = np.repeat([s.width for s in stages], [s.depth for s in stages])
            ax.step(np.arange(len(values) + 1), [*values, values[-1]], where="post", color=color, alpha=0.8)
        ax.set(title=title, xlabel="block", yscale="log")
    axes[0].set_ylabel("width, channels")
    return figure


def rule(spec):
    """Equations 2 to 4: a line, its powers, its stages."""
    j = np.arange(spec.d)
    line = spec.w0 + spec.wa * j
    powers = spec.w0 * spec.wm ** np.round(np.log(line / spec.w0) / np.log(spec.wm))
    figure, (ax,) = panels(1, (5.4, 3.6))
    ax.plot(j, line, "-", label="u: a line")
    ax.plot(j, powers, "s", fillstyle="none", label="nearest power")
    ax.plot(j, regnet.widths(*spec[:4]), ".", label="multiple of 8")
    ax.set(xlabel="block", ylabel="width, channels")
    ax.legend()
    return figure


def structure(spec, side=224):
    """Stem, body and head with the sizes of their maps, one box a block."""
    stages = regnet.stages(spec)
    body = [(f"stage {i}", s.depth, s.width, side // 2 ** (i + 1)) for i, s in enumerate(stages, 1)]
    parts = [("stem", 1, 32, side // 2), *body, ("head", 1, 1000, 1)]
    figure, (ax,) = panels(1, (9.0, 2.9))
    x = 0
    for color, (name, depth, width, n) in zip(PALETTE, parts, strict=False):
        height, start = 0.35 + 0.65 * np.sqrt(n / side), x
        for _ in range(depth):
            ax.bar(x, height, width=0.8, color=color, alpha=0.8, align="edge")
            x += 1
        middle = (start + x - 0.2) / 2
        ax.text(middle, height + 0.04, f"{width}\n" + (f"{n} x {n}" if n > 1 else "classes"), ha="center",
                fontsize=8)
        ax.text(middle, -0.05, name + (f"\n{depth} blocks" if depth > 1 else ""), ha="center", va="top",
                fontsize=8)
        x += 0.7
    ax.set(ylim=(-0.3, 1.2), xlim=(-0.5, x))
    ax.axis("off")
    return figure


def rates(found):
    """Accuracy over learning rate; {network: {lr: accuracy}}."""
    figure, (ax,) = panels(1, (5.0, 3.6))
    for marker, (name, values) in zip("os", found.items(), strict=True):
        ax.semilogx(list(values), list(values.values()), f"{marker}-", label=name)
    ax.set(xlabel="learning rate", ylabel="accuracy")
    ax.legend()
    return figure
