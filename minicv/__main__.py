"""The command line: ``minicv COMMAND``, also ``python -m minicv COMMAND``.

stdout carries the result, stderr progress and remarks. Exit status: 0 fine, 1 a target missed or a
run failed, 2 wrong usage, 3 data or an optional package missing, 130 interrupted.
"""

import argparse
import os
import sys
from pathlib import Path

from . import __version__
from .errors import DataFormatError, DataMissingError, MissingExtraError
from .experiments import commands, terminal
from .experiments.executors import KINDS
from .experiments.report import PRESETS
from .experiments.usage import UsageError, nearest

MISSING = (DataMissingError, DataFormatError, MissingExtraError, ModuleNotFoundError)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message):
        raise UsageError(f"{self.prog.removeprefix('minicv ')}: {message}")


def natural(text):
    """An integer >= 0, or a list of them where commas stand between."""
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer from 0 to 10^18")
    return int(text)


def naturals(text):
    """``"0,1,2"`` as a list without repetitions."""
    return list(dict.fromkeys(natural(part.strip()) for part in text.split(",")))


def positive(text):
    """An integer >= 1."""
    if natural(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer >= 1")
    return natural(text)


def order(text):
    """The highest order of derivative that can be checked."""
    if text not in ("1", "2"):
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or 2")
    return int(text)


def one_of(names):
    """A function that reads one of `names`."""
    def read(text):
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(names)}{nearest(text, names)}")
        return text

    return read


def gradcheck_command(args):
    """Compare gradients with finite differences, for one op or all."""
    if bool(args.op) == args.all:
        raise UsageError("gradcheck: expected either the name of an op or --all")
    from .testing.registry import check_op, specs

    known = specs()
    if args.op and args.op not in known:
        raise UsageError(f"gradcheck: op is {args.op!r}, expected one of {len(known)} ops{nearest(args.op, known)}")
    rows = []
    for name in commands.bar(args)([args.op] if args.op else sorted(known), desc="gradcheck"):
        rows += [(name, *row) for row in check_op(known[name], args.order)]
    failed = [row for row in rows if not row[3]]
    if args.json:
        commands.print_json([dict(zip(("op", "check", "error", "passed"), row)) for row in rows])
    else:
        cells = [(name, label, f"{error:.1e}", "ok" if good else "FAILED") for name, label, error, good in rows]
        for line in terminal.table(("op", "check", "error", ""), cells, terminal.width()):
            commands.write(line)
    commands.say(f"{len(rows) - len(failed)} of {len(rows)} checks passed", args)
    return 1 if failed else 0


def doctor_command(args):
    """Print versions, threads, caches and fonts of this machine."""
    from .experiments.doctor import examine

    found = examine()
    if args.json:
        commands.print_json(found)
    else:
        for name, value in found.items():
            commands.write(f"{name:<22}{value}")
    return 0


def predict_command(args):
    """Classify a photograph with stored weights."""
    from .experiments import predict

    return predict.predict_command(args)


def lesson_command(args):
    """List the lessons or export their notebooks."""
    from .experiments import lessons

    return lessons.lesson_command(args)


def warmup_command(args):
    """Compile every kernel now, so that later runs start at once."""
    from .kernels import warmup

    commands.say("compiling the kernels; this takes about a minute the first time", args)
    warmup()
    commands.write("all kernels are compiled")
    return 0


def build_parser():
    """The parser of all commands, and the names of the commands."""
    common = Parser(add_help=False)
    common.add_argument("--quiet", action="store_true", help="no progress, no remarks")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    common.add_argument("--json", action="store_true", help="the result as JSON")
    parser = Parser(prog="minicv", description="A course in machine learning for computer vision.")
    parser.add_argument("--version", action="version", version=f"minicv {__version__}")
    sub = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(name, function, help):
        made = sub.add_parser(name, parents=[common], allow_abbrev=False, help=help, description=help)
        made.set_defaults(function=function)
        return made

    _add_experiments(add)
    made = add("predict", predict_command, "classify a photograph with stored weights")
    made.add_argument("model", metavar="MODEL", help="such as resnet50 or vit_b_16")
    made.add_argument("image", metavar="IMAGE", type=Path, help="PNG or JPEG file")
    made.add_argument("--weights", type=Path, required=True, metavar="FILE", help=".safetensors or .npz")
    made.add_argument("--labels", type=Path, metavar="FILE", help="names of the classes: one a line, or a JSON list")
    made.add_argument("--top", type=positive, default=5, metavar="K", help="how many classes (default 5)")
    made = add("lesson", lesson_command, "list the lessons, or export their notebooks for a class")
    made.add_argument("action", type=one_of(("list", "export")), metavar="list|export")
    made.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="where to export to")
    made.add_argument("--only", type=lambda text: text.split(","), metavar="NAME,NAME", help="only these lessons")
    made.add_argument("--no-solutions", action="store_true", help="without outputs and folded answers")
    made.add_argument("--force", action="store_true", help="write into DIR whatever is there")
    made = add("gradcheck", gradcheck_command, "compare gradients with finite differences")
    made.add_argument("op", nargs="?", metavar="OP")
    made.add_argument("--all", action="store_true", help="every op")
    made.add_argument("--order", type=order, default=2, metavar="1|2", help="highest derivative (default 2)")
    add("doctor", doctor_command, "versions, threads, caches and fonts of this machine")
    add("warmup", warmup_command, "compile every kernel now")
    return parser, sub.choices


def _add_experiments(add):
    made = add("tour", commands.tour_command, "a taste of each chapter: a table and a page")
    made.add_argument("--only", type=naturals, metavar="1,4", help="only these chapters")
    _add_run_options(made, out="tour")
    made = add("list", commands.list_command, "every system of the course and its result")
    made.add_argument("--chapter", type=natural, metavar="N")
    made = add("run", commands.run_command, "run one experiment")
    made.add_argument("id", metavar="ID")
    _add_run_options(made, out=None)
    made.add_argument("--data", type=Path, metavar="DIR", help="folder of a real data set")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting")
    made.add_argument("--resume", action="store_true", help="continue the run that is in --out")
    made.add_argument("--executor", type=one_of(KINDS), metavar="|".join(KINDS), help="where the work is done")
    made.add_argument("--jobs", type=positive, metavar="N", help="workers of --executor (default one per processor)")
    made = add("verify", commands.verify_command, "run experiments on several seeds, record docs/results.jsonl")
    made.add_argument("ids", nargs="*", metavar="ID")
    made.add_argument("--chapter", type=natural, metavar="N")
    made.add_argument("--seeds", type=naturals, default=[0, 1, 2], metavar="0,1,2")
    made.add_argument("--resume", action="store_true", help="skip results that are up to date")
    made.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes (default 1)")
    add("show", commands.show_command, "what an experiment is and where it stands").add_argument("id", metavar="ID")


def _add_run_options(made, out):
    made.add_argument("--preset", type=one_of(PRESETS), default="fast", metavar="|".join(PRESETS))
    made.add_argument("--seed", type=natural, default=0, metavar="S")
    made.add_argument("--out", type=Path, default=out and Path(out), metavar="DIR",
                      help=f"folder for the page (default: {out or 'no page'})")
    made.add_argument("--force", action="store_true", help="write into --out whatever is there")


def parse(argv):
    """The arguments as a namespace; UsageError with the nearest right spelling."""
    parser, known = build_parser()
    words = [word for word in argv if not word.startswith("-")]
    if not argv or words and argv[0] == words[0] and words[0] not in known:
        got, hint = (repr(argv[0]), nearest(argv[0], known)) if argv else ("missing", "")
        raise UsageError(f"command is {got}, expected one of {', '.join(known)}{hint}")
    args, extra = parser.parse_known_args(argv)
    if extra:
        options = known[args.command]._option_string_actions if args.command else {}
        hint = nearest(extra[0].split("=")[0], options)
        raise UsageError(f"{args.command or 'minicv'}: unknown argument {extra[0]!r}{hint}")
    if not args.command:
        raise UsageError(f"command is missing, expected one of {', '.join(known)}")
    return args


def main(argv=None):
    """Run the command line and return the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    os.environ["MPLBACKEND"] = "Agg"                # assigned: a display must never be needed
    terminal.setup()
    try:
        args = parse(argv)
        status = args.function(args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:                         # the reader, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("\nminicv: interrupted\n")
        return 130
    except Exception as error:
        if "--debug" in argv:
            raise
        return _fail(error)


def _fail(error):
    """Say in one line what is wrong; the exit status."""
    text = " ".join(str(error).split()) or type(error).__name__
    if type(error) is ModuleNotFoundError and error.name and not error.name.startswith("minicv"):
        text += f"; pip install {error.name}"
    kind = "" if type(error).__module__.startswith("minicv") else f"{type(error).__name__}: "
    sys.stderr.write(f"minicv: error: {kind}{text}\n")
    return 2 if isinstance(error, UsageError) else 3 if isinstance(error, MISSING) else 1


if __name__ == "__main__":
    sys.exit(main())
