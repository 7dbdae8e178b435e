"""Pooling kernels.

Proved here: maximum and mean equal their definition as loops over windows, with ceil_mode,
dilation, asymmetric padding and adaptive grids; first-index ties, NaN and -inf (D10, L9); window
rules (D9, L7); divisors (L8); gather and scatter are adjoint, the mean has the right adjoint;
layouts are kept; taps name the pixel of the window, in a byte where that fits, and bad ones are
refused or harmless (M6); twins agree, nothing is written outside (guard bands); bytes do not depend
on the number of threads.
"""

import itertools

import numpy as np
import pytest

from minicv import kernels as K
from minicv.errors import ArgError, DTypeError, ShapeError
from minicv.kernels import launch, pool, pool_loops, threads
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


TAPS = [  # the last one has windows of 300 pixels, whose numbers need two bytes
    *CASES, *DILATED, (5, 8, dict(size=(1, 2), stride=(3, 3))), (17, 31, dict(size=(15, 20), stride=(2, 11)))]


@pytest.mark.parametrize("layout", [channels_last, np.array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", TAPS, ids=str)
def test_taps_name_the_pixel_of_the_window(case, dtype, layout):
    """The tap of a maximum is p Q + q, in one byte where it fits; select reads it, and input adds it up."""
    H, W, settings = case
    x = layout(image(H, W).astype(dtype))
    y, tap = pool.max_pool_taps(x, **settings)
    (P, Q), rows, columns = settings["size"], *windows_of(x, **settings)
    assert tap.dtype == (np.uint8 if P * Q <= 255 else np.uint16) and K.is_channels_last(tap)
    other, g = layout(image(H, W, seed=1).astype(dtype)), layout(image(*y.shape[2:], seed=2).astype(dtype))
    selected, expected = np.empty(y.shape, dtype), np.zeros(x.shape)
    for n, c, i, j in np.ndindex(y.shape):
        p, q = divmod(int(tap[n, c, i, j]), Q)
        h, w = rows[i][p], columns[j][q]
        assert x[n, c, h, w] == y[n, c, i, j]
        selected[n, c, i, j] = other[n, c, h, w]
        expected[n, c, h, w] += g[n, c, i, j]
    assert np.array_equal(pool.max_pool_select(other, tap, **settings), selected)
    gx = pool.max_pool_input(g, tap, input_size=(H, W), **settings)
    np.testing.assert_allclose(gx, expected, atol=1e-5 if dtype == np.float32 else 1e-14)
    assert gx.dtype == dtype and K.is_channels_last(gx) == K.is_channels_last(g)
    assert np.array_equal(pool.tap_positions(tap, (H, W), **settings), K.max_pool(x, **settings)[1])


def test_a_tap_that_is_no_pixel_counts_nowhere():
    """M6: taps are compared, never used as addresses."""
    settings = dict(size=3, stride=2, padding=1)
    x, tap = channels_last(image(4, 4)), np.zeros((2, 3, 2, 2), np.uint8)        # row and column -1 of window (0, 0)
    y = pool.max_pool_select(x, tap, **settings)
    assert not y[:, :, 0].any() and not y[:, :, :, 0].any() and np.array_equal(y[:, :, 1, 1], x[:, :, 1, 1])
    tap[...] = 200
    assert not pool.max_pool_select(x, tap, **settings).any()
    assert not pool.max_pool_input(y, tap, input_size=4, **settings).any()


@pytest.mark.parametrize("tap, error, words", [
    (np.full((1, 1, 2, 2), 4), ArgError, r"tap is in \[4, 4\], expected numbers in \[0, 4\)"),
    (np.full((1, 1, 2, 2), -1), ArgError, r"tap is in \[-1, -1\]"),
    (np.zeros((1, 1, 2, 2)), DTypeError, r"tap is float64 \(1, 1, 2, 2\), expected integers"),
    (np.zeros((1, 2, 2, 2), int), ShapeError, r"tap is int64 \(1, 2, 2, 2\), expected integers \(1, 1, 2, 2\)"),
])
def test_bad_taps_are_refused(tap, error, words):
    x, g = np.zeros((1, 1, 4, 4)), np.zeros((1, 1, 2, 2))
    with pytest.raises(error, match="max_pool_select: " + words):
        pool.max_pool_select(x, tap, size=2)
    with pytest.raises(error, match="max_pool_input: " + words):
        pool.max_pool_input(g, tap, input_size=4, size=2)


def guarded(shape, dtype):
    """An array between two bands that nobody may touch: (array, whole)."""
    n = int(np.prod(shape))
    whole = np.full(n + 128, 77, dtype)
    return whole[64:64 + n].reshape(shape), whole


def filled(kernel, count, args, outputs):
    """Results of a kernel and of its twin in arrays between guard bands, which must stay as they are."""
    results = []
    for function, first in ((kernel, (count,)), (kernel.twin, ())):
        made = [guarded(*output) for output in outputs]
        function(*first, *args, *(a for a, _ in made))
        for a, whole in made:
            assert (whole[:64] == 77).all() and (whole[64 + a.size:] == 77).all()
        results.append([a for a, _ in made])
    return results


@pytest.mark.parametrize("channels", [1, 3, 16, 37])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", TAPS, ids=str)
def test_twins_agree_with_the_loops_and_nothing_is_written_outside(case, dtype, channels):
    H, W, settings = case
    x = np.random.default_rng(0).standard_normal((2, H, W, channels)).astype(dtype)
    x.flat[::7] = np.nan
    settings = dict(stride=None, padding=0, ceil_mode=False, dilation=(1, 1)) | settings
    axes = pool._sliding("f", (H, W), **settings)
    *entries, taps = pool._entries(axes)
    grid = [len(axis.pixels) for axis in axes]
    (y, tap), (y_twin, tap_twin) = filled(pool_loops.max_windows, 2 * grid[0], (x, *entries, taps), [
        ((2, *grid, channels), dtype), ((2, *grid, channels), taps.dtype)])
    assert np.array_equal(y, y_twin, equal_nan=True) and np.array_equal(tap, tap_twin)
    (z,), (z_twin,) = filled(pool_loops.select_taps, 2 * grid[0], (x, *entries, taps, tap), [(y.shape, dtype)])
    assert np.array_equal(z, y, equal_nan=True) and np.array_equal(z_twin, y, equal_nan=True)
    g = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    (gx,), (gx_twin,) = filled(pool_loops.collect_taps, 2 * H, (g, tap, *pool._entries(axes, adjoint=True)), [
        (x.shape, dtype)])
    np.testing.assert_allclose(gx, gx_twin, atol=1e-5 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twins_of_the_loops_of_positions(dtype):
    x = image(7, 8).astype(dtype).transpose(0, 2, 3, 1).copy()
    where = np.random.default_rng(0).integers(0, 56, (2, 4, 5, 3), np.int32)
    (y,), (y_twin,) = filled(pool_loops.gather_positions, 8, (x, where), [(where.shape, dtype)])
    assert np.array_equal(y, y_twin)
    a, b = np.empty(x.shape, dtype), np.empty(x.shape, dtype)
    pool_loops.scatter_positions(4, y, where, a, 2)
    pool_loops.scatter_positions.twin(y, where, b, 2)
    np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_number_of_threads_does_not_change_a_byte(dtype, monkeypatch):
    """T2, N5."""
    x = channels_last(image(9, 11).astype(dtype))
    settings = dict(size=3, stride=2, padding=1)

    def compute():
        y, tap = pool.max_pool_taps(x, **settings)
        return [y, tap, pool.max_pool_input(y, tap, input_size=(9, 11), **settings),
                pool.max_pool_select(x, tap, **settings), K.adaptive_avg_pool(x, (4, 5)), K.avg_pool(x, size=2),
                K.adaptive_avg_pool_input(y, input_size=(9, 11))]

    monkeypatch.setattr(threads, "_chosen", 1)
    expected = [a.tobytes() for a in compute()]
    monkeypatch.setattr(launch, "SERIAL_ELEMENTS", 1)
    for n in (2, 3, 7):
        monkeypatch.setattr(threads, "_chosen", n)
        assert [a.tobytes() for a in compute()] == expected


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
