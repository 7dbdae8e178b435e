"""Where common notes on detection are imprecise, and what is right: text for lessons and for `departures`."""

from ..ch1._errata import Erratum

ERRATA = {
    "E4.1": Erratum(
        "IoU divides by the sum of the areas minus the area of the union",
        "it divides by the sum of the areas minus the area of the intersection, which is the union", "iou"),
    "E4.7": Erratum(
        "non-maximum suppression deletes boxes that overlap the best one",
        "the best box is first moved to the output, and only boxes of its own class are deleted", "nms"),
    "E4.10": Erratum(
        "the Huber loss is the smooth L1 loss",
        "Huber with delta is delta times smooth L1 with beta = delta, so they are equal only at 1", "smooth-l1"),
    "E4.11": Erratum(
        "2154 M and 117 M operations for AlexNet, without saying what is counted",
        "two for each multiply-accumulate plus one for each bias, of AlexNet without its two groups; with groups the "
        "convolutions have 1332 M", "flops-counter"),
    "E4.21": Erratum(
        "anchors come from k-means on boxes",
        "on widths and heights only: boxes are compared as if they had the same centre", "kmeans-anchors"),
    "E4.32": Erratum(
        "the targets i = N - O ... N are padding",
        "the padding of O objects to N targets is i = O + 1 ... N; a rectangular assignment needs no padding at all",
        "hungarian-matching"),
}


def departures(*ids):
    """The corrections of these numbers as one text."""
    return " ".join(f"{id}: not '{ERRATA[id].said}': {ERRATA[id].holds}." for id in ids)
