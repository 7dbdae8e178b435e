"""Element-wise ops beyond the generated suite.

Special values one by one (A22), `where` and the branch not taken (A21), broadcasting and aliasing (A15, A16),
result dtypes (A13, A14), identities between the functions, and the accuracy of the error function.
"""

import math

import numpy as np
import pytest

from minicv.autograd import Tensor, grad, op
from minicv.autograd import elementwise as e
from minicv.autograd.gradcheck import gradcheck
from minicv.errors import DTypeError, GradientError, GraphError, ShapeError


def slope(function, x, order=1):
    """Derivative of a function of one number, in float64; 0 when a lower one does not depend on it."""
    t = Tensor(np.array(x, dtype=np.float64), requires_grad=True)
    y = function(t)
    for _ in range(order):
        if not y.requires_grad:
            return 0.0
        (y,) = grad(y, [t], create_graph=True)
    return y.item()


# A22: special values ----------------------------------------------------------------------------------


def test_zero_times_infinity_is_nan():
    with np.errstate(invalid="ignore"):
        assert math.isnan(e.mul(np.array([0.0]), np.array([np.inf])).item())


def test_division_by_zero_is_signed_infinity_or_nan_without_a_warning(recwarn):
    y = e.div(np.array([1.0, -1.0, 0.0]), np.zeros(3))
    assert y[:2].tolist() == [math.inf, -math.inf] and math.isnan(y[2])
    assert not recwarn.list


def test_logarithm_of_zero_is_minus_infinity_with_infinite_slope():
    assert e.log(np.array(0.0)) == -math.inf
    assert slope(e.log, 0.0) == math.inf


def test_logarithm_of_a_negative_number_is_nan():
    assert math.isnan(e.log(np.array(-1.0)))


def test_square_root_at_zero_has_infinite_slope():
    """D2."""
    assert slope(e.sqrt, 0.0) == math.inf
    assert slope(lambda x: x ** 0.5, 0.0) == math.inf


@pytest.mark.parametrize("exponent, value, first, second", [(0, 1, 0, 0), (1, 0, 1, 0), (2, 0, 0, 2), (3, 0, 0, 0)])
def test_powers_at_zero(exponent, value, first, second):
    """x ** 0 is flat, x ** 1 has slope 1, x ** 2 curvature 2."""
    for b in (exponent, float(exponent), np.array([float(exponent)])):
        def f(x, b=b):
            return (x ** b).sum()
        assert f(Tensor(np.array(0.0))).item() == value
        assert slope(f, 0.0) == first
        assert slope(f, 0.0, order=2) == second


def test_zero_to_the_power_y_is_flat_in_y():
    for base in (0.0, np.array([0.0]), -2.0, np.array([-2.0])):
        assert slope(lambda y, a=base: e.power(a, y).sum(), 3.0) == 0
    assert slope(lambda y: e.power(0.0, y), 0.0) == 0


def test_mixed_derivative_of_a_power_at_exponent_zero():
    """d/da d/db a ** b = 1 / a at b = 0."""
    a, b = Tensor(np.array([2.0]), requires_grad=True), Tensor(np.array([0.0]), requires_grad=True)
    (ga,) = grad((a ** b).sum(), [a], create_graph=True)
    assert grad(ga.sum(), [b])[0].item() == 0.5


def test_angle_at_the_origin_is_zero_with_zero_derivatives():
    a, b = (Tensor(np.array([0.0]), requires_grad=True) for _ in range(2))
    y = e.arctan2(a, b)
    ga, gb = grad(y.sum(), [a, b], create_graph=True)
    assert (y.item(), ga.item(), gb.item()) == (0, 0, 0)
    assert grad((ga * gb + ga).sum(), [a])[0].item() == 0


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_angle_far_from_and_near_the_origin(size):
    """The squares would vanish or overflow: d/da = b / (a^2 + b^2)."""
    a, b = Tensor(np.array([3 * size]), requires_grad=True), Tensor(np.array([4 * size]), requires_grad=True)
    ga, gb = grad(e.arctan2(a, b).sum(), [a, b])
    np.testing.assert_allclose([ga.item() * size, gb.item() * size], [4 / 25, -3 / 25], rtol=1e-14)


@pytest.mark.parametrize("function, x, expected", [
    (e.absolute, 0.0, 0), (lambda x: e.maximum(x, 0.0), 0.0, 0.5), (lambda x: e.minimum(x, 0.0), 0.0, 0.5),
    (lambda x: e.clip(x, low=0, high=1), 0.0, 1), (lambda x: e.clip(x, low=0, high=1), 1.0, 1),
    (lambda x: e.clip(x, low=0, high=1), -0.1, 0), (lambda x: e.clip(x, high=1), 1.1, 0)])
def test_slope_at_a_kink_is_the_documented_one(function, x, expected):
    assert slope(function, x) == expected


def test_inverse_sine_and_cosine_have_infinite_slope_at_the_ends():
    assert slope(e.arcsin, 1.0) == math.inf and slope(e.arccos, 1.0) == -math.inf


@pytest.mark.parametrize("x", [-1000.0, 1000.0])
def test_saturated_functions_have_finite_values_and_slopes(x, recwarn):
    for function in (e.sigmoid, e.softplus, e.tanh, e.erf):
        assert math.isfinite(slope(function, x)) and math.isfinite(slope(function, x, order=2))
    assert e.softplus(np.array(1000.0)) == 1000 and e.softplus(np.array(-1000.0)) == 0
    assert not recwarn.list


def test_sigmoid_keeps_its_relative_precision_in_the_tail():
    x = np.array([-40.0, -200.0, -700.0])
    np.testing.assert_allclose(e.sigmoid(x), np.exp(x), rtol=1e-14)


# A21: where ---------------------------------------------------------------------------------------------


def test_where_forwards_the_chosen_branch_beside_a_nan():
    y = e.where(np.array([True, False]), np.array([1.0, np.nan]), np.array([np.nan, 2.0]))
    assert y.tolist() == [1, 2]


def test_where_lets_a_bad_slope_of_the_branch_not_taken_through_and_double_where_does_not():
    """A21: documented; the safe argument must be put in before the function."""
    def single(x):
        return e.where(x.data > 0, e.log(x), 0.0)

    def double(x):
        safe = e.where(x.data > 0, x, 1.0)
        return e.where(x.data > 0, e.log(safe), 0.0)
    assert single(Tensor(np.array(0.0))).item() == double(Tensor(np.array(0.0))).item() == 0
    assert math.isnan(slope(single, 0.0))
    assert slope(double, 0.0) == 0


# A15, A16: broadcasting and aliasing ----------------------------------------------------------------------


@pytest.mark.parametrize("a, b", [((2, 3), (3,)), ((2, 1), (1, 3)), ((), (4, 1, 2)), ((1, 1, 1, 1), (2,)),
                                  ((0, 3), (1, 3)), ((1,), (2, 0))])
def test_gradient_is_summed_back_to_each_shape(a, b):
    x, y = Tensor(np.ones(a), requires_grad=True), Tensor(np.full(b, 2.0), requires_grad=True)
    z = x * y
    gx, gy = grad(z, [x, y], np.ones(z.shape))
    assert gx.shape == a and gy.shape == b
    times = z.size / max(x.size, 1), z.size / max(y.size, 1)
    np.testing.assert_array_equal(gx.data, np.full(a, 2.0 * times[0]))
    np.testing.assert_array_equal(gy.data, np.full(b, times[1]))


@pytest.mark.parametrize("function, expected", [
    (lambda x: x * x, 6), (lambda x: x + x, 2), (lambda x: x - x, 0), (lambda x: x / x, 0),
    (lambda x: x ** x, 27 * (1 + math.log(3))), (lambda x: e.maximum(x, x), 1)])
def test_the_same_tensor_twice_counts_twice(function, expected):
    assert slope(function, 3.0) == pytest.approx(expected, rel=1e-14, abs=1e-14)


def test_shapes_that_do_not_broadcast_are_both_named():
    with pytest.raises(ShapeError, match=r"^mul: the arguments have shapes \(2, 3\) and \(4,\)"):
        Tensor(np.ones((2, 3))) * Tensor(np.ones(4))


# A13, A14: dtypes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [e.add, e.sub, e.mul, e.div, e.power, e.maximum, e.arctan2])
def test_mixed_precision_computes_in_float64_and_each_gradient_keeps_its_type(function):
    a = Tensor(np.array([1.5, 2.5], np.float32), requires_grad=True)
    b = Tensor(np.array([2.0, 3.0], np.float64), requires_grad=True)
    y = function(a, b)
    assert y.dtype == np.float64
    assert [g.dtype for g in grad(y.sum(), [a, b])] == [np.float32, np.float64]


@pytest.mark.parametrize("scalar", [2, 2.0, True, np.float64(2), np.float32(2), np.array(2.0), np.int64(2)])
@pytest.mark.parametrize("function", [e.add, e.sub, e.mul, e.div, e.power, e.maximum, e.arctan2])
def test_scalars_do_not_raise_the_precision(function, scalar):
    x = Tensor(np.array([1.5, 2.5], np.float32), requires_grad=True)
    for y in (function(x, scalar), function(scalar, x)):
        assert y.dtype == np.float32
        (g,) = grad(y.sum(), [x], create_graph=True)
        assert g.dtype == np.float32


def test_numpy_limits_do_not_raise_the_precision():
    x = np.array([0.5, 3.0], np.float32)
    assert e.clip(x, low=np.float64(0), high=np.float64(1)).dtype == np.float32


def test_integers_keep_exact_arithmetic_and_small_unsigned_ones_do_not_wrap():
    big = np.array([2 ** 60 + 1])
    assert e.add(Tensor(big), 1).data.tolist() == [2 ** 60 + 2]
    np.testing.assert_allclose(e.sigmoid(np.array([1], np.uint8)), 1 / (1 + math.exp(-1)), rtol=1e-15)


def test_complex_numbers_are_refused():
    with pytest.raises(DTypeError, match="complex128"):
        Tensor(np.ones(2)) * np.array([1j, 2j])


# Steps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [e.sign, e.floor])
def test_steps_cut_the_graph(step):
    """A10: no silent zero gradient; backward says that nothing depends on the input."""
    x = Tensor(np.array([1.5, -0.5]), requires_grad=True)
    assert not step(x).requires_grad
    with pytest.raises(GraphError, match="does not require a gradient"):
        step(x).sum().backward()
    np.testing.assert_array_equal(grad((x - step(x)).sum(), [x])[0].data, [1, 1])


# Identities ------------------------------------------------------------------------------------------------

X = np.linspace(-6, 6, 101)


@pytest.mark.parametrize("left, right", [
    (e.sigmoid(X) + e.sigmoid(-X), np.ones_like(X)), (e.softplus(X) - e.softplus(-X), X),
    (e.erf(X), -e.erf(-X)), (e.sin(X) ** 2 + e.cos(X) ** 2, np.ones_like(X)),
    (e.tan(X), e.sin(X) / e.cos(X)), (e.tanh(X), 2 * e.sigmoid(2 * X) - 1),
    (e.arctan(X), e.arctan2(X, np.ones_like(X))), (e.log1p(e.expm1(X)), X), (e.rsqrt(X * X + 1) ** -2, X * X + 1),
    (e.maximum(X, 1.0) + e.minimum(X, 1.0), X + 1), (e.absolute(X), e.maximum(X, -X)),
    (e.floor(X), -np.ceil(-X)), (e.absolute(X) * e.sign(X), X)],
    ids=lambda v: "")
def test_identity(left, right):
    np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-13)


def test_error_function_is_within_2_ulp_in_float64_and_1_in_float32():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-7, 7, 20000), rng.uniform(-1.1, 1.1, 20000), 10.0 ** rng.uniform(-300, 0, 500)])
    exact = np.array([math.erf(v) for v in x])
    assert np.max(np.abs(e.erf(x) - exact) / np.spacing(np.abs(exact))) <= 2
    small = x.astype(np.float32)
    exact = np.array([math.erf(v) for v in small.tolist()])
    y = e.erf(small)
    assert y.dtype == np.float32
    tiny = np.finfo(np.float32).smallest_subnormal
    assert np.max(np.abs(y - exact) / np.maximum(np.spacing(np.abs(exact).astype(np.float32)), tiny)) <= 1
    assert np.max(np.abs(y)) <= 1


def test_gradient_checker_sees_a_wrong_constant_in_the_error_functions_rule():
    @op
    def wrong_erf(x):
        return e.erf.forward(x)
    wrong_erf.vjp(lambda g, y, x: g * (1.1284 * e.exp(-(x * x))))      # 2 / sqrt(pi) = 1.12838
    with pytest.raises(GradientError):
        gradcheck(wrong_erf, [np.array([0.3, -0.7])])


def test_slope_of_the_error_function_is_the_gaussian():
    """Sharper than finite differences: 2 / sqrt(pi) exp(-x^2), to the last digits."""
    for x in (0.0, 0.5, -1.5):
        assert slope(e.erf, x) == pytest.approx(1.1283791670955126 * math.exp(-x * x), rel=1e-15)
