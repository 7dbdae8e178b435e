"""Patches, positions and encoders: formulas, symmetries, worked examples of the lecture, refusals."""

import numpy as np
import pytest

from minicv import nn, vit
from minicv.autograd import Tensor
from minicv.errors import ArgError, ShapeError

from ..cnn.hashed import fill, hashed

pytestmark = pytest.mark.ch3

# Patches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patch", [2, (3, 2), (1, 4), 6])
def test_patches_are_cut_in_reading_order_and_put_together_again(patch):
    x = hashed("x", (2, 3, 6, 12))
    P, Q = patch if isinstance(patch, tuple) else (patch, patch)
    tokens = vit.patchify(x, patch)
    for n, token in np.ndindex(tokens.shape[:2]):
        i, j = divmod(token, 12 // Q)
        np.testing.assert_array_equal(tokens[n, token], x[n, :, i * P:(i + 1) * P, j * Q:(j + 1) * Q].reshape(-1))
    np.testing.assert_array_equal(vit.unpatchify(tokens, patch, (6 // P, 12 // Q)), x)


def test_patch_embedding_is_a_linear_map_of_patches():
    embed, x = fill(vit.PatchEmbedding((3, 2), 5)), hashed("x", (2, 3, 6, 8))
    w = embed.proj.weight.data.reshape(5, -1)
    expected = vit.patchify(x, (3, 2)) @ w.T + embed.proj.bias.data
    np.testing.assert_allclose(embed(Tensor(x)).data, expected, rtol=1e-10)
    assert embed.grid((6, 8)) == (2, 4)


@pytest.mark.parametrize("shape, patch", [((1, 3, 7, 8), 4), ((1, 3, 8, 9), 4), ((1, 3, 0, 8), 4), ((3, 8, 8), 4)])
def test_images_that_patches_do_not_fill_are_refused(shape, patch):
    for function in (lambda x: vit.patchify(x, patch), vit.PatchEmbedding(patch, 5, rng=0)):
        with pytest.raises(ShapeError):
            function(Tensor(np.zeros(shape, np.float32)))


def test_unpatchify_refuses_another_grid():
    with pytest.raises(ShapeError, match="expected"):
        vit.unpatchify(np.zeros((1, 6, 12)), 2, (2, 2))
    with pytest.raises(ShapeError, match="a multiple of 9"):
        vit.unpatchify(np.zeros((1, 4, 12)), 3, (2, 2))


# Positions ----------------------------------------------------------------------------------------------------


def test_sinusoidal_positions_by_hand():
    """B3.3."""
    np.testing.assert_allclose(vit.sinusoidal(2, 4)[1], [0.84147, 0.54030, 0.0099998, 0.99995], atol=5e-6)
    np.testing.assert_array_equal(vit.sinusoidal(1, 6)[0], [0, 1, 0, 1, 0, 1])


def test_sinusoidal_positions_turn():
    """Norm² is d/2, products depend on the distance only, and one step is a rotation of each pair."""
    pe = vit.sinusoidal(50, 32)
    np.testing.assert_allclose((pe ** 2).sum(axis=1), 16, rtol=1e-12)
    products = pe @ pe.T
    for k in (0, 1, 7):
        np.testing.assert_allclose(np.diagonal(products, k), products[0, k], rtol=1e-10)
    w = 10000.0 ** (-np.arange(0, 32, 2) / 32)
    sin, cos = pe[:-1, 0::2], pe[:-1, 1::2]
    np.testing.assert_allclose(pe[1:, 0::2], sin * np.cos(w) + cos * np.sin(w), atol=1e-12)
    np.testing.assert_allclose(pe[1:, 1::2], cos * np.cos(w) - sin * np.sin(w), atol=1e-12)


@pytest.mark.parametrize("length, dim, words", [(0, 4, "length is 0"), (-1, 4, "length is -1"), (3, 5, "dim is 5"),
                                                (3, 0, "dim is 0"), (2.0, 4, "length is 2.0")])
def test_impossible_tables_are_refused(length, dim, words):
    with pytest.raises(ArgError, match=words):
        vit.sinusoidal(length, dim)


def test_sinusoidal_layer_adds_the_table_in_the_dtype_of_x():
    x = np.zeros((2, 5, 6), np.float32)
    y = vit.SinusoidalPositions()(Tensor(x))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.data, np.broadcast_to(vit.sinusoidal(5, 6), x.shape), atol=1e-7)
    with pytest.raises(ShapeError):
        vit.SinusoidalPositions()(Tensor(x[0]))


def test_learned_positions_train_the_rows_in_use():
    layer, x = vit.LearnedPositions(6, 4, rng=0), Tensor(np.zeros((2, 3, 4), np.float32))
    y = layer(x)
    np.testing.assert_array_equal(y.data[1], layer.weight.data[:3])
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.data, 2 * (np.arange(6) < 3)[:, None] * np.ones((6, 4)))
    for shape in ((2, 7, 4), (2, 3, 5), (3, 4)):
        with pytest.raises(ShapeError, match="at most 6, 4"):
            layer(Tensor(np.zeros(shape, np.float32)))


def test_interpolated_positions_keep_the_prefix_and_what_is_constant():
    table = hashed("t", (1, 2 + 12, 5))
    table[:, 2:, 1] = 0.7
    found = vit.interpolate_positions(table, (3, 4), (7, 5), prefix=2)
    assert found.shape == (1, 2 + 35, 5)
    np.testing.assert_array_equal(found[:, :2], table[:, :2])
    np.testing.assert_allclose(found[0, 2:, 1], 0.7, rtol=1e-12)
    assert vit.interpolate_positions(table, (3, 4), (3, 4), prefix=2) is table


def test_interpolation_doubles_a_grid_as_bicubic_resizing_does():
    """Values of the kernel with a = -0.75 at distances 0.25, 0.75, 1.25 and 1.75, by hand."""
    row = hashed("row", (6,))
    table = np.repeat(row[None, :], 6, axis=0).reshape(1, 36, 1)               # the same in each row
    found = vit.interpolate_positions(table, 6, 12, prefix=0).reshape(12, 12)
    kernel = np.array([-0.10546875, 0.87890625, 0.26171875, -0.03515625])     # at 1.25, 0.25, 0.75, 1.75
    np.testing.assert_allclose(found[:, 5], row[1:5] @ kernel, rtol=1e-12)    # pixel 5 lies at 2.25
    np.testing.assert_allclose(found[:, 6], row[1:5] @ kernel[::-1], rtol=1e-12)


def test_a_table_of_another_grid_is_refused():
    with pytest.raises(ShapeError, match="expected .1, 10, D."):
        vit.interpolate_positions(np.zeros((1, 9, 4)), 3, 5)


# Encoders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d, parameters", [(512, 3_152_384), (768, 7_087_872)])
def test_a_layer_has_12_d_squared_plus_13_d_parameters(d, parameters):
    """B3.8."""
    from ..cnn.paper import size
    for pre_norm in (False, True):
        assert size(lambda pre=pre_norm: vit.EncoderLayer(d, 8, pre_norm=pre))[0] == parameters == 12 * d * d + 13 * d


def norm(x, layer):
    x = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + layer.eps)
    return layer.weight.data * x + layer.bias.data


def attention(x, layer):
    """Equation 1 of Vaswani et al., one image and head at a time."""
    E, h = layer.embed_dim, layer.num_heads
    out = np.zeros_like(x)
    for n, k in np.ndindex(len(x), h):
        Q, K, V = (x[n] @ layer.in_proj_weight.data[i * E:(i + 1) * E].T + layer.in_proj_bias.data[i * E:(i + 1) * E]
                   for i in range(3))
        columns = slice(k * E // h, (k + 1) * E // h)
        e = np.exp(Q[:, columns] @ K[:, columns].T / np.sqrt(E // h))
        out[n][:, columns] = e / e.sum(axis=1, keepdims=True) @ V[:, columns]
    return out @ layer.out_proj.weight.data.T + layer.out_proj.bias.data


def ffn(x, layer):
    hidden = np.maximum(x @ layer.linear1.weight.data.T + layer.linear1.bias.data, 0)
    return hidden @ layer.linear2.weight.data.T + layer.linear2.bias.data


@pytest.mark.parametrize("pre_norm", [False, True])
def test_a_layer_follows_its_equations(pre_norm):
    layer, x = fill(vit.EncoderLayer(8, 2, 12, pre_norm=pre_norm)), hashed("x", (2, 5, 8))
    if pre_norm:
        h = x + attention(norm(x, layer.norm1), layer.self_attn)
        expected = h + ffn(norm(h, layer.norm2), layer)
    else:
        h = norm(x + attention(x, layer.self_attn), layer.norm1)
        expected = norm(h + ffn(h, layer), layer.norm2)
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-10, atol=1e-12)


def test_pre_norm_layers_with_zero_outputs_are_identities_up_to_the_last_norm():
    encoder, x = fill(vit.Encoder(3, 8, 2, pre_norm=True)), Tensor(hashed("x", (2, 5, 8)))
    for layer in encoder.layers:
        for out in (layer.self_attn.out_proj, layer.linear2):
            nn.init.assign(out.weight, np.zeros(out.weight.shape))
            nn.init.assign(out.bias, np.zeros(out.bias.shape))
        np.testing.assert_array_equal(layer(x).data, x.data)
    np.testing.assert_allclose(encoder(x).data, norm(x.data, encoder.norm), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_encoders_are_blind_to_order_without_positions(pre_norm):
    encoder, x = fill(vit.Encoder(2, 8, 2, pre_norm=pre_norm)), hashed("x", (2, 6, 8))
    order = np.random.default_rng(0).permutation(6)
    np.testing.assert_allclose(encoder(Tensor(x[:, order])).data, encoder(Tensor(x)).data[:, order], atol=1e-12)


def test_causal_encoders_do_not_see_later_tokens():
    encoder, x = fill(vit.Encoder(2, 8, 2)), hashed("x", (1, 6, 8))
    changed = x.copy()
    changed[:, 4:] = 9
    a, b = (encoder(Tensor(t), causal=True).data for t in (x, changed))
    np.testing.assert_array_equal(a[:, :4], b[:, :4])
    assert np.abs(a[:, 4:] - b[:, 4:]).min() > 0


def test_masked_keys_have_no_influence():
    encoder, x = fill(vit.Encoder(2, 8, 2, activation="gelu")), hashed("x", (2, 6, 8))
    kept = np.arange(6) < 4
    changed = x.copy()
    changed[:, 4:] = 9
    a, b = (encoder(Tensor(t), mask=np.broadcast_to(kept, (2, 1, 6))).data for t in (x, changed))
    np.testing.assert_array_equal(a[:, :4], b[:, :4])


def test_dropout_acts_in_training_only():
    encoder, x = vit.Encoder(1, 8, 2, dropout=0.5, rng=0), Tensor(hashed("x", (1, 6, 8)).astype(np.float32))
    assert not np.array_equal(encoder(x).data, encoder(x).data)
    encoder.eval()
    np.testing.assert_array_equal(encoder(x).data, encoder(x).data)


@pytest.mark.parametrize("make, words", [
    (lambda: vit.Encoder(0, 8, 2), "depth is 0"), (lambda: vit.EncoderLayer(8, 3), "expected a multiple of num_heads"),
    (lambda: vit.EncoderLayer(8, 2, activation="swish"), "activation is 'swish'"),
    (lambda: vit.EncoderLayer(8, 2, 0), "out_features is 0")])
def test_impossible_encoders_are_refused(make, words):
    with pytest.raises((ArgError, ShapeError), match=words):
        make()
