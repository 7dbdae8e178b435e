"""The scalar engine: the same expressions on Scalar, on Tensor and by finite differences; deep and shared graphs."""

import math

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd.elementwise import maximum
from minicv.autograd.scalar import Scalar


def relu(x):
    return x.relu() if isinstance(x, Scalar) else maximum(x, 0.0)


EXPRESSIONS = {
    "sum and product": lambda a, b: a * b + a - 2 * b + 3,
    "used twice": lambda a, b: a * a * b + a + a,
    "quotients": lambda a, b: a / b + 1 / a - b / 3,
    "powers": lambda a, b: a ** 3 + b ** -2 + a ** 0.5 + b ** 0,
    "differences": lambda a, b: (1 - a) - (a - b) - b - -a,
    "exp and log": lambda a, b: (a * b).exp() + (a + b * b).log(),
    "tanh": lambda a, b: (a * 2 - b).tanh() * a,
    "relu": lambda a, b: relu(a - b) + relu(b - a) * 2 + relu(a),
    "neuron": lambda a, b: (relu(a * 0.7 + b * -0.3 + 0.1) - 1) ** 2,
    "diamond": lambda a, b: (lambda c: c * c + c.tanh() * c)(a * b),
}
POINT = (1.3, 0.6)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_Scalar_Tensor_and_finite_differences_agree(name):
    f = EXPRESSIONS[name]
    a, b = Scalar(POINT[0]), Scalar(POINT[1])
    y = f(a, b)
    y.backward()
    tensors = [Tensor(np.float64(p), requires_grad=True) for p in POINT]
    z = f(*tensors)
    assert math.isclose(y.data, z.item(), rel_tol=1e-14)
    for got, g in zip((a.grad, b.grad), grad(z, tensors), strict=True):
        assert math.isclose(got, g.item(), rel_tol=1e-12)
    h = 1e-6
    for i, got in enumerate((a.grad, b.grad)):
        up, down = list(POINT), list(POINT)
        up[i], down[i] = up[i] + h, down[i] - h
        numeric = (f(*map(Scalar, up)).data - f(*map(Scalar, down)).data) / (2 * h)
        assert math.isclose(got, numeric, rel_tol=1e-6, abs_tol=1e-8)


def test_intermediate_numbers_have_gradients_too():
    x = Scalar(2.0)
    y = x * x
    z = y * 3 + y
    z.backward()
    assert (z.grad, y.grad, x.grad) == (1, 4, 16)


def test_a_second_backward_adds():
    x = Scalar(3.0)
    y = x * x + x
    y.backward()
    y.backward()
    assert x.grad == 2 * 7


def test_a_chain_deeper_than_the_stack():
    """A23."""
    x = Scalar(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert x.grad == 1 and y.data == 100_001


def test_a_diamond_of_thirty_levels_is_visited_once_per_number():
    """A25: 2**30 paths."""
    x = Scalar(1.0)
    y = x
    for _ in range(30):
        y = y + y
    y.backward()
    assert x.grad == 2**30


def test_relu_at_zero_is_flat_and_mistakes_are_errors_of_Python():
    x = Scalar(0.0)
    x.relu().backward()
    assert x.grad == 0
    with pytest.raises(ZeroDivisionError):
        Scalar(1.0) / Scalar(0.0)
    with pytest.raises(ValueError):
        Scalar(-1.0).log()


def test_a_line_is_fitted_by_gradient_descent():
    w, b = Scalar(0.0), Scalar(0.0)
    for _ in range(300):
        loss = sum(((w * x + b - (2 * x - 1)) ** 2 for x in (-1.0, 0.0, 1.0, 2.0)), start=0.0)
        w.grad = b.grad = 0.0
        loss.backward()
        w, b = Scalar(w.data - 0.05 * w.grad), Scalar(b.data - 0.05 * b.grad)
    assert abs(w.data - 2) < 1e-6 and abs(b.data + 1) < 1e-6
