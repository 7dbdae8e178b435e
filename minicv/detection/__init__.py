"""Object detection: boxes around things, from boosted rectangles to sets of queries.

================  ==============================================================================
`viola_jones`     faces by boosted Haar-like features and an attentional cascade
`proposals`       superpixels and selective search: where could an object be?
================  ==============================================================================
"""

from . import proposals, viola_jones

__all__ = ["proposals", "viola_jones"]
