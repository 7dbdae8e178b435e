"""Cases of RoI pooling and alignment. The oracles visit boxes, bins, pixels and samples one by one.

Boxes are integer arrays, which the generated tests treat as constants; a `scale` makes their corners fractional.
"""

import math

import numpy as np

from ...autograd import roi as r
from ...errors import ArgError, BoxError, DTypeError, ShapeError
from ..registry import Bad, OpSpec, Sample
from .conv import channels_last
from .pool import distinct


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def _round(v):
    return math.floor(v + 0.5) if v >= 0 else -math.floor(0.5 - v)


def pool_loops(x, boxes, *, size, scale=1.0):
    """Maximum of the listed pixels of each bin, 0 where there are none."""
    H, W = x.shape[2:]
    I, J = _pair(size)
    y = np.zeros((len(boxes), x.shape[1], I, J))
    for k, i, j in np.ndindex(len(boxes), I, J):
        n, (x1, y1, x2, y2) = int(boxes[k, 0]), (_round(float(v) * scale) for v in boxes[k, 1:])
        h, w = max(y2 - y1, 1), max(x2 - x1, 1)
        pixels = [(a, b) for a in range(y1 + math.floor(i * h / I), y1 + math.ceil((i + 1) * h / I))
                  for b in range(x1 + math.floor(j * w / J), x1 + math.ceil((j + 1) * w / J))
                  if 0 <= a < H and 0 <= b < W]
        if pixels:
            y[k, :, i, j] = np.max([x[n, :, a, b] for a, b in pixels], axis=0)
    return y


def _bilinear(image, v, u):
    """Value of an image (C, H, W) at (v, u), where pixel centres are integers."""
    C, H, W = image.shape
    if not (-1 <= v <= H and -1 <= u <= W):
        return np.zeros(C)
    v, u = min(max(v, 0), H - 1), min(max(u, 0), W - 1)
    total = np.zeros(C)
    for h in {math.floor(v), math.ceil(v)}:
        for w in {math.floor(u), math.ceil(u)}:
            total += (1 - abs(v - h)) * (1 - abs(u - w)) * image[:, h, w]
    return total


def align_loops(x, boxes, *, size, scale=1.0, sampling_ratio=None, aligned=True):
    """Mean of the listed samples of each bin."""
    I, J = _pair(size)
    y = np.zeros((len(boxes), x.shape[1], I, J))
    for k, i, j in np.ndindex(len(boxes), I, J):
        n, (x1, y1, x2, y2) = int(boxes[k, 0]), (float(v) * scale - 0.5 * aligned for v in boxes[k, 1:])
        h, w = ((y2 - y1), (x2 - x1)) if aligned else (max(y2 - y1, 1), max(x2 - x1, 1))
        S, T = (math.ceil(h / I), math.ceil(w / J)) if sampling_ratio is None else _pair(sampling_ratio)
        if h > 0 and w > 0:
            y[k, :, i, j] = np.mean([_bilinear(x[n], y1 + h / I * (i + (s + 0.5) / S), x1 + w / J * (j + (t + 0.5) / T))
                                     for s in range(S) for t in range(T)], axis=0)
    return y


def align_input_loops(g, boxes, *, shape, **settings):
    """Adjoint by unit images."""
    x = np.zeros(shape)
    for n, h, w in np.ndindex(shape[0], *shape[2:]):
        unit = np.zeros((shape[0], 1, *shape[2:]))
        unit[n, 0, h, w] = 1
        x[n, :, h, w] = (g * align_loops(unit, boxes, size=g.shape[2:], **settings)).sum(axis=(0, 2, 3))
    return x


def gather_loops(x, where, batch):
    """Pixel by pixel."""
    y = np.zeros(where.shape)
    for at in np.ndindex(where.shape):
        if where[at] >= 0:
            y[at] = x[(batch[at[0]], at[1], *divmod(int(where[at]), x.shape[3]))]
    return y


def scatter_loops(g, where, batch, *, shape):
    """Pixel by pixel."""
    x = np.zeros(shape)
    for at in np.ndindex(where.shape):
        if where[at] >= 0:
            x[(batch[at[0]], at[1], *divmod(int(where[at]), shape[3]))] += g[at]
    return x


# Samples ---------------------------------------------------------------------------------------------

# fmt: off
BOXES = [  # x, boxes, settings of both
    ((1, 1, 1, 1), [[0, 0, 0, 1, 1]], {"size": 1}),
    ((1, 2, 5, 7), [[0, 0, 0, 7, 5]], {"size": 2}),
    ((2, 2, 4, 5), [[1, 3, 2, 17, 14], [0, 0, 0, 9, 5], [1, 2, 2, 3, 30]], {"size": (2, 3), "scale": 0.29}),
    ((1, 1, 5, 4), [[0, -7, -3, 6, 4], [0, 1, 2, 30, 40]], {"size": (3, 2), "scale": 0.4}),      # partly outside
    ((1, 1, 3, 3), [[0, 50, 50, 60, 70], [0, -60, 0, -50, 3]], {"size": 2}),                   # wholly outside
    ((1, 2, 4, 4), [[0, 2, 2, 2, 2], [0, 1, 1, 1, 9], [0, 0, 0, 3, 3]], {"size": 2, "scale": 0.31}),   # no area
    ((2, 1, 3, 4), [[1, 0, 0, 8, 6]] * 3, {"size": (1, 2), "scale": 0.5}),                     # equal boxes add up
    ((2, 3, 3, 3), np.zeros((0, 5), int), {"size": 2}),
    ((1, 0, 3, 3), [[0, 0, 0, 2, 2]], {"size": 2}),
]
ALIGNMENTS = [{}, {"sampling_ratio": 1}, {"sampling_ratio": (2, 3)}, {"aligned": False}]
# fmt: on


def _boxes(rows):
    return np.array(rows, np.int64).reshape(-1, 5)


def _pool_samples(rng):
    made = [Sample((distinct(rng, s), _boxes(b)), settings) for s, b, settings in BOXES]
    last = channels_last(distinct(rng, (2, 3, 4, 5)))
    return [*made, Sample((last, _boxes(BOXES[2][1])), BOXES[2][2], "channels last")]


def _settings():
    """Every set of boxes with an alignment, the third with all of them."""
    chosen = [(s, b, {**v, **ALIGNMENTS[k % 4]}) for k, (s, b, v) in enumerate(BOXES)]
    return chosen + [(*BOXES[2][:2], {**BOXES[2][2], **a}) for a in ALIGNMENTS if a]


def _align_samples(rng):
    made = [Sample((rng.standard_normal(s), _boxes(b)), settings) for s, b, settings in _settings()]
    last = channels_last(rng.standard_normal((2, 3, 4, 5)))
    return [*made, Sample((last, _boxes(BOXES[2][1])), BOXES[2][2], "channels last")]


def _align_input_samples(rng):
    samples = []
    for s, b, settings in _settings():
        rest = {k: v for k, v in settings.items() if k != "size"}
        g = rng.standard_normal((len(b), s[1], *_pair(settings["size"])))
        samples.append(Sample((g, _boxes(b)), {"shape": s, **rest}))
    return samples


def _places(rng):
    """(x shape, where, batch): all pixels and -1, some twice."""
    for shape, R, size in (((1, 1, 1, 1), 1, (1, 1)), ((2, 3, 2, 3), 4, (2, 2)), ((3, 1, 4, 1), 2, (3, 1)),
                           ((1, 2, 3, 3), 5, (1, 2)), ((2, 2, 2, 2), 1, (3, 3)), ((4, 1, 1, 2), 3, (1, 1)),
                           ((1, 70, 1, 2), 2, (1, 1)), ((2, 2, 2, 2), 0, (1, 1))):
        where = rng.integers(-1, shape[2] * shape[3], (R, shape[1], *size))
        yield shape, where, rng.integers(0, shape[0], R)


def _gather_samples(rng):
    return [Sample((rng.standard_normal(s), where, batch)) for s, where, batch in _places(rng)]


def _scatter_samples(rng):
    return [Sample((rng.standard_normal(where.shape), where, batch), {"shape": s}) for s, where, batch in _places(rng)]


# Errors ----------------------------------------------------------------------------------------------

X, B = np.zeros((2, 1, 4, 4)), np.array([[0, 0, 0, 2, 2], [1, 0, 0, 2, 2]])


def _box_errors(first=X, **settings):
    def bad(row):
        return np.array([[0, 0, 0, 2, 2], row], np.float64)
    return [
        *(Bad((first, bad(row)), settings, BoxError, r"boxes\[1\] is .*expected x1 <= x2")
          for row in ([0, 3, 0, 2, 2], [0, 0, 3, 2, 2])),
        *(Bad((first, bad(row)), settings, BoxError, r"boxes\[1\] is .*expected finite")
          for row in ([0, 0, math.nan, 2, 2], [0, 0, 0, 2, math.inf], [math.nan, 0, 0, 2, 2])),
        *(Bad((first, bad([n, 0, 0, 2, 2])), settings, ArgError, r"boxes\[1\] is .*an image index in \[0, 2\)")
          for n in (2, -1, 0.5)),
        Bad((first, B[:, 1:]), settings, ShapeError, r"boxes has shape \(2, 4\), expected \(R, 5\)"),
        Bad((first, B[0]), settings, ShapeError, r"boxes has shape \(5,\)"),
        Bad((first, B.astype(bool)), settings, DTypeError, "boxes has dtype bool"),
        *(Bad((first, B), {**settings, "scale": v}, ArgError, "scale is") for v in (0, -1.0, math.nan, math.inf, True)),
    ]


def _image_errors(**settings):
    return [*_box_errors(**settings),
            *(Bad((X, B), {**settings, "size": v}, ArgError, "size is") for v in (0, -1, 1.5, (1, 2, 3))),
            Bad((X[0], B), settings, ShapeError, "x is 3-D"),
            Bad((X.astype(int), B), settings, DTypeError, "x has dtype int64"),
            Bad((X[:, :, :0], B), settings, ShapeError, "images have shape")]


def _ratio_errors(first=X, **settings):
    return [Bad((first, B), {**settings, "sampling_ratio": v}, ArgError, "sampling_ratio is")
            for v in (0, -1, 1.5, (1, 2, 3))]


def _align_input_errors():
    g, settings = np.zeros((2, 1, 2, 2)), {"shape": X.shape}
    return [*_box_errors(g, **settings), *_ratio_errors(g, **settings),
            Bad((g[:1], B), settings, ShapeError, r"g has shape \(1, 1, 2, 2\), expected \(2, 1, I, J\)"),
            Bad((g[0], B), settings, ShapeError, "g is 3-D"),
            Bad((g, B), {"shape": (2, 1, 4)}, ShapeError, r"images have shape \(2, 1, 4\)")]


def _place_errors(first, **settings):
    where, batch = np.zeros((2, 1, 2, 2), int), np.zeros(2, int)
    return [*(Bad((first, where + k, batch), settings, ArgError, "where is in") for k in (16, -2)),
            *(Bad((first, where, batch + k), settings, ArgError, "batch is in") for k in (2, -1)),
            Bad((first, where + 0.5, batch), settings, DTypeError, "where has dtype float64"),
            Bad((first, where, batch + 0.5), settings, DTypeError, "batch float64"),
            Bad((first, where[0], batch), settings, ShapeError, "where has shape"),
            Bad((first, where, batch[:1]), settings, ShapeError, r"batch \(1,\)"),
            Bad((first[0], where, batch), settings, ShapeError, "3-D"),
            Bad((first.astype(int), where, batch), settings, DTypeError, "int64")]


def specs():
    return [
        OpSpec(r.roi_pool, pool_loops, _pool_samples, lambda: _image_errors(size=2), nan="selects"),
        OpSpec(r.roi_align, align_loops, _align_samples,
               lambda: [*_image_errors(size=2), *_ratio_errors(size=2)], nan="selects"),
        OpSpec(r.roi_align_input, align_input_loops, _align_input_samples, _align_input_errors, nan="selects"),
        OpSpec(r.roi_gather, gather_loops, _gather_samples, lambda: _place_errors(X), nan="selects"),
        OpSpec(r.roi_scatter, scatter_loops, _scatter_samples,
               lambda: _place_errors(np.zeros((2, 1, 2, 2)), shape=X.shape), nan="selects"),
    ]
