"""Where common notes on transformers are imprecise, and what is right: text for lessons and for `departures`."""

from ..ch1._errata import Erratum

ERRATA = {
    # attention

    # encoders, decoders, sequences

    # pictures
    "E3.3": Erratum(
        "the class token is appended at the beginning",
        "it is prepended: it stands at position 0, in front of the patches, and has a position of its own", "vit"),
    "E3.7": Erratum(
        "ViT-large has 307 M parameters",
        "with patches of 16 it has 304.3 M with its classifier and 303.3 M without; 306.5 M is L/32 with its "
        "classifier", "vit"),
    "E3.9": Erratum(
        "the encoder is that of the first transformer, relu included",
        "it is pre-norm with one more norm at the end, the network of each token has GELU, W_E has a bias, and the eps "
        "of the norms is 1e-6", "vit"),
    "E3.10": Erratum(
        "a classic transformer has 12 layers with 8 heads and 483 GB of attention weights",
        "the arithmetic is right in decimal units (450 GiB), but ViT-B has 12 heads in 12 layers and the first "
        "transformer 8 heads in 6; kernels that never store the weights need none of it", "pixel-transformer"),
    "E3.11": Erratum(
        "higher layers attend to distant patches, as with convolutions",
        "low layers already mix local heads with global ones, which no convolution can, and from the middle up all "
        "heads are global", "vit-analysis"),
    "E3.13": Erratum(
        "the operations of a ViT come from the quadratic attention",
        "with 197 tokens of 768 numbers the two products of the attention are 4 % of the multiply-adds; they outweigh "
        "the 12 n d^2 of the linear layers only for n > 6 d", "vit"),
}


def departures(*ids):
    """The corrections of these numbers as one text."""
    return " ".join(f"{id}: not '{ERRATA[id].said}': {ERRATA[id].holds}." for id in ids)
