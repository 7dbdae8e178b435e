"""Attention without its matrix, and the exponential under it.

Proved here: output, log-sum-exp and gradients equal the formula in float64 (1e-6 of the largest value) for
features that fill vectors or not, any number of queries and keys, causal or not, any sign of the scale; twins agree;
threads change no byte (T2); nothing is read or written outside the arrays (M5); exp is within 2e-7 and right at the
ends of its range.
"""

import tracemalloc

import numpy as np
import pytest

from minicv.errors import ShapeError
from minicv.kernels import attention, launch, threads
from minicv.kernels.host import host

from .test_fast_conv import Guarded
from .test_launch import compiled
from .test_simd import run

pytestmark = pytest.mark.ch3

n = host().lanes
CASES = [(2, 5, 7, n, 2 * n, False), (3, 33, 40, 4 * n, 3 * n, False), (2, 20, 20, 2 * n, n, True),
         (1, 1, 3, 3 * n, n, False), (1, 29, 1, n, n, False), (1, 15, 33, n, n, True), (2, 4, 6, 3, 5, False)]


def example(case, dtype=np.float32):
    B, L, S, D, E, causal = case
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in ((B, L, E), (B, L, D), (B, S, D), (B, S, E))]
    return *arrays, dict(scale=D**-0.5, causal=causal)


def everything(g, q, k, v, settings):
    y, lse = attention.attention(q, k, v, **settings)
    return y, lse, *attention.attention_gradients(g, q, k, v, y, lse, **settings)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equal_to_the_formula(case):
    g, q, k, v, settings = example(case, np.float64)
    s = settings["scale"] * q @ k.swapaxes(1, 2)
    if settings["causal"]:
        s[:, np.arange(s.shape[1])[:, None] < np.arange(s.shape[2])] = -np.inf
    lse = np.log(np.exp(s).sum(axis=2))
    p = np.exp(s - lse[..., None])
    gs = settings["scale"] * p * (g @ v.swapaxes(1, 2) - ((g @ v.swapaxes(1, 2)) * p).sum(axis=2, keepdims=True))
    exact = p @ v, lse, gs @ k, gs.swapaxes(1, 2) @ q, p.swapaxes(1, 2) @ g
    for dtype, bound in ((np.float32, 2e-6), (np.float64, 1e-13)):
        for a, b in zip(everything(*(a.astype(dtype) for a in (g, q, k, v)), settings), exact, strict=True):
            assert a.dtype == dtype and np.abs(a - b).max() <= bound * max(1, np.abs(b).max())


@pytest.mark.parametrize("scale", [0.0, -0.3, -5.0, 1e-50])
def test_any_scale_is_allowed(scale):
    """The vector code looks for the largest score before it applies the scale, which must then be positive."""
    g, q, k, v, settings = example((2, 15, 20, n, n, True), np.float64)
    settings["scale"] = scale
    exact = everything(g, q, k, v, settings)
    for a, b in zip(everything(*(a.astype(np.float32) for a in (g, q, k, v)), settings), exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * max(1, np.abs(b).max()))


def test_a_gradient_of_another_type_counts_by_its_values():
    g, q, k, v, settings = example(CASES[1])
    y, lse = attention.attention(q, k, v, **settings)
    single, double = (attention.attention_gradients(a, q, k, v, y, lse, **settings) for a in (g, g.astype(float)))
    assert all(np.array_equal(a, b) and b.dtype == np.float32 for a, b in zip(single, double, strict=True))


@pytest.mark.parametrize("name", ["q", "k", "v", "g", "y", "lse"])
def test_shapes_that_do_not_fit_are_refused(name):
    g, q, k, v, settings = example(CASES[1])
    y, lse = attention.attention(q, k, v, **settings)
    arrays = dict(g=g, q=q, k=k, v=v, y=y, lse=lse)
    arrays[name] = arrays[name][:, :-1]
    with pytest.raises(ShapeError, match="attention_gradients: . has shape|attention_gradients: lse has shape"):
        attention.attention_gradients(**arrays, **settings)
    if name in "qkv":
        arrays[name] = arrays[name][0]
        with pytest.raises(ShapeError, match="attention: . has shape"):
            attention.attention(arrays["q"], arrays["k"], arrays["v"], **settings)


@compiled
@pytest.mark.parametrize("case", CASES, ids=str)
def test_twins_agree_and_threads_change_no_byte(case, monkeypatch):
    *arrays, settings = example(case)
    monkeypatch.setattr(launch, "SERIAL_ELEMENTS", 1)
    results = []
    for count in (1, 3):
        monkeypatch.setattr(threads, "_chosen", count)
        results.append(everything(*arrays, settings))
    assert [a.tobytes() for a in results[0]] == [a.tobytes() for a in results[1]]
    monkeypatch.setattr(launch, "TWINS_ONLY", True)
    for a, b in zip(results[0], everything(*arrays, settings), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-6 * max(1, np.abs(b).max()))


@compiled
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_outside_the_arrays_is_read_or_written(case, monkeypatch):
    """M5."""
    *arrays, settings = example(case)
    guarded = Guarded()
    monkeypatch.setattr(attention, "empty", guarded.empty)
    results = everything(*map(guarded.like, arrays), settings)
    assert all(np.isfinite(a).all() for a in results) and guarded.untouched()


@compiled
def test_a_nan_stays_in_its_row_and_an_infinite_score_is_nan():
    g, q, k, v, settings = example(CASES[1])
    q[1, 4, 0], q[2, 3] = np.nan, np.inf
    y, _ = attention.attention(q, k, v, **settings)
    bad = np.isnan(y).any(axis=2)
    assert bad[1, 4] and bad[2, 3] and bad.sum() == 2


@compiled
def test_exponential_is_accurate_over_the_whole_range():
    from minicv.kernels.exponential import exponentials
    x = np.concatenate([np.linspace(-87, 0, 4096 - 4 * n), np.full(2 * n, -100), np.full(2 * n, -np.inf)])
    x = x.astype(np.float32).reshape(1, -1)
    y, scale, sums = x.copy(), np.ones(1, np.float32), np.zeros((1, 2), np.float32)
    run(exponentials, 1, y.size // n, y, y.size, scale, sums)
    exact = np.exp(x.astype(np.float64)).clip(1e-300)
    normal = exact > 1e-37
    assert np.abs(y / exact - 1)[normal].max() < 2e-7 and (y[0, -2 * n:] == 0).all() and (y >= 0).all()
    assert sums[0, 0] == 0 and abs(sums[0, 1] / exact.sum() - 1) < 1e-6


def test_weights_are_not_built(monkeypatch):
    """The matrix of a long sequence would be 64 MB; the whole computation stays far below it."""
    q = np.random.default_rng(0).standard_normal((1, 4096, n)).astype(np.float32)
    if not attention.applies(q, q, q, 0.1):
        pytest.skip("the NumPy twin builds the matrix")
    attention.attention(q[:, :8], q, q, scale=0.1)
    tracemalloc.start()
    attention.attention(q, q, q, scale=0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6
