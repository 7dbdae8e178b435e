"""Corrections of boxes. Proved: the formula by hand, round trips, invariance, limits, derivatives, refusals (D-16)."""

import math

import numpy as np
import pytest

from minicv.autograd import Tensor, gradcheck
from minicv.errors import ArgError, BoxError, DTypeError, ShapeError
from minicv.geometry import box_convert, decode_boxes, encode_boxes

from .strategies import random_boxes

pytestmark = pytest.mark.ch4
FAST_RCNN = {"means": (0.0, 0.0, 0.0, 0.0), "stds": (0.1, 0.1, 0.2, 0.2)}


def centred(*rows):
    return box_convert(np.array(rows, float), "cxcywh", "xyxy")


def test_the_worked_example():
    """B4.4."""
    t = encode_boxes(centred([54, 60, 30, 20]), centred([50, 50, 20, 40]))
    np.testing.assert_allclose(t, [[0.2, 0.25, math.log(1.5), math.log(0.5)]], rtol=1e-14)
    np.testing.assert_allclose(t.round(4), [[0.2, 0.25, 0.4055, -0.6931]])


@pytest.mark.parametrize("scaling", [{}, FAST_RCNN, {"means": (0.1, -0.2, 0.3, 0.4), "stds": (2, 3, 0.5, 0.7)}])
def test_each_number_follows_the_formula_and_decoding_inverts_it(scaling):
    rng = np.random.default_rng(0)
    boxes, anchors = random_boxes(rng, 500), random_boxes(rng, 500)
    t = encode_boxes(boxes, anchors, **scaling)
    np.testing.assert_allclose(decode_boxes(t, anchors, **scaling), boxes, rtol=0, atol=1e-10)
    means, stds = scaling.get("means", [0] * 4), scaling.get("stds", [1] * 4)
    for row, (b, a) in enumerate(zip(boxes, anchors, strict=True)):
        for k in (0, 1):
            shift = ((b[k] + b[k + 2]) - (a[k] + a[k + 2])) / 2 / (a[k + 2] - a[k])
            ratio = math.log((b[k + 2] - b[k]) / (a[k + 2] - a[k]))
            assert t[row, k] == pytest.approx((shift - means[k]) / stds[k], abs=1e-12)
            assert t[row, k + 2] == pytest.approx((ratio - means[k + 2]) / stds[k + 2], abs=1e-12)


def test_corrections_ignore_a_common_shift_and_scale():
    rng = np.random.default_rng(1)
    boxes, anchors = random_boxes(rng, 50), random_boxes(rng, 50)
    np.testing.assert_allclose(encode_boxes(7 * boxes - 3, 7 * anchors - 3), encode_boxes(boxes, anchors), atol=1e-12)
    np.testing.assert_array_equal(encode_boxes(boxes, boxes), 0)
    np.testing.assert_allclose(decode_boxes(np.zeros((50, 4)), anchors), anchors, atol=1e-13)


def test_growth_is_limited_and_shrinking_is_not():
    """D-16: an untrained network must not overflow."""
    a, wild = np.array([[0.0, 0, 10, 10]]), np.array([[0, 0, 800.0, -800]])
    x1, y1, x2, y2 = decode_boxes(wild, a)[0]
    assert x2 - x1 == pytest.approx(10 * 1000 / 16) and y2 == y1 == 5
    assert np.isfinite(decode_boxes(wild.astype(np.float32), a.astype(np.float32))).all()
    x1, _, x2, _ = decode_boxes(np.array([[0, 0, 1.0, 0]]), a, max_log_ratio=0.5)[0]
    assert x2 - x1 == pytest.approx(10 * math.exp(0.5))
    scaled = decode_boxes(np.array([[0, 0, 100.0, 0]]), a, **FAST_RCNN)[0]
    assert scaled[2] - scaled[0] == pytest.approx(625)                              # cut after the scaling


def test_derivatives_are_right_to_second_order():
    rng = np.random.default_rng(2)
    boxes, anchors, t = random_boxes(rng, 4), random_boxes(rng, 4), 0.3 * rng.standard_normal((4, 4))
    gradcheck(lambda b, a: encode_boxes(b, a, **FAST_RCNN), [boxes, anchors], rtol=1e-5)
    gradcheck(lambda t, a: decode_boxes(t, a, **FAST_RCNN), [t, anchors])
    x = Tensor(np.array([[0.1, 0.1, 9.0, 0.1]]), requires_grad=True)
    decode_boxes(x, anchors[:1]).sum().backward()
    assert x.grad.data[0, 2] == 0 and np.isfinite(x.grad.data).all()                # what is cut has no gradient


def test_types_and_no_boxes():
    """D-1."""
    a = np.array([[0, 0, 4, 4]], np.float32)
    assert encode_boxes(a, a).dtype == decode_boxes(np.zeros((1, 4), np.float32), a).dtype == np.float32
    assert encode_boxes(a, a.astype(int)).dtype == np.float64
    assert isinstance(encode_boxes(Tensor(a), a), Tensor)
    assert encode_boxes(a[:0], a[:0]).shape == decode_boxes(np.zeros((0, 4)), a[:0]).shape == (0, 4)


BOX = np.array([[0.0, 0, 2, 2]])


@pytest.mark.parametrize("call, error, text", [
    (lambda: encode_boxes(np.array([[1, 1, 1, 5]]), BOX), BoxError, r"boxes\[0\] is .* expected width and height > 0"),
    (lambda: encode_boxes(BOX, np.array([[1.0, 3, 4, 3]])), BoxError, r"anchors\[0\]"),
    (lambda: encode_boxes(BOX, np.array([[3.0, 3, 1, 4]])), BoxError, "x1 <= x2"),
    (lambda: decode_boxes(BOX, np.array([[1.0, 3, 1, 4]])), BoxError, r"anchors\[0\]"),
    (lambda: decode_boxes(BOX * np.nan, BOX), BoxError, r"corrections\[0\]"),
    (lambda: decode_boxes(BOX[0], BOX), ShapeError, r"corrections has shape \(4,\)"),
    (lambda: decode_boxes(BOX.astype(int), BOX), DTypeError, "corrections has dtype int64"),
    (lambda: decode_boxes(np.zeros((2, 4)), BOX), ShapeError, "corrections has 2 rows, expected 1 as anchors"),
    (lambda: encode_boxes(np.repeat(BOX, 2, axis=0), BOX), ShapeError, "boxes has 2 rows, expected 1"),
    (lambda: encode_boxes(BOX, BOX, stds=(1, 1, 0, 1)), ArgError, "stds is 0"),
    (lambda: encode_boxes(BOX, BOX, means=(1, 1)), ShapeError, "means has shape"),
    (lambda: decode_boxes(BOX, BOX, max_log_ratio=-1), ArgError, "max_log_ratio is -1"),
])
def test_bad_input_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.oracle
def test_equal_to_torchvision():
    tv, torch = pytest.importorskip("torchvision", reason="the peer is optional"), pytest.importorskip("torch")
    from torchvision.models.detection._utils import BoxCoder
    rng = np.random.default_rng(3)
    boxes, anchors = random_boxes(rng, 100), random_boxes(rng, 100)
    coder = BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
    theirs = coder.encode_single(torch.tensor(boxes), torch.tensor(anchors)).numpy()
    np.testing.assert_allclose(encode_boxes(boxes, anchors, **FAST_RCNN), theirs, rtol=1e-10, atol=1e-10)
    wild = rng.normal(0, 20, (100, 4))
    theirs = coder.decode_single(torch.tensor(wild), torch.tensor(anchors)).numpy()
    np.testing.assert_allclose(decode_boxes(wild, anchors, **FAST_RCNN), theirs, rtol=1e-9)
    assert tv.__version__
