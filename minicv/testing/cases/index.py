"""Cases of `minicv.autograd.index`: oracles are loops, or NumPy in another formulation."""

import numpy as np

from ...autograd import index
from ...errors import ArgError, DTypeError, ShapeError
from ..registry import Bad, OpSpec, Sample

_NEW = None
_ALL = slice(None)
_MASK = np.array([True, False, True])

INDICES = [   # shape of x, index
    ((3, 4), (_ALL, slice(3, 0, -2))),
    ((), ()),
    ((1,), 0),
    ((3, 4), (1, -1)),
    ((3, 4), (Ellipsis, 2)),
    ((3, 4), (_NEW, _ALL, _NEW, slice(1, 3))),
    ((3, 4), _MASK),
    ((3, 4), np.array([2, 0, 2, -1])),
    ((3, 4), (np.array([[0, 2], [2, 2]]), np.array([1, 1]))),
    ((2, 3, 4), (_ALL, np.array([0, 0, 2]))),
    ((2, 3, 4), (np.array([1, 0, 1]), _ALL, np.array([3, 0, 3]))),
    ((3, 4), (_MASK, np.array([1, 1]))),
    ((3, 4), (_MASK, 2)),
    ((3, 4), np.arange(12).reshape(3, 4) % 3 == 0),
    ((5,), np.zeros((0,), np.int64)),
    ((0, 3), slice(None)),
    ((3,), np.array([[1], [1]])),
]


def _getitem_ref(x, index):
    """Look the elements up through a table of their positions."""
    table = np.array(range(x.size), dtype=np.int64).reshape(x.shape)[index]
    values = x.ravel().tolist()
    return np.array([values[i] for i in np.ravel(table)], dtype=np.float64).reshape(np.shape(table))


GETITEM = OpSpec(
    index.getitem, _getitem_ref,
    lambda rng: [Sample((rng.standard_normal(shape),), dict(index=i)) for shape, i in INDICES],
    lambda: [
        Bad((np.ones((3, 4)),), dict(index=3), ArgError, r"index on axis 0 is 3 .*\[-3, 3\)"),
        Bad((np.ones((3, 4)),), dict(index=(0, -5)), ArgError, "axis 1 is -5"),
        Bad((np.ones((3, 4)),), dict(index=(0, 0, 0)), ArgError, "3 axes"),
        Bad((np.ones((3, 4)),), dict(index=np.array([0.0, 1.0])), DTypeError, "float64"),
        Bad((np.ones((3, 4)),), dict(index=np.array([0, 7])), ArgError, r"axis 0 is 7 at \(1,\)"),
        Bad((np.ones((3, 4)),), dict(index=np.ones(4, bool)), ShapeError, r"mask has shape \(4,\)"),
        Bad((np.ones((3, 4)),), dict(index=(np.array([0, 1]), np.array([0, 1, 2]))), ShapeError, "fit together"),
        Bad((np.ones((3, 4)),), dict(index=(Ellipsis, Ellipsis)), ArgError, "several"),
        Bad((np.ones((3, 4)),), dict(index=slice(0, 2, 0)), ArgError, "step"),
        Bad((np.ones((3, 4)),), dict(index=slice(0.0, 2)), DTypeError, "integers"),
        Bad((np.ones((3, 4)),), dict(index="0"), DTypeError, "integers"),
        Bad((np.ones((3, 4)),), dict(index=True), DTypeError, "True")], nan="selects")


def _scatter_add_ref(g, index, shape):
    table = np.arange(int(np.prod(shape))).reshape(shape)[index]
    y = np.zeros(int(np.prod(shape)))
    for i, value in zip(np.ravel(table).tolist(), g.ravel().tolist(), strict=True):
        y[i] += value
    return y.reshape(shape)


def _scatter_samples(rng):
    return [Sample((rng.standard_normal(np.shape(np.empty(shape)[i])),), dict(index=i, shape=shape))
            for shape, i in INDICES]


SCATTER_ADD = OpSpec(
    index.scatter_add, _scatter_add_ref, _scatter_samples, lambda: [
        Bad((np.ones(2),), dict(index=np.array([0, 3]), shape=(3,)), ArgError, "axis 0 is 3"),
        Bad((np.ones(3),), dict(index=np.array([0, 1]), shape=(3,)), ShapeError, r"g has shape \(3,\)"),
        Bad((np.ones(3),), dict(index=slice(0, 2), shape=(3,)), ShapeError, r"g has shape \(3,\)"),
        Bad((np.ones(1),), dict(index=np.array([0.5]), shape=(3,)), DTypeError, "float64"),
        Bad((np.ones(1),), dict(index=(0, 0), shape=(3,)), ArgError, "2 axes")])


def _take_ref(x, index, axis):
    y = np.empty(index.shape)
    for at in np.ndindex(*index.shape):
        source = list(at)
        source[axis] = index[at]
        y[at] = x[tuple(source)]
    return y


TAKE = OpSpec(
    index.take_along_axis, _take_ref, lambda rng: [
        Sample((rng.standard_normal(s), rng.integers(-s[axis], s[axis], t)), dict(axis=axis)) for s, t, axis in [
            ((3, 4), (3, 2), 1), ((1,), (1,), 0), ((5,), (9,), 0), ((3, 4), (2, 4), 0), ((3, 4), (3, 4), -1),
            ((2, 1, 3), (2, 4, 3), 1), ((3, 4), (3, 0), 1), ((2, 3, 2, 2), (2, 1, 2, 2), 1), ((0, 3), (0, 5), 1)]],
    lambda: [
        Bad((np.ones((3, 4)), np.full((3, 1), 4)), dict(axis=1), ArgError, "axis 1 is 4"),
        Bad((np.ones((3, 4)), np.full((3, 1), -5)), dict(axis=1), ArgError, "axis 1 is -5"),
        Bad((np.ones((3, 4)), np.zeros((2, 1), int)), dict(axis=1), ShapeError, r"index has shape \(2, 1\)"),
        Bad((np.ones((3, 4)), np.zeros(3, int)), dict(axis=1), ShapeError, r"\(3,\)"),
        Bad((np.ones((3, 4)), np.zeros((3, 1), bool)), dict(axis=1), DTypeError, "bool"),
        Bad((np.ones((3, 4)), np.zeros((3, 1), int)), dict(axis=2), ArgError, "axis is 2")], nan="selects")


def _embedding_ref(weight, ids):
    return np.array([weight[i].tolist() for i in np.ravel(ids)]).reshape(*np.shape(ids), weight.shape[1])


EMBEDDING = OpSpec(
    index.embedding, _embedding_ref, lambda rng: [
        Sample((rng.standard_normal((v, d)), rng.integers(0, v, s))) for v, d, s in [
            (4, 3, (5,)), (1, 1, (1,)), (4, 3, ()), (4, 3, (2, 3)), (2, 1, (6,)), (3, 2, (0,)), (5, 2, (1, 1, 1)),
            (3, 4, (2, 0))]] + [Sample((1e6 * rng.standard_normal((3, 2)), np.array([1, 1, 1])))],
    lambda: [
        Bad((np.ones((4, 3)), np.array([0, 4])), {}, ArgError, r"ids is 4 at \(1,\)"),
        Bad((np.ones((4, 3)), np.array([-1])), {}, ArgError, "ids is -1"),
        Bad((np.ones((4, 3)), np.array([True])), {}, DTypeError, "bool"),
        Bad((np.ones(4), np.array([0])), {}, ShapeError, r"\(V, D\)"),
        Bad((np.ones((2, 2, 2)), np.array([0])), {}, ShapeError, r"\(2, 2, 2\)")], nan="selects")


def _apart(rng, shape):
    """Distinct values, far from ties."""
    n = int(np.prod(shape))
    return (rng.permutation(n).reshape(shape) - n / 2) * 0.5


def sorted_values(x, **settings):
    """The first result of `sort`."""
    return index.sort(x, **settings)[0]


def _sort_ref(x, axis=-1, descending=False):
    y = np.moveaxis(x.copy(), axis, -1)
    for at in np.ndindex(*y.shape[:-1]):
        y[at] = sorted(y[at].tolist(), reverse=descending)
    return np.moveaxis(y, -1, axis)


SORT = OpSpec(
    sorted_values, _sort_ref, lambda rng: [Sample((_apart(rng, s),), settings) for s, settings in [
        ((5,), {}), ((1,), {}), ((3, 4), dict(descending=True)), ((3, 4), dict(axis=0)), ((2, 1, 3), dict(axis=1)),
        ((0,), {}), ((3, 0), dict(descending=True)), ((2, 3, 2), dict(axis=1, descending=True)), ((40,), {})]],
    lambda: [
        Bad((np.ones((2, 3)),), dict(axis=2), ArgError, "sort: axis is 2"),
        Bad((np.array(1.0),), {}, ArgError, "axis is -1"),
        Bad((np.ones(3),), dict(axis=None), DTypeError, "axis is None"),
        Bad((np.ones(3),), dict(axis=0.0), DTypeError, "axis is 0.0"),
        Bad((np.ones(3),), dict(axis=-2), ArgError, "axis is -2")], name="sort")


def top_values(x, **settings):
    """The first result of `topk`."""
    return index.topk(x, **settings)[0]


def _topk_ref(x, k, axis=-1, largest=True):
    return np.moveaxis(np.moveaxis(_sort_ref(x, axis, largest), axis, 0)[:k], 0, axis)


TOPK = OpSpec(
    top_values, _topk_ref, lambda rng: [Sample((_apart(rng, s),), settings) for s, settings in [
        ((5,), dict(k=2)), ((1,), dict(k=1)), ((3, 4), dict(k=3, largest=False)), ((3, 4), dict(k=2, axis=0)),
        ((2, 1, 3), dict(k=1, axis=1)), ((0,), dict(k=0)), ((4,), dict(k=0)), ((2, 3, 2), dict(k=3, axis=1))]],
    lambda: [
        Bad((np.ones(3),), dict(k=4), ArgError, r"k is 4.*\[0, 3\]"),
        Bad((np.ones(3),), dict(k=-1), ArgError, "k is -1"),
        Bad((np.ones(3),), dict(k=1.0), ArgError, "k is 1.0"),
        Bad((np.ones(3),), dict(k=1, axis=1), ArgError, "axis is 1"),
        Bad((np.array(1.0),), dict(k=1), ArgError, "axis is -1")], nan="selects", name="topk")

ONE_HOT = OpSpec(
    index.one_hot, lambda labels, num_classes, dtype=np.float32: np.eye(num_classes, dtype=dtype)[labels],
    lambda rng: [Sample((rng.integers(0, k, s),), dict(num_classes=k, **more)) for s, k, more in [
        ((5,), 3, {}), ((), 2, {}), ((1,), 1, {}), ((2, 3), 4, {}), ((0,), 3, {}), ((4,), 5, dict(dtype=np.float64)),
        ((1, 1), 2, dict(dtype=bool)), ((3,), 7, dict(dtype=np.int64))]],
    lambda: [
        Bad((np.array([0, 3]),), dict(num_classes=3), ArgError, r"labels is 3 at \(1,\)"),
        Bad((np.array([-1]),), dict(num_classes=3), ArgError, "labels is -1"),
        Bad((np.array([0.0]),), dict(num_classes=3), DTypeError, "float64"),
        Bad((np.array([True]),), dict(num_classes=3), DTypeError, "bool"),
        Bad((np.array([0]),), dict(num_classes=0), ArgError, "labels is 0")],
    order=0, why="integers in", nan="selects")


def specs():
    """One spec per op of the family."""
    return [GETITEM, SCATTER_ADD, TAKE, EMBEDDING, SORT, TOPK, ONE_HOT]
