"""One knob for the number of threads of the kernels (Numba) and of matrix products (BLAS)."""

import ctypes
import os
import threading
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np

from ..errors import ArgError

_chosen = None
_lock = threading.Lock()
_guests, _setting = 0, 1                # blocks of `one_blas_thread` that run; what the libraries had before


def set_num_threads(n: int) -> None:
    """Use `n` threads in kernels and in BLAS from now on; results of kernels do not depend on it.

    The default for kernels is ``NUMBA_NUM_THREADS`` if that is set, else the number of processors.

    Raises
    ------
    ArgError
        If `n` is not an integer of at least 1.
    """
    global _chosen, _setting
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ArgError(f"set_num_threads: n is {n!r}, expected an integer >= 1")
    with _lock:
        _chosen = _setting = int(n)
        if not _guests:                     # else the last product under way sets it when it ends
            _set_blas_threads(_chosen)


def get_num_threads() -> int:
    """Number of threads a kernel uses."""
    return _chosen or _default()


@contextmanager
def deterministic():
    """Within this context matrix products use one thread, so that all results repeat bit for bit.

    Kernels are bit-equal for every number of threads anyway; BLAS libraries do not promise that.
    """
    before = _get_blas_threads()
    _set_blas_threads(1)
    try:
        yield
    finally:
        _set_blas_threads(before)


@contextmanager
def one_blas_thread():
    """Within this context, which may run in several threads at once, OpenBLAS uses the calling thread only."""
    global _guests, _setting
    with _lock:
        if not _guests:
            _setting = max((get_threads() for _, get_threads in _openblas()), default=1)
            _set_openblas_threads(1)
        _guests += 1
    try:
        yield
    finally:
        with _lock:
            _guests -= 1
            if not _guests:
                _set_openblas_threads(_setting)


def _after_fork():
    """In a child the products of the parent's other threads are gone, and so is whoever held the lock."""
    global _lock, _guests
    _lock = threading.Lock()
    if _guests:
        _guests = 0
        _set_openblas_threads(_setting)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@cache
def _default():
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    if given.isdigit() and int(given):
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _set_blas_threads(n):
    if limits := _threadpoolctl():
        limits.threadpool_limits(n, user_api="blas")
    _set_openblas_threads(n)


def _set_openblas_threads(n):
    for set_threads, get_threads in _openblas():
        if get_threads() != n:
            set_threads(n)


def _get_blas_threads():
    for _, get_threads in _openblas():
        return get_threads()
    pools = _threadpoolctl().threadpool_info() if _threadpoolctl() else []
    return max((pool["num_threads"] for pool in pools if pool["user_api"] == "blas"), default=1)


@cache
def _threadpoolctl():
    """The optional module that knows every BLAS, or None."""
    with suppress(ImportError):
        import threadpoolctl
        return threadpoolctl


@cache
def _openblas():
    """(set, get) functions of the OpenBLAS libraries that came with NumPy, best effort."""
    package = Path(np.__file__).parent
    names = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads",
             "openblas_{}_num_threads64_", "openblas_{}_num_threads")
    found = []
    for path in [*package.parent.glob("numpy.libs/*openblas*"),
                 *package.glob(".dylibs/*openblas*")]:
        with suppress(OSError):
            library = ctypes.CDLL(str(path))
            found += [tuple(getattr(library, name.format(verb)) for verb in ("set", "get"))
                      for name in names if hasattr(library, name.format("set"))]
    return found
