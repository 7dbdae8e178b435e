"""Docstrings as they are written in minicv, turned into what Sphinx reads.

They are plain text: single backticks are code, an indented block is shown as it stands, prose may follow the last
section. `rest` marks the blocks and protects the characters that reStructuredText would take for markup. A function
that computes an equation of a lesson gets a link back to it.
"""

import functools
import re

import equations
import lessons
import pages
import sources

KEPT = re.compile(r"(``.+?``|(?::[\w:]+:)?`[^`]+`_{0,2}|\.\. \w[\w-]*::.*)")
FIELD = re.compile(r"[*\w][\w*., ]*(:|$)")                      # "x, y : array" or "ArgError"
ITEM = re.compile(r"( *)([\w`][\w`., ]*?) *: ")                  # "name: what it is", one of several
FIELDS = {"Parameters", "Returns", "Yields", "Raises", "Attributes", "Other Parameters", "Warns"}


def rest(lines):
    """Lines of a docstring as reStructuredText that napoleon understands."""
    return [line for block in _blocks(lines) for line in block]


def _blocks(lines):
    paragraphs, base, fields = _paragraphs(lines), 0, False
    literal = False                                        # the last paragraph announced a block with "::"
    for paragraph in paragraphs:
        indent = _indent(paragraph[0])
        if len(paragraph) > 1 and re.fullmatch(r"-{3,}", paragraph[1].strip()):
            base, fields, literal = 0, paragraph[0].strip() in FIELDS, False
            yield [*paragraph[:2], *_field_lines(paragraph[2:], fields), ""]
            continue
        if fields and indent == 0 and not re.match(r"[*\w][\w*, ]* : ", paragraph[0]):
            fields = False
            yield ["", ""]                                 # two empty lines end a section for napoleon
        base = _base(base, indent, fields)
        if literal and indent > base or paragraph[0].lstrip().startswith((".. ", ">>> ", "===")):
            yield [*paragraph, ""]
        elif sum(map(bool, map(ITEM.match, paragraph))) > 1 and ITEM.match(paragraph[0]):
            yield [*map(_bullet, paragraph), ""]
        elif _stands(paragraph, indent, base):
            yield [" " * base + "::", "", *_shifted(paragraph, base + 4 - indent if indent <= base else 0), ""]
        else:
            yield [*_field_lines(paragraph, fields and indent == 0), ""]
        literal = paragraph[-1].rstrip().endswith("::") or literal and indent > base


def _paragraphs(lines):
    """Runs of lines between empty ones."""
    runs = [[]]
    for line in lines:
        if line.strip():
            runs[-1].append(line.rstrip())
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _base(base, indent, fields):
    """Where the text of this paragraph starts: 0, or 4 within the description of a field."""
    return min(indent, 4) if fields else 0


def _stands(paragraph, indent, base):
    """Is this paragraph a block that is shown as it stands?"""
    table = len(paragraph) > 1 and all(re.match(r"\s*\S.*?\S {2,}\S|\s{6,}\S", line) for line in paragraph)
    return table or indent > base and not re.match(r"\s*([-*]|\d+\.) ", paragraph[0])


def _bullet(line):
    """A line of a list "name: text" as an item, its continuation indented under it."""
    item = ITEM.match(line)
    return f"{item[1]}* ``{item[2].strip('`')}``: {escaped(line[item.end():])}" if item else "  " + escaped(line)


def _field_lines(lines, fields):
    return [line if fields and _indent(line) == 0 and FIELD.match(line) else escaped(line) for line in lines]


def _shifted(lines, by):
    return [" " * max(by, 0) + line for line in lines]


def _indent(line):
    return len(line) - len(line.lstrip())


def escaped(line):
    """The line with the characters *, |, a trailing _ and a backslash protected outside of code and roles."""
    parts = KEPT.split(line)
    parts[::2] = [_escape(part) for part in parts[::2]]
    parts[1::2] = [f"`{part}`" if part.startswith("`.") else part for part in parts[1::2]]    # an attribute, no link
    return "".join(parts)


def _escape(text):
    bullet = re.match(r"\s*\* ", text)
    head, text = (bullet[0], text[bullet.end():]) if bullet else ("", text)
    return head + re.sub(r"[*|\\]|_(?!\w)", lambda match: "\\" + match[0], text)


def _process(app, what, name, obj, options, lines):
    lines[:] = rest(lines)
    if where := _equations().get(sources.place(name) if what in ("function", "class", "exception") else None):
        lines += ["", "", "Equation " + ", ".join(map(_mention, where)) + ".", ""]


@functools.cache
def _equations():
    return equations.back_links(pages.notebooks(sources.ROOT))


def _mention(equation):
    label = lessons.label(equation.lesson, equation.number)
    return f":eq:`{label}` of :doc:`lesson {equation.lesson[:2]} </lessons/{equation.lesson}>`"


def setup(app):
    """Runs before napoleon."""
    app.connect("autodoc-process-docstring", _process, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
