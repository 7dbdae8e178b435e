"""Token sequences, D10.

Proved here: fields, types, tokens and lengths as documented; item i depends only on (seed, first + i), not on order,
length, process or hash seed (T4); every answer is right by an independent rule (lists, `sorted`, the calendar of the
standard library); lengths and symbols are even; padding keeps every sequence and adds only PAD at the end; batches are
the same for any number of workers; impossible requests are refused.
"""

import re
from datetime import datetime

import numpy as np
import pytest

from minicv.data import EOS, PAD, SOS, DataLoader, SeqToy, pad_collate, pad_sequences
from minicv.errors import ArgError, DTypeError, ShapeError

ANSWERS = {"copy": list, "reverse": lambda s: list(reversed(s)), "sort": sorted}
every_task = pytest.mark.parametrize("task", [*ANSWERS, "date"])


def lists(data):
    return [(s["source"].tolist(), s["target"].tolist()) for s in data]


@every_task
def test_samples_follow_their_field_table(task):
    data = SeqToy(task, 200)
    assert data.num_tokens == len(data.symbols) == 15 and len({PAD, SOS, EOS}) == 3
    for sample in data:
        source, target = sample["source"], sample["target"]
        assert sample.keys() == {"source", "target"} and source.dtype == target.dtype == np.int64
        assert 1 <= len(source) <= 10 and 3 <= source.min() and source.max() < 15
        assert target[0] == SOS and target[-1] == EOS and (target[1:-1] >= 3).all()


@pytest.mark.parametrize("task", ANSWERS)
def test_answers_are_those_of_plain_lists(task):
    for source, target in lists(SeqToy(task, 300, vocabulary=7)):
        assert target[1:-1] == ANSWERS[task](source)


def test_dates_are_those_of_the_calendar():
    data = SeqToy("date", 300)
    for sample in data:
        source, target = data.text(sample["source"]), data.text(sample["target"])
        assert re.fullmatch(r"[1-9]\d?\.[1-9]\d?\.\d{4}", source) and len(sample["target"]) == 12
        day, month, year = source.split(".")
        assert datetime.strptime(f"{day:0>2}.{month:0>2}.{year}", "%d.%m.%Y") == datetime.fromisoformat(target)


@every_task
def test_an_item_depends_on_seed_and_position_only_T4(task):
    data = SeqToy(task, 20, seed=3)
    backwards = [data[i] for i in reversed(range(20))][::-1]
    assert lists(data) == lists(backwards) == lists(SeqToy(task, 20, seed=3))
    assert lists(SeqToy(task, 5, seed=3, first=10)) == lists(data)[10:15]
    assert lists(SeqToy(task, 20, seed=4)) != lists(data)


def test_lengths_and_symbols_are_even():
    data = lists(SeqToy("copy", 4000, min_len=3, max_len=7))
    count = np.bincount([len(s) for s, _ in data], minlength=8)[3:]
    assert ((count - 800) ** 2 / 800).sum() < 18.5                      # chi-square, 4 degrees, 0.001
    count = np.bincount(np.concatenate([s for s, _ in data]), minlength=15)[3:]
    assert len(count) == 12 and ((count - count.mean()) ** 2 / count.mean()).sum() < 31.3      # 11 degrees


def test_text_and_tokens_are_each_others_inverse():
    data = SeqToy("copy", 1)
    assert data.tokens("12.3-").tolist() == [4, 5, 13, 6, 14] and data.text(data.tokens("90.-")) == "90.-"
    assert data.text([SOS, 3, EOS, PAD]) == "0"
    with pytest.raises(ArgError, match="text has 'a'"):
        data.tokens("1a")


@every_task
def test_padding_keeps_every_sequence_and_adds_PAD_at_the_end(task):
    data = SeqToy(task, 50)
    arrays = data.arrays()
    for name, rows in arrays.items():
        assert rows.dtype == np.int64 and rows.shape == (50, max(len(s[name]) for s in data))
        for row, sample in zip(rows, data, strict=True):
            assert row[:len(sample[name])].tolist() == sample[name].tolist() and not row[len(sample[name]):].any()


def test_batches_are_the_same_for_any_number_of_workers():
    batches = [[(b["source"].tolist(), b["target"].tolist())
                for b in DataLoader(SeqToy("sort", 10), 4, shuffle=True, collate=pad_collate, num_workers=n)]
               for n in (0, 1)]
    assert batches[0] == batches[1] and len(batches[0]) == 3


@pytest.mark.parametrize("wrong, message", [
    (dict(task="swap"), "task is 'swap', expected one of"),
    (dict(vocabulary=1), "vocabulary is 1, expected"),
    (dict(vocabulary=39), "vocabulary is 39, expected"),
    (dict(max_len=0), "max_len is 0, expected"),
    (dict(max_len=2.5), "max_len is 2.5, expected"),
    (dict(min_len=11), "min_len is 11, expected"),
    (dict(min_len=0), "min_len is 0, expected"),
    (dict(task="date", vocabulary=13), "vocabulary and max_len are 13 and 10"),
    (dict(task="date", max_len=9), "vocabulary and max_len are 12 and 9"),
    (dict(length=0), "length is 0, expected"),
])
def test_impossible_requests_are_refused(wrong, message):
    with pytest.raises(ArgError, match=message):
        SeqToy(**{"task": "copy", "length": 5, **wrong})


@pytest.mark.parametrize("sequences, error", [
    ([], ArgError), ([np.zeros((2, 2), int)], ShapeError), ([np.zeros(2)], DTypeError),
])
def test_padding_refuses_what_is_not_a_list_of_token_sequences(sequences, error):
    with pytest.raises(error, match="pad_sequences: sequence"):
        pad_sequences(sequences)
