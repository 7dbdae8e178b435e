"""IoU and its extensions. Proved: exact fractions pixel by pixel and by definition, bounds, invariances, worked
examples, no epsilon (D-5), boxes without area (D-4, D6), derivatives to second order, empty input, refusals."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicv.autograd import Tensor, grad, gradcheck
from minicv.errors import ArgError, BoxError, ShapeError
from minicv.geometry import box_iou, box_loss, complete_box_iou, distance_box_iou, generalized_box_iou

from .strategies import boxes, random_boxes

pytestmark = pytest.mark.ch4
ALL = {"iou": box_iou, "giou": generalized_box_iou, "diou": distance_box_iou, "ciou": complete_box_iou}
each = pytest.mark.parametrize("name", ALL)


def exact(a, b, name):
    """The definition in exact fractions; boxes are lists of integers. CIoU ends in a float for its angle."""
    a, b = [F(int(v)) for v in a], [F(int(v)) for v in b]
    area = [(v[2] - v[0]) * (v[3] - v[1]) for v in (a, b)]
    inter = max(F(0), min(a[2], b[2]) - max(a[0], b[0])) * max(F(0), min(a[3], b[3]) - max(a[1], b[1]))
    union = sum(area) - inter
    iou = inter / union if union else F(0)
    if name == "iou":
        return float(iou)
    iou = F(1) if a == b else iou
    w, h = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    if name == "giou":
        return float(iou - (w * h - union) / (w * h)) if w * h else float(iou)
    d2 = sum((a[k] + a[k + 2] - b[k] - b[k + 2]) ** 2 for k in (0, 1)) / 4
    diou = iou - (d2 / (w * w + h * h) if w or h else 0)
    if name == "diou":
        return float(diou)
    angle = [np.arctan2(float(v[2] - v[0]), float(v[3] - v[1])) for v in (a, b)]
    v = 4 / np.pi**2 * (angle[1] - angle[0]) ** 2
    return float(diou) - (v * v / (1 - float(iou) + v) if v else 0.0)


@each
@settings(deadline=None)
@given(boxes(), boxes())
def test_values_are_those_of_exact_fractions(name, a, b):
    """All pairs, row by row, as arrays and as Tensors; degenerate boxes included (D-4, D6)."""
    expected = np.array([[exact(p, q, name) for q in b] for p in a]).reshape(len(a), len(b))
    np.testing.assert_allclose(ALL[name](a, b), expected, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(ALL[name](Tensor(a), b).data, expected, rtol=1e-14, atol=1e-15)
    k = min(len(a), len(b))
    rows = ALL[name](a[:k], b[:k], paired=True)
    np.testing.assert_allclose(rows, expected[range(k), range(k)], rtol=1e-14, atol=1e-15)


@settings(deadline=None)
@given(boxes(low=1), boxes(low=1))
def test_iou_counts_pixels(a, b):
    def paint(box):
        mask = np.zeros((20, 20), bool)
        x1, y1, x2, y2 = box.astype(int)
        mask[y1:y2, x1:x2] = True
        return mask
    p, q = paint(a[0]), paint(b[0])
    expected = (p & q).sum() / max((p | q).sum(), 1)
    assert box_iou(a[:1], b[:1])[0, 0] == pytest.approx(expected, rel=1e-15)
    p, q = paint(a[0] + [0, 0, 1, 1]), paint(b[0] + [0, 0, 1, 1])
    assert box_iou(a[:1], b[:1], inclusive=True)[0, 0] == pytest.approx((p & q).sum() / (p | q).sum(), rel=1e-15)


@each
@settings(deadline=None)
@given(boxes(solid=True), boxes(solid=True), st.sampled_from([0.25, 1, 4]), st.integers(-50, 50))
def test_symmetric_bounded_and_invariant_to_shift_and_scale(name, a, b, scale, shift):
    """Scales are powers of two, so that scaling is exact."""
    f = ALL[name]
    y = f(a, b)
    np.testing.assert_array_equal(y, f(b, a).T)
    assert (y <= 1).all() and (y >= {"iou": 0, "giou": -1, "diou": -1, "ciou": -2}[name]).all()
    np.testing.assert_allclose(f(a * scale + shift, b * scale + shift), y, rtol=1e-12, atol=1e-13)
    same = (a[:, None] == b[None]).all(axis=2)
    assert (y[same] == 1).all() and (y[~same] < 1).all()                                   # D-5: exactly 1 iff equal
    for lower, upper in (("giou", "iou"), ("diou", "iou"), ("ciou", "diou")):
        assert (ALL[lower](a, b) <= ALL[upper](a, b) + 1e-15).all()


def test_worked_examples():
    """B4.2, B4.16; GIoU, DIoU and CIoU of one pair by hand."""
    a, b = np.array([[0, 0, 2, 2]]), np.array([[1, 1, 3, 3]])
    assert box_iou(a, b)[0, 0] == pytest.approx(1 / 7, rel=1e-15)
    assert generalized_box_iou(np.array([[0, 0, 1, 1]]), np.array([[2, 0, 3, 1]]))[0, 0] == pytest.approx(-1 / 3)
    assert generalized_box_iou(a, b)[0, 0] == pytest.approx(1 / 7 - 2 / 9)
    assert distance_box_iou(a, b)[0, 0] == pytest.approx(1 / 7 - 2 / 18)
    tall = np.array([[0, 0, 1, 2]])
    v = 4 / np.pi**2 * (np.pi / 4 - np.arctan(0.5)) ** 2
    assert complete_box_iou(a, tall)[0, 0] == pytest.approx(0.5 - 0.25 / 8 - v * v / (0.5 + v))


@each
def test_types_and_empty_inputs(name):
    """D-1, D-7."""
    f, a = ALL[name], np.array([[0, 0, 200, 200], [5, 5, 9, 9]])
    exact64 = f(a.astype(float), a.astype(float))
    for dtype, expected in ((np.float32, np.float32), (np.float16, np.float32), (np.int32, np.float64),
                            (np.uint8, np.float64)):
        y = f(a.astype(dtype), a.astype(dtype))
        assert y.dtype == expected
        np.testing.assert_allclose(y, exact64, rtol=1e-6)
    for n, m in ((0, 0), (0, 3), (3, 0)):
        y = f(np.zeros((n, 4), np.float32), np.zeros((m, 4), np.float32))
        assert y.shape == (n, m) and y.dtype == np.float32
    assert f(np.zeros((0, 4)), np.zeros((0, 4)), paired=True).shape == (0,)


def separated(rng, count):
    """Pairs of boxes, overlapping or not, none with touching edges or a tie."""
    return random_boxes(rng, count), random_boxes(rng, count)


@pytest.mark.parametrize("name", ["iou", "giou", "diou"])
@pytest.mark.parametrize("paired", [False, True])
def test_derivatives_are_right_to_second_order(name, paired):
    a, b = separated(np.random.default_rng(1), 4)
    b[0] = a[0] + [1.3, -2.1, 4.7, 3.3]                                                    # one pair overlaps for sure
    gradcheck(lambda a, b: ALL[name](a, b, paired=paired), [a, b])


def test_the_derivative_of_ciou_holds_alpha_fixed():
    """As the paper's method does: compared with a formula in which alpha is a number."""
    a, b = separated(np.random.default_rng(2), 6)
    iou, diou = box_iou(a, b, paired=True), distance_box_iou(a, b, paired=True)

    def angle(boxes):
        return np.arctan((boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1]))
    v = 4 / np.pi**2 * (angle(b) - angle(a)) ** 2
    alpha, step = v / (1 - iou + v), 1e-6
    x = Tensor(a, requires_grad=True)
    complete_box_iou(x, b, paired=True).sum().backward()
    for k in range(4):
        moved = [a + s * step * np.eye(4)[k] for s in (-1, 1)]
        lo, hi = (distance_box_iou(m, b, paired=True) - alpha * 4 / np.pi**2 * (angle(b) - angle(m)) ** 2
                  for m in moved)
        np.testing.assert_allclose(x.grad.data[:, k], (hi - lo) / (2 * step), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(complete_box_iou(a, b, paired=True), diou - alpha * v, rtol=1e-13)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("pair", [
    ([1, 1, 4, 3], [1, 1, 4, 3]), ([2, 2, 2, 2], [2, 2, 2, 2]), ([1, 2, 1, 5], [1, 2, 1, 5]),
    ([2, 2, 2, 2], [0, 0, 5, 5]), ([2, 2, 2, 2], [4, 2, 4, 2]), ([0, 0, 2, 2], [2, 0, 4, 2])])
def test_gradients_are_finite_where_boxes_are_equal_touch_or_have_no_area(kind, pair):
    """D-4; to second order."""
    x = Tensor(np.array([pair[0]], float), requires_grad=True)
    loss = box_loss(x, np.array([pair[1]], float), kind=kind)
    if pair[0] == pair[1] and (kind != "iou" or pair[0] == [1, 1, 4, 3]):
        assert loss.item() == 0
    (g,) = grad(loss, [x], create_graph=True)
    (h,) = grad((g * g).sum(), [x])
    assert np.isfinite(loss.item()) and np.isfinite(g.data).all() and np.isfinite(h.data).all()


@pytest.mark.parametrize("kind", ["giou", "diou", "ciou"])
def test_the_extended_losses_pull_distant_boxes_together_and_iou_does_not(kind):
    x, target = np.array([[0.0, 0, 10, 10]]), np.array([[30.0, 20, 42, 30]])
    box = Tensor(x, requires_grad=True)
    box_loss(box, target, kind="iou").backward()
    assert not box.grad.data.any()
    for t in range(1500):                                       # the rate falls: the losses have a kink at the optimum
        box = Tensor(x, requires_grad=True)
        box_loss(box, target, kind=kind).backward()
        x = x - 20.0 * (1 - t / 1500) * box.grad.data
        x = np.concatenate([np.minimum(x[:, :2], x[:, 2:]), np.maximum(x[:, :2], x[:, 2:])], axis=1)
    assert box_iou(x, target)[0, 0] > 0.95


@pytest.mark.parametrize("kind", ALL)
def test_losses_reduce_as_asked_and_are_zero_without_boxes(kind):
    """D-1."""
    a, b = separated(np.random.default_rng(5), 7)
    each = box_loss(a, b, kind=kind, reduction="none")
    np.testing.assert_allclose(each, 1 - ALL[kind](a, b, paired=True), rtol=1e-15)
    assert box_loss(a, b, kind=kind) == pytest.approx(each.mean())
    assert box_loss(a, b, kind=kind, reduction="sum") == pytest.approx(each.sum())
    for reduction in ("mean", "sum"):
        x = Tensor(np.zeros((0, 4), np.float32), requires_grad=True)
        loss = box_loss(x, np.zeros((0, 4), np.float32), kind=kind, reduction=reduction)
        loss.backward()
        assert loss.item() == 0 and x.grad.shape == (0, 4)


@pytest.mark.parametrize("call, error, text", [
    (lambda: box_iou(np.zeros((2, 4)), np.zeros((3, 4)), paired=True), ShapeError, "b has 3 boxes, expected 2 as a"),
    (lambda: box_iou(np.zeros((2, 4)), np.zeros((3, 5))), ShapeError, r"b has shape \(3, 5\)"),
    (lambda: box_iou(np.array([[3, 0, 1, 1]]), np.zeros((1, 4))), BoxError, r"a\[0\] is \[3, 0, 1, 1\]"),
    (lambda: complete_box_iou(np.zeros((1, 4)), np.array([[0, 0, np.nan, 1]])), BoxError, r"b\[0\]"),
    (lambda: box_loss(np.zeros((1, 4)), np.array([[0, 0, -1, 1]])), BoxError, r"target\[0\]"),
    (lambda: box_loss(np.zeros((1, 4)), np.zeros((1, 4)), kind="eiou"), ArgError, "kind is 'eiou'"),
    (lambda: box_loss(np.zeros((1, 4)), np.zeros((1, 4)), reduction="max"), ArgError, "reduction is 'max'"),
    (lambda: box_loss(np.zeros((1, 4)), np.zeros((2, 4))), ShapeError, "target has 2 boxes, expected 1 as boxes"),
])
def test_bad_input_is_refused(call, error, text):
    """D-2, D-3, D-13."""
    with pytest.raises(error, match=text):
        call()


@pytest.mark.oracle
def test_values_and_gradients_agree_with_torchvision():
    tv, torch = pytest.importorskip("torchvision", reason="the peer is optional"), pytest.importorskip("torch")
    a, b = separated(np.random.default_rng(4), 50)
    pairs = {"iou": tv.ops.box_iou, "giou": tv.ops.generalized_box_iou, "diou": tv.ops.distance_box_iou,
             "ciou": tv.ops.complete_box_iou}
    for name, f in pairs.items():
        np.testing.assert_allclose(ALL[name](a, b), f(torch.tensor(a), torch.tensor(b)).numpy(), rtol=1e-6, atol=1e-6)
    losses = {"giou": tv.ops.generalized_box_iou_loss, "diou": tv.ops.distance_box_iou_loss,
              "ciou": tv.ops.complete_box_iou_loss}
    for kind, f in losses.items():
        x, t = Tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
        box_loss(x, b, kind=kind, reduction="sum").backward()
        f(t, torch.tensor(b), reduction="sum").backward()
        np.testing.assert_allclose(x.grad.data, t.grad.numpy(), rtol=1e-4, atol=1e-7)


@each
@pytest.mark.parametrize("exponent", [520, 900, 1000, -520, -900])
def test_absurd_coordinates_change_nothing_D_5(name, exponent):
    a, b = np.array([[-1, -1, 1, 1.0], [0, 0, 1, 1]]), np.array([[0, 0, 1, 1.0], [0, 0, 1, 1]])
    scaled = [np.ldexp(x, exponent) for x in (a, b)]
    for paired in (True, False):
        np.testing.assert_array_equal(ALL[name](*scaled, paired=paired), ALL[name](a, b, paired=paired))
    assert ALL[name](Tensor(scaled[1]), Tensor(scaled[1]), paired=True).data.tolist() == [1, 1]
