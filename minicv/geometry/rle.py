"""Run-length codes of masks, as COCO stores them.

The pixels of a mask are taken column by column; a code is the lengths of its runs, beginning with
background. Equivalently it is the sorted positions where the value changes, from which all functions here
build their result. Strings hold the same lengths as small signed numbers of 5 bits per character.
Reference: Lin et al. 2014, Microsoft COCO, and the mask functions of its reference toolbox.
"""

from typing import NamedTuple

import numpy as np

from ..errors import ArgError, DataFormatError, LimitError, ShapeError
from ..files import MAX_PIXELS
from ..kernels.rle import run_overlap

__all__ = ["RLE", "check_rle", "rle_area", "rle_box", "rle_decode", "rle_encode", "rle_from_changes",
           "rle_from_string", "rle_iou", "rle_merge", "rle_overlap", "rle_to_string", "rles_from_strings"]

DIGITS = 10                        # characters of one number that are ever needed: 50 bits


class RLE(NamedTuple):
    """A mask of `size` (height, width) as run lengths `counts` (n,) int64: background, object, background, ..."""

    size: tuple
    counts: np.ndarray


def check_rle(counts, size, *, what="rle") -> RLE:
    """Run lengths from outside as an `RLE`.

    Raises DataFormatError, which names `what`, unless `size` is two positive integers and `counts` are
    integers >= 0 that sum to height * width; LimitError above 89 478 485 pixels.
    """
    size = check_size(size, what)
    counts = np.asarray(counts)
    if counts.ndim != 1 or counts.dtype.kind not in "iu":
        raise DataFormatError(f"check_rle: {what} has counts of shape {counts.shape} and dtype {counts.dtype}, "
                              "expected integers (n,)")
    pixels = size[0] * size[1]
    wrong = np.flatnonzero((counts < 0) | (counts > pixels))
    if wrong.size:
        raise DataFormatError(f"check_rle: {what} has counts[{wrong[0]}] = {counts[wrong[0]]}, expected in "
                              f"[0, {pixels}] for size {size}")
    if counts.sum(dtype=np.float64) != pixels:
        raise DataFormatError(f"check_rle: {what} has counts that sum to {counts.sum(dtype=np.float64):.0f}, expected "
                              f"{size[0]} * {size[1]} = {pixels}")
    return RLE(size, counts.astype(np.int64))


def check_size(size, what):
    """(height, width) as Python integers; DataFormatError or LimitError if no mask can have that size."""
    numbers = size if isinstance(size, (tuple, list)) and len(size) == 2 else ()
    if not numbers or any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1 for n in numbers):
        raise DataFormatError(f"check_rle: {what} has size {size!r:.80}, expected (height, width), positive integers")
    if numbers[0] * numbers[1] > MAX_PIXELS:
        raise LimitError(f"check_rle: {what} has size {size!r:.80}, expected at most {MAX_PIXELS} pixels")
    return int(numbers[0]), int(numbers[1])


def rle_from_changes(changes, size) -> RLE:
    """The code of a mask from the rising positions h + H w, in [0, H W], where its value changes."""
    end = size[0] * size[1]
    changes = np.asarray(changes, np.int64)
    return RLE(tuple(size), np.diff(changes[changes < end], prepend=0, append=end))


def rle_encode(mask) -> RLE:
    """The code of a bool mask (H, W).

    >>> rle_encode(np.array([[0, 1], [1, 1]], bool))
    RLE(size=(2, 2), counts=array([1, 3]))
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype != bool or not mask.size:
        raise ShapeError(f"rle_encode: mask has shape {mask.shape} and dtype {mask.dtype}, expected bool (H, W), "
                         "not empty")
    return rle_from_changes(np.flatnonzero(np.diff(mask.ravel("F"), prepend=False)), mask.shape)


def rle_decode(rle) -> np.ndarray:
    """The bool mask (H, W) of a code; errors as `check_rle`."""
    rle = check_rle(rle.counts, rle.size)
    height, width = rle.size
    pixels = np.repeat(np.arange(len(rle.counts)) % 2 == 1, rle.counts)
    return np.ascontiguousarray(pixels.reshape(width, height).T)


def _object_runs(rle):
    """First positions and positions behind the last of all object runs that are not empty."""
    ends = np.cumsum(rle.counts)
    stops = ends[1::2]
    starts = ends[0::2][:len(stops)]
    return starts[stops > starts], stops[stops > starts]


def rle_area(rle) -> int:
    """Number of pixels of the object."""
    return int(rle.counts[1::2].sum())


def rle_box(rle) -> np.ndarray:
    """The tightest box (4,) float32 xyxy around the object, half-open; zeros for an empty mask."""
    starts, stops = _object_runs(rle)
    if not len(starts):
        return np.zeros(4, np.float32)
    height, last = rle.size[0], stops - 1
    y1, y2 = (starts % height).min(), (last % height).max() + 1
    if (starts // height != last // height).any():             # it reaches the bottom and goes on at the top
        y1, y2 = 0, height
    return np.array([starts[0] // height, y1, last[-1] // height + 1, y2], np.float32)


def rle_merge(rles, *, intersect=False) -> RLE:
    """Union, or intersection, of at least one code; all of one size."""
    rles = list(rles)
    sizes = sorted({tuple(r.size) for r in rles})
    if len(sizes) != 1:
        raise ShapeError(f"rle_merge: rles have the sizes {sizes}, expected exactly one")
    runs = [_object_runs(r) for r in rles]
    starts, stops = (np.concatenate(part) for part in zip(*runs, strict=True))
    positions, where = np.unique(np.concatenate([starts, stops]), return_inverse=True)
    steps = np.bincount(where[:len(starts)], minlength=len(positions)) - np.bincount(
        where[len(starts):], minlength=len(positions))
    inside = np.cumsum(steps) >= (len(rles) if intersect else 1)
    return rle_from_changes(positions[np.diff(inside, prepend=False)], rles[0].size)


def rle_overlap(a, b, pairs) -> np.ndarray:
    """Pixels (P,) int64 that a[pairs[k, 0]] and b[pairs[k, 1]] share, counted on the runs.

    a, b: lists of RLE. pairs: int array (P, 2); the two masks of a pair have one size.
    """
    pairs = np.asarray(pairs, np.int64).reshape(-1, 2)
    if not ((pairs >= 0) & (pairs < [len(a), len(b)])).all():
        raise ArgError(f"rle_overlap: pairs reach from {pairs.min(axis=0)} to {pairs.max(axis=0)}, expected positions "
                       f"in lists of {len(a)} and {len(b)}")
    sizes = [np.array([r.size for r in rles], np.int64).reshape(-1, 2)[column] for rles, column in
             ((a, pairs[:, 0]), (b, pairs[:, 1]))]
    wrong = np.flatnonzero((sizes[0] != sizes[1]).any(axis=1))
    if wrong.size:
        m, n = pairs[wrong[0]]
        raise ShapeError(f"rle_overlap: a[{m}] has size {a[m].size}, expected {b[n].size} as b[{n}]")
    y = np.zeros(len(pairs), np.int64)
    run_overlap(len(pairs), *_flat(a), *_flat(b), pairs, y)
    return y


def _flat(rles):
    """All counts one after the other, and where each code starts (n + 1,)."""
    starts = np.cumsum([0, *(len(r.counts) for r in rles)])
    return np.concatenate([np.zeros(0, np.int64), *(r.counts for r in rles)]), starts


def rle_iou(a, b, *, crowd=None) -> np.ndarray:
    """Intersection over union (A, B) float64 of two lists of codes, 0 with an empty mask.

    crowd: bool (B,) or None; where True, the intersection is divided by the area of a alone, so that a
    small object inside a region marked as a crowd counts as inside.
    """
    crowd = np.zeros(len(b), bool) if crowd is None else np.asarray(crowd, bool)
    if crowd.shape != (len(b),):
        raise ShapeError(f"rle_iou: crowd has shape {crowd.shape}, expected ({len(b)},)")
    pairs = np.stack(np.mgrid[:len(a), :len(b)], axis=-1).reshape(-1, 2)
    shared = rle_overlap(a, b, pairs).reshape(len(a), len(b))
    area_a, area_b = (np.array([rle_area(r) for r in rles], np.int64) for rles in (a, b))
    union = area_a[:, None] + np.where(crowd, 0, area_b - shared)
    return shared / np.maximum(union, 1)


def rle_to_string(rle) -> str:
    """COCO's compressed string of a code.

    From the fourth on a number is the difference from the last but one. Each number is cut into 5-bit
    digits, lowest first, until the rest is only its sign; bit 6 says that more follow; 48 is added.
    """
    x = rle.counts.copy()
    x[3:] -= rle.counts[1:-2]
    characters, live = [], np.ones(len(x), bool)
    while live.any():
        digit = x & 31
        x = x >> 5
        more = live & (x != np.where(digit & 16, -1, 0))
        characters.append(np.where(live, digit + 32 * more + 48, 0))
        live = more
    table = np.stack(characters, axis=1).astype(np.uint8)      # one row per number, 0 behind its end
    return table[table > 0].tobytes().decode("ascii")


def rle_from_string(text, size, *, what="rle") -> RLE:
    """The code in a compressed string; the inverse of `rle_to_string`.

    Raises DataFormatError with the position of a character outside "0"..."o", for a number that does not
    end, and as `check_rle`.
    """
    return rles_from_strings([text], [check_size(size, what)], what=lambda i: what)[0]


def rles_from_strings(texts, sizes, *, what="rle[{}]".format) -> list:
    """The codes in many compressed strings, at the price of a few.

    sizes: one (height, width) of positive integers each. what: from the position of a string to its name in messages.
    Errors as `rle_from_string`, for the first string that has one.
    """
    digits, owner, starts = _digits(texts, what)
    ends = np.flatnonzero(digits < 32)
    first = np.append(0, ends[:-1] + 1)[:len(ends)]            # digit at which a number begins
    length, owner = ends - first + 1, owner[ends]
    _refuse(length > DIGITS, lambda k: f"{what(owner[k])} has a number of {length[k]} digits, expected at most "
            f"{DIGITS}")
    place = np.arange(len(digits)) - np.repeat(first, length)
    x = np.add.reduceat((digits & 31) << (5 * place), first) if len(first) else digits
    x -= np.where(digits[ends] & 16, np.int64(1) << (5 * length), 0)
    pixels = np.array([size[0] * size[1] for size in sizes], np.int64)
    _refuse(abs(x) > pixels[owner], lambda k: f"{what(owner[k])} has a number {x[k]}, expected at most its "
            f"{pixels[owner[k]]} pixels")
    starts = np.searchsorted(ends, starts)                     # number at which a string begins
    counts = _sum_differences(x, owner, starts)
    bad = (counts < 0) | (counts > pixels[owner])
    bad_sum = np.bincount(owner, counts, len(sizes)) != pixels
    for i in (*owner[bad], *np.flatnonzero(bad_sum)):
        check_rle(counts[owner == i], sizes[i], what=what(i))  # raises, with the details
    bounds = np.append(starts, len(counts)).tolist()
    return [RLE(tuple(size), counts[a:b]) for size, a, b in zip(sizes, bounds, bounds[1:])]


def _digits(texts, what):
    """Characters of all strings as numbers in [0, 64), the string of each, and where the strings begin."""
    none = [i for i, text in enumerate(texts) if not isinstance(text, (str, bytes))]
    if none:
        raise DataFormatError(f"rle_from_string: {what(none[0])} is a {type(texts[none[0]]).__name__}, expected text")
    data = [text.encode("utf-8", "replace") if isinstance(text, str) else text for text in texts]
    length = np.fromiter(map(len, data), np.int64, len(data))
    starts, owner = np.cumsum(length) - length, np.repeat(np.arange(len(data)), length)
    digits = np.frombuffer(b"".join(data), np.uint8).astype(np.int64) - 48
    _refuse((digits < 0) | (digits > 63), lambda k: f"{what(owner[k])} has the byte {digits[k] + 48} at position "
            f"{k - starts[owner[k]]}, expected characters from '0' to 'o'")
    ended = length > 0
    ended[ended] = digits[(starts + length - 1)[ended]] < 32
    _refuse(~ended, lambda i: f"{what(i)} ends inside a number at position {length[i]}, expected a last character "
            "below 'P'")
    return digits, owner, starts


def _refuse(bad, message):
    """Raise if any is bad, with the message for the first one."""
    if bad.any():
        raise DataFormatError(f"rle_from_string: {message(int(bad.argmax()))}")


def _sum_differences(x, owner, starts):
    """From the fourth number of a string on, add the last but one: cumulative sums of every second number."""
    place, counts = np.arange(len(x)) - starts[owner], x.copy()
    for chain in (place % 2 == 1, (place % 2 == 0) & (place > 0)):
        total = np.append(0, np.cumsum(np.where(chain, x, 0)))
        counts[chain] = (total[1:] - total[starts][owner])[chain]
    return counts
