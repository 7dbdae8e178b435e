"""Attention by hand; values and gradients of every case are generated from the registry.

Proved: rows of the weights sum to 1 or are empty; equal scores give the mean; a sharp score selects; order of keys is
irrelevant, order of queries is carried along; causal attention sees no future; masks by boolean and by -inf agree;
a query that sees nothing gives 0 with gradient 0 and no NaN; a constant added to all scores changes nothing.
"""

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd.attention import (
    attention_weights,
    attention_with_weights,
    masked_softmax,
    scaled_dot_product_attention,
)

pytestmark = pytest.mark.ch3


def qkv(L=4, S=6, D=3, E=5, lead=(2,)):
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal((*lead, *shape)) for shape in ((L, D), (S, D), (S, E)))


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_weights_are_a_distribution_over_the_keys():
    q, k, v = qkv()
    output, weights = attention_with_weights(q, k, v)
    close(weights.sum(axis=-1), np.ones((2, 4)))
    assert (weights > 0).all()
    close(output, weights @ v)
    close(output, scaled_dot_product_attention(q, k, v))


def test_equal_scores_give_the_mean_of_the_values():
    q, k, v = qkv()
    close(scaled_dot_product_attention(0 * q, k, v), np.repeat(v.mean(axis=1, keepdims=True), 4, axis=1))


def test_a_very_similar_key_is_selected():
    keys = np.eye(4)
    values = np.arange(8.0).reshape(4, 2)
    close(scaled_dot_product_attention(keys[[2, 0]], keys, values, scale=1e3), values[[2, 0]])


def test_the_default_scale_keeps_the_variance_of_the_scores():
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 200, 256))
    scores = np.log(attention_weights(q, k))
    assert 0.9 < (scores - scores.mean(axis=-1, keepdims=True)).var() < 1.1


def test_the_order_of_keys_does_not_matter_and_that_of_queries_is_kept():
    q, k, v = qkv()
    keys, queries = [3, 1, 5, 0, 2, 4], [2, 0, 3, 1]
    y = scaled_dot_product_attention(q, k, v)
    close(scaled_dot_product_attention(q, k[:, keys], v[:, keys]), y)
    close(scaled_dot_product_attention(q[:, queries], k, v), y[:, queries])


def test_causal_attention_sees_no_future():
    q, k, v = qkv(6, 6)
    y = scaled_dot_product_attention(q, k, v, causal=True)
    close(y[:, 0], v[:, 0])
    changed = v.copy()
    changed[:, 3:] += 100
    close(scaled_dot_product_attention(q, k, changed, causal=True)[:, :3], y[:, :3])
    np.testing.assert_array_equal(np.triu(attention_weights(q, k, causal=True), 1), 0)


def test_boolean_masks_and_minus_infinity_agree():
    q, k, v = qkv()
    keep = np.random.default_rng(1).random((4, 6)) > 0.5
    keep[:, 0] = True
    added = np.where(keep, 0.0, -np.inf)
    close(scaled_dot_product_attention(q, k, v, keep), scaled_dot_product_attention(q, k, v, added))
    close(scaled_dot_product_attention(q, k, v, np.ones((4, 6), bool)), scaled_dot_product_attention(q, k, v))


def test_a_hidden_key_might_as_well_be_absent():
    q, k, v = qkv()
    keep = np.array([True, False, True, True, False, True])
    close(scaled_dot_product_attention(q, k, v, keep), scaled_dot_product_attention(q, k[:, keep], v[:, keep]))


@pytest.mark.parametrize("mask", [np.zeros((4, 6), bool), np.full((4, 6), -np.inf)])
def test_a_query_that_sees_nothing_gives_zero_and_gradient_zero(mask):
    q, k, v = (Tensor(a, requires_grad=True) for a in qkv())
    y = scaled_dot_product_attention(q, k, v, mask)
    np.testing.assert_array_equal(y.data, 0)
    for g in grad(y.sum(), [q, k, v], create_graph=True):
        np.testing.assert_array_equal(g.data, 0)


def test_a_constant_added_to_all_scores_changes_nothing():
    s = np.random.default_rng(0).standard_normal((3, 5))
    close(masked_softmax(s + 1000.0), masked_softmax(s))
    close(masked_softmax(s)[:, :1] / masked_softmax(s), np.exp(s[:, :1] - s))


def test_extreme_scores_stay_finite():
    """L16."""
    s = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], np.float32)
    np.testing.assert_allclose(masked_softmax(s), [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)


def test_a_learned_position_bias_gets_its_gradient():
    q, k, v = qkv()
    bias = Tensor(np.zeros((4, 6)), requires_grad=True)
    g, = grad(scaled_dot_product_attention(q, k, v, bias).sum(), [bias])
    assert np.abs(g.data).min() > 0
    close(g.data.sum(axis=-1), np.zeros(4))              # weights sum to 1 whatever the bias


@pytest.mark.oracle
def test_attention_equals_torch():
    torch = pytest.importorskip("torch")
    attend = torch.nn.functional.scaled_dot_product_attention
    arrays = qkv(lead=(2, 3))
    t = [torch.tensor(a) for a in arrays]
    keep = np.random.default_rng(1).random((2, 1, 4, 6)) > 0.3
    bias = np.random.default_rng(2).standard_normal((4, 6))
    close(scaled_dot_product_attention(*arrays), attend(*t).numpy())
    close(scaled_dot_product_attention(*arrays, keep), attend(*t, torch.tensor(keep)).numpy())
    close(scaled_dot_product_attention(*arrays, bias, scale=0.3), attend(*t, torch.tensor(bias), scale=0.3).numpy())
    close(scaled_dot_product_attention(*arrays, causal=True), attend(*t, is_causal=True).numpy())
