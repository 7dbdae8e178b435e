"""What selective search knows about a region, and how similar two regions are.

With |r| the pixels of r, BB the box around two regions and |image| all pixels,

    s_color(a, b)   = sum_k min(c_a[k], c_b[k])               25 bins a channel
    s_texture(a, b) = sum_k min(t_a[k], t_b[k])               10 bins for each of 8 directions of each channel
    s_size(a, b)    = 1 - (|a| + |b|) / |image|               small regions join early
    s_fill(a, b)    = 1 - (|BB| - |a| - |b|) / |image|        regions that fit into each other join early

Histograms sum to 1, so every measure lies in [0, 1], and the features of a union follow from those of its parts:
h_ab = (|a| h_a + |b| h_b) / (|a| + |b|).

Reference: Uijlings et al., Selective Search for Object Recognition, IJCV 2013, equations 1-6.
Departures: texture is the positive part of the Gaussian derivative (sigma 1) in the directions 0, 45, ..., 315
degrees, binned over [0, 0.4], the largest response to a step from 0 to 1.
"""

from typing import NamedTuple

import numpy as np

from .superpixels import pixel_pairs, smooth

COLOR_BINS, TEXTURE_BINS, DIRECTIONS = 25, 10, 8
STEEPEST = 0.4                                             # 1 / sqrt(2 pi), rounded up


class Regions(NamedTuple):
    """Features of R regions, row by row."""

    size: np.ndarray         # (R,) float64, pixels
    box: np.ndarray          # (R, 4) float64, xyxy
    color: np.ndarray        # (R, 25 C) float64, rows sum to 1
    texture: np.ndarray      # (R, 80 C) float64, rows sum to 1


def describe(labels, image):
    """`Regions` of the segments labels (H, W), 0 ... S - 1, in the channels of image (C, H, W) in [0, 1]."""
    size = np.bincount(labels.ravel()).astype(np.float64)
    return Regions(size, label_boxes(labels), _histograms(labels, size, image, COLOR_BINS, 1.0),
                   _histograms(labels, size, directional_derivatives(image), TEXTURE_BINS, STEEPEST))


def directional_derivatives(image):
    """Positive part of the Gaussian derivative in eight directions, (8 C, H, W).

    The derivative along (cos a, sin a) is cos a d/dx + sin a d/dy: two filters steer to all directions.
    """
    dx, dy = smooth(image, 1.0, derivative=2), smooth(image, 1.0, derivative=1)
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    return np.concatenate([np.maximum(np.cos(a) * dx + np.sin(a) * dy, 0) for a in angles])


def label_boxes(labels):
    """Tightest boxes (S, 4) xyxy around the segments 0 ... S - 1 of labels (H, W)."""
    count = int(labels.max()) + 1
    y, x = np.indices(labels.shape)
    boxes = np.tile([np.inf, np.inf, -np.inf, -np.inf], (count, 1))
    for column, values in enumerate((x, y)):
        np.minimum.at(boxes[:, column], labels.ravel(), values.ravel())
        np.maximum.at(boxes[:, column + 2], labels.ravel(), values.ravel() + 1)
    return boxes


def _histograms(labels, size, channels, bins, top):
    """Of every segment one histogram a channel (C, H, W), side by side, scaled to sum 1 together: (S, C bins)."""
    count = len(size)
    level = np.minimum((channels / top * bins).astype(np.int64), bins - 1)
    counts = [np.bincount(labels.ravel() * bins + c.ravel(), minlength=count * bins).reshape(count, bins)
              for c in level]
    return np.concatenate(counts, axis=1) / (size[:, None] * len(channels))


def neighbor_pairs(labels):
    """Pairs (a, b), a < b, of segments of labels (H, W) that touch at an edge or a corner: int64 (P, 2), sorted."""
    a, b = labels.ravel()[pixel_pairs(*labels.shape)]
    touching = a != b
    pairs = np.sort(np.stack([a[touching], b[touching]], axis=1), axis=1)
    return np.unique(pairs, axis=0)


def union(a, b):
    """Features of two regions taken together, from their features alone."""
    size = a.size + b.size
    def mix(x, y):
        return (a.size[..., None] * x + b.size[..., None] * y) / size[..., None]
    return Regions(size, hull(a.box, b.box), mix(a.color, b.color), mix(a.texture, b.texture))


def hull(a, b):
    """Smallest boxes (..., 4) around two boxes."""
    return np.concatenate([np.minimum(a[..., :2], b[..., :2]), np.maximum(a[..., 2:], b[..., 2:])], axis=-1)


def color_similarity(a, b, pixels):
    """Intersection of the colour histograms (equation 1)."""
    return np.minimum(a.color, b.color).sum(axis=-1)


def texture_similarity(a, b, pixels):
    """Intersection of the texture histograms (equation 3)."""
    return np.minimum(a.texture, b.texture).sum(axis=-1)


def size_similarity(a, b, pixels):
    """Share of the image that the two do not cover (equation 4)."""
    return 1 - (a.size + b.size) / pixels


def fill_similarity(a, b, pixels):
    """Share of the image that is not a gap between the two and their box (equation 5)."""
    box = hull(a.box, b.box)
    return 1 - ((box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) - a.size - b.size) / pixels


MEASURES = {"color": color_similarity, "texture": texture_similarity, "size": size_similarity,
            "fill": fill_similarity}
