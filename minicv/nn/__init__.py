"""Modules, layers, losses, initial values and the cost of a network."""

from . import init, losses
from .activation import (
    ELU,
    GELU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from .attention import MultiHeadAttention
from .container import Flatten, Identity, Sequential
from .conv import Conv1d, Conv2d, ConvTranspose2d
from .cost import Cost, ReceptiveField, cost, receptive_field, register_macs
from .dropout import Dropout, DropPath
from .embedding import Embedding
from .linear import Linear
from .losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    dice_loss,
    focal_loss,
    hinge,
    huber,
    kl_divergence,
    l1,
    mse,
    multiclass_hinge,
    smooth_l1,
)
from .module import Buffer, Handle, Loaded, Module, Parameter
from .norm import (
    BatchNorm1d,
    BatchNorm2d,
    FrozenBatchNorm2d,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm,
    LocalResponseNorm,
)
from .pool import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, GlobalAvgPool2d, L2Pool2d, MaxPool2d
from .receptive import receptive_fields
from .recurrent import GRU, LSTM, GRUCell, LSTMCell
from .resample import Upsample

__all__ = [
    "Module", "Parameter", "Buffer", "Handle", "Loaded",
    "Sequential", "Identity", "Flatten",
    "Linear", "Conv1d", "Conv2d", "ConvTranspose2d", "Embedding",
    "BatchNorm1d", "BatchNorm2d", "FrozenBatchNorm2d", "LayerNorm", "GroupNorm", "InstanceNorm2d",
    "LocalResponseNorm",
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "GELU", "SiLU", "Hardswish", "Hardsigmoid", "Mish", "Sigmoid",
    "Tanh", "Softmax",
    "MaxPool2d", "AvgPool2d", "L2Pool2d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "GlobalAvgPool2d",
    "Upsample",
    "Dropout", "DropPath",
    "MultiHeadAttention", "GRU", "LSTM", "GRUCell", "LSTMCell",
    "cross_entropy", "binary_cross_entropy_with_logits", "focal_loss", "dice_loss", "hinge", "multiclass_hinge",
    "mse", "l1", "smooth_l1", "huber", "kl_divergence",
    "Cost", "ReceptiveField", "cost", "receptive_field", "receptive_fields", "register_macs",
    "init", "losses",
]
