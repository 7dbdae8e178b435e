"""COCO evaluation on flat arrays: overlaps of boxes, greedy matching, precision at fixed recalls.

Detections are sorted by (class, image, falling score) and objects by (class, image), so that the objects a
detection may match are one range [first, last). A *group* is the detections of one image and class. Overlaps are
ragged: those of detection d lie at ious[offset[d]:offset[d + 1]], one per object of its range.
A detection ends up in one of three states.
"""

import numpy as np

from .launch import example, kernel

WRONG, RIGHT, IGNORED = 0, 1, 2


def box_overlaps_numpy(boxes, objects, crowd, first, offset, y):
    """The same on all pairs at once."""
    count = np.diff(offset)
    d = np.repeat(np.arange(len(boxes)), count)
    g = first[d] + np.arange(len(d)) - offset[d]
    a, b = boxes[d], objects[g]
    width = np.minimum(a[:, 0] + a[:, 2], b[:, 0] + b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
    height = np.minimum(a[:, 1] + a[:, 3], b[:, 1] + b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
    shared = np.where((width > 0) & (height > 0), width * height, 0)
    own, other = a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]
    union = np.where(crowd[g] != 0, own, own + other - shared)
    y[:] = shared / np.where(shared > 0, union, 1)


@kernel(twin=box_overlaps_numpy, out="y")
def box_overlaps(start, stop, boxes, objects, crowd, first, offset, y):
    """y[offset[d] + k] = IoU of boxes[d] with objects[first[d] + k], all (x, y, width, height).

    With a crowd, the intersection is divided by the area of the detection alone.
    """
    for d in range(start, stop):
        x1, y1 = boxes[d, 0], boxes[d, 1]
        x2, y2, own = x1 + boxes[d, 2], y1 + boxes[d, 3], boxes[d, 2] * boxes[d, 3]
        for k in range(offset[d + 1] - offset[d]):
            g = first[d] + k
            gx, gy, gw, gh = objects[g, 0], objects[g, 1], objects[g, 2], objects[g, 3]
            left, right = (x1 if x1 > gx else gx), (x2 if x2 < gx + gw else gx + gw)
            top, bottom = (y1 if y1 > gy else gy), (y2 if y2 < gy + gh else gy + gh)
            iou = 0.0
            if right - left > 0 and bottom - top > 0:
                shared = (right - left) * (bottom - top)
                iou = shared / (own if crowd[g] else own + gw * gh - shared)
            y[offset[d] + k] = iou


def match_groups_numpy(groups, ious, offset, first, crowd, ignore, outside, thresholds, state, taken):
    """Detection by detection: the free objects of highest IoU, those that are ignored only as a last resort."""
    state[:], taken[:] = WRONG, 0
    for a, t in np.ndindex(state.shape[:2]):
        for d in range(groups[0], groups[-1]):
            iou, g = ious[offset[d]:offset[d + 1]], slice(first[d], first[d] + offset[d + 1] - offset[d])
            free = (iou >= min(thresholds[t], 1 - 1e-10)) & ((taken[a, t, g] == 0) | (crowd[g] != 0))
            for kind in (0, 1):
                chosen = np.flatnonzero(free & (ignore[a, g] == kind))
                if len(chosen):
                    best = chosen[iou[chosen] == iou[chosen].max()][-1]
                    taken[a, t, first[d] + best] = 1
                    state[a, t, d] = IGNORED if kind else RIGHT
                    break
            else:
                state[a, t, d] = IGNORED if outside[a, d] else WRONG


@kernel(twin=match_groups_numpy, out="state taken")
def match_groups(start, stop, groups, ious, offset, first, crowd, ignore, outside, thresholds, state, taken):
    """state (A, T, D) of all detections and whether an object is taken (A, T, G), for every area range and threshold.

    An item is a group; group i has detections groups[i], ..., groups[i + 1] - 1. Each takes the free object of
    highest IoU >= threshold (of equal ones the last); crowds are never used up. Objects to be ignored are
    considered only if no other is left; matching one, or being outside the area range without any match, makes
    a detection count neither way.
    """
    for i in range(start, stop):
        low, high = groups[i], groups[i + 1]
        for a in range(len(state)):
            for t in range(len(thresholds)):
                for g in range(first[low], first[low] + offset[low + 1] - offset[low]):
                    taken[a, t, g] = 0
                least = min(thresholds[t], 1 - 1e-10)
                for d in range(low, high):
                    chosen = -1
                    for kind in range(2):
                        best = least
                        for k in range(offset[d + 1] - offset[d]):
                            g, iou = first[d] + k, ious[offset[d] + k]
                            free = taken[a, t, g] == 0 or crowd[g] != 0
                            if free and ignore[a, g] == kind and iou >= best:
                                best, chosen = iou, g
                        if chosen >= 0:
                            break
                    if chosen >= 0:
                        taken[a, t, chosen] = 1
                        state[a, t, d] = IGNORED if ignore[a, chosen] else RIGHT
                    else:
                        state[a, t, d] = IGNORED if outside[a, d] else WRONG


def accumulate_numpy(classes, order, rank, state, positives, max_dets, recalls, precision, recall):
    """Cumulated sums, the envelope from the right, and its values where each recall is first reached."""
    for k, a, m, t in np.ndindex(recall.shape):
        if positives[k, a] == 0:
            precision[k, a, m, t], recall[k, a, m, t] = np.nan, np.nan
            continue
        d = order[classes[k]:classes[k + 1]]
        d = d[rank[d] < max_dets[m]]
        tp, fp = (np.cumsum(state[a, t, d] == kind) for kind in (RIGHT, WRONG))
        envelope = np.maximum.accumulate((tp / np.maximum(tp + fp, 1))[::-1])[::-1]
        where = np.searchsorted(tp / positives[k, a], recalls)
        precision[k, a, m, t] = np.append(envelope, 0)[where]
        recall[k, a, m, t] = tp[-1] / positives[k, a] if len(tp) else 0


@kernel(twin=accumulate_numpy, out="precision recall")
def accumulate(start, stop, classes, order, rank, state, positives, max_dets, recalls, precision, recall):
    """precision (K, A, M, T, R) at fixed recalls and final recall (K, A, M, T).

    An item is a class; its detections by falling score are order[classes[k]:classes[k + 1]], and those of
    rank < max_dets[m] within their image count. Recall rises at right detections only, and the precision at
    recall r is the best that is reached at r or later: so each right one is entered at the largest recall it
    reaches, and a running maximum from the right does the rest. Classes without objects are NaN.
    """
    for k in range(start, stop):
        for a in range(precision.shape[1]):
            for m in range(len(max_dets)):
                for t in range(precision.shape[3]):
                    q = precision[k, a, m, t]
                    q[:] = 0.0 if positives[k, a] > 0 else np.nan
                    recall[k, a, m, t] = q[0]
                    if positives[k, a] == 0:
                        continue
                    right, wrong, reached = 0, 0, 0
                    for z in range(classes[k], classes[k + 1]):
                        d = order[z]
                        if rank[d] >= max_dets[m] or state[a, t, d] == IGNORED:
                            continue
                        if state[a, t, d] == WRONG:
                            wrong += 1
                            continue
                        right += 1
                        while reached < len(recalls) and recalls[reached] <= right / positives[k, a]:
                            reached += 1
                        if reached > 0 and right / (right + wrong) > q[reached - 1]:
                            q[reached - 1] = right / (right + wrong)
                    recall[k, a, m, t] = right / positives[k, a]
                    for r in range(len(recalls) - 2, -1, -1):
                        if q[r + 1] > q[r]:
                            q[r] = q[r + 1]


@example
def _example(dtype):
    boxes, one, flag = np.array([[0.0, 0, 2, 2]]), np.array([0, 1]), np.zeros((1, 1), np.uint8)
    ious, state = np.zeros(1), np.zeros((1, 1, 1), np.int8)
    box_overlaps(1, boxes, boxes, flag[0], one[:1], one, ious)
    match_groups(1, one, ious, one, one[:1], flag[0], flag, flag, np.array([0.5]), state, state.copy())
    accumulate(1, one, one[:1], one[:1], state, np.array([[1]]), np.array([100]), np.array([0.0, 1.0]),
               np.zeros((1, 1, 1, 1, 2)), np.zeros((1, 1, 1, 1)))
