r"""Losses: functions of logits and targets.

All take raw scores, never probabilities: log(softmax) and log(sigmoid) are then computed without overflow
(L16, L17). Shapes must agree exactly; nothing is broadcast, because a prediction (N, 1) against a target
(N,) would silently become (N, N) (L18).

`reduction` is "mean", "sum" or "none". A mean over nothing is 0 with a warning, not NaN: a batch without
objects must not destroy a training run (D5).
"""

import warnings

import numpy as np

from ..autograd.activation import relu
from ..autograd.elementwise import absolute, exp, sigmoid, softplus, where
from ..autograd.index import take_along_axis
from ..autograd.op import array
from ..autograd.reduce import logsumexp, mean, sum
from ..autograd.softmax import log_softmax
from ..errors import ArgError, DTypeError, ShapeError
from .check import choice, floating, number
from .nll import softmax_nll

REDUCTIONS = ("mean", "sum", "none")


# Classification -----------------------------------------------------------------------------------------


def cross_entropy(logits, target, *, weight=None, label_smoothing=0.0, ignore_index=-1, reduction="mean"):
    r"""Cross-entropy of a softmax classifier, :math:`\ell = w_t (\log\sum_k e^{z_k} - z_t)`.

    Gradient: :math:`\partial\ell/\partial z_k = w_t (\mathrm{softmax}(z)_k - [k = t])`.
    With label smoothing s the target is :math:`(1-s) [k=t] + s/K` (Szegedy et al., CVPR 2016, §7).

    Parameters
    ----------
    logits : Tensor or array (N, K, ...)
    target : int array (N, ...), values in [0, K) or `ignore_index`
    weight : array (K,), optional
        Weight of each class.
    label_smoothing : float in [0, 1]
    ignore_index : int
        Positions with this target count for nothing. NB: PyTorch's default is -100.
    reduction : {"mean", "sum", "none"}
        "mean" divides by the sum of the weights of the kept positions; "none" gives (N, ...) with 0 where ignored.

    Raises
    ------
    ShapeError, DTypeError
    ArgError
        Names the first target out of range (L15).

    >>> cross_entropy(np.array([[2.0, 0.0, -1.0]]), np.array([0])).round(4)
    np.float64(0.1698)
    """
    target = check_target("cross_entropy", logits, target, ignore_index)
    smooth = number("cross_entropy", "label_smoothing", label_smoothing, low=0, high=1)
    choice("cross_entropy", "reduction", reduction, REDUCTIONS)
    weight = _class_weights(weight, logits)
    kept = target != ignore_index
    t = np.where(kept, target, 0)                                               # (N, ...)
    share = kept.astype(logits.dtype) if weight is None else np.where(kept, weight[t], 0)
    loss = softmax_nll(logits, target=t)                                        # (N, ...)
    loss = loss if weight is None else loss * share
    if smooth:
        loss = (1 - smooth) * loss + smooth * _uniform_part(logits, weight)
    loss = loss if kept.all() else where(kept, loss, 0.0)
    return _reduce("cross_entropy", loss, reduction, float(share.sum(dtype=np.float64)))


def _uniform_part(logits, weight):
    """Cross-entropy against the uniform distribution, classes weighted: -1/K sum_k w_k log softmax(z)_k."""
    log_p = log_softmax(logits, axis=1)
    if weight is not None:
        log_p = log_p * weight.reshape(1, -1, *(1,) * (logits.ndim - 2))
    return -mean(log_p, axis=1)


def check_target(where, logits, target, ignore_index=-1):
    """`target` as an int64 array if it fits `logits` (N, K, ...): shape, kind and range, or a typed error."""
    floating(where, "logits", logits)
    target = array(target)
    if logits.ndim < 2:
        raise ShapeError(f"{where}: logits have shape {logits.shape}, expected (N, K, ...)")
    expected = logits.shape[:1] + logits.shape[2:]
    if target.shape != expected:
        raise ShapeError(f"{where}: target has shape {target.shape}, expected {expected} for logits {logits.shape}")
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{where}: target has dtype {target.dtype}, expected class numbers (integers)")
    target, K = target.astype(np.int64), logits.shape[1]
    wrong = ((target < 0) | (target >= K)) & (target != ignore_index)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ArgError(f"{where}: target{list(at)} is {target[at]}, expected a class in [0, {K}) "
                       f"or ignore_index = {ignore_index}")
    return target


def _class_weights(weight, logits):
    if weight is None:
        return None
    weight = array(weight).astype(logits.dtype)
    if weight.shape != (logits.shape[1],):
        raise ShapeError(f"cross_entropy: weight has shape {weight.shape}, expected ({logits.shape[1]},)")
    if not (weight >= 0).all() or not np.isfinite(weight).all():
        raise ArgError(f"cross_entropy: weight is {weight.tolist()}, expected finite numbers >= 0")
    return weight


def binary_cross_entropy_with_logits(logits, target, *, pos_weight=None, reduction="mean"):
    r"""Cross-entropy of independent yes/no decisions, :math:`\ell = -p\,y \log\sigma(z) - (1-y)\log(1-\sigma(z))`.

    Computed as (1 - y) softplus(z) + p y softplus(-z), in which nothing overflows or cancels: for target 0
    z = 1000 gives 1000 and z = -20 gives 2e-9. NB: PyTorch's (1 - y) z + softplus(-z) rounds the latter to 0.
    Gradient: :math:`\sigma(z) - y` for p = 1, in general :math:`(1-y)\,\sigma(z) - p\,y\,(1-\sigma(z))`.

    Parameters
    ----------
    logits : Tensor or array, any shape
    target : array or Tensor of the same shape, bool or values in [0, 1]
    pos_weight : float or array that broadcasts to the shape, optional
        p, the weight of positives.

    Raises ShapeError, DTypeError, ArgError.
    """
    name = "binary_cross_entropy_with_logits"
    y = _probabilities(name, logits, target)
    p = 1.0 if pos_weight is None else _pos_weight(name, pos_weight, logits)
    loss = (1.0 - y) * softplus(logits) + p * y * softplus(-logits)
    return _reduce(name, loss, choice(name, "reduction", reduction, REDUCTIONS))


def _pos_weight(name, p, logits):
    p = np.asarray(array(p), logits.dtype)
    if not (p >= 0).all() or not np.isfinite(p).all():
        raise ArgError(f"{name}: pos_weight is {p.tolist()}, expected finite numbers >= 0")
    try:
        fits = np.broadcast_shapes(p.shape, logits.shape) == logits.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{name}: pos_weight has shape {p.shape}, expected one that broadcasts to {logits.shape}")
    return p if p.ndim else p.item()


def focal_loss(logits, target, *, alpha=0.25, gamma=2.0, reduction="mean"):
    r"""Cross-entropy that forgets easy examples, :math:`\ell = -\alpha_t (1 - p_t)^\gamma \log p_t`.

    Here :math:`p_t = \sigma(z_t)` is the probability of the truth, :math:`z_t = z` for positives and
    :math:`-z` for negatives, and :math:`\alpha_t = \alpha` or :math:`1-\alpha`. As :math:`-\log p_t` =
    softplus(-z_t) and :math:`\log(1-p_t)` = -softplus(z_t), nothing under- or overflows.
    Gradient: :math:`\partial\ell/\partial z_t = \alpha_t (1-p_t)^\gamma (\gamma p_t \log p_t + p_t - 1)`.
    Reference: Lin et al., ICCV 2017, eq. 5 and appendix A. RetinaNet sums and divides by the number of
    positive anchors.

    Parameters
    ----------
    logits : Tensor or array, any shape
    target : array of the same shape, bool or 0 and 1
    alpha : float in [0, 1] or None
        Weight of positives; None weighs both kinds by 1.
    gamma : float >= 0
        0 is the plain cross-entropy.

    Raises ShapeError, DTypeError, ArgError.
    """
    positive = array(_probabilities("focal_loss", logits, target))
    if not np.isin(positive, (0, 1)).all():
        raise ArgError("focal_loss: target holds values between 0 and 1, expected only 0 and 1")
    gamma = number("focal_loss", "gamma", gamma, low=0)
    positive = positive == 1
    z = where(positive, logits, -logits)
    loss = softplus(-z) * exp(-gamma * softplus(z))
    if alpha is not None:
        alpha = number("focal_loss", "alpha", alpha, low=0, high=1)
        loss = loss * np.where(positive, alpha, 1 - alpha).astype(logits.dtype)
    return _reduce("focal_loss", loss, choice("focal_loss", "reduction", reduction, REDUCTIONS))


def dice_loss(logits, target, *, smooth=1.0, reduction="mean"):
    r"""One minus the soft Dice overlap of each mask, :math:`\ell = 1 - (2\sum p\,y + s)/(\sum p + \sum y + s)`.

    Computed as :math:`\sum (p(1-y) + (1-p)y) / (\sum p + \sum y + s)`, in which nothing cancels.
    Gradient: :math:`\partial\ell/\partial p = (2 I + s)/(U + s)^2 - 2 y/(U + s)` with :math:`I = \sum p y` and
    :math:`U = \sum p + \sum y`, times :math:`p(1-p)` for the logit.
    Reference: Milletari et al., 3DV 2016, eq. 3. Departures: plain sums in the denominator instead of sums of
    squares, and s against empty masks, as in MaskFormer.

    Parameters
    ----------
    logits : Tensor or array (R, ...)
        One mask for each r.
    target : array of the same shape, bool or values in [0, 1]
    smooth : float > 0
        s, in pixels.
    reduction : {"mean", "sum", "none"}
        Over the R masks; "none" gives (R,).

    Raises ShapeError, DTypeError, ArgError.
    """
    y = _probabilities("dice_loss", logits, target)
    s = number("dice_loss", "smooth", smooth, low=0, open_low=True)
    if logits.ndim < 2:
        raise ShapeError(f"dice_loss: logits have shape {logits.shape}, expected (R, ...)")
    p, axes = sigmoid(logits), tuple(range(1, logits.ndim))
    wrong = sum(p * (1.0 - y) + sigmoid(-logits) * y, axis=axes)       # (R,) sum p + sum y - 2 sum p y
    loss = wrong / (sum(p, axis=axes) + sum(y, axis=axes) + s)
    return _reduce("dice_loss", loss, choice("dice_loss", "reduction", reduction, REDUCTIONS))


def _probabilities(name, logits, target):
    """`target` as floats in [0, 1] of the shape and dtype of `logits`."""
    floating(name, "logits", logits)
    _same_shape(name, "logits", logits, target)
    y = array(target)
    if not ((y >= 0) & (y <= 1)).all():
        at = tuple(int(i) for i in np.argwhere(~((y >= 0) & (y <= 1)))[0])
        raise ArgError(f"{name}: target{list(at)} is {y[at]}, expected a value in [0, 1]")
    return target if getattr(target, "requires_grad", False) else y.astype(logits.dtype, copy=False)


def _same_shape(name, first, x, target):
    if not hasattr(target, "shape") or x.shape != target.shape:
        raise ShapeError(f"{name}: target has shape {np.shape(target)}, expected {x.shape} as {first}; "
                         "shapes are not broadcast")


# Margins -------------------------------------------------------------------------------------------------


def hinge(scores, target, *, margin=1.0, reduction="mean"):
    r"""Binary hinge loss :math:`\ell = \max(0, m - y s)`.

    Gradient: :math:`-y` where :math:`y s < m`, else 0. Reference: Cortes and Vapnik, 1995.

    Parameters
    ----------
    scores : Tensor or array, any shape
    target : array of the same shape, -1 or 1
    margin : float > 0

    Raises ShapeError, DTypeError, ArgError.
    """
    floating("hinge", "scores", scores)
    _same_shape("hinge", "scores", scores, target)
    if not np.isin(y := array(target), (-1, 1)).all():
        at = tuple(int(i) for i in np.argwhere(~np.isin(y, (-1, 1)))[0])
        raise ArgError(f"hinge: target{list(at)} is {y[at]}, expected -1 or 1")
    gap = number("hinge", "margin", margin, low=0, open_low=True) - scores * y.astype(scores.dtype)
    return _reduce("hinge", relu(gap), choice("hinge", "reduction", reduction, REDUCTIONS))


def multiclass_hinge(scores, target, *, margin=1.0, reduction="mean"):
    r"""Weston and Watkins' hinge loss :math:`\ell = \sum_{j \ne t} \max(0, m + s_j - s_t)`.

    Gradient: 1 for each j that violates the margin, minus their number for t.
    Reference: Weston and Watkins, ESANN 1999, eq. 2. NB: PyTorch's MultiMarginLoss divides by K.

    Parameters
    ----------
    scores : Tensor or array (N, K)
    target : int array (N,), values in [0, K) or -1 to ignore
    margin : float > 0

    Raises ShapeError, DTypeError, ArgError.
    """
    target = check_target("multiclass_hinge", scores, target)
    m = number("multiclass_hinge", "margin", margin, low=0, open_low=True)
    choice("multiclass_hinge", "reduction", reduction, REDUCTIONS)
    kept = target >= 0
    t = np.where(kept, target, 0)[:, None]                                      # (N, 1, ...)
    gap = relu(scores - take_along_axis(scores, t, axis=1) + m)       # (N, K, ...)
    others = np.arange(scores.shape[1]).reshape(-1, *(1,) * (scores.ndim - 2)) != t
    loss = sum(where(others & kept[:, None], gap, 0.0), axis=1)                 # (N, ...)
    return _reduce("multiclass_hinge", loss, reduction, int(kept.sum()))


# Regression ------------------------------------------------------------------------------------------------


def mse(x, target, *, reduction="mean"):
    """Squared error (x - t)²; gradient 2 (x - t). Shapes must be equal; ShapeError otherwise."""
    d = _difference("mse", x, target)
    return _reduce("mse", d * d, choice("mse", "reduction", reduction, REDUCTIONS))


def l1(x, target, *, reduction="mean"):
    """Absolute error abs(x - t); gradient sign(x - t), 0 at 0. Shapes must be equal; ShapeError otherwise."""
    return _reduce("l1", absolute(_difference("l1", x, target)), choice("l1", "reduction", reduction, REDUCTIONS))


def smooth_l1(x, target, *, beta=1.0, reduction="mean"):
    r"""With d = x - t: :math:`d^2/(2\beta)` where :math:`|d| < \beta`, else :math:`|d| - \beta/2`.

    Gradient: d/β inside, sign(d) outside. β = 0 is `l1`. Reference: Girshick, ICCV 2015 (Fast R-CNN), eq. 3.

    Parameters
    ----------
    x, target : Tensor or array of equal shapes
    beta : float >= 0

    Raises ShapeError, DTypeError, ArgError.
    """
    beta = number("smooth_l1", "beta", beta, low=0)
    d = _difference("smooth_l1", x, target)
    loss = _quadratic_then_linear(d, beta) if beta else absolute(d)
    return _reduce("smooth_l1", loss, choice("smooth_l1", "reduction", reduction, REDUCTIONS))


def huber(x, target, *, delta=1.0, reduction="mean"):
    r"""With d = x - t: :math:`d^2/2` where :math:`|d| < \delta`, else :math:`\delta(|d| - \delta/2)`.

    It is δ times `smooth_l1` with β = δ; the gradient is d, cut to ±δ. Reference: Huber, 1964.

    Parameters
    ----------
    x, target : Tensor or array of equal shapes
    delta : float > 0

    Raises ShapeError, DTypeError, ArgError.
    """
    delta = number("huber", "delta", delta, low=0, open_low=True)
    loss = delta * _quadratic_then_linear(_difference("huber", x, target), delta)
    return _reduce("huber", loss, choice("huber", "reduction", reduction, REDUCTIONS))


def _quadratic_then_linear(d, beta):
    inside = np.abs(array(d)) < beta
    return where(inside, d * d * (0.5 / beta), absolute(d) - 0.5 * beta)


def _difference(name, x, target):
    _same_shape(name, "x", x, target)
    floating(name, "x", x)
    t = array(target)
    return x - (target if t.dtype.kind == "f" else t.astype(x.dtype))


# Distributions ----------------------------------------------------------------------------------------------


def kl_divergence(p_logits, q_logits, *, axis=-1, reduction="mean"):
    r"""Divergence of two softmax distributions, :math:`D(p\,\|\,q) = \sum_k p_k (\log p_k - \log q_k)`.

    Gradient with respect to the logits of q: :math:`q - p`. For distillation p is the (detached) teacher.

    Parameters
    ----------
    p_logits, q_logits : Tensor or array of equal shapes
    axis : int, default -1
        The classes.
    reduction : {"mean", "sum", "none"}
        Over the distributions, not the classes. NB: PyTorch's "mean" also divides by K; its "batchmean" is this.

    Raises ShapeError, DTypeError, ArgError.
    """
    floating("kl_divergence", "p_logits", p_logits)
    _same_shape("kl_divergence", "p_logits", p_logits, q_logits)
    choice("kl_divergence", "reduction", reduction, REDUCTIONS)
    log_p = p_logits - logsumexp(p_logits, axis=axis, keepdims=True)
    log_q = q_logits - logsumexp(q_logits, axis=axis, keepdims=True)
    possible = array(log_p) > -np.inf                     # 0 log 0 = 0, and no NaN in its derivative
    ratio = where(possible, log_p - log_q, 0.0)
    loss = sum(exp(log_p) * ratio, axis=axis)
    return _reduce("kl_divergence", loss, reduction)


# Reduction ---------------------------------------------------------------------------------------------------


def _reduce(name, loss, reduction, count=None):
    """Mean (over `count`, default all), sum or all elements."""
    if reduction == "none":
        return loss
    if reduction == "sum":
        return sum(loss)
    count = loss.size if count is None else count
    if count == 0:
        warnings.warn(f"{name}: no target is kept; the mean loss is 0", stacklevel=3)
        return sum(loss) * 0.0
    return mean(loss) if count == loss.size else sum(loss) / count
