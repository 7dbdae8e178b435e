"""Features of regions of interest: a fixed grid of numbers for every box, from a feature map.

Boxes are rows (n, x1, y1, x2, y2): the index of an image, and a box xyxy, half-open, in pixels of that image. A map of
stride s has `scale` = 1 / s.

Pooling (Girshick, ICCV 2015) rounds the scaled box to whole pixels, splits its h rows into I bins
[floor(i h / I), ceil((i + 1) h / I)), columns likewise, and takes the maximum of each: choose and gather.

Alignment (He et al., ICCV 2017) rounds nothing. A bin is the mean of S x S bilinear samples; along one axis

    positions  p = first + step (i + (s + 1/2) / S),  step = scaled side / I,  first = scaled corner - 1/2

in units where pixel centres are integers. As rows and columns do not interact, a RoI is a product A X B' of its map
X with two thin matrices of weights; `roi_align_input` is the transposed product.
"""

import numpy as np

from ..errors import ArgError, BoxError, DTypeError, ShapeError
from . import roi_loops as loops
from .launch import example
from .layout import check_images, is_channels_last
from .windows import pair

FARTHEST = 2.0**30                  # pixels: coordinates of boxes are clipped to it
LARGEST_GRID = 4096                 # samples along one side of a bin where their number follows from the box


def roi_pool(x, boxes, *, size, scale=1.0):
    """Largest value in each bin of each box: y (R, C, I, J), and where it is, integers h W + w or -1 if a bin is empty.

    See `minicv.autograd.roi.roi_pool`.
    """
    check_images("roi_pool", x=x)
    size = pair("roi_pool", "size", size)
    batch, corners = _checked("roi_pool", boxes, x.shape, scale)
    corners = np.trunc(corners + np.copysign(0.5, corners)).astype(np.int64)    # half away from zero
    rows = _bins(corners[:, 1], corners[:, 3], size[0], x.shape[2])
    columns = _bins(corners[:, 0], corners[:, 2], size[1], x.shape[3])
    y = np.empty((len(batch), *size, x.shape[1]), x.dtype)
    where = np.empty(y.shape, np.int32 if x.shape[2] * x.shape[3] < 2**31 else np.int64)
    loops.pool(len(batch), _last(x), batch, rows, columns, y, where)
    return _like(y, x), _like(where, x)


def roi_gather(x, where, batch):
    """y[r, c, i, j] = x[batch[r], c] at position where[r, c, i, j], 0 for -1: linear in x (N, C, H, W)."""
    check_images("roi_gather", x=x)
    where, batch = _check_where("roi_gather", where, batch, x.shape)
    R, C, I, J = where.shape
    y = np.empty((R, I, J, C), x.dtype)
    loops.gather(R, _last(x), _last(where), batch, y)
    return _like(y, x)


def roi_scatter(g, where, batch, *, shape):
    """Adjoint of `roi_gather`: g (R, C, I, J) to an image batch of `shape` = (N, C, H, W)."""
    check_images("roi_scatter", g=g)
    where, batch = _check_where("roi_scatter", where, batch, shape)
    if g.shape != where.shape:
        raise ShapeError(f"roi_scatter: g has shape {g.shape}, expected where's {where.shape}")
    N, C, H, W = shape
    x = np.empty((N, H, W, C), g.dtype)
    loops.scatter(N * -(-C // loops.CHANNEL_BLOCK), _last(g), _last(where), batch, x, loops.CHANNEL_BLOCK)
    return _like(x, g)


def roi_align(x, boxes, *, size, scale=1.0, sampling_ratio=None, aligned=True):
    """Mean of bilinear samples in each bin of each box: (R, C, I, J). See `minicv.autograd.roi.roi_align`."""
    check_images("roi_align", x=x)
    size = pair("roi_align", "size", size)
    batch, *taps = _taps("roi_align", boxes, x.shape, size, scale, sampling_ratio, aligned, x.dtype)
    y = np.empty((len(batch), *size, x.shape[1]), x.dtype)
    loops.align(len(batch), _last(x), batch, *taps, y)
    return _like(y, x)


def roi_align_input(g, boxes, *, shape, scale=1.0, sampling_ratio=None, aligned=True):
    """Adjoint of `roi_align` in x: g (R, C, I, J) to an image batch of `shape` = (N, C, H, W)."""
    check_images("roi_align_input", g=g)
    batch, *taps = _taps("roi_align_input", boxes, shape, g.shape[2:], scale, sampling_ratio, aligned, g.dtype)
    N, C, H, W = shape
    if g.shape[:2] != (len(batch), C):
        raise ShapeError(f"roi_align_input: g has shape {g.shape}, expected ({len(batch)}, {C}, I, J)")
    x = np.empty((N, H, W, C), g.dtype)
    loops.align_scatter(N * -(-C // loops.CHANNEL_BLOCK), _last(g), batch, *taps, x, loops.CHANNEL_BLOCK)
    return _like(x, g)


def _taps(function, boxes, shape, size, scale, sampling_ratio, aligned, dtype):
    """Image of each RoI (R,), then for rows and for columns first pixel (R, I) and weights (R, I, T) of each bin."""
    if sampling_ratio is not None:
        sampling_ratio = pair(function, "sampling_ratio", sampling_ratio)
    batch, corners = _checked(function, boxes, shape, scale)
    sides = corners[:, 2:] - corners[:, :2]
    solid, sides = (sides > 0).all(axis=1), sides if aligned else np.maximum(sides, 1)
    taps = []
    for axis in (1, 0):
        length, bins = shape[3 - axis], size[1 - axis]
        step = sides[:, axis] / bins
        samples = np.ceil(step).clip(1, LARGEST_GRID).astype(np.int64)
        if sampling_ratio is not None:
            samples[:] = sampling_ratio[1 - axis]
        span = int((step * (samples - 1) / samples).max(initial=0)) + 3
        low, weight = np.empty((len(batch), bins), np.int64), np.empty((len(batch), bins, min(span, length)))
        first = corners[:, axis] - (0.5 if aligned else 0)
        loops.axis_weights(len(batch), first, step, samples * (solid | (not aligned)), length, low, weight)
        taps += [low, weight.astype(dtype)]
    return batch, *taps


def _bins(start, stop, bins, length):
    """Ranges (R, bins, 2) of pixels, cut at the borders of the map."""
    i, side = np.arange(bins), np.maximum(stop - start, 1)[:, None]
    ranges = np.stack([i * side // bins, -(-(i + 1) * side // bins)], axis=-1)
    return (ranges + start[:, None, None]).clip(0, length)


def _checked(function, boxes, shape, scale):
    """Image indices (R,) and corners (R, 4) in units of the map."""
    if isinstance(scale, bool) or not isinstance(scale, int | float | np.number) or not 0 < scale < np.inf:
        raise ArgError(f"{function}: scale is {scale!r}, expected a number above 0")
    if len(shape) != 4 or min(shape[2:]) < 1:
        raise ShapeError(f"{function}: images have shape {tuple(shape)}, expected (N, C, H, W) with pixels")
    boxes = np.asarray(boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ShapeError(f"{function}: boxes has shape {boxes.shape}, expected (R, 5): image index, x1, y1, x2, y2")
    if boxes.dtype.kind not in "fiu":
        raise DTypeError(f"{function}: boxes has dtype {boxes.dtype}, expected real numbers")
    boxes = boxes.astype(np.float64)
    batch, corners = boxes[:, 0], boxes[:, 1:]
    for good, error, wanted in (
            (np.isfinite(boxes).all(axis=1), BoxError, "finite numbers"),
            ((corners[:, :2] <= corners[:, 2:]).all(axis=1), BoxError, "x1 <= x2 and y1 <= y2"),
            ((batch == np.floor(batch)) & (0 <= batch) & (batch < shape[0]), ArgError,
             f"an image index in [0, {shape[0]}) first")):
        if not good.all():
            row = int(good.argmin())
            raise error(f"{function}: boxes[{row}] is {boxes[row].tolist()}, expected {wanted}")
    return batch.astype(np.int64), corners.clip(-FARTHEST / scale, FARTHEST / scale) * scale


def _check_where(function, where, batch, shape):
    N, C, H, W = shape
    if where.ndim != 4 or where.shape[1] != C or batch.shape != where.shape[:1]:
        raise ShapeError(f"{function}: where has shape {where.shape} and batch {batch.shape}, expected (R, {C}, I, J) "
                         f"and (R,)")
    if where.dtype.kind not in "iu" or batch.dtype.kind not in "iu":
        raise DTypeError(f"{function}: where has dtype {where.dtype} and batch {batch.dtype}, expected integers")
    for name, index, least, most in (("where", where, -1, H * W), ("batch", batch, 0, N)):
        if index.size and not (least <= index.min() and index.max() < most):
            raise ArgError(f"{function}: {name} is in [{index.min()}, {index.max()}], expected [{least}, {most})")
    return where.astype(np.int32 if H * W < 2**31 else np.int64, copy=False), batch.astype(np.int64, copy=False)


def _last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def _like(y, x):
    """y (R, I, J, C) as (R, C, I, J) in the memory order of x."""
    y = y.transpose(0, 3, 1, 2)
    return y if is_channels_last(x) else np.ascontiguousarray(y)


@example
def _example(dtype):
    x, boxes = np.ones((1, 1, 2, 2), dtype), np.array([[0, 0, 0, 2, 2]])
    y, where = roi_pool(x, boxes, size=1)
    roi_scatter(roi_gather(x, where, np.zeros(1, int)), where, np.zeros(1, int), shape=x.shape)
    roi_align_input(roi_align(x, boxes, size=1), boxes, shape=x.shape)
