"""Mini-batches: `DataLoader` cuts an epoch into batches, in this process or in others.

Everything that is random follows from (seed, epoch, item), never from which process does the
work, so the batches are the same for any number of workers and a run can stop and go on anywhere.
"""

import multiprocessing
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from operator import index

import numpy as np

from ..errors import ArgError, CheckpointError, ConcurrencyError, DTypeError, ShapeError

__all__ = ["DataLoader", "default_collate"]


def default_collate(samples: list, *, lists: tuple = ()) -> dict:
    """Stack samples into a batch: arrays (...) of every field become one array (B, ...).

    Python numbers become int64 / float32 / bool arrays; text stays a list. Fields named in `lists`
    stay lists too: with ``functools.partial(default_collate, lists=("boxes",))`` images may have
    different numbers of boxes. Raises ShapeError naming the field whose shapes differ.
    """
    for i, sample in enumerate(samples):
        if not isinstance(sample, dict):
            raise DTypeError(f"default_collate: sample {i} is {type(sample).__name__}, "
                             "expected a dict of arrays")
        if sample.keys() != samples[0].keys():
            raise ArgError(f"default_collate: sample {i} has the fields {sorted(sample)}, "
                           f"expected {sorted(samples[0])} as in sample 0")
    columns = {name: [s[name] for s in samples] for name in samples[0]}
    return {name: column if name in lists else _stack(name, column)
            for name, column in columns.items()}


def _stack(name, column):
    if isinstance(column[0], str):
        return column
    shapes = {np.shape(value) for value in column}
    if len(shapes) > 1:
        raise ShapeError(f"default_collate: {name!r} has the shapes {sorted(shapes)}, expected "
                         "equal ones; resize them, or keep a list with lists=(...)")
    batch = np.stack([np.asarray(value) for value in column])
    return batch.astype(np.float32) if type(column[0]) is float else batch


class DataLoader:
    """Iterates over a data set in mini-batches; one ``for`` loop is one epoch.

    dataset: has ``len`` and ``dataset[i] -> dict of arrays``.
    batch_size: B; an epoch has U = ceil(N / B) batches, the last one may be smaller, or
        floor(N / B) with `drop_last`. B > N is refused unless `allow_smaller`.
    shuffle: a new order every epoch, drawn from (seed, epoch).
    seed: integer >= 0, or None for a fresh one (kept in `seed`).
    num_workers: 0 loads in this process; otherwise that many processes ('spawn') load ahead.
        The batches are the same. The data set, `transform` and `collate` must be picklable.
    collate: list of samples -> batch; `default_collate` if None.
    transform: f(sample, rng) -> sample; item i of an epoch gets ``default_rng([seed, epoch, i])``.

    ``state_dict()`` between two batches holds the position; after ``load_state_dict`` the next
    loop goes on with the very next batch. A loop that is left early is a finished epoch.
    Errors of an item keep their type and name the item.

    >>> from minicv.data import ArrayDataset
    >>> loader = DataLoader(ArrayDataset(x=np.arange(10)), 4)
    >>> [batch["x"].tolist() for batch in loader]
    [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """

    def __init__(self, dataset, batch_size: int = 32, *, shuffle: bool = False,
                 seed: int | None = 0, drop_last: bool = False, num_workers: int = 0,
                 collate=None, transform=None, allow_smaller: bool = False):
        self.batch_size = _check_integer("batch_size", batch_size, 1)
        self.num_workers = _check_integer("num_workers", num_workers, 0)
        entropy = np.random.SeedSequence().entropy if seed is None else seed
        self.seed = _check_integer("seed", entropy, 0)
        self.dataset, self.shuffle, self.drop_last = dataset, bool(shuffle), bool(drop_last)
        self._source = _Source(dataset, transform, collate or default_collate)
        self._position, self._started, self._pool = _Position(0, 0), False, None
        _check_batches(len(dataset), self.batch_size, self.drop_last, allow_smaller)

    def __len__(self):
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self):
        if self._started:  # an earlier loop was left: this is a new epoch
            self._position = _Position(self._position.epoch + 1, 0)
        self._started = True
        return self._batches(self._position)

    def _batches(self, position):
        chunks = self.order(position.epoch)
        tasks = [(self.seed, position.epoch, chunk) for chunk in chunks[position.batch:]]
        load = self._load_ahead if self.num_workers else self._load_here
        for batch in load(tasks):
            position.batch += 1
            yield batch
        if self._position is position:
            self._position, self._started = _Position(position.epoch + 1, 0), False

    def order(self, epoch: int) -> list[np.ndarray]:
        """The item numbers of every batch of an epoch."""
        items = np.arange(len(self.dataset))
        if self.shuffle:  # spawn_key: a stream of its own beside [seed, epoch, item]
            stream = np.random.SeedSequence((self.seed, epoch), spawn_key=(0,))
            items = np.random.default_rng(stream).permutation(items)
        return [items[b * self.batch_size:][:self.batch_size] for b in range(len(self))]

    def _load_here(self, tasks):
        return (self._source.batch(*task) for task in tasks)

    def _load_ahead(self, tasks):
        """Batches in order, at most two per worker under way."""
        waiting, tasks = deque(), deque(tasks)
        try:
            while tasks or waiting:
                while tasks and len(waiting) < 2 * self.num_workers:
                    waiting.append(self._submit(tasks.popleft()))
                yield waiting.popleft().result()
        except BrokenProcessPool as e:
            self.close()
            raise ConcurrencyError("DataLoader: a worker process died; it may be out of memory, "
                                   "or the script lacks `if __name__ == '__main__':`") from e
        finally:
            for future in waiting:
                future.cancel()

    def _submit(self, task):
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # forked workers hang in BLAS and Numba
            self._pool = ProcessPoolExecutor(self.num_workers, context, _set_source,
                                             (self._source,))
        try:
            return self._pool.submit(_batch_in_worker, *task)
        except (AttributeError, TypeError, ValueError, ImportError) as e:
            self.close()
            raise ArgError("DataLoader: dataset, transform or collate cannot be sent to a worker, "
                           f"expected picklable objects, or num_workers=0: {e}") from e

    def close(self) -> None:
        """End the worker processes; a later loop starts new ones."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _settings(self):
        return {"length": len(self.dataset), "batch_size": self.batch_size,
                "shuffle": self.shuffle, "drop_last": self.drop_last}

    def state_dict(self) -> dict:
        """Position (epoch, next batch), seed, and the settings that must agree on loading."""
        return {"epoch": self._position.epoch, "next_batch": self._position.batch,
                "seed": self.seed, **self._settings()}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state` was taken, with its seed; CheckpointError lists what disagrees."""
        mine = self._settings()
        wrong = [f"{k} is {state.get(k)!r}, expected {mine[k]!r}" for k in mine
                 if state.get(k) != mine[k]]
        numbers = [state.get(k) for k in ("epoch", "next_batch", "seed")]
        if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in numbers):
            wrong.append(f"(epoch, next_batch, seed) is {tuple(numbers)}, expected integers >= 0")
        elif numbers[1] > len(self):
            wrong.append(f"next_batch is {numbers[1]}, expected at most {len(self)}")
        if wrong:
            raise CheckpointError("DataLoader.load_state_dict: " + "; ".join(wrong))
        epoch, batch, self.seed = map(int, numbers)
        self._position, self._started = _Position(epoch, batch), False


class _Position:
    """Where a loop is. Each loop has its own, so that a forgotten one cannot move the loader."""

    def __init__(self, epoch, batch):
        self.epoch, self.batch = epoch, batch


class _Source:
    """Makes batches; the part of the loader that is sent to workers."""

    def __init__(self, dataset, transform, collate):
        self.dataset, self.transform, self.collate = dataset, transform, collate

    def batch(self, seed, epoch, items):
        return self.collate([self.item(seed, epoch, int(i)) for i in items])

    def item(self, seed, epoch, i):
        try:
            sample = self.dataset[i]
            if self.transform is None:
                return sample
            return self.transform(sample, np.random.default_rng([seed, epoch, i]))
        except Exception as e:
            raise _naming_item(e, i) from e


def _naming_item(error, i):
    """The error again with the item in its message, in a form that can travel between processes."""
    message = f"DataLoader: item {i}: {error}"
    try:
        named = type(error)(message)
        if named.args == (message,):
            return named
    except Exception:  # a constructor with other arguments
        pass
    return RuntimeError(f"DataLoader: item {i}: {type(error).__name__}: {error}")


_source = None  # of a worker process


def _set_source(source):
    global _source
    _source = source


def _batch_in_worker(seed, epoch, items):
    return _source.batch(seed, epoch, items)


def _check_integer(name, value, least):
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise ArgError(f"DataLoader: {name} is {value!r}, expected an integer >= {least}")
    return number


def _check_batches(length, batch_size, drop_last, allow_smaller):
    if length == 0:
        raise ArgError("DataLoader: dataset is empty, expected at least one item")
    if batch_size > length and drop_last:
        raise ArgError(f"DataLoader: batch_size is {batch_size} for {length} items and drop_last "
                       "is set: 0 batches, expected at least one")
    if batch_size > length and not allow_smaller:
        raise ArgError(f"DataLoader: batch_size is {batch_size}, expected at most the {length} "
                       "items of the data set; allow_smaller=True accepts one smaller batch")
