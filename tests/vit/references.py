"""Transformers of minicv beside their public implementations; see `tests/cnn/references.py`."""

from functools import partial

from minicv import nn, vit

from ..cnn.references import Pair


def timm_vit(name, **options):
    return lambda lib: lib.timm.create_model(name, **options)


def tv_vit(**options):
    def make(lib):
        model = lib.tv.vision_transformer.VisionTransformer(**options)
        lib.torch.nn.init.normal_(model.heads.head.weight)             # zero at the start
        return model
    return make


class Core(nn.Module):
    """Encoder and decoder on embedded tokens: x (N, 2, T, E), source and target -> (N, T, E)."""

    def __init__(self, row):
        self.encoder, self.decoder = (kind(row.depth, row.dim, row.heads, row.hidden)
                                      for kind in (vit.Encoder, vit.Decoder))

    def forward(self, x):
        return self.decoder(x[:, 1], self.encoder(x[:, 0]))


def torch_core(row, lib):
    """`torch.nn.Transformer` without the norms behind both stacks, which the paper does not have."""
    class Transformer(lib.torch.nn.Transformer):
        __module__ = "torch"

        def forward(self, x):
            later = lib.torch.ones(x.shape[2], x.shape[2], dtype=bool).triu(1)
            return super().forward(x[:, 0], x[:, 1], tgt_mask=later)

    model = Transformer(row.dim, row.heads, row.depth, row.depth, row.hidden, 0.0, batch_first=True)
    model.encoder.norm = model.decoder.norm = None
    return model


def core(row):
    return Pair(lambda: Core(row), partial(torch_core, row), (1, 2, 32, row.dim))


SMALL = {
    "timm": Pair(lambda: vit.ViT(8, 48, 2, 3, image_size=(32, 24), num_classes=10),
                 timm_vit("vit_tiny_patch16_224", patch_size=8, embed_dim=48, depth=2, num_heads=3, num_classes=10,
                          img_size=(32, 24)), (2, 3, 32, 24)),
    "torchvision": Pair(lambda: vit.ViT(8, 48, 2, 3, image_size=32, num_classes=10, hidden=80),
                        tv_vit(image_size=32, patch_size=8, num_layers=2, num_heads=3, hidden_dim=48, mlp_dim=80,
                               num_classes=10), (2, 3, 32, 32), "torchvision_vit"),
    "transformer": core(vit.SEQ2SEQ["base"]._replace(dim=16, depth=2, heads=2, hidden=24)),
}


def huge(name, theirs):
    """All layers for the logits, two of them for the gradients."""
    spec = vit.VARIANTS[name]
    few = Pair(lambda: vit.ViT(*spec._replace(depth=2), num_classes=10), timm_vit(theirs, depth=2, num_classes=10),
               (1, 3, 224, 224))
    return few._replace(ours=lambda: vit.build(name, num_classes=10), theirs=timm_vit(theirs, num_classes=10), part=few)


FULL = {
    "vit_ti_16": Pair(lambda: vit.build("vit_ti_16", num_classes=10),
                      timm_vit("vit_tiny_patch16_224", num_classes=10), (1, 3, 224, 224)),
    "vit_s_16": Pair(lambda: vit.build("vit_s_16", num_classes=10),
                     timm_vit("vit_small_patch16_224", num_classes=10), (1, 3, 224, 224)),
    "vit_b_16": Pair(lambda: vit.build("vit_b_16", num_classes=10),
                     timm_vit("vit_base_patch16_224", num_classes=10), (1, 3, 224, 224)),
    "vit_b_32": Pair(lambda: vit.build("vit_b_32", num_classes=10),
                     lambda lib: lib.tv.vit_b_32(weights=None, num_classes=10), (1, 3, 224, 224), "torchvision_vit"),
    "vit_l_16": huge("vit_l_16", "vit_large_patch16_224"), "vit_l_32": huge("vit_l_32", "vit_large_patch32_224"),
    "vit_h_14": huge("vit_h_14", "vit_huge_patch14_224"),
    "transformer_base": core(vit.SEQ2SEQ["base"]), "transformer_big": core(vit.SEQ2SEQ["big"]),
}
