"""Results: recording, staleness, verify.

Proved: the digest follows code and not words, through all imports; rows are sorted and unique and the
latest wins; verify resumes, survives a failing experiment and gives the same rows on any executor.
"""

import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from minicv.experiments import catalog, results, sources, verify
from minicv.experiments.usage import UsageError


@pytest.fixture
def project(tmp_path):
    files = {
        "minicv/__init__.py": "", "minicv/optim/__init__.py": "from .adam import Adam\n",
        "minicv/optim/adam.py": "from .base import Base\nclass Adam(Base):\n    pass\n",
        "minicv/optim/base.py": "class Base:\n    lr = 1  # rate\n",
        "minicv/nn.py": "import minicv.plot.curves\n", "minicv/plot/__init__.py": "", "minicv/plot/curves.py": "",
        "minicv/other.py": "", "minicv/experiments/__init__.py": "", "minicv/experiments/report.py": "",
        "minicv/experiments/ch1/__init__.py": "",
        "minicv/experiments/ch1/x.py": "from ..report import Report\nfrom ...optim import Adam\n"
                                       "def f():\n    import minicv.nn as nn\n    import numpy\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digest(root):
    return sources.digest(root / "minicv/experiments/ch1/x.py", root)


def edit(root, name, text):
    path = root / name
    path.write_text(text)
    stat = path.stat()
    import os
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))


def test_dependencies_follow_all_imports_but_leave_out_what_only_draws_or_runs(project):
    found = [f.relative_to(project).as_posix()
             for f in sources.dependencies(project / "minicv/experiments/ch1/x.py", project)]
    assert found == ["minicv/__init__.py", "minicv/experiments/ch1/x.py", "minicv/nn.py",
                     "minicv/optim/__init__.py", "minicv/optim/adam.py", "minicv/optim/base.py"]


@pytest.mark.parametrize("name, text", [
    ("minicv/optim/base.py", "class Base:\n    lr = 2  # rate\n"), ("minicv/nn.py", "import minicv.other\n"),
    ("minicv/experiments/ch1/x.py", "from ...optim import Adam\n")])
def test_a_change_of_code_changes_the_digest(project, name, text):
    before = digest(project)
    edit(project, name, text)
    assert digest(project) != before


@pytest.mark.parametrize("name, text", [
    ("minicv/optim/base.py", 'class Base:\n    """A "word" # here."""\n\n    lr = 1\n'),
    ("minicv/optim/base.py", "# first\nclass Base:\n\n    lr = 1    # another word\n"),
    ("minicv/other.py", "x = 1\n"), ("minicv/plot/curves.py", "x = 1\n"), ("minicv/experiments/report.py", "x = 1\n")])
def test_words_and_unrelated_files_do_not_change_the_digest(project, name, text):
    before = digest(project)
    edit(project, name, text)
    assert digest(project) == before


@pytest.mark.parametrize("one, two", [
    ('x = "#fff"', 'x = "#000"'), ("x = '''a # b'''", "x = '''a # c'''"), ('x = f"{1}#2"', 'x = f"{1}#3"'),
    (r'x = "\"#1"', r'x = "\"#2"'), ("'a'\nx = 1", "'a'\nx = 2"), ("def f(): 'a'", "def g(): 'a'")])
def test_a_hash_sign_inside_a_string_is_no_comment(project, one, two):
    edit(project, "minicv/nn.py", one + "\n")
    before = digest(project)
    (project / "minicv/nn.py").write_text(two + "\n")
    edit(project, "minicv/nn.py", two + "\n")
    assert digest(project) != before


def test_imports_may_form_a_circle(project):
    edit(project, "minicv/optim/base.py", "from .adam import Adam\n")
    assert len(digest(project)) == 16


def row(id="a", seed=0, **more):
    return {"id": id, "preset": "fast", "seed": seed, "passed": True, "metrics": {"m": 1.0}, "seconds": 1.0,
            "sources": "x", **more}


def test_rows_are_sorted_unique_and_the_latest_wins(tmp_path):
    path = tmp_path / "results.jsonl"
    for r in [row("b"), row("a", 1), row("a", 0, passed=False), row("a", 0)]:
        results.record(r, path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [row("a", 0), row("a", 1), row("b")]


def record_many(id, path):
    for seed in range(10):
        results.record(row(id, seed), path)


def test_two_processes_can_share_the_file_without_losing_a_row(tmp_path):
    path = tmp_path / "results.jsonl"
    context = get_context("spawn")
    workers = [context.Process(target=record_many, args=(id, path)) for id in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert sorted(results.load(path)) == [(id, "fast", seed) for id in "ab" for seed in range(10)]


def test_a_file_merged_by_hand_still_loads_with_the_latest_row(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in [row(passed=False), row("b"), row()]) + "\n\n")
    assert results.load(path)["a", "fast", 0]["passed"] and len(results.load(path)) == 2


def test_verify_records_every_run_and_status_says_fresh(toys):
    rows = verify_all(toys, ["toy-descent", "toy-miss"])
    assert [r["passed"] for r in rows] == [True] * 3 + [False] * 3
    recorded = results.load()
    assert set(recorded) == {(id, "fast", s) for id in ("toy-descent", "toy-miss") for s in (0, 1, 2)}
    assert set(rows[0]) == {"id", "preset", "seed", "passed", "metrics", "seconds", "sources"}
    known = catalog.load()
    assert results.status(known["toy-descent"], recorded) == ("fresh", 3)
    assert results.status(known["toy-miss"], recorded) == ("fresh", 0)
    assert results.status(known["toy-mean"], recorded) == ("missing", 0)


def verify_all(toys, ids, **options):
    results.ready()
    return list(verify(ids, **options))


def test_a_changed_source_makes_results_stale(toys):
    verify_all(toys, ["toy-descent"])
    path = toys / "toys/ch1/basics.py"
    edit(toys, "toys/ch1/basics.py", "# only a word\n" + path.read_text())
    entry = catalog.load()["toy-descent"]
    assert results.status(entry, results.load()) == ("fresh", 3)
    edit(toys, "toys/ch1/basics.py", path.read_text() + "\nx = 1\n")
    assert results.status(entry, results.load()) == ("stale", 3)
    path.unlink()
    assert results.status(entry, results.load()) == ("stale", 3)


def test_resume_runs_only_what_is_missing_or_stale(toys, monkeypatch):
    verify_all(toys, ["toy-descent"], seeds=(0, 2))
    ran = []
    work = verify_module().run_row
    monkeypatch.setattr(verify_module(), "run_row", lambda *job, **kw: ran.append(job) or work(*job, **kw))
    rows = verify_all(toys, ["toy-descent"], resume=True)
    assert ran == [("toy-descent", "fast", 1)] and len(rows) == 3


def verify_module():
    import sys
    return sys.modules["minicv.experiments.verify"]


def test_a_run_that_fails_is_recorded_and_the_others_go_on(toys):
    rows = verify_all(toys, ["toy-diverges", "toy-nan", "toy-mean"], seeds=(0,))
    assert [r["passed"] for r in rows] == [False, False, True]
    assert rows[0]["error"].startswith("DivergenceError: descent: loss is inf")
    assert rows[1]["metrics"] == {"loss": None}
    assert "NaN" not in results.PATH.read_text()


def test_an_interrupt_keeps_what_is_done(toys):
    with pytest.raises(KeyboardInterrupt):
        verify_all(toys, ["toy-mean", "toy-stop"], seeds=(0,))
    assert list(results.load()) == [("toy-mean", "fast", 0)]


@pytest.mark.parametrize("make", [
    lambda: ThreadPoolExecutor(2), lambda: ProcessPoolExecutor(1, mp_context=get_context("spawn"))],
    ids=["threads", "processes"])
def test_an_executor_gives_the_same_rows(toys, make, monkeypatch):
    ids = ["toy-mean"]
    serial = {(r["id"], r["seed"]): r["metrics"] for r in verify_all(toys, ids)}
    with make() as executor:
        if isinstance(executor, ProcessPoolExecutor):        # a fresh process knows nothing of the toys
            executor.submit(use_toys, str(toys)).result()
        other = {(r["id"], r["seed"]): r["metrics"] for r in verify_all(toys, ids, executor=executor)}
    assert other == serial and len(serial) == 3


def use_toys(root):
    from pathlib import Path
    catalog.ROOT, catalog.PATH = Path(root), Path(root, "index.json")


def test_verify_needs_a_source_checkout(toys):
    (toys / "setup.cfg").unlink()
    with pytest.raises(UsageError, match="is no source checkout"):
        results.ready()
