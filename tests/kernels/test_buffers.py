"""Memory that is used again.

Proved here: a block is handed out again only when the last view has died, whoever holds it (T1 would fail else);
two arrays alive never overlap, in one thread, in many, and in a forked child (N1, N3); a destructor that runs while
the pool is locked does not wait; idle memory is capped, forgets the sizes of yesterday, and `empty_cache` frees all
of it; order, alignment and dtype are as asked for; a workspace is private to its thread and tag.
"""

import gc
import os
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicv.kernels import buffers

LARGE = (3, 2**18)              # 3 MiB of float32
POOLED = buffers.POOLED


@pytest.fixture(autouse=True)
def fresh():
    buffers.empty_cache()
    yield
    buffers.empty_cache()


def address(a):
    return a.__array_interface__["data"][0]


def filled(value, shape=LARGE):
    a = buffers.empty(shape)
    a.fill(value)
    return a


# Arrays -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64, bool])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3, 4, 5), (4, 128, 64, 96)])
def test_shape_and_dtype_are_as_asked_for(shape, dtype):
    a = buffers.empty(shape, dtype)
    assert a.shape == shape and a.dtype == dtype and a.flags.c_contiguous and a.flags.writeable
    assert buffers.owns_memory(a) and type(a) is np.ndarray
    a[...] = 1                                         # all of it can be written
    assert (a == 1).all()


@pytest.mark.parametrize("scale", [1, 32])
@pytest.mark.parametrize("order", [(0, 2, 3, 1), (3, 2, 1, 0), (0, 1, 2, 3)])
def test_order_names_the_axes_from_slowest_to_fastest(order, scale):
    a = buffers.empty((2, 3 * scale, 4 * scale, 5 * scale), order=order)
    assert a.transpose(order).flags.c_contiguous and buffers.owns_memory(a)
    a[...] = np.arange(a.size).reshape(a.shape)
    np.testing.assert_array_equal(a.ravel(), np.arange(a.size))


def test_large_arrays_are_aligned():
    assert all(address(buffers.empty(n, np.uint8)) % 64 == 0 for n in [(POOLED,), (POOLED + 1,), (3 * POOLED + 7,)])


def test_views_do_not_own_memory():
    for shape in (3, 4), LARGE:
        a = buffers.empty(shape)
        assert buffers.owns_memory(a) and not buffers.owns_memory(a[1:]) and not buffers.owns_memory(a.T)


@given(st.integers(0, 2**40))
def test_a_size_class_holds_the_size_and_wastes_at_most_an_eighth(n):
    size = buffers.size_class(n)
    assert n <= size <= n + max(64, n // 8)
    assert buffers.size_class(size) == size


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_size_classes_are_in_order(m, n):
    assert (m <= n) <= (buffers.size_class(m) <= buffers.size_class(n))


# The rule ---------------------------------------------------------------------------------------------------


def test_a_block_comes_back_when_its_array_has_died():
    first = address(buffers.empty(LARGE))
    assert address(buffers.empty(LARGE)) == first
    kept = buffers.empty(LARGE)
    assert address(kept) == first and address(buffers.empty(LARGE)) != first


VIEWS = {
    "slice": lambda a: a[1:2, 5:9], "transpose": lambda a: a.T[7:9], "reshape": lambda a: a.reshape(-1)[100:200],
    "of a view": lambda a: a[1:][0][::7], "other type": lambda a: a.view(np.uint8)[:, :16],
    "itself": np.asarray, "memoryview": lambda a: memoryview(a), "ravel": lambda a: a.ravel(),
    "broadcast": lambda a: np.broadcast_to(a, (2, *a.shape)), "frombuffer": lambda a: np.frombuffer(a, np.float32)}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_kept_past_the_death_of_its_array_keeps_its_numbers(view):
    a = filled(7)
    kept = view(a)
    del a
    others = [filled(-k) for k in range(10)]
    for k in range(30):
        others[k % 10] = filled(-k)
    assert (np.asarray(kept).reshape(-1).view(np.float32) == 7).all()


def test_a_block_does_come_back_after_its_views():
    a = filled(7)
    start, view = address(a), a[1]
    del a
    assert address(buffers.empty(LARGE)) != start
    del view
    assert start in {address(a) for a in [buffers.empty(LARGE), buffers.empty(LARGE)]}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(8, 12)), max_size=60))
def test_any_order_of_asking_and_dropping_never_makes_two_arrays_overlap(steps):
    alive = {}
    for mark, (slot, eighths) in enumerate(steps):
        alive[slot] = mark, filled(mark, (eighths * POOLED // 32,))       # drops what was in the slot
        for value, a in alive.values():
            assert a[0] == a[-1] == value and (a[::4096] == value).all()


def test_a_cycle_that_holds_an_array_is_collected():
    class Holder:
        pass
    holder = Holder()
    holder.me, holder.a = holder, buffers.empty(LARGE)
    start = address(holder.a)
    del holder
    gc.collect()
    assert address(buffers.empty(LARGE)) == start


def test_a_destructor_inside_the_pool_does_not_wait_for_the_lock():
    a = buffers.empty(LARGE)
    start = address(a)
    with buffers._pool.lock:                           # as if the collector ran in the middle of `take`
        del a
    assert address(buffers.empty(LARGE)) == start


def test_refused_memory_leaves_the_pool_as_it_was():
    with pytest.raises(MemoryError):
        buffers.empty((2**58,), np.uint8)
    start = address(buffers.empty(LARGE))
    assert address(buffers.empty(LARGE)) == start


def test_numpy_arithmetic_into_and_out_of_pooled_arrays():
    a, b = filled(2), filled(3)
    np.testing.assert_array_equal(np.add(a, b, out=buffers.empty(LARGE)), np.full(LARGE, 5, np.float32))
    assert (a + b).base is None and buffers.owns_memory(a.copy())


# Threads and forks ------------------------------------------------------------------------------------------


def test_N1_many_threads_never_get_the_same_block():
    wrong = []

    def work(mark):
        rng = np.random.default_rng(mark)
        for k in range(150):
            a = filled(mark * 1000 + k, (POOLED // 4 + int(rng.integers(3)) * POOLED // 16,))
            if not (a == mark * 1000 + k).all():
                wrong.append((mark, k))

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(mark,)) for mark in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(switch)
    assert not wrong
    assert buffers._pool.idle == sum(size * len(found) for size, found in buffers._pool.blocks.items())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_N3_a_child_forked_while_the_pool_is_locked_works_with_memory_of_its_own():
    kept = filled(7)
    filled(8)
    with buffers._pool.lock:
        child = os.fork()
        if child == 0:
            others = [filled(k) for k in range(5)]
            right = (kept == 7).all() and all((a == k).all() for k, a in enumerate(others))
            kept.fill(1)
            os._exit(0 if right and buffers._pool.idle == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (kept == 7).all() and (filled(9) == 9).all()


# Cap and freeing --------------------------------------------------------------------------------------------


def test_idle_memory_is_capped_and_the_size_not_used_for_longest_goes_first(monkeypatch):
    monkeypatch.setattr(buffers._pool, "limit", 8 * 2**20)
    old = [buffers.empty((2 * POOLED,), np.uint8) for _ in range(3)]
    del old
    assert buffers._pool.idle <= 8 * 2**20
    new = [buffers.empty((3 * POOLED,), np.uint8) for _ in range(2)]
    starts = {address(a) for a in new}
    del new
    assert buffers._pool.idle <= 8 * 2**20
    again = [buffers.empty((3 * POOLED,), np.uint8) for _ in range(2)]
    assert {address(a) for a in again} == starts


def test_an_array_above_the_cap_is_not_kept(monkeypatch):
    monkeypatch.setattr(buffers._pool, "limit", POOLED)
    buffers.empty((4 * POOLED,), np.uint8)
    assert buffers._pool.idle == 0


def test_empty_cache_frees_idle_blocks_and_workspaces_and_touches_nothing_in_use():
    used = filled(7)
    for _ in range(3):
        buffers.empty((2 * POOLED,), np.uint8)
    scratch = buffers.workspace("test", 100)
    scratch.fill(5)
    assert buffers._pool.idle > 0
    buffers.empty_cache()
    assert buffers._pool.idle == 0 and not buffers._local.shelf
    assert (used == 7).all() and (scratch == 5).all()


def test_the_small_stay_out_of_the_pool():
    a = buffers.empty((POOLED - 1,), np.uint8)
    assert a.base is None
    del a
    assert buffers._pool.idle == 0


# Workspace --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nbytes", [0, 1, 100, POOLED, 3 * POOLED + 1])
def test_a_workspace_is_the_same_memory_at_every_call(nbytes):
    a = buffers.workspace("test", nbytes)
    assert a.shape == (nbytes,) and a.dtype == np.uint8 and a.flags.writeable and address(a) % 64 == 0
    assert address(buffers.workspace("test", nbytes)) == address(a)
    assert not np.shares_memory(buffers.workspace("other", nbytes), a)


def test_a_workspace_grows_and_serves_smaller_requests_from_the_same_memory():
    buffers.workspace("test", 1000)
    start = address(buffers.workspace("test", 10**6))
    assert address(buffers.workspace("test", 500)) == start
    assert address(buffers.workspace("test", 10**6)) == start


def test_workspaces_of_two_threads_are_different_and_die_with_their_thread():
    mine, theirs = buffers.workspace("test", 4096), []

    def work():
        a = buffers.workspace("test", 4096)
        theirs.append((np.shares_memory(a, mine), weakref.ref(buffers._local.shelf)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    del thread
    gc.collect()
    shared, shelf = theirs[0]
    assert not shared and shelf() is None


def test_workspaces_are_capped(monkeypatch):
    monkeypatch.setattr(buffers, "WORKSPACE_LIMIT", 10000)
    for k in range(20):
        assert buffers.workspace(k, 3000).nbytes == 3000
        assert sum(a.nbytes for a in buffers._local.shelf.values()) <= 10000
    assert buffers.workspace("huge", 20000).nbytes == 20000 and "huge" not in buffers._local.shelf


# Finding reads of undefined contents ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), LARGE])
def test_poison_fills_new_arrays_with_what_nobody_overlooks(shape, monkeypatch):
    monkeypatch.setattr(buffers, "POISON", True)
    assert np.isnan(buffers.empty(shape)).all() and np.isnan(buffers.empty(shape, np.float64)).all()
    assert (buffers.empty(shape, np.int32) == 2**31 - 1).all() and (buffers.empty(shape, np.uint8) == 255).all()
