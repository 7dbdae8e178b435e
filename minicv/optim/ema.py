"""A moving average of the weights: smoother, and often better, than the last ones."""

import contextlib

import numpy as np

from ..errors import ArgError, CheckpointError
from .fused import pieces
from .optimizer import same_layout


class EMA:
    r""":math:`\bar\theta \leftarrow d\,\bar\theta + (1-d)\,\theta` after each step.

    Parameters
    ----------
    params : iterable of Tensor
        The average starts as a copy of them. Buffers such as batch-norm statistics are not averaged.
    decay : float in [0, 1)
        Memory of about 1/(1 - decay) steps.
    warmup : bool
        Use min(decay, (1 + t)/(10 + t)) at step t, so that the start is forgotten sooner.

    Reference: Polyak & Juditsky, SIAM J. Control Optim. 1992; in this form Tarvainen & Valpola, NeurIPS 2017.

    >>> # ema = EMA(model.parameters(), 0.999)
    >>> # optimizer.step(); ema.update()
    >>> # with ema.applied(): evaluate(model)
    """

    def __init__(self, params, decay=0.999, *, warmup=False):
        self.params = list(params)
        if not self.params:
            raise ArgError("EMA: params is empty, expected at least one parameter")
        if not 0 <= decay < 1:
            raise ArgError(f"EMA: decay is {decay!r}, expected a number in [0, 1)")
        self.decay, self.warmup, self.t = decay, warmup, 0
        self.averages = [p.data.copy(order="K") for p in self.params]

    def update(self):
        """Take the present parameters into the average."""
        self.t += 1
        d = min(self.decay, (1 + self.t) / (10 + self.t)) if self.warmup else self.decay
        self.averages = [same_layout(a, p.data) for a, p in zip(self.averages, self.params, strict=True)]
        for p, average in zip(self.params, self.averages, strict=True):
            for mean, value, w in pieces(average, p.data):
                np.subtract(value, mean, out=w)
                w *= 1 - d
                mean += w                                     # mean + (1 - d)(value - mean)

    @contextlib.contextmanager
    def applied(self):
        """Inside the ``with`` block the parameters hold the averages; afterwards their own values again."""
        own = [p.data.copy(order="K") for p in self.params]
        try:
            for p, average in zip(self.params, self.averages, strict=True):
                p.data = average
            yield
        finally:
            for p, values in zip(self.params, own, strict=True):
                p.data = values

    def state_dict(self):
        """Step count and copies of the averages."""
        return {"t": self.t, "averages": [a.copy(order="K") for a in self.averages]}

    def load_state_dict(self, saved):
        """Take over a saved state; CheckpointError, with nothing changed, if shapes or dtypes differ."""
        ours = [(a.shape, a.dtype) for a in self.averages]
        theirs = [(a.shape, a.dtype) for a in saved["averages"]]
        if ours != theirs:
            raise CheckpointError(f"EMA.load_state_dict: saved has {theirs}, expected {ours}")
        self.t = int(saved["t"])
        for average, values in zip(self.averages, saved["averages"], strict=True):
            average[...] = values
