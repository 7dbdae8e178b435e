"""Where common notes on transformers are imprecise, and what is right: text for lessons and for `departures`."""

from ..ch1._errata import Erratum

ERRATA = {
    # attention

    # encoders, decoders, sequences
    "E3.6": Erratum(
        "the index i of the sinusoidal encoding is the dimension of the vector",
        "i counts pairs of a sine and a cosine, 0 .. d/2 - 1; the dimensions are 2i and 2i + 1",
        "positional-encoding-sin"),
    "E3.8": Erratum(
        "a pre-norm stack consists of h + MHSA(LN(h)) and h + FFN(LN(h)) only",
        "one more norm follows the last layer, otherwise the output is a sum that grows with depth and was never "
        "normalised", "encoder-pre-norm"),

    # pictures
}


def departures(*ids):
    """The corrections of these numbers as one text."""
    return " ".join(f"{id}: not '{ERRATA[id].said}': {ERRATA[id].holds}." for id in ids)
