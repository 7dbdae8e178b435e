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


def test_numbers_that_are_no_times_are_reported_as_they_are(monkeypatch):
    class Suite:
        """A ratio for each of two settings."""

        param_names, params = ["k"], [[1, 2]]

        def track_ratio(self, k):
            return k / 2
    module = runner()
    monkeypatch.setattr(module, "suites", lambda: [("bench.Suite", Suite)])
    assert list(module.rows("ratio")) == [{"name": f"bench.Suite.track_ratio k={k}", "value": k / 2} for k in (1, 2)]


@pytest.mark.oracle
@pytest.mark.slow
def test_the_prediction_benchmark_compares_equal_logits(monkeypatch):
    for name in ("torchvision", "safetensors", "sklearn", "PIL"):
        pytest.importorskip(name, reason="needs torchvision, safetensors, scikit-learn and Pillow")
    from benchmarks import bench_predict
    monkeypatch.setattr(bench_predict, "TURNS", 1)
    monkeypatch.setattr(bench_predict, "STARTS", 1)
    found = bench_predict.measured("resnet50", 1)
    assert found["error"] < 1e-4 and all(found[key] > 0 for key in found if key.startswith("ratio"))
