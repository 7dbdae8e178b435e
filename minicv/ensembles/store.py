"""Trees in files: plain arrays in an npz archive, checked when they come back; no pickle."""

import json

import numpy as np

from ..errors import DataFormatError
from ..files import atomic_write, npz_bytes, read_npz
from .growth import Tree

FIELDS = {"feature": np.int32, "threshold": np.float64, "left": np.int32, "right": np.int32, "value": np.float64,
          "weight": np.float64, "samples": np.int64, "gain": np.float64}


class Stored:
    """`save` and `load` for estimators that consist of trees (`tree_` or `trees_`)."""

    def save(self, path) -> None:
        """Write the fitted estimator to `path` (.npz). Labels must be numbers or booleans.

        Settings that are no plain values, such as a Generator, are left out.
        """
        self._input("save", np.zeros((1, getattr(self, "n_features_in_", 1))))          # complains if not fitted
        trees = getattr(self, "trees_", None) or [self.tree_]
        settings = self.get_params(deep=False)
        settings = {k: v for k, v in settings.items() if isinstance(v, (str, int, float, type(None)))}
        head = json.dumps({"kind": type(self).__name__, "features": self.n_features_in_, "settings": settings})
        arrays = {"head": np.frombuffer(head.encode(), np.uint8), "classes": self.classes_,
                  "nodes": np.array([len(tree.feature) for tree in trees])}
        arrays |= {name: np.concatenate([getattr(tree, name) for tree in trees]) for name in FIELDS}
        atomic_write(path, npz_bytes(arrays))

    @classmethod
    def load(cls, path):
        """The estimator that `save` wrote.

        Raises
        ------
        DataFormatError
            The file holds another kind of estimator, or trees that lead nowhere or in circles.
        """
        arrays, where = read_npz(path), f"{cls.__name__}.load: {str(path)!r}"
        try:
            head = json.loads(arrays.pop("head").tobytes())
            classes, nodes, D = arrays.pop("classes"), arrays.pop("nodes"), head["features"]
            if head["kind"] != cls.__name__:
                raise DataFormatError(f"{where} holds a {head['kind']}, expected a {cls.__name__}")
            if nodes.ndim != 1 or nodes.dtype != np.int64 or sum(nodes.tolist()) != len(arrays["feature"]):
                raise DataFormatError(f"{where} has {len(arrays['feature'])} nodes, but counts others")
            columns = [np.split(arrays[name], np.cumsum(nodes)[:-1]) for name in FIELDS]
            trees = [Tree(*parts) for parts in zip(*columns, strict=True)]
            model = cls(**head["settings"])
        except (KeyError, TypeError, ValueError, IndexError, RecursionError) as e:
            if isinstance(e, DataFormatError):
                raise
            raise DataFormatError(f"{where} is no archive of trees: {e}") from e
        _check_head(where, D, classes, trees, single="trees_" not in cls.__annotations__)
        for tree, count in zip(trees, nodes):
            _check_tree(where, tree, count, D, max(1, len(classes)))
        model.n_features_in_ = D
        if len(classes):
            model.classes_ = classes
        if "trees_" in cls.__annotations__:
            model.trees_ = trees
        else:
            model.tree_, = trees
        return model


def _check_head(where, features, classes, trees, *, single):
    """The number of features, the sorted classes (none for regression), and one tree where there is only one."""
    if isinstance(features, bool) or not isinstance(features, int) or not 1 <= features < 2**31:
        raise DataFormatError(f"{where} was fitted to {features!r:.40} features, expected an integer >= 1")
    if classes.ndim != 1 or classes.dtype.kind not in "biuf" or not (classes[:-1] < classes[1:]).all() or (
            not np.isfinite(classes).all()):
        raise DataFormatError(f"{where} has classes {classes.tolist()!r:.60}, expected rising numbers (K,)")
    if single and len(trees) != 1:
        raise DataFormatError(f"{where} has {len(trees)} trees, expected one")


def _check_tree(where, tree, count, num_features, num_classes):
    """Every walk from the root must end at a leaf, and read features that exist."""
    if not trees_fit(tree, count, num_classes):
        raise DataFormatError(f"{where} has arrays of other shapes or types than a tree of {count} nodes")
    node, inner = np.arange(count), tree.feature >= 0
    children = np.stack([tree.left, tree.right])[:, inner]
    sound = (tree.feature < num_features).all() and (children > node[inner]).all() and (children < count).all()
    if not (sound and np.isfinite(tree.threshold).all() and (tree.weight > 0).all()):
        raise DataFormatError(f"{where} has a tree that leads nowhere, in circles, or to unknown features")
    if not all(np.isfinite(x).all() for x in (tree.value, tree.weight, tree.gain)) or (tree.samples < 1).any() or (
            num_classes > 1 and (tree.value < 0).any()):
        raise DataFormatError(f"{where} has a tree with empty nodes, or numbers that are not finite or negative")


def trees_fit(tree, count, num_classes):
    """Whether the arrays of a tree have the shapes and types that `grow` gives them."""
    return count >= 1 and all(
        a.shape == ((count, num_classes) if name == "value" else (count,)) and a.dtype == dtype
        for (name, dtype), a in zip(FIELDS.items(), tree, strict=True))
