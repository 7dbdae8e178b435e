"""The committed results: `docs/results.jsonl`, one row for each experiment, preset and seed."""

import json
import math
import time
from pathlib import Path

from ..errors import ConcurrencyError
from ..files import atomic_write, check_writable
from . import catalog, sources
from .usage import UsageError

PATH = catalog.ROOT / "docs" / "results.jsonl"
SEEDS = (0, 1, 2)


def load(path=None):
    """{(id, preset, seed): row} of the file; the latest row wins. Empty when there is no file."""
    path = Path(path or PATH)
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    return {(row["id"], row["preset"], row["seed"]): row for row in rows}


def record(row, path=None, *, attempts=100):
    """Put one row into the file, which stays sorted and without duplicates.

    The file is read and replaced under one lock, so that two runs can share it; while another
    process holds it we wait, 0.1 s for each attempt.

    Raises
    ------
    ConcurrencyError
        If the file stays locked.
    """
    path = Path(path or PATH)
    for attempt in range(attempts):
        try:
            return atomic_write(path, lambda file: file.write(_with_row(load(path), row)))
        except ConcurrencyError:
            if attempt == attempts - 1:
                raise
            time.sleep(0.1)


def _with_row(rows, row):
    rows[row["id"], row["preset"], row["seed"]] = row
    return "".join(json.dumps(rows[key], allow_nan=False) + "\n" for key in sorted(rows)).encode()


def ready(path=None):
    """Check, before hours of work, that results can be recorded.

    Raises
    ------
    UsageError
        If the folder of the file is missing: this is no source checkout.
    CheckpointError
        If the file cannot be written.
    """
    path = Path(path or PATH)
    if not (path.parents[1] / "setup.cfg").is_file():
        raise UsageError(f"verify: {path.parents[1]} is no source checkout, expected a folder with setup.cfg; "
                         "results are recorded in the project's docs/")
    path.parent.mkdir(exist_ok=True)
    check_writable(path)


def compact(metrics):
    """Metrics at six digits, which is what survives another BLAS; None for what is not finite."""
    return {name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in metrics.items()}


def digest(entry):
    """Hash of the sources behind an index row; "" when its file is gone."""
    file = catalog.source_file(entry)
    return sources.digest(file, catalog.ROOT) if file.is_file() else ""


def status(entry, rows, *, seeds=SEEDS, preset="fast"):
    """What the results say about one index row.

    Parameters
    ----------
    entry : dict, a row of the index
    rows : dict from `load`

    Returns
    -------
    (result, passed) : {"fresh", "stale", "missing"}, number of seeds whose latest result passed
    """
    found = [rows[entry["id"], preset, seed] for seed in seeds if (entry["id"], preset, seed) in rows]
    passed = sum(row["passed"] is True for row in found)
    if len(found) < len(seeds):
        return "missing", passed
    now = digest(entry)
    return ("fresh" if all(row["sources"] == now for row in found) else "stale"), passed
