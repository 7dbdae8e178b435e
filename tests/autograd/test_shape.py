"""Moving elements: memory layout is kept, adjoints are adjoint, and what is not in the generated suite.

Values, gradients and errors of every op come from the cases in `minicv/testing/cases/shape.py`.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicv.autograd import Tensor, grad
from minicv.autograd.shape import (
    concat,
    crop,
    expand_dims,
    flatten,
    flip,
    pad,
    repeat,
    reshape,
    roll,
    split,
    stack,
    tile,
    transpose,
    unpad,
)
from minicv.errors import ArgError
from minicv.kernels.layout import channels_last, is_channels_last

MODES = ("constant", "reflect", "replicate", "circular")
KEEPING = {
    "pad": lambda x: pad(x, widths=((1, 2), (2, 1))),
    "pad channels": lambda x: pad(x, widths=((0, 2), 0, 0), value=1.0),
    **{f"pad {mode}": lambda x, mode=mode: pad(x, widths=(1, 2), mode=mode) for mode in MODES},
    **{f"unpad {mode}": lambda x, mode=mode: unpad(x, widths=(1, 1), mode=mode) for mode in MODES},
    "crop": lambda x: crop(x, widths=(1, 1)),
    "concat channels": lambda x: concat(x, x * 2.0, axis=1),
    "concat batch": lambda x: concat(x, x, axis=0),
    "slice rows": lambda x: x[:, :, 1:, ::2],
    "slice batch": lambda x: x[1:],
    "split": lambda x: split(x, sections=2, axis=0)[1],
    "flip": lambda x: flip(x, axis=-1),
    "flip channels": lambda x: flip(x, axis=(1, 2)),
    "roll": lambda x: roll(x, shift=(1, -1), axis=(2, 3)),
}


def image(dtype=np.float32):
    return channels_last(np.random.default_rng(0).standard_normal((2, 3, 5, 6)).astype(dtype))


@pytest.mark.parametrize("name", KEEPING)
@pytest.mark.parametrize("wrap", [False, True])
def test_channels_last_stays_channels_last(name, wrap):
    x = image()
    y = KEEPING[name](Tensor(x) if wrap else x)
    y = y.data if wrap else y
    assert is_channels_last(y), y.strides
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, KEEPING[name](np.ascontiguousarray(x)))


@pytest.mark.parametrize("name", KEEPING)
def test_gradients_of_channels_last_images_are_channels_last(name):
    x = Tensor(image(), requires_grad=True)
    y = KEEPING[name](x)
    g, = grad(y, [x], channels_last(np.ones(y.shape, np.float32)))
    assert is_channels_last(g.data), g.data.strides


@pytest.mark.parametrize("name", KEEPING)
def test_channels_first_stays_channels_first(name):
    y = KEEPING[name](np.ascontiguousarray(image()))
    assert not is_channels_last(y)


def test_flatten_is_in_logical_order_whatever_the_memory():
    x = image()
    np.testing.assert_array_equal(flatten(x, start=1), np.ascontiguousarray(x).reshape(2, -1))


def test_flatten_keeps_a_batch_of_size_zero():
    assert flatten(np.zeros((0, 3, 4)), start=1).shape == (0, 12)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_pad_agrees_with_NumPy_and_unpad_is_its_adjoint(data):
    """<pad(x), g> = <x, unpad(g)>."""
    mode = data.draw(st.sampled_from(MODES))
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    most = {"reflect": lambda n: n - 1, "circular": lambda n: n}.get(mode, lambda n: 6)
    widths = [data.draw(st.tuples(st.integers(0, most(n)), st.integers(0, most(n)))) for n in shape]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    y = pad(x, widths=widths, mode=mode)
    name = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    np.testing.assert_array_equal(y, np.pad(x, widths, mode=name))
    g = rng.standard_normal(y.shape)
    np.testing.assert_allclose((y * g).sum(), (x * unpad(g, widths=widths, mode=mode)).sum(), atol=1e-12)
    np.testing.assert_array_equal(crop(y, widths=widths), x)


@pytest.mark.parametrize("width, mode, fine", [
    (3, "reflect", True), (4, "reflect", False), (4, "circular", True), (5, "circular", False), (9, "replicate", True)])
def test_L6_a_border_wider_than_the_mode_can_fill_is_refused(width, mode, fine):
    x = np.arange(4.0)
    for side in ((width, 0), (0, width)):
        if fine:
            assert pad(x, widths=[side], mode=mode).shape == (4 + width,)
        else:
            with pytest.raises(ArgError, match=f"{width}.* on axis 0 of size 4"):
                pad(x, widths=[side], mode=mode)


def test_mirroring_twice_and_rotating_four_times_give_the_image_back():
    x = image()
    np.testing.assert_array_equal(flip(flip(x, axis=(2, 3)), axis=(2, 3)), x)
    turned = x
    for _ in range(4):
        turned = flip(turned.swapaxes(2, 3), axis=3)
    np.testing.assert_array_equal(turned, x)


def test_split_undoes_concat_and_stack_is_concat_of_new_axes():
    x = image()
    parts = split(x, sizes=(1, 3, 1), axis=2)
    np.testing.assert_array_equal(concat(*parts, axis=2), x)
    lifted = [expand_dims(part, axis=-1) for part in (x, -x)]
    np.testing.assert_array_equal(stack(x, -x, axis=-1), concat(*lifted, axis=-1))


def test_stack_and_concat_with_Python_numbers_and_integers_keep_float32():
    x = Tensor(np.float32([1.0, 2.0]), requires_grad=True)
    assert stack(x[0], 1.0, 2).dtype == np.float32
    assert grad(stack(x[0], 1.0).sum(), [x])[0].data.tolist() == [1, 0]


def test_concat_of_one_tensor_many_times_adds_its_gradients():
    x = Tensor(np.ones(2), requires_grad=True)
    g, = grad(concat(x, x, x, axis=0), [x], np.arange(6.0))
    np.testing.assert_array_equal(g.data, [0 + 2 + 4, 1 + 3 + 5])


def test_tile_and_repeat_differ_as_in_NumPy():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(tile(x, reps=(2, 2)), np.tile(x, (2, 2)))
    np.testing.assert_array_equal(repeat(x, repeats=3, axis=1), np.repeat(x, 3, 1))


def test_views_of_arrays_share_memory():
    x = image()
    for y in (transpose(x), x[1:], crop(x, widths=(1, 1)), split(x, sections=3, axis=1)[0], reshape(x, shape=x.shape)):
        assert np.shares_memory(x, y)
