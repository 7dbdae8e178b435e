"""Data: sample in, sample out.

A sample is a dict of NumPy arrays (``image`` is float32 RGB (C, H, W) in [0, 1]), a data set has
``len`` and ``[i]``, a transform is a function ``f(sample, rng) -> sample``. In reading order:

============  ==========================================================================
`datasets`    `ArrayDataset`, `Subset`, `train_test_split`
`loader`      `DataLoader`: mini-batches, the same for any number of workers, resumable
`transforms`  augmentations: crop, flip, affine, erasing (Zhong et al., 2020)
`synthetic`   pictures with exact ground truth from code alone
`real`        digits, photographs and a portrait that come with installed packages
`files`       MNIST, CIFAR-10, ImageFolder, VOC, COCO, PNG and JPEG: strict parsers
============  ==========================================================================

Nothing is ever downloaded on import, on construction or by an index.
"""

from . import files, real, synthetic, transforms
from .datasets import ArrayDataset, Subset, train_test_split
from .files import CIFAR10, COCO, MNIST, VOC, ImageFolder, read_image, write_coco, write_png, write_voc
from .loader import DataLoader, default_collate
from .real import digits, photographs, portrait
from .synthetic import (
    EOS,
    PAD,
    SOS,
    Face,
    FacePatches,
    Faces,
    FaceScenes,
    Glyphs10,
    PanopticScenes,
    Scenes,
    SeqToy,
    Shapes10,
    Stream,
    blobs,
    draw_face,
    moons,
    pad_collate,
    pad_sequences,
    person,
    spam8,
    spirals,
)

__all__ = ["DataLoader", "default_collate", "ArrayDataset", "Subset", "train_test_split",
           "blobs", "moons", "spirals", "spam8", "Stream", "Shapes10", "Glyphs10", "Scenes", "PanopticScenes",
           "Face", "Faces", "FacePatches", "FaceScenes", "draw_face", "person",
           "SeqToy", "pad_sequences", "pad_collate", "PAD", "SOS", "EOS",
           "digits", "photographs", "portrait",
           "MNIST", "CIFAR10", "ImageFolder", "VOC", "COCO", "read_image", "write_png", "write_voc",
           "write_coco",
           "files", "real", "synthetic", "transforms"]
