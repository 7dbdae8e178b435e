"""Run experiments on several seeds and record what they reached."""

from concurrent.futures import as_completed

from ..train.progress import silent
from . import catalog, results
from .run import run_row


def verify(ids, seeds=results.SEEDS, *, preset="fast", resume=False, executor=None, progress=silent, path=None):
    """Run each experiment on each seed, record every row at once, and yield it.

    Parameters
    ----------
    ids : list of str
    seeds : sequence of int
    resume : bool
        Yield rows that are there and not stale instead of running them again.
    executor : concurrent.futures.Executor or None
        Where the runs happen; None is this process. Only this process writes the file.
    path : Path or None
        The results file, ``docs/results.jsonl``.

    Yields
    ------
    dict
        ``id, preset, seed, passed, metrics, seconds, sources``, and ``error`` when the run failed.
    """
    jobs = [(id, preset, seed) for id in ids for seed in seeds]
    done = fresh(jobs, path) if resume else {}
    yield from done.values()
    for row in _work([job for job in jobs if job not in done], executor, progress):
        results.record(row, path)
        yield row


def fresh(jobs, path=None):
    """{job: row} of those jobs ``(id, preset, seed)`` whose recorded row is up to date."""
    rows = results.load(path)
    known = catalog.load()
    now = {id: results.digest(known[id]) for id in {job[0] for job in jobs}}
    return {job: rows[job] for job in jobs if job in rows and rows[job]["sources"] == now[job[0]]}


def _work(jobs, executor, progress):
    if executor is None:
        for job in progress(jobs, desc="verify"):
            yield run_row(*job, progress=progress)
        return
    futures = [executor.submit(run_row, *job) for job in jobs]
    try:
        for future in progress(as_completed(futures), desc="verify", total=len(jobs)):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()
