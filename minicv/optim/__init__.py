"""Optimizers (chapter 1): each method as an equation on arrays and as a class for models.

=============  ===================================================================================
`minibatch`    the epoch loop
`sgd`          gradient descent, momentum in two conventions, Nesterov with and without look-ahead
`adagrad`      AdaGrad, RMSProp
`adam`         Adam, AMSGrad, Adam with an L2 penalty, AdamW in both conventions
`layerwise`    LARS, LAMB
`fused`        the same steps in place, compiled, each beside its NumPy twin
`newton`       Newton's method in one and many dimensions; `lbfgs` without the Hessian
`schedules`    learning rates as functions of the step, range test
`clip`, `ema`  gradient clipping, average of the weights
`groups`       parameters that a weight decay should leave alone
`landscapes`   functions of two variables, and `descent` to follow a method over them
=============  ===================================================================================
"""

from .adagrad import AdaGrad, RMSProp, adagrad_update, rmsprop_update
from .adam import Adam, AdamW, adam_direction, adam_l2_update, adam_update, adamw_update
from .clip import clip_grad_norm, clip_grad_value
from .descent import Trajectory, below, descend, flat
from .ema import EMA
from .groups import decay_groups
from .landscapes import (
    Landscape,
    best_lr,
    best_momentum,
    canyon,
    lr_bound,
    quadratic,
    rosenbrock,
    rotation,
    saddle,
    sphere,
    two_basins,
)
from .layerwise import LAMB, LARS, lamb_update, lars_update
from .lbfgs import lbfgs
from .minibatch import minibatches, train_epoch
from .newton import (
    Parabola,
    finite_hessian,
    hessian_bytes,
    newton,
    newton_1d,
    newton_update,
)
from .optimizer import Optimizer
from .schedules import (
    LRRange,
    Scheduler,
    constant,
    cosine,
    lr_range_test,
    multistep,
    one_cycle,
    polynomial,
    step_decay,
    warmup,
)
from .sgd import (
    SGD,
    momentum_torch_update,
    momentum_update,
    nesterov_fused_update,
    nesterov_update,
    sgd_update,
)

__all__ = ["AdaGrad", "Adam", "AdamW", "EMA", "LAMB", "LARS", "LRRange", "Landscape", "Optimizer", "Parabola",
           "RMSProp", "SGD", "Scheduler", "Trajectory", "adagrad_update", "adam_direction", "adam_l2_update",
           "adam_update", "adamw_update", "below", "best_lr", "best_momentum", "canyon", "clip_grad_norm",
           "clip_grad_value", "constant", "cosine", "decay_groups", "descend", "finite_hessian", "flat",
           "hessian_bytes", "lamb_update", "lars_update", "lbfgs", "lr_bound", "lr_range_test", "minibatches",
           "momentum_torch_update", "momentum_update", "multistep", "nesterov_fused_update", "nesterov_update",
           "newton", "newton_1d", "newton_update", "one_cycle", "polynomial", "quadratic", "rmsprop_update",
           "rosenbrock", "rotation", "saddle", "sgd_update", "sphere", "step_decay", "train_epoch", "two_basins",
           "warmup"]
