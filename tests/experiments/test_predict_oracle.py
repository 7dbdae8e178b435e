"""`minicv predict` beside torchvision and timm: the same classes and probabilities for real photographs.

Proved: preparation recipes are those that the two libraries publish with their weights; on a photograph, with random
weights saved by PyTorch, both see the same five classes with the same probabilities.
"""

import numpy as np
import pytest

from minicv.data.real import _inside
from minicv.experiments.predict import Recipe, predict, prepare, recipe

torch = pytest.importorskip("torch", reason="needs PyTorch")
models = pytest.importorskip("torchvision.models", reason="needs torchvision beside PyTorch")
safetensors = pytest.importorskip("safetensors.torch", reason="needs safetensors")
pytestmark = [pytest.mark.oracle, pytest.mark.ch3]
PHOTOGRAPHS = [("sklearn", "datasets/images/china.jpg"), ("sklearn", "datasets/images/flower.jpg"),
               ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")]


def photograph_file(package, name):
    pytest.importorskip(package, reason=f"needs the photograph that comes with {package}")
    return _inside("test", package, name)


def pillow(path):
    from PIL import Image
    return Image.open(path).convert("RGB")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(torchvision model, file of its weights) by name: random, with logits that differ clearly."""
    found, folder = {}, tmp_path_factory.mktemp("weights")
    for name in ("resnet50", "vit_b_16"):
        torch.manual_seed(0)
        model = models.get_model(name, weights=None).eval()
        if name == "vit_b_16":
            torch.nn.init.normal_(model.heads.head.weight, std=0.1)
        safetensors.save_file(model.state_dict(), folder / f"{name}.safetensors")
        found[name] = model, folder / f"{name}.safetensors"
    return found


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=["china", "flower", "portrait"])
@pytest.mark.parametrize("name", ["resnet50", "vit_b_16"])
def test_classes_and_probabilities_are_those_of_torchvision(saved, name, photograph):
    model, path = saved[name]
    image = photograph_file(*photograph)
    preset = models.get_model_weights(name).IMAGENET1K_V1.transforms()
    with torch.no_grad():
        p = model(preset(pillow(image))[None]).double().softmax(-1)[0]
    top = p.topk(5)
    found = predict(name, image, path)
    assert [row.index for row in found] == top.indices.tolist()
    np.testing.assert_allclose([row.probability for row in found], top.values.numpy(), rtol=1e-4)


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=["china", "flower", "portrait"])
@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b3", "vit_l_16"])
def test_preparation_is_that_of_torchvision(name, photograph):
    from minicv.data import read_image
    image = photograph_file(*photograph)
    theirs = models.get_model_weights(name).IMAGENET1K_V1.transforms()(pillow(image)).numpy()
    found = prepare(read_image(image), recipe(name, "torchvision_vit" if name[:3] == "vit" else None))
    np.testing.assert_allclose(found[0], theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", [
    "alexnet", "vgg16", "resnet18", "resnext50_32x4d", "wide_resnet50_2", "mobilenet_v2", "mobilenet_v3_small",
    "regnet_x_400mf", "vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", *(f"efficientnet_b{i}" for i in range(8))])
def test_recipes_are_those_of_torchvision(name):
    t = models.get_model_weights(name).IMAGENET1K_V1.transforms()
    assert recipe(name, "torchvision_vit" if name[:3] == "vit" else None) == Recipe(
        *t.resize_size, *t.crop_size, t.interpolation.value, tuple(t.mean), tuple(t.std))


@pytest.mark.parametrize("name, theirs", [
    ("inception_v4", "inception_v4"), ("inception_resnet_v2", "inception_resnet_v2"),
    ("vit_s_16", "vit_small_patch16_224"), ("vit_ti_16", "vit_tiny_patch16_224"),
    ("mobilenet_v1", "mobilenetv1_100"), ("senet154", "legacy_senet154")])
def test_recipes_are_those_of_timm(name, theirs):
    timm = pytest.importorskip("timm", reason="needs timm")
    cfg = timm.get_pretrained_cfg(theirs)
    crop = cfg.input_size[-1]
    assert recipe(name) == Recipe(int(crop / cfg.crop_pct), crop, cfg.interpolation, cfg.mean, cfg.std)
