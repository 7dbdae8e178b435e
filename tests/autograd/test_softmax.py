"""Softmax beyond the generated suite.

Invariance under a shift, rows that sum to 1, special values (L16, D10), closed-form derivatives, and the relations
between softmax, log_softmax, logsumexp and sigmoid.
"""

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd.elementwise import sigmoid
from minicv.autograd.reduce import logsumexp
from minicv.autograd.softmax import log_softmax, softmax


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 10, 1000, 50000])
def test_rows_sum_to_one_within_2_eps(dtype, classes):
    """K21."""
    x = (4 * np.random.default_rng(classes).standard_normal((20, classes))).astype(dtype)
    y = softmax(x)
    assert y.dtype == dtype and (y >= 0).all()
    assert np.abs(y.sum(axis=-1, dtype=np.longdouble) - 1).max() <= 2 * np.finfo(dtype).eps


def test_a_shift_that_is_exact_changes_nothing():
    x = np.random.default_rng(0).integers(-20, 20, (5, 7)) / 8.0
    for shift in (1024.0, -4096.0):
        np.testing.assert_array_equal(softmax(x + shift), softmax(x))
        np.testing.assert_array_equal(log_softmax(x + shift), log_softmax(x))


def test_order_of_the_classes_does_not_matter():
    x = np.random.default_rng(1).standard_normal((4, 6))
    order = np.random.default_rng(2).permutation(6)
    np.testing.assert_allclose(softmax(x[:, order]), softmax(x)[:, order], rtol=1e-15)


def test_two_classes_are_a_sigmoid_of_the_difference():
    x = np.random.default_rng(3).standard_normal((50, 2)) * 5
    np.testing.assert_allclose(softmax(x)[:, 0], sigmoid(x[:, 0] - x[:, 1]), rtol=1e-13)


def test_log_softmax_is_x_minus_logsumexp_and_the_log_of_softmax():
    x = np.random.default_rng(4).standard_normal((3, 4, 5))
    for axis in (0, 1, 2):
        y = log_softmax(x, axis=axis)
        np.testing.assert_allclose(y, x - logsumexp(x, axis=axis, keepdims=True), rtol=1e-13)
        np.testing.assert_allclose(y, np.log(softmax(x, axis=axis)), rtol=1e-13)


def test_log_softmax_of_huge_logits_is_exact():
    """L16: the loss of a logit of 1e4 for the wrong class is 20000, a float32."""
    assert log_softmax(np.array([1e4, -1e4], np.float32)).tolist() == [0, -20000]


def test_an_element_at_minus_infinity_gets_nothing_and_no_gradient(recwarn):
    x = Tensor(np.array([0.0, -np.inf, 0.0]), requires_grad=True)
    y = softmax(x)
    assert y.data.tolist() == [0.5, 0, 0.5]
    g = grad(y, [x], np.array([1.0, 5.0, 3.0]))[0]
    assert g.data.tolist() == [-0.5, 0, 0.5]
    assert log_softmax(x).data[1] == -np.inf
    assert not recwarn.list


@pytest.mark.parametrize("bad", [[-np.inf] * 3, [0.0, np.inf, 1.0], [0.0, np.nan, 1.0]])
def test_a_row_without_a_softmax_is_nan_and_leaves_its_neighbours_alone(bad):
    """D10."""
    rows = np.array([[0.0, 0.0, 0.0], bad])
    for y in (softmax(rows), np.exp(log_softmax(rows))):
        np.testing.assert_allclose(y[0], 1 / 3, rtol=1e-15)
        assert np.isnan(y[1, 1])
    assert np.isnan(softmax(rows)[1]).all()


def test_jacobian_is_diag_p_minus_p_p():
    x = Tensor(np.random.default_rng(5).standard_normal(6), requires_grad=True)
    p = softmax(x).data
    rows = [grad(softmax(x), [x], row)[0].data for row in np.eye(6)]
    np.testing.assert_allclose(rows, np.diag(p) - np.outer(p, p), rtol=1e-13, atol=1e-16)


def test_cross_entropy_gradient_is_probability_minus_one_hot():
    x = Tensor(np.random.default_rng(6).standard_normal((4, 5)), requires_grad=True)
    target = np.eye(5)[[0, 3, 3, 1]]
    g = grad(-(log_softmax(x) * target).sum(), [x])[0]
    np.testing.assert_allclose(g.data, softmax(x).data - target, rtol=1e-13, atol=1e-15)


def test_gradient_rows_sum_to_zero():
    """A shift does not change the result, so the gradient is orthogonal to it."""
    rng = np.random.default_rng(7)
    x = Tensor(rng.standard_normal((3, 4, 5)), requires_grad=True)
    for function in (softmax, log_softmax):
        g = grad(function(x, axis=1), [x], rng.standard_normal((3, 4, 5)))[0]
        np.testing.assert_allclose(g.data.sum(axis=1), 0, atol=1e-14)


def test_no_classes_give_an_empty_result():
    assert softmax(np.zeros((3, 0))).shape == log_softmax(np.zeros((3, 0))).shape == (3, 0)


def test_channels_last_memory_stays_channels_last():
    x = np.moveaxis(np.random.default_rng(8).standard_normal((2, 4, 5, 3)), 3, 1)
    assert softmax(x, axis=1).strides == log_softmax(x, axis=1).strides == x.strides
