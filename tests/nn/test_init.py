"""Initial values: ranges and moments against the formulas, bounds exact, draws reproducible.

A sample variance of n draws has a relative standard deviation of sqrt((kurtosis - 1) / n); tests allow four.
"""

import math

import numpy as np
import pytest

from minicv import nn
from minicv.autograd import Tensor
from minicv.errors import ArgError, ShapeError
from minicv.nn import init

SHAPE = (64, 32, 3, 3)                       # fan-in 288, fan-out 576
RANDOM = [
    (init.xavier_uniform, {}, 2 / 864, "uniform"), (init.xavier_normal, {}, 2 / 864, "normal"),
    (init.xavier_uniform, {"gain": 5 / 3}, 25 / 9 * 2 / 864, "uniform"),
    (init.he_uniform, {}, 2 / 288, "uniform"), (init.he_normal, {}, 2 / 288, "normal"),
    (init.he_normal, {"mode": "fan_out"}, 2 / 576, "normal"),
    (init.he_normal, {"mode": "fan_out", "groups": 4}, 2 / 144, "normal"),
    (init.he_uniform, {"gain": 1.0}, 1 / 288, "uniform"), (init.normal, {"std": 0.3}, 0.09, "normal"),
    (init.uniform, {"low": -1.0, "high": 1.0}, 1 / 3, "uniform"),
    # variance of a normal cut at 2: 1 - 2 c phi(c) / (2 Phi(c) - 1)
    (init.truncated_normal, {"std": 0.5}, 0.25 * (1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(2 ** 0.5)),
     "normal"),
]


@pytest.mark.parametrize("draw, settings, variance, kind", RANDOM)
def test_mean_and_variance_are_the_formula_s(draw, settings, variance, kind):
    w = draw(SHAPE, rng=0, **settings)
    assert w.dtype == np.float32 and w.shape == SHAPE
    kurtosis = 9 / 5 if kind == "uniform" else 3
    assert abs(w.mean(dtype=np.float64)) < 4 * math.sqrt(variance / w.size)
    assert w.var(dtype=np.float64) == pytest.approx(variance, rel=4 * math.sqrt((kurtosis - 1) / w.size))
    if kind == "uniform":
        assert np.abs(w).max() <= np.float32(math.sqrt(3 * variance))
    np.testing.assert_array_equal(w, draw(SHAPE, rng=np.random.default_rng(0), **settings))
    assert not np.array_equal(w, draw(SHAPE, rng=1, **settings))


def test_truncated_values_stay_inside_and_the_number_in_the_docstring_is_right():
    w = init.truncated_normal((300, 300), std=0.02, rng=0)
    assert np.abs(w).max() <= np.float32(0.04)
    assert w.std() / 0.02 == pytest.approx(0.880, abs=0.005)


def test_he_keeps_the_signal_through_forty_relu_layers_and_glorot_does_not():
    """The reason for He's factor 2 (He et al. 2015, §2.2 and Fig. 3)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 256))

    def depth(draw):
        h = x
        for _ in range(40):
            h = np.maximum(h @ draw((256, 256), rng=rng).T, 0)
        return (h ** 2).mean() / (x ** 2).mean()
    assert 0.2 < depth(init.he_normal) < 5
    assert depth(init.xavier_normal) < 1e-9


def test_gains():
    assert init.gain("relu") == pytest.approx(2 ** 0.5)
    assert init.gain("leaky_relu", 1.0) == pytest.approx(1) and init.gain("linear") == 1
    z = np.random.default_rng(0).standard_normal(10 ** 6)
    leaky = np.where(z > 0, z, 0.2 * z)
    assert init.gain("leaky_relu", 0.2) ** 2 * (leaky ** 2).mean() == pytest.approx(1, rel=0.01)


def test_constants_and_the_prior():
    assert init.zeros((2,)).tolist() == [0, 0] and init.ones((2,)).tolist() == [1, 1]
    assert init.constant((2,), value=3).tolist() == [3, 3]
    assert 1 / (1 + math.exp(-init.prior_bias(0.01))) == pytest.approx(0.01, rel=1e-12)
    for bad in (0, 1, -1, math.nan):
        with pytest.raises(ArgError, match="probability is"):
            init.prior_bias(bad)


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_a_bilinear_transposed_convolution_enlarges_a_plane_exactly(stride):
    size = 2 * stride - stride % 2
    up = nn.ConvTranspose2d(2, 2, size, stride=stride, padding=(size - stride) // 2, bias=False, rng=0)
    init.assign(up.weight, init.bilinear(up.weight.shape))
    i, j = np.mgrid[:6, :7].astype(np.float64)
    x = np.stack([2 * i - j + 1, i + 3 * j])[None]
    y = up.astype(np.float64)(Tensor(x)).data[:, :, stride:-stride, stride:-stride]     # the border sees zeros
    u, v = ((np.mgrid[:6 * stride, :7 * stride] + 0.5) / stride - 0.5)[:, stride:-stride, stride:-stride]
    np.testing.assert_allclose(y[0], [2 * u - v + 1, u + 3 * v], atol=1e-6)


def test_zero_gamma_makes_a_residual_block_the_identity():
    class Block(nn.Module):
        def __init__(self):
            self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1, rng=0), nn.BatchNorm2d(3)

        def forward(self, x):
            return x + self.bn1(self.conv1(x))
    net = nn.Sequential(Block(), Block())
    init.zero_gamma(net, "bn1")
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(net(x).data, x)
    with pytest.raises(ArgError, match="bn7"):
        init.zero_gamma(net, "bn7")


@pytest.mark.parametrize("call, error, text", [
    (lambda: init.he_normal((3,)), ShapeError, r"shape is \(3,\)"),
    (lambda: init.he_normal((3, 3), mode="fan"), ArgError, "mode is 'fan'"),
    (lambda: init.xavier_normal((3, 3), gain=-1), ArgError, "gain is -1"),
    (lambda: init.truncated_normal((3,), std=math.inf), ArgError, "std is inf"),
    (lambda: init.truncated_normal((3,), cut=0), ArgError, "cut is 0"),
    (lambda: init.uniform((3,), low=1.0, high=0.0), ArgError, "low is 1.0"),
    (lambda: init.gain("swish"), ArgError, "activation is 'swish'"),
    (lambda: init.bilinear((2, 2, 3)), ShapeError, r"expected \(C, O, P, P\)"),
])
def test_bad_settings_are_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_blank_source_draws_zeros_and_its_children_draw_numbers():
    """For networks whose weights are loaded next; dropout, which spawns its own source, works as ever."""
    blank = init.Blank()
    assert np.random.default_rng(blank) is blank
    for draw in (init.xavier_uniform, init.xavier_normal, init.he_uniform, init.he_normal, init.normal, init.uniform,
                 init.truncated_normal):
        values = draw((4, 5), rng=blank)
        assert values.shape == (4, 5) and values.dtype == np.float32 and not values.any()
    dropped = nn.Dropout(0.5, rng=blank)(Tensor(np.ones((20, 20), np.float32))).data
    assert 100 < np.count_nonzero(dropped) < 300
