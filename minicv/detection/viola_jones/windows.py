"""Windows of an image: where they lie at each scale, and what they show at 24 x 24 pixels."""

import math
import numbers

import numpy as np

from ...errors import ArgError

WINDOW = 24                                                # pixels, of the smallest face


def integral_columns(ii):
    """(N, H, W) as (H W, N): one row for every position, so that loops over windows are contiguous."""
    return np.ascontiguousarray(ii.reshape(len(ii), math.prod(ii.shape[1:])).T)


def check_search(function, min_side, max_side, factor, step):
    """Refuse settings that would never end, or ask for features smaller than a pixel."""
    for name, value, good, wanted in (
            ("min_side", min_side, lambda v: WINDOW <= v < np.inf, f"a number >= {WINDOW}, the window of the features"),
            ("max_side", max_side, lambda v: v >= min_side, f"a number >= min_side {min_side}"),
            ("factor", factor, lambda v: 1 < v < np.inf, "a number > 1"),
            ("step", step, lambda v: 0 < v < np.inf, "a number > 0")):
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real) or not good(value):
            raise ArgError(f"{function}: {name} is {value!r}, expected {wanted}")


def scales(size, min_side, max_side, factor):
    """Scales of windows from min_side up that fit into size (H, W), each `factor` larger, rounded to whole pixels."""
    most, side, found = min(*size, max_side), float(min_side), []
    while round(side) <= most:
        found.append(round(side) / WINDOW)
        side *= factor
    return list(dict.fromkeys(found))


def window_grid(size, scale, step):
    """Top-left corners (M, 2) as (y, x) of all windows at one scale, `step` times the scale apart, and their side."""
    side, apart = round(WINDOW * scale), max(1, round(step * scale))
    y, x = np.meshgrid(*(np.arange(0, n - side + 1, apart) for n in size), indexing="ij")
    return np.stack([y.ravel(), x.ravel()], axis=1), side


def window_patches(ii, boxes):
    """Square windows of one image, shrunk to 24 x 24 pixels by averaging: float64 (M, 24, 24).

    ii (H + 1, W + 1): integral image; boxes (M, 4): xyxy, integers, at least 24 pixels wide.
    """
    t = np.arange(WINDOW + 1) / WINDOW
    x1, y1, x2, y2 = np.asarray(boxes).T[:, :, None]
    xs, ys = (np.floor(a + (b - a) * t + 0.5).astype(np.int64) for a, b in ((x1, x2), (y1, y2)))
    corners = ii[ys[:, :, None], xs[:, None, :]]
    sums = np.diff(np.diff(corners, axis=1), axis=2)
    return sums / (np.diff(ys)[:, :, None] * np.diff(xs)[:, None, :])
