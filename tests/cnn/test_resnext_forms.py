"""The three forms of a ResNeXt block: same results, same gradients, same numbers of weights; slips are refused."""

import math

import numpy as np
import pytest

from minicv import nn
from minicv.autograd import Tensor
from minicv.cnn.resnet import Bottleneck
from minicv.cnn.resnext_forms import (
    Branch,
    JoinedBranches,
    SummedBranches,
    as_bottleneck,
    block_weights,
    from_bottleneck,
    width_for,
)
from minicv.errors import ArgError

pytestmark = pytest.mark.ch2


def block(G=4, d=3, C=16):
    """Form (c) with norms that do something: their scales, shifts and running statistics are random."""
    rng = np.random.default_rng(0)
    made = Bottleneck(C, C // 4, groups=G, group_width=d * 256 // C, rng=rng).astype(np.float64)
    state = {k: v if v.ndim == 4 or not v.ndim else rng.uniform(0.5, 1.5, v.shape) for k, v in
             made.state_dict().items()}
    made.load_state_dict(state)
    return made


def run(form, x, weight, training):
    form.train(training).zero_grad()
    x = Tensor(x, requires_grad=True)
    y = form(x)
    (y * weight).sum().backward()
    return y.data, x.grad.data


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", [SummedBranches, JoinedBranches])
@pytest.mark.parametrize("G, d", [(1, 4), (2, 3), (4, 2)])
def test_results_and_all_gradients_of_the_forms_are_equal(form, G, d, training):
    rng, c = np.random.default_rng(1), block(G, d)
    other = from_bottleneck(form, c)
    x, weight = rng.standard_normal((2, 3, 16, 5, 6))
    (y, gx), (ours, ours_gx) = run(c, x, weight, training), run(other, x, weight, training)
    np.testing.assert_allclose(ours, y, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours_gx, gx, rtol=0, atol=1e-10)
    gradients, names = as_bottleneck(other, lambda p: p.grad.data), dict(c.named_parameters())
    assert gradients.keys() == names.keys()
    for name, p in names.items():
        np.testing.assert_allclose(gradients[name], p.grad.data, rtol=0, atol=1e-10)


@pytest.mark.parametrize("form", [SummedBranches, JoinedBranches])
def test_cutting_and_putting_together_are_inverse(form):
    c = block()
    whole = as_bottleneck(from_bottleneck(form, c), lambda p: p.data)
    assert all(np.array_equal(whole[name], p.data) for name, p in c.named_parameters())


def test_form_a_is_its_formula():
    """Without norms in the way: relu(x + sum over branches of w3 relu(w2 * relu(w1 x))), position by position."""
    rng = np.random.default_rng(2)
    form = SummedBranches(4, 2, 3, norm=lambda channels: Plain(), rng=rng).astype(np.float64)
    x = rng.standard_normal((1, 4, 3, 3))
    expected = x.copy()
    for branch, last in zip(form.branches, form.conv3):
        w1, w2, w3 = branch.conv1.weight.data[:, :, 0, 0], branch.conv2.weight.data, last.weight.data[:, :, 0, 0]
        a = np.pad(np.maximum(np.einsum("dc,nchw->ndhw", w1, x), 0), ((0, 0), (0, 0), (1, 1), (1, 1)))
        for i, j in np.ndindex(3, 3):
            b = np.maximum(np.einsum("odpq,dpq->o", w2, a[0, :, i:i + 3, j:j + 3]), 0)
            expected[0, :, i, j] += w3 @ b
    np.testing.assert_allclose(form(Tensor(x)).data, np.maximum(expected, 0), atol=1e-12)


class Plain(nn.Module):
    """In place of a norm: adds and rectifies, nothing else."""

    def forward(self, x, residual=None, activation=None):
        x = x if residual is None else x + residual
        return nn.ReLU()(x) if activation else x


@pytest.mark.parametrize("G, d", [(1, 64), (2, 40), (4, 24), (8, 14), (32, 4)])
def test_the_equation_of_the_width_and_the_published_widths(G, d):
    exact = width_for(256, G, 69_632)
    assert math.isclose(block_weights(256, G, exact), 69_632, rel_tol=1e-12) and math.ceil(exact - 0.05) == d
    convolutions = [p.size for p in SummedBranches(16, G, d, rng=0).parameters() if p.ndim == 4]
    assert sum(convolutions) == block_weights(16, G, d)


def test_slips_are_refused():
    with pytest.raises(ArgError, match="width_for: weights is 0"):
        width_for(256, 32, 0)
    with pytest.raises(ArgError, match="groups"):
        SummedBranches(16, 0, 4)
    with pytest.raises(ArgError, match="groups"):
        JoinedBranches(16, 2.5, 4)
    with pytest.raises(ArgError, match="block_weights: width is 0"):
        block_weights(256, 32, 0)
    with pytest.raises(ArgError, match="block_weights: groups is 1.5"):
        block_weights(256, 1.5, 4)
    with pytest.raises(ArgError, match="shape of x"):
        from_bottleneck(SummedBranches, Bottleneck(8, 4, groups=2, group_width=32, rng=0))


def test_a_branch_has_its_width():
    assert Branch(8, 3, rng=0)(np.zeros((2, 8, 5, 4), np.float32)).shape == (2, 3, 5, 4)
