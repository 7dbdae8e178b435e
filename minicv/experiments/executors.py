"""Where many independent calculations run: other processes, a Dask cluster, the ranks of an MPI job.

Every one is a `concurrent.futures.Executor`; results do not depend on which. Workers have one thread each, so that
a machine with n processors runs n of them.
"""

import contextlib
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

from ..errors import MissingExtraError
from ..kernels import set_num_threads
from .usage import choose

KINDS = ("processes", "dask", "mpi")
ONE_THREAD = {name: "1" for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                     "MKL_NUM_THREADS")}


@contextlib.contextmanager
def executor(kind, jobs=None):
    """A context with an Executor, or with None where there is nothing to share.

    Parameters
    ----------
    kind : "processes", "dask", "mpi" or None
        Dask starts workers on this machine unless ``DASK_SCHEDULER_ADDRESS`` names a cluster. MPI uses the ranks of
        ``mpiexec -n N python -m mpi4py.futures -m minicv run ...``, all but the first.
    jobs : int or None
        Number of workers; default one for each processor. A cluster or MPI job that is there already has its own.

    Raises
    ------
    UsageError
        For another kind.
    MissingExtraError
        If the package behind it is not installed.
    """
    if kind is None:
        yield None
        return
    start = {"processes": processes, "dask": _dask, "mpi": _mpi}[choose("executor", "kind", kind, KINDS)]
    with start(jobs) as pool:
        yield pool


def processes(jobs=None):
    """An Executor of fresh processes, which end when this one does, however it ends."""
    os.environ.update(ONE_THREAD)                       # the workers inherit it
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=follow_parent)


def follow_parent():
    """End this process as soon as its parent is gone: a killed parent cannot tell its workers."""
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


@contextlib.contextmanager
def _dask(jobs):
    try:
        from dask.distributed import Client
    except ImportError:
        raise _missing("dask", "dask[distributed]", "parallel") from None
    os.environ.update(ONE_THREAD)
    with Client(n_workers=jobs, threads_per_worker=1, dashboard_address=None) as client:
        client.run(set_num_threads, 1)
        yield client.get_executor()


@contextlib.contextmanager
def _mpi(jobs):
    try:
        from mpi4py.futures import MPIPoolExecutor
    except (ImportError, RuntimeError):                 # RuntimeError: the package is there, the MPI library is not
        raise _missing("mpi", "mpi4py", "mpi") from None
    with MPIPoolExecutor(jobs, initializer=set_num_threads, initargs=(1,)) as pool:
        yield pool


def _missing(kind, package, extra):
    return MissingExtraError(f"executor: kind is {kind!r}, which needs {package}; pip install 'minicv[{extra}]'")
