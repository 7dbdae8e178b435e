"""Name maps: functions from a state with the names of another implementation to one with the names of minicv.

Most networks need none: they carry the names of their most used implementation (see each family's module).
A map renames, and joins or splits where the other implementation keeps separate or joined matrices. What it
does not know it leaves as it is, so that `load` lists it as unexpected.
"""

import re

import numpy as np

from ..errors import CheckpointError

__all__ = ["MAPS", "rename", "without_prefix"]


def rename(state, *rules):
    """Apply (pattern, replacement) rules of `re.sub` to every name, one after the other.

    Raises
    ------
    CheckpointError
        If two names become the same.
    """
    renamed = {}
    for name, array in state.items():
        new = name
        for pattern, replacement in rules:
            new = re.sub(pattern, replacement, new)
        if new in renamed:
            raise CheckpointError(f"rename: two weights become {new!r}, one of them {name!r}, expected different names")
        renamed[new] = array
    return renamed


def without_prefix(state, prefix="module."):
    """Drop a prefix that all names share, as data-parallel training in PyTorch leaves it."""
    return rename(state, ("^" + re.escape(prefix), ""))


# Vision transformers -----------------------------------------------------------------------------------------


def torchvision_vit(state):
    """`vit_b_16` of torchvision -> `vit.ViT`; the joined projection of queries, keys and values is the same."""
    return rename(state, ("^class_token$", "cls_token"), ("^conv_proj", "patch_embed.proj"),
                  ("^encoder.pos_embedding$", "pos_embed"), (r"^encoder\.layers\.encoder_layer_", "blocks."),
                  (r"\.ln_([12])\.", r".norm\1."), (r"\.self_attention\.in_proj_", ".attn.qkv."),
                  (r"\.self_attention\.out_proj\.", ".attn.proj."), (r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."),
                  (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."), (r"^encoder\.ln\.", "norm."), (r"^heads\.head\.", "head."))


def hf_vit(state):
    """A ViT of HF transformers, names as on disk -> `vit.ViT`; query, key and value are stacked."""
    state = rename(state, (r"^vit\.", ""), (r"^embeddings\.cls_token$", "cls_token"),
                   (r"^embeddings\.position_embeddings$", "pos_embed"),
                   (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
                   (r"^encoder\.layer\.", "blocks."), (r"\.attention\.output\.dense\.", ".attn.proj."),
                   (r"\.attention\.attention\.(query|key|value)\.", r".attn.\1."),
                   (r"\.intermediate\.dense\.", ".mlp.fc1."), (r"\.output\.dense\.", ".mlp.fc2."),
                   (r"\.layernorm_before\.", ".norm1."), (r"\.layernorm_after\.", ".norm2."),
                   (r"^layernorm\.", "norm."), (r"^classifier\.", "head."))
    return _stacked(state, ("query", "key", "value"), "qkv")


def _stacked(state, parts, whole):
    """Join ``X.part.Y`` of all parts along the first axis into ``X.whole.Y``; incomplete ones stay."""
    joined = dict(state)
    for name in state:
        names = [name.replace(f".{parts[0]}.", f".{part}.") for part in parts]
        if f".{parts[0]}." in name and all(n in state for n in names):
            joined[name.replace(f".{parts[0]}.", f".{whole}.")] = np.concatenate([joined.pop(n) for n in names])
    return joined


# Convolutional networks ------------------------------------------------------------------------------------------


def legacy_senet(state):
    """`legacy_seresnet50`, `legacy_senet154`, ... of timm and older collections -> `cnn.senet`."""
    deep = [(f"^layer0.{old}[.]", f"{new}.") for old, new in
            (("conv1", "conv1.0"), ("bn1", "conv1.1"), ("conv2", "conv1.3"), ("bn2", "conv1.4"), ("conv3", "conv1.6"),
             ("bn3", "bn1"))]
    stem = deep if "layer0.conv3.weight" in state else [(r"^layer0\.", "")]
    return rename(state, *stem, (r"\.se_module\.", ".se."), (r"^last_linear\.", "fc."))


def timm_mobilenet_v2(state):
    """`mobilenetv2_100` of timm -> `cnn.mobilenet.MobileNetV2`."""
    layers = (("conv_pw", "conv.0.0"), ("bn1", "conv.0.1"), ("conv_dw", "conv.1.0"), ("bn2", "conv.1.1"),
              ("conv_pwl", "conv.2"), ("bn3", "conv.3"))
    first = (("conv_dw", "conv.0.0"), ("bn1", "conv.0.1"), ("conv_pw", "conv.1"), ("bn2", "conv.2"))
    return rename(state, *_in_a_row(state, first, layers), (r"^conv_stem\.", "features.0.0."),
                  (r"^bn1\.", "features.0.1."), (r"^classifier\.", "classifier.1."))


def _in_a_row(state, first, layers):
    """Rules that number the blocks "blocks.{stage}.{i}" of timm through, from 1, and the head after them."""
    blocks = sorted({(int(m[1]), int(m[2])) for name in state if (m := re.match(r"blocks\.(\d+)\.(\d+)\.", name))})
    rules = [(rf"^blocks\.{s}\.{i}\.{old}\.", f"features.{n}.{new}.") for n, (s, i) in enumerate(blocks, 1)
             for old, new in (layers if n > 1 else first)]
    end = len(blocks) + 1
    return [*rules, (r"^conv_head\.", f"features.{end}.0."), (r"^bn2\.", f"features.{end}.1.")]


def torchvision_efficientnet(state):
    """`efficientnet_b0`, ... of torchvision -> `cnn.efficientnet`."""
    layers = (("0.0", "conv_pw"), ("0.1", "bn1"), ("1.0", "conv_dw"), ("1.1", "bn2"), ("2.fc1", "se.conv_reduce"),
              ("2.fc2", "se.conv_expand"), ("3.0", "conv_pwl"), ("3.1", "bn3"))
    first = (("0.0", "conv_dw"), ("0.1", "bn1"), ("1.fc1", "se.conv_reduce"), ("1.fc2", "se.conv_expand"),
             ("2.0", "conv_pw"), ("2.1", "bn2"))
    stages = {int(m[1]) for name in state if (m := re.match(r"features\.(\d+)\.0\.block\.", name))}
    rules = [(rf"^features\.{s}\.(\d+)\.block\.{re.escape(old)}\.", rf"blocks.{s - 1}.\1.{new}.")
             for s in stages for old, new in (layers if f"features.{s}.0.block.3.0.weight" in state else first)]
    end = max(stages, default=0) + 1
    return rename(state, *rules, (r"^features\.0\.0\.", "conv_stem."), (r"^features\.0\.1\.", "bn1."),
                  (rf"^features\.{end}\.0\.", "conv_head."), (rf"^features\.{end}\.1\.", "bn2."),
                  (r"^classifier\.1\.", "classifier."))


def timm_regnet(state):
    """`regnetx_002`, `regnety_004`, ... of timm -> `cnn.regnet`."""
    block = lambda m: f"trunk_output.block{m[1]}.block{m[1]}-{int(m[2]) - 1}."
    return rename(state, (r"^s(\d+)\.b(\d+)\.", block), (r"^stem\.conv\.", "stem.0."), (r"^stem\.bn\.", "stem.1."),
                  (r"\.downsample\.conv\.", ".proj.0."), (r"\.downsample\.bn\.", ".proj.1."), (r"\.se\.", ".f.se."),
                  *[(rf"\.conv{i}\.{old}\.", f".f.{new}.{k}.") for i, new in enumerate("abc", 1)
                    for k, old in enumerate(("conv", "bn"))], (r"^head\.fc\.", "fc."))


MAPS = {"torchvision_vit": torchvision_vit, "hf_vit": hf_vit, "legacy_senet": legacy_senet,
        "timm_mobilenet_v2": timm_mobilenet_v2, "torchvision_efficientnet": torchvision_efficientnet,
        "timm_regnet": timm_regnet, "data_parallel": without_prefix}
