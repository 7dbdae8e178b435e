"""Random boxes for the tests of this folder: on a coarse grid, so that touching edges and equal boxes are common."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@st.composite
def boxes(draw, low=0, high=12, extent=8, dtype=np.float64, solid=False):
    """Boxes xyxy (N, 4) with low <= N <= high; with `solid` none is without area."""
    count = draw(st.integers(low, high))
    raw = draw(hnp.arrays(np.int64, (count, 4), elements=st.integers(0, extent)))
    corner, size = raw[:, :2], np.abs(raw[:, 2:] - raw[:, :2])
    return np.concatenate([corner, corner + size + solid], axis=1).astype(dtype)


def random_boxes(rng, count, *, extent=100.0, smallest=1.0):
    """Boxes xyxy (count, 4) in general position."""
    corner, size = rng.uniform(0, extent, (count, 2)), rng.uniform(smallest, extent / 2, (count, 2))
    return np.concatenate([corner, corner + size], axis=1)
