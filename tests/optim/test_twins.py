"""The classes against their equations, and both against PyTorch.

* 200 steps of every optimizer in place equal 200 steps of its `*_update` function: 1e-6 relative in float32,
  1e-12 in float64, for several shapes, among them 0-d, empty, larger than a block and channels-last.
* float32 stays float32, in parameters and in every state.
* 50 steps equal torch.optim (marked oracle).
"""

from functools import partial

import numpy as np
import pytest

from minicv.autograd import Tensor
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

# fmt: off
TWINS = {  # class with options, update with options
    "sgd":            (partial(SGD, lr=0.01), partial(sgd_update, lr=0.01)),
    "sgd-l2":         (partial(SGD, lr=0.01, weight_decay=0.1), partial(sgd_update, lr=0.01, weight_decay=0.1)),
    "momentum":       (partial(SGD, lr=0.01, momentum=0.9), partial(momentum_torch_update, lr=0.01)),
    "momentum-notes": (partial(SGD, lr=0.01, momentum=0.9), partial(momentum_update, lr=0.01)),
    "momentum-damp":  (partial(SGD, lr=0.01, momentum=0.9, dampening=0.3, weight_decay=0.1),
                       partial(momentum_torch_update, lr=0.01, dampening=0.3, weight_decay=0.1)),
    "nesterov":       (partial(SGD, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
                       partial(nesterov_fused_update, lr=0.01, weight_decay=0.1)),
    "adagrad":        (partial(AdaGrad, lr=0.1, weight_decay=0.1), partial(adagrad_update, lr=0.1, weight_decay=0.1)),
    "rmsprop":        (partial(RMSProp, weight_decay=0.1), partial(rmsprop_update, weight_decay=0.1)),
    "adam":           (Adam, adam_update),
    "adam-l2":        (partial(Adam, weight_decay=0.1), partial(adam_l2_update, weight_decay=0.1)),
    "amsgrad":        (partial(Adam, amsgrad=True), partial(adam_update, amsgrad=True)),
    "adamw":          (partial(AdamW, lr=0.01, weight_decay=0.1), partial(adamw_update, lr=0.01, weight_decay=0.1)),
    "adamw-plain":    (partial(AdamW, decay="plain"), partial(adamw_update, decay="plain")),
    "lars":           (partial(LARS, lr=0.1), partial(lars_update, lr=0.1)),
    "lars-plain":     (partial(LARS, lr=0.01, adapt=False), partial(lars_update, lr=0.01, adapt=False)),
    "lamb":           (LAMB, lamb_update),
    "lamb-plain":     (partial(LAMB, adapt=False), partial(lamb_update, adapt=False)),
}
# fmt: on


def gradient(theta, noise):
    """Of a bowl with curvatures 0.5 to 1.5, plus noise; in the dtype of theta."""
    curvature = np.linspace(0.5, 1.5, theta.size).reshape(theta.shape).astype(theta.dtype)
    return curvature * theta + noise


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-6), (np.float64, 1e-12)])
@pytest.mark.parametrize("name", TWINS)
def test_200_steps_in_place_equal_the_equation(name, dtype, rtol):
    """Both sides see the same gradients, so that what is compared is the step, not a feedback of rounding."""
    rng, (make, update) = np.random.default_rng(0), TWINS[name]
    theta, state = rng.standard_normal((7, 5)).astype(dtype), {}
    p = Tensor(theta, requires_grad=True)
    optimizer = make([p])
    for _ in range(200):
        g = gradient(theta, rng.standard_normal(theta.shape).astype(dtype))
        p.grad = Tensor(g)
        optimizer.step()
        theta, state = update(theta, g, state)
    assert theta.dtype == p.dtype == dtype
    assert all(a.dtype == dtype for a in optimizer.state[p].values() if isinstance(a, np.ndarray))
    np.testing.assert_allclose(p.detach().numpy(), theta, rtol=rtol,
                               atol=rtol * np.abs(theta).max())


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 1, 2), (20_000,), (129, 257)])
@pytest.mark.parametrize("name", TWINS)
def test_every_shape_is_stepped_whole_l20(name, shape):
    rng, (make, update) = np.random.default_rng(1), TWINS[name]
    theta, state = rng.standard_normal(shape), {}
    p = Tensor(theta, requires_grad=True)
    optimizer = make([p])
    for _ in range(3):
        g = rng.standard_normal(shape)
        p.grad = Tensor(np.asarray(g))
        optimizer.step()
        theta, state = update(theta, g, state)
    np.testing.assert_allclose(p.detach().numpy(), theta, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", TWINS)
def test_memory_order_is_kept_and_gradients_of_another_order_fit(name):
    """A channels-last parameter with a gradient in C order: strides stay, values equal the C-ordered run."""
    rng, make = np.random.default_rng(2), TWINS[name][0]
    values = rng.standard_normal((4, 3, 5, 2))
    last = Tensor(values.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), requires_grad=True)
    plain = Tensor(values, requires_grad=True)
    assert last.data.strides != plain.data.strides
    strides = last.data.strides
    optimizers = [make([last]), make([plain])]
    for _ in range(3):
        g = rng.standard_normal(values.shape)
        for p, optimizer in zip((last, plain), optimizers, strict=True):
            p.grad = Tensor(g)
            optimizer.step()
    assert last.data.strides == strides
    np.testing.assert_allclose(last.data, plain.data, rtol=1e-12)


@pytest.mark.parametrize("update, options", [
    (sgd_update, {"lr": 0.1}), (momentum_update, {"lr": 0.1}), (momentum_torch_update, {"lr": 0.1}),
    (nesterov_fused_update, {"lr": 0.1}), (adagrad_update, {}), (rmsprop_update, {}), (adam_update, {}),
    (adam_l2_update, {}), (adamw_update, {}), (lars_update, {"lr": 0.1}), (lamb_update, {}),
])
def test_updates_are_pure_and_keep_float32(update, options):
    rng, state = np.random.default_rng(3), {}
    theta = rng.standard_normal(6).astype(np.float32)
    for _ in range(3):
        g = rng.standard_normal(6).astype(np.float32)
        before = theta.copy(), g.copy(), {k: np.copy(v) for k, v in state.items()}
        new, new_state = update(theta, g, state, **options)
        np.testing.assert_array_equal((theta, g), before[:2])
        assert state.keys() == before[2].keys()
        assert all(np.array_equal(state[k], before[2][k]) for k in state)
        assert new.dtype == np.float32
        assert all(v.dtype == np.float32 for v in new_state.values() if isinstance(v, np.ndarray))
        theta, state = new, new_state


def test_fused_nesterov_walks_along_the_look_ahead_points_of_nesterov():
    """phi_t = theta_t + mu v_t to 1e-12 for 200 steps."""
    A = np.diag([1.0, 50.0])
    theta = phi = np.array([10.0, 1.0])
    state, fused = {}, {}
    for _ in range(200):
        theta, state = nesterov_update(theta, lambda x: A @ x, state, lr=0.01, momentum=0.9)
        phi, fused = nesterov_fused_update(phi, A @ phi, fused, lr=0.01, momentum=0.9)
        np.testing.assert_allclose(phi, theta + 0.9 * state["v"], rtol=0, atol=1e-12)


def test_the_two_momentum_forms_part_when_lr_changes():
    theta, g, a, b = np.zeros(1), np.ones(1), {}, {}
    notes = torch_form = theta
    for lr in (0.1, 0.01):
        notes, a = momentum_update(notes, g, a, lr=lr)
        torch_form, b = momentum_torch_update(torch_form, g, b, lr=lr)
    assert notes[0] == pytest.approx(-0.1 - (0.09 + 0.01)) and torch_form[0] == pytest.approx(-0.1 - 0.019)


# fmt: off
TORCH = {  # minicv, torch.optim
    "sgd":      (partial(SGD, lr=0.05, weight_decay=0.1), ("SGD", {"lr": 0.05, "weight_decay": 0.1})),
    "momentum": (partial(SGD, lr=0.05, momentum=0.9, dampening=0.2, weight_decay=0.1),
                 ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1})),
    "nesterov": (partial(SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
                 ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1})),
    "adagrad":  (partial(AdaGrad, lr=0.1, weight_decay=0.1), ("Adagrad", {"lr": 0.1, "weight_decay": 0.1})),
    "rmsprop":  (partial(RMSProp, weight_decay=0.1), ("RMSprop", {"lr": 0.01, "alpha": 0.9, "weight_decay": 0.1})),
    "adam":     (partial(Adam, lr=0.1, weight_decay=0.1), ("Adam", {"lr": 0.1, "weight_decay": 0.1})),
    "amsgrad":  (partial(Adam, lr=0.1, amsgrad=True), ("Adam", {"lr": 0.1, "amsgrad": True})),
    "adamw":    (partial(AdamW, lr=0.1, weight_decay=0.1), ("AdamW", {"lr": 0.1, "weight_decay": 0.1})),
}
# fmt: on


@pytest.mark.oracle
@pytest.mark.parametrize("name", TORCH)
def test_50_steps_equal_torch(name):
    torch = pytest.importorskip("torch")
    rng, (make, (kind, options)) = np.random.default_rng(4), TORCH[name]
    values = rng.standard_normal((6, 4))
    ours = Tensor(values, requires_grad=True)
    theirs = torch.tensor(values, requires_grad=True)
    optimizer, reference = make([ours]), getattr(torch.optim, kind)([theirs], **options)
    for _ in range(50):
        noise = rng.standard_normal(values.shape)
        ours.grad = Tensor(gradient(ours.data, noise))
        theirs.grad = torch.tensor(gradient(theirs.detach().numpy(), noise))
        optimizer.step()
        reference.step()
        np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)
