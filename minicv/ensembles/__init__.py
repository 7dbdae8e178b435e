"""Estimators without gradients, with the surface of scikit-learn: `fit`, `predict`, `score`.

`stump`: one threshold; `adaboost`: many weak learners voting; `kmeans`: clusters of points, anchors
from box sizes.
"""

from ..kernels.stumps import sort_features
from .adaboost import AdaBoostClassifier, exponential_bound, reweigh
from .kmeans import KMeans, size_iou
from .stump import DecisionStump, Split, Stump, best_stump, search_stumps

__all__ = ["AdaBoostClassifier", "DecisionStump", "KMeans", "Split", "Stump", "best_stump", "exponential_bound",
           "reweigh", "search_stumps", "size_iou", "sort_features"]
