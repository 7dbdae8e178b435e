"""Attention weights: a heat-map with the tokens at its sides, and a player over heads or steps."""

import numpy as np

from ..errors import ShapeError
from .overlay import Overlay
from .player import Player
from .style import new_axes

CELLS = 300                 # larger matrices are shown as pixels, without hints


def plot_attention(weights, *, queries=None, keys=None, numbers=False, top=None, ax=None):
    """Draw weights (N, M): queries are rows, keys are columns, dark is much.

    Parameters
    ----------
    weights : array (N, M)
    queries, keys : sequence of N and of M str, optional
        Tokens at the sides.
    numbers : bool
        Write each weight into its cell.
    top : float, optional
        Weight of the darkest colour; default the largest.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    weights = np.asarray(weights, dtype=float)
    if weights.ndim != 2 or 0 in weights.shape:
        raise ShapeError(f"plot_attention: weights has shape {weights.shape}, expected (N, M), neither empty")
    N, M = weights.shape
    for name, tokens, count in (("queries", queries, N), ("keys", keys, M)):
        if tokens is not None and len(tokens) != count:
            raise ShapeError(f"plot_attention: {name} has {len(tokens)} tokens, expected {count}")
    ax = new_axes(ax, size=(1.2 + 0.38 * M, 1.0 + 0.38 * N))
    top = max(weights.max(), 1e-12) if top is None else top
    ax.imshow(weights, cmap="Blues", vmin=0, vmax=top)
    for i, j in np.ndindex(N, M) if numbers else ():
        ax.text(j, i, f"{weights[i, j]:.2f}", ha="center", va="center", fontsize=8,
                color="white" if weights[i, j] > 0.6 * top else "black")
    ax.set_xticks(range(M), range(M) if keys is None else keys)
    ax.set_yticks(range(N), range(N) if queries is None else queries)
    ax.set(xlabel="keys", ylabel="queries")
    ax.grid(False)
    return ax


def attention_player(weights, *, labels=None, queries=None, keys=None, title="attention weights", **options):
    """A `Player` over weights (K, N, M): heads, layers or steps of training, all on one scale of colours.

    Parameters
    ----------
    weights : array (K, N, M)
    labels : list of K str, optional
        The line under each frame; "head 1" ... when None.
    queries, keys : sequence of str, optional
        As `plot_attention`.
    title, **options
        As `Player`.

    Hovering over a cell tells its weight, up to 300 cells.
    """
    import matplotlib.pyplot as plt

    weights = np.asarray(weights)
    if weights.ndim != 3 or 0 in weights.shape:
        raise ShapeError(f"attention_player: weights has shape {weights.shape}, expected (K, N, M), none empty")
    top = weights.max()
    labels = [f"head {k + 1}" for k in range(len(weights))] if labels is None else labels
    options = {"interval": 800, "title": title, "labels": labels, **options}
    if weights[0].size <= CELLS:
        ax = plot_attention(0 * weights[0], queries=queries, keys=keys, top=top)
        overlay = Overlay(ax.figure)
        names = [list(range(n)) if given is None else given
                 for n, given in zip(weights.shape[1:], (queries, keys), strict=True)]
        return overlay.player([_cells(overlay, ax, w, top, *names) for w in weights], **options)
    frames = [plot_attention(w, queries=queries, keys=keys, top=top).figure for w in weights]
    player = Player(frames, **options)
    for frame in frames:
        plt.close(frame)
    return player


def _cells(overlay, ax, weights, top, queries, keys):
    """A rectangle for each weight that can be seen."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    colors = colormaps["Blues"]
    for (i, j), weight in np.ndenumerate(weights):
        yield overlay.box(ax, (j - 0.5, i - 0.5, j + 0.5, i + 0.5), fill=to_hex(colors(weight / max(top, 1e-12))),
                          title=f"query {queries[i]}, key {keys[j]}: {weight:.3f}")
