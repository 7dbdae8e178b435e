"""Writing and judging files.

Proved here: the order write < fsync(file) < rename < fsync(folder) (C2); any call that fails
leaves the old content, no temporary file, no open descriptor and a typed error (C3); a kill at
any instant loses nothing, while the same campaign against a naive writer finds corruption (C1);
clean-up deletes orphans and nothing else (C4); one writer per path (C7); unusable paths are
refused before anything happens (C10); Ctrl-C never falls into the middle (C11); names stay inside
their folder (F9); image headers and sizes are judged before allocation (F15).
"""

import contextlib
import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from minicv.errors import (
    CheckpointError,
    ConcurrencyError,
    DataFormatError,
    DataMissingError,
    LimitError,
    UnsafeFileError,
)
from minicv.files import (
    atomic_write,
    check_image_header,
    check_writable,
    read_limited,
    remove_orphans,
    safe_join,
)

FAULTS = [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EINTR]


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


# --- plain use ------------------------------------------------------------------------------

def test_bytes_and_functions_are_written_whole(tmp_path):
    path = tmp_path / "a b ü.bin"
    atomic_write(path, b"one")
    assert path.read_bytes() == b"one"
    atomic_write(path, lambda file: file.write(b"two") and file.write(b"!"))
    assert path.read_bytes() == b"two!"
    assert names(tmp_path) == [path.name]


def test_previous_content_is_kept_on_request(tmp_path):
    path = tmp_path / "a"
    for text in (b"1", b"2", b"2", b"3"):
        atomic_write(path, text, keep_previous=True)
    assert (path.read_bytes(), (tmp_path / "a.prev").read_bytes()) == (b"3", b"2")
    assert names(tmp_path) == ["a", "a.prev"]


def test_previous_that_already_is_the_current_file_leaves_no_temporary(tmp_path):
    """The state after a crash between the two renames: rename() of equal files does nothing."""
    path = tmp_path / "a"
    path.write_bytes(b"1")
    os.link(path, tmp_path / "a.prev")
    atomic_write(path, b"2", keep_previous=True)
    assert names(tmp_path) == ["a", "a.prev"]
    assert (tmp_path / "a.prev").read_bytes() == b"1"


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    atomic_write(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"x"


# --- order and faults -----------------------------------------------------------------------

class Calls:
    """Counts the system calls of a write and makes number `fail_at` fail."""

    def __init__(self, monkeypatch, fail_at=None, code=None):
        self.log, self.fail_at, self.code = [], fail_at, code
        for name in ("open", "fsync", "replace", "link", "listdir", "fdopen"):
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))

    def note(self, name):
        self.log.append(name)
        if len(self.log) == self.fail_at:
            raise OSError(self.code, os.strerror(self.code))

    def wrap(self, name, function):
        def call(*args, **kwargs):
            if name == "fsync":
                folder = os.path.isdir(f"/proc/self/fd/{args[0]}")
                self.note("fsync folder" if folder else "fsync file")
            else:
                self.note(name)
            result = function(*args, **kwargs)
            return Spy(result, self) if name == "fdopen" else result
        return call


class Spy:
    """A file whose write and flush are noted."""

    def __init__(self, file, calls):
        self.file, self.calls = file, calls

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.file.close()

    def write(self, data):
        self.calls.note("write")
        return self.file.write(data)

    def flush(self):
        self.calls.note("flush")
        self.file.flush()

    def fileno(self):
        return self.file.fileno()


def test_steps_come_in_the_order_that_survives_power_loss_C2(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        calls = Calls(patch)
        atomic_write(tmp_path / "a", lambda f: [f.write(b"x") for _ in range(3)])
    steps = [c for c in calls.log if c not in ("open", "fdopen", "listdir")]
    assert steps == ["write"] * 3 + ["flush", "fsync file", "replace", "fsync folder"]


@pytest.mark.parametrize("code", FAULTS, ids=errno.errorcode.get)
def test_whichever_call_fails_the_old_file_is_intact_C3(tmp_path, monkeypatch, code):
    path, n, failures = tmp_path / "a", 0, 0
    path.write_bytes(b"old")
    before = open_descriptors()
    while True:
        n += 1
        with monkeypatch.context() as patch:
            calls = Calls(patch, n, code)
            try:
                atomic_write(path, lambda f: [f.write(b"new") for _ in range(3)],
                             keep_previous=True)
            except CheckpointError as e:
                error = e
            else:
                break
        failures += 1
        assert isinstance(error.__cause__, OSError) and error.__cause__.errno == code
        replaced = calls.log.count("replace") == 2 and calls.log[-1] != "replace"
        assert path.read_bytes() == (b"new" * 3 if replaced else b"old"), calls.log
        assert not [x for x in names(tmp_path) if ".tmp." in x or ".lock" in x], calls.log
        assert open_descriptors() == before
        path.write_bytes(b"old")
    assert failures == len(calls.log) >= 12
    assert path.read_bytes() == b"new" * 3


def test_a_full_disk_keeps_the_old_file_M2(tmp_path):
    """A real limit on the size of files instead of a patched call."""
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from minicv.files import atomic_write
from minicv.errors import CheckpointError
try:
    atomic_write({str(tmp_path / 'a')!r}, bytes(1_000_000))
except CheckpointError as e:
    print(type(e.__cause__).__name__, e.__cause__.errno)
"""
    (tmp_path / "a").write_bytes(b"old")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == ["OSError", str(errno.EFBIG)], run.stderr
    assert (tmp_path / "a").read_bytes() == b"old" and names(tmp_path) == ["a"]


def test_an_exception_of_the_writer_is_the_cause(tmp_path):
    def write(file):
        file.write(b"half")
        raise ZeroDivisionError("on purpose")

    with pytest.raises(CheckpointError, match="atomic_write: '.*a' .*on purpose") as info:
        atomic_write(tmp_path / "a", write)
    assert isinstance(info.value.__cause__, ZeroDivisionError)
    assert names(tmp_path) == []


@pytest.mark.parametrize("leave", [KeyboardInterrupt, SystemExit])
def test_leaving_the_writer_cleans_up_and_passes_through_C11(tmp_path, leave):
    (tmp_path / "a").write_bytes(b"old")

    def write(file):
        file.write(b"half")
        raise leave

    with pytest.raises(leave):
        atomic_write(tmp_path / "a", write)
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"


def test_ctrl_c_waits_until_the_file_is_safe_C11(tmp_path):
    def write(file):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            file.write(b"x")

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "a", write)
    assert (tmp_path / "a").read_bytes() == b"x" * 1000
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_temporary_file_of_somebody_else_is_never_touched(tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda n: "0" * 2 * n)
    foreign = tmp_path / f"a.tmp.{os.getpid()}.00000000"
    foreign.write_bytes(b"foreign")
    for write in (atomic_write, lambda path, _: check_writable(path)):
        with pytest.raises(CheckpointError, match="File exists"):
            write(tmp_path / "a", b"mine")
        assert foreign.read_bytes() == b"foreign" and names(tmp_path) == [foreign.name]


# --- pre-flight -----------------------------------------------------------------------------

@pytest.mark.parametrize("make, words", [
    (lambda d: d, "folder"),
    (lambda d: d / "no" / "a", "existing folder"),
    (lambda d: d / ("n" * 300), "not usable|could not"),
    (lambda d: d / ("n" * 250), "could not be locked|could not be written|cannot be written"),
    (lambda d: d / "a\0b", "not usable"),
    (lambda d: d / "pipe", "regular file"),
])
@pytest.mark.parametrize("function", [check_writable, lambda p: atomic_write(p, b"x")],
                         ids=["check", "write"])
def test_unusable_paths_are_refused_C10(tmp_path, make, words, function):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match=words):
        function(make(tmp_path))
    assert names(tmp_path) == ["pipe"]


def test_preflight_needs_a_folder_that_can_be_written_C10(tmp_path, monkeypatch):
    check_writable(tmp_path / "a")
    assert names(tmp_path) == []
    with monkeypatch.context() as patch:
        Calls(patch, 1, errno.EROFS)
        with pytest.raises(CheckpointError, match="check_writable.*Read-only"):
            check_writable(tmp_path / "a")


# --- orphans and locks ----------------------------------------------------------------------

def test_only_old_orphans_of_dead_writers_are_removed_C4(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    old = time.time() - 7200
    keep = [f"a.tmp.{os.getpid()}.00000000", f"b.tmp.{dead.pid}.00000000", "a.tmp", "a.tmp.x.y",
            f"a.tmp.{dead.pid}.0000000g", f"aa.tmp.{dead.pid}.00000000",
            f"a.tmp.{dead.pid}.00000000.npz", "a.tmp.99999999999.00000000",
            f"a.tmp.{dead.pid}.0000abcd"]
    drop = [f"a.tmp.{dead.pid}.{i:08x}" for i in range(2)]
    for name in keep + drop:
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (old, old))
    os.utime(tmp_path / f"a.tmp.{dead.pid}.0000abcd")  # young
    assert [p.name for p in remove_orphans(tmp_path / "a")] == drop
    assert names(tmp_path) == sorted(keep)
    atomic_write(tmp_path / "a", b"")
    assert names(tmp_path) == sorted([*keep, "a"])


def test_the_second_writer_of_a_path_is_refused_C7(tmp_path):
    path, errors = tmp_path / "a", []

    def other():
        with contextlib.suppress(ConcurrencyError):
            atomic_write(path, b"other")
            return
        errors.append(True)

    def write(file):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        file.write(b"first")

    atomic_write(path, write)
    assert errors == [True] and path.read_bytes() == b"first"
    other()
    assert path.read_bytes() == b"other" and names(tmp_path) == ["a"]


HOLDER = """
import sys, time
from minicv.files import atomic_write
def write(file):
    print("holding", flush=True)
    time.sleep(60)
atomic_write(sys.argv[1], write)
"""


def test_a_killed_writer_does_not_block_the_path_C7(tmp_path):
    path = tmp_path / "a"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE)
    holder.stdout.readline()
    with pytest.raises(ConcurrencyError, match="path is .*one writer at a time"):
        atomic_write(path, b"me")
    holder.kill()
    holder.communicate()
    atomic_write(path, b"me")
    assert path.read_bytes() == b"me" and not (tmp_path / "a.lock").exists()


def test_many_threads_never_mix_their_content_C7(tmp_path):
    path, done = tmp_path / "a", []

    def worker(k):
        for _ in range(30):
            with contextlib.suppress(ConcurrencyError):
                atomic_write(path, lambda f: [f.write(bytes([k]) * 999) for _ in range(9)])
                content = path.read_bytes()
                done.append(len(content) == 8991 and len(set(content)) == 1)

    threads = [threading.Thread(target=worker, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert done and all(done) and names(tmp_path) == ["a"]


# --- kill campaign --------------------------------------------------------------------------

WRITER = """
import hashlib, os, sys, time
kind, path, step = sys.argv[1], sys.argv[2], int(sys.argv[3])
from minicv.files import atomic_write
def state(step):
    return step.to_bytes(8, "big") + hashlib.sha256(b"%d" % step).digest() * 16384
def naive(path, data):
    with open(path, "wb") as file:
        for i in range(0, len(data), 4096):
            file.write(data[i:i + 4096])
        file.flush()
        os.fsync(file.fileno())
save = atomic_write if kind == "atomic" else naive
print("R", flush=True)
while True:
    step += 1
    save(path, state(step))
    print(step, flush=True)
"""


def state_of(path):
    """The step stored in a file, or None if it is not exactly what `WRITER` saves."""
    data = path.read_bytes() if path.exists() else b""
    step = int.from_bytes(data[:8], "big")
    good = data[8:] == hashlib.sha256(b"%d" % step).digest() * 16384
    return step if good and len(data) > 8 else None


def campaign(kind, kills, folder):
    """(unreadable, lost) after that many kills; lost = an acknowledged save that is gone."""
    chance, path, seen, unreadable, lost = random.Random(0), folder / "state", 0, 0, 0
    for _ in range(kills):
        child = subprocess.Popen([sys.executable, "-c", WRITER, kind, path, str(seen)],
                                 stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.03))
        child.kill()
        acknowledged = child.communicate()[0].split(b"\n")[:-1]
        seen = int(acknowledged[-1]) if acknowledged else seen
        step = state_of(path)
        unreadable += step is None and (seen > 0 or path.exists())
        lost += step is not None and step < seen
        seen = seen if step is None else step
    return unreadable, lost


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_no_kill_damages_the_file_while_the_naive_writer_is_caught_C1(tmp_path, kills):
    for kind in ("atomic", "naive"):
        (tmp_path / kind).mkdir()
    assert campaign("atomic", kills, tmp_path / "atomic") == (0, 0)
    unreadable, _ = campaign("naive", kills, tmp_path / "naive")
    assert unreadable >= 0.2 * kills, "the campaign is blind"
    leftovers = [n for n in names(tmp_path / "atomic") if ".tmp." in n]
    for name in leftovers:
        os.utime(tmp_path / "atomic" / name, (0, 0))
    atomic_write(tmp_path / "atomic" / "state", b"")
    assert names(tmp_path / "atomic") == ["state"]


# --- reading --------------------------------------------------------------------------------

def test_files_are_read_up_to_the_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_limited(tmp_path / "a", 5) == b"12345"
    with pytest.raises(LimitError, match="5 bytes, expected at most 4"):
        read_limited(tmp_path / "a", 4)
    with pytest.raises(DataMissingError, match="path is"):
        read_limited(tmp_path / "b")
    os.mkfifo(tmp_path / "pipe")
    for name in ("", "pipe"):
        with pytest.raises(DataFormatError, match="regular file"):
            read_limited(tmp_path / name)


def test_a_file_that_cannot_be_read_is_a_typed_error(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a").write_bytes(b"1")
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DataFormatError, match="a' cannot be read: .*Permission denied"):
        read_limited(tmp_path / "a")


@pytest.mark.parametrize("name", ["", "../x", "a/../../x", "/etc/passwd", "a\0b", "..", "a\\b",
                                  "C:x", "out", "out/x", ".", 3])
def test_names_cannot_leave_their_folder_F9(tmp_path, name):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    with pytest.raises(UnsafeFileError, match="name is"):
        safe_join(tmp_path / "root", name)


def test_names_inside_their_folder_are_joined_F9(tmp_path):
    assert safe_join(tmp_path, "a/b..c.jpg") == tmp_path.resolve() / "a" / "b..c.jpg"


@pytest.mark.parametrize("size, present, error", [
    ((0, 5, 3), None, DataFormatError), ((5, -1, 3), None, DataFormatError),
    ((5, 5, 0), None, DataFormatError), ((65535, 65535, 3), None, LimitError),
    ((2**31 - 1, 1, 1), None, LimitError), ((10, 10, 3), 299, DataFormatError),
])
def test_impossible_image_headers_are_refused_F15(size, present, error):
    with pytest.raises(error, match="scan.png"):
        check_image_header(*size, present, "scan.png")


def test_possible_image_headers_pass():
    check_image_header(10, 10, 3, 300, "a")
    check_image_header(10, 10, 3, 3, "a", expansion=100)
    check_image_header(89_478_485, 1, 1, None, "a")
    check_image_header(65535, 65535, 3, None, "a", limit=2**32)
