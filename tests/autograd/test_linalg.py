"""Matrix products, Einstein sums, inverses: identities, memory, bookkeeping.

Values, gradients and errors of every op come from the cases in `minicv/testing/cases/linalg.py`.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicv.autograd import Tensor, grad
from minicv.autograd.gradcheck import gradcheck
from minicv.autograd.linalg import einsum, inv, matmul, solve
from minicv.errors import ArgError, ShapeError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_a_weight_shared_by_a_batch_gets_the_sum_of_the_gradients():
    x, w = Tensor(normal(5, 4, 3)), Tensor(normal(3, 2, seed=1), requires_grad=True)
    g = normal(5, 4, 2, seed=2)
    expected = sum(x.data[i].T @ g[i] for i in range(5))
    np.testing.assert_allclose(grad(x @ w, [w], g)[0].data, expected, rtol=1e-12)


def test_matmul_of_float32_stays_float32_and_so_do_its_gradients():
    x, w = (Tensor(normal(3, 3).astype(np.float32), requires_grad=True) for _ in range(2))
    y = x @ w
    assert y.dtype == np.float32 and {g.dtype for g in grad(y.sum(), [x, w])} == {np.dtype(np.float32)}


def test_matmul_is_associative_and_turns_under_transposition():
    a, b, c = normal(2, 3, 4), normal(4, 5), normal(5, 2)
    np.testing.assert_allclose(matmul(matmul(a, b), c), matmul(a, matmul(b, c)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(matmul(a, b).swapaxes(-1, -2), matmul(b.T, a.swapaxes(-1, -2)), rtol=1e-12, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_einsum_agrees_with_NumPy_on_drawn_subscripts_and_is_the_adjoint_of_its_rule(data):
    """<einsum(.., x_k, ..), g> = <x_k, gradient> for every operand: the sum is linear in each."""
    sizes = {c: data.draw(st.integers(1, 3)) for c in "ijkl"}
    label = st.lists(st.sampled_from("ijkl"), max_size=3, unique=True).map("".join)
    terms = data.draw(st.lists(label, min_size=1, max_size=3))
    used = sorted(set("".join(terms)))
    out = "".join(data.draw(st.permutations(used)))[:data.draw(st.integers(0, len(used)))]
    subscripts = ",".join(terms) + "->" + out
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal([sizes[c] for c in term]) for term in terms]
    tensors = [Tensor(x, requires_grad=True) for x in xs]
    y = einsum(subscripts, *tensors)
    np.testing.assert_allclose(y.data, np.einsum(subscripts, *xs, optimize=False), atol=1e-12)
    g = rng.standard_normal(y.shape)
    for x, gx in zip(xs, grad(y, tensors, g), strict=True):
        np.testing.assert_allclose((y.data * g).sum(), (x * gx.data).sum(), atol=1e-11)


def test_einsum_of_one_tensor_with_itself_to_third_order():
    x = normal(3, 3)
    assert gradcheck(lambda x: einsum("ij,jk,kl->il", x, x, x), [x], order=3).passed


def test_einsum_writes_attention_as_matmul_does():
    q, k = normal(2, 4, 3), normal(2, 5, 3)
    np.testing.assert_allclose(einsum("bqd,bkd->bqk", q, k), matmul(q, k.swapaxes(1, 2)), atol=1e-12)


def test_einsum_with_an_operand_that_needs_no_gradient():
    x, w = Tensor(normal(2, 3)), Tensor(normal(3, 4), requires_grad=True)
    np.testing.assert_allclose(grad(einsum("ij,jk->ik", x, w).sum(), [w])[0].data, x.data.T @ np.ones((2, 4)))


def test_inverse_and_solve_satisfy_their_definitions():
    a, b = normal(4, 3, 3) + 3 * np.eye(3), normal(4, 3, 2)
    np.testing.assert_allclose(a @ inv(a), np.broadcast_to(np.eye(3), a.shape), atol=1e-12)
    np.testing.assert_allclose(a @ solve(a, b), b, atol=1e-12)
    np.testing.assert_allclose(solve(a, b), inv(a) @ b, atol=1e-12)


def test_the_gradient_of_a_solution_is_that_of_the_inverse_times_b():
    a, b = normal(3, 3) + 3 * np.eye(3), normal(3)
    at, bt = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    g = normal(3, seed=5)
    for u, v in zip(grad(solve(at, bt), [at, bt], g), grad(inv(at) @ bt, [at, bt], g), strict=True):
        np.testing.assert_allclose(u.data, v.data, atol=1e-12)


@pytest.mark.parametrize("call", [inv, lambda a: solve(a, np.ones(2)), lambda a: solve(a, np.ones((2, 3)))])
def test_a_singular_matrix_in_a_batch_is_named(call):
    a = np.stack([np.eye(2), np.eye(2), [[1.0, 2.0], [2.0, 4.0]]])
    with pytest.raises(ArgError, match=r"singular matrix at \(2,\)"):
        call(a)


def test_NaN_passes_through_inverse_and_solve():
    a = np.full((2, 2), np.nan)
    assert np.isnan(inv(a)).all() and np.isnan(solve(a, np.ones(2))).all()


def test_the_message_names_both_inner_sizes():
    with pytest.raises(ShapeError, match=r"a has 3 columns, b has 4 rows"):
        Tensor(np.ones((2, 3))) @ Tensor(np.ones((4, 2)))
