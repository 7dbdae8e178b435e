"""Where common notes on architectures are imprecise, and what is right: text for lessons and for `departures`."""

from functools import partial

from ..parts import Erratum, corrections

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
    "E2.15": Erratum(
        "multiply-adds double with each step of phi, and B1 to B7 are such steps",
        "the published bases multiply to 1.92, not 2; the named networks follow a table of widths, depths and sides "
        "that the formula meets only roughly. The order d = alpha^phi, w = beta^phi, r = gamma^phi is right",
        "compound-scaling"),
    "E2.16": Erratum(
        "the controller learns by \"gradient policy\", and B0 was found starting from MobileNet",
        "it is the policy gradient, REINFORCE at first and PPO later; B0 comes from a search like that of MnasNet over "
        "blocks of MBConv, with the reward accuracy (multiply-adds / target)^-0.07", "nas-rl"),
    "E2.17": Erratum(
        "g_i is the number of groups of stage i",
        "it is the width of a group in channels; there are as many groups as fit into the 3x3 convolution", "anynet"),
    "E2.18": Erratum(
        "RegNet is a 16-dimensional design space",
        "that is AnyNet, four numbers for each of four stages; a RegNet has six: d, w0, wa, wm, b and g", "regnet"),
}

departures = partial(corrections, ERRATA)
