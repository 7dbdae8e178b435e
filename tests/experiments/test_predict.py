"""`minicv predict`: photographs through networks with stored weights.

Proved: preparation against its definition; the number of classes and the names come from the file; labels as lines
or JSON; each way to ask wrongly is one line and the right exit status (K23, U2), weights are loaded strictly (W9).
`test_predict_oracle.py` compares with torchvision.
"""

import json

import numpy as np
import pytest

from minicv import cnn, vit, weights
from minicv.__main__ import main
from minicv.autograd.softmax import softmax
from minicv.data import write_png
from minicv.errors import DataFormatError, LimitError
from minicv.experiments import predict as module
from minicv.experiments.predict import BUILDERS, CIFAR, RECIPES, Recipe, network, predict, prepare, read_labels, recipe

from ..cnn.hashed import fill

pytestmark = pytest.mark.ch3
WORDS = ["ape", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a photograph, weights of a small network and names of its classes."""
    folder = tmp_path_factory.mktemp("predict")
    write_png(folder / "image.png", np.random.default_rng(0).random((3, 40, 50)).astype(np.float32))
    weights.save(fill(cnn.build("resnet20_cifar", rng=0), np.float32), folder / "w.safetensors")
    weights.save(fill(cnn.build("resnet20_cifar", num_classes=3, rng=0), np.float32), folder / "three.npz")
    (folder / "labels.txt").write_text("\n".join(WORDS) + "\n")
    (folder / "labels.json").write_text(json.dumps(WORDS))
    (folder / "nine.txt").write_text("\n".join(WORDS[:9]))
    (folder / "gap.txt").write_text("ape\n\ncat")
    (folder / "escape.txt").write_text("ape\n\x1b[31mbee")
    (folder / "object.json").write_text('{"0": "ape"}')
    (folder / "broken.json").write_text('["ape"')
    (folder / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    (folder / "empty.txt").write_text("")
    (folder / "text.png").write_text("no picture")
    (folder / "old.pth").write_bytes(b"\x80\x04")
    return folder


def ask(place, text, *more):
    return main(["predict", *(str(place / word[1:]) if word[0] == "@" else word for word in text.split()), *more])


def test_the_table_holds_the_likeliest_classes(place, capsys):
    assert ask(place, "resnet20_cifar @image.png --weights @w.safetensors --labels @labels.txt --top 3") == 0
    out, err = capsys.readouterr()
    head, *rows = out.splitlines()
    assert head.split() == ["class", "label", "probability"] and len(rows) == 3 and not err
    net, names = network("resnet20_cifar", place / "w.safetensors")
    assert names is None and not net.training
    x = prepare(module.read_image(place / "image.png"), Recipe(32, 32))
    p = softmax(net(x).data.astype(np.float64))[0]
    for row, k in zip(rows, np.argsort(-p), strict=False):
        assert row.split() == [str(k), WORDS[k], f"{p[k]:.6f}"]


def test_json_is_complete_and_labels_may_be_json(place, capsys):
    assert ask(place, "resnet20_cifar @image.png --weights @w.safetensors --labels @labels.json --json --top 99") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == "resnet20_cifar" and len(found["top"]) == 10
    assert sum(row["probability"] for row in found["top"]) == pytest.approx(1)
    assert all(row["label"] == WORDS[row["index"]] for row in found["top"])


def test_the_number_of_classes_is_that_of_the_file(place, capsys):
    assert ask(place, "resnet20_cifar @image.png --weights @three.npz") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["class", "probability"] and sorted(int(row.split()[0]) for row in rows) == [0, 1, 2]


def test_names_of_other_implementations_are_recognised(tmp_path, monkeypatch):
    def small(name, **options):
        return vit.ViT(16, 12, 2, 2, image_size=224, **options)

    monkeypatch.setitem(BUILDERS, "vit_b_16", small)
    net = fill(small("", num_classes=7, rng=1), np.float32)
    state = weights.rename(net.state_dict(), (r"^blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
                           (r"\.norm([12])\.", r".ln_\1."), (r"\.attn\.qkv\.(\w)", r".self_attention.in_proj_\1"),
                           (r"\.attn\.proj\.", ".self_attention.out_proj."), (r"\.mlp\.fc1\.", ".mlp.0."),
                           (r"\.mlp\.fc2\.", ".mlp.3."), ("^cls_token", "class_token"), ("^norm", "encoder.ln"),
                           ("^pos_embed", "encoder.pos_embedding"), (r"^patch_embed\.proj", "conv_proj"),
                           ("^head", "heads.head"))
    (tmp_path / "w.safetensors").write_bytes(weights.safetensors_bytes(state))
    found, names = network("vit_b_16", tmp_path / "w.safetensors")
    assert names == "torchvision_vit"
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(found.state_dict()[key], value)


def test_auxiliary_heads_in_the_file_are_built(tmp_path):
    net = cnn.build("googlenet", num_classes=4, aux=True, rng=0)
    weights.save(net, tmp_path / "w.npz")
    found, names = network("googlenet", tmp_path / "w.npz")
    assert names is None and list(found.state_dict()) == list(net.state_dict())


@pytest.mark.parametrize("name, names, expected", [
    ("seresnet50", "legacy_senet", {"ceil_pool", "stride_in"}), ("senet154", "legacy_senet", {"ceil_pool"}),
    ("efficientnet_b5", "torchvision_efficientnet", {"norm"}), ("efficientnet_b4", "torchvision_efficientnet", set()),
    ("resnet50", None, set())])
def test_networks_published_in_another_form_get_its_options(name, names, expected):
    assert set(module._published(name, names)) == expected


def test_an_image_is_resized_cut_out_and_standardized():
    """A wide gradient: its middle comes out, with the steps of 255 levels, whatever the rest is."""
    row = (np.arange(64) // 2 / 255).astype(np.float32)
    image = np.broadcast_to(row, (3, 32, 64))
    x = prepare(image, Recipe(32, 16, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    assert x.shape == (1, 3, 16, 16) and x.dtype == np.float32
    np.testing.assert_array_equal(255 * x[0, 0, 0], row[24:40] * np.float32(255))
    mean, std = CIFAR
    y = prepare(image, Recipe(32, 16, "bilinear", mean, std))
    np.testing.assert_allclose(y[0], (x[0] - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1)), rtol=1e-5,
                               atol=1e-6)
    assert prepare(np.ones((3, 50, 31), np.float32), Recipe()).shape == (1, 3, 224, 224)
    flat = prepare(np.full((3, 90, 70), 0.2, np.float32), Recipe(96, 64, "bicubic", (0,) * 3, (1,) * 3))
    np.testing.assert_allclose(flat, 51 / 255)                          # a constant stays what it is


def test_an_image_that_would_grow_too_large_is_refused():
    with pytest.raises(LimitError, match="4000000"):
        prepare(np.zeros((3, 1, 15625), np.float32)[:, :, :], Recipe(256, 224))


def test_recipes_fit_their_networks():
    assert set(RECIPES) <= set(BUILDERS)
    for name in BUILDERS:
        for names in (None, "torchvision_vit"):
            found = recipe(name, names)
            assert found.resize >= found.crop and found.filter in ("bilinear", "bicubic") and min(found.std) > 0
    assert recipe("resnet50") == Recipe() and recipe("vit_b_16").mean == (0.5, 0.5, 0.5)
    assert recipe("vit_b_16", "torchvision_vit") == Recipe()


@pytest.mark.parametrize("text, status, words", [
    ("", 2, "required: MODEL, IMAGE, --weights"),
    ("resnet20_cifar @image.png", 2, "required: --weights"),
    ("resnet20_cifra @image.png --weights @w.safetensors", 2, "did you mean 'resnet20_cifar'?"),
    ("resnet20_cifar @image.png --weights @w.safetensors --top 0", 2, "integer >= 1"),
    ("resnet20_cifar @image.png --weights @w.safetensors --topp 1", 2, "did you mean '--top'?"),
    ("resnet20_cifar @image.png --weights @labels.txt", 2, "expected a name in .safetensors or .npz"),
    ("resnet20_cifar @none.png --weights @w.safetensors", 3, "none.png"),
    ("resnet20_cifar @text.png --weights @w.safetensors", 3, "not a sound picture"),
    ("resnet20_cifar @image.png --weights @none.npz", 3, "none.npz"),
    ("resnet20_cifar @image.png --weights @old.pth", 3, "pickles, which run code"),
    ("resnet20_cifar @image.png --weights @w.safetensors --labels @none.txt", 3, "none.txt"),
    ("resnet20_cifar @image.png --weights @w.safetensors --labels @nine.txt", 3, "9 names, expected 10"),
    ("resnet20_cifar @image.png --weights @w.safetensors --labels @gap.txt", 3, "name 1 of --labels is ''"),
    ("resnet20_cifar @image.png --weights @w.safetensors --labels @escape.txt", 3, "printable"),
    ("resnet20_cifar @image.png --weights @w.safetensors --labels @object.json", 3, "JSON list"),
    ("resnet20_cifar @image.png --weights @w.safetensors --labels @broken.json", 3, "JSON list"),
    ("resnet20_cifar @image.png --weights @w.safetensors --labels @bytes.txt", 3, "JSON list"),
    ("resnet20_cifar @image.png --weights @w.safetensors --labels @empty.txt", 3, "one name a line"),
    ("resnet32_cifar @image.png --weights @w.safetensors", 1, "missing: layer1.3.conv1.weight")])
def test_wrong_requests_are_one_line_with_the_right_status(place, capsys, text, status, words):
    """K23 / U2."""
    assert ask(place, text) == status
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and words in err and err.startswith("minicv: error: ")


def test_weights_that_give_no_numbers_are_reported(place, tmp_path):
    net = cnn.build("resnet20_cifar", rng=0)
    state = dict(net.state_dict()) | {"linear.bias": np.full(10, np.inf, np.float32)}
    (tmp_path / "w.safetensors").write_bytes(weights.safetensors_bytes(state))
    with pytest.raises(ArithmeticError, match="10 logits are not finite"):
        predict("resnet20_cifar", place / "image.png", tmp_path / "w.safetensors")


def test_labels_with_a_byte_order_mark_and_windows_lines_are_read(tmp_path):
    (tmp_path / "labels.txt").write_bytes("\ufeffÄpfel\r\nbee\r\n".encode())
    assert read_labels(tmp_path / "labels.txt") == ["Äpfel", "bee"]
    (tmp_path / "labels.txt").write_text("[1, 2]")
    with pytest.raises(DataFormatError, match="name 0 of --labels is 1"):
        read_labels(tmp_path / "labels.txt")
