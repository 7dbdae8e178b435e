"""The tour: a taste of every chapter, one table and one self-contained page.

Experiments take part when their decorator says ``tour=1`` (or 2, ...: the place within the chapter).
"""

import html

from ..train.progress import silent
from . import catalog
from .html import Verdict, figures_html, page, players_html, table_html
from .report import Target, number
from .run import run

HEADER = ("ch", "experiment", "result", "expected", "s")


def entries(chapters=None):
    """Index rows of the tour in the order of the course, of all chapters or some."""
    rows = [row for row in catalog.load().values() if row["tour"] and (not chapters or row["chapter"] in chapters)]
    return sorted(rows, key=lambda row: (row["chapter"], row["tour"], row["id"]))


def tour(rows, *, seed=0, preset="fast", progress=silent):
    """Run tour entries one after the other; yields (index row, Result)."""
    for row in progress(rows, desc="tour"):
        yield row, run(row["id"], preset, seed, progress=named(progress, row["title"]))


def named(progress, title):
    """The same progress bar with the title in front, so that one sees which experiment is running."""
    def wrapped(iterable, *, desc="", total=None):
        return progress(iterable, desc=f"{title}: {desc}" if desc else title, total=total)
    return wrapped


def lines(row, result):
    """Table rows, one for each target: the first carries chapter, title and seconds."""
    found = []
    for i, target in enumerate(result.report.targets):
        first = (row["chapter"], row["title"], f"{result.seconds:.0f}") if i == 0 else ("", "", "")
        got = f"{target.metric.replace('_', ' ')} {number(result.report.metrics[target.metric])}"
        miss = "" if target.passed(result.report.metrics) else "  MISSED"
        found.append((first[0], first[1], got, target.condition() + miss, first[2]))
    return found


def widths(rows):
    """Column widths that fit the lines of these entries, known before the first has run."""
    targets = [Target(**t) for row in rows for t in row["targets"]]
    names = [len(t.metric) + 11 for t in targets]
    return [2, max(len(row["title"]) for row in rows), max(names), max(len(t.condition()) for t in targets) + 8, 4]


def summary(results):
    """"5 of 6 targets met" for a list of (row, Result)."""
    total = sum(len(result.report.targets) for _, result in results)
    missed = sum(len(result.report.missed) for _, result in results)
    return f"{total - missed} of {total} targets met"


def render(results, *, seed):
    """The page: what was run, one table, then each experiment with its figures."""
    seconds = sum(result.seconds for _, result in results)
    rows = [line for row, result in results for line in _summary_rows(row, result)]
    body = [
        "<h1>minicv tour</h1>",
        '<p class="lead">A taste of each chapter: every experiment below has just been trained or computed on '
        "this machine, with NumPy and Numba alone, and is held against the threshold it has to reach.</p>",
        f'<p><strong class="{_verdict(results)}">{summary(results)}</strong> '
        f'<span class="soft">· seed {seed} · {seconds:.0f} s</span></p>',
        f"<section>{table_html(rows)}</section>",
        *[_section(row, result) for row, result in results],
        _next_steps(results),
    ]
    return page("minicv tour", "\n".join(body))


def _verdict(results):
    return "met" if all(result.passed for _, result in results) else "missed"


def _summary_rows(row, result):
    """One row for each target; only the first repeats what belongs to the whole experiment."""
    found = []
    for target in result.report.targets:
        met = target.passed(result.report.metrics)
        found.append({"ch": "" if found else str(row["chapter"]), "experiment": "" if found else row["title"],
                      "measured": target.metric.replace("_", " "),
                      "result": result.report.metrics[target.metric], "expected": target.condition(),
                      "": Verdict("met" if met else "missed"), "s": "" if found else f"{result.seconds:.0f}"})
    return found


def _section(row, result):
    files = [f"<code>{html.escape(row[key])}</code>" for key in ("module", "notebook") if row[key]]
    facts = " · ".join([f'section {row["section"]}', html.escape(row["paper"]), *files])
    tables = [table_html(rows, caption) for caption, rows in result.report.tables.items()]
    return "\n".join([f'<section><h2>{html.escape(row["title"])}</h2>', f'<p class="soft">{facts}</p>',
                      f'<p>{html.escape(row["shows"])}</p>' if row["shows"] else "",
                      figures_html(result.report.figures), players_html(result.report.players), *tables,
                      "</section>"])


def _next_steps(results):
    id = html.escape(results[0][0]["id"])
    return ("<section><h2>Next</h2><pre>minicv list            every system of the course\n"
            f"minicv show {id}\nminicv run {id} --seed 1\nminicv gradcheck --all   every gradient, to second order"
            "</pre></section>")


