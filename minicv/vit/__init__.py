"""Transformers: attention layers in stacks, for sequences (Vaswani et al., 2017) and images (Dosovitskiy et al., 2021).

Reading order: `attention`, `encoder`, `decoder`, `position`; `recurrent`, `seq2seq` and `generate` for sequences;
`patch`, `vit`, `pixels` and `analysis` for images.
"""

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
from .decoder import Decoder, DecoderLayer, LayerCache
from .encoder import Encoder, EncoderLayer
from .generate import Step, draw, generation_steps, greedy, most_likely, sample
from .patch import PatchEmbedding, patchify, unpatchify
from .pixels import attention_bytes, pixel_transformer
from .position import LearnedPositions, SinusoidalPositions, interpolate_positions, sinusoidal, sinusoidal_2d
from .recurrent import RecurrentTranslator
from .seq2seq import SEQ2SEQ, Memory, Shifted, Transformer, build_seq2seq, teacher_forcing
from .vit import VARIANTS, ViT, build

__all__ = ["VARIANTS", "build", "ViT", "Encoder", "EncoderLayer", "Decoder", "DecoderLayer", "LayerCache",
           "PatchEmbedding", "patchify", "unpatchify", "LearnedPositions", "SinusoidalPositions",
           "interpolate_positions", "sinusoidal", "sinusoidal_2d", "SEQ2SEQ", "Transformer", "Memory", "Shifted",
           "build_seq2seq", "teacher_forcing", "Step", "draw", "generation_steps", "greedy", "most_likely", "sample",
           "weigh", "dot_product_attention", "scaled_dot_attention", "ProjectedAttention", "AdditiveAttention",
           "split_heads", "RecurrentTranslator",
           "attention_bytes", "pixel_transformer", "AttentionRecord", "patch_filters", "principal_filters",
           "position_similarity", "grid_distances", "attention_distance", "attention_rollout"]
