"""Picking elements by position, and the adjoint: adding into positions.

`getitem` copies elements y = x[index]; backwards, the gradient of an element that was picked several times is the
sum over its copies, which is `scatter_add`. The two are each other's derivative, so every order is covered.
Everything piecewise (sorting, top k, pooling) is *choose integers, then gather* and needs no rule of its own.

Every index is checked before it is used, and index arrays are copied by ``x[index]`` so that nobody can change
them between the forward and the backward pass.
"""

import math

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError
from ..kernels.layout import like_layout
from .op import array, op
from .tensor import Tensor

# Checks ---------------------------------------------------------------------------------------------


def check_axis(function, axis, ndim):
    """`axis` as an integer in [0, ndim), or ArgError / DTypeError."""
    if isinstance(axis, (bool, np.bool_)) or not isinstance(axis, (int, np.integer)):
        raise DTypeError(f"{function}: axis is {axis!r}, expected an integer")
    if not -ndim <= axis < ndim:
        raise ArgError(f"{function}: axis is {axis}, expected within [{-ndim}, {ndim}) for {ndim} axes")
    return int(axis) % ndim


def check_integers(function, name, values, size, *, low=0):
    """DTypeError unless `values` are integers, ArgError unless all are in [low, size)."""
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise DTypeError(f"{function}: {name} has dtype {values.dtype}, expected integers")
    if values.size and (values.min() < low or values.max() >= size):
        at = tuple(int(i) for i in np.argwhere((values < low) | (values >= size))[0])
        raise ArgError(f"{function}: {name} is {values[at]} at {at}, expected within [{low}, {size})")


def _axes_used(key):
    """How many axes of the array one entry of an index consumes."""
    if key is None or key is Ellipsis:
        return 0
    return key.ndim if isinstance(key, np.ndarray) and key.dtype == bool else 1


def _check_entry(key, shape, axis):
    """One entry of an index against the axes it consumes."""
    if type(key) is int and -shape[axis] <= key < shape[axis]:
        return
    if isinstance(key, slice):
        for k in (key.start, key.stop, key.step):
            if k is not None and not hasattr(k, "__index__"):
                raise DTypeError(f"getitem: index is {key} on axis {axis}, expected integers")
        if key.step is not None and key.step == 0:
            raise ArgError(f"getitem: index is {key} on axis {axis}, expected a step other than 0")
    elif isinstance(key, np.ndarray) and key.dtype == bool:
        if key.shape != shape[axis:axis + key.ndim] or key.ndim == 0:
            raise ShapeError(f"getitem: mask has shape {key.shape}, expected {shape[axis:axis + key.ndim]}")
    elif isinstance(key, (bool, np.bool_)):
        raise DTypeError(f"getitem: index is {key} on axis {axis}, expected integers, slices or a mask")
    else:
        check_integers("getitem", f"index on axis {axis}", key, shape[axis], low=-shape[axis])


def check_index(index, shape):
    """Raise ArgError, DTypeError or ShapeError unless ``x[index]`` is valid for x of `shape`."""
    keys = index if isinstance(index, tuple) else (index,)
    used = sum(map(_axes_used, keys))
    if used > len(shape):
        raise ArgError(f"getitem: index is for {used} axes, expected at most {len(shape)} for shape {shape}")
    if sum(key is Ellipsis for key in keys) > 1:
        raise ArgError("getitem: index is one with several '...', expected at most one")
    axis = 0
    for key in keys:
        if key is Ellipsis:
            axis += len(shape) - used
        elif key is not None:
            _check_entry(key, shape, axis)
            axis += _axes_used(key)


def plain_key(key):
    """An index with Tensors turned into arrays; lists and arrays copied, so nobody can change them later."""
    if isinstance(key, tuple):
        return tuple(plain_key(k) for k in key)
    if isinstance(key, (list, np.ndarray, Tensor)):
        key = np.array(array(key), copy=True)
        if key.size == 0 and key.dtype == np.float64:              # np.array([])
            key = key.astype(np.int64)
        return key.item() if key.ndim == 0 and key.dtype.kind in "iu" else key
    return key


# The pair -------------------------------------------------------------------------------------------


@op
def getitem(x, *, index):
    """``x[index]`` with integers, slices, None, Ellipsis, masks, integer arrays and tuples of them, as in NumPy.

    Raises ArgError for a position outside the array, DTypeError for floats, ShapeError for a mask or index arrays
    that do not fit. An index array given here is kept, not copied; ``x[index]`` copies it.

    NB: next to index arrays an integer counts as one of them, as in NumPy: ``x[:, [0, 2], ::2, 1]`` has its axis of
    length 2 in front, PyTorch leaves it in place.

    >>> getitem(np.arange(12).reshape(3, 4), index=(slice(None), [0, 3]))
    array([[ 0,  3],
           [ 4,  7],
           [ 8, 11]])
    """
    if index is not Ellipsis:
        check_index(index, x.shape)
    try:
        return x[index]
    except IndexError as e:
        raise ShapeError(f"getitem: index arrays do not fit together: {e}") from None


@op
def scatter_add(g, *, index, shape):
    """Zeros of `shape` with g added at `index`; repeated positions add up. Adjoint of `getitem`.

    Sums are taken in float64 and in the order of g, so the result is the same in every run.

    >>> scatter_add(np.array([1.0, 2.0, 4.0]), index=np.array([0, 2, 0]), shape=(3,))
    array([5., 0., 2.])
    """
    check_index(index, shape)
    if _is_basic(index):
        return _write_once(g, index, shape)
    if isinstance(index, np.ndarray):
        index = index.astype(np.int64, copy=False)                # small types cannot hold index + shape[0]
        expected = index.shape + tuple(shape[1:])
    else:
        index = np.arange(math.prod(shape)).reshape(shape)[index]      # positions in the flattened array
        expected = index.shape
    if g.shape != expected:
        raise ShapeError(f"scatter_add: g has shape {g.shape}, expected {expected} for this index")
    if expected == index.shape:
        return _add_elements(index, g, math.prod(shape)).reshape(shape)
    return _add_rows(np.where(index < 0, index + shape[0], index), g, shape)


getitem.vjp(lambda g, y, x, index: scatter_add(g, index=index, shape=x.shape), saves=())
scatter_add.vjp(lambda g, y, x, index, shape: getitem(g, index=index), saves=())


def _is_basic(index):
    """True when no position can be hit twice: integers, slices, None, Ellipsis, or one mask."""
    keys = index if isinstance(index, tuple) else (index,)
    many = [key for key in keys if isinstance(key, (np.ndarray, list))]
    return not many or (len(many) == 1 and np.asarray(many[0]).dtype == bool)


def _write_once(g, index, shape):
    out = like_layout(g, shape)
    out[...] = 0
    target = out[index]
    if target.shape != g.shape:
        raise ShapeError(f"scatter_add: g has shape {g.shape}, expected {target.shape} for this index")
    out[index] = g
    return out


def _add_elements(positions, g, size):
    """Sum of the elements of g at each position of a line of `size`; negative ones count from the end."""
    if g.dtype.kind != "f":
        out = np.zeros(size, g.dtype)
        np.add.at(out, positions, g)
        return out
    positions = np.where(positions < 0, positions + size, positions)
    return np.bincount(positions.reshape(-1), g.reshape(-1), size).astype(g.dtype, copy=False)


def _add_rows(rows, g, shape):
    """Sum of the rows of g for each row of the result, as for an embedding: sort by row, add up the runs."""
    out = np.zeros(shape, g.dtype)
    if g.size:
        order = np.argsort(rows.reshape(-1), kind="stable")
        rows = rows.reshape(-1)[order]
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        lines = g.reshape(len(rows), *shape[1:])[order]
        out[rows[starts]] = np.add.reduceat(lines, starts, axis=0, dtype=np.float64 if g.dtype.kind == "f" else None)
    return out


# Choose, then gather ----------------------------------------------------------------------------------


def take_along_axis(x, index, *, axis):
    """``y[.., i, ..] = x[.., index[.., i, ..], ..]``: for every line along `axis` its own choice.

    Parameters
    ----------
    x : Tensor or array
    index : integers in [-n, n), array or Tensor
        Same shape as x but for `axis`, where x has n elements.
    axis : int

    Raises ShapeError, ArgError or DTypeError for an index that does not fit. NB: PyTorch's `gather`.

    >>> take_along_axis(np.array([[3, 1, 2], [9, 7, 8]]), np.array([[1], [0]]), axis=1)
    array([[1],
           [9]])
    """
    axis = check_axis("take_along_axis", axis, x.ndim)
    index = np.array(array(index))
    if index.ndim != x.ndim or any(
            n != m for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)) if i != axis):
        raise ShapeError(f"take_along_axis: index has shape {index.shape}, expected {x.shape} but for axis {axis}")
    check_integers("take_along_axis", f"index on axis {axis}", index, x.shape[axis], low=-x.shape[axis])
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[axis] = index
    return getitem(x, index=tuple(grid))


def embedding(weight, ids):
    """Rows of a table: ``y[...] = weight[ids[...]]``; the gradient of a row is the sum over its uses.

    Parameters
    ----------
    weight : (V, D) Tensor or array
        One row per word, patch position, class, ...
    ids : (...) integers in [0, V)

    Returns
    -------
    (..., D)

    >>> embedding(np.eye(3), np.array([2, 0]))
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    if weight.ndim != 2:
        raise ShapeError(f"embedding: weight has shape {weight.shape}, expected (V, D)")
    ids = np.array(array(ids))
    check_integers("embedding", "ids", ids, weight.shape[0])
    return getitem(weight, index=ids)


def _order(values, axis, descending):
    """Stable argsort; NaN counts as the largest; equal values keep their order in both directions."""
    if not descending:
        return np.argsort(values, axis=axis, kind="stable")
    last = values.shape[axis] - 1
    return np.flip(last - np.argsort(np.flip(values, axis), axis=axis, kind="stable"), axis)


def sort(x, *, axis=-1, descending=False):
    """Values of x in order along `axis`, and where they came from.

    Returns
    -------
    values : same type and shape as x; its gradient goes back to where each value came from
    indices : int64 array of the shape of x; among equal values the lower index comes first

    >>> sort(np.array([3.0, 1.0, 2.0]), descending=True)
    (array([3., 2., 1.]), array([0, 2, 1]))
    """
    axis = check_axis("sort", axis, x.ndim)
    indices = _order(array(x), axis, descending)
    return take_along_axis(x, indices, axis=axis), indices


def topk(x, *, k, axis=-1, largest=True):
    """The k largest (or smallest) values along `axis`, best first, and their indices: the head of `sort`.

    Raises ArgError unless 0 <= k <= size of the axis. Ties: lower index first (NB: PyTorch leaves that open).

    >>> topk(np.array([3.0, 1.0, 2.0, 3.0]), k=2)
    (array([3., 3.]), array([0, 3]))
    """
    axis = check_axis("topk", axis, x.ndim)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 0 <= k <= x.shape[axis]:
        raise ArgError(f"topk: k is {k!r}, expected an integer within [0, {x.shape[axis]}]")
    head = (slice(None),) * axis + (slice(int(k)),)
    indices = _order(array(x), axis, largest)[head]
    return take_along_axis(x, indices, axis=axis), indices


@op
def one_hot(labels, *, num_classes, dtype=np.float32):
    """(...) integers in [0, num_classes) -> (..., num_classes) with a 1 at the label. Not differentiable.

    >>> one_hot(np.array([2, 0]), num_classes=3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    check_integers("one_hot", "labels", labels, num_classes)
    return (np.expand_dims(labels, -1) == np.arange(num_classes)).astype(dtype)
