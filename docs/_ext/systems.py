"""Pages of the systems, a chapter each: where one finds its derivation, code and tests, and what its runs gave."""

import ast
import re

import equations
import lessons
import sources
import uses

from minicv.experiments import catalog, results
from minicv.experiments.report import Target, number

STATUS = {"fresh": "", "stale": "stale: the code has changed since these runs", "missing": "no results yet"}


def pages(root, notebooks, titles):
    """{file name: text}; `titles` maps a chapter's number to its name."""
    rows = {id: row for id, row in catalog.load().items() if row["system"]}
    known = results.load(root / "docs" / "results.jsonl")
    places = sections(notebooks)
    chapters = sorted({row["chapter"] for row in rows.values()})
    found = {f"systems/chapter{n}.md": _chapter(n, titles[n], [r for r in rows.values() if r["chapter"] == n],
                                                known, places) for n in chapters}
    found["systems/index.md"] = _overview(rows, known, chapters)
    return found


def sections(notebooks):
    """{id: path of the lesson} of every experiment that a lesson runs."""
    return {id: path for path in notebooks for ids in experiments(path).values() for id in ids}


def experiments(path):
    """{index of a code cell: ids of the experiments that it runs}.

    A lesson that takes an experiment apart runs it where it first uses something else from the experiment's file.
    """
    cells = lessons.load(path)["cells"]
    codes = {k: ast.parse(lessons.text_of(cell)) for k, cell in enumerate(cells) if cell["cell_type"] == "code"}
    names = uses.imported(ast.Module([node for tree in codes.values() for node in tree.body], []))
    ids = {name: value.id for name, value in names.items() if type(value).__name__ == "Experiment"}
    found = {k: [ids[node.id] for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in ids]
             for k, tree in codes.items()}
    for row in catalog.load().values():
        if row["notebook"] == f"notebooks/{path.stem}.py" and row["id"] not in ids.values():
            file = catalog.source_file(row).relative_to(catalog.ROOT).as_posix()
            parts = [k for k, tree in codes.items() if any(at[0] == file for at in uses.used(tree, names))]
            found.setdefault(parts[0] if parts else None, []).append(row["id"])
    return {k: list(dict.fromkeys(here)) for k, here in found.items() if here and k is not None}


# Text --------------------------------------------------------------------------------------------------


def _overview(rows, known, chapters):
    states = {id: results.status(row, known) for id, row in rows.items()}
    fresh, stale = (sum(state == kind for state, _ in states.values()) for kind in ("fresh", "stale"))
    full = sum(passed == len(results.SEEDS) for _, passed in states.values())
    lines = [f"| [{row['title']}](#run-{id}) | `{id}` | {row['section']} | {mark(*states[id])} |"
             for id, row in rows.items()]
    tree = "\n".join(f"chapter{n}" for n in chapters)
    return (f"# Systems and their results\n\n"
            f"The course builds {len(rows)} systems. Each has an experiment that really trains or computes, with "
            f"targets, run on the seeds {', '.join(map(str, results.SEEDS))}; `minicv run ID` repeats one. "
            f"{full} of {len(rows)} reached all targets on every seed; {fresh} results belong to the present code, "
            f"{stale} are stale, {len(rows) - fresh - stale} missing.\n\n"
            "| system | id | section | result |\n|---|---|---|---|\n" + "\n".join(lines)
            + f"\n\n```{{toctree}}\n:hidden:\n\n{tree}\n```\n")


def mark(state, passed):
    """The result of a system in a few words."""
    return f"{passed} of {len(results.SEEDS)} seeds passed" + (f" ({STATUS[state]})" if STATUS[state] else "")


def _chapter(n, title, rows, known, places):
    return f"# Systems of chapter {n}: {title}\n\n" + "\n".join(_system(row, known, places) for row in rows)


def _system(row, known, places):
    file = catalog.source_file(row).relative_to(catalog.ROOT).as_posix()
    lesson = places.get(row["id"])
    links = [f"Lesson: {lessons.anchor(lesson, 'system-' + row['id'], '../')}" if lesson else "Lesson: none yet",
             f"Experiment: {{source}}`{row['function']} <{file}#{row['function']}>`",
             f"Library: {{source}}`{row['module']}`" if (sources.ROOT / row["module"]).is_file() else
             f"Library: `{row['module']}`",
             "Tests: " + ("; ".join(map(equations.proof_link, _tests(row))) or "the smoke runs of all experiments")]
    departures = "" if row["departures"] == "none" else f"\nDepartures: {plain(row['departures'])}\n"
    return (f"(run-{row['id']})=\n## {row['title']}\n\n{plain(row['shows'])}\n\n`minicv run {row['id']}` · section "
            f"{row['section']} · {plain(row['paper'])}\n\n```text\n{row['equations']}\n```\n\n"
            + "".join(f"- {line}\n" for line in links) + departures + "\n" + _results(row, known))


def _tests(row, most=4):
    """Tests of the library file, the most telling first."""
    found = {at: equations.proofs(at) for at in uses.tests() if at[0] == row["module"]}
    ranked = dict.fromkeys(test for tests in found.values() for test in tests)
    return list(ranked)[:most]


def _results(row, known):
    state, passed = results.status(row, known)
    runs = [known.get((row["id"], "fast", seed)) for seed in results.SEEDS]
    head = "| target | condition | " + " | ".join(f"seed {seed}" for seed in results.SEEDS) + " |\n"
    head += "|---|---" + "|---" * len(runs) + "|\n"
    lines = "".join(_target(Target(**target), runs) for target in row["targets"])
    badge = f"{{.result-{state}}}\n**{mark(state, passed)}**\n\n"
    return badge + head + lines


def _target(target, runs):
    said = [_value(target, (run or {"metrics": {}})["metrics"].get(target.metric)) for run in runs]
    return f"| {target.metric.replace('_', ' ')} | {plain(target.condition())} | " + " | ".join(said) + " |\n"


def _value(target, value):
    if value is None:
        return "–"
    return f"{number(value)} {'✓' if target.passed({target.metric: value}) else '✗'}"


def plain(text):
    """Text of the index with nothing in it that Markdown would take for markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~])", r"\\\1", text)
