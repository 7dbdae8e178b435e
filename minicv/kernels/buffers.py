"""Memory of large arrays, used again instead of asked for anew.

A fresh large array costs more than the arithmetic on it: the operating system clears every page at its
first touch. `empty` therefore takes blocks above `POOLED` bytes from a pool. The rule that makes this safe:

    every hand-out is a new array, whose base is a `Lease`; views of it keep the lease alive; the block
    goes back when the lease dies, that is with the last view, and never earlier.

So nobody has to say when an array is no longer needed, and whoever holds a view holds its numbers.
Destructors may run at any moment, even while this thread is inside the pool; they only append to a queue
(one atomic step) and never wait for the lock. A forked child starts with an empty pool.

`workspace` is scratch memory for kernels: one array per thread and tag, the same at every call.
"""

import collections
import math
import os
import threading
import weakref

import numpy as np

POOLED = 2**20                  # bytes; below, memory allocators are fast by themselves
IDLE_LIMIT = 2**30              # bytes of blocks kept for later
WORKSPACE_LIMIT = 2**28         # bytes of workspace kept per thread
ALIGNMENT = 64                  # a cache line, and the longest vector register
POISON = os.environ.get("MINICV_POISON", "") not in ("", "0")      # to find reads of undefined contents


def empty(shape, dtype=np.float32, order=None):
    """Array of undefined contents.

    Parameters
    ----------
    shape : tuple of int
    dtype : a number type or bool
    order : tuple of int, optional
        The axes as they lie in memory, slowest first; default C order. (0, 2, 3, 1) is channels last.

    Returns
    -------
    array
        Without gaps; it owns its memory in the sense of `owns_memory`. From 1 MiB on it starts at a
        multiple of 64 bytes.

    >>> empty((2, 3, 4, 5), order=(0, 2, 3, 1)).strides
    (240, 4, 60, 12)
    """
    dtype = np.dtype(dtype)
    strides = None if order is None else _strides(shape, dtype.itemsize, order)
    if math.prod(shape) * dtype.itemsize < POOLED:
        made = np.ndarray(shape, dtype, strides=strides)
    else:
        made = np.asarray(Lease(_pool, shape, dtype, strides))
    if POISON:
        _poison(made)
    return made


def _strides(shape, itemsize, order):
    strides, step = [0] * len(shape), itemsize
    for axis in reversed(order):
        strides[axis] = step
        step *= max(1, shape[axis])
    return tuple(strides)


def _poison(a):
    """NaN in floats, the largest value in integers: whoever reads it will notice."""
    if a.dtype.kind == "f":
        a.fill(np.nan)
    elif a.dtype.kind in "iu":
        a.fill(np.iinfo(a.dtype).max)


def owns_memory(a):
    """True when `a` is no view of another array."""
    return a.base is None or type(a.base) is Lease


def empty_cache() -> None:
    """Give all memory that is kept for later back to the system; arrays in use are not touched."""
    for shelf in list(_shelves.values()):
        shelf.clear()
    _pool.clear()


# The pool -----------------------------------------------------------------------------------------


class Lease:
    """The right to use a block, as the base of one array. NumPy reads `__array_interface__`."""

    __slots__ = ("pool", "block", "__array_interface__")

    def __init__(self, pool, shape, dtype, strides):
        self.pool = pool
        self.block = pool.take(size_class(math.prod(shape) * dtype.itemsize))
        start = self.block.ctypes.data
        self.__array_interface__ = {"version": 3, "shape": tuple(shape), "typestr": dtype.str, "strides": strides,
                                    "data": (start + -start % ALIGNMENT, False)}

    def __del__(self):
        if hasattr(self, "block"):                     # not when the memory was refused
            self.pool.give_back(self.block)


def size_class(nbytes):
    """`nbytes` rounded up by at most an eighth, so that similar sizes share their blocks.

    >>> size_class(2**20), size_class(2**20 + 1)
    (1048576, 1179648)
    """
    step = max(ALIGNMENT, 1 << max(0, nbytes.bit_length() - 4))
    return -(-nbytes // step) * step


class Pool:
    """Idle blocks by size, the size not asked for longest first."""

    def __init__(self, limit):
        self.limit = limit
        self.lock = threading.Lock()
        self.returned = collections.deque()            # blocks of dead arrays, not yet sorted in
        self.blocks = collections.OrderedDict()        # size: list of idle blocks
        self.idle = 0                                  # their bytes

    def take(self, nbytes):
        """A block of uint8 with room for `nbytes` behind an aligned address."""
        size = nbytes + ALIGNMENT
        with self.lock:
            self._sort_in()
            if self.blocks.get(size):
                self.blocks.move_to_end(size)
                self.idle -= size
                return self.blocks[size].pop()
        try:
            return np.empty(size, np.uint8)
        except MemoryError:                            # perhaps idle blocks are in the way
            self.clear()
            return np.empty(size, np.uint8)

    def give_back(self, block):
        """Called by destructors, so it never waits: who holds the lock sorts in, or the next call does."""
        self.returned.append(block)
        if self.lock.acquire(blocking=False):
            try:
                self._sort_in()
            finally:
                self.lock.release()

    def clear(self):
        """Forget all idle blocks."""
        with self.lock:
            self._sort_in()
            self.blocks.clear()
            self.idle = 0

    def _sort_in(self):
        while self.returned:
            block = self.returned.popleft()
            self.blocks.setdefault(block.nbytes, []).append(block)
            self.blocks.move_to_end(block.nbytes)
            self.idle += block.nbytes
        while self.idle > self.limit:
            size, blocks = next(iter(self.blocks.items()))
            if blocks:
                blocks.pop()
                self.idle -= size
            else:
                del self.blocks[size]


# Workspace ----------------------------------------------------------------------------------------


def workspace(tag, nbytes):
    """Scratch memory of a kernel: uint8 (nbytes,), aligned to 64 bytes, contents undefined.

    Each thread has one workspace per `tag` and gets the same memory again at its next call with that
    tag, so the caller neither returns nor keeps it. Give a view its type: ``workspace("tiles", n).view(np.float32)``.
    """
    shelf = _local.shelf
    if tag not in shelf or shelf[tag].nbytes < nbytes:
        shelf.pop(tag, None)
        lease = Lease(_pool, (size_class(nbytes),), np.dtype(np.uint8), None)
        if sum(a.nbytes for a in shelf.values()) + size_class(nbytes) > WORKSPACE_LIMIT:
            shelf.clear()
        shelf[tag] = np.asarray(lease)
    found = shelf[tag][:nbytes]
    if nbytes > WORKSPACE_LIMIT:
        del shelf[tag]                                 # too much to keep
    return found


class _Shelf(dict):
    """The workspaces of one thread by tag. A class of its own, as a dict cannot be referred to weakly."""


class _PerThread(threading.local):
    def __init__(self):                                # runs once in every thread
        self.shelf = _shelves[threading.get_ident()] = _Shelf()


_pool = Pool(IDLE_LIMIT)
_shelves = weakref.WeakValueDictionary()               # of all threads alive
_local = _PerThread()

if hasattr(os, "register_at_fork"):
    # Another thread may have been inside the pool: the child makes a new lock and new lists.
    os.register_at_fork(after_in_child=lambda: _pool.__init__(_pool.limit))
