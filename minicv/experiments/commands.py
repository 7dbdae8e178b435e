"""The commands of `minicv` that deal with experiments: tour, list, run, verify, show.

Each takes the parsed arguments and returns the exit status. Wrong requests raise UsageError before
anything is written.
"""

import contextlib
import json
import math
import os
import sys

from ..train.progress import progress, silent, write
from . import catalog, outputs, results, terminal
from .executors import executor, processes
from .html import metric_rows, page, report_html
from .report import Target, plain
from .run import prepare, run
from .usage import UsageError, nearest
from .verify import verify


def say(text, args):
    """A remark for people, on stderr, unless they asked for quiet."""
    if not args.quiet:
        sys.stderr.write(text + "\n")


def bar(args):
    """The progress bar, unless ``--quiet``."""
    return silent if args.quiet else progress


def print_json(value):
    """Plain JSON on stdout; what is not finite becomes null."""
    write(json.dumps(_finite(value), indent=1, allow_nan=False))


def _finite(value):
    value = plain(value)
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def of_chapter(command, chapter):
    """Index rows of one chapter, or all with None.

    Raises
    ------
    UsageError
        If the chapter has no experiment.
    """
    rows = list(catalog.load().values())
    chapters = sorted({row["chapter"] for row in rows})
    if chapter is not None and chapter not in chapters:
        known = ", ".join(map(str, chapters)) or "none"
        raise UsageError(f"{command}: --chapter is {chapter}, expected one of {known}")
    return [row for row in rows if chapter in (None, row["chapter"])]


def list_command(args):
    """Print every system with what its results say."""
    recorded = results.load()
    rows = [listed(row, recorded) for row in of_chapter("list", args.chapter) if row["system"]]
    if args.json:
        print_json(rows)
        return 0
    cells = [(row["section"], row["id"], row["title"], "; ".join(str(Target(**t)) for t in row["targets"]),
              f"{row['result']}, {row['passed']} of {len(results.SEEDS)} passed") for row in rows]
    for line in terminal.table(("sec", "id", "title", "target", "result"), cells, terminal.width()):
        write(line)
    say(f"{len(rows)} systems; `minicv show ID` tells more, `minicv run ID` runs one", args)
    return 0


def listed(row, recorded):
    """One row of ``minicv list --json``; `recorded` from `results.load`."""
    result, passed = results.status(row, recorded)
    copied = ("id", "chapter", "section", "title", "paper", "targets", "notebook", "module")
    return {key: row[key] for key in copied} | {"experiment": f"{row['python']}:{row['function']}",
                                                "result": result, "passed": passed}


def show_command(args):
    """Print what is written about one experiment."""
    row = catalog.find("show", args.id)
    if args.json:
        print_json(row)
        return 0
    result, passed = results.status(row, results.load())
    facts = {"": row["title"], "section": row["section"], "paper": row["paper"], "equations": row["equations"],
             "shows": row["shows"], "departures": row["departures"], "library": row["module"],
             "experiment": catalog.source_file(row).relative_to(catalog.ROOT).as_posix(), "lesson": row["notebook"],
             "targets": "; ".join(str(Target(**t)) for t in row["targets"]),
             "result": f"{result}, {passed} of {len(results.SEEDS)} seeds passed"}
    write(row["id"])
    for name, value in facts.items():
        if value:
            write(f"  {name:<12}{value}" if name else f"  {value}")
    settings = [(f"--set {name}=", type(default).__name__, default) for name, default in row["settings"].items()]
    for line in terminal.table(("setting", "type", "default"), settings) if settings else ():
        write(f"  {line}")
    return 0


def run_command(args):
    """Run one experiment, print its metrics, and write a page when ``--out`` is given."""
    given = {"data": args.data, "resume": args.resume, "executor": args.executor}
    provided = {name: value for name, value in given.items() if value}
    row = prepare(args.id, args.preset, args.seed, provided)
    settings = _settings(row, args)
    if args.resume and not args.out:
        raise UsageError("run: --resume is given without --out, expected the folder of the earlier run")
    if args.data and not os.path.isdir(args.data):
        raise UsageError(f"run: --data is {args.data!r}, expected an existing folder")
    if args.jobs and not args.executor:
        raise UsageError("run: --jobs is given without --executor, expected the two together")
    if args.out:
        outputs.check("run", args.out, force=args.force)
    with executor(args.executor, args.jobs) as pool:
        provided |= {"executor": pool} if pool else {}
        if args.out:
            outputs.claim(args.out)
        result = run(args.id, args.preset, args.seed, out=args.out, settings=settings, progress=bar(args), **provided)
    if args.json:                                       # first of all: a full disk must not cost the result
        print_json(run_dict(result))
    else:
        _print_run(result)
    if args.out:
        _save_run(result, args.out)
    return 0 if result.passed else 1


def _settings(row, args):
    from .experiment import parse_setting

    defaults = {name: tuple(value) if isinstance(value, list) else value for name, value in row["settings"].items()}
    return dict(parse_setting(row["id"], text, defaults) for text in args.set)


def run_dict(result):
    """A Result as plain data, with a verdict for every target."""
    report = result.report
    targets = [target.as_dict() | {"passed": target.passed(report.metrics)} for target in report.targets]
    return {"id": result.id, "preset": result.preset, "seed": result.seed, "passed": result.passed,
            "seconds": round(result.seconds, 2), "metrics": report.metrics, "targets": targets,
            "tables": report.tables}


def _save_run(result, out):
    heading = f"{result.id}, preset {result.preset}, seed {result.seed}"
    outputs.save(out, "index.html", page(heading, f"<h1>{heading}</h1><section>{report_html(result.report)}</section>"))
    outputs.save(out, "report.json", json.dumps(_finite(run_dict(result)), indent=1, allow_nan=False) + "\n")


def _print_run(result):
    limit = terminal.width()
    write(f"{result.id}: {result.report.title}")
    for line in terminal.table(("metric", "value", "expected", ""), metric_rows(result.report), limit):
        write(line)
    for caption, rows in result.report.tables.items():
        write(f"\n{caption}")
        cells = [[f"{v:.4g}" if isinstance(v, float) else v for v in row.values()] for row in rows]
        for line in terminal.table(list(rows[0]), cells, limit) if rows else ():
            write(line)
    verdict = "passed" if result.passed else "FAILED"
    write(f"{verdict}: preset {result.preset}, seed {result.seed}, {result.seconds:.1f} s")


def verify_command(args):
    """Run the ``fast`` preset of experiments on several seeds and record the results."""
    ids = [row["id"] for row in _verified(args)]
    results.ready()
    failed = 0
    with processes(args.jobs) if args.jobs > 1 else contextlib.nullcontext() as pool:
        for row in verify(ids, args.seeds, resume=args.resume, executor=pool, progress=bar(args)):
            failed += not row["passed"]
            _print_row(row, args)
    say(f"{len(ids) * len(args.seeds) - failed} of {len(ids) * len(args.seeds)} runs passed", args)
    return 1 if failed else 0


def _verified(args):
    """Index rows asked for: the ids, else every experiment of the chapter or of the course."""
    if args.ids:
        if args.chapter is not None:
            raise UsageError("verify: --chapter is given together with ids, expected one of the two")
        return [catalog.find("verify", id) for id in args.ids]
    return of_chapter("verify", args.chapter)


def _print_row(row, args):
    if args.json:
        write(json.dumps(row, allow_nan=False))
    else:
        verdict = "passed" if row["passed"] else row.get("error", "FAILED")
        write(f"{row['id']}  seed {row['seed']}  {row['seconds']:.1f} s  {verdict}")


def tour_command(args):
    """Run the tour, print its table, write its page."""
    from . import tour

    rows = _tour_entries(args, tour)
    outputs.check("tour", args.out, force=args.force)
    folder = outputs.claim(args.out)
    done, widths = [], terminal.fit(tour.widths(rows), terminal.width())
    if not args.json:
        _print_lines([tour.HEADER], widths)
    for row, result in tour.tour(rows, seed=args.seed, preset=args.preset, progress=bar(args)):
        done.append((row, result))
        if not args.json:
            _print_lines(tour.lines(row, result), widths)
    outputs.save(folder, "index.html", tour.render(done, seed=args.seed))
    if args.json:
        print_json([run_dict(result) | {"chapter": row["chapter"], "title": row["title"]} for row, result in done])
    say(f"{tour.summary(done)}; open {folder / 'index.html'}", args)
    return 0 if all(result.passed for _, result in done) else 1


def _tour_entries(args, tour):
    every = tour.entries()
    chapters = sorted({row["chapter"] for row in every})
    for chapter in args.only or ():
        if chapter not in chapters:
            known = ", ".join(map(str, chapters)) or "none"
            raise UsageError(f"tour: --only is {chapter}, expected chapters among {known}{nearest(chapter, chapters)}")
    if not every:
        raise UsageError("tour: the index has no tour entry, expected at least one; run "
                         "`python -m minicv.experiments.index`")
    return tour.entries(args.only)


def _print_lines(rows, widths):
    for cells in rows:
        if widths is not None:
            write(terminal.line(cells, widths))
        elif cells[2] != "result":                      # too narrow for columns: one fact a line
            for cell in cells:
                if cell != "":
                    write(terminal.cut(str(cell), terminal.width()))
