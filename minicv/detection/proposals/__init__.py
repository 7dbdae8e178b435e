"""Region proposals without learning: where could an object be?

==================  ==============================================================================
`superpixels`       small regions of similar colour (Felzenszwalb & Huttenlocher, 2004)
`color`             colour spaces in which regions are compared
`regions`           histograms, boxes and the four similarity measures
`grouping`          joining neighbours up to the whole image
`selective_search`  boxes of many hierarchies, ranked; recall against their number (Uijlings, 2013)
==================  ==============================================================================
"""

from .color import COLORS
from .grouping import Hierarchy, group
from .regions import MEASURES
from .selective_search import (
    FAST,
    QUALITY,
    SINGLE,
    Proposals,
    Strategy,
    hierarchy,
    rank,
    recall_curve,
    selective_search,
)
from .superpixels import superpixels

__all__ = ["COLORS", "FAST", "MEASURES", "QUALITY", "SINGLE", "Hierarchy", "Proposals", "Strategy", "group",
           "hierarchy", "rank", "recall_curve", "selective_search", "superpixels"]
