"""Resizing, sampling, unfolding by hand; values and gradients of every case are generated from the registry.

Proved: identities, exact values of the half-pixel rule, linear images reproduced, adjointness of every pair, the
identity and translation of a spatial transformer, gradient of the grid against the image's slope, third derivatives,
unfold as convolution, round trips of the pixel shuffle; rows L11, L19.
"""

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.autograd.conv import conv2d
from minicv.autograd.gradcheck import gradcheck
from minicv.autograd.resample import (
    affine_grid,
    fold,
    grid_sample,
    pixel_shuffle,
    pixel_unshuffle,
    resample,
    resample_input,
    resize,
    unfold,
)

MODES = [{"mode": "nearest"}, {"mode": "bilinear"}, {"mode": "bicubic"}, {"mode": "bilinear", "align_corners": True},
         {"mode": "bicubic", "align_corners": True}]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def close(a, b, rtol=1e-12):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("settings", MODES)
def test_resizing_to_the_same_size_is_the_identity(settings):
    x = normal(2, 3, 4, 5)
    close(resize(x, size=(4, 5), **settings), x)


@pytest.mark.parametrize("settings", MODES)
def test_a_constant_stays_a_constant(settings):
    close(resize(np.full((1, 1, 3, 4), 2.5), size=(7, 2), **settings), np.full((1, 1, 7, 2), 2.5))


@pytest.mark.parametrize("settings", MODES)
def test_resizing_and_its_partner_are_adjoint(settings):
    x, g = normal(2, 3, 5, 4), normal(2, 3, 7, 3, seed=1)
    close((resample(x, size=(7, 3), **settings) * g).sum(), (x * resample_input(g, size=(5, 4), **settings)).sum())


def test_half_pixel_positions_are_exact():
    """L19: two pixels to ten; output k + 1/2 of 10 lies at (k + 1/2) / 5, the ends take the edge pixels."""
    y = resize(np.array([[[[0.0, 1.0]]]]), size=(1, 10))[0, 0, 0]
    close(y, np.clip((np.arange(10) + 0.5) / 5 - 0.5, 0, 1))


def test_halving_averages_pairs():
    x = normal(1, 2, 4, 6)
    close(resize(x, scale=0.5), x.reshape(1, 2, 2, 2, 3, 2).mean(axis=(3, 5)))


def test_nearest_takes_the_pixel_that_holds_the_centre():
    x = np.arange(5.0).reshape(1, 1, 1, 5)
    np.testing.assert_array_equal(resize(x, size=(1, 3), mode="nearest")[0, 0, 0], [0, 2, 4])
    np.testing.assert_array_equal(resize(x, scale=(2, 2), mode="nearest")[0, 0, 1], np.repeat(np.arange(5.0), 2))


def test_align_corners_keeps_the_corners():
    """L19: size 1 reads position 0."""
    x = normal(1, 1, 4, 5)
    y = resize(x, size=(7, 9), align_corners=True)
    np.testing.assert_array_equal(y[..., ::6, ::8], x[..., ::3, ::4])
    np.testing.assert_array_equal(resize(x, size=1, align_corners=True), x[:, :, :1, :1])


def test_a_scale_of_a_third_rounds_as_expected():
    """L19: floor(n / 3) for every n although 1/3 is not exact."""
    for n in range(3, 100):
        assert resize(np.zeros((1, 1, n, 3)), scale=1 / 3).shape == (1, 1, n // 3, 1)


def test_every_pixel_gets_its_share_of_the_gradient():
    """L19: enlarging by 5 gives every pixel, borders included, weight 25."""
    x = Tensor(np.zeros((1, 1, 3, 4)), requires_grad=True)
    for mode in ("nearest", "bilinear"):
        close(grad(resize(x, scale=5, mode=mode).sum(), [x])[0].data.sum(), 25 * 12)
    close(grad(resize(x, scale=5, mode="nearest").sum(), [x])[0].data, np.full((1, 1, 3, 4), 25.0))


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_identity_transform_reproduces_the_image(align_corners):
    x = normal(2, 3, 4, 5)
    theta = np.tile([[1.0, 0, 0], [0, 1, 0]], (2, 1, 1))
    grid = affine_grid(theta, size=(4, 5), align_corners=align_corners)
    for mode in ("bilinear", "nearest"):
        close(grid_sample(x, grid, mode=mode, align_corners=align_corners), x)


def test_a_translation_by_one_pixel_shifts_the_image():
    x = normal(1, 2, 4, 5)
    theta = np.array([[[1.0, 0, 2 / 5], [0, 1, 0]]])             # one pixel is 2 / W
    y = grid_sample(x, affine_grid(theta, size=(4, 5)))
    close(y[..., :-1], x[..., 1:])
    close(y[..., -1], np.zeros((1, 2, 4)))
    border = grid_sample(x, affine_grid(theta, size=(4, 5)), padding_mode="border")
    close(border[..., -1], x[..., -1])


def test_sampling_a_plain_stretch_is_resizing():
    x = normal(1, 2, 4, 5)
    theta = np.array([[[1.0, 0, 0], [0, 1, 0]]])
    for corners in (False, True):
        grid = affine_grid(theta, size=(7, 3), align_corners=corners)
        close(grid_sample(x, grid, padding_mode="border", align_corners=corners),
              resize(x, size=(7, 3), align_corners=corners))


def test_the_gradient_in_the_grid_is_the_slope_of_the_image():
    """On x = a h + b w + c the value is linear, so the slope per unit of the grid is b W / 2, a H / 2."""
    h, w = np.mgrid[:6, :8]
    x = (3.0 * h - 2.0 * w + 1)[None, None]
    grid = Tensor(np.random.default_rng(0).uniform(-0.7, 0.7, (1, 4, 4, 2)), requires_grad=True)
    g, = grad(grid_sample(x, grid).sum(), [grid])
    close(g.data, np.broadcast_to([-2.0 * 8 / 2, 3.0 * 6 / 2], (1, 4, 4, 2)))


@pytest.mark.parametrize("padding_mode", ["zeros", "border"])
def test_grid_sampling_is_right_to_the_third_order(padding_mode):
    """The mixed derivative in horizontal and vertical position is not zero."""
    x = normal(1, 2, 3, 4)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 2, (1, 2, 2, 2)) + rng.uniform(0.1, 0.9, (1, 2, 2, 2))
    grid = (pixels + 0.5) / [4, 3] * 2 - 1
    gradcheck(lambda x, g: grid_sample(x, g, padding_mode=padding_mode), (x, grid), order=3)


def test_a_position_that_is_not_a_number_gives_nan_and_others_are_untouched():
    grid = np.zeros((1, 1, 3, 2))
    grid[0, 0, 1, 0] = np.nan
    grid[0, 0, 2] = np.inf
    for mode in ("bilinear", "nearest"):
        y = grid_sample(np.ones((1, 1, 3, 3)), grid, mode=mode)[0, 0, 0]
        np.testing.assert_array_equal(y, [1, np.nan, 0])


def test_the_border_mode_does_not_pull_positions_outside():
    x = Tensor(normal(1, 1, 3, 3))
    grid = Tensor(np.array([[[[-3.0, 0.1], [0.1, 5.0]]]]), requires_grad=True)
    g, = grad(grid_sample(x, grid, padding_mode="border").sum(), [grid])
    assert g.data[0, 0, 0, 0] == 0 and g.data[0, 0, 1, 1] == 0
    assert g.data[0, 0, 0, 1] != 0 and g.data[0, 0, 1, 0] != 0


def test_convolution_is_a_matrix_product_with_the_unfolded_image():
    x, w = normal(2, 3, 6, 5), normal(4, 3, 3, 2, seed=1)
    settings = {"stride": (2, 1), "padding": 1, "dilation": (1, 2)}
    y = conv2d(x, w, **settings)
    close((w.reshape(4, -1) @ unfold(x, kernel=(3, 2), **settings)).reshape(y.shape), y)


def test_fold_is_the_adjoint_of_unfold():
    x, settings = normal(1, 2, 5, 6), {"kernel": (2, 3), "stride": (2, 1), "padding": ((0, 1), (1, 0))}
    columns = unfold(x, **settings)
    g = normal(*columns.shape, seed=1)
    close((columns * g).sum(), (x * fold(g, size=(5, 6), **settings)).sum())


def test_windows_that_do_not_overlap_fold_back_to_the_image():
    """The patches of a vision transformer."""
    x = normal(2, 3, 6, 8)
    close(fold(unfold(x, kernel=2, stride=2), size=(6, 8), kernel=2, stride=2), x)


def test_pixel_shuffle_and_unshuffle_undo_each_other():
    x = normal(2, 18, 2, 4)
    np.testing.assert_array_equal(pixel_unshuffle(pixel_shuffle(x, factor=3), factor=3), x)
    y = pixel_shuffle(np.arange(4.0).reshape(1, 4, 1, 1), factor=2)
    np.testing.assert_array_equal(y[0, 0], [[0, 1], [2, 3]])


def test_empty_batches_work():
    """L11."""
    x = np.zeros((0, 4, 4, 4))
    assert resize(x, size=2).shape == (0, 4, 2, 2)
    assert grid_sample(x, np.zeros((0, 2, 3, 2))).shape == (0, 4, 2, 3)
    assert unfold(x, kernel=2).shape == (0, 16, 9)
    assert pixel_shuffle(x, factor=2).shape == (0, 1, 8, 8)


@pytest.mark.oracle
def test_resizing_and_sampling_equal_torch():
    torch = pytest.importorskip("torch")
    F, x = torch.nn.functional, normal(2, 3, 4, 5)
    grid = np.random.default_rng(1).uniform(-1.4, 1.4, (2, 3, 4, 2))
    t, tg, theta = torch.tensor(x), torch.tensor(grid), normal(2, 2, 3)
    for corners in (False, True):
        for mode in ("bilinear", "bicubic"):
            peer = F.interpolate(t, (7, 3), mode=mode, align_corners=corners)
            close(resize(x, size=(7, 3), mode=mode, align_corners=corners), peer.numpy())
        for mode in ("bilinear", "nearest"):
            for padding in ("zeros", "border"):
                close(grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=corners),
                      F.grid_sample(t, tg, mode, padding, corners).numpy())
        close(affine_grid(theta, size=(3, 4), align_corners=corners),
              F.affine_grid(torch.tensor(theta), (2, 1, 3, 4), corners).numpy())
    close(resize(x, size=(7, 3), mode="nearest"), F.interpolate(t, (7, 3), mode="nearest-exact").numpy())
    close(unfold(x, kernel=(2, 3), stride=2, padding=1), F.unfold(t, (2, 3), 1, 1, 2).numpy())
    close(pixel_unshuffle(normal(1, 2, 4, 6), factor=2), F.pixel_unshuffle(torch.tensor(normal(1, 2, 4, 6)), 2).numpy())
