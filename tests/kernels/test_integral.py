"""Integral images.

Proved here: both tables equal their definition as loops and the notes' table is a slice; integers are exact where
float32 and uint32 fail (M16); rectangle sums equal direct sums, upright and tilted; twins, odd shapes, leading axes,
empty images, guard bands; NaN; errors of range and type.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicv.errors import ArgError, BoxError, DTypeError, ShapeError
from minicv.kernels import integral as module
from minicv.kernels import integral_loops as loops
from minicv.kernels import threads
from minicv.kernels.integral import integral_image, rectangle_sums, tilted_integral_image, tilted_sums

pytestmark = pytest.mark.ch4
FIXED = settings(deadline=None, derandomize=True, database=None, max_examples=60)
DTYPES = [np.bool_, np.uint8, np.int8, np.uint16, np.int32, np.uint64, np.float16, np.float32, np.float64]


def image(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    low = 0 if np.dtype(dtype).kind in "bu" else -100
    return rng.integers(low, 2 if dtype == np.bool_ else 100, shape).astype(dtype)


def upright_by_definition(x):
    H, W = x.shape
    wide = x.astype(np.int64 if x.dtype.kind in "biu" else np.float64)
    return np.array([[wide[:i, :j].sum() for j in range(W + 1)] for i in range(H + 1)])


def tilted_by_definition(x):
    """T[i, j] = sum of x[h, w] over h < i, |w - j + 1| <= i - h - 1."""
    H, W = x.shape
    table = np.zeros((H + 1, W + 1), np.int64 if x.dtype.kind in "biu" else np.float64)
    for i, j in np.ndindex(table.shape):
        for h, w in np.ndindex(H, W):
            if h < i and abs(w - j + 1) <= i - h - 1:
                table[i, j] += x[h, w].item()
    return table


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (5, 7), (17, 33), (4, 16)])
def test_tables_equal_their_definitions(shape, dtype):
    x = image(shape, dtype)
    wanted = np.float64 if np.dtype(dtype).kind == "f" else np.int64
    for table, expected in ((integral_image(x), upright_by_definition(x)),
                            (integral_image(x, squared=True), upright_by_definition(x.astype(wanted)**2)),
                            (tilted_integral_image(x), tilted_by_definition(x))):
        assert table.dtype == wanted and table.shape == (shape[0] + 1, shape[1] + 1)
        np.testing.assert_allclose(table, expected, rtol=0, atol=1e-12 if wanted == np.float64 else 0)
        assert not table[0].any()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("width", [7, 8, 9, 31, 32, 33, 40, 71, 129])
def test_bytes_in_vectors_and_the_columns_round_them(width, threads, monkeypatch):
    """Rows of every alignment, the brightest pixels, more rows than one band has."""
    monkeypatch.setattr(module.threads, "_chosen", threads)
    for x in (np.full((150, width), 255, np.uint8), image((2, 67, width), np.uint8)):
        expected = x.astype(np.int64).cumsum(axis=-1).cumsum(axis=-2)
        assert np.array_equal(integral_image(x)[..., 1:, 1:], expected)


@pytest.mark.parametrize("width", [5, 32, 75])
def test_nothing_is_written_or_read_outside_the_arrays(width, monkeypatch):
    """M5: bands of -7 round the table, bright pixels above and below the image."""
    bands = []

    def guarded(shape, dtype):
        bands.append(np.full(np.prod(shape) + 256, -7, dtype))
        return bands[-1][128:-128].reshape(shape)

    monkeypatch.setattr(module, "empty", guarded)
    around = np.full((11, width), 200, np.uint8)
    around[1:-1] = image((9, width), np.uint8)
    table = integral_image(around[1:-1])
    assert np.array_equal(table[1:, 1:], around[1:-1].astype(np.int64).cumsum(0).cumsum(1))
    assert len(bands) == 1 and (bands[0][:128] == -7).all() and (bands[0][-128:] == -7).all()


def test_the_table_of_the_notes_is_a_slice():
    """B4.14."""
    table = integral_image(np.arange(1, 10).reshape(3, 3))
    assert np.array_equal(table[1:, 1:], [[1, 3, 6], [5, 12, 21], [12, 27, 45]])
    assert rectangle_sums(table, np.array([1, 1, 3, 3])) == 28


@pytest.mark.parametrize("rows", [1, 2, 3, 63, 64, 65, 66, 67, 128, 129, 300])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_bands_of_rows_join_without_a_seam(rows, dtype):
    x = image((2, rows, 11), dtype)
    wide = x.astype(np.float64 if dtype == np.float32 else np.int64)
    for squared in (False, True):
        expected = (wide**2 if squared else wide).cumsum(axis=1).cumsum(axis=2)
        table = integral_image(x, squared=squared)
        np.testing.assert_allclose(table[:, 1:, 1:], expected, rtol=1e-13, atol=1e-11)
        assert not table[:, 0].any() and not table[:, :, 0].any()


def test_large_pictures_are_exact():
    """M16: a float32 table is off by a thousand and a uint32 table wraps past 16 843 009 bytes of 255."""
    white = np.full((4200, 4100), 255, np.uint8)
    table = integral_image(white)
    assert table[-1, -1] == 255 * 4200 * 4100 > 2**32
    assert integral_image(white[:300], squared=True)[-1, -1] == 255**2 * 300 * 4100
    boxes = np.array([[4084, 4184, 4100, 4200], [0, 0, 16, 16], [2000, 2000, 2016, 2016]])
    assert np.array_equal(rectangle_sums(table, boxes), [65280] * 3)
    assert np.abs(rectangle_sums(np.float32(table), boxes) - 65280).max() > 100


def test_leading_axes_are_images_of_their_own():
    x = image((2, 3, 70, 5), np.float32)
    for function in (integral_image, tilted_integral_image):
        table = function(x)
        assert table.shape == (2, 3, 71, 6)
        for n, c in np.ndindex(2, 3):
            assert np.array_equal(table[n, c], function(x[n, c]))
    boxes = np.array([[[0, 0, 2, 2], [1, 5, 5, 60]]])
    sums = rectangle_sums(integral_image(x), boxes)
    assert sums.shape == (2, 3, 1, 2)
    np.testing.assert_allclose(sums[..., 0, 1], x[:, :, 5:60, 1:].astype(float).sum(axis=(2, 3)), rtol=1e-10)


@pytest.mark.parametrize("change", [np.asfortranarray, lambda x: x[::-1], lambda x: x[:, ::2], lambda x: x.T])
def test_the_layout_of_the_image_does_not_matter(change):
    x = change(image((9, 12), np.uint8))
    assert np.array_equal(integral_image(x), upright_by_definition(x))
    assert np.array_equal(tilted_integral_image(x), tilted_by_definition(x))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_empty_images_have_tables_of_zeros(shape):
    for function in (integral_image, tilted_integral_image):
        table = function(np.zeros(shape, np.uint8))
        assert table.shape == (*shape[:-2], shape[-2] + 1, shape[-1] + 1) and not table.any()


@FIXED
@given(st.data())
def test_rectangle_sums_equal_direct_sums(data):
    H, W = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    x = image((H, W), np.int32, data.draw(st.integers(0, 9)))
    side = st.tuples(st.integers(0, W), st.integers(0, W), st.integers(0, H), st.integers(0, H))
    drawn = np.array(data.draw(st.lists(side, max_size=6)), np.int64).reshape(-1, 2, 2)
    boxes = np.sort(drawn, axis=2).transpose(0, 2, 1).reshape(-1, 4)
    expected = [x[y1:y2, x1:x2].sum() for x1, y1, x2, y2 in boxes]
    assert rectangle_sums(integral_image(x), boxes).tolist() == expected


def test_tilted_sums_equal_sums_over_a_turned_rectangle():
    """All rectangles in a small image; each holds 2 w h pixels."""
    x = image((9, 8), np.int32)
    boxes = np.array([(a, b, w, h) for a in range(9) for b in range(10) for w in range(5) for h in range(5)
                      if a - h >= 0 and a + w <= 8 and b + w + h <= 9])
    ones, sums = (tilted_sums(tilted_integral_image(v), boxes) for v in (np.ones_like(x), x))
    assert len(boxes) > 300
    for (a, b, w, h), count, total in zip(boxes, ones, sums):
        inside = turned(a, b, w, h)
        assert count == len(inside) == 2 * w * h
        assert total == sum(x[i, j] for i, j in inside)


def turned(x, y, w, h):
    """Pixels (i, j) of the rectangle: w steps down-right, at each h steps down-left, two pixels one above the other."""
    return [(y + s + t + k, x - 1 + s - t) for s in range(w) for t in range(h) for k in (0, 1)]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_twins_agree_with_the_loops_and_stay_inside(dtype):
    x = image((2, 150, 13), dtype)
    total = np.float64 if np.dtype(dtype).kind == "f" else np.int64
    above = np.zeros((2, 3, 14), total)
    above[:, 1:, 1:] = x.astype(total).reshape(2, 150, 13)[:, :128].reshape(2, 2, 64, 13).sum(axis=2).cumsum(
        axis=1).cumsum(axis=2)
    for kernel, count, args, shape in ((loops.column_sums, 4, (x, 64), (2, 2, 13)),
                                       (loops.sum_bands, 6, (x, above, 64), (2, 151, 14)),
                                       (loops.sum_triangles, 2, (x,), (2, 151, 14))):
        guarded, expected = np.full((4, *shape[1:]), 77, total), np.zeros(shape, total)
        guarded[1:3] = 0
        kernel(count, *args, guarded[1:3])
        kernel.twin(*args, expected)
        np.testing.assert_allclose(guarded[1:3], expected, rtol=1e-11, atol=1e-10)
        assert (guarded[[0, 3]] == 77).all()


def test_nan_spreads_right_and_down_and_nowhere_else():
    x = np.ones((6, 7), np.float32)
    x[2, 3] = np.nan
    hit = np.isnan(integral_image(x))
    assert hit[3:, 4:].all() and hit.sum() == hit[3:, 4:].size


@pytest.mark.parametrize("function", [integral_image, tilted_integral_image])
@pytest.mark.parametrize("x, error, words", [
    (np.zeros(3), ShapeError, r"x has shape \(3,\), expected \(..., H, W\)"),
    (np.zeros((3, 3), complex), DTypeError, "x has dtype complex128"),
    (np.array([["a"]]), DTypeError, "x has dtype <U1"),
    (np.full((2, 2), 2**61), ArgError, "x is up to 2305843009213693952 in magnitude"),
    (np.full((1, 1), -2**63), ArgError, "x is up to 9223372036854775808"),
    (np.full((1, 1), 2**64 - 1, np.uint64), ArgError, "x is up to 18446744073709551615 .*below 2\\^63; convert"),
])
def test_bad_images_are_refused(function, x, error, words):
    with pytest.raises(error, match=f"{function.__name__}: {words}"):
        function(x)


def test_squares_have_a_range_of_their_own():
    x = np.full((2, 2), 2**31)
    assert integral_image(x)[2, 2] == 2**33
    with pytest.raises(ArgError, match="x is up to 2147483648"):
        integral_image(x, squared=True)


@pytest.mark.parametrize("boxes, error, words", [
    ([[0, 0, 5, 1]], BoxError, r"boxes\[0\] is \[0, 0, 5, 1\], expected 0 <= x1 <= x2 <= 4 and 0 <= y1 <= y2 <= 3"),
    ([[0, 0, 1, 1], [0, 0, 1, 4]], BoxError, r"boxes\[1\]"),
    ([[-1, 0, 1, 1]], BoxError, r"boxes\[0\] is \[-1"),
    ([[2, 0, 1, 1]], BoxError, r"boxes\[0\] is \[2, 0, 1, 1\]"),
    ([[0, 2, 1, 1]], BoxError, r"boxes\[0\]"),
    ([[[0, 0, 1, 1], [2, 0, 1, 1]]], BoxError, r"boxes\[0, 1\] is"),
    ([[0, 0, 1.5, 1]], DTypeError, "boxes has dtype float64, expected integers"),
    ([[0, 0, 1]], ShapeError, r"boxes has shape \(1, 3\)"),
    (3, ShapeError, r"boxes has shape \(\)"),
    (np.array([[0, 0, 2**63, 1]], np.uint64), BoxError, r"boxes\[0\]"),
])
def test_bad_rectangles_are_refused_before_any_look_up(boxes, error, words):
    """D-2, D-8, M6."""
    with pytest.raises(error, match=f"rectangle_sums: {words}"):
        rectangle_sums(integral_image(np.zeros((3, 4), np.uint8)), np.array(boxes))


@pytest.mark.parametrize("box", [[0, 0, 1, 1], [4, 0, 1, 0], [2, 2, 1, 1], [2, -1, 1, 1], [2, 0, -1, 1], [2, 0, 1, -1],
                                 [2, 0, 2**62, 2**62]])
def test_tilted_rectangles_must_lie_inside(box):
    with pytest.raises(BoxError, match=r"tilted_sums: boxes\[0\] is .*x - h >= 0, x \+ w <= 4 and y \+ w \+ h <= 3"):
        tilted_sums(tilted_integral_image(np.zeros((3, 4), np.uint8)), np.array([box]))


def test_no_rectangles_and_no_table():
    """D-1."""
    table = integral_image(np.zeros((3, 4), np.uint8))
    assert rectangle_sums(table, np.zeros((0, 4), int)).shape == (0,)
    with pytest.raises(ShapeError, match=r"table has shape \(0, 4\)"):
        rectangle_sums(table[:0, :4], np.zeros((0, 4), int))


@pytest.mark.oracle
def test_opencv_has_the_same_tables():
    cv2 = pytest.importorskip("cv2")
    for dtype in (np.uint8, np.float32):
        x = image((150, 77), dtype)
        upright, squares, tilted = cv2.integral3(x, sdepth=cv2.CV_64F)
        np.testing.assert_allclose(integral_image(x), upright, atol=1e-9)
        np.testing.assert_allclose(integral_image(x, squared=True), squares, atol=1e-9)
        np.testing.assert_allclose(tilted_integral_image(x), tilted, atol=1e-3 if dtype == np.float32 else 0)


@pytest.mark.slow
def test_more_rows_of_bytes_than_fit_uint32_in_a_band(monkeypatch):
    """34 million rows of 255 on two threads: half of them already add up to more than 2^32."""
    for count in (1, 2):
        monkeypatch.setattr(threads, "_chosen", count)
        assert integral_image(np.full((34_000_000, 1), 255, np.uint8))[-1, -1] == 255 * 34_000_000
