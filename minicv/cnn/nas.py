r"""Architecture search by reinforcement learning (Zoph and Le, ICLR 2017).

A recurrent controller writes an architecture as a sequence of tokens, one for each decision. The network it describes
is trained, its accuracy is the reward R, and the controller is moved towards what was better than usual,

    grad J = E[ sum_t grad log p(a_t | a_1 ... a_(t-1)) (R - b) ]                                  (§3.2)

with b a moving average of earlier rewards. `cost_reward` also counts multiply-adds (Tan et al., MnasNet, CVPR 2019).
Departures: one process in place of a parameter server with 800 children at a time; no anchor points for skips;
multiply-adds in the place of MnasNet's measured latency, with one exponent on both sides of the target.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from ..autograd.index import take_along_axis
from ..autograd.shape import stack
from ..autograd.softmax import log_softmax
from ..errors import ArgError, ShapeError
from ..nn import Embedding, Linear, LSTMCell, Module
from ..nn.check import integer, number


class SearchSpace:
    """Decisions and the options of each.

    Parameters
    ----------
    choices : dict
        Name of a decision to its options, in the order in which they are made.

    Raises
    ------
    ArgError
        If there is no decision, or one without an option.

    >>> space = SearchSpace({"width": (16, 24, 32), "kernel": (3, 5)})
    >>> len(space), space.sizes, space.decode([2, 0])
    (6, (3, 2), {'width': 32, 'kernel': 3})
    """

    def __init__(self, choices):
        self.choices = {name: tuple(options) for name, options in choices.items()}
        if not self.choices or not all(self.choices.values()):
            raise ArgError(f"SearchSpace: choices is {self.choices}, expected decisions with at least one option each")

    @property
    def sizes(self):
        """Number of options of each decision."""
        return tuple(map(len, self.choices.values()))

    def __len__(self):
        """Number of architectures."""
        return math.prod(self.sizes)

    def decode(self, tokens):
        """{decision: option} of one row of tokens, integers (T,)."""
        return {name: options[k] for (name, options), k in zip(self.choices.items(), self._check(tokens), strict=True)}

    def index(self, tokens):
        """Place of a row of tokens among `tokens()`."""
        return int(np.ravel_multi_index(tuple(self._check(tokens)), self.sizes))

    def tokens(self):
        """All architectures, the last decision running fastest: int64 (n, T)."""
        return np.array(list(itertools.product(*map(range, self.sizes))), np.int64)

    def _check(self, tokens):
        tokens = np.asarray(tokens).tolist()
        if np.shape(tokens) != (len(self.sizes),):
            raise ArgError(f"SearchSpace: tokens is {tokens}, expected one for each of {', '.join(self.choices)}")
        return [integer("SearchSpace", f"token of {name}", k, low=0, high=size - 1)
                for name, k, size in zip(self.choices, tokens, self.sizes, strict=True)]


# Controller ---------------------------------------------------------------------------------------------------------


class Controller(Module):
    """A distribution over architectures: an LSTM that reads each token before it writes the next.

    Parameters
    ----------
    space : SearchSpace
    hidden : int, default 32
        Units of the LSTM and of the embedding of a token.
    rng : numpy Generator, int or None
    """

    def __init__(self, space, *, hidden=32, rng=None):
        rng, self.space = np.random.default_rng(rng), space
        self.cell = LSTMCell(hidden, hidden, rng=rng)
        self.embed = Embedding(1 + sum(space.sizes), hidden, std=hidden ** -0.5, rng=rng)      # row 0: the start
        self.heads = [Linear(hidden, size, rng=rng) for size in space.sizes]

    def sample(self, n, *, rng=None):
        """n architectures: tokens int64 (n, T) and their log-probabilities, a Tensor (n,)."""
        rng = np.random.default_rng(rng)
        return self._walk(integer("Controller", "n", n), lambda t, log_p: draw(log_p, rng=rng))

    def log_prob(self, tokens):
        """Log-probabilities, a Tensor (n,), of tokens (n, T)."""
        tokens, sizes = np.asarray(tokens), self.space.sizes
        if tokens.dtype.kind not in "iu" or tokens.ndim != 2 or tokens.shape[1] != len(sizes):
            raise ArgError(f"Controller: tokens has shape {tokens.shape} and dtype {tokens.dtype}, expected integers "
                           f"(n, {len(sizes)})")
        if not ((tokens >= 0) & (tokens < sizes)).all():
            raise ArgError(f"Controller: tokens reach from {tokens.min(axis=0)} to {tokens.max(axis=0)}, expected "
                           f"within [0, {sizes})")
        return self._walk(len(tokens), lambda t, log_p: tokens[:, t])[1]

    def _walk(self, n, choose):
        """Tokens that `choose` gives for each step, and the sum of their log-probabilities."""
        previous, state, first, tokens, total = np.zeros(n, np.int64), None, 1, [], []
        for t, head in enumerate(self.heads):
            state = self.cell(self.embed(previous), state)
            log_p = log_softmax(head(state[0]))
            tokens.append(choose(t, log_p.data).astype(np.int64))
            total.append(take_along_axis(log_p, tokens[t][:, None], axis=1)[:, 0])
            previous, first = first + tokens[t], first + self.space.sizes[t]
        return np.stack(tokens, axis=1), stack(*total).sum(axis=0)


def draw(log_p, *, rng=None):
    """One index from each row of log-probabilities (n, K): int64 (n,)."""
    rng, steps = np.random.default_rng(rng), np.exp(np.asarray(log_p, np.float64)).cumsum(axis=1)
    below = steps < rng.random((len(steps), 1)) * steps[:, -1:]         # the last sum is 1 only up to rounding
    return below.sum(axis=1)


# Policy gradient ----------------------------------------------------------------------------------------------------


def policy_loss(log_prob, rewards, baseline=0.0):
    """-mean(log p(a) (R - b)): its gradient is minus that of the expected reward, on average.

    Parameters
    ----------
    log_prob : Tensor (n,)
        Of sampled architectures.
    rewards : array (n,)
    baseline : float
        b; any number that does not depend on the samples leaves the average gradient as it is.

    Raises
    ------
    ShapeError
        For another number of rewards than of log-probabilities.
    """
    if np.shape(rewards) != log_prob.shape:
        raise ShapeError(f"policy_loss: rewards has shape {np.shape(rewards)}, expected {log_prob.shape}, one for each "
                         "log-probability")
    advantage = (np.asarray(rewards, np.float64) - baseline).astype(log_prob.dtype)
    return -(log_prob * advantage).mean()


def cost_reward(accuracy, macs, *, target, exponent=-0.07):
    """accuracy (macs / target)^exponent: twice the cost must bring 5 % more accuracy (MnasNet, eq. 2).

    Parameters
    ----------
    accuracy : float in [0, 1]
    macs, target : float > 0
        Multiply-adds of the network, and how many there should be.
    exponent : float <= 0, default -0.07
    """
    accuracy = number("cost_reward", "accuracy", accuracy, low=0, high=1)
    macs, target = (number("cost_reward", name, value, low=0, open_low=True)
                    for name, value in (("macs", macs), ("target", target)))
    return accuracy * (macs / target) ** number("cost_reward", "exponent", exponent, high=0)


class Record(NamedTuple):
    """What a search tried, in order."""

    tokens: np.ndarray          # int64 (episodes, T)
    rewards: np.ndarray         # float64 (episodes,)
    baselines: np.ndarray       # float64 (episodes,): what each reward was compared with


def search(controller, reward, optimizer, *, episodes, batch=1, decay=0.9, rng=None, progress=iter):
    """Train a controller with REINFORCE (Williams, 1992); returns the `Record`.

    Parameters
    ----------
    controller : Controller
    reward : function from {decision: option} to a float
        Such as the accuracy of the network on validation images.
    optimizer : Optimizer
        Of the parameters of the controller.
    episodes : int
        Architectures to try, a multiple of `batch`.
    batch : int, default 1
        Architectures for each step of the optimizer.
    decay : float in [0, 1], default 0.9
        Of the moving average of rewards, which begins with those of the first batch.
    rng : numpy Generator, int or None
    progress : function that wraps an iterable

    Raises
    ------
    ArgError
        For a reward that is not a finite number, before the controller is changed by it.
    """
    rng, decay = np.random.default_rng(rng), number("search", "decay", decay, low=0, high=1)
    batch = integer("search", "batch", batch)
    if integer("search", "episodes", episodes) % batch:
        raise ArgError(f"search: episodes is {episodes}, expected a multiple of batch = {batch}")
    record, baseline = [], None
    for _ in progress(range(episodes // batch)):
        tokens, log_prob = controller.sample(batch, rng=rng)
        rewards = np.array([_reward(reward, controller.space.decode(row)) for row in tokens])
        baseline = rewards.mean() if baseline is None else baseline
        optimizer.zero_grad()
        policy_loss(log_prob, rewards, baseline).backward()
        optimizer.step()
        record += zip(tokens, rewards, itertools.repeat(baseline))
        baseline = decay * baseline + (1 - decay) * rewards.mean()
    return Record(*(np.array(column) for column in zip(*record, strict=False)))


def _reward(reward, architecture):
    return number("search", f"reward of {architecture}", reward(architecture))
