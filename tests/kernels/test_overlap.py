"""Overlap of boxes.

Proved here: intersection and IoU equal their definition on the pixel grid and as a formula per pair; identical boxes
give exactly 1 (D-5), boxes without area 0 (D-4), no boxes an empty matrix (D-1); IoU is symmetric bit for bit,
unchanged by translation and scaling (3.3), finite for all finite boxes; small types are promoted before any
product (D-7); negative and far coordinates are fine (D-8); inverted and not finite boxes and wrong shapes are
refused (D-2, D-6, D-13, D-15).
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicv.errors import BoxError, DTypeError, ShapeError
from minicv.kernels import overlap
from minicv.kernels.overlap import pairwise_intersection, pairwise_iou

pytestmark = pytest.mark.ch4

BOX = st.tuples(*[st.integers(-6, 6)] * 2, *[st.integers(0, 5)] * 2).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3]))
BOXES = st.lists(BOX, max_size=9).map(lambda rows: np.array(rows, np.float64).reshape(-1, 4))


def random_boxes(n, seed=0, size=100.0):
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(-size, size, (n, 2)), rng.uniform(0, size, (n, 2))
    return np.concatenate([corner, corner + side], axis=1)


def pixels(box, low=-7, high=12):
    """Mask of the pixels of an integer box."""
    v = np.arange(low, high)
    x1, y1, x2, y2 = box
    return np.outer((y1 <= v) & (v < y2), (x1 <= v) & (v < x2))


@settings(deadline=None)
@given(BOXES, BOXES)
def test_integer_boxes_overlap_as_their_sets_of_pixels(a, b):
    inter, iou = pairwise_intersection(a, b), pairwise_iou(a, b)
    assert inter.shape == iou.shape == (len(a), len(b))
    for i, j in np.ndindex(iou.shape):
        both, either = pixels(a[i]) & pixels(b[j]), pixels(a[i]) | pixels(b[j])
        some = pixels(a[i]).any() and pixels(b[j]).any()
        assert inter[i, j] == both.sum()
        assert iou[i, j] == (both.sum() / either.sum() if some else 0)


def test_iou_equals_the_formula_pair_by_pair():
    a, b = random_boxes(13), random_boxes(37, seed=1)
    expected = np.empty((13, 37))
    for i, (x1, y1, x2, y2) in enumerate(a):
        for j, (u1, v1, u2, v2) in enumerate(b):
            inter = max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1))
            expected[i, j] = inter / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - inter)
    np.testing.assert_allclose(pairwise_iou(a, b), expected, rtol=1e-14)
    assert (pairwise_iou(a, b) > 0).any() and (pairwise_iou(a, b) == 0).any()


def test_two_squares_sharing_a_quarter_have_iou_one_seventh():
    """B4.2 of the course: the union is subtracted once, not the intersection twice."""
    assert pairwise_iou([[0, 0, 2, 2]], [[1, 1, 3, 3]]) == [[1 / 7]]


@pytest.mark.parametrize("kernel", [overlap.iou, overlap.intersection])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twins_agree_bit_for_bit_and_stay_inside_their_output(kernel, dtype):
    a, b = random_boxes(9), np.concatenate([random_boxes(33, seed=1), np.zeros((2, 4))])
    guarded = np.full((11, 35), np.nan, dtype)
    expected = np.empty((9, 35), dtype)
    kernel(9, a, b.T, guarded[1:-1])
    kernel.twin(a, b.T, expected)
    assert np.array_equal(guarded[1:-1], expected) and np.isnan(guarded[[0, -1]]).all()


@settings(deadline=None)
@given(BOXES, st.integers(-40, 40), st.integers(-1000, 1000))
def test_iou_is_symmetric_and_does_not_feel_scale_or_translation(boxes, exponent, shift):
    """3.3, exactly: integers and powers of two do not round."""
    iou = pairwise_iou(boxes, boxes[::-1])
    assert np.array_equal(iou, pairwise_iou(boxes[::-1], boxes).T)
    assert np.array_equal(iou, pairwise_iou((boxes + shift) * 2.0**exponent, (boxes[::-1] + shift) * 2.0**exponent))
    assert (iou >= 0).all() and (iou <= 1).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_identical_boxes_have_iou_exactly_one(dtype):
    """D-5: no epsilon in the denominator."""
    boxes = random_boxes(500, size=3.0).astype(dtype)
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    assert (np.diag(pairwise_iou(boxes, boxes)) == 1).all() and len(boxes) > 400


def test_a_box_without_area_overlaps_nothing_not_even_itself():
    """D-4, D6."""
    boxes = np.array([[1, 1, 1, 5], [1, 1, 5, 1], [2, 2, 2, 2], [0, 0, 5, 5]], np.float64)
    assert np.array_equal(pairwise_iou(boxes, boxes), np.diag([0, 0, 0, 1]))
    assert pairwise_intersection(boxes, boxes).sum() == 25


@pytest.mark.parametrize("factor", [1e-320, 1e-200, 1e150, 1e300, 1.5e307])
def test_absurd_coordinates_give_finite_results(factor):
    """Areas of such boxes overflow or vanish unless they are scaled first."""
    a = np.array([[-2, -2, 2, 2], [-1, -1, 3, 3], [-4, 1, 4, 1]]) * factor
    expected = pairwise_iou(np.array([[-2, -2, 2, 2], [-1, -1, 3, 3], [-4, 1, 4, 1.0]]), a / factor)
    np.testing.assert_allclose(pairwise_iou(a, a), expected, rtol=1e-3 if factor < 1e-300 else 1e-12)


def test_an_intersection_may_overflow_but_is_never_nan():
    boxes = np.array([[-1.7e308, -1, 1.7e308, -1], [-1.7e308, -1, 1.7e308, 1], [-1.7e308] * 2 + [1.7e308] * 2])
    assert np.array_equal(pairwise_intersection(boxes, boxes), [[0, 0, 0], [0, np.inf, np.inf], [0, np.inf, np.inf]])
    assert np.isfinite(pairwise_iou(boxes, boxes)).all()


def test_a_speck_beside_a_giant_is_finite():
    iou = pairwise_iou([[0, 0, 1e300, 1e300], [0, 0, 1e-300, 1e-300]], [[0, 0, 1e300, 1e300], [5, 5, 6, 6]])
    assert np.array_equal(iou, [[1, 0], [0, 0]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.uint64])
def test_integer_boxes_are_promoted_before_any_product(dtype):
    """D-7, M8: 60000 squared overflows int32, 200 squared uint8."""
    side = min(np.iinfo(dtype).max, 60000) // 2 * 2
    box = np.array([[0, 0, side, side]]).astype(dtype)
    half = np.array([[0, 0, side, side // 2]]).astype(dtype)
    iou = pairwise_iou(box, half)
    assert iou == [[0.5]] and iou.dtype == np.float64
    assert pairwise_intersection(box, box) == [[float(side) ** 2]]


def test_dtype_of_the_result_is_the_wider_one():
    for first, second, expected in (("f4", "f4", "f4"), ("f2", "f2", "f4"), ("f2", "f4", "f4"), ("f4", "f8", "f8"),
                                    ("f4", "i8", "f8"), ("i4", "i4", "f8")):
        boxes = np.array([[0, 0, 1, 1]])
        assert pairwise_iou(boxes.astype(first), boxes.astype(second)).dtype == expected


def test_float32_boxes_far_from_the_origin_lose_nothing():
    """D-8: computed in float32, the areas of boxes at a million pixels are wrong in the third digit."""
    boxes = (random_boxes(40) + 1e6).astype(np.float32)
    exact = pairwise_iou(boxes.astype(np.float64) - 1e6, boxes.astype(np.float64) - 1e6)
    np.testing.assert_allclose(pairwise_iou(boxes, boxes), exact, rtol=1e-7)


@pytest.mark.parametrize("n, m", [(0, 0), (0, 3), (3, 0)])
def test_no_boxes_give_an_empty_matrix(n, m):
    """D-1."""
    for function in (pairwise_iou, pairwise_intersection):
        assert function(np.zeros((n, 4), np.float32), np.zeros((m, 4), np.float32)).shape == (n, m)


@pytest.mark.parametrize("function", [pairwise_iou, pairwise_intersection])
@pytest.mark.parametrize("bad, error, words", [
    (np.zeros(4), ShapeError, r"has shape \(4,\), expected \(N, 4\)"),
    (np.zeros((2, 5)), ShapeError, r"has shape \(2, 5\)"),
    (np.zeros(()), ShapeError, r"has shape \(\)"),
    ([], ShapeError, r"has shape \(0,\), expected \(N, 4\); no boxes are \(0, 4\)"),
    (np.zeros((2, 4), complex), DTypeError, "dtype complex128"),
    (np.zeros((2, 4), bool), DTypeError, "dtype bool"),
    ([[0, 0, 1, 1], [5, 0, 4, 1]], BoxError, r"\[1\] is \[5.0, 0.0, 4.0, 1.0\], expected finite x1 <= x2"),
    ([[0, 3, 1, 1]], BoxError, r"\[0\] is"),
    ([[0, 0, 1, 1], [0, 0, np.nan, 1]], BoxError, r"\[1\] is .*nan"),
    ([[0, 0, np.inf, 1]], BoxError, r"\[0\] is .*inf"),
])
def test_bad_boxes_are_refused_by_name(function, bad, error, words):
    """D-2, D-6, D-13, D-15: boxes given as (x, y, w, h) or (cx, cy, w, h) mostly have x2 < x1."""
    good = np.array([[0, 0, 1, 1.0]])
    with pytest.raises(error, match=f"{function.__name__}: a.*{words}"):
        function(bad, good)
    with pytest.raises(error, match=f"{function.__name__}: b.*{words}"):
        function(good, bad)
