"""Lessons: the committed notebooks with labelled equations, links between them, and pictures with a description."""

import json
import re

TAGGED = re.compile(
    r"\$\$(?P<before>(?:(?!\$\$).)*?)\s*\\tag\{(?P<number>\d+)\}\s*(?P<after>(?:(?!\$\$).)*?)\$\$", re.S)
QUIET = re.compile(r"(```.*?```|\$\$.*?\$\$|\$[^$]+\$|`[^`]+`|<[^>]+>)", re.S)


def label(lesson, number):
    """Name of an equation, as 12-4 for the fourth of lesson 12."""
    return f"eq-{lesson[:2]}-{number}"


def load(path):
    """The notebook as plain data."""
    return json.loads(path.read_text(encoding="utf-8"))


def text_of(cell):
    """The source of a cell as one string."""
    return "".join(cell["source"])


def equations(notebook):
    """[(number, index of the cell, formula)] of a lesson."""
    return [(int(m["number"]), k, (m["before"] + m["after"]).strip()) for k, cell in enumerate(notebook["cells"])
            if cell["cell_type"] == "markdown" for m in TAGGED.finditer(text_of(cell))]


def staged(path, notes=None):
    """The notebook of `path` as it goes into the book; `notes` maps an equation's number to a line under it."""
    notebook, lesson = load(path), path.stem
    numbers = {number for number, _, _ in equations(notebook)}
    caption = ""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            caption = caption_of(text_of(cell)) or caption
            cell["source"] = marked(text_of(cell), lesson, numbers, notes or {})
        elif caption:
            cell["metadata"]["mystnb"] = {"image": {"alt": caption}}
    return json.dumps(notebook, ensure_ascii=False)


def marked(text, lesson, numbers, notes):
    """Equations get labels, mentions of them become links."""
    parts = QUIET.split(text)
    parts[::2] = [_linked(part, lesson, numbers) for part in parts[::2]]
    return TAGGED.sub(lambda m: _labelled(m, lesson, notes), "".join(parts))


def _linked(text, lesson, numbers):
    def link(match):
        known = int(match[1]) in numbers
        return f"[({match[1]})](#{label(lesson, match[1])})" if known else match[0]
    return re.sub(r"(?<![\w\]])\((\d{1,2})\)", link, text)


def _labelled(match, lesson, notes):
    number = int(match["number"])
    after = f"\n{{.where}}\n{notes[number]}\n" if number in notes else ""
    return f"\n$${match['before']}{match['after']}$$ ({label(lesson, number)})\n{after}"


def caption_of(text):
    """What the pictures below a cell of text show: its last bold words about a figure, or its last heading."""
    found = re.findall(r"\*\*(Figures?\b.*?)\*\*|^#+ (.+)$", text, re.M | re.S)
    said = [re.sub(r"\s+", " ", figure or heading).strip(" .:") for figure, heading in found]
    return re.sub(r"[$`*\\]", "", said[-1]) if said else ""
