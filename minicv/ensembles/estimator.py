"""What all estimators share: settings by name, and the checks of what `fit` and `predict` are given.

The surface is that of scikit-learn, so that its tools (cross-validation, pipelines, `clone`) take
these classes: settings are stored untouched by ``__init__`` and checked by `fit`; what is learned
ends in an underscore.
"""

import inspect

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError


class Estimator:
    """Settings as attributes: `get_params`, `set_params`, and a repr that shows the changed ones."""

    @classmethod
    def _defaults(cls):
        parameters = inspect.signature(cls.__init__).parameters.values()
        return {p.name: p.default for p in parameters if p.name != "self"}

    def get_params(self, deep: bool = True) -> dict:
        """All settings by name; with `deep` also those of an estimator among them, as ``outer__inner``."""
        params = {name: getattr(self, name) for name in self._defaults()}
        inner = {f"{name}__{key}": value for name, part in params.items() if deep and hasattr(part, "get_params")
                 and not isinstance(part, type) for key, value in part.get_params().items()}
        return params | inner

    def set_params(self, **params):
        """Change settings by name; returns the estimator. ArgError for an unknown one, before any change."""
        known = self.get_params()
        for name in params:
            if name not in known:
                raise ArgError(f"set_params: {name} is no setting of {type(self).__name__}, expected one of "
                               f"{', '.join(sorted(known))}")
        for name, value in params.items():
            owner, _, inner = name.partition("__")
            getattr(self, owner).set_params(**{inner: value}) if inner else setattr(self, name, value)
        return self

    def __repr__(self):
        changed = {name: getattr(self, name) for name, default in self._defaults().items()
                   if getattr(self, name) is not default}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def _input(self, function, x, *, finite=True):
        """`x` checked against what was fitted."""
        if not hasattr(self, "n_features_in_"):
            raise ArgError(f"{function}: {type(self).__name__} is not fitted, expected a call of fit before")
        x = check_matrix(function, "X", x, finite=finite)
        if x.shape[1] != self.n_features_in_:
            raise ShapeError(f"{function}: X has shape {x.shape}, expected (N, {self.n_features_in_}) as in fit")
        return x

    def clone(self):
        """An unfitted estimator with the same settings."""
        return type(self)(**self.get_params(deep=False))


class Classifier(Estimator):
    """Adds `score`, the (weighted) share of right predictions; `classes_` holds the sorted labels."""

    _estimator_type = "classifier"

    def _labels(self, function, y, count):
        """Check y (count,), set `classes_` and return the index of each label in it."""
        classes, code = np.unique(check_labels(function, y, count), return_inverse=True)
        if len(classes) < 2:
            raise ArgError(f"{function}: y holds {len(classes)} class, expected at least 2")
        self.classes_ = classes
        return code

    def score(self, X, y, sample_weight=None) -> float:
        """Share of the rows of X (N, D) whose prediction equals y, weighted by `sample_weight`."""
        hit = self.predict(X) == check_labels("score", y, len(X))
        return float(np.average(hit, weights=check_weights("score", sample_weight, len(hit))))


def check_matrix(function, name, x, *, finite=True):
    """`x` as a float array (N, D) with N, D >= 1; float32 stays float32. `finite=False` takes the numbers on trust."""
    x = np.asarray(x)
    if x.ndim != 2 or x.size == 0:
        raise ShapeError(f"{function}: {name} has shape {x.shape}, expected (N, D) with N, D >= 1")
    if x.dtype.kind not in "fiub":
        raise DTypeError(f"{function}: {name} has dtype {x.dtype}, expected real numbers")
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32 if x.dtype == np.float16 else np.float64)
    if finite and not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise ArgError(f"{function}: {name}[{row}, {column}] is {x[row, column]}, expected a finite number")
    return x


def check_labels(function, y, count):
    """`y` as an array (count,) of labels: integers, booleans or text; floats only if they are whole."""
    y = np.asarray(y)
    if y.shape != (count,):
        raise ShapeError(f"{function}: y has shape {y.shape}, expected ({count},), one label for each row of X")
    if y.dtype.kind == "f" and not (np.isfinite(y).all() and (y == np.rint(y)).all()):
        raise ArgError(f"{function}: y holds numbers that are not whole, expected class labels")
    if y.dtype.kind not in "fiubUS":
        raise DTypeError(f"{function}: y has dtype {y.dtype}, expected integers, booleans or text")
    return y


def check_weights(function, weight, count):
    """Weights (count,) as float64, finite, none negative, not all zero; None gives ones."""
    if weight is None:
        return np.ones(count)
    weight = np.asarray(weight, np.float64)
    if weight.shape != (count,):
        raise ShapeError(f"{function}: sample_weight has shape {weight.shape}, expected ({count},)")
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        i = np.flatnonzero(~(weight >= 0) | np.isinf(weight))[0]
        raise ArgError(f"{function}: sample_weight[{i}] is {weight[i]}, expected a finite number >= 0")
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not 0 < total < np.inf:
        raise ArgError(f"{function}: sample_weight sums to {total}, expected a finite number above 0")
    return weight


def check_integer(function, name, value, low):
    """`value` as an int >= `low`; bools and floats are refused."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < low:
        raise ArgError(f"{function}: {name} is {value!r}, expected an integer >= {low}")
    return int(value)


def check_choice(function, name, value, allowed):
    """`value` if it is one of the strings `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise ArgError(f"{function}: {name} is {value!r}, expected one of {', '.join(map(repr, allowed))}")
    return value
