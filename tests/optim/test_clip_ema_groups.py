"""Gradient clipping, weight averages, and the parameters that decay leaves alone."""

import numpy as np
import pytest

from minicv.autograd import Tensor
from minicv.errors import ArgError, CheckpointError, DivergenceError
from minicv.nn import BatchNorm2d, Conv2d, Embedding, Linear, Module, Parameter
from minicv.optim import EMA, SGD, AdamW, clip_grad_norm, clip_grad_value, decay_groups

pytestmark = pytest.mark.ch1


def with_grads(*grads, dtype=np.float64):
    params = []
    for g in grads:
        p = Tensor(np.zeros(np.shape(g)), requires_grad=True, dtype=dtype)
        p.grad = Tensor(np.asarray(g, dtype=dtype))
        params.append(p)
    return params


def test_norm_is_joint_and_the_direction_is_kept():
    params = with_grads([3.0, 0.0], [[4.0]])
    params.append(Tensor(np.zeros(2), requires_grad=True))       # no gradient: skipped
    assert clip_grad_norm(params, 1.0) == 5.0
    np.testing.assert_allclose(params[0].grad.data, [0.6, 0.0], rtol=1e-15)
    np.testing.assert_allclose(params[1].grad.data, [[0.8]], rtol=1e-15)


def test_short_gradients_are_left_alone():
    params = with_grads([3.0, 4.0])
    assert clip_grad_norm(iter(params), 5.0) == 5.0 and clip_grad_norm(params[0], np.inf) == 5.0
    np.testing.assert_array_equal(params[0].grad.data, [3, 4])
    assert clip_grad_norm([], 1.0) == 0.0


def test_norm_of_large_float32_gradients_does_not_overflow():
    params = with_grads(np.full(4, 1e30), dtype=np.float32)
    assert clip_grad_norm(params, 1.0) == pytest.approx(2e30)
    np.testing.assert_allclose(params[0].grad.data, 0.5, rtol=1e-6)


@pytest.mark.parametrize("clip", [clip_grad_norm, clip_grad_value])
def test_c13_gradients_that_are_not_finite(clip):
    params = with_grads([1.0, 2.0], [np.nan], [np.inf])
    with pytest.raises(DivergenceError, match=r"gradient 1 of shape \(1,\)"):
        clip(params, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(params[0].grad.data, [1, 2])
    assert not np.isfinite(clip(params, 5.0))
    np.testing.assert_array_equal(params[0].grad.data, [1, 2])


def test_value_clips_each_element():
    (p,) = with_grads([3.0, -4.0, 0.5])
    assert clip_grad_value(p, 1.0) == pytest.approx(np.sqrt(25.25))
    np.testing.assert_array_equal(p.grad.data, [1, -1, 0.5])


@pytest.mark.parametrize("clip", [clip_grad_norm, clip_grad_value])
@pytest.mark.parametrize("limit", [0.0, -1.0, np.nan])
def test_clip_refuses_bad_limits(clip, limit):
    with pytest.raises(ArgError, match=f"{clip.__name__}: max_"):
        clip(with_grads([1.0]), limit)


# EMA ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warmup", [False, True])
def test_ema_is_the_weighted_sum(warmup):
    rng = np.random.default_rng(0)
    p = Tensor(rng.standard_normal((3, 2)), requires_grad=True)
    ema, expected = EMA([p], 0.9, warmup=warmup), p.data.copy()
    for t in range(1, 30):
        p.data = rng.standard_normal((3, 2))
        ema.update()
        d = min(0.9, (1 + t) / (10 + t)) if warmup else 0.9
        expected = d * expected + (1 - d) * p.data
    np.testing.assert_allclose(ema.averages[0], expected, rtol=1e-12)


def test_ema_of_a_parameter_that_changed_its_memory_order():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    p = Tensor(values, requires_grad=True)
    ema = EMA([p], 0.5)
    p.data = np.asfortranarray(values + 1)
    ema.update()
    np.testing.assert_array_equal(ema.averages[0], values + 0.5)


def test_averages_are_applied_inside_the_block_only():
    p = Tensor(np.ones(2), requires_grad=True)
    ema = EMA([p], 0.5)
    p.data = np.zeros(2)
    ema.update()
    with pytest.raises(RuntimeError, match="inside"), ema.applied():
        np.testing.assert_array_equal(p.data, 0.5)
        raise RuntimeError("inside")
    np.testing.assert_array_equal(p.data, 0)
    np.testing.assert_array_equal(ema.averages[0], 0.5)


def test_ema_resumes_bit_identically():
    def run(params, ema, seeds):
        optimizer = SGD(params, lr=0.1)
        for seed in seeds:
            params[0].grad = Tensor(np.random.default_rng(seed).standard_normal(5), dtype=np.float32)
            optimizer.step()
            ema.update()

    def fresh():
        return [Tensor(np.ones(5), requires_grad=True, dtype=np.float32)]

    whole, half = fresh(), fresh()
    a, b = EMA(whole, warmup=True), EMA(half, warmup=True)
    run(whole, a, range(9))
    run(half, b, range(4))
    saved = b.state_dict()
    again = EMA(half, warmup=True)
    again.load_state_dict(saved)
    run(half, again, range(4, 9))
    np.testing.assert_array_equal(a.averages[0], again.averages[0])
    assert again.averages[0].dtype == np.float32 and again.averages[0] is not saved["averages"][0]


def test_ema_refuses():
    p = Tensor(np.ones(2), requires_grad=True)
    with pytest.raises(ArgError, match="decay is 1.0"):
        EMA([p], 1.0)
    with pytest.raises(ArgError, match="empty"):
        EMA([])
    with pytest.raises(CheckpointError, match=r"\(3,\)"):
        EMA([p]).load_state_dict({"t": 1, "averages": [np.ones(3)]})


# Groups ------------------------------------------------------------------------------------------------


class Small(Module):
    def __init__(self):
        self.patch_embed = Conv2d(3, 4, 2, rng=0)
        self.norm = BatchNorm2d(4)
        self.pos_embed = Parameter(np.zeros((1, 4, 8)))
        self.words = Embedding(5, 4, rng=0)
        self.head = Linear(4, 2, rng=0)

    def forward(self, x):
        return x


def test_decay_spares_biases_norms_and_tables():
    decayed, rest = decay_groups(Small(), 0.1)
    assert [name for name, _ in decayed["params"]] == ["patch_embed.weight", "head.weight"]
    assert [name for name, _ in rest["params"]] == ["patch_embed.bias", "norm.weight", "norm.bias", "pos_embed",
                                                    "words.weight", "head.bias"]
    optimizer = AdamW([decayed, rest], lr=0.1)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert optimizer.param_groups[0]["param_names"] == ["patch_embed.weight", "head.weight"]


def test_decay_groups_refuses_a_module_without_parameters():
    class Empty(Module):
        def forward(self, x):
            return x

    with pytest.raises(ArgError, match="Empty"):
        decay_groups(Empty(), 0.1)
