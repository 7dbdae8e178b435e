"""The epoch loop of stochastic gradient descent: shuffle, cut into mini-batches, step on each (course 1.1)."""

import numpy as np

from ..errors import ArgError


def minibatches(count, batch_size, *, rng=None, allow_larger=False):
    """Shuffled indices 0 ... count - 1 in ``ceil(count / batch_size)`` pieces; the last may be smaller.

    Parameters
    ----------
    count : int >= 1
        Number N of samples.
    batch_size : int >= 1
        B = 1 is the stochastic method proper, B = N plain gradient descent.
    rng : numpy Generator, int or None
    allow_larger : bool
        Accept B > N, which gives one batch of N.

    Returns
    -------
    list of int64 arrays; every index is in exactly one.

    Raises
    ------
    ArgError
        If a number is not an integer >= 1, or B > N without `allow_larger`.

    >>> [len(batch) for batch in minibatches(10, 4, rng=0)]
    [4, 4, 2]
    """
    rng = np.random.default_rng(rng)
    for name, value in {"count": count, "batch_size": batch_size}.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ArgError(f"minibatches: {name} is {value!r}, expected an integer >= 1")
    if batch_size > count and not allow_larger:
        raise ArgError(f"minibatches: batch_size is {batch_size}, expected at most the {count} samples; "
                       "allow_larger=True accepts one smaller batch")
    order = rng.permutation(count)
    return [order[i:i + batch_size] for i in range(0, count, batch_size)]


def train_epoch(loss, count, optimizer, batch_size, *, rng=None, allow_larger=False):
    r"""One epoch of :math:`\theta \leftarrow \theta - \eta\,\nabla L(\theta; \text{batch})`.

    Parameters
    ----------
    loss : callable
        Indices of a batch (B,) to the scalar loss Tensor.
    count : int >= 1
        Number of samples.
    optimizer : Optimizer
        With ``missing="error"`` a parameter that gets no gradient stops the epoch, by name.
    batch_size, rng, allow_larger : as in `minibatches`

    Returns
    -------
    array (U,) float64 : the loss of each batch, before its step.

    Reference: Robbins & Monro, Annals of Mathematical Statistics 1951.
    """
    losses = []
    for batch in minibatches(count, batch_size, rng=rng, allow_larger=allow_larger):
        optimizer.zero_grad()
        value = loss(batch)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return np.array(losses)
