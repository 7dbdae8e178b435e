"""Drawings of regions: superpixels with their borders, and a hierarchy that grows together."""

import numpy as np

from ..errors import ShapeError
from .images import show_image
from .player import Player


def region_image(labels, image, *, border=(1.0, 1.0, 1.0)):
    """Every region of labels (H, W) in its mean colour of image (3, H, W), with a border between them: (3, H, W).

    border: RGB, or None for no border.
    """
    labels, image = np.asarray(labels), np.asarray(image, np.float64)
    if labels.ndim != 2 or image.shape != (3, *labels.shape):
        raise ShapeError(f"region_image: labels has shape {labels.shape} and image {image.shape}, expected (H, W) and "
                         "(3, H, W)")
    region = np.unique(labels, return_inverse=True)[1].reshape(-1)
    size = np.bincount(region)
    means = np.stack([np.bincount(region, c.ravel()) / size for c in image])
    painted = means[:, region].reshape(image.shape)
    if border is not None:
        edge = np.zeros(labels.shape, bool)
        edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
        edge[1:] |= labels[1:] != labels[:-1]
        painted[:, edge] = np.array(border)[:, None]
    return painted


def show_regions(labels, image, *, title=None, ax=None):
    """Show `region_image`, enlarged so that borders stay thin."""
    return show_image(region_image(*_enlarged(labels, image)), title=title, ax=ax)


def merge_player(tree, image, *, frames=40, width=480):
    """A `Player` of a `Hierarchy` over its image (3, H, W): from superpixels to one region in about `frames` steps."""
    joins = len(tree.merges)
    steps = np.unique(np.linspace(0, joins, min(frames, joins + 1)).round().astype(int))
    pictures = [region_image(*_enlarged(tree.after(t), image)).astype(np.float32) for t in steps]
    labels = [f"{t} of {joins} joins, {joins + 1 - t} regions" for t in steps]
    return Player(pictures, title="Regions join the most similar neighbour", labels=labels, interval=250, width=width)


def _enlarged(labels, image, least=256):
    """Both repeated so that the longer side has at least that many pixels."""
    times = -(-least // max(np.shape(labels)))
    return np.repeat(np.repeat(labels, times, 0), times, 1), np.repeat(np.repeat(image, times, 1), times, 2)
