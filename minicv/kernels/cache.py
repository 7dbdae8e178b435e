"""The on-disk cache of compiled kernels: private to the user, keyed by the sources, self-healing.

A cache file is code that runs when it is loaded. It therefore lives in a folder that only its owner
may write, never in a shared temporary folder; without such a folder nothing is cached.
"""

import gc
import hashlib
import os
import warnings
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path


@contextmanager
def undisturbed():
    """Within this context Python looks for no garbage: compiling makes many objects and leaves few, and looking
    through them again and again takes a tenth of its time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@cache
def folder():
    """Folder of the compiled kernels as a string, or None where there is no private, writable one.

    It is called ``kernels-<hash of all kernel sources><MINICV_SIMD>``: editing one source file can never leave
    a stale binary of another behind, and another vector width is other code. It lies in ``NUMBA_CACHE_DIR``,
    whose rights are the user's affair, or else, with mode 0700, in ``$XDG_CACHE_HOME/minicv``.
    """
    name = f"kernels-{_source_hash()}{os.environ.get('MINICV_SIMD', '')}"
    if os.environ.get("NUMBA_CACHE_DIR"):
        return os.path.join(os.environ["NUMBA_CACHE_DIR"], name)
    home = os.environ.get("XDG_CACHE_HOME") or Path("~").expanduser() / ".cache"
    path = Path(home) / "minicv" / name
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_private(path) and os.access(path, os.W_OK):
            return str(path)
    except (OSError, RuntimeError):
        pass
    warn_once(f"no private folder for compiled kernels ({path}): they are compiled in each process")
    return None


@contextmanager
def numba_cache_dir(config, path):
    """Let Numba place the cache of the functions decorated in this block under `path`."""
    before = config.CACHE_DIR
    config.CACHE_DIR = path
    try:
        yield
    finally:
        config.CACHE_DIR = before


def forget(dispatcher):
    """Delete the cache files of one compiled function, readable or not."""
    body = dispatcher.py_func
    stem = f"{body.__module__.split('.')[-1]}.{body.__qualname__}-{body.__code__.co_firstlineno}."
    for path in Path(dispatcher.stats.cache_path).glob("*"):
        if path.name.startswith(stem):
            with suppress(OSError):
                path.unlink()


@cache
def warn_once(message):
    """Show `message` as a RuntimeWarning the first time it comes up in this process."""
    warnings.warn(message, RuntimeWarning, stacklevel=4)


def _source_hash():
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _is_private(path):
    status = path.stat()
    mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return mine and (os.name == "nt" or status.st_mode & 0o022 == 0)
