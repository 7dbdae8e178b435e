"""Records of boxes. Proved: types and order, selection, joining, equality, suppression, empty records, read-only
fields, the table for notebooks, and that bad rows never get in (D-1, D-2, D-3, D-6, D-13)."""

import numpy as np
import pytest

from minicv.autograd import Tensor
from minicv.errors import ArgError, BoxError, DTypeError, ShapeError
from minicv.geometry import Detections, Segments, Targets, masks_to_boxes

pytestmark = pytest.mark.ch4
BOXES, LABELS, SCORES = [[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], [0, 0, 1], [0.8, 0.9, 0.8]


def detections():
    return Detections(BOXES, LABELS, SCORES)


def segments():
    masks = np.zeros((3, 32, 32), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, BOXES, strict=True):
        mask[y1:y2, x1:x2] = True
    return Segments.from_masks(masks, LABELS, SCORES)


def targets():
    return Targets(BOXES, LABELS, crowd=np.array([False, True, False]))


ALL = [detections, segments, targets]


@pytest.mark.parametrize("make", [detections, segments])
def test_rows_are_best_first_and_ties_keep_their_order(make):
    """D8."""
    d = make()
    np.testing.assert_array_equal(d.scores, np.float32([0.9, 0.8, 0.8]))
    np.testing.assert_array_equal(d.boxes, np.array(BOXES)[[1, 0, 2]])
    np.testing.assert_array_equal(d.labels, [0, 0, 1])
    assert (d.boxes.dtype, d.labels.dtype, d.scores.dtype) == (np.float32, np.int64, np.float32)


def test_masks_travel_with_their_rows():
    s = segments()
    np.testing.assert_array_equal(masks_to_boxes(s.masks), s.boxes)
    np.testing.assert_array_equal(masks_to_boxes(s[[2]].masks), s.boxes[[2]])
    assert s.nms().masks.shape == (2, 32, 32)


@pytest.mark.parametrize("make", ALL)
def test_selecting_joining_and_comparing(make):
    d = make()
    assert d == make() and not d != make() and d[:] == d and len(d) == 3
    assert d[np.array([True, False, True])] == d[[0, 2]] != d
    assert d[1:] + d[:1] == (d if "scores" in d.arrays() else d[[1, 2, 0]])      # sorted again, ties in order
    assert type(d).concat(list(d)) == d and [len(row) for row in d] == [1, 1, 1]
    assert type(d)(**d.arrays()) == d
    assert d != "d" and d[:0] != d and d.__eq__(1) is NotImplemented
    with pytest.raises(TypeError):
        hash(d)
    with pytest.raises(TypeError):
        _ = d + 1


@pytest.mark.parametrize("make", ALL)
def test_no_rows_at_all_work_everywhere(make):
    """D-1."""
    cls = type(make())
    e = cls.empty()
    assert len(e) == 0 and e == make()[:0] if cls is not Segments else len(e) == 0
    assert e.boxes.shape == (0, 4) and e.labels.dtype == np.int64 and list(e) == []
    assert e + e == e == e[[]] == e[np.zeros(0, bool)] == cls(**e.arrays())
    assert "0" in e._repr_html_() and repr(e).startswith(f"{cls.__name__}(0")
    if cls is not Targets:
        assert e.nms() == e.top(3) == e.above(0.5) == e
    assert len(make() + make()[:0]) == 3


def test_suppression_respects_classes_unless_told_otherwise():
    d = Detections([BOXES[0], BOXES[1], BOXES[0]], [0, 0, 1], [0.7, 0.9, 0.8])
    assert d.nms(0.5).labels.tolist() == [0, 1]
    assert d.nms(0.5, per_class=False).labels.tolist() == [0]
    assert d.nms(1.0) == d and d.nms().nms() == d.nms()


def test_top_and_above_cut_by_score():
    d = detections()
    assert d.top(1).boxes.tolist() == [BOXES[1]] and d.top(9) == d and len(d.top(0)) == 0
    assert len(d.above(0.8)) == 3 and len(d.above(0.85)) == 1 and len(d.above(0.95)) == 0
    for k in (-1, 2.0, "2"):
        with pytest.raises(ArgError, match="Detections.top: k is"):
            d.top(k)


def test_fields_are_copies_that_nobody_can_write():
    boxes = np.array(BOXES, np.float32)
    d = Detections(Tensor(boxes), np.array(LABELS), np.array(SCORES))
    boxes[:] = 0
    assert d == detections()
    with pytest.raises(ValueError, match="read-only"):
        d.boxes[0] = 0
    with pytest.raises(AttributeError):
        d.boxes = boxes


def test_the_perfect_answer_of_targets():
    t = targets()
    assert t.detections().scores.tolist() == [1, 1, 1] and t.crowd.tolist() == [False, True, False]
    np.testing.assert_array_equal(t.detections().boxes, t.boxes)
    assert Targets(BOXES, LABELS).crowd.tolist() == [False] * 3 and Targets(BOXES, LABELS).masks is None
    assert Targets(BOXES, LABELS) != t


def test_the_table_escapes_shortens_and_counts():
    many = Detections(np.tile([[0, 0, 1, 1.25]], (12, 1)), np.arange(12), np.linspace(1, 0, 12))
    page = many._repr_html_()
    assert page.count("<tr>") == 1 + 10 + 1 and "and 2 more" in page and "0, 0, 1, 1.25" in page
    assert "100 px" in segments()._repr_html_() and "masks" not in targets()._repr_html_()
    assert repr(detections()) == "Detections(3: boxes (3, 4), labels (3,), scores (3,))"


@pytest.mark.parametrize("call, error, text", [
    (lambda: Detections([[5, 0, 1, 1]], [0], [1.0]), BoxError, r"Detections: boxes\[0\] is \[5, 0, 1, 1\]"),
    (lambda: Detections([[0, 0, np.nan, 1]], [0], [1.0]), BoxError, "boxes"),
    (lambda: Targets([[0, 0, 1e300, 1]], [0]), BoxError, r"boxes\[0\] is \[0.0, 0.0, inf, 1.0\]"),
    (lambda: Detections([[0, 0, 1, 1]], [0], [1.5]), BoxError, r"scores\[0\] is 1.5, expected a number in \[0, 1\]"),
    (lambda: Detections([[0, 0, 1, 1]], [0], [np.nan]), BoxError, "scores"),
    (lambda: Detections([[0, 0, 1, 1]], [0], [[1.0]]), ShapeError, r"scores has shape \(1, 1\), expected \(1,\)"),
    (lambda: Detections([[0, 0, 1, 1]], [0, 1], [1.0]), ShapeError, r"labels has shape \(2,\)"),
    (lambda: Detections([[0, 0, 1, 1]], [0.0], [1.0]), DTypeError, "labels"),
    (lambda: Detections([[0, 0, 1, 1]], [-1], [1.0]), ArgError, r"labels\[0\] is -1"),
    (lambda: Detections([[0, 0, 1, 1]], [0], ["a"]), DTypeError, "scores"),
    (lambda: Detections([], [], []), ShapeError, r"no boxes are \(0, 4\)"),
    (lambda: Targets([[5, 0, 1, 1]], [0]), BoxError, r"Targets: boxes\[0\]"),
    (lambda: Targets([[0, 0, 1, 1]], [0], np.zeros((2, 3, 3), bool)), ShapeError, r"expected \(1, H, W\)"),
    (lambda: Targets([[0, 0, 1, 1]], [0], np.zeros((1, 3, 3))), DTypeError, "masks has dtype"),
    (lambda: Targets([[0, 0, 1, 1]], [0], None, [1]), DTypeError, "crowd"),
    (lambda: Targets([[0, 0, 1, 1]], [0], None, [True, True]), ShapeError, "crowd"),
    (lambda: Segments([[0, 0, 1, 1]], [0], [1.0], np.zeros((3, 3), bool)), ShapeError, "Segments: masks"),
    (lambda: detections()[1], ShapeError, r"one row is \[i:i\+1\]"),
    (lambda: detections()[np.array([True])], ShapeError, "the mask has 1 entries, expected 3"),
    (lambda: detections()[[0.5]], ShapeError, "dtype float64"),
    (lambda: detections()[[7]], IndexError, "7"),
    (lambda: Detections.concat([]), ArgError, "parts is empty"),
    (lambda: targets() + Targets(BOXES, LABELS, np.zeros((3, 2, 2), bool)), ArgError, "masks is given in some parts"),
])
def test_bad_rows_never_get_in(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_labels_beyond_int64_are_refused_D_7():
    with pytest.raises(ArgError, match="labels.0. is 9223372036854775809"):
        Detections([[0, 0, 1, 1]], np.array([2**63 + 1], np.uint64), [0.5])


def test_only_records_of_one_kind_are_joined():
    one = Detections([[0, 0, 1, 1]], [0], [0.5])
    with pytest.raises(ArgError, match="parts holds a Targets"):
        Detections.concat([one, Targets([[0, 0, 1, 1]], [0])])
