"""`@kernel`: from a plain loop to a compiled, parallel, cached and safe function.

A kernel is a Python loop over *items* that own what they write: an output row, an image, a chunk.
Its body ``body(start, stop, *args)`` does items [start, stop) and stores into output arrays among
its arguments; beside it stands a *twin*, a NumPy function ``twin(*args)`` that does all items.
``k(count, *args)`` runs, in this order of preference,

1. the body compiled by Numba, once per dtype, on several threads that share the items. Since no
   item touches what another one writes, the bytes do not depend on the number of threads;
2. the same compiled body on this thread: small arrays, one thread, or in a forked child;
3. the twin: with ``MINICV_KERNELS=numpy``, or where Numba cannot be imported.

Threads are Python's own and the compiled code runs without the interpreter lock. Numba's parallel
loops were measured against this: they start as fast, compile four times slower, and their
threading layers abort when used from two threads or after a fork.
Numba is imported at the first call, never at ``import minicv``.
"""

import inspect
import os
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from . import cache, threads

SERIAL_ELEMENTS = 32768             # fewer for each thread are not worth starting it
TWINS_ONLY = os.environ.get("MINICV_KERNELS") == "numpy"            # read once: a look-up costs as much as a small loop

_kernels = {}
_examples = []
_lock = threading.RLock()           # guards the pool and the making of compiled functions
_pool = None
_numba = None                       # the module, once it is needed
_forked = False


def kernel(*, twin, out, parallel=True, vector=False, allow=""):
    """Make a kernel of a loop.

    Parameters
    ----------
    twin : function
        The NumPy version: takes the same arguments and writes the same outputs.
    out : str
        Names of the arguments that the loop writes, separated by spaces. These must be
        C-contiguous, aligned and writable; all other arrays are brought into that form and locked,
        so that a loop that writes to another argument does not compile.
    parallel : bool
        Whether the body works on items [start, stop), its first two arguments. A kernel that is not
        parallel is called without a count.
    vector : bool
        Whether the body holds vector code (`simd`), which runs compiled only; without the compiler
        the twin takes its place.
    allow : str
        What the compiler may do for speed: "contract" rounds a b + c once, "reassoc" takes sums in another
        order, without which a sum is no vector loop (it also turns s + (x - m) into (s + x) - m). NaN and
        infinity always keep their meaning.
    """
    def wrap(body):
        made = Kernel(body, twin, out.split(), parallel, vector, allow)
        _kernels[f"{body.__module__.split('.')[-1]}.{body.__name__}"] = made
        return made
    return wrap


def part(function=None, *, allow=""):
    """A function that kernels call: compiled into each of them. `allow` as in `kernel`, for its own arithmetic."""
    if function is None:
        return lambda function: part(function, allow=allow)
    numba = load_numba()
    return function if numba is None else numba.njit(function, fastmath=set(allow.split()) or False)


class Kernel:
    """A loop, its compiled form and its NumPy twin."""

    def __init__(self, body, twin, out, parallel=True, vector=False, allow=""):
        self.body, self.twin, self.parallel, self.vector = body, twin, parallel, vector
        self.fastmath = set(allow.split()) or False
        self.__name__, self.__doc__ = body.__name__, body.__doc__
        names = list(inspect.signature(body).parameters)[2 * parallel:]
        self.outputs = [names.index(name) for name in out]
        self.compiled = None

    def __call__(self, *args):
        count, args = (args[:1], args[1:]) if self.parallel else ((), args)
        if not (compiler_runs() if self.vector else load_numba()):
            return self.twin(*args)
        args = [normal(a) if i not in self.outputs and isinstance(a, np.ndarray) else a
                for i, a in enumerate(args)]
        parts = num_parts(args) if self.parallel and not _is_plain(self.compiled) else 1
        if parts == 1:
            return self._run(*(0, *count)[:2 * self.parallel], *args)
        self._run(0, 0, *args)                         # compiles, so that threads only compute
        cuts = [count[0] * i // parts for i in range(parts + 1)]
        share(self.compiled, [(*cut, *args) for cut in zip(cuts, cuts[1:])])

    def signatures(self):
        """Argument types compiled or loaded so far."""
        return list(getattr(self.compiled, "signatures", ()))

    def _run(self, *args):
        try:
            if self.compiled:
                self.compiled(*args)
            else:
                with cache.undisturbed():
                    self._build()(*args)
        except load_numba().errors.NumbaError:
            raise
        except Exception as error:      # bodies never raise: what failed is reading a cache file
            if _is_plain(self.compiled):
                raise
            self._heal(args, error)

    def _heal(self, args, error):
        """Compile again after dropping this kernel's cache files, if need be without a cache."""
        cache.warn_once(f"cache of compiled kernels was unusable and is rebuilt ({error!r:.80})")
        if self.compiled.stats.cache_path:
            cache.forget(self.compiled)
        try:
            self._build()(*args)
        except OSError:                                # such as a full or read-only disk
            self._build(cached=False)(*args)

    def _build(self, cached=True):
        """A fresh compiled function; Numba compiles or loads it when it is first called."""
        body = types.FunctionType(self.body.__code__, self.body.__globals__, self.body.__name__)
        body.__module__, body.__qualname__ = self.body.__module__, self.body.__qualname__
        with _lock:
            self.compiled = _jit(body, cache.folder() if cached else None, self.fastmath)
        return self.compiled


def _jit(body, folder, fastmath):
    numba = load_numba()
    if folder:
        try:
            with cache.numba_cache_dir(numba.config, folder):
                return numba.njit(cache=True, nogil=True, fastmath=fastmath)(body)
        except (RuntimeError, OSError) as error:
            cache.warn_once(f"compiled kernels cannot be cached ({error!r:.80})")
    return numba.njit(nogil=True, fastmath=fastmath)(body)


def _is_plain(function):
    """Whether it is the Python loop itself, as under NUMBA_DISABLE_JIT=1."""
    return isinstance(function, types.FunctionType)


def load_numba():
    """The module numba, or None where kernels run as NumPy twins."""
    return None if TWINS_ONLY else _numba or _import_numba()


def _import_numba():
    global _numba
    try:
        import numba
    except ImportError as error:
        cache.warn_once(f"numba cannot be imported ({error}); the slower NumPy kernels are used")
        return None
    _numba = numba
    return numba


def compiler_runs():
    """Whether kernels are compiled: Numba is there and neither switch turns it off."""
    numba = load_numba()
    return numba is not None and not numba.config.DISABLE_JIT


def normal(a):
    """`a` as a kernel wants its inputs: arrays C-contiguous, aligned, native and locked; the rest as is.

    One memory form means one compiled signature. The arrays of Tensors are locked as they are.
    """
    if not isinstance(a, np.ndarray):
        return a
    flags = a.flags
    if not (flags.c_contiguous and flags.aligned and a.dtype.isnative):
        a = np.array(a, dtype=a.dtype.newbyteorder("="), order="C")
    elif not flags.writeable:
        return a
    else:
        a = a.view()
    a.setflags(False)
    return a


def num_parts(args):
    """Number of threads worth starting for these arguments."""
    wanted = workers()
    if wanted == 1:
        return 1
    elements = max((a.size for a in args if isinstance(a, np.ndarray)), default=0)
    return max(1, min(wanted, elements // SERIAL_ELEMENTS))


def workers():
    """Number of threads there are: one in a forked child, whose parent's threads are gone."""
    return 1 if _forked else threads.get_num_threads()


def share(function, calls):
    """Run ``function(*call)`` for all calls: the first here, the others on the pool."""
    waiting = []
    try:
        for call in calls[1:]:
            waiting.append(_threads(len(calls) - 1).submit(function, *call))
    except RuntimeError:                               # no new threads while Python shuts down
        pass
    for call in [calls[0], *calls[1 + len(waiting):]]:
        function(*call)
    for result in waiting:
        result.result()


def _threads(n):
    """The pool, with at least `n` threads."""
    global _pool
    with _lock:
        if _pool is None or _pool._max_workers < n:
            _pool = ThreadPoolExecutor(n, thread_name_prefix="minicv")
        return _pool


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
    global _forked, _pool, _lock
    _forked, _pool, _lock = True, None, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
