"""Polygons as masks, by the fill rule of COCO.

The rule: the outline is walked on a grid five times as fine, one point per step of its longer coordinate.
Wherever it passes the middle of a pixel column, the mask changes its value in that column from the row on whose
centre comes next. A pixel is therefore inside if the outline passes above it an odd number of times
(even-odd rule), and the result is the same to the pixel as that of the reference toolbox.
"""

import numpy as np

from ..errors import DataFormatError, LimitError
from .rle import RLE, check_rle, check_size, rle_decode, rle_from_changes, rle_from_string, rle_merge

__all__ = ["polygon_mask", "polygon_rle", "segmentation_rle"]

FINE = 5                           # points of the fine grid per pixel
MAX_POINTS = 2**25                 # of one outline on the fine grid


def polygon_mask(polygons, size) -> np.ndarray:
    """Union of polygons, each [x1, y1, x2, y2, ...] in pixels or (n, 2), as a bool mask (H, W)."""
    return rle_decode(segmentation_rle([np.ravel(p) for p in polygons], size))


def segmentation_rle(segmentation, size, *, what="segmentation") -> RLE:
    """The RLE of whatever COCO calls a segmentation.

    A list of polygons (their union), or a dict with ``size`` and ``counts``, these a list of run lengths or a
    compressed string. size: (height, width) of the image.
    Raises DataFormatError, which names `what`: no polygon, fewer than 3 points, an odd number of coordinates,
    coordinates that are no numbers; runs that do not fit `size`.
    """
    size = check_size(size, what)
    if isinstance(segmentation, RLE):
        segmentation = {"size": list(segmentation.size), "counts": segmentation.counts}
    if isinstance(segmentation, dict):
        return _from_runs(segmentation, size, what)
    if not isinstance(segmentation, (list, tuple)) or not len(segmentation):
        raise DataFormatError(f"segmentation_rle: {what} is {segmentation!r:.60}, expected at least one polygon or a "
                              "dict with size and counts")
    return rle_merge([polygon_rle(p, size, what=f"{what}[{k}]") for k, p in enumerate(segmentation)])


def _from_runs(segmentation, size, what):
    if not {"size", "counts"} <= segmentation.keys():
        raise DataFormatError(f"segmentation_rle: {what} has the keys {sorted(map(str, segmentation))!r:.60}, expected "
                              "size and counts")
    if check_size(segmentation["size"], what) != size:
        raise DataFormatError(f"segmentation_rle: {what} has size {segmentation['size']}, expected {list(size)}, that "
                              "of its image")
    counts = segmentation["counts"]
    if isinstance(counts, (str, bytes)):
        return rle_from_string(counts, size, what=what)
    if isinstance(counts, list) and any(isinstance(c, bool) or not isinstance(c, int) or abs(c) >= 2**62
                                        for c in counts):
        raise DataFormatError(f"segmentation_rle: {what} has counts {counts!r:.60}, expected integers")
    return check_rle(np.asarray(counts if len(counts) else [0], np.int64) if isinstance(counts, list) else counts,
                     size, what=what)


def polygon_rle(polygon, size, *, what="polygon") -> RLE:
    """The RLE of one polygon [x1, y1, x2, y2, ...] in pixels, which may cross itself or leave the image.

    Pixel (h, w) has its centre at (w + 1/2, h + 1/2). Errors as `segmentation_rle`.
    """
    height, width = size = check_size(size, what)
    u, v = _outline(_checked_points(polygon, what), what)
    before, after = u[:-1], u[1:]
    column = np.where(after < before, after, after - 1)        # the fine column that this step passes
    top = np.minimum(v[:-1], v[1:])
    column, row = (column + 0.5) / FINE - 0.5, (top + 0.5) / FINE - 0.5
    passes = (after != before) & (column == np.floor(column)) & (column >= 0) & (column <= width - 1)
    row = np.ceil(np.clip(row[passes], 0, height))
    position, times = np.unique(column[passes].astype(np.int64) * height + row.astype(np.int64), return_counts=True)
    return rle_from_changes(position[times % 2 == 1], size)


def _checked_points(polygon, what):
    try:
        xy = np.asarray(polygon, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DataFormatError(f"segmentation_rle: {what} is {polygon!r:.60}, expected numbers") from None
    if xy.ndim != 1 or len(xy) < 6 or len(xy) % 2:
        raise DataFormatError(f"segmentation_rle: {what} has coordinates of shape {xy.shape}, expected x and y of at "
                              "least 3 points, one after the other")
    if not np.isfinite(xy).all():
        raise DataFormatError(f"segmentation_rle: {what} has a coordinate that is not finite")
    return xy.reshape(-1, 2)


def _outline(points, what):
    """Points (u, v) of the closed outline on the fine grid, int64, every edge from its start to its end."""
    largest = np.abs(points).max()
    if largest * FINE * len(points) > MAX_POINTS:
        raise LimitError(f"segmentation_rle: {what} has {len(points)} points up to {largest:.3g}, expected an outline "
                         f"of at most {MAX_POINTS} steps")
    start = (FINE * points + 0.5).astype(np.int64)             # towards zero, as a cast in C
    end = np.roll(start, -1, axis=0)
    extent = np.abs(end - start)
    steps = extent.max(axis=1)
    flat = extent[:, 0] >= extent[:, 1]
    longer = np.where(flat, 0, 1)
    edge = np.arange(len(points))
    flip = start[edge, longer] > end[edge, longer]             # slopes are taken from the lower end
    low, high = np.where(flip[:, None], end, start), np.where(flip[:, None], start, end)
    slope = (high - low)[edge, 1 - longer] / np.maximum(steps, 1)
    e = np.repeat(edge, steps + 1)
    d = np.arange(len(e)) - np.repeat(np.cumsum(steps + 1) - steps - 1, steps + 1)
    t = np.where(flip[e], steps[e] - d, d)
    along = low[e, longer[e]] + t
    across = (low[e, 1 - longer[e]] + slope[e] * t + 0.5).astype(np.int64)
    return np.where(flat[e], along, across), np.where(flat[e], across, along)
