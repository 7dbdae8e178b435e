r"""The transformer: an encoder reads a sequence of tokens, a decoder writes another one.

    memory = encoder(sqrt(D) E[source] + positions)
    logits = W decoder(sqrt(D) E[tokens so far] + positions, memory)                                  (1)

It is trained on all tokens of a target in one pass, because a causal mask hides what comes later: `teacher_forcing`
(Williams and Zipser, Neural Computation 1989) moves the target by one place. Generating is in `generate`.

Reference: Vaswani et al., NIPS 2017, §3 and table 3. Departures: biases in all attention projections (see
`nn.MultiHeadAttention`).
"""

import math
from typing import NamedTuple

import numpy as np

from ..autograd.op import array
from ..errors import ArgError, DTypeError, ShapeError
from ..nn import Dropout, Embedding, Linear, Module, cross_entropy
from ..nn.check import choice, integer
from .decoder import Decoder
from .encoder import Encoder
from .position import LearnedPositions, SinusoidalPositions

POSITIONS = ("sinusoidal", "learned", "none")


class Spec(NamedTuple):
    """A row of table 3."""

    dim: int            # d_model
    depth: int          # N, layers of the encoder and of the decoder
    heads: int
    hidden: int         # d_ff
    dropout: float


SEQ2SEQ = {             # Vaswani et al., table 3; and small ones for sequences of a few symbols
    "base": Spec(512, 6, 8, 2048, 0.1),
    "big": Spec(1024, 6, 16, 4096, 0.3),
    "small": Spec(64, 2, 4, 256, 0.0),
    "tiny": Spec(32, 1, 2, 128, 0.0),
}


class Memory(NamedTuple):
    """What the decoder knows of the source: `tokens` (N, S, D), and the `mask` (N, 1, S) of those that count, or None
    where all do."""

    tokens: object
    mask: object


class Shifted(NamedTuple):
    """A target as the decoder is trained on it: `inputs` (N, T - 1), and `expected` (N, T - 1), -1 where nothing is."""

    inputs: np.ndarray
    expected: np.ndarray


def teacher_forcing(target, *, pad=0, sos=1, eos=2):
    """[SoS, t1 .. tn, EoS] becomes the inputs [SoS, t1 .. tn] and the expected tokens [t1 .. tn, EoS].

    Parameters
    ----------
    target : int array (N, T)
        Each row starts with `sos` and has one `eos`, after which only `pad` may follow.

    Returns
    -------
    Shifted
        Padding stays in the inputs, where no earlier token sees it, and is -1 among the expected ones.

    Raises
    ------
    ArgError
        Names the first row without SoS or EoS, with a token after EoS or padding before it.

    >>> teacher_forcing(np.array([[1, 7, 8, 2], [1, 9, 2, 0]])).expected.tolist()
    [[7, 8, 2], [9, 2, -1]]
    """
    target = _tokens("teacher_forcing", "target", target)
    ends = (target == eos).argmax(axis=1)                                     # 0 where there is none
    after = np.arange(target.shape[1]) > ends[:, None]
    for wrong, words in (((target[:, 0] != sos), f"not starting with SoS = {sos}"),
                         (~(target == eos).any(axis=1), f"without EoS = {eos}"),
                         (((target == pad) & ~after).any(axis=1), f"with padding = {pad} inside"),
                         (((target != pad) & after).any(axis=1), "with a token after EoS")):
        if wrong.any():
            n = wrong.argmax()
            raise ArgError(f"teacher_forcing: target has row {n} {words}, {target[n].tolist()}, expected "
                           "[SoS, tokens, EoS, padding]")
    return Shifted(target[:, :-1], np.where(after, -1, target)[:, 1:])


class Transformer(Module):
    """Equation (1): tokens of a source (N, S) and of a target so far (N, T) -> logits (N, T, target vocabulary).

    Parameters
    ----------
    vocabulary : int
        Tokens of the target; of the source too, unless `source_vocabulary` says otherwise.
    dim, depth, heads, hidden
        As `Encoder` and `Decoder`, which are equally deep.
    source_vocabulary : int, optional
        The source gets a table of its own.
    tie : bool, default True
        The output layer is the table of the target, without a bias (§3.4).
    positions : "sinusoidal", "learned" or "none"
    max_len : int, default 512
        Rows of learned tables.
    pre_norm, activation, dropout
        As `EncoderLayer`; dropout also after the sum of embeddings and positions.
    pad, sos, eos : int
        Tokens that fill up a batch, start and end a target.
    rng : numpy Generator, int or None
    """

    def __init__(self, vocabulary, dim, depth, heads, hidden=None, *, source_vocabulary=None, tie=True,
                 positions="sinusoidal", max_len=512, pre_norm=False, activation="relu", dropout=0.0,
                 pad=0, sos=1, eos=2, rng=None):
        rng, self.vocabulary = np.random.default_rng(rng), integer("Transformer", "vocabulary", vocabulary)
        integer("Transformer", "dim", dim)
        self.pad, self.sos, self.eos = _special(self.vocabulary, pad=pad, sos=sos, eos=eos)
        self.target_embed = Embedding(vocabulary, dim, std=dim ** -0.5, rng=rng)
        self.source_embed = (self.target_embed if source_vocabulary is None else
                             Embedding(source_vocabulary, dim, std=dim ** -0.5, rng=rng))
        self.source_positions, self.target_positions = (_positions(positions, max_len, dim, rng) for _ in range(2))
        self.dropout = Dropout(dropout, rng=rng)
        options = {"pre_norm": pre_norm, "activation": activation, "dropout": dropout, "rng": rng}
        self.encoder = Encoder(depth, dim, heads, hidden, **options)
        self.decoder = Decoder(depth, dim, heads, hidden, **options)
        self.output = Linear(dim, vocabulary, bias=not tie, rng=rng)
        if tie:
            self.output.weight = self.target_embed.weight

    def encode(self, source):
        """Tokens (N, S), filled up with `pad` at the end -> Memory."""
        source = _tokens("Transformer", "source", source)
        kept = source != self.pad
        if not kept.any(axis=1).all():
            raise ArgError(f"Transformer: source has row {kept.any(axis=1).argmin()} of padding only, expected at "
                           "least one token")
        mask = None if kept.all() else kept[:, None]
        return Memory(self.encoder(self._embed(self.source_embed, self.source_positions, source), mask=mask), mask)

    def decode(self, inputs, memory, *, causal=True, cache=None):
        """Logits (N, T, vocabulary) of what follows each of the tokens `inputs` (N, T).

        `memory` comes from `encode`; with a `cache` from ``decoder.cache()``, inputs are those after the ones it
        holds. ``causal=False`` lets tokens see later ones: for looking at what then goes wrong.
        """
        inputs = _tokens("Transformer", "inputs", inputs)
        start = 0 if cache is None or cache[0].past is None else cache[0].past[0].shape[2]
        x = self._embed(self.target_embed, self.target_positions, inputs, start)
        return self.output(self.decoder(x, memory.tokens, memory_mask=memory.mask, causal=causal, cache=cache))

    def forward(self, source, inputs, *, causal=True):
        """source (N, S), inputs (N, T) -> logits (N, T, vocabulary)."""
        return self.decode(inputs, self.encode(source), causal=causal)

    def loss(self, source, target, *, label_smoothing=0.0, causal=True):
        """Mean cross-entropy of the tokens of `target` (N, T) with SoS and EoS, padding left out: a scalar."""
        inputs, expected = teacher_forcing(target, pad=self.pad, sos=self.sos, eos=self.eos)
        logits = self(source, inputs, causal=causal).reshape(-1, self.vocabulary)
        return cross_entropy(logits, expected.reshape(-1), label_smoothing=label_smoothing)

    def _embed(self, table, positions, tokens, start=0):
        x = table(tokens) * math.sqrt(table.embedding_dim)                                   # §3.4
        return self.dropout(x if positions is None else positions(x, start=start))


def build_seq2seq(name, vocabulary, *, rng=None, **options):
    """Build a row of `SEQ2SEQ`, e.g. ``build_seq2seq("base", 37000)``; options as `Transformer`.

    >>> build_seq2seq("tiny", 15, rng=0)(np.array([[3, 4]]), np.array([[1, 4, 3]])).shape
    (1, 3, 15)
    """
    row = SEQ2SEQ[choice("build_seq2seq", "name", name, SEQ2SEQ)]
    return Transformer(vocabulary, *row[:4], rng=rng, **{"dropout": row.dropout} | options)


def _positions(kind, max_len, dim, rng):
    choice("Transformer", "positions", kind, POSITIONS)
    if kind == "none":
        return None
    return SinusoidalPositions() if kind == "sinusoidal" else LearnedPositions(max_len, dim, rng=rng)


def _special(vocabulary, **tokens):
    for name, token in tokens.items():
        integer("Transformer", name, token, low=0, high=vocabulary - 1)
    if len(set(tokens.values())) < len(tokens):
        raise ArgError(f"Transformer: pad, sos and eos are {tuple(tokens.values())}, expected three different tokens")
    return tokens.values()


def _tokens(where, name, tokens):
    """Integers (N, T), neither empty, as an array; the embedding checks that they are in the vocabulary."""
    tokens = array(tokens)
    if tokens.ndim != 2 or not tokens.size:
        raise ShapeError(f"{where}: {name} has shape {tokens.shape}, expected (N, T) with at least one token")
    if tokens.dtype.kind not in "iu":
        raise DTypeError(f"{where}: {name} has dtype {tokens.dtype}, expected integers")
    return tokens
