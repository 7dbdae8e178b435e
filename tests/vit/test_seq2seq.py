"""Decoders, sequences and generation: equations, caches, masks, counts, teacher forcing, refusals.

Proved: decoder layers follow their equations (written out here); a cache changes nothing; no token sees a later one,
exactly; padding has no influence; one pass gives the logits of step-by-step decoding; counts of the paper's sizes;
generation stops where it must; drawing follows the softmax; positions of a grid are those of the formula.
"""

import numpy as np
import pytest

from minicv import nn, vit
from minicv.autograd import Tensor
from minicv.errors import ArgError, DTypeError, ShapeError

from ..cnn.hashed import fill, hashed, hashed_weight
from ..cnn.paper import size
from .test_parts import ffn, norm

pytestmark = pytest.mark.ch3
SOURCE = np.array([[3, 5, 4, 6], [7, 3, 0, 0], [4, 0, 0, 0]])
TARGET = np.array([[1, 6, 4, 5, 3, 2], [1, 3, 7, 2, 0, 0], [1, 4, 2, 0, 0, 0]])


def model(**options):
    """A small transformer in float64; its three shared tables get the values of one."""
    net = vit.Transformer(9, 8, 2, 2, **options).astype(np.float64).eval()
    for name, p in net.named_parameters():
        nn.init.assign(p, hashed_weight(name, p.shape))
    return net


def attend(x, y, layer, visible):
    """Equation 1 of Vaswani et al. from x (L, E) to y (S, E), one head at a time."""
    E, h = layer.embed_dim, layer.num_heads
    parts = [(t @ layer.in_proj_weight.data[i * E:(i + 1) * E].T + layer.in_proj_bias.data[i * E:(i + 1) * E])
             for i, t in enumerate((x, y, y))]
    heads = []
    for k in range(h):
        q, key, value = (p[:, k * E // h:(k + 1) * E // h] for p in parts)
        e = np.exp(q @ key.T / np.sqrt(E // h)) * visible
        heads.append(e / e.sum(axis=1, keepdims=True) @ value)
    return np.concatenate(heads, axis=1) @ layer.out_proj.weight.data.T + layer.out_proj.bias.data


@pytest.mark.parametrize("pre_norm", [False, True])
def test_a_decoder_layer_follows_its_equations(pre_norm):
    layer = fill(vit.DecoderLayer(8, 2, 12, pre_norm=pre_norm))
    x, memory = hashed("x", (2, 5, 8)), hashed("memory", (2, 3, 8))
    found = layer(Tensor(x), Tensor(memory)).data
    for n in range(2):
        parts = [(layer.norm1, lambda t: attend(t, t, layer.self_attn, np.tri(5))),
                 (layer.norm2, lambda t, n=n: attend(t, memory[n], layer.multihead_attn, np.ones((5, 3)))),
                 (layer.norm3, lambda t: ffn(t, layer))]
        y = x[n]
        for part_norm, part in parts:
            y = y + part(norm(y, part_norm)) if pre_norm else norm(y + part(y), part_norm)
        np.testing.assert_allclose(found[n], y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_a_layer_has_16_d_squared_plus_19_d_parameters(pre_norm):
    assert size(lambda: vit.DecoderLayer(512, 8, pre_norm=pre_norm))[0] == 4_204_032 == 16 * 512**2 + 19 * 512


def test_the_base_model_has_the_layers_of_the_paper_and_one_table():
    made = size(lambda: vit.build_seq2seq("base", 37000))[0]
    assert made == 6 * (3_152_384 + 4_204_032) + 37000 * 512 == 63_082_496


def test_names_are_those_of_pytorch_and_the_table_is_shared():
    tied, apart = (vit.Transformer(9, 8, 1, 2, tie=tie, source_vocabulary=v) for tie, v in ((True, None), (False, 7)))
    assert [n for n, _ in apart.decoder.named_parameters() if "norm" not in n and "bias" not in n] == [
        "layers.0.self_attn.in_proj_weight", "layers.0.self_attn.out_proj.weight",
        "layers.0.multihead_attn.in_proj_weight", "layers.0.multihead_attn.out_proj.weight",
        "layers.0.linear1.weight", "layers.0.linear2.weight"]
    assert tied.output.weight is tied.source_embed.weight is tied.target_embed.weight
    extra = sum(p.size for p in apart.parameters()) - sum(p.size for p in tied.parameters())
    assert extra == 9 * 8 + 9 + 7 * 8


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("chunks", [[1] * 6, [2, 1, 3], [6]], ids=str)
def test_a_cache_changes_nothing(pre_norm, chunks):
    decoder = fill(vit.Decoder(2, 8, 2, pre_norm=pre_norm))
    x, memory = Tensor(hashed("x", (2, 6, 8))), Tensor(hashed("memory", (2, 3, 8)))
    cache, found, start = decoder.cache(), [], 0
    for n in chunks:
        found.append(decoder(x[:, start:start + n], memory, cache=cache).data)
        start += n
    np.testing.assert_allclose(np.concatenate(found, axis=1), decoder(x, memory).data, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("stack", [vit.Encoder, vit.Decoder])
def test_all_norms_of_a_stack_have_its_eps(stack):
    norms = [m for m in stack(1, 8, 2, pre_norm=True, eps=1e-3, rng=0).modules() if isinstance(m, nn.LayerNorm)]
    assert len(norms) == (3 if stack is vit.Encoder else 4) and all(m.eps == 1e-3 for m in norms)


def test_dropout_acts_on_the_sum_of_embedding_and_position():
    """With all of it dropped no token and no place makes a difference."""
    net = model().train()
    net.dropout.p = 1.0
    logits = net(np.array([[3, 4, 5]]), np.array([[1, 6, 7]])).data
    np.testing.assert_allclose(logits, np.broadcast_to(logits[:, :1], logits.shape), rtol=1e-12)
    np.testing.assert_allclose(net(np.array([[5, 3, 8]]), np.array([[1, 2, 4]])).data, logits, rtol=1e-12)


def test_no_token_sees_a_later_one():
    net = model()
    changed = TARGET[:, :-1].copy()
    changed[:, 3:] = 8
    memory = net.encode(SOURCE)
    a, b = (net.decode(t, memory).data for t in (TARGET[:, :-1], changed))
    np.testing.assert_array_equal(a[:, :3], b[:, :3])
    leak = [net.decode(t, memory, causal=False).data for t in (TARGET[:, :-1], changed)]
    assert np.abs(leak[0] - leak[1])[:, :3].max() > 0


def test_padding_of_the_source_has_no_influence():
    net = model()
    alone = net(SOURCE[1:2, :2], TARGET[1:2, :3]).data
    np.testing.assert_allclose(net(SOURCE, TARGET[:, :3]).data[1:2], alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"pre_norm": True, "positions": "learned"}, {"positions": "none"}], ids=str)
def test_one_pass_gives_the_logits_of_step_by_step_decoding(options):
    net = model(**options)
    inputs = vit.teacher_forcing(TARGET).inputs
    once = net(SOURCE, inputs).data
    memory = net.encode(SOURCE)
    for t in range(inputs.shape[1]):
        np.testing.assert_allclose(net.decode(inputs[:, :t + 1], memory).data[:, -1], once[:, t], atol=1e-10)


def test_embeddings_are_scaled_by_the_root_of_their_width():
    net = model(positions="none")
    np.testing.assert_allclose(net._embed(net.target_embed, None, SOURCE).data,
                               net.target_embed.weight.data[SOURCE] * np.sqrt(8), rtol=1e-14)


def test_loss_is_the_mean_over_tokens_that_are_not_padding():
    net = model()
    logits, expected = net(SOURCE, TARGET[:, :-1]).data, TARGET[:, 1:]
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    terms = [-np.log(p[n, t, expected[n, t]]) for n, t in zip(*np.nonzero(expected), strict=True)]
    np.testing.assert_allclose(net.loss(SOURCE, TARGET).item(), np.mean(terms), rtol=1e-12)


# Generation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "none"])
def test_generation_with_and_without_a_cache_is_the_same(positions):
    net = model(positions=positions)
    for make in (vit.greedy, lambda *a, **k: vit.sample(*a, rng=3, temperature=2.0, **k)):
        np.testing.assert_array_equal(make(net, SOURCE, max_len=7), make(net, SOURCE, max_len=7, cached=False))
    steps = [list(vit.generation_steps(net, SOURCE, vit.most_likely, max_len=5, cached=c)) for c in (True, False)]
    for a, b in zip(*steps, strict=True):
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-10)


def scripted(tokens):
    """A choice that plays tokens (N, T)."""
    columns = iter(np.transpose(tokens))
    return lambda logits: next(columns)


def test_generation_stops_when_all_rows_ended_or_at_the_limit():
    net, wanted = model(), [[5, 2, 4, 4], [4, 5, 6, 2], [2, 7, 7, 7]]
    steps = list(vit.generation_steps(net, SOURCE, scripted(wanted), max_len=9))
    found = np.stack([s.tokens for s in steps], axis=1)
    np.testing.assert_array_equal(found, [[5, 2, 0, 0], [4, 5, 6, 2], [2, 0, 0, 0]])
    assert len(list(vit.generation_steps(net, SOURCE, scripted([[5] * 9] * 3), max_len=6))) == 6


def test_generation_leaves_mode_and_gradients_as_they_were():
    net = vit.Transformer(9, 8, 1, 2, dropout=0.5, rng=0)
    np.testing.assert_array_equal(vit.greedy(net, SOURCE, max_len=4), vit.greedy(net, SOURCE, max_len=4))
    steps = vit.generation_steps(net, SOURCE, vit.most_likely, max_len=4)
    next(steps)
    assert net.training and net.loss(SOURCE, TARGET).requires_grad                    # between two steps


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_drawing_follows_the_softmax(temperature):
    logits = np.array([1.0, 0.0, -1.0, 2.0])
    p = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    counts = np.bincount(vit.draw(np.tile(logits, (40_000, 1)), temperature=temperature, rng=0), minlength=4)
    assert (np.abs(counts / 40_000 - p) < 5 * np.sqrt(p * (1 - p) / 40_000)).all()


# Positions ----------------------------------------------------------------------------------------------------


def test_tables_may_start_anywhere():
    np.testing.assert_array_equal(vit.sinusoidal(3, 6, start=4), vit.sinusoidal(7, 6)[4:])
    x, learned = Tensor(np.zeros((1, 2, 6), np.float32)), vit.LearnedPositions(7, 6, rng=0)
    np.testing.assert_array_equal(learned(x, start=5).data[0], learned.weight.data[5:7])
    with pytest.raises(ShapeError, match="after 6 others"):
        learned(x, start=6)
    with pytest.raises(ArgError, match="start is -1"):
        vit.sinusoidal(3, 6, start=-1)


def test_learned_tables_stretch_on_request():
    layer = vit.LearnedPositions(4, 2, interpolate=True, rng=0)
    nn.init.assign(layer.weight, np.tile([1.0, 2.0], (4, 1)))
    found = layer(Tensor(np.zeros((1, 9, 2), np.float32))).data[0]
    np.testing.assert_allclose(found, np.tile([1, 2], (9, 1)), rtol=1e-6)


@pytest.mark.parametrize("normalize, temperature", [(False, 10000), (True, 10000), (True, 20)])
def test_positions_of_a_grid_are_those_of_the_formula(normalize, temperature):
    """With loops; rows and columns count from 1 among the valid places."""
    valid = np.ones((2, 3, 4), bool)
    valid[1, 2:], valid[1, :, 3:] = False, False
    found = vit.sinusoidal_2d(valid, 8, normalize=normalize, temperature=temperature)
    for n, c, i, j in np.ndindex(found.shape):
        if not valid[n, i, j]:
            continue
        place, total = ((i + 1, [3, 2][n]) if c < 4 else (j + 1, [4, 3][n]))
        angle = (place * 2 * np.pi / (total + 1e-6) if normalize else place) / temperature ** (c % 4 // 2 * 2 / 4)
        np.testing.assert_allclose(found[n, c, i, j], np.cos(angle) if c % 2 else np.sin(angle), atol=1e-12)


# Refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target, words", [
    ([[1, 5, 6, 0]], "without EoS"), ([[5, 6, 2, 0]], "not starting with SoS"), ([[1, 0, 6, 2]], "padding = 0 inside"),
    ([[1, 5, 2, 6]], "a token after EoS"), ([[1, 5, 2, 2]], "a token after EoS")])
def test_malformed_targets_are_refused(target, words):
    with pytest.raises(ArgError, match=words):
        vit.teacher_forcing(np.array(target))


@pytest.mark.parametrize("call, error, words", [
    (lambda m: m.decoder(Tensor(np.zeros((1, 2, 8))), None), ArgError, "memory is None"),
    (lambda m: m.decoder(Tensor(np.zeros((1, 2, 8))), Tensor(np.zeros((2, 2, 8)))), ShapeError, "memory has shape"),
    (lambda m: m.decoder(Tensor(np.zeros((1, 2, 8))), Tensor(np.zeros((1, 2, 8))), causal=False,
                         cache=m.decoder.cache()), ArgError, "cache is given"),
    (lambda m: m(np.array([[3, 9]]), np.array([[1]])), ArgError, "ids is 9"),
    (lambda m: m(np.array([[0, 0]]), np.array([[1]])), ArgError, "padding only"),
    (lambda m: m(np.array([[3.0]]), np.array([[1]])), DTypeError, "integers"),
    (lambda m: m(np.zeros((1, 0), int), np.array([[1]])), ShapeError, "at least one token"),
    (lambda m: vit.greedy(m, SOURCE, max_len=0), ArgError, "max_len is 0"),
    (lambda m: vit.sample(m, SOURCE, max_len=3, temperature=0), ArgError, "temperature is 0"),
    (lambda m: vit.Transformer(2, 8, 1, 2), ArgError, "eos is 2"),
    (lambda m: vit.Transformer(9, 8, 1, 2, eos=1), ArgError, "three different"),
    (lambda m: vit.Transformer(9, 8, 0, 2), ArgError, "depth is 0"),
    (lambda m: vit.Transformer(9, 0, 1, 2), ArgError, "Transformer: dim is 0"),
    (lambda m: vit.Decoder(0, 8, 2), ArgError, "depth is 0"),
    (lambda m: vit.build_seq2seq("huge", 9), ArgError, "name is 'huge'"),
    (lambda m: vit.sinusoidal_2d(np.ones((1, 2, 2), bool), 6), ArgError, "multiple of 4"),
    (lambda m: vit.sinusoidal_2d(np.ones((1, 2, 2)), 8), ShapeError, "expected bool")])
def test_impossible_calls_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(model())
