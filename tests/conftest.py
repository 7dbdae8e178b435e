"""The whole suite runs in two processes where pytest-xdist is installed; single files and folders run in one."""

import os

import pytest

PROCESSES = 2


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """``pytest`` without paths becomes ``pytest -n 2 --dist loadfile``; ``-n 0`` and ``--pdb`` keep one process.

    A file stays in one process, so that its tests share what they build. BLAS gets one thread in each: two processes
    of two threads that wait for each other take longer. Kernels keep theirs, which wait for nobody.
    """
    options = config.option
    whole = config.args_source == config.ArgsSource.TESTPATHS and not hasattr(config, "workerinput")
    if whole and not options.usepdb and getattr(options, "numprocesses", 0) is None:
        options.numprocesses, options.dist = PROCESSES, "loadfile"
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, "1")
