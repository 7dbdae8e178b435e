"""The engine against the catalogue of faults A1-A31: no silently wrong gradient, no lost state, no leak.

Writing (A1-A4), freeing (A5, A6), bad calls (A7-A12), types (A13, A14), shapes (A15-A19), special values (A20-A22),
deep, wide and branching graphs (A23-A25), memory (A26), exceptions and threads (A27, A28), wrong rules (A29),
Python protocol (A30, A31).
"""

import copy
import gc
import math
import pickle
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from minicv.autograd import Tensor, backward, cast, detect_anomaly, enable_grad, expand, grad, is_recording, no_grad, op
from minicv.autograd.elementwise import arctan2, exp, log, maximum, power, softplus, sqrt, tanh, where
from minicv.autograd.index import getitem
from minicv.autograd.shape import concat
from minicv.errors import DivergenceError, DTypeError, GraphError, MinicvError, ShapeError


def leaf(values, dtype=np.float64):
    return Tensor(np.asarray(values, dtype), requires_grad=True)


# Writing --------------------------------------------------------------------------------------------------


def test_A1_overwriting_a_saved_input_is_a_graph_error_with_op_and_versions():
    x = leaf([1.0, 2.0])
    y = log(x).sum()
    with no_grad():
        x += 1.0
    with pytest.raises(GraphError, match=r"input of log .*in place.*version is 1, expected 0"):
        y.backward()
    assert x.grad is None


def test_A1_overwriting_a_saved_result_is_a_graph_error():
    x = leaf([1.0, 2.0])
    y = exp(x)
    with no_grad():
        y *= 2.0
    with pytest.raises(GraphError, match="exp"):
        y.sum().backward()


def test_A1_overwriting_what_no_rule_reads_is_harmless():
    x = leaf([1.0, 2.0])
    y = (x + 1.0).sum()
    with no_grad():
        x += 1.0
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [1, 1])


@pytest.mark.parametrize("write", [
    lambda t: setattr(t, "data", np.ones(2)), lambda t: t.copy_(np.ones(2)), lambda t: t.__setitem__(0, 5.0)])
def test_A1_every_way_of_writing_is_noticed(write):
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    with no_grad():
        write(x)
    with pytest.raises(GraphError, match="in place"):
        y.backward()


def test_A2_the_raw_array_is_locked():
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        x.data[...] = 0
    with pytest.raises(ValueError, match="read-only"):
        (x * 2.0).data[0] = 0


@pytest.mark.parametrize("view", [
    lambda x: x[0], lambda x: x.transpose(), lambda x: x.reshape(4), lambda x: x.swapaxes(0, 1)])
def test_A3_views_are_locked_too_and_a_write_to_one_tensor_never_reaches_another(view):
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    v = view(x)
    with pytest.raises(ValueError, match="read-only"):
        v.data[...] = 0
    before = v.data.copy()
    with no_grad():
        x *= 0.0
    np.testing.assert_array_equal(v.data, before)


def test_A3_numpy_views_taken_before_a_write_do_not_change():
    x = leaf([1.0, 2.0])
    outside = x.data[:1]
    with no_grad():
        x += 1.0
    assert outside[0] == 1.0 and x.data[0] == 2.0


def test_A4_the_users_array_is_copied_by_the_constructor_and_when_recorded():
    a, b = np.ones(2), np.ones(2)
    x = Tensor(a, requires_grad=True)
    y = (x * b).sum()
    a[...], b[...] = 7, 7
    y.backward()
    np.testing.assert_array_equal(x.data, [1, 1])
    np.testing.assert_array_equal(x.grad.data, [1, 1])


def test_A4_an_index_array_is_copied_when_recorded():
    x, i = leaf([1.0, 2.0, 3.0]), np.array([0, 0])
    y = x[i].sum()
    i[...] = 2
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [2, 0, 0])


# Freeing ----------------------------------------------------------------------------------------------------


def test_A5_backward_twice_names_retain_graph():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(GraphError, match="retain_graph=True"):
        y.backward()
    assert x.grad.item() == 4.0


def test_A5_with_retain_graph_the_second_pass_adds():
    x = leaf(2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8.0


def test_A6_a_freed_part_shared_with_another_loss_changes_nothing():
    x, w = leaf(2.0), leaf(3.0)
    shared = x * x
    (shared * 2.0).backward()
    assert x.grad.item() == 8.0
    with pytest.raises(GraphError, match="freed"):
        (shared * w + w).backward()
    assert x.grad.item() == 8.0 and w.grad is None


def test_A6_grad_refuses_a_freed_part_instead_of_leaving_its_path_out():
    x = leaf([1.0, 2.0])
    h = x * x
    grad(h.sum(), [x])
    with pytest.raises(GraphError, match="freed"):
        grad((h * h + x).sum(), [x])
    with pytest.raises(GraphError, match="freed"):
        grad(h.sum(), [x], allow_unused=True)


def test_A6_grad_of_an_unfreed_part_still_works():
    x, w = leaf(2.0), leaf(3.0)
    shared = x * x
    loss = shared + w * w
    shared.backward()
    assert grad(loss, [w])[0].item() == 6.0


# Bad calls --------------------------------------------------------------------------------------------------


def test_A7_a_vector_needs_a_cotangent():
    y = leaf([1.0, 2.0]) * 2.0
    with pytest.raises(GraphError, match=r"\(2,\).*only for scalar outputs"):
        y.backward()


@pytest.mark.parametrize("gradient, error", [
    (np.ones(3), ShapeError), (np.ones((2, 1)), ShapeError), (np.array(["a", "b"]), DTypeError),
    (np.ones(2, complex), DTypeError), (None, GraphError), ("no", DTypeError)])
def test_A8_a_wrong_cotangent_leaves_grad_alone(gradient, error):
    x = leaf([1.0, 2.0])
    with pytest.raises(error):
        (x * 2.0).backward(gradient)
    assert x.grad is None


def test_A9_backward_of_leaves_and_of_untracked_tensors_is_refused():
    with pytest.raises(GraphError, match="leaf"):
        leaf(1.0).backward()
    with pytest.raises(GraphError, match="does not require"):
        (Tensor(1.0) * 2.0).backward()
    with pytest.raises(GraphError, match="inputs\\[0\\]"):
        grad(leaf(1.0) * 2.0, [Tensor(1.0)])
    with pytest.raises(GraphError, match="does not depend"):
        grad(leaf(1.0) * 2.0, [leaf(1.0)])


def test_A10_detach_and_argmax_cut_and_numpy_is_refused():
    x = leaf([1.0, 3.0])
    assert not x.detach().requires_grad and not (x > 2.0).requires_grad
    assert int(x.argmax()) == 1
    for cut in (np.sin, np.asarray, math.sin, lambda t: t.numpy(), lambda t: np.add(t, 1.0, out=np.ones(2))):
        with pytest.raises((GraphError, ShapeError)):
            cut(x)
    with pytest.raises(GraphError, match="detach"):
        float(leaf(1.0))


def test_A10_arrays_on_the_left_are_recorded():
    x = leaf([1.0, 2.0])
    y = (np.array([3.0, 4.0]) * x + np.ones(2) - np.eye(2) @ x).sum()
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [2, 3])


@pytest.mark.parametrize("data", [[1, 2], [True, False], np.arange(3)])
def test_A11_integers_cannot_require_a_gradient(data):
    with pytest.raises(DTypeError, match="requires_grad"):
        Tensor(data, requires_grad=True)


def test_A11_and_A12_data_and_grad_keep_shape_and_dtype():
    x = leaf([1.0, 2.0])
    for name in ("data", "grad"):
        with pytest.raises(DTypeError, match=name):
            setattr(x, name, np.array([1, 2]))
        with pytest.raises(DTypeError, match=name):
            setattr(x, name, np.ones(2, np.float32))
        with pytest.raises(ShapeError, match=name):
            setattr(x, name, np.ones(3))
    np.testing.assert_array_equal(x.data, [1, 2])
    assert x.version == 0 and x.grad is None


# Types ------------------------------------------------------------------------------------------------------


def test_A13_mixed_precision_promotes_and_each_gradient_has_the_type_of_its_input():
    a, b = leaf([1.0, 2.0], np.float32), leaf([3.0, 4.0], np.float64)
    for fn in (lambda: a * b, lambda: a + b, lambda: concat(a, b), lambda: where(np.array([True, False]), a, b)):
        y = fn()
        assert y.dtype == np.float64
        for g, x in zip(grad(y.sum(), [a, b], retain_graph=True), (a, b), strict=True):
            assert g.dtype == x.dtype and g.shape == x.shape


def test_A13_a_cast_sends_the_gradient_back_in_the_type_of_its_input():
    x = leaf([1.5, -2.0], np.float32)
    y = cast(x, dtype=np.float64)
    g, = grad((y * y * y).sum(), [x], create_graph=True)
    assert y.dtype == np.float64 and g.dtype == np.float32 and g.data.tolist() == [6.75, 12.0]
    h, = grad(g.sum(), [x])
    assert h.dtype == np.float32 and h.data.tolist() == [9.0, -12.0]


@pytest.mark.parametrize("scalar", [2, 2.0, np.float64(2), np.int64(2), np.array(2.0), True])
def test_A14_scalars_never_raise_the_precision(scalar):
    x = leaf([1.0, 2.0], np.float32)
    for y in (x * scalar, scalar + x, x - scalar, scalar / x, x ** scalar, maximum(x, scalar)):
        assert y.dtype == np.float32
        assert grad(y.sum(), [x])[0].dtype == np.float32


# Shapes -----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3))
def test_A15_the_gradient_of_a_broadcast_argument_has_exactly_its_shape(shapes):
    rng = np.random.default_rng(0)
    a, b = (leaf(rng.standard_normal(s)) for s in shapes.input_shapes)
    y = a * b
    g = rng.standard_normal(y.shape)
    ga, gb = grad(y, [a, b], g)
    assert y.shape == shapes.result_shape and ga.shape == a.shape and gb.shape == b.shape
    # Oracle: <g, (da) b> for the all-ones da equals the sum of ga, by linearity.
    np.testing.assert_allclose(ga.data.sum(), (g * b.data).sum(), atol=1e-12)
    np.testing.assert_allclose(gb.data.sum(), (g * a.data).sum(), atol=1e-12)


def test_A16_each_use_counts_once():
    x = leaf([3.0])
    for y, expected in ((x * x, 6), (x + x, 2), (x - x, 0), (x @ x, 6), (concat(x, x, x).sum(), 3), (x / x, 0),
                        (where(np.array([True]), x, x), 1), (maximum(x, x), 1)):
        assert grad(y, [x])[0].data.tolist() == [expected]


def test_A16_the_same_tensor_as_weight_and_input():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    g, = grad((x @ x).sum(), [x])
    ones = np.ones((2, 2))
    np.testing.assert_array_equal(g.data, ones @ x.data.T + x.data.T @ ones)


def test_A17_an_expanded_argument_with_stride_zero():
    x = leaf([1.0, 2.0])
    wide = expand(x, shape=(3, 2))
    g, = grad((wide * wide).sum(), [x])
    np.testing.assert_array_equal(g.data, 3 * 2 * x.data)
    t = Tensor(np.broadcast_to(np.ones(1), (4,)), requires_grad=True)
    with no_grad():
        t[0] = 5.0
    np.testing.assert_array_equal(t.data, [5, 1, 1, 1])


@pytest.mark.parametrize("make", [
    np.asfortranarray, lambda a: a[::-1][::-1], lambda a: np.repeat(a, 2, 1)[:, ::2], lambda a: a.astype(">f8"),
    lambda a: a.T.copy().T])
def test_A18_any_layout_gives_the_same_result(make):
    a = np.arange(6.0).reshape(2, 3)
    x, y = leaf(a), Tensor(make(a), requires_grad=True)
    assert y.dtype == np.float64 and y.dtype.isnative
    np.testing.assert_array_equal(grad(tanh(x @ x.T).sum(), [x])[0].data, grad(tanh(y @ y.T).sum(), [y])[0].data)


def test_A18_a_memory_map_is_copied(tmp_path):
    path = tmp_path / "a.bin"
    np.arange(4.0).tofile(path)
    x = Tensor(np.memmap(path, np.float64, "r"), requires_grad=True)
    assert type(x.data) is np.ndarray
    np.testing.assert_array_equal(grad((x * x).sum(), [x])[0].data, [0, 2, 4, 6])


def test_A19_empty_tensors_have_empty_gradients():
    x = leaf(np.ones((0, 3)))
    g, = grad((tanh(x) * x).sum(), [x])
    assert g.shape == (0, 3)


# Special values ----------------------------------------------------------------------------------------------


def test_A20_anomaly_mode_names_the_first_op_that_makes_a_nan():
    x = leaf([1.0, -1.0])
    with detect_anomaly(), pytest.raises(DivergenceError, match=r"log .*index \(1,\)"):
        log(x)
    with detect_anomaly(), pytest.raises(DivergenceError, match="gradient of argument 0 of sqrt"):
        sqrt(x * 0.0).sum().backward()
    assert np.isnan(log(x).data[1]) and x.grad is None


def test_A21_built_in_functions_keep_the_branch_not_taken_safe():
    x = leaf([-800.0, 0.0, 800.0])
    assert np.isfinite(grad(softplus(x).sum(), [x])[0].data).all()
    unsafe = where(x.data > 0, log(x), 0.0)                    # the documented trap
    with np.errstate(all="ignore"):
        assert np.isnan(grad(unsafe.sum(), [x])[0].data[1])
    safe = where(x.data > 0, log(where(x.data > 0, x, 1.0)), 0.0)
    np.testing.assert_array_equal(grad(safe.sum(), [x])[0].data, [0, 0, 1 / 800])


@pytest.mark.parametrize("fn, x, value, slope", [
    (lambda x: log(x), 0.0, -np.inf, np.inf), (lambda x: sqrt(x), 0.0, 0, np.inf),
    (lambda x: power(x, 0.0), 0.0, 1, 0), (lambda x: power(x, 2.0), 0.0, 0, 0),
    (lambda x: power(0.0, x), 2.0, 0, 0), (lambda x: power(x, 1.0), 0.0, 0, 1),
    (lambda x: arctan2(x, 0.0), 0.0, 0, 0), (lambda x: x.var(), 3.0, 0, 0), (lambda x: abs(x), 0.0, 0, 0)])
def test_A22_values_and_slopes_at_special_points(fn, x, value, slope):
    x = leaf(x)
    y = fn(x)
    with np.errstate(all="ignore"):
        assert y.item() == value and grad(y, [x])[0].item() == slope


# Deep, wide, branching --------------------------------------------------------------------------------------


def _chain(length):
    x = leaf(1.0)
    y = x
    for _ in range(length):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0 and y.item() == length + 1
    for _ in range(length):
        y = y + 1.0
    del y                                                       # deleting an unused graph must not recurse


def test_A23_a_chain_of_a_hundred_thousand_ops():
    _chain(10**5)


@pytest.mark.slow
def test_A23_a_chain_of_a_million_ops():
    _chain(10**6)


def test_A23_a_retained_chain_is_deleted_without_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(10**5):
        y = y * 1.0
    y.backward(retain_graph=True)
    node = weakref.ref(y.node)
    del y
    assert node() is None


def test_A24_a_tensor_used_a_hundred_thousand_times():
    x = leaf([1.0])
    uses = 10**5
    concat(*[x] * uses).sum().backward()
    assert x.grad.item() == uses
    concat(*[x * 2.0 for _ in range(uses)]).sum().backward()
    assert x.grad.item() == 3 * uses


def test_A25_a_diamond_of_depth_thirty_visits_each_node_once():
    calls = []

    @op
    def double(x):
        return x * 2.0
    double.vjp(lambda g, y, x: (calls.append(1), g * 2.0)[1], saves=())
    x = leaf(1.0)
    y = x
    for _ in range(30):
        d = double(y)
        y = d * 0.5 + d * 0.5
    y.backward()
    assert len(calls) == 30 and x.grad.item() == 2.0**30


# Memory -----------------------------------------------------------------------------------------------------


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_tensors_and_graph_die_with_the_last_name(no_collector):
    x = leaf(np.ones(4))
    y = tanh(x) * x
    z = y.sum()
    watched = [weakref.ref(t) for t in (y, z, y.node, z.node)]
    del y, z
    assert [w() for w in watched] == [None] * 4


def test_backward_frees_intermediate_results_at_once(no_collector):
    x = leaf(np.ones(4))
    y = tanh(x * 2.0)
    z = (y * y).sum()
    inner = weakref.ref(y)
    del y
    assert inner() is not None                                  # saved for the product rule
    z.backward()
    assert inner() is None


def test_second_order_leaves_nothing_behind(no_collector):
    x = leaf(np.ones(4))
    g, = grad((x * x * x).sum(), [x], create_graph=True)
    h, = grad(g.sum(), [x])
    watched = [weakref.ref(t) for t in (x, g, h)]
    np.testing.assert_array_equal(h.data, 6 * np.ones(4))
    del x, g, h
    assert [w() for w in watched] == [None] * 3


def test_A26_backward_with_create_graph_warns_about_its_cycle():
    x = leaf(2.0)
    with pytest.warns(UserWarning, match="create_graph"):
        (x * x * x).backward(create_graph=True)
    assert grad(x.grad, [x])[0].item() == 12.0
    x.grad = None


def test_memory_of_many_steps_is_constant(no_collector):
    """A32, on the number of live objects."""
    w = leaf(np.ones(8))

    def step():
        w.grad = None
        (tanh(w * 2.0) * w).sum().backward()
    for _ in range(20):
        step()
    before = len(gc.get_objects())
    for _ in range(200):
        step()
    assert abs(len(gc.get_objects()) - before) < 50


# Exceptions, threads, generators ------------------------------------------------------------------------------


def _failing(forward=False):
    @op
    def fails(x):
        if forward:
            raise RuntimeError("forward")
        return x * 1.0

    def rule(g, y, x):
        raise RuntimeError("rule")
    return fails.vjp(rule)


def test_A27_an_exception_restores_modes_and_frees_memory(no_collector):
    x = leaf([1.0])
    with pytest.raises(RuntimeError, match="forward"), no_grad(), detect_anomaly():
        _failing(forward=True)(x)
    assert is_recording()
    y = _failing()(x) * 2.0
    for create_graph in (False, True):
        with pytest.raises(RuntimeError, match="rule"):
            grad(y, [x], create_graph=create_graph, retain_graph=True)
    assert is_recording() and x.grad is None
    with pytest.raises(RuntimeError, match="rule"):
        y.backward()
    assert x.grad is None
    node = weakref.ref(y.node)
    del y
    assert node() is None


def test_A27_an_exception_while_writing_locks_the_array_again():
    x = leaf([1.0, 2.0])
    with no_grad(), pytest.raises(RuntimeError), x.writable() as a:
        a[0] = 9.0
        raise RuntimeError
    assert x.version == 1 and not x.data.flags.writeable


def test_A28_modes_nest_and_belong_to_one_thread():
    seen = []
    with no_grad():
        with enable_grad():
            assert is_recording()
        assert not is_recording()
        thread = threading.Thread(target=lambda: seen.append(is_recording()))
        thread.start()
        thread.join()
    assert seen == [True] and is_recording()


def test_A28_a_decorated_generator_switches_only_while_it_runs():
    inside = []

    @no_grad()
    def items():
        for i in range(3):
            inside.append(is_recording())
            yield i
    for _ in items():
        assert is_recording()
    assert inside == [False] * 3


def test_A28_a_decorated_generator_that_is_left_early_or_fails_restores_the_mode():
    @no_grad()
    def items():
        yield 1
        raise RuntimeError
    next(items())
    assert is_recording()
    with pytest.raises(RuntimeError):
        list(items())
    assert is_recording()


def test_A28_a_decorated_generator_still_receives_values():
    closed = []

    @no_grad()
    def echo():
        got = None
        try:
            while True:
                got = yield got
        finally:
            closed.append(is_recording())
    items = echo()
    next(items)
    assert items.send(5) == 5
    items.close()
    assert closed == [False] and is_recording()


def test_A28_a_decorated_generator_receives_exceptions_and_returns_its_value():
    @no_grad()
    def guarded():
        try:
            yield 1
        except KeyError:
            yield is_recording()
        return "done"
    items = guarded()
    next(items)
    assert items.throw(KeyError()) is False and is_recording()
    with pytest.raises(StopIteration, match="done"):
        next(items)


def test_A28_a_decorated_recursive_function():
    @no_grad()
    def count(n):
        return is_recording() if n == 0 else count(n - 1)
    assert count(3) is False and is_recording()


def test_A28_two_threads_differentiate_their_own_graphs():
    def work(slot):
        x = leaf(np.full(50, slot + 1.0))
        y = x
        for _ in range(200):
            y = tanh(y * 1.01)
        results[slot] = grad(y.sum(), [x])[0].data
    results = [None, None]
    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    expected = list(results)
    for slot in (0, 1):
        work(slot)
        np.testing.assert_array_equal(results[slot], expected[slot])


# Wrong rules ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer, message", [
    (lambda g: None, "NoneType"), (lambda g: 1.0, "float"), (lambda g: [g], "list"),
    (lambda g: g[:1], r"shape \(1,\)")])
def test_A29_a_rule_that_returns_nonsense_is_named(answer, message):
    @op
    def faulty(x):
        return x * 1.0
    faulty.vjp(lambda g, y, x: answer(g), saves=())
    x = leaf([1.0, 2.0])
    for create_graph in (False, True):
        with pytest.raises(GraphError, match=f"faulty.*{message}"):
            grad(faulty(x), [x], np.ones(2), create_graph=create_graph)


def test_A29_the_wrong_number_of_gradients_is_named():
    @op
    def faulty(*xs):
        return xs[0] + xs[1]
    faulty.vjp_all(lambda g, y, inputs, needs: [g], saves=())
    a, b = leaf([1.0]), leaf([2.0])
    with pytest.raises(GraphError, match="faulty: .* 1 gradients, expected 2"):
        grad(faulty(a, b), [a, b])


def test_A29_the_wrong_number_of_rules_is_refused_at_definition():
    with pytest.raises(GraphError, match="2 rules, expected 1"):
        op(lambda x: x).vjp(lambda g, y, x: g, lambda g, y, x: g)
    with pytest.raises(MinicvError, match="saves names"):
        op(lambda x: x).vjp(lambda g, y, x: g, saves=("z",))


# Python protocol ------------------------------------------------------------------------------------------------


def test_A30_truth_and_comparison():
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match="truth value"):
        bool(x)
    assert bool(Tensor(1.0)) and not bool(Tensor([0.0]))
    assert (x == x).data.all() and (x != Tensor([1.0, 3.0])).data.tolist() == [False, True]
    assert {x: "by identity"}[x] == "by identity"


def test_A31_pickle_and_deepcopy_of_a_computed_tensor_are_refused_and_leaves_are_copied():
    x = leaf([1.0, 2.0])
    for way in (copy.deepcopy, pickle.dumps):
        with pytest.raises(GraphError, match="detach"):
            way(x * 2.0)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.requires_grad and twin is not x
        np.testing.assert_array_equal(twin.data, x.data)
        with no_grad():
            twin += 1.0
    np.testing.assert_array_equal(x.data, [1, 2])


def test_A31_ops_pickle_by_name_and_copy_as_themselves():
    assert pickle.loads(pickle.dumps(getitem)) is getitem and copy.deepcopy(tanh) is tanh


# The walk itself ------------------------------------------------------------------------------------------------


def test_gradients_of_intermediate_results_and_of_leaves_at_once():
    x = leaf(3.0)
    y = x * x
    gx, gy = grad(y * y, [x, y])
    assert gy.item() == 18.0 and gx.item() == 108.0


def test_grad_leaves_dot_grad_alone_and_unused_inputs_are_none_on_request():
    x, w = leaf(2.0), leaf(1.0)
    assert grad(x * x, [x, w], allow_unused=True)[1] is None
    assert x.grad is None


def test_backward_function_and_method_agree_and_a_cotangent_scales():
    x = leaf([1.0, 2.0])
    backward(x * x, np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad.data, [2, 40])


def test_gradients_do_not_share_memory():
    a, b = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    (a + b).sum().backward()
    with no_grad():
        a.grad[0] = 50.0
    np.testing.assert_array_equal(b.grad.data, [1, 1])


def test_Taylor_remainder_shrinks_with_the_second_and_third_power():
    """Slope 2 with the gradient, slope 3 with the Hessian."""
    rng = np.random.default_rng(0)
    a, v = rng.standard_normal((4, 4)), rng.standard_normal(4)

    def f(x):
        return (tanh(x @ a) * exp(x * 0.3)).sum()
    x = leaf(rng.standard_normal(4))
    g, = grad(f(x), [x], create_graph=True)
    hv, = grad((g * v).sum(), [x])
    steps = np.array([1e-2, 5e-3, 2.5e-3])
    moved = np.array([f(Tensor(x.data + h * v)).item() for h in steps])
    first = np.abs(moved - f(x).item() - steps * (g.data @ v))
    second = np.abs(moved - f(x).item() - steps * (g.data @ v) - steps**2 / 2 * (hv.data @ v))
    np.testing.assert_allclose(np.log2(first[:-1] / first[1:]), 2, atol=0.1)
    np.testing.assert_allclose(np.log2(second[:-1] / second[1:]), 3, atol=0.1)


def test_A3_a_view_of_the_data_cannot_be_unlocked():
    x = Tensor(np.arange(3.0), requires_grad=True)
    for values in (x.data, x.detach().numpy(), np.asarray(x.detach()), x.reshape(3, 1).data):
        with pytest.raises(ValueError):
            values.setflags(write=True)
    assert x.data.tolist() == [0, 1, 2] and x.version == 0


@pytest.mark.parametrize("call", [np.sum, np.mean, np.sort, lambda x: np.concatenate([x, x]),
                                  lambda x: np.stack((x, x)), lambda x: np.where([True, False], x, 0.0)])
def test_A10_a_numpy_function_refuses_a_tracked_tensor_and_takes_any_other(call):
    x = Tensor(np.array([3.0, -1.0]), requires_grad=True)
    with pytest.raises(GraphError, match="gradient"):
        call(x)
    np.testing.assert_array_equal(call(x.detach()), call(x.data))
    assert (np.shape(x), np.ndim(x), np.size(x), np.result_type(x, np.float32)) == ((2,), 1, 2, np.float64)


@pytest.mark.parametrize("values", [np.array([1j]), np.array(["a"]), np.array([None])])
def test_arrays_of_other_types_are_refused_by_every_op(values):
    for call in (exp, lambda x: x + Tensor(1.0), lambda x: power(x, 2.0)):
        with pytest.raises(DTypeError, match="dtype"):
            call(values)


def test_A10_the_shape_of_a_tracked_tensor_may_be_asked_for_in_numpy_words():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2, 3), 2, 6)


@pytest.mark.parametrize("dtype", ["bogus", "float16", complex, object, np.longdouble])
def test_L24_types_that_minicv_does_not_compute_with_are_refused_by_name(dtype):
    for call in (lambda: Tensor([1.0], dtype=dtype), lambda: Tensor([1.0]).astype(dtype)):
        with pytest.raises(DTypeError, match="dtype is .*, expected float32"):
            call()


@pytest.mark.parametrize("write, error, word", [
    (lambda t: t.__setitem__(5, 1.0), MinicvError, "index on axis 0 is 5"),
    (lambda t: t.__setitem__(slice(None), [1, 2, 3]), ShapeError, r"item assignment .*shape \(3,\).*\(2,\)"),
    (lambda t: t.__setitem__(0, "a"), DTypeError, "item assignment .*dtype"),
    (lambda t: t.__iadd__(np.ones(3)), ShapeError, r"in-place add .*shape \(3,\)"),
    (lambda t: t.__imul__(np.ones((2, 2))), ShapeError, r"in-place multiply .*shape \(2, 2\)"),
    (lambda t: t.__iadd__(np.array([1j, 0])), DTypeError, "in-place add .*complex128"),
])
def test_a_write_that_does_not_fit_is_refused_before_it_counts(write, error, word):
    t = Tensor([1.0, 2.0])
    with pytest.raises(error, match=word):
        write(t)
    assert t.version == 0 and t.tolist() == [1, 2]


def test_a_float_added_in_place_to_integers_is_refused():
    t = Tensor([1, 2])
    with pytest.raises(DTypeError, match="in-place add .*float64.*int64"):
        t += 0.5
    t[0] = 7.9                                                  # assignment converts, as in NumPy
    t[0] = np.array([[8]])
    assert t.tolist() == [8, 2]
