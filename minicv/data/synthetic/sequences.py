"""D10: `SeqToy`, short sequences to be copied, reversed, sorted, or dates to be written another way."""

from datetime import date
from string import ascii_lowercase

import numpy as np

from ...errors import ArgError, DTypeError, ShapeError
from .stream import Stream

__all__ = ["SeqToy", "pad_sequences", "pad_collate", "PAD", "SOS", "EOS"]

PAD, SOS, EOS = 0, 1, 2                     # fills up a batch, starts and ends a target
SPECIAL = ("PAD", "SoS", "EoS")
ALPHABET = "0123456789.-" + ascii_lowercase
TASKS = {"copy": lambda s: s, "reverse": lambda s: s[::-1], "sort": np.sort}
FIRST_DAY, LAST_DAY = date(1000, 1, 1), date(2999, 12, 31)


class SeqToy(Stream):
    """Pairs of token sequences.

    ======  ========  =====  ======================================================
    field   shape     dtype  meaning
    ======  ========  =====  ======================================================
    source  (L,)      int64  symbols, numbers 3 .. vocabulary + 2
    target  (T + 2,)  int64  SOS, the answer of T symbols, EOS; T = L but for dates
    ======  ========  =====  ======================================================

    Tokens 0, 1, 2 are `PAD`, `SOS`, `EOS`; a model has `num_tokens` = vocabulary + 3 of them, with the
    names `symbols`. Sequences differ in length: stack them with `pad_collate`, or all with `arrays()`.

    Parameters
    ----------
    task : "copy", "reverse", "sort" or "date"
        "date" turns ``4.11.2026`` into ``2026-11-04``: days and months change places with the year and may
        get a zero in front; it needs the vocabulary of 12 (ten digits, ``.`` and ``-``) and max_len >= 10.
    length : int
        Number of pairs.
    max_len, min_len : int
        L is drawn evenly from min_len .. max_len (a date has 8 .. 10 symbols). Among short sequences a test set
        has ones of the training set: there are only vocabulary ** L.
    vocabulary : int, 2 .. 38
        Number of symbols, drawn evenly.

    >>> data = SeqToy("date", 3)
    >>> sample = data[0]
    >>> data.text(sample["source"]), data.text(sample["target"])
    ('2.4.2701', '2701-04-02')
    """

    def __init__(self, task: str, length: int = 4000, *, max_len: int = 10, min_len: int = 1, vocabulary: int = 12,
                 seed: int = 0, first: int = 0):
        super().__init__(length, seed=seed, first=first)
        if task not in (*TASKS, "date"):
            raise ArgError(f"SeqToy: task is {task!r}, expected one of {(*TASKS, 'date')}")
        _integer("vocabulary", vocabulary, 2, len(ALPHABET))
        _integer("max_len", max_len, 1, None)
        _integer("min_len", min_len, 1, max_len)
        if task == "date" and (vocabulary != 12 or max_len < 10):
            raise ArgError(f"SeqToy: vocabulary and max_len are {vocabulary} and {max_len}, expected 12 and at "
                           "least 10 for dates")
        self.task, self.max_len, self.min_len, self.vocabulary = task, max_len, min_len, vocabulary
        self.symbols = SPECIAL + tuple(ALPHABET[:vocabulary])
        self.num_tokens = len(self.symbols)

    def draw(self, rng):
        source, answer = self._date(rng) if self.task == "date" else self._symbols(rng)
        return {"source": source, "target": np.concatenate([[SOS], answer, [EOS]])}

    def _symbols(self, rng):
        source = len(SPECIAL) + rng.integers(self.vocabulary, size=rng.integers(self.min_len, self.max_len + 1))
        return source, TASKS[self.task](source)

    def _date(self, rng):
        day = date.fromordinal(rng.integers(FIRST_DAY.toordinal(), LAST_DAY.toordinal() + 1).item())
        return self.tokens(f"{day.day}.{day.month}.{day.year}"), self.tokens(day.isoformat())

    def tokens(self, text: str) -> np.ndarray:
        """The tokens (L,) of a text of symbols; ArgError names a character that is not one."""
        for letter in text:
            if letter not in self.symbols:
                raise ArgError(f"SeqToy.tokens: text has {letter!r}, expected characters of "
                               f"{''.join(self.symbols[len(SPECIAL):])!r}")
        return np.array([self.symbols.index(letter) for letter in text], np.int64)

    def text(self, tokens) -> str:
        """Tokens as text; PAD, SOS and EOS are left out."""
        return "".join(self.symbols[t] for t in tokens if t >= len(SPECIAL))

    def arrays(self) -> dict[str, np.ndarray]:
        """All pairs, filled up with PAD: source (N, S), target (N, T + 2)."""
        return pad_collate([self[i] for i in range(self.length)])


def pad_sequences(sequences: list) -> np.ndarray:
    """Sequences of different lengths as rows (N, longest) int64, filled up with PAD at the end.

    >>> pad_sequences([np.array([3, 4]), np.array([5])])
    array([[3, 4],
           [5, 0]])
    """
    if len(sequences) == 0:
        raise ArgError("pad_sequences: sequences is empty, expected at least one sequence")
    rows = [np.asarray(s) for s in sequences]
    for i, row in enumerate(rows):
        if row.ndim != 1:
            raise ShapeError(f"pad_sequences: sequence {i} has shape {row.shape}, expected (L,)")
        if row.dtype.kind not in "iu":
            raise DTypeError(f"pad_sequences: sequence {i} has dtype {row.dtype}, expected integers")
    padded = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
    for out, row in zip(padded, rows, strict=True):
        out[:len(row)] = row
    return padded


def pad_collate(samples: list) -> dict[str, np.ndarray]:
    """Batch of pairs, for ``DataLoader(..., collate=pad_collate)``: source (B, S), target (B, T + 2)."""
    return {name: pad_sequences([sample[name] for sample in samples]) for name in ("source", "target")}


def _integer(name, value, low, high):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low or (high and value > high):
        limits = f">= {low}" if high is None else f"in [{low}, {high}]"
        raise ArgError(f"SeqToy: {name} is {value!r}, expected an integer {limits}")
