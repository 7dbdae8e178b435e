"""Normalisation by hand; values and gradients of every case are generated from the registry.

Proved: results have mean 0 and variance 1; invariance to affine changes of the input; the gradient is orthogonal to
1 and to y; the norms are each other's special cases; running statistics; numerics of rows L11-L13 (constants,
mean >> standard deviation, 1e30); local response against the paper's formula; unit vectors at and near 0 (D1).
"""

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd.normalize import (
    batch_norm,
    group_norm,
    instance_norm,
    l2_normalize,
    layer_norm,
    local_response_norm,
    normalize,
)
from minicv.errors import ArgError, ShapeError
from minicv.kernels.threads import get_num_threads, set_num_threads


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def close(a, b, rtol=1e-12):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def trained(x, *rest, **settings):
    return batch_norm(x, *rest, training=True, **settings).y


def test_normalized_channels_have_mean_0_and_variance_1():
    y = trained(3 + 5 * normal(4, 3, 6, 5), eps=0)
    close(y.mean(axis=(0, 2, 3)), np.zeros(3))
    close(y.var(axis=(0, 2, 3)), np.ones(3))


@pytest.mark.parametrize("norm", [
    trained, instance_norm, lambda x, **s: group_norm(x, groups=2, **s),
    lambda x, **s: layer_norm(x, axes=(1, 2, 3), **s)])
def test_scaling_and_shifting_the_input_changes_nothing(norm):
    x = normal(2, 4, 3, 5)
    close(norm(7 * x - 100, eps=0), norm(x, eps=0), 1e-11)
    close(norm(-x, eps=0), -norm(x, eps=0))


def test_the_gradient_is_orthogonal_to_constants_and_to_y():
    """What equation (2) says: moving x along 1 or along y does not change y."""
    x = Tensor(normal(3, 4, 5, 5), requires_grad=True)
    y = normalize(x, axis=(0, 2, 3), eps=0)
    g, = grad(y, [x], normal(*y.shape, seed=1))
    close(g.data.sum(axis=(0, 2, 3)), np.zeros(4), 1e-11)
    close((g.data * y.data).sum(axis=(0, 2, 3)), np.zeros(4), 1e-11)


def test_the_norms_are_special_cases_of_each_other():
    x, w, b = normal(2, 6, 3, 4), normal(6, seed=1), normal(6, seed=2)
    close(group_norm(x, w, b, groups=6), instance_norm(x, w, b))
    close(group_norm(x, groups=1), layer_norm(x, axes=(1, 2, 3)))
    close(instance_norm(x[:1], w, b), trained(x[:1], w, b))
    close(layer_norm(x, w, b, axes=1), layer_norm(x.transpose(0, 2, 3, 1), w, b).transpose(0, 3, 1, 2))


def test_running_statistics_take_the_unbiased_variance():
    x, m, v = normal(4, 2, 3, 3), np.array([1.0, -1.0]), np.array([2.0, 3.0])
    y, mean, var = batch_norm(x, None, None, m, v, training=True, momentum=0.25)
    close(mean, 0.75 * m + 0.25 * x.mean(axis=(0, 2, 3)))
    close(var, 0.75 * v + 0.25 * x.var(axis=(0, 2, 3), ddof=1))
    close(y, (x - x.mean(axis=(0, 2, 3), keepdims=True)) / np.sqrt(x.var(axis=(0, 2, 3), keepdims=True) + 1e-5))


def test_running_statistics_keep_their_dtype_and_are_not_written_in_place():
    """L13: storing them is the caller's business."""
    m, v = np.zeros(2, np.float32), np.ones(2, np.float32)
    _, mean, var = batch_norm(normal(4, 2, 3, 3).astype(np.float32), None, None, m, v, training=True)
    assert mean.dtype == var.dtype == np.float32
    np.testing.assert_array_equal(m, 0)
    np.testing.assert_array_equal(v, 1)


def test_without_training_each_item_is_treated_alone_and_statistics_stay():
    """L12, L13: evaluation before any training uses mean 0, variance 1."""
    x, w, b = normal(3, 2, 4, 4), np.array([2.0, 3.0]), np.array([1.0, -1.0])
    m, v = np.zeros(2), np.ones(2)
    y, mean, var = batch_norm(x, w, b, m, v)
    assert mean is m and var is v
    close(y, x / np.sqrt(1 + 1e-5) * w[:, None, None] + b[:, None, None])
    close(batch_norm(x[1:2], w, b, m, v).y, y[1:2])
    with pytest.raises(ArgError, match="running_mean or running_var is None"):
        batch_norm(x, w, b)


def test_one_value_per_channel_cannot_be_normalized_in_training():
    """L11."""
    with pytest.raises(ShapeError, match=r"x has shape \(1, 3, 1, 1\), expected more than one value per channel"):
        batch_norm(np.ones((1, 3, 1, 1)), training=True)
    assert batch_norm(np.ones((1, 3, 1, 1)), None, None, np.zeros(3), np.ones(3)).y.shape == (1, 3, 1, 1)


def test_an_empty_batch_gives_an_empty_result_and_unchanged_statistics():
    """L11."""
    m, v = np.ones(3), np.ones(3)
    y, mean, var = batch_norm(np.zeros((0, 3, 2, 2)), np.ones(3), np.ones(3), m, v, training=True)
    assert y.shape == (0, 3, 2, 2) and mean is m and var is v


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 12345.678, -1e30])
@pytest.mark.parametrize("norm", [trained, instance_norm, layer_norm, lambda x: group_norm(x, groups=1)])
def test_a_constant_gives_exactly_zero(norm, value, dtype):
    """L12."""
    x = np.full((7, 3, 3, 7), value, dtype)
    np.testing.assert_array_equal(norm(x), 0)
    t = Tensor(x, requires_grad=True)
    assert np.isfinite(grad(norm(t), [t], normal(*x.shape).astype(dtype))[0].data).all()


def test_a_mean_far_above_the_deviation_costs_no_digits():
    """L12: values 1e4 + {0, 1}: the sum of squares loses them all in float32."""
    bits = (np.arange(4096).reshape(4, 1, 32, 32) % 2).astype(np.float32)
    y = trained(1e4 + bits, eps=0)
    np.testing.assert_allclose(y, 2 * bits - 1, rtol=1e-6)
    x64 = 1e12 + normal(4, 2, 8, 8)
    centred = x64 - 1e12
    expected = (centred - centred.mean(axis=(0, 2, 3), keepdims=True)) / centred.std(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(trained(x64, eps=0), expected, rtol=1e-11, atol=1e-11)


def test_huge_values_neither_overflow_nor_give_nan():
    """L12."""
    x = (normal(4, 2, 5, 5) * 1e30).astype(np.float32)
    np.testing.assert_allclose(trained(x), trained(x / np.float32(1e30), eps=0), rtol=1e-5, atol=1e-6)


def test_many_float32_values_are_averaged_in_float64():
    """R6: 2^21 values around 100 with a deviation of 1e-2."""
    x = (100 + 0.01 * normal(2, 1, 1024, 1024)).astype(np.float32)
    exact = x.astype(np.float64)
    expected = (exact - exact.mean()) / exact.std()
    np.testing.assert_allclose(trained(x, eps=0), expected, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("shape, axes", [
    ((40, 3, 30, 31), (0, 2, 3)),       # several blocks of rows, the last one shorter
    ((3, 5, 96), (2,)),                 # sums in 32 lanes
    ((2, 40000 * 32), (1,)),            # lanes and blocks
    ((2, 6, 40, 50), (2, 3)),
    ((2, 3, 4, 40, 50), (2, 3, 4)),     # a group norm
])
@pytest.mark.parametrize("last", [False, True])
def test_blocks_and_lanes_add_up_to_the_whole(shape, axes, last):
    """Equation (1) of the kernel, against statistics of all values at once; forward and backward."""
    x, g = 3 + normal(*shape), normal(*shape, seed=1)
    if last and len(shape) == 4:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    std = np.sqrt(x.var(axis=axes, keepdims=True) + 0.1)
    y = (x - x.mean(axis=axes, keepdims=True)) / std
    t = Tensor(x, requires_grad=True)
    out = normalize(t, axis=axes, eps=0.1)
    close(out.data, y, 1e-11)
    expected = (g - g.mean(axis=axes, keepdims=True) - y * (g * y).mean(axis=axes, keepdims=True)) / std
    close(grad(out, [t], g)[0].data, expected, 1e-11)


@pytest.mark.parametrize("shape, axes", [((8, 16, 40, 40), (0, 2, 3)), ((4000, 64), (1,))])
def test_the_number_of_threads_does_not_change_a_bit(shape, axes):
    x, g = normal(*shape).astype(np.float32), normal(*shape, seed=1).astype(np.float32)
    results, before = [], get_num_threads()
    for threads in (1, 2):
        set_num_threads(threads)
        t = Tensor(x, requires_grad=True)
        y = normalize(t, axis=axes)
        results.append((y.data, grad(y, [t], g)[0].data))
    set_num_threads(before)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_local_response_norm_equals_the_formula_of_the_paper():
    """Krizhevsky et al.: b = a / (k + alpha sum)^beta with k 2, alpha 1e-4, n 5 is alpha 5e-4 here."""
    a = 30 * normal(1, 8, 2, 2)
    expected = np.zeros_like(a)
    for i in range(8):
        energy = sum(a[:, j] ** 2 for j in range(max(0, i - 2), min(7, i + 2) + 1))
        expected[:, i] = a[:, i] / (2 + 1e-4 * energy) ** 0.75
    close(local_response_norm(a, size=5, alpha=5e-4, beta=0.75, k=2.0), expected)


def test_unit_vectors_have_length_one_and_keep_their_direction():
    x = normal(5, 7) * 10.0 ** np.arange(-15, 20, 7)[:, None]
    y = l2_normalize(x, eps=1e-30)
    close((y * y).sum(axis=1), np.ones(5))
    close(y * np.linalg.norm(x, axis=1, keepdims=True) / x, np.ones_like(x), 1e-9)


def test_the_gradient_of_a_unit_vector_is_orthogonal_to_it():
    x = Tensor(normal(4, 6), requires_grad=True)
    y = l2_normalize(x)
    g, = grad(y, [x], normal(4, 6, seed=1))
    close((g.data * x.data).sum(axis=1), np.zeros(4))


def test_normalizing_zero_gives_zero_with_a_finite_gradient():
    """D1: x / eps below eps, so the gradient is g / eps."""
    for dtype in (np.float32, np.float64):
        x = Tensor(np.zeros((2, 3), dtype), requires_grad=True)
        y = l2_normalize(x, eps=1e-6)
        np.testing.assert_array_equal(y.data, 0)
        np.testing.assert_allclose(grad(y.sum(), [x])[0].data, 1e6, rtol=1e-6)


def test_squares_that_overflow_or_underflow_do_not_matter():
    x = np.array([[3e30, 4e30], [3e-30, 4e-30]], np.float32)
    np.testing.assert_allclose(l2_normalize(x, eps=1e-35), [[0.6, 0.8], [0.6, 0.8]], rtol=1e-6)


@pytest.mark.oracle
def test_the_family_equals_torch():
    torch = pytest.importorskip("torch")
    F, x, w, b = torch.nn.functional, normal(3, 4, 3, 2), normal(4, seed=1), normal(4, seed=2)
    m, v = normal(4, seed=3), np.full(4, 0.7)
    t = [torch.tensor(a.copy()) for a in (x, m, v, w, b)]
    y, mean, var = batch_norm(x, w, b, m, v, training=True)
    close(y, F.batch_norm(*t, True).numpy())
    close(mean, t[1].numpy())
    close(var, t[2].numpy())
    close(batch_norm(x, w, b, mean, var).y, F.batch_norm(*t).numpy())
    close(group_norm(x, w, b, groups=2), F.group_norm(t[0], 2, t[3], t[4]).numpy())
    close(instance_norm(x, w, b), F.instance_norm(t[0], weight=t[3], bias=t[4]).numpy())
    close(layer_norm(x, axes=(1, 2, 3)), F.layer_norm(t[0], (4, 3, 2)).numpy())
    for size in (3, 4):
        peer = F.local_response_norm(t[0], size, 0.3, 0.75, 2.0)
        close(local_response_norm(x, size=size, alpha=0.3, k=2.0), peer.numpy())
    close(l2_normalize(x, axis=1), F.normalize(t[0], dim=1).numpy())


@pytest.mark.parametrize("training", [True, False])
def test_residual_and_relu_of_the_layer_equal_the_three_steps(training):
    """Values, gradients, running statistics, and what is refused."""
    from minicv.autograd.activation import relu
    from minicv.nn import BatchNorm2d
    found = []
    for fused in (True, False):
        rng = np.random.default_rng(0)
        norm = BatchNorm2d(3).train(training)
        x, r = (Tensor(rng.standard_normal((2, 3, 4, 5)), requires_grad=True) for _ in range(2))
        y = norm(x, r, "relu") if fused else relu(norm(x) + r)
        y.backward(rng.standard_normal(y.shape))
        found.append([y.data, x.grad.data, r.grad.data, norm.weight.grad.data, norm.bias.grad.data,
                      norm.running_mean.data, norm.running_var.data])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    with pytest.raises(ShapeError, match=r"batch_norm: residual has shape \(3,\)"):
        norm(x, x[0, :, 0, 0])
    with pytest.raises(ArgError, match='batch_norm: activation is \'gelu\', expected None or "relu"'):
        norm(x, None, "gelu")
