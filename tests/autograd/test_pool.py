"""Pooling by hand; values and gradients of every case are generated from the registry.

Proved: max(-x) = -min(x); averages are convolutions with ones; ties, NaN and -inf; ceil mode and padding at the
border with exact numbers; unpooling is the adjoint and undoes pooling; constants under L2 pooling; rows L7-L9, L11.
"""

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd.conv import conv2d
from minicv.autograd.pool import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    global_avg_pool,
    global_max_pool,
    l2_pool2d,
    max_pool2d,
    max_pool2d_with_indices,
    max_unpool2d,
)
from minicv.errors import ArgError, ShapeError


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def close(a, b, rtol=1e-12):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def test_average_is_a_depthwise_convolution_with_ones():
    x = normal(2, 3, 7, 8)
    ones = np.full((3, 1, 3, 2), 1 / 6)
    close(avg_pool2d(x, size=(3, 2), stride=2, padding=1), conv2d(x, ones, stride=2, padding=1, groups=3))


def test_maximum_of_the_negative_is_minus_the_minimum():
    x = normal(1, 2, 6, 6)
    minimum = x.reshape(1, 2, 3, 2, 3, 2).min(axis=(3, 5))
    np.testing.assert_array_equal(max_pool2d(-x, size=2), -minimum)


def test_max_pooling_commutes_with_monotone_functions():
    x = normal(2, 3, 7, 7)
    settings = {"size": 3, "stride": 2, "padding": 1}
    np.testing.assert_array_equal(max_pool2d(np.exp(x), **settings), np.exp(max_pool2d(x, **settings)))


def test_two_small_max_pools_are_one_large_one():
    x = normal(1, 2, 8, 8)
    np.testing.assert_array_equal(max_pool2d(max_pool2d(x, size=2), size=2), max_pool2d(x, size=4))


def test_stride_is_the_window_by_default():
    x = normal(1, 1, 6, 6)
    np.testing.assert_array_equal(max_pool2d(x, size=(2, 3)), max_pool2d(x, size=(2, 3), stride=(2, 3)))


def test_a_tie_gives_the_gradient_to_the_first_pixel():
    """D3."""
    x = Tensor(np.ones((1, 1, 4, 4)), requires_grad=True)
    g, = grad(max_pool2d(x, size=2).sum(), [x])
    np.testing.assert_array_equal(g.data[0, 0], [[1, 0, 1, 0], [0] * 4, [1, 0, 1, 0], [0] * 4])


def test_overlapping_windows_add_their_gradients():
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 5
    t = Tensor(x, requires_grad=True)
    g, = grad(max_pool2d(t, size=2, stride=1).sum(), [t])
    np.testing.assert_array_equal(g.data[0, 0], [[0, 0, 0], [0, 4, 0], [0, 0, 0]])


def test_ceil_mode_keeps_the_last_partial_window():
    """L7."""
    x = np.arange(25.0).reshape(1, 1, 5, 5)
    np.testing.assert_array_equal(max_pool2d(x, size=2)[0, 0], [[6, 8], [16, 18]])
    np.testing.assert_array_equal(max_pool2d(x, size=2, ceil_mode=True)[0, 0], [[6, 8, 9], [16, 18, 19], [21, 23, 24]])


def test_ceil_mode_makes_no_window_that_starts_in_the_padding():
    """L7: H = 4, size 2, stride 2, padding 1: the fourth window would start at 5, beyond the image."""
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    y, index = max_pool2d_with_indices(x, size=2, stride=2, padding=1, ceil_mode=True)
    np.testing.assert_array_equal(y[0, 0], [[0, 2, 3], [8, 10, 11], [12, 14, 15]])
    np.testing.assert_array_equal(index[0, 0], y[0, 0])
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    assert max_pool2d(x, size=1, stride=3, ceil_mode=True).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d, l2_pool2d])
@pytest.mark.parametrize("size, padding", [(2, 2), (3, 2), ((4, 1), (2, 1)), (1, 1)])
def test_padding_above_half_the_window_is_refused(pool, size, padding):
    """D9, L7."""
    with pytest.raises(ArgError, match="padding"):
        pool(np.zeros((1, 1, 8, 8)), size=size, padding=padding)


def test_average_at_the_border_with_and_without_padding():
    """L8: exact numbers; what ceil_mode adds never counts."""
    x = np.ones((1, 1, 3, 3))
    with_pad = avg_pool2d(x, size=2, padding=1)[0, 0]
    np.testing.assert_array_equal(with_pad, [[1 / 4, 1 / 2], [1 / 2, 1]])
    np.testing.assert_array_equal(avg_pool2d(x, size=2, padding=1, count_include_pad=False), np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(avg_pool2d(x, size=2, ceil_mode=True), np.ones((1, 1, 2, 2)))


def test_maximum_of_minus_infinity_and_nan():
    """L9, D10."""
    x = np.full((1, 1, 2, 4), -np.inf)
    x[0, 0, 1, 3] = np.nan
    y, index = max_pool2d_with_indices(x, size=2)
    np.testing.assert_array_equal(y[0, 0], [[-np.inf, np.nan]])
    np.testing.assert_array_equal(index[0, 0], [[0, 7]])
    y, index = max_pool2d_with_indices(np.full((1, 1, 3, 3), -np.inf), size=3, padding=1)
    assert y.item() == -np.inf and index.item() == 0


def test_unpooling_undoes_pooling_at_the_maxima():
    x = normal(2, 3, 6, 8)
    y, index = max_pool2d_with_indices(x, size=2)
    up = max_unpool2d(y, index, size=(6, 8))
    np.testing.assert_array_equal(max_pool2d(np.where(up == 0, -9.0, up), size=2), y)
    assert np.count_nonzero(up) == y.size
    np.testing.assert_array_equal(up[up != 0], x[up != 0])


def test_unpooling_is_the_gradient_of_pooling():
    x = Tensor(normal(2, 3, 7, 7), requires_grad=True)
    y, index = max_pool2d_with_indices(x, size=3, stride=2)
    g = normal(*y.shape)
    np.testing.assert_array_equal(grad(y, [x], g)[0].data, max_unpool2d(g, index, size=(7, 7)))


def test_adaptive_pooling_of_a_multiple_is_plain_pooling():
    x = normal(2, 3, 6, 8)
    close(adaptive_avg_pool2d(x, size=(3, 2)), avg_pool2d(x, size=(2, 4)))
    np.testing.assert_array_equal(adaptive_max_pool2d(x, size=(3, 2)), max_pool2d(x, size=(2, 4)))
    np.testing.assert_array_equal(adaptive_max_pool2d(x, size=(6, 8)), x)


def test_adaptive_cells_cover_five_rows_with_three_as_the_formula_says():
    x = np.arange(5.0).reshape(1, 1, 5, 1)
    np.testing.assert_array_equal(adaptive_avg_pool2d(x, size=(3, 1))[0, 0, :, 0], [0.5, 2, 3.5])   # 0-1, 1-3, 3-4


def test_global_pools_are_means_and_maxima_of_planes():
    x = normal(2, 3, 5, 4)
    close(global_avg_pool(x), x.mean(axis=(2, 3)))
    np.testing.assert_array_equal(global_max_pool(x), x.max(axis=(2, 3)))
    with pytest.raises(ShapeError, match="at least one pixel"):
        global_avg_pool(x[:, :, :0])


def test_l2_pooling_of_a_constant_is_its_magnitude_everywhere():
    x = np.full((1, 2, 6, 6), -3.0)
    close(l2_pool2d(x, size=3, stride=2, padding=1), np.full((1, 2, 3, 3), 3.0))


def test_l2_pooling_of_zeros_has_gradient_zero():
    """D1."""
    x = Tensor(np.zeros((1, 1, 4, 4)), requires_grad=True)
    g, = grad(l2_pool2d(x, size=2).sum(), [x], create_graph=True)
    np.testing.assert_array_equal(g.data, 0)
    np.testing.assert_array_equal(grad(g.sum(), [x])[0].data, 0)


def test_empty_batches_and_single_pixels_work():
    """L11."""
    for pool in (max_pool2d, avg_pool2d, l2_pool2d):
        assert pool(np.zeros((0, 2, 4, 4)), size=2).shape == (0, 2, 2, 2)
        assert pool(np.ones((2, 2, 1, 1)), size=1).shape == (2, 2, 1, 1)


@pytest.mark.oracle
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_sliding_pools_equal_torch(ceil_mode, count_include_pad):
    torch = pytest.importorskip("torch")
    F, x = torch.nn.functional, normal(2, 3, 8, 7)
    for size, stride, padding in [((3, 2), 2, 1), (2, (2, 3), 0), (4, 3, (2, 1))]:
        settings = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        y, index = max_pool2d_with_indices(x, size=size, **settings)
        peer, peer_index = F.max_pool2d_with_indices(torch.tensor(x), size, **settings)
        np.testing.assert_array_equal(y, peer.numpy())
        np.testing.assert_array_equal(index, peer_index.numpy())
        close(avg_pool2d(x, size=size, count_include_pad=count_include_pad, **settings),
              F.avg_pool2d(torch.tensor(x), size, count_include_pad=count_include_pad, **settings).numpy())


@pytest.mark.oracle
def test_adaptive_pools_and_unpooling_equal_torch():
    torch = pytest.importorskip("torch")
    F, x = torch.nn.functional, normal(2, 3, 8, 7)
    t = torch.tensor(x)
    close(adaptive_avg_pool2d(x, size=(3, 5)), F.adaptive_avg_pool2d(t, (3, 5)).numpy())
    close(adaptive_max_pool2d(x, size=(3, 5)), F.adaptive_max_pool2d(t, (3, 5)).numpy())
    y, index = max_pool2d_with_indices(x, size=2)
    peer = F.max_unpool2d(*F.max_pool2d_with_indices(t, 2), 2, output_size=(8, 7))
    close(max_unpool2d(y, index, size=(8, 7)), peer.numpy())
