"""Cases of the normalisation family. The oracles loop over groups of values, with means and variances as fractions."""

from fractions import Fraction

import numpy as np

from ...autograd import normalize as n
from ...errors import ArgError, DTypeError, ShapeError
from ..registry import Bad, OpSpec, Sample
from .conv import channels_last


def _standardize(values, eps):
    """(values - mean) / sqrt(var + eps) with statistics in exact fractions."""
    values = np.asarray(values, np.float64)
    exact = [Fraction(v) for v in values.ravel().tolist()]
    center = sum(exact) / len(exact)
    var = float(sum((v - center) ** 2 for v in exact) / len(exact))
    return np.array([float(v - center) for v in exact]).reshape(values.shape) / np.sqrt(var + eps)


def _by_slices(x, slices, weight, bias, eps):
    """Each slice standardized; weight and bias per channel (axis 1)."""
    y = np.zeros(x.shape)
    for s in slices if x.size else ():
        y[s] = _standardize(x[s], eps)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def normalize_slices(x, weight=None, bias=None, *, axis, eps=1e-5):
    """Loop over the axes that are kept."""
    axes = [a % x.ndim for a in np.atleast_1d(axis)]
    kept = [1 if a in axes else size for a, size in enumerate(x.shape)]
    slices = [tuple(slice(None) if a in axes else i for a, i in enumerate(index)) for index in np.ndindex(*kept)]
    y = np.zeros(x.shape)
    for s in slices if x.size else ():
        y[s] = _standardize(x[s], eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def batch_norm_train(x, weight=None, bias=None, *, eps=1e-5):
    """y of `batch_norm` in training."""
    return n.batch_norm(x, weight, bias, training=True, eps=eps).y


def batch_norm_train_slices(x, weight=None, bias=None, *, eps=1e-5):
    """Loop over channels."""
    return _by_slices(x, [(slice(None), c) for c in range(x.shape[1])], weight, bias, eps)


RUNNING_MEAN, RUNNING_VAR = np.array([0.3, -1.0, 2.0]), np.array([0.5, 1.0, 4.0])


def batch_norm_eval(x, weight=None, bias=None, *, eps=1e-5):
    """y of `batch_norm` with running statistics of three channels."""
    return n.batch_norm(x, weight, bias, RUNNING_MEAN, RUNNING_VAR, eps=eps).y


def batch_norm_eval_loops(x, weight=None, bias=None, *, eps=1e-5):
    """Every value by itself."""
    y = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        c = index[1]
        y[index] = (x[index] - RUNNING_MEAN[c]) / np.sqrt(RUNNING_VAR[c] + eps)
        y[index] = y[index] * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return y


def layer_norm_slices(x, weight=None, bias=None, *, axes=-1, eps=1e-5):
    """Loop over items, weight and bias laid along `axes`."""
    y = normalize_slices(x, axis=axes, eps=eps)
    last = tuple(np.atleast_1d(axes))
    y = np.moveaxis(y, last, range(-len(last), 0))
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return np.moveaxis(y, range(-len(last), 0), last)


def instance_norm_slices(x, weight=None, bias=None, *, eps=1e-5):
    """Loop over channels of items."""
    return _by_slices(x, list(np.ndindex(*x.shape[:2])), weight, bias, eps)


def group_norm_slices(x, weight=None, bias=None, *, groups, eps=1e-5):
    """Loop over runs of channels."""
    each = x.shape[1] // groups
    slices = [(i, slice(k * each, (k + 1) * each)) for i in range(len(x)) for k in range(groups)]
    return _by_slices(x, slices, weight, bias, eps)


def l2_normalize_loops(x, *, axis=-1, eps=1e-12):
    """Loop over vectors; hypot does not overflow."""
    def unit(v):
        return v / max(np.hypot.reduce(v), eps)
    return np.apply_along_axis(unit, axis, x) if x.size else x


def channel_sum_loops(x, *, before, after):
    """Sum over a window of channels."""
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        y[:, c] = x[:, max(c - before, 0):c + after + 1].sum(axis=1)
    return y


def local_response_norm_loops(x, *, size=5, alpha=1e-4, beta=0.75, k=1.0):
    """The formula for each channel."""
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        window = x[:, max(c - size // 2, 0):c + (size - 1) // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha / size * (window ** 2).sum(axis=1)) ** beta
    return y


# Samples ---------------------------------------------------------------------------------------------


def _images(rng, affine, shapes=((2, 3, 4, 5), (3, 3, 2, 2), (1, 3, 3, 4), (2, 3, 1, 2))):
    """Samples of images (N, 3, H, W) with and without weight and bias, both layouts, extreme values, empty."""
    def vectors():
        return (rng.uniform(0.5, 2, 3), rng.standard_normal(3)) if affine else ()
    samples = [Sample((rng.standard_normal(s), *vectors())) for s in shapes]
    x = rng.standard_normal((2, 3, 3, 4))
    return [*samples,
            Sample((x,)),
            Sample((channels_last(x), *vectors()), note="channels last"),
            Sample((x * 1e4,), note="forward only: large"),
            Sample((np.full((2, 3, 2, 2), 0.1),), note="forward only: constant"),
            Sample((np.zeros((0, 3, 2, 2)), *vectors()), note="empty")]


def _with(samples, **settings):
    return [s._replace(settings=settings) for s in samples]


def _normalize_samples(rng):
    r = rng.standard_normal
    return [
        Sample((r(4),), {"axis": 0}),
        Sample((r((3, 4)),), {"axis": -1}),
        Sample((r((3, 4)),), {"axis": 0, "eps": 0.1}),
        Sample((r((2, 3, 4, 2)),), {"axis": (0, 2, 3)}),
        Sample((channels_last(r((2, 3, 4, 2))),), {"axis": (2, 3)}),
        Sample((r((2, 1, 5)),), {"axis": (1, 2), "eps": 0.01}),
        Sample((r((3, 2, 3)), r((1, 2, 1)), r((1, 2, 1))), {"axis": (0, 2)}, "weight and bias of batch norm"),
        Sample((r((2, 3, 4)), r((3, 1)), r((2, 1, 1))), {"axis": 2}, "weight and bias broadcast"),
        Sample((r((2, 2, 3)), None, r((2, 2, 1))), {"axis": -1}, "bias alone"),
        Sample((r((2, 3, 2, 3)), r((2, 1, 2, 1))), {"axis": (1, 3)}, "four alternating runs"),
        Sample((r((2, 2, 3, 2, 2)),), {"axis": (0, 2, 4)}, "five alternating runs"),
        Sample((r((2, 3, 4)) * 1e6,), {"axis": 1}, "forward only: large"),
        Sample((np.full((2, 5), 0.3),), {"axis": 1}, "forward only: constant"),
        Sample((np.zeros((0, 3)),), {"axis": 1}),
    ]


def _layer_norm_samples(rng):
    r = rng.standard_normal
    return [
        Sample((r(5),)),
        Sample((r((2, 3, 4)), r(4), r(4))),
        Sample((r((2, 3, 4)), r((3, 4)), r((3, 4))), {"axes": (1, 2)}),
        Sample((r((2, 3, 2, 2)), r((3, 2, 2))), {"axes": (1, 2, 3)}),
        Sample((r((2, 3, 2, 2)), r(3), r(3)), {"axes": 1}),
        Sample((channels_last(r((2, 4, 2, 3))), r(4), r(4)), {"axes": 1}, "channels last"),
        Sample((r((3, 4)) * 1e5,), {"eps": 1e-6}, "forward only: large"),
        Sample((np.zeros((0, 4)), r(4), r(4))),
    ]


def _l2_samples(rng):
    r = rng.standard_normal
    return [
        Sample((r(1) + 3,)),
        Sample((r(4),)),
        Sample((r((3, 4)),)),
        Sample((r((3, 4)),), {"axis": 0}),
        Sample((r((2, 3, 2, 2)),), {"axis": 1}),
        Sample((channels_last(r((2, 3, 2, 2))),), {"axis": (1)}, "channels last"),
        Sample((r((2, 3)) * 1e-3,), {"eps": 100.0}, "below eps"),
        Sample((r((2, 3)) * 1e30,), note="forward only: squares overflow float32"),
        Sample((np.zeros((2, 3)),), note="forward only: zeros"),
        Sample((np.zeros((0, 3)),)),
    ]


def _response_samples(rng):
    x = rng.standard_normal((2, 6, 2, 3))
    return [
        Sample((rng.standard_normal((1, 1)),)),
        Sample((x,)),
        Sample((x,), {"size": 3, "alpha": 0.5, "k": 2.0}),
        Sample((x,), {"size": 4, "alpha": 0.5, "beta": 0.5}),
        Sample((x,), {"size": 1, "alpha": 1.0, "beta": 1.0}),
        Sample((x[:, :2],), {"size": 7, "alpha": 0.5}, "window wider than the channels"),
        Sample((channels_last(x),), {"size": 5, "alpha": 0.5}, "channels last"),
        Sample((np.zeros((0, 3, 2, 2)),)),
    ]


def _window_samples(rng):
    x = rng.standard_normal((2, 5, 2, 2))
    windows = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (5, 5), (7, 0)]
    return [*(Sample((x,), {"before": b, "after": a}) for b, a in windows),
            Sample((np.zeros((2, 0, 2)),), {"before": 1, "after": 1})]


# Errors ----------------------------------------------------------------------------------------------

X = np.zeros((2, 4, 3, 3))


def _common(settings):
    """What every norm with a weight per channel refuses."""
    return [
        Bad((X.astype(int),), settings, DTypeError, "x has dtype int64"),
        Bad((X, np.zeros(3)), settings, ShapeError, r"weight has shape \(3,\), expected \(4,\)"),
        Bad((X, None, np.zeros((4, 1))), settings, ShapeError, r"bias has shape \(4, 1\), expected \(4,\)"),
        Bad((X,), {**settings, "eps": -1.0}, ArgError, "eps is -1.0"),
        Bad((np.zeros(4),), settings, ShapeError, r"x .*\(4,\)"),
    ]


def _normalize_errors():
    return [
        Bad((X,), {"axis": 4}, ArgError, r"axes are 4, expected integers in \[-4, 4\)"),
        Bad((X,), {"axis": (1, -3)}, ArgError, r"axes are \(1, -3\), expected different ones"),
        Bad((X,), {"axis": ()}, ArgError, r"axes are \(\)"),
        Bad((X,), {"axis": 1, "eps": -1}, ArgError, "eps is -1"),
        Bad((X, np.zeros((1, 4, 1, 1))), {"axis": 1}, ShapeError, r"weight has shape .* broadcasts to \(2, 1, 3, 3\)"),
        Bad((X, None, np.zeros(2)), {"axis": 1}, ShapeError, r"bias has shape \(2,\)"),
        Bad((X.astype(int),), {"axis": 1}, DTypeError, "int64"),
    ]


def _layer_norm_errors():
    return [
        Bad((X, np.zeros(4)), {}, ShapeError, r"weight has shape \(4,\), expected \(3,\)"),
        Bad((X, None, np.zeros(4)), {}, ShapeError, r"bias has shape \(4,\), expected \(3,\)"),
        Bad((X,), {"axes": 4}, ArgError, "axes are 4"),
        Bad((X,), {"axes": (1, 1)}, ArgError, "expected different"),
        Bad((X.astype(int),), {}, DTypeError, "int64"),
        Bad((X,), {"eps": float("nan")}, ArgError, "eps is nan"),
    ]


def _l2_errors():
    return [
        Bad((X,), {"eps": 0.0}, ArgError, "eps is 0.0"),
        Bad((X,), {"eps": -1.0}, ArgError, "eps is -1.0"),
        Bad((X,), {"axis": 7}, ArgError, "axes are 7"),
        Bad((X,), {"axis": (0, 0)}, ArgError, "different"),
        Bad((X.astype(int),), {}, DTypeError, "int64"),
    ]


def _response_errors():
    return [
        Bad((X,), {"size": 0}, ArgError, "size is 0"),
        Bad((X,), {"size": 2.5}, ArgError, "size is 2.5"),
        Bad((X,), {"k": -1.0}, ArgError, "k is -1.0"),
        Bad((X.astype(int),), {}, DTypeError, "int64"),
        Bad((np.zeros(3),), {}, ShapeError, r"\(3,\), expected at least 2 axes"),
    ]


def _window_errors():
    return [
        *(Bad((X,), {"before": v, "after": 0}, ArgError, "before is") for v in (-1, 0.5, True)),
        *(Bad((X,), {"before": 0, "after": v}, ArgError, "after is") for v in (-1, 2**40)),
    ]


def specs():
    """Specs of this family."""
    train = [Bad((np.zeros((1, 4, 1, 1)),), {}, ShapeError, "expected more than one value per channel")]
    single = [Bad((np.zeros((2, 4, 1, 1)),), {}, ShapeError, "expected more than one pixel")]
    groups = [Bad((X,), {"groups": g}, error, f"groups.*{g}") for g, error in ((3, ShapeError), (0, ArgError))]
    return [
        OpSpec(n.normalize, normalize_slices, _normalize_samples, _normalize_errors),
        OpSpec(batch_norm_train, batch_norm_train_slices, lambda rng: _images(rng, True),
               lambda: _common({}) + train, name="batch_norm"),
        OpSpec(batch_norm_eval, batch_norm_eval_loops, lambda rng: _images(rng, True),
               lambda: [Bad((X,), {}, ShapeError, r"running_mean has shape \(3,\), expected \(4,\)"), *_common({})[1:]],
               name="batch_norm_running"),
        OpSpec(n.layer_norm, layer_norm_slices, _layer_norm_samples, _layer_norm_errors),
        OpSpec(n.instance_norm, instance_norm_slices, lambda rng: _images(rng, True), lambda: _common({}) + single),
        OpSpec(n.group_norm, group_norm_slices, lambda rng: _with(_images(rng, True), groups=3)
               + _with(_images(rng, False), groups=1), lambda: _common({"groups": 2}) + groups),
        OpSpec(n.l2_normalize, l2_normalize_loops, _l2_samples, _l2_errors),
        OpSpec(n.channel_sum, channel_sum_loops, _window_samples, _window_errors),
        OpSpec(n.local_response_norm, local_response_norm_loops, _response_samples, _response_errors),
    ]
