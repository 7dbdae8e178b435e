"""Selective search: colour spaces, features of regions, the hierarchy, ranking, recall.

Proved here: HSV equals matplotlib's, Lab known values (and scikit-image, oracle); features equal loops over pixels,
and those of a union equal those computed from its pixels; greedy joining equals a brute-force version that computes
all similarities afresh in each step; S - 1 joins, the last region is the whole image; ranking and recall equal their
definitions; recall on D4 reaches the target; errors.
"""

import numpy as np
import pytest

from minicv.data import Scenes
from minicv.detection.proposals import (
    COLORS,
    FAST,
    MEASURES,
    QUALITY,
    SINGLE,
    Strategy,
    group,
    hierarchy,
    rank,
    recall_curve,
    selective_search,
    superpixels,
)
from minicv.detection.proposals.regions import Regions, describe, neighbor_pairs, union
from minicv.errors import ArgError, DTypeError, ShapeError

pytestmark = pytest.mark.ch4


def scene(seed=0, size=48):
    return Scenes(1, size=size, seed=seed)[0]["image"].astype(np.float64)


def random_segments(seed=0, size=(9, 11), count=6):
    """Labels of a Voronoi diagram: every segment is connected, or nearly."""
    rng = np.random.default_rng(seed)
    seeds = rng.random((count, 2)) * size
    y, x = np.indices(size)
    near = ((y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2).argmin(-1)
    return np.unique(near, return_inverse=True)[1].reshape(size), rng.random((3, *size))


def rows(regions, index):
    return Regions(*(column[index] for column in regions))


# Colour spaces ----------------------------------------------------------------------------------------------


def test_hsv_equals_the_plotting_librarys():
    from matplotlib.colors import rgb_to_hsv
    image = np.random.default_rng(0).random((3, 20, 20))
    image[:, 0] = image[:1, 0]                                       # grey
    image[:, 1] = 0
    np.testing.assert_allclose(COLORS["hsv"](image), rgb_to_hsv(image.transpose(1, 2, 0)).transpose(2, 0, 1),
                               atol=1e-12)
    assert (COLORS["hue"](image) == COLORS["hsv"](image)[:1]).all()


def test_lab_of_white_black_and_primaries():
    """Values of CIE L*a*b* as tabulated for sRGB under D65."""
    image = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]).T[:, None]
    L, a, b = COLORS["lab"](image)[:, 0] * np.array([[100], [256], [256]]) - np.array([[0], [128], [128]])
    np.testing.assert_allclose(L, [100, 0, 53.24, 87.74, 32.30], atol=0.02)
    np.testing.assert_allclose(a, [0, 0, 80.09, -86.18, 79.19], atol=0.03)
    np.testing.assert_allclose(b, [0, 0, 67.20, 83.18, -107.86], atol=0.03)


@pytest.mark.oracle
def test_lab_agrees_with_scikit_image():
    color = pytest.importorskip("skimage.color", reason="scikit-image is the oracle")
    image = np.random.default_rng(0).random((3, 9, 9))
    theirs = color.rgb2lab(image.transpose(1, 2, 0)).transpose(2, 0, 1)
    ours = COLORS["lab"](image) * np.array([100, 256, 256])[:, None, None] - np.array([0, 128, 128])[:, None, None]
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize("name", COLORS)
def test_channels_stay_in_the_unit_interval(name):
    image = np.random.default_rng(0).random((3, 16, 16)).round(1)
    y = COLORS[name](image)
    assert np.isfinite(y).all() and y.min() >= 0 and y.max() <= 1 and y.shape[1:] == (16, 16)


def test_chromaticities_ignore_shadow():
    image = np.random.default_rng(0).uniform(0.2, 1, (3, 4, 4))
    np.testing.assert_allclose(COLORS["rgi"](image)[:2], COLORS["rgi"](0.3 * image)[:2], atol=1e-12)


# Regions ----------------------------------------------------------------------------------------------------


def test_features_equal_loops_over_pixels():
    labels, image = random_segments()
    regions = describe(labels, image)
    for s in range(labels.max() + 1):
        y, x = np.nonzero(labels == s)
        assert regions.size[s] == len(y)
        assert regions.box[s].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        counts = np.concatenate([np.histogram(image[c, y, x], bins=25, range=(0, 1))[0] for c in range(3)])
        np.testing.assert_allclose(regions.color[s], counts / (3 * len(y)), atol=1e-12)
    np.testing.assert_allclose(regions.texture.sum(1), 1, rtol=1e-12)
    assert regions.texture.shape[1] == 3 * 8 * 10


def test_texture_sees_the_direction_of_an_edge():
    image = np.zeros((1, 16, 16))
    image[:, :, 8:] = 1                                              # brighter to the right: direction 0
    texture = describe(np.zeros((16, 16), np.int64), image).texture.reshape(8, 10)
    strong = texture[:, 5:].sum(1)
    assert strong.argmax() == 0 and strong[4] == 0 and strong[[1, 7]].min() > 0


def test_features_of_a_union_follow_from_its_parts():
    labels, image = random_segments(1)
    regions = describe(labels, image)
    together = describe(np.where(labels == 1, 0, np.maximum(labels - 1, 0)), image)
    for name, got, expected in zip(Regions._fields, union(rows(regions, 0), rows(regions, 1)), rows(together, 0),
                                   strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-12, err_msg=name)


def test_similarities_are_symmetric_bounded_and_follow_their_formulas():
    labels, image = random_segments(2)
    a, b = (rows(describe(labels, image), i) for i in (0, 1))
    for measure in MEASURES.values():
        s = measure(a, b, labels.size)
        assert 0 <= s <= 1 and s == measure(b, a, labels.size)
    assert MEASURES["color"](a, a, labels.size) == pytest.approx(1)
    pixels = np.isin(labels, (0, 1))
    y, x = np.nonzero(pixels)
    gap = (np.ptp(x) + 1) * (np.ptp(y) + 1) - pixels.sum()
    assert MEASURES["fill"](a, b, labels.size) == pytest.approx(1 - gap / labels.size)
    assert MEASURES["size"](a, b, labels.size) == pytest.approx(1 - pixels.mean())


def test_neighbors_touch_at_an_edge_or_a_corner():
    assert neighbor_pairs(np.array([[0, 0, 1], [2, 3, 1]])).tolist() == [[0, 1], [0, 2], [0, 3], [1, 3], [2, 3]]


# The hierarchy ----------------------------------------------------------------------------------------------


def brute_force_group(labels, image, measures):
    """Every step looks at all pairs of touching regions and describes them from their pixels."""
    region, merges, new = labels.copy(), [], labels.max() + 1
    while len(np.unique(region)) > 1:
        names, dense = np.unique(region, return_inverse=True)
        dense = dense.reshape(labels.shape)
        regions = describe(dense, image)
        scored = [(-sum(MEASURES[m](rows(regions, a), rows(regions, b), labels.size) for m in measures).round(9),
                   names[a], names[b]) for a, b in neighbor_pairs(dense)]
        _, a, b = min(scored)
        region[np.isin(region, (a, b))] = new
        merges.append([a, b])
        new += 1
    return merges


@pytest.mark.parametrize("measures", [tuple(MEASURES), ("texture", "size", "fill"), ("color",), ("fill",)])
@pytest.mark.parametrize("seed", range(3))
def test_greedy_joining_equals_brute_force(seed, measures):
    labels, image = random_segments(seed, count=9)
    assert group(labels, image, measures).merges.tolist() == brute_force_group(labels, image, measures)


def test_joins_are_one_fewer_than_superpixels_and_end_at_the_whole_image():
    for seed, strategy in enumerate(FAST):
        tree = hierarchy(scene(seed), strategy, min_size=5)
        count = tree.labels.max() + 1
        assert len(tree.merges) == count - 1 and len(tree.boxes) == 2 * count - 1
        assert tree.boxes[-1].tolist() == [0, 0, 48, 48] and tree.sizes[-1] == 48 * 48
        assert (tree.similarity <= len(strategy.measures)).all()
        assert np.unique(tree.merges).tolist() == list(range(2 * count - 2))             # each joins once


def test_region_maps_get_coarser_join_by_join():
    tree = hierarchy(scene(5), min_size=5)
    for t in (0, 1, len(tree.merges) // 2, len(tree.merges)):
        region = tree.after(t)
        names = np.unique(region)
        assert len(names) == len(tree.sizes) - len(tree.merges) - t
        for r in names[-2:]:
            y, x = np.nonzero(region == r)
            assert tree.boxes[r].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1] and tree.sizes[r] == len(y)


def test_one_superpixel_needs_no_join():
    tree = hierarchy(np.full((3, 6, 5), 0.4))
    assert tree.merges.shape == (0, 2) and tree.boxes.tolist() == [[0, 0, 5, 6]]


# Ranking, recall, the whole ---------------------------------------------------------------------------------


def test_rank_follows_its_formula_and_keeps_each_box_once():
    boxes = [np.array([[0, 0, 1, 4], [2, 2, 5, 5], [0, 0, 9, 9.0]]), np.array([[2, 2, 5, 5], [0, 0, 9, 9.0]])]
    u = np.random.default_rng(4).random(5)
    values = [3 * u[0], 2 * u[1], u[2], 2 * u[3], u[4]]
    best = {}
    for box, value in zip(np.concatenate(boxes).tolist(), values, strict=True):
        best[tuple(box)] = min(value, best.get(tuple(box), np.inf))
    got = rank(boxes, rng=4)
    assert [tuple(b) for b in got.boxes.tolist()] == sorted(best, key=best.get)
    np.testing.assert_allclose(got.values, sorted(best.values()))
    assert (0, 0, 1, 4) not in map(tuple, rank(boxes, rng=4, min_side=2).boxes.tolist())
    assert len(rank(boxes, rng=4, limit=2).boxes) == 2


def test_recall_counts_objects_covered_by_the_first_boxes():
    boxes = [np.array([[0, 0, 1, 1], [0, 0, 4, 4], [10, 10, 14, 14]]), np.array([[5, 5, 9, 9]])]
    truth = [np.array([[0, 0, 4, 4], [10, 10, 14, 15]]), np.array([[50, 50, 60, 60], [5, 5, 9, 9]])]
    assert recall_curve(boxes, truth).tolist() == [0.25, 0.5, 0.75]
    assert recall_curve(boxes, truth, threshold=0.9).tolist() == [0.25, 0.5, 0.5]
    assert np.isnan(recall_curve(boxes[:1], [np.zeros((0, 4))])).all()
    with pytest.raises(ShapeError, match="truth"):
        recall_curve(boxes, truth[:1])
    with pytest.raises(ArgError, match="threshold"):
        recall_curve(boxes, truth, threshold=0)


def test_more_strategies_find_at_least_as_much():
    data = [Scenes(4, size=64, seed=9)[i] for i in range(4)]
    recall = [recall_curve([selective_search(s["image"], strategies=which, rng=0).boxes for s in data],
                           [s["boxes"] for s in data], threshold=0.8)[-1] for which in (SINGLE, FAST)]
    assert recall[0] <= recall[1] and recall[1] > 0.8


def test_recall_on_scenes_with_two_hundred_boxes_reaches_the_target():
    data = Scenes(12, size=96, objects=(1, 4), seed=21)
    proposals = [selective_search(data[i]["image"], limit=200, min_side=8, rng=i).boxes for i in range(12)]
    assert max(map(len, proposals)) <= 200
    assert recall_curve(proposals, [data[i]["boxes"] for i in range(12)])[-1] >= 0.9


def test_the_same_generator_gives_the_same_boxes_in_pixels_of_the_image():
    image = scene(2)
    a, b = (selective_search(image, rng=3) for _ in range(2))
    assert (a.boxes == b.boxes).all() and a.boxes.dtype == np.float32 and (np.diff(a.values) >= 0).all()
    assert (a.boxes[:, :2] < a.boxes[:, 2:]).all() and a.boxes.min() == 0 and a.boxes.max() == 48
    assert len(np.unique(a.boxes, axis=0)) == len(a.boxes)


def test_strategies_are_as_many_as_in_the_paper():
    assert (len(SINGLE), len(FAST), len(QUALITY)) == (1, 8, 80)


@pytest.mark.parametrize("settings, words", [
    (dict(strategies=()), "strategies is empty"), (dict(strategies=[Strategy(color="cmyk")]), "color is 'cmyk'"),
    (dict(strategies=[Strategy(measures=())]), "measures is"),
    (dict(strategies=[Strategy(measures=("shape",))]), "measures is"), (dict(limit=0), "limit is 0"),
    (dict(min_side=0), "min_side is 0"), (dict(strategies=[Strategy(k=0.0)]), "k is 0")])
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ArgError, match=words):
        selective_search(np.zeros((3, 8, 8)), **settings)


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8), (4, 8, 8), (8, 8, 3)])
def test_an_image_without_three_channels_is_refused(shape):
    with pytest.raises(ShapeError, match="selective_search: image has shape"):
        selective_search(np.zeros(shape))


def test_labels_of_superpixels_can_be_grouped_in_another_colour_space():
    image = scene(1)
    tree = group(superpixels(image, min_size=5), COLORS["gray"](image))
    assert tree.sizes[-1] == 48 * 48


def test_recall_with_images_without_boxes_or_objects_D_1():
    none, one = np.zeros((0, 4)), np.array([[0, 0, 4, 4.0]])
    np.testing.assert_array_equal(recall_curve([none, one], [one, one]), [0.5])
    np.testing.assert_array_equal(recall_curve([one, one], [one, none]), [1.0])
    assert recall_curve([none], [one]).shape == (0,)
    assert np.isnan(recall_curve([one], [none])).all()


@pytest.mark.parametrize("labels, image, measures, error, words", [
    (np.full((4, 4), -1), np.zeros((3, 4, 4)), ("size",), ArgError, "labels reach"),
    (np.array([[0, 2], [2, 2]]), np.zeros((3, 2, 2)), ("size",), ArgError, "labels reach"),
    (np.zeros((4, 4), int), np.zeros((3, 5, 5)), ("size",), ShapeError, "labels has shape"),
    (np.zeros((4, 4)), np.zeros((3, 4, 4)), ("size",), DTypeError, "labels has dtype"),
    (np.zeros((4, 4), int), np.full((3, 4, 4), -3.0), ("size",), ArgError, "image has values"),
    (np.zeros((4, 4), int), np.zeros((3, 4, 4)), ("taste",), ArgError, "measures")])
def test_grouping_refuses_labels_that_do_not_fit(labels, image, measures, error, words):
    with pytest.raises(error, match=f"group: {words}"):
        group(labels, image, measures)


def test_strategies_are_records_and_at_least_one_hierarchy_is_ranked():
    for strategies in ([("hsv", ("size",), 50.0)], [Strategy(["hsv"], ("size",), 50.0)]):
        with pytest.raises(ArgError, match="selective_search: "):
            selective_search(np.zeros((3, 9, 9)), strategies=strategies)
    with pytest.raises(ArgError, match="rank: boxes is empty"):
        rank([])
