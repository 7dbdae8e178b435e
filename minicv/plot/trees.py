"""A decision tree as a drawing."""

import numpy as np

from ..ensembles.tree import leaf_text
from ..errors import ArgError
from .style import PALETTE, new_axes


def plot_tree(model, *, feature_names=None, max_depth=None, ax=None):
    """Draw a fitted decision tree: questions on top, answers at the bottom, yes to the left.

    Parameters
    ----------
    model : DecisionTreeClassifier or DecisionTreeRegressor, fitted
    feature_names : list of D str or None
    max_depth : int >= 1 or None
        Draw so many levels of questions only; what is below is shown as "...".

    Returns
    -------
    Axes
    """
    if not hasattr(model, "tree_"):
        raise ArgError(f"plot_tree: model is {model!r}, expected a fitted decision tree")
    depth = model.tree_.depth if max_depth is None else min(max_depth, model.tree_.depth)
    place = _places(model.tree_, depth)
    width = max(x for x, _ in place.values()) + 1
    ax = new_axes(ax, size=(max(4.0, 1.25 * width), 1.0 + 0.95 * depth))
    for node, (x, level) in place.items():
        for child in (model.tree_.left[node], model.tree_.right[node]):
            if child in place:
                ax.plot([x, place[child][0]], [-level, -level - 1], color="grey", linewidth=1, zorder=1)
        text, color = _node(model, node, level == depth, feature_names)
        ax.text(x, -level, text, ha="center", va="center", fontsize=8, zorder=2,
                bbox={"boxstyle": "round", "facecolor": color, "edgecolor": "grey"})
    ax.set(xlim=(-0.7, width - 0.3), ylim=(-depth - 0.5, 0.5))
    ax.set_axis_off()
    return ax


def _places(tree, depth):
    """Position (x, level) of each node down to `depth`: last ones side by side, others above their children."""
    place, free, stack = {}, 0, [(0, 0, False)]
    while stack:
        node, level, done = stack.pop()
        children = [tree.left[node], tree.right[node]] if tree.feature[node] >= 0 and level < depth else []
        if not children:
            place[node], free = (free, level), free + 1
        elif done:
            place[node] = np.mean([place[c][0] for c in children]), level
        else:
            stack += [(node, level, True), (children[1], level + 1, False), (children[0], level + 1, False)]
    return place


def _node(model, node, last, names):
    """Text and background colour of a node."""
    tree = model.tree_
    f, count = tree.feature[node], f"n = {tree.samples[node]}"
    if f >= 0 and last:
        return f"...\n{count}", "white"
    if f >= 0:
        return f"{names[f] if names else f'x[{f}]'} <= {tree.threshold[node]:.3g}\n{count}", "white"
    color = _light(PALETTE[tree.value[node].argmax() % len(PALETTE)]) if len(model.classes_) else "white"
    return f"{leaf_text(model, node)}\n{count}", color


def _light(color):
    """A hexadecimal colour mixed with four parts of white."""
    return "#" + "".join(f"{(int(color[i:i + 2], 16) + 4 * 255) // 5:02x}" for i in (1, 3, 5))
