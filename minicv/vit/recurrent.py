r"""Translating before the transformer: one recurrent network reads a sequence, another one writes the answer.

    reading    h_j = [f(y_j, h_{j-1}); b(y_j, h_{j+1})],   s_0 = tanh(W [last of f; last of b])
    writing    s_t = f(token_{t-1}, c_t, s_{t-1}),   next token ~ softmax(V [s_t; c_t])

Without attention c_t is missing: all that the writer knows of the source is the vector s_0, however long the source is
(Sutskever et al., NIPS 2014; Cho et al., EMNLP 2014). With attention c_t is an average of the h_j whose weights depend
on s_{t-1} (Bahdanau et al., ICLR 2015, eq. 3-7; `AdditiveAttention`).

Departures: both may read in both directions or from the end only; s_0 is made of the last states of both directions,
where Bahdanau et al. take that of the backward one; the next token comes from s_t and c_t by one linear map instead of
a maxout layer that also sees s_{t-1} and the token before; the LSTM's second state starts from its own map of the
reader's. Batches are padded with `PAD`; what is
padded changes nothing.
"""

import numpy as np

from ..autograd.elementwise import tanh, where
from ..autograd.modes import no_grad
from ..autograd.shape import concat, stack
from ..data import EOS, PAD, SOS
from ..errors import ArgError, ShapeError
from ..nn import Embedding, GRUCell, Linear, LSTMCell, Module
from ..nn.check import choice, integer
from ..nn.linear import affine
from .attention import AdditiveAttention, Attention

CELLS = {"gru": GRUCell, "lstm": LSTMCell}


class RecurrentReader(Module):
    """Reads tokens from the last to the first, and from the first to the last as well.

    Parameters
    ----------
    num_tokens, hidden : int
        Width of the embedding and of each direction.
    cell : "gru" or "lstm"
    both : bool
        False reads from the end only; the states are then half as wide.
    rng : numpy Generator, int or None
    """

    def __init__(self, num_tokens, hidden, *, cell="gru", both=True, rng=None):
        rng = np.random.default_rng(rng)
        choice("RecurrentReader", "cell", cell, tuple(CELLS))
        self.embed = Embedding(num_tokens, hidden, rng=rng)
        self.back = CELLS[cell](hidden, hidden, rng=rng)
        self.ahead = CELLS[cell](hidden, hidden, rng=rng) if both else None
        self.width = 2 * hidden if both else hidden

    def forward(self, source, kept):
        """source (N, S) and kept (N, S), True for tokens -> h (N, S, width) and the last states, (N, width) each."""
        x = self.embed(source)
        order = range(x.shape[1])
        h, last = _scan(self.back, x, kept, reversed(order))
        h = stack(*reversed(h), axis=1)
        if self.ahead is None:
            return h, last
        ahead, end = _scan(self.ahead, x, kept, order)
        return concat(stack(*ahead, axis=1), h, axis=2), [concat(a, b, axis=1) for a, b in zip(end, last, strict=True)]


def _scan(cell, x, kept, order):
    """Outputs in the order of reading and the last state; a state passes over padding unchanged."""
    step, outputs = type(cell).step, []
    projected = affine(x, cell.weight_ih, cell.bias_ih)                       # of all steps at once
    state = (np.zeros((x.shape[0], cell.hidden_size), x.dtype),) * cell.states
    for t in order:
        new = step(projected[:, t], state, cell.weight_hh, cell.bias_hh)
        here = kept[:, t:t + 1]
        state = new if here.all() else tuple(where(here, n, s) for n, s in zip(new, state, strict=True))
        outputs.append(state[0])
    return outputs, state


class RecurrentTranslator(Module):
    """Reader and writer, with attention or with nothing but one vector between them.

    Parameters
    ----------
    num_tokens : int
    hidden : int, default 64
    attention : bool, default True
    cell : "gru" or "lstm"
    both : bool, default True
        Read in both directions; otherwise from the end only, as Sutskever et al.
    rng : numpy Generator, int or None

    Raises
    ------
    ShapeError
        When called, for a source of length 0 or not (N, S), or tokens that are not (N, T) with T >= 1.
    ArgError
        When called, for a source that is all padding, or a token that is not in [0, num_tokens).
    """

    def __init__(self, num_tokens, hidden=64, *, attention=True, cell="gru", both=True, rng=None):
        rng, name = np.random.default_rng(rng), type(self).__name__
        choice(name, "cell", cell, CELLS)
        self.num_tokens, self.hidden = integer(name, "num_tokens", num_tokens), integer(name, "hidden", hidden)
        self.reader = RecurrentReader(num_tokens, hidden, cell=cell, both=both, rng=rng)
        context = self.reader.width if attention else 0
        self.bridges = [Linear(self.reader.width, hidden, rng=rng) for _ in range(CELLS[cell].states)]
        self.embed = Embedding(num_tokens, hidden, rng=rng)
        self.writer = CELLS[cell](hidden + context, hidden, rng=rng)
        self.attention = AdditiveAttention(hidden, context, hidden, rng=rng) if attention else None
        self.out = Linear(hidden + context, num_tokens, rng=rng)

    def forward(self, source, tokens):
        """Logits (N, T, num_tokens) of what follows each of `tokens` (N, T), from source (N, S).

        In training `tokens` is the answer without its last token, and what should follow is the answer without its
        first one.
        """
        return self.with_weights(source, tokens).output

    def with_weights(self, source, tokens):
        """As calling it, but returns Attention(logits, weights (N, T, S)); weights are None without attention."""
        memory, state = self.read(source)
        if np.ndim(tokens) != 2 or np.shape(tokens)[0] != np.shape(source)[0] or not np.shape(tokens)[1]:
            raise ShapeError(f"RecurrentTranslator: tokens has shape {np.shape(tokens)}, expected "
                             f"({np.shape(source)[0]}, T) with at least one token")
        steps = []
        for word in self.embed(tokens).transpose(1, 0, 2):
            features, state, weights = self.step(word, state, memory)
            steps.append((features, weights))
        features, weights = zip(*steps, strict=True)
        logits = self.out(stack(*features, axis=1))
        return Attention(logits, None if memory is None else concat(*weights, axis=1))

    def read(self, source):
        """What the writer gets: memory (h, its keys, mask), or None without attention, and its first state."""
        source = np.asarray(source)
        if source.ndim != 2 or 0 in source.shape:
            raise ShapeError(f"RecurrentTranslator: source has shape {source.shape}, expected (N, S), neither empty")
        kept = source != PAD
        if not kept.any(axis=1).all():
            raise ArgError(f"RecurrentTranslator: source {kept.any(axis=1).argmin()} is only padding, expected tokens")
        h, last = self.reader(source, kept)
        state = tuple(tanh(bridge(s)) for bridge, s in zip(self.bridges, last, strict=True))
        memory = (h, self.attention.key(h), kept[:, None]) if self.attention else None
        return memory, state

    def step(self, word, state, memory):
        """One written token: word (N, hidden) -> features (N, hidden + context), next state, weights (N, 1, S)."""
        if memory is None:
            state = self.writer.advance(word, state)
            return state[0], state, None
        h, keys, mask = memory
        context, weights = self.attention(state[0][:, None], h, keys, mask=mask)
        state = self.writer.advance(concat(word, context[:, 0], axis=1), state)
        return concat(state[0], context[:, 0], axis=1), state, weights

    def translate(self, source, max_len=12):
        """Write the most likely token again and again: Attention(tokens (N, T) int64, weights (N, T, S) or None).

        T is at most `max_len`; it ends when all answers have an EOS, and what follows an EOS is PAD.
        """
        integer("RecurrentTranslator.translate", "max_len", max_len)
        with no_grad(), self.evaluating():
            memory, state = self.read(source)
            token, done, steps = np.full(len(source), SOS), np.zeros(len(source), bool), []
            while len(steps) < max_len and not done.all():
                features, state, weights = self.step(self.embed(token), state, memory)
                token = np.where(done, PAD, self.out(features).data.argmax(axis=1))
                done |= token == EOS
                steps.append((token, None if weights is None else weights.data))
        tokens, weights = zip(*steps, strict=True)
        return Attention(np.stack(tokens, axis=1), None if memory is None else np.concatenate(weights, axis=1))
