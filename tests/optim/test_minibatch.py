"""The epoch loop: every sample once, sizes, equal seeds give equal runs, the average gradient, refusals."""

import numpy as np
import pytest

from minicv.autograd import Tensor
from minicv.errors import ArgError, GraphError
from minicv.optim import SGD, minibatches, train_epoch

pytestmark = pytest.mark.ch1


def test_ten_samples_in_batches_of_four():
    assert [len(batch) for batch in minibatches(10, 4, rng=0)] == [4, 4, 2]


@pytest.mark.parametrize("count, batch_size", [(1, 1), (10, 4), (12, 4), (7, 7), (100, 1), (33, 32)])
def test_every_sample_is_in_exactly_one_of_ceil_n_over_b_batches(count, batch_size):
    batches = minibatches(count, batch_size, rng=3)
    assert len(batches) == -(-count // batch_size)
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(count))


def test_order_depends_on_the_seed_alone():
    a, b, c = (np.concatenate(minibatches(50, 8, rng=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("count, batch_size", [(10, 0), (10, -1), (10, 2.0), (10, True), (0, 1), (10, 11)])
def test_bad_sizes_are_refused(count, batch_size):
    with pytest.raises(ArgError, match="minibatches: (count|batch_size) is"):
        minibatches(count, batch_size)


def test_a_larger_batch_on_request():
    assert [len(batch) for batch in minibatches(3, 8, rng=0, allow_larger=True)] == [3]


def line(seed=0, batch_size=4, epochs=3):
    """Least squares y = 2x - 1; the fitted (w, b) and all losses."""
    x = np.linspace(-1, 1, 10)
    w, b = Tensor(np.zeros(1), requires_grad=True), Tensor(np.zeros(1), requires_grad=True)
    optimizer, rng = SGD([w, b], lr=0.3, missing="error"), np.random.default_rng(seed)

    def loss(batch):
        error = x[batch] * w + b - (2 * x[batch] - 1)
        return (error * error).mean()

    losses = np.concatenate([train_epoch(loss, 10, optimizer, batch_size, rng=rng) for _ in range(epochs)])
    return np.concatenate([w.data, b.data]), losses


def test_same_seed_gives_the_identical_run():
    for one, two in zip(line(seed=5), line(seed=5), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(line(seed=5)[1], line(seed=6)[1])


def test_it_fits():
    theta, losses = line(epochs=60)
    np.testing.assert_allclose(theta, [2, -1], atol=1e-6)
    assert losses[-1] < 1e-10


def test_one_batch_of_all_samples_is_gradient_descent():
    x, theta = np.linspace(-1, 1, 10), np.zeros(2)
    X = np.stack([x, np.ones(10)], axis=1)
    for _ in range(3):
        theta = theta - 0.3 * 2 / 10 * X.T @ (X @ theta - (2 * x - 1))
    np.testing.assert_allclose(line(batch_size=10)[0], theta, rtol=1e-12)


def test_a_parameter_without_gradient_is_named():
    w, unused = Tensor(np.zeros(1), requires_grad=True), Tensor(np.zeros(1), requires_grad=True)
    optimizer = SGD([("w", w), ("unused", unused)], lr=0.1, missing="error")
    with pytest.raises(GraphError, match="no gradient for unused,"):
        train_epoch(lambda batch: (w * w).sum(), 4, optimizer, 2, rng=0)
