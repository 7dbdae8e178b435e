"""Cases of the ops that normalise and do more in the same pass. Oracles as in `cases.normalize`."""

import numpy as np

from ...autograd import normalize as n
from ...errors import ArgError, DTypeError, ShapeError
from ..registry import Bad, OpSpec, Sample
from .conv import channels_last
from .normalize import batch_norm_train_slices, normalize_slices

X = np.zeros((2, 4, 3, 3))


def normalize_relu_slices(x, weight=None, bias=None, residual=None, *, axis, eps=1e-5):
    """Slices, then the sum, then values below 0 cut off."""
    y = normalize_slices(x, weight, bias, axis=axis, eps=eps)
    return np.maximum(y if residual is None else y + residual, 0)


def normalize_with_loops(x, weight=None, bias=None, residual=None, *, mean, var, eps=1e-5, relu=False):
    """Every value by itself."""
    y = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        c = index[1]
        y[index] = (x[index] - mean[c]) / np.sqrt(var[c] + eps) * (1 if weight is None else weight[c])
        y[index] += (0 if bias is None else bias[c]) + (0 if residual is None else residual[index])
    return np.maximum(y, 0) if relu else y


def normalize_items_slices(x, weight=None, bias=None, *, axes, eps=1e-5):
    """Slices, then weight and bias broadcast."""
    y = normalize_slices(x, axis=axes, eps=eps)
    return (y if weight is None else y * weight) + (0 if bias is None else bias)


def batch_norm_block(x, weight, bias, residual):
    """The end of a residual block."""
    return n.batch_norm(x, weight, bias, residual=residual, activation="relu", training=True).y


def batch_norm_block_slices(x, weight, bias, residual):
    """Loop over channels, then the sum, then values below 0 cut off."""
    return np.maximum(batch_norm_train_slices(x, weight, bias) + residual, 0)


# Samples ---------------------------------------------------------------------------------------------


def _two_sided(rng, shape):
    """Values near -1 and 1: no sum of theirs with something below 0.3 comes near the kink of relu."""
    signs = np.where(rng.permutation(int(np.prod(shape))) % 2, 1.0, -1.0).reshape(shape)
    return signs + 0.1 * rng.standard_normal(shape)


def _relu_samples(rng):
    """Shapes (N, C, H, W) that are averaged over all but C, and others."""
    def scale(shape):
        return rng.uniform(1, 2, shape)
    def residual(shape):
        return 0.2 * rng.uniform(-1, 1, shape)
    x, channels = _two_sided(rng, (2, 3, 4, 2)), (1, 3, 1, 1)
    settings = {"axis": (0, 2, 3)}
    return [
        Sample((x, scale(channels), residual(channels), residual(x.shape)), settings),
        Sample((channels_last(x), scale(channels), residual(channels), channels_last(residual(x.shape))), settings,
               "channels last"),
        Sample((channels_last(x), scale(channels), residual(channels)), settings, "no residual"),
        Sample((x, None, None, residual(x.shape)), settings, "residual alone"),
        Sample((x,), {"axis": (2, 3), "eps": 0.01}),
        Sample((_two_sided(rng, (6, 4)), scale((1, 4)), None, residual((6, 4))), {"axis": 0}),
        Sample((_two_sided(rng, (3, 8)), None, None, residual((3, 8))), {"axis": 1}),
        Sample((_two_sided(rng, (2, 2, 6)),), {"axis": -1}),
        Sample((np.zeros((0, 3)),), {"axis": 1}, "empty")]


def _relu_errors():
    return [Bad((X, None, None, X[:1]), {"axis": 0}, ShapeError, "residual has shape"),
            Bad((X, np.ones(2)), {"axis": 0}, ShapeError, r"weight has shape \(2,\)"),
            Bad((X,), {"axis": 9}, ArgError, "axes are 9"), Bad((X,), {"axis": 0, "eps": -1}, ArgError, "eps is -1"),
            Bad((X.astype(int),), {"axis": 0}, DTypeError, "int64, expected float32")]


def _with_samples(rng):
    given = {"mean": np.array([0.1, -0.2, 0.15]), "var": np.array([0.5, 1.0, 2.0])}
    fused = {**given, "relu": True}
    x, w, b = _two_sided(rng, (2, 3, 2, 2)), rng.uniform(1, 2, 3), 0.1 * rng.uniform(-1, 1, 3)
    r = 0.1 * rng.uniform(-1, 1, x.shape)
    return [
        Sample((x,), given), Sample((x, w, b), given), Sample((x, w, b, r), given), Sample((x, w, b, r), fused),
        Sample((channels_last(x), w, b, channels_last(r)), fused, "channels last"), Sample((x, w, b), fused),
        Sample((x[:, :, 0, 0], w), {**given, "eps": 0.1}, "vectors"), Sample((x, None, b, r), fused),
        Sample((np.zeros((0, 3, 2, 2)), w, b), given, "empty")]


def _with_errors():
    given = {"mean": np.zeros(4), "var": np.ones(4)}
    return [Bad((X, np.ones(3)), given, ShapeError, r"weight has shape \(3,\), expected \(4,\)"),
            Bad((X,), {**given, "var": np.ones(3)}, ShapeError, r"var has shape \(3,\)"),
            Bad((X, None, None, X[:1]), given, ShapeError, "residual has shape"),
            Bad((X,), {**given, "eps": -1}, ArgError, "eps is -1"),
            Bad((X.astype(int),), given, DTypeError, "int64, expected float32")]


def _items_samples(rng):
    r = rng.standard_normal
    return [
        Sample((r((3, 4)), r((1, 4)), r((1, 4))), {"axes": (1,)}),
        Sample((r((2, 3, 4)), r((1, 3, 4)), r((1, 3, 4))), {"axes": (1, 2)}),
        Sample((r((2, 3, 4)), None, r((1, 1, 4))), {"axes": (2,), "eps": 0.1}, "bias alone"),
        Sample((r((2, 3, 4)), r((1, 3, 1))), {"axes": (1,)}, "weight alone, axis in the middle"),
        Sample((r((2, 3, 4)), r((2, 3, 1)), r((2, 3, 1))), {"axes": (0, 1)}),
        Sample((channels_last(r((2, 3, 2, 2))), r((1, 3, 1, 1)), r((1, 3, 1, 1))), {"axes": (1,)}, "channels last"),
        Sample((r((70, 5)), r((1, 5)), r((1, 5))), {"axes": (1,)}, "several blocks"),
        Sample((r((2, 5)) * 1e5, r((1, 5))), {"axes": (1,)}, "forward only: large"),
        Sample((np.zeros((0, 3)), r((1, 3))), {"axes": (1,)}, "empty")]


def _items_errors():
    return [Bad((X, np.ones(4)), {"axes": (1,)}, ShapeError, r"weight has shape \(4,\)"),
            Bad((X, None, np.ones((1, 3, 1))), {"axes": (1,)}, ShapeError, "bias has shape"),
            Bad((X,), {"axes": (9,)}, ArgError, "axes are"), Bad((X,), {"axes": (1,), "eps": -1}, ArgError, "eps is"),
            Bad((X.astype(int),), {"axes": (1,)}, DTypeError, "int64, expected float32")]


def _block_samples(rng):
    """Batches of pictures, rows and single pixels, one channel and several, both memory layouts."""
    samples = []
    for shape in ((2, 3, 4, 2), (4, 1, 3, 3), (2, 5, 1, 3), (8, 3, 1, 1), (1, 2, 7, 3), (3, 4, 2, 1), (6, 4), (3, 2, 5)):
        x, C = _two_sided(rng, shape), shape[1]
        inputs = x, rng.uniform(1, 2, C), 0.2 * rng.uniform(-1, 1, C), 0.2 * rng.uniform(-1, 1, shape)
        samples.append(Sample(inputs, {}, str(shape)))
    x, weight, bias, residual = samples[0].inputs
    return [*samples, Sample((channels_last(x), weight, bias, channels_last(residual)), {}, "channels last")]


def specs():
    """Specs of the fused ops."""
    return [
        OpSpec(n.normalize_relu, normalize_relu_slices, _relu_samples, _relu_errors),
        OpSpec(n.normalize_with, normalize_with_loops, _with_samples, _with_errors),
        OpSpec(n.normalize_items, normalize_items_slices, _items_samples, _items_errors),
        OpSpec(batch_norm_block, batch_norm_block_slices, _block_samples),
    ]
