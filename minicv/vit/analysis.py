r"""What a trained vision transformer looks at: filters, positions, attention.

    r_q  = sum over k of a_qk |p_q - p_k|                            mean attention distance of query q     (1)
    R    = B_L ... B_2 B_1,   B = (I + mean over heads of A) / 2     attention rollout                      (2)

References: Dosovitskiy et al., ICLR 2021, §4.5 and figures 7, 10, 11; (2) is eq. 1 of Abnar and Zuidema, ACL 2020.
"""

import numpy as np

from ..autograd.op import array
from ..ensembles import PCA
from ..errors import ArgError, ShapeError
from ..nn import MultiHeadAttention
from ..nn.check import pair
from .vit import Attention


class AttentionRecord:
    """Keeps the attention weights of a model while the block runs.

        with AttentionRecord(model) as record:
            model(x)
        record.weights                                              # (layers, N, heads, L, S)

    Without it nobody sees the weights and they are never stored as a whole. Those of the last forward pass are
    kept, as plain arrays and before dropout.

    Parameters
    ----------
    model : Module
        Holds at least one `vit.Attention` or `nn.MultiHeadAttention`.

    Raises
    ------
    ArgError
        If the model has no attention; in `weights`, if a layer was not called inside the block.
    """

    def __init__(self, model):
        gates = [m.attn_drop if isinstance(m, Attention) else m.dropout for m in model.modules()
                 if isinstance(m, (Attention, MultiHeadAttention))]
        if not gates:
            raise ArgError(f"AttentionRecord: model is a {type(model).__name__} without attention, expected at least "
                           "one vit.Attention or nn.MultiHeadAttention")
        self._gates, self._seen, self._handles = gates, {}, []

    def __enter__(self):
        self._handles = [gate.register_forward_hook(self._keep) for gate in self._gates]
        return self

    def __exit__(self, *exception):
        for handle in self._handles:
            handle.remove()

    def _keep(self, gate, inputs, output):
        self._seen[id(gate)] = array(inputs[0])

    @property
    def weights(self):
        """Array (layers, N, heads, L, S); rows sum to 1."""
        missing = sum(id(gate) not in self._seen for gate in self._gates)
        if missing:
            raise ArgError(f"AttentionRecord.weights: attention weights of {missing} of {len(self._gates)} layers are "
                           "not recorded, expected a forward pass of the model inside the with block")
        return np.stack([self._seen[id(gate)] for gate in self._gates])


# Filters and positions ----------------------------------------------------------------------------------------


def patch_filters(model):
    """The columns of W_E, each as an image: a read-only array (D, C, P, Q)."""
    return model.patch_embed.proj.weight.data


def principal_filters(filters, count):
    """The `count` images in which the filters vary most, by falling variance.

    Parameters
    ----------
    filters : array (D, C, P, Q)
    count : int in [1, min(D, C P Q)]

    Returns
    -------
    array (count, C, P, Q)
        Principal components, orthonormal as vectors.
    """
    filters = np.asarray(filters)
    if filters.ndim != 4:
        raise ShapeError(f"principal_filters: filters has shape {filters.shape}, expected (D, C, P, Q)")
    return PCA(count).fit(filters.reshape(len(filters), -1)).components_.reshape(-1, *filters.shape[1:])


def position_similarity(table, grid, *, prefix=1):
    """Cosine of the angle between the positions of any two patches.

    Parameters
    ----------
    table : Tensor or array (1, prefix + I J, D)
        Such as `ViT.pos_embed`; no row is zero.
    grid : int or (I, J)
    prefix : int, default 1
        Rows in front that have no place in the grid.

    Returns
    -------
    float64 array (I, J, I, J)
        Entry (i, j, k, l) compares the patches (i, j) and (k, l).
    """
    rows, columns = pair("position_similarity", "grid", grid)
    table = array(table).astype(np.float64)
    if table.ndim != 3 or table.shape[:2] != (1, prefix + rows * columns):
        raise ShapeError(f"position_similarity: table has shape {table.shape}, expected "
                         f"(1, {prefix + rows * columns}, D) for a grid of {rows} x {columns}")
    patches = table[0, prefix:]
    length = np.linalg.norm(patches, axis=1, keepdims=True)
    if not length.all():
        raise ArgError("position_similarity: table has a row of zeros, expected rows with a direction")
    unit = patches / length
    return (unit @ unit.T).reshape(rows, columns, rows, columns)


# Attention ----------------------------------------------------------------------------------------------------


def grid_distances(grid, patch_size):
    """Distances in pixels between the centres of patches: float64 array (I J, I J) for a grid (I, J).

    >>> grid_distances((1, 3), 16).tolist()
    [[0.0, 16.0, 32.0], [16.0, 0.0, 16.0], [32.0, 16.0, 0.0]]
    """
    grid, size = pair("grid_distances", "grid", grid), pair("grid_distances", "patch_size", patch_size)
    centers = np.indices(grid).reshape(2, -1).T * np.array(size, np.float64)                  # (I J, 2)
    return np.linalg.norm(centers[:, None] - centers, axis=-1)


def attention_distance(weights, grid, patch_size, *, prefix=1):
    """Mean distance (1) between a query and what it attends to, in pixels.

    Parameters
    ----------
    weights : array (..., L, L)
        With L = prefix + I J; as of `AttentionRecord`.
    grid : int or (I, J)
    patch_size : int or (P, Q)
    prefix : int, default 1
        Tokens in front that have no place, such as the class token: they are left out, as queries and as keys, and
        the weights that remain are scaled to sum to 1. A query that sees no patch at all counts as 0.

    Returns
    -------
    float64 array (...)
        For weights (layers, N, heads, L, L) take ``.mean(axis=1)`` for the mean of each head over images.
    """
    distances, weights = grid_distances(grid, patch_size), _square("attention_distance", weights)
    if weights.shape[-1] != prefix + len(distances):
        raise ShapeError(f"attention_distance: weights has {weights.shape[-1]} tokens, expected {prefix} and "
                         f"{len(distances)} patches")
    weights = weights[..., prefix:, prefix:]
    total = weights.sum(axis=-1, dtype=np.float64)
    far = np.einsum("...qk,qk->...q", weights, distances)
    return (far / np.where(total == 0, 1, total)).mean(axis=-1)


def attention_rollout(weights):
    """Rollout (2): how much of each input token arrives in each token of the last layer.

    Half of every layer's output is taken to be its input, which goes round the attention, and all heads to
    matter equally.

    Parameters
    ----------
    weights : array (layers, N, heads, L, L)
        Rows sum to 1.

    Returns
    -------
    float64 array (N, L, L)
        Rows sum to 1; row 0 is that of the class token where it stands first.
    """
    weights = _square("attention_rollout", weights)
    if weights.ndim != 5 or not len(weights):
        raise ShapeError(f"attention_rollout: weights has shape {weights.shape}, expected (layers, N, heads, L, L)")
    rollout = np.eye(weights.shape[-1])
    for layer in weights:
        rollout = (rollout + layer.mean(axis=1, dtype=np.float64) @ rollout) / 2
    return rollout


def _square(where, weights):
    weights = array(weights)
    if weights.ndim < 2 or weights.shape[-1] != weights.shape[-2] or not weights.size:
        raise ShapeError(f"{where}: weights has shape {weights.shape}, expected (..., L, L), not empty")
    return weights
