"""Cases of the losses. The oracles are loops over positions with Python's math, straight from the definitions."""

import math
from fractions import Fraction

import numpy as np

from ...errors import ArgError, DTypeError, ShapeError
from ...nn import losses as L
from ...nn.nll import softmax_nll
from ..registry import Bad, OpSpec, Sample


def specs():
    """All specs of this family."""
    return [*_class_specs(), *_binary_specs(), *_margin_specs(), *_regression_specs(), *_distribution_specs()]


# Oracles -------------------------------------------------------------------------------------------------


def _reduced(losses, reduction, count=None):
    """Mean, sum or all of an array of losses."""
    if reduction == "none":
        return losses
    total = math.fsum(losses.ravel())
    count = losses.size if count is None else count
    return total if reduction == "sum" else (total / count if count else 0.0)


def _each(function, *arrays):
    """`function` of the elements at each position, as an array."""
    out = np.empty(arrays[0].shape)
    for at in np.ndindex(out.shape):
        out[at] = function(*(float(a[at]) for a in arrays))
    return out


def _log_total(z):
    """log(sum(exp(z))) of a list."""
    top = max(z)
    return top + math.log(math.fsum(math.exp(v - top) for v in z))


def _softmax_positions(x):
    """(position, list of class scores) of logits (N, K, ...)."""
    moved = np.moveaxis(x, 1, -1)
    return [(at, [float(v) for v in moved[at]]) for at in np.ndindex(moved.shape[:-1])]


def cross_entropy(x, t, *, weight=None, label_smoothing=0.0, ignore_index=-1, reduction="mean"):
    """Sum over classes of -target probability times log softmax, target by target."""
    out, total = np.zeros(t.shape), 0.0
    for at, z in _softmax_positions(x):
        if t[at] != ignore_index:
            K, lse = len(z), _log_total(z)
            w = [1.0] * K if weight is None else [float(v) for v in weight]
            q = [label_smoothing / K + (1 - label_smoothing) * (k == t[at]) for k in range(K)]
            out[at] = math.fsum(w[k] * q[k] * (lse - z[k]) for k in range(K))
            total += w[t[at]]
    return _reduced(out, reduction, total)


def _log_sigmoid(z):
    return -math.log1p(math.exp(-z)) if z > 0 else z - math.log1p(math.exp(z))


def binary_cross_entropy(x, t, *, pos_weight=None, reduction="mean"):
    """-p y log sigmoid(z) - (1 - y) log sigmoid(-z)."""
    p = np.broadcast_to(1.0 if pos_weight is None else pos_weight, x.shape)
    return _reduced(_each(lambda z, y, p: -p * y * _log_sigmoid(z) - (1 - y) * _log_sigmoid(-z), x, t, p), reduction)


def focal(x, t, *, alpha=0.25, gamma=2.0, reduction="mean"):
    """-alpha_t (1 - p_t)^gamma log p_t with the probability written out."""
    def one(z, y):
        p = 1 / (1 + math.exp(-z)) if y else 1 / (1 + math.exp(z))
        a = 1.0 if alpha is None else alpha if y else 1 - alpha
        return -a * (1 - p) ** gamma * math.log(p)
    return _reduced(_each(one, x, t), reduction)


def dice(x, t, *, smooth=1.0, reduction="mean"):
    """1 - (2 sum p y + s) / (sum p + sum y + s), mask by mask, in exact fractions."""
    out, s = np.empty(len(x)), Fraction(smooth)
    for r in range(len(x)):
        p = [Fraction(1 / (1 + math.exp(-z))) for z in x[r].ravel()]
        y = [Fraction(float(v)) for v in t[r].ravel()]
        overlap = sum(a * b for a, b in zip(p, y, strict=True))
        out[r] = 1 - (2 * overlap + s) / (sum(p) + sum(y) + s)
    return _reduced(out, reduction)


def multiclass_hinge(x, t, *, margin=1.0, reduction="mean"):
    """Sum over the wrong classes of max(0, m + s_j - s_t)."""
    out = np.zeros(t.shape)
    for at, s in _softmax_positions(x):
        if t[at] >= 0:
            out[at] = math.fsum(max(0.0, margin + s[j] - s[t[at]]) for j in range(len(s)) if j != t[at])
    return _reduced(out, reduction, int((t >= 0).sum()))


def kl_divergence(p, q, *, axis=-1, reduction="mean"):
    """Sum of p (log p - log q), distribution by distribution."""
    p, q = np.moveaxis(p, axis, -1), np.moveaxis(q, axis, -1)
    out = np.empty(p.shape[:-1])
    for at in np.ndindex(out.shape):
        a, b = [float(v) for v in p[at]], [float(v) for v in q[at]]
        la, lb = _log_total(a), _log_total(b)
        out[at] = math.fsum(math.exp(u - la) * ((u - la) - (v - lb)) for u, v in zip(a, b, strict=True))
    return _reduced(out, reduction)


def _regression(one):
    def ref(x, t, *, reduction="mean", **settings):
        return _reduced(_each(lambda a, b: one(a - b, **settings), x, t), reduction)
    return ref


def _smooth(d, beta=1.0):
    if beta and abs(d) < beta:
        return d * d / (2 * beta)
    return abs(d) - beta / 2


def _huber(d, delta=1.0):
    return d * d / 2 if abs(d) < delta else delta * (abs(d) - delta / 2)


# Samples --------------------------------------------------------------------------------------------------


def _reductions(inputs, **settings):
    return [Sample(inputs, {**settings, "reduction": r}) for r in ("mean", "sum", "none")]


def _class_samples(rng):
    x, t = rng.standard_normal((4, 3)), np.array([0, 2, 1, 2])
    maps, labels = rng.standard_normal((2, 3, 2, 2)), np.array([[[0, 1], [2, -1]], [[1, 1], [-1, 0]]])
    return [*_reductions((x, t)), *_reductions((maps, labels)),
            *_reductions((maps, labels), label_smoothing=0.1, weight=np.array([0.5, 2.0, 1.0])),
            Sample((x, t), {"label_smoothing": 1.0}), Sample((x, t), {"weight": np.array([0.0, 1.0, 2.0])}),
            Sample((rng.standard_normal((1, 1)), np.array([0])), {}, "one class"),
            Sample((x, np.array([0, 255, 1, 2])), {"ignore_index": 255}),
            Sample((np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([1, 1])), {"reduction": "none"},
                   "huge; forward only"),
            Sample((np.zeros((0, 3)), np.zeros(0, int)), {"reduction": "sum"}, "empty")]


def _class_errors(margin=False):
    x, t = np.zeros((2, 3)), np.array([0, 1])
    shared = [Bad((x, np.array([0, 3])), {}, ArgError, r"target\[1\] is 3, expected a class in \[0, 3\)"),
              Bad((x, np.array([-2, 0])), {}, ArgError, r"target\[0\] is -2"),
              Bad((x, np.array([0.0, 1.0])), {}, DTypeError, "target has dtype float64"),
              Bad((x, t[:, None]), {}, ShapeError, r"target has shape \(2, 1\), expected \(2,\)"),
              Bad((np.zeros(3), np.array(0)), {}, ShapeError, r"expected \(N, K, ...\)"),
              Bad((np.zeros((2, 3), int), t), {}, DTypeError, "int64, expected float32"),
              Bad((x, t), {"reduction": "average"}, ArgError, "reduction is 'average'")]
    own = [Bad((x, t), {"margin": 0}, ArgError, "margin is 0")] if margin else [
        Bad((x, t), {"weight": np.ones(2)}, ShapeError, r"weight has shape \(2,\), expected \(3,\)"),
        Bad((x, t), {"weight": np.array([1.0, -1.0, 1.0])}, ArgError, "weight is"),
        Bad((x, t), {"label_smoothing": 1.5}, ArgError, "label_smoothing is 1.5")]
    return shared + own


def _class_specs():
    return [OpSpec(L.cross_entropy, cross_entropy, _class_samples, _class_errors),
            OpSpec(softmax_nll, _nll, _nll_samples)]


def _nll(x, *, target):
    return cross_entropy(x, target, reduction="none")


def _nll_samples(rng):
    def one(*shape):
        target = rng.integers(0, shape[1], shape[:1] + shape[2:])
        return Sample((rng.standard_normal(shape),), {"target": target})
    huge = Sample((np.array([[1e4, -1e4, 0.0]]),), {"target": np.array([1])}, "huge; forward only")
    return [one(4, 3), one(2, 3, 2, 2), one(1, 1), one(1, 5), one(5, 1), one(2, 4, 3), one(0, 3), huge]


def _binary_samples(rng):
    x, y = rng.standard_normal((3, 2)), rng.uniform(0.1, 0.9, (3, 2))
    hard = rng.integers(0, 2, (3, 2))
    return [*_reductions((x, hard)), *_reductions((x, y)), *_reductions((x, y), pos_weight=3.0),
            Sample((x, y), {"pos_weight": np.array([0.5, 4.0])}), Sample((x, hard.astype(bool)), {}),
            Sample((np.array(0.3), np.array(1)), {}, "scalar"),
            Sample((np.array([1000.0, -1000.0]), np.array([0, 1])), {"reduction": "none"}, "huge; forward only"),
            Sample((np.zeros((0, 2)), np.zeros((0, 2))), {"reduction": "sum"}, "empty")]


def _hard_samples(rng, **settings):
    x, y = rng.standard_normal((3, 2)), rng.integers(0, 2, (3, 2))
    return [*_reductions((x, y), **settings), Sample((x, y.astype(bool)), {}), Sample((x[:1, :1], y[:1, :1]), {}),
            Sample((x, np.zeros_like(y)), {}, "no positive"), Sample((x, np.ones_like(y)), {}, "no negative")]


def _focal_samples(rng):
    x, y = rng.standard_normal((3, 2)), rng.integers(0, 2, (3, 2))
    return [*_hard_samples(rng), Sample((x, y), {"gamma": 0.0, "alpha": None}), Sample((x, y), {"gamma": 0.5}),
            Sample((x, y), {"alpha": None}), Sample((np.zeros((0, 2)), np.zeros((0, 2), int)), {"reduction": "sum"})]


def _dice_samples(rng):
    x, y = rng.standard_normal((2, 2, 3)), rng.uniform(0.1, 0.9, (2, 2, 3))
    return [*_hard_samples(rng), *_reductions((x, y)), Sample((x, y), {"smooth": 1e-3}),
            Sample((x - 20, np.zeros((2, 2, 3), int)), {}, "empty mask, well predicted")]


def _binary_errors(*own):
    x, y = np.zeros((2, 1)), np.zeros((2, 1))
    return [Bad((x, y[:, 0]), {}, ShapeError, r"target has shape \(2,\), expected \(2, 1\)"),
            Bad((x, y + 1.5), {}, ArgError, r"target\[0, 0\] is 1.5"), Bad((x, y * np.nan), {}, ArgError, "is nan"),
            Bad((x.astype(int), y), {}, DTypeError, "logits has dtype int64"),
            Bad((x, y), {"reduction": "avg"}, ArgError, "reduction is 'avg'"), *[Bad((x, y), *bad) for bad in own]]


def _binary_specs():
    return [
        OpSpec(L.binary_cross_entropy_with_logits, binary_cross_entropy, _binary_samples, lambda: _binary_errors(
            ({"pos_weight": -1.0}, ArgError, "pos_weight is -1"),
            ({"pos_weight": np.ones(3)}, ShapeError, r"pos_weight has shape \(3,\)"))),
        OpSpec(L.focal_loss, focal, _focal_samples, lambda: _binary_errors(
            ({"gamma": -1}, ArgError, "gamma is -1"), ({"alpha": 2}, ArgError, "alpha is 2"))),
        OpSpec(L.dice_loss, dice, _dice_samples, lambda: _binary_errors(({"smooth": 0}, ArgError, "smooth is 0")))]


# Margins, regression, distributions -------------------------------------------------------------------------


def _hinge_samples(rng):
    x = np.array([[0.3, -2.0, 1.7], [0.9, 0.1, -0.4]])
    y = np.array([[1, 1, -1], [-1, 1, -1]])
    return [*_reductions((x, y)), Sample((x, y), {"margin": 0.5}), Sample((x, -y), {}), Sample((x[0], y[0]), {}),
            Sample((np.array(0.25), np.array(-1)), {}), Sample((x[:0], y[:0]), {"reduction": "sum"}, "empty")]


def _hinge_errors():
    x, y = np.zeros((2, 1)), np.ones((2, 1))
    return [Bad((x, y[:, 0]), {}, ShapeError, "target has shape"),
            Bad((x, 0 * y), {}, ArgError, r"target\[0, 0\] is 0"),
            Bad((x, y), {"margin": -1}, ArgError, "margin is -1"),
            Bad((x, y), {"reduction": ""}, ArgError, "reduction is ''"),
            Bad((x.astype(int), y), {}, DTypeError, "scores has dtype int64")]


def _multiclass_samples(rng):
    x, t = np.array([[0.2, 0.5, -0.9], [2.0, -0.3, 0.45], [0.1, 0.2, 0.4]]), np.array([1, 0, -1])
    maps = rng.permutation(24).reshape(2, 3, 2, 2) * 0.13
    return [*_reductions((x, t)), *_reductions((maps, np.array([[[0, 1], [2, -1]], [[1, 1], [0, 2]]]))),
            Sample((x, t), {"margin": 0.25}), Sample((x[:1], t[:1]), {}), Sample((x[:0], t[:0]), {"reduction": "sum"})]


def _margin_specs():
    return [OpSpec(L.hinge, hinge, _hinge_samples, _hinge_errors),
            OpSpec(L.multiclass_hinge, multiclass_hinge, _multiclass_samples, lambda: _class_errors(margin=True))]


def hinge(x, y, *, margin=1.0, reduction="mean"):
    return _reduced(_each(lambda s, t: max(0.0, margin - t * s), x, y), reduction)


def _pairs(rng, *settings):
    x = np.array([[0.2, -0.6, 1.9], [-3.2, 0.05, 0.4]])
    t = np.array([[0.0, 0.1, 0.3], [0.5, -0.2, 2.9]])
    return [*_reductions((x, t)), *[s for extra in settings for s in _reductions((x, t), **extra)],
            Sample((x, t.round().astype(int)), {}), Sample((x[0], t[0]), {}), Sample((x[:1, :1], t[:1, :1]), {}),
            Sample((np.array(0.7), np.array(-0.6)), {}, "scalar"), Sample((100 * x, -100 * t), {}, "large"),
            Sample((x[:0], t[:0]), {"reduction": "sum"}, "empty")]


def _pair_errors(*own):
    x = np.zeros((3, 1))
    return [Bad((x, np.zeros(3)), {}, ShapeError, r"target has shape \(3,\), expected \(3, 1\)"),
            Bad((x, 1.0), {}, ShapeError, r"target has shape \(\)"),
            Bad((x.astype(int), x), {}, DTypeError, "dtype int64"),
            Bad((x, x), {"reduction": "max"}, ArgError, "reduction is 'max'"),
            Bad((x, x), {"reduction": None}, ArgError, "reduction is None"), *[Bad((x, x), *bad) for bad in own]]


def _regression_specs():
    return [
        OpSpec(L.mse, _regression(lambda d: d * d), _pairs, _pair_errors),
        OpSpec(L.l1, _regression(abs), _pairs, _pair_errors),
        OpSpec(L.smooth_l1, _regression(_smooth), lambda rng: _pairs(rng, {"beta": 0.35}, {"beta": 0}),
               lambda: _pair_errors(({"beta": -1}, ArgError, "beta is -1"))),
        OpSpec(L.huber, _regression(_huber), lambda rng: _pairs(rng, {"delta": 0.35}),
               lambda: _pair_errors(({"delta": 0}, ArgError, "delta is 0")))]


def _kl_samples(rng):
    p, q = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    maps = rng.standard_normal((2, 2, 3, 2)), rng.standard_normal((2, 2, 3, 2))
    return [*_reductions((p, q)), *_reductions(maps, axis=1), Sample((p, p.copy()), {}, "equal"),
            Sample((p[0], q[0]), {}),
            Sample((30 * p, 30 * q), {}, "sharp; forward only"), Sample((p[:0], q[:0]), {"reduction": "sum"}, "empty")]


def _distribution_specs():
    return [OpSpec(L.kl_divergence, kl_divergence, _kl_samples, _kl_errors, rtol=1e-11)]


def _kl_errors():
    x = np.zeros((3, 2))
    return [Bad((x, np.zeros((3, 1))), {}, ShapeError, r"target has shape \(3, 1\)"),
            Bad((x.astype(int), x), {}, DTypeError, "p_logits has dtype int64"),
            Bad((x, x), {"axis": 2}, ArgError, "axis"), Bad((x, x), {"axis": 0.5}, DTypeError, "axis"),
            Bad((x, x), {"reduction": "batchmean"}, ArgError, "reduction is 'batchmean'")]
