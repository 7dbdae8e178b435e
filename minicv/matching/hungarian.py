"""One-to-one matching of rows to columns by cost: the optimum, and greedily.

    minimise sum of cost[i, s(i)] over one-to-one maps s                                            (1)

The name of the problem's first polynomial solution, the Hungarian method, stands for all of them; what runs here are
shortest augmenting paths (`minicv.kernels.assignment`), O(N^3). DETR matches predictions to objects with it.

References: Kuhn, Naval Research Logistics Quarterly 2 (1955); Jonker & Volgenant, Computing 38 (1987); Crouse, IEEE
Trans. AES 52 (2016).
Departures: none. NB: scipy's linear_sum_assignment takes infinite costs as forbidden pairs; here they are errors, a
large finite cost does the same.
"""

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError
from ..kernels.assignment import shortest_paths, take_greedily

LARGEST_EXPONENT = 900              # costs below 2^900 can be added a few billion times


def linear_assignment(cost, maximize=False):
    """The assignment of least total cost.

    Parameters
    ----------
    cost : array (N, M)
        Finite real numbers, compared as float64.
    maximize : bool
        Find the largest total instead.

    Returns
    -------
    rows, columns : int64 arrays (min(N, M),)
        Pairs, by ascending row. The same for the same costs on every machine; which of several optima is not
        specified.

    Raises
    ------
    ShapeError
        If cost is not 2-D.
    DTypeError
        If it does not hold real numbers.
    ArgError
        If one of them is NaN or infinite.

    >>> linear_assignment(np.array([[0.2, 0.9], [0.3, 0.1], [0.4, 0.8]]))
    (array([0, 1]), array([0, 1]))
    """
    cost = _checked("linear_assignment", cost, maximize)
    wide = cost.shape[0] <= cost.shape[1]
    columns = np.full(min(cost.shape), -1)
    shortest_paths(cost if wide else cost.T, columns)
    return _sorted(np.arange(len(columns)), columns) if wide else _sorted(columns, np.arange(len(columns)))


def greedy_assignment(cost, maximize=False):
    """Again and again the cheapest pair whose row and column are both free; equal costs: lower row, then lower column.

    Arguments, results and errors as for `linear_assignment`. Its total may be worse; it is what evaluation of
    detections and simple trackers do.

    >>> greedy_assignment(np.array([[1, 2], [2, 9]])), linear_assignment(np.array([[1, 2], [2, 9]]))
    ((array([0, 1]), array([0, 1])), (array([0, 1]), array([1, 0])))
    """
    cost = _checked("greedy_assignment", cost, maximize)
    columns = np.full(cost.shape[0], -1)
    take_greedily(np.argsort(cost, axis=None, kind="stable"), np.zeros(cost.shape[1], np.int64), columns)
    rows = np.flatnonzero(columns >= 0)
    return rows, columns[rows]


def _sorted(rows, columns):
    order = np.argsort(rows)
    return rows[order], columns[order]


def _checked(function, cost, maximize):
    """Costs as float64, to be minimised, and small enough to be added."""
    cost = np.asarray(cost)
    if cost.ndim != 2:
        raise ShapeError(f"{function}: cost has shape {cost.shape}, expected (N, M)")
    if cost.dtype.kind not in "biuf":
        raise DTypeError(f"{function}: cost has dtype {cost.dtype}, expected real numbers")
    cost = cost.astype(np.float64)
    if not np.isfinite(cost).all():
        i, j = np.argwhere(~np.isfinite(cost))[0]
        raise ArgError(f"{function}: cost[{i}, {j}] is {cost[i, j]}, expected finite numbers; "
                       f"a large cost forbids a pair")
    e = int(np.frexp(abs(cost).max(initial=0))[1])
    return np.ldexp(-cost if maximize else cost, -e if e > LARGEST_EXPONENT else 0)
