"""Layers that remember something: batch norm, dropout, stochastic depth.

Batch norm: statistics against loops, one update per training forward and none in evaluation (L13), cumulative
average, one value per channel refused (L11), large means and constant channels (L12). Dropout: scaling,
streams, p = 1 (L14), evaluation draws nothing.
"""

import copy

import numpy as np
import pytest

from minicv import nn
from minicv.autograd import Tensor, no_grad
from minicv.errors import ShapeError


def images(seed=0, shape=(4, 3, 5, 2), dtype=np.float32):
    return np.random.default_rng(seed).normal(2, 3, shape).astype(dtype)


# Batch norm ----------------------------------------------------------------------------------------------


def test_running_statistics_follow_the_definition():
    norm, mean, var = nn.BatchNorm2d(3, momentum=0.25), [0.0] * 3, [1.0] * 3
    for step in range(3):
        x = images(step)
        norm(x)
        for c in range(3):
            values = [float(v) for v in x[:, c].ravel()]
            m = sum(values) / len(values)
            v = sum((a - m) ** 2 for a in values) / (len(values) - 1)          # unbiased
            mean[c], var[c] = 0.75 * mean[c] + 0.25 * m, 0.75 * var[c] + 0.25 * v
    np.testing.assert_allclose(norm.running_mean.data, mean, rtol=1e-5)
    np.testing.assert_allclose(norm.running_var.data, var, rtol=1e-5)
    assert norm.num_batches_tracked.item() == 3
    y = norm.eval()(x)
    expected = (x[1, 2, 3, 1] - mean[2]) / (var[2] + 1e-5) ** 0.5
    assert y.data[1, 2, 3, 1] == pytest.approx(expected, rel=1e-5)


def test_without_momentum_all_batches_weigh_the_same():
    """L12: momentum=None."""
    norm = nn.BatchNorm2d(3, momentum=None)
    for step in range(4):
        norm(images(step))
    means = np.mean([images(s).mean(axis=(0, 2, 3), dtype=np.float64) for s in range(4)], axis=0)
    np.testing.assert_allclose(norm.running_mean.data, means, rtol=1e-5)


def test_statistics_move_once_for_each_training_forward_and_never_in_evaluation():
    """L13."""
    norm = nn.BatchNorm2d(3)

    def count():
        return norm.num_batches_tracked.item(), norm.running_mean.data.copy()
    norm.eval()
    with no_grad():
        norm(images())
    with norm.evaluating():
        norm(images())
    assert count()[0] == 0 and not count()[1].any()
    norm.train()
    y = norm(Tensor(images(), requires_grad=True))
    after = count()
    y.sum().backward()
    assert count()[0] == after[0] == 1
    np.testing.assert_array_equal(count()[1], after[1])
    norm.freeze()
    norm(images())
    assert count()[0] == 2                              # freezing parameters is not evaluation


def test_one_value_per_channel_is_refused_in_training_and_fine_in_evaluation():
    """L11."""
    norm, x = nn.BatchNorm2d(3), images(shape=(1, 3, 1, 1))
    with pytest.raises(ShapeError, match="more than one value per channel"):
        norm(x)
    assert norm.num_batches_tracked.item() == 0
    assert norm.eval()(x).shape == x.shape
    with pytest.raises(ShapeError, match="more than one value"):
        nn.BatchNorm1d(3)(images(shape=(1, 3)))


def test_an_empty_batch_teaches_nothing():
    """L11."""
    norm = nn.BatchNorm2d(3)
    assert norm(images(shape=(0, 3, 4, 4))).shape == (0, 3, 4, 4)
    assert norm.num_batches_tracked.item() == 0 and not norm.running_mean.data.any()


def test_large_means_constant_channels_and_huge_values():
    """L12."""
    x = images(shape=(8, 3, 4, 4))
    y = nn.BatchNorm2d(3)(x + np.float32(1e4)).data
    np.testing.assert_allclose(y, nn.BatchNorm2d(3)(x.astype(np.float64) + 1e4).data, atol=3e-3)
    norm = nn.BatchNorm2d(1)
    np.testing.assert_array_equal(norm(np.full((4, 1, 3, 3), 7.7, np.float32)).data, 0)
    assert np.isfinite(nn.BatchNorm2d(3)(x * np.float32(1e18)).data).all()


def test_evaluation_before_training_is_nearly_the_identity():
    """L12."""
    x = images()
    np.testing.assert_allclose(nn.BatchNorm2d(3).eval()(x).data, x, rtol=1e-5)


def test_the_frozen_norm_equals_the_norm_in_evaluation_and_has_no_parameters():
    norm, frozen, x = nn.BatchNorm2d(3), nn.FrozenBatchNorm2d(3), images()
    norm(images(1))
    norm.load_state_dict({"weight": np.array([1, 2, 3], np.float32), "bias": np.ones(3, np.float32)}, strict=False)
    state = {k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    assert list(frozen.state_dict()) == list(state)
    frozen.load_state_dict(state)
    np.testing.assert_array_equal(frozen(x).data, norm.eval()(x).data)
    assert not frozen.parameters()


def test_a_copy_has_statistics_of_its_own():
    norm = nn.BatchNorm2d(3)
    twin = copy.deepcopy(norm)
    twin(images())
    assert norm.num_batches_tracked.item() == 0 and not norm.running_mean.data.any()


def test_a_batch_statistic_held_by_somebody_is_not_overwritten():
    norm = nn.BatchNorm2d(3)
    held = norm.state_dict()["running_mean"]
    norm(images())
    assert not held.any() and norm.running_mean.data.any()


# Dropout -----------------------------------------------------------------------------------------------------


def test_dropout_zeroes_a_fraction_and_keeps_the_mean():
    y = nn.Dropout(0.3, rng=0)(np.ones((400, 250), np.float32))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs(float(np.mean(y == 0)) - 0.3) < 4 * (0.21 / 1e5) ** 0.5
    assert abs(float(np.mean(y, dtype=np.float64)) - 1) < 4 * (0.3 / 0.7 / 1e5) ** 0.5


def test_dropping_everything_gives_zeros_with_finite_gradients():
    """L14."""
    x = Tensor(np.ones((3, 3), np.float32), requires_grad=True)
    y = nn.Dropout(1.0, rng=0)(x)
    y.sum().backward()
    assert not y.data.any() and not x.grad.data.any()


def test_evaluation_draws_nothing():
    """L14."""
    layer, x = nn.Dropout(0.5, rng=0), Tensor(np.ones((3, 3), np.float32))
    before = layer.random_state()
    np.testing.assert_array_equal(layer.eval()(x).data, x.data)
    assert layer.random_state() == before
    layer.train()(x)
    assert layer.random_state() != before


def test_layers_fed_from_one_generator_draw_different_masks():
    rng = np.random.default_rng(0)
    a, b = nn.Dropout(0.5, rng=rng), nn.Dropout(0.5, rng=rng)
    x = np.ones((10, 100), np.float32)
    assert not np.array_equal(a(x), b(x))
    first = rng.random()
    assert first == np.random.default_rng(0).random()        # spawning leaves the parent's stream alone


def test_drop_path_keeps_or_drops_whole_samples():
    y = np.asarray(nn.DropPath(0.4, rng=1)(np.ones((500, 3, 2, 2), np.float32)))
    per_sample = y.reshape(500, -1)
    assert (per_sample == per_sample[:, :1]).all()
    assert abs((per_sample[:, 0] == 0).mean() - 0.4) < 4 * (0.24 / 500) ** 0.5
