r"""Adam, Adam with an L2 penalty, and AdamW (course 1.4.3 and 1.4.4).

    m  <- b1 m + (1 - b1) g          mh = m / (1 - b1^t)
    s  <- b2 s + (1 - b2) g g        sh = s / (1 - b2^t)        t = 1, 2, ...
    theta <- theta - lr mh / (sqrt(sh) + eps)

The three differ in where a weight decay enters: nowhere, in the gradient g (and so in m and s), or
in the step, past all scaling.
"""

import numpy as np

from .checks import check
from .fused import adam_step, direction_numpy, flat, moments_numpy, pieces
from .optimizer import Optimizer, with_l2


def adam_direction(g, state, *, betas=(0.9, 0.999), eps=1e-8, amsgrad=False, debias=True):
    r"""The step of Adam before the learning rate, :math:`\hat m/(\sqrt{\hat s}+\varepsilon)`, and the next state.

    Parameters
    ----------
    g : array (...)
        Gradient.
    state : dict
        Empty at the start, then ``t``, ``m``, ``s`` (and ``s_max`` with `amsgrad`).
    betas : (b1, b2), each in [0, 1)
    eps : float >= 0
        Outside the root.
    amsgrad : bool
        Divide by the largest s so far, so that a rare large gradient is not forgotten.
    debias : bool
        False leaves out the division by 1 - b^t. The first steps are then *longer*, not shorter:
        (1 - b1)/sqrt(1 - b2) = 3.16 times lr, because s starts even smaller than m.

    Each element is below (1 - b1)/sqrt((1 - b2)(1 - b1^2/b2)) = 7.27 for every sequence of gradients.

    Reference: Kingma & Ba, ICLR 2015, algorithm 1; AMSGrad: Reddi, Kale & Kumar, ICLR 2018, algorithm 2.
    Departures: AMSGrad is debiased, as in PyTorch; in the paper it is not.
    """
    (b1, b2), t = betas, state.get("t", 0) + 1
    m = b1 * state.get("m", 0.0) + (1 - b1) * g
    s = b2 * state.get("s", 0.0) + (1 - b2) * g * g
    new = {"t": t, "m": m, "s": s}
    if amsgrad:
        s = new["s_max"] = np.maximum(state.get("s_max", s), s)
    if debias:
        m, s = m / (1 - b1**t), s / (1 - b2**t)
    return m / (np.sqrt(s) + eps), new


def adam_update(theta, g, state, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, amsgrad=False, debias=True):
    r""":math:`\theta \leftarrow \theta - \eta\,\hat m/(\sqrt{\hat s}+\varepsilon)`; options as `adam_direction`.

    Returns
    -------
    theta, state : the next ones.

    Raises
    ------
    ArgError
        If an option is outside its range.

    Reference: Kingma & Ba, ICLR 2015, algorithm 1.
    """
    check("adam_update", lr=lr, betas=betas, eps=eps)
    direction, state = adam_direction(g, state, betas=betas, eps=eps, amsgrad=amsgrad, debias=debias)
    return theta - lr * direction, state


def adam_l2_update(theta, g, state, *, lr=1e-3, weight_decay=0.01, **options):
    r"""Adam on the gradient of the penalised loss, :math:`g + \lambda\theta`.

    The penalty is scaled like the rest of the gradient: a weight whose loss gradient is large hardly
    shrinks at all. `adamw_update` is the remedy.
    """
    check("adam_l2_update", weight_decay=weight_decay)
    return adam_update(theta, with_l2(theta, g, weight_decay), state, lr=lr, **options)


def adamw_update(theta, g, state, *, lr=1e-3, weight_decay=0.01, decay="lr", **options):
    r"""Adam's step and, apart from it, :math:`-\eta\lambda\theta` (``decay="lr"``) or :math:`-\lambda\theta` ("plain").

    Both terms use the old theta, so with zero gradients theta_t = theta_0 (1 - lr*weight_decay)^t.

    Reference: Loshchilov & Hutter, ICLR 2019, algorithm 2, line 12.

    NB: the paper's decay is scaled by the schedule alone, not by lr: ``decay="plain"`` (with the schedule
    factor in `weight_decay`). PyTorch and timm use ``decay="lr"``. The same number means different things.
    """
    check("adamw_update", lr=lr, weight_decay=weight_decay, decay=decay)
    return adam_update((1 - _rate(lr, weight_decay, decay)) * theta, g, state, lr=lr, **options)


def _rate(lr, weight_decay, decay):
    return lr * weight_decay if decay == "lr" else weight_decay


class Adam(Optimizer):
    """`adam_update` in place on the parameters of a model.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of group dicts
    lr, betas, eps, amsgrad : as in `adam_update`
    weight_decay : float >= 0
        L2 penalty in the gradient, `adam_l2_update`; usually `AdamW` is what is wanted.
    missing : {"skip", "error"}
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, *, amsgrad=False,
                 missing="skip"):
        super().__init__(params, missing=missing, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
                         amsgrad=amsgrad)

    def start(self, theta, group):
        """Step count t and moments m, s."""
        names = ("m", "s", "s_max") if group["amsgrad"] else ("m", "s")
        return {"t": 0} | {name: np.zeros_like(theta) for name in names}

    def update(self, theta, grad, state, group):
        """One step in place."""
        _step(theta, grad, state, group, float(group["weight_decay"]), 1.0)



class AdamW(Adam):
    """`adamw_update` in place on the parameters of a model; ``weight_decay`` 0.01 is decoupled.

    decay : {"lr", "plain"}
        Whether the decay is multiplied by lr (PyTorch) or not (paper).
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, *, decay="lr",
                 amsgrad=False, missing="skip"):
        Optimizer.__init__(self, params, missing=missing, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
                           decay=decay, amsgrad=amsgrad)

    def update(self, theta, grad, state, group):
        """One step in place."""
        rate = _rate(group["lr"], group["weight_decay"], group["decay"])
        _step(theta, grad, state, group, 0.0, 1.0 - rate)


def _step(theta, grad, state, group, weight_decay, shrink):
    state["t"] += 1
    (b1, b2), lr, eps = group["betas"], float(group["lr"]), float(group["eps"])
    options = (float(b1), float(b2), 1.0 - b1**state["t"], 1.0 - b2**state["t"], lr, eps, weight_decay, float(shrink))
    if group["amsgrad"]:
        amsgrad_numpy(theta, grad, state["m"], state["s"], state["s_max"], *options)
    else:
        adam_step(theta.size, *flat(theta, grad, state["m"], state["s"]), *options)


def amsgrad_numpy(theta, g, m, s, s_max, b1, b2, c1, c2, lr, eps, weight_decay, shrink):
    """`adam_step` that divides by the largest s so far."""
    for a, d, first, second, largest, w in pieces(theta, g, m, s, s_max):
        moments_numpy(d + weight_decay * a, first, second, w, b1, b2)
        np.maximum(largest, second, out=largest)
        a *= shrink
        a -= lr * direction_numpy(first, largest, w, c1, c2, eps)
