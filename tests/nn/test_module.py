"""Modules: what is proved here.

Names follow the order of assignment through lists, tuples, dicts; a typo is an AttributeError; cycles are a
GraphError (L23); shared parameters appear once in `parameters` and under every name in the state; a state is
loaded whole or not at all with one complete error (W9), in the memory order of the module; train / eval /
freeze / hooks / deepcopy / pickle / random state behave as documented.
"""

import copy
import pickle

import numpy as np
import pytest

from minicv.autograd import Tensor, grad
from minicv.errors import ArgError, CheckpointError, DTypeError, GraphError
from minicv.nn import (
    BatchNorm2d,
    Buffer,
    Conv2d,
    Dropout,
    Linear,
    Module,
    Parameter,
    ReLU,
    Sequential,
    mse,
)


class Zoo(Module):
    """One of each kind of container."""

    def __init__(self, rng=0):
        rng = np.random.default_rng(rng)
        self.first = Linear(2, 3, rng=rng)
        self.layers = [Linear(3, 3, rng=rng), (Linear(3, 3, rng=rng), BatchNorm2d(3))]
        self.heads = {"a": Linear(3, 1, rng=rng), 7: Dropout(0.5, rng=rng)}
        self.scale = Parameter(np.ones(1, np.float32))
        self.mean = Buffer(np.zeros(2))
        self.note, self.sizes, self.plain = "text", (1, 2), Tensor([1.0])

    def forward(self, x):
        return self.heads["a"](self.layers[0](self.first(x))) * self.scale


BN = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
ZOO_STATE = ["first.weight", "first.bias", "layers.0.weight", "layers.0.bias", "layers.1.0.weight", "layers.1.0.bias",
             *[f"layers.1.1.{n}" for n in BN], "heads.a.weight", "heads.a.bias", "scale", "mean"]


# Finding ---------------------------------------------------------------------------------------------------


def test_names_follow_the_order_of_assignment_through_lists_tuples_and_dicts():
    zoo = Zoo()
    assert list(zoo.state_dict()) == ZOO_STATE
    buffers = [f"layers.1.1.{n}" for n in BN[2:]] + ["mean"]
    assert [n for n, _ in zoo.named_buffers()] == buffers
    assert [n for n, _ in zoo.named_parameters()] == [n for n in ZOO_STATE if n not in buffers]
    assert [n for n, _ in zoo.named_modules()] == ["", "first", "layers.0", "layers.1.0", "layers.1.1", "heads.a",
                                                   "heads.7"]
    assert [n for n, _ in zoo.named_children()] == [n for n, _ in zoo.named_modules()][1:]


def test_children_stop_at_the_first_level():
    outer = Sequential(Sequential(ReLU()), Linear(1, 1))
    assert [n for n, _ in outer.named_children()] == ["0", "1"]
    assert [n for n, _ in outer.named_modules()] == ["", "0", "0.0", "1"]


def test_a_module_changed_after_construction_is_seen_at_once():
    zoo = Zoo()
    zoo.layers.append(Linear(3, 3))
    zoo.extra = Parameter(np.zeros(2))
    del zoo.scale
    names = [n for n, _ in zoo.named_parameters()]
    assert "layers.2.weight" in names and "extra" in names and "scale" not in names


def test_a_typo_is_an_attribute_error():
    with pytest.raises(AttributeError, match="wieght"):
        Linear(1, 1).wieght  # noqa: B018


def test_integers_are_no_parameters():
    with pytest.raises(DTypeError, match="int64, expected float32 or float64"):
        Parameter(np.arange(3))


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module does not define forward"):
        Module()(1)


def test_a_cycle_is_a_graph_error():
    """L23."""
    parent, child = Sequential(ReLU()), Module()
    parent.child, child.parent = child, parent
    for ask in (parent.parameters, parent.train, parent.state_dict, lambda: repr(parent), parent.zero_grad):
        with pytest.raises(GraphError, match="child.parent.*must form a tree"):
            ask()
    ring = Module()
    ring.items = [1]
    ring.items.append(ring.items)
    with pytest.raises(GraphError, match="items.1"):
        ring.parameters()


def test_a_shared_parameter_counts_once_and_is_saved_under_each_name():
    tied = Sequential(Linear(3, 3, rng=0), Linear(3, 3, rng=1))
    tied[1].weight = tied[0].weight
    assert [n for n, _ in tied.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert list(tied.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    state = {k: v + 1 for k, v in tied.state_dict().items()}
    tied.load_state_dict({k: v for k, v in state.items() if k != "0.weight"})
    np.testing.assert_array_equal(tied[0].weight.data, state["1.weight"])
    state["1.weight"] = state["1.weight"] + 1
    with pytest.raises(CheckpointError, match="shared: 1.weight differs from 0.weight"):
        tied.load_state_dict(state)


def test_a_shared_module_is_switched_and_listed_once():
    """L23: registered twice."""
    layer = Dropout(0.5, rng=0)
    twice = Sequential(layer, ReLU(), layer)
    assert len(twice.modules()) == 3 and len(twice) == 3
    twice.eval()
    assert not layer.training


def test_a_dotted_key_that_hides_another_name_is_refused():
    """L23: name with dot."""
    module = Module()
    module.parts = {"a": {"b": Parameter(np.zeros(1))}, "a.b": Parameter(np.zeros(1))}
    with pytest.raises(ArgError, match="'parts.a.b'"):
        module.state_dict()


# Loading ----------------------------------------------------------------------------------------------------


def test_a_state_goes_through_a_round_trip():
    a, b = Zoo(0), Zoo(1)
    x = Tensor(np.ones((4, 2), np.float32))
    assert not np.array_equal(a(x).data, b(x).data)
    assert b.load_state_dict(a.state_dict()) == ([], [])
    np.testing.assert_array_equal(a(x).data, b(x).data)


def test_a_state_is_a_snapshot():
    layer = Linear(2, 2, rng=0)
    state = layer.state_dict()
    before = state["weight"].copy()
    layer.load_state_dict({k: v * 2 for k, v in state.items()})
    np.testing.assert_array_equal(state["weight"], before)
    with pytest.raises(ValueError, match="read-only"):
        state["weight"][0] = 1


def test_one_error_lists_every_difference_and_changes_nothing():
    """W9, with the broadcastable shape of old PyTorch among the faults."""
    net = Sequential(Linear(2, 3, rng=0), Linear(3, 1, rng=1))
    before = {k: v.copy() for k, v in net.state_dict().items()}
    bad = {"0.weight": np.zeros((3, 2)), "0.bias": np.zeros(1, np.float32), "typo": np.zeros(1),
           "1.bias": before["1.bias"]}
    with pytest.raises(CheckpointError) as caught:
        net.load_state_dict(bad)
    assert str(caught.value).splitlines()[1:] == [
        "  missing: 1.weight", "  unexpected: typo", "  shape: 0.bias is (1,), expected (3,)",
        "  dtype: 0.weight is float64, expected float32"]
    for name, values in net.state_dict().items():
        np.testing.assert_array_equal(values, before[name])


def test_not_strict_reports_names_but_still_refuses_shapes():
    net = Linear(2, 3, rng=0)
    assert net.load_state_dict({"bias": np.ones(3, np.float32), "x": 0}, strict=False) == (["weight"], ["x"])
    np.testing.assert_array_equal(net.bias.data, 1)
    with pytest.raises(CheckpointError, match="shape: bias"):
        net.load_state_dict({"bias": np.ones(4, np.float32)}, strict=False)


def test_nan_is_loaded_with_a_warning_and_batch_counts_are_optional():
    """W9: NaN only warned."""
    norm = BatchNorm2d(2)
    state = {k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    state["bias"] = np.array([np.nan, 0], np.float32)
    with pytest.warns(UserWarning, match="NaN in bias"):
        norm.load_state_dict(state)
    assert np.isnan(norm.bias.data[0])


@pytest.mark.parametrize("way", ["load", "deepcopy", "pickle", "astype"])
def test_a_filter_keeps_its_memory_order(way):
    conv = Conv2d(3, 4, (2, 5), rng=0)
    strides = conv.weight.data.strides
    assert np.argsort(strides).tolist() == [0, 1, 3, 2]                 # O innermost, then C, Q, P
    values = np.ascontiguousarray(conv.weight.data) * 2
    if way == "load":
        conv.load_state_dict({"weight": values, "bias": conv.bias.data})
        np.testing.assert_array_equal(conv.weight.data, values)
    elif way == "astype":
        conv.astype(np.float64)
        strides = tuple(2 * s for s in strides)
    else:
        conv = copy.deepcopy(conv) if way == "deepcopy" else pickle.loads(pickle.dumps(conv))
        np.testing.assert_array_equal(conv.weight.data, values / 2)
    assert conv.weight.data.strides == strides


def test_loading_raises_the_version_so_that_caches_and_graphs_notice():
    layer = Linear(2, 2, rng=0)
    y = mse(layer(Tensor(np.ones((1, 2), np.float32))) * layer.weight, Tensor(np.zeros((2, 2), np.float32)))
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(GraphError, match="written in place"):
        y.backward()


# Switches ----------------------------------------------------------------------------------------------------


def test_train_and_eval_reach_every_module():
    zoo = Zoo()
    assert all(m.training for m in zoo.modules())
    assert zoo.eval() is zoo and not any(m.training for m in zoo.modules())
    assert zoo.train() is zoo and all(m.training for m in zoo.modules())


def test_evaluating_restores_each_flag_also_after_an_error():
    zoo = Zoo()
    zoo.first.eval()
    with pytest.raises(ZeroDivisionError), zoo.evaluating():
        assert not zoo.layers[0].training
        1 / 0  # noqa: B018
    assert zoo.layers[0].training and not zoo.first.training


def test_zero_grad_and_freeze():
    net = Sequential(Linear(2, 3, rng=0), Linear(3, 1, rng=1))
    net[0].freeze()
    net(Tensor(np.ones((1, 2), np.float32))).sum().backward()
    assert net[0].weight.grad is None and net[1].weight.grad is not None
    net.zero_grad()
    assert net[1].weight.grad is None
    net.unfreeze()
    assert all(p.requires_grad for p in net.parameters())


def test_apply_visits_children_before_their_parent():
    seen = []
    Sequential(Sequential(ReLU()), Linear(1, 1)).apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]


def test_astype_converts_floats_only_and_refuses_others():
    zoo = Zoo().astype(np.float64)
    assert {p.dtype for p in zoo.parameters()} == {np.dtype(np.float64)}
    assert zoo.layers[1][1].num_batches_tracked.dtype == np.int64
    with pytest.raises(DTypeError, match="float16"):
        zoo.astype(np.float16)


# Hooks, copies, random state -------------------------------------------------------------------------------


def test_hooks_see_and_replace_inputs_and_results_until_removed():
    layer, seen = Linear(1, 1, bias=False, rng=0), []
    layer.load_state_dict({"weight": np.ones((1, 1), np.float32)})
    before = layer.register_forward_pre_hook(lambda m, x: x[0] * 2)
    after = layer.register_forward_hook(lambda m, x, y: seen.append((m, x[0].item(), y.item())))
    x = Tensor(np.array([[3.0]], np.float32))
    assert layer(x).item() == 6 and seen == [(layer, 6.0, 6.0)]
    before.remove()
    before.remove()
    with layer.register_forward_hook(lambda m, x, y: y + 1):
        assert layer(x).item() == 4
    after.remove()
    assert layer(x).item() == 3 and len(seen) == 2
    with pytest.raises(DTypeError, match="hook is 3"):
        layer.register_forward_hook(3)


def test_a_copy_owns_its_parameters_and_keeps_sharing_inside():
    tied = Sequential(Linear(3, 3, rng=0), Linear(3, 3, rng=1))
    tied[1].weight = tied[0].weight
    twin = copy.deepcopy(tied)
    assert twin[1].weight is twin[0].weight and twin[0].weight is not tied[0].weight
    twin.load_state_dict({k: v + 1 for k, v in twin.state_dict().items()})
    assert not np.array_equal(twin[0].weight.data, tied[0].weight.data)


def test_results_and_gradients_are_plain_tensors():
    layer = Linear(2, 2, rng=0)
    y = layer(Tensor(np.ones((1, 2), np.float32)))
    assert type(y) is Tensor and type(grad(y.sum(), [layer.weight])[0]) is Tensor


def test_random_streams_resume_bit_for_bit():
    net, x = Sequential(Dropout(0.5, rng=3), Sequential(Dropout(0.3, rng=3))), Tensor(np.ones((4, 50), np.float32))
    net(x)
    state = pickle.loads(pickle.dumps(net.random_state()))
    assert list(state) == ["0.rng", "1.0.rng"]
    expected = net(x).data
    fresh = Sequential(Dropout(0.5, rng=8), Sequential(Dropout(0.3, rng=9)))
    fresh.load_random_state(state)
    np.testing.assert_array_equal(fresh(x).data, expected)
    with pytest.raises(CheckpointError, match="'0.rng'"):
        fresh.load_random_state({"1.0.rng": state["1.0.rng"]})


# Showing -----------------------------------------------------------------------------------------------------


def test_the_text_is_a_tree_and_the_html_is_escaped():
    net = Sequential({"body": Sequential(Linear(1, 2), ReLU()), "head": Linear(2, 1, bias=False)})
    assert repr(net) == ("Sequential(\n  (body): Sequential(\n    (0): Linear(1, 2)\n    (1): ReLU()\n  )\n"
                         "  (head): Linear(2, 1, bias=False)\n)")

    class Odd(Module):
        def extra_repr(self):
            return "<b>"
    assert "&lt;b&gt;" in Odd()._repr_html_() and "<b>" not in Odd()._repr_html_()


def test_sequential_refuses_what_is_no_module():
    with pytest.raises(DTypeError, match="item 1 is <function"):
        Sequential(ReLU(), lambda x: x)
    for name in ("forward", "a.b", "", "training"):
        with pytest.raises(ArgError, match="name is"):
            Sequential({name: ReLU()})
    assert isinstance(Sequential(ReLU(), ReLU(), Linear(1, 1))[1:], Sequential)
