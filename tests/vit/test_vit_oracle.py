"""Live parity with timm, torchvision, PyTorch and HF transformers: names, sizes, logits, gradients, positions."""

import numpy as np
import pytest

from minicv import nn, vit, weights
from minicv.autograd import Tensor

from ..cnn.hashed import image
from ..cnn.references import differences, libraries, multiply_adds
from .references import FULL, SMALL

torch = pytest.importorskip("torch", reason="needs PyTorch")
pytest.importorskip("torchvision", reason="needs torchvision beside PyTorch")
pytest.importorskip("timm", reason="needs timm")
pytestmark = [pytest.mark.oracle, pytest.mark.ch3]
PAIRS = SMALL | FULL
NAMES = [pytest.param(name, marks=pytest.mark.slow) if pair.part else name for name, pair in PAIRS.items()]


@pytest.fixture(scope="module")
def lib():
    return libraries()


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-9), (np.float32, 1e-4)], ids=["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_logits_and_gradients_are_those_of_the_reference(lib, name, dtype, tolerance):
    assert max(differences(lib, PAIRS[name], dtype)) < tolerance      # nothing has a kink here


@pytest.mark.parametrize("name", NAMES)
def test_names_shapes_and_costs_are_those_of_the_reference(lib, name):
    pair = PAIRS[name]
    ours, theirs = pair.ours(), pair.theirs(lib).eval()
    if not pair.names:
        assert [(k, a.shape) for k, a in ours.state_dict().items()] == [
            (k, tuple(t.shape)) for k, t in theirs.state_dict().items()]
    assert sum(p.size for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert nn.cost(ours, pair.shape).macs == multiply_adds(lib.torch, theirs, pair.shape)


@pytest.mark.parametrize("norm_first", [False, True])
def test_encoders_are_those_of_pytorch(norm_first):
    layer = torch.nn.TransformerEncoderLayer(16, 4, 24, 0.0, activation="gelu", batch_first=True,
                                             norm_first=norm_first, dtype=torch.float64)
    theirs = torch.nn.TransformerEncoder(layer, 2, norm=torch.nn.LayerNorm(16, dtype=torch.float64) if norm_first
                                         else None, enable_nested_tensor=False).eval()
    ours = vit.Encoder(2, 16, 4, 24, pre_norm=norm_first, activation="gelu").astype(np.float64)
    state = {k: t.numpy() for k, t in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    x = np.random.default_rng(0).standard_normal((2, 5, 16))
    hidden = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    np.testing.assert_allclose(ours(Tensor(x)).data, theirs(torch.tensor(x)).detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(ours(Tensor(x), causal=True).data,
                               theirs(torch.tensor(x), mask=hidden).detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("grid", [(4, 4), (7, 3), (2, 5)])
def test_positions_are_interpolated_as_pytorch_interpolates(grid):
    table = np.random.default_rng(0).standard_normal((1, 17, 6))
    theirs = torch.nn.functional.interpolate(torch.tensor(table[:, 1:].reshape(1, 4, 4, 6).transpose(0, 3, 1, 2)),
                                             size=grid, mode="bicubic", align_corners=False)
    found = vit.interpolate_positions(table, 4, grid)[:, 1:].reshape(1, *grid, 6).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found, theirs.numpy(), atol=1e-12)


def test_a_file_of_hf_transformers_loads_and_agrees(tmp_path):
    """Names on disk, stacked projections, and interpolated positions."""
    transformers = pytest.importorskip("transformers", reason="needs HF transformers")
    config = transformers.ViTConfig(image_size=32, patch_size=8, num_labels=5, hidden_size=32, num_hidden_layers=2,
                                    num_attention_heads=4, intermediate_size=64, layer_norm_eps=1e-6)
    theirs = transformers.ViTForImageClassification(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = vit.ViT(8, 32, 2, 4, image_size=32, num_classes=5, hidden=64, interpolate=True).eval()
    weights.load(ours, tmp_path / "model.safetensors", names="hf_vit")
    for size in ((32, 32), (40, 56)):
        x = image((2, 3, *size), np.float32)
        expected = theirs(torch.tensor(x), interpolate_pos_encoding=True).logits.detach().numpy()
        np.testing.assert_allclose(ours(Tensor(x)).data, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
