"""Live parity with torchvision and timm: names, sizes, multiply-adds, logits and gradients of the real networks."""

import numpy as np
import pytest

from minicv import nn

from .references import FULL, IMAGES, SMALL, differences, libraries, multiply_adds

pytest.importorskip("torchvision", reason="needs torchvision and timm beside PyTorch")
pytest.importorskip("timm", reason="needs timm")
pytestmark = [pytest.mark.oracle, pytest.mark.ch2]
PAIRS = SMALL | FULL


@pytest.fixture(scope="module")
def lib():
    return libraries()


@pytest.mark.parametrize("name", PAIRS)
def test_names_shapes_and_costs_are_those_of_the_reference(lib, name):
    pair = PAIRS[name]
    ours, theirs = pair.ours(), pair.theirs(lib).eval()
    if not pair.names:
        assert {k: a.shape for k, a in ours.state_dict().items()} == {
            k: tuple(t.shape) for k, t in theirs.state_dict().items()}
    assert sum(p.size for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert nn.cost(ours, pair.shape).macs == multiply_adds(lib.torch, theirs, pair.shape)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-9), (np.float32, 1e-4)], ids=["float64", "float32"])
@pytest.mark.parametrize("name", PAIRS)
def test_logits_and_gradients_are_those_of_the_reference(lib, name, dtype, tolerance):
    """In float32 for one image at least, see test_goldens.py."""
    images = range(IMAGES if dtype == np.float32 else 1)
    assert any(max(differences(lib, PAIRS[name], dtype, number)) < tolerance for number in images)
