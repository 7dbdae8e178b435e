"""From an equation of a lesson to the functions that compute it, and from those to the tests that prove them.

The code below an equation checks it, so what that code takes from the library is what implements it. Where several
equations share one piece of code, a comment with the equation's number, or a name in the text around it, decides. The
few exceptions stand in `docs/equations.toml`.
"""

import ast
import functools
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import lessons
import uses
from sources import ROOT

LEFT_OUT = ("minicv/errors", "minicv/plot/", "minicv/experiments/", "minicv/testing/", "minicv/train/", "minicv/data/",
            "minicv/autograd/modes.py", "minicv/autograd/tensor.py", "minicv/nn/init.py", "minicv/optim/descent.py")
TOOLS = {("minicv/autograd/engine.py", "grad"), *(("minicv/optim/landscapes.py", name) for name in
         ("canyon", "saddle", "sphere", "rotation", "two_basins"))}
GENERAL = ("minicv/nn/conv.py", "minicv/nn/container.py", "minicv/nn/linear.py", "minicv/nn/cost.py",
           "minicv/nn/norm.py", "minicv/autograd/transforms.py")     # named only where nothing more special is used
PROVING = re.compile(r"equal|equation|formula|definition|loops|brute|by_hand|worked|follow|oracle|finite|exact")
REFUSING = re.compile(r"refus|named|impossible|does_not_fit|bad_|slips")
EXCEPTIONS = ROOT / "docs" / "equations.toml"
MOST = 3                                # functions named for one equation


class Equation(NamedTuple):
    """Equation `number` of a lesson, with (file, definition) of the functions behind it."""

    lesson: str
    number: int
    formula: str
    functions: tuple
    reason: str = ""                    # why there is no function

    @property
    def key(self):
        """Lesson and number, as 12-4."""
        return f"{self.lesson[:2]}-{self.number}"


def exceptions():
    """{key: list of file#definition, or a sentence} of `docs/equations.toml`."""
    return tomllib.loads(EXCEPTIONS.read_text(encoding="utf-8"))


@functools.cache
def of_lesson(path):
    """All equations of one lesson."""
    known = exceptions()
    return [_corrected(equation, known.get(equation.key)) for equation in found(path)]


def _corrected(equation, exception):
    if isinstance(exception, str):
        return equation._replace(functions=(), reason=exception)
    if exception:
        return equation._replace(functions=tuple(tuple(entry.split("#")) for entry in exception))
    return equation


def found(path):
    """The equations of a lesson with what its code says about them."""
    cells = lessons.load(path)["cells"]
    names = uses.imported(ast.parse("\n".join(_code(cell) for cell in cells)))
    return [Equation(path.stem, number, formula, tuple(_functions(cells, k, number, names)))
            for number, k, formula in lessons.equations({"cells": cells})]


def _code(cell):
    return lessons.text_of(cell) if cell["cell_type"] == "code" else ""


def _functions(cells, k, number, names):
    """Definitions behind one equation, the surest source first."""
    below = _below(cells, k)
    trees = [ast.parse(code) for code in below]
    surest = _in_text(lessons.text_of(cells[k]), number, names)
    surest += [at for code, tree in zip(below, trees) for at in _in_lines(code, tree, number, names)]
    return _kept(surest) or _kept(uses.used(ast.Module([node for tree in trees for node in tree.body], []), names))


def _below(cells, k):
    """The code between the text `k` and the next text with equations or a heading."""
    found = []
    for cell in cells[k + 1:]:
        text = lessons.text_of(cell)
        if cell["cell_type"] == "code":
            found.append(text)
        elif re.search(r"\\tag\{|^#", text, re.M):
            break
    return found


def _in_text(text, number, names):
    """Names in backticks between this equation and the next."""
    around = text.split(f"\\tag{{{number}}}", 1)[-1].split("\\tag{", 1)[0]
    return [at for name in re.findall(r"`([A-Za-z_][\w.]*)`", around) if (at := _named(name, names))]


def _named(name, names):
    try:
        value = uses._value(ast.parse(name, mode="eval").body, names)
    except SyntaxError:
        return None
    return None if value is None else uses.where(value)


def _in_lines(code, tree, number, names):
    """What the statements use whose comment names the equation."""
    marked = [n for n, line in enumerate(code.splitlines(), 1)
              if re.search(rf"#.*(?<![\w\]])\({number}\)", line)]
    return [at for node in tree.body if any(node.lineno <= n <= node.end_lineno for n in marked)
            for at in uses.used(node, names)]


def _kept(places):
    kept = [at for at in dict.fromkeys(places) if not at[0].startswith(LEFT_OUT) and at not in TOOLS]
    special = [at for at in kept if not at[0].startswith(GENERAL)]
    return (special or kept)[:MOST]


# Proofs ------------------------------------------------------------------------------------------------


SUITE = ("tests/testing/test_registry.py", "test_gradients_match_finite_differences")


@functools.cache
def proofs(at, most=2):
    """[(file, test function)] that check a definition, the most telling first; for ops the generated suite."""
    if at in uses.ops():
        return [SUITE]
    tests = uses.tests()
    direct = tests.get(at) or [test for (file, _), found in tests.items() if file == at[0] for test in found]
    return sorted(dict.fromkeys(direct), key=lambda test: _distance(test, at))[:most]


def _distance(test, at):
    """Tests named after the file first, then those of its package; names that speak of equality; then narrow ones."""
    file, package = test[0].endswith(f"/test_{Path(at[0]).stem}.py"), test[0].split("/")[1] == at[0].split("/")[1]
    telling = bool(REFUSING.search(test[1])) - bool(PROVING.search(test[1]))
    return -2 * file - package, telling, uses.breadth()[test]


def sentence(test):
    """A test's name as the sentence that it is; numbers of worked examples become what they were: B1.5."""
    name = re.sub(r"^test_b(\d)_(\d+)_", r"B\1.\2:_", test).removeprefix("test_")
    said = re.sub(r"(_[a-zA-Z]\d+)+$", "", name).replace("_", " ")
    return said[:1].upper() + said[1:]


# Text --------------------------------------------------------------------------------------------------


def note(equation, home):
    """One line of Markdown: which functions compute an equation, which tests prove it."""
    if not equation.functions:
        reason = equation.reason or "a step of the derivation, checked by the code below it"
        return reason[:1].upper() + reason[1:] + "."
    proved = dict.fromkeys(test for at in equation.functions for test in proofs(at))
    code = ", ".join(link(at, home) for at in equation.functions)
    return f"In code: {code}." + (" Proved by: " + "; ".join(map(proof_link, list(proved)[:3])) + "." if proved else "")


def link(at, home):
    """A definition: its place in the reference if it has one, else its source."""
    name = home.get(at)
    return f"{{py:obj}}`~{name}`" if name else f"{{source}}`{at[1]} <{at[0]}#{at[1]}>`"


def proof_link(test):
    """A test as a sentence that links to its source."""
    said = "The generated suite for operations: values and derivatives" if test == SUITE else sentence(test[1])
    return f"{{source}}`{said} <{test[0]}#{test[1]}>`"


def table(paths, home):
    """The page: every equation of the course with its function and its proof."""
    parts = ["# Where an equation lives\n\n"
             "Every numbered equation, the functions that compute it and the tests that prove it. The list is made "
             "from the lessons: what the code below an equation takes from the library is what implements it. The "
             "entries of the reference link back.\n"]
    for path in paths:
        found = of_lesson(path)
        if found:
            parts.append(f"\n## {{doc}}`lessons/{path.stem}`\n\n" + "".join(_row(e, home) for e in found))
    return "".join(parts)


def _row(equation, home):
    number = f"{{eq}}`{lessons.label(equation.lesson, equation.number)}`"
    return f"$${equation.formula}$$\n\n{{.where}}\n{number} {note(equation, home)}\n\n"


def back_links(paths):
    """{(file, definition): [equations]} for the reference."""
    found = {}
    for path in paths:
        for equation in of_lesson(path):
            for at in equation.functions:
                found.setdefault(at, []).append(equation)
    return found
