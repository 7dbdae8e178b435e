"""What experiments on blocks share: small networks of given blocks, drawings of channels."""

import numpy as np

from ... import nn
from ...cnn.resnet import conv
from ...plot import PALETTE
from ..parts import panels


def small_net(*blocks, channels, features, rng):
    """3x3 convolution of stride 2, blocks, global pooling, ten logits: images (N, 3, 32, 32) -> (N, 10)."""
    return nn.Sequential(conv(3, channels, 3, stride=2, rng=rng), nn.BatchNorm2d(channels), nn.ReLU(), *blocks,
                         nn.GlobalAvgPool2d(), nn.Linear(features, 10, rng=rng))


def connections(ax, layers, title):
    """Channels as dots, one column a layer; `layers` is a list of (O, C) arrays, nonzero where o reads c.

    Lines of one group have one color: group of an output channel = the first channel it reads.
    """
    sizes = [layers[0].shape[1], *(len(layer) for layer in layers)]
    for k, layer in enumerate(layers):
        starts = sorted({int(np.flatnonzero(row)[0]) for row in layer})
        for o, c in zip(*np.nonzero(layer), strict=True):
            color = PALETTE[starts.index(int(np.flatnonzero(layer[o])[0])) % 6]
            ax.plot([k, k + 1], [height(c, sizes[k]), height(o, sizes[k + 1])], color=color, linewidth=0.8, alpha=0.7)
    for k, n in enumerate(sizes):
        ax.plot([k] * n, [height(i, n) for i in range(n)], "o", color="black", markersize=5)
    ax.set(title=title, ylim=(-0.1, 1.1))
    ax.set_axis_off()


def height(i, n):
    """Place of the i-th of n dots, from the top."""
    return 1 - (i + 0.5) / n


def diagram(columns, size=(3.0, 4.2)):
    """Blocks as columns of boxes: {title: [row, ...]}, each row a list of texts side by side; "+" and "x" are round."""
    figure, axes = panels(len(columns), size)
    for ax, (title, rows) in zip(axes, columns.items(), strict=True):
        below = None
        for k, row in enumerate(rows):
            places = [(i + 0.5) / len(row) for i in range(len(row))]
            for x, text in zip(places, row, strict=True):
                _box(ax, x, -k, text, 0.9 / max(len(r) for r in rows))
            _arrows(ax, below, places, -k)
            below = places
        _around(ax, len(rows) - 1 - rows[::-1].index(["+"]), 0.55, 1.12)
        if ["×"] in rows:
            _around(ax, rows.index(["×"]), -1.5, -0.12)
        ax.set(title=title, xlim=(-0.2, 1.2), ylim=(0.2 - len(rows), 0.75))
        ax.set_axis_off()
    return figure


def _around(ax, row, start, side):
    """A way round from the height `start` to a row, at x = side."""
    end = 0.58 if side > 0.5 else 0.42
    ax.plot([0.5, side, side], [start, start, -row], color="gray", linewidth=1)
    ax.annotate("", (end, -row), (side, -row), arrowprops={"arrowstyle": "->", "color": "gray"})


def _box(ax, x, y, text, width):
    style = "circle,pad=0.25" if text in "+×" else "round,pad=0.35"
    ax.text(x, y, text, ha="center", va="center", fontsize=8 if width > 0.4 else 6.5, zorder=3,
            bbox={"boxstyle": style, "facecolor": "#dcebf5" if text not in "+×" else "#fbe3d0", "edgecolor": "black",
                  "linewidth": 0.8})


def _arrows(ax, below, places, y):
    if below is None:
        return
    pairs = zip(below, places, strict=True) if len(below) == len(places) else (
        (a, b) for a in below for b in places)
    for a, b in pairs:
        ax.annotate("", (b, y + 0.25), (a, y + 0.78), arrowprops={"arrowstyle": "->", "color": "black"})
