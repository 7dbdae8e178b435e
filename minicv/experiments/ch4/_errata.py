"""Where common notes on detection are imprecise, and what is right: text for lessons and for `departures`."""

from ..ch1._errata import Erratum

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
}


def departures(*ids):
    """The corrections of these numbers as one text."""
    return " ".join(f"{id}: not '{ERRATA[id].said}': {ERRATA[id].holds}." for id in ids)
