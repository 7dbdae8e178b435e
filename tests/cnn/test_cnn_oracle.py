"""Live parity with torchvision and timm: names, sizes, multiply-adds, logits and gradients of the real networks."""

import numpy as np
import pytest

from minicv import cnn, nn
from minicv.autograd import Tensor

from .hashed import fill, image
from .references import FULL, HEAVY, SMALL, TRIES, differences, fill_torch, libraries, multiply_adds

pytest.importorskip("torchvision", reason="needs torchvision and timm beside PyTorch")
pytest.importorskip("timm", reason="needs timm")
pytestmark = [pytest.mark.oracle, pytest.mark.ch2]
PAIRS = SMALL | FULL
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name for name in PAIRS]


@pytest.fixture(scope="module")
def lib():
    return libraries()


@pytest.mark.parametrize("name", NAMES)
def test_names_shapes_and_costs_are_those_of_the_reference(lib, name):
    pair = PAIRS[name]
    ours, theirs = pair.ours(), pair.theirs(lib).eval()
    if not pair.names:
        assert {k: a.shape for k, a in ours.state_dict().items()} == {
            k: tuple(t.shape) for k, t in theirs.state_dict().items()}
    assert sum(p.size for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert nn.cost(ours, pair.shape).macs == multiply_adds(lib.torch, theirs, pair.shape)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-9), (np.float32, 1e-4)], ids=["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_logits_and_gradients_are_those_of_the_reference(lib, name, dtype, tolerance):
    """In float32 for one image at least, see test_goldens.py."""
    images = range(TRIES if dtype == np.float32 else 1)
    assert any(max(differences(lib, PAIRS[name], dtype, number)) < tolerance for number in images)


def test_googlenet_learns_what_its_reference_learns(lib):
    """In training, with both auxiliary heads: logits, gradients of the joint loss, running statistics."""
    ours = fill(cnn.build("googlenet", num_classes=10, aux=True)).train()
    theirs = fill_torch(lib.torch, lib.tv.googlenet(weights=None, num_classes=10, init_weights=False)).train()
    for module in [*ours.modules(), *theirs.modules()]:
        if type(module).__name__ == "Dropout":
            module.p = 0.0
    x, t = image((4, 3, 64, 48)), np.arange(4)
    logits, outputs = ours(Tensor(x)), theirs(lib.torch.tensor(x))
    for a, b in zip(logits, (outputs.logits, outputs.aux_logits1, outputs.aux_logits2), strict=True):
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=0, atol=1e-9 * np.abs(a.data).max())
    cnn.inception.auxiliary_loss(logits, t).backward()
    loss, t = lib.torch.nn.functional.cross_entropy, lib.torch.tensor(t)
    (loss(outputs.logits, t) + 0.3 * (loss(outputs.aux_logits1, t) + loss(outputs.aux_logits2, t))).backward()
    found, state = dict(ours.named_parameters()), ours.state_dict()
    for name, p in theirs.named_parameters():
        np.testing.assert_allclose(found[name].grad.data, p.grad, rtol=0, atol=1e-9 * p.grad.abs().max().item())
    for name, a in theirs.state_dict().items():
        np.testing.assert_allclose(state[name], a, rtol=1e-9, atol=1e-12)
