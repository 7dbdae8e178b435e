"""Which parameters a weight decay applies to."""

from ..errors import ArgError
from ..nn.embedding import Embedding

TABLES = ("embed", "token", "position", "query")     # words in the names of learned tables outside `Embedding`


def decay_groups(module, weight_decay):
    """Two parameter groups of a module: weights, with decay, and the rest, without.

    The rest are biases, normalisation and other per-channel factors (all with at most one axis), tables
    of `Embedding` layers, and parameters whose own name speaks of a table, such as ``pos_embed`` or
    ``cls_token``. Pulling those to zero limits what the layer can represent instead of its complexity.

    Parameters
    ----------
    module : Module
    weight_decay : float >= 0

    Returns
    -------
    list of two group dicts of (name, Parameter) pairs, an empty group left out.

    Raises
    ------
    ArgError
        If the module has no parameters.

    >>> from minicv.nn import Linear
    >>> [[name for name, _ in group["params"]] for group in decay_groups(Linear(2, 3), 0.05)]
    [['weight'], ['bias']]
    """
    tables = {id(p) for m in module.modules() if isinstance(m, Embedding) for p in m.parameters()}
    decayed, rest = [], []
    for name, p in module.named_parameters():
        own = name.rpartition(".")[2]
        spared = p.ndim <= 1 or id(p) in tables or any(word in own for word in TABLES)
        (rest if spared else decayed).append((name, p))
    if not decayed and not rest:
        raise ArgError(f"decay_groups: module is a {type(module).__name__} without parameters, expected some")
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
