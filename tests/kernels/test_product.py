"""Matrix products, by the register tile and by the library in pieces.

Proved here: every shape, layout and dtype equals the sum over the inner axis, whoever does it; the tile touches nothing
outside the operands (M5) and gives what its twin gives; what it prepares from a parameter is kept until that is
written; the pieces tile the result, and all is cut by the shape alone, so that any number of threads gives the same
bytes (T2); the BLAS library's own setting is back after a product, also after an error and with products in several
threads at once (N1).
"""

import os
import threading

import numpy as np
import pytest

from minicv.autograd import Tensor, no_grad
from minicv.kernels import panels, product, threads
from minicv.nn import Linear, Parameter
from minicv.optim import SGD

from .test_fast_conv import Guarded, compiled

SHAPES = [(1, 1, 1), (3, 0, 2), (0, 3, 2),
          (70, 300, 90), (600, 64, 200), (64, 700, 900), (1, 5000, 1300), (520, 512, 520)]
TILED = [(32, 300, 32), (33, 257, 47), (70, 1025, 49), (113, 513, 300), (225, 128, 33), (1030, 1024, 65)]
ORDERS = [(left, right) for left in "CF" for right in "CF"]


def operands(M, K, N, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((M, K)).astype(dtype), rng.standard_normal((K, N)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_product_is_the_sum_over_the_inner_axis(shape, dtype):
    a, b = operands(*shape)
    a, b = (10 * a).astype(dtype), (10 * b).astype(dtype)
    expected = np.einsum("mk,kn->mn", a.astype(np.float64), b.astype(np.float64), optimize=False)
    out = np.full(expected.shape, 7, dtype)
    bound = 1e-5 * max(1, np.abs(expected).max(initial=0)) if dtype == np.float32 else 1e-8
    for result in (product.matmul(a, b), product.matmul(np.asfortranarray(a), b.T.copy().T), product.matmul(a, b, out)):
        assert result.dtype == dtype
        np.testing.assert_allclose(result, expected, rtol=0, atol=bound)
    assert product.matmul(a, b, out) is out


def ordered(shape, orders, dtype=np.float32):
    return [np.asarray(x, order=order) for x, order in zip(operands(*shape, dtype), orders, strict=True)]


@pytest.mark.parametrize("orders", ORDERS, ids="".join)
@pytest.mark.parametrize("shape", TILED, ids=str)
def test_the_tile_in_every_memory_order(shape, orders):
    a, b = ordered(shape, orders)
    out = np.full((len(a), b.shape[1]), np.nan, np.float32)
    assert not product.compiler_runs() or product._tiles_can(a, b, out)
    expected = a.astype(np.float64) @ b
    bound = 1e-6 * (abs(a.astype(np.float64)) @ abs(b))         # about 8 float32 roundings of the sum of magnitudes
    for result in (product.matmul(a, b), product.matmul(a, b, out)):
        assert (abs(result - expected) <= bound).all()
    np.testing.assert_array_equal(product.matmul(a, b), out)


@compiled
@pytest.mark.parametrize("orders", ORDERS, ids="".join)
@pytest.mark.parametrize("shape", TILED[:4], ids=str)
def test_the_tile_stays_inside_its_operands(shape, orders, monkeypatch):
    """M5: NaN all round the operands, the panels and the result stays there and does not get in."""
    guarded = Guarded()
    monkeypatch.setattr(panels, "empty", guarded.empty)
    monkeypatch.setattr(product, "empty", guarded.empty)
    a, b = (guarded.like(x) if x.flags.c_contiguous else guarded.like(x.T).T for x in ordered(shape, orders))
    assert np.isfinite(product.matmul(a, b)).all() and guarded.untouched() and len(guarded.made) == 4


@compiled
def test_products_that_do_not_suit_the_tile_go_to_the_library(monkeypatch):
    monkeypatch.setattr(product, "_by_tiles", None)
    a, b = operands(200, 256, 200)
    for left, right in [(a.astype(np.float64), b.astype(np.float64)), (a[:31], b.repeat(9, axis=1)),
                        (a[:, :127], b[:127]), (a.repeat(2, axis=1)[:, ::2], b), (a, b.repeat(2, axis=0)[::2])]:
        np.testing.assert_array_equal(product.matmul(left, right), left @ right)


@compiled
def test_panels_of_a_parameter_and_its_views_are_kept_until_it_is_written():
    w, x = Parameter(operands(300, 300, 1)[0]), operands(64, 300, 1)[0]
    views = [w._array.T, w._array[:, 40:].T, w._array[100:].T]
    for turn in range(3):
        for view in views[::2]:                                 # the other has gaps: the library takes it
            expected = x @ view
            np.testing.assert_allclose(product.matmul(x, view, kept=True), expected, rtol=0, atol=1e-4)
        kept = [made is not None for made in panels._owned[id(w._array)][1].values()]
        assert kept == [turn > 0] * 2
    with no_grad():
        w *= 2
    np.testing.assert_allclose(product.matmul(x, w._array.T, kept=True), x @ w._array.T, rtol=0, atol=1e-4)


@compiled
@pytest.mark.parametrize("write", [
    lambda w: w.copy_(2 * np.asarray(w)), lambda w: w.__imul__(2), lambda w: w.__setitem__(3, 0.0),
    lambda w: setattr(w, "data", 3 * np.asarray(w))], ids=["copy_", "*=", "[3]", "data"])
def test_a_layer_whose_weight_was_written_forgets_what_was_prepared(write):
    layer, x = Linear(256, 128, rng=0), operands(64, 256, 1)[0]
    with no_grad():
        before = [np.asarray(layer(x)) for _ in range(3)]
        write(layer.weight)
        expected = x @ np.array(layer.weight.data).T + np.array(layer.bias.data)
        for _ in range(3):
            np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=0, atol=1e-3)
    assert abs(before[-1] - expected).max() > 0.1


@compiled
def test_training_is_seen_by_inference_between_the_steps():
    layer, x = Linear(256, 128, rng=0), operands(64, 256, 1)[0]
    optimizer = SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        with no_grad():
            for _ in range(3):
                expected = x @ np.array(layer.weight.data).T + np.array(layer.bias.data)
                np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=0, atol=1e-3)
        layer.zero_grad()
        (layer(Tensor(x))**2).sum().backward()
        optimizer.step()


@pytest.mark.parametrize("shape", [(300, 256), (256, 224), (256, 288), (200, 256)], ids=str)
def test_a_result_of_another_shape_is_refused(shape):
    a, b = operands(256, 256, 256)
    with pytest.raises(ValueError, match="out has shape"):
        product.matmul(a, b, out=np.empty(shape, np.float32))


def test_batches_and_mixed_dtypes_are_left_to_numpy():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 100, 64)), rng.standard_normal((3, 64, 100)).astype(np.float32)
    np.testing.assert_array_equal(product.matmul(a, b), np.matmul(a, b))
    assert product.matmul(a[0], b[0].repeat(9, axis=1)).dtype == np.float64


@pytest.mark.parametrize("shape", SHAPES[3:], ids=str)
def test_pieces_tile_the_result(shape):
    a, b = operands(*shape)
    out = np.zeros((len(a), b.shape[1]))
    cut = product.pieces(a, b, out)
    for left, right, part in cut:
        assert part.shape == (len(left), right.shape[1])
        part += 1
    assert (out == 1).all()
    assert len(cut) == 1 or all(max(part.shape) >= product.SIDE and np.prod(shape) >= product.WORK for *_, part in cut)


def test_threads_change_no_byte(monkeypatch):
    for shape in SHAPES[3:] + TILED:
        results = []
        for count in (1, 2, 5):
            monkeypatch.setattr(threads, "_chosen", count)
            results.append(product.matmul(*operands(*shape)).tobytes())
        assert results[0] == results[1] == results[2]


def test_the_librarys_setting_returns():
    if not threads._openblas():
        pytest.skip("NumPy came without OpenBLAS")
    before = threads._get_blas_threads()
    a, b = operands(400, 400, 400)
    inside, failures = [], []

    def work():
        try:
            for _ in range(20):
                with threads.one_blas_thread():
                    inside.append(threads._get_blas_threads())
                    product.matmul(a, b)
        except Exception as error:
            failures.append(error)

    try:
        threads._set_blas_threads(2)
        workers = [threading.Thread(target=work) for _ in range(4)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        with pytest.raises(ValueError):
            product.matmul(a, b[:-1].repeat(2, axis=1))
        assert not failures and set(inside) == {1} and threads._get_blas_threads() == 2
    finally:
        threads._set_blas_threads(before)


@pytest.mark.parametrize("shape", [(1, 10_500, 1), (2, 40_000, 3)], ids=str)
def test_long_inner_products_do_not_depend_on_threads(shape):
    if not threads._openblas():
        pytest.skip("NumPy came without OpenBLAS")
    before, results = threads._get_blas_threads(), []
    try:
        for count in (1, 2):
            threads._set_blas_threads(count)
            results.append(product.matmul(*operands(*shape, np.float64)).tobytes())
    finally:
        threads._set_blas_threads(before)
    assert results[0] == results[1]


def test_a_number_of_threads_set_during_a_product_holds_afterwards(monkeypatch):
    monkeypatch.setattr(threads, "_chosen", None)
    before = threads._get_blas_threads()
    try:
        with threads.one_blas_thread():
            threads.set_num_threads(2)
            assert not threads._openblas() or threads._get_blas_threads() == 1
        assert threads.get_num_threads() == 2
        assert not threads._openblas() or threads._get_blas_threads() == 2
    finally:
        threads._set_blas_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_forked_during_a_product_is_not_left_on_one_thread():
    if not threads._openblas():
        pytest.skip("NumPy came without OpenBLAS")
    before = threads._get_blas_threads()
    try:
        threads._set_blas_threads(2)
        with threads.one_blas_thread():
            child = os.fork()
            if not child:
                os._exit(10 * threads._guests + threads._get_blas_threads())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    finally:
        threads._set_blas_threads(before)
