"""vjp, jvp, hvp, jacobian and hessian: against formulas, against each other, and differentiated again."""

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd.elementwise import exp, sin, tanh
from minicv.autograd.gradcheck import gradcheck
from minicv.autograd.linalg import matmul, solve
from minicv.autograd.transforms import hessian, hvp, jacobian, jvp, vjp
from minicv.errors import ArgError, GraphError, ShapeError

RNG = np.random.default_rng(0)
A, X, V, U = RNG.standard_normal((4, 3)), RNG.standard_normal(3), RNG.standard_normal(3), RNG.standard_normal(4)


def network(x):
    """x (3,) -> (4,), Jacobian diag(1 - tanh^2) A."""
    return tanh(matmul(A, x))


J = (1 - np.tanh(A @ X) ** 2)[:, None] * A


def test_products_with_the_Jacobian_match_the_formula():
    y, back = vjp(network, X, U)
    np.testing.assert_allclose(y.data, np.tanh(A @ X), rtol=1e-14)
    np.testing.assert_allclose(back.data, U @ J, rtol=1e-12)
    y, forth = jvp(network, X, V)
    np.testing.assert_allclose(y.data, np.tanh(A @ X), rtol=1e-14)
    np.testing.assert_allclose(forth.data, J @ V, rtol=1e-12)
    np.testing.assert_allclose(jacobian(network, X).data, J, rtol=1e-12)


def test_forward_and_backward_products_are_adjoint():
    """<J v, u> = <v, J^T u>."""
    left = (jvp(network, X, V)[1].data * U).sum()
    np.testing.assert_allclose(left, (vjp(network, X, U)[1].data * V).sum(), rtol=1e-12)


def test_jvp_agrees_with_a_central_difference():
    h = 1e-6
    numeric = (network(X + h * V) - network(X - h * V)) / (2 * h)
    np.testing.assert_allclose(jvp(network, X, V)[1].data, numeric, rtol=1e-8)


def test_a_tuple_of_inputs_gives_a_tuple_of_results():
    def fn(a, b):
        return exp(a) * b
    a, b = RNG.standard_normal(3), RNG.standard_normal(3)
    va, vb = RNG.standard_normal(3), RNG.standard_normal(3)
    ga, gb = vjp(fn, (a, b), np.ones(3))[1]
    np.testing.assert_allclose(ga.data, np.exp(a) * b)
    np.testing.assert_allclose(gb.data, np.exp(a))
    np.testing.assert_allclose(jvp(fn, (a, b), (va, vb))[1].data, np.exp(a) * (b * va + vb))
    ja, jb = jacobian(fn, (a, b))
    np.testing.assert_allclose(ja.data, np.diag(np.exp(a) * b))
    np.testing.assert_allclose(jb.data, np.diag(np.exp(a)))


def test_the_Jacobian_has_the_shape_of_the_result_and_of_the_input():
    x = RNG.standard_normal((2, 3))
    j = jacobian(lambda x: x.swapaxes(0, 1) * 2.0, x)
    assert j.shape == (3, 2, 2, 3)
    for i, k, m, n in np.ndindex(j.shape):
        assert j.data[i, k, m, n] == (2.0 if (i, k) == (n, m) else 0.0)
    assert jacobian(lambda x: x[:0], X).shape == (0, 3)
    assert jacobian(lambda x: x.sum(), X).shape == (3,)


def quadratic(x):
    return (x * matmul(S, x)).sum() * 0.5 + sin(x).sum()


S = A.T @ A
H = S - np.diag(np.sin(X))


def test_Hessian_and_its_products_match_the_formula():
    np.testing.assert_allclose(hessian(quadratic, X).data, H, rtol=1e-12)
    y, hv = hvp(quadratic, X, V)
    np.testing.assert_allclose(y.data, 0.5 * X @ S @ X + np.sin(X).sum(), rtol=1e-13)
    np.testing.assert_allclose(hv.data, H @ V, rtol=1e-12)


def test_the_blocks_of_a_Hessian_are_each_others_transposes():
    def fn(a, b):
        return (tanh(a) * exp(b)).sum() + (a.sum() * b.sum())
    a, b = RNG.standard_normal(2), RNG.standard_normal(2)
    (aa, ab), (ba, bb) = hessian(fn, (a, b))
    np.testing.assert_allclose(ab.data, ba.data.T, rtol=1e-12)
    np.testing.assert_allclose(ab.data, np.diag((1 - np.tanh(a) ** 2) * np.exp(b)) + 1, rtol=1e-12)
    np.testing.assert_allclose(bb.data, np.diag(np.tanh(a) * np.exp(b)), rtol=1e-12)
    va, vb = RNG.standard_normal(2), RNG.standard_normal(2)
    first, second = hvp(fn, (a, b), (va, vb))[1]
    np.testing.assert_allclose(first.data, aa.data @ va + ab.data @ vb, rtol=1e-12)
    np.testing.assert_allclose(second.data, ba.data @ va + bb.data @ vb, rtol=1e-12)


def test_linear_and_constant_functions_have_zero_Hessians():
    np.testing.assert_array_equal(hessian(lambda x: (x * 3.0).sum(), X).data, np.zeros((3, 3)))
    np.testing.assert_array_equal(hvp(lambda x: (x * 3.0).sum(), X, V)[1].data, np.zeros(3))
    np.testing.assert_array_equal(jvp(lambda x: Tensor(np.ones(2)), X, V)[1].data, np.zeros(2))
    np.testing.assert_array_equal(vjp(lambda a, b: a * 2.0, (X, V), U[:3])[1][1].data, np.zeros(3))
    np.testing.assert_array_equal(jacobian(lambda x: Tensor(np.ones(2)), X).data, np.zeros((2, 3)))


@pytest.mark.parametrize("make", [
    lambda x: vjp(network, x, U, create_graph=True)[1], lambda x: jvp(network, x, V, create_graph=True)[1],
    lambda x: hvp(quadratic, x, V, create_graph=True)[1], lambda x: jacobian(network, x, create_graph=True),
    lambda x: hessian(quadratic, x, create_graph=True), lambda x: vjp(network, x, U, create_graph=True)[0]])
def test_results_with_create_graph_are_differentiable_to_second_order(make):
    assert gradcheck(make, [X], order=2).passed


def test_the_direction_can_be_differentiated_too():
    v = Tensor(V, requires_grad=True)
    y = jvp(network, X, v, create_graph=True)[1]
    np.testing.assert_allclose(grad(y, [v], U)[0].data, U @ J, rtol=1e-12)


def test_an_implicit_layer_by_a_Newton_step_has_the_implicit_gradient():
    """x + x^3 = b has dx/db = 1 / (1 + 3 x^2); a Newton step at the solution carries it."""
    root = np.array([0.5, 1.0])
    b = Tensor(root + root**3, requires_grad=True)
    j = jacobian(lambda x: x + x * x * x, root)
    x = root + solve(j, b - (root + root**3))
    np.testing.assert_allclose(grad(x.sum(), [b])[0].data, 1 / (1 + 3 * root**2), rtol=1e-12)


def test_inputs_and_their_gradients_are_left_alone():
    x = Tensor(X, requires_grad=True)
    for run in (lambda: vjp(network, x, U), lambda: jvp(network, x, V), lambda: hvp(quadratic, x, V),
                lambda: jacobian(network, x), lambda: hessian(quadratic, x)):
        run()
        assert x.grad is None and x.requires_grad
    assert not vjp(network, x, U)[0].requires_grad and not jacobian(network, x).requires_grad


def test_float32_in_gives_float32_out():
    x = X.astype(np.float32)
    assert jacobian(lambda x: tanh(x), x).dtype == np.float32
    assert jvp(lambda x: tanh(x), x, np.ones(3))[1].dtype == np.float32


@pytest.mark.parametrize("call, error, match", [
    (lambda: hessian(network, X), ShapeError, r"hessian: fn returned shape \(4,\)"),
    (lambda: hvp(network, X, V), ShapeError, "hvp: fn returned"),
    (lambda: vjp(network, X), GraphError, "scalar"),
    (lambda: vjp(network, X, V), ShapeError, "gradient has shape"),
    (lambda: jvp(network, X, U), ShapeError, r"v\[0\] has shape \(4,\)"),
    (lambda: jvp(network, X, (V, V)), ArgError, "v has 2 entries, expected 1"),
    (lambda: jacobian(lambda x: x.data, X), GraphError, "returned ndarray"),
    (lambda: jacobian(network, np.arange(3)), ArgError, "input 0 has dtype int64")])
def test_bad_calls_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()
