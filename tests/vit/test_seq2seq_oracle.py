"""Live parity of decoders and whole transformers with PyTorch: names, outputs, masks; positions of a grid."""

import numpy as np
import pytest

from minicv import vit
from minicv.autograd import Tensor

torch = pytest.importorskip("torch", reason="needs PyTorch")
pytestmark = [pytest.mark.oracle, pytest.mark.ch3]


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoders_are_those_of_pytorch(norm_first):
    layer = torch.nn.TransformerDecoderLayer(16, 4, 24, 0.0, batch_first=True, norm_first=norm_first,
                                             dtype=torch.float64)
    last = torch.nn.LayerNorm(16, dtype=torch.float64) if norm_first else None
    theirs = torch.nn.TransformerDecoder(layer, 2, norm=last).eval()
    ours = vit.Decoder(2, 16, 4, 24, pre_norm=norm_first).astype(np.float64)
    state = {k: t.numpy() for k, t in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    rng = np.random.default_rng(0)
    x, memory, kept = rng.standard_normal((2, 5, 16)), rng.standard_normal((2, 4, 16)), np.arange(4) < [[4], [3]]
    expected = theirs(torch.tensor(x), torch.tensor(memory), tgt_mask=torch.triu(torch.ones(5, 5, dtype=bool), 1),
                      memory_key_padding_mask=torch.tensor(~kept))
    found = ours(Tensor(x), Tensor(memory), memory_mask=kept[:, None])
    np.testing.assert_allclose(found.data, expected.detach().numpy(), atol=1e-12)


def test_a_pre_norm_transformer_has_the_names_of_pytorch():
    theirs = torch.nn.Transformer(16, 2, 2, 2, 24, norm_first=True, batch_first=True)
    ours = vit.Transformer(9, 16, 2, 2, 24, pre_norm=True)
    assert [n for n in ours.state_dict() if n.startswith(("encoder", "decoder"))] == list(theirs.state_dict())


def test_positions_of_a_grid_are_those_of_detr():
    """HF transformers' module, with a padded image."""
    detr = pytest.importorskip("transformers.models.detr.modeling_detr", reason="needs HF transformers")
    valid = np.ones((2, 5, 7), bool)
    valid[1, 4:], valid[1, :, 5:] = False, False
    try:
        theirs = detr.DetrSinePositionEmbedding(8, normalize=True)
        expected = theirs(torch.zeros(2, 1, 5, 7), torch.tensor(valid))
    except (AttributeError, TypeError):
        pytest.skip("this version of transformers builds positions in another way")
    expected = expected.numpy() if expected.ndim == 4 else expected.numpy().transpose(0, 2, 1).reshape(2, 16, 5, 7)
    np.testing.assert_allclose(vit.sinusoidal_2d(valid, 16), expected, atol=1e-5)
