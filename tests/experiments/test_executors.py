"""The survey of RegNets on every executor: the same rows from this process, others, Dask and MPI, and after kill -9.

The survey of 500 networks is ``minicv run design-space --preset full --set spaces=regnet --out DIR --resume`` with an
``--executor``; here it draws a few. Proved: processes, Dask and MPI write the bytes of a run without them; a run that
is killed leaves whole rows and no workers, and the same command, also on another executor, goes on from there; a
missing package is one line that names the extra, exit status 3.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from minicv.__main__ import main
from minicv.cnn import design_space
from minicv.errors import MissingExtraError
from minicv.experiments import catalog, index
from minicv.experiments.ch2 import regnet
from minicv.experiments.executors import executor
from minicv.experiments.usage import UsageError

pytestmark = pytest.mark.ch2
ROOT = str(catalog.ROOT)
SCRIPT = """
import pathlib, sys
if __name__ == "__main__":
    from minicv.experiments import catalog
    catalog.PATH = pathlib.Path(__file__).with_name("index.json")
    from minicv.__main__ import main
    sys.exit(main(sys.argv[1:]))
"""
SURVEY = ("run", "design-space", "--set", "spaces=regnet")
RUN = (*SURVEY, "--preset", "smoke", "--set", "n=5", "--quiet")
FILE = "smoke-regnet.jsonl"
PROCESSES = "--executor", "processes", "--jobs", "2"


@pytest.fixture
def script(tmp_path):
    """The command line with an index of one experiment."""
    (tmp_path / "index.json").write_text(index.render([regnet.spaces_of_networks.describe()]))
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def start(script, *options, before=()):
    """A session of its own, so that all its processes can be killed at once."""
    environment = {**os.environ, "PYTHONPATH": ROOT}
    return subprocess.Popen([*before, sys.executable, *options], cwd=script.parent, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    return out.decode()


def rows(folder):
    """The bytes of the results, and the metrics."""
    content = (folder / FILE).read_bytes()
    assert len(content.splitlines()) == 5
    return content, json.loads((folder / "report.json").read_text())["metrics"]


def wait_for_rows(process, path):
    """Until the first results are there."""
    while not path.exists() or not path.read_bytes():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


@pytest.fixture
def alone(script, tmp_path):
    """What a run in a single process finds."""
    finish(start(script, script.name, *RUN, "--out", "alone"))
    return rows(tmp_path / "alone")


def process_of(k):
    return os.getpid(), os.environ["OMP_NUM_THREADS"], k


# Here and in other processes ----------------------------------------------------------------------------------------


def test_processes_are_others_and_have_one_thread(monkeypatch):
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "4")
    with executor("processes", 1) as pool:
        (pid, threads, k), = pool.map(process_of, [7])
    assert pid != os.getpid() and threads == "1" and k == 7
    with executor(None) as pool:
        assert pool is None


@pytest.mark.slow
def test_processes_write_the_rows_of_one(script, alone, tmp_path):
    finish(start(script, script.name, *RUN, "--out", "two", *PROCESSES))
    assert rows(tmp_path / "two") == alone


@pytest.mark.slow
@pytest.mark.parametrize("first, then", [((), ()), (PROCESSES, PROCESSES), (PROCESSES, ())])
def test_a_killed_run_goes_on_and_finds_the_same(script, alone, tmp_path, first, then):
    """kill -9 as soon as the first rows are there; the workers end by themselves."""
    command, found = (script.name, *RUN, "--out", "killed", "--resume"), tmp_path / "killed" / FILE
    process = start(script, *command, *first)
    wait_for_rows(process, found)
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = found.read_bytes()
    assert not (tmp_path / "killed/report.json").exists()
    assert set(kept.splitlines()) <= set(alone[0].splitlines())
    deadline = time.monotonic() + 60
    while any(map(alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    finish(start(script, *command, *then))
    assert rows(tmp_path / "killed") == alone


def children(pid):
    """Processes whose parent is `pid`."""
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in out.split()]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_without_resume_a_run_begins_again(script, alone, tmp_path):
    (tmp_path / "alone" / FILE).write_text("what an earlier version wrote\n")
    finish(start(script, script.name, *RUN, "--out", "alone"))
    assert rows(tmp_path / "alone") == alone


# On clusters --------------------------------------------------------------------------------------------------------


def dask():
    """(what stands before the command, options of python, options of the command)."""
    pytest.importorskip("dask.distributed", reason="needs dask[distributed]: pip install 'minicv[parallel]'")
    return (), (), ("--executor", "dask", "--jobs", "2")


def mpi():
    """Three ranks: one reads the networks and writes the rows, two train."""
    pytest.importorskip("mpi4py", reason="needs mpi4py and MPI: pip install 'minicv[mpi]'")
    mpiexec = shutil.which("mpiexec") or shutil.which("mpiexec", path=os.path.dirname(sys.executable))
    if mpiexec is None:
        pytest.skip("needs mpiexec: pip install 'minicv[mpi]'")
    return (mpiexec, "-n", "3"), ("-m", "mpi4py.futures"), ("--executor", "mpi")


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.parametrize("cluster", [dask, mpi])
def test_clusters_find_the_same(script, alone, tmp_path, cluster):
    before, python, options = cluster()
    finish(start(script, *python, script.name, *RUN, "--out", "cluster", *options, before=before))
    assert rows(tmp_path / "cluster") == alone


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.parametrize("cluster", [dask, mpi])
def test_a_killed_cluster_run_goes_on_and_finds_the_same(script, alone, tmp_path, cluster):
    """kill -9 of the whole session, the scheduler or the MPI launcher with it."""
    before, python, options = cluster()
    command = *python, script.name, *RUN, "--out", "killed", *options, "--resume"
    process = start(script, *command, before=before)
    wait_for_rows(process, tmp_path / "killed" / FILE)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "killed/report.json").exists()
    finish(start(script, *command, before=before))
    assert rows(tmp_path / "killed") == alone


def test_the_survey_of_the_lecture_is_one_command_of_five_hundred_networks(tmp_path):
    """The same populations whatever the number: 500 networks begin with the five of these tests."""
    assert regnet.SURVEY["full"] == (500, 4000, 10)
    networks = [design_space.population("regnet", n, regnet.TINY, between=(4e5, 8e5), rng=[0, 0], side=32,
                                        **regnet.NETWORK) for n in (5, 500)]
    assert networks[0] == networks[1][:5] and len({str(n) for n in networks[1]}) > 100


# Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, package, extra", [("dask", "dask.distributed", "parallel"),
                                                  ("mpi", "mpi4py.futures", "mpi")])
def test_a_missing_package_is_one_line_that_names_the_extra(script, monkeypatch, capsys, kind, package, extra):
    """U5; nothing is written."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, package.split(".")[0], None)
    monkeypatch.setattr(catalog, "PATH", script.with_name("index.json"))
    monkeypatch.chdir(script.parent)
    with pytest.raises(MissingExtraError, match=f"executor: kind is '{kind}'"):
        executor(kind).__enter__()
    assert main([*RUN, "--out", "new", "--executor", kind]) == 3
    err = capsys.readouterr().err
    assert f"minicv[{extra}]" in err and len(err.splitlines()) == 1 and not (script.parent / "new").exists()


@pytest.mark.parametrize("options, words", [
    (("--executor", "daks"), "did you mean 'dask'?"), (("--jobs", "2"), "--jobs is given without --executor"),
    (("--executor", "processes", "--jobs", "0"), "--jobs"), (("--resume",), "--resume is given without --out")])
def test_wrong_requests_are_refused_before_anything_runs(script, monkeypatch, capsys, options, words):
    monkeypatch.setattr(catalog, "PATH", script.with_name("index.json"))
    assert main([*RUN, *options]) == 2
    shown = capsys.readouterr()
    assert words in shown.err and shown.out == "" and len(shown.err.splitlines()) == 1
    with pytest.raises(UsageError, match="executor: kind is 'cluster', expected one of processes, dask, mpi"):
        executor("cluster").__enter__()


def test_an_experiment_without_shared_work_refuses_an_executor(capsys):
    assert main(["run", "adam", "--executor", "processes"]) == 2
    assert "executor is given, but adam takes" in capsys.readouterr().err
