"""The `@experiment` decorator: a small function becomes a documented, checkable system.

    @experiment("adam", title="Adam", chapter="1.4", paper="Kingma & Ba 2015", module="minicv/optim/adam.py",
                notebook="notebooks/12_adaptive.py", targets=[Target("distance", "<", 1e-3)])
    def adam(preset, rng, out, progress, *, lr=0.1):
        steps = {"smoke": 5, "fast": 500, "full": 2000}[preset]
        ...
        return Report({"distance": distance})
"""

import inspect
import math
import re
from dataclasses import dataclass, field

import numpy as np

from ..errors import ArgError
from ..kernels.threads import deterministic
from ..train.progress import silent
from .report import PRESETS, Report, Target
from .usage import UsageError, choose, nearest

ARGUMENTS = ("preset", "rng", "out", "progress")
PROVIDED = {"data": None, "resume": False, "executor": None}   # optional parameters that `run` fills
BOOLS = ("true", "false", "yes", "no", "on", "off", "1", "0")
REGISTRY = {}                                                  # id -> Experiment, filled by the decorator


@dataclass(frozen=True)
class Experiment:
    """One experiment and everything that is written about it; see `experiment` for the fields."""

    id: str
    title: str
    chapter: str
    paper: str
    module: str
    notebook: str
    equations: str
    shows: str
    departures: str
    targets: tuple
    system: bool
    tour: int
    function: object = field(repr=False)

    @property
    def settings(self):
        """Name to default of the parameters that ``--set`` may change."""
        return {name: default for name, default in _defaults(self.function).items() if name not in PROVIDED}

    @property
    def provided(self):
        """Names among `data`, `resume` and `executor` that the function takes."""
        return [name for name in _defaults(self.function) if name in PROVIDED]

    def __call__(self, preset="fast", *, rng=0, out=None, progress=silent, **settings):
        """Run the experiment and return its `Report`.

        Raises
        ------
        UsageError
            If the preset or a setting is unknown.
        ArgError
            If the function returns no Report or leaves out a metric that has a target.
        """
        choose(self.id, "preset", preset, PRESETS)
        for name in settings:
            choose(self.id, "setting", name, list(_defaults(self.function)))
        with deterministic():              # the same numbers whatever the number of BLAS threads
            report = self.function(preset, np.random.default_rng(rng), out, progress, **settings)
        self._check(report)
        report.title, report.preset, report.targets = self.title, preset, self.targets
        return report

    def _check(self, report):
        if not isinstance(report, Report):
            raise ArgError(f"{self.id}: result is a {type(report).__name__}, expected a Report")
        for target in self.targets:
            if target.metric not in report.metrics:
                known = ", ".join(report.metrics)
                raise ArgError(f"{self.id}: metric {target.metric!r} has a target but is missing from {known}"
                               f"{nearest(target.metric, report.metrics)}")

    def parse(self, assignments):
        """Turn ``["lr=0.1", ...]`` into a dict, each value typed like its default.

        Raises
        ------
        UsageError
            If an entry has no ``=``, names no setting, or its value does not parse.
        """
        return dict(parse_setting(self.id, text, self.settings) for text in assignments)

    def describe(self):
        """Everything but the function, as plain data for the index."""
        return {
            "id": self.id, "chapter": int(self.chapter.split(".")[0]), "section": self.chapter, "title": self.title,
            "paper": self.paper, "equations": self.equations, "shows": self.shows, "departures": self.departures,
            "module": self.module, "notebook": self.notebook, "system": self.system, "tour": self.tour,
            "targets": [target.as_dict() for target in self.targets], "settings": self.settings,
            "provided": self.provided, "python": self.function.__module__, "function": self.function.__name__,
        }


def experiment(id, *, title, chapter, paper, module, notebook="", equations="", shows="", departures="none",
               targets=(), system=True, tour=0):
    """Register a function ``(preset, rng, out, progress, *, setting=default...) -> Report``.

    Parameters
    ----------
    id : str
        Lower-case words joined by hyphens; unique.
    chapter : str
        Chapter and section, ``"1.4"``.
    paper, equations, shows, departures : str
        The source, its equation numbers, what one sees, and how the code differs from the source.
    module, notebook : str
        Files from the project's root: the library file it demonstrates and its lesson.
    targets : list of Target
    system : bool
        False keeps it out of ``minicv list``: it is no system of the course.
    tour : int
        Place within its chapter's part of ``minicv tour``, from 1; 0 leaves it out.

    Extra keyword parameters of the function are settings (``--set name=value``): bool, int, float,
    str, or a non-empty tuple of these. `data`, `resume` and `executor` are filled by `run`.

    Raises
    ------
    ArgError
        If a field is malformed, the id is taken, or the function has another signature.
    """
    targets = tuple(targets)

    def register(function):
        _check_fields(id, chapter, targets, system, tour)
        _check_signature(id, function)
        entry = Experiment(id, title, chapter, paper, module, notebook, equations, shows, departures, targets,
                           system, tour, function)
        known = REGISTRY.get(id)
        if known and _place(known.function) != _place(function):
            raise ArgError(f"experiment: id is {id!r}, expected a new one; it is taken by {_place(known.function)}")
        REGISTRY[id] = entry
        return entry

    return register


def parse_setting(id, text, settings):
    """``"lr=0.1"`` to ``("lr", 0.1)``, typed by the default in `settings`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"run: --set is {text!r}, expected NAME=VALUE")
    if not settings:
        raise UsageError(f"run: --set is {text!r}, expected nothing; {id} has no settings")
    choose("run", "--set", name, list(settings), what=f"a setting of {id} ({{}})")
    try:
        return name, convert(value, settings[name])
    except ValueError:
        kind = type(settings[name]).__name__
        raise UsageError(f"run: --set {name} is {value!r}, expected {kind} like {settings[name]!r}") from None


def convert(text, default):
    """Read `text` as the type of `default`; ValueError when it is not one."""
    if isinstance(default, tuple):
        return tuple(convert(part.strip(), default[0]) for part in text.split(","))
    if isinstance(default, bool):
        return BOOLS.index(text.lower()) % 2 == 0              # ValueError when it is not there
    value = type(default)(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(text)
    return value


def _place(function):
    return f"{function.__module__}.{function.__qualname__}"


def _defaults(function):
    parameters = list(inspect.signature(function).parameters.values())
    return {p.name: p.default for p in parameters[len(ARGUMENTS):]}


def _check_fields(id, chapter, targets, system, tour):
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", id):
        raise ArgError(f"experiment: id is {id!r}, expected lower-case words joined by hyphens")
    if not re.fullmatch(r"\d+\.\d+", chapter):
        raise ArgError(f"experiment: chapter of {id} is {chapter!r}, expected 'chapter.section' such as '1.4'")
    if not all(isinstance(target, Target) for target in targets):
        raise ArgError(f"experiment: targets of {id} is {targets!r}, expected a list of Target")
    if (system or tour) and not targets:
        raise ArgError(f"experiment: targets of {id} is empty, expected at least one Target")


def _check_signature(id, function):
    parameters = list(inspect.signature(function).parameters.values())
    if tuple(p.name for p in parameters[:len(ARGUMENTS)]) != ARGUMENTS:
        raise ArgError(f"experiment: {id} takes {inspect.signature(function)}, expected ({', '.join(ARGUMENTS)}, ...)")
    for name, default in _defaults(function).items():
        first = default[0] if isinstance(default, tuple) and default else default
        if name not in PROVIDED and not isinstance(first, (bool, int, float, str)):
            raise ArgError(f"experiment: {name} of {id} has default {default!r}, expected bool, int, float, str "
                           "or a tuple of these")

