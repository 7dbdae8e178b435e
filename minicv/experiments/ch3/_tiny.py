"""The small vision transformers that the experiments of section 3.2 train, and their pictures."""

import numpy as np

from ...vit import ViT, patchify, unpatchify
from ..classify import learn, shapes

NOTEBOOK = "notebooks/32_vit.py"
PAPER = "Dosovitskiy et al. 2021, An Image is Worth 16x16 Words"
SETTINGS = {"lr": 2e-3, "batch": 16, "optimizer": "adam", "clip_norm": 1.0}       # for `learn`


def standardized(data):
    """Every image (3, H, W) with mean 0 in each channel and variance 1 in all: colour alone says nothing here."""
    image = data["image"] - data["image"].mean(axis=(2, 3), keepdims=True)
    return data | {"image": image / image.std(axis=(1, 2, 3), keepdims=True)}


def pictures(preset, rng, **options):
    """Standardized training and test pictures of ten shapes; options as `classify.shapes`."""
    return tuple(standardized(part) for part in shapes(preset, rng, **options))


def tiny(rng, *, patch=4, dim=48, depth=4, heads=3, **options):
    """A `ViT` for ten classes of images of 32 x 32."""
    return ViT(patch, dim, depth, heads, image_size=32, num_classes=10, rng=rng, **options)


def trained(net, train, epochs, rng, progress, **options):
    """`net` after `epochs` passes with the settings that suit all of them; options as `learn`."""
    learn(net, train, epochs=epochs, rng=rng, progress=progress, **{**SETTINGS, **options})
    return net


def shuffled(images, patch, rng):
    """Every image (N, C, H, W) with its patches in one random order."""
    tokens = patchify(images, patch)
    grid = (images.shape[2] // patch, images.shape[3] // patch)
    return unpatchify(tokens[:, rng.permutation(tokens.shape[1])], patch, grid)


def largest(a, b):
    """Largest absolute difference of two arrays."""
    return np.abs(np.asarray(a) - np.asarray(b)).max()
