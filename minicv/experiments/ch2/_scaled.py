"""Figures about larger networks and about the search for a good one."""

import numpy as np

from ...cnn.efficientnet import B0
from ...plot import PALETTE, plot_curves
from ..parts import panels

# Scaling ------------------------------------------------------------------------------------------------------------


def sweeps(found, xlabel="factor"):
    """Accuracy over factor, a panel for each dimension; {dimension: {factor: (macs, accuracy)}}."""
    figure, axes = panels(len(found), (3.2, 3.2), sharey=True)
    for ax, color, (name, line) in zip(axes, PALETTE, found.items(), strict=False):
        ax.plot(list(line), [value for _, value in line.values()], "o-", color=color)
        ax.set(xlabel=f"{name}, {xlabel}")
    axes[0].set_ylabel("accuracy")
    return figure


def over_cost(lines):
    """Accuracy over multiply-adds; {label: [(macs, accuracy), ...]}."""
    figure, (ax,) = panels(1, (5.6, 3.8))
    for marker, (label, points) in zip("osD^v*", lines.items(), strict=False):
        macs, values = zip(*sorted(points), strict=True)
        ax.plot(np.array(macs) / 1e6, values, f"{marker}-", label=label)
    ax.set(xlabel="million multiply-adds", ylabel="accuracy")
    ax.legend()
    return figure


def approaches():
    """Networks as stacks of boxes: height is depth, length the number of channels, the square the image."""
    names = {"base": (1, 1, 1), "deeper": (2, 1, 1), "wider": (1, 2, 1), "larger images": (1, 1, 2),
             "compound": (1.5, 1.4, 1.4)}
    figure, axes = panels(len(names), (1.9, 2.8), sharey=True)
    for ax, (name, (depth, width, side)) in zip(axes, names.items(), strict=True):
        ax.add_patch(_box(-0.35 * side, 0, 0.7 * side, 0.7 * side, "#999999"))
        for k in range(round(4 * depth)):
            ax.add_patch(_box(-0.35 * width, 1.7 + 0.5 * k, 0.7 * width, 0.36, PALETTE[min(k // 4 + (k > 3), 1)]))
        ax.set(xlim=(-1, 1), ylim=(-0.2, 6), title=name)
        ax.axis("off")
    return figure


def _box(x, y, width, height, color):
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor=color, edgecolor="black", linewidth=0.8, alpha=0.85)


# Search -------------------------------------------------------------------------------------------------------------


def search_loop():
    """Controller, child network and reward as a circle."""
    figure, (ax,) = panels(1, (7.6, 2.8))
    figure.set_label("the loop of a search: a controller samples networks, their accuracy moves the controller")
    texts = ("controller\n(recurrent network)", "child network,\ntrained briefly")
    for x, text in zip((0.13, 0.87), texts, strict=True):
        ax.text(x, 0.5, text, ha="center", va="center", fontsize=11,
                bbox={"boxstyle": "round,pad=0.7", "facecolor": "#E8F1FA", "edgecolor": "black"})
    for start, end, bend, at, text in (
            (0.13, 0.87, -0.3, 0.6, "samples an architecture $a$\nwith probability $p(a)$"),
            (0.87, 0.13, -0.3, 0.4, "accuracy $R$: a step\nalong $(R - b)\\,\\nabla \\log p(a)$")):
        shift = 0.13 if start < end else -0.13
        ax.annotate("", (end, 0.5 + shift * 1.6), (start, 0.5 + shift * 1.6),
                    arrowprops={"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={bend}", "linewidth": 1.5})
        ax.text(0.5, at, text, ha="center", va="bottom" if start < end else "top", fontsize=10)
    ax.set(xlim=(0, 1), ylim=(-0.05, 1.05))
    ax.axis("off")
    return figure


def rewards(record, table):
    """Rewards of all episodes, their moving average, and what the space offers."""
    figure, (ax,) = panels(1, (5.6, 3.6))
    ax.plot(record.rewards, ".", markersize=3, color="gray", label="rewards")
    plot_curves({"moving average b": record.baselines}, xlabel="episode", ylabel="reward", ax=ax)
    ax.axhline(np.percentile(table, 90), color=PALETTE[1], linestyle="--", label="90th percentile of the space")
    ax.axhline(table.max(), color=PALETTE[2], linestyle=":", label="best of the space")
    ax.legend()
    return figure


def probabilities(table, before, after):
    """Probability of each architecture, sorted by reward."""
    order = np.argsort(table)
    figure, (ax,) = panels(1, (5.6, 3.4))
    for label, p, color in (("before", before, "gray"), ("after", after, PALETTE[0])):
        ax.plot(np.maximum(p[order], 1e-12), ".-", color=color, label=label)
    ax.set(xlabel="architectures, worst to best", ylabel="probability", yscale="log", ylim=(1e-6, 2))
    ax.legend()
    return figure


# EfficientNet -------------------------------------------------------------------------------------------------------


def b0():
    """Stages of B0: height is the size of the map, one bar a block."""
    rows, n = [("conv 3x3", 1, 32, 112)], 112
    for row in B0:
        n //= row.stride
        rows.append((f"MBConv{row.t}\n{row.size}x{row.size}", row.blocks, row.channels, n))
    figure, (ax,) = panels(1, (10.0, 3.0))
    x = 0
    for i, (name, blocks, channels, side) in enumerate([*rows, ("conv 1x1", 1, 1280, n)]):
        height = 0.3 + 0.7 * np.sqrt(side / 112)
        ax.bar(x + np.arange(blocks), height, width=0.8, align="edge", color=PALETTE[i % 6], alpha=0.85)
        middle = x + (blocks - 0.2) / 2
        ax.text(middle, height + 0.03, f"{channels}\n{side} x {side}", ha="center", fontsize=8)
        ax.text(middle, -0.04, name + (f"\n{blocks} times" if blocks > 1 else ""), ha="center", va="top", fontsize=8)
        x += max(blocks, 1.6) + 0.5
    ax.set(xlim=(-0.6, x), ylim=(-0.35, 1.2))
    ax.axis("off")
    return figure


def family(counts):
    """Parameters and multiply-adds of B0 to B7."""
    figure, (ax,) = panels(1, (5.0, 3.6))
    parameters, macs = np.array(counts).T / [[1e6], [1e9]]
    ax.loglog(macs, parameters, "o-")
    for i, at in enumerate(zip(macs, parameters, strict=True)):
        ax.annotate(f"B{i}", at, xytext=(5, -9), textcoords="offset points", fontsize=9)
    ax.set(xlabel="billion multiply-adds", ylabel="million parameters")
    return figure
