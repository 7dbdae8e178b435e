"""Estimators without gradients, with the surface of scikit-learn: `fit`, `predict`, `score`.

`kmeans`: clusters of points, anchors from box sizes.
"""

from .kmeans import KMeans, size_iou

__all__ = ["KMeans", "size_iou"]
