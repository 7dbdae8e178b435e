"""Section 4.3: the sizes of anchors, learned from the boxes of the training set."""

import numpy as np

from ...ensembles import KMeans, size_iou
from ...errors import ArgError
from ...plot import PALETTE
from .. import Report, Target, experiment
from ..parts import exact, panels, refused
from ._errata import departures

PLANTED = np.array([[12.0, 30.0], [48.0, 24.0], [90.0, 120.0]])
KINDS = (("1 - IoU, mean", {"distance": "iou"}), ("1 - IoU, median", {"distance": "iou", "centroid": "median"}),
         ("Euclidean", {"distance": "euclidean"}))


@experiment(
    "kmeans-anchors", title="Anchors by k-means", chapter="4.3",
    notebook="notebooks/42_proposals.py", module="minicv/ensembles/kmeans.py",
    paper="Redmon & Farhadi 2017, YOLO9000, section 2, dimension clusters",
    equations="d(box, centroid) = 1 - IoU of the two sizes with one centre",
    shows="With Euclidean distances large boxes take all anchors; with 1 - IoU small ones get their share.",
    departures=departures("E4.21"),
    targets=[*exact({"rises_of_the_objective": 0, "bad_inputs_refused": 4}),
             Target("planted_sizes_off", "<=", 0.05), Target("gain_over_euclidean_5", ">=", 0.0),
             Target("gain_over_euclidean_9", ">=", 0.0)])
def kmeans_anchors(preset, rng, out, progress):
    count, sweep = {"smoke": (200, (1, 5, 9)), "fast": (4000, (1, 2, 3, 5, 7, 9, 12)),
                    "full": (20_000, tuple(range(1, 16)))}[preset]
    sizes = _box_sizes(rng, count)
    fits = {(name, k): KMeans(k, n_init=3, rng=rng, **settings).fit(sizes)
            for k in progress(sweep, desc="anchors") for name, settings in KINDS}
    scores = {key: _mean_iou(sizes, fit.cluster_centers_) for key, fit in fits.items()}
    metrics = {"rises_of_the_objective": sum((np.diff(f.inertia_history_) > 1e-9 * f.inertia_history_[0]).sum()
                                             for f in fits.values()),
               "planted_sizes_off": _planted_sizes_off(rng), "bad_inputs_refused": _bad_inputs_refused()}
    for k in (5, 9):
        metrics |= {f"mean_iou_{k}": scores[KINDS[0][0], k],
                    f"gain_over_euclidean_{k}": scores[KINDS[0][0], k] - scores[KINDS[2][0], k]}
    rows = [{"anchors": k} | {name: round(scores[name, k], 4) for name, _ in KINDS} for k in sweep]
    return Report(metrics, {"Anchors (large marks) among the boxes": lambda: _clusters(sizes, fits),
                            "Mean IoU against the number of anchors": lambda: _sweep(sweep, scores)},
                  {"Mean IoU of a box with its best anchor": rows})


def _box_sizes(rng, count):
    """Widths and heights (count, 2) in pixels as in photographs: many small boxes, few large ones, all shapes."""
    side = np.exp(rng.normal(np.log(40), 0.9, count))
    shape = np.exp(rng.normal(0, 0.5, count))
    return np.clip(np.stack([side * shape**0.5, side / shape**0.5], axis=1), 2, 600)


def _mean_iou(sizes, anchors):
    """Mean over the boxes of the IoU with the anchor that fits best."""
    return np.max([size_iou(sizes, anchor) for anchor in anchors], axis=0).mean()


def _planted_sizes_off(rng, each=100):
    """Largest relative error of three planted sizes, recovered from boxes that scatter by 8 %."""
    boxes = np.concatenate([size * np.exp(0.08 * rng.standard_normal((each, 2))) for size in PLANTED])
    found = KMeans(3, distance="iou", n_init=5, rng=rng).fit(boxes).cluster_centers_
    found = found[found.prod(axis=1).argsort()]
    return np.abs(found / PLANTED[PLANTED.prod(axis=1).argsort()] - 1).max()


def _bad_inputs_refused():
    def fit(k, sizes):
        return lambda: KMeans(k, distance="iou", rng=0).fit(np.array(sizes))
    return refused(ArgError, fit(3, [[1.0, 2.0], [1.0, 2.0], [2.0, 2.0]]), fit(1, [[0.0, 1.0]]), fit(1, [[1.0, -1.0]]),
                   fit(1, [[1.0, np.nan]]))


def _clusters(sizes, fits):
    figure, axes = panels(2, (4.6, 4.2), sharex=True, sharey=True)
    for ax, (name, marker) in zip(axes, ((KINDS[0][0], "*"), (KINDS[2][0], "X")), strict=True):
        fit = fits[name, 5]
        for k, center in enumerate(fit.cluster_centers_):
            ax.plot(*sizes[fit.labels_ == k].T, ".", markersize=2, color=PALETTE[k])
            ax.plot(*center, marker, markersize=13, color=PALETTE[k], markeredgecolor="black")
        ax.set(xscale="log", yscale="log", xlabel="width in pixels", ylabel="height in pixels", title=name)
    return figure


def _sweep(sweep, scores):
    figure, (ax,) = panels(1, (6.0, 3.8))
    for (name, _), style in zip(KINDS, ("o-", "s--", "^-."), strict=True):
        ax.plot(sweep, [scores[name, k] for k in sweep], style, markersize=4, label=name)
    ax.set(xlabel="anchors", ylabel="mean IoU with the best anchor")
    ax.legend()
    return figure
