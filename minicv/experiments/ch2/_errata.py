"""Where common notes on architectures are imprecise, and what is right: text for lessons and for `departures`."""

from ..ch1._errata import Erratum

ERRATA = {
    # Inception, residual networks
    "E2.1": Erratum(
        "one branch of an Inception module is a 1x1 convolution and a 3x3 max pool",
        "the pool comes first and the 1x1 convolution then reduces its channels", "inception-module"),
    "E2.2": Erratum(
        "the losses of the auxiliary classifiers are added to the loss",
        "each with the weight 0.3", "aux-softmax"),
    "E2.3": Erratum(
        "the first block of each stage halves the map and doubles the channels, and nothing is pooled",
        "not that of the first stage, which keeps 56x56 and 64 channels; the stem ends with a max pool and the network "
        "with global average pooling", "resnet-18"),
    "E2.4": Erratum(
        "a bottleneck halves the map in its first 1x1 convolution",
        "so did the paper; nearly all libraries do it in the 3x3, which skips no pixel and costs 4.09 in place of "
        "3.86 G multiply-adds", "bottleneck-block"),
    "E2.5": Erratum(
        "small initial weights let a residual network start as the identity",
        "behind a batch norm the size of the weights has no effect; it starts as the identity if the last norm of "
        "every block starts with gamma = 0 (Goyal et al., 2017)", "residual-block"),
    "E2.6": Erratum(
        "the network is called Inception-ResNet-v4",
        "Inception-v4 has no residual connections; those with them are Inception-ResNet-v1 and -v2", "inception-v4"),
    "E2.7": Erratum(
        "Inception-ResNet-B begins with three 1x1 convolutions",
        "with two: one leads straight to the concatenation, one to 1x7 and 7x1", "inception-resnet"),
    "E2.8": Erratum(
        "Inception-ResNet is made of the modules A and B",
        "and of C (1x1; 1x1 - 1x3 - 3x1) and two reductions; the last 1x1 convolution of a module has no activation "
        "and its result is scaled by 0.1 to 0.3 before it is added", "inception-resnet"),

    # branches, gates, mobile and wide networks

    # scaling, search, design spaces
}


def departures(*ids):
    """The corrections of these numbers as one text."""
    return " ".join(f"{id}: not '{ERRATA[id].said}': {ERRATA[id].holds}." for id in ids)
