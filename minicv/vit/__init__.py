"""Transformers: attention layers in stacks, for sequences (Vaswani et al., 2017) and images (Dosovitskiy et al., 2021).

Reading order: `encoder`, `decoder`, `position`; `seq2seq` and `generate` for sequences; `patch` and `vit` for images.
"""

from .decoder import Decoder, DecoderLayer, LayerCache
from .encoder import Encoder, EncoderLayer
from .generate import Step, draw, generation_steps, greedy, most_likely, sample
from .patch import PatchEmbedding, patchify, unpatchify
from .position import LearnedPositions, SinusoidalPositions, interpolate_positions, sinusoidal, sinusoidal_2d
from .seq2seq import SEQ2SEQ, Memory, Shifted, Transformer, build_seq2seq, teacher_forcing
from .vit import VARIANTS, ViT, build

__all__ = ["VARIANTS", "build", "ViT", "Encoder", "EncoderLayer", "Decoder", "DecoderLayer", "LayerCache",
           "PatchEmbedding", "patchify", "unpatchify", "LearnedPositions", "SinusoidalPositions",
           "interpolate_positions", "sinusoidal", "sinusoidal_2d", "SEQ2SEQ", "Transformer", "Memory", "Shifted",
           "build_seq2seq", "teacher_forcing", "Step", "draw", "generation_steps", "greedy", "most_likely", "sample"]
