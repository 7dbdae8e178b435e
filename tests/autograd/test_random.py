"""Dropout: statistics, sources of randomness, the same mask forwards and backwards, limits (L14)."""

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd.gradcheck import gradcheck
from minicv.autograd.random import dropout
from minicv.kernels.layout import channels_last, is_channels_last


def test_the_mean_stays_and_the_rate_is_p():
    """Binomial: 5 standard deviations of n = 200 000 draws."""
    n, p = 200_000, 0.3
    y = dropout(np.ones(n), p=p, rng=0)
    spread = 5 * np.sqrt(p * (1 - p) / n)
    assert abs((y == 0).mean() - p) < spread
    assert abs(y.mean() - 1) < spread / (1 - p)
    assert set(np.unique(y)) == {0, 1 / (1 - p)}


def test_the_backward_pass_uses_the_mask_of_the_forward_pass():
    x = Tensor(np.ones((20, 20)), requires_grad=True)
    y = dropout(x, p=0.5, rng=np.random.default_rng(0))
    for create_graph in (False, True):
        g, = grad(y, [x], np.ones((20, 20)), create_graph=create_graph, retain_graph=True)
        np.testing.assert_array_equal(g.data, y.data)


def test_second_order_goes_through_the_mask():
    x = np.random.default_rng(0).standard_normal((3, 4))
    assert gradcheck(lambda x: dropout(x * x * x, p=0.4, rng=7), [x], order=2).passed


def test_a_generator_moves_on_an_integer_repeats_and_None_differs():
    x, rng = np.ones(100), np.random.default_rng(0)
    assert not np.array_equal(dropout(x, p=0.5, rng=rng), dropout(x, p=0.5, rng=rng))
    np.testing.assert_array_equal(dropout(x, p=0.5, rng=3), dropout(x, p=0.5, rng=3))
    assert not np.array_equal(dropout(x, p=0.5), dropout(x, p=0.5))


@pytest.mark.parametrize("settings", [dict(p=0.0), dict(p=0.5, training=False)])
def test_L14_without_dropping_nothing_is_drawn(settings):
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    x = Tensor(np.arange(4.0), requires_grad=True)
    y = dropout(x, rng=rng, **settings)
    np.testing.assert_array_equal(y.data, x.data)
    np.testing.assert_array_equal(grad(y.sum(), [x])[0].data, np.ones(4))
    assert rng.bit_generator.state == before


def test_L14_p_of_one_gives_zeros_and_finite_gradients_even_for_infinite_input():
    x = Tensor(np.array([1.0, np.inf, np.nan]), requires_grad=True)
    y = dropout(x, p=1.0, rng=0)
    np.testing.assert_array_equal(y.data, np.zeros(3))
    np.testing.assert_array_equal(grad(y.sum(), [x])[0].data, np.zeros(3))


def test_whole_samples_are_dropped_together():
    y = dropout(np.ones((1000, 2, 3)), p=0.25, rng=0, per_sample=True).reshape(1000, 6)
    assert (y == y[:, :1]).all()
    assert abs((y[:, 0] == 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 1000)


def test_layout_is_kept_and_does_not_change_the_mask():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    y, z = dropout(x, p=0.5, rng=0), dropout(channels_last(x), p=0.5, rng=0)
    assert is_channels_last(z) and not is_channels_last(y) and z.dtype == np.float32
    np.testing.assert_array_equal(y, z)
