"""Diagrams of data flow: boxes with shapes, and arrows between them."""

from ...plot import PALETTE, figure_style

# name: ({box: (column, row, text)}, arrows "a b"); rows grow upwards
DOT = ({"x": (0, 0, "x  (d)"), "y": (2, 0, "Y  (M, d)"), "s": (0.6, 1, "scores  x Yᵀ  (M)"),
        "w": (0.6, 2, "softmax  (M)"), "a": (1.3, 3, "a = weights Y  (d)")}, ["x s", "y s", "s w", "w a", "y a"])
SCALED_ONE = ({"x": (0, 0, "x  (d_X)"), "y": (2, 0, "Y  (M, d_Y)"), "q": (0, 1, "q = x W_Q  (d_K)"),
               "k": (1.35, 1, "K = Y W_K\n(M, d_K)"), "v": (2.65, 1, "V = Y W_V\n(M, d_V)"),
               "w": (0.6, 2, "softmax(q Kᵀ / √d_K)  (M)"), "a": (1.5, 3, "a = weights V  (d_V)")},
              ["x q", "y k", "y v", "q w", "k w", "w a", "v a"])
SCALED = ({"x": (0, 0, "X  (N, d_X)"), "y": (2, 0, "Y  (M, d_Y)"), "q": (0, 1, "Q = X W_Q\n(N, d_K)"),
           "k": (1.35, 1, "K = Y W_K\n(M, d_K)"), "v": (2.65, 1, "V = Y W_V\n(M, d_V)"),
           "w": (0.6, 2, "softmax of rows(Q Kᵀ / √d_K)\n(N, M)"), "a": (1.5, 3, "A = weights V  (N, d_V)")},
          ["x q", "y k", "y v", "q w", "k w", "w a", "v a"])
SELF = ({"y": (1.35, 0, "Y  (N, d_Y)"), "q": (0, 1, "Q = Y W_Q\n(N, d_K)"), "k": (1.35, 1, "K = Y W_K\n(N, d_K)"),
         "v": (2.65, 1, "V = Y W_V\n(N, d_V)"), "w": (0.6, 2, "softmax of rows(Q Kᵀ / √d_K)\n(N, N)"),
         "a": (1.5, 3, "A = weights V  (N, d_V)")}, ["y q", "y k", "y v", "q w", "k w", "w a", "v a"])
ADDITIVE = ({"s": (0, 0, "state s of the writer"), "h": (2, 0, "states h of the reader  (M, d)"),
             "e": (0.6, 1, "vᵀ tanh(W s + U h)  (M)"), "w": (0.6, 2, "softmax  (M)"),
             "c": (1.5, 3, "context c = weights h  (d)"), "n": (0, 4, "next state of the writer")},
            ["s e", "h e", "e w", "w c", "h c", "c n", "s n"])
HEADS = ({"y": (1.3, 0, "Y  (M, d)"), "h1": (0.2, 1, "head 1: W_Q, W_K, W_V\n(d, d/2)"),
          "h2": (2.4, 1, "head 2: W_Q, W_K, W_V\n(d, d/2)"), "a1": (0.2, 2, "A1  (M, d/2)"),
          "a2": (2.4, 2, "A2  (M, d/2)"), "c": (1.3, 3, "[A1 | A2]  (M, d)"), "o": (1.3, 4, "[A1 | A2] W_O  (M, d)")},
         ["y h1", "y h2", "h1 a1", "h2 a2", "a1 c", "a2 c", "c o"])
CROSS = ({"z": (0, 0, "z from the decoder  (N, d)"),
          "h": (2, 0, "output of the encoder  (M, d)"),
          "q": (0, 1, "Q = z W_Q"), "k": (1.5, 1, "K = h W_K"), "v": (2.7, 1, "V = h W_V"),
          "w": (0.8, 2, "softmax(Q Kᵀ / √d_K)  (N, M)"),
          "a": (1.5, 3, "A W_O  (N, d)"), "p": (0, 4, "z + A W_O")},
         ["z q", "h k", "h v", "q w", "k w", "w a", "v a", "a p", "z p"])
FIVE = {"additive, between RNNs": ADDITIVE, "dot-product": DOT, "scaled dot-product, one query": SCALED_ONE,
        "scaled dot-product, N queries": SCALED, "self-attention": SELF}


def flow(*diagrams, titles=None, size=(4.4, 3.4)):
    """A figure with diagrams side by side, at most three in a row."""
    import matplotlib.pyplot as plt

    columns = min(3, len(diagrams))
    lines = -(-len(diagrams) // columns)
    with figure_style():
        figure, axes = plt.subplots(lines, columns, figsize=(size[0] * columns, size[1] * lines), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, diagram, title in zip(axes.flat, diagrams, titles or [""] * len(diagrams), strict=False):
        _draw(ax, *diagram)
        ax.set_title(title)
    return figure


def _draw(ax, boxes, arrows):
    texts = {name: ax.text(x, y, text, ha="center", va="center", fontsize=8, zorder=3,
                           bbox={"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": PALETTE[0]})
             for name, (x, y, text) in boxes.items()}
    for arrow in arrows:
        start, end = arrow.split()
        ax.annotate("", boxes[end][:2], boxes[start][:2], zorder=1, arrowprops={
            "arrowstyle": "-|>", "color": "gray", "patchA": texts[start].get_bbox_patch(),
            "patchB": texts[end].get_bbox_patch(), "shrinkA": 2, "shrinkB": 2})
    ax.set(xlim=(-0.9, 3.4), ylim=(-0.5, max(y for _, y, _ in boxes.values()) + 0.5))
