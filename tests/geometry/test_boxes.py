"""Formats, areas, clipping, flipping. Proved: definitions box by box, round trips, images as oracle, derivatives,
types, empty input, and that bad boxes are refused by row (D-1, D-2, D-6, D-7, D-8, D-15)."""

import numpy as np
import pytest
from hypothesis import given, settings

from minicv.autograd import Tensor, gradcheck
from minicv.errors import ArgError, BoxError, DTypeError, ShapeError
from minicv.geometry import (
    box_area,
    box_convert,
    check_boxes,
    clip_boxes,
    denormalize_boxes,
    flip_boxes,
    masks_to_boxes,
    normalize_boxes,
    remove_small_boxes,
)

from .strategies import boxes, random_boxes

pytestmark = pytest.mark.ch4
FORMATS = ("xyxy", "xywh", "cxcywh")
BY_HAND = {"xyxy": [[2, 3, 6, 5]], "xywh": [[2, 3, 4, 2]], "cxcywh": [[4, 4, 4, 2]]}


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_every_format_becomes_every_other(source, target):
    np.testing.assert_array_equal(box_convert(np.array(BY_HAND[source]), source, target), BY_HAND[target])


@pytest.mark.parametrize("other", FORMATS)
def test_round_trips_lose_nothing(other):
    b = random_boxes(np.random.default_rng(0), 1000)
    back = box_convert(box_convert(b, "xyxy", other), other, "xyxy")
    np.testing.assert_allclose(back, b, rtol=0, atol=1e-12)
    half = denormalize_boxes(normalize_boxes(b, (48, 64)), (48, 64))
    np.testing.assert_allclose(half, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("call", [
    lambda b: box_convert(b, "xyxy", "cxcywh"), lambda b: box_convert(b, "xyxy", "xyxy"), box_area,
    lambda b: normalize_boxes(b, (9, 9)), lambda b: flip_boxes(b, (9, 9)), lambda b: clip_boxes(b, (5, 5)),
    lambda b: denormalize_boxes(b, (9, 9))])
def test_types_are_kept_integers_become_float64_and_no_boxes_are_fine(call):
    """D-1, D-7; arrays give arrays, Tensors give Tensors with the same numbers, and nothing is written or shared."""
    b = np.array([[1, 2, 4, 6], [0, 0, 3, 3]])
    before = b.copy()
    for dtype, expected in ((np.float32, np.float32), (np.float64, np.float64), (np.int32, np.float64),
                            (np.uint8, np.float64)):
        y = call(b.astype(dtype))
        assert type(y) is np.ndarray and y.dtype == expected
        np.testing.assert_allclose(y, call(before.astype(float)), rtol=1e-6)
    x = b.astype(float)
    assert not np.shares_memory(call(x), x)
    np.testing.assert_array_equal(call(Tensor(x)).data, call(x))
    np.testing.assert_array_equal(b, before)
    empty = call(np.zeros((0, 4), np.float32))
    assert empty.shape in ((0, 4), (0,)) and empty.dtype == np.float32


def test_large_integer_areas_do_not_wrap():
    """D-7, M8."""
    side = 60_000
    assert box_area(np.array([[0, 0, side, side]], np.int32))[0] == 3_600_000_000
    assert box_area(np.array([[0, 0, 200, 200]], np.uint8))[0] == 40_000
    assert box_area(np.array([[0, 0, 300, 300]], np.float16))[0] == 90_000


def test_area_counts_pixels_and_the_inclusive_variant_one_more_row_and_column():
    b = np.array([[2, 3, 6, 5], [1, 1, 1, 1]])
    grid = np.zeros((9, 9), bool)
    grid[3:5, 2:6] = True
    np.testing.assert_array_equal(box_area(b), [grid.sum(), 0])
    np.testing.assert_array_equal(box_area(b, inclusive=True), [15, 1])


@settings(deadline=None)
@given(boxes(low=1, solid=True))
def test_clipping_and_flipping_do_to_boxes_what_they_do_to_masks(b):
    """The mask of each box is drawn, cut or mirrored as an image, and measured again."""
    H, W = 7, 10
    shifted = b - 2                                                      # D-8: also outside the image
    canvas = np.zeros((len(b), 20, 20), bool)
    for mask, (x1, y1, x2, y2) in zip(canvas, b.astype(int), strict=True):
        mask[y1:y2, x1:x2] = True
    inside = canvas[:, 2:2 + H, 2:2 + W]
    cut = clip_boxes(shifted, (H, W))
    seen = inside.any(axis=(1, 2))
    np.testing.assert_array_equal(cut[seen], masks_to_boxes(inside)[seen])
    np.testing.assert_array_equal(box_area(cut), inside.sum(axis=(1, 2)))
    for axis, view in (("horizontal", inside[:, :, ::-1]), ("vertical", inside[:, ::-1])):
        np.testing.assert_array_equal(flip_boxes(cut, (H, W), axis=axis)[seen], masks_to_boxes(view)[seen])
        np.testing.assert_array_equal(flip_boxes(flip_boxes(b, (H, W), axis=axis), (H, W), axis=axis), b)


def test_small_boxes_are_told_by_both_sides():
    b = np.array([[0, 0, 4, 4], [0, 0, 3, 9], [0, 0, 9, 3.5], [1, 1, 1, 9]])
    np.testing.assert_array_equal(remove_small_boxes(b, 3.5), [0, 2])
    np.testing.assert_array_equal(remove_small_boxes(b, 0), [0, 1, 2, 3])
    assert remove_small_boxes(np.zeros((0, 4)), 1).dtype == np.int64


def test_boxes_of_masks_are_half_open_and_of_empty_masks_zero():
    masks = np.zeros((3, 6, 8), bool)
    masks[0, 3, 5] = masks[1, 0, 0] = masks[1, 5, 7] = True
    np.testing.assert_array_equal(masks_to_boxes(masks), [[5, 3, 6, 4], [0, 0, 8, 6], [0, 0, 0, 0]])
    assert masks_to_boxes(np.zeros((0, 4, 4), bool)).shape == masks_to_boxes(np.zeros((0, 0, 0), bool)).shape == (0, 4)
    assert masks_to_boxes(np.zeros((2, 0, 3), bool)).tolist() == [[0] * 4] * 2


@pytest.mark.parametrize("call", [
    lambda b: box_convert(b, "xyxy", "cxcywh"), lambda b: box_convert(b, "xyxy", "xywh"), box_area,
    lambda b: normalize_boxes(b, (30, 20)), lambda b: flip_boxes(b, (30, 20), axis="vertical"),
    lambda b: clip_boxes(b, (45, 40))])
def test_derivatives_are_right_to_second_order(call):
    gradcheck(call, [random_boxes(np.random.default_rng(3), 5)])


@pytest.mark.parametrize("bad", [[5, 1, 4, 2], [1, 5, 2, 4], [0, 0, np.nan, 1], [0, 0, np.inf, 1]])
@pytest.mark.parametrize("call", [
    lambda b: box_convert(b, "xyxy", "xywh"), box_area, lambda b: clip_boxes(b, (4, 4)),
    lambda b: flip_boxes(b, (4, 4)), lambda b: normalize_boxes(b, (4, 4)), lambda b: remove_small_boxes(b, 1)])
def test_bad_boxes_are_refused_by_row(call, bad):
    """D-2, D-6; for Tensors as well."""
    b = np.array([[0, 0, 1, 1], bad, [0, 0, 2, 2]])
    for x in (b, Tensor(b)):
        with pytest.raises(BoxError, match=r"boxes\[1\] is \["):
            call(x)


def test_the_wrong_format_is_suspected_when_most_rows_are_inverted():
    """D-15."""
    b = np.array([[50, 60, 10, 10], [40, 80, 20, 5], [1, 1, 9, 9]])
    with pytest.raises(BoxError, match="most rows are no xyxy: is the format right"):
        box_area(b)
    assert box_convert(b, "xywh", "xyxy").tolist()[0] == [50, 60, 60, 70]
    with pytest.raises(BoxError, match=r"boxes\[0\].*sizes w, h >= 0$"):
        box_convert(np.array([[0, 0, -1, 2]]), "cxcywh", "xyxy")


@pytest.mark.parametrize("call, error, text", [
    (lambda: box_area(np.zeros((2, 5))), ShapeError, r"boxes has shape \(2, 5\), expected \(N, 4\)"),
    (lambda: box_area(np.zeros(4)), ShapeError, r"boxes has shape \(4,\)"),
    (lambda: box_area([]), ShapeError, r"no boxes are \(0, 4\)"),
    (lambda: box_area(np.zeros((1, 4), bool)), DTypeError, "dtype bool"),
    (lambda: box_area(np.zeros((1, 4), complex)), DTypeError, "dtype complex"),
    (lambda: box_convert(np.zeros((1, 4)), "yxyx", "xyxy"), ArgError, "source is 'yxyx', expected one of 'xyxy'"),
    (lambda: box_convert(np.zeros((1, 4)), "xyxy", "ltrb"), ArgError, "target is 'ltrb'"),
    (lambda: clip_boxes(np.zeros((1, 4)), 5), ArgError, r"size is 5, expected \(height, width\)"),
    (lambda: clip_boxes(np.zeros((1, 4)), (5, 0)), ArgError, "size is 0"),
    (lambda: flip_boxes(np.zeros((1, 4)), (5, 5), axis="x"), ArgError, "axis is 'x'"),
    (lambda: remove_small_boxes(np.zeros((1, 4)), -1), ArgError, "min_size is -1"),
    (lambda: masks_to_boxes(np.zeros((2, 2), bool)), ShapeError, r"masks has shape \(2, 2\)"),
    (lambda: masks_to_boxes(np.zeros((1, 2, 2))), DTypeError, "expected bool"),
])
def test_malformed_arguments_are_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_the_check_hands_back_what_it_was_given():
    x = Tensor(np.zeros((0, 4)))
    assert check_boxes("f", "b", x) is x
