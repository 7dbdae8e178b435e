"""Convolution by hand; values and gradients of every case are generated from the registry.

Proved: the three ops are partial derivatives of one form; linearity; shift equivariance in the interior; groups
are concatenation; stride is subsampling; dilation is a kernel with zeros; a batch is its items; channels may be
permuted; "same" padding; exact values; transposed convolution inverts the size formula; rows L1-L5, L10, L11, L24.
"""

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd.conv import conv1d, conv2d, conv2d_filter, conv2d_input, conv_transpose2d
from minicv.errors import ArgError, DTypeError, ShapeError

SETTINGS = [
    {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1},
    {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "groups": 1},
    {"stride": (2, 3), "padding": ((1, 1), (0, 2)), "dilation": (2, 1), "groups": 2},
    {"stride": (1, 2), "padding": ((2, 2), (1, 1)), "dilation": (1, 1), "groups": 4},
]


def arrays(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


def close(a, b, rtol=1e-12):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1.0, np.abs(b).max(initial=0)))


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_three_ops_are_partials_of_one_form(settings):
    """<g, conv(x, w)> = <conv_input(g, w), x> = <conv_filter(x, g), w>."""
    x, w = arrays((2, 4, 7, 8), (8, 4 // settings["groups"], 3, 2))
    y = conv2d(x, w, **settings)
    g, = arrays(y.shape)
    form = (g * y).sum()
    close((conv2d_input(g, w, size=x.shape[2:], **settings) * x).sum(), form)
    close((conv2d_filter(x, g, size=w.shape[2:], **settings) * w).sum(), form)


@pytest.mark.parametrize("settings", SETTINGS)
def test_convolution_is_linear_in_x_and_in_w(settings):
    x, x2, w, w2 = arrays(*[(2, 4, 7, 8)] * 2, *[(8, 4 // settings["groups"], 3, 2)] * 2)
    close(conv2d(2 * x - x2, w, **settings), 2 * conv2d(x, w, **settings) - conv2d(x2, w, **settings))
    close(conv2d(x, 2 * w - w2, **settings), 2 * conv2d(x, w, **settings) - conv2d(x, w2, **settings))


def test_a_delta_image_gives_the_flipped_filter():
    x, w = np.zeros((1, 1, 5, 5)), arrays((1, 1, 3, 3))[0]
    x[0, 0, 2, 2] = 1
    np.testing.assert_array_equal(conv2d(x, w)[0, 0], w[0, 0, ::-1, ::-1])


def test_a_delta_filter_gives_the_image():
    x, w = arrays((2, 1, 4, 5))[0], np.zeros((1, 1, 3, 3))
    w[0, 0, 1, 1] = 1
    np.testing.assert_array_equal(conv2d(x, w, padding="same"), x)


def test_shifting_the_image_shifts_the_interior():
    x, w = arrays((1, 3, 9, 9), (2, 3, 3, 3))
    y, shifted = conv2d(x, w, padding=1), conv2d(np.roll(x, (2, 1), (2, 3)), w, padding=1)
    close(shifted[:, :, 3:-1, 2:-1], y[:, :, 1:-3, 1:-2])


def test_groups_are_convolutions_side_by_side():
    x, w = arrays((2, 6, 5, 5), (9, 2, 3, 3))
    parts = [conv2d(x[:, 2 * k:2 * k + 2], w[3 * k:3 * k + 3], padding=1) for k in range(3)]
    close(conv2d(x, w, padding=1, groups=3), np.concatenate(parts, axis=1))


def test_depthwise_treats_every_channel_alone():
    x, w = arrays((2, 5, 6, 6), (5, 1, 3, 3))
    y = conv2d(x, w, groups=5, stride=2)
    for c in range(5):
        close(y[:, c:c + 1], conv2d(x[:, c:c + 1], w[c:c + 1], stride=2))


def test_stride_keeps_every_second_output():
    x, w = arrays((1, 3, 8, 9), (2, 3, 3, 3))
    close(conv2d(x, w, stride=(2, 3)), conv2d(x, w)[:, :, ::2, ::3])


def test_dilation_is_a_filter_with_zeros():
    x, w = arrays((1, 3, 9, 9), (2, 3, 3, 2))
    wide = np.zeros((2, 3, 5, 4))
    wide[:, :, ::2, ::3] = w
    close(conv2d(x, w, dilation=(2, 3)), conv2d(x, wide))


def test_a_batch_is_its_items():
    x, w = arrays((5, 3, 6, 6), (4, 3, 3, 3))
    close(conv2d(x, w), np.concatenate([conv2d(x[i:i + 1], w) for i in range(5)]))


def test_channels_may_be_permuted_together():
    x, w = arrays((2, 4, 5, 5), (3, 4, 3, 3))
    order = [2, 0, 3, 1]
    close(conv2d(x[:, order], w[:, order]), conv2d(x, w))


def test_one_by_one_convolution_is_a_matrix_product_per_pixel():
    x, w = arrays((2, 3, 4, 5), (6, 3, 1, 1))
    close(conv2d(x, w), np.einsum("oc,nchw->nohw", w[:, :, 0, 0], x))


def test_bias_by_position_and_by_name_has_the_same_gradient():
    x, w, b = (Tensor(a, requires_grad=True) for a in arrays((2, 3, 4, 4), (2, 3, 3, 3), (2,)))
    for y in (conv2d(x, w, b), conv2d(x, w, b=b)):
        np.testing.assert_array_equal(grad(y.sum(), [b])[0].data, [8, 8])     # N I J positions


def test_bias_of_higher_precision_raises_the_result():
    x, w = (a.astype(np.float32) for a in arrays((1, 1, 3, 3), (1, 1, 3, 3)))
    assert conv2d(x, w).dtype == np.float32
    assert conv2d(x, w, np.ones(1)).dtype == np.float64


@pytest.mark.parametrize("kernel, dilation, sides", [
    (3, 1, (1, 1)), (5, 1, (2, 2)), (2, 1, (0, 1)), (4, 1, (1, 2)), (2, 3, (1, 2)), (1, 1, (0, 0))])
def test_same_padding_puts_the_odd_row_at_the_bottom_right(kernel, dilation, sides):
    """L5."""
    x, w = arrays((1, 2, 9, 8), (2, 2, kernel, kernel))
    same = conv2d(x, w, padding="same", dilation=dilation)
    assert same.shape == x.shape
    np.testing.assert_array_equal(same, conv2d(x, w, padding=(sides, sides), dilation=dilation))


def test_same_padding_with_a_stride_is_refused():
    """L5."""
    with pytest.raises(ArgError, match="same.*stride"):
        conv2d(*arrays((1, 1, 4, 4), (1, 1, 3, 3)), padding="same", stride=(1, 2))


@pytest.mark.parametrize("name", ["stride", "dilation", "groups"])
@pytest.mark.parametrize("value", [0, -1, 2**63, -2**63, 1.5, True, None, "1", (1, 2, 3)])
def test_wrong_integers_are_refused_by_name(name, value):
    """L1, L2."""
    with pytest.raises(ArgError, match=f"conv2d: {name}"):
        conv2d(*arrays((1, 2, 5, 5), (2, 2, 3, 3)), **{name: value})


def test_numpy_integers_are_accepted():
    """L2."""
    x, w = arrays((1, 2, 5, 5), (2, 1, 3, 3))
    np.testing.assert_array_equal(conv2d(x, w, stride=np.int32(2), padding=np.int64(1), groups=np.uint8(2)),
                                  conv2d(x, w, stride=2, padding=1, groups=2))


def test_channel_mismatch_names_both_numbers():
    """L3."""
    with pytest.raises(ShapeError, match="w .* has 3 input channels, x .* has 4"):
        conv2d(np.zeros((1, 4, 8, 8)), np.zeros((2, 3, 3, 3)))
    with pytest.raises(ShapeError, match="w has 3 filters, expected a multiple of groups=2"):
        conv2d(np.zeros((1, 4, 8, 8)), np.zeros((3, 2, 3, 3)), groups=2)


def test_output_size_below_one_is_an_error_with_the_numbers():
    """L4: H = 5, kernel 3, dilation 3 gives floor(-2 / 1) + 1 = -1."""
    with pytest.raises(ShapeError, match=r"output size is \(-1, -1\) for input size \(5, 5\), kernel \(3, 3\)"):
        conv2d(np.zeros((1, 1, 5, 5)), np.zeros((1, 1, 3, 3)), dilation=3)


def test_images_with_channels_last_get_a_hint():
    """L10."""
    with pytest.raises(ShapeError, match="channels-last"):
        conv2d(np.zeros((1, 8, 8, 3)), np.zeros((2, 3, 3, 3)))
    with pytest.raises(ShapeError, match=r"3-D of shape \(3, 8, 8\), expected 4-D \(N, C, H, W\); add the batch axis"):
        conv2d(np.zeros((3, 8, 8)), np.zeros((2, 3, 3, 3)))


def test_empty_batches_and_single_pixels_work():
    """L11."""
    w = arrays((2, 3, 3, 3))[0]
    assert conv2d(np.zeros((0, 3, 5, 5)), w).shape == (0, 2, 3, 3)
    x = Tensor(np.zeros((0, 3, 5, 5)), requires_grad=True)
    tw = Tensor(w, requires_grad=True)
    gx, gw = grad(conv2d(x, tw).sum(), [x, tw])
    assert gx.shape == x.shape and not gw.data.any()
    assert conv2d(np.ones((1, 3, 1, 1)), w, padding=1).shape == (1, 2, 1, 1)


def test_float16_arrays_are_refused_and_float16_tensors_are_float32():
    """L24."""
    x = np.ones((1, 1, 3, 3), np.float16)
    w = np.ones((1, 1, 3, 3), np.float32)
    with pytest.raises(DTypeError, match="x has dtype float16"):
        conv2d(x, w)
    assert conv2d(Tensor(x), w).dtype == np.float32


def test_the_transpose_is_the_adjoint():
    """<conv(x, w), y> = <x, conv_transpose(y, w)>."""
    for stride, padding, groups, extra in [(1, 0, 1, 0), (2, 1, 2, 1), ((3, 2), (0, 1), 1, (2, 1))]:
        x, w = arrays((2, 4, 8, 8), (6, 4 // groups, 3, 3))
        y = conv2d(x, w, stride=stride, padding=padding, groups=groups)
        g, = arrays(y.shape)
        back = conv_transpose2d(g, w, stride=stride, padding=padding, groups=groups, output_padding=extra)
        assert back.shape == x.shape
        close((y * g).sum(), (x * back).sum())


def test_transpose_of_one_pixel_is_the_filter():
    w, b = arrays((1, 3, 2, 4), (3,))
    y = conv_transpose2d(np.full((1, 1, 1, 1), 2.0), w, b, stride=5)
    close(y[0], 2 * w[0] + b[:, None, None])


def test_transpose_with_stride_two_doubles_the_size():
    """The up-convolution of U-Net: 2x2, stride 2, windows do not overlap."""
    x, w = arrays((1, 2, 3, 4), (2, 5, 2, 2))
    y = conv_transpose2d(x, w, stride=2)
    close(y, np.einsum("nchw,copq->nohpwq", x, w).reshape(1, 5, 6, 8))


def test_conv1d_is_a_correlation_of_sequences():
    x, w = arrays((1, 1, 12), (1, 1, 5))
    close(conv1d(x, w)[0, 0], np.correlate(x[0, 0], w[0, 0], "valid"))
    assert conv1d(x, w, padding="same").shape == x.shape


def test_a_linear_op_has_no_second_derivative_in_one_argument():
    x, w = (Tensor(a, requires_grad=True) for a in arrays((1, 2, 4, 4), (2, 2, 3, 3)))
    gx, = grad((conv2d(x, w) * 3.0).sum(), [x], create_graph=True)
    assert grad(gx.sum(), [x], allow_unused=True)[0] is None


@pytest.mark.oracle
@pytest.mark.parametrize("settings", [
    {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}, {"padding": "same", "groups": 4}])
def test_convolution_equals_torch(settings):
    torch = pytest.importorskip("torch")
    x, w, b = arrays((2, 4, 9, 8), (8, 4 // settings["groups"], 4, 3), (8,))
    peer = torch.nn.functional.conv2d(*map(torch.tensor, (x, w, b)), **settings)
    close(conv2d(x, w, b, **settings), peer.numpy())


@pytest.mark.oracle
def test_transposed_convolution_equals_torch():
    torch = pytest.importorskip("torch")
    settings = {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2), "groups": 2, "dilation": (1, 2)}
    x, w, b = arrays((2, 4, 5, 6), (4, 3, 3, 2), (6,))
    peer = torch.nn.functional.conv_transpose2d(*map(torch.tensor, (x, w, b)), **settings)
    close(conv_transpose2d(x, w, b, **settings), peer.numpy())


def test_no_filters_at_all_are_refused():
    x = np.ones((2, 3, 5, 5))
    with pytest.raises(ShapeError, match=r"conv2d: w has shape \(0, 3, 2, 2\)"):
        conv2d(x, np.ones((0, 3, 2, 2)))
    with pytest.raises(ShapeError, match=r"conv_transpose2d: w has shape \(3, 0, 2, 2\)"):
        conv_transpose2d(x, np.ones((3, 0, 2, 2)))
