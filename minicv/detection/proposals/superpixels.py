"""Superpixels: small regions of similar colour, by joining pixels along the lightest edges first.

image (C, H, W)
  | smooth          Gaussian, sigma 0.8
  | pixel_edges     8 neighbours; weight = distance of the colours, 0 to 255 per channel
  | join_edges      join while the edge is no heavier than inside both regions, up to k / size
labels (H, W), 0 ... S - 1 in reading order

Reference: Felzenszwalb & Huttenlocher, Efficient Graph-Based Image Segmentation, IJCV 2004.
Departures: the Gaussian is cut at 4 sigma and the image mirrored at its border (the released code repeats the last
pixel); edges of equal weight keep their order (right, down, down-right, up-right).
NB: scikit-image joins for w < threshold where the paper has <=.
"""

import math
import numbers

import numpy as np

from ...errors import ArgError, DTypeError, ShapeError
from ...kernels.segment import join_edges

LARGEST_SIGMA = 100                                        # pixels; the filter has eight times as many taps
STEPS = ((0, 1), (1, 0), (1, 1), (-1, 1))                  # right, down, down-right, up-right


def superpixels(image, *, k=100.0, sigma=0.8, min_size=20):
    """Segment an image (C, H, W) with values in [0, 1] into superpixels.

    Parameters
    ----------
    image : array (C, H, W)
    k : float > 0
        Preference for large regions, in grey levels of 255: a boundary of contrast w survives between regions that
        are larger than about k / w pixels.
    sigma : float in [0, 100]
        Standard deviation of the smoothing, in pixels.
    min_size : int >= 1
        Smaller regions join the closest neighbour.

    Returns
    -------
    int64 array (H, W): every pixel's superpixel, numbered 0 ... S - 1 in reading order.

    Raises
    ------
    ShapeError, DTypeError, ArgError
        For anything but a finite image, and for settings outside these ranges.
    """
    image = check_image("superpixels", image)
    _check_settings(k, sigma, min_size)
    edges, weights = pixel_edges(255 * smooth(image, sigma))
    order = np.argsort(weights, kind="stable")
    regions = join_edges(edges[:, order], weights[order], image[0].size, k, min(min_size, image[0].size))
    return in_reading_order(regions).reshape(image.shape[1:])


def smooth(image, sigma, derivative=None):
    """Gaussian of standard deviation `sigma` over an image (C, H, W), or its derivative along axis 1 or 2; float64."""
    reach = int(4 * sigma + 0.5)
    t = np.arange(-reach, reach + 1)
    gauss = np.exp(-0.5 * (t / max(sigma, 1e-12)) ** 2)
    gauss /= gauss.sum()
    for axis in (1, 2):
        taps = -t / sigma**2 * gauss if axis == derivative else gauss
        padded = np.pad(image, [(reach * (a == axis),) * 2 for a in range(3)], mode="symmetric")
        image = sum(g * _cut(padded, axis, reach - s, image.shape[axis]) for s, g in zip(t, taps, strict=True))
    return np.asarray(image, np.float64)


def _cut(x, axis, start, length):
    return x[(slice(None),) * axis + (slice(start, start + length),)]


def pixel_pairs(height, width):
    """All pairs of 8-neighbours as positions i W + j: int64 (2, E)."""
    at = np.arange(height * width).reshape(height, width)
    pairs = []
    for down, right in STEPS:
        rows, columns = height - abs(down), width - right
        here = at[max(-down, 0):max(-down, 0) + rows, :columns]
        there = at[max(down, 0):max(down, 0) + rows, right:]
        pairs.append(np.stack([here.ravel(), there.ravel()]))
    return np.concatenate(pairs, axis=1)


def pixel_edges(image):
    """Pairs (2, E) of neighbouring pixels of an image (C, H, W) and the Euclidean distance (E,) of their colours."""
    pairs = pixel_pairs(*image.shape[1:])
    color = image.reshape(len(image), -1)
    return pairs, np.sqrt(((color[:, pairs[0]] - color[:, pairs[1]]) ** 2).sum(axis=0))


def in_reading_order(regions):
    """Any integers (N,) renumbered 0, 1, ... by first appearance, int64."""
    _, first, inverse = np.unique(regions, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.reshape(-1)]


def check_image(function, image):
    """The image (C, H, W) as float64, after checking that it is one."""
    image = np.asarray(image)
    if image.ndim != 3 or 0 in image.shape:
        raise ShapeError(f"{function}: image has shape {image.shape}, expected (C, H, W) with at least one pixel")
    if image.dtype.kind != "f":
        raise DTypeError(f"{function}: image has dtype {image.dtype}, expected floats in [0, 1]; divide bytes by 255")
    if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
        raise ArgError(f"{function}: image has values from {image.min()} to {image.max()}, expected [0, 1]")
    return image.astype(np.float64, copy=False)


def _check_settings(k, sigma, min_size):
    for name, value, good, wanted in (
            ("k", k, lambda v: 0 < v < math.inf, "a finite number > 0"),
            ("sigma", sigma, lambda v: 0 <= v <= LARGEST_SIGMA, f"a number in [0, {LARGEST_SIGMA}] pixels")):
        if not isinstance(value, numbers.Real) or not good(value):
            raise ArgError(f"superpixels: {name} is {value!r}, expected {wanted}")
    if isinstance(min_size, bool) or not isinstance(min_size, (int, np.integer)) or min_size < 1:
        raise ArgError(f"superpixels: min_size is {min_size!r}, expected an integer >= 1 pixels")
