"""Attention as it is defined.

Proved: every form equals loops over queries and keys, and the fast ops and layers of the library; masks, boolean and
added, causal, and queries that see nothing; worked examples B3.4-B3.6; symmetries (order of tokens, own query only,
kept keys and values); heads taken apart give the layer again; gradients; refusals.
"""

import numpy as np
import pytest

from minicv import nn
from minicv.autograd import Tensor, gradcheck
from minicv.autograd.attention import scaled_dot_product_attention
from minicv.autograd.shape import concat
from minicv.errors import ArgError, DTypeError, ShapeError
from minicv.vit.attention import (
    AdditiveAttention,
    ProjectedAttention,
    dot_product_attention,
    scaled_dot_attention,
    split_heads,
    weigh,
)

pytestmark = pytest.mark.ch3


def rows(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def softmax(s):
    e = [np.exp(v - max(s)) for v in s]
    return [v / sum(e) for v in e]


def by_loops(q, k, v, mask=None, scale=1.0):
    """One query after the other; mask (N, M) is added."""
    out, weights = [], []
    for i in range(len(q)):
        score = [scale * sum(a * b for a, b in zip(q[i], k[j], strict=True)) + (0 if mask is None else mask[i][j])
                 for j in range(len(k))]
        weights.append(softmax(score))
        out.append(sum(w * row for w, row in zip(weights[-1], v, strict=True)))
    return np.array(out), np.array(weights)


def test_dot_product_attention_equals_loops_and_finds_a_row():
    x, y = rows(4, 3), rows(5, 3, seed=1)
    for got, expected in zip(dot_product_attention(x, y), by_loops(x, y, y), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-12)
    q, _ = np.linalg.qr(rows(5, 5))
    np.testing.assert_allclose(dot_product_attention(100 * q[2:3], q).output[0], q[2], atol=1e-12)


@pytest.mark.parametrize("mask", [None, "added", "boolean"])
def test_scaled_attention_equals_loops_and_the_fast_op(mask):
    q, k, v = rows(4, 6), rows(5, 6, seed=1), rows(5, 3, seed=2)
    keep = rows(4, 5, seed=3) > -0.5
    keep[:, 0] = True
    added = {None: None, "added": np.where(keep, rows(4, 5), -np.inf), "boolean": np.where(keep, 0, -np.inf)}[mask]
    given = keep if mask == "boolean" else added
    got = scaled_dot_attention(q, k, v, given)
    for a, b in zip(got, by_loops(q, k, v, added, 6 ** -0.5), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_allclose(got.output, scaled_dot_product_attention(q, k, v, given), atol=1e-12)


def test_worked_examples():
    """B3.4, B3.5, B3.6."""
    output, weights = scaled_dot_attention(np.array([[1.0, 0]]), np.eye(2), 10 * np.eye(2))
    np.testing.assert_allclose(weights, [[0.6698, 0.3302]], atol=5e-5)
    np.testing.assert_allclose(output, [[6.698, 3.302]], atol=5e-4)
    causal = weigh(np.zeros((4, 4)), causal=True)
    np.testing.assert_allclose(causal, np.tri(4) / np.arange(1, 5)[:, None], atol=1e-15)
    zeroed = weigh(np.zeros((4, 4))) * np.tri(4)
    assert zeroed[1].sum() == 0.5
    np.testing.assert_allclose(zeroed / zeroed.sum(axis=1, keepdims=True), causal, atol=1e-15)


def test_a_causal_mask_hides_the_future_exactly():
    layer, x = ProjectedAttention(6, rng=0).astype(np.float64), rows(1, 5, 6)
    changed = x.copy()
    changed[:, 3:] += 1
    before, after = (layer(Tensor(a), causal=True).data for a in (x, changed))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3:] - after[:, 3:]).max() > 0.1
    assert layer.with_weights(Tensor(x), causal=True).weights.data[0, 0].tolist() == [1, 0, 0, 0, 0]


def test_self_attention_follows_a_permutation_of_its_tokens():
    layer, x, order = ProjectedAttention(6, rng=0).astype(np.float64), rows(5, 6), np.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(layer(Tensor(x[order])).data, layer(Tensor(x)).data[order], atol=1e-12)


def test_cross_attention_treats_queries_one_by_one_and_may_keep_keys_and_values():
    layer = ProjectedAttention(4, 6, 5, 3, bias=True, rng=0).astype(np.float64)
    x, y = Tensor(rows(4, 4)), Tensor(rows(7, 6))
    whole = layer(x, y)
    keys, values = layer.memory(y)
    for i in range(4):
        alone = layer.attend(x[i:i + 1], keys, values).output
        np.testing.assert_allclose(alone.data[0], whole.data[i], atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_a_layer_is_its_heads_side_by_side(heads, bias):
    layer = nn.MultiHeadAttention(8, heads, bias=bias, rng=0).astype(np.float64)
    x = Tensor(rows(2, 5, 8))
    parts = [head.with_weights(x, causal=True) for head in split_heads(layer)]
    expected = layer.with_weights(x, causal=True)
    np.testing.assert_allclose(layer.out_proj(concat(*(p.output for p in parts), axis=-1)).data, expected.output.data,
                               atol=1e-12)
    for i, part in enumerate(parts):
        np.testing.assert_allclose(part.weights.data, expected.weights.data[:, i], atol=1e-12)


def test_additive_attention_equals_loops():
    layer = AdditiveAttention(3, 4, 5, rng=0).astype(np.float64)
    s, h = rows(2, 3, 3), rows(2, 6, 4, seed=1)
    kept = np.array([[True] * 6, [True] * 4 + [False] * 2])
    W, U, v = (m.weight.data for m in (layer.query, layer.key, layer.score))
    got = layer(Tensor(s), Tensor(h), mask=kept[:, None])
    for n, t in np.ndindex(2, 3):
        count = kept[n].sum()
        a = softmax([float(v[0] @ np.tanh(W @ s[n, t] + U @ h[n, j])) for j in range(count)])
        np.testing.assert_allclose(got.weights.data[n, t], a + [0] * (6 - count), atol=1e-12)
        np.testing.assert_allclose(got.output.data[n, t], sum(w * h[n, j] for j, w in enumerate(a)), atol=1e-12)
    known = layer(Tensor(s), Tensor(h), layer.key(Tensor(h)), mask=kept[:, None])
    np.testing.assert_array_equal(known.output.data, got.output.data)


def test_gradients():
    mask = np.where(np.tri(3, dtype=bool), 0.3, -np.inf)
    for function in (lambda q, k, v: scaled_dot_attention(q, k, v, mask).output,
                     lambda q, k, v: dot_product_attention(q, k, causal=True).output + v):
        gradcheck(function, [rows(3, 4), rows(3, 4, seed=1), rows(3, 4, seed=2)])


@pytest.mark.parametrize("mask", [np.array([[True, True], [False, False]]), np.array([[0, 0], [-np.inf, -np.inf]])])
def test_a_query_that_sees_nothing_is_refused_or_zero(mask):
    q = rows(2, 3)
    with pytest.raises(ArgError, match=r"hides all keys from query \(1,\).*empty='zero'"):
        scaled_dot_attention(q, q, q, mask)
    output, weights = scaled_dot_attention(q, q, q, mask, empty="zero")
    assert not output[1].any() and not weights[1].any() and np.isclose(weights[0].sum(), 1)


@pytest.mark.parametrize("error, match, call", [
    (ShapeError, "project them first", lambda: dot_product_attention(rows(2, 3), rows(2, 4))),
    (ShapeError, "of one width", lambda: scaled_dot_attention(rows(2, 3), rows(2, 4), rows(2, 4))),
    (ShapeError, "a value for each key", lambda: scaled_dot_attention(rows(2, 3), rows(4, 3), rows(5, 3))),
    (ShapeError, "as many keys as queries", lambda: weigh(np.zeros((2, 3)), causal=True)),
    (ShapeError, "at least one key", lambda: weigh(np.zeros((2, 0)))),
    (ShapeError, "mask has shape", lambda: weigh(np.zeros((2, 3)), np.ones((3, 3), bool))),
    (DTypeError, "mask has dtype int64", lambda: weigh(np.zeros((2, 2)), np.ones((2, 2), int))),
    (ArgError, r"NaN or \+inf", lambda: weigh(np.zeros((2, 2)), np.full((2, 2), np.nan))),
    (ArgError, "empty is 'nan'", lambda: weigh(np.zeros((2, 2)), empty="nan")),
    (ShapeError, "AdditiveAttention: s has shape", lambda: AdditiveAttention(3, 4, 5)(rows(2, 3), rows(2, 6, 4))),
])
def test_what_does_not_fit_is_refused(error, match, call):
    with pytest.raises(error, match=match):
        call()
