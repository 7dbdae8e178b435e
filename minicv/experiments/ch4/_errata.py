"""Where common notes on detection are imprecise, and what is right: text for lessons and for `departures`."""

from ..ch1._errata import Erratum

ERRATA = {
    "E4.4": Erratum(
        "a weak learner has an error rate slightly higher than guessing",
        "slightly lower: an accuracy above 50 %; with eps > 1/2 beta is below 1 and the vote would count against it",
        "adaboost"),
    "E4.5": Erratum(
        "the strong classifier compares with > 0 in one place and >= 0 in another, and the weak ones say 1 or nothing",
        "weak learners say -1 or 1 and ties belong to one side by convention; the paper's form says 0 or 1, compares "
        "with half the sum of the votes and shrinks the weights of correct samples by eps/(1 - eps): after "
        "normalisation both are the same", "adaboost"),
}


def departures(*ids):
    """The corrections of these numbers as one text."""
    return " ".join(f"{id}: not '{ERRATA[id].said}': {ERRATA[id].holds}." for id in ids)
