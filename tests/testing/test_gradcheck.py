"""The checker itself: twenty planted mistakes are all caught, with every seed; good gradients never alarm.

Also: samples on a kink are refused instead of judged, the worst element is named, higher orders recurse,
float32 inputs and functions without a differentiable input are refused.
"""

import numpy as np
import pytest

from minicv.autograd import Tensor, array, expand, op
from minicv.autograd.elementwise import exp, maximum, mul, power, tanh
from minicv.autograd.gradcheck import gradcheck
from minicv.autograd.linalg import matmul
from minicv.errors import ArgError, DTypeError, GradientError, GraphError, MinicvError


def planted(forward, *rules, broadcast=False, **settings):
    """An op with the given, wrong, rules."""
    return op(broadcast=broadcast)(forward).vjp(*rules, **settings)


_calls = iter(range(10**9))


def _sign_of_one_element(g, y, x):
    flip = np.ones(x.shape)
    flip.flat[-1] = -1
    return g * flip


def _mean(x):
    return np.mean(x)


def _softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def _conv(x, w):
    return np.convolve(x, w[::-1], mode="valid")


def vector(rng):
    return [rng.uniform(0.5, 1.5, 5)]


def pair(rng):
    return [rng.uniform(0.5, 1.5, (3, 4)), rng.uniform(0.5, 1.5, (3, 4))]


def square(rng):
    return [rng.uniform(0.5, 1.5, (3, 3)), rng.uniform(0.5, 1.5, (3, 3))]


BUGS = {
    "relative error of 1e-5": (planted(lambda x: x * x, lambda g, y, x: g * 2 * x * (1 + 1e-5)), vector),
    "factor two": (planted(lambda x: x * x, lambda g, y, x: g * 4 * x), vector),
    "sign": (planted(lambda x: -x, lambda g, y, x: g), vector),
    "sign of one element": (planted(lambda x: x.copy(), _sign_of_one_element), vector),
    "zero gradient": (planted(lambda x: np.exp(x), lambda g, y, x: g * 0.0), vector),
    "NaN gradient": (planted(lambda x: np.exp(x), lambda g, y, x: g * np.nan), vector),
    "cotangent ignored": (planted(lambda x: x * 3.0, lambda g, y, x: g * 0.0 + 3.0), vector),
    "not repeatable": (planted(lambda x: x * 1.0, lambda g, y, x: g * (1 + 1e-6 * next(_calls))), vector),
    "float saved from forward": (planted(lambda x: np.exp(x), lambda g, y, x: g * np.exp(array(x))), vector),
    "detached argument": (planted(lambda x: x ** 3, lambda g, y, x: g * 3 * array(x) ** 2), vector),
    "differs when recorded": (planted(
        lambda x: x * x, lambda g, y, x: g * x * (2.0 if isinstance(x, np.ndarray) else 2.1)), vector),
    "missing 1/N": (planted(_mean, lambda g, y, x: expand(g, shape=x.shape), saves=()), vector),
    "chain factor": (planted(lambda x: np.tanh(x), lambda g, y, x: g * (1.0 - y), saves=("y",)), vector),
    "missing term of softmax": (planted(_softmax, lambda g, y, x: g * y, saves=("y",)), vector),
    "rules exchanged": (planted(lambda a, b: a * b, lambda g, y, a, b: g * a, lambda g, y, a, b: g * b), pair),
    "quotient rule": (planted(lambda a, b: a / b, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * a / b), pair),
    "weight not transposed": (planted(
        lambda a, b: a @ b, lambda g, y, a, b: matmul(g, b), lambda g, y, a, b: matmul(a.swapaxes(0, 1), g)), square),
    "kernel not flipped": (planted(
        _conv, lambda g, y, x, w: Tensor(np.convolve(g.data, w.data[::-1])) if isinstance(g, Tensor)
        else np.convolve(g, w[::-1]), lambda g, y, x, w: Tensor(np.convolve(x.data, g.data[::-1], "valid"))
        if isinstance(g, Tensor) else np.convolve(x, g[::-1], "valid")),
        lambda rng: [rng.uniform(0.5, 1.5, 6), rng.uniform(0.5, 1.5, 3)]),
    "wrong axis": (planted(
        lambda x: x.cumsum(0), lambda g, y, x: (g.swapaxes(0, 1) * 1.0)),
        lambda rng: [rng.uniform(0.5, 1.5, (3, 3))]),
    "off by one": (planted(lambda x: x * np.arange(5.0), lambda g, y, x: g * np.arange(1.0, 6.0)), vector),
    "mask at the wrong place": (planted(
        lambda x: np.where(x > 1, x, 0.0), lambda g, y, x: g * (array(x) > 0.9)),
        lambda rng: [np.array([0.95, 0.5, 1.2, 1.4])]),
}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", BUGS)
def test_planted_mistake_is_caught(name, seed):
    """K3: 20 of 20, every seed."""
    fn, inputs = BUGS[name]
    with pytest.raises(GradientError):
        gradcheck(fn, inputs(np.random.default_rng(seed)), order=2, rng=seed)


def test_there_are_at_least_twenty_planted_mistakes():
    assert len(BUGS) >= 20


def test_missing_broadcast_sum_is_a_graph_error():
    wrong = planted(lambda a, b: a * b, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
    with pytest.raises(GraphError, match="returned shape"):
        gradcheck(wrong, [np.ones((3, 4)), np.ones(4)])


def test_rule_that_returns_nothing_is_a_graph_error():
    """A29."""
    with pytest.raises(GraphError, match="returned NoneType"):
        gradcheck(planted(lambda x: x * 1.0, lambda g, y, x: None), [np.ones(3)])


@pytest.mark.parametrize("seed", range(50))
def test_good_gradients_never_alarm(seed):
    """K3: no false alarm on 200 good samples."""
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    for fn, inputs in ((lambda x, w: tanh(matmul(x, w)), [x, w]), (lambda x: exp(x) * x, [x]),
                       (lambda a, b: power(a, b), [np.abs(x) + 0.5, w[:, 0]]),
                       (lambda a: mul(a, a) / (1.0 + a * a), [w])):
        assert gradcheck(fn, inputs, order=2, rng=seed).passed


def test_relative_error_of_a_millionth_is_visible():
    """M17."""
    fn = planted(lambda x: x * x, lambda g, y, x: g * 2 * x * (1 + 1e-6))
    assert gradcheck(fn, [np.array([1.0, 2.0])], order=1, rtol=1e-5).passed
    assert not gradcheck(fn, [np.array([1.0, 2.0])], order=1, rtol=1e-7, raises=False).passed


@pytest.mark.parametrize("gap", [0.0, 0.0005, 0.0015])
def test_sample_on_a_kink_is_refused(gap):
    with pytest.raises(GradientError, match="kink"):
        gradcheck(lambda x: maximum(x, 0.0), [np.array([1.0, gap])], order=1)


def test_report_names_the_worst_element():
    report = gradcheck(BUGS["sign of one element"][0], [np.ones((2, 3))], order=1, raises=False)
    assert report.index == (1, 2) and "element [1, 2]" in str(report) and not report.passed


def test_large_inputs_are_checked_in_random_directions():
    rng = np.random.default_rng(0)
    good = [rng.standard_normal((10, 12)), rng.standard_normal((12, 9))]
    assert gradcheck(matmul, good).passed
    bad = planted(lambda x: x * x, lambda g, y, x: g * 2 * x * (1 + 1e-5))
    assert not gradcheck(bad, [good[0]], order=1, raises=False).passed


def test_third_order_recurses():
    assert gradcheck(lambda x: exp(x * x), [np.array([0.3, -0.4])], order=3).order <= 3
    def second(g, y, x):
        return g * np.exp(array(x)) if isinstance(g, Tensor) else g * np.exp(x)
    saved = op(lambda x: np.exp(x)).vjp(second)
    wrong_third = op(lambda x: np.exp(x)).vjp(lambda g, y, x: mul(g, saved(x)))
    assert gradcheck(wrong_third, [np.array([0.3])], order=2).passed
    with pytest.raises(GradientError):
        gradcheck(wrong_third, [np.array([0.3])], order=3)


@pytest.mark.parametrize("inputs, error", [
    ([np.ones(2, np.float32)], DTypeError), ([np.arange(3)], ArgError), ([2.0], ArgError)])
def test_inputs_that_cannot_be_checked_are_refused(inputs, error):
    with pytest.raises(error, match="gradcheck"):
        gradcheck(lambda x: x * 1.0, inputs)


def test_each_order_may_have_its_tolerance():
    """A rule that is wrong by 1e-6 passes at 1e-5 and fails at 1e-7; at 1e-16 rounding fails, in order 2 as well."""
    @op
    def wrong(x):
        return x ** 3
    wrong.vjp(lambda g, y, x: g * 3 * x * x * (1 + 1e-6))
    x = np.array([0.7, -1.2])
    assert gradcheck(wrong, [x], rtol=(1e-5, 1e-5)).passed
    for rtol, order in (((1e-7, 1e-5), 1), (1e-7, 1), ((1e-5, 1e-16), 2)):
        with pytest.raises(GradientError, match=f"order {order}"):
            gradcheck(wrong, [x], rtol=rtol, atol=0)


def test_order_below_one_is_refused():
    with pytest.raises(ArgError, match="order is 0"):
        gradcheck(exp, [np.ones(2)], order=0)


def test_gradient_error_is_an_assertion_and_a_minicv_error():
    assert issubclass(GradientError, AssertionError) and issubclass(GradientError, MinicvError)
