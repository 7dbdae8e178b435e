"""What this machine offers: versions, threads, caches. Read-only, and it never fails halfway."""

import importlib.metadata
import importlib.util
import os
import platform
import sys
from functools import partial

EXTRAS = {"real": "scikit-learn", "test": "pytest", "progress bars": "tqdm"}
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def examine():
    """{what: finding} as text, in the order in which one would ask; a check that fails says so."""
    checks = {
        "minicv": lambda: _version("minicv"),
        "python": lambda: f"{platform.python_version()} ({sys.executable})",
        "system": lambda: f"{platform.system()} {platform.machine()}",
        **{name: partial(_version, name) for name in ("numpy", "numba", "matplotlib", "pillow")},
        **{f"{name} ({extra})": partial(_version, name) for extra, name in EXTRAS.items()},
        "processors": _processors, "threads set": _thread_settings, "BLAS": _blas, "memory": _memory,
        "JIT": _jit, "kernels": _kernels, "kernel cache": _cache, "fonts": _fonts,
    }
    return {name: _finding(check) for name, check in checks.items()}


def _finding(check):
    try:
        return str(check())
    except Exception as error:                         # one broken part must not hide the rest
        return f"not usable: {type(error).__name__}: {' '.join(str(error).split())}"


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _thread_settings():
    return ", ".join(f"{name}={os.environ[name]}" for name in THREADS if name in os.environ) or "none"


def _blas():
    import numpy as np

    found = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


def _memory():
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"


def _jit():
    if importlib.util.find_spec("numba") is None:
        return "off: numba is not installed"
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "off: NUMBA_DISABLE_JIT is set"
    return "on"


def _kernels():
    if os.environ.get("MINICV_KERNELS") == "numpy" or importlib.util.find_spec("numba") is None:
        return "NumPy twins"
    return "Numba"


def _cache():
    from ..kernels import cache

    return cache.folder() or "none: no private folder can be written, kernels are compiled in each process"


def _fonts():
    from matplotlib import font_manager

    path = font_manager.findfont(font_manager.FontProperties(family=["sans-serif"]))
    used = font_manager.FontProperties(fname=path).get_name()
    return f"{len(font_manager.fontManager.ttflist)} found, text in {used}"
