"""RegNet X and Y (Radosavovic et al., CVPR 2020): AnyNets whose widths follow a line.

Block j of d has the width u_j = w0 + wa j (eq. 2), which is brought to a power of wm and then to a multiple of 8:

    s_j = round(log(u_j / w0) / log(wm)),    w_j = w0 wm^s_j                                     (eq. 3, 4)

Blocks of equal width form a stage. With one ratio b and one group width g, six numbers make a network. Y is X with
gates (§4). Names of parameters are those of torchvision; `weights.names` translates timm's.
Departures: none. Where group widths do not divide stage widths, the published networks were rounded in two ways, see
`anynet.fit_groups`: "regnet_x_400mf", "regnet_y_800mf" and "regnet_y_8gf" are torchvision's, and with "_paper" behind
them those of the paper.
"""

import itertools
from typing import NamedTuple

import numpy as np

from ..errors import ArgError
from ..nn.check import choice, integer, number
from .anynet import AnyNet, Stage, fit_groups


def widths(d, w0, wa, wm, *, multiple=8):
    """Widths of d blocks by equations 2 to 4: int64 (d,).

    Parameters
    ----------
    d : int
        Depth.
    w0 : int, a multiple of `multiple`
        Initial width.
    wa : float >= 0
        Slope, channels for each block.
    wm : float > 1
        Factor from stage to stage.
    multiple : int, default 8

    Raises
    ------
    ArgError
        For values outside these ranges.

    >>> sorted(set(widths(13, 24, 36.44, 2.49).tolist()))
    [24, 56, 152, 368]
    """
    d, w0 = integer("regnet.widths", "d", d), integer("regnet.widths", "w0", w0)
    if w0 % integer("regnet.widths", "multiple", multiple):
        raise ArgError(f"regnet.widths: w0 is {w0}, expected a multiple of {multiple}")
    wa = number("regnet.widths", "wa", wa, low=0)
    wm = number("regnet.widths", "wm", wm, low=1, open_low=True)
    u = w0 + wa * np.arange(d)                                                           # eq. 2
    s = np.round(np.log(u / w0) / np.log(wm))                                            # eq. 3
    return (np.round(w0 * wm ** s / multiple) * multiple).astype(np.int64)               # eq. 4


class Spec(NamedTuple):
    """Appendix of the paper; the authors' code."""

    d: int
    w0: int
    wa: float
    wm: float
    g: int              # group width
    se: float = 0.0     # 0.25 for Y
    b: float = 1        # bottleneck ratio
    half: str = "up"    # as in `anynet.fit_groups`


def stages(spec):
    """The list of `Stage` of a `Spec`: runs of equal width, made to fit the group width.

    >>> [(s.depth, s.width) for s in stages(VARIANTS["regnet_x_200mf"])]
    [(1, 24), (1, 56), (4, 152), (7, 368)]
    """
    runs = [(w, len(list(run))) for w, run in itertools.groupby(widths(*spec[:4]).tolist())]
    return [fit_groups(Stage(depth, w, spec.g, spec.b), half=spec.half) for w, depth in runs]


VARIANTS = {
    "regnet_x_200mf": Spec(13, 24, 36.44, 2.49, 8),
    "regnet_x_400mf": Spec(22, 24, 24.48, 2.54, 16),
    "regnet_x_400mf_paper": Spec(22, 24, 24.48, 2.54, 16, half="even"),
    "regnet_x_800mf": Spec(16, 56, 35.73, 2.28, 16),
    "regnet_x_1_6gf": Spec(18, 80, 34.01, 2.25, 24),
    "regnet_x_3_2gf": Spec(25, 88, 26.31, 2.25, 48),
    "regnet_x_8gf": Spec(23, 80, 49.56, 2.88, 120),
    "regnet_x_16gf": Spec(22, 216, 55.59, 2.1, 128),
    "regnet_x_32gf": Spec(23, 320, 69.86, 2.0, 168),
    "regnet_y_200mf": Spec(13, 24, 36.44, 2.49, 8, 0.25),
    "regnet_y_400mf": Spec(16, 48, 27.89, 2.09, 8, 0.25),
    "regnet_y_800mf": Spec(14, 56, 38.84, 2.4, 16, 0.25),
    "regnet_y_800mf_paper": Spec(14, 56, 38.84, 2.4, 16, 0.25, half="even"),
    "regnet_y_1_6gf": Spec(27, 48, 20.71, 2.65, 24, 0.25),
    "regnet_y_3_2gf": Spec(21, 80, 42.63, 2.66, 24, 0.25),
    "regnet_y_8gf": Spec(17, 192, 76.82, 2.19, 56, 0.25),
    "regnet_y_8gf_paper": Spec(17, 192, 76.82, 2.19, 56, 0.25, half="even"),
    "regnet_y_16gf": Spec(18, 200, 106.23, 2.48, 112, 0.25),
    "regnet_y_32gf": Spec(20, 232, 115.89, 2.53, 232, 0.25),
    "regnet_y_128gf": Spec(27, 456, 160.83, 2.52, 264, 0.25),
}


def build(name, *, num_classes=1000, rng=None, **options):
    """Build one of `VARIANTS`, e.g. ``regnet.build("regnet_y_400mf")``; options as `anynet.AnyNet`.

    >>> build("regnet_x_200mf", num_classes=10, rng=0).eval()(np.zeros((1, 3, 64, 64), np.float32)).shape
    (1, 10)
    """
    spec = VARIANTS[choice("regnet.build", "name", name, VARIANTS)]
    return regnet(spec, num_classes=num_classes, rng=rng, **options)


def regnet(spec, *, four=True, rng=None, **options):
    """The `AnyNet` of a `Spec`.

    Parameters
    ----------
    spec : Spec
    four : bool, default True
        Refuse rules that do not make four stages.
    rng : numpy Generator, int or None
    **options
        As `AnyNet`.
    """
    found = stages(spec)
    if four and len(found) != 4:
        raise ArgError(f"regnet: spec is {tuple(spec)}, expected one that makes 4 stages, not {len(found)}")
    return AnyNet(found, se=spec.se, rng=rng, **options)
