"""Architecture search: log-probabilities are those of the controller's softmaxes, sampled architectures follow them,
REINFORCE follows the gradient of the expected reward (against enumeration and finite differences), a search finds good
architectures of a small table; impossible spaces, tokens and rewards are refused before anything changes.
"""

import numpy as np
import pytest

from minicv.autograd import Tensor, grad, no_grad
from minicv.cnn.nas import Controller, SearchSpace, cost_reward, draw, policy_loss, search
from minicv.errors import ArgError, ShapeError
from minicv.functional import exp
from minicv.nn import init
from minicv.optim import SGD, Adam

pytestmark = pytest.mark.ch2


@pytest.fixture
def space():
    return SearchSpace({"width": (8, 16, 24), "kernel": (3, 5), "pool": ("max", "mean", "none")})


@pytest.fixture
def controller(space):
    return Controller(space, hidden=6, rng=0)


def flat(gradients):
    return np.concatenate([g.data.ravel() for g in gradients]).astype(np.float64)


# Space --------------------------------------------------------------------------------------------------------------


def test_every_architecture_has_tokens_a_place_and_a_meaning(space):
    tokens = space.tokens()
    assert len(space) == len(tokens) == 18 and space.sizes == (3, 2, 3)
    assert [space.index(row) for row in tokens] == list(range(18))
    assert len({tuple(space.decode(row).values()) for row in tokens}) == 18
    assert space.decode([1, 0, 2]) == {"width": 16, "kernel": 3, "pool": "none"}


@pytest.mark.parametrize("choices", [{}, {"width": ()}, {"width": (8,), "kernel": ()}])
def test_an_empty_space_is_refused(choices):
    with pytest.raises(ArgError, match="SearchSpace: choices is .*, expected decisions with at least one option"):
        SearchSpace(choices)


@pytest.mark.parametrize("tokens, words", [
    ([0, 0], "tokens is"), ([0, 2, 0], "token of kernel is 2"), ([-1, 0, 0], "token of width is -1"),
    ([0.5, 0, 0], "token of width is 0.5"), ([[0, 0, 0]], "tokens is")])
def test_tokens_outside_the_space_are_refused(space, tokens, words):
    with pytest.raises(ArgError, match=f"SearchSpace: {words}"):
        space.decode(tokens)


# Controller ---------------------------------------------------------------------------------------------------------


def test_probabilities_of_all_architectures_sum_to_one(space, controller):
    assert exp(controller.log_prob(space.tokens())).data.sum() == pytest.approx(1, abs=1e-6)


def test_log_probabilities_are_those_of_an_lstm_written_out(space, controller):
    """One token at a time, with NumPy alone."""
    state = {name: p.data.astype(np.float64) for name, p in controller.named_parameters()}
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    for tokens in space.tokens():
        h, c, row, total, first = np.zeros(6), np.zeros(6), 0, 0.0, 1
        for t, token in enumerate(tokens):
            a = (state["cell.weight_ih"] @ state["embed.weight"][row] + state["cell.bias_ih"]
                 + state["cell.weight_hh"] @ h + state["cell.bias_hh"])
            i, f, g, o = a.reshape(4, 6)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            logits = state[f"heads.{t}.weight"] @ h + state[f"heads.{t}.bias"]
            total += logits[token] - np.log(np.exp(logits).sum())
            row, first = first + token, first + space.sizes[t]
        assert controller.log_prob(tokens[None]).data[0] == pytest.approx(total, abs=1e-5)


def test_samples_follow_the_probabilities_and_carry_them(space, controller):
    tokens, log_prob = controller.sample(20_000, rng=1)
    np.testing.assert_allclose(log_prob.data, controller.log_prob(tokens).data, atol=1e-6)
    shares = np.bincount([space.index(row) for row in tokens], minlength=18) / 20_000
    p = exp(controller.log_prob(space.tokens())).data
    assert (abs(shares - p) <= 5 * np.sqrt(p * (1 - p) / 20_000)).all()
    np.testing.assert_array_equal(controller.sample(5, rng=2)[0], controller.sample(5, rng=2)[0])


def test_draws_stay_inside_also_when_rounding_leaves_the_sum_below_one():
    """Rows that sum to 0.9 and to 1.1 are drawn from as if they summed to 1; impossible options never come."""
    for total in (0.9, 1.1):
        found = draw(np.log(np.full((3000, 3), total / 3, np.float32)), rng=0)
        assert set(found) == {0, 1, 2} and abs(np.bincount(found) / 3000 - 1 / 3).max() < 0.05
    assert (draw(np.array([[-np.inf, 0, -np.inf]] * 50), rng=3) == 1).all()


@pytest.mark.parametrize("tokens", [[[0, 0]], [[0, 2, 0]], [[-1, 0, 0]], [0, 0, 0], [[0.0, 0.0, 0.0]]])
def test_impossible_tokens_have_no_probability(controller, tokens):
    with pytest.raises(ArgError, match="Controller: tokens"):
        controller.log_prob(np.array(tokens))
    with pytest.raises(ArgError, match="Controller: n is 0"):
        controller.sample(0)


# Policy gradient ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", [0.0, 0.6])
def test_the_sampled_gradient_agrees_with_enumeration(space, controller, baseline):
    """Over 20 000 samples, whatever the baseline; the cosine of the specification is 0.99 over 10 000."""
    table = np.random.default_rng(0).random(18)
    parameters = list(controller.parameters())
    exact = flat(grad((exp(controller.log_prob(space.tokens())) * table.astype(np.float32)).sum(), parameters))
    tokens, log_prob = controller.sample(20_000, rng=1)
    rewards = [table[space.index(row)] for row in tokens]
    sampled = -flat(grad(policy_loss(log_prob, rewards, baseline), parameters))
    assert sampled @ exact / np.linalg.norm(sampled) / np.linalg.norm(exact) > 0.99
    assert np.linalg.norm(sampled) == pytest.approx(np.linalg.norm(exact), rel=0.1)


def test_the_weighted_policy_gradient_is_exactly_that_of_the_expected_reward(space, controller):
    """sum p(a) grad log p(a) R(a) = grad sum p(a) R(a); and a constant baseline changes nothing."""
    table, parameters = np.random.default_rng(1).random(18), list(controller.parameters())
    log_prob = controller.log_prob(space.tokens())
    p = np.exp(log_prob.data.astype(np.float64))
    exact = flat(grad((exp(log_prob) * table.astype(np.float32)).sum(), parameters))
    for baseline in (0.0, 0.7):
        loss = policy_loss(controller.log_prob(space.tokens()), 18 * p * (table - baseline))
        np.testing.assert_allclose(-flat(grad(loss, parameters)), exact, atol=1e-6)


def test_the_enumerated_gradient_is_that_of_finite_differences(space, controller):
    table, parameter = np.random.default_rng(2).random(18), controller.heads[1].weight
    value = lambda: (np.exp(controller.log_prob(space.tokens()).data.astype(np.float64)) * table).sum()
    exact, = grad((exp(controller.log_prob(space.tokens())) * table.astype(np.float32)).sum(), [parameter])
    before, step = parameter.data.copy(), np.random.default_rng(3).standard_normal(parameter.shape).astype(np.float32)
    values = []
    for sign in (1, -1):
        init.assign(parameter, before + np.float32(sign * 1e-2) * step)
        with no_grad():
            values.append(value())
    assert (values[0] - values[1]) / 2e-2 == pytest.approx((exact.data * step).sum(), rel=1e-3, abs=1e-6)


# Search -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_search_moves_towards_good_architectures(space, seed):
    table = np.random.default_rng(seed).random(18)
    controller = Controller(space, rng=seed)
    expected = lambda: np.exp(controller.log_prob(space.tokens()).data) @ table
    before = expected()
    record = search(controller, lambda a: table[at(space, a)], Adam(controller.parameters(), lr=0.02), episodes=300,
                    batch=10, rng=seed)
    assert before < np.percentile(table, 90) <= expected()
    assert record.tokens.shape == (300, 3) and record.rewards.shape == record.baselines.shape == (300,)
    assert record.rewards[-50:].mean() > record.rewards[:50].mean()


def at(space, architecture):
    return space.index([options.index(architecture[name]) for name, options in space.choices.items()])


def test_the_baseline_is_the_moving_average_of_earlier_rewards(space, controller):
    record = search(controller, lambda a: float(a["width"]), SGD(controller.parameters(), lr=0.01), episodes=12,
                    batch=3, decay=0.8, rng=0)
    means, b = record.rewards.reshape(4, 3).mean(axis=1), record.rewards[:3].mean()
    for step, mean in enumerate(means):
        assert record.baselines[3 * step:3 * step + 3] == pytest.approx(b)
        b = 0.8 * b + 0.2 * mean


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, None, "0.5", True])
def test_a_reward_that_is_no_finite_number_changes_nothing(controller, bad):
    before = [p.data.copy() for p in controller.parameters()]
    with pytest.raises(ArgError, match="search: reward of {'width': .* is"):
        search(controller, lambda a: bad, SGD(controller.parameters(), lr=1.0), episodes=1, rng=0)
    assert all(np.array_equal(p.data, b) for p, b in zip(controller.parameters(), before, strict=True))


@pytest.mark.parametrize("options, words", [
    (dict(episodes=0), "episodes is 0"), (dict(episodes=5, batch=2), "episodes is 5, expected a multiple of batch = 2"),
    (dict(episodes=1, batch=0), "batch is 0"), (dict(episodes=1, decay=1.5), "decay is 1.5")])
def test_impossible_searches_are_refused(controller, options, words):
    with pytest.raises(ArgError, match=f"search: {words}"):
        search(controller, lambda a: pytest.fail("was called"), SGD(controller.parameters(), lr=1.0), **options)


@pytest.mark.parametrize("rewards", [np.ones((3, 1)), 1.0, [1.0, 2.0]])
def test_each_architecture_has_one_reward(rewards):
    with pytest.raises(ShapeError, match="policy_loss: rewards has shape"):
        policy_loss(Tensor(np.zeros(3)), rewards)


def test_cost_lowers_the_reward_as_in_the_paper():
    """MnasNet, section 3.1: twice the latency and 5 % more accuracy are worth the same."""
    assert cost_reward(0.7, 1e6, target=1e6) == 0.7
    assert cost_reward(0.5 * 1.05, 2e6, target=1e6) == pytest.approx(0.5, rel=2e-3)
    assert cost_reward(0.7, 5e5, target=1e6) > 0.7 and cost_reward(0.7, 9e6, target=1e6, exponent=0) == 0.7


@pytest.mark.parametrize("args, options, words", [
    ((1.2, 1), dict(target=1), "accuracy is 1.2"), ((np.nan, 1), dict(target=1), "accuracy is nan"),
    ((0.5, 0), dict(target=1), "macs is 0"), ((0.5, 1), dict(target=0), "target is 0"),
    ((0.5, 1), dict(target=1, exponent=0.1), "exponent is 0.1")])
def test_impossible_costs_are_refused(args, options, words):
    with pytest.raises(ArgError, match=f"cost_reward: {words}"):
        cost_reward(*args, **options)
