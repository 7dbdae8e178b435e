"""Selective search: a few hundred boxes that contain almost every object, whatever its class.

image (3, H, W)
  | for each strategy   a colour space, a set of similarity measures, a scale k
  |     superpixels     in that colour space
  |     group           join the most similar neighbours up to the whole image
  | rank                boxes of all regions, the largest regions of all strategies first, with some chance
Proposals

Reference: Uijlings et al., Selective Search for Object Recognition, IJCV 2013.
Departures: see `color` and `regions`.
"""

import itertools
from typing import NamedTuple

import numpy as np

from ...errors import ArgError, ShapeError
from ...kernels.overlap import pairwise_iou
from .color import COLORS
from .grouping import group
from .regions import MEASURES
from .superpixels import check_image, superpixels


class Strategy(NamedTuple):
    """One way to group an image."""

    color: str = "hsv"
    measures: tuple = ("color", "texture", "size", "fill")
    k: float = 100.0


class Proposals(NamedTuple):
    """Boxes without classes, the most promising first."""

    boxes: np.ndarray        # (R, 4) float32 xyxy, pixels, all different
    values: np.ndarray       # (R,) float64, ascending: random number times place in the hierarchy


def _product(colors, sets, scales):
    return tuple(Strategy(*choice) for choice in itertools.product(colors, sets, scales))


_ALL, _NO_COLOR = ("color", "texture", "size", "fill"), ("texture", "size", "fill")

# Table 5 of the paper: one strategy, 8 ("fast") and 80 ("quality").
SINGLE = (Strategy(),)
FAST = _product(("hsv", "lab"), (_ALL, _NO_COLOR), (50.0, 100.0))
QUALITY = _product(("hsv", "lab", "rgi", "hue", "gray"), (_ALL, _NO_COLOR, ("fill",), ("size",)),
                   (50.0, 100.0, 150.0, 300.0))


def selective_search(image, *, strategies=FAST, sigma=0.8, min_size=20, min_side=1, limit=None, rng=None):
    """Propose boxes for the objects of an image.

    Parameters
    ----------
    image : array (3, H, W)
        RGB in [0, 1].
    strategies : sequence of Strategy
        Their boxes are united.
    sigma, min_size
        Of `superpixels`.
    min_side : int
        Boxes narrower or lower than this are dropped, in pixels.
    limit : int or None
        Keep the first so many boxes.
    rng : Generator, int or None
        Order among strategies; None draws a new one.

    Returns
    -------
    Proposals

    Raises
    ------
    ShapeError
        If the image has not three channels.
    ArgError
        For unknown colour spaces or measures, no strategy, or settings out of range.
    """
    rng = np.random.default_rng(rng)
    _check(image, strategies, min_side, limit)
    trees = [hierarchy(image, s, sigma=sigma, min_size=min_size) for s in strategies]
    return rank([tree.boxes for tree in trees], rng=rng, min_side=min_side, limit=limit)


def hierarchy(image, strategy=SINGLE[0], *, sigma=0.8, min_size=20):
    """`Hierarchy` of an image under one strategy; arguments and errors as for `selective_search`."""
    _check(image, [strategy], 1, None)
    seen = np.clip(COLORS[strategy.color](check_image("selective_search", image)), 0, 1)
    labels = superpixels(seen, k=strategy.k, sigma=sigma, min_size=min_size)
    return group(labels, seen, strategy.measures)


def rank(boxes, *, rng=None, min_side=1, limit=None):
    """Unite boxes of several hierarchies [(2 S - 1, 4), ...], each ordered from superpixels to the whole image.

    The i-th box counted from the top of its hierarchy gets the value u i, u uniform in [0, 1), and small values come
    first (section 4 of the paper): large regions tend to lead, but no strategy is favoured. Of equal boxes the first
    stays. ArgError without any hierarchy.
    """
    rng = np.random.default_rng(rng)
    if not len(boxes):
        raise ArgError("rank: boxes is empty, expected the boxes of at least one hierarchy")
    places = np.concatenate([np.arange(len(b), 0, -1) for b in boxes])
    values, boxes = places * rng.random(len(places)), np.concatenate(boxes)
    wide = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= min_side
    order = np.flatnonzero(wide)[np.argsort(values[wide], kind="stable")]
    _, first = np.unique(boxes[order], axis=0, return_index=True)
    kept = order[np.sort(first)][:limit]
    return Proposals(boxes[kept].astype(np.float32), values[kept])


def recall_curve(proposals, truth, *, threshold=0.5):
    """Share of objects that one of the first n boxes covers, for n = 1, ..., most.

    proposals: list of boxes (R, 4), best first, one array an image; truth: list of boxes (G, 4); threshold: least
    IoU. Images with fewer boxes keep the recall of their last one. NaN without any object.
    """
    if len(proposals) != len(truth):
        raise ShapeError(f"recall_curve: proposals has {len(proposals)} images, expected {len(truth)} as in truth")
    if not 0 < threshold <= 1:
        raise ArgError(f"recall_curve: threshold is {threshold}, expected in (0, 1]")
    most = max((len(boxes) for boxes in proposals), default=0)
    found, objects = np.zeros(most), sum(len(boxes) for boxes in truth)
    for boxes, true in zip(proposals, truth, strict=True):
        covered = pairwise_iou(boxes, true) >= threshold
        found_here = covered.any(axis=0)                   # nothing if one of them is empty
        first = covered[:, found_here].argmax(axis=0) if found_here.any() else np.zeros(0, np.int64)
        found += np.bincount(first, minlength=most)
    return np.cumsum(found) / objects if objects else np.full(most, np.nan)


def _check(image, strategies, min_side, limit):
    if np.ndim(image) != 3 or len(image) != 3:
        raise ShapeError(f"selective_search: image has shape {np.shape(image)}, expected (3, H, W); repeat a grey "
                         "channel three times, colours are compared")
    if not len(strategies):
        raise ArgError("selective_search: strategies is empty, expected at least one")
    for s in strategies:
        if not isinstance(s, Strategy):
            raise ArgError(f"selective_search: strategies holds {s!r:.60}, expected a Strategy")
        if not isinstance(s.color, str) or s.color not in COLORS:
            raise ArgError(f"selective_search: color is {s.color!r}, expected one of {tuple(COLORS)}")
        if not s.measures or set(s.measures) - set(MEASURES):
            raise ArgError(f"selective_search: measures is {s.measures!r}, expected some of {tuple(MEASURES)}")
    for name, value in (("min_side", min_side), ("limit", 1 if limit is None else limit)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ArgError(f"selective_search: {name} is {value!r}, expected an integer >= 1")
