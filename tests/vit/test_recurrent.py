"""Recurrent translators.

Proved: padding changes nothing; one pass over the answer equals step after step; writing ends at EOS or the limit;
without attention all of the source is one vector; it learns a toy task; refusals.
"""

import numpy as np
import pytest

from minicv.autograd import Tensor
from minicv.data import EOS, PAD, SOS, SeqToy
from minicv.errors import ArgError, ShapeError
from minicv.nn import cross_entropy
from minicv.optim import Adam
from minicv.vit import RecurrentTranslator

pytestmark = pytest.mark.ch3
each_kind = pytest.mark.parametrize("settings", [
    dict(attention=True), dict(attention=False), dict(attention=True, both=False),
    dict(attention=True, cell="lstm"), dict(attention=False, cell="lstm")])


def translator(**settings):
    return RecurrentTranslator(15, 8, rng=0, **settings).astype(np.float64)


@each_kind
def test_padding_changes_nothing(settings):
    model, data = translator(**settings), SeqToy("reverse", 6, min_len=2)
    batch = data.arrays()
    logits, weights = model.with_weights(batch["source"], batch["target"])
    for i, sample in enumerate(data):
        alone = model.with_weights(sample["source"][None], sample["target"][None])
        np.testing.assert_allclose(logits.data[i, :len(sample["target"])], alone.output.data[0], atol=1e-12)
        if weights is not None:
            assert not weights.data[i, :, len(sample["source"]):].any()
            np.testing.assert_allclose(weights.data[i].sum(axis=-1), 1)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_reading_and_writing_follow_the_equations(cell):
    model = RecurrentTranslator(7, 4, cell=cell, rng=0).astype(np.float64)
    source, tokens = np.array([[3, 5, 4]]), np.array([[SOS, 6]])
    logits, weights = model.with_weights(source, tokens)
    x, back, ahead = model.reader.embed(source), {}, {}
    for cell, states, order in ((model.reader.back, back, (2, 1, 0)), (model.reader.ahead, ahead, (0, 1, 2))):
        state = (np.zeros((1, 4)),) * cell.states
        for j in order:
            states[j] = state = cell.advance(x[:, j], state)
    h = np.stack([side_by_side(ahead[j][0], back[j][0]) for j in range(3)], axis=1)
    s = [np.tanh(linear(bridge, side_by_side(a, b)))
         for a, b, bridge in zip(ahead[2], back[0], model.bridges, strict=True)]
    W, U, v = (part.weight.data for part in (model.attention.query, model.attention.key, model.attention.score))
    for t in range(2):
        e = np.exp(np.tanh((s[0] @ W.T)[:, None] + h @ U.T) @ v[0])
        a = e / e.sum()
        context = (a[:, :, None] * h).sum(axis=1)
        s = [part.data for part in model.writer.advance(side_by_side(model.embed.weight[tokens[:, t]], context), s)]
        np.testing.assert_allclose(weights.data[:, t], a, rtol=1e-12)
        np.testing.assert_allclose(logits.data[:, t], linear(model.out, side_by_side(s[0], context)), rtol=1e-11)


def side_by_side(a, b):
    return np.concatenate([getattr(a, "data", a), getattr(b, "data", b)], axis=1)


def linear(layer, x):
    return x @ layer.weight.data.T + layer.bias.data


@each_kind
def test_one_pass_equals_step_after_step(settings):
    model, sample = translator(**settings), SeqToy("copy", 1, min_len=5)[0]
    source, tokens = sample["source"][None], sample["target"][None]
    whole = model(source, tokens).data
    memory, state = model.read(source)
    for t, token in enumerate(tokens[0]):
        features, state, _ = model.step(model.embed(np.array([token])), state, memory)
        np.testing.assert_allclose(model.out(features).data[0], whole[0, t], atol=1e-12)


@each_kind
def test_writing_ends_at_EOS_or_at_the_limit(settings):
    model, source = translator(**settings), SeqToy("copy", 3, min_len=5).arrays()["source"]
    model.out.bias.data = np.where(np.arange(15) == 7, 100.0, 0)
    tokens, weights = model.translate(source, 4)
    assert tokens.tolist() == [[7] * 4] * 3 and (weights is None or weights.shape == (3, 4, source.shape[1]))
    model.out.bias.data = np.where(np.arange(15) == EOS, 100.0, 0)
    assert model.translate(source).output.tolist() == [[EOS]] * 3


def test_without_attention_the_source_is_one_vector():
    model = translator(attention=False)
    shapes = [[s.shape for s in model.read(np.full((1, S), 5))[1]] for S in (1, 4, 9)]
    assert model.read(np.full((1, 9), 5))[0] is None and shapes == [[(1, 8)]] * 3


def test_it_learns_to_reverse_two_tokens():
    data, model = SeqToy("reverse", 64, min_len=2, max_len=2, vocabulary=4).arrays(), RecurrentTranslator(7, 16, rng=0)
    steps = Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        steps.zero_grad()
        logits = model(data["source"], data["target"][:, :-1])
        cross_entropy(logits.reshape(-1, 7), data["target"][:, 1:].reshape(-1)).backward()
        steps.step()
    assert (model.translate(data["source"], 3).output == data["target"][:, 1:]).all()


@each_kind
def test_empty_sources_and_unknown_tokens_are_refused(settings):
    model, start = translator(**settings), np.array([[SOS]])
    for source in (np.zeros((1, 0), int), np.zeros((0, 3), int), np.array([3, 4])):
        with pytest.raises(ShapeError, match="source has shape"):
            model(source, start)
    with pytest.raises(ArgError, match="only padding"):
        model(np.array([[3, 4], [PAD, PAD]]), np.array([[SOS], [SOS]]))
    with pytest.raises(ValueError, match="15"):
        model(np.array([[3, 15]]), start)
    for tokens in (np.zeros((1, 0), int), np.array([[SOS], [SOS]]), np.array([SOS])):
        with pytest.raises(ShapeError, match="tokens has shape"):
            model(np.array([[3, 4]]), tokens)
    with pytest.raises(ArgError, match="max_len is 0"):
        model.translate(np.array([[3]]), 0)


def test_an_unknown_cell_is_refused():
    with pytest.raises(ArgError, match="cell is 'rnn'"):
        RecurrentTranslator(5, 4, cell="rnn")
    assert isinstance(translator()(np.array([[3]]), np.array([[SOS]])), Tensor)
