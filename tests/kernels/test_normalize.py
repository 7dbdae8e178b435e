"""Kernels of normalisation: loops against twins and against formulas written out.

Proved here: every loop equals its twin on odd shapes; y, statistics and gradients equal the formulas in float64 for
both forms (columns, rows), both layouts, many blocks and runs, with residual and relu; an outlier as first value, a
mean far above the deviation, squares beyond float32, constants; inputs are not written and outputs not exceeded
(guard bands); bytes do not depend on the number of threads; float32 stays float32.
"""

import numpy as np
import pytest

from minicv.kernels import get_num_threads, layer, layer_loops, normalize_loops, set_num_threads
from minicv.kernels import normalize as K

RNG_SHAPES = [((2, 5, 3, 4), (0, 2, 3)), ((70, 33), (0,)), ((1200, 17), (0,)), ((3, 2, 40, 30), (0, 2, 3)),
              ((7, 1300), (1,)), ((4, 6, 9, 5), (2, 3)), ((2, 8, 4, 4), (1, 2, 3))]


def last(x):
    """The same values with axis 1 last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if x.ndim == 4 else x


def formulas(x, g, axes, weight, bias, residual, relu, eps):
    """y and gradients (x, weight, bias, residual) in float64."""
    x, g = x.astype(np.float64), g.astype(np.float64)
    d = x - x.mean(axis=axes, keepdims=True)
    inverse = 1 / np.sqrt(np.square(d).mean(axis=axes, keepdims=True) + eps)
    z = d * inverse
    y = z * weight + bias + (0 if residual is None else residual)
    g = g * (y > 0) if relu else g
    h = g * weight
    gx = inverse * (h - h.mean(axis=axes, keepdims=True) - z * (h * z).mean(axis=axes, keepdims=True))
    return (np.maximum(y, 0) if relu else y), gx, (g * z).sum(axis=axes, keepdims=True), g.sum(
        axis=axes, keepdims=True), g


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["plain", "relu", "residual"])
@pytest.mark.parametrize("layout", [np.array, last])
@pytest.mark.parametrize("shape, axes", RNG_SHAPES)
def test_values_and_gradients_equal_the_formulas(shape, axes, layout, mode, dtype):
    rng = np.random.default_rng(0)
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    x, g, r = (layout(rng.standard_normal(shape).astype(dtype)) for _ in range(3))
    weight, bias = rng.uniform(0.5, 2, kept).astype(dtype), rng.standard_normal(kept).astype(dtype)
    r, relu = r if mode == "residual" else None, mode != "plain"
    y, *aux = K.normalize(x, axes, eps=1e-3, weight=weight, bias=bias, residual=r, relu=relu)
    gx, gb, gw, gr = K.normalize_input(g, x, axes, *aux, eps=1e-3, weight=weight, y=y if relu else None,
                                       residual=mode == "residual")
    expected = formulas(x, g, axes, weight, bias, r, relu, 1e-3)
    found = (y, gx, gw, gb) + (() if gr is None else (gr,))
    assert (gr is None) == (mode != "residual") and y.dtype == gx.dtype == dtype
    assert K.view(y, axes).order == K.view(x, axes).order
    for a, b in zip(found, expected, strict=False):
        np.testing.assert_allclose(a, b, rtol=1e-12 if dtype == np.float64 else 2e-6, atol=1e-11 if dtype == np.float64
                                   else 2e-6 * max(1, np.abs(b).max()))


@pytest.mark.parametrize("axes, shape", [((0,), (3000, 8)), ((1,), (8, 3000))])
@pytest.mark.parametrize("kind", ["outlier first", "far mean", "huge", "tiny", "steps"])
def test_hard_data(kind, axes, shape):
    """Each is normalised to the accuracy of its float32 input."""
    x = np.random.default_rng(0).standard_normal(shape)
    long = x if axes == (0,) else x.T
    if kind == "outlier first":
        long[0] = 1e4
    elif kind == "far mean":
        x += 1e4
    elif kind == "huge":
        x *= 1e30
    elif kind == "tiny":
        x *= 1e-30
    else:
        long[:1500] += 1000
    x = x.astype(np.float32)
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(axis=axes, keepdims=True)) / exact.std(axis=axes, keepdims=True)
    y, *_ = K.normalize(x, axes, eps=0.0)
    rows = layer.items(x, axes)
    results = [y] if rows is None else [y, layer.normalize_items(rows, x, axes, eps=0.0)[0]]
    for found in results:
        np.testing.assert_allclose(found, expected, rtol=3e-6, atol=3e-6)


def test_a_constant_gives_exactly_the_bias():
    x = np.full((50, 40), 0.1, np.float32)
    for axes in ((0,), (1,)):
        assert (K.normalize(x, axes, eps=1e-5)[0] == 0).all()
    y, _ = layer.normalize_items(layer.items(x, (1,)), x, (1,), eps=1e-5, bias=np.full((1, 40), 0.7, np.float32))
    assert (y == np.float32(0.7)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("S, Q", [(1, 1), (3, 7), (70, 33), (5, 1500), (2100, 16)])
def test_items_equal_the_formulas(S, Q, dtype):
    rng = np.random.default_rng(S)
    x, g = rng.standard_normal((2, S, Q)).astype(dtype)
    weight, bias = rng.uniform(0.5, 2, (2, 1, Q)).astype(dtype)
    v = layer.items(x, (1,))
    y, aux = layer.normalize_items(v, x, (1,), eps=1e-3, weight=weight, bias=bias)
    gx, gw, gb = layer.normalize_items_input(v, g, x, (1,), *aux, weight=weight)
    expected_y, expected_gx, *_ = formulas(x, g, (1,), weight.astype(np.float64), bias, None, False, 1e-3)
    z = (expected_y - bias) / weight
    tolerance = dict(rtol=1e-11, atol=1e-11) if dtype == np.float64 else dict(rtol=5e-6, atol=5e-6 * np.sqrt(S))
    for a, b in ((y, expected_y), (gx, expected_gx), (gw, (g * z).sum(axis=0, keepdims=True)),
                 (gb, g.sum(axis=0, keepdims=True, dtype=np.float64))):
        np.testing.assert_allclose(a, b, **tolerance)


def guarded(shape, dtype):
    """An array between two bands, and a function that says whether the bands are untouched."""
    size = int(np.prod(shape))
    memory = np.full(size + 64, 7, dtype)
    return memory[32:32 + size].reshape(shape), lambda: (memory[:32] == 7).all() and (memory[-32:] == 7).all()


CALLS = {
    "column_moments": ((2, 37, 5), [("mean", (2, 3, 5)), ("square", (2, 3, 5))]),
    "column_sums": ((2, 37, 5), [("masked", (2, 37, 5)), ("sums", (2, 3, 5)), ("products", (2, 3, 5))]),
    "column_apply": ((2, 37, 5), [("y", (2, 37, 5))]), "column_gradient": ((2, 37, 5), [("gx", (2, 37, 5))]),
    "row_moments": ((2, 3, 4, 39), [("mean", (2, 4)), ("square", (2, 4))]),
    "row_sums": ((2, 3, 4, 39), [("sums", (2, 4)), ("products", (2, 4))]),
    "row_apply": ((2, 3, 4, 39), [("y", (2, 3, 4, 39))]), "row_gradient": ((2, 3, 4, 39), [("gx", (2, 3, 4, 39))])}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_loops_equal_their_twins_and_stay_within_their_outputs(name, mode):
    import inspect
    shape, outputs = CALLS[name]
    kernel, rng = getattr(normalize_loops, name), np.random.default_rng(0)
    names = list(inspect.signature(kernel.twin).parameters)
    inputs = {n: rng.standard_normal(shape if n in ("x", "g", "y", "residual") else (shape[0], shape[2]))
              for n in names} | {"rows": 15, "mode": mode}
    items = {"column_moments": 6, "column_sums": 6, "row_moments": 8, "row_sums": 8}.get(name, shape[0] * shape[1])
    found = []
    for call in (lambda *a: kernel(items, *a), kernel.twin):
        made = {n: guarded(s, np.float64) for n, s in outputs}
        call(*[made[n][0] if n in made else inputs[n] for n in names])
        assert all(intact() for _, intact in made.values())
        found.append([a for n, (a, _) in made.items() if n != "masked" or mode == 2])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_loops_of_items_equal_their_twins():
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 70, 9))
    weight, bias, found = rng.standard_normal(9), rng.standard_normal(9), []
    for first, second in ((lambda *a: layer_loops.normalize_rows(70, *a), lambda *a: layer_loops.rows_gradient(3, *a)),
                          (layer_loops.normalize_rows_numpy, layer_loops.rows_gradient_numpy)):
        y, near, rest, inverse = np.empty((70, 9)), np.empty(70), np.empty(70), np.empty(70)
        first(x, weight, bias, 0.01, y, near, rest, inverse)
        gx, gw, gb = np.empty((70, 9)), np.empty((3, 9)), np.empty((3, 9))
        second(g, x, weight, near, rest, inverse, 32, gx, gw, gb)
        found.append((y, near + rest, inverse, gx, gw, gb))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_bytes_do_not_depend_on_the_number_of_threads():
    x = np.random.default_rng(0).standard_normal((4000, 96)).astype(np.float32)
    before, found = get_num_threads(), []
    for n in (1, 2):
        set_num_threads(n)
        y, *aux = K.normalize(x, (0,), eps=1e-5, relu=True)
        gx, *sums, _ = K.normalize_input(x, x, (0,), *aux, eps=1e-5, y=y)
        v = layer.items(x, (1,))
        z, given = layer.normalize_items(v, x, (1,), eps=1e-5)
        gz = layer.normalize_items_input(v, x, x, (1,), *given)
        found.append(b"".join(a.tobytes() for a in (y, gx, *sums, z, *gz)))
    set_num_threads(before)
    assert found[0] == found[1]
