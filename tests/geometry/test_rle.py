"""Run-length codes and polygons.

Proved here: codes by the definition (a loop down the columns), round trips, area, box, merge and IoU against the
decoded masks; strings against the stored ones of the reference toolbox (E19) and a loop; polygons against counting
crossings of the outline and stored masks; damaged codes and polygons are refused by name (E20, E21). In the oracle
lane: the same against pycocotools on random masks and polygons.
"""

import numpy as np
import pytest

from minicv.errors import ArgError, DataFormatError, LimitError, ShapeError
from minicv.geometry import (
    RLE,
    check_rle,
    polygon_mask,
    polygon_rle,
    rle_area,
    rle_box,
    rle_decode,
    rle_encode,
    rle_from_string,
    rle_iou,
    rle_merge,
    rle_overlap,
    rle_to_string,
    rles_from_strings,
    segmentation_rle,
)
from minicv.kernels.rle import run_overlap, run_overlap_numpy

pytestmark = [pytest.mark.ch4, pytest.mark.ch5]


def random_masks(rng, count, size=None):
    size = rng.integers(1, 25, 2) if size is None else size
    return [rng.random(size) < rng.choice([0, 0.1, 0.5, 0.9, 1]) for _ in range(count)]


def runs_by_loop(mask):
    counts, value, run = [], False, 0
    for w in range(mask.shape[1]):
        for h in range(mask.shape[0]):
            if mask[h, w] != value:
                counts.append(run)
                value, run = mask[h, w], 0
            run += 1
    return [*counts, run]


def string_by_loop(counts):
    text = ""
    for i, x in enumerate(counts):
        x = int(x - counts[i - 2]) if i > 2 else int(x)
        while True:
            digit, x = x & 31, x >> 5
            last = x == (-1 if digit & 16 else 0)
            text += chr(48 + digit + (0 if last else 32))
            if last:
                break
    return text


def test_the_example_of_the_format_E19():
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:4] = True
    rle = rle_encode(mask)
    assert rle_to_string(rle) == "5220003" and rle.counts.tolist() == [5, 2, 2, 2, 2, 2, 5]
    assert rle_area(rle) == 6 and rle_box(rle).tolist() == [1, 1, 4, 3]          # x, y, w, h = 1, 1, 3, 2


def test_codes_follow_the_definition_and_come_back():
    rng = np.random.default_rng(0)
    for mask in (m for _ in range(60) for m in random_masks(rng, 3)):
        rle = rle_encode(mask)
        assert rle.counts.tolist() == runs_by_loop(mask) and rle.size == mask.shape
        assert (rle_decode(rle) == mask).all() and rle_area(rle) == mask.sum()
        text = rle_to_string(rle)
        assert text == string_by_loop(rle.counts)
        again = rle_from_string(text, mask.shape)
        assert (again.counts == rle.counts).all() and again.size == rle.size
        h, w = np.nonzero(mask)
        box = [w.min(), h.min(), w.max() + 1, h.max() + 1] if mask.any() else [0, 0, 0, 0]
        assert rle_box(rle).tolist() == box


def test_large_numbers_need_several_characters():
    for counts in ([5000 * 3000], [0, 15_000_000], [31, 32, 7_000_000, 1, 7_999_936]):
        rle = check_rle(counts, (5000, 3000))
        assert rle_to_string(rle) == string_by_loop(counts)
        assert rle_from_string(rle_to_string(rle), (5000, 3000)).counts.tolist() == counts


def test_many_strings_are_read_as_each_alone():
    rng = np.random.default_rng(6)
    masks = [m for _ in range(30) for m in random_masks(rng, 2)]
    texts, sizes = [rle_to_string(rle_encode(m)) for m in masks], [m.shape for m in masks]
    for mask, rle in zip(masks, rles_from_strings(texts, sizes), strict=True):
        assert (rle_decode(rle) == mask).all()
    assert rles_from_strings([], []) == []
    for k, broken in ((7, "7"), (20, ""), (33, "~"), (59, "P")):
        with pytest.raises(DataFormatError, match=rf"rle\[{k}\] "):
            rles_from_strings([*texts[:k], broken, *texts[k + 1:]], [*sizes[:k], (40, 40), *sizes[k + 1:]])


def test_runs_of_length_zero_change_nothing():
    plain, padded = check_rle([3, 2, 7], (3, 4)), check_rle([1, 0, 2, 1, 0, 1, 0, 0, 7], (3, 4))
    assert (rle_decode(plain) == rle_decode(padded)).all() and (rle_box(plain) == rle_box(padded)).all()
    assert rle_iou([plain], [padded]) == 1 and rle_merge([padded]).counts.tolist() == [3, 2, 7]


def test_merge_and_iou_are_those_of_the_masks():
    rng = np.random.default_rng(1)
    for _ in range(60):
        masks = random_masks(rng, 5)
        rles, crowd = [rle_encode(m) for m in masks], np.array([False, True, False])
        for intersect, expected in ((False, np.any(masks, 0)), (True, np.all(masks, 0))):
            merged = rle_merge(rles, intersect=intersect)
            assert merged.counts.tolist() == runs_by_loop(expected)
        got = rle_iou(rles[:2], rles[2:], crowd=crowd)
        for i, a in enumerate(masks[:2]):
            for j, b in enumerate(masks[2:]):
                union = a.sum() if crowd[j] else (a | b).sum()
                assert got[i, j] == ((a & b).sum() / union if union else 0)


def test_crowd_iou_is_not_symmetric():
    small, large = np.zeros((6, 6), bool), np.ones((6, 6), bool)
    small[2:4, 2:4] = True
    a, b = rle_encode(small), rle_encode(large)
    assert rle_iou([a], [b], crowd=[True]) == 1 and rle_iou([b], [a], crowd=[True]) == 4 / 36
    assert rle_iou([a], [b]) == rle_iou([b], [a]) == 4 / 36
    assert rle_iou([], [b]).shape == (0, 1) and rle_iou([a], []).shape == (1, 0)


def test_the_loop_and_its_twin_agree_and_write_only_their_output():
    rng = np.random.default_rng(2)
    rles = [rle_encode(m) for m in random_masks(rng, 12, (9, 7))]
    counts = np.concatenate([r.counts for r in rles])
    starts = np.cumsum([0, *(len(r.counts) for r in rles)])
    pairs = rng.integers(0, 12, (300, 2))
    guarded, twin = np.full(304, -7), np.zeros(300, np.int64)
    run_overlap(300, counts, starts, counts, starts, pairs, guarded[2:302])
    run_overlap_numpy(counts, starts, counts, starts, pairs, twin)
    expected = [(rle_decode(rles[m]) & rle_decode(rles[n])).sum() for m, n in pairs]
    assert twin.tolist() == expected == guarded[2:302].tolist()
    assert (guarded[[0, 1, 302, 303]] == -7).all()
    assert rle_overlap(rles, rles, np.zeros((0, 2))).shape == (0,)


# Polygons -------------------------------------------------------------------------------------------------


def test_rectangles_on_pixel_borders_are_exact():
    for x1, y1, x2, y2 in ((1, 2, 5, 4), (0, 0, 8, 6), (3, 0, 4, 6)):
        mask = polygon_mask([[x1, y1, x2, y1, x2, y2, x1, y2]], (6, 8))
        expected = np.zeros((6, 8), bool)
        expected[y1:y2, x1:x2] = True
        assert (mask == expected).all()


def test_a_mask_is_the_centres_inside_up_to_the_outline():
    """Against counting crossings of a ray, at pixels farther from the outline than the fine grid can move it."""
    rng, compared = np.random.default_rng(3), 0
    for _ in range(40):
        points = rng.uniform(-3, 23, (int(rng.integers(3, 8)), 2))               # may cross itself and leave the image
        mask = polygon_mask([points.ravel()], (20, 20))
        for h in range(20):
            for w in range(20):
                distance, inside = outline_distance(points, w + 0.5, h + 0.5)
                if distance > 0.3:
                    assert mask[h, w] == inside
                    compared += 1
    assert compared > 10_000


def outline_distance(points, x, y):
    """Distance of (x, y) to a closed polygon, and whether a ray to the right meets it an odd number of times."""
    a, b = points, np.roll(points, -1, axis=0)
    t = np.clip((([x, y] - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1), 0, 1)
    distance = np.hypot(*(a + t[:, None] * (b - a) - [x, y]).T).min()
    between = (a[:, 1] > y) != (b[:, 1] > y)
    with np.errstate(divide="ignore"):
        meets = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
    return distance, (between & (meets > x)).sum() % 2 == 1


POLYGONS = [
    ([1, 1, 8, 1, 8, 9, 1, 9], '=8400000000000g0'),
    ([0.5, 0.5, 9.5, 0.5, 5.0, 11.5], '=2:2N3M2N00N2N2M>'),
    ([2.2, 3.3, 7.7, 1.1, 9.9, 10.4, 4.4, 11.9, 1.0, 6.0], 'a0284N1N3N00O013M4LH'),
    ([-3, -2, 12, 5, 4, 15], '0663N1N10O00001N1N3NM'),
    ([1, 1, 9, 9, 9, 1, 1, 9], '=76N2N2N10O2N2N2:'),
    ([5, 5, 5, 5, 5, 5], 'h3'),
    ([3, 2, 3, 2, 8, 2.5, 8, 10], 'V11;1O2N101c0'),
    ([0.8, 5.99, 7.42, -0.6, 1.07, 11.99, -0.01, 0.82, 12.28, 7.71], '158NI22MO17NN0K140K14NN27O1O00J'),
    ([4.17, 6.16, 8.28, 2.85, 0.93, 10.03, 8.39, 6.17, 10.43, 6.69], 'e01:001O0100O10<0^O'),
    ([12.73, 1.86, 6.75, 5.77, 3.95, 7.28, 2.29, 10.23, 11.14, 0.8], '\\11:000g00XO1O'),
]


def test_stored_polygons_of_the_reference_toolbox():
    """Strings by pycocotools 2.0.11, `frPyObjects([p], 12, 10)`."""
    for polygon, text in POLYGONS:
        assert rle_to_string(polygon_rle(polygon, (12, 10))) == text


def test_all_forms_of_a_segmentation_give_one_code():
    square = [1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0]
    rle = segmentation_rle([square], (5, 6))
    counts = rle.counts.tolist()
    for form in ([square, square], {"size": [5, 6], "counts": counts}, rle, {"size": (5, 6), "counts": rle.counts},
                 {"size": [5, 6], "counts": rle_to_string(rle)},
                 {"size": [5, 6], "counts": rle_to_string(rle).encode()}):
        assert segmentation_rle(form, (5, 6)).counts.tolist() == counts
    union = segmentation_rle([square, [0, 0, 2, 0, 2, 2, 0, 2]], (5, 6))
    assert rle_area(union) == 6 + 4 - 1


# Errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts, size, words", [
    ([3, 2], (2, 3), "sum to 5, expected 2 \\* 3 = 6"), ([7], (2, 3), r"counts\[0\] = 7"),
    ([8, -2], (2, 3), r"counts\[0\] = 8"), ([2, -2, 6], (2, 3), r"counts\[1\] = -2"), ([], (2, 3), "counts"),
    ([6.0], (2, 3), "float64"), ([[6]], (2, 3), "shape"), ([6], (0, 3), "size"), ([6], (2.0, 3), "size"),
    ([6], (2,), "size"), ([6], "23", "size"), ([1], (True, 1), "size"), ([6], (-2, -3), "size")])
def test_counts_that_do_not_fit_are_refused_E20(counts, size, words):
    with pytest.raises(DataFormatError, match=f"check_rle: annotation 7 has.*{words}"):
        check_rle(counts, size, what="annotation 7")


@pytest.mark.parametrize("text, words", [
    ("", "ends inside a number"), ("5220003P", "ends inside a number at position 8"), ("52/0003", "byte 47"),
    ("522p003", "byte 112 at position 3"), ("é", "byte 195"), ("5220004", "sum to 21"), ("6", "sum to 6"),
    ("PPPPPPPPPPP1", "12 digits"), ("ooooooooo0", "a number"), ("52O0", r"counts\[2\] = -1"), (b"522\0003", "byte 0")])
def test_strings_that_do_not_fit_are_refused_E20(text, words):
    with pytest.raises(DataFormatError, match=f"annotation 7.*{words}"):
        rle_from_string(text, (4, 5), what="annotation 7")


def test_sizes_beyond_the_limit_are_refused_before_memory_is_taken():
    with pytest.raises(LimitError, match="size"):
        check_rle([10**12], (10**6, 10**6))
    with pytest.raises(LimitError, match="outline"):
        polygon_rle([0, 0, 1e9, 0, 1e9, 1e9], (10, 10))


@pytest.mark.parametrize("segmentation, words", [
    ([[1, 1, 2, 2]], "at least 3 points"), ([[1, 1, 2, 2, 3]], "at least 3 points"),
    ([[1, 1, 2, 2, 3, 3, 4]], "at least 3 points"), ([], "at least one polygon"), (None, "at least one polygon"),
    (7, "at least one polygon"), ([[0, 0, 1, 1, np.nan, 2]], "not finite"), ([["a"] * 6], "expected numbers"),
    ([[0, 0, 1, 1, None, 2]], "not finite"), ([[[0, 0]] * 3], "at least 3 points"), ({"counts": [6]}, "keys"),
    ({"size": [3, 2], "counts": [6]}, "that of its image"), ({"size": [2, 3], "counts": [6.0]}, "integers"),
    ({"size": [2, 3], "counts": [True]}, "integers"), ({"size": [2, 3], "counts": [2**70]}, "integers"),
    ({"size": [2, 3], "counts": []}, "sum to 0"), ({"size": [2, 3], "counts": "7"}, "7")])
def test_segmentations_that_are_none_are_refused_E21(segmentation, words):
    with pytest.raises(DataFormatError, match=f"annotation 7.*{words}"):
        segmentation_rle(segmentation, (2, 3), what="annotation 7")


@pytest.mark.parametrize("call, words", [
    (lambda: rle_encode(np.zeros((2, 3))), "float64"), (lambda: rle_encode(np.zeros((0, 3), bool)), "not empty"),
    (lambda: rle_encode(np.zeros(3, bool)), r"shape \(3,\)"), (lambda: rle_merge([]), "exactly one"),
    (lambda: rle_merge([RLE((2, 3), np.array([6])), RLE((3, 2), np.array([6]))]), "exactly one"),
    (lambda: rle_iou([RLE((2, 3), np.array([6]))], [RLE((3, 2), np.array([6]))]), r"a\[0\] has size"),
    (lambda: rle_iou([], [RLE((2, 3), np.array([6]))], crowd=[True, False]), "crowd has shape")])
def test_arguments_that_do_not_fit_are_refused(call, words):
    with pytest.raises(ShapeError, match=words):
        call()


# Live reference -------------------------------------------------------------------------------------------


@pytest.mark.oracle
def test_masks_equal_the_reference_toolbox():
    reference = pytest.importorskip("pycocotools.mask", reason="live comparison with the reference toolbox")
    rng = np.random.default_rng(4)
    for _ in range(200):
        masks, crowd = random_masks(rng, 5), rng.random(3) < 0.4
        theirs = [reference.encode(np.asfortranarray(m.astype(np.uint8))) for m in masks]
        ours = [rle_encode(m) for m in masks]
        for a, b in zip(ours, theirs, strict=True):
            assert rle_to_string(a).encode() == b["counts"] and rle_area(a) == reference.area(b)
            x1, y1, x2, y2 = rle_box(a)
            assert [x1, y1, x2 - x1, y2 - y1] == reference.toBbox(b).tolist()
        np.testing.assert_array_equal(rle_iou(ours[:2], ours[2:], crowd=crowd),
                                      reference.iou(theirs[:2], theirs[2:], crowd.astype(np.uint8)))
        for intersect in (False, True):
            assert rle_to_string(rle_merge(ours, intersect=intersect)).encode() == reference.merge(
                theirs, intersect)["counts"]


@pytest.mark.oracle
def test_polygons_equal_the_reference_toolbox():
    reference = pytest.importorskip("pycocotools.mask", reason="live comparison with the reference toolbox")
    rng = np.random.default_rng(5)
    for k in range(2000):
        size, points = rng.integers(1, 40, 2).tolist(), rng.uniform(-10, 50, (int(rng.integers(3, 12)), 2))
        if k % 3:                                                                # many points on the grid, some equal
            points = np.round(points * (1, 1, 5)[k % 3]) / (1, 1, 5)[k % 3]
            points[1] = points[0]
        polygon = points.ravel().tolist()
        expected = reference.frPyObjects([polygon], *size)[0]["counts"]
        assert rle_to_string(polygon_rle(polygon, size)).encode() == expected


@pytest.mark.parametrize("text", [None, 10**10, ["0"]])
def test_what_is_no_text_is_refused_before_memory_is_taken_E20(text):
    with pytest.raises(DataFormatError, match="expected text"):
        rle_from_string(text, (3, 3))


def test_decoding_checks_its_runs_E20():
    with pytest.raises(DataFormatError, match="counts that sum to 3"):
        rle_decode(RLE((3, 3), np.array([1, 2])))


def test_pairs_are_positions_in_the_lists():
    whole = [RLE((3, 3), np.array([0, 9]))]
    for pair in ([5, 0], [-1, 0], [0, 1]):
        with pytest.raises(ArgError, match="pairs"):
            rle_overlap(whole, whole, [pair])
