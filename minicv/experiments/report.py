"""What an experiment must reach and what it found: `Target` and `Report`."""

import math
import os
from dataclasses import dataclass, field

from ..errors import ArgError

OPS = {
    ">=": lambda got, value, tol: got >= value,
    "<=": lambda got, value, tol: got <= value,
    ">": lambda got, value, tol: got > value,
    "<": lambda got, value, tol: got < value,
    "==": lambda got, value, tol: got == value,
    "~": lambda got, value, tol: abs(got - value) <= tol,
}
TAGS = ("E", "T")
PRESETS = ("smoke", "fast", "full")


def asked_preset():
    """The preset that the environment variable ``MINICV_PRESET`` asks for, "fast" without it.

    Lessons read it, so that the suite can run them in smoke mode. ArgError if it names no preset.
    """
    name = os.environ.get("MINICV_PRESET") or "fast"
    if name not in PRESETS:
        raise ArgError(f"asked_preset: MINICV_PRESET is {name!r}, expected one of {', '.join(PRESETS)}")
    return name


def number(value):
    """A number as people read it: 227, 0.984, 3.4e-20."""
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.6g}"


def plain(value):
    """NumPy scalars as the Python numbers they hold; everything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


@dataclass(frozen=True)
class Target:
    """One condition on one metric, as data: ``Target("accuracy", ">=", 0.98)``.

    Parameters
    ----------
    metric : str
        Name of an entry of `Report.metrics`.
    op : {">=", "<=", ">", "<", "==", "~"}
        ``~`` means within `tol` of `value`.
    value : float
    tag : {"T", "E"}
        T: a threshold for something learned; E: exact, follows from mathematics.
    tol : float, > 0 with ``~`` and 0 otherwise

    Raises
    ------
    ArgError
        If `op` or `tag` is unknown, `value` is not finite, or `tol` does not fit `op`.
    """

    metric: str
    op: str
    value: float
    tag: str = "T"
    tol: float = 0.0

    def __post_init__(self):
        if self.op not in OPS:
            raise ArgError(f"Target: op is {self.op!r}, expected one of {', '.join(OPS)}")
        if self.tag not in TAGS:
            raise ArgError(f"Target: tag is {self.tag!r}, expected one of {', '.join(TAGS)}")
        if not math.isfinite(self.value):
            raise ArgError(f"Target: value is {self.value!r}, expected a finite number")
        if not (0 < self.tol < math.inf if self.op == "~" else self.tol == 0):
            raise ArgError(f"Target: tol is {self.tol!r}, expected > 0 with op '~' and 0 with any other op")

    def passed(self, metrics):
        """Whether `metrics` meets the condition; a NaN or missing metric never does."""
        got = metrics.get(self.metric, math.nan)
        return bool(math.isfinite(got) and OPS[self.op](got, self.value, self.tol))

    def condition(self):
        """The right-hand side as text: ``>= 0.98``, ``= 227``, ``8.21 ± 0.01``."""
        if self.op == "~":
            return f"{number(self.value)} ± {number(self.tol)}"
        return f"{self.op.replace('==', '=')} {number(self.value)}"

    def __str__(self):
        return f"{self.metric} {'= ' if self.op == '~' else ''}{self.condition()}"

    def as_dict(self):
        """Plain data for JSON; `tol` only where it matters."""
        row = {"metric": self.metric, "op": self.op, "value": self.value, "tag": self.tag}
        return row | {"tol": self.tol} if self.op == "~" else row


@dataclass(eq=False)
class Report:
    """What an experiment found.

    Parameters
    ----------
    metrics : dict of str to float
    figures : dict of str to callable
        Caption to a function without arguments that returns a matplotlib Figure; drawn only when
        somebody looks.
    tables : dict of str to list of dict
        Caption to rows that share their keys.
    players : dict of str to callable
        Caption to a function without arguments that returns a `plot.Player`; made only for a page or a notebook.

    The experiment that made the report fills in `title`, `preset` and `targets`.
    """

    metrics: dict
    figures: dict = field(default_factory=dict)
    tables: dict = field(default_factory=dict)
    title: str = ""
    preset: str = "fast"
    targets: tuple = ()
    players: dict = field(default_factory=dict)

    def __post_init__(self):
        if not self.metrics:
            raise ArgError("Report: metrics is empty, expected at least one number")
        self.metrics = {str(name): float(value) for name, value in self.metrics.items()}
        self.tables = {caption: [{key: plain(value) for key, value in row.items()} for row in rows]
                       for caption, rows in self.tables.items()}

    @property
    def finite(self):
        """Whether every metric is a finite number."""
        return all(map(math.isfinite, self.metrics.values()))

    @property
    def missed(self):
        """The targets that the metrics do not meet, whatever the preset."""
        return [target for target in self.targets if not target.passed(self.metrics)]

    @property
    def passed(self):
        """All metrics finite and, from preset ``fast`` up, every target met."""
        return self.finite and (self.preset == "smoke" or not self.missed)

    def check(self):
        """Raise AssertionError with every miss unless the report passed; returns the report."""
        bad = [f"{name} is {value}, expected a finite number"
               for name, value in self.metrics.items() if not math.isfinite(value)]
        if self.preset != "smoke":
            bad += [f"{t.metric} is {number(self.metrics[t.metric])}, expected {t.condition()}" for t in self.missed]
        if bad:
            raise AssertionError(f"{self.title or 'report'}: " + "; ".join(bad))
        return self

    def _repr_html_(self):
        from .html import report_html

        return report_html(self)
