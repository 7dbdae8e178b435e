"""Special values and warnings of the losses (D5, L15-L18); ordinary values are in the op registry."""

import numpy as np
import pytest

from minicv import nn
from minicv.autograd import Tensor
from minicv.errors import ArgError, ShapeError


@pytest.mark.parametrize("call", [
    lambda x: nn.cross_entropy(x, np.full(3, -1)),
    lambda x: nn.cross_entropy(x, np.zeros(3, int), weight=np.array([0.0, 1.0])),       # L15: weights sum to 0
    lambda x: nn.cross_entropy(x, np.full(3, -1), label_smoothing=0.1),                 # L15: smoothing and ignore
    lambda x: nn.multiclass_hinge(x, np.full(3, -1)),
    lambda x: nn.mse(x[:0], np.zeros((0, 2))),
    lambda x: nn.focal_loss(x[:0], np.zeros((0, 2), bool)),
])
def test_a_mean_over_nothing_is_zero_with_a_zero_gradient_and_one_warning(call):
    """D5."""
    x = Tensor(np.ones((3, 2)), requires_grad=True)
    with pytest.warns(UserWarning, match="no target is kept") as seen:
        loss = call(x)
    loss.backward()
    assert loss.item() == 0 and not x.grad.data.any() and len(seen) == 1


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ignored_positions_count_for_nothing_in_every_reduction(reduction):
    """L15."""
    x = np.random.default_rng(0).standard_normal((4, 3))
    t = np.array([2, -1, 0, -1])
    full = nn.cross_entropy(x, t, reduction=reduction)
    part = nn.cross_entropy(x[[0, 2]], t[[0, 2]], reduction=reduction)
    if reduction == "none":
        np.testing.assert_array_equal(full[[1, 3]], 0)
        full = full[[0, 2]]
    np.testing.assert_allclose(full, part, rtol=1e-15)
    z = Tensor(x, requires_grad=True)
    nn.cross_entropy(z, t).backward()
    assert not z.grad.data[[1, 3]].any() and z.grad.data[[0, 2]].all()


def test_huge_logits_are_exact():
    """L16, L17."""
    assert nn.cross_entropy(np.array([[1e4, -1e4]], np.float32), np.array([1])) == 20000
    z = Tensor(np.array([1000.0, 1000.0, -1000.0], np.float32), requires_grad=True)
    loss = nn.binary_cross_entropy_with_logits(z, np.array([0, 1, 1]), reduction="none")
    np.testing.assert_array_equal(loss.data, [1000, 0, 1000])
    loss.sum().backward()
    np.testing.assert_array_equal(z.grad.data, [1, 0, -1])
    z = Tensor(np.array([-20.0, 20.0], np.float32), requires_grad=True)      # sure and right: tiny, but not 0
    loss = nn.binary_cross_entropy_with_logits(z, np.array([0, 1]), reduction="none")
    np.testing.assert_allclose(loss.data, np.log1p(np.exp(-20.0)), rtol=1e-6)
    loss.sum().backward()
    np.testing.assert_allclose(z.grad.data, [np.exp(-20.0), -np.exp(-20.0)], rtol=1e-6)
    for gamma in (0.0, 0.5, 2.0):
        z = Tensor(np.array([500.0, -500.0, 500.0, -500.0]), requires_grad=True)
        loss = nn.focal_loss(z, np.array([1, 0, 0, 1]), alpha=None, gamma=gamma, reduction="none")
        np.testing.assert_allclose(loss.data, [0, 0, 500, 500], atol=1e-200)
        loss.sum().backward()
        assert np.isfinite(z.grad.data).all()


def test_impossible_classes_have_no_weight_and_no_nan():
    """L16: -inf logits."""
    x = Tensor(np.array([[0.0, -np.inf, 1.0]]), requires_grad=True)
    loss = nn.cross_entropy(x, np.array([0]))
    loss.backward()
    assert loss.item() == pytest.approx(np.log(1 + np.e), rel=1e-15) and x.grad.data[0, 1] == 0
    p = Tensor(np.array([[0.0, -np.inf, 0.0]]), requires_grad=True)
    q = Tensor(np.zeros((1, 3)), requires_grad=True)
    kl = nn.kl_divergence(p, q)
    kl.backward()
    assert kl.item() == pytest.approx(np.log(1.5), rel=1e-15)
    assert np.isfinite(p.grad.data).all() and np.isfinite(q.grad.data).all()


@pytest.mark.parametrize("loss", [nn.mse, nn.l1, nn.huber, nn.smooth_l1, nn.binary_cross_entropy_with_logits,
                                  nn.focal_loss, nn.hinge, nn.dice_loss])
def test_a_column_against_a_row_is_an_error_and_not_a_matrix(loss):
    """L18."""
    for a, b in (((4, 1), (4,)), ((4,), (4, 1)), ((4,), ()), ((2, 2), (1, 2))):
        with pytest.raises(ShapeError, match="expected"):
            loss(np.ones(a), np.ones(b))


def test_the_first_bad_label_is_named_by_its_position():
    """L15."""
    with pytest.raises(ArgError, match=r"target\[1, 0, 2\] is 5, expected a class in \[0, 5\) or ignore_index = -1"):
        t = np.zeros((2, 3, 4), int)
        t[1, 0, 2] = 5
        nn.cross_entropy(np.zeros((2, 5, 3, 4)), t)


def test_the_stated_gradients_hold():
    """The formulas in the docstrings, evaluated independently."""
    rng = np.random.default_rng(0)
    z, t = rng.standard_normal((1, 5)), np.array([3])
    x = Tensor(z, requires_grad=True)
    nn.cross_entropy(x, t).backward()
    softmax = np.exp(z) / np.exp(z).sum()
    np.testing.assert_allclose(x.grad.data, softmax - np.eye(5)[t], atol=1e-15)
    s = 1 / (1 + np.exp(-z))
    y = rng.integers(0, 2, z.shape)
    x = Tensor(z, requires_grad=True)
    nn.binary_cross_entropy_with_logits(x, y, pos_weight=3.0, reduction="sum").backward()
    np.testing.assert_allclose(x.grad.data, (1 - y) * s - 3 * y * (1 - s), atol=1e-15)
    x = Tensor(z, requires_grad=True)
    nn.focal_loss(x, y, alpha=0.25, gamma=2.0, reduction="sum").backward()
    p, sign = np.where(y, s, 1 - s), np.where(y, 1, -1)
    stated = np.where(y, 0.25, 0.75) * (1 - p) ** 2 * (2 * p * np.log(p) + p - 1)
    np.testing.assert_allclose(x.grad.data, sign * stated, atol=1e-14)
    x = Tensor(z, requires_grad=True)
    nn.dice_loss(x, y, smooth=0.5).backward()
    overlap, total = (s * y).sum(), s.sum() + y.sum()
    stated = (2 * overlap + 0.5) / (total + 0.5) ** 2 - 2 * y / (total + 0.5)
    np.testing.assert_allclose(x.grad.data, stated * s * (1 - s), atol=1e-15)
    q = Tensor(z, requires_grad=True)
    other = rng.standard_normal((1, 5))
    nn.kl_divergence(other, q).backward()
    np.testing.assert_allclose(q.grad.data, softmax - np.exp(other) / np.exp(other).sum(), atol=1e-15)
    x = Tensor(z, requires_grad=True)
    nn.multiclass_hinge(x, t).backward()
    violated = (1 + z - z[0, 3] > 0) & (np.arange(5) != 3)
    np.testing.assert_array_equal(x.grad.data, violated - np.eye(5)[t] * violated.sum())
