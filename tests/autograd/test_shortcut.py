"""The shortcut of + - * is the op itself.

Proved here: for all pairs of shapes, types and flags the operator and `Op.apply` give the same result, the same
node and the same gradients to second order; modes, observers and errors are those of the op; large arrays take
the general way.
"""

import operator

import numpy as np
import pytest

from minicv.autograd import Tensor, detect_anomaly, enable_grad, grad, keep_values, no_grad, observe
from minicv.autograd import shortcut as module
from minicv.autograd.elementwise import add, mul, sub
from minicv.autograd.op import Node
from minicv.errors import DivergenceError, ShapeError

PAIRS = [(add, operator.add), (sub, operator.sub), (mul, operator.mul)]
SHAPES = [((), ()), ((3,), ()), ((), (2, 3)), ((2, 3), (2, 3)), ((2, 1), (3,)), ((0, 3), (3,)), ((1,), (1, 1))]
SLOTS = [name for cls in Node.__mro__ for name in getattr(cls, "__slots__", ()) if not name.startswith("__")]


def tensors(shapes, dtypes=(np.float32, np.float32), flags=(True, True)):
    rng = np.random.default_rng(0)
    return [Tensor(rng.standard_normal(shape).astype(dtype), requires_grad=flag)
            for shape, dtype, flag in zip(shapes, dtypes, flags, strict=True)]


def same(x, y):
    """Equal in value, also for Tensors, tuples and None."""
    if isinstance(x, (tuple, list)):
        return len(x) == len(y) and all(map(same, x, y))
    if isinstance(x, (np.ndarray, Tensor)):
        x, y = (t.detach().numpy() if isinstance(t, Tensor) else t for t in (x, y))
        return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
    return x is y or x == y


@pytest.mark.parametrize("op, operation", PAIRS)
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("dtypes", [(np.float32, np.float32), (np.float32, np.float64)])
@pytest.mark.parametrize("flags", [(True, True), (True, False), (False, True), (False, False)])
def test_the_operator_makes_the_result_and_the_node_of_the_op(op, operation, shapes, dtypes, flags):
    a, b = tensors(shapes, dtypes, flags)
    short, long = operation(a, b), op.apply((a, b), {})
    assert same(short, long) and short.requires_grad == long.requires_grad and short.version == long.version == 0
    assert (short.node is None) == (long.node is None) == (not any(flags)) and short.grad is None
    assert not short.data.flags.writeable
    if short.node is not None:
        for name in set(SLOTS) - {"order"}:
            assert same(getattr(short.node, name), getattr(long.node, name)), name
        assert short.node.order < long.node.order


@pytest.mark.parametrize("op, operation", PAIRS)
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("dtypes", [(np.float64, np.float64), (np.float32, np.float64)])
def test_gradients_to_second_order_are_equal(op, operation, shapes, dtypes):
    def derivatives(compute):
        a, b = tensors(shapes, dtypes)
        y = compute(compute(a, b), compute(b, b))
        first = grad((y * y * y).sum(), [a, b], create_graph=True)
        return [*first, *grad(sum(((g * g).sum() for g in first), Tensor(0.0)), [a, b])]
    for x, y in zip(derivatives(operation), derivatives(op), strict=True):
        assert same(x, y)


def test_arguments_that_are_results_become_parents():
    a, b = tensors([(2,), (2,)])
    c, d = a * b, a + b
    assert (c * d).node.parents == (c.node, d.node) and (c - a).node.parents == (c.node, a)


def test_no_grad_records_nothing_and_enable_grad_records_again():
    a, b = tensors([(2,), (2,)])
    with no_grad():
        assert (a * b).node is None and not (a * b).requires_grad
        with enable_grad():
            assert (a * b).node is not None
        assert (a * b).node is None
    assert (a * b).node is not None


def test_observers_and_kept_values_see_the_operator():
    a, b = tensors([(2,), (2,)])
    seen = []
    with observe(lambda op, inputs, settings, result: seen.append((op, inputs, settings, result))):
        y = a * b
        with no_grad():
            a - b
    assert [op for op, *_ in seen] == [mul, sub] and seen[0][1:] == ((a, b), {}, y)
    with keep_values():
        assert (a + b).node.value is not None
    assert (a + b).node.value is None


def test_anomalies_are_noticed():
    a = Tensor([1e38], requires_grad=True)
    with np.errstate(over="ignore"), detect_anomaly(), pytest.raises(DivergenceError, match="mul made inf"):
        a * a * a


def test_shapes_that_do_not_fit_are_named():
    a, b = tensors([(2,), (3,)])
    with pytest.raises(ShapeError, match=r"mul: the arguments have shapes \(2,\) and \(3,\)"):
        a * b


@pytest.mark.parametrize("op, operation", PAIRS)
def test_large_arrays_take_the_general_way_and_agree(op, operation, monkeypatch):
    monkeypatch.setattr(module, "SMALL", 4)
    a, b = tensors([(2, 3), (3,)])
    assert same(operation(a, b), op.apply((a, b), {}))
    for x, y in zip(grad(operation(a, b).sum(), [a, b]), grad(op(a, b).sum(), [a, b]), strict=True):
        assert same(x, y)
