"""Where common notes on transformers are imprecise, and what is right: text for lessons and for `departures`."""

from ..ch1._errata import Erratum

ERRATA = {
    # attention
    "E3.1": Erratum("the values are V = Y W_K", "V = Y W_V: keys and values have projections of their own",
                    "scaled-dot-attention"),
    "E3.2": Erratum("the query is q_1 = Y W_X", "q_1 = x_1 W_Q: the query is a projection of its own token",
                    "scaled-dot-attention"),
    "E3.4": Erratum("the width of an embedding is Y_D, the network of a token is the FNN",
                    "the width is d_Y = d_model, and the network is the FFN (feed-forward network)", "ffn"),
    "E3.5": Erratum(
        "attention weights of later tokens may also be set to 0",
        "only if the rows are divided by their new sums; -inf before the softmax does both at once",
        "masked-self-attention"),
    "E3.12": Erratum(
        "text has no batch norm because sentences differ in length",
        "padding is one reason; layer norm is also used where all inputs have one length, as in ViT, because it treats "
        "each token alone and the same in training and inference", "layer-norm"),

    # encoders, decoders, sequences

    # pictures
}


def departures(*ids):
    """The corrections of these numbers as one text."""
    return " ".join(f"{id}: not '{ERRATA[id].said}': {ERRATA[id].holds}." for id in ids)
