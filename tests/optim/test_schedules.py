"""Schedules against their formulas, at the corners and past the end; exact resume (L22); range test."""

import math

import numpy as np
import pytest

from minicv.autograd import Tensor
from minicv.errors import ArgError, CheckpointError
from minicv.optim import (
    SGD,
    Adam,
    Scheduler,
    constant,
    cosine,
    lr_range_test,
    multistep,
    one_cycle,
    polynomial,
    step_decay,
    warmup,
)

pytestmark = pytest.mark.ch1


def values(schedule, *ts):
    return [schedule(t) for t in ts]


@pytest.mark.parametrize("schedule, at, expected", [
    (constant(), (0, 10**6), (1, 1)),
    (step_decay(30), (0, 29, 30, 59, 60), (1, 1, 0.1, 0.1, 0.01)),
    (multistep([3, 5], 0.5), (0, 2, 3, 4, 5, 100), (1, 1, 0.5, 0.5, 0.25, 0.25)),
    (cosine(100), (0, 50, 100, 101), (1, 0.5, 0, 0)),
    (cosine(100, final=0.2), (0, 50, 100, 500), (1, 0.6, 0.2, 0.2)),
    (cosine(3), (1, 2), (0.75, 0.25)),
    (polynomial(10), (0, 5, 10, 11), (1, 0.5, 0, 0)),
    (polynomial(10, power=0.9), (0, 5, 10), (1, 0.5**0.9, 0)),
    (polynomial(10, power=2, final=0.1), (5, 99), (0.1 + 0.9 * 0.25, 0.1)),
    (warmup(4), (0, 1, 3, 4, 99), (0.25, 0.5, 1, 1, 1)),
    (warmup(5, cosine(10)), (4, 5, 10, 15, 16), (1, 1, 0.5, 0, 0)),
    (warmup(2, multistep([3])), (0, 1, 4, 5), (0.5, 1, 1, 0.1)),
    (one_cycle(100, 0.3, start=0.04, final=0.001), (0, 15, 30, 65, 100, 200), (0.04, 0.52, 1, 0.5005, 0.001, 0.001)),
])
def test_values_at_the_corners(schedule, at, expected):
    np.testing.assert_allclose(values(schedule, *at), expected, rtol=1e-12, atol=1e-15)


def test_one_cycle_rises_then_falls():
    f = np.array(values(one_cycle(50), *range(51)))
    assert (np.diff(f[:16]) > 0).all() and (np.diff(f[15:]) < 0).all() and f.max() == 1


@pytest.mark.parametrize("make", [
    lambda: step_decay(0), lambda: step_decay(3, gamma=1.5), lambda: multistep([]), lambda: multistep([3, 3]),
    lambda: multistep([0, 3]), lambda: cosine(0), lambda: cosine(2.5), lambda: cosine(10, final=-0.1),
    lambda: polynomial(10, power=0), lambda: warmup(0), lambda: one_cycle(10, rise=1.0), lambda: one_cycle(10, start=2),
])
def test_bad_arguments_are_refused(make):
    with pytest.raises(ArgError, match="expected"):
        make()


def optimizer(lr=0.1, cls=SGD):
    return cls([Tensor(np.ones(3), requires_grad=True)], lr=lr)


def test_each_group_is_scheduled_from_its_own_rate():
    a, b = Tensor(np.ones(1), requires_grad=True), Tensor(np.ones(1), requires_grad=True)
    opt = SGD([{"params": [a], "lr": 1.0}, {"params": [b], "lr": 0.1}], lr=9.0)
    scheduler = Scheduler(opt, warmup(2))
    assert scheduler.lr == [0.5, 0.05]
    scheduler.step()
    assert scheduler.lr == [1.0, 0.1]
    opt.add_param_group({"params": [Tensor(np.ones(1), requires_grad=True)], "lr": 0.3})
    scheduler.step()
    assert scheduler.lr == [1.0, 0.1, 0.3]


def test_l22_resumed_schedule_goes_on_exactly():
    schedule = warmup(3, cosine(10))
    whole = Scheduler(optimizer(), schedule)
    rates = []
    for _ in range(20):                                          # past the end too
        rates.append(whole.lr[0])
        whole.step()
    first = Scheduler(optimizer(), schedule)
    for _ in range(7):
        first.step()
    second = Scheduler(optimizer(lr=5.0), schedule)
    second.load_state_dict(first.state_dict())
    rest = []
    for _ in range(7, 20):
        rest.append(second.lr[0])
        second.step()
    assert rest == rates[7:]


def test_l22_resume_with_the_optimizer_state_in_either_order():
    """Loading the optimizer (whose saved lr is a scheduled one) must not become the new base rate."""
    opt = optimizer()
    scheduler = Scheduler(opt, cosine(10))
    for _ in range(5):
        scheduler.step()
    saved = opt.state_dict(), scheduler.state_dict()
    for order in (0, 1):
        new = optimizer()
        new_scheduler = Scheduler(new, cosine(10))
        for i in (order, 1 - order):
            (new, new_scheduler)[i].load_state_dict(saved[i])
        new_scheduler.step()
        assert new_scheduler.lr == [0.1 * cosine(10)(6)]


def test_l22_stepping_before_the_optimizer_skips_the_first_rate():
    scheduler = Scheduler(optimizer(), multistep([1, 2]))
    scheduler.step()
    assert scheduler.lr == [0.1 * 0.1] and scheduler.t == 1


@pytest.mark.parametrize("saved", [{"t": 3}, {"t": 3, "bases": [0.1, 0.2]}])
def test_a_state_that_does_not_fit_is_refused(saved):
    scheduler = Scheduler(optimizer(), constant())
    with pytest.raises(CheckpointError, match="expected t and 1 bases"):
        scheduler.load_state_dict(saved)
    assert scheduler.t == 0


@pytest.mark.parametrize("schedule", [lambda t: -1.0, lambda t: math.nan, lambda t: math.inf])
def test_a_schedule_that_gives_nonsense_is_refused(schedule):
    with pytest.raises(ArgError, match=r"schedule\(0\)"):
        Scheduler(optimizer(), schedule)


@pytest.mark.parametrize("cls", [SGD, Adam])
def test_range_test_stops_at_divergence_and_puts_everything_back(cls):
    """On 1/2 L x^2 with L = 10 gradient descent diverges above lr = 0.2: the losses found must show it."""
    x = Tensor(np.ones(4), requires_grad=True)
    opt = cls([x], lr=0.03)

    def loss_step():
        opt.zero_grad()
        loss = (x * x).sum() * 5.0
        loss.backward()
        opt.step()
        return loss.item()

    loss_step()
    before, values = opt.state_dict(), x.data.copy()
    found = lr_range_test(opt, loss_step, low=1e-4, high=10.0, steps=200)
    np.testing.assert_array_equal(x.data, values)
    assert opt.state_dict()["param_groups"] == before["param_groups"] and opt.steps == 1
    assert found.lrs[0] == 1e-4 and len(found.lrs) == len(found.losses) < 200 and np.isfinite(found.losses).all()
    if cls is SGD:
        assert np.argmin(found.losses) == np.searchsorted(found.lrs, 0.2)     # lower before that step, higher after
        assert 1e-4 < found.steepest < 0.2


def test_range_test_restores_after_an_error():
    opt = optimizer()

    def broken():
        opt.param_groups[0]["params"][0].data = np.zeros(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lr_range_test(opt, broken)
    assert opt.param_groups[0]["lr"] == 0.1
    np.testing.assert_array_equal(opt.param_groups[0]["params"][0].data, 1)


@pytest.mark.parametrize("options", [{"low": 0}, {"low": 1, "high": 0.1}, {"steps": 1}, {"stop": 1.0}])
def test_range_test_refuses(options):
    with pytest.raises(ArgError, match="lr_range_test"):
        lr_range_test(optimizer(), lambda: 1.0, **options)


@pytest.mark.oracle
def test_cosine_and_multistep_equal_torch():
    torch = pytest.importorskip("torch")
    for ours, make in (
        (cosine(40), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40)),
        (multistep([7, 20]), lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [7, 20])),
    ):
        reference = torch.optim.SGD([torch.ones(1)], lr=1.0)
        scheduler, theirs = make(reference), []
        for _ in range(40):
            theirs.append(reference.param_groups[0]["lr"])
            reference.step()
            scheduler.step()
        np.testing.assert_allclose(values(ours, *range(40)), theirs, rtol=1e-9, atol=1e-12)
