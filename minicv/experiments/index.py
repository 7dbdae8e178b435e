"""Make the index of all experiments, so that listing them imports none.

    python -m minicv.experiments.index

writes `index.json` beside this file: one row for each experiment, in the order of the course. A
test fails when it is out of date.
"""

import importlib
import json
import sys

from ..files import atomic_write
from . import catalog
from .experiment import REGISTRY

PACKAGE = "minicv.experiments"


def modules(package=PACKAGE):
    """Dotted names of the files ``chN/<section>.py`` of the package, sorted by chapter."""
    folder = catalog.ROOT.joinpath(*package.split("."))
    files = [file for file in folder.glob("ch*/*.py") if not file.name.startswith("_")]
    return [f"{package}.{file.parent.name}.{file.stem}" for file in sorted(files)]


def build(package=PACKAGE):
    """The rows as the code has them now, sorted by chapter and section."""
    names = modules(package)
    for name in names:
        importlib.import_module(name)
    rows = [entry.describe() for entry in REGISTRY.values() if entry.function.__module__ in names]
    return sorted(rows, key=lambda row: ([int(part) for part in row["section"].split(".")], row["id"]))


def render(rows):
    """The text of `index.json`: one experiment a line, so that a merge conflict is easy to read."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def main():
    """Write the index and say how many experiments it holds."""
    rows = build()
    atomic_write(catalog.PATH, render(rows).encode())
    sys.stdout.write(f"{catalog.PATH.name}: {len(rows)} experiments\n")


if __name__ == "__main__":
    main()
