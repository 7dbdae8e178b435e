"""Reading the index of all experiments: finding one imports no experiment."""

import importlib
import json
from pathlib import Path

from ..errors import ArgError
from .usage import UsageError, nearest

ROOT = Path(__file__).resolve().parents[2]
PATH = Path(__file__).with_name("index.json")


def load():
    """{id: row} of the stored index, in the order of the course."""
    return {row["id"]: row for row in json.loads(PATH.read_text(encoding="utf-8"))}


def find(function, id):
    """The index row of `id`.

    Raises
    ------
    UsageError
        Naming the nearest id, if there is no such experiment.
    """
    rows = load()
    if id not in rows:
        hint = nearest(id, rows) or "; `minicv list` shows them"
        raise UsageError(f"{function}: id is {id!r}, expected one of {len(rows)} experiments{hint}")
    return rows[id]


def entry(row):
    """The Experiment behind an index row; this imports its module and no other chapter."""
    from .experiment import REGISTRY

    importlib.import_module(row["python"])
    if row["id"] not in REGISTRY:
        raise ArgError(f"catalog: {row['id']} is not in {row['python']}, expected it there; run "
                       "`python -m minicv.experiments.index`")
    return REGISTRY[row["id"]]


def source_file(row):
    """Path of the file that defines the experiment of an index row."""
    return ROOT.joinpath(*row["python"].split(".")).with_suffix(".py")
