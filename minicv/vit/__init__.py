"""Transformers for images: patches, positions, encoders, the vision transformer, and what it looks at."""

from .analysis import (
    AttentionRecord,
    attention_distance,
    attention_rollout,
    grid_distances,
    patch_filters,
    position_similarity,
    principal_filters,
)
from .encoder import Encoder, EncoderLayer
from .patch import PatchEmbedding, patchify, unpatchify
from .pixels import attention_bytes, pixel_transformer
from .position import LearnedPositions, SinusoidalPositions, interpolate_positions, sinusoidal
from .vit import VARIANTS, ViT, build

__all__ = ["VARIANTS", "build", "ViT", "Encoder", "EncoderLayer", "PatchEmbedding", "patchify", "unpatchify",
           "LearnedPositions", "SinusoidalPositions", "interpolate_positions", "sinusoidal",
           "attention_bytes", "pixel_transformer", "AttentionRecord", "patch_filters", "principal_filters",
           "position_similarity", "grid_distances", "attention_distance", "attention_rollout"]
