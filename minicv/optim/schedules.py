r"""Learning-rate schedules: pure functions of the step, and a `Scheduler` that applies one.

A schedule maps the step t = 0, 1, ... to a factor of the base learning rate. Schedules are closures and
compose: ``warmup(500, cosine(9_500))``. Past its end each keeps its last value.
"""

import math
from typing import NamedTuple

import numpy as np

from ..errors import ArgError, CheckpointError


def constant():
    """1 at every step."""
    return lambda t: 1.0


def step_decay(every, gamma=0.1):
    """gamma^(t // every): a drop every so many steps (He et al., CVPR 2016: 0.1 every 30 epochs)."""
    _check_count("step_decay", "every", every)
    _check_fraction("step_decay", "gamma", gamma)
    return lambda t: gamma ** (t // every)


def multistep(milestones, gamma=0.1):
    """gamma for each milestone that t has reached."""
    milestones = tuple(milestones)
    if not milestones or any(a >= b for a, b in zip((0, *milestones), milestones, strict=False)):
        raise ArgError(f"multistep: milestones is {milestones}, expected increasing steps > 0")
    _check_fraction("multistep", "gamma", gamma)
    return lambda t: gamma ** sum(t >= m for m in milestones)


def cosine(steps, final=0.0):
    """Half a cosine from 1 at t = 0 to `final` at t = `steps`.

    Reference: Loshchilov & Hutter, SGDR, ICLR 2017, eq. 5, without restarts.
    """
    _check_count("cosine", "steps", steps)
    _check_fraction("cosine", "final", final)
    return lambda t: final + (1 - final) * (1 + math.cos(math.pi * min(t / steps, 1.0))) / 2


def polynomial(steps, power=1.0, final=0.0):
    """(1 - t/steps)^power from 1 to `final`; power 0.9 is the "poly" rule of DeepLab (Chen et al. 2018)."""
    _check_count("polynomial", "steps", steps)
    _check_fraction("polynomial", "final", final)
    if not 0 < power < math.inf:
        raise ArgError(f"polynomial: power is {power!r}, expected a finite number > 0")
    return lambda t: final + (1 - final) * (1 - min(t / steps, 1.0)) ** power


def warmup(steps, then=None):
    """(t + 1)/steps for the first `steps` steps, then the schedule `then`, which starts from its own t = 0.

    The first step is already 1/steps, not 0. Reference: Goyal et al., arXiv 1706.02677, section 2.2.
    """
    _check_count("warmup", "steps", steps)
    then = constant() if then is None else then
    return lambda t: (t + 1) / steps if t < steps else then(t - steps)


def one_cycle(steps, rise=0.3, start=1 / 25, final=1e-4 / 25):
    """Up from `start` to 1 during the first `rise` of the steps, then down to `final`, both along half a cosine.

    Reference: Smith & Topin, arXiv 1708.07120. Departures: cosine instead of straight pieces, and the
    momentum stays constant; the defaults are PyTorch's.
    """
    _check_count("one_cycle", "steps", steps)
    if not 0 < rise < 1:
        raise ArgError(f"one_cycle: rise is {rise!r}, expected a number in (0, 1)")
    for name, value in {"start": start, "final": final}.items():
        _check_fraction("one_cycle", name, value)
    top, down = rise * steps, cosine(steps, final)
    up = cosine(steps, start)

    def schedule(t):
        if t < top:
            return up(steps * (1 - t / top))
        return down(steps * (t - top) / (steps - top))
    return schedule


class Scheduler:
    """Sets every group's learning rate to its own base rate times ``schedule(t)``.

    Parameters
    ----------
    optimizer : Optimizer
        The rate for t = 0 is set at once. The base rate is the group's ``lr`` at this moment.
    schedule : callable
        Step to factor >= 0.

    Call `step` after each ``optimizer.step()``; the rate is a function of t alone, so a resumed run goes
    on exactly. A group that is added later is scheduled from its own ``lr``.

    NB: PyTorch multiplies the previous rate instead, and so also keeps rates that were set by hand.
    """

    def __init__(self, optimizer, schedule):
        _factor(schedule, 0)
        self.optimizer, self.schedule, self.t, self._bases = optimizer, schedule, 0, []
        self._apply()

    @property
    def lr(self):
        """The present learning rates, one a group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self):
        """Go to t + 1. Before the optimizer's first step this skips the schedule's first value."""
        self.t += 1
        self._apply()

    def _apply(self):
        groups = self.optimizer.param_groups
        self._bases += [group["lr"] for group in groups[len(self._bases):]]
        factor = _factor(self.schedule, self.t)
        for group, base in zip(groups, self._bases, strict=True):
            group["lr"] = base * factor

    def state_dict(self):
        """t and the base rates. The schedule itself is code: make it again with the same arguments."""
        return {"t": self.t, "bases": list(self._bases)}

    def load_state_dict(self, saved):
        """Take over t and the base rates; CheckpointError if the number of groups differs."""
        if set(saved) != {"t", "bases"} or len(saved["bases"]) != len(self.optimizer.param_groups):
            raise CheckpointError(f"Scheduler.load_state_dict: saved is {saved!r}, expected t and "
                                  f"{len(self.optimizer.param_groups)} bases")
        self.t, self._bases = int(saved["t"]), list(saved["bases"])
        self._apply()


class LRRange(NamedTuple):
    """Result of `lr_range_test`: the rates tried and the loss with each."""

    lrs: np.ndarray
    losses: np.ndarray

    @property
    def steepest(self):
        """The rate at which the loss falls fastest against log(lr)."""
        if len(self.lrs) < 2:
            raise ArgError(f"LRRange.steepest: {len(self.lrs)} rates were tried, expected at least 2")
        return float(self.lrs[np.argmin(np.gradient(self.losses, np.log(self.lrs)))])


def lr_range_test(optimizer, loss_step, *, low=1e-6, high=1.0, steps=100, stop=4.0):
    """Train with a rate that grows from `low` to `high`, and put everything back.

    Parameters
    ----------
    optimizer : Optimizer
        Parameters, state and rates are restored at the end, also after an error.
    loss_step : callable
        Trains one step with the rates as they are and returns the loss as a float.
    low, high : float, 0 < low < high
    steps : int >= 2
        The rates are spaced evenly in their logarithm.
    stop : float > 1
        End early when the loss is not finite or above `stop` times the lowest so far.

    Returns
    -------
    LRRange, with finite losses only.

    Reference: Smith, WACV 2017, section 3.3.
    """
    if not 0 < low < high < math.inf:
        raise ArgError(f"lr_range_test: low, high is {low!r}, {high!r}, expected 0 < low < high")
    if not steps >= 2 or not stop > 1:
        raise ArgError(f"lr_range_test: steps, stop is {steps!r}, {stop!r}, expected steps >= 2 and stop > 1")
    saved, values = optimizer.state_dict(), [[p.data.copy() for p in g["params"]] for g in optimizer.param_groups]
    try:
        return _range(optimizer, loss_step, np.geomspace(low, high, steps), stop)
    finally:
        for group, arrays in zip(optimizer.param_groups, values, strict=True):
            for p, array in zip(group["params"], arrays, strict=True):
                p.data = array
        optimizer.load_state_dict(saved)


def _range(optimizer, loss_step, lrs, stop):
    losses = []
    for lr in lrs.tolist():
        for group in optimizer.param_groups:
            group["lr"] = lr
        loss = float(loss_step())
        if not math.isfinite(loss) or losses and loss > stop * min(losses):
            break
        losses.append(loss)
    return LRRange(lrs[:len(losses)], np.array(losses))


def _factor(schedule, t):
    factor = float(schedule(t))
    if not 0 <= factor < math.inf:
        raise ArgError(f"Scheduler: schedule({t}) is {factor}, expected a finite factor >= 0")
    return factor


def _check_count(function, name, value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgError(f"{function}: {name} is {value!r}, expected an integer >= 1")


def _check_fraction(function, name, value):
    if not 0 <= value <= 1:
        raise ArgError(f"{function}: {name} is {value!r}, expected a number in [0, 1]")
