"""Haar-like features.

Proved here: how many there are, by formula and by list; values equal sums over pixels for every kind; flat windows
give 0, brightness and contrast do not matter, at scale 1 and others; doubled windows have the same values; taps at
any scale equal means of cells; sampling; errors.
"""

import numpy as np
import pytest

from minicv.detection.viola_jones import KINDS, all_features, count_features, feature_taps, feature_values
from minicv.detection.viola_jones import sample_features as sample
from minicv.errors import ArgError, DTypeError, ShapeError
from minicv.kernels.haar import MIN_STD

pytestmark = pytest.mark.ch4


def patches(count=4, seed=0):
    return np.random.default_rng(seed).random((count, 24, 24))


def by_definition(feature, patch):
    """Sums of pixels cell by cell."""
    kind, x, y, w, h = feature
    total = 0.0
    for (i, j), weight in np.ndenumerate(KINDS[kind]):
        total += weight * patch[y + i * h:y + (i + 1) * h, x + j * w:x + (j + 1) * w].sum()
    return total / 576 / max(patch.std(), MIN_STD)


def test_a_window_has_162_336_features():
    assert count_features() == [43_200, 43_200, 27_600, 27_600, 20_736]
    features = all_features()
    assert len(features) == 162_336 == len(np.unique(features, axis=0))


@pytest.mark.parametrize("size", [2, 3, 5, 20])
def test_counts_follow_from_the_sizes_and_places_of_each_kind(size):
    """For cells w x h in a grid of R x C there are (size - C w + 1)(size - R h + 1) places."""
    expected = [sum((size - C * w + 1) * (size - R * h + 1) for w in range(1, size // C + 1)
                    for h in range(1, size // R + 1)) for R, C in (k.shape for k in KINDS)]
    assert count_features(size) == expected


@pytest.mark.parametrize("kind", range(5))
def test_values_equal_sums_over_pixels(kind):
    features, windows = all_features(), patches()
    some = features[features[:, 0] == kind]
    some = some[np.random.default_rng(kind).choice(len(some), 40, replace=False)]
    expected = [[by_definition(f, p) for p in windows] for f in some]
    values = feature_values(some, windows)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, atol=2e-6)


def test_the_largest_feature_of_each_kind_fits():
    features = all_features()
    extremes = np.concatenate([features[features[:, 0] == k][[0, -1]] for k in range(5)])
    np.testing.assert_allclose(feature_values(extremes, patches()),
                               [[by_definition(f, p) for p in patches()] for f in extremes], atol=2e-6)


def test_brightness_and_contrast_do_not_matter():
    features, windows = sample(200, rng=0), patches()
    np.testing.assert_allclose(feature_values(features, 0.4 * windows + 0.3), feature_values(features, windows),
                               atol=1e-6)
    assert abs(feature_values(features, np.full((1, 24, 24), 0.8))).max() < 1e-10


@pytest.mark.parametrize("scale", [1.0, 1.25, 1.9, 2.0, 3.3])
def test_taps_at_any_scale_are_means_of_rounded_cells(scale):
    side = round(24 * scale)
    image = np.random.default_rng(1).random((side + 5, side + 7))
    ii = np.pad(image, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    features = sample(60, rng=2)
    offset, coef = feature_taps(features, scale, ii.shape[1])
    origin = 3 * ii.shape[1] + 4
    for f, (kind, x, y, w, h) in enumerate(features):
        total = 0.0
        for (i, j), weight in np.ndenumerate(KINDS[kind]):
            y1, y2, x1, x2 = (int(np.floor(scale * v + 0.5)) for v in (
                y + i * h, y + (i + 1) * h, x + j * w, x + (j + 1) * w))
            total += weight * w * h / 576 * image[3 + y1:3 + y2, 4 + x1:4 + x2].mean()
        assert ii.ravel()[origin + offset[f]] @ coef[f] == pytest.approx(total, abs=1e-11)


@pytest.mark.parametrize("scale", [1.25, 1.9])
def test_flat_windows_give_zero_at_any_scale(scale):
    """With plain sums they would not: rounded cells differ in area."""
    ii = np.pad(np.ones((60, 60)), ((1, 0), (1, 0))).cumsum(0).cumsum(1).ravel()
    offset, coef = feature_taps(sample(300, rng=3), scale, 61)
    assert abs((ii[offset] * coef).sum(1)).max() < 1e-11


def test_taps_of_a_feature_are_six_eight_or_nine():
    features = np.array([[0, 0, 0, 2, 3], [1, 0, 0, 2, 3], [2, 0, 0, 2, 3], [3, 0, 0, 2, 3], [4, 0, 0, 2, 3]])
    assert (feature_taps(features)[1] != 0).sum(1).tolist() == [6, 6, 8, 8, 9]


def test_samples_differ_repeat_with_the_seed_and_come_from_the_list():
    a, b = sample(500, rng=1), sample(500, rng=1)
    assert (a == b).all() and len(np.unique(a, axis=0)) == 500 and not np.array_equal(a, sample(500, rng=2))
    assert {tuple(f) for f in a.tolist()} <= {tuple(f) for f in all_features().tolist()}


@pytest.mark.parametrize("call, error, words", [
    (lambda: all_features(1), ArgError, "smallest filter"), (lambda: all_features(2.0), ArgError, "size is 2.0"),
    (lambda: sample(0), ArgError, "count is 0"), (lambda: sample(10**6), ArgError, "count is 1000000"),
    (lambda: feature_values(sample(2), np.zeros((3, 20, 20))), ShapeError, "whole window"),
    (lambda: feature_values(sample(2), np.zeros((24, 24))), ShapeError, "patches has shape"),
    (lambda: feature_values(sample(2), np.zeros((1, 24, 24), int)), DTypeError, "patches has dtype"),
    (lambda: feature_values(sample(2), np.full((1, 24, 24), np.nan)), ArgError, "not finite"),
    (lambda: feature_values(np.zeros((2, 4), int), patches()), ShapeError, "features has shape"),
    (lambda: feature_values(np.zeros((2, 5)), patches()), DTypeError, "features has dtype"),
    (lambda: feature_values(np.array([[0, 10, 0, 8, 3]]), patches()), ArgError, "larger than the window"),
    (lambda: feature_values(np.array([[5, 0, 0, 1, 1]]), patches()), ArgError, "unknown"),
    (lambda: feature_values(np.array([[-1, 0, 0, 1, 1]]), patches()), ArgError, "unknown"),
    (lambda: feature_values(np.array([[0, 0, 0, 0, 1]]), patches()), ArgError, "unknown or larger")])
def test_bad_input_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("scale", [0.5, 0, np.nan, np.inf])
def test_cells_that_could_vanish_are_refused(scale):
    with pytest.raises(ArgError, match="feature_taps: scale is"):
        feature_taps(sample(3, rng=0), scale)


def test_no_patches_have_no_values_D_1():
    assert feature_values(sample(3, rng=0), np.zeros((0, 24, 24))).shape == (3, 0)
