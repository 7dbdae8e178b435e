"""`@kernel`: from a plain loop to a compiled, parallel, cached and safe function.

A kernel is a Python loop over arrays that writes into its output arguments; beside it stands a
*twin*, a NumPy function with the same arguments that does the same. Calling a kernel runs, in this order of preference,

1. the loop compiled by Numba with its `prange` loops in parallel,
2. the same loop compiled serially: in a forked child, while another thread is inside a parallel
   kernel, and with one thread. Parallel loops own what they write and never reduce across
   iterations, so both give the same bytes;
3. the twin: with ``MINICV_KERNELS=numpy``, or where Numba cannot be imported.

Numba is imported at the first call, never at ``import minicv``.
"""

import inspect
import os
import threading
import types

import numpy as np

from . import cache, threads

prange = range                      # becomes numba.prange in the globals of a kernel at first use

_kernels = {}
_examples = []
_forked = False
_parallel = threading.Lock()        # at most one parallel kernel at a time: not every layer allows two
_building = threading.RLock()


def kernel(*, twin, out, parallel=True):
    """Make a kernel of a loop.

    Parameters
    ----------
    twin : function
        The NumPy version: takes the same arguments and writes the same outputs.
    out : str
        Names of the arguments that the loop writes, separated by spaces. These must be
        C-contiguous, aligned and writable; all other arrays are brought into that form.
    parallel : bool
        Whether the loop contains `prange`.
    """
    def wrap(body):
        made = Kernel(body, twin, out.split(), parallel)
        _kernels[f"{body.__module__.split('.')[-1]}.{body.__name__}"] = made
        return made
    return wrap


class Kernel:
    """A loop with its compiled forms and its NumPy twin."""

    def __init__(self, body, twin, out, parallel):
        self.body, self.twin, self.parallel = body, twin, parallel
        self.__name__, self.__doc__ = body.__name__, body.__doc__
        names = list(inspect.signature(body).parameters)
        self.outputs = [names.index(name) for name in out]
        self.compiled = {}

    def __call__(self, *args):
        if load_numba() is None:
            return self.twin(*args)
        args = [a if i in self.outputs else normal(a) for i, a in enumerate(args)]
        together = self.parallel and not _forked and threads.get_num_threads() > 1
        if not together or not _parallel.acquire(blocking=False):
            return self._run("serial", args)
        try:
            if threads.was_chosen():                   # Numba's setting is per Python thread
                load_numba().set_num_threads(threads.get_num_threads())
            self._run("parallel", args)
        finally:
            _parallel.release()

    def signatures(self):
        """Type signatures compiled or loaded so far, over both forms."""
        return {s for f in self.compiled.values() for s in getattr(f, "signatures", ())}

    def _run(self, form, args):
        function = self.compiled.get(form) or self._build(form)
        try:
            function(*args)
        except load_numba().errors.NumbaError:
            raise
        except Exception as error:      # bodies never raise: what failed is reading a cache file
            if not hasattr(function, "stats"):         # plain Python under NUMBA_DISABLE_JIT
                raise
            self._heal(form, args, error)

    def _heal(self, form, args, error):
        """Compile again after dropping this kernel's cache files, if need be without a cache."""
        cache.warn_once(f"cache of compiled kernels was unusable and is rebuilt ({error!r:.80})")
        if self.compiled[form].stats.cache_path:
            cache.forget(self.compiled[form])
        try:
            self._build(form)(*args)
        except OSError:                                # such as a full or read-only disk
            self._build(form, cached=False)(*args)

    def _build(self, form, cached=True):
        """The compiled function of a form, compiled when it is first called."""
        numba, path = load_numba(), cache.folder()
        self.body.__globals__["prange"] = numba.prange
        body = types.FunctionType(self.body.__code__, self.body.__globals__, self.body.__name__)
        body.__qualname__ = f"{self.body.__name__}_{form}"     # the two forms must not share a file
        body.__module__ = self.body.__module__
        with _building:
            self.compiled[form] = self._jit(body, form == "parallel", path if cached else None)
        return self.compiled[form]

    def _jit(self, body, parallel, path):
        numba = load_numba()
        if path:
            try:
                with cache.numba_cache_dir(numba.config, path):
                    return numba.njit(cache=True, parallel=parallel)(body)
            except (RuntimeError, OSError) as error:
                cache.warn_once(f"compiled kernels cannot be cached ({error!r:.80})")
        return numba.njit(parallel=parallel)(body)


def load_numba():
    """The module numba, or None where kernels run as NumPy twins."""
    if os.environ.get("MINICV_KERNELS", "") == "numpy":
        return None
    try:
        import numba
    except ImportError as error:
        cache.warn_once(f"numba cannot be imported ({error}); the slower NumPy kernels are used")
        return None
    return numba


def normal(a):
    """`a` as a kernel wants it: arrays C-contiguous, aligned, native and writable; rest as is.

    One memory form means one compiled signature. Arrays that a Tensor locked read-only are seen
    through an alias without the lock; kernels write only to their outputs.
    """
    if not isinstance(a, np.ndarray):
        return a
    if not (a.flags.c_contiguous and a.flags.aligned and a.dtype.isnative):
        a = np.array(a, dtype=a.dtype.newbyteorder("="), order="C")
    return a if a.flags.writeable else np.asarray(_Alias(a))


class _Alias:
    def __init__(self, a):
        self.base = a                                  # keeps the memory alive
        address, _ = a.__array_interface__["data"]
        self.__array_interface__ = {**a.__array_interface__, "data": (address, False)}


def example(function):
    """Register `function(dtype)`, which calls a module's kernels on tiny arrays, for `warmup`."""
    _examples.append(function)
    return function


def warmup() -> None:
    """Compile every kernel for float32 and float64, or load it from the cache."""
    for dtype in (np.float32, np.float64):
        for function in _examples:
            function(dtype)


def kernel_names() -> list[str]:
    """Names of all kernels as ``module.kernel``, sorted."""
    return sorted(_kernels)


def get_kernel(name: str) -> Kernel:
    """The kernel of that name."""
    return _kernels[name]


def _after_fork():
    """A child has one thread: parallel kernels would hang or die, and locks may be held forever."""
    global _forked, _parallel, _building
    _forked, _parallel, _building = True, threading.Lock(), threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
