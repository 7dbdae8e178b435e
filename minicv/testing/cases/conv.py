"""Cases of convolution. The oracle is the definition with loops over every index."""

import numpy as np

from ...autograd.conv import conv1d, conv2d, conv2d_filter, conv2d_input, conv_transpose2d
from ...errors import ArgError, DTypeError, ShapeError
from ..registry import Bad, OpSpec, Sample


def channels_last(x):
    """The same images with the channels last in memory."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def _terms(image, filters, grid, stride, padding, dilation, groups):
    """All (n, o, i, j, c, p, q, h, v) of the sum over pixels (h, v) inside the image; c within the group."""
    (N, _, H, W), (O, C, P, Q), (s, t), (d, e) = image, filters, stride, dilation
    (top, _), (left, _) = padding
    for n, o, i, j, c, p, q in np.ndindex(N, O, *grid, C, P, Q):
        h, v = i * s + p * d - top, j * t + q * e - left
        if 0 <= h < H and 0 <= v < W:
            yield n, o, i, j, c, p, q, h, v, c + o // (O // groups) * C


def _settings(kernel, stride, padding, dilation):
    dilation = _pair(dilation)
    if padding == "same":
        totals = [e * (k - 1) for k, e in zip(kernel, dilation, strict=True)]
        padding = [(t // 2, t - t // 2) for t in totals]
    return _pair(stride), [_pair(p) for p in _pair(padding)], dilation


def conv2d_loops(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    """The definition of convolution."""
    s, p, d = _settings(w.shape[2:], stride, padding, dilation)
    grid = [(n + sum(a) - e * (k - 1) - 1) // t + 1
            for n, a, e, k, t in zip(x.shape[2:], p, d, w.shape[2:], s, strict=True)]
    y = np.zeros((len(x), len(w), *grid)) + (0 if b is None else b[:, None, None])
    for n, o, i, j, c, k, q, h, v, channel in _terms(x.shape, w.shape, grid, s, p, d, groups):
        y[n, o, i, j] += x[n, channel, h, v] * w[o, c, k, q]
    return y


def conv2d_input_loops(g, w, *, size, stride=1, padding=0, dilation=1, groups=1):
    """Every g adds its filter to its window."""
    s, p, d = _settings(w.shape[2:], stride, padding, dilation)
    gx = np.zeros((len(g), w.shape[1] * groups, *size))
    for n, o, i, j, c, k, q, h, v, channel in _terms(gx.shape, w.shape, g.shape[2:], s, p, d, groups):
        gx[n, channel, h, v] += g[n, o, i, j] * w[o, c, k, q]
    return gx


def conv2d_filter_loops(x, g, *, size, stride=1, padding=0, dilation=1, groups=1):
    """Every g adds its window to its filter."""
    s, p, d = _settings(size, stride, padding, dilation)
    gw = np.zeros((g.shape[1], x.shape[1] // groups, *size))
    for n, o, i, j, c, k, q, h, v, channel in _terms(x.shape, gw.shape, g.shape[2:], s, p, d, groups):
        gw[o, c, k, q] += g[n, o, i, j] * x[n, channel, h, v]
    return gw


def conv_transpose2d_loops(x, w, b=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """The adjoint with its output size."""
    s, p, d = _settings(w.shape[2:], stride, padding, dilation)
    size = [(n - 1) * t - sum(a) + e * (k - 1) + 1 + more for n, t, a, e, k, more in
            zip(x.shape[2:], s, p, d, w.shape[2:], _pair(output_padding), strict=True)]
    y = conv2d_input_loops(x, w, size=size, stride=s, padding=p, dilation=d, groups=groups)
    return y if b is None else y + b[:, None, None]


def conv1d_loops(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    """The definition for sequences."""
    if padding == "same":
        total = dilation * (w.shape[2] - 1)
        padding = (total // 2, total - total // 2)
    x = np.pad(x, ((0, 0), (0, 0), _pair(padding)))
    J = (x.shape[2] - dilation * (w.shape[2] - 1) - 1) // stride + 1
    y = np.zeros((len(x), len(w), J))
    each, C = len(w) // groups, w.shape[1]
    for n, o, j, c, q in np.ndindex(len(x), len(w), J, C, w.shape[2]):
        y[n, o, j] += w[o, c, q] * x[n, o // each * C + c, j * stride + q * dilation]
    return y if b is None else y + b[:, None]


# Samples ---------------------------------------------------------------------------------------------

# fmt: off
CASES = [  # x,           w,            settings
    ((1, 1, 1, 1), (1, 1, 1, 1), {}),                                             # one number
    ((2, 3, 4, 5), (2, 3, 3, 2), {}),                                             # unequal everything
    ((2, 3, 5, 4), (4, 3, 3, 3), {"stride": (2, 1), "padding": (1, 2)}),          # floor division
    ((1, 2, 6, 5), (2, 2, 2, 3), {"dilation": (2, 1), "padding": ((0, 1), (2, 0))}),
    ((2, 4, 4, 3), (6, 2, 3, 1), {"groups": 2, "padding": (1, 0)}),
    ((1, 3, 4, 4), (6, 1, 3, 3), {"groups": 3, "padding": 1, "stride": 2}),       # depthwise, twice the channels
    ((1, 3, 4, 5), (3, 1, 2, 3), {"groups": 3, "dilation": (1, 2), "padding": 2}),
    ((2, 3, 5, 5), (4, 3, 1, 1), {"stride": 2}),                                  # projection shortcut
    ((1, 2, 3, 4), (2, 2, 2, 4), {"padding": "same"}),                            # even kernel
    ((1, 2, 3, 3), (3, 2, 3, 3), {"padding": 3}),                                 # windows of padding alone
    ((0, 2, 4, 4), (3, 2, 3, 3), {}),                                             # empty batch
]
# fmt: on


def _conv2d_samples(rng):
    samples = []
    for k, (xs, ws, settings) in enumerate(CASES):
        x, w, b = (rng.standard_normal(s) for s in (xs, ws, ws[:1]))
        samples.append(Sample((x, w, b) if k % 2 else (x, w), settings, str(settings)))
        if k in (3, 4):
            samples.append(Sample((channels_last(x), channels_last(w)), settings, "channels last"))
    x, w, _ = samples[1].inputs
    return [*samples, Sample((x * 1e8, w * 1e-8), {}, "forward only: large and small values")]


def _partner_samples(rng, of):
    """The cases with settings as pairs, for the partner op `of` ("input" or "filter")."""
    samples = []
    for xs, ws, settings in CASES:
        s, p, d = _settings(ws[2:], settings.get("stride", 1), settings.get("padding", 0), settings.get("dilation", 1))
        plain = {"stride": s, "padding": tuple(p), "dilation": d, "groups": settings.get("groups", 1)}
        x, w = rng.standard_normal(xs), rng.standard_normal(ws)
        g = rng.standard_normal(conv2d_loops(x, w, **plain).shape)
        inputs, size = ((g, w), xs[2:]) if of == "input" else ((x, g), ws[2:])
        samples.append(Sample(inputs, {"size": size, **plain}, str(settings)))
    return samples


def _transpose_samples(rng):
    cases = [
        ((1, 1, 1, 1), (1, 1, 1, 1), {}),
        ((2, 3, 2, 3), (3, 2, 3, 2), {}),
        ((1, 2, 3, 2), (2, 3, 2, 2), {"stride": 2}),
        ((1, 2, 3, 3), (2, 2, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
        ((2, 4, 2, 3), (4, 3, 3, 3), {"stride": (1, 3), "groups": 2, "output_padding": (0, 2)}),
        ((1, 3, 3, 3), (3, 1, 4, 4), {"stride": 2, "padding": 1, "groups": 3}),
        ((1, 2, 3, 2), (2, 1, 3, 2), {"dilation": (1, 2), "padding": ((1, 0), (0, 1))}),
        ((0, 2, 3, 3), (2, 2, 2, 2), {"stride": 2}),
    ]
    samples = []
    for k, (xs, ws, settings) in enumerate(cases):
        x, w = rng.standard_normal(xs), rng.standard_normal(ws)
        b = (rng.standard_normal(ws[1] * settings.get("groups", 1)),) if k % 2 else ()
        samples.append(Sample((channels_last(x) if k == 3 else x, w, *b), settings, str(settings)))
    return samples


def _conv1d_samples(rng):
    cases = [
        ((1, 1, 1), (1, 1, 1), {}),
        ((2, 3, 6), (4, 3, 3), {}),
        ((2, 3, 7), (2, 3, 2), {"stride": 2, "padding": 1}),
        ((1, 4, 6), (4, 2, 3), {"groups": 2, "padding": (2, 0)}),
        ((1, 3, 8), (6, 1, 3), {"groups": 3, "dilation": 2}),
        ((2, 2, 5), (3, 2, 4), {"padding": "same"}),
        ((1, 2, 3), (1, 2, 3), {"padding": 4}),
        ((0, 2, 5), (3, 2, 2), {}),
    ]
    return [Sample(tuple(rng.standard_normal(s) for s in ((xs, ws, ws[:1]) if k % 2 else (xs, ws))),
                   settings, str(settings)) for k, (xs, ws, settings) in enumerate(cases)]


# Errors ----------------------------------------------------------------------------------------------

X, W = np.zeros((1, 4, 6, 6)), np.zeros((2, 4, 3, 3))


def _conv2d_errors():
    return [
        Bad((X, np.zeros((2, 3, 3, 3))), {}, ShapeError, r"w .* has 3 input channels, x .* has 4"),
        Bad((np.zeros((1, 6, 6, 4)), W), {}, ShapeError, r"x looks like channels-last"),
        Bad((X[0], W), {}, ShapeError, r"x is 3-D of shape \(4, 6, 6\), expected 4-D \(N, C, H, W\); add the batch"),
        Bad((X, W[0]), {}, ShapeError, r"w is 3-D"),
        Bad((X, np.zeros((3, 2, 3, 3))), {"groups": 2}, ShapeError, r"w has 3 filters, .* groups=2"),
        Bad((X, W, np.zeros(3)), {}, ShapeError, r"b has shape \(3,\), expected \(2,\)"),
        Bad((X, W), {"dilation": 3}, ShapeError, r"output size is \(0, 0\).*kernel \(3, 3\).*dilation \(3, 3\)"),
        Bad((X.astype(np.int64), W), {}, DTypeError, r"x has dtype int64"),
        *(Bad((X, W), {name: value}, ArgError, name) for name in ("stride", "dilation", "groups")
          for value in (0, -1, 1.5, True, 2**63)),
        Bad((X, W), {"stride": (1, 1, 1)}, ArgError, r"stride is \(1, 1, 1\)"),
        Bad((X, W), {"padding": -1}, ArgError, r"padding is -1"),
        Bad((X, W), {"padding": "valid"}, ArgError, r"padding is 'valid'"),
        Bad((X, W), {"padding": "same", "stride": 2}, ArgError, r'padding is "same" with stride \(2, 2\)'),
    ]


def _partner_errors(of):
    def errors():
        g = np.zeros((1, 2, 4, 4))
        good = (g, W) if of == "input" else (X, g)
        size = (6, 6) if of == "input" else (3, 3)
        return [
            Bad(good, {"size": 0}, ArgError, "size is 0"),
            Bad(good, {"size": size, "stride": 2}, ShapeError, r"g has shape \(1, 2, 4, 4\), expected"),
            Bad(good, {"size": size, "dilation": 0}, ArgError, "dilation is 0"),
            Bad(good, {"size": size, "groups": 3}, ShapeError, "groups=3"),
            Bad((good[0][0], good[1]), {"size": size}, ShapeError, "expected 4 axes"),
            Bad((good[0].astype(int), good[1]), {"size": size}, DTypeError, "int64"),
        ]
    return errors


def _transpose_errors():
    w = np.zeros((4, 2, 3, 3))
    return [
        Bad((X, np.zeros((3, 2, 3, 3))), {}, ShapeError, r"w .* has 3 input channels, x .* has 4"),
        Bad((X, w), {"groups": 3}, ShapeError, r"w has 4 filters, .* groups=3"),
        Bad((X, w, np.zeros(3)), {}, ShapeError, r"b has shape \(3,\), expected \(2,\)"),
        Bad((X, w), {"stride": 2, "output_padding": 2}, ArgError, r"output_padding is \(2, 2\)"),
        Bad((X, w), {"padding": 4}, ShapeError, r"output size is \(0, 0\)"),
        Bad((X, w), {"padding": "same"}, ArgError, "padding is 'same'"),
        Bad((X[0], w), {}, ShapeError, "x is 3-D"),
    ]


def _conv1d_errors():
    x, w = np.zeros((1, 4, 6)), np.zeros((2, 4, 3))
    return [
        Bad((X, w), {}, ShapeError, r"x has shape \(1, 4, 6, 6\), expected 3 axes"),
        Bad((x, w[0]), {}, ShapeError, r"w has shape \(4, 3\), expected 3 axes"),
        Bad((x, np.zeros((2, 3, 3))), {}, ShapeError, "has 3 input channels"),
        Bad((x, w), {"stride": 0}, ArgError, "stride"),
        Bad((x, w), {"dilation": 4}, ShapeError, "output size"),
        Bad((x, w), {"padding": (1, 2, 3)}, ArgError, "padding"),
    ]


def specs():
    """Specs of this family."""
    return [
        OpSpec(conv2d, conv2d_loops, _conv2d_samples, _conv2d_errors),
        OpSpec(conv2d_input, conv2d_input_loops, lambda rng: _partner_samples(rng, "input"), _partner_errors("input")),
        OpSpec(conv2d_filter, conv2d_filter_loops, lambda rng: _partner_samples(rng, "filter"),
               _partner_errors("filter")),
        OpSpec(conv1d, conv1d_loops, _conv1d_samples, _conv1d_errors),
        OpSpec(conv_transpose2d, conv_transpose2d_loops, _transpose_samples, _transpose_errors),
    ]
