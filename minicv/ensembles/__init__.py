"""Estimators without gradients, with the surface of scikit-learn: `fit`, `predict`, `score`.

Reading order: `estimator` (settings and checks), `stump` (one threshold), `adaboost` (weak learners
voting), `growth` (trees level by level), `tree`, `forest`, `store` (trees in files), `kmeans`
(clusters of points, anchors from box sizes), `pca`.
"""

from ..kernels.stumps import sort_features
from .adaboost import AdaBoostClassifier, exponential_bound, reweigh
from .forest import RandomForestClassifier
from .growth import Tree
from .kmeans import KMeans, size_iou
from .pca import PCA
from .stump import DecisionStump, Split, Stump, best_stump, search_stumps
from .tree import DecisionTreeClassifier, DecisionTreeRegressor, export_text

__all__ = ["PCA", "AdaBoostClassifier", "DecisionStump", "DecisionTreeClassifier", "DecisionTreeRegressor", "KMeans",
           "RandomForestClassifier", "Split", "Stump", "Tree", "best_stump", "exponential_bound", "export_text",
           "reweigh", "search_stumps", "size_iou", "sort_features"]
