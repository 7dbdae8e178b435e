"""Where common notes on detection are imprecise, and what is right: text for lessons and for `departures`."""

from functools import partial

from ..parts import Erratum, corrections

ERRATA = {
    "E4.1": Erratum(
        "IoU divides by the sum of the areas minus the area of the union",
        "it divides by the sum of the areas minus the area of the intersection, which is the union", "det-metrics"),
    "E4.2": Erratum(
        "a detection is right if its class is right and its IoU is above a threshold",
        "only if no better detection has taken that object: each object is matched once, further detections of it are "
        "wrong; COCO and VOC ask for IoU >= threshold, not >", "det-metrics"),
    "E4.3": Erratum(
        "recall is monotonically decreasing",
        "in the score threshold, and not strictly: lowering the threshold never lowers recall, precision can do either",
        "det-metrics"),
    "E4.4": Erratum(
        "a weak learner has an error rate slightly higher than guessing",
        "slightly lower: an accuracy above 50 %; with eps > 1/2 beta is below 1 and the vote would count against it",
        "adaboost"),
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
        "the best box is first moved to the output, so that it is never looked at again, and only boxes of its own "
        "class are deleted; the face detector averages overlapping windows instead", "nms"),
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
    "E4.38": Erratum(
        "regions are compared by colour, texture and size",
        "there is a fourth term, fill: how much of the box around both regions is neither of them, so that a region "
        "joins what lies in its holes and bays", "selective-search"),
}

departures = partial(corrections, ERRATA)
