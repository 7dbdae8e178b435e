"""Kernels of COCO evaluation: overlaps, matching, accumulation.

Proved here: each against its definition in loops and against its twin, on ragged groups with crowds, ignored objects
and empty ranges; they write only their outputs; empty input; the same bytes for any number of threads.
"""

import numpy as np
import pytest

from minicv import kernels as K
from minicv.kernels import coco

pytestmark = pytest.mark.ch4


def layout(rng, groups=12):
    """Ragged groups of detections and objects: bounds, first object and offset of every detection."""
    n, g = rng.integers(1, 6, groups), rng.integers(0, 5, groups)
    bounds, objects = np.append(0, np.cumsum(n)), np.cumsum(g) - g
    return bounds, np.repeat(objects, n), np.append(0, np.cumsum(np.repeat(g, n))), int(g.sum())


def boxes(rng, count):
    return np.concatenate([rng.uniform(0, 20, (count, 2)), rng.uniform(0, 15, (count, 2))], axis=1).round(1)


def iou(a, b, crowd):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    own = a[2] * a[3]
    return width * height / (own if crowd else own + b[2] * b[3] - width * height)


@pytest.mark.parametrize("seed", range(5))
def test_overlaps_follow_the_definition_and_stay_in_their_place(seed):
    rng = np.random.default_rng(seed)
    bounds, first, offset, count = layout(rng)
    found, objects, crowd = boxes(rng, bounds[-1]), boxes(rng, count), (rng.random(count) < 0.3).astype(np.uint8)
    expected = [iou(found[d], objects[first[d] + k], crowd[first[d] + k])
                for d in range(len(found)) for k in range(offset[d + 1] - offset[d])]
    for run in (lambda *a: coco.box_overlaps(len(found), *a), coco.box_overlaps_numpy):
        y = np.full(len(expected) + 4, -7.0)
        run(found, objects, crowd, first, offset, y[2:-2])
        np.testing.assert_allclose(y[2:-2], expected, rtol=1e-13)
        assert (y[[0, 1, -2, -1]] == -7).all()


def match_by_search(bounds, ious, offset, first, crowd, ignore, outside, threshold):
    """One area range and threshold: a detection takes the best of a sorted list of what is left."""
    states, taken = [], set()
    for low, high in zip(bounds, bounds[1:]):
        for d in range(low, high):
            options = []
            for k, value in enumerate(ious[offset[d]:offset[d + 1]]):
                g = first[d] + k
                if value >= min(threshold, 1 - 1e-10) and (g not in taken or crowd[g]):
                    options.append((not ignore[g], value, g))
            if options:
                taken.add(max(options)[2])
                states.append(coco.IGNORED if ignore[max(options)[2]] else coco.RIGHT)
            else:
                states.append(coco.IGNORED if outside[d] else coco.WRONG)
    return states, taken


@pytest.mark.parametrize("seed", range(10))
def test_matching_is_the_greedy_search(seed):
    rng = np.random.default_rng([1, seed])
    bounds, first, offset, count = layout(rng, groups=int(rng.integers(1, 20)))
    ious, crowd = rng.random(offset[-1]).round(1), (rng.random(count) < 0.2).astype(np.uint8)    # many ties
    ignore = np.maximum(crowd, rng.random((3, count)) < 0.3).astype(np.uint8)
    outside = (rng.random((3, bounds[-1])) < 0.3).astype(np.uint8)
    thresholds = np.array([0.3, 0.5, 0.9, 1.0])
    for run in (lambda *a: coco.match_groups(len(bounds) - 1, *a), coco.match_groups_numpy):
        size = 12 * bounds[-1], 12 * count
        state, taken = (np.full(n + 4, 9, np.int8) for n in size)
        run(bounds, ious, offset, first, crowd, ignore, outside, thresholds, state[2:-2].reshape(3, 4, -1),
            taken[2:-2].reshape(3, 4, count))
        for a, t in np.ndindex(3, 4):
            expected, used = match_by_search(bounds, ious, offset, first, crowd, ignore[a], outside[a], thresholds[t])
            assert state[2:-2].reshape(3, 4, -1)[a, t].tolist() == expected
            assert set(np.flatnonzero(taken[2:-2].reshape(3, 4, count)[a, t])) == used
        assert (state[[0, 1, -2, -1]] == 9).all() and (taken[[0, 1, -2, -1]] == 9).all()


def precision_by_loops(states, positives, recalls):
    """Precision and recall after each detection that counts, then the best precision at each recall or later."""
    right, points = 0, []
    counting = [s for s in states if s != coco.IGNORED]
    for i, s in enumerate(counting, 1):
        right += s == coco.RIGHT
        points.append((right / positives, right / i))
    return [max((p for r, p in points if r >= at), default=0.0) for at in recalls], right / positives


@pytest.mark.parametrize("seed", range(6))
def test_accumulation_is_the_best_precision_at_each_recall_or_later(seed):
    rng = np.random.default_rng([2, seed])
    K_, A, M, T = 4, 2, 2, 3
    sizes = rng.integers(0, 30, K_)
    classes, total = np.append(0, np.cumsum(sizes)), int(sizes.sum())
    order = np.concatenate([classes[k] + rng.permutation(sizes[k]) for k in range(K_)]).astype(np.int64)
    rank, state = rng.integers(0, 8, total), rng.integers(0, 3, (A, T, total)).astype(np.int8)
    positives, recalls = 30 * rng.integers(0, 2, (K_, A)) + 0, np.linspace(0, 1, 11)
    for run in (lambda *a: coco.accumulate(K_, *a), coco.accumulate_numpy):
        precision, recall = np.full((K_, A, M, T, 11), -7.0), np.full((K_, A, M, T), -7.0)
        run(classes, order, rank, state, positives, np.array([3, 8]), recalls, precision, recall)
        for k, a, m, t in np.ndindex(K_, A, M, T):
            if positives[k, a] == 0:
                assert np.isnan(precision[k, a, m, t]).all() and np.isnan(recall[k, a, m, t])
                continue
            d = [i for i in order[classes[k]:classes[k + 1]] if rank[i] < (3, 8)[m]]
            expected = precision_by_loops(state[a, t, d], positives[k, a], recalls)
            np.testing.assert_allclose(precision[k, a, m, t], expected[0], atol=1e-15)
            assert recall[k, a, m, t] == pytest.approx(expected[1])


def test_nothing_at_all():
    none, flags, one = np.zeros(0, np.int64), np.zeros((1, 0), np.uint8), np.zeros(1, np.int64)
    coco.box_overlaps(0, np.zeros((0, 4)), np.zeros((0, 4)), flags[0], none, one, np.zeros(0))
    empty = np.zeros((1, 1, 0), np.int8)
    coco.match_groups(0, one, np.zeros(0), one, none, flags[0], flags, flags, np.array([0.5]), empty, empty.copy())
    coco.accumulate(0, one, none, none, empty, np.zeros((0, 1), np.int64), np.array([1]), np.array([0.0]),
                    np.zeros((0, 1, 1, 1, 1)), np.zeros((0, 1, 1, 1)))


def test_the_number_of_threads_changes_no_byte():
    rng = np.random.default_rng(3)
    bounds, first, offset, count = layout(rng, groups=9000)
    found, objects, crowd = boxes(rng, bounds[-1]), boxes(rng, count), np.zeros(count, np.uint8)
    results, before = [], K.get_num_threads()
    try:
        for threads in (1, 2, 3):
            K.set_num_threads(threads)
            y, state = np.empty(offset[-1]), np.empty((1, 2, bounds[-1]), np.int8)
            coco.box_overlaps(len(found), found, objects, crowd, first, offset, y)
            coco.match_groups(len(bounds) - 1, bounds, y, offset, first, crowd, crowd[None],
                              np.zeros((1, len(found)), np.uint8), np.array([0.2, 0.5]), state,
                              np.empty((1, 2, count), np.int8))
            results.append(y.tobytes() + state.tobytes())
    finally:
        K.set_num_threads(before)
    assert len(set(results)) == 1
