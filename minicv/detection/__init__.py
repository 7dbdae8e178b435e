"""Object detection: boxes around things, from boosted rectangles to sets of queries.

================  ==============================================================================
`proposals`       superpixels and selective search: where could an object be?
================  ==============================================================================
"""

from . import proposals

__all__ = ["proposals"]
