"""Section 4.3: superpixels and selective search, boxes that hold objects before anything is learned."""

import numpy as np

from ...data import PanopticScenes, Scenes, portrait
from ...detection.proposals import FAST, SINGLE, hierarchy, recall_curve, selective_search, superpixels
from ...plot import plot_curves, show_boxes, show_image
from ...plot.regions import merge_player, show_regions
from .. import Report, Target, experiment
from ..parts import panels
from ._errata import departures

NOTEBOOK = "notebooks/42_proposals.py"
SCENES = {"smoke": 3, "fast": 60, "full": 300}


def _scenes(count, rng):
    data = Scenes(count, size=96, objects=(1, 4), seed=int(rng.integers(2**31)))
    return [data[i] for i in range(count)]


def _halves():
    image = np.full((3, 48, 64), 0.2)
    image[:, :, 32:] = 0.7
    return image


@experiment(
    "superpixels", title="Superpixels from a graph of pixels", chapter="4.3", notebook=NOTEBOOK,
    paper="Felzenszwalb & Huttenlocher 2004, Efficient Graph-Based Image Segmentation",
    equations="join if w <= min(Int(A) + k / |A|, Int(B) + k / |B|)",
    module="minicv/detection/proposals/superpixels.py",
    shows="Edges sorted by colour distance join pixels into regions that follow the borders of objects; k sets size.",
    departures="The image is mirrored at its border for smoothing. Smoothing turns a step into narrow regions of its "
               "own, so the two flat regions are segmented without it.",
    targets=[Target("segments_of_two_flat_regions", "==", 2, tag="E"), Target("labels_unused", "==", 0, tag="E"),
             Target("smallest_segment", ">=", 20, tag="E"), Target("achievable_accuracy", ">=", 0.98)])
def graph_superpixels(preset, rng, out, progress, *, k=100.0, sigma=0.8, min_size=20):
    views = _scenes(SCENES[preset], rng)
    labels = [superpixels(v["image"], k=k, sigma=sigma, min_size=min_size) for v in progress(views, desc="scenes")]
    counts = [np.bincount(segments.ravel()) for segments in labels]
    metrics = {
        "segments_of_two_flat_regions": superpixels(_halves(), k=k, sigma=0).max() + 1,
        "labels_unused": sum((c == 0).sum() for c in counts), "smallest_segment": min(c.min() for c in counts),
        "achievable_accuracy": np.mean([_achievable(s, v["masks"]) for s, v in zip(labels, views, strict=True)]),
        "segments": np.mean([len(c) for c in counts])}
    image = views[0]["image"]
    sizes = (10.0, 50.0, 200.0, 1000.0)
    rows = [{"k": scale, "segments": int(superpixels(image, k=scale, min_size=min_size).max() + 1)} for scale in sizes]
    return Report(metrics, {
        "A scene and its superpixels": lambda: _before_and_after(image, labels[0]),
        "Larger k, larger regions": lambda: _scales(image, sizes, min_size),
        "Superpixels of a photograph": lambda: _before_and_after(
            portrait()[:, :400, 80:480], superpixels(portrait()[:, :400, 80:480], k=300.0, min_size=100))},
        {"Segments of the scene": rows})


def _achievable(segments, masks):
    """Share of pixels labelled right if every segment takes the commonest object, or background, of its pixels."""
    owner = np.zeros(segments.shape, np.int64)
    for r, mask in enumerate(masks):
        owner[mask] = r + 1
    table = np.zeros((segments.max() + 1, len(masks) + 1))
    np.add.at(table, (segments.ravel(), owner.ravel()), 1)
    return table.max(axis=1).sum() / segments.size


def _before_and_after(image, segments):
    figure, (left, right) = panels(2, (4.0, 4.2))
    show_image(image, ax=left)
    show_regions(segments, image, title=f"{segments.max() + 1} superpixels", ax=right)
    return figure


def _scales(image, sizes, min_size):
    figure, axes = panels(len(sizes), (2.7, 3.0))
    for ax, k in zip(axes, sizes, strict=True):
        show_regions(superpixels(image, k=k, min_size=min_size), image, title=f"k = {k:g}", ax=ax)
    return figure


@experiment(
    "selective-search", title="Selective search", chapter="4.3", notebook=NOTEBOOK,
    paper="Uijlings et al. 2013, Selective Search for Object Recognition",
    equations="1-6: s = colour + texture + size + fill; value = u i", tour=2,
    module="minicv/detection/proposals/selective_search.py",
    shows="Similar neighbours join until one region is left; the boxes of all regions hold nearly every object.",
    departures=departures("E4.38") + " Texture from steered Gaussian derivatives; RGB, Lab, HSV, rgI, "
               "hue and intensity as colour spaces.",
    targets=[Target("recall_at_200", ">=", 0.9), Target("superpixels_minus_merges", "==", 1, tag="E"),
             Target("last_region_error", "==", 0, tag="E")])
def search(preset, rng, out, progress):
    views = _scenes(SCENES[preset], rng)
    truth = [v["boxes"] for v in views]
    boxes = {name: [selective_search(v["image"], strategies=strategies, min_side=8, rng=rng).boxes
                    for v in progress(views, desc=name)] for name, strategies in (("single", SINGLE), ("fast", FAST))}
    curves = {f"{name}, IoU {iou}": recall_curve(b, truth, threshold=iou)
              for name, b in boxes.items() for iou in (0.5, 0.8)}
    trees = [hierarchy(v["image"], s) for v, s in zip(views, FAST * len(views))]
    metrics = {
        "recall_at_200": _at(curves["fast, IoU 0.5"], 200), "recall_at_20": _at(curves["fast, IoU 0.5"], 20),
        "boxes": np.mean([len(b) for b in boxes["fast"]]),
        "superpixels_minus_merges": _only({int(t.labels.max()) + 1 - len(t.merges) for t in trees}),
        "last_region_error": max(np.abs(t.boxes[-1] - [0, 0, 96, 96]).max() for t in trees)}
    textured = PanopticScenes(1, size=96, objects=(3, 4), seed=int(rng.integers(2**31)))[0]["image"]
    rows = [{"strategies": name, "boxes": round(float(np.mean([len(x) for x in b])), 1),
             "recall IoU 0.5": round(float(curves[f"{name}, IoU 0.5"][-1]), 3),
             "recall IoU 0.8": round(float(curves[f"{name}, IoU 0.8"][-1]), 3)} for name, b in boxes.items()]
    return Report(metrics, {
        "Recall grows with the number of boxes": lambda: _recall(curves),
        "Regions join step by step": lambda: _levels(textured, hierarchy(textured)),
        "The best box for every object": lambda: _best(views[:3], boxes["fast"][:3]),
        "A photograph, step by step": _photograph}, {"Strategies": rows},
        players={"Regions join": lambda: merge_player(hierarchy(textured), textured)})


def _at(curve, count):
    return curve[min(count, len(curve)) - 1]


def _only(values):
    """The one value of a set, NaN if there are several."""
    return values.pop() if len(values) == 1 else np.nan


def _recall(curves):
    most = max(map(len, curves.values()))
    padded = {name: np.pad(c, (0, most - len(c)), mode="edge") for name, c in curves.items()}
    ax = plot_curves(padded, x=np.arange(1, most + 1), xlabel="boxes an image", ylabel="recall")
    ax.set(xscale="log", ylim=(0, 1.03))
    return ax.figure


def _levels(image, tree, count=4):
    figure, axes = panels(count + 1, (2.6, 2.9))
    show_image(image, title="image", ax=axes[0])
    most = len(tree.merges) + 1
    for ax, left in zip(axes[1:], np.geomspace(most, min(3, most), count).round().astype(int), strict=True):
        show_regions(tree.after(most - left), image, title=f"{left} regions", ax=ax)
    return figure


def _photograph():
    image = portrait()[:, ::2, ::2]
    tree = hierarchy(image, SINGLE[0]._replace(k=200.0), min_size=60)
    joins = len(tree.merges)
    figure, axes = panels(4, (2.6, 3.3))
    for ax, left in zip(axes, (joins + 1, 40, 12, 4), strict=True):
        show_regions(tree.after(max(joins + 1 - left, 0)), image, title=f"{min(left, joins + 1)} regions", ax=ax)
    return figure


def _best(views, boxes):
    from ...kernels.overlap import pairwise_iou

    figure, axes = panels(len(views), (3.2, 3.5))
    for ax, view, proposed in zip(axes, views, boxes, strict=True):
        iou = pairwise_iou(proposed, view["boxes"])
        show_boxes(view["image"], view["boxes"], color="black", dashed=True, ax=ax)
        show_boxes(None, proposed[iou.argmax(axis=0)], color="#D55E00", ax=ax)
        ax.set_title(f"{len(proposed)} boxes, worst IoU {iou.max(axis=0).min():.2f}")
    return figure
