"""The landing page: the course map of COURSE.md with its words turned into links."""

import re

import api

INTRODUCTION = """# Machine learning for computer vision, as working code

Every method of the course is derived, checked by hand, written out on NumPy and Numba over one small tensor with
automatic derivatives, and tried in an experiment that really trains. Each page shows what its code printed and drew.

Start with [the first lesson](lessons/00_autograd.ipynb), or jump in anywhere:

- [Where an equation lives](equations.md): from every numbered equation to the function that computes it and the test
  that proves it; the line under each equation in a lesson says the same.
- [Systems and their results](systems/index.md): every system of the course with its targets on three seeds.
- [Figures of the lecture notes](figures.md), [where notes, papers and code differ](errata.md), and the
  [glossary](glossary.md).
- [Three versions of one kernel](three_versions.md): definition, NumPy and vector code, and how they are held together.
- [Reference](api/index.rst): every public name.

## The course, chapter by chapter
"""


def chapters(course):
    """{number: name} of the chapters that COURSE.md lists."""
    return {int(n): name for n, name in re.findall(r"^\| (\d) ([^|:]+?)(?::[^|]*)? \|", course, re.M)}


def page(course, notebooks, ids):
    """COURSE.md with links, the list of pages behind it."""
    names = {path.stem for path in notebooks}
    text = re.sub(r"^# .*$", lambda _: INTRODUCTION, course, count=1, flags=re.M)
    text = re.sub(r"`, `((?:notebooks/)?\d\d_)", r"`<br>`\1", text)
    text = text.replace("| chapter |", "{.course}\n| chapter |", 1)
    text = re.sub(r"`((?:notebooks/)?(\d\d_\w+))`", lambda m: _lesson(m, names), text)
    text = re.sub(r"`(\w+)(/[\w/]*)`", _package, text)
    text = re.sub(r"(?<!\[)`([a-z0-9-]+)`", lambda m: f"[`{m[1]}`](#run-{m[1]})" if m[1] in ids else m[0], text)
    return text + "\n" + _trees(course, notebooks)


def _lesson(match, names):
    stem = match[2]
    return f"[](lessons/{stem}.ipynb)" if stem in names else match[0]


def _package(match):
    return f"[`{match[1]}`](api/{match[1]}.rst)" if f"minicv.{match[1]}" in api.packages() else match[0]


def _trees(course, notebooks):
    """Lessons in groups, one for each chapter, then everything else."""
    titles = {0: "Foundations"} | {n: f"{n} {name}" for n, name in chapters(course).items()}
    groups = {}
    for path in notebooks:
        groups.setdefault(titles.get(int(path.stem[0]), path.stem[0]), []).append(f"lessons/{path.stem}")
    about = ["systems/index", "equations", "figures", "errata", "glossary", "three_versions"]
    groups |= {"Across the lessons": about,
               "About the code": ["conventions", "parity", "benchmarks", "review", "changelog", "api/index"]}
    return "".join(f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(found) + "\n```\n\n"
                   for title, found in groups.items())
