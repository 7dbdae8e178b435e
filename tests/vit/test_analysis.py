"""What a vision transformer looks at: filters, positions, attention distance, rollout, recorded weights, pixels.

Proved: each quantity against its definition in loops, and in cases with a known answer; weights are recorded only
inside the block, for every layer, before dropout; memory of attention is counted and refused (B3.1).
"""

import numpy as np
import pytest

from minicv import nn, vit
from minicv.autograd import Tensor
from minicv.data import Glyphs10
from minicv.errors import ArgError, LimitError, ShapeError
from minicv.vit import (
    AttentionRecord,
    attention_bytes,
    attention_distance,
    attention_rollout,
    grid_distances,
    patch_filters,
    pixel_transformer,
    position_similarity,
    principal_filters,
)

from ..cnn.hashed import fill, image

pytestmark = pytest.mark.ch3


def small(**options):
    return vit.ViT(4, 16, 2, 2, **({"image_size": 16, "num_classes": 4, "rng": 0} | options))


def random_weights(rng, *shape):
    """Non-negative, rows summing to 1."""
    a = rng.random(shape) ** 4
    return a / a.sum(axis=-1, keepdims=True)


# Recording ------------------------------------------------------------------------------------------------------


def test_weights_are_those_of_the_definition():
    net, x = fill(small()).eval(), Tensor(image((3, 3, 16, 16)))
    with AttentionRecord(net) as record:
        logits = net(x)
    assert record.weights.shape == (2, 3, 2, 17, 17) and isinstance(record.weights, np.ndarray)
    np.testing.assert_allclose(logits.data, net(x).data, rtol=1e-12)       # looking changes nothing
    z = net.embed(x)
    for block, found in zip(net.blocks, record.weights, strict=True):
        q, k, _ = np.split(block.attn.qkv(block.norm1(z)).data, 3, axis=2)
        for n, h in np.ndindex(3, 2):
            s = q[n, :, 8 * h:8 * h + 8] @ k[n, :, 8 * h:8 * h + 8].T / np.sqrt(8)
            e = np.exp(s - s.max(axis=1, keepdims=True))
            np.testing.assert_allclose(found[n, h], e / e.sum(axis=1, keepdims=True), rtol=1e-9, atol=1e-15)
        z = block(z)


def test_the_last_pass_counts_and_nothing_is_kept_outside_the_block():
    net, xs = small().eval(), [Tensor(image((n, 3, 16, 16), np.float32)) for n in (1, 2, 3)]
    with AttentionRecord(net) as record:
        net(xs[0])
        net(xs[1])
    net(xs[2])
    assert record.weights.shape[1] == 2
    with AttentionRecord(net) as other:
        pass
    net(xs[2])
    with pytest.raises(ArgError, match="2 of 2 layers are not recorded, expected a forward pass"):
        _ = other.weights


def test_hooks_are_removed_also_after_an_error():
    net = small().eval()
    with pytest.raises(ShapeError), AttentionRecord(net) as record:
        net(Tensor(np.zeros((1, 3, 15, 16), np.float32)))
    net(Tensor(np.zeros((1, 3, 16, 16), np.float32)))
    with pytest.raises(ArgError, match="not recorded"):
        _ = record.weights


def test_encoders_are_recorded_before_dropout():
    net, x = vit.Encoder(2, 8, 2, dropout=0.9, rng=0), Tensor(image((2, 5, 8), np.float32))
    with AttentionRecord(net) as record:
        net(x)                                                             # in training
    assert record.weights.shape == (2, 2, 2, 5, 5)
    np.testing.assert_allclose(record.weights.sum(axis=-1), 1, rtol=1e-5)


def test_layers_that_were_not_called_are_reported():
    net = vit.Encoder(3, 8, 2, rng=0)
    with AttentionRecord(net) as record:
        net.layers[1](Tensor(image((2, 5, 8), np.float32)))
    with pytest.raises(ArgError, match="2 of 3 layers are not recorded"):
        _ = record.weights


def test_models_without_attention_are_refused():
    with pytest.raises(ArgError, match="Linear without attention"):
        AttentionRecord(nn.Linear(2, 2, rng=0))


# Distance and rollout -------------------------------------------------------------------------------------------


def test_distances_are_those_between_centres():
    found = grid_distances((3, 2), (4, 8))
    for a, b in np.ndindex(6, 6):
        assert found[a, b] == np.hypot(4 * (a // 2 - b // 2), 8 * (a % 2 - b % 2))


def test_uniform_attention_reaches_116_5_pixels():
    """The example of the specification: 14 x 14 patches of 16 pixels, pairs with themselves included."""
    tokens = 197
    found = attention_distance(np.full((tokens, tokens), 1 / tokens), 14, 16)
    assert found == pytest.approx(116.5, abs=0.05)
    rows = np.arange(14)
    gaps = np.abs(rows[:, None] - rows).ravel()
    assert found == pytest.approx(16 * np.hypot(gaps[:, None], gaps).mean())


def test_attention_distance_equals_loops():
    a = random_weights(np.random.default_rng(0), 2, 3, 7, 7)
    found = attention_distance(a, (2, 3), (2, 5))
    for i, j in np.ndindex(2, 3):
        total = 0
        for q in range(6):
            kept = a[i, j, 1 + q, 1:]
            far = sum(w * np.hypot(2 * (q // 3 - k // 3), 5 * (q % 3 - k % 3)) for k, w in enumerate(kept))
            total += far / kept.sum()
        assert found[i, j] == pytest.approx(total / 6)


def test_attention_to_oneself_and_to_the_class_token_reaches_nothing():
    assert attention_distance(np.eye(5), 2, 8) == 0
    only_class = np.zeros((5, 5))
    only_class[:, 0] = 1
    assert attention_distance(only_class, 2, 8) == 0
    assert attention_distance(np.eye(4)[[1, 0, 3, 2]], 2, 8, prefix=0) == 8


def test_rollout_equals_the_sum_over_paths():
    """Abnar and Zuidema, eq. 1: the share of token j in token i is the sum over all paths of the products of B."""
    a = random_weights(np.random.default_rng(1), 3, 2, 4, 4, 4)
    b = (np.eye(4) + a.mean(axis=2)) / 2                                   # (layers, N, L, L)
    found = attention_rollout(a)
    for n, i, j in np.ndindex(2, 4, 4):
        paths = sum(b[2, n, i, k] * b[1, n, k, m] * b[0, n, m, j] for k, m in np.ndindex(4, 4))
        assert found[n, i, j] == pytest.approx(paths)
    np.testing.assert_allclose(found.sum(axis=-1), 1)


def test_rollout_of_layers_that_look_at_themselves_is_the_identity():
    eye = np.broadcast_to(np.eye(5), (4, 1, 3, 5, 5))
    np.testing.assert_array_equal(attention_rollout(eye)[0], np.eye(5))


@pytest.mark.parametrize("call, words", [
    (lambda: attention_distance(np.ones((5, 4)), 2, 8), r"\(5, 4\), expected \(..., L, L\)"),
    (lambda: attention_distance(np.ones((5, 5)), 3, 8), "5 tokens, expected 1 and 9 patches"),
    (lambda: attention_rollout(np.ones((2, 3, 5, 5))), r"expected \(layers, N, heads, L, L\)"),
    (lambda: attention_rollout(np.ones((0, 1, 1, 5, 5))), "not empty"),
    (lambda: grid_distances(0, 8), "grid is 0"),
    (lambda: principal_filters(np.ones((4, 12)), 2), r"expected \(D, C, P, Q\)"),
    (lambda: principal_filters(np.ones((4, 3, 2, 2)), 5), "n_components is 5"),
    (lambda: position_similarity(np.ones((1, 5, 3)), 3), "for a grid of 3 x 3"),
    (lambda: position_similarity(np.zeros((1, 5, 3)), 2), "row of zeros")])
def test_wrong_inputs_are_refused(call, words):
    with pytest.raises((ArgError, ShapeError), match=words):
        call()


# Filters and positions ------------------------------------------------------------------------------------------


def test_a_token_is_the_product_of_its_patch_with_the_filters():
    net, x = fill(small()), image((2, 3, 16, 16))
    filters = patch_filters(net)
    assert filters.shape == (16, 3, 4, 4)
    tokens = vit.patchify(x, 4) @ filters.reshape(16, -1).T + net.patch_embed.proj.bias.data
    np.testing.assert_allclose(net.patch_embed(Tensor(x)).data, tokens, rtol=1e-10, atol=1e-12)


def test_principal_filters_rebuild_filters_of_low_rank():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((48, 2)))[0].T                # two orthonormal images
    filters = (rng.standard_normal((30, 2)) * [5, 1] @ basis + 0.3).reshape(30, 3, 4, 4)
    found = principal_filters(filters, 2).reshape(2, 48)
    np.testing.assert_allclose(found @ found.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(found.T @ found, basis.T @ basis, atol=1e-10)
    spread = ((filters.reshape(30, 48) - filters.reshape(30, 48).mean(0)) @ found.T).var(axis=0)
    assert spread[0] > spread[1]


def test_similarity_is_the_cosine_of_two_rows():
    table = np.random.default_rng(0).standard_normal((1, 8, 5)).astype(np.float32)
    found = position_similarity(Tensor(table), (2, 3), prefix=2)
    assert found.shape == (2, 3, 2, 3) and found.dtype == np.float64
    for i, j, k, m in np.ndindex(2, 3, 2, 3):
        a, b = (table[0, 2 + 3 * r + c].astype(float) for r, c in ((i, j), (k, m)))
        assert found[i, j, k, m] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)))


# Pixels ---------------------------------------------------------------------------------------------------------


def test_memory_of_attention_is_that_of_the_worked_example():
    """B3.1: 224 x 224 pixels as tokens, and ViT-B/16 instead."""
    assert attention_bytes(224 * 224, dtype=np.float16) == 2 * 2_517_630_976 == 5_035_261_952
    assert attention_bytes(224 * 224, heads=8, layers=12, dtype=np.float16) == pytest.approx(483.4e9, abs=5e7)
    assert attention_bytes(197, heads=12, layers=12, dtype=np.float16) == 197**2 * 144 * 2


def test_a_pixel_transformer_sees_each_pixel_and_gives_the_bytes_it_counted():
    net = pixel_transformer(8, 12, 2, 3, in_channels=1, num_classes=10, batch=2, rng=0).eval()
    x = np.stack([Glyphs10(2, size=8)[i]["image"] for i in range(2)])
    with AttentionRecord(net) as record:
        assert net(Tensor(x)).shape == (2, 10)
    assert record.weights.shape == (2, 2, 3, 65, 65)
    assert record.weights.nbytes == attention_bytes(65, heads=3, layers=2, batch=2)


def test_too_many_pixels_are_refused_with_the_number_of_bytes():
    need = attention_bytes(50_177, heads=3, layers=2)
    with pytest.raises(LimitError, match=f"{need} bytes of attention weights, the limit is 1073741824; use patches"):
        pixel_transformer(224, 12, 2, 3)
    exact = attention_bytes(65, heads=3, layers=2)
    assert pixel_transformer(8, 12, 2, 3, limit=exact, rng=0)
    with pytest.raises(LimitError):
        pixel_transformer(8, 12, 2, 3, limit=exact - 1)
    with pytest.raises(LimitError):
        pixel_transformer(8, 12, 2, 3, limit=exact, batch=2)


@pytest.mark.parametrize("options", [
    {"tokens": 0}, {"tokens": 2.5}, {"tokens": 4, "heads": 0}, {"tokens": 4, "batch": -1}])
def test_counts_that_are_none_are_refused(options):
    with pytest.raises(ArgError, match="attention_bytes"):
        attention_bytes(**options)
