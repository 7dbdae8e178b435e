"""Unfold and fold: order of the columns, relation to convolution, adjoint, errors."""

import numpy as np
import pytest

from minicv import kernels as K
from minicv.errors import ArgError, ShapeError

pytestmark = pytest.mark.ch2
CASES = [
    ((2, 3), {}),
    ((3, 2), dict(stride=(2, 1), padding=((1, 0), (2, 1)), dilation=(1, 2))),
    ((1, 1), dict(stride=(2, 2))),
]


@pytest.mark.parametrize("kernel, settings", CASES)
def test_columns_in_the_order_of_the_formula(kernel, settings):
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 7))
    P, Q = kernel
    (sh, sw), (dh, dw) = settings.get("stride", (1, 1)), settings.get("dilation", (1, 1))
    (top, bottom), (left, right) = settings.get("padding", ((0, 0), (0, 0)))
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    y = K.unfold(x, kernel, **settings)
    I = (padded.shape[2] - dh * (P - 1) - 1) // sh + 1
    J = (padded.shape[3] - dw * (Q - 1) - 1) // sw + 1
    assert y.shape == (2, 3 * P * Q, I * J)
    for c, p, q, i, j in np.ndindex(3, P, Q, I, J):
        assert np.array_equal(y[:, (c * P + p) * Q + q, i * J + j],
                              padded[:, c, i * sh + p * dh, j * sw + q * dw])


@pytest.mark.parametrize("kernel, settings", CASES)
def test_fold_is_the_adjoint_and_convolution_is_a_product(kernel, settings):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 6, 7)), rng.standard_normal((4, 3, *kernel))
    y = K.unfold(x, kernel, **settings)
    g = rng.standard_normal(y.shape)
    gx = K.fold(g, kernel, size=(6, 7), **settings)
    np.testing.assert_allclose(np.vdot(gx, x), np.vdot(g, y), rtol=1e-12)
    z = K.conv2d(x, w, **settings)
    np.testing.assert_allclose((w.reshape(4, -1) @ y).reshape(z.shape), z, atol=1e-12)


def test_patches_without_overlap_fold_back():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32)
    y = K.fold(K.unfold(x, 2, stride=2), 2, size=(4, 6), stride=2)
    assert np.array_equal(y, x) and y.dtype == np.float32
    assert K.unfold(x[:0], 2).shape == (0, 12, 15)
    assert K.fold(K.unfold(x[:0], 2), 2, size=(4, 6)).shape == (0, 3, 4, 6)


def test_bad_input_is_refused():
    with pytest.raises(ArgError, match="unfold: kernel is 0"):
        K.unfold(np.zeros((1, 1, 3, 3)), 0)
    with pytest.raises(ShapeError, match="unfold: output size"):
        K.unfold(np.zeros((1, 1, 3, 3)), 4)
    with pytest.raises(ShapeError, match=r"fold: columns has shape \(1, 5, 4\)"):
        K.fold(np.zeros((1, 5, 4)), 2, size=(3, 3))
