"""Element-wise loops of float32.

Proved here: every function is within 3e-7 of Python's `math` (relatively, or of the largest term where terms
cancel) from the smallest to the largest finite results; special values, NaN included (D10); derivatives equal
those of the formulas in float64; layouts are kept, gaps and views are read right; float64 takes the formula; bytes
do not depend on the number of threads; an op gives the same as its formula, and so does its second derivative.
"""

import math

import numpy as np
import pytest

from minicv import autograd as A
from minicv.autograd import activation, elementwise
from minicv.kernels import elementary, get_num_threads, launch, set_num_threads

needs_compiler = pytest.mark.skipif(not launch.compiler_runs(), reason="the loops run compiled only")


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


FUNCTIONS = {
    "exp": math.exp, "sigmoid": sigmoid, "tanh": math.tanh, "softplus": softplus,
    "silu": lambda x: x * sigmoid(x), "mish": lambda x: x * math.tanh(softplus(x)),
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))}


def points():
    rng = np.random.default_rng(0)
    return np.concatenate([np.linspace(-87, 88, 3001), rng.uniform(-6, 6, 3001), rng.uniform(-1e-3, 1e-3, 501),
                           np.logspace(-30, -4, 201)]).astype(np.float32)


@needs_compiler
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_within_two_units_in_the_last_place(name):
    """Left of 0 gelu is a difference of numbers of size |x| / 2, of which the error is counted."""
    x = points()
    y = elementary.compute(name, None, x)
    expected = np.array([FUNCTIONS[name](float(v)) for v in x])
    size = np.abs(x) if name.startswith("gelu") else np.abs(expected)
    assert y.dtype == np.float32
    assert (np.abs(y - expected) <= 3.5e-7 * size + 1e-37).all()


@needs_compiler
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name):
    big = np.full(300, np.nan, np.float32)
    big[:6] = [np.inf, -np.inf, 0, 200, -200, 1e30]
    y = elementary.compute(name, None, big)
    assert np.isnan(y[6:]).all()
    product_at_minus_infinity = name in ("silu", "mish", "gelu", "gelu_tanh")       # -inf * 0
    right = {"exp": [np.inf, 0, 1, np.inf, 0, np.inf], "sigmoid": [1, 0, 0.5, 1, 0, 1], "tanh": [1, -1, 0, 1, -1, 1],
             "softplus": [np.inf, 0, np.float32(math.log(2)), 200, 0, 1e30]}
    expected = right.get(name, [np.inf, np.nan, 0, 200, 0, 1e30])
    np.testing.assert_allclose(y[:6], np.array(expected, np.float32), rtol=1e-7)
    assert np.isnan(y[1]) == product_at_minus_infinity


@needs_compiler
def test_exp_fades_into_subnormal_numbers_and_overflows_where_it_should():
    x = np.repeat(np.array([-103.2, -95.0, -88.0, 88.72, 88.73], np.float32), 60)
    y = elementary.compute("exp", None, x)
    np.testing.assert_allclose(y[:180], np.exp(x[:180].astype(np.float64)), atol=1.5e-45, rtol=3e-7)
    assert np.isfinite(y[180:240]).all() and np.isinf(y[240:]).all()


SLOPES = ["tanh", "sigmoid", "softplus", "silu", "mish", "gelu", "gelu_tanh", "relu"]


@needs_compiler
@pytest.mark.parametrize("name", SLOPES)
def test_derivatives_equal_those_in_float64(name):
    """First and second derivative of the op, float32 loops against float64 formulas; terms up to x^2 cancel."""
    settings = {"approximate": "tanh"} if name == "gelu_tanh" else {}
    op = getattr(activation, name.removesuffix("_tanh"), None) or getattr(elementwise, name)
    found = []
    for dtype in (np.float32, np.float64):
        x = A.Tensor(np.random.default_rng(0).uniform(-3, 3, (4, 8, 9, 3)).astype(dtype), requires_grad=True)
        y = op(x, **settings)
        first, = A.grad(y, [x], np.cos(np.arange(y.size)).reshape(y.shape).astype(dtype), retain_graph=True)
        slope, = A.grad(y, [x], np.ones(y.shape, dtype), create_graph=True)
        second = A.grad(slope.sum(), [x])[0].data if name != "relu" else 0
        found.append((y.data, first.data, slope.data, second))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=9 * 4e-7)


@needs_compiler
def test_layout_is_kept_and_gaps_are_read_right():
    x = np.random.default_rng(0).standard_normal((3, 8, 6, 5)).astype(np.float32)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    y = elementary.compute("exp", None, x)
    for other in (last, np.asfortranarray(x), x[::-1][::-1], np.repeat(x, 2, axis=3)[..., ::2]):
        z = elementary.compute("exp", None, other)
        np.testing.assert_array_equal(z, y)
        if other is last:
            assert z.strides == last.strides
    g = np.cos(np.arange(x.size, dtype=np.float32)).reshape(x.shape)
    np.testing.assert_array_equal(elementary.compute("gelu_slope", None, g, last),
                                  elementary.compute("gelu_slope", None, g, x))


def test_float64_small_and_mixed_arrays_take_the_formula():
    def formula(*arrays):
        return "formula"
    single = np.ones(1000, np.float32)
    for arrays in ((np.ones(1000),), (np.ones(3, np.float32),), (np.ones(1000), single), (single, np.ones(1000)),
                   (single[:1], single)):
        assert elementary.compute("exp", formula, *arrays) == "formula"


@needs_compiler
def test_bytes_do_not_depend_on_the_number_of_threads():
    x = np.random.default_rng(0).standard_normal(200_003).astype(np.float32)
    before = get_num_threads()
    found = []
    for n in (1, 2):
        set_num_threads(n)
        found.append(elementary.compute("gelu", None, x).tobytes())
    set_num_threads(before)
    assert found[0] == found[1]
