"""Reductions beyond the generated suite.

Decisions on ties, empty arrays and points without a derivative (D1, D3, D4), NaN (D10), the special values of L16,
accuracy in float32 (K21), identities between the reductions, products with zeros, errors.
"""

import decimal
import warnings
from fractions import Fraction

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd import reduce as r
from minicv.autograd.softmax import softmax
from minicv.errors import ArgError, DTypeError, ShapeError


def gradient(function, x, **settings):
    t = Tensor(np.asarray(x, dtype=np.float64), requires_grad=True)
    y = function(t, **settings)
    return grad(y, [t], np.ones(y.shape))[0].data


# D3: ties -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function, sign", [(r.max, 1), (r.min, -1)])
def test_over_all_axes_tied_elements_share_the_gradient(function, sign):
    x = sign * np.array([[3.0, 1.0, 3.0], [3.0, 3.0, 2.0]])
    share = [[0.25, 0, 0.25], [0.25, 0.25, 0]]
    np.testing.assert_array_equal(gradient(function, x), share)
    np.testing.assert_array_equal(gradient(function, x, axis=(0, 1)), share)


@pytest.mark.parametrize("function, sign", [(r.max, 1), (r.min, -1)])
def test_along_one_axis_the_first_tied_element_gets_it_all(function, sign):
    x = sign * np.array([[3.0, 1.0, 3.0], [3.0, 3.0, 2.0]])
    np.testing.assert_array_equal(gradient(function, x, axis=1), [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(gradient(function, x, axis=0), [[1, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(gradient(function, x, axis=-1, keepdims=True), [[1, 0, 0], [1, 0, 0]])


def test_the_element_that_gets_the_gradient_is_the_one_argmax_names():
    x = np.random.default_rng(0).integers(0, 3, (6, 7)).astype(float)
    for axis in (0, 1):
        where = gradient(r.max, x, axis=axis).argmax(axis)
        np.testing.assert_array_equal(where, r.argmax(x, axis=axis))
        np.testing.assert_array_equal(gradient(r.min, x, axis=axis).argmax(axis), r.argmin(x, axis=axis))


def test_an_infinite_gradient_reaches_only_the_winner():
    t = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    assert grad(r.max(t, axis=0), [t], np.array(np.inf))[0].data.tolist() == [0, np.inf]


# D4: empty ----------------------------------------------------------------------------------------------


def test_empty_sum_product_norm_and_logsumexp_are_defined():
    empty = np.zeros((0, 3))
    assert r.sum(empty) == 0 and r.prod(empty) == 1 and r.norm(empty) == 0 and r.logsumexp(empty) == -np.inf
    for function in (r.sum, r.prod, r.norm, r.logsumexp):
        assert function(empty, axis=0).shape == (3,) and gradient(function, empty, axis=0).shape == (0, 3)


@pytest.mark.parametrize("function", [r.mean, r.var, r.std])
def test_empty_statistics_are_nan_with_a_warning(function):
    with pytest.warns(RuntimeWarning, match="empty"):
        assert np.isnan(function(np.zeros((0, 3)), axis=0)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert gradient(function, np.zeros((0, 3)), axis=0).shape == (0, 3)


def test_the_methods_argmax_and_argmin_are_the_functions():
    x = Tensor(np.array([[1.0, 3.0], [2.0, 0.0]]))
    for method, function in ((x.argmax, r.argmax), (x.argmin, r.argmin)):
        np.testing.assert_array_equal(method(axis=1, keepdims=True), function(x, axis=1, keepdims=True))
        with pytest.raises(ArgError, match="axis is 9"):
            method(9)
    with pytest.raises(ShapeError, match="argmax: x has shape"):
        Tensor(np.zeros(0)).argmax()


@pytest.mark.parametrize("function", [r.max, r.min, r.argmax, r.argmin])
@pytest.mark.parametrize("shape, axis", [((0,), None), ((0, 3), 0), ((2, 0), 1), ((0, 0), 1)])
def test_an_extreme_of_nothing_is_refused(function, shape, axis):
    with pytest.raises(ShapeError, match=r"x has shape .*expected at least one element"):
        function(np.zeros(shape), axis=axis)


def test_an_extreme_with_nothing_to_do_is_empty():
    assert r.max(np.zeros((0, 3)), axis=1).shape == r.argmin(np.zeros((0, 3)), axis=1).shape == (0,)


# D1, A22: no derivative ----------------------------------------------------------------------------------


def test_norm_at_zero_has_gradient_zero_beside_a_row_that_has_one():
    """D1."""
    np.testing.assert_allclose(gradient(r.norm, [[0.0, 0.0], [3.0, 4.0]], axis=1), [[0, 0], [0.6, 0.8]], rtol=1e-15)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e10, -3.3])
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_deviation_of_a_constant_is_exactly_zero_with_gradient_zero(value, size):
    """A22, L12."""
    for dtype in (np.float32, np.float64):
        x = np.full(size, value, dtype)
        assert r.std(x) == r.var(x) == 0
        assert not r.center(x).any()
    np.testing.assert_array_equal(gradient(r.std, np.full(size, value)), 0)
    np.testing.assert_array_equal(gradient(r.var, np.full(size, value)), 0)


def test_second_derivative_at_those_points_is_finite():
    for function in (r.norm, r.std):
        t = Tensor(np.zeros(3), requires_grad=True)
        (g,) = grad(function(t), [t], create_graph=True)
        assert np.isfinite(grad(g, [t], np.array([1.0, 2.0, 3.0]))[0].data).all()


# D10: NaN -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [r.sum, r.prod, r.mean, r.var, r.std, r.max, r.min, r.norm, r.logsumexp, r.cumsum])
def test_nan_at_any_position_makes_its_row_nan_and_no_other(function):
    for at in range(3):
        x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        x[0, at] = np.nan
        y = function(x, axis=1)
        assert np.isnan(y[0]).any() and not np.isnan(y[1]).any()


def test_nan_wins_and_gets_the_gradient():
    x = np.array([1.0, np.nan, 3.0, np.nan])
    assert r.argmax(x) == r.argmin(x) == 1
    assert gradient(r.max, x, axis=0).tolist() == [0, 1, 0, 0]
    assert gradient(r.min, x).tolist() == [0, 0.5, 0, 0.5]


# L16: log-sum-exp --------------------------------------------------------------------------------------------


def test_logsumexp_of_huge_and_infinite_values(recwarn):
    inf = np.inf
    assert r.logsumexp(np.array([1e4, 1e4])) == 1e4 + np.log(2)
    assert r.logsumexp(np.array([-1e4, -1e4])) == -1e4 + np.log(2)
    assert r.logsumexp(np.array([-inf, -inf])) == -inf
    assert r.logsumexp(np.array([-inf, 3.0])) == 3
    assert r.logsumexp(np.array([1.0, inf])) == inf
    assert gradient(r.logsumexp, [-inf, -inf]).tolist() == [0, 0]
    assert gradient(r.logsumexp, [-inf, 3.0]).tolist() == [0, 1]
    assert not recwarn.list


def test_an_all_minus_infinity_row_does_not_spoil_the_second_derivative():
    t = Tensor(np.array([[-np.inf, -np.inf], [0.0, 1.0]]), requires_grad=True)
    (g,) = grad(r.logsumexp(t, axis=1), [t], np.ones(2), create_graph=True)
    assert np.isfinite(grad(g, [t], np.array([[1.0, 2.0], [3.0, 4.0]]))[0].data).all()


def test_logsumexp_is_within_2_ulp():
    """K21, against 60 digits; in float32 also where maximum and logarithm cancel."""
    rng = np.random.default_rng(1)
    rows = [(np.float32, 3 * rng.standard_normal(50) - shift) for shift in (0, 4, 6.4, 100)]
    rows += [(np.float64, 3 * rng.standard_normal(50) + shift) for shift in (0, 5, 1000)]
    rows += [(np.float32, np.log(np.full(n, 1 / n)) + 1e-3) for n in (2, 3, 10)]
    for dtype, x in rows:
        x = x.astype(dtype)
        with decimal.localcontext(prec=60):
            exact = float(sum(decimal.Decimal(v).exp() for v in x.tolist()).ln())
        assert abs(float(r.logsumexp(x)) - exact) <= 2 * np.spacing(dtype(abs(exact)))


# K21: accuracy -----------------------------------------------------------------------------------------------


def exact_variance(x):
    values = [Fraction(v) for v in x.ravel().tolist()]
    mean = sum(values) / len(values)
    return float(sum((v - mean) ** 2 for v in values) / len(values))


def test_variance_at_mean_over_deviation_1e4_in_float32():
    rng = np.random.default_rng(2)
    x = (1e4 + rng.standard_normal(5000)).astype(np.float32)
    exact = exact_variance(x)
    assert r.var(x).dtype == np.float32
    assert abs(float(r.var(x)) / exact - 1) <= 1e-6
    assert abs(float(r.std(x)) ** 2 / exact - 1) <= 1e-6
    naive = np.mean(x * x) - np.mean(x) ** 2
    assert abs(float(naive) / exact - 1) > 1e-2                # the formula that is not used


def test_gradient_of_the_variance_at_mean_over_deviation_1e4_in_float32():
    x = (1e4 + np.random.default_rng(3).standard_normal(500)).astype(np.float32)
    t = Tensor(x, requires_grad=True)
    exact = 2 / 500 * (x.astype(np.float64) - x.astype(np.float64).mean())
    for graph in (False, True):
        g = grad(r.var(t), [t], create_graph=graph)[0].data
        np.testing.assert_allclose(g, exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max())


def test_mean_of_many_float32_is_rounded_once():
    x = np.random.default_rng(4).uniform(0, 1, (100000, 3)).astype(np.float32)
    for axis in (None, 0):
        exact = x.astype(np.float64).mean(axis)
        np.testing.assert_array_equal(r.mean(x, axis=axis), exact.astype(np.float32))


def test_cumsum_of_float32_does_not_drift():
    x = np.full(200000, 0.1, np.float32)
    assert r.cumsum(x)[-1] == np.float32(200000 * float(np.float32(0.1)))


def test_norm_of_float32_neither_overflows_nor_vanishes(recwarn):
    assert r.norm(np.array([3e30, 4e30], np.float32)) == np.float32(5e30)
    np.testing.assert_allclose(r.norm(np.array([3e-30, 4e-30], np.float32)), 5e-30, rtol=1e-6)
    assert not recwarn.list


@pytest.mark.parametrize("function", [r.sum, r.prod, r.mean, r.var, r.std, r.max, r.min, r.norm, r.logsumexp, r.cumsum,
                                      r.center])
def test_float32_stays_float32_through_both_derivatives(function):
    """S8."""
    x = Tensor(np.array([[1.5, 2.0, -1.0], [0.5, 3.0, 1.0]], np.float32), requires_grad=True)
    for settings in ({"axis": 0}, {}):
        y = function(x, **settings)
        (g,) = grad(y, [x], np.ones(y.shape), create_graph=True)
        assert y.dtype == g.dtype == np.float32


# Identities ---------------------------------------------------------------------------------------------------

X = np.random.default_rng(5).permutation(60).reshape(3, 4, 5) / 7.0 - 4.1


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (0, 1, 2), ()])
def test_identities_over_any_axes(axis):
    n = X.size / r.sum(X, axis=axis).size
    pairs = [
        (r.max(-X, axis=axis), -r.min(X, axis=axis)),
        (r.mean(X, axis=axis) * n, r.sum(X, axis=axis)),
        (r.var(X + 1000, axis=axis), r.var(X, axis=axis)),
        (r.var(-3 * X, axis=axis), 9 * r.var(X, axis=axis)),
        (r.std(X, axis=axis) ** 2, r.var(X, axis=axis)),
        (r.var(X, axis=axis), r.mean(X * X, axis=axis) - r.mean(X, axis=axis) ** 2),
        (r.norm(X, axis=axis) ** 2, r.sum(X * X, axis=axis)),
        (r.norm(-2 * X, axis=axis), 2 * r.norm(X, axis=axis)),
        (r.logsumexp(X + 7, axis=axis), r.logsumexp(X, axis=axis) + 7),
        (r.prod(np.exp(X / 9), axis=axis), np.exp(r.sum(X / 9, axis=axis))),
        (r.norm(r.center(X, axis=axis), axis=axis) ** 2, n * r.var(X, axis=axis)),
    ]
    for left, right in pairs:
        np.testing.assert_allclose(left, right, rtol=1e-11, atol=1e-11)


def test_keepdims_only_changes_the_shape():
    for function in (r.sum, r.mean, r.var, r.std, r.max, r.min, r.prod, r.norm, r.logsumexp):
        for axis, shape in ((None, (1, 1, 1)), (1, (3, 1, 5)), ((0, -1), (1, 4, 1))):
            kept = function(X, axis=axis, keepdims=True)
            assert kept.shape == shape
            np.testing.assert_array_equal(kept.ravel(), np.ravel(function(X, axis=axis)))


def test_cumsum_ends_in_the_sum_and_backwards_is_the_mirror_image():
    np.testing.assert_allclose(r.cumsum(X, axis=1)[:, -1], r.sum(X, axis=1), rtol=1e-14)
    mirrored = r.cumsum(X[:, ::-1], axis=1)[:, ::-1]
    np.testing.assert_allclose(r.cumsum(X, axis=1, reverse=True), mirrored, rtol=1e-14)


def test_gradient_of_logsumexp_is_softmax():
    np.testing.assert_allclose(gradient(r.logsumexp, X, axis=1), softmax(X, axis=1), rtol=1e-13)


def test_second_derivative_of_a_linear_reduction_is_absent():
    """Its gradient does not depend on the input at all."""
    t = Tensor(X, requires_grad=True)
    for function in (r.sum, r.mean):
        (g,) = grad(function(t), [t], create_graph=True)
        assert not g.requires_grad or grad(g.sum(), [t], allow_unused=True)[0] is None


def test_derivatives_of_a_product_with_one_two_and_three_zeros():
    """d/dx_i = product of the others; d^2 / dx_i dx_j = product of all but these two."""
    for x in ([2.0, 0.0, 5.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]):
        others = [np.prod(np.delete(x, i)) for i in range(3)]
        np.testing.assert_array_equal(gradient(r.prod, x), others)
        t = Tensor(np.array(x), requires_grad=True)
        (g,) = grad(r.prod(t), [t], create_graph=True)
        hessian = [grad(g, [t], row, retain_graph=True)[0].data for row in np.eye(3)]
        expected = [[0 if i == j else x[3 - i - j] for j in range(3)] for i in range(3)]
        np.testing.assert_array_equal(hessian, expected)


# Positions and errors -----------------------------------------------------------------------------------------


def test_positions_are_int64_arrays_also_for_tensors():
    for function in (r.argmax, r.argmin):
        for x in (X, Tensor(X, requires_grad=True)):
            for settings in ({}, {"axis": 1}, {"axis": 1, "keepdims": True}):
                where = function(x, **settings)
                assert type(where) is np.ndarray and where.dtype == np.int64
        assert function(X, axis=1, keepdims=True).shape == (3, 1, 5)
        assert X.flat[function(X)] == (X.max() if function is r.argmax else X.min())


@pytest.mark.parametrize("function", [r.argmax, r.argmin])
def test_positions_refuse_axes_that_do_not_exist(function):
    for axis, error in ((3, ArgError), (-4, ArgError), ((0, 1), DTypeError), (1.5, DTypeError), (True, DTypeError)):
        with pytest.raises(error, match=rf"{function.__name__}: axis is "):
            function(X, axis=axis)


def test_one_value_has_a_variance_but_no_sample_variance():
    assert r.var(np.array([3.0])) == 0
    with pytest.raises(ArgError, match="var: ddof is 1, expected 0 <= ddof < 1"):
        r.var(np.array([3.0]), ddof=1)


def test_lists_and_integers_are_taken_as_numbers():
    assert r.mean(np.array([1, 2])) == 1.5 and r.sum(np.array([1, 2])).dtype == np.int64
    assert r.prod(np.array([2, 3, 4])) == 24 and r.cumsum(np.array([1, 2])).tolist() == [1, 3]
