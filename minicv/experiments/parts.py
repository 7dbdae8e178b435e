"""Small parts that the experiments of several chapters share."""

from typing import NamedTuple

from ..plot import figure_style
from .report import Target


class Erratum(NamedTuple):
    """One correction: what is often written, what holds, and the experiment or test that shows it."""

    said: str
    holds: str
    shown_by: str


def corrections(errata, *ids):
    """The errata of these numbers as one text; errata {"E1.1": Erratum}."""
    return " ".join(f"{id}: not '{errata[id].said}': {errata[id].holds}." for id in ids)


def exact(values):
    """Targets for numbers that follow from mathematics: {metric: value} or {metric: (value, tolerance)}."""
    return [Target(name, "~", value[0], tag="E", tol=value[1]) if isinstance(value, tuple)
            else Target(name, "==", value, tag="E") for name, value in values.items()]


def panels(count, size=(5.0, 3.8), **options):
    """A figure with `count` panels in a row, in the project's style: (figure, axes)."""
    import matplotlib.pyplot as plt

    with figure_style():
        figure, axes = plt.subplots(1, count, figsize=(size[0] * count, size[1]), squeeze=False, **options)
    return figure, axes[0]


def refused(error, *calls):
    """How many of the calls raise `error`; anything else they raise is passed on."""
    count = 0
    for call in calls:
        try:
            call()
        except error:
            count += 1
    return count
