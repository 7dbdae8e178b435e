"""Gradient clipping: an occasional huge gradient must not undo the training."""

import math

import numpy as np

from ..autograd.tensor import Tensor
from ..errors import ArgError, DivergenceError
from .optimizer import norm


def clip_grad_norm(params, max_norm, *, error_if_nonfinite=False):
    """Scale all gradients by one factor so that their joint Euclidean norm is at most `max_norm`.

    Parameters
    ----------
    params : Tensor or iterable of Tensor
        Those without gradient are skipped.
    max_norm : float > 0
    error_if_nonfinite : bool
        Raise instead of leaving NaN or infinite gradients as they are.

    Returns
    -------
    float : the norm before clipping, summed in float64; 0.0 without gradients.

    Raises
    ------
    ArgError
        If `max_norm` is not a number > 0.
    DivergenceError
        With `error_if_nonfinite`, naming the first bad gradient; nothing is changed.

    The direction is kept. Reference: Pascanu, Mikolov & Bengio, ICML 2013, algorithm 1.

    NB: PyTorch divides by norm + 1e-6 and, unless told otherwise, turns all gradients into NaN when one is.
    """
    if not 0 < max_norm:
        raise ArgError(f"clip_grad_norm: max_norm is {max_norm!r}, expected a number > 0")
    grads = _gradients(params)
    total = norm(*[g.data for g in grads]) if grads else 0.0
    if _finite("clip_grad_norm", grads, total, error_if_nonfinite) and total > max_norm:
        for g in grads:
            with g.writable() as a:
                a *= max_norm / total
    return total


def clip_grad_value(params, max_value, *, error_if_nonfinite=False):
    """Clip each element of the gradients to [-max_value, max_value]; the direction may change.

    Parameters, errors and result as `clip_grad_norm`: returns the norm before clipping.
    """
    if not 0 < max_value:
        raise ArgError(f"clip_grad_value: max_value is {max_value!r}, expected a number > 0")
    grads = _gradients(params)
    total = norm(*[g.data for g in grads]) if grads else 0.0
    _finite("clip_grad_value", grads, total, error_if_nonfinite)
    for g in grads:
        with g.writable() as a:
            np.clip(a, -max_value, max_value, out=a)
    return total


def _gradients(params):
    params = [params] if isinstance(params, Tensor) else params
    return [p.grad for p in params if p.grad is not None]


def _finite(function, grads, total, strict):
    """Whether the norm is finite; with `strict` a DivergenceError otherwise."""
    if strict and not math.isfinite(total):
        bad = next((i for i, g in enumerate(grads) if not np.isfinite(g.data).all()), 0)
        raise DivergenceError(f"{function}: gradient {bad} of shape {grads[bad].shape} holds NaN or infinity "
                              f"(joint norm {total}), expected finite numbers")
    return math.isfinite(total)
