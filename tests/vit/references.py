"""Transformers of minicv beside their public implementations; see `tests/cnn/references.py`."""

from minicv import vit

from ..cnn.references import Pair


def timm_vit(name, **options):
    return lambda lib: lib.timm.create_model(name, **options)


def tv_vit(**options):
    def make(lib):
        model = lib.tv.vision_transformer.VisionTransformer(**options)
        lib.torch.nn.init.normal_(model.heads.head.weight)             # zero at the start
        return model
    return make


SMALL = {
    "timm": Pair(lambda: vit.ViT(8, 48, 2, 3, image_size=(32, 24), num_classes=10),
                 timm_vit("vit_tiny_patch16_224", patch_size=8, embed_dim=48, depth=2, num_heads=3, num_classes=10,
                          img_size=(32, 24)), (2, 3, 32, 24)),
    "torchvision": Pair(lambda: vit.ViT(8, 48, 2, 3, image_size=32, num_classes=10, hidden=80),
                        tv_vit(image_size=32, patch_size=8, num_layers=2, num_heads=3, hidden_dim=48, mlp_dim=80,
                               num_classes=10), (2, 3, 32, 32), "torchvision_vit"),
}
FULL = {
    "vit_ti_16": Pair(lambda: vit.build("vit_ti_16", num_classes=10),
                      timm_vit("vit_tiny_patch16_224", num_classes=10), (1, 3, 224, 224)),
    "vit_s_16": Pair(lambda: vit.build("vit_s_16", num_classes=10),
                     timm_vit("vit_small_patch16_224", num_classes=10), (1, 3, 224, 224)),
    "vit_b_16": Pair(lambda: vit.build("vit_b_16", num_classes=10),
                     timm_vit("vit_base_patch16_224", num_classes=10), (1, 3, 224, 224)),
    "vit_b_32": Pair(lambda: vit.build("vit_b_32", num_classes=10),
                     lambda lib: lib.tv.vit_b_32(weights=None, num_classes=10), (1, 3, 224, 224), "torchvision_vit"),
}
