"""Augmentations.

Proved here: each transform against loops or a property that defines it; pixel maps and boxes move
with the image; the input stays as it was; the same generator gives the same result; what cannot be
moved correctly and impossible settings are refused.
"""

from functools import partial

import numpy as np
import pytest

from minicv.data.transforms import (
    Compose,
    _bilinear,
    normalize,
    random_affine,
    random_crop,
    random_erasing,
    random_flip,
)
from minicv.errors import ArgError, ShapeError

ALL = [partial(normalize, mean=0.5, std=0.25), random_flip, random_crop, random_affine,
       partial(random_erasing, p=1.0)]
NAMES = ["normalize", "flip", "crop", "affine", "erasing"]


def sample_of(h=6, w=8, seed=0):
    rng = np.random.default_rng(seed)
    return {"image": rng.random((3, h, w)).astype(np.float32), "label": np.int64(3),
            "mask": rng.random((h, w)) < 0.5, "masks": rng.random((2, h, w)) < 0.5,
            "semantic": rng.integers(0, 5, (h, w)), "depth": rng.random((h, w)).astype(np.float32)}


@pytest.mark.parametrize("f", ALL, ids=NAMES)
def test_transforms_keep_shapes_types_and_their_input(f):
    sample = sample_of()
    before = {k: np.copy(v) for k, v in sample.items()}
    for seed in range(20):
        out = f(sample, np.random.default_rng(seed))
        again = f(sample, np.random.default_rng(seed))
        for k in before:
            np.testing.assert_array_equal(sample[k], before[k])
            np.testing.assert_array_equal(out[k], again[k])
            assert out[k].shape == before[k].shape and out[k].dtype == before[k].dtype
        assert not np.shares_memory(out["image"], sample["image"]) or f is random_flip
        assert out["label"] == 3


@pytest.mark.parametrize("f", ALL, ids=NAMES)
def test_transforms_need_a_float_image(f):
    for bad in ({}, {"image": np.zeros((2, 2))}, {"image": np.zeros((3, 2, 2), np.uint8)}):
        with pytest.raises(ShapeError, match=r"sample\['image'\] is"):
            f(bad, 0)


def test_compose_applies_in_order_from_one_stream():
    sample, rng = sample_of(), np.random.default_rng(4)
    out = Compose(*ALL)(sample, 4)
    for f in ALL:
        sample = f(sample, rng)
    np.testing.assert_array_equal(out["image"], sample["image"])
    with pytest.raises(ArgError, match=r"transforms\[1\] is 3"):
        Compose(random_flip, 3)


def test_normalize_is_the_formula_per_channel():
    sample, mean, std = sample_of(), [0.1, 0.2, 0.3], [1.0, 2.0, 4.0]
    out = normalize(sample, mean=mean, std=std)["image"]
    for c in range(3):
        np.testing.assert_allclose(out[c], (sample["image"][c] - mean[c]) / std[c], rtol=1e-6)


@pytest.mark.parametrize("mean, std, error", [(0, 0, ArgError), (0, -1, ArgError),
                                              (np.nan, 1, ArgError), ([0, 0], 1, ShapeError)])
def test_normalize_refuses(mean, std, error):
    with pytest.raises(error, match="normalize: mean"):
        normalize(sample_of(), mean=mean, std=std)


def test_flip_mirrors_everything_and_twice_is_nothing():
    sample = sample_of()
    sample["boxes"] = np.array([[0, 1, 3, 4], [2, 0, 8, 6]], np.float32)
    out = random_flip(sample, 0, p=1.0)
    for k in ("image", "mask", "masks", "semantic", "depth"):
        for x in range(8):
            np.testing.assert_array_equal(out[k][..., x], sample[k][..., 7 - x])
    np.testing.assert_array_equal(out["boxes"], [[5, 1, 8, 4], [0, 0, 6, 6]])
    assert out["boxes"].dtype == np.float32
    back = random_flip(out, 0, p=1.0)
    for k in sample:
        np.testing.assert_array_equal(back[k], sample[k])


def test_a_flipped_box_frames_the_flipped_object():
    image = np.zeros((1, 5, 9), np.float32)
    image[:, 1:3, 2:6] = 1
    out = random_flip({"image": image, "boxes": np.array([[2, 1, 6, 3]], np.float32)}, 0, p=1.0)
    x1, y1, x2, y2 = out["boxes"][0].astype(int)
    assert out["image"][0, y1:y2, x1:x2].min() == 1 and out["image"].sum() == 8


def test_flip_happens_with_its_probability():
    sample, rng = sample_of(), np.random.default_rng(0)
    count = sum(not np.array_equal(random_flip(sample, rng, p=0.3)["image"], sample["image"])
                for _ in range(2000))
    assert abs(count - 600) < 4 * (2000 * 0.3 * 0.7) ** 0.5
    assert np.array_equal(random_flip(sample, rng, p=0.0)["image"], sample["image"])


def test_crop_is_a_shift_with_known_borders():
    sample, seen = sample_of(), set()
    for seed in range(200):
        out = random_crop(sample, seed, padding=1)
        matches = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)
                   if all(shifted_equal(out[k], sample[k], dy, dx, outside)
                          for k, outside in (("image", 0), ("mask", False), ("semantic", -1),
                                             ("depth", np.nan), ("masks", False)))]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == 9


def shifted_equal(out, source, dy, dx, outside):
    h, w = out.shape[-2:]
    for y in range(h):
        for x in range(w):
            inside = 0 <= y + dy < h and 0 <= x + dx < w
            expected = source[..., y + dy, x + dx] if inside else outside
            if not np.array_equal(out[..., y, x], np.broadcast_to(expected, out.shape[:-2]),
                                  equal_nan=out.dtype.kind == "f"):
                return False
    return True


@pytest.mark.parametrize("f", [random_crop, random_affine])
def test_boxes_are_refused_where_they_would_be_cut(f):
    with pytest.raises(ArgError, match="boxes"):
        f({**sample_of(), "boxes": np.zeros((1, 4))}, 0)


def test_affine_with_nothing_allowed_is_identity():
    sample = sample_of()
    out = random_affine(sample, 0, angle=0, scale=0, shear=0, shift=0)
    for k in sample:
        np.testing.assert_allclose(out[k], sample[k], rtol=1e-6)


def test_affine_moves_a_linear_picture_exactly():
    """Bilinear interpolation reproduces a plane, so inside the picture the map can be read off."""
    h, w = 30, 40
    y, x = np.mgrid[:h, :w] + 0.5
    plane = np.stack([x, y]) / 100
    inner = (slice(8, -8), slice(8, -8))
    for seed in range(10):
        out = random_affine({"image": plane}, seed)["image"] * 100
        a = np.stack([np.ones((h, w)), x, y], 2)[inner].reshape(-1, 3)
        target = np.stack([o[inner].ravel() for o in out], 1)
        fit, *_ = np.linalg.lstsq(a, target, rcond=None)
        assert np.abs(a @ fit - target).max() < 1e-9  # an affine map indeed
        backward = fit[1:].T
        size = 1 / np.sqrt(np.linalg.det(backward))  # shear and rotation keep areas
        assert 0.9 - 1e-9 <= size <= 1.1 + 1e-9
        center = np.array([w / 2, h / 2])
        source_of_center = fit[0] + backward @ center
        shift = np.linalg.solve(backward, center - source_of_center)
        assert np.abs(shift).max() <= 2 + 1e-9
        forward = np.linalg.inv(backward) * (1 / size)  # rotation @ shear
        angle = np.arctan2(forward[1, 0], forward[0, 0])
        assert abs(angle) <= 0.2 + 1e-9
        slope = forward[0, 1] * np.cos(angle) + forward[1, 1] * np.sin(angle)
        assert abs(slope) <= 0.1 + 1e-9


def test_interpolation_is_the_weighted_mean_of_four_centres():
    """Loops: pixel (i, j) has its centre at (i + 1/2, j + 1/2) and weight (1 - |dx|)(1 - |dy|)."""
    rng = np.random.default_rng(0)
    image = rng.random((2, 5, 6))
    x, y = rng.uniform(-2, 8, (2, 40))
    expected = np.zeros((2, 40))
    for k in range(40):
        for i in range(5):
            for j in range(6):
                weight = max(0, 1 - abs(x[k] - j - 0.5)) * max(0, 1 - abs(y[k] - i - 0.5))
                expected[:, k] += weight * image[:, i, j]
    square = _bilinear(image, x.reshape(5, 8), y.reshape(5, 8))
    np.testing.assert_allclose(square.reshape(2, 40), expected, atol=1e-12)


def test_affine_moves_masks_with_the_image():
    image = np.zeros((1, 40, 40), np.float32)
    image[0, 12:28, 10:30] = 1
    for seed in range(10):
        out = random_affine({"image": image, "mask": image[0] > 0}, seed)
        assert (out["mask"] != (out["image"][0] > 0.5)).mean() < 0.02
        assert out["mask"].dtype == bool


@pytest.mark.parametrize("options", [{"angle": -1}, {"scale": 1.0}, {"shift": -0.1}])
def test_affine_refuses(options):
    with pytest.raises(ArgError, match="random_affine"):
        random_affine(sample_of(), 0, **options)


def test_erasing_fills_one_rectangle_within_its_bounds():
    image = np.ones((3, 40, 50), np.float32)
    for seed in range(100):
        out = random_erasing({"image": image}, seed, p=1.0, value=0.25)["image"]
        erased = (out == 0.25).all(0)
        assert ((out == 1) | (out == 0.25)).all() and (erased == (out == 0.25).any(0)).all()
        rows, cols = np.flatnonzero(erased.any(1)), np.flatnonzero(erased.any(0))
        h, w = len(rows), len(cols)
        assert erased.sum() == h * w == (rows[-1] - rows[0] + 1) * (cols[-1] - cols[0] + 1)
        assert 0.02 * 2000 - h - w <= h * w <= 0.4 * 2000 + h + w  # sides are rounded
        assert 0.3 * 0.8 <= h / w <= 1 / 0.3 * 1.25
    assert (random_erasing({"image": image}, 0, p=0.0)["image"] == 1).all()


def test_erasing_on_one_pixel_ends():
    out = random_erasing({"image": np.ones((1, 1, 1))}, 0, p=1.0)
    assert out["image"].shape == (1, 1, 1)


@pytest.mark.parametrize("options, words", [({"p": 2}, "p is 2"), ({"area": (0.5, 0.1)}, "area"),
                                            ({"aspect": (0, 1)}, "aspect")])
def test_erasing_refuses(options, words):
    with pytest.raises(ArgError, match=words):
        random_erasing(sample_of(), 0, **options)


def test_flip_and_crop_refuse():
    with pytest.raises(ArgError, match="p is -1"):
        random_flip(sample_of(), 0, p=-1)
    with pytest.raises(ArgError, match="padding is -1"):
        random_crop(sample_of(), 0, padding=-1)
