"""Networks of paper size: built, counted and compared with what their authors and the public implementations say."""

from ... import cnn, nn
from .. import Target


def published(sizes):
    """Targets for {name: (parameters, billions of multiply-adds)}: the first exactly, the second to 1 %."""
    return [target for name, (parameters, giga) in sizes.items() for target in (
        Target(f"{name}_parameters", "==", parameters, tag="E"),
        Target(f"{name}_gmac", "~", giga, tag="E", tol=0.01 * giga))]


def count(names, side, preset, **small):
    """Build networks and count them for an image of `side` pixels.

    Parameters
    ----------
    names : iterable of str
        Of `cnn.VARIANTS`.
    **small
        Options that make them small for preset "smoke", which checks no target.

    Returns
    -------
    dict of str to Cost
    """
    options = small if preset == "smoke" else {}
    return {name: nn.cost(cnn.build(name, rng=0, **options), (1, 3, side, side)) for name in names}


def sizes(counted):
    """Metrics "<name>_parameters" and "<name>_gmac"."""
    return {f"{name}_{what}": value for name, cost in counted.items()
            for what, value in (("parameters", cost.parameters), ("gmac", cost.macs / 1e9))}


def gate(counted, published):
    """All of them in two metrics: how many parameter counts are off, and the largest relative error of the MACs.

    `published` is as above; None in place of the multiply-adds leaves them out.
    """
    wanted = {name: published[name] for name in counted}
    return {"parameter_counts_off": sum(counted[name].parameters != n for name, (n, _) in wanted.items()),
            "worst_mac_error": max((abs(counted[name].macs / 1e9 / giga - 1) for name, (_, giga) in wanted.items()
                                    if giga), default=0.0)}


def table(counted):
    """Rows of the same numbers."""
    return [{"network": name, "parameters": cost.parameters, "GMAC": round(cost.macs / 1e9, 3)}
            for name, cost in counted.items()]
