"""Loops of softmax, log-softmax, log-sum-exp and negative log-likelihood in float32.

Proved here: values equal sums by `math.fsum` for row lengths round the vector and chunk sizes and for every axis;
rows with NaN of either sign, infinities and only -inf (L16, D10); the largest value is found wherever it stands,
zeros of both signs and negative rows included; gradients equal those in float64; bytes do not depend on the number
of threads; channels-last images are not copied.
"""

import math

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd.reduce import logsumexp
from minicv.autograd.softmax import log_softmax, softmax
from minicv.kernels import get_num_threads, launch, set_num_threads
from minicv.kernels import softmax as K
from minicv.nn.losses import cross_entropy
from minicv.nn.nll import softmax_nll

pytestmark = pytest.mark.skipif(not launch.compiler_runs(), reason="the loops run compiled only")


def lse(row):
    top = max(row)
    return top + math.log(math.fsum(math.exp(v - top) for v in row))


@pytest.mark.parametrize("length", [1, 2, 7, 16, 31, 64, 127, 128, 129, 1000])
def test_rows_of_every_length_equal_sums_of_floats(length):
    x = (5 * np.random.default_rng(length).standard_normal((70, length))).astype(np.float32)
    assert K.fits(x)
    expected = np.array([lse(row) for row in x.tolist()])
    np.testing.assert_allclose(K.logsumexp(x, (1,)), expected, rtol=2e-7, atol=2e-7)
    np.testing.assert_allclose(K.log_softmax(x, 1), x - expected[:, None], rtol=3e-7, atol=2e-6)
    np.testing.assert_allclose(K.softmax(x, 1), np.exp(x - expected[:, None]), rtol=2e-6, atol=1e-12)


@pytest.mark.parametrize("place", [0, 1, 15, 16, 17, 36])
@pytest.mark.parametrize("offset", [-300.0, 0.0, 300.0])
def test_the_largest_value_is_found_wherever_it_stands(place, offset):
    """Without it the exponentials would overflow or vanish."""
    x = np.full((4, 37), offset, np.float32)
    x[:, place] += 200
    np.testing.assert_array_equal(K.softmax(x, 1), (np.arange(37) == place) * np.ones((4, 1)))
    zeros = np.where(np.arange(64) % 2, np.float32(-0.0), np.float32(0))[None]
    np.testing.assert_allclose(K.softmax(zeros, 1), 1 / 64, rtol=1e-7)


def test_special_rows():
    negative_nan = np.array([0xFFC00000], np.uint32).view(np.float32)[0]
    x = np.zeros((6, 20), np.float32)
    x[0, 3], x[1, 4], x[2, 5], x[3], x[4, 6] = np.nan, negative_nan, np.inf, -np.inf, -np.inf
    y, log_y, total = K.softmax(x, 1), K.log_softmax(x, 1), K.logsumexp(x, (1,))
    assert np.isnan(y[:4]).all() and np.isnan(log_y[:4]).all()
    assert np.isnan(total[:2]).all() and total[2] == np.inf and total[3] == -np.inf
    assert y[4, 6] == 0 and log_y[4, 6] == -np.inf
    np.testing.assert_allclose(y[4, :6], 1 / 19, rtol=1e-6)
    np.testing.assert_allclose(y[5], 0.05, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("op", [softmax, log_softmax, logsumexp])
def test_every_axis_value_and_gradient(op, axis):
    found = []
    for dtype in (np.float32, np.float64):
        x = Tensor(np.random.default_rng(0).standard_normal((5, 6, 7)).astype(dtype), requires_grad=True)
        y = op(x, axis=axis)
        gx, = grad(y, [x], np.cos(np.arange(y.size, dtype=np.float64)).reshape(y.shape).astype(dtype))
        found.append((y.data, gx.data))
    for a, b in zip(*found, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [None, (0, 2), (2, 1)])
def test_log_sum_exp_over_several_axes(axis):
    x = np.random.default_rng(0).standard_normal((5, 6, 7)).astype(np.float32)
    np.testing.assert_allclose(logsumexp(x, axis=axis), np.log(np.exp(x.astype(np.float64)).sum(axis=axis)), rtol=1e-6)
    assert logsumexp(x, axis=axis, keepdims=True).ndim == 3


def test_likelihood_of_images_with_channels_last():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2, 4, 5, 6), np.float32)
    last = np.ascontiguousarray(z.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    target = rng.integers(0, 4, (2, 5, 6))
    rows = [[float(v) for v in z[n, :, i, j]] for n, i, j in np.ndindex(2, 5, 6)]
    expected = np.array([lse(r) - r[t] for r, t in zip(rows, target.ravel(), strict=True)]).reshape(2, 5, 6)
    for x in (z, last):
        np.testing.assert_allclose(softmax_nll(x, target=target), expected, rtol=1e-5)
        assert K.nll(x, target)[1].strides == last.strides
    target[0, 0, 0] = -1
    tensor = Tensor(last, requires_grad=True)
    gz, = grad(cross_entropy(tensor, target, reduction="sum"), [tensor])
    p = np.exp(z.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    one = np.arange(4)[:, None, None] == target[:, None]
    np.testing.assert_allclose(gz.data, (p - one) * (target >= 0)[:, None], atol=1e-6)


def test_bytes_do_not_depend_on_the_number_of_threads():
    x = np.random.default_rng(0).standard_normal((1000, 301)).astype(np.float32)
    before, found = get_num_threads(), []
    for n in (1, 2):
        set_num_threads(n)
        found.append(K.softmax(x, 1).tobytes() + K.logsumexp(x, (1,)).tobytes())
    set_num_threads(before)
    assert found[0] == found[1]
