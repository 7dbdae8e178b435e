"""Pooling kernels.

Proved here: maximum and mean equal their definition as loops over windows, with ceil_mode,
dilation, asymmetric padding and adaptive grids; first-index ties, NaN and -inf (D10, L9); window
rules (D9, L7); divisors (L8); gather and scatter are adjoint, the mean has the right adjoint;
layouts are kept.
"""

import itertools

import numpy as np
import pytest

from minicv import kernels as K
from minicv.errors import ArgError, DTypeError, ShapeError
from minicv.kernels import pool_loops
from minicv.kernels.windows import output_size

pytestmark = pytest.mark.ch2

CASES = [  # H, W, settings
    (6, 7, dict(size=(2, 2))),
    (7, 6, dict(size=(3, 2), stride=(2, 1))),
    (7, 8, dict(size=(3, 3), stride=(2, 2), padding=((1, 1), (1, 0)))),
    (6, 8, dict(size=(3, 3), stride=(2, 3), padding=((1, 0), (0, 1)), ceil_mode=True)),
    (5, 5, dict(size=(2, 3), stride=(3, 3), ceil_mode=True)),
    (4, 4, dict(size=(5, 4), stride=(1, 1), padding=((2, 2), (2, 2)))),
]
DILATED = [
    (9, 8, dict(size=(3, 2), stride=(1, 2), dilation=(2, 3))),
    (9, 9, dict(size=(3, 3), stride=(2, 2), padding=((2, 1), (0, 2)), dilation=(2, 2),
                ceil_mode=True)),
]


def image(H, W, seed=0):
    return np.random.default_rng(seed).standard_normal((2, 3, H, W))


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def axis_windows(length, size, stride, pad, dilation, ceil_mode):
    """For each output the padded positions its window reads: the definition, one axis."""
    outputs = []
    for i in itertools.count():
        start = i * stride - pad[0]
        end = start + dilation * (size - 1) + 1
        complete = end <= length + pad[1]
        needed = outputs and start < length and outputs[-1][-1] < length + pad[1] - 1
        if not complete and not (ceil_mode and needed):
            return outputs
        outputs.append([start + p * dilation for p in range(size)])


def windows_of(x, size, stride=None, padding=((0, 0), (0, 0)), ceil_mode=False, dilation=(1, 1)):
    stride = stride or size
    return [axis_windows(x.shape[2 + a], size[a], stride[a], padding[a], dilation[a], ceil_mode)
            for a in (0, 1)]


def max_by_loops(x, rows, columns):
    H, W = x.shape[2:]
    y = np.empty((*x.shape[:2], len(rows), len(columns)))
    where = np.empty(y.shape, int)
    for n, c, i, j in np.ndindex(y.shape):
        best = None
        for h, w in itertools.product(rows[i], columns[j]):
            if 0 <= h < H and 0 <= w < W and (best is None or x[n, c, h, w] > best):
                best, where[n, c, i, j] = x[n, c, h, w], h * W + w
        y[n, c, i, j] = best
    return y, where


@pytest.mark.parametrize("layout", [channels_last, np.array])
@pytest.mark.parametrize("case", CASES + DILATED, ids=str)
def test_max_pool_equals_loops_over_windows(case, layout):
    H, W, settings = case
    x = layout(image(H, W))
    y, where = K.max_pool(x, **settings)
    expected, position = max_by_loops(x, *windows_of(x, **settings))
    assert np.array_equal(y, expected) and np.array_equal(where, position)
    assert where.dtype == np.int32
    for a in (y, where):
        assert K.is_channels_last(a) == K.is_channels_last(x)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("layout", [channels_last, np.array])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_avg_pool_equals_loops_over_windows(case, layout, include):
    """L8: the divisor counts padding or not, and never what ceil_mode adds beyond the padding."""
    H, W, settings = case
    x = layout(image(H, W))
    rows, columns = windows_of(x, **settings)
    (top, bottom), (left, right) = settings.get("padding", ((0, 0), (0, 0)))
    expected = np.empty((2, 3, len(rows), len(columns)))
    for i, j in np.ndindex(expected.shape[2:]):
        inside = [(h, w) for h in rows[i] for w in columns[j] if 0 <= h < H and 0 <= w < W]
        padded = [1 for h in rows[i] for w in columns[j] if h < H + bottom and w < W + right]
        total = sum(x[:, :, h, w] for h, w in inside)
        expected[:, :, i, j] = total / (len(padded) if include else len(inside))
    y = K.avg_pool(x, count_include_pad=include, **settings)
    np.testing.assert_allclose(y, expected, atol=1e-14)
    assert K.is_channels_last(y) == K.is_channels_last(x)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("layout", [channels_last, np.array])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_avg_pool_and_its_adjoint(case, layout, include):
    H, W, settings = case
    x = image(H, W)
    y = K.avg_pool(x, count_include_pad=include, **settings)
    g = layout(np.random.default_rng(1).standard_normal(y.shape))
    gx = K.avg_pool_input(g, input_size=(H, W), count_include_pad=include, **settings)
    np.testing.assert_allclose(np.vdot(x, gx), np.vdot(y, g), rtol=1e-12)
    assert K.is_channels_last(gx) == K.is_channels_last(g)


def test_every_entry_of_the_adjoint_of_the_mean():
    """The matrix of the adjoint is the transposed matrix, entry by entry."""
    settings = dict(size=(3, 2), stride=(2, 1), padding=((1, 1), (1, 0)), ceil_mode=True)
    forward = np.stack([K.avg_pool(e.reshape(1, 1, 4, 5), **settings).ravel() for e in np.eye(20)])
    shape = K.avg_pool(np.zeros((1, 1, 4, 5)), **settings).shape
    backward = np.stack([K.avg_pool_input(e.reshape(shape), input_size=(4, 5), **settings).ravel()
                         for e in np.eye(forward.shape[1])])
    np.testing.assert_allclose(forward, backward.T, atol=1e-15)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 7), (9, 4)])
@pytest.mark.parametrize("layout", [channels_last, np.array])
def test_adaptive_pooling_equals_loops_over_cells(size, layout):
    x = layout(image(7, 5))
    rows, columns = (
        [range(i * n // k, -(-(i + 1) * n // k)) for i in range(k)] for n, k in zip((7, 5), size))
    y, where = K.adaptive_max_pool(x, size)
    expected, position = max_by_loops(x, rows, columns)
    assert np.array_equal(y, expected) and np.array_equal(where, position)
    mean = np.stack([[x[:, :, r.start:r.stop, c.start:c.stop].mean(axis=(2, 3)) for c in columns]
                     for r in rows]).transpose(2, 3, 0, 1)
    np.testing.assert_allclose(K.adaptive_avg_pool(x, size), mean, atol=1e-14)
    g = np.random.default_rng(1).standard_normal(mean.shape)
    np.testing.assert_allclose(np.vdot(K.adaptive_avg_pool_input(g, input_size=(7, 5)), x),
                               np.vdot(g, mean), rtol=1e-12)


def test_adaptive_bounds_cover_the_axis():
    for n, k in itertools.product(range(1, 9), range(1, 9)):
        low, high = K.adaptive_bounds(n, k).T
        assert low[0] == 0 and high[-1] == n and (high > low).all() and (low[1:] <= high[:-1]).all()


def test_among_equals_the_first_wins():
    """D3."""
    _, where = K.max_pool(np.zeros((1, 2, 4, 4)), size=2)
    assert np.array_equal(where[0, 0], [[0, 2], [8, 10]])


@pytest.mark.parametrize("layout", [channels_last, np.array])
def test_nan_wins_and_the_first_nan_is_the_place(layout):
    """D10, M5."""
    x = image(4, 4)
    x[:, :, 1, 2], x[:, :, 3, 0], x[:, :, 3, 1] = np.nan, np.nan, np.nan
    y, where = K.max_pool(layout(x), size=2)
    assert np.isnan(y[:, :, 0, 1]).all() and (where[:, :, 0, 1] == 6).all()
    assert np.isnan(y[:, :, 1, 0]).all() and (where[:, :, 1, 0] == 12).all()
    assert np.isfinite(y[:, :, 0, 0]).all() and np.isfinite(y[:, :, 1, 1]).all()


def test_a_window_of_minus_infinity_has_a_valid_place():
    """L9, with padding, which is never chosen."""
    y, where = K.max_pool(np.full((1, 1, 4, 4), -np.inf), size=3, stride=2, padding=1)
    assert (y == -np.inf).all() and np.array_equal(where[0, 0], [[0, 1], [4, 5]])


def test_max_is_minus_the_min_and_mean_is_a_convolution():
    x = image(7, 6)
    y, _ = K.max_pool(-x, size=3, stride=2)
    v = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    assert np.array_equal(-y, v.min(axis=(4, 5)))
    ones = np.full((3, 1, 3, 3), 1 / 9)
    np.testing.assert_allclose(K.avg_pool(x, size=3, stride=2, padding=1),
                               K.conv2d(x, ones, stride=2, padding=1, groups=3), atol=1e-14)


@pytest.mark.parametrize("layout", [channels_last, np.array])
def test_gather_follows_where_and_scatter_is_its_adjoint(layout):
    x = layout(image(7, 8))
    y, where = K.max_pool(x, size=3, stride=1)                  # overlapping: places repeat
    assert np.array_equal(K.pool_gather(x, where), y)
    other = image(7, 8, seed=1)             # any layout of x may meet any layout of where
    gathered = K.pool_gather(other, where)
    for n, c, i, j in np.ndindex(where.shape):
        assert gathered[n, c, i, j] == other[n, c].flat[where[n, c, i, j]]
    g = image(*y.shape[2:], seed=2)
    for a in (g, layout(g)):
        gx = K.pool_scatter(a, where, size=(7, 8))
        assert K.is_channels_last(gx) == K.is_channels_last(a)
        np.testing.assert_allclose(np.vdot(gx, other), np.vdot(g, gathered), rtol=1e-12)
        expected = np.zeros_like(x)
        for n, c, i, j in np.ndindex(where.shape):
            expected[n, c].flat[where[n, c, i, j]] += g[n, c, i, j]
        np.testing.assert_allclose(gx, expected, atol=1e-14)


def test_many_channels_scatter_in_blocks():
    rng = np.random.default_rng(0)
    x = channels_last(rng.standard_normal((2, 37, 4, 4)))
    y, where = K.max_pool(x, size=2)
    gx = K.pool_scatter(y, where, size=(4, 4))
    assert gx.sum() == pytest.approx(y.sum()) and np.array_equal(K.pool_gather(gx, where), y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twins_agree_with_the_loops(dtype):
    x = channels_last(image(7, 8).astype(dtype)).transpose(0, 2, 3, 1)
    rows, columns = K.adaptive_bounds(7, 4), K.adaptive_bounds(8, 5)
    outputs = []
    for kernel in (pool_loops.max_windows, pool_loops.max_windows.twin):
        y, where = np.empty((2, 4, 5, 3), dtype), np.empty((2, 4, 5, 3), np.int32)
        kernel(*(8,) * (kernel is pool_loops.max_windows), x, rows, columns, (2, 1), y, where)
        outputs.append((y, where))
    assert all(np.array_equal(a, b) for a, b in zip(*outputs))
    y, where = outputs[0]
    for kernel, count, args, shape in (
            (pool_loops.sum_windows, 8, (x, rows, columns), y.shape),
            (pool_loops.gather_positions, 8, (x, where), y.shape)):
        a, b = np.empty(shape, dtype), np.empty(shape, dtype)
        kernel(count, *args, a)
        kernel.twin(*args, b)
        np.testing.assert_allclose(a, b, rtol=1e-6 if dtype == np.float32 else 1e-14)
    a, b = np.empty(x.shape, dtype), np.empty(x.shape, dtype)
    pool_loops.scatter_positions(4, y, where, a, 2)
    pool_loops.scatter_positions.twin(y, where, b, 2)
    np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("layout", [channels_last, np.array])
def test_an_empty_batch_and_float32(layout):
    x = layout(np.zeros((0, 3, 4, 4), np.float32))
    y, where = K.max_pool(x, size=2)
    assert y.shape == where.shape == (0, 3, 2, 2) and y.dtype == np.float32
    assert K.pool_scatter(y, where, size=(4, 4)).shape == x.shape
    assert K.avg_pool(x, size=2).dtype == np.float32
    assert K.avg_pool_input(y, input_size=(4, 4), size=2).shape == x.shape


def test_a_mean_of_large_float32_numbers_is_rounded_once():
    x = np.random.default_rng(0).uniform(1e4, 1e4 + 1, (1, 2, 64, 64)).astype(np.float32)
    exact = x.astype(np.float64).mean(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(K.adaptive_avg_pool(x, (1, 1)), exact, rtol=2e-7)


def test_ceil_mode_never_starts_a_window_outside():
    """L7: sizes by hand. 5 pixels, window 1, stride 4: starts 0 and 4; stride 5: only 0."""
    for stride, expected in ((4, 2), (5, 1), (6, 1)):
        assert output_size("f", (5, 5), (1, 1), (stride,) * 2, ((0, 0),) * 2, (1, 1), True) == (
            expected, expected)
    y, _ = K.max_pool(image(5, 5), size=2, stride=2, ceil_mode=True)
    assert y.shape[2:] == (3, 3)


@pytest.mark.parametrize("change, error, words", [
    (dict(size=0), ArgError, "size is 0"),
    (dict(size=3, stride=0), ArgError, "stride is 0"),
    (dict(size=3, padding=2), ArgError, "padding .* at most half"),
    (dict(size=9), ShapeError, "output size is"),
    (dict(size=2, dilation=5, padding=3), ArgError, "dilation is .* pixel inside"),
])
def test_bad_windows_are_refused(change, error, words):
    """D9, L1, L4, L7."""
    with pytest.raises(error, match=f"max_pool: {words}"):
        K.max_pool(np.zeros((1, 1, 2 if "dilation" in change else 6, 6)), **change)


def test_bad_places_are_refused_before_the_kernel():
    """M6."""
    x, where = np.zeros((1, 1, 3, 3)), np.full((1, 1, 1, 1), 9)
    with pytest.raises(ArgError, match=r"where is in \[9, 9\], expected positions in \[0, 9\)"):
        K.pool_gather(x, where)
    with pytest.raises(ArgError, match="where"):
        K.pool_scatter(np.zeros((1, 1, 1, 1)), -where, size=(3, 3))
    with pytest.raises(ShapeError, match="where is float64"):
        K.pool_gather(x, where * 1.0)
    with pytest.raises(ShapeError, match="g has shape"):
        K.pool_scatter(np.zeros((1, 1, 2, 1)), where * 0, size=(3, 3))
    with pytest.raises(DTypeError, match="int64"):
        K.max_pool(x.astype(int), size=2)
