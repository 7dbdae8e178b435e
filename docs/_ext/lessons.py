"""Lessons: the committed notebooks with labelled equations, links between them, and pictures with a description."""

import ast
import functools
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


@functools.cache
def title(path):
    """The first heading of a lesson."""
    return re.search(r"^# (.+)$", text_of(load(path)["cells"][0]), re.M)[1]


def anchor(path, id, up=""):
    """A link in HTML to a place in a lesson."""
    return f'<a class="reference internal" href="{up}lessons/{path.stem}.html#{id}">{title(path)}</a>'


def equations(notebook):
    """[(number, index of the cell, formula)] of a lesson."""
    return [(int(m["number"]), k, (m["before"] + m["after"]).strip()) for k, cell in enumerate(notebook["cells"])
            if cell["cell_type"] == "markdown" for m in TAGGED.finditer(text_of(cell))]


def figure_place(words):
    """Name of the place of a figure without a number."""
    return "figure-" + re.sub(r"\W+", "-", words).lower()


def staged(path, notes=None, runs=None, figures=()):
    """The notebook of `path` as it goes into the book.

    `notes` maps an equation's number to a line under it, `runs` the index of a cell to the experiments that it runs;
    `figures` are words that announce a figure without a number.
    """
    notebook, lesson, caption = load(path), path.stem, ""
    numbers = {number for number, _, _ in equations(notebook)}
    figures = set(figures)
    above = text_above(notebook["cells"])
    for k, cell in enumerate(notebook["cells"]):
        ids = [f"system-{id}" for code, here in (runs or {}).items() if above[code] == k for id in here]
        if cell["cell_type"] == "markdown":
            caption = caption_of(text_of(cell)) or caption
            ids += [f"figure-{number.replace('.', '-')}" for number in figure_numbers(text_of(cell))]
            here = {words for words in figures if any(words in part for part in captions(text_of(cell)))}
            ids += map(figure_place, sorted(here))
            figures -= here
            cell["source"] = anchors(ids) + boxed(marked(text_of(cell), lesson, numbers, notes or {}))
        else:
            cell["metadata"]["mystnb"] = {"image": {"alt": caption or lesson}}
            if only_imports(text_of(cell)):
                cell["metadata"]["tags"] = ["hide-input"]
    return json.dumps(notebook, ensure_ascii=False)


def text_above(cells):
    """For each cell the index of the last cell of text up to it."""
    last, found = 0, []
    for k, cell in enumerate(cells):
        last = k if cell["cell_type"] == "markdown" else last
        found.append(last)
    return found


def anchors(ids):
    """Places to link to, above a cell of text."""
    return "".join(f'<span class="anchor" id="{id}"></span>' for id in dict.fromkeys(ids)) + "\n\n" * bool(ids)


def boxed(text):
    """A place to link to above each boxed remark about an entry of the errata, such as E1.12."""
    def place(match):
        found = re.findall(r"E\d\.\d+", match[0])
        return "\n" + anchors(f"remark-{id.replace('.', '-')}" for id in found) + match[0].lstrip("\n")
    return re.sub(r"(?:^|\n)> \*\*[^*]*\(E\d[^*]*\*\*", place, text)


def captions(text):
    """What a cell announces in bold about figures."""
    bold = [re.sub(r"\s+", " ", part) for part in re.findall(r"\*\*(.+?)\*\*", text, re.S)]
    return [part for part in bold if re.search(r"\bfigures?\b", part, re.I)]


def figure_numbers(text):
    """Numbers of the lecture notes' figures in the captions: **Figures 2.7 (...) and 2.8 (...)**."""
    return [number for part in captions(text) for number in re.findall(r"(?<![\w.])\d\.\d+(?![\w.]*\d)", part)]


def only_imports(code):
    """Is this the cell at the top of a lesson that only imports?"""
    body = ast.parse(code).body
    return bool(body) and all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in body)


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
    found = re.findall(r"\*\*(Figures?\b.*?)\*\*|^#+ ([^\n]+)$", text, re.M | re.S)
    said = [re.sub(r"\s+", " ", figure or heading).strip(" .:") for figure, heading in found]
    return re.sub(r"[$`*\\]", "", said[-1]) if said else ""
