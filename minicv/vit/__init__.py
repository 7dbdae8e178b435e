"""Transformers: attention, positions, encoders, decoders and sequences; patches, the vision transformer, its analysis."""

from .analysis import (
    AttentionRecord,
    attention_distance,
    attention_rollout,
    grid_distances,
    patch_filters,
    position_similarity,
    principal_filters,
)
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
from .pixels import attention_bytes, pixel_transformer
from .position import LearnedPositions, SinusoidalPositions, interpolate_positions, sinusoidal
from .recurrent import RecurrentTranslator
from .vit import VARIANTS, ViT, build

__all__ = ["VARIANTS", "build", "ViT", "Encoder", "EncoderLayer", "PatchEmbedding", "patchify", "unpatchify",
           "LearnedPositions", "SinusoidalPositions", "interpolate_positions", "sinusoidal",
           "weigh", "dot_product_attention", "scaled_dot_attention", "ProjectedAttention", "AdditiveAttention",
           "split_heads", "RecurrentTranslator",
           "attention_bytes", "pixel_transformer", "AttentionRecord", "patch_filters", "principal_filters",
           "position_similarity", "grid_distances", "attention_distance", "attention_rollout"]
