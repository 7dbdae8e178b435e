r"""LARS and LAMB: one learning rate a layer, for very large batches.

A step is made as long as a fixed fraction of the layer's own weights, so that no layer is torn up
while another hardly moves. `theta` is one layer's array here, not the whole model.
"""

import numpy as np

from .adam import adam_direction
from .checks import check
from .fused import direction_numpy, moments_numpy, pieces
from .optimizer import Optimizer, norm


def lars_update(theta, g, state, *, lr, momentum=0.9, weight_decay=1e-4, trust=1e-3, adapt=True):
    r"""SGD with momentum whose rate is :math:`\eta\,\tau\,\|\theta\| / (\|g\| + \lambda\|\theta\|)`.

    Parameters
    ----------
    theta, g : array (...)
        One layer's parameters and gradient.
    state : dict
        Empty at the start, then ``{"v": array (...)}``.
    lr : float > 0
    momentum : float in [0, 1)
    weight_decay : float >= 0
    trust : float > 0
        tau, the fraction of the weights' norm that a step of lr 1 has.
    adapt : bool
        False for biases and normalisation: plain momentum.

    A layer whose parameters or gradient are all zero is stepped with factor 1.

    Raises
    ------
    ArgError
        If an option is outside its range.

    Reference: You, Gitman & Ginsburg, arXiv 1708.03888, algorithm 1.
    """
    check("lars_update", lr=lr, momentum=momentum, weight_decay=weight_decay, trust=trust, adapt=adapt)
    local = _lars_factor(theta, g, weight_decay, trust) if adapt else 1.0
    v = momentum * state.get("v", 0.0) + lr * local * (g + weight_decay * theta)
    return theta - v, {"v": v}


def lamb_update(theta, g, state, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01, adapt=True):
    r"""Adam's direction with decay, :math:`u = \hat m/(\sqrt{\hat s}+\varepsilon) + \lambda\theta`, rescaled:
    :math:`\theta \leftarrow \theta - \eta\,\frac{\|\theta\|}{\|u\|}\,u`.

    ``adapt=False`` leaves the factor out, which is `adamw_update`; it is 1 where either norm is zero.

    Reference: You et al., ICLR 2020, algorithm 2 with phi the identity.
    """
    check("lamb_update", lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, adapt=adapt)
    direction, state = adam_direction(g, state, betas=betas, eps=eps)
    u = direction + weight_decay * theta
    return theta - lr * (_ratio(norm(theta), norm(u)) if adapt else 1.0) * u, state


def _ratio(above, below):
    return above / below if above > 0 and below > 0 else 1.0


def _lars_factor(theta, g, weight_decay, trust):
    weights, slope = norm(theta), norm(g)
    return _ratio(trust * weights, slope + weight_decay * weights) if slope > 0 else 1.0


class LARS(Optimizer):
    """`lars_update` in place on the parameters of a model; options as there, `missing` as in `Optimizer`."""

    def __init__(self, params, lr, momentum=0.9, weight_decay=1e-4, trust=1e-3, *, adapt=True, missing="skip"):
        super().__init__(params, missing=missing, lr=lr, momentum=momentum, weight_decay=weight_decay, trust=trust,
                         adapt=adapt)

    def start(self, theta, group):
        """The velocity v."""
        return {"v": np.zeros_like(theta)}

    def update(self, theta, grad, state, group):
        """One step in place."""
        weight_decay = group["weight_decay"]
        rate = group["lr"] * (_lars_factor(theta, grad, weight_decay, group["trust"]) if group["adapt"] else 1.0)
        for a, g, v, w in pieces(theta, grad, state["v"]):
            v *= group["momentum"]
            np.multiply(a, weight_decay, out=w)
            w += g
            v += np.multiply(w, rate, out=w)
            a -= v


class LAMB(Optimizer):
    """`lamb_update` in place on the parameters of a model; options as there, `missing` as in `Optimizer`."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01, *, adapt=True,
                 missing="skip"):
        super().__init__(params, missing=missing, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, adapt=adapt)

    def start(self, theta, group):
        """Step count t and moments m, s."""
        return {"t": 0, "m": np.zeros_like(theta), "s": np.zeros_like(theta)}

    def update(self, theta, grad, state, group):
        """One step in place; the direction is needed as a whole before its length is known."""
        state["t"] += 1
        direction = np.empty_like(theta)
        self._direction(theta, grad, direction, state, group)
        direction *= group["lr"] * (_ratio(norm(theta), norm(direction)) if group["adapt"] else 1.0)
        theta -= direction

    def _direction(self, theta, grad, direction, state, group):
        (b1, b2), t = group["betas"], state["t"]
        for a, g, u, m, s, w in pieces(theta, grad, direction, state["m"], state["s"]):
            moments_numpy(g, m, s, w, b1, b2)
            u[...] = direction_numpy(m, s, w, 1 - b1**t, 1 - b2**t, group["eps"])
            u += np.multiply(a, group["weight_decay"], out=w)
