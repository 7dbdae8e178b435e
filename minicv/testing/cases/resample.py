"""Cases of resizing, grid sampling, unfolding and pixel shuffling; the oracles treat one output value at a time.

Grid positions are drawn away from pixel centres and from the border, where the derivative jumps.
"""

import math

import numpy as np

from ...autograd import resample as r
from ...errors import ArgError, DTypeError, ShapeError
from ..registry import Bad, OpSpec, Sample
from .conv import channels_last


def _pair(value):
    return (value, value) if np.ndim(value) == 0 else tuple(value)


def _keys(d):
    """Keys' cubic kernel, a = -3/4, at distance d."""
    d = abs(d)
    if d <= 1:
        return 1.25 * d ** 3 - 2.25 * d ** 2 + 1
    return -0.75 * (d ** 3 - 5 * d ** 2 + 8 * d - 4) if d < 2 else 0.0


KERNELS = {"bilinear": lambda d: max(0.0, 1 - abs(d)), "bicubic": _keys}


def _row(i, length, size, mode, align_corners):
    """Weights of all input pixels of one axis for output i; pixels beyond the border are the edge pixels."""
    weights = np.zeros(length)
    if mode == "nearest":
        weights[math.floor((2 * i + 1) * length / (2 * size))] = 1
        return weights
    position = (i * (length - 1) / (size - 1) if size > 1 else 0) if align_corners else (i + 0.5) * length / size - 0.5
    for k in range(-3, length + 3):
        weights[min(max(k, 0), length - 1)] += KERNELS[mode](position - k)
    return weights


def _matrices(image, size, mode, align_corners):
    return [np.array([_row(i, n, m, mode, align_corners) for i in range(m)])
            for n, m in zip(image, _pair(size), strict=True)]


def resample_dense(x, *, size, mode="bilinear", align_corners=False):
    """Dense interpolation matrices."""
    return np.einsum("ih,jw,nchw->ncij", *_matrices(x.shape[2:], size, mode, align_corners), x)


def resample_input_dense(g, *, size, mode="bilinear", align_corners=False):
    """Their transposes."""
    return np.einsum("ih,jw,ncij->nchw", *_matrices(_pair(size), g.shape[2:], mode, align_corners), g)


def resize_dense(x, *, size=None, scale=None, mode="bilinear", align_corners=False):
    """The same with a scale, in whole numbers here."""
    if size is None:
        size = [round(n * f - 0.25) for n, f in zip(x.shape[2:], _pair(scale), strict=True)]
    return resample_dense(x, size=size, mode=mode, align_corners=align_corners)


def _value_at(image, h, w, mode, border):
    """Pixel or interpolated value of image (C, H, W) at a position in pixel centres."""
    _, H, W = image.shape
    if border:
        h, w = min(max(h, 0), H - 1), min(max(w, 0), W - 1)
    if mode == "nearest":
        h, w = round(h), round(w)
    return sum((max(0, 1 - abs(h - a)) * max(0, 1 - abs(w - b)) * image[:, a, b] for a in range(H) for b in range(W)),
               np.zeros(len(image)))


def grid_sample_loops(x, grid, *, mode="bilinear", padding_mode="zeros", align_corners=False):
    """Every point from every pixel, by distance."""
    N, I, J, _ = grid.shape
    y = np.zeros((N, x.shape[1], I, J))
    for n, i, j in np.ndindex(N, I, J):
        w, h = (((u + 1) * (s - 1) if align_corners else (u + 1) * s - 1) / 2
                for u, s in zip(grid[n, i, j], x.shape[:1:-1], strict=True))
        y[n, :, i, j] = _value_at(x[n], h, w, mode, padding_mode == "border")
    return y


def affine_grid_loops(theta, *, size, align_corners=False):
    """Point by point."""
    I, J = _pair(size)
    grid = np.zeros((len(theta), I, J, 2))
    for n, i, j in np.ndindex(len(theta), I, J):
        v, u = ((2 * k / (s - 1) - 1 if s > 1 else 0) if align_corners else (2 * k + 1) / s - 1
                for k, s in ((i, I), (j, J)))
        grid[n, i, j] = theta[n] @ (u, v, 1)
    return grid


def taps_gather_loops(x, weight, *, index):
    """Tap by tap."""
    y = np.zeros((len(x), x.shape[1], index.shape[1]))
    for n, point, t in np.ndindex(index.shape):
        if index[n, point, t] >= 0:
            y[n, :, point] += weight[n, point, t] * x[(n, slice(None), *divmod(int(index[n, point, t]), x.shape[3]))]
    return y


def taps_scatter_loops(g, weight, *, index, size):
    """Tap by tap."""
    x = np.zeros((*g.shape[:2], *size))
    for n, point, t in np.ndindex(index.shape):
        if index[n, point, t] >= 0:
            x[(n, slice(None), *divmod(int(index[n, point, t]), size[1]))] += weight[n, point, t] * g[n, :, point]
    return x


def taps_dot_loops(g, x, *, index):
    """Tap by tap."""
    d = np.zeros(index.shape)
    for n, point, t in np.ndindex(index.shape):
        if index[n, point, t] >= 0:
            d[n, point, t] = g[n, :, point] @ x[(n, slice(None), *divmod(int(index[n, point, t]), x.shape[3]))]
    return d


def _unfold_terms(image, kernel, stride, padding, dilation):
    """(row, column, c, h, w) of every element of the columns that lies inside the image (C, H, W)."""
    (P, Q), (s, t), (d, e) = _pair(kernel), _pair(stride), _pair(dilation)
    (top, bottom), (left, right) = (_pair(side) for side in _pair(padding))
    C, H, W = image
    I, J = (H + top + bottom - d * (P - 1) - 1) // s + 1, (W + left + right - e * (Q - 1) - 1) // t + 1
    terms = []
    for c, p, q, i, j in np.ndindex(C, P, Q, I, J):
        h, w = i * s + p * d - top, j * t + q * e - left
        if 0 <= h < H and 0 <= w < W:
            terms.append((c * P * Q + p * Q + q, i * J + j, c, h, w))
    return terms, (C * P * Q, I * J)


def unfold_loops(x, *, kernel, stride=1, padding=0, dilation=1):
    """Element by element."""
    terms, shape = _unfold_terms(x.shape[1:], kernel, stride, padding, dilation)
    columns = np.zeros((len(x), *shape))
    for row, column, c, h, w in terms:
        columns[:, row, column] = x[:, c, h, w]
    return columns


def fold_loops(columns, *, size, kernel, stride=1, padding=0, dilation=1):
    """Element by element."""
    C = columns.shape[1] // math.prod(_pair(kernel))
    x = np.zeros((len(columns), C, *size))
    for row, column, c, h, w in _unfold_terms(x.shape[1:], kernel, stride, padding, dilation)[0]:
        x[:, c, h, w] += columns[:, row, column]
    return x


def shuffle_loops(x, *, factor):
    """y[h r + a, w r + b] = x[(c r + a) r + b, h, w]."""
    N, C, H, W = x.shape
    y = np.zeros((N, C // factor ** 2, H * factor, W * factor))
    for c, h, w in np.ndindex(*y.shape[1:]):
        y[:, c, h, w] = x[:, (c * factor + h % factor) * factor + w % factor, h // factor, w // factor]
    return y


def unshuffle_loops(x, *, factor):
    """The inverse."""
    N, C, H, W = x.shape
    y = np.zeros((N, C * factor ** 2, H // factor, W // factor))
    for c, h, w in np.ndindex(C, H, W):
        y[:, (c * factor + h % factor) * factor + w % factor, h // factor, w // factor] = x[:, c, h, w]
    return y


# Samples ---------------------------------------------------------------------------------------------

# fmt: off
SIZES = [  # x,         size,   settings
    ((1, 1, 1, 1), (1, 1), {}),
    ((2, 3, 3, 4), (6, 8), {}),
    ((1, 2, 5, 4), (2, 3), {}),
    ((1, 1, 2, 2), (10, 10), {}),                                       # L19: times 5 from 2 pixels
    ((1, 2, 3, 4), (5, 2), {"align_corners": True}),
    ((1, 2, 3, 4), (1, 3), {"align_corners": True}),                    # L19: one row reads row 0
    ((1, 2, 4, 3), (7, 2), {"mode": "nearest"}),
    ((1, 2, 4, 3), (6, 5), {"mode": "bicubic"}),
    ((1, 2, 4, 5), (3, 3), {"mode": "bicubic", "align_corners": True}),
    ((0, 2, 3, 3), (2, 2), {}),
]
# fmt: on


def _resample_samples(rng):
    return [Sample((rng.standard_normal(s),), {"size": size, **settings}, str(settings)) for s, size, settings in SIZES]


def _resample_input_samples(rng):
    return [Sample((rng.standard_normal((*s[:2], *size)),), {"size": s[2:], **settings}, str(settings))
            for s, size, settings in SIZES]


def _resize_samples(rng):
    x = rng.standard_normal((2, 3, 3, 6))
    scales = [2, 1 / 3, (1, 0.5), (1.5, 1)]
    return [*_resample_samples(rng), *(Sample((x,), {"scale": s}, f"scale {s}") for s in scales),
            Sample((channels_last(x),), {"size": (5, 4)}, "channels last")]


def _away(rng, shape, H, W, align_corners, reach=1.4):
    """Random grid positions at least 0.05 pixels from any pixel centre or edge, where derivatives or values jump."""
    pixels = []
    for n in (W, H):
        centre = (rng.uniform(-reach, reach, shape[:-1]) + 1) / 2 * (n - align_corners) - 0.5 * (not align_corners)
        p = np.floor(2 * centre) / 2 + rng.uniform(0.05, 0.45, centre.shape)
        pixels.append((p + 0.5 * (not align_corners)) / max(n - align_corners, 1) * 2 - 1)
    return np.stack(pixels, axis=-1)


def _grid_samples(rng):
    samples = []
    for mode in ("bilinear", "nearest"):
        for padding in ("zeros", "border"):
            for corners in (False, True):
                x = rng.standard_normal((2, 3, 4, 5))
                grid = _away(rng, (2, 2, 3, 2), 4, 5, corners)
                samples.append(Sample((x, grid), {"mode": mode, "padding_mode": padding, "align_corners": corners},
                                      f"{mode} {padding} {corners}"))
    x = rng.standard_normal((1, 2, 3, 4))
    far = np.array([[[[-50.0, 0.3], [1e6, 1e6], [0.2, 3.0]]]])
    return [*samples,
            Sample((rng.standard_normal((1, 1, 1, 1)), np.array([[[[0.2, -0.3]]]]))),
            Sample((channels_last(x), _away(rng, (1, 3, 2, 2), 3, 4, False)), {}, "channels last"),
            Sample((x, far), {}, "forward only: far outside"),
            Sample((x, far), {"padding_mode": "border"}, "forward only: far outside"),
            Sample((np.zeros((0, 2, 3, 3)), np.zeros((0, 2, 2, 2))), {}, "empty")]


def _theta_samples(rng):
    sizes = [1, (2, 3), (1, 4), (3, 1)]
    return [*(Sample((rng.standard_normal((2, 2, 3)),), {"size": s, "align_corners": c})
              for s in sizes for c in (False, True)),
            Sample((np.zeros((0, 2, 3)),), {"size": 2})]


def _taps(rng):
    """(N, C, H, W, weight, index) with repeated and missing taps."""
    for N, C, H, W, L, T in [(1, 1, 1, 1, 1, 1), (2, 3, 3, 4, 5, 4), (1, 2, 4, 2, 3, 1), (1, 2, 1, 5, 4, 2),
                             (2, 1, 2, 2, 6, 4), (1, 20, 2, 2, 2, 3), (3, 2, 3, 3, 1, 4), (0, 2, 3, 3, 2, 4)]:
        index = rng.integers(-1 if H * W > 1 else 0, H * W, (N, L, T))
        yield N, C, H, W, rng.standard_normal((N, L, T)), index


def _gather_samples(rng):
    return [Sample((rng.standard_normal((N, C, H, W)), weight), {"index": index})
            for N, C, H, W, weight, index in _taps(rng)]


def _scatter_samples(rng):
    return [Sample((rng.standard_normal((N, C, index.shape[1])), weight), {"index": index, "size": (H, W)})
            for N, C, H, W, weight, index in _taps(rng)]


def _dot_samples(rng):
    return [Sample((rng.standard_normal((N, C, index.shape[1])), rng.standard_normal((N, C, H, W))), {"index": index})
            for N, C, H, W, weight, index in _taps(rng)]


# fmt: off
UNFOLDS = [
    ((1, 1, 1, 1), {"kernel": 1}),
    ((2, 3, 4, 4), {"kernel": 2}),
    ((1, 2, 4, 5), {"kernel": (2, 3), "stride": 2}),
    ((1, 2, 4, 3), {"kernel": 3, "padding": 1}),
    ((1, 2, 5, 5), {"kernel": 2, "dilation": (1, 3)}),
    ((1, 1, 3, 3), {"kernel": 2, "padding": ((0, 1), (2, 0)), "stride": (2, 1)}),
    ((1, 2, 4, 4), {"kernel": 2, "stride": 2}),
    ((0, 2, 3, 3), {"kernel": 2}),
]
# fmt: on


def _unfold_samples(rng):
    return [*(Sample((rng.standard_normal(s),), settings, str(settings)) for s, settings in UNFOLDS),
            Sample((channels_last(rng.standard_normal((1, 3, 4, 4))),), {"kernel": 3}, "channels last")]


def _fold_samples(rng):
    return [Sample((rng.standard_normal(unfold_loops(np.zeros(s), **settings).shape),),
                   {"size": s[2:], **settings}, str(settings)) for s, settings in UNFOLDS]


def _shuffle_samples(rng):
    shapes = [((1, 1, 1, 1), 1), ((1, 4, 1, 1), 2), ((2, 8, 2, 3), 2), ((1, 9, 2, 1), 3), ((1, 3, 2, 2), 1),
              ((1, 16, 1, 2), 4), ((0, 4, 2, 2), 2)]
    return [*(Sample((rng.standard_normal(s),), {"factor": f}) for s, f in shapes),
            Sample((channels_last(rng.standard_normal((2, 8, 2, 3))),), {"factor": 2}, "channels last")]


def _unshuffle_samples(rng):
    return [Sample((channels_last(y) if "last" in s.note else y,), s.settings, s.note) for s in _shuffle_samples(rng)
            for y in [rng.standard_normal(shuffle_loops(s.inputs[0], **s.settings).shape)]]


# Errors ----------------------------------------------------------------------------------------------

X = np.zeros((1, 2, 4, 4))


def _image_errors(**settings):
    return [Bad((X[0],), settings, ShapeError, "4"),
            Bad((X.astype(np.uint8),), settings, DTypeError, "uint8")]


def _resample_errors():
    return [*_image_errors(size=2),
            *(Bad((X,), {"size": v}, ArgError, "size is") for v in (0, -1, 1.5, (1, 2, 3))),
            Bad((X,), {"size": 2, "mode": "area"}, ArgError, "mode is 'area', expected one of nearest"),
            Bad((X,), {"size": 2, "mode": "nearest", "align_corners": True}, ArgError, "align_corners is True")]


def _resize_errors():
    return [*_resample_errors(),
            Bad((X,), {}, ArgError, "size is None and scale is None, expected exactly one"),
            Bad((X,), {"size": 2, "scale": 2}, ArgError, "size is 2 and scale is 2"),
            *(Bad((X,), {"scale": v}, ArgError, "scale is") for v in (0, -1.0, float("nan"), 0.1, (1, 2, 3))),
            Bad((X[:, :, :0],), {"size": 2}, ShapeError, "at least one pixel")]


def _grid_errors():
    grid = np.zeros((1, 2, 2, 2))
    return [
        Bad((X, np.zeros((1, 2, 2, 3))), {}, ShapeError, r"grid has shape \(1, 2, 2, 3\), expected \(1, I, J, 2\)"),
        Bad((X, np.zeros((3, 2, 2, 2))), {}, ShapeError, r"grid has shape \(3, 2, 2, 2\)"),
        Bad((X, grid[0]), {}, ShapeError, "grid is 3-D"),
        Bad((X[0], grid), {}, ShapeError, "x is 3-D"),
        Bad((X, grid.astype(int)), {}, DTypeError, "grid has dtype int64"),
        Bad((X, grid), {"mode": "cubic"}, ArgError, "mode is 'cubic'"),
        Bad((X, grid), {"padding_mode": "wrap"}, ArgError, "padding_mode is 'wrap'"),
        Bad((X[:, :, :0], grid), {}, ShapeError, "at least one pixel"),
    ]


def _theta_errors():
    theta = np.zeros((1, 2, 3))
    return [Bad((theta[0],), {"size": 2}, ShapeError, r"theta has shape \(2, 3\), expected \(N, 2, 3\)"),
            Bad((np.zeros((1, 3, 3)),), {"size": 2}, ShapeError, r"\(1, 3, 3\)"),
            Bad((theta.astype(int),), {"size": 2}, DTypeError, "int64"),
            *(Bad((theta,), {"size": v}, ArgError, "size is") for v in (0, 1.5, (1, 2, 3)))]


def _taps_errors(op):
    x, y, index = np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 3)), np.zeros((1, 3, 4), int)
    weight = np.zeros(index.shape)
    inputs = {"gather": (x, weight), "scatter": (y, weight), "dot": (y, x)}[op]
    size = {"size": (2, 2)} if op == "scatter" else {}
    return [*(Bad(inputs, {"index": i, **size}, ArgError, "index") for i in (index + 4, index - 2)),
            Bad(inputs, {"index": index + 0.5, **size}, DTypeError, "index has dtype float64"),
            Bad(inputs, {"index": index[:, :2], **size}, ShapeError, "index has shape"),
            Bad(inputs, {"index": index[0], **size}, ShapeError, "index has shape"),
            Bad((inputs[0].astype(int), inputs[1]), {"index": index, **size}, DTypeError, "int64")]


def _unfold_errors():
    return [*_image_errors(kernel=2),
            *(Bad((X,), {"kernel": 2, name: 0}, ArgError, f"{name} is 0") for name in ("stride", "dilation")),
            Bad((X,), {"kernel": 0}, ArgError, "kernel is 0"),
            Bad((X,), {"kernel": 5}, ShapeError, "output size")]


def _fold_errors():
    columns, settings = np.zeros((1, 8, 9)), {"size": (4, 4), "kernel": 2}
    return [Bad((columns[0],), settings, ShapeError, "columns has shape"),
            Bad((columns[:, :7],), settings, ShapeError, r"columns has shape \(1, 7, 9\)"),
            Bad((columns[:, :, :8],), settings, ShapeError, r"columns has shape \(1, 8, 8\)"),
            Bad((columns.astype(int),), settings, DTypeError, "int64"),
            Bad((columns,), {**settings, "size": 0}, ArgError, "size is 0"),
            Bad((columns,), {**settings, "stride": 0}, ArgError, "stride is 0")]


def _shuffle_errors(size):
    return lambda: [*_image_errors(factor=2), Bad((X,), {"factor": 0}, ArgError, "factor is 0"),
                    Bad((X,), {"factor": 1.5}, ArgError, "factor is 1.5"),
                    Bad((X,), {"factor": 3}, ShapeError, f"x has {size}")]


def specs():
    return [
        OpSpec(r.resample, resample_dense, _resample_samples, _resample_errors),
        OpSpec(r.resample_input, resample_input_dense, _resample_input_samples, _resample_errors),
        OpSpec(r.resize, resize_dense, _resize_samples, _resize_errors),
        OpSpec(r.grid_sample, grid_sample_loops, _grid_samples, _grid_errors, nan="selects"),
        OpSpec(r.affine_grid, affine_grid_loops, _theta_samples, _theta_errors),
        OpSpec(r.taps_gather, taps_gather_loops, _gather_samples, lambda: _taps_errors("gather"), nan="selects"),
        OpSpec(r.taps_scatter, taps_scatter_loops, _scatter_samples, lambda: _taps_errors("scatter"), nan="selects"),
        OpSpec(r.taps_dot, taps_dot_loops, _dot_samples, lambda: _taps_errors("dot"), nan="selects"),
        OpSpec(r.unfold, unfold_loops, _unfold_samples, _unfold_errors),
        OpSpec(r.fold, fold_loops, _fold_samples, _fold_errors),
        OpSpec(r.pixel_shuffle, shuffle_loops, _shuffle_samples, _shuffle_errors("2 channels")),
        OpSpec(r.pixel_unshuffle, unshuffle_loops, _unshuffle_samples, _shuffle_errors("size")),
    ]
