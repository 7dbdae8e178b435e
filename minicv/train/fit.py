"""The training loop, and everything that makes it safe to interrupt.

`fit` is the loop of the lecture: shuffle, take a batch, differentiate the loss, step. Around it `Run` holds what
must survive an interruption: weights, optimizer, schedule, average, random streams, place in the data, record. A run
that was stopped anywhere, also in the middle of an epoch, goes on bit by bit as if it had not been.
"""

import contextlib
import signal
import threading
import warnings
from pathlib import Path

import numpy as np

from ..autograd import Tensor, no_grad
from ..errors import ArgError, CheckpointError, DivergenceError
from ..files import check_writable
from ..optim import clip_grad_norm
from .checkpoint import decode, encode, load_latest, save_checkpoint
from .history import History, Log
from .progress import progress as progress_bar


def fit(model, loss, loader, optimizer, *, epochs, scheduler=None, clip_norm=None, ema=None, validate=None,
        rng=None, checkpoint=None, save_every=None, resume=False, log=None, progress=progress_bar):
    """Train `model` for `epochs` passes over `loader`.

    Parameters
    ----------
    model : Module
    loss : callable
        ``loss(model, batch) -> Tensor`` scalar, or a dict of named scalar Tensors, whose sum is minimised.
    loader : DataLoader
        Gives dict batches; its `state_dict` holds the place in the data.
    optimizer : Optimizer
    epochs : int
        Total number, also when resuming.
    scheduler : Scheduler, optional
        Stepped after every optimizer step.
    clip_norm : float, optional
        Clip the joint gradient norm.
    ema : EMA, optional
        Weight average, updated after every step.
    validate : callable, optional
        ``validate(model) -> dict of numbers``, called after each epoch in evaluation mode without a graph.
    rng : Generator, optional
        A random stream that `loss` uses; saved and restored with the rest.
    checkpoint : path, optional
        Saved after every epoch, every `save_every` steps, and on Ctrl-C or SIGTERM.
    resume : bool
        Go on from `checkpoint` if it exists.
    log : path, optional
        ``.csv`` or ``.jsonl`` file with one row per epoch.

    Returns
    -------
    History

    Raises
    ------
    DivergenceError
        When the loss is NaN or infinite: names step, learning rate, first bad tensor and last finite loss. The
        checkpoint still holds the last good state.
    KeyboardInterrupt
        After Ctrl-C, once the step is complete and saved. SIGTERM exits with status 143 in the same way.
    """
    if epochs < 1:
        raise ArgError(f"fit: epochs is {epochs}, expected at least 1")
    run = Run(model, loader, optimizer, scheduler, ema, rng, checkpoint)
    writer = Log(log) if log is not None else None
    if resume:
        run.resume()
    model.train()
    with deferred_signals() as stop:
        while run.epoch < epochs:
            for batch in progress(loader, desc=f"epoch {run.epoch + 1}/{epochs}"):
                train_step(run, loss, batch, clip_norm)
                if stop.signal or save_every and run.step % save_every == 0:
                    run.save()
                stop.leave()
            run.end_epoch(validate)
            if writer:
                writer.write(run.history)
            run.save()
            stop.leave()
    return run.history


def train_step(run, loss, batch, clip_norm=None):
    """One step of Algorithm "minibatch SGD": loss, gradient, update."""
    total, parts = _total(loss(run.model, batch))
    value = total.item()
    if not np.isfinite(value):
        raise _diverged(run, parts, value)
    run.optimizer.zero_grad()
    total.backward()
    if run.step == 0:
        _warn_if_idle(run)
    if clip_norm is not None:
        clip_grad_norm(run.model.parameters(), clip_norm)
    run.optimizer.step()
    if run.scheduler is not None:
        run.scheduler.step()
    if run.ema is not None:
        run.ema.update()
    run.record(value, parts)


class Run:
    """The state of a training run: what a checkpoint holds."""

    def __init__(self, model, loader, optimizer, scheduler=None, ema=None, rng=None, checkpoint=None):
        self.model, self.loader, self.optimizer = model, loader, optimizer
        self.scheduler, self.ema, self.rng, self.checkpoint = scheduler, ema, rng, checkpoint
        self.epoch, self.step, self.history, self.sums, self.batches = 0, 0, History(), {}, 0
        if checkpoint is not None:
            check_writable(checkpoint)              # before the first step, not after an hour

    def record(self, value, parts):
        """Count a finished step and add its losses to the means of the epoch."""
        self.step += 1
        self.batches += 1
        self.history.losses.append(value)
        for name, part in {"loss": value, **parts}.items():
            self.sums[name] = self.sums.get(name, 0.0) + part

    def end_epoch(self, validate):
        """Close the epoch: mean losses, validation, a row in the history."""
        row = {"epoch": self.epoch + 1, "step": self.step, "lr": self.optimizer.param_groups[0]["lr"]}
        row |= {name: total / max(self.batches, 1) for name, total in self.sums.items()}
        if validate is not None:
            with no_grad(), self.model.evaluating():
                row |= {name: float(v) for name, v in validate(self.model).items()}
        self.history.rows.append(row)
        self.epoch, self.sums, self.batches = self.epoch + 1, {}, 0

    def save(self):
        """Write the checkpoint, unless there is none or a parameter is not finite."""
        if self.checkpoint is None:
            return
        for name, p in self.model.named_parameters():
            if not np.isfinite(p.data).all():
                raise DivergenceError(f"fit: parameter {name} is not finite after step {self.step}; "
                                      f"the checkpoint still holds the last good state")
        save_checkpoint(self.checkpoint, self.state_dict())

    def _parts(self):
        return {"optimizer": self.optimizer, "loader": self.loader, "history": self.history} | {
            name: part for name, part in (("scheduler", self.scheduler), ("ema", self.ema)) if part is not None}

    def state_dict(self):
        """Everything needed to go on bit by bit."""
        return {"epoch": self.epoch, "step": self.step, "sums": self.sums, "batches": self.batches,
                "model": self.model.state_dict(), "random": self.model.random_state(),
                "rng": None if self.rng is None else self.rng.bit_generator.state,
                **{name: part.state_dict() for name, part in self._parts().items()}}

    def resume(self):
        """Load the newest good checkpoint; nothing happens where none was ever written."""
        if self.checkpoint is None:
            raise ArgError("fit: resume is True but checkpoint is None, expected the path to resume from")
        try:
            state, used = load_latest(self.checkpoint)
        except CheckpointError:
            if not _exists(self.checkpoint):
                return
            raise
        if used != Path(self.checkpoint):
            warnings.warn(f"fit: {str(self.checkpoint)!r} is damaged or missing; going on from {str(used)!r}",
                          stacklevel=3)
        self.load_state_dict(state)

    def load_state_dict(self, state):
        """Restore all parts; CheckpointError, and nothing has changed, if the run was set up differently."""
        expected = set(self.state_dict())
        if set(state) != expected:
            raise CheckpointError(f"fit: the checkpoint holds {sorted(state)}, expected {sorted(expected)}; "
                                  "was the run started with other options?")
        before = decode(encode(self.state_dict()))      # a copy
        try:
            self._load(state)
        except Exception:                               # all parts or none
            self._load(before)
            raise

    def _load(self, state):
        self.model.load_state_dict(state["model"])
        self.model.load_random_state(state["random"])
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        if self.rng is not None:
            self.rng.bit_generator.state = state["rng"]
        self.epoch, self.step = state["epoch"], state["step"]
        self.sums, self.batches = state["sums"], state["batches"]


def _exists(checkpoint):
    path = Path(checkpoint)
    return path.exists() or path.with_name(path.name + ".prev").exists()


def _total(losses):
    """The scalar to minimise, and the values of its named parts."""
    if isinstance(losses, Tensor):
        return losses, {}
    parts = list(losses.items())
    total = parts[0][1]
    for _, part in parts[1:]:
        total = total + part
    return total, {name: part.item() for name, part in parts if name != "loss"}


def _diverged(run, parts, value):
    """DivergenceError that names the first thing that is not finite."""
    named = [(f"loss {name!r}", v) for name, v in parts.items()]
    named += [(f"parameter {name}", p.data) for name, p in run.model.named_parameters()]
    named += [(f"buffer {name}", b.data) for name, b in run.model.named_buffers()]
    bad = next((name for name, v in named if not np.isfinite(v).all()), "the loss itself")
    last = run.history.losses[-1] if run.history.losses else None
    return DivergenceError(f"fit: the loss is {value} at step {run.step} (lr {run.optimizer.param_groups[0]['lr']:g}); "
                           f"first tensor that is not finite: {bad}; last finite loss: {last}")


def _warn_if_idle(run):
    """C14: a first step that cannot learn anything deserves a word."""
    rates = [group["lr"] for group in run.optimizer.param_groups]
    if not any(rates):
        warnings.warn(f"fit: all learning rates are {rates}; nothing will change", stacklevel=3)
    grads = [p.grad.data for p in run.model.parameters() if p.grad is not None]
    if not any(np.any(g) for g in grads):
        warnings.warn("fit: all gradients of the first step are zero", stacklevel=3)


class _Stop:
    """A signal that asked for the end of the run."""

    signal = None

    def leave(self):
        """Exit as the signal would have, now that the step is complete."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


@contextlib.contextmanager
def deferred_signals():
    """Inside, the first Ctrl-C or SIGTERM only sets ``stop.signal``; the second acts at once."""
    stop, earlier = _Stop(), {}

    def ask(number, frame):
        if stop.signal is not None:
            stop.leave()
        stop.signal = number

    if threading.current_thread() is threading.main_thread():
        earlier = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
