"""How kernels are launched.

Proved here: importing loads no Numba; JIT, plain Python and NumPy lanes agree, integers exactly
(T7, N10); any number of threads gives the same bytes (T2, N5); two Python threads at once and a
fork after a kernel are safe (N1, N3); the cache is private, heals itself and is not needed (M11,
M12, M13, N6); one signature per dtype (N8); warmup reaches every kernel; thread settings.
"""

import os
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from minicv import kernels as K
from minicv.errors import ArgError
from minicv.kernels import cache, launch, threads

from .lanes import compute, everything

ROOT = Path(__file__).parents[2]
LANES = Path(__file__).with_name("lanes.py")
SWITCHES = ("MINICV_KERNELS", "NUMBA_DISABLE_JIT")
compiled = pytest.mark.skipif(any(os.environ.get(name, "0") not in ("", "0") for name in SWITCHES),
                              reason="is about compiled kernels, which this lane switches off")


def run(code, *args, timeout=120, **env):
    """Run code or a file in a fresh process and return (exit code, output)."""
    code = [str(code)] if isinstance(code, Path) else ["-c", textwrap.dedent(code)]
    path = os.pathsep.join([str(ROOT), str(LANES.parent)])
    inherited = {k: v for k, v in os.environ.items() if k not in SWITCHES}
    done = subprocess.run([sys.executable, *code, *map(str, args)], timeout=timeout, text=True,
                          capture_output=True, env={**inherited, "PYTHONPATH": path, **env})
    return done.returncode, done.stdout + done.stderr


def test_importing_kernels_does_not_import_numba():
    code = "import sys, minicv.kernels; print({'numba', 'matplotlib'} & set(sys.modules))"
    assert run(code) == (0, "set()\n")


@pytest.mark.parametrize(
    "env", [dict(MINICV_KERNELS="numpy"), dict(NUMBA_DISABLE_JIT="1")], ids=str)
def test_lanes_without_the_compiler_agree(env, tmp_path):
    """T7, N10, M8."""
    code, output = run(LANES, tmp_path / "out.npz", **env)
    assert code == 0, output
    with np.load(tmp_path / "out.npz") as stored:
        for name, value in everything().items():
            tolerance = {"int32": 0, "float32": 2e-6, "float64": 1e-13}[value.dtype.name]
            np.testing.assert_allclose(stored[name], value, rtol=0, err_msg=name,
                                       atol=tolerance * max(1, abs(value).max()))
            assert stored[name].dtype == value.dtype


def test_without_numba_the_twins_run_and_say_so(tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('broken')")
    code, output = run("""
        import sys; sys.path.insert(0, sys.argv[1])
        import numpy as np, minicv.kernels as K
        print(K.max_pool(np.arange(16.).reshape(1, 1, 4, 4), size=2)[0].ravel().tolist())
        """, tmp_path)
    assert code == 0 and "[5.0, 7.0, 13.0, 15.0]" in output
    assert output.count("numba cannot be imported (broken)") == 1


@compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_number_of_threads_does_not_change_a_byte(dtype, monkeypatch):
    """T2, N5: with threads for every launch, small or large; BLAS is kept at one thread."""
    shared = []
    share = launch.share
    monkeypatch.setattr(
        launch, "share", lambda f, calls: (shared.append(len(calls)), share(f, calls)))
    with K.deterministic():
        monkeypatch.setattr(threads, "_chosen", 1)
        expected = compute(dtype, scale=4)
        assert not shared
        monkeypatch.setattr(launch, "SERIAL_ELEMENTS", 1)
        for n in (2, 3, 7):
            monkeypatch.setattr(threads, "_chosen", n)
            for _ in range(3):
                for name, value in compute(dtype, scale=4).items():
                    assert np.array_equal(value, expected[name]), (name, n)
            assert shared[-1] == n


def test_small_arrays_stay_on_this_thread(monkeypatch):
    monkeypatch.setattr(threads, "_chosen", 4)
    sizes = {n: launch.num_parts([np.empty(n, np.float32), 3]) for n in (10, 65535, 65536, 10**6)}
    assert sizes == {10: 1, 65535: 1, 65536: 2, 10**6: 4}


def test_two_python_threads_at_once(monkeypatch):
    """N1."""
    monkeypatch.setattr(launch, "SERIAL_ELEMENTS", 1)
    monkeypatch.setattr(threads, "_chosen", 2)
    with K.deterministic():
        expected = compute(np.float32)
        wrong = []

        def work():
            for _ in range(20):
                wrong.extend(n for n, v in compute(np.float32).items()
                             if not np.array_equal(v, expected[n]))

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_after_a_kernel_works_in_the_child():
    """N3: the child computes the same bytes on one thread, and both processes end cleanly."""
    code, output = run("""
        import os
        import numpy as np
        from minicv import kernels as K
        from minicv.kernels import launch
        from lanes import compute
        launch.SERIAL_ELEMENTS = 1
        K.set_num_threads(2)
        expected = compute(np.float32)
        assert launch._pool is not None
        child = os.fork()
        with K.deterministic():
            result = compute(np.float32)
        same = all(np.allclose(result[n], expected[n], atol=1e-5) for n in expected)
        if child == 0:
            os._exit(0 if same and launch._pool is None else 1)
        print(os.waitpid(child, 0)[1], same)
        """)
    assert (code, output) == (0, "0 True\n")


def test_a_kernel_during_shutdown_still_works():
    """N11."""
    code, output = run("""
        import atexit
        import numpy as np
        from minicv import kernels as K
        from minicv.kernels import launch
        launch.SERIAL_ELEMENTS = 1
        K.set_num_threads(2)
        x = np.ones((1, 1, 4, 4))
        atexit.register(lambda: print(K.avg_pool(x, size=2).sum()))
        """)
    assert (code, output) == (0, "4.0\n")


COMPUTE = """
    import numpy as np
    from minicv import kernels as K
    print(K.avg_pool(np.ones((1, 1, 4, 4)), size=2).sum())
    """


def cache_files(folder, kind):
    return sorted(Path(folder).rglob(f"*average_pixels*.{kind}"))


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"garbage that is no pickle"])
def test_a_damaged_cache_heals(kind, content, tmp_path):
    """M11, N6: right result, one warning, and the next process finds a good cache again."""
    assert run(COMPUTE, NUMBA_CACHE_DIR=str(tmp_path)) == (0, "4.0\n")
    for path in (files := cache_files(tmp_path, kind)):
        path.write_bytes(content)
    assert files
    code, output = run(COMPUTE, NUMBA_CACHE_DIR=str(tmp_path))
    assert code == 0 and "4.0\n" in output
    assert output.count("cache of compiled kernels was unusable and is rebuilt") == 1
    before = [path.stat().st_mtime_ns for path in cache_files(tmp_path, kind)]
    assert run(COMPUTE, NUMBA_CACHE_DIR=str(tmp_path)) == (0, "4.0\n")
    assert before == [path.stat().st_mtime_ns for path in cache_files(tmp_path, kind)]


def test_the_default_cache_is_private_and_used(tmp_path):
    """M12."""
    env = dict(XDG_CACHE_HOME=str(tmp_path), NUMBA_CACHE_DIR="")
    assert run(COMPUTE, **env) == (0, "4.0\n")
    folder, = (tmp_path / "minicv").glob("kernels-*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert cache_files(folder, "nbi") and cache_files(folder, "nbc")


def test_a_given_cache_folder_is_keyed_by_the_sources_too(tmp_path):
    """Code from one file is compiled into functions of another, which Numba's own key does not see."""
    assert run(COMPUTE, NUMBA_CACHE_DIR=str(tmp_path)) == (0, "4.0\n")
    folder, = tmp_path.glob("kernels-*")
    assert cache_files(folder, "nbi") == cache_files(tmp_path, "nbi") != []


def test_a_folder_that_others_may_write_is_not_trusted(tmp_path):
    """M12: a planted cache file would be run."""
    env = dict(XDG_CACHE_HOME=str(tmp_path), NUMBA_CACHE_DIR="")
    run(COMPUTE, **env)
    folder, = (tmp_path / "minicv").glob("kernels-*")
    for path in cache_files(folder, "*"):
        path.unlink()
    folder.chmod(0o777)
    code, output = run(COMPUTE, **env)
    assert code == 0 and "4.0\n" in output and "no private folder" in output
    assert not cache_files(folder, "*")


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "NUMBA_CACHE_DIR"])
def test_without_a_place_for_the_cache_kernels_still_run(variable, tmp_path):
    """M13."""
    (tmp_path / "file").write_text("in the way")
    code, output = run(COMPUTE, **{"NUMBA_CACHE_DIR": "", variable: str(tmp_path / "file" / "x")})
    assert code == 0 and "4.0\n" in output
    assert output.count("RuntimeWarning") <= 1


@compiled
def test_one_signature_per_dtype_whatever_the_memory(monkeypatch):
    """N8."""
    monkeypatch.setattr(threads, "_chosen", 1)
    x = np.random.default_rng(0).standard_normal((2, 4, 8, 8)).astype(np.float32)
    locked = x.copy()
    locked.flags.writeable = False
    names = ("pool_loops.max_windows", "pool_loops.scatter_positions", "im2col.im2col")

    def known(*arrays):
        for a in arrays:
            for dtype in (np.float32, np.float64):
                y, where = K.max_pool(a.astype(dtype, copy=False), size=2)
                K.pool_scatter(y, where.astype(np.int64), size=(8, 8))
                K.conv2d(a.astype(dtype, copy=False), np.ones((3, a.shape[1], 2, 2), dtype))
        return {name: set(launch.get_kernel(name).signatures()) for name in names}

    before = known(x)
    assert known(locked, K.channels_last(x), x[:, ::2], x[..., ::-1], x.swapaxes(2, 3)) == before


@compiled
def test_warmup_reaches_every_kernel_in_both_dtypes():
    K.warmup()
    assert "im2col.im2col" in K.kernel_names() and K.kernel_names() == sorted(K.kernel_names())
    ours = {"im2col", "depthwise", "pool_loops", "rows_loops", "taps"}
    for name in (n for n in K.kernel_names() if n.split(".")[0] in ours):
        kinds = str(launch.get_kernel(name).signatures())
        assert "float32" in kinds and "float64" in kinds, name
    for name in (n for n in K.kernel_names() if launch.get_kernel(n).vector):
        assert launch.get_kernel(name).signatures(), name


@compiled
def test_a_kernel_without_items_is_called_as_it_is():
    def body(x, y):
        total = 0
        for i in range(len(x)):
            total += x[i]
            y[i] = total

    made = launch.Kernel(body, lambda x, y: np.cumsum(x, out=y), ["y"], parallel=False)
    for x in (np.arange(5), np.arange(9)[::2], np.arange(5) + 0.5):
        y = np.empty(5, x.dtype)
        made(x, y)
        assert np.array_equal(y, np.cumsum(x))
    assert len(made.signatures()) == 2


@compiled
def test_a_kernel_that_raises_is_not_hidden():
    def body(start, stop, x):
        for i in range(start, stop):
            x[i] = 1 // (i - i)

    broken = launch.Kernel(body, lambda x: None, ["x"], parallel=True)
    with pytest.warns(RuntimeWarning), pytest.raises(ZeroDivisionError):
        cache.warn_once.cache_clear()
        broken(1, np.zeros(1))


def test_number_of_threads(monkeypatch):
    before = threads._get_blas_threads()
    monkeypatch.setattr(threads, "_chosen", None)
    assert K.get_num_threads() >= 1
    try:
        K.set_num_threads(2)
        assert K.get_num_threads() == 2 == threads._get_blas_threads()
        with K.deterministic():
            assert threads._get_blas_threads() == 1 and K.get_num_threads() == 2
        assert threads._get_blas_threads() == 2
        for n in (0, -1, 1.5, True, "2", None):
            with pytest.raises(ArgError, match="set_num_threads: n is"):
                K.set_num_threads(n)
        assert K.get_num_threads() == 2
    finally:
        threads._set_blas_threads(before)
    assert run("import minicv.kernels as K; print(K.get_num_threads())", NUMBA_NUM_THREADS="3") == (
        0, "3\n")


def test_blas_threads_without_threadpoolctl(monkeypatch):
    before = threads._get_blas_threads()
    monkeypatch.setattr(threads, "_threadpoolctl", lambda: None)
    if not threads._openblas():
        pytest.skip("NumPy without its own OpenBLAS")
    threads._set_blas_threads(1)
    assert threads._get_blas_threads() == 1
    threads._set_blas_threads(before)
