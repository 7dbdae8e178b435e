"""The confusion matrix as a picture."""

import numpy as np

from ..errors import ShapeError
from .style import new_axes


def plot_confusion(matrix, *, class_names=None, ax=None):
    """Draw a confusion matrix: rows are true classes, columns predicted ones.

    The colour is the share of the row, the number the count. A class without examples stays white.

    Parameters
    ----------
    matrix : int array (K, K)
        matrix[t, p] counts items of class t that were predicted as p.
    class_names : list of K str or None

    Returns
    -------
    Axes
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"plot_confusion: matrix has shape {matrix.shape}, expected (K, K)")
    count = len(matrix)
    names = [str(k) for k in range(count)] if class_names is None else list(class_names)
    if len(names) != count:
        raise ShapeError(f"plot_confusion: class_names has {len(names)} entries, expected {count}")
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    ax = new_axes(ax, size=(1.6 + 0.38 * count, 1.3 + 0.38 * count))
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for t, p in np.argwhere(matrix > 0):
        ax.text(p, t, str(matrix[t, p]), ha="center", va="center", fontsize=8,
                color="white" if share[t, p] > 0.5 else "black")
    ax.set_xticks(range(count), names, rotation=0 if max(map(len, names)) < 4 else 90)
    ax.set_yticks(range(count), names)
    ax.set(xlabel="predicted", ylabel="true")
    ax.grid(False)
    return ax
