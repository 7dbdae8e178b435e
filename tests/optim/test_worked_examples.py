"""The worked examples B1.1 to B1.9 of the course, number by number, and the exact claims of its table of systems.

Everything here follows from closed forms or from a few hundred float64 steps; nothing is a threshold.
"""

import numpy as np
import pytest

from minicv.optim import (
    adagrad_update,
    adam_direction,
    adam_l2_update,
    adam_update,
    adamw_update,
    below,
    best_lr,
    best_momentum,
    canyon,
    descend,
    hessian_bytes,
    lr_bound,
    momentum_update,
    nesterov_update,
    rmsprop_update,
    rotation,
    saddle,
    sgd_update,
    sphere,
    two_basins,
)

pytestmark = pytest.mark.ch1
START = (10.0, 1.0)


def steps_to(value, landscape, update, start, **options):
    run = descend(landscape, update, np.array(start), 5000, until=below(value), **options)
    assert run.converged and not run.diverged
    return run.steps


@pytest.mark.parametrize("update, options, expected", [
    (sgd_update, {"lr": 1.0}, 1), (sgd_update, {"lr": 0.5}, 13), (sgd_update, {"lr": 0.1}, 86),
    (sgd_update, {"lr": 0.01}, 894), (momentum_update, {"lr": 0.1, "momentum": 0.5}, 19),
    (momentum_update, {"lr": 0.01, "momentum": 0.9}, 130), (nesterov_update, {"lr": 0.1, "momentum": 0.5}, 34),
])
def test_b1_1_steps_on_the_sphere(update, options, expected):
    assert steps_to(1e-6, sphere(), update, (10.0, 5.0), **options) == expected


def test_b1_1_gradient_descent_diverges_above_two_over_the_curvature():
    assert lr_bound(np.eye(2)) == 2
    assert descend(sphere(), sgd_update, (10.0, 5.0), 5000, lr=2.01).diverged
    assert not descend(sphere(), sgd_update, (10.0, 5.0), 5000, lr=1.99).diverged


@pytest.mark.parametrize("update, options, expected", [
    (sgd_update, {"lr": 2 / 51}, 227), (sgd_update, {"lr": 0.02}, 439), (sgd_update, {"lr": 0.005}, 1769),
    (momentum_update, {"lr": 4 / (1 + 50**0.5)**2, "momentum": ((50**0.5 - 1) / (50**0.5 + 1))**2}, 46),
    (momentum_update, {"lr": 0.02, "momentum": 0.9}, 153), (momentum_update, {"lr": 0.005, "momentum": 0.9}, 165),
    (nesterov_update, {"lr": 0.02, "momentum": 0.752}, 75), (nesterov_update, {"lr": 0.02, "momentum": 0.9}, 110),
    (nesterov_update, {"lr": 0.005, "momentum": 0.9}, 117),
])
def test_b1_2_steps_in_the_canyon(update, options, expected):
    assert steps_to(1e-6, canyon(50), update, START, **options) == expected


def test_b1_2_the_loss_falls_while_y_changes_sign_at_every_step():
    run = descend(canyon(50), sgd_update, START, 227, lr=2 / 51)
    assert np.sum(np.diff(np.sign(run.points[1:61, 1])) != 0) == 59       # between the results of 60 steps
    assert (np.diff(run.values) < 0).all()


def test_b1_2_rates_of_the_canyon_are_the_formulas():
    H = np.diag([1.0, 50.0])
    lr, momentum = best_momentum(H)
    assert (lr_bound(H), best_lr(H)) == (2 / 50, 2 / 51)
    assert lr == pytest.approx(0.0614, abs=5e-5) and momentum == pytest.approx(0.566, abs=5e-4)
    assert descend(canyon(50), sgd_update, START, 5000, lr=0.0401).diverged
    assert not descend(canyon(50), sgd_update, START, 5000, lr=0.0399).diverged


def test_b1_3_exact_descent_ends_on_the_saddle():
    run = descend(saddle(), sgd_update, (1.0, 0.0), 200, lr=0.05)
    x, y = run.points[-1]
    assert x == pytest.approx(0.9**200, rel=1e-12) and f"{x:.2e}" == "7.06e-10"
    assert y == 0


@pytest.mark.parametrize("seed", range(5))
def test_b1_3_noise_pushes_off_the_saddle(seed):
    run = descend(saddle(), sgd_update, (1.0, 0.0), 200, lr=0.05, noise=0.01, rng=seed)
    assert abs(run.points[-1, 1]) > 1


@pytest.mark.parametrize("update, options, end, height", [
    (sgd_update, {}, -0.9693, 0.242), (momentum_update, {"momentum": 0.9}, 4.0, 0.0),
    (nesterov_update, {"momentum": 0.9}, 4.0, 0.0), (adam_update, {}, -0.9693, 0.242),
])
def test_b1_4_momentum_leaves_the_narrow_basin(update, options, end, height):
    run = descend(two_basins(), update, (-4.0,), 3000, lr=0.05, **options)
    assert run.points[-1, 0] == pytest.approx(end, abs=5e-5)
    assert run.values[-1] == pytest.approx(height, abs=5e-4)


def test_b1_4_rmsprop_stays_in_the_narrow_basin():
    run = descend(two_basins(), rmsprop_update, (-4.0,), 3000, lr=0.05)
    assert (np.abs(run.points[500:] + 0.9693) < 0.06).all()


@pytest.mark.parametrize("update, lr, after_100, after_500", [
    (adagrad_update, 0.1, 8.21, 6.05), (adagrad_update, 0.5, 2.76, 0.078), (rmsprop_update, 0.1, 0.88, 0.071),
    (adam_update, 0.1, 2.24, 4e-8), (sgd_update, 0.02, 1.33, 4e-4),
])
def test_b1_5_distance_to_the_optimum_of_the_canyon(update, lr, after_100, after_500):
    run = descend(canyon(50), update, START, 500, lr=lr)
    distance = canyon(50).distance(run.points)
    assert distance[100] == pytest.approx(after_100, abs=0.005)
    digits = len(f"{after_500:.10g}".split("e")[0].replace(".", "").lstrip("0"))
    assert float(f"{distance[500]:.{digits}g}") == after_500


def test_b1_5_rmsprop_hovers_and_never_converges():
    run = descend(canyon(50), rmsprop_update, START, 2000, lr=0.1)
    assert run.values.min() > 1e-6
    np.testing.assert_allclose(np.abs(run.points[-50:]), 0.05, atol=1e-4)  # a cycle of length lr


def directions(gradients, **options):
    state, out = {}, []
    for g in gradients:
        d, state = adam_direction(np.array(g), state, **options)
        out.append(float(d))
    return out


def test_b1_6_a_spike_after_silence_reaches_the_bound_of_the_paper():
    spike = directions([0.0] * 20_000 + [1.0], eps=1e-300)[-1]
    assert spike == pytest.approx(0.1 / np.sqrt(0.001), rel=1e-6) and f"{spike:.3f}" == "3.162"


def test_b1_6_a_growing_gradient_reaches_the_true_supremum():
    b1, b2 = 0.9, 0.999
    supremum = (1 - b1) / np.sqrt((1 - b2) * (1 - b1**2 / b2))
    reached = directions([(b1 / b2) ** (6000 - k) for k in range(1, 6001)], eps=1e-300)[-1]
    assert f"{supremum:.3f}" == "7.270" and f"{reached:.2f}" == "7.26"
    assert reached < supremum


def test_b1_6_rmsprop_is_bounded_by_one_over_the_root():
    state, theta = {}, np.array(0.0)
    for g in [0.0] * 300 + [1.0]:
        before, (theta, state) = theta, rmsprop_update(theta, np.array(g), state, lr=1.0, eps=1e-300)
    assert before - theta == pytest.approx(1 / np.sqrt(1 - 0.9), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_b1_7_decoupled_decay_shrinks_alike_and_l2_does_not(seed):
    shrinkage = {}
    for update in (adamw_update, adam_l2_update):
        rng, theta, state = np.random.default_rng(seed), np.ones((2, 4000)), {}
        for _ in range(300):
            g = rng.standard_normal(theta.shape) * [[10.0], [0.1]]
            theta, state = update(theta, g, state, lr=1e-3, weight_decay=0.1)
        shrinkage[update] = -np.log(theta.mean(axis=1))
    assert shrinkage[adamw_update][1] / shrinkage[adamw_update][0] == pytest.approx(1, abs=0.15)
    assert shrinkage[adam_l2_update][1] / shrinkage[adam_l2_update][0] >= 20


def test_b1_7_for_plain_sgd_penalty_and_decay_are_one():
    rng, lr, weight_decay = np.random.default_rng(0), 0.1, 0.3
    with_l2 = shrunk = rng.standard_normal(5)
    for _ in range(50):
        g = rng.standard_normal(5)
        with_l2, _ = sgd_update(with_l2, g, {}, lr=lr, weight_decay=weight_decay)
        shrunk = sgd_update(shrunk, g, {}, lr=lr)[0] - lr * weight_decay * shrunk
    np.testing.assert_allclose(with_l2, shrunk, rtol=1e-12)


def test_b1_7_with_momentum_penalty_and_decay_differ():
    rng, lr, weight_decay = np.random.default_rng(0), 0.1, 0.3
    with_l2 = shrunk = rng.standard_normal(5)
    state, other = {}, {}
    for _ in range(50):
        g = rng.standard_normal(5)
        with_l2, state = momentum_update(with_l2, g, state, lr=lr, weight_decay=weight_decay)
        decay = lr * weight_decay * shrunk
        shrunk, other = momentum_update(shrunk, g, other, lr=lr)
        shrunk = shrunk - decay
    assert np.abs(with_l2 - shrunk).max() > 0.1


@pytest.mark.parametrize("angle, momentum, adam, adagrad", [
    (0, 106, 261, 193), (15, 106, 254, 225), (30, 106, 310, 284), (45, 106, 351, 330),
])
def test_b1_8_only_momentum_is_rotation_invariant(angle, momentum, adam, adagrad):
    landscape, start = canyon(50, angle), rotation(angle) @ START          # the start turns with the canyon
    assert steps_to(1e-4, landscape, momentum_update, start, lr=0.02, momentum=0.9) == momentum
    assert steps_to(1e-4, landscape, adam_update, start, lr=0.1) == adam
    assert steps_to(1e-4, landscape, adagrad_update, start, lr=1.0) == adagrad


def test_b1_9_memory_of_the_hessian():
    assert f"{hessian_bytes(11_689_512):.1e}" == "5.5e+14" and round(hessian_bytes(11_689_512) / 1e12) == 547
    assert hessian_bytes(1000) == 4_000_000


# Exact claims of the table of systems ------------------------------------------------------------------


def test_momentum_filters_noise_to_a_nineteenth():
    """The normalised velocity of i.i.d. gradients has variance (1 - mu)/(1 + mu) = 1/19 of theirs at mu = 0.9."""
    rng, state, seen = np.random.default_rng(0), {}, []
    theta = np.zeros(100)
    for t in range(1100):
        theta, state = momentum_update(theta, rng.standard_normal(100), state, lr=1.0)
        seen += [state["v"]] if t >= 100 else []
    assert np.size(seen) == 1e5
    assert np.var(0.1 * np.array(seen)) == pytest.approx(0.0526, rel=0.05)


def test_nesterov_without_momentum_is_sgd_bit_for_bit():
    runs = [descend(canyon(50), update, START, 100, lr=0.03, **options)
            for update, options in ((sgd_update, {}), (nesterov_update, {"momentum": 0.0}))]
    np.testing.assert_array_equal(runs[0].points, runs[1].points)


def test_adagrad_step_t_is_lr_over_root_t():
    theta, state = np.zeros(3), {}
    for t in range(1, 101):
        before, (theta, state) = theta, adagrad_update(theta, np.ones(3), state, lr=0.5, eps=0.0)
        np.testing.assert_allclose(before - theta, 0.5 / np.sqrt(t), rtol=1e-11)


def test_rmsprop_step_tends_to_lr_for_a_constant_gradient():
    theta, state = np.zeros(1), {}
    for _ in range(400):
        before, (theta, state) = theta, rmsprop_update(theta, np.full(1, 7.0), state, lr=0.01, eps=0.0)
    np.testing.assert_allclose(before - theta, 0.01, rtol=1e-12)


def test_first_step_of_adam_is_lr_times_sign_l21():
    g = np.array([3.0, -1e-5, 1e8])
    step = adam_update(np.zeros(3), g, {}, lr=0.01, eps=0.0)[0]
    np.testing.assert_allclose(step, -0.01 * np.sign(g), rtol=1e-14)


def test_first_step_without_debiasing_is_too_long_l21():
    step = adam_update(np.zeros(1), np.ones(1), {}, lr=1.0, eps=0.0, debias=False)[0]
    assert step[0] == pytest.approx(-0.1 / np.sqrt(0.001), rel=1e-14) and f"{-step[0]:.3f}" == "3.162"


@pytest.mark.parametrize("decay, factor", [("lr", 1 - 0.1 * 0.02), ("plain", 1 - 0.02)])
def test_adamw_decays_geometrically_without_gradient_l21(decay, factor):
    theta, state = np.array([1.0, -3.0]), {}
    for _ in range(100):
        theta, state = adamw_update(theta, np.zeros(2), state, lr=0.1, weight_decay=0.02, decay=decay)
    np.testing.assert_allclose(theta, np.array([1.0, -3.0]) * factor**100, rtol=1e-13)
