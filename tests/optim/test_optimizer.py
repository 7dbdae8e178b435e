"""What all optimizers share: input checks (L20), groups, missing gradients, bit-identical resume (C12)."""

import math

import numpy as np
import pytest

from minicv.autograd import Tensor
from minicv.errors import ArgError, CheckpointError, GraphError
from minicv.optim import (
    LAMB,
    LARS,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    RMSProp,
    adagrad_update,
    adam_l2_update,
    adam_update,
    adamw_update,
    lamb_update,
    lars_update,
    momentum_torch_update,
    momentum_update,
    nesterov_fused_update,
    nesterov_update,
    rmsprop_update,
    sgd_update,
)

pytestmark = pytest.mark.ch1
ALL = [SGD, AdaGrad, RMSProp, Adam, AdamW, LARS, LAMB]


def parameters(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [Tensor(rng.standard_normal(shape), requires_grad=True, dtype=np.float32) for shape in shapes]


def step(optimizer, params, seed):
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = Tensor(rng.standard_normal(p.shape), dtype=p.dtype)
    optimizer.step()


# Checks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("lr", [0.0, -1.0, math.nan, math.inf, "0.1", True, None])
def test_l20_bad_lr_is_named(cls, lr):
    with pytest.raises(ArgError, match=f"{cls.__name__}: lr is"):
        cls(parameters((2,)), lr=lr)


@pytest.mark.parametrize("cls, options, word", [
    (SGD, {"momentum": 1.0}, "momentum"), (SGD, {"momentum": -0.1}, "momentum"),
    (SGD, {"weight_decay": -1}, "weight_decay"),
    (SGD, {"dampening": 1.5, "momentum": 0.9}, "dampening"), (SGD, {"nesterov": True}, "Nesterov"),
    (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "Nesterov"), (AdaGrad, {"eps": -1e-9}, "eps"),
    (RMSProp, {"beta": 1.0}, "beta"), (Adam, {"betas": (0.9, 1.0)}, "betas"), (Adam, {"betas": (-0.1, 0.9)}, "betas"),
    (Adam, {"betas": 0.9}, "betas"), (Adam, {"eps": math.nan}, "eps"), (Adam, {"amsgrad": 1}, "amsgrad"),
    (AdamW, {"decay": "both"}, "decay is 'both'"), (AdamW, {"weight_decay": -0.1}, "weight_decay"),
    (LARS, {"trust": 0.0}, "trust"), (LAMB, {"adapt": "no"}, "adapt"),
])
def test_l20_bad_options_are_named(cls, options, word):
    with pytest.raises(ArgError, match=word):
        cls(parameters((2,)), lr=0.1, **options)


@pytest.mark.parametrize("update, options", [
    (sgd_update, {"lr": 0.0}), (sgd_update, {"lr": 0.1, "weight_decay": -1}),
    (momentum_update, {"lr": 0.1, "momentum": 1.0}),
    (momentum_torch_update, {"lr": 0.1, "dampening": 1.0}), (nesterov_update, {"lr": 0.1, "momentum": -0.5}),
    (nesterov_fused_update, {"lr": 0.1, "momentum": 0.0}), (adagrad_update, {"eps": -1}), (adagrad_update, {"lr": 0}),
    (rmsprop_update, {"beta": 1.0}), (adam_update, {"betas": (1.0, 0.9)}), (adam_l2_update, {"weight_decay": -1}),
    (adamw_update, {"weight_decay": -1}), (adamw_update, {"decay": "x"}), (lars_update, {"lr": math.nan}),
    (lamb_update, {"betas": (0.9, 2)}),
])
def test_equations_refuse_bad_options(update, options):
    with pytest.raises(ArgError, match=update.__name__ + ": "):
        update(np.ones(2), np.ones(2), {}, **options)


@pytest.mark.parametrize("cls", ALL)
def test_l20_no_parameters(cls):
    for params in ([], iter(()), [{"params": []}]):
        with pytest.raises(ArgError, match="empty"):
            cls(params, lr=0.1)


@pytest.mark.parametrize("params, word", [
    (lambda a: [a, a], "twice"), (lambda a: [{"params": [a]}, {"params": [a]}], "twice"), (lambda a: a, "one Tensor"),
    (lambda a: [a.data], "ndarray"), (lambda a: [a * 2.0], "mul"), (lambda a: [Tensor(np.arange(3))], "int64"),
    (lambda a: [{"lr": 0.1}], "'params'"), (lambda a: [{"params": [a], "lrr": 0.1}], "'lrr'"),
    (lambda a: [{"params": [a], "lr": -1.0}], "lr is -1.0"),
])
def test_l20_what_is_no_list_of_parameters(params, word):
    (a,) = parameters((3,))
    with pytest.raises(ArgError, match=word):
        SGD(params(a), lr=0.1)


def test_duplicate_is_named_by_both_names():
    (a,) = parameters((3,))
    with pytest.raises(ArgError, match="fc.weight and as head.weight"):
        SGD([("fc.weight", a), ("head.weight", a)], lr=0.1)


def test_a_refused_group_leaves_the_optimizer_as_it_was():
    a, b = parameters((3,), (2,))
    optimizer = SGD([a], lr=0.1)
    for bad in ({"params": [b], "lr": -1.0}, {"params": [b, a]}, {"params": []}):
        with pytest.raises(ArgError):
            optimizer.add_param_group(bad)
    assert len(optimizer.param_groups) == 1
    with pytest.raises(ArgError, match="'skip' or 'error'"):
        SGD([a], lr=0.1, missing="ignore")


# Gradients and groups ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", ALL)
def test_l20_a_parameter_without_gradient_is_left_alone(cls):
    a, b = parameters((3,), (3,))
    before = b.data.copy()
    optimizer = cls([a, b], lr=0.1)
    step(optimizer, [a], 0)
    np.testing.assert_array_equal(b.data, before)
    assert a in optimizer.state and b not in optimizer.state


def test_missing_error_names_the_parameter_and_changes_nothing():
    a, b = parameters((3,), (3,))
    optimizer, before = SGD([("w", a), ("b", b)], lr=0.1, missing="error"), a.data.copy()
    with pytest.raises(GraphError, match="SGD.step: no gradient for b,"):
        step(optimizer, [a], 0)
    np.testing.assert_array_equal(a.data, before)
    frozen = Tensor(np.ones(3))                                # needs no gradient, so nothing is missing
    SGD([frozen], lr=0.1, missing="error").step()


def test_groups_have_options_of_their_own():
    a, b = Tensor(np.zeros(3), requires_grad=True), Tensor(np.zeros(3), requires_grad=True)
    optimizer = SGD([{"params": [a], "lr": 1.0}, {"params": b}], lr=0.5)
    a.grad, b.grad = Tensor(np.ones(3)), Tensor(np.ones(3))
    optimizer.step()
    np.testing.assert_array_equal(a.data, np.full(3, -1.0))
    np.testing.assert_array_equal(b.data, np.full(3, -0.5))


def test_l20_a_group_added_later_is_stepped_and_state_is_by_parameter_not_shape():
    a, b = parameters((3,), (3,))
    optimizer = Adam([a], lr=0.1)
    step(optimizer, [a], 0)
    optimizer.add_param_group({"params": [b], "lr": 0.2})
    step(optimizer, [a, b], 1)
    assert optimizer.state[a]["t"] == 2 and optimizer.state[b]["t"] == 1


def test_momentum_may_be_switched_on_and_off_later():
    a, b = parameters((3,), (3,), seed=1)
    b.data = a.data
    optimizer, reference = SGD([a], lr=0.1), SGD([b], lr=0.1, momentum=0.9)
    optimizer.param_groups[0]["momentum"] = 0.9
    for k in range(3):
        step(optimizer, [a], k)
        step(reference, [b], k)
    np.testing.assert_array_equal(a.data, b.data)
    optimizer.param_groups[0]["momentum"] = 0.0
    before = a.data.copy()
    step(optimizer, [a], 9)
    np.testing.assert_array_equal(a.data, before - np.float32(0.1) * a.grad.data)


def test_zero_grad_and_version():
    (a,) = parameters((3,))
    optimizer, version = SGD([a], lr=0.1), a.version
    step(optimizer, [a], 0)
    assert a.version > version                                 # a graph that needs the old value will notice
    optimizer.zero_grad()
    assert a.grad is None


def test_an_array_read_before_the_step_keeps_its_values():
    (a,) = parameters((3,))
    seen = a.data
    kept = seen.copy()
    step(SGD([a], lr=0.1), [a], 0)
    np.testing.assert_array_equal(seen, kept)
    assert not np.array_equal(a.data, kept)


@pytest.mark.parametrize("make", [lambda p: SGD(p, lr=0.1, momentum=0.9), Adam])
def test_a_parameter_may_change_its_memory_order_and_dtype_between_steps(make):
    rng = np.random.default_rng(0)
    start, *grads = rng.normal(size=(4, 3, 5)).astype(np.float32)
    results = []
    for change in (lambda p: None, lambda p: setattr(p, "data", np.asfortranarray(p.data)),
                   lambda p: p.replace(p.data.astype(np.float64))):
        p = Tensor(start, requires_grad=True)
        optimizer = make([p])
        for step, g in enumerate(grads):
            if step == 1:
                change(p)
            p.grad = g.astype(p.dtype)
            optimizer.step()
        assert all(v.dtype == p.dtype for v in optimizer.state[p].values() if isinstance(v, np.ndarray))
        results.append(p.data)
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_allclose(results[2], results[0], rtol=1e-5)


def test_permuting_parameters_permutes_the_result():
    results = []
    for order in ([0, 1, 2], [2, 0, 1]):
        params = parameters((2, 3), (4,), (3, 2))
        optimizer = Adam([params[i] for i in order], lr=0.1)
        for k in range(5):
            step(optimizer, params, k)
        results.append([p.data for p in params])
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


# Saving ------------------------------------------------------------------------------------------------

MAKE = {
    "sgd": lambda p: SGD(p, lr=0.1), "momentum": lambda p: SGD(p, 0.1, 0.9, weight_decay=0.1),
    "nesterov": lambda p: SGD(p, 0.1, 0.9, nesterov=True), "adagrad": AdaGrad, "rmsprop": RMSProp, "adam": Adam,
    "amsgrad": lambda p: Adam(p, amsgrad=True), "adamw": AdamW, "lars": lambda p: LARS(p, lr=0.1), "lamb": LAMB,
}


@pytest.mark.parametrize("name", MAKE)
def test_c12_a_resumed_run_is_bit_identical(name):
    shapes = ((3, 2), (), (5,))
    whole = parameters(*shapes)
    optimizer = MAKE[name](whole)
    for k in range(7):
        step(optimizer, whole, k)
    half = parameters(*shapes)
    first = MAKE[name](half)
    for k in range(3):
        step(first, half, k)
    saved, copies = first.state_dict(), [Tensor(p.data, requires_grad=True) for p in half]
    step(first, half, 99)                                      # what is saved must not follow
    resumed = MAKE[name](copies)
    resumed.load_state_dict(saved)
    for k in range(3, 7):
        step(resumed, copies, k)
    for p, q in zip(whole, copies, strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert resumed.steps == 7


def test_resume_takes_over_changed_options():
    a, b = parameters((3,), (3,))
    optimizer = AdamW([a], lr=0.1)
    optimizer.param_groups[0]["lr"] = 0.0                      # a schedule may reach zero
    other = AdamW([b], lr=0.5)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["betas"] = [0.9, 0.999]           # as JSON gives it back
    other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == 0.0 and other.param_groups[0]["betas"] == (0.9, 0.999)


@pytest.mark.parametrize("spoil, word", [
    (lambda s: s.update(optimizer="SGD"), "made by SGD"), (lambda s: s.pop("steps"), "no steps"),
    (lambda s: s["param_groups"].append({"params": [5]}), "groups of"),
    (lambda s: s["param_groups"][0].pop("eps"), "options"), (lambda s: s["state"].update({7: {}}), "state 7"),
    (lambda s: s["state"][0].update(m=np.zeros(4, np.float32)), r"m of parameter 0 is float32 \(4,\)"),
    (lambda s: s["state"][0].update(s=np.zeros(3)), "s of parameter 0 is float64"),
    (lambda s: s["state"][0].pop("m"), r"holds \['s', 't'\]"),
])
def test_c9_a_state_that_does_not_fit_is_refused_and_nothing_changes(spoil, word):
    (a,) = parameters((3,))
    optimizer = Adam([a])
    step(optimizer, [a], 0)
    saved = optimizer.state_dict()
    spoil(saved)
    before = optimizer.state_dict()
    with pytest.raises(CheckpointError, match=word):
        optimizer.load_state_dict(saved)
    after = optimizer.state_dict()
    assert after["steps"] == before["steps"] and after["param_groups"] == before["param_groups"]
    np.testing.assert_array_equal(after["state"][0]["m"], before["state"][0]["m"])


