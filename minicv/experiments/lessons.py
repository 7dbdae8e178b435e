"""The command `minicv lesson`: which lessons there are, and copies of their notebooks for a class.

Lessons live in the folder ``notebooks`` of a source checkout; an installed package does not hold them.
"""

import json
import re

from ..files import atomic_write
from ..train.progress import write
from . import catalog, commands, outputs, terminal
from .usage import UsageError, choose

FOLDER = catalog.ROOT / "notebooks"
ANSWER = re.compile(r"<details>.*?</details>", re.S)
PROMPT = "# your answer\n"


def lesson_command(args):
    """List the lessons, or export them into a folder."""
    paths = notebooks()
    if args.action == "list":
        return _list(paths, args)
    if args.folder is None:
        raise UsageError("lesson: DIR is missing, expected `minicv lesson export DIR`")
    names = args.only or list(paths)
    for name in names:
        choose("lesson", "--only", name, list(paths))
    outputs.check("lesson", args.folder, force=args.force, argument="DIR")
    outputs.claim(args.folder)
    for name in names:
        notebook = read(paths[name])
        notebook = handout(notebook) if args.no_solutions else notebook
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        atomic_write(args.folder / f"{name}.ipynb", text.encode())
    commands.say(f"{len(names)} notebooks in {args.folder}", args)
    return 0


def notebooks():
    """{name: path} of the built lessons, in order.

    Raises
    ------
    UsageError
        If there are none: this is no source checkout.
    """
    paths = {path.stem: path for path in sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))}
    if not paths:
        raise UsageError(f"lesson: {str(FOLDER)!r} holds no notebooks, expected the folder of a source checkout; an "
                         "installed package comes without lessons, clone the repository for them")
    return paths


def read(path):
    """A notebook as plain data; UsageError when it is none."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["cells"], notebook["nbformat"], notebook["metadata"]
        return notebook
    except (ValueError, LookupError, TypeError) as error:
        raise UsageError(f"lesson: {path.name} is no notebook, expected JSON with cells; {error}") from None


def handout(notebook):
    """The notebook without outputs and folded answers; in the place of each answer stands a cell for one's own."""
    cells = [part for cell in notebook["cells"] for part in _without_answers(cell)]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:03d}"
    metadata = {name: value for name, value in notebook["metadata"].items() if name != "minicv"}
    return {**notebook, "cells": cells, "metadata": metadata}


def _without_answers(cell):
    """The cells that one cell becomes."""
    if cell["cell_type"] != "markdown":
        return [_code("".join(cell["source"]))]
    parts = ANSWER.split("".join(cell["source"]))
    texts = [[{"cell_type": "markdown", "metadata": {}, "source": text.strip().splitlines(keepends=True)}]
             if text.strip() else [] for text in parts]
    return texts[0] + [piece for text in texts[1:] for piece in [_code(PROMPT), *text]]


def _code(source):
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [],
            "source": source.splitlines(keepends=True)}


def title_of(notebook):
    """The first heading."""
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    found = re.search(r"^# (.+)$", text, re.M)
    return found[1].strip() if found else ""


def _list(paths, args):
    rows = [{"name": name, "title": title_of(read(path)), "kB": round(path.stat().st_size / 1000)}
            for name, path in paths.items()]
    if args.json:
        commands.print_json(rows)
    else:
        for line in terminal.table(("name", "title", "kB"), [tuple(row.values()) for row in rows], terminal.width()):
            write(line)
    return 0
