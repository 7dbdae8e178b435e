"""Where common notes on architectures are imprecise, and what is right: text for lessons and for `departures`."""

from ..ch1._errata import Erratum

ERRATA = {
    # Inception, residual networks

    # branches, gates, mobile and wide networks
    "E2.9": Erratum(
        "the branches of a ResNeXt block must not be confused with grouped convolutions",
        "summed branches, joined branches and a bottleneck with groups are the same function with the same gradients",
        "resnext-block"),
    "E2.10": Erratum(
        "y_k(j, i) = w_k a(j, i) + x_k",
        "the shortcut is taken at the same position: ... + x_k(j, i)", "resnext-block"),
    "E2.11": Erratum(
        "excitation compresses the channels and restores them, with factors in [0, 1]",
        "there is a ReLU between the two layers and a sigmoid behind them, so that factors lie in the open interval "
        "(0, 1)", "se-module"),
    "E2.12": Erratum(
        "depthwise separable convolutions gain up to ten times",
        "the gain is 9 C / (9 + C) for 3x3, below k^2 = 9; in practice 8 to 9", "depthwise-separable-conv"),
    "E2.13": Erratum(
        "an inverted residual expands, filters, compresses to the original shape and adds",
        "it compresses to C_out and adds only if the stride is 1 and C_out = C_in; with t = 1 nothing is expanded; the "
        "activation is ReLU6, and the last convolution, a point-wise one, has none", "inverted-residual"),
    "E2.14": Erratum(
        "the inputs of the rows of MobileNetV2 are 224 x 3, 112 x 32, ...",
        "they are 224^2 x 3, 112^2 x 32, ...: height times width times channels", "mobilenet-v2"),
    "E2.19": Erratum(
        "SENet is a deep ResNet or ResNeXt with gates",
        "the gate fits any backbone; SENet-154 is a ResNeXt-152 with 64 groups, a deep stem, 3x3 projections and "
        "half as wide first convolutions", "senet"),

    # scaling, search, design spaces
}


def departures(*ids):
    """The corrections of these numbers as one text."""
    return " ".join(f"{id}: not '{ERRATA[id].said}': {ERRATA[id].holds}." for id in ids)
