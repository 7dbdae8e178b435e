"""Dropout kernels: the mask is the one of a single draw of the whole array, whatever parts and layouts; twins agree."""

import numpy as np
import pytest

from minicv.kernels import dropout as K


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (3,), (K.PART + 3,), (5, 7, 33, 64), (0, 3)])
def test_the_mask_is_that_of_one_draw_in_every_layout(shape, dtype):
    x = np.asarray(np.random.default_rng(1).standard_normal(shape), dtype)
    kept = np.random.default_rng(0).random(shape, np.float32) >= 0.3
    expected = np.where(kept, x * dtype(1 / 0.7), dtype(0))
    layouts = [x, np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)] if x.ndim == 4 else [x]
    for layout in layouts:
        y, mask = K.drop(layout, 0.3, 1 / 0.7, np.random.default_rng(0))
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(mask, kept)
        assert y.dtype == dtype and y.strides == layout.strides
        np.testing.assert_array_equal(K.mask(x, mask, 1 / 0.7), expected)


def test_two_calls_continue_one_stream():
    x, rng, same = np.ones(K.PART + 1, np.float32), np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(2):
        np.testing.assert_array_equal(K.drop(x, 0.5, 2.0, rng)[1], same.random(x.shape, np.float32) >= 0.5)


def test_what_is_dropped_is_0_even_if_infinite():
    x = np.full(100, np.inf, np.float32)
    y, kept = K.drop(x, 0.5, 2.0, np.random.default_rng(0))
    assert (y[~kept] == 0).all() and np.isinf(y[kept]).all() and 0 < kept.sum() < 100


def test_loops_equal_their_twins():
    rng = np.random.default_rng(0)
    x, draws = rng.standard_normal(37, np.float32), rng.random(37, np.float32)
    found = []
    for drop, mask in ((lambda *a: K.keep_some(37, *a), lambda *a: K.scale_kept(37, *a)),
                       (K.keep_some_numpy, K.scale_kept_numpy)):
        y, kept, gx = np.empty_like(x), np.empty(37, bool), np.empty_like(x)
        drop(x, draws, np.float32(0.4), np.float32(1.5), y, kept)
        mask(x, kept, np.float32(1.5), gx)
        found.append((y, kept, gx))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
