"""Convolutional networks for images: one module for each family of the lecture.

``cnn.build("resnet50")`` looks up a name in all families; ``resnet.build`` and the like know their own.
"""

from ..nn.check import choice
from . import (
    alexnet,
    anynet,
    backbone,
    design_space,
    efficientnet,
    inception,
    inception_resnet,
    inception_v4,
    mobilenet,
    mobilenet_v3,
    nas,
    regnet,
    resnet,
    resnet_cifar,
    resnext_forms,
    scaling,
    senet,
    squeeze,
    survey,
    vgg,
    wide_resnet,
)
from .backbone import dilate, pyramid
from .finetune import freeze_batch_norm, train_only
from .fold import fold_batch_norm

FAMILIES = (alexnet, vgg, inception, inception_v4, inception_resnet, resnet, resnet_cifar, wide_resnet, senet,
            mobilenet, mobilenet_v3, efficientnet, regnet)
VARIANTS = {name: family for family in FAMILIES for name in family.VARIANTS}

__all__ = ["VARIANTS", "build", "dilate", "fold_batch_norm", "freeze_batch_norm", "pyramid", "train_only", "alexnet",
           "anynet", "backbone",
           "design_space", "efficientnet", "inception", "inception_resnet", "inception_v4", "mobilenet",
           "mobilenet_v3", "nas", "regnet", "resnet", "resnet_cifar", "resnext_forms", "scaling", "senet", "squeeze",
           "survey", "vgg", "wide_resnet"]


def build(name, *, rng=None, **options):
    """Build the network called `name`, one of `VARIANTS`; `options` as its family's `build`.

    >>> sum(p.size for p in build("resnet20_cifar", rng=0).parameters())
    269722
    """
    return VARIANTS[choice("cnn.build", "name", name, VARIANTS)].build(name, rng=rng, **options)
