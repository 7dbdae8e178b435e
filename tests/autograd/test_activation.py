"""Activation functions beyond the generated suite.

Slopes at kinks as documented, NaN (D10), infinities, float32 all the way (S8), memory layout, identities, values
known in closed form, limits in which one function becomes another.
"""

import math

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd import activation as a
from minicv.autograd import elementwise as e

ALL = [a.relu, a.relu6, a.leaky_relu, a.elu, a.hardsigmoid, a.hardswish, a.silu, a.mish, a.gelu,
       e.sigmoid, e.tanh, e.softplus, e.erf]
X = np.linspace(-8, 8, 161)


def slope(function, x, **settings):
    t = Tensor(np.array([x]), requires_grad=True)
    return grad(function(t, **settings).sum(), [t])[0].item()


@pytest.mark.parametrize("function, settings, x, expected", [
    (a.relu, {}, 0.0, 0), (a.relu6, {}, 0.0, 0), (a.relu6, {}, 6.0, 0), (a.relu6, {}, 3.0, 1),
    (a.leaky_relu, {"slope": 0.25}, 0.0, 0.25), (a.leaky_relu, {"slope": 0}, -1.0, 0),
    (a.elu, {"alpha": 0.5}, 0.0, 0.5),
    (a.hardsigmoid, {}, -3.0, 0), (a.hardsigmoid, {}, 3.0, 0), (a.hardswish, {}, -3.0, 0), (a.hardswish, {}, 3.0, 1),
    (a.hardswish, {}, 0.0, 0.5), (a.silu, {}, 0.0, 0.5), (a.gelu, {}, 0.0, 0.5), (a.mish, {}, 0.0, 0.6)])
def test_slope_at_a_named_point(function, settings, x, expected):
    assert slope(function, x, **settings) == pytest.approx(expected, abs=1e-15)


def test_prelu_has_the_learned_slope_at_zero_and_sums_the_gradient_over_the_channel():
    x = Tensor(np.array([[[0.0, -1.0, 2.0], [-3.0, 4.0, -5.0]]]), requires_grad=True)
    w = Tensor(np.array([0.5, 0.25]), requires_grad=True)
    y = a.prelu(x, w)
    assert y.data.tolist() == [[[0, -0.5, 2], [-0.75, 4, -1.25]]]
    gx, gw = grad(y.sum(), [x, w])
    assert gx.data.tolist() == [[[0.5, 0.5, 1], [0.25, 1, 0.25]]]
    assert gw.data.tolist() == [-1, -8]


@pytest.mark.parametrize("function", ALL)
def test_nan_passes_through_at_every_position(function):
    """D10."""
    for at in range(9):
        x = np.linspace(-4, 4, 9, dtype=np.float32)
        x[at] = np.nan
        np.testing.assert_array_equal(np.isnan(function(x)), np.isnan(x))


@pytest.mark.parametrize("function", ALL)
def test_float32_stays_float32_through_both_derivatives(function):
    """S8: no constant may raise the precision, on the array path or the recorded one."""
    x = Tensor(np.linspace(-4, 4, 8, dtype=np.float32), requires_grad=True)
    y = function(x)
    (recorded,) = grad(y.sum(), [x], create_graph=True)
    (plain,) = grad(function(x).sum(), [x])
    assert {y.dtype, recorded.dtype, plain.dtype} == {np.dtype(np.float32)}
    rule = function.rules[0]
    inputs = np.ones(8, np.float32), function(x.data), x.data
    assert rule(*inputs).dtype == np.float32


@pytest.mark.parametrize("function", ALL)
def test_channels_last_memory_stays_channels_last(function):
    x = np.moveaxis(np.random.default_rng(0).standard_normal((2, 5, 4, 3)), 3, 1)       # (2, 3, 5, 4)
    y = function(x)
    assert y.strides == x.strides
    np.testing.assert_array_equal(y, function(np.ascontiguousarray(x)))
    t = Tensor(x, requires_grad=True)
    (g,) = grad(function(t), [t], x)
    assert g.data.strides == x.strides


@pytest.mark.parametrize("function, low, high", [
    (a.relu, 0, math.inf), (a.relu6, 0, 6), (a.leaky_relu, -math.inf, math.inf), (a.elu, -1, math.inf),
    (a.hardsigmoid, 0, 1), (a.hardswish, math.nan, math.inf), (a.silu, math.nan, math.inf),
    (a.mish, math.nan, math.inf), (a.gelu, math.nan, math.inf)])
def test_values_at_infinity(function, low, high):
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(function(np.array([-np.inf, np.inf])), [low, high])


@pytest.mark.parametrize("function", [a.silu, a.hardswish, a.gelu])
def test_gated_functions_differ_from_their_mirror_image_by_x(function):
    """x s(x) - (-x) s(-x) = x where s(x) + s(-x) = 1."""
    np.testing.assert_allclose(function(X) - function(-X), X, rtol=1e-13, atol=1e-14)


def test_elu_and_leaky_relu_with_factor_zero_are_relu():
    np.testing.assert_array_equal(a.elu(X, alpha=0), a.relu(X))
    np.testing.assert_array_equal(a.leaky_relu(X, slope=0), a.relu(X))


def test_leaky_relu_with_one_slope_is_prelu():
    np.testing.assert_array_equal(a.leaky_relu(X, slope=0.3), a.prelu(X, np.array([0.3])))


def test_tanh_form_of_gelu_is_within_5e_4():
    gap = np.abs(a.gelu(X, approximate="tanh") - a.gelu(X)).max()
    assert 1e-5 < gap < 5e-4


def test_gelu_is_x_times_the_normal_distribution():
    """Phi(1.959964) = 0.975, the quantile of every table."""
    assert a.gelu(np.array(1.959963984540054)) == pytest.approx(1.959963984540054 * 0.975, rel=1e-14)


def test_hardswish_and_hardsigmoid_belong_together():
    np.testing.assert_allclose(a.hardswish(X), X * a.hardsigmoid(X), rtol=1e-15)


def test_minimum_of_silu_and_of_mish_is_where_their_papers_say():
    fine = np.linspace(-3, 0, 300001)
    assert a.silu(fine).min() == pytest.approx(-0.27846, abs=1e-5)
    assert a.mish(fine).min() == pytest.approx(-0.30884, abs=1e-5)


@pytest.mark.parametrize("function", [a.silu, a.mish, a.gelu, a.elu])
def test_far_left_tail_is_flat_and_warns_of_nothing(function, recwarn):
    x = np.array([-1e4, -750.0, -100.0], np.float32)
    assert np.isfinite(function(x)).all()
    assert abs(slope(function, -750.0)) < 1e-30
    assert not recwarn.list
