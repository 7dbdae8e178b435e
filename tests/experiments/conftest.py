"""A small course of its own: toy experiments in a temporary package, with its own index and results."""

import functools
import sys

import pytest

from minicv.experiments import catalog, index, results, run
from minicv.experiments.experiment import REGISTRY

TOYS = '''
"""Toy experiments that run in milliseconds and fail in every way an experiment can."""
import numpy as np
from minicv.errors import DataMissingError, DivergenceError, MissingExtraError
from minicv.experiments import Report, Target, experiment


@experiment("toy-descent", title="Gradient descent <on> a parabola", chapter="1.2", paper="Cauchy 1847",
            equations="x <- x - lr * x", shows="The error shrinks by 1 - lr in each step.",
            module="toys/ch1/basics.py", notebook="toys/ch1/basics.py", tour=1,
            targets=[Target("steps", "==", 132, tag="E"), Target("end", "<", 1e-6, tag="E")])
def descent(preset, rng, out, progress, *, lr=0.1, start=1.0, noisy=False, name="x", sizes=(1, 2)):
    x, path = start, [start]
    for _ in progress(range({"smoke": 3, "fast": 1000, "full": 2000}[preset]), desc="steps"):
        x -= lr * x
        path.append(x)
        if abs(x) < 1e-6:
            break
    return Report({"steps": len(path) - 1, "end": x}, {"distance & step": lambda: figure(path)},
                  {"first steps": [{"step": t, "x": v} for t, v in enumerate(path[:3])]})


def figure(path):
    from minicv.plot import plot_curves
    return plot_curves({"descent": path}, log=True).figure


@experiment("toy-mean", title="Mean of draws", chapter="1.1", paper="-", module="toys/ch1/basics.py",
            targets=[Target("mean", "~", 0.5, tol=0.05)])
def mean(preset, rng, out, progress, *, data=None, resume=False):
    values = rng.random(10 if preset == "smoke" else 2000)
    return Report({"mean": values.mean(), "from_data": float(data is not None)})


@experiment("toy-miss", title="Misses", chapter="1.3", paper="-", module="toys/ch1/basics.py",
            targets=[Target("accuracy", ">=", 0.98)])
def miss(preset, rng, out, progress):
    return Report({"accuracy": 0.5})


@experiment("toy-nan", title="Not a number", chapter="1.3", paper="-", module="toys/ch1/basics.py",
            targets=[Target("loss", "<", 1.0)])
def nan(preset, rng, out, progress):
    return Report({"loss": np.nan})


@experiment("toy-diverges", title="Diverges", chapter="1.3", paper="-", module="toys/ch1/basics.py",
            targets=[Target("loss", "<", 1.0)])
def diverges(preset, rng, out, progress):
    raise DivergenceError("descent: loss is inf, expected a finite number")


@experiment("toy-extra", title="Needs a package", chapter="1.3", paper="-", module="toys/ch1/basics.py",
            targets=[Target("loss", "<", 1.0)])
def extra(preset, rng, out, progress):
    raise MissingExtraError("photos: scikit-learn is not installed; pip install 'minicv[real]'")


@experiment("toy-data", title="Needs data", chapter="1.3", paper="-", module="toys/ch1/basics.py",
            targets=[Target("loss", "<", 1.0)])
def nodata(preset, rng, out, progress):
    raise DataMissingError("mnist: no file, expected train-images")


@experiment("toy-stop", title="Interrupted", chapter="1.3", paper="-", module="toys/ch1/basics.py",
            targets=[Target("loss", "<", 1.0)])
def stop(preset, rng, out, progress):
    raise KeyboardInterrupt


@experiment("toy-taste", title="Taste of two", chapter="2.1", paper="-", module="toys/ch2/taste.py",
            targets=[Target("two", "==", 2, tag="E")], system=False, tour=1)
def taste(preset, rng, out, progress):
    return Report({"two": 2})
'''


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """``smoke(id)``: report of an experiment at preset `smoke` and seed 0, and its folder; each one runs once."""
    @functools.cache
    def of(id):
        out = tmp_path_factory.mktemp(id)
        return run(id, "smoke", seed=0, out=out).report.check(), out
    return of


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """The temporary project's root, which is also the current folder."""
    package = tmp_path / "toys" / "ch1"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").write_text("")
    (package / "basics.py").write_text(TOYS)
    (tmp_path / "setup.cfg").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv("COLUMNS", raising=False)        # tables as wide as they are
    monkeypatch.setattr(catalog, "ROOT", tmp_path)
    monkeypatch.setattr(catalog, "PATH", tmp_path / "index.json")
    monkeypatch.setattr(results, "PATH", tmp_path / "docs" / "results.jsonl")
    catalog.PATH.write_text(index.render(index.build("toys")))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "toys"]:
        del sys.modules[name]
    for id in [id for id in REGISTRY if id.startswith("toy-")]:
        del REGISTRY[id]
