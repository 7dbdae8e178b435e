"""Training a cascade: boosted stumps chosen among thousands of Haar-like features, stage by stage.

for each stage
  | mine          windows without a face that all stages so far accept: the negatives (bootstrapping)
  | train_stage   add stumps until, on faces and negatives kept aside, a bias lets d_min of the faces pass and no
                  more than f_max of the negatives; or until the budget is spent, which is reported

References: Viola & Jones, Robust Real-Time Face Detection, IJCV 2004, tables 1 and 2.
Departures: d_min and f_max hold for each stage on its own, on faces that reached it.
"""

import math
from typing import NamedTuple

import numpy as np

from ...ensembles.adaboost import reweigh
from ...ensembles.stump import search_stumps
from ...errors import ArgError, ShapeError
from ...kernels.integral import integral_image
from ...kernels.overlap import pairwise_iou
from ...kernels.stumps import sort_features
from .cascade import Cascade
from .haar import check_features, check_patches, feature_values
from .scan import scan_image
from .windows import window_patches

AWAY = 0.3                          # windows that overlap no face by this IoU are negatives
LEAST_ERROR = 1e-9                  # of a stump, so that one without errors has a finite vote


class StageReport(NamedTuple):
    """What one stage has reached, on data kept aside."""

    features: int
    detection: float         # share of the faces that reach the stage and pass it
    false_positive: float    # share of the negatives that reach the stage and pass it
    bias: float
    negatives: int           # windows it was trained and measured on
    scanned: int             # windows looked at to find them
    reached: bool            # whether f_max was reached within the budget


def train_cascade(faces, held_faces, scenes, *, pool, stages=5, d_min=0.995, f_max=0.25, budget=(4, 8, 16, 32, 64),
                  negatives=2000, rng=None, progress=None):
    """Train a cascade.

    Parameters
    ----------
    faces, held_faces : arrays (N, 24, 24), (M, 24, 24)
        Grey levels in [0, 1]; the second sets biases and measures.
    scenes : sequence of dict
        image (1, H, W), boxes (R, 4) of its faces; all other windows are negatives.
    pool : int array (F, 5)
        Features to choose from.
    stages : int
        At most so many; fewer when the scenes hold too few false positives.
    d_min, f_max : float in (0, 1)
        For each stage, least detection rate and largest rate of false positives.
    budget : sequence of int
        Most features of each stage; the last value serves all further stages.
    negatives : int >= 4
        For each stage, half of them to measure on.
    rng : Generator, int or None
    progress : callable or None
        Wraps the loop over stages.

    Returns
    -------
    (Cascade, list of StageReport)

    Raises
    ------
    ShapeError, DTypeError, ArgError
        For patches or features of the wrong form, and settings outside these ranges.
    """
    rng = np.random.default_rng(rng)
    faces, held = check_patches("train_cascade", faces), check_patches("train_cascade", held_faces)
    pool = check_features("train_cascade", pool)
    _check(faces, held, scenes, pool, stages, d_min, f_max, budget, negatives)
    cascade, reports = Cascade.empty(), []
    for s in (progress or (lambda x, **_: x))(range(stages), desc="stages"):
        patches, scanned = mine(cascade, scenes, negatives, rng=rng)
        if len(patches) < 4:
            break
        half = len(patches) // 2
        held = held[cascade.judge(held).passed == s]
        stage, report = train_stage(faces, patches[:half], held, patches[half:], pool, d_min=d_min, f_max=f_max,
                                    budget=budget[min(s, len(budget) - 1)])
        cascade = cascade.with_stage(*stage)
        reports.append(report._replace(negatives=len(patches), scanned=scanned))
    return cascade, reports


def mine(cascade, scenes, count, *, rng=None):
    """Windows away from all faces that the cascade accepts, at most `count`, shrunk to 24 x 24 pixels.

    Scenes are read in random order; of each at most four times its share is taken. Returns patches (M, 24, 24) in
    random order and the number of windows looked at; ShapeError without any scene.
    """
    rng = np.random.default_rng(rng)
    if not len(scenes):
        raise ShapeError("mine: scenes is empty, expected at least one")
    found, scanned, most = [], 0, max(1, 4 * count // len(scenes))
    for i in rng.permutation(len(scenes)):
        image, faces = scenes[i]["image"], scenes[i]["boxes"]
        boxes, _, seen = scan_image(cascade, image[0], max_side=min(image.shape[1:]) // 2).accepted()
        boxes = boxes[~(pairwise_iou(boxes, faces) >= AWAY).any(axis=1)]
        scanned += seen
        chosen = rng.choice(len(boxes), min(most, len(boxes)), replace=False)
        found.append(window_patches(integral_image(image[0].astype(np.float64)), boxes[chosen].astype(np.int64)))
        if sum(map(len, found)) >= count:
            break
    patches = np.concatenate(found)
    return patches[rng.permutation(len(patches))[:count]], scanned


def train_stage(faces, negatives, held_faces, held_negatives, pool, *, d_min, f_max, budget):
    """Boost stumps until the rates are reached; ((features, threshold, vote, bias), StageReport).

    Raises ShapeError where one of the four sets of patches is empty.
    """
    for name, rows in (("faces", faces), ("negatives", negatives), ("held_faces", held_faces),
                       ("held_negatives", held_negatives)):
        if not len(rows):
            raise ShapeError(f"train_stage: {name} is empty, expected at least one patch")
    label = np.repeat([1, -1], [len(faces), len(negatives)])
    booster = Booster(feature_values(pool, np.concatenate([faces, negatives])), label)
    held = np.concatenate([held_faces, held_negatives])
    score, chosen, reached = np.zeros(len(held)), [], False
    while not reached and len(chosen) < budget:
        f, threshold, vote = booster.step()
        chosen.append((pool[f], threshold, vote))
        score += np.where(feature_values(pool[[f]], held)[0] >= threshold, vote, -vote)
        bias = bias_for(score[:len(held_faces)], d_min)
        passed = score >= bias
        rate = passed[len(held_faces):].mean()
        reached = bool(rate <= f_max)
    report = StageReport(len(chosen), float(passed[:len(held_faces)].mean()), float(rate), bias, 0, 0, reached)
    features, threshold, vote = (np.array(column) for column in zip(*chosen, strict=True))
    return (features, threshold, vote, bias), report


def bias_for(scores, d_min):
    """The largest bias <= 0 with a share of at least `d_min` of the scores (M,) at or above it."""
    needed = math.ceil(d_min * len(scores) - 1e-9)
    worst = np.sort(scores)[len(scores) - needed]
    return float(min(worst - 1e-9 * (1 + abs(worst)), 0.0))


class Booster:
    """AdaBoost on a table of feature values (F, N); faces and negatives start with half of the weight each."""

    def __init__(self, values, label):
        self.label = label
        self.weight = np.where(label > 0, 0.5 / (label > 0).sum(), 0.5 / (label < 0).sum())
        self.values, self.order = values, sort_features(values.T)

    def step(self):
        """The next stump (feature, threshold, vote): the one of least weighted error; weights follow."""
        found = search_stumps(self.order, self.label, self.weight)
        values = self.values[found.feature].astype(np.float64)
        threshold = (values[found.sample] + values[found.above]) / 2 if found.above >= 0 else values.max() + 1
        error = max(found.error, LEAST_ERROR)
        wrong = np.where(values >= threshold, found.polarity, -found.polarity) != self.label
        self.weight = reweigh(self.weight, wrong, (1 - error) / error)
        return found.feature, float(threshold), found.polarity * math.log((1 - error) / error)


def _check(faces, held, scenes, pool, stages, d_min, f_max, budget, negatives):
    for name, rows in (("faces", faces), ("held_faces", held), ("scenes", scenes), ("pool", pool),
                       ("budget", budget)):
        if not len(rows):
            raise ShapeError(f"train_cascade: {name} is empty, expected at least one")
    for name, value in (("d_min", d_min), ("f_max", f_max)):
        if not 0 < value < 1:
            raise ArgError(f"train_cascade: {name} is {value}, expected in (0, 1)")
    numbers = [("stages", stages, 1), ("negatives", negatives, 4), *(("budget", b, 1) for b in budget)]
    for name, value, least in numbers:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ArgError(f"train_cascade: {name} is {value!r}, expected an integer >= {least}")
