"""Autoregressive generation, token by token."""

import numpy as np

from ..errors import ShapeError
from .overlay import document, shape, words
from .player import Player
from .style import PALETTE

CELL, BAR, WIDTH = 30, 15, 430                      # points


def decoding_player(source, written, probabilities, symbols, *, weights=None, top=5, title="Autoregressive generation",
                    **options):
    """A `Player` of generation: what has been written, and how likely each next token is.

    Parameters
    ----------
    source : int array (S,)
        What is read.
    written : int array (T,)
        What was chosen at each step.
    probabilities : array (T, V)
        Of all tokens at each step.
    symbols : sequence of V str
    weights : array (T, S) or None
        Attention of each step to the source; shades its cells.
    top : int
        Candidates shown at each step.
    title, **options
        As `Player`.

    Hovering tells probabilities and weights in full.
    """
    source, written = np.asarray(source), np.asarray(written)
    probabilities = np.asarray(probabilities, np.float64)
    T, V = len(written), len(symbols)
    if written.ndim != 1 or source.ndim != 1 or probabilities.shape != (T, V) or not T:
        raise ShapeError(f"decoding_player: source, written, probabilities have shapes {source.shape}, {written.shape}, "
                         f"{probabilities.shape}, expected (S,), (T,), (T, {V}) with T >= 1")
    if weights is not None and np.shape(weights) != (T, len(source)):
        raise ShapeError(f"decoding_player: weights has shape {np.shape(weights)}, expected {(T, len(source))}")
    wide = max(WIDTH, 90 + CELL * max(len(source), T))
    drawn = [document(wide, 106 + BAR * top, [
        *_row(22, "source", [symbols[k] for k in source], None if weights is None else np.asarray(weights)[t]),
        *_row(62, "written", [symbols[k] for k in written[:t + 1]], new=t),
        *_candidates(104, probabilities[t], written[t], symbols, top)]) for t in range(T)]
    labels = [f"step {t + 1}: after {' '.join(symbols[k] for k in written[:t]) or 'the start'} comes "
              f"{symbols[written[t]]} with probability {probabilities[t, written[t]]:.3f}" for t in range(T)]
    return Player(drawn, title=title, labels=labels, **{"interval": 1000, "width": 560, **options})


def _row(y, name, tokens, weights=None, new=None):
    """A line of cells with a token each."""
    yield words(4, y + 4, name, text_anchor="start", fill="#000", font_size=10)
    for k, token in enumerate(tokens):
        weight = None if weights is None else float(weights[k])
        told = token if weight is None else f"{token}: attention {weight:.4f}"
        yield shape("g", shape("rect", x=70 + CELL * k, y=y - 13, width=CELL - 2, height=26, stroke="#444",
                               fill=PALETTE[1] if k == new else PALETTE[0],
                               fill_opacity=f"{0.3 if k == new else 0.0 if weight is None else 0.7 * weight:.3f}"),
                    words(70 + CELL * (k + 0.5) - 1, y + 4, token, fill="#000", font_size=10), title=told)


def _candidates(y, p, chosen, symbols, top):
    """Bars of the most likely tokens, the chosen one in its colour."""
    yield words(4, y - 4, "next", text_anchor="start", fill="#000", font_size=10)
    for k, token in enumerate(np.argsort(-p, kind="stable")[:top]):
        line = y + BAR * k
        yield shape("g", words(94, line - 4, symbols[token], text_anchor="end", fill="#000"),
                    shape("rect", x=100, y=line - 13, width=max(0.5, 260 * p[token]), height=BAR - 3,
                          fill=PALETTE[1] if token == chosen else "#999"),
                    words(106 + 260 * p[token], line - 4, f"{p[token]:.3f}", text_anchor="start", fill="#000"),
                    title=f"{symbols[token]}: probability {p[token]:.6f}")
