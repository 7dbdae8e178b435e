r"""AdaGrad and RMSProp: a learning rate for each parameter (course 1.4.1 and 1.4.2).

Both divide the gradient by the root of a history s of its squares: AdaGrad sums, RMSProp averages.
"""

import numpy as np

from .checks import check
from .fused import flat, scaled_step
from .optimizer import Optimizer, with_l2


def adagrad_update(theta, g, state, *, lr=0.01, eps=1e-10, weight_decay=0.0):
    r""":math:`s \leftarrow s + g\odot g,\quad \theta \leftarrow \theta - \eta\,g/(\sqrt s + \varepsilon)`.

    s never decreases, so steps shrink: with a constant gradient, step t has length lr/sqrt(t).

    Parameters
    ----------
    theta, g : array (...)
    state : dict
        Empty at the start, then ``{"s": array (...)}``.
    lr : float > 0
    eps : float >= 0
        Outside the root.
    weight_decay : float >= 0
        L2 penalty added to the gradient.

    Returns
    -------
    theta, state : the next ones.

    Raises
    ------
    ArgError
        If an option is outside its range.

    Reference: Duchi, Hazan & Singer, JMLR 2011, the diagonal version of fig. 1.
    Departures: eps stands outside the root, as in PyTorch; the paper adds delta inside H.
    """
    check("adagrad_update", lr=lr, eps=eps, weight_decay=weight_decay)
    g = with_l2(theta, g, weight_decay)
    s = state.get("s", 0.0) + g * g
    return theta - lr * g / (np.sqrt(s) + eps), {"s": s}


def rmsprop_update(theta, g, state, *, lr=0.01, beta=0.9, eps=1e-8, weight_decay=0.0):
    r""":math:`s \leftarrow \beta s + (1-\beta)\,g\odot g`, then the step of `adagrad_update`.

    The history is forgotten over about 1/(1 - beta) steps. No step is longer than lr/sqrt(1 - beta), and
    near a minimum steps stay about lr long: the method hovers instead of converging.

    Reference: Tieleman & Hinton, Coursera lecture 6.5, 2012.

    NB: PyTorch's default for beta (there `alpha`) is 0.99.
    """
    check("rmsprop_update", lr=lr, beta=beta, eps=eps, weight_decay=weight_decay)
    g = with_l2(theta, g, weight_decay)
    s = beta * state.get("s", 0.0) + (1 - beta) * g * g
    return theta - lr * g / (np.sqrt(s) + eps), {"s": s}


class AdaGrad(Optimizer):
    """`adagrad_update` in place on the parameters of a model; options as there, `missing` as in `Optimizer`."""

    def __init__(self, params, lr=0.01, eps=1e-10, weight_decay=0.0, *, missing="skip"):
        super().__init__(params, missing=missing, lr=lr, eps=eps, weight_decay=weight_decay)

    def start(self, theta, group):
        """The sum of squares s."""
        return {"s": np.zeros_like(theta)}

    def update(self, theta, grad, state, group):
        """One step in place."""
        _scaled_step(theta, grad, state, group, 1.0, 1.0)



class RMSProp(Optimizer):
    """`rmsprop_update` in place on the parameters of a model; options as there, `missing` as in `Optimizer`."""

    def __init__(self, params, lr=0.01, beta=0.9, eps=1e-8, weight_decay=0.0, *, missing="skip"):
        super().__init__(params, missing=missing, lr=lr, beta=beta, eps=eps, weight_decay=weight_decay)

    def start(self, theta, group):
        """The moving average of squares s."""
        return {"s": np.zeros_like(theta)}

    def update(self, theta, grad, state, group):
        """One step in place."""
        beta = float(group["beta"])
        _scaled_step(theta, grad, state, group, beta, 1 - beta)


def _scaled_step(theta, grad, state, group, keep, new):
    lr, eps, weight_decay = float(group["lr"]), float(group["eps"]), float(group["weight_decay"])
    scaled_step(theta.size, *flat(theta, grad, state["s"]), lr, keep, new, eps, weight_decay)
