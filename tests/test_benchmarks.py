"""The benchmark suites run; nothing about how fast they are is asserted."""

import importlib.util
import pathlib

import pytest

FILE = pathlib.Path(__file__).resolve().parent.parent / "benchmarks" / "run.py"


def runner():
    spec = importlib.util.spec_from_file_location("benchmark_runner", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_suite_has_a_question_and_timed_methods():
    found = list(runner().suites())
    assert len(found) >= 4 and all(suite.__doc__ for _, suite in found)


@pytest.mark.parametrize("pattern", ["bench_autograd", "bench_train", "channels=16 size=32"])
def test_suites_run_and_report_a_median(pattern, monkeypatch):
    module = runner()
    monkeypatch.setattr(module, "BUDGET", 0.0)
    rows = list(module.rows(pattern))
    assert rows and all(row["seconds"] > 0 and row["n"] >= 5 for row in rows)
