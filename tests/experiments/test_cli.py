"""The command line: what it answers, and how it refuses.

Proved: K23, 40 and more bad invocations give the right exit status, at most 3 lines, no traceback, and
write nothing; exit statuses 0, 1, 2, 3, 130 (U2); stdout is the result and stderr the rest; a closed pipe,
a narrow terminal, an ASCII terminal, a missing HOME and a foreign MPLBACKEND do no harm (U3, U6); outputs
of others are never overwritten (U4).
"""

import hashlib
import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest

from minicv.__main__ import main
from minicv.errors import CheckpointError
from minicv.experiments import catalog, commands, index, results, terminal

ROOT = str(catalog.ROOT)           # of the real project, taken before the toys replace it
SETUP = """
import pathlib, sys
sys.dont_write_bytecode = True
from minicv.experiments import catalog, results
root = pathlib.Path({root!r}); sys.path.insert(0, str(root))
catalog.ROOT, catalog.PATH, results.PATH = root, root / "index.json", root / "docs" / "results.jsonl"
from minicv.__main__ import main
sys.exit(main({argv!r}))
"""


def tree(root):
    """{path: hash} of every file, and the folders."""
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder"
            for p in sorted(root.rglob("*"))}


def shell(root, *argv, env=None, **options):
    """Run the command line in a fresh process on the toy project."""
    code = SETUP.format(root=str(root), argv=list(argv))
    env = {"PYTHONPATH": ROOT,
           "PATH": os.environ["PATH"], "HOME": str(root.parent), **(env or {})}
    return subprocess.run([sys.executable, "-c", code], env=env, cwd=root, capture_output=True, timeout=60, **options)


@pytest.fixture
def busy(toys):
    """The toy project with things in the way."""
    (toys / "full").mkdir()
    (toys / "full" / "thesis.txt").write_text("mine")
    (toys / "file").write_text("mine")
    (toys / "tour").mkdir()
    (toys / "tour" / "index.html").write_text("my own page")
    return toys


USAGE = [
    "", "rnu toy-descent", "lst", "--jsno", "-x", "tour list", "list extra", "list --chapter", "list --chapter one",
    "list --chapter -1", "list --chapter 1.5", "list --chapter 99", "list --chpater 1", "list --json=3", "run",
    "run toy-decsent", "run toy-descent toy-mean", "run toy-descent --preset fats", "run toy-descent --preset",
    "run toy-descent --seed -1", "run toy-descent --seed 1e3", "run toy-descent --seed 1_0",
    "run toy-descent --seed 99999999999999999999", "run toy-descent --sed 1", "run toy-descent --set",
    "run toy-descent --set lr", "run toy-descent --set rl=0.1", "run toy-descent --set lr=fast",
    "run toy-descent --set lr=nan",
    "run toy-descent --set lr=1e999", "run toy-descent --set noisy=maybe",
    "run toy-descent --set sizes=1,x", "run toy-descent --set =1",
    "run toy-mean --set lr=1", "run toy-mean --set data=x", "run toy-descent --data .", "run toy-mean --data nowhere",
    "run toy-descent --resume", "run toy-mean --resume", "run toy-descent --out file", "run toy-descent --out file/sub",
    "run toy-descent --out full", "run toy-descent --out=", "show", "show adma", "show toy-descent --preset fast",
    "verify nothing", "verify --seeds", "verify --seeds 0,a", "verify --seeds 0,,1", "verify --jobs 0",
    "verify --chapter 9", "verify toy-mean --chapter 1", "gradcheck", "gradcheck tanh --all",
    "gradcheck tanh --order 3", "gradcheck tanh --order two", "tour",
    "tour --only 9 --out new", "tour --only x --out new",
    "tour --seed x --out new", "tour --out full", "doctor now", "warmup --all",
]


@pytest.mark.parametrize("text", USAGE)
def test_wrong_usage_is_refused_in_one_line_and_writes_nothing(busy, capsys, text):
    """K23 / U1."""
    before = tree(busy)
    status = main(text.split())
    out, err = capsys.readouterr()
    assert status == 2 and out == ""
    assert len(err.splitlines()) == 1 and err.startswith("minicv: error: ") and "Traceback" not in err
    assert tree(busy) == before


@pytest.mark.parametrize("text, suggestion", [
    ("rnu toy-descent", "run"), ("lst", "list"), ("run toy-decsent", "toy-descent"), ("show toy-men", "toy-mean"),
    ("run toy-descent --sed 1", "--seed"), ("list --chpater=1", "--chapter"),
    ("run toy-descent --preset smok", "smoke"),
    ("run toy-descent --set strat=1", "start"), ("verify toy-mis", "toy-miss")])
def test_the_nearest_spelling_is_suggested(busy, capsys, text, suggestion):
    assert main(text.split()) == 2
    assert f"did you mean {suggestion!r}?" in capsys.readouterr().err


@pytest.mark.parametrize("text, status, words", [
    ("run toy-diverges", 1, "loss is inf"), ("run toy-extra", 3, "minicv[real]"), ("run toy-data", 3, "train-images"),
    ("run toy-stop", 130, "interrupted"), ("run toy-miss", 1, ""), ("run toy-nan", 1, ""), ("run toy-mean", 0, ""),
    ("run toy-miss --preset smoke", 0, ""), ("run toy-nan --preset smoke", 1, ""), ("show toy-mean", 0, "")])
def test_the_exit_status_says_what_happened(toys, capsys, text, status, words):
    """U2."""
    assert main(text.split()) == status
    err = capsys.readouterr().err
    assert words in err and len(err.splitlines()) <= 3 and "Traceback" not in err


def test_debug_shows_the_traceback(toys):
    done = shell(toys, "run", "toy-diverges", "--debug")
    assert done.returncode == 1 and b"Traceback" in done.stderr


def test_list_has_what_the_board_asks_for(toys, capsys):
    main(["verify", "toy-descent", "--quiet"])
    capsys.readouterr()
    assert main(["list", "--json"]) == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows["toy-descent"]) >= {"id", "chapter", "section", "title", "paper", "experiment", "targets",
                                        "notebook", "module", "result"}
    assert rows["toy-descent"]["result"] == "fresh" and rows["toy-mean"]["result"] == "missing"
    assert rows["toy-descent"]["targets"][0] == {"metric": "steps", "op": "==", "value": 132, "tag": "E"}
    assert (rows["toy-descent"]["chapter"], rows["toy-descent"]["section"]) == (1, "1.2")
    assert "toy-taste" not in rows                                     # no system of the course


def test_list_as_text_names_targets_and_results(toys, capsys):
    assert main(["list", "--chapter", "1"]) == 0
    out, err = capsys.readouterr()
    assert "toy-miss" in out and "accuracy >= 0.98" in out and "missing, 0 of 3 passed" in out
    assert "8 systems" in err


def test_show_tells_everything_and_imports_no_experiment(toys, capsys):
    assert main(["show", "toy-descent"]) == 0
    out = capsys.readouterr().out
    for words in ("Cauchy 1847", "x <- x - lr * x", "toys/ch1/basics.py", "steps = 132", "--set lr=", "float", "0.1"):
        assert words in out
    done = shell(toys, "show", "toy-descent", "--json")
    assert json.loads(done.stdout)["settings"]["lr"] == 0.1


def test_run_prints_metrics_tables_and_verdict(toys, capsys):
    assert main(["run", "toy-descent", "--set", "start=2", "--set", "lr=0.5"]) == 1
    out = capsys.readouterr().out
    assert "steps" in out and "21" in out and "missed" in out and "first steps" in out and "FAILED: preset fast" in out


def test_run_json_is_strict_json_and_alone_on_stdout(toys, capsys):
    assert main(["run", "toy-nan", "--json"]) == 1
    row = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert row["metrics"] == {"loss": None} and row["targets"][0]["passed"] is False and row["passed"] is False


def test_run_writes_a_page_and_may_replace_its_own_folder(toys, capsys):
    for _ in range(2):
        assert main(["run", "toy-descent", "--out", "new/place"]) == 0
    assert json.loads((toys / "new/place/report.json").read_text())["metrics"]["steps"] == 132
    assert "data:image/svg+xml" in (toys / "new/place/index.html").read_text()


def test_a_page_that_cannot_be_written_does_not_cost_the_result(toys, capsys, monkeypatch):
    """U2, C17: the disk is full when the run has ended."""
    def full(*args):
        raise CheckpointError("no space left")

    monkeypatch.setattr(commands.outputs, "save", full)
    assert main(["run", "toy-descent", "--out", "new"]) == 1
    shown = capsys.readouterr()
    assert "passed" in shown.out and "no space left" in shown.err


def test_force_writes_beside_what_is_there_and_deletes_nothing(busy):
    """U4."""
    assert main(["run", "toy-descent", "--out", "full", "--force"]) == 0
    assert (busy / "full/thesis.txt").read_text() == "mine" and (busy / "full/index.html").is_file()


def test_a_name_that_is_too_long_is_wrong_usage(toys, capsys):
    """U4."""
    assert main(["run", "toy-descent", "--out", "a" * 300]) == 2
    assert "expected a usable path" in capsys.readouterr().err


def test_a_read_only_place_is_refused_before_the_work(toys, capsys, monkeypatch):
    """U4; what the system says about the folder is replaced, because root may write anywhere."""
    (toys / "locked").mkdir(mode=0o500)
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("locked"))
    assert main(["run", "toy-descent", "--out", "locked/new"]) == 2
    assert "can be written" in capsys.readouterr().err


def test_tour_prints_every_threshold_and_writes_its_page(toys, capsys):
    assert main(["tour"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["ch", "experiment", "result", "expected", "s"] and len(lines) == 4
    assert "steps 132" in lines[1] and "= 132" in lines[1] and "< 1e-06" in lines[2]
    assert "3 of 3 targets met; open tour/index.html" in err
    assert "3 of 3 targets met" in (toys / "tour/index.html").read_text()


def test_tour_fails_on_a_missed_threshold(toys, capsys):
    source = (toys / "toys/ch1/basics.py").read_text().replace('Target("two", "==", 2,', 'Target("two", "==", 3,')
    (toys / "toys/ch1/basics.py").write_text(source)
    for name in [n for n in sys.modules if n.startswith("toys")]:
        del sys.modules[name]
    catalog.PATH.write_text(index.render(index.build("toys")))
    assert main(["tour", "--only", "2", "--json"]) == 1
    row, = json.loads(capsys.readouterr().out)
    assert row["id"] == "toy-taste" and row["targets"][0]["passed"] is False


def test_verify_prints_rows_and_records_them(toys, capsys):
    assert main(["verify", "toy-mean", "toy-diverges", "--seeds", "0,1"]) == 1
    out, err = capsys.readouterr()
    assert "toy-mean  seed 0" in out and "passed" in out and "DivergenceError" in out and "2 of 4 runs passed" in err
    assert len(results.PATH.read_text().splitlines()) == 4
    assert main(["verify", "toy-mean", "--resume", "--json"]) == 0
    assert [json.loads(line)["seed"] for line in capsys.readouterr().out.splitlines()] == [0, 1, 2]


def test_quiet_leaves_stderr_empty(toys, capsys):
    for argv in (["tour"], ["list"], ["run", "toy-mean"], ["verify", "toy-mean"]):
        assert main([*argv, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.fixture
def ops(monkeypatch):
    """A registry of two ops, one of them wrong."""
    fake = types.ModuleType("minicv.testing.registry")
    fake.specs = lambda: {"tanh": "tanh", "broken": "broken"}
    fake.check_op = lambda spec, order: [(f"order {k + 1}, x[0]", np.float64(1e-9), np.bool_(spec == "tanh"))
                                         for k in range(order)]
    monkeypatch.setitem(sys.modules, "minicv.testing", types.ModuleType("minicv.testing"))
    monkeypatch.setitem(sys.modules, "minicv.testing.registry", fake)


def test_gradcheck_reports_each_check_and_fails_on_a_wrong_one(ops, capsys):
    assert main(["gradcheck", "tanh"]) == 0
    out, err = capsys.readouterr()
    assert "order 2, x[0]" in out and "2 of 2 checks passed" in err
    assert main(["gradcheck", "--all", "--order", "1", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert rows == [{"op": "broken", "check": "order 1, x[0]", "error": 1e-9, "passed": False},
                    {"op": "tanh", "check": "order 1, x[0]", "error": 1e-9, "passed": True}]
    assert main(["gradcheck", "tnah"]) == 2 and "did you mean 'tanh'" in capsys.readouterr().err


def test_warmup_compiles_the_kernels(monkeypatch, capsys):
    called = []
    fake = types.ModuleType("minicv.kernels")
    fake.warmup = lambda: called.append(1)
    monkeypatch.setitem(sys.modules, "minicv.kernels", fake)
    assert main(["warmup"]) == 0 and called == [1] and "compiled" in capsys.readouterr().out


def test_doctor_answers_also_when_a_part_is_broken(monkeypatch, capsys):
    from minicv.experiments import doctor

    monkeypatch.setattr(doctor, "_blas", lambda: 1 / 0)
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["BLAS"] == "not usable: ZeroDivisionError: division by zero"
    assert found["numpy"] == __import__("numpy").__version__ and "GiB" in found["memory"] and "DejaVu" in found["fonts"]
    assert {"python", "numba", "matplotlib", "processors", "JIT", "kernels", "kernel cache"} <= set(found)
    assert main(["doctor"]) == 0 and len(capsys.readouterr().out.splitlines()) == len(found)


def test_a_package_that_is_not_installed_is_named(monkeypatch, capsys):
    """U5."""
    def missing(args):
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")

    monkeypatch.setattr(commands, "list_command", missing)
    assert main(["list"]) == 3 and "pip install matplotlib" in capsys.readouterr().err


def test_a_foreign_backend_and_a_missing_home_do_no_harm(toys):
    """U3."""
    done = shell(toys, "tour", "--quiet", env={"MPLBACKEND": "TkAgg", "HOME": "/nonexistent"})
    assert done.returncode == 0, done.stderr


def test_a_closed_pipe_is_no_error(toys):
    """U6."""
    code = SETUP.format(root=str(toys), argv=["list", "--json", "--quiet"])
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, cwd=toys, timeout=60,
                          env={**os.environ, "PYTHONPATH": ROOT})
    os.close(writer)
    assert done.returncode == 0 and done.stderr == b""


@pytest.mark.parametrize("closed", ["1", "2", "1 2"])
def test_a_stream_that_is_closed_from_the_start_is_no_error(toys, closed):
    """U6: ``minicv list >&-``; Python then has no sys.stdout at all."""
    code = SETUP.format(root=str(toys), argv=["list"])
    close = " ".join(f"{number}>&-" for number in closed.split())
    done = subprocess.run(["sh", "-c", f'"$0" -c "$1" {close}', sys.executable, code], capture_output=True, cwd=toys,
                          timeout=60, env={**os.environ, "PYTHONPATH": ROOT})
    assert done.returncode == 0 and b"rror" not in done.stderr


def test_an_ascii_terminal_gets_ascii(toys):
    """U6."""
    done = shell(toys, "show", "toy-mean", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and b"mean = 0.5 +- 0.05" in done.stdout
    assert "mean = 0.5 ± 0.05" in shell(toys, "show", "toy-mean", env={"PYTHONIOENCODING": "utf-8"}).stdout.decode()


@pytest.mark.parametrize("columns", [20, 60, 200])
@pytest.mark.parametrize("argv", [["list"], ["tour"], ["run", "toy-descent"]])
def test_tables_fit_the_terminal(toys, capsys, monkeypatch, columns, argv):
    """U6."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([*argv, "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and (argv[0] == "run" or max(map(len, lines)) <= columns)


def test_a_table_is_cut_at_its_widest_column_and_becomes_blocks_when_too_narrow():
    rows = [("adam", "a very long title indeed")]
    assert terminal.table(("id", "title"), rows) == ["id    title", "adam  a very long title indeed"]
    assert terminal.table(("id", "title"), rows, 20) == ["id    title", "adam  a very long .."]
    assert terminal.table(("id", "title"), rows, 12) == ["id adam", "title a ve.."]


def test_help_lists_the_commands_and_version_is_a_number(capsys):
    for argv in (["--help"], ["run", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as stop:
            main(argv)
        assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("tour", "list", "run", "verify", "show", "gradcheck", "doctor", "warmup"))
