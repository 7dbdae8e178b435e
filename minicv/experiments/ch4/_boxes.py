"""What the experiments with boxes share: boxes in general position, bad boxes, a scene."""

import numpy as np

from ...data.synthetic import Scenes
from ...geometry import Targets

BAD = [np.array([row]) for row in ([2.0, 0, 1, 1], [0, 2.0, 1, 1], [0, 0, np.nan, 1], [0, 0, np.inf, 1])]


def random_boxes(rng, count, extent=100.0):
    """Boxes xyxy (count, 4) in general position."""
    corner, size = rng.uniform(0, extent, (count, 2)), rng.uniform(1, extent / 2, (count, 2))
    return np.concatenate([corner, corner + size], axis=1)


def scene(seed=3, item=1, **options):
    """A scene of D4 with its Targets and class names."""
    data = Scenes(item + 1, size=96, seed=seed, **{"objects": (3, 4), **options})
    sample = data[item]
    return sample["image"], Targets(sample["boxes"], sample["labels"], sample["masks"]), data.class_names
