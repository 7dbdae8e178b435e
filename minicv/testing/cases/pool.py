"""Cases of pooling. The oracles list the pixels of each window one by one.

Values are a shuffled arithmetic sequence, so that no two are close: the maximum is far from a tie.
"""

import math

import numpy as np

from ...autograd import pool as p
from ...errors import ArgError, DTypeError, ShapeError
from ..registry import Bad, OpSpec, Sample
from .conv import channels_last


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def _axis(length, size, stride, sides, dilation, ceil_mode):
    """Positions (inside or not) of each window of one axis, and how many of them lie within the padding."""
    room = (length + sum(sides) - dilation * (size - 1) - 1) / stride
    count = (math.ceil(room) if ceil_mode else math.floor(room)) + 1
    starts = [i * stride - sides[0] for i in range(count) if i * stride - sides[0] < length]
    return [[s + k * dilation for k in range(size)] for s in starts]


def _windows(x, size, stride, padding, dilation=1, ceil_mode=False):
    """{(i, j): (pixels inside the image, number inside the padded image)}."""
    size = _pair(size)
    stride = size if stride is None else _pair(stride)
    sides = [_pair(s) for s in _pair(padding)]
    rows, columns = (_axis(*a, ceil_mode) for a in
                     zip(x.shape[2:], size, stride, sides, _pair(dilation), strict=True))
    H, W = x.shape[2:]
    found = {}
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            padded = [(h, w) for h in row for w in column if h < H + sides[0][1] and w < W + sides[1][1]]
            found[i, j] = [(h, w) for h, w in padded if 0 <= h < H and 0 <= w < W], len(padded)
    return found


def _pooled(x, windows, reduce):
    I, J = (max(index) + 1 for index in zip(*windows, strict=True))
    y = np.zeros((*x.shape[:2], I, J))
    for (i, j), (pixels, count) in windows.items():
        values = np.stack([x[:, :, h, w] for h, w in pixels], axis=-1)
        y[:, :, i, j] = reduce(values, count)
    return y


def max_pool_loops(x, *, size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Maximum of listed pixels."""
    return _pooled(x, _windows(x, size, stride, padding, dilation, ceil_mode), lambda v, n: v.max(axis=-1))


def avg_pool_loops(x, *, size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Mean of listed pixels."""
    return _pooled(x, _windows(x, size, stride, padding, 1, ceil_mode),
                   lambda v, n: v.sum(axis=-1) / (n if count_include_pad else v.shape[-1]))


def l2_pool_loops(x, *, size, stride=None, padding=0, ceil_mode=False):
    """Root of the mean of squares of listed pixels."""
    return _pooled(x, _windows(x, size, stride, padding, 1, ceil_mode),
                   lambda v, n: np.sqrt((v * v).mean(axis=-1)))


def _cells(x, size):
    """Cells [floor(i H / I), ceil((i + 1) H / I)) of a grid."""
    (H, W), (I, J) = x.shape[2:], _pair(size)
    return {(i, j): ([(h, w) for h in range(i * H // I, math.ceil((i + 1) * H / I))
                      for w in range(j * W // J, math.ceil((j + 1) * W / J))], 0)
            for i in range(I) for j in range(J)}


def adaptive_max_loops(x, *, size):
    """Maximum of listed pixels of a cell."""
    return _pooled(x, _cells(x, size), lambda v, n: v.max(axis=-1))


def adaptive_avg_loops(x, *, size):
    """Mean of listed pixels of a cell."""
    return _pooled(x, _cells(x, size), lambda v, n: v.mean(axis=-1))


def _adjoint(pool):
    """Oracle of the adjoint of a linear pooling: <g, pool(unit image)> for every unit image."""
    def adjoint(g, *, input_size, **settings):
        x = np.zeros((*g.shape[:2], *input_size))
        for h, w in np.ndindex(*input_size):
            unit = np.zeros((1, 1, *input_size))
            unit[..., h, w] = 1
            x[:, :, h, w] = (g * pool(unit, **settings)).sum(axis=(2, 3))
        return x
    return adjoint


def adaptive_avg_input_loops(g, *, input_size):
    """Adjoint by unit images."""
    return _adjoint(lambda unit: adaptive_avg_loops(unit, size=g.shape[2:]))(g, input_size=input_size)


def gather_loops(x, where):
    """Pixel by pixel."""
    y = np.zeros(where.shape)
    for index in np.ndindex(where.shape):
        y[index] = x[(*index[:2], *divmod(int(where[index]), x.shape[3]))]
    return y


def scatter_loops(g, where, *, size):
    """Pixel by pixel."""
    x = np.zeros((*g.shape[:2], *_pair(size)))
    for index in np.ndindex(where.shape):
        x[(*index[:2], *divmod(int(where[index]), x.shape[3]))] += g[index]
    return x


def select_loops(x, tap, *, size, **settings):
    """Pixel by pixel; the settings of the samples have neither padding nor dilation."""
    Q, stride = _pair(size)[1], _pair(settings.get("stride") or size)
    y = np.zeros(tap.shape)
    for n, c, i, j in np.ndindex(tap.shape):
        p, q = divmod(int(tap[n, c, i, j]), Q)
        y[n, c, i, j] = x[n, c, i * stride[0] + p, j * stride[1] + q]
    return y


def max_input_loops(g, tap, *, input_size, **settings):
    """Adjoint by unit images."""
    return _adjoint(lambda unit, **s: select_loops(np.broadcast_to(unit, (*g.shape[:2], *input_size)), tap, **s))(
        g, input_size=input_size, **settings)


# Samples ---------------------------------------------------------------------------------------------


def distinct(rng, shape):
    """Values at least 0.1 apart, both signs."""
    n = math.prod(shape)
    return rng.permutation(n).reshape(shape) * 0.1 - 0.05 * n - 0.02


# fmt: off
CASES = [  # x, settings
    ((1, 1, 1, 1), {"size": 1}),
    ((2, 3, 4, 4), {"size": 2}),
    ((1, 2, 5, 7), {"size": (2, 3)}),
    ((1, 2, 6, 5), {"size": 3, "stride": 2, "padding": 1}),
    ((2, 2, 5, 6), {"size": 3, "stride": 2, "ceil_mode": True}),
    ((1, 2, 4, 5), {"size": 2, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 3, 4, 6), {"size": (1, 4), "stride": (2, 1), "padding": ((0, 0), (2, 1))}),
    ((1, 2, 3, 3), {"size": 2, "stride": 3}),
    ((0, 2, 4, 4), {"size": 2}),
]
# fmt: on


def _sliding(rng, extra=()):
    samples = [Sample((distinct(rng, shape),), settings, str(settings)) for shape, settings in CASES]
    x = distinct(rng, (2, 3, 5, 4))
    return [*samples, Sample((channels_last(x),), {"size": 3, "stride": 2, "padding": 1}, "channels last"),
            Sample((x * 1e6,), {"size": 2}, "forward only: large"),
            *(Sample((x,), {"size": 3, "stride": 2, "padding": 1, **e}, str(e)) for e in extra)]


def _avg_extra():
    return [{"count_include_pad": False}, {"count_include_pad": False, "ceil_mode": True},
            {"count_include_pad": True, "ceil_mode": True}]


def _avg_input_samples(rng):
    samples = []
    for s in _sliding(rng, _avg_extra()):
        x = s.inputs[0]
        g = rng.standard_normal(avg_pool_loops(np.zeros((1, 1, *x.shape[2:])), **s.settings).shape[2:])
        g = np.broadcast_to(g, (*x.shape[:2], *g.shape)) * 1.0
        samples.append(Sample((g,), {"input_size": x.shape[2:], **s.settings}, s.note))
    return samples


GRIDS = [((1, 1, 1, 1), 1), ((2, 2, 4, 4), 2), ((1, 2, 5, 7), (2, 3)), ((1, 2, 3, 4), (5, 6)), ((2, 3, 7, 5), 1),
         ((1, 2, 4, 3), (4, 3)), ((1, 2, 5, 1), (3, 1)), ((0, 2, 4, 4), 2)]


def _adaptive(rng):
    samples = [Sample((distinct(rng, shape),), {"size": size}, str(size)) for shape, size in GRIDS]
    return [*samples, Sample((channels_last(distinct(rng, (2, 3, 5, 4))),), {"size": 3}, "channels last")]


def _adaptive_input(rng):
    return [Sample((rng.standard_normal((*shape[:2], *_pair(size))),), {"input_size": shape[2:]})
            for shape, size in GRIDS]


def _positions(rng):
    """(pixels on the small grid, where, size of the image) with repeated positions."""
    shapes = [((1, 1, 1, 1), (1, 1)), ((2, 3, 2, 2), (4, 4)), ((1, 2, 3, 2), (1, 5)), ((1, 2, 1, 4), (2, 2)),
              ((2, 2, 3, 3), (3, 3)), ((1, 4, 2, 1), (5, 3)), ((3, 1, 1, 1), (2, 6)), ((0, 2, 2, 2), (3, 3))]
    for grid, size in shapes:
        yield grid, rng.integers(0, size[0] * size[1], grid), size


def _gather_samples(rng):
    return [Sample((rng.standard_normal((*grid[:2], *size)), where)) for grid, where, size in _positions(rng)]


def _scatter_samples(rng):
    return [Sample((rng.standard_normal(grid), where), {"size": size}) for grid, where, size in _positions(rng)]


def _taps(rng):
    """(size of the image, settings, taps)."""
    extra = [((1, 2, 5, 7), {"size": (2, 3), "stride": 1}), ((2, 3, 6, 6), {"size": 3, "stride": 2}),
             ((1, 4, 2, 2), {"size": 2}), ((3, 1, 4, 3), {"size": (1, 3)}), ((0, 2, 4, 4), {"size": 2})]
    for x, settings in [*CASES[:3], *extra]:
        size, stride = _pair(settings["size"]), _pair(settings.get("stride") or settings["size"])
        grid = [(n - k) // s + 1 for n, k, s in zip(x[2:], size, stride, strict=True)]
        yield x, settings, rng.integers(0, math.prod(size), (*x[:2], *grid))


def _select_samples(rng):
    return [Sample((rng.standard_normal(x), tap), settings, str(settings)) for x, settings, tap in _taps(rng)]


def _max_input_samples(rng):
    return [Sample((rng.standard_normal(tap.shape), tap), {"input_size": x[2:], **settings}, str(settings))
            for x, settings, tap in _taps(rng)]


def _global(rng):
    shapes = [(1, 1, 1, 1), (2, 3, 4, 4), (1, 2, 5, 3), (3, 1, 1, 4), (1, 4, 3, 1), (0, 2, 3, 3), (2, 2, 7, 7)]
    return [*(Sample((distinct(rng, s),)) for s in shapes),
            Sample((channels_last(distinct(rng, (2, 3, 5, 4))),), note="channels last")]


# Errors ----------------------------------------------------------------------------------------------

X = np.zeros((1, 2, 4, 4))


def _image_errors(**settings):
    return [
        Bad((X[0],), settings, ShapeError, r"x is 3-D of shape \(2, 4, 4\), expected 4-D"),
        Bad((X[0, 0],), settings, ShapeError, r"x is 2-D"),
        Bad((X.astype(np.uint8),), settings, DTypeError, "x has dtype uint8"),
        Bad((X.astype(bool),), settings, DTypeError, "x has dtype bool"),
        Bad((X[:, :, :0],), settings, ShapeError, r"0"),
    ]


def _sliding_errors():
    return [
        *_image_errors(size=2),
        *(Bad((X,), {"size": v}, ArgError, "size is") for v in (0, -1, 1.5, (1, 2, 3), 2**63)),
        Bad((X,), {"size": 2, "stride": 0}, ArgError, "stride is 0"),
        Bad((X,), {"size": 3, "padding": 2}, ArgError, "padding is .*at most half the window"),
        Bad((X,), {"size": 5}, ShapeError, r"output size is \(0, 0\) for input size \(4, 4\)"),
    ]


def _max_errors():
    return [*_sliding_errors(), Bad((X,), {"size": 2, "dilation": 0}, ArgError, "dilation is 0"),
            Bad((X,), {"size": 3, "dilation": 2}, ShapeError, "output size")]


def _adjoint_errors():
    g, settings = np.zeros((1, 2, 2, 2)), {"size": 2}
    return [
        Bad((g,), {"input_size": (9, 9), **settings}, ShapeError, r"g has shape \(1, 2, 2, 2\), expected"),
        Bad((g,), {"input_size": 0, **settings}, ArgError, "input_size is 0"),
        Bad((g[0],), {"input_size": (4, 4), **settings}, ShapeError, "g "),
        Bad((g.astype(int),), {"input_size": (4, 4), **settings}, DTypeError, "int64"),
        Bad((g,), {"input_size": (4, 4), "size": 2, "padding": 2}, ArgError, "padding"),
    ]


def _adaptive_errors():
    return [*_image_errors(size=2), *(Bad((X,), {"size": v}, ArgError, "size is") for v in (0, -2, 1.5))]


def _adaptive_adjoint_errors():
    g = np.zeros((1, 2, 2, 2))
    return [*(Bad((g,), {"input_size": v}, ArgError, "input_size is") for v in (0, -2, 1.5)),
            Bad((g[0],), {"input_size": 4}, ShapeError, "g "),
            Bad((g.astype(int),), {"input_size": 4}, DTypeError, "g ")]


def _where_errors(inputs, settings):
    def errors():
        a = np.zeros(inputs)
        where = np.zeros((1, 2, 2, 2), int)
        return [
            Bad((a, where + 16), settings, ArgError, r"where is in \[16, 16\], expected positions in \[0, 16\)"),
            Bad((a, where - 1), settings, ArgError, r"where is in \[-1, -1\]"),
            Bad((a, where == 0), settings, DTypeError, "where has dtype bool"),
            Bad((a, where[:, :1]), settings, ShapeError, "where"),
            Bad((a[0], where), settings, ShapeError, "3-D"),
            Bad((a.astype(int), where), settings, DTypeError, "int64"),
        ]
    return errors


def _tap_errors(inputs, settings):
    def errors():
        a = np.zeros(inputs)
        tap = np.zeros((1, 2, 2, 2), int)
        return [
            Bad((a, tap + 4), settings, ArgError, r"tap is in \[4, 4\], expected numbers in \[0, 4\)"),
            Bad((a, tap - 1), settings, ArgError, r"tap is in \[-1, -1\]"),
            Bad((a, tap == 0), settings, DTypeError, "tap is bool"),
            Bad((a, tap[:, :1]), settings, ShapeError, "tap is int64"),
            Bad((a[0], tap), settings, ShapeError, "3-D|4 axes"),
            Bad((a.astype(int), tap), settings, DTypeError, "int64"),
        ]
    return errors


def specs():
    """Specs of this family."""
    return [
        OpSpec(p.max_pool2d, max_pool_loops, lambda rng: _sliding(rng, [{"dilation": 2}]), _max_errors),
        OpSpec(p.avg_pool2d, avg_pool_loops, lambda rng: _sliding(rng, _avg_extra()), _sliding_errors),
        OpSpec(p.avg_pool2d_input, _adjoint(avg_pool_loops), _avg_input_samples, _adjoint_errors),
        OpSpec(p.l2_pool2d, l2_pool_loops, _sliding, _sliding_errors),
        OpSpec(p.adaptive_max_pool2d, adaptive_max_loops, _adaptive, _adaptive_errors),
        OpSpec(p.adaptive_avg_pool2d, adaptive_avg_loops, _adaptive, _adaptive_errors),
        OpSpec(p.adaptive_avg_pool2d_input, adaptive_avg_input_loops, _adaptive_input, _adaptive_adjoint_errors),
        OpSpec(p.global_max_pool, lambda x: x.max(axis=(2, 3)), _global, _image_errors),
        OpSpec(p.global_avg_pool, lambda x: x.sum(axis=(2, 3)) / math.prod(x.shape[2:]), _global, _image_errors),
        OpSpec(p.max_pool2d_select, select_loops, _select_samples, _tap_errors((1, 2, 4, 4), {"size": 2}),
               nan="selects"),
        OpSpec(p.max_pool2d_input, max_input_loops, _max_input_samples,
               _tap_errors((1, 2, 2, 2), {"size": 2, "input_size": (4, 4)})),
        OpSpec(p.pool_gather, gather_loops, _gather_samples, _where_errors((1, 2, 4, 4), {}), nan="selects"),
        OpSpec(p.pool_scatter, scatter_loops, _scatter_samples, _where_errors((1, 2, 2, 2), {"size": 4})),
        OpSpec(p.max_unpool2d, scatter_loops, _scatter_samples, _where_errors((1, 2, 2, 2), {"size": 4})),
    ]
