"""Scan of sorted features for decision stumps.

Proved here: the order sorts every feature and marks equal values; lowest and highest sums equal loops over thresholds,
for any number of features; the twin agrees; nothing is written outside; bytes do not depend on threads.
"""

import numpy as np
import pytest

from minicv.errors import ShapeError
from minicv.kernels import launch, stumps, threads

pytestmark = pytest.mark.ch4


def samples(d, N, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 6, (N, d)).astype(np.float32), rng.standard_normal(N)


def by_loops(x, signed):
    """Lowest and highest sum of weights of samples that are not above a threshold."""
    sums = [[sum(signed[x[:, f] <= t]) for t in np.unique(x[:, f])] for f in range(x.shape[1])]
    return [min(s) for s in sums], [max(s) for s in sums]


@pytest.mark.parametrize("d, N", [(1, 1), (3, 2), (4, 9), (5, 30), (11, 40)])
def test_the_scan_equals_loops_over_thresholds(d, N):
    x, signed = samples(d, N)
    low, high = stumps.scan_stumps(stumps.sort_features(x), signed)
    for got, expected in zip((low, high), by_loops(x, signed)):
        np.testing.assert_allclose(got, expected, atol=1e-12)
        assert got.dtype == np.float64


def test_the_order_sorts_and_marks_all_but_the_last_of_equal_values():
    order = stumps.sort_features(np.array([[3.0, 1], [1, 1], [3, 1]]))
    assert order.tolist() == [[1, ~0, 2], [~0, ~1, 2]] and order.dtype == np.int32


def test_kernel_and_twin_agree_exactly_and_keep_inside_their_arrays():
    x, signed = samples(7, 50)
    order = stumps.sort_features(x)
    low, high = np.full(15, np.nan), np.full(15, np.nan)
    stumps.scan_features(2, order, signed, low[4:11], high[4:11])
    expected = np.empty(7), np.empty(7)
    stumps.scan_features_numpy(order, signed, *expected)
    for got, want in zip((low, high), expected):
        assert np.array_equal(got[4:11], want)
        assert np.isnan(got[:4]).all() and np.isnan(got[11:]).all()


def test_the_number_of_threads_does_not_change_a_byte(monkeypatch):
    """T2, N5."""
    x, signed = samples(30, 60)
    order, results = stumps.sort_features(x), []
    monkeypatch.setattr(launch, "SERIAL_ELEMENTS", 1)
    for n in (1, 2, 5):
        monkeypatch.setattr(threads, "_chosen", n)
        results.append(np.stack(stumps.scan_stumps(order, signed)).tobytes())
    assert len(set(results)) == 1


def test_bad_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"signed has shape \(2,\), expected \(3,\)"):
        stumps.scan_stumps(stumps.sort_features(np.eye(3)), np.ones(2))
    with pytest.raises(ShapeError, match=r"x has shape \(3,\)"):
        stumps.sort_features(np.ones(3))
    assert stumps.scan_stumps(np.empty((0, 3), np.int32), np.ones(3))[0].shape == (0,)
