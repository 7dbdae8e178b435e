"""Integral images and Haar-like features beside scikit-image (extra `oracle`).

Proved here: tables are equal for integers and floats; every kind has as many features, on the same rectangles; edges
and checkers have the same values. (Its line features count the middle once, ours twice: only rectangles are compared.)
"""

import numpy as np
import pytest

from minicv.detection.viola_jones.haar import KINDS, all_features, count_features, feature_values
from minicv.kernels.integral import integral_image

pytestmark = [pytest.mark.ch4, pytest.mark.oracle]
TYPES = ("type-2-x", "type-2-y", "type-3-x", "type-3-y", "type-4")          # in the order of KINDS


def rectangles(feature):
    """The cells of a feature as ((top, left), (bottom, right)), ends included, as scikit-image gives them."""
    kind, x, y, w, h = (int(v) for v in feature)
    return frozenset(((y + i * h, x + j * w), (y + i * h + h - 1, x + j * w + w - 1))
                     for i, j in np.ndindex(KINDS[kind].shape))


def test_integral_images_are_equal():
    transform = pytest.importorskip("skimage.transform", reason="scikit-image is the oracle")
    rng = np.random.default_rng(0)
    for image in (rng.integers(0, 256, (13, 17)), rng.standard_normal((5, 9))):
        np.testing.assert_allclose(integral_image(image)[1:, 1:], transform.integral_image(image), rtol=1e-12)


@pytest.mark.parametrize("kind", range(5), ids=TYPES)
def test_features_lie_on_the_same_rectangles(kind):
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is the oracle")
    for size in (6, 9):
        coordinates, _ = feature.haar_like_feature_coord(size, size, TYPES[kind])
        theirs = {frozenset((tuple(map(int, a)), tuple(map(int, b))) for a, b in cells) for cells in coordinates}
        ours = all_features(size)
        ours = ours[ours[:, 0] == kind]
        assert {rectangles(f) for f in ours} == theirs and len(ours) == len(coordinates)
    assert len(feature.haar_like_feature_coord(24, 24, TYPES[kind])[0]) == count_features(24)[kind]


@pytest.mark.parametrize("kind", [0, 1, 4], ids=["type-2-x", "type-2-y", "type-4"])
def test_values_of_edges_and_checkers_are_equal(kind):
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is the oracle")
    patch = np.random.default_rng(kind).random((24, 24))
    ours = all_features(24)
    ours = ours[ours[:, 0] == kind][::997]
    values = feature_values(ours, patch[None].astype(np.float32))[:, 0] * 576 * patch.std()
    coordinates, types = feature.haar_like_feature_coord(24, 24, TYPES[kind])
    place = {frozenset((tuple(map(int, a)), tuple(map(int, b))) for a, b in cells): i
             for i, cells in enumerate(coordinates)}
    chosen = [place[rectangles(f)] for f in ours]
    theirs = feature.haar_like_feature(integral_image(patch)[1:, 1:], 0, 0, 24, 24, feature_type=types[chosen],
                                       feature_coord=coordinates[chosen])
    sign = np.sign(values[0] * theirs[0])
    np.testing.assert_allclose(values, sign * theirs, rtol=0, atol=2e-4)
