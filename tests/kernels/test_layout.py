"""Memory layout: what counts as channels-last, what is copied, and what results look like."""

import numpy as np
import pytest

from minicv import kernels as K
from minicv.kernels.launch import normal
from minicv.kernels.layout import planes

pytestmark = pytest.mark.ch2


def last(shape):
    N, C, H, W = shape
    return np.arange(N * C * H * W, dtype=np.float32).reshape(N, H, W, C).transpose(0, 3, 1, 2)


def first(shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_which_arrays_are_channels_last():
    x = last((2, 3, 4, 5))
    assert K.is_channels_last(x) and not K.is_channels_last(first((2, 3, 4, 5)))
    for part in (x[:, :, 1:3, ::2], x[:, 1:], x[1:], x[:, :, ::-1]):
        assert K.is_channels_last(part)
    assert not K.is_channels_last(x[:, ::2]) and not K.is_channels_last(x.swapaxes(2, 3))
    assert not K.is_channels_last(x[0]) and not K.is_channels_last(x.reshape(2, -1))
    for shape in ((2, 1, 4, 5), (2, 3, 1, 1)):
        assert K.is_channels_last(first(shape)) and K.is_channels_last(last(shape))


def test_channels_last_copies_only_when_it_must():
    x = last((2, 3, 4, 5))
    assert K.channels_last(x) is x
    for a in (first((2, 3, 4, 5)), x[:, :, 1:, 1:], x[:, 1:]):
        y = K.channels_last(a)
        assert np.array_equal(y, a) and y.transpose(0, 2, 3, 1).flags.c_contiguous
        assert not np.shares_memory(y, a)


@pytest.mark.parametrize("make", [last, first])
def test_like_layout_follows_the_example(make):
    x = make((2, 3, 4, 5))
    y = K.like_layout(x, (7, 6, 3, 2))
    assert y.shape == (7, 6, 3, 2) and y.dtype == x.dtype
    assert K.is_channels_last(y) == K.is_channels_last(x)
    assert K.like_layout(x, (7, 6, 3, 2), np.int32).dtype == np.int32
    assert K.like_layout(x, (7, 6)).flags.c_contiguous
    assert np.shares_memory(planes(y, K.is_channels_last(x)), y)


def test_planes_hold_the_same_numbers():
    x = last((2, 3, 4, 5))
    assert np.array_equal(planes(x, True), x.transpose(0, 2, 3, 1))
    assert np.array_equal(planes(x, False), x.reshape(6, 4, 5, 1))


def test_arrays_for_kernels_are_contiguous_aligned_native_and_locked():
    """A18, N8; memory in good order is not copied, even where it is locked."""
    x = first((2, 3, 4, 5))
    locked = x.view()
    locked.flags.writeable = False
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.float32)
    for a in (x, locked, x[:, ::2], x.swapaxes(1, 2), x.astype(">f4"), raw, x[:0], x[:0][..., ::2]):
        b = normal(a)
        assert np.array_equal(a, b) and b.dtype == np.float32
        assert b.flags.c_contiguous and b.flags.aligned and not b.flags.writeable
    assert normal(locked) is locked and np.shares_memory(normal(x), x) and x.flags.writeable
    assert normal(3) == 3
