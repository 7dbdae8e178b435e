"""Transformers for images: patches, positions, encoders, and the vision transformer."""

from .attention import (
    AdditiveAttention,
    ProjectedAttention,
    dot_product_attention,
    scaled_dot_attention,
    split_heads,
    weigh,
)
from .encoder import Encoder, EncoderLayer
from .patch import PatchEmbedding, patchify, unpatchify
from .position import LearnedPositions, SinusoidalPositions, interpolate_positions, sinusoidal
from .recurrent import RecurrentTranslator
from .vit import VARIANTS, ViT, build

__all__ = ["VARIANTS", "build", "ViT", "Encoder", "EncoderLayer", "PatchEmbedding", "patchify", "unpatchify",
           "LearnedPositions", "SinusoidalPositions", "interpolate_positions", "sinusoidal",
           "weigh", "dot_product_attention", "scaled_dot_attention", "ProjectedAttention", "AdditiveAttention",
           "split_heads", "RecurrentTranslator"]
