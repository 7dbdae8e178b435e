"""DataLoader, ArrayDataset, Subset, train_test_split.

Proved here: every sample comes exactly once per epoch, in batches of the stated sizes (C16); the
order is a function of (seed, epoch); batches from worker processes are the same bytes as from this
process, for any number of workers (F20, N3); a run stopped at any batch goes on bit for bit (C12);
errors name the item; no process is left behind; impossible settings are refused.
"""

import gc
import multiprocessing
import time
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicv.data import ArrayDataset, DataLoader, Glyphs10, Subset, default_collate
from minicv.data import train_test_split as split
from minicv.data.transforms import Compose, random_affine, random_crop
from minicv.errors import (
    ArgError,
    CheckpointError,
    ConcurrencyError,
    DataFormatError,
    DTypeError,
    ShapeError,
)

AUGMENT = Compose(partial(random_crop, padding=2), random_affine)


def numbers(n):
    return ArrayDataset(x=np.arange(n))


def same(a, b):
    """Two lists of batches are the same bytes."""
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].dtype == other[name].dtype and one[name].shape == other[name].shape
            assert one[name].tobytes() == other[name].tobytes()
    return True


# --- one epoch ------------------------------------------------------------------------------

@pytest.mark.ch1
def test_ten_samples_in_fours_are_batches_of_4_4_2():
    loader = DataLoader(numbers(10), 4)
    assert [len(b["x"]) for b in loader] == [4, 4, 2] and len(loader) == 3
    loader = DataLoader(numbers(10), 4, drop_last=True)
    assert [len(b["x"]) for b in loader] == [4, 4] and len(loader) == 2


@pytest.mark.ch1
@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.booleans(), st.integers(0, 2**70))
def test_every_sample_comes_once_per_epoch(n, size, shuffle, drop_last, seed):
    if size > n and drop_last:
        with pytest.raises(ArgError, match="0 batches"):
            DataLoader(numbers(n), size, drop_last=True, allow_smaller=True)
        return
    loader = DataLoader(numbers(n), size, shuffle=shuffle, seed=seed, drop_last=drop_last,
                        allow_smaller=True)
    for _ in range(2):
        batches = [b["x"] for b in loader]
        seen = np.concatenate(batches)
        assert len(batches) == len(loader)
        assert all(len(b) == size for b in batches[:-1])
        assert len(seen) == (n // size * size if drop_last else n) and len(set(seen)) == len(seen)
        assert shuffle or seen.tolist() == list(range(len(seen)))


def test_the_order_is_a_function_of_seed_and_epoch():
    def epochs(seed):
        loader = DataLoader(numbers(50), 50, shuffle=True, seed=seed)
        return [next(iter(loader))["x"].tolist() for _ in range(3)]

    first = epochs(7)
    assert first == epochs(7)
    everything = first + epochs(8)
    assert len({tuple(e) for e in everything}) == 6
    assert all(sorted(e) == list(range(50)) for e in everything)


def test_shuffling_is_uniform():
    """Every item visits every place equally often: chi-square of a 6 x 6 table, 25 degrees."""
    loader, count = DataLoader(numbers(6), 6, shuffle=True, seed=1), np.zeros((6, 6))
    for _ in range(3000):
        count[np.arange(6), next(iter(loader))["x"]] += 1
    assert ((count - 500) ** 2 / 500).sum() < 52.6  # exceeded with probability 0.001


def test_seed_none_is_fresh_and_kept():
    one, other = (DataLoader(numbers(9), 3, shuffle=True, seed=None) for _ in range(2))
    assert one.seed != other.seed and one.state_dict()["seed"] == one.seed
    again = DataLoader(numbers(9), 3, shuffle=True, seed=one.seed)
    assert same(list(one), list(again))


@pytest.mark.ch1
@pytest.mark.parametrize("options, words", [
    ({"batch_size": 0}, "batch_size is 0"), ({"batch_size": 2.0}, "batch_size is 2.0"),
    ({"batch_size": True}, "batch_size is True"), ({"seed": -1}, "seed is -1"),
    ({"num_workers": -1}, "num_workers is -1"),
    ({"batch_size": 11}, "batch_size is 11, expected at most the 10 items.*allow_smaller"),
    ({"batch_size": 11, "drop_last": True}, "0 batches"),
])
def test_impossible_settings_are_refused_C16(options, words):
    with pytest.raises(ArgError, match=words):
        DataLoader(numbers(10), **{"batch_size": 4, **options})


def test_an_empty_data_set_is_refused_C16():
    with pytest.raises(ArgError, match="dataset is empty"):
        DataLoader(Subset(numbers(3), []), 1)


def test_one_smaller_batch_must_be_allowed():
    loader = DataLoader(numbers(3), 8, allow_smaller=True)
    assert [b["x"].tolist() for b in loader] == [[0, 1, 2]]


# --- position -------------------------------------------------------------------------------

def test_a_run_stopped_at_any_batch_goes_on_bit_for_bit_C12():
    def loader():
        return DataLoader(Glyphs10(10), 3, shuffle=True, seed=5, transform=AUGMENT)

    whole = loader()
    golden = [batch for _ in range(3) for batch in whole]
    for stop in range(len(golden) + 1):
        first, states = loader(), []
        states.append(first.state_dict())
        for _ in range(3):
            for _ in first:
                states.append(first.state_dict())
        second = DataLoader(Glyphs10(10), 3, shuffle=True, seed=99, transform=AUGMENT)
        second.load_state_dict(states[stop])
        epoch = states[stop]["epoch"]
        assert same([b for _ in range(epoch, 3) for b in second], golden[stop:])
        if stop:
            break_even = states[stop]["next_batch"] + 4 * epoch
            assert break_even == stop
        else:
            assert states[0]["epoch"] == states[0]["next_batch"] == 0


def test_a_loop_left_early_is_a_finished_epoch():
    loader = DataLoader(numbers(20), 5, shuffle=True)
    orders = [np.concatenate(loader.order(e)).tolist() for e in range(3)]
    next(iter(loader))
    assert np.concatenate([b["x"] for b in loader]).tolist() == orders[1]
    assert loader.state_dict()["epoch"] == 2
    assert np.concatenate([b["x"] for b in loader]).tolist() == orders[2]


def test_a_forgotten_loop_cannot_move_the_loader():
    loader = DataLoader(numbers(20), 5)
    old = iter(loader)
    next(old)
    new = iter(loader)
    next(new)
    list(old)
    assert (loader.state_dict()["epoch"], loader.state_dict()["next_batch"]) == (1, 1)


@pytest.mark.parametrize("change, words", [
    ({"length": 11}, "length is 11, expected 10"), ({"batch_size": 5}, "batch_size is 5"),
    ({"shuffle": True}, "shuffle is True"), ({"next_batch": 4}, "next_batch is 4"),
    ({"epoch": -1}, "expected integers"), ({"epoch": None}, "expected integers"),
    ({"length": 11, "drop_last": True}, "length is 11.*drop_last is True"),
])
def test_a_foreign_state_is_refused_and_nothing_changes_C9(change, words):
    loader = DataLoader(numbers(10), 4)
    before = loader.state_dict()
    with pytest.raises(CheckpointError, match=words):
        loader.load_state_dict({**before, **change})
    assert loader.state_dict() == before


# --- worker processes -----------------------------------------------------------------------

def test_batches_do_not_depend_on_the_number_of_workers_F20():
    def epochs(workers):
        with DataLoader(Glyphs10(30), 4, shuffle=True, seed=3, num_workers=workers,
                        transform=AUGMENT) as loader:
            return [batch for _ in range(2) for batch in loader]

    serial = epochs(0)
    assert same(epochs(1), serial) and same(epochs(3), serial)
    assert multiprocessing.active_children() == []


def test_workers_go_on_mid_epoch_like_this_process_C12():
    serial = DataLoader(Glyphs10(12), 4, shuffle=True, transform=AUGMENT)
    golden = list(serial)
    with DataLoader(Glyphs10(12), 4, shuffle=True, transform=AUGMENT, num_workers=2) as loader:
        running = iter(loader)
        next(running)
        state = loader.state_dict()
        running.close()
        loader.load_state_dict(state)
        assert state["next_batch"] == 1 and same(list(loader), golden[1:])


def test_augmentation_differs_between_items_and_epochs_F20():
    loader = DataLoader(Subset(Glyphs10(1), [0] * 8), 8, transform=AUGMENT)
    pictures = np.concatenate([next(iter(loader))["image"] for _ in range(2)])
    assert len({p.tobytes() for p in pictures}) == 16


def test_a_loader_that_is_forgotten_leaves_no_process():
    loader = DataLoader(Glyphs10(8), 2, num_workers=1)
    next(iter(loader))
    assert multiprocessing.active_children()
    del loader
    gc.collect()
    deadline = time.monotonic() + 30
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert multiprocessing.active_children() == []


class Odd(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)


class Faulty:
    """Item 5 fails in the way that is asked for."""

    def __init__(self, fault):
        self.fault = fault

    def __len__(self):
        return 8

    def __getitem__(self, i):
        if i == 5:
            if self.fault == "die":
                import os
                os._exit(3)
            raise {"value": DataFormatError("bad header"), "odd": Odd(1, "x")}[self.fault]
        return {"x": np.zeros(2)}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_keeps_its_type_and_names_the_item(workers):
    with DataLoader(Faulty("value"), 2, num_workers=workers) as loader:
        running = iter(loader)
        assert next(running)["x"].shape == (2, 2) and next(running)
        with pytest.raises(DataFormatError, match="DataLoader: item 5: bad header"):
            next(running)
    with DataLoader(Faulty("odd"), 2, num_workers=workers) as loader:
        with pytest.raises(RuntimeError, match="item 5: Odd"):
            list(loader)
    assert multiprocessing.active_children() == []


def test_a_worker_that_dies_is_an_error_not_a_hang():
    with DataLoader(Faulty("die"), 2, num_workers=1) as loader:
        with pytest.raises(ConcurrencyError, match="worker process died"):
            list(loader)
    assert multiprocessing.active_children() == []


def test_what_cannot_be_pickled_is_refused():
    loader = DataLoader(numbers(4), 2, num_workers=1, transform=lambda sample, rng: sample)
    with pytest.raises(ArgError, match="cannot be sent to a worker"):
        list(loader)
    loader.close()
    assert multiprocessing.active_children() == []


# --- collate --------------------------------------------------------------------------------

def test_collate_stacks_by_field_and_keeps_types():
    batch = default_collate([{"image": np.zeros((1, 2), np.float32), "label": np.int64(k), "n": k,
                              "f": 0.5, "ok": True, "name": "a"} for k in range(3)])
    assert {k: (v.shape, v.dtype.name) for k, v in batch.items() if k != "name"} == {
        "image": ((3, 1, 2), "float32"), "label": ((3,), "int64"), "n": ((3,), "int64"),
        "f": ((3,), "float32"), "ok": ((3,), "bool")}
    assert batch["name"] == ["a"] * 3
    assert default_collate([{"f": np.float64(1)}])["f"].dtype == np.float64


def test_collate_keeps_lists_on_request_and_names_what_does_not_fit():
    samples = [{"boxes": np.zeros((k, 4))} for k in (1, 2)]
    assert len(default_collate(samples, lists=("boxes",))["boxes"]) == 2
    with pytest.raises(ShapeError, match=r"'boxes' has the shapes \[\(1, 4\), \(2, 4\)\]"):
        default_collate(samples)
    with pytest.raises(ArgError, match="sample 1 has the fields"):
        default_collate([{"a": 1}, {"b": 1}])
    with pytest.raises(DTypeError, match="sample 0 is tuple"):
        default_collate([(1, 2)])


# --- parts ----------------------------------------------------------------------------------

def test_array_data_set_gives_rows_and_ends_a_loop():
    data = ArrayDataset(x=np.arange(6).reshape(3, 2), y=[5, 6, 7])
    assert [(s["x"].tolist(), int(s["y"])) for s in data] == [([0, 1], 5), ([2, 3], 6), ([4, 5], 7)]
    assert data.arrays()["x"].shape == (3, 2)
    for i in (-1, 3):
        with pytest.raises(IndexError, match=f"index {i} outside"):
            data[i]


@pytest.mark.parametrize("arrays, error", [({}, ArgError), ({"a": 3.0}, ShapeError),
                                           ({"a": [1], "b": [1, 2]}, ShapeError)])
def test_array_data_set_needs_equal_lengths(arrays, error):
    with pytest.raises(error, match="ArrayDataset"):
        ArrayDataset(**arrays)


def test_subset_maps_indices():
    part = Subset(Subset(numbers(10), [2, 4, 6, 8]), [3, 0])
    assert [int(s["x"]) for s in part] == [8, 2] and part.arrays()["x"].tolist() == [8, 2]
    for indices in ([4], [-1], [0.5], [[0]]):
        with pytest.raises(ArgError, match="indices"):
            Subset(Subset(numbers(10), [2, 4, 6, 8]), indices)


@given(st.integers(2, 50), st.floats(0.05, 0.95), st.integers(0, 99))
def test_split_is_a_partition(n, fraction, seed):
    x, size = np.arange(n), round(fraction * n)
    if not 0 < size < n:
        with pytest.raises(ArgError, match="both parts"):
            split(x, fraction=fraction, rng=seed)
        return
    train, test, again, _ = split(x, numbers(n), fraction=fraction, rng=seed)
    assert sorted([*train, *test]) == list(range(n)) and len(test) == size
    assert again.arrays()["x"].tolist() == train.tolist()
    assert test.tolist() == split(x, fraction=fraction, rng=seed)[1].tolist()


@pytest.mark.parametrize("fraction", [0, 1, -1, 2, float("nan")])
def test_split_refuses_impossible_shares(fraction):
    with pytest.raises(ArgError, match="fraction is"):
        split(np.arange(10), fraction=fraction)
    with pytest.raises(ArgError, match=r"lengths \[2, 3\]"):
        split(np.arange(2), np.arange(3), fraction=0.5)
