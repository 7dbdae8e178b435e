"""Superpixels.

Proved here: two flat regions give two segments; every result is a partition in reading order; pairs and weights of
the pixel graph equal loops; smoothing and its derivative equal loops; k, sigma and min_size do what they say;
scikit-image agrees (oracle); bad images and settings are refused by name.
"""

import numpy as np
import pytest

from minicv.data import Scenes
from minicv.detection.proposals import superpixels
from minicv.detection.proposals.superpixels import in_reading_order, pixel_edges, smooth
from minicv.errors import ArgError, DTypeError, ShapeError

pytestmark = pytest.mark.ch4


def halves(noise=0.0, size=(20, 24)):
    image = np.zeros((3, *size))
    image[:, :, size[1] // 2:] = [[[0.8]], [[0.2]], [[0.5]]]
    return np.clip(image + noise * np.random.default_rng(0).standard_normal(image.shape), 0, 1)


@pytest.mark.parametrize("sigma", [0.0, 0.8])
def test_two_flat_regions_give_two_segments(sigma):
    labels = superpixels(halves(), k=100, sigma=sigma, min_size=50)
    assert labels.dtype == np.int64 and labels.max() == 1
    if sigma == 0:
        assert (labels == (np.arange(24) >= 12)).all()


def test_every_label_is_used_and_first_appears_in_reading_order():
    labels = superpixels(Scenes(1, size=48, seed=3)[0]["image"], k=20, min_size=5)
    values, first = np.unique(labels, return_index=True)
    assert values.tolist() == list(range(labels.max() + 1)) and (np.diff(first) > 0).all()


def test_every_segment_is_connected_and_large_enough():
    labels = superpixels(Scenes(1, size=48, seed=4)[0]["image"], k=30, min_size=15)
    for s in range(labels.max() + 1):
        inside = labels == s
        reached = np.zeros_like(inside)
        reached.flat[inside.argmax()] = True
        for _ in range(inside.size):
            padded = np.pad(reached, 1)
            grown = inside & np.any([padded[i:i + 48, j:j + 48] for i in range(3) for j in range(3)], axis=0)
            if (grown == reached).all():
                break
            reached = grown
        assert (reached == inside).all() and inside.sum() >= 15


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 1), (3, 4)])
def test_edges_of_the_pixel_graph_are_all_pairs_of_eight_neighbors(size):
    image = np.random.default_rng(1).random((2, *size))
    pairs, weights = pixel_edges(image)
    found = {tuple(sorted(p)): w for p, w in zip(pairs.T.tolist(), weights.tolist(), strict=True)}
    places = [(i, j) for i in range(size[0]) for j in range(size[1])]
    expected = {(i * size[1] + j, y * size[1] + x): np.linalg.norm(image[:, i, j] - image[:, y, x])
                for i, j in places for y, x in places
                if (i, j) < (y, x) and max(abs(i - y), abs(j - x)) == 1}
    assert found.keys() == expected.keys() and len(weights) == len(expected)
    np.testing.assert_allclose([found[p] for p in expected], list(expected.values()), rtol=1e-14)


@pytest.mark.parametrize("derivative", [None, 1, 2])
def test_smoothing_equals_loops(derivative):
    sigma, image = 0.9, np.random.default_rng(2).random((2, 5, 4))
    reach = 4
    t = np.arange(-reach, reach + 1)
    gauss = np.exp(-t**2 / (2 * sigma**2))
    gauss /= gauss.sum()
    taps = [-t / sigma**2 * gauss if axis == derivative else gauss for axis in (1, 2)]

    def mirrored(i, n):
        i = i % (2 * n)
        return min(i, 2 * n - 1 - i)

    expected = np.zeros_like(image)
    for i in range(5):
        for j in range(4):
            for p in range(-reach, reach + 1):          # convolution: the tap at +p reads the pixel at -p
                for q in range(-reach, reach + 1):
                    expected[:, i, j] += taps[0][p + reach] * taps[1][q + reach] * image[
                        :, mirrored(i - p, 5), mirrored(j - q, 4)]
    np.testing.assert_allclose(smooth(image, sigma, derivative), expected, atol=1e-13)


def test_the_derivative_of_a_ramp_is_its_slope():
    ramp = np.broadcast_to(0.02 * np.arange(30), (1, 30, 30))
    np.testing.assert_allclose(smooth(ramp, 1.0, derivative=2)[0, 8:22, 8:22], 0.02, rtol=5e-3)
    np.testing.assert_allclose(smooth(ramp, 1.0, derivative=1)[0, 8:22, 8:22], 0, atol=1e-12)


def test_a_larger_k_gives_fewer_segments():
    image = Scenes(1, size=64, seed=1)[0]["image"]
    counts = [superpixels(image, k=k, min_size=1).max() for k in (3, 30, 300, 1e6)]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1] == 0


def test_a_single_pixel_and_a_constant_image_are_one_segment():
    assert superpixels(np.full((3, 1, 1), 0.5)).tolist() == [[0]]
    assert superpixels(np.full((1, 9, 7), 0.25, np.float32), k=0.01, min_size=1).max() == 0


def test_numbers_follow_the_reading_order():
    assert in_reading_order(np.array([7, 7, 2, 9, 2])).tolist() == [0, 0, 1, 2, 1]


@pytest.mark.oracle
@pytest.mark.parametrize("case", ["halves", "scene", "coarse"])
def test_scikit_image_agrees(case):
    segmentation = pytest.importorskip("skimage.segmentation", reason="scikit-image is the oracle")
    image = halves(0.02) if case == "halves" else Scenes(1, size=64, seed=7)[0]["image"].astype(np.float64)
    k, min_size = (500.0, 60) if case == "coarse" else (100.0, 20)
    theirs = segmentation.felzenszwalb(image.transpose(1, 2, 0), scale=k, sigma=0.8, min_size=min_size)
    assert (superpixels(image, k=k, sigma=0.8, min_size=min_size) == in_reading_order(theirs.ravel()).reshape(
        theirs.shape)).all()


@pytest.mark.parametrize("image, error, words", [
    (np.zeros((4, 5)), ShapeError, "image has shape"),
    (np.zeros((3, 0, 5)), ShapeError, "at least one pixel"),
    (np.zeros((3, 4, 5), np.uint8), DTypeError, "divide bytes by 255"),
    (np.full((3, 4, 5), np.nan), ArgError, r"expected \[0, 1\]"),
    (np.full((3, 4, 5), 2.0), ArgError, r"expected \[0, 1\]")])
def test_bad_images_are_refused(image, error, words):
    with pytest.raises(error, match=f"superpixels: .*{words}"):
        superpixels(image)


@pytest.mark.parametrize("settings, name", [
    (dict(k=0), "k"), (dict(k=-1.0), "k"), (dict(k=np.nan), "k"), (dict(k=np.inf), "k"), (dict(sigma=-1), "sigma"),
    (dict(sigma=np.nan), "sigma"), (dict(min_size=0), "min_size"), (dict(min_size=2.5), "min_size"),
    (dict(min_size=True), "min_size")])
def test_bad_settings_are_refused(settings, name):
    with pytest.raises(ArgError, match=f"superpixels: {name} is"):
        superpixels(np.zeros((3, 4, 4)), **settings)


@pytest.mark.parametrize("settings", [dict(sigma=1e6), dict(sigma=None), dict(k="a")])
def test_settings_that_are_no_numbers_or_would_take_for_ever_are_refused(settings):
    (name,) = settings
    with pytest.raises(ArgError, match=f"superpixels: {name} is"):
        superpixels(np.zeros((3, 8, 8)), **settings)


def test_a_least_size_above_that_of_the_image_leaves_one_segment(recwarn):
    image = np.random.default_rng(0).random((3, 8, 9))
    assert superpixels(image, min_size=10**30).max() == 0 and not recwarn.list
