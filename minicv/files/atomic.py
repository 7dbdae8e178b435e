"""Replacing a file as a whole: `atomic_write` and its clean-up of what a killed writer left."""

import contextlib
import errno
import os
import re
import secrets
import signal
import stat
import threading
import time
from pathlib import Path

from ..errors import CheckpointError, ConcurrencyError

try:
    import fcntl
except ImportError:  # not POSIX: unique temporary names still keep writers apart
    fcntl = None

__all__ = ["atomic_write", "check_writable", "remove_orphans"]

ORPHAN_AGE = 3600.0  # seconds


def atomic_write(path, write, *, keep_previous: bool = False) -> None:
    """Replace the content of `path` as a whole or not at all.

    write: the new content as bytes, or a function that is given an open binary file to fill.
    keep_previous: keep the content that is replaced as ``<name>.prev`` (a hard link).

    The steps, in an order that survives power loss: lock; write a temporary file
    ``<name>.tmp.<pid>.<nonce>`` in the same folder; flush; fsync(file); rename over `path`;
    fsync(folder). A symbolic link is followed. Ctrl-C waits until the steps are done.

    Raises CheckpointError (from the cause) if anything fails; the old file is then intact, or,
    if only the last fsync failed, the new one is complete. Raises ConcurrencyError if another
    writer holds `path`. KeyboardInterrupt and other exits of `write` pass after the clean-up.
    """
    path = _check_target("atomic_write", path)
    with _locked(path), _interrupt_deferred():
        try:
            remove_orphans(path)
            with _temporary(path) as (temp, fd):
                _write_and_sync(fd, write)
                if keep_previous and path.exists():
                    _link_previous(path)
                os.replace(temp, path)
                _sync_folder(path.parent)
        except Exception as e:
            raise CheckpointError(f"atomic_write: {str(path)!r} could not be written: "
                                  f"{type(e).__name__}: {e}") from e


def check_writable(path) -> None:
    """Pre-flight: prove by a real temporary file that `atomic_write(path, …)` can work.

    Raises CheckpointError; meant for the moment before a long computation starts.
    """
    path = _check_target("check_writable", path)
    try:
        with _temporary(path) as (_, fd):
            _write_and_sync(fd, b"minicv")
    except OSError as e:
        raise CheckpointError(f"check_writable: {str(path)!r} cannot be written: {e}") from e


def remove_orphans(path) -> list[Path]:
    """Delete temporary files of `path` that a killed writer left; return their paths.

    Only ``<name>.tmp.<pid>.<nonce>`` whose process is dead and that is older than one hour:
    anything else in the folder belongs to somebody.
    """
    path, removed = Path(path), []
    pattern = re.compile(re.escape(path.name) + r"\.tmp\.([0-9]{1,9})\.[0-9a-f]{8}")
    for name in sorted(os.listdir(path.parent)):
        match = pattern.fullmatch(name)
        if match and _is_dead(int(match[1])) and _is_old(path.parent / name):
            _discard(path.parent / name)
            removed.append(path.parent / name)
    return removed


def _check_target(function, path):
    """The resolved path, if a file could stand there."""
    try:
        path = Path(os.path.realpath(path))
        if path.is_dir():
            raise CheckpointError(f"{function}: path is the folder {str(path)!r}, expected a file")
        if not path.parent.is_dir():
            raise CheckpointError(f"{function}: path is {str(path)!r}, expected a name in an "
                                  f"existing folder; create {str(path.parent)!r} first")
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{function}: path is {str(path)!r}, expected a regular file")
    except (OSError, ValueError) as e:  # a name too long, or with a NUL
        raise CheckpointError(f"{function}: path is not usable: {e}") from e
    return path


def _temp_name(path):
    return path.with_name(f"{path.name}.tmp.{os.getpid()}.{secrets.token_hex(4)}")


@contextlib.contextmanager
def _temporary(path):
    """A new file beside `path` (name, descriptor); whatever happens, the name is gone after."""
    temp = _temp_name(path)
    fd = os.open(temp, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
    try:
        yield temp, fd
    finally:
        _discard(temp)  # nothing to do once it was renamed


def _write_and_sync(fd, write):
    try:
        file = os.fdopen(fd, "wb")
    except BaseException:
        os.close(fd)
        raise
    with file:
        write(file) if callable(write) else file.write(write)
        file.flush()
        os.fsync(file.fileno())


def _link_previous(path):
    """Name the current content ``.prev``. A rename would leave a moment without `path`."""
    temp = _temp_name(path)
    os.link(path, temp)
    try:
        os.replace(temp, path.with_name(path.name + ".prev"))
    finally:
        _discard(temp)  # still there when .prev already was the same file


def _sync_folder(folder):
    if os.name != "posix":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _discard(temp):
    with contextlib.suppress(OSError):
        os.unlink(temp)


def _is_dead(pid):
    if os.name != "posix":  # elsewhere os.kill(pid, 0) is not a question but a signal
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _is_old(path):
    try:
        info = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(info.st_mode) and time.time() - info.st_mtime > ORPHAN_AGE


@contextlib.contextmanager
def _locked(path):
    """Advisory lock ``<name>.lock``; it dies with its process, so a kill cannot block the path."""
    fd = _take_lock(path)
    try:
        yield
    finally:
        if fd is not None:
            _discard(path.with_name(path.name + ".lock"))  # while it is still ours
            os.close(fd)


def _take_lock(path):
    """An open, locked file, or None where the file system has no locks."""
    lock = path.with_name(path.name + ".lock")
    while fcntl is not None:
        try:
            fd = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        except OSError as e:
            raise CheckpointError(f"atomic_write: {str(path)!r} could not be locked: {e}") from e
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(lock) and os.path.samestat(os.fstat(fd), os.stat(lock)):
                return fd
            os.close(fd)  # the holder removed the file between our open and our lock: again
        except OSError as e:
            os.close(fd)
            if e.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise ConcurrencyError(f"atomic_write: path is {str(path)!r}, expected one writer "
                                       "at a time; another one holds it") from e
            if e.errno != errno.ENOENT:
                return None
    return None


@contextlib.contextmanager
def _interrupt_deferred():
    """Hold SIGINT back inside the block and deliver it behind it (main thread only)."""
    old = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(old):
        yield
        return
    pending = []
    signal.signal(signal.SIGINT, lambda *_: pending.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
        if pending:
            signal.raise_signal(signal.SIGINT)
