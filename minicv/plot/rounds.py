"""Rounds of boosting in the plane: samples as large as their weights, one stump after the other, the vote."""

import numpy as np

from .overlay import Overlay, shape
from .style import PALETTE, figure_style

SHAPES = ("circles", "squares")


def boosting_player(model, x, y, *, class_names=None, axis_names=("$x_1$", "$x_2$"), title="Rounds of boosting",
                    **options):
    """A `Player` of AdaBoost with stumps in the plane: each stump and its errors, the new weights, at last the vote.

    Parameters
    ----------
    model : AdaBoostClassifier, fitted with stumps
    x : array (N, 2)
    y : int array (N,), classes in [0, 8)
    class_names : list of str or None
    axis_names : (str, str)
    title, **options
        As `Player`.

    The area of a sample is its weight; errors are crossed out. Hovering over a sample tells its weight and, at the
    end, its vote.
    """
    import matplotlib.pyplot as plt

    x, y = np.asarray(x, np.float64), np.asarray(y)
    names = class_names or [f"class {k}" for k in range(y.max() + 1)]
    low, high = x.min(axis=0), x.max(axis=0)
    pad = 0.12 * np.maximum(high - low, 1e-9)
    with figure_style():
        figure, ax = plt.subplots(figsize=(5.2, 3.6))
    ax.set(xlim=(low[0] - pad[0], high[0] + pad[0]), ylim=(low[1] - pad[1], high[1] + pad[1]), xlabel=axis_names[0],
           ylabel=axis_names[1])
    overlay = Overlay(figure)
    weights = list(model.staged_weights(x, y))
    marks = lambda w, votes=(), wrong=None: _marks(overlay, ax, x, y, w, names, votes, wrong)
    drawn, labels = [marks(weights[0])], [f"all {len(x)} samples weigh 1/{len(x)}; "
                                          + ", ".join(f"{SHAPES[k % 2]}: {name}" for k, name in enumerate(names))]
    for j, stump in enumerate(model.estimators_):
        wrong, eps, beta = stump.predict(x) != y, model.estimator_errors_[j], model.betas_[j]
        line = _stump(overlay, ax, stump)
        drawn += [line + marks(weights[j], wrong=wrong), line + marks(weights[j + 1], wrong=wrong)]
        labels += [f"round {j + 1}: x{stump.feature_ + 1} > {stump.threshold_:g} has the error {eps:.3f} (crosses)",
                   f"round {j + 1}: its errors times {beta:.3g}, then all divided by the sum; vote ln {beta:.3g}"]
    wrong = model.predict(x) != y
    drawn.append(_vote(overlay, ax, model) + marks(weights[0], model.decision_function(x), wrong))
    labels.append(f"the weighted vote of {len(model.estimators_)} stumps: {len(x) - wrong.sum()} of {len(x)} are right")
    return overlay.player(drawn, title=title, labels=labels, **{"interval": 1800, "width": 500, **options})


def _marks(overlay, ax, x, y, weight, names, votes, wrong):
    """Circles and squares with an area as large as the weight; crosses over errors."""
    shapes = []
    for n, (cx, cy) in enumerate(overlay.at(ax, x)):
        half = 8 * np.sqrt(weight[n] / weight.mean())
        told = f"sample {n}, {names[y[n]]}, weight {weight[n]:.4g}" + (f", vote {votes[n]:.3g}" if len(votes) else "")
        look = {"fill": PALETTE[y[n]], "fill_opacity": "0.8", "stroke": "#fff", "title": told}
        if y[n] % 2:
            shapes.append(shape("rect", x=cx - 0.89 * half, y=cy - 0.89 * half, width=1.77 * half, height=1.77 * half,
                                **look))
        else:
            shapes.append(shape("circle", cx=cx, cy=cy, r=half, **look))
        if wrong is not None and wrong[n]:
            cross = f"M{cx - 5:.1f} {cy - 5:.1f}l10 10m-10 0l10 -10"
            shapes.append(shape("path", d=cross, stroke="#000", stroke_width=2))
    return shapes


def _stump(overlay, ax, stump):
    """The line at the threshold, with arrows to the side of the second class."""
    limits = np.array([ax.get_xlim(), ax.get_ylim()])
    ends = limits.T.copy()
    ends[:, stump.feature_] = stump.threshold_
    (x1, y1), (x2, y2) = overlay.at(ax, ends)
    step = 14 * stump.polarity_
    arrows = []
    for share in (0.12, 0.5, 0.88):
        cx, cy = x1 + share * (x2 - x1), y1 + share * (y2 - y1)
        d = f"h{step}m{-step / 3:.1f} -3l{step / 3:.1f} 3l{-step / 3:.1f} 3"
        if stump.feature_ == 1:
            d = f"v{-step}m-3 {step / 3:.1f}l3 {-step / 3:.1f}l3 {step / 3:.1f}"
        arrows.append(shape("path", d=f"M{cx:.1f} {cy:.1f}{d}", stroke="#000"))
    return [shape("path", d=f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", stroke="#000", stroke_width=1.5,
                  title=f"x{stump.feature_ + 1} > {stump.threshold_:g}"), *arrows]


def _vote(overlay, ax, model):
    """The decision of the whole: constant on each cell between the thresholds."""
    cuts = []
    for feature, limits in enumerate((ax.get_xlim(), ax.get_ylim())):
        inner = {e.threshold_ for e in model.estimators_ if e.feature_ == feature}
        cuts.append(np.array([limits[0], *sorted(t for t in inner if limits[0] < t < limits[1]), limits[1]]))
    cells = [(cuts[0][i], cuts[1][j], cuts[0][i + 1], cuts[1][j + 1])
             for i, j in np.ndindex(len(cuts[0]) - 1, len(cuts[1]) - 1)]
    labels = model.predict(np.reshape(cells, (-1, 2, 2)).mean(axis=1))
    return [overlay.box(ax, cell, fill=PALETTE[k], fill_opacity="0.18") for cell, k in zip(cells, labels, strict=True)]
