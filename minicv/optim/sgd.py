r"""Gradient descent with and without momentum (course 1.1 and 1.3).

Each method stands here twice. The `*_update` functions are the equations: arrays in, new arrays out,
nothing overwritten; they drive the pictures of the lecture. `SGD` does the same arithmetic in place on
the parameters of a model; a test holds the two together.

A state is a dict that starts empty. ``theta, state = sgd_update(theta, g, state, lr=0.1)``.
"""

import numpy as np

from .checks import check, check_nesterov
from .fused import flat, momentum_step, sgd_step
from .optimizer import Optimizer, with_l2

SMALL = 8192                                           # elements: the product still fits into the fastest cache


def sgd_update(theta, g, state, *, lr, weight_decay=0.0):
    r""":math:`\theta \leftarrow \theta - \eta\,(g + \lambda\theta)`.

    Parameters
    ----------
    theta, g : array (...)
        Parameters and gradient of the loss at `theta`.
    state : dict
        Not used; returned as it is.
    lr : float > 0
        Learning rate eta. Converges on a quadratic with largest curvature L only for lr < 2/L.
    weight_decay : float >= 0
        lambda of the L2 penalty lambda/2 ||theta||^2.

    Returns
    -------
    theta, state : the next ones.

    Raises
    ------
    ArgError
        If an option is outside its range.

    Reference: Robbins & Monro, Annals of Mathematical Statistics 1951.
    """
    check("sgd_update", lr=lr, weight_decay=weight_decay)
    return theta - lr * with_l2(theta, g, weight_decay), state


def momentum_update(theta, g, state, *, lr, momentum=0.9, weight_decay=0.0):
    r""":math:`v \leftarrow \mu v - \eta g,\quad \theta \leftarrow \theta + v` (heavy ball).

    The velocity is the sum of past steps with weights mu^k; they add up to 1/(1 - mu), so with a steady
    gradient a step is 1/(1 - mu) times as long as without momentum. Parameters, results and errors as
    `sgd_update`, with ``momentum`` mu in [0, 1).

    Reference: Polyak, USSR Comp. Math. and Math. Phys. 1964.

    NB: PyTorch keeps eta outside the velocity, `momentum_torch_update`; the two part when lr changes.
    """
    check("momentum_update", lr=lr, momentum=momentum, weight_decay=weight_decay)
    v = momentum * state.get("v", 0.0) - lr * with_l2(theta, g, weight_decay)
    return theta + v, {"v": v}


def momentum_torch_update(theta, g, state, *, lr, momentum=0.9, dampening=0.0, weight_decay=0.0):
    r""":math:`b \leftarrow \mu b + (1-d)\,g,\quad \theta \leftarrow \theta - \eta b`; the first b is g.

    Equal to `momentum_update` while lr is constant and ``dampening`` d is 0 (b = -v/eta). With a changing
    lr this form applies the new rate to the whole history at once.
    """
    check("momentum_torch_update", lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay)
    g = with_l2(theta, g, weight_decay)
    b = momentum * state["b"] + (1 - dampening) * g if "b" in state else g
    return theta - lr * b, {"b": b}


def nesterov_update(theta, gradient, state, *, lr, momentum=0.9):
    r""":math:`v \leftarrow \mu v - \eta\nabla f(\theta + \mu v),\quad \theta \leftarrow \theta + v`.

    Like `momentum_update`, but ``gradient`` is the gradient *function*: it is evaluated where the velocity
    alone would lead. With momentum 0 it is `sgd_update`, bit for bit.

    Reference: Nesterov 1983; in this form Sutskever et al., ICML 2013, eq. 3-4.
    """
    check("nesterov_update", lr=lr, momentum=momentum)
    drift = momentum * state["v"] if "v" in state else np.zeros_like(theta)
    v = drift - lr * gradient(theta + drift)
    return theta + v, {"v": v}


nesterov_update.looks_ahead = True                     # wants the gradient function, not its value


def nesterov_fused_update(phi, g, state, *, lr, momentum=0.9, weight_decay=0.0):
    r""":math:`v' = \mu v - \eta g(\varphi),\quad \varphi' = \varphi - \mu v + (1+\mu)v'`.

    Nesterov's method written for the look-ahead point :math:`\varphi = \theta + \mu v`, so that only the
    gradient at the present parameters is needed.

    Reference: Bengio, Boulanger-Lewandowski & Pascanu, ICASSP 2013, eq. 6-7.

    NB: the same iterates as PyTorch's ``SGD(nesterov=True)`` while lr is constant.
    """
    check("nesterov_fused_update", lr=lr, momentum=momentum, weight_decay=weight_decay)
    check_nesterov("nesterov_fused_update", momentum)
    old = momentum * state.get("v", 0.0)
    v = old - lr * with_l2(phi, g, weight_decay)
    return phi - old + (1 + momentum) * v, {"v": v}


class SGD(Optimizer):
    r"""Stochastic gradient descent, optionally with momentum in PyTorch's form.

    .. math:: b \leftarrow \mu b + (1-d)\,(g + \lambda\theta), \qquad
              \theta \leftarrow \theta - \eta\,b \quad\text{or (Nesterov)}\quad \theta - \eta\,(g + \mu b)

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of group dicts
    lr : float > 0
    momentum : float in [0, 1)
    dampening : float in [0, 1)
        The first velocity is the gradient itself, undamped.
    weight_decay : float >= 0
        L2 penalty added to the gradient. For plain SGD the same as shrinking by 1 - lr*weight_decay;
        with momentum it is not.
    nesterov : bool
        `nesterov_fused_update`; needs momentum > 0 and dampening 0.
    missing : {"skip", "error"}
        What `step` does about a parameter without gradient.

    Reference: Sutskever et al., ICML 2013. Twins: `sgd_update`, `momentum_torch_update`,
    `nesterov_fused_update`.
    """

    def __init__(self, params, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, *, missing="skip"):
        super().__init__(params, missing=missing, lr=lr, momentum=momentum, dampening=dampening,
                         weight_decay=weight_decay, nesterov=nesterov)

    def check_group(self, group):
        """Options in range, and Nesterov only with a velocity."""
        super().check_group(group)
        if group["nesterov"]:
            check_nesterov("SGD", group["momentum"], group["dampening"])

    def start(self, theta, group):
        """Velocity b, made when there is momentum."""
        return {"b": np.zeros_like(theta), "t": 0} if group["momentum"] else {}

    def update(self, theta, grad, state, group):
        """One step in place."""
        lr, mu, weight_decay = float(group["lr"]), float(group["momentum"]), float(group["weight_decay"])
        if not mu and not weight_decay and theta.size < SMALL:
            theta -= lr * grad                             # the same bits, without the start of a kernel
            return
        if not mu:
            sgd_step(theta.size, *flat(theta, grad), lr, weight_decay)
            return
        if not state:                                      # momentum was switched on later
            state.update(self.start(theta, group))
        state["t"] += 1
        kept = 1.0 if state["t"] == 1 else 1.0 - group["dampening"]
        ahead, along = (1.0, mu) if group["nesterov"] else (0.0, 1.0)
        momentum_step(theta.size, *flat(theta, grad, state["b"]), lr, mu, kept, weight_decay, ahead, along)
