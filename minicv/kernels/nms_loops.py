"""The loops of non-maximum suppression, on float64 boxes (N, 4) with int64 labels; `nms` explains the searches."""

import math

import numpy as np

from .launch import kernel
from .overlap import pairwise_iou

LOW = 2**24 - 1                     # bits of cell numbers and labels that are hashed: products stay below 2^63
MARGIN = 1e-3                       # in cells, against rounding of cell numbers up to 2^40


def suppress_pairs_numpy(boxes, labels, threshold, keep):
    """The definition: each kept box strikes out what it overlaps among the later ones of its class."""
    for i in range(len(keep)):
        if keep[i]:
            overlap = pairwise_iou(boxes[i:i + 1], boxes[i + 1:])[0]
            keep[i + 1:] &= (overlap <= threshold) | (labels[i + 1:] != labels[i])


def suppress_cells_numpy(boxes, labels, threshold, columns, sx, rows, sy, keep):
    """The same without cells."""
    suppress_pairs_numpy(boxes, labels, threshold, keep)


def soften_numpy(boxes, labels, linear, threshold, sigma, least, scores, order):
    """The definition, with the IoU of one box at a time."""
    left = np.ones(len(scores), bool)
    for k in range(len(scores)):
        i = int(np.where(left, scores, -1.0).argmax())
        if scores[i] < least or not left[i]:
            return
        order[k], left[i] = i, False
        overlap = np.where(labels == labels[i], pairwise_iou(boxes[i:i + 1], boxes)[0], 0)
        factor = np.where(overlap > threshold, 1 - overlap, 1) if linear else np.exp(-overlap * overlap / sigma)
        scores[left] *= factor[left]


@kernel(twin=suppress_pairs_numpy, out="keep", parallel=False)
def suppress_pairs(boxes, labels, threshold, keep):
    """Boxes (N, 4) and labels by descending score; `keep` comes in as True."""
    left, top, right, bottom = boxes[:, 0].copy(), boxes[:, 1].copy(), boxes[:, 2].copy(), boxes[:, 3].copy()
    areas = (right - left) * (bottom - top)
    for i in range(len(keep)):
        if keep[i]:
            x1, y1, x2, y2, area, label = left[i], top[i], right[i], bottom[i], areas[i], labels[i]
            l, t, r, b, a, c, k = left[i:], top[i:], right[i:], bottom[i:], areas[i:], labels[i:], keep[i:]
            for j in range(1, len(k)):
                w = max(min(x2, r[j]) - max(x1, l[j]), 0.0)
                h = max(min(y2, b[j]) - max(y1, t[j]), 0.0)
                union = area + a[j] - w * h
                overlap = np.divide(w * h, union if union > 0 else 1.0)
                k[j] &= (overlap <= threshold) | (c[j] != label)


@kernel(twin=suppress_cells_numpy, out="keep", parallel=False)
def suppress_cells(boxes, labels, threshold, columns, sx, rows, sy, keep):
    """As `suppress_pairs`. Kept boxes are in two families of linked lists: one per cell, one per pair of levels."""
    N, near = len(keep), 1.0 - threshold
    slots = 1 << int(np.log2(N + 1) + 2)                        # lists of different cells may share a slot
    count, on_level = np.zeros(len(sx) * len(sy), np.int64), np.full(len(sx) * len(sy), -1)
    in_cell, next_in_cell, next_on_level = np.full(slots, -1), np.empty(N, np.int64), np.empty(N, np.int64)
    for i in range(N):
        x1, y1, x2, y2, label = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3], labels[i]
        area, folded = (x2 - x1) * (y2 - y1), 8 * (label & LOW)
        for c in range(columns[i, 1], columns[i, 2] + 1):
            left = math.floor(x1 * sx[c] - near - MARGIN)
            right = math.floor((x1 + near * (x2 - x1)) * sx[c] + MARGIN)
            for r in range(rows[i, 1], rows[i, 2] + 1):
                top = math.floor(y1 * sy[r] - near - MARGIN)
                bottom = math.floor((y1 + near * (y2 - y1)) * sy[r] + MARGIN)
                level, u, v = c * len(sy) + r, left, top
                whole = float(right - left + 1) * float(bottom - top + 1) > count[level]
                while keep[i] and count[level] and u <= right:
                    slot = ((u & LOW) * 73856093 ^ (v & LOW) * 19349663 ^ (folded + level & LOW) * 83492791) % slots
                    j = on_level[level] if whole else in_cell[slot]
                    while j >= 0 and keep[i]:
                        w = min(x2, boxes[j, 2]) - max(x1, boxes[j, 0])
                        h = min(y2, boxes[j, 3]) - max(y1, boxes[j, 1])
                        if w > 0 and h > 0 and label == labels[j]:
                            union = area + (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1]) - w * h
                            keep[i] = w * h / union <= threshold
                        j = next_on_level[j] if whole else next_in_cell[j]
                    u, v = (u, v + 1) if v < bottom else (u + 1, top)
                    u = right + 1 if whole else u               # few boxes, many cells: all were looked at
        if keep[i]:
            level = columns[i, 0] * len(sy) + rows[i, 0]
            u, v = math.floor(x1 * sx[columns[i, 0]]), math.floor(y1 * sy[rows[i, 0]])
            slot = ((u & LOW) * 73856093 ^ (v & LOW) * 19349663 ^ (folded + level & LOW) * 83492791) % slots
            next_in_cell[i], in_cell[slot] = in_cell[slot], i
            next_on_level[i], on_level[level] = on_level[level], i
            count[level] += 1


@kernel(twin=soften_numpy, out="scores order", parallel=False)
def soften(boxes, labels, linear, threshold, sigma, least, scores, order):
    """Writes lowered scores and, as far as there are any, indices in the order taken; order comes in as -1."""
    left = np.ones(len(scores), np.bool_)
    for k in range(len(scores)):
        i = -1
        for j in range(len(scores)):
            if left[j] and (i < 0 or scores[j] > scores[i]):
                i = j
        if scores[i] < least:
            return
        order[k], left[i] = i, False
        x1, y1, x2, y2 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        area = (x2 - x1) * (y2 - y1)
        for j in range(len(scores)):
            w = min(x2, boxes[j, 2]) - max(x1, boxes[j, 0])
            h = min(y2, boxes[j, 3]) - max(y1, boxes[j, 1])
            if left[j] and w > 0 and h > 0 and labels[i] == labels[j]:
                union = area + (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1]) - w * h
                overlap = w * h / union if union > 0 else 0.0
                if linear:
                    scores[j] *= 1 - overlap if overlap > threshold else 1.0
                else:
                    scores[j] *= math.exp(-overlap * overlap / sigma)
