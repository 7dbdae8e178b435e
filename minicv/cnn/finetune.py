"""Preparing a trained network for a new task: what is trained, and what its norms do."""

import numpy as np

from ..autograd.modes import no_grad
from ..errors import ArgError
from ..nn import BatchNorm2d, FrozenBatchNorm2d, Module


def train_only(model, *names):
    """Freeze all parameters but those under `names`; returns the model.

    Parameters
    ----------
    model : Module
    *names : str
        Parameters or modules, such as "layer4", "fc" or "blocks.11.mlp"; none freezes everything.
        ``model.unfreeze()`` undoes it.

    Raises
    ------
    ArgError
        For a name without parameters; nothing is changed.

    NB: norms in training mode still use and follow the statistics of each batch; see `freeze_batch_norm`.

    >>> from minicv import cnn
    >>> net = train_only(cnn.build("resnet20_cifar", rng=0), "linear")
    >>> [name for name, p in net.named_parameters() if p.requires_grad]
    ['linear.weight', 'linear.bias']
    """
    parameters = model.named_parameters()
    chosen = {name: [p for full, p in parameters if f"{full}.".startswith(f"{name}.")] for name in names}
    if empty := [name for name, found in chosen.items() if not found]:
        raise ArgError(f"train_only: names has {empty}, expected parameters or modules of {type(model).__name__}")
    model.freeze()
    for found in chosen.values():
        for p in found:
            p.requires_grad = True
    return model


def freeze_batch_norm(model):
    """Replace every `BatchNorm2d` below `model` by a `FrozenBatchNorm2d` of the same values; returns the model.

    For small batches, whose statistics are too noisy (He et al., ICCV 2017, §3.1).
    """
    norms = [m for m in model.modules() if type(m) is BatchNorm2d and m is not model]
    return replace_modules(model, {id(norm): _frozen(norm) for norm in norms})


def _frozen(norm):
    frozen = FrozenBatchNorm2d(norm.num_features, eps=norm.eps)
    frozen.training = norm.training
    with no_grad():
        for name in ("weight", "bias", "running_mean", "running_var"):
            if (values := getattr(norm, name)) is not None:
                getattr(frozen, name).replace(np.array(values.data))
    return frozen


def replace_modules(value, new):
    """Put ``new[id(module)]`` in the place of modules below `value`, under every name they have; returns `value`.

    Looks through attributes, lists, tuples and dicts, as `Module` does.
    """
    if isinstance(value, Module):
        if id(value) in new:
            return new[id(value)]
        for name, item in list(vars(value).items()):
            if isinstance(item, (Module, list, tuple, dict)):
                setattr(value, name, replace_modules(item, new))
    elif isinstance(value, list):
        value[:] = [replace_modules(item, new) for item in value]
    elif type(value) is tuple:
        value = tuple(replace_modules(item, new) for item in value)
    elif isinstance(value, dict):
        value.update({key: replace_modules(item, new) for key, item in value.items()})
    return value
