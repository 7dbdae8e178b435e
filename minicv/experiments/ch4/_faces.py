"""What the experiments on faces share: data, a trained cascade, rates on windows of whole scenes."""

from typing import NamedTuple

import numpy as np

from ...data import FacePatches, FaceScenes
from ...detection.viola_jones import sample_features, scan_image, train_cascade
from ...kernels.overlap import pairwise_iou

SIZES = {  # faces, faces kept aside, scenes, features to choose from, negatives of a stage, stages
    "smoke": (120, 80, 12, 300, 200, 2), "fast": (1500, 1000, 80, 6000, 2000, 5),
    "full": (3000, 2000, 200, 20000, 4000, 5)}
TEST = {"smoke": (60, 4), "fast": (1000, 40), "full": (2000, 150)}             # faces, scenes
BUDGET = (3, 8, 16, 32, 64)                # chosen on seeds 0-2, as d_min and the IoU of groups; checked on 3-5


def draw_seed(rng):
    """A seed for a data set."""
    return int(rng.integers(2**31))


def faces(count, seed, *, nuisance=1.0):
    """Patches (count, 24, 24) of faces; more nuisance for training, since windows do not sit exactly."""
    return FacePatches(count, faces=1.0, nuisance=nuisance, seed=seed).arrays()["image"][:, 0]


def scenes(count, seed, **settings):
    """Scenes of cartoon faces, as a list."""
    data = FaceScenes(count, seed=seed, **settings)
    return [data[i] for i in range(count)]


def train_on_faces(preset, rng, progress, *, d_min, f_max):
    """A cascade and the reports of its stages."""
    count, held, views, pool, negatives, stages = SIZES[preset]
    return train_cascade(
        faces(count, draw_seed(rng), nuisance=1.4), faces(held, draw_seed(rng), nuisance=1.4),
        scenes(views, draw_seed(rng)), pool=sample_features(pool, rng=rng), stages=stages, d_min=d_min, f_max=f_max,
        budget=BUDGET, negatives=negatives, rng=rng, progress=progress)


class WindowRates(NamedTuple):
    """What a cascade does with the windows of scenes that overlap no face by IoU 0.3."""

    windows: int
    reach: np.ndarray        # (S + 1,) windows that reach each stage, and that pass the last
    features: float          # computed for each, on average


def window_rates(cascade, views):
    """`WindowRates` over whole scenes."""
    passed, used = [], []
    for view in views:
        found = scan_image(cascade, view["image"][0])
        away = ~(pairwise_iou(found.boxes, view["boxes"]) >= 0.3).any(axis=1)
        passed.append(found.passed[away])
        used.append(found.used[away])
    passed, used = np.concatenate(passed), np.concatenate(used)
    reach = np.array([(passed >= s).sum() for s in range(cascade.num_stages + 1)])
    return WindowRates(len(passed), reach, float(used.mean()))
