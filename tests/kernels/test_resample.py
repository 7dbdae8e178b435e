"""Resizing and sampling.

Proved here: resize equals its definition at every pixel for three modes, with clamped borders and
size-1 axes (L19), keeps constants and layouts, is the identity at equal size, and has the right
adjoint; grid sampling equals its definition, its gradients equal adjoint and differences, samples
outside are zero or the edge, NaN and huge positions are safe (M10); twins agree, nothing is written
outside (guard bands), bytes do not depend on the number of threads.
"""

import math

import numpy as np
import pytest

from minicv import kernels as K
from minicv.errors import ArgError, DTypeError, ShapeError
from minicv.kernels import launch, resample, rows, rows_loops, taps, threads

pytestmark = pytest.mark.ch5
SETTINGS = [("nearest", False), ("bilinear", False), ("bilinear", True), ("bicubic", False),
            ("bicubic", True)]
GRIDS = [(mode, padding, corners) for mode in ("bilinear", "nearest")
         for padding in ("zeros", "border") for corners in (False, True)]


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def keys(d, a=-0.75):
    """Keys' cubic as written in the paper, by distance."""
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def weights_at(i, length, size, mode, corners):
    """{pixel: weight} of output i, from the definition of each kernel by distance."""
    u = (i + 0.5) * length / size - 0.5
    if corners:
        u = i * (length - 1) / (size - 1) if size > 1 else 0.0
    if mode == "nearest":
        return {min(math.floor((i + 0.5) * length / size), length - 1): 1.0}
    shape = keys if mode == "bicubic" else lambda d: max(0.0, 1 - abs(d))
    row = {}
    for h in range(math.floor(u) - 2, math.floor(u) + 4):
        clamped = min(max(h, 0), length - 1)
        row[clamped] = row.get(clamped, 0.0) + shape(u - h)
    return row


@pytest.mark.parametrize("layout", [channels_last, np.array])
@pytest.mark.parametrize("size", [(8, 3), (1, 1), (5, 4), (13, 20)])
@pytest.mark.parametrize("mode, corners", SETTINGS)
def test_resize_equals_the_definition_and_has_an_adjoint(mode, corners, size, layout):
    x = layout(np.random.default_rng(0).standard_normal((2, 3, 5, 4)))
    y = K.resize(x, size, mode=mode, align_corners=corners)
    rows, columns = ([weights_at(i, n, k, mode, corners) for i in range(k)]
                     for n, k in zip((5, 4), size))
    for i, j in np.ndindex(size):
        expected = sum(a * b * x[:, :, h, w]
                       for h, a in rows[i].items() for w, b in columns[j].items())
        np.testing.assert_allclose(y[:, :, i, j], expected, atol=1e-13)
    g = layout(np.random.default_rng(1).standard_normal(y.shape))
    gx = K.resize_input(g, (5, 4), mode=mode, align_corners=corners)
    np.testing.assert_allclose(np.vdot(gx, x), np.vdot(g, y), rtol=1e-11)
    if min(size) > 1:
        assert K.is_channels_last(y) == K.is_channels_last(x) == K.is_channels_last(gx)


@pytest.mark.parametrize("mode, corners", SETTINGS)
def test_equal_size_is_the_identity_and_constants_stay(mode, corners):
    x = np.random.default_rng(0).standard_normal((1, 2, 6, 7))
    np.testing.assert_allclose(K.resize(x, (6, 7), mode=mode, align_corners=corners), x, atol=1e-14)
    one = K.resize(np.ones((1, 1, 2, 5), np.float32), (10, 3), mode=mode, align_corners=corners)
    assert one.dtype == np.float32 and abs(one - 1).max() <= 3e-7


def test_five_times_larger_from_two_pixels_clamps_at_the_edges():
    """L19, by hand: centres at (i + 1/2) / 5 - 1/2."""
    y = K.resize(np.array([[[[0.0, 1.0]]]]), (1, 10))[0, 0, 0]
    np.testing.assert_allclose(y, [0, 0, 0, .2, .4, .6, .8, 1, 1, 1], atol=1e-14)
    assert (K.resize(np.array([[[[3.0, 1.0]]]]), 1, align_corners=True) == 3).all()


def test_nearest_repeats_pixels():
    x = np.arange(6.0).reshape(1, 1, 2, 3)
    assert np.array_equal(K.resize(x, (4, 9), mode="nearest"), x.repeat(2, 2).repeat(3, 3))


def dense(matrix, length):
    """Rows written out, entry by entry."""
    out = np.zeros((len(matrix.start) - 1, length))
    for i, (first, last) in enumerate(zip(matrix.start, matrix.start[1:])):
        for e in range(first, last):
            out[i, matrix.index[e]] += matrix.weight[e]
    return out


@pytest.mark.parametrize("channels", [1, 3, 16, 37])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_twins_of_the_separable_loops_with_guard_bands(mode, dtype, channels):
    """Forward and adjoint against matrices written out; averages of float32 images are rounded once."""
    rng = np.random.default_rng(0)
    for adjoint in (False, True):
        x = rng.standard_normal((2, 5, 9, channels)).astype(dtype)
        axes = ((7, 5), (4, 9)) if adjoint else ((5, 7), (9, 4))
        R, C = (resample.resize_rows(*axis, mode) for axis in axes)
        R, C = (r._replace(weight=r.weight.astype(dtype)) for r in (R, C))
        if adjoint:
            R, C = rows.transposed(R, 7), rows.transposed(C, 4)
        whole = np.full(2 * 7 * 4 * channels + 128, 77, dtype)
        y, twin = whole[64:-64].reshape(2, 7, 4, channels), np.empty((2, 7, 4, channels), dtype)
        rows_loops.combine_rows(14, x, *R, *C, y)
        rows_loops.combine_rows.twin(x, *R, *C, twin)
        np.testing.assert_allclose(y, twin, atol=1e-14 if dtype == np.float64 else 1e-6)
        expected = np.einsum("ih,nhwk,jw->nijk", dense(R, 5), x, dense(C, 9))
        np.testing.assert_allclose(y, expected, atol=1e-13 if dtype == np.float64 else 1e-6)
        assert (whole[:64] == 77).all() and (whole[-64:] == 77).all()
        R, C = (r._replace(weight=r.weight.astype(np.float64)) for r in (R, C))
        scales = rng.standard_normal(7), rng.standard_normal(4)
        rows_loops.average_rows(14, x, *R, *C, *scales, y)
        rows_loops.average_rows.twin(x, *R, *C, *scales, twin)
        np.testing.assert_allclose(y, twin, atol=1e-14, rtol=1e-14 if dtype == np.float64 else 1e-7)
        assert (whole[:64] == 77).all() and (whole[-64:] == 77).all()
    if mode == "nearest":
        h, w = rng.integers(0, 5, 7), rng.integers(0, 9, 4)
        rows_loops.pick_pixels(14, x, h, w, y)
        rows_loops.pick_pixels.twin(x, h, w, twin)
        assert np.array_equal(y, x[:, h[:, None], w]) and np.array_equal(y, twin)
        assert (whole[:64] == 77).all() and (whole[-64:] == 77).all()


@pytest.mark.parametrize("channels", [1, 3, 16, 37])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_averages_of_at_most_two_by_two_pixels(dtype, channels):
    """0, 1 or 2 entries per row, against the twin and the general loop; infinity stays in its place."""
    rng = np.random.default_rng(0)
    inside = np.array([[0, 0], [1, 1], [0, 1], [1, 0], [1, 1]], bool)
    R, C = (rows.rows_where(inside, rng.integers(0, n, (5, 2)), rng.standard_normal((5, 2))) for n in (6, 7))
    x = rng.standard_normal((3, 6, 7, channels)).astype(dtype)
    scales = rng.standard_normal(5), rng.standard_normal(5)
    whole = np.full(3 * 25 * channels + 128, 77, dtype)
    y, twin, general = whole[64:-64].reshape(3, 5, 5, channels), *np.empty((2, 3, 5, 5, channels), dtype)
    rows_loops.average_pixels(15, x, *R, *C, *scales, y)
    rows_loops.average_pixels.twin(x, *R, *C, *scales, twin)
    rows_loops.average_rows(15, x, *R, *C, *scales, general)
    for other in (twin, general):
        np.testing.assert_allclose(y, other, atol=1e-14 if dtype == np.float64 else 1e-6)
    assert (whole[:64] == 77).all() and (whole[-64:] == 77).all()
    x[:, 0, 0] = np.inf
    R, C = (rows.rows_where(np.ones((2, 1), bool), np.array([[0], [1]]), 1.0) for _ in range(2))
    y = np.empty((3, 2, 2, channels), dtype)
    rows_loops.average_pixels(6, x, *R, *C, np.ones(2), np.ones(2), y)
    assert np.array_equal(y, x[:, :2, :2])


def test_rows_without_entries_and_long_rows():
    """An output that reads nothing is 0; sums of 0 to 7 entries."""
    inside = np.arange(7) < np.arange(8)[:, None]
    R = rows.rows_where(inside, np.arange(7), np.random.default_rng(0).standard_normal((8, 7)))
    assert np.array_equal(np.diff(R.start), np.arange(8))
    x = np.random.default_rng(1).standard_normal((2, 3, 7, 7))
    y = rows.combine(x, R, R)
    np.testing.assert_allclose(y, dense(R, 7) @ x @ dense(R, 7).T, atol=1e-13)
    back = rows.transposed(R, 7)
    assert np.array_equal(dense(back, 8), dense(R, 7).T)
    assert np.array_equal(rows.row_numbers(R), np.repeat(np.arange(8), np.arange(8)))


@pytest.mark.parametrize("mode, corners", SETTINGS)
def test_the_number_of_threads_does_not_change_a_byte(mode, corners, monkeypatch):
    """T2, N5."""
    x = channels_last(np.random.default_rng(0).standard_normal((2, 19, 9, 11)).astype(np.float32))

    def compute():
        y = K.resize(x, (13, 17), mode=mode, align_corners=corners)
        return [y.tobytes(), K.resize_input(y, (9, 11), mode=mode, align_corners=corners).tobytes()]

    monkeypatch.setattr(threads, "_chosen", 1)
    expected = compute()
    monkeypatch.setattr(launch, "SERIAL_ELEMENTS", 1)
    for n in (2, 3, 7):
        monkeypatch.setattr(threads, "_chosen", n)
        assert compute() == expected


def test_an_empty_batch_and_bad_settings():
    assert K.resize(np.zeros((0, 3, 2, 2), np.float32), 4).shape == (0, 3, 4, 4)
    x = np.zeros((1, 1, 2, 2))
    for size in (0, (2, -1), 1.5):
        with pytest.raises(ArgError, match="resize: size is"):
            K.resize(x, size)
    with pytest.raises(ArgError, match="mode is 'area', expected one of nearest"):
        K.resize(x, 2, mode="area")
    with pytest.raises(ArgError, match="align_corners is True"):
        K.resize(x, 2, mode="nearest", align_corners=True)
    with pytest.raises(ArgError, match="image size"):
        K.resize(np.zeros((1, 1, 0, 2)), 2)
    with pytest.raises(DTypeError, match="uint8"):
        K.resize(x.astype(np.uint8), 2)


def sample_by_loops(x, grid, mode, padding, corners):
    """The definition at each output point: pixels with weights by distance."""
    N, C, H, W = x.shape
    y = np.zeros((N, C, *grid.shape[1:3]))
    for n, i, j in np.ndindex(grid.shape[:3]):
        u = [((p + 1) * (k - 1) if corners else (p + 1) * k - 1) / 2
             for p, k in zip(grid[n, i, j], (W, H))]
        if padding == "border":
            u = [min(max(p, 0), k - 1) for p, k in zip(u, (W, H))]
        if mode == "nearest":
            u = [round(p) for p in u]                           # half to even, as the kernels
        for h in range(H):
            for w in range(W):
                y[n, :, i, j] += (max(0, 1 - abs(u[0] - w)) * max(0, 1 - abs(u[1] - h))
                                  * x[n, :, h, w])
    return y


@pytest.mark.parametrize("layout", [channels_last, np.array])
@pytest.mark.parametrize("mode, padding, corners", GRIDS)
def test_grid_sample_equals_the_definition_and_has_an_adjoint(mode, padding, corners, layout):
    rng = np.random.default_rng(0)
    x, grid = layout(rng.standard_normal((2, 3, 4, 5))), rng.uniform(-1.6, 1.6, (2, 6, 7, 2))
    settings = dict(mode=mode, padding=padding, align_corners=corners)
    y = K.grid_sample(x, grid, **settings)
    np.testing.assert_allclose(y, sample_by_loops(x, grid, mode, padding, corners), atol=1e-13)
    g = layout(rng.standard_normal(y.shape))
    gx = K.grid_sample_input(g, grid, size=(4, 5), **settings)
    np.testing.assert_allclose(np.vdot(gx, x), np.vdot(g, y), rtol=1e-12)
    assert K.is_channels_last(y) == K.is_channels_last(x) == K.is_channels_last(gx)


@pytest.mark.parametrize("mode, padding, corners", GRIDS)
def test_gradient_of_the_grid_equals_central_differences(mode, padding, corners):
    rng = np.random.default_rng(0)
    x, grid = rng.standard_normal((1, 3, 4, 5)), rng.uniform(-1.6, 1.6, (1, 5, 6, 2))
    settings = dict(mode=mode, padding=padding, align_corners=corners)
    g = rng.standard_normal((1, 3, 5, 6))
    gradient = K.grid_sample_grid(g, x, grid, **settings)
    for a in (0, 1):
        step = np.zeros(2)
        step[a] = 1e-6
        change = (K.grid_sample(x, grid + step, **settings)
                  - K.grid_sample(x, grid - step, **settings))
        np.testing.assert_allclose(gradient[..., a], (g * change).sum(axis=1) / 2e-6, atol=1e-8)


def test_the_identity_grid_gives_the_image():
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 5))
    u, v = ((np.arange(n) + 0.5) * 2 / n - 1 for n in (5, 4))
    grid = np.stack(np.meshgrid(u, v), axis=-1)[None]
    np.testing.assert_allclose(K.grid_sample(x, grid), x, atol=1e-14)


@pytest.mark.parametrize("mode, padding, corners", GRIDS)
def test_nan_and_huge_positions_never_become_wild_indices(mode, padding, corners):
    """M10: NaN gives NaN in value and gradient of the grid; far away is outside."""
    x = np.arange(1.0, 7.0).reshape(1, 1, 2, 3)
    x[0, 0, 0, 0] = np.inf                                      # must not leak into outside samples
    grid = np.array([[[[np.nan, 0], [0, np.nan], [np.nan, 9], [1e300, 1e300], [-1e300, np.inf]]]])
    settings = dict(mode=mode, padding=padding, align_corners=corners)
    y = K.grid_sample(x, grid, **settings)[0, 0, 0]
    assert np.isnan(y[:3]).all()
    assert np.array_equal(y[3:], [6, 4] if padding == "border" else [0, 0])
    gradient = K.grid_sample_grid(np.ones((1, 1, 1, 5)), x, grid, **settings)[0, 0]
    assert np.isnan(gradient[:3]).all() and not gradient[3:].any()
    gx = K.grid_sample_input(np.ones((1, 1, 1, 2)), grid[:, :, 3:], size=(2, 3), **settings)
    assert gx.sum() == (2 if padding == "border" else 0)


def test_taps_are_a_trilinear_form():
    rng = np.random.default_rng(0)
    x, g = channels_last(rng.standard_normal((2, 19, 3, 4))), rng.standard_normal((2, 19, 5))
    index, weight = rng.integers(-1, 12, (2, 5, 3)), rng.standard_normal((2, 5, 3))
    s = np.vdot(K.taps_gather(x, index, weight), g)
    gx = K.taps_scatter(g, index, weight, size=(3, 4))
    np.testing.assert_allclose(np.vdot(gx, x), s, rtol=1e-12)
    np.testing.assert_allclose(np.vdot(K.taps_dot(g, x, index), weight), s, rtol=1e-12)
    with pytest.raises(ArgError, match=r"taps_gather: index is in \[-1, 12\]"):
        K.taps_gather(x, index.clip(-1, 10) + 2 * (index == index.max()), weight)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twins_of_the_taps(dtype):
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal((2, n, 5)).astype(dtype) for n in (6, 4))
    index, weight = rng.integers(-1, 6, (2, 4, 3)), rng.standard_normal((2, 4, 3)).astype(dtype)
    for kernel, count, args, shape, rest, kind in (
            (taps.gather_taps, 8, (x, index, weight), g.shape, (), dtype),
            (taps.scatter_taps, 6, (g, index, weight), x.shape, (2,), dtype),
            (taps.dot_taps, 8, (g, x, index), index.shape, (), np.float64)):
        a, b = np.empty(shape, kind), np.empty(shape, kind)
        kernel(count, *args, a, *rest)
        kernel.twin(*args, b, *rest)
        np.testing.assert_allclose(a, b, atol=1e-6 if dtype == np.float32 else 1e-14)


def test_dtypes_of_sampling():
    x, grid = np.ones((1, 2, 3, 3), np.float32), np.zeros((1, 1, 1, 2), np.float32)
    assert K.grid_sample(x, grid).dtype == np.float32
    assert K.grid_sample(x, grid.astype(np.float64)).dtype == np.float64
    assert K.grid_sample_grid(np.ones((1, 2, 1, 1)), x, grid).dtype == np.float32
    assert K.grid_sample(x[:0], grid[:0]).shape == (0, 2, 1, 1)


def test_bad_grids_are_refused():
    x, grid = np.zeros((2, 1, 3, 3)), np.zeros((2, 4, 4, 2))
    with pytest.raises(ShapeError, match=r"grid_sample: grid has shape \(2, 4, 4, 3\)"):
        K.grid_sample(x, np.zeros((2, 4, 4, 3)))
    with pytest.raises(ShapeError, match="does not fit"):
        K.grid_sample(x, grid[:1])
    with pytest.raises(ShapeError, match="does not fit"):
        K.grid_sample_input(x, grid, size=(3, 3))
    with pytest.raises(ArgError, match="mode is 'cubic'"):
        K.grid_sample(x, grid, mode="cubic")
    with pytest.raises(ArgError, match="padding is 'reflection'"):
        K.grid_sample(x, grid, padding="reflection")
