"""Run one experiment: `run("adam", "fast", seed=0).report`."""

import time
from dataclasses import dataclass

from ..train.progress import silent
from . import catalog
from .report import PRESETS, Report
from .results import compact, digest
from .usage import UsageError, choose


@dataclass(eq=False)
class Result:
    """One run: which experiment, preset and seed, its `Report`, and the seconds it took."""

    id: str
    preset: str
    seed: int
    report: Report
    seconds: float

    @property
    def passed(self):
        """Whether the report passed; the time plays no part."""
        return self.report.passed

    def row(self, sources):
        """The result as plain data for `docs/results.jsonl`."""
        return {"id": self.id, "preset": self.preset, "seed": self.seed, "passed": self.passed,
                "metrics": compact(self.report.metrics), "seconds": round(self.seconds, 1), "sources": sources}

    def _repr_html_(self):
        return self.report._repr_html_()


def run(id, preset="fast", seed=0, *, out=None, settings=None, progress=silent, **provided):
    """Run an experiment and time it.

    Parameters
    ----------
    id : str
    preset : {"smoke", "fast", "full"}
    seed : int >= 0
    out : Path or None
        Folder for files that the experiment itself wants to keep.
    settings : dict or None
        Values for the experiment's own parameters.
    progress : callable
        Wraps long loops, `minicv.train.progress`.
    **provided
        `data` (folder of a real data set), `resume` (bool) and `executor`, for experiments that take
        them.

    Raises
    ------
    UsageError
        If the id, the preset or an argument is unknown, or `seed` is no integer >= 0.
    """
    row = prepare(id, preset, seed, provided)
    experiment = catalog.entry(row)
    start = time.perf_counter()
    report = experiment(preset, rng=seed, out=out, progress=progress, **(settings or {}), **provided)
    return Result(id, preset, seed, report, time.perf_counter() - start)


def prepare(id, preset, seed, provided=()):
    """Check a request against the index, before anything is imported or written; the index row."""
    row = catalog.find("run", id)
    choose("run", "preset", preset, PRESETS)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UsageError(f"run: seed is {seed!r}, expected an integer >= 0")
    for name in provided:
        if name not in row["provided"]:
            takes = ", ".join(row["provided"]) or "none of data, resume, executor"
            raise UsageError(f"run: {name} is given, but {id} takes {takes}")
    return row


def run_row(id, preset, seed, progress=silent):
    """Run and return the row for the results file; a failure becomes a row that did not pass."""
    sources = digest(catalog.find("verify", id))
    start = time.perf_counter()
    try:
        return run(id, preset, seed, progress=progress).row(sources)
    except Exception as error:                     # the other experiments still have to run
        return {"id": id, "preset": preset, "seed": seed, "passed": False, "metrics": {},
                "seconds": round(time.perf_counter() - start, 1), "sources": sources,
                "error": f"{type(error).__name__}: {error}".splitlines()[0]}
