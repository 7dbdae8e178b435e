"""Attention and recurrent layers against loops written from the papers' equations, one number at a time.

The values of the other layers are those of ops, whose oracles are in the registry; here it is shown that the
layers pass their settings on.
"""

import math

import numpy as np
import pytest

from minicv import nn
from minicv.autograd import conv, normalize, pool


def state_of(layer, seed=0):
    """Random float64 parameters, loaded into the layer and returned by name."""
    rng = np.random.default_rng(seed)
    layer.astype(np.float64)
    state = {k: rng.standard_normal(v.shape) for k, v in layer.state_dict().items()}
    layer.load_state_dict(state)
    return state


def affine(x, w, b):
    return [sum(float(w[o, i]) * x[i] for i in range(len(x))) + float(b[o]) for o in range(len(b))]


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


# Attention -------------------------------------------------------------------------------------------------


def attention(state, heads, q, k, v, visible):
    """Multi-head attention of one item: lists of vectors in, outputs and weights [head][l][s] out."""
    E, w, b = len(q[0]), state["in_proj_weight"], state["in_proj_bias"]
    d = E // heads
    Q, K, V = ([affine(x, w[i * E:(i + 1) * E], b[i * E:(i + 1) * E]) for x in xs] for i, xs in enumerate((q, k, v)))
    out, weights = [[0.0] * E for _ in q], []
    for h in range(heads):
        part = slice(h * d, (h + 1) * d)
        rows = []
        for i, query in enumerate(Q):
            e = [math.exp(sum(a * c for a, c in zip(query[part], key[part], strict=True)) / math.sqrt(d))
                 * visible(h, i, s) for s, key in enumerate(K)]
            rows.append([a / sum(e) for a in e])
            for c in range(d):
                out[i][h * d + c] = sum(rows[-1][s] * V[s][h * d + c] for s in range(len(V)))
        weights.append(rows)
    return [affine(y, state["out_proj.weight"], state["out_proj.bias"]) for y in out], weights


MASKS = {
    "none": ({}, lambda n, h, i, s: True),
    "causal": ({"causal": True}, lambda n, h, i, s: s <= i),
    "(L, S)": ({"mask": np.tri(4, 3, 1, dtype=bool)}, lambda n, h, i, s: s <= i + 1),
    "padding": ({"mask": np.array([[[True, True, False]], [[True, False, False]]])},
                lambda n, h, i, s: s < 2 - n),
    "heads": ({"mask": (np.arange(24).reshape(1, 2, 4, 3) % 5 > 0)}, lambda n, h, i, s: (h * 12 + i * 3 + s) % 5 > 0),
}


@pytest.mark.parametrize("name", MASKS)
def test_attention_equals_loops(name):
    settings, visible = MASKS[name]
    layer = nn.MultiHeadAttention(6, 2, rng=0)
    state, rng = state_of(layer), np.random.default_rng(1)
    q, k, v = (rng.standard_normal((2, n, 6)) for n in (4, 3, 3))
    y, w = layer.with_weights(q, k, v, **settings)
    alone = layer(q, k, v, **settings)                  # another way of computing: it never builds the weights
    for n in range(2):
        expected, weights = attention(state, 2, *(x[n].tolist() for x in (q, k, v)),
                                      lambda h, i, s, n=n: visible(n, h, i, s))
        np.testing.assert_allclose(y.data[n], expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(alone.data[n], expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(w.data[n], weights, rtol=1e-10, atol=1e-15)


def test_key_and_value_default_to_the_query_and_the_key():
    layer, rng = nn.MultiHeadAttention(6, 3, rng=0).astype(np.float64), np.random.default_rng(0)
    q, k = rng.standard_normal((1, 4, 6)), rng.standard_normal((1, 3, 6))
    np.testing.assert_allclose(layer(q).data, layer(q, q.copy(), q.copy()).data, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(layer(q, k).data, layer(q, k, k).data)


def test_a_hook_on_its_dropout_sees_the_weights():
    layer, seen = nn.MultiHeadAttention(6, 3, rng=0), []
    layer.dropout.register_forward_hook(lambda m, x, y: seen.append(y.data))
    layer(np.ones((1, 4, 6), np.float32))
    np.testing.assert_allclose(seen[0], np.full((1, 3, 4, 4), 0.25), rtol=1e-6)


# Recurrence ---------------------------------------------------------------------------------------------------


def gru_step(state, suffix, x, h):
    """Cho et al. 2014, eq. 5-8, with r after the product."""
    H = len(h)
    a = affine(x, state["weight_ih" + suffix], state["bias_ih" + suffix])
    u = affine(h, state["weight_hh" + suffix], state["bias_hh" + suffix])
    new = []
    for j in range(H):
        r, z = sigmoid(a[j] + u[j]), sigmoid(a[H + j] + u[H + j])
        n = math.tanh(a[2 * H + j] + r * u[2 * H + j])
        new.append((1 - z) * n + z * h[j])
    return (new,)


def lstm_step(state, suffix, x, h, c):
    """Gates i, f, g, o."""
    H = len(h)
    a = affine(x, state["weight_ih" + suffix], state["bias_ih" + suffix])
    u = affine(h, state["weight_hh" + suffix], state["bias_hh" + suffix])
    a = [p + q for p, q in zip(a, u, strict=True)]
    cells = [sigmoid(a[H + j]) * c[j] + sigmoid(a[j]) * math.tanh(a[2 * H + j]) for j in range(H)]
    return [sigmoid(a[3 * H + j]) * math.tanh(cells[j]) for j in range(H)], cells


STEPS = {"GRU": (gru_step, 1), "LSTM": (lstm_step, 2)}


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("given", [False, True])
def test_a_cell_equals_its_equations(kind, given):
    step, states = STEPS[kind]
    cell, rng = getattr(nn, kind + "Cell")(3, 2, rng=0), np.random.default_rng(1)
    state, x, start = state_of(cell), rng.standard_normal((4, 3)), rng.standard_normal((states, 4, 2))
    argument = (start[0] if states == 1 else tuple(start)) if given else None
    y = cell(x, argument)
    y = (y,) if states == 1 else y
    for n in range(4):
        expected = step(state, "", x[n].tolist(), *(s[n].tolist() if given else [0.0, 0.0] for s in start))
        np.testing.assert_allclose([t.data[n] for t in y], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", STEPS)
def test_two_bidirectional_layers_equal_loops_over_time(kind):
    step, states = STEPS[kind]
    layer, rng = getattr(nn, kind)(3, 2, num_layers=2, bidirectional=True, rng=0), np.random.default_rng(1)
    state, x, start = state_of(layer), rng.standard_normal((2, 5, 3)), rng.standard_normal((states, 4, 2, 2))
    y, last = layer(x, start[0] if states == 1 else tuple(start))
    last = (last,) if states == 1 else last
    for n in range(2):
        below = x[n].tolist()
        for k in range(2):
            outputs = [[] for _ in below]
            for direction, suffix in enumerate(("", "_reverse")):
                row = 2 * k + direction
                now = [s[row, n].tolist() for s in start]
                for t in reversed(range(5)) if suffix else range(5):
                    now = step(state, f"_l{k}{suffix}", below[t], *now)
                    outputs[t] = outputs[t] + now[0]
                np.testing.assert_allclose([s.data[row, n] for s in last], now, rtol=1e-11, atol=1e-13)
            below = outputs
        np.testing.assert_allclose(y.data[n], below, rtol=1e-11, atol=1e-13)


def test_a_sequence_is_the_cell_applied_step_by_step():
    layer, cell = nn.GRU(3, 2, rng=0), nn.GRUCell(3, 2, rng=1)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x, h = np.random.default_rng(0).standard_normal((2, 4, 3)).astype(np.float32), None
    y, last = layer(x)
    for t in range(4):
        h = cell(x[:, t], h)
        np.testing.assert_allclose(y.data[:, t], h.data, rtol=1e-6)
    np.testing.assert_array_equal(last.data[0], y.data[:, -1])


# Settings reach the op ---------------------------------------------------------------------------------------


def test_settings_are_passed_on():
    x = np.random.default_rng(0).standard_normal((2, 4, 7, 6)).astype(np.float32)
    settings = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}
    layer = nn.Conv2d(4, 6, (3, 2), rng=0, **settings)
    expected = conv.conv2d(x, layer.weight.data, layer.bias.data, **settings)
    np.testing.assert_array_equal(layer(x).data, expected)
    settings = {"stride": 3, "padding": 1, "output_padding": 2, "dilation": 2, "groups": 2}
    layer = nn.ConvTranspose2d(4, 6, 3, rng=0, **settings)
    expected = conv.conv_transpose2d(x, layer.weight.data, **settings)
    np.testing.assert_allclose(layer(x).data, expected, atol=1e-6)


@pytest.mark.parametrize("layer, function, size, settings", [
    (nn.MaxPool2d, pool.max_pool2d, {"size": 2}, {"stride": 1, "padding": 1, "dilation": 2, "ceil_mode": True}),
    (nn.AvgPool2d, pool.avg_pool2d, {"size": 3}, {"padding": 1, "ceil_mode": True, "count_include_pad": False}),
    (nn.L2Pool2d, pool.l2_pool2d, {"size": 3}, {"stride": 1, "padding": 1, "ceil_mode": True}),
    (nn.LocalResponseNorm, normalize.local_response_norm, {"size": 3}, {"alpha": 0.1, "beta": 0.5, "k": 2}),
])
def test_settings_of_layers_without_parameters_are_passed_on(layer, function, size, settings):
    x = np.random.default_rng(0).standard_normal((2, 4, 7, 6)).astype(np.float32)
    np.testing.assert_array_equal(layer(*size.values(), **settings)(x), function(x, **size, **settings))


def test_eps_and_affine_of_norms_are_passed_on():
    x = np.random.default_rng(0).standard_normal((2, 4, 7, 6)).astype(np.float32)
    for layer, expected in ((nn.GroupNorm(2, 4, eps=0.1, affine=False), normalize.group_norm(x, groups=2, eps=0.1)),
                            (nn.LayerNorm(6, eps=0.1, affine=False), normalize.layer_norm(x, eps=0.1)),
                            (nn.InstanceNorm2d(4, eps=0.1), normalize.instance_norm(x, eps=0.1))):
        np.testing.assert_array_equal(layer(x), expected)
