"""Nearest centres and sums of members.

Proved here: both kernels equal their definition as loops for all remainders of the blocking; ties go to the lowest
index; a centre on a point has distance 0; the twin agrees; nothing is written outside; no points is no result.
"""

import numpy as np
import pytest

from minicv.kernels import nearest as N

pytestmark = pytest.mark.ch4
SHAPES = [(1, 1, 1), (2, 7, 3), (4, N.BLOCK, 2), (5, N.BLOCK + 1, 4), (7, 2 * N.BLOCK - 1, 6), (16, 40, 1)]


def points(D, count, K, dtype=np.float64):
    rng = np.random.default_rng(D + count)
    return rng.standard_normal((D, count)).astype(dtype), rng.standard_normal((K, D)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_nearest_centre_is_that_of_the_definition(shape, dtype):
    x, centers = points(*shape, dtype)
    label, distance = N.nearest(x, centers)
    table = np.array([[sum((a - b) ** 2 for a, b in zip(x[:, n].astype(float), c.astype(float)))
                       for c in centers] for n in range(0, x.shape[1], 7)])
    assert np.array_equal(label[::7], table.argmin(axis=1))
    np.testing.assert_allclose(distance[::7], table.min(axis=1), rtol=2e-6 if dtype == np.float32 else 1e-13)
    assert label.dtype == np.int32 and distance.dtype == dtype


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kernel_and_twin_agree_and_keep_inside_their_arrays(shape):
    x, centers = points(*shape)
    count = shape[1]
    label, distance = np.full(count + 8, -7, np.int32), np.full(count + 8, -7.0)
    N.nearest_centers(-(-count // N.BLOCK), x, centers, label[4:-4], distance[4:-4])
    label2, distance2 = np.empty(count, np.int32), np.empty(count)
    N.nearest_centers_numpy(x, centers, label2, distance2)
    assert np.array_equal(label[4:-4], label2)
    np.testing.assert_allclose(distance[4:-4], distance2, rtol=1e-13)
    assert (label[[0, 3, -4, -1]] == -7).all() and (distance[[0, 3, -4, -1]] == -7).all()


def test_equal_centres_give_the_first_and_distance_zero():
    x, _ = points(6, 30, 1)
    x += 1e4                                                       # where the expanded square would lose digits
    centers = np.repeat(x.T[:3], 2, axis=0)
    label, distance = N.nearest(x, centers)
    assert label[:3].tolist() == [0, 2, 4] and not distance[:3].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_members_are_those_of_loops(dtype):
    x, _ = points(5, 200, 1, dtype)
    label = np.random.default_rng(1).integers(0, 4, 200).astype(np.int32)
    expected = np.zeros((6, 5))
    for n in range(200):
        expected[label[n]] += x[:, n].astype(float)
    got = N.member_sums(x, label, 6)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    twin = np.empty((5, 6))
    N.sum_members_numpy(x, label, twin)
    np.testing.assert_allclose(twin.T, expected, rtol=1e-12, atol=1e-12)
    assert got.dtype == np.float64


def test_no_points_give_no_labels():
    label, distance = N.nearest(np.empty((3, 0)), np.ones((2, 3)))
    assert label.shape == distance.shape == (0,)
