"""Where common notes on architectures are imprecise, and what is right: text for lessons and for `departures`."""

from ..ch1._errata import Erratum

ERRATA = {
    # Inception, residual networks

    # branches, gates, mobile and wide networks

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


def departures(*ids):
    """The corrections of these numbers as one text."""
    return " ".join(f"{id}: not '{ERRATA[id].said}': {ERRATA[id].holds}." for id in ids)
