"""RoI pooling and alignment: what the generated tests of the registry (values, gradients, errors) do not show.

Proved here: stored values of torchvision; alignment reproduces linear images at bin centres and moves smoothly with the
box where pooling is a staircase; bins of the course; the whole map is global max pooling; adjoints; twins, guard bands,
layouts, dtypes; zero-size, far and huge boxes, grids of samples (D-1, D-8, D-14); boxes get no gradient; NaN.
"""

import numpy as np
import pytest

import minicv.functional as F
from minicv.autograd import Tensor, grad
from minicv.autograd.roi import roi_align_input
from minicv.errors import BoxError
from minicv.kernels import roi as module
from minicv.kernels import roi_loops
from minicv.kernels.layout import channels_last, is_channels_last

pytestmark = [pytest.mark.ch4, pytest.mark.ch5]

X = np.sin(np.arange(60, dtype=np.float64)).reshape(1, 2, 5, 6)
B = np.array([[0, 1.3, 2.2, 9.7, 8.1], [0, -3.0, 4.0, 13.0, 9.5]])
STORED = [      # torchvision 0.28.0: roi_align(X, B, (2, 2), 0.5, ...)[:, 1]
    (dict(sampling_ratio=2), [-0.419106127979, 0.790643094797, -0.642743789189, 0.706239703526,
                              -0.866243386533, 0.49280083059, -0.815029662452, 0.534975160739]),
    (dict(), [-0.41640055042, 0.772935256762, -0.639204130257, 0.692845891348,
              -0.547864227031, 0.491789726889, -0.539838792661, 0.530425307517]),
    (dict(sampling_ratio=2, aligned=False), [-0.200817772428, 0.737769864111, -0.494288818658, 0.760846246053,
                                             -0.679058848735, 0.576346917012, -0.663720181583, 0.666705474933]),
]
STORED_POOL = [0.296368578709, 0.963795386284, 0.017701925105, 0.98662759204,       # with x2 - 2, y2 - 2
               0.017701925105, 0.98662759204, -0.262374853704, 0.992872648085]


def random_boxes(R, N, seed=0, far=40.0):
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(-far / 4, far, (R, 2)), rng.uniform(0, far, (R, 2))
    return np.concatenate([rng.integers(0, N, (R, 1)), corner, corner + side], axis=1)


@pytest.mark.parametrize("settings, expected", STORED)
def test_alignment_gives_stored_values_of_torchvision(settings, expected):
    y = F.roi_align(X, B, size=2, scale=0.5, **settings)
    np.testing.assert_allclose(y[:, 1].ravel(), expected, atol=2e-12)


def test_pooling_gives_stored_values_of_torchvision():
    np.testing.assert_allclose(F.roi_pool(X, B, size=2, scale=0.5)[:, 1].ravel(), STORED_POOL, atol=2e-12)


@pytest.mark.parametrize("ratio", [1, 2, (1, 3), None])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_alignment_is_exact_on_linear_images(ratio, scale):
    """Half a pixel right: the image a x + b y, read at pixel centres, gives its values at the centres of the bins."""
    y, x = np.mgrid[:20, :30] + 0.5
    image = (3 * x - 2 * y + 1)[None, None]
    boxes = np.array([[0, 4.3, 5.1, 20.7, 12.4], [0, 10.0, 9.0, 10.5, 16.0]])
    found = F.roi_align(image, boxes / [1, *[scale] * 4], size=(3, 4), scale=scale, sampling_ratio=ratio)
    for (_, x1, y1, x2, y2), values in zip(boxes, found[:, 0]):
        u, v = x1 + (x2 - x1) * (np.arange(4) + 0.5) / 4, y1 + (y2 - y1) * (np.arange(3)[:, None] + 0.5) / 3
        np.testing.assert_allclose(values, 3 * u - 2 * v + 1, rtol=1e-10)
    legacy = F.roi_align(image, boxes / [1, *[scale] * 4], size=(3, 4), scale=scale, sampling_ratio=ratio,
                         aligned=False)
    np.testing.assert_allclose(legacy[0] - found[0], 0.5 * (3 - 2), rtol=1e-9)


def test_alignment_follows_a_shift_of_the_box_where_pooling_jumps():
    """The staircase of quantisation: on a ramp, aligned values grow in proportion to the shift."""
    ramp = np.tile(np.arange(32.0), (16, 1))[None, None]
    boxes = np.array([[0, 4 + s, 4, 12 + s, 12] for s in np.arange(17) / 16])
    aligned, pooled = (f(ramp, boxes, size=2)[:, 0, 0, 0] for f in (F.roi_align, F.roi_pool))
    np.testing.assert_allclose(np.diff(aligned), 1 / 16, rtol=1e-10)
    assert sorted(np.diff(pooled)) == [0] * 15 + [1]


def test_bins_of_the_course():
    """B4.5: 5 x 7 to 2 x 2, and 5 to 3, where a window of 2 with stride 1 would drop the last row."""
    zero = np.zeros(1, np.int64)
    assert module._bins(zero, zero + 5, 2, 5).tolist() == [[[0, 3], [2, 5]]]
    assert module._bins(zero, zero + 7, 2, 7).tolist() == [[[0, 4], [3, 7]]]
    assert module._bins(zero, zero + 5, 3, 5).tolist() == [[[0, 2], [1, 4], [3, 5]]]


def test_one_bin_over_the_whole_map_is_global_max_pooling():
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 5))
    boxes = np.array([[0, 0, 0, 5, 7], [1, 0, 0, 5, 7]])
    assert np.array_equal(F.roi_pool(x, boxes, size=1)[:, :, 0, 0], F.global_max_pool(x))
    assert np.array_equal(F.roi_pool(x, boxes, size=(3, 2)), F.adaptive_max_pool2d(x, size=(3, 2)))


@pytest.mark.parametrize("settings", [{}, {"sampling_ratio": 2}, {"aligned": False}])
def test_alignment_and_its_adjoint_are_transposed(settings):
    """<g, A x> = <A' g, x>, over channel blocks and several images."""
    rng = np.random.default_rng(0)
    x, boxes = rng.standard_normal((3, 70, 9, 8)), random_boxes(20, 3)
    y = module.roi_align(x, boxes, size=(3, 2), scale=0.25, **settings)
    g = rng.standard_normal(y.shape)
    gx = module.roi_align_input(g, boxes, shape=x.shape, scale=0.25, **settings)
    np.testing.assert_allclose(np.vdot(g, y), np.vdot(gx, x), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twins_agree_with_the_loops_and_stay_inside(dtype):
    rng = np.random.default_rng(0)
    x, boxes = rng.standard_normal((2, 6, 5, 70)).astype(dtype), random_boxes(7, 2, far=8.0)
    boxes[3, 3] = boxes[3, 1]                                       # no width
    for settings in ({}, {"sampling_ratio": 3}, {"aligned": False}):
        batch, *taps = module._taps("f", boxes, (2, 70, 6, 5), (3, 2), 1.0, settings.get("sampling_ratio"),
                                    settings.get("aligned", True), dtype)
        y = compare(roi_loops.align, 7, (x, batch, *taps), [(7, 3, 2, 70)], [dtype])[0]
        compare(roi_loops.align_scatter, 4, (y, batch, *taps), [x.shape], [dtype], roi_loops.CHANNEL_BLOCK)
    first, step = rng.uniform(-3, 6, 7), rng.uniform(0, 3, 7)
    compare(roi_loops.axis_weights, 7, (first, step, rng.integers(0, 4, 7), 5), [(7, 3), (7, 3, 5)],
            [np.int64, np.float64])
    ranges = np.sort(rng.integers(0, 6, (7, 3, 2)), axis=2)
    x[0, 2, 2, ::3] = np.nan
    y, where = compare(roi_loops.pool, 7, (x, batch, ranges, ranges.clip(0, 5)), [(7, 3, 3, 70)] * 2,
                       [dtype, np.int32])
    compare(roi_loops.gather, 7, (x, where, batch), [y.shape], [dtype])
    compare(roi_loops.scatter, 4, (np.nan_to_num(y), where, batch), [x.shape], [dtype], roi_loops.CHANNEL_BLOCK)


def compare(kernel, count, args, shapes, dtypes, *rest):
    """Run loop and twin into arrays with a guard before and after; the loop's outputs."""
    guarded = [np.full((s[0] + 2, *s[1:]), 77, d) for s, d in zip(shapes, dtypes)]
    expected = [np.full(s, 55, d) for s, d in zip(shapes, dtypes)]
    kernel(count, *args, *(g[1:-1] for g in guarded), *rest)
    kernel.twin(*args, *expected, *rest)
    for g, e in zip(guarded, expected):
        np.testing.assert_allclose(g[1:-1], e, atol=2e-5 if e.dtype == np.float32 else 1e-13)
        assert (g[[0, -1]] == 77).all()
    return [g[1:-1].copy() for g in guarded]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", [channels_last, np.ascontiguousarray])
def test_dtype_and_memory_order_follow_the_features(dtype, layout):
    """Boxes of any type do not raise the precision."""
    x = layout(np.random.default_rng(0).standard_normal((2, 3, 9, 8)).astype(dtype))
    for boxes in (random_boxes(5, 2), random_boxes(5, 2).astype(np.float32), np.array([[1, 0, 0, 5, 5]], np.uint8)):
        for y in (F.roi_align(x, boxes, size=2), F.roi_pool(x, boxes, size=2),
                  module.roi_align_input(layout(np.ones((len(boxes), 3, 2, 2), dtype)), boxes, shape=x.shape)):
            assert y.dtype == dtype and is_channels_last(y) == is_channels_last(x)


def test_no_boxes_and_no_images():
    """D-1: the gradient is zero and the graph is intact."""
    x = Tensor(np.ones((2, 3, 4, 4)), requires_grad=True)
    for function in (F.roi_align, F.roi_pool):
        y = function(x, np.zeros((0, 5)), size=2)
        assert y.shape == (0, 3, 2, 2) and not grad(y.sum(), [x])[0].data.any()
        assert function(np.zeros((0, 3, 4, 4)), np.zeros((0, 5)), size=2).shape == (0, 3, 2, 2)


@pytest.mark.parametrize("ratio", [None, 1, 2])
def test_boxes_without_area(ratio):
    """D-14: 0 if aligned; the legacy rule and pooling take at least one pixel."""
    boxes = np.array([[0, 2, 2, 2, 2], [0, 1, 2, 1, 4], [0, 1, 2, 3, 2]])
    x = np.full((1, 1, 5, 5), 3.0)
    assert not F.roi_align(x, boxes, size=2, sampling_ratio=ratio).any()
    np.testing.assert_allclose(F.roi_align(x, boxes, size=2, sampling_ratio=ratio, aligned=False), 3, rtol=1e-15)
    assert (F.roi_pool(x, boxes, size=2) == 3).all()


@pytest.mark.parametrize("function", [F.roi_align, F.roi_pool])
def test_boxes_far_outside_read_zero(function):
    """D-8, M10: as far as floats go, without a wild index."""
    x = np.ones((1, 1, 4, 4))
    boxes = np.array([[0, 9, 9, 12, 12], [0, -9, 0, -6, 4], [0, 1e30, 1e30, 1e35, 1e35], [0, -1.7e308, 0, -1e308, 3]])
    assert not function(x, boxes, size=2).any()
    assert not function(x, boxes, size=2, scale=1e3).any()


def test_a_huge_box_costs_no_huge_grid():
    """D-14: 4096 samples a side at most; torchvision would visit 1e17."""
    x = np.ones((1, 1, 4, 4))
    y = F.roi_align(x, np.array([[0, -1e9, -1e9, 1e9, 1e9]]), size=1)
    assert 0 <= y.item() < 1e-5
    x = np.random.default_rng(0).standard_normal((1, 1, 4, 4))
    np.testing.assert_allclose(F.roi_align(x, np.array([[0, 0, 0, 4, 4]]), size=1, sampling_ratio=64).item(),
                               x.mean(), atol=0.05)


def test_a_grid_of_one_pixel_is_the_image():
    """A box over the map with as many bins as pixels and one sample each."""
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 5))
    assert np.array_equal(F.roi_align(x, np.array([[0, 0, 0, 5, 4]]), size=(4, 5)), x)
    assert np.array_equal(F.roi_pool(x, np.array([[0, 0, 0, 5, 4]]), size=(4, 5)), x)


def test_boxes_get_no_gradient():
    x, boxes = Tensor(X, requires_grad=True), Tensor(B, requires_grad=True)
    for function in (F.roi_align, F.roi_pool):
        gx, gb = grad(function(x, boxes, size=2, scale=0.5).sum(), [x, boxes], allow_unused=True)
        assert gb is None and gx.data.any()
        assert not function(Tensor(X), boxes, size=2).requires_grad


def test_pooling_sends_the_gradient_to_the_maximum_only():
    x = Tensor(np.arange(16.0).reshape(1, 1, 4, 4), requires_grad=True)
    gx, = grad(F.roi_pool(x, np.array([[0, 0, 0, 4, 4], [0, 0, 0, 4, 4]]), size=2).sum(), [x])
    assert np.array_equal(gx.data[0, 0], [[0, 0, 0, 0], [0, 2, 0, 2], [0, 0, 0, 0], [0, 2, 0, 2]])


def test_among_equals_the_first_wins_and_nan_wins():
    """D3, D10."""
    x = np.zeros((1, 2, 4, 4))
    x[0, 1, 1, 1] = x[0, 1, 3, 3] = np.nan
    y, where = module.roi_pool(x, np.array([[0, 0, 0, 4, 4]]), size=1)
    assert where.ravel().tolist() == [0, 5] and np.isnan(y).ravel().tolist() == [False, True]


def test_nan_in_pixels_that_no_bin_reads_does_not_count():
    x = np.ones((1, 1, 6, 6))
    x[..., 5, 5] = np.nan
    assert (F.roi_align(x, np.array([[0, 0, 0, 4, 4]]), size=2) == 1).all()
    assert np.isnan(F.roi_align(x, np.array([[0, 2, 2, 6, 6]]), size=2)[..., 1, 1]).all()


def test_the_message_names_the_row():
    """D-2, D-3, D-6."""
    for bad in ([0, 3, 0, 2, 2], [0, 0, np.nan, 2, 2]):
        with pytest.raises(BoxError, match=r"roi_align: boxes\[1\] is "):
            F.roi_align(X, np.array([[0, 0, 0, 1, 1], bad]), size=2)


@pytest.mark.oracle
def test_torchvision_gives_the_same_values_and_gradients():
    torch, ops = pytest.importorskip("torch"), pytest.importorskip("torchvision.ops")
    rng = np.random.default_rng(0)
    x, boxes = rng.standard_normal((2, 5, 13, 17)), random_boxes(60, 2, far=250.0)
    shorter = torch.tensor(boxes - [0, 0, 0, 16, 16])
    for size in ((7, 7), (2, 3), (1, 1)):
        for ratio in (None, 1, 2, 3):
            for aligned in (True, False):
                settings = dict(scale=1 / 16, sampling_ratio=ratio, aligned=aligned)
                t = torch.tensor(x, requires_grad=True)
                z = ops.roi_align(t, torch.tensor(boxes), size, 1 / 16, ratio or -1, aligned)
                np.testing.assert_allclose(F.roi_align(x, boxes, size=size, **settings), z.detach(), atol=1e-12)
                g = rng.standard_normal(z.shape)
                z.backward(torch.tensor(g))
                np.testing.assert_allclose(roi_align_input(g, boxes, shape=x.shape, **settings), t.grad, atol=1e-12)
    for size in ((1, 1), (2, 4), (8, 2)):
        t = torch.tensor(x, requires_grad=True)
        z, own = ops.roi_pool(t, shorter, size, 1 / 16), Tensor(x, requires_grad=True)
        y = F.roi_pool(own, boxes, size=size, scale=1 / 16)
        assert np.array_equal(y.data, z.detach())
        g = rng.standard_normal(z.shape)
        z.backward(torch.tensor(g))
        np.testing.assert_allclose(grad(y, [own], g)[0].data, t.grad, atol=1e-13)
