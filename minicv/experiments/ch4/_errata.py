"""Where common notes on detection are imprecise, and what is right: text for lessons and for `departures`."""

from typing import NamedTuple


class Erratum(NamedTuple):
    """One correction: what is often written, what holds, and the experiment or test that shows it."""

    said: str
    holds: str
    shown_by: str


ERRATA = {
    "E4.1": Erratum(
        "intersection over union has the denominator a + b - union",
        "it is a + b - intersection, the union itself", "det-metrics"),
    "E4.2": Erratum(
        "a detection is right if its class is right and its IoU is above a threshold",
        "only if no better detection has taken that object: each object is matched once, further detections of it are "
        "wrong; COCO and VOC ask for IoU >= threshold, not >", "det-metrics"),
    "E4.3": Erratum(
        "recall is monotonically decreasing",
        "in the score threshold, and not strictly: lowering the threshold never lowers recall, precision can do either",
        "det-metrics"),
    "E4.5": Erratum(
        "the strong classifier compares with > 0 in one place and >= 0 in another, and the weak ones say 1 or nothing",
        "weak learners say -1 or 1 and ties belong to one side by convention; the paper's form says 0 or 1, compares "
        "with half the sum of the votes and shrinks the weights of correct samples by eps/(1 - eps): after "
        "normalisation both are the same", "attentional-cascade"),
    "E4.6": Erratum(
        "AdaBoost for faces starts from equal weights 1/N",
        "each class starts with half of the weight, 1/(2m) and 1/(2l); windows are divided by their standard "
        "deviation; and the threshold of each stage is lowered on faces kept aside", "attentional-cascade"),
    "E4.7": Erratum(
        "suppression takes the best box and deletes what overlaps it",
        "the best box also moves to the output, so that it is never looked at again, and each class is suppressed on "
        "its own; the face detector averages overlapping windows instead", "viola-jones"),
}


def departures(*ids):
    """The corrections of these numbers as one text."""
    return " ".join(f"{id}: not '{ERRATA[id].said}': {ERRATA[id].holds}." for id in ids)
