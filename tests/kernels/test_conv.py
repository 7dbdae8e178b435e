"""Convolution kernels.

Proved here: the three functions equal their definition as loops and their NumPy twins for odd
sizes, strides, asymmetric padding, dilation and groups; they are each other's adjoints (1e-12);
groups concatenate, strides subsample, dilation is a filter with zeros, batches split; float32 stays
within the error of a matrix product; outputs are channels-last whatever the input; bad input is
refused (L1, L2, L3, L4, L10) and the workspace is bounded (L26).
"""

import tracemalloc

import numpy as np
import pytest

from minicv import kernels as K
from minicv.errors import ArgError, DTypeError, ShapeError
from minicv.kernels import matrix

pytestmark = pytest.mark.ch2

CASES = [  # N, C, H, W, O, P, Q, settings
    (2, 3, 5, 6, 4, 3, 3, {}),
    (1, 3, 7, 5, 2, 3, 2, dict(stride=(2, 1), padding=((1, 0), (2, 1)))),
    (2, 2, 9, 8, 3, 3, 3, dict(stride=(3, 2), padding=((2, 1), (0, 3)), dilation=(2, 1))),
    (2, 4, 8, 9, 6, 2, 3, dict(groups=2, stride=(1, 2), dilation=(1, 3), padding=((0, 1), (3, 2)))),
    (2, 5, 6, 7, 5, 3, 3, dict(groups=5, padding=((1, 1), (1, 1)))),
    (1, 3, 7, 8, 6, 3, 5, dict(groups=3, stride=(2, 3), padding=((1, 2), (0, 2)), dilation=(2, 1))),
    (2, 3, 4, 5, 7, 1, 1, {}),
    (2, 4, 4, 5, 6, 1, 1, dict(groups=2)),
    (2, 3, 5, 6, 2, 1, 1, dict(stride=(2, 2), padding=((1, 1), (0, 2)))),
    (1, 2, 3, 3, 2, 3, 3, dict(padding=((4, 4), (4, 4)))),
    (3, 2, 4, 1, 2, 2, 1, {}),
]


def example(case, dtype=np.float64, seed=0):
    N, C, H, W, O, P, Q, settings = case
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, C, H, W)).astype(dtype)
    w = rng.standard_normal((O, C // settings.get("groups", 1), P, Q)).astype(dtype)
    g = rng.standard_normal(K.conv2d(x, w, **settings).shape).astype(dtype)
    return x, w, g, settings


def terms(x, w, g, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """Index triples of every product x w g in the trilinear form: the definition."""
    (N, C, H, W), (O, _, P, Q), (I, J) = x.shape, w.shape, g.shape[2:]
    for n, o, i, j in np.ndindex(N, O, I, J):
        for c, p, q in np.ndindex(C // groups, P, Q):
            h = i * stride[0] + p * dilation[0] - padding[0][0]
            v = j * stride[1] + q * dilation[1] - padding[1][0]
            if 0 <= h < H and 0 <= v < W:
                yield (n, o // (O // groups) * (C // groups) + c, h, v), (o, c, p, q), (n, o, i, j)


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_three_derivatives_equal_the_sum_over_products(case):
    x, w, g, settings = example(case)
    y, gx, gw = np.zeros_like(g), np.zeros_like(x), np.zeros_like(w)
    for a, b, c in terms(x, w, g, **settings):
        y[c] += x[a] * w[b]
        gx[a] += w[b] * g[c]
        gw[b] += x[a] * g[c]
    np.testing.assert_allclose(K.conv2d(x, w, **settings), y, atol=1e-12)
    np.testing.assert_allclose(K.conv2d_input(g, w, size=x.shape[2:], **settings), gx, atol=1e-12)
    np.testing.assert_allclose(K.conv2d_filter(x, g, size=w.shape[2:], **settings), gw, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_twins_agree(case):
    x, w, g, settings = example(case)
    for fast, twin, args, size in (
            (K.conv2d, K.conv2d_numpy, (x, w), {}),
            (K.conv2d_input, K.conv2d_input_numpy, (g, w), dict(size=x.shape[2:])),
            (K.conv2d_filter, K.conv2d_filter_numpy, (x, g), dict(size=w.shape[2:]))):
        np.testing.assert_allclose(fast(*args, **size, **settings),
                                   twin(*args, **size, **settings), atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_three_are_adjoint(case):
    x, w, g, settings = example(case)
    s = np.vdot(K.conv2d(x, w, **settings), g)
    np.testing.assert_allclose(
        np.vdot(x, K.conv2d_input(g, w, size=x.shape[2:], **settings)), s, rtol=1e-12)
    np.testing.assert_allclose(
        np.vdot(w, K.conv2d_filter(x, g, size=w.shape[2:], **settings)), s, rtol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_small_blocks_change_nothing_but_rounding(case, monkeypatch):
    """The columns are cut after every output row, also in the middle of an image."""
    x, w, g, settings = example(case)

    def compute():
        return (K.conv2d(x, w, **settings), K.conv2d_input(g, w, size=x.shape[2:], **settings),
                K.conv2d_filter(x, g, size=w.shape[2:], **settings))

    whole = compute()
    for rows in (1, 3):
        monkeypatch.setattr(matrix, "BLOCK_BYTES", rows * g.shape[3] * w[0].nbytes
                            * settings.get("groups", 1))
        for a, b in zip(compute(), whole, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13)


def test_linear_in_image_and_filter():
    x, w, _, settings = example(CASES[2])
    x2, w2, _, _ = example(CASES[2], seed=1)
    np.testing.assert_allclose(
        K.conv2d(2 * x - x2, w, **settings),
        2 * K.conv2d(x, w, **settings) - K.conv2d(x2, w, **settings), atol=1e-12)
    np.testing.assert_allclose(
        K.conv2d(x, 2 * w - w2, **settings),
        2 * K.conv2d(x, w, **settings) - K.conv2d(x, w2, **settings), atol=1e-12)


def test_groups_are_a_concatenation():
    x, w, _, settings = example(CASES[3])
    plain = {k: v for k, v in settings.items() if k != "groups"}
    parts = [K.conv2d(x[:, 2 * k:2 * k + 2], w[3 * k:3 * k + 3], **plain) for k in (0, 1)]
    np.testing.assert_allclose(K.conv2d(x, w, **settings), np.concatenate(parts, 1), atol=1e-12)


def test_depthwise_equals_one_group_per_channel():
    x, w, _, settings = example(CASES[5])
    plain = {k: v for k, v in settings.items() if k != "groups"}
    parts = [K.conv2d(x[:, k:k + 1], w[2 * k:2 * k + 2], **plain) for k in range(3)]
    np.testing.assert_allclose(K.conv2d(x, w, **settings), np.concatenate(parts, 1), atol=1e-12)


def test_a_stride_takes_every_second_pixel():
    x, w, _, _ = example(CASES[0])
    whole = K.conv2d(x, w, padding=((1, 1), (1, 1)))
    np.testing.assert_allclose(K.conv2d(x, w, stride=(2, 3), padding=((1, 1), (1, 1))),
                               whole[:, :, ::2, ::3], atol=1e-12)


def test_dilation_is_a_filter_with_zeros_between():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 9, 9)), rng.standard_normal((4, 3, 3, 2))
    holes = np.zeros((4, 3, 5, 4))
    holes[:, :, ::2, ::3] = w
    np.testing.assert_allclose(K.conv2d(x, w, dilation=(2, 3)), K.conv2d(x, holes), atol=1e-12)


def test_a_batch_is_its_images_one_by_one():
    x, w, _, settings = example(CASES[2])
    parts = [K.conv2d(x[n:n + 1], w, **settings) for n in range(len(x))]
    np.testing.assert_allclose(K.conv2d(x, w, **settings), np.concatenate(parts), atol=1e-12)


def test_shifting_the_image_shifts_the_result():
    x, w, _, _ = example(CASES[0])
    shifted = K.conv2d(np.roll(x, 1, axis=3), w)
    np.testing.assert_allclose(shifted[..., 1:], K.conv2d(x, w)[..., :-1], atol=1e-12)


@pytest.mark.parametrize("case", [CASES[0], CASES[3], CASES[4], CASES[6]], ids=str)
def test_both_layouts_give_equal_bytes_and_channels_last_results(case):
    x, w, g, settings = example(case)
    hwio = np.ascontiguousarray(w.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)
    for a, b, f, size in ((x, w, K.conv2d, {}),
                          (g, w, K.conv2d_input, dict(size=x.shape[2:]))):
        y = f(a, b, **size, **settings)
        assert y.transpose(0, 2, 3, 1).flags.c_contiguous
        assert np.array_equal(y, f(channels_last(a), hwio, **size, **settings))
        assert np.array_equal(y, f(a[::-1], b, **size, **settings)[::-1])
    gw = K.conv2d_filter(x, g, size=w.shape[2:], **settings)
    assert gw.transpose(2, 3, 1, 0).flags.c_contiguous
    assert np.array_equal(gw, K.conv2d_filter(channels_last(x), g, size=w.shape[2:], **settings))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_float32_stays_float32_and_close(case):
    x, w, g, settings = example(case)
    x32, w32, g32 = (a.astype(np.float32) for a in (x, w, g))
    for y, y32 in (
            (K.conv2d(x, w, **settings), K.conv2d(x32, w32, **settings)),
            (K.conv2d_input(g, w, size=x.shape[2:], **settings),
             K.conv2d_input(g32, w32, size=x.shape[2:], **settings)),
            (K.conv2d_filter(x, g, size=w.shape[2:], **settings),
             K.conv2d_filter(x32, g32, size=w.shape[2:], **settings))):
        assert y32.dtype == np.float32
        assert abs(y32 - y).max() <= 3e-6 * abs(y).max()


def test_mixed_dtypes_promote():
    x, w, _, _ = example(CASES[0])
    assert K.conv2d(x.astype(np.float32), w).dtype == np.float64
    assert K.conv2d(x, w.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kernel", [1, 3])
def test_an_empty_batch_works(groups, kernel):
    """L11."""
    x, w = np.zeros((0, 4, 5, 5), np.float32), np.ones((4, 4 // groups, kernel, kernel), np.float32)
    y = K.conv2d(x, w, groups=groups)
    assert y.shape == (0, 4, 6 - kernel, 6 - kernel)
    assert K.conv2d_input(y, w, size=(5, 5), groups=groups).shape == x.shape
    gw = K.conv2d_filter(x, y, size=(kernel, kernel), groups=groups)
    assert gw.shape == w.shape and not gw.any()


def test_nan_and_inf_reach_exactly_the_windows_that_hold_them():
    """D10: outside pixels are never multiplied, so padding cannot turn infinity into NaN."""
    x = np.zeros((1, 1, 5, 5))
    x[0, 0, 2, 2], x[0, 0, 0, 0] = np.nan, np.inf
    y = K.conv2d(x, np.ones((1, 1, 3, 3)), padding=1)[0, 0]
    assert np.isnan(y[1:4, 1:4]).all() and np.isinf(y[0, :2]).all() and y[1, 0] == np.inf
    assert (y[4] == 0).all() and (y[:, 4] == 0).all()


def test_read_only_and_unaligned_arrays_are_read():
    """A18."""
    x, w, _, settings = example(CASES[1])
    y = K.conv2d(x, w, **settings)
    raw = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    x.flags.writeable = w.flags.writeable = False
    for a in (x, raw, x.astype(">f8")):
        assert np.array_equal(K.conv2d(a, w, **settings), y)


def test_the_workspace_is_bounded():
    """L26: all windows at once would take 59 MB here."""
    x, w = np.ones((1, 16, 320, 320), np.float32), np.ones((1, 16, 3, 3), np.float32)
    K.conv2d(x, w)
    x = K.channels_last(x)
    tracemalloc.start()
    K.conv2d(x, w)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


@pytest.mark.parametrize("change, error, words", [
    (dict(stride=0), ArgError, "stride is 0"),
    (dict(stride=(1, -2)), ArgError, r"stride is \(1, -2\)"),
    (dict(stride=1.5), ArgError, "stride is 1.5"),
    (dict(stride=True), ArgError, "stride is True"),
    (dict(stride=(1, 1, 1)), ArgError, "stride"),
    (dict(stride=2**63), ArgError, "stride"),
    (dict(dilation=(0, 1)), ArgError, "dilation"),
    (dict(padding=-1), ArgError, "padding"),
    (dict(padding=((1, 1),)), ArgError, "padding"),
    (dict(groups=0), ArgError, "groups"),
    (dict(groups=2), ShapeError, "groups=2"),
    (dict(algo="fft"), ArgError, "algo is 'fft', expected one of auto, direct, winograd, grouped, im2col"),
    (dict(dilation=3), ShapeError, r"output size is \(-1, 0\)"),
])
def test_bad_settings_are_refused(change, error, words):
    """L1, L2, L3, L4."""
    with pytest.raises(error, match=f"conv2d: .*{words}"):
        K.conv2d(np.zeros((1, 3, 5, 6)), np.zeros((2, 3, 3, 3)), **change)


def test_bad_arrays_are_refused():
    """L3, L10."""
    x, w = np.zeros((1, 3, 5, 5)), np.zeros((2, 3, 3, 3))
    with pytest.raises(ShapeError, match="x has shape"):
        K.conv2d(x[0], w)
    with pytest.raises(DTypeError, match="x has dtype int64"):
        K.conv2d(x.astype(np.int64), w)
    with pytest.raises(DTypeError, match="float16"):
        K.conv2d(x.astype(np.float16), w)
    with pytest.raises(ShapeError, match="3 input channels"):
        K.conv2d(x, w[:, :2])
    with pytest.raises(ShapeError, match=r"g has shape \(1, 2, 4, 4\), expected \(1, 2, 3, 3\)"):
        K.conv2d_input(np.zeros((1, 2, 4, 4)), w, size=(5, 5))
    with pytest.raises(ShapeError, match="conv2d_filter: g has shape"):
        K.conv2d_filter(x, np.zeros((1, 2, 4, 4)), size=(3, 3))
