"""Autoregressive generation: each token is chosen from logits that depend on all tokens chosen before it.

    y_0 = SoS,   y_t ~ softmax(logits(source, y_0 .. y_{t-1}) / temperature),   until EoS             (1)

Greedy generation takes the most likely token, the limit of temperature 0. With a cache, step t computes one token
instead of t; results are the same.
"""

from typing import NamedTuple

import numpy as np

from ..autograd.modes import no_grad
from ..nn.check import integer, number


class Step(NamedTuple):
    """One step of generation: `logits` (N, V) and the `tokens` (N,) chosen from them."""

    logits: np.ndarray
    tokens: np.ndarray


def greedy(model, source, *, max_len, cached=True):
    """Generate with the most likely token at each step.

    Parameters
    ----------
    model : Transformer
        Used in evaluation mode and without a graph.
    source : int array (N, S)
    max_len : int
        Largest number of tokens to generate, EoS included.
    cached : bool, default True

    Returns
    -------
    int64 array (N, T), T <= max_len
        Without SoS. A row that ended has EoS and then `model.pad`; one that did not has no EoS.

    Raises
    ------
    ArgError
        For max_len below 1.
    """
    return _collect(generation_steps(model, source, most_likely, max_len=max_len, cached=cached))


def sample(model, source, *, max_len, temperature=1.0, cached=True, rng=None):
    """Generate by drawing from (1); parameters and result as `greedy`.

    Parameters
    ----------
    temperature : float > 0
        Below 1 the likely tokens become likelier; above 1 choices become more even.
    rng : numpy Generator, int or None
    """
    rng = np.random.default_rng(rng)
    number("sample", "temperature", temperature, low=0, open_low=True)
    choose = lambda logits: draw(logits, temperature=temperature, rng=rng)
    return _collect(generation_steps(model, source, choose, max_len=max_len, cached=cached))


def most_likely(logits):
    """Index (N,) of the largest of the logits (N, V), the first of equal ones."""
    return logits.argmax(axis=1)


def draw(logits, *, temperature=1.0, rng=None):
    """Draw from softmax(logits / temperature): (N, V) -> (N,).

    The largest of logits / temperature plus Gumbel noise is distributed in this way (Gumbel, 1954), and no
    exponential overflows.
    """
    rng = np.random.default_rng(rng)
    number("draw", "temperature", temperature, low=0, open_low=True)
    return (logits.astype(np.float64) / temperature + rng.gumbel(size=logits.shape)).argmax(axis=1)


def generation_steps(model, source, choose, *, max_len, cached=True):
    """Iterator over the `Step` of each token, until all rows ended or have `max_len`; rows that ended get `pad`.

    Parameters
    ----------
    choose : callable
        logits (N, V) -> tokens (N,), such as `most_likely`.
    model, source, max_len, cached
        As `greedy`.
    """
    integer("generate", "max_len", max_len)
    memory = _quietly(model, model.encode, source)
    return _steps(model, memory, choose, max_len, model.decoder.cache() if cached else None)


def _steps(model, memory, choose, max_len, cache):
    N = memory.tokens.shape[0]
    written, ended = np.full((N, 1), model.sos), np.zeros(N, bool)
    while not ended.all() and written.shape[1] <= max_len:
        new = written if cache is None else written[:, -1:]
        logits = _quietly(model, model.decode, new, memory, cache=cache).data[:, -1]
        tokens = np.where(ended, model.pad, choose(logits))
        ended = ended | (tokens == model.eos)
        written = np.concatenate([written, tokens[:, None]], axis=1)
        yield Step(logits, tokens)


def _quietly(model, function, *inputs, **options):
    """Call in evaluation mode and without a graph. Nothing of this lasts while the caller looks at a step."""
    with no_grad(), model.evaluating():
        return function(*inputs, **options)


def _collect(steps):
    return np.stack([step.tokens for step in steps], axis=1)
