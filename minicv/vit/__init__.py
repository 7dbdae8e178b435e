"""Transformers for images: patches, positions, encoders, and the vision transformer."""

from .encoder import Encoder, EncoderLayer
from .patch import PatchEmbedding, patchify, unpatchify
from .position import LearnedPositions, SinusoidalPositions, interpolate_positions, sinusoidal
from .vit import VARIANTS, ViT, build

__all__ = ["VARIANTS", "build", "ViT", "Encoder", "EncoderLayer", "PatchEmbedding", "patchify", "unpatchify",
           "LearnedPositions", "SinusoidalPositions", "interpolate_positions", "sinusoidal"]
