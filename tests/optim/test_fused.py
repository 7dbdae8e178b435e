"""The compiled steps against their NumPy twins, bit by bit, inside guard bands; and without Numba at all."""

import os
import subprocess
import sys

import numpy as np
import pytest

from minicv.optim import fused

pytestmark = pytest.mark.ch1

# fmt: off
STEPS = [  # kernel, twin, number of arrays, scalars
    (fused.sgd_step, fused.sgd_numpy, 2, (0.1, 0.0)),
    (fused.sgd_step, fused.sgd_numpy, 2, (0.1, 0.3)),
    (fused.momentum_step, fused.momentum_numpy, 3, (0.1, 0.9, 0.7, 0.3, 0.0, 1.0)),
    (fused.momentum_step, fused.momentum_numpy, 3, (0.1, 0.9, 1.0, 0.3, 1.0, 0.9)),
    (fused.scaled_step, fused.scaled_numpy, 3, (0.1, 1.0, 1.0, 1e-10, 0.3)),
    (fused.scaled_step, fused.scaled_numpy, 3, (0.1, 0.9, 0.1, 1e-8, 0.0)),
    (fused.adam_step, fused.adam_numpy, 4, (0.9, 0.999, 0.19, 0.001999, 0.1, 1e-8, 0.3, 1.0)),
    (fused.adam_step, fused.adam_numpy, 4, (0.9, 0.999, 0.19, 0.001999, 0.1, 1e-8, 0.0, 0.99)),
]
# fmt: on


def arrays(count, size, dtype, seed=0):
    """Flat arrays with a guard band of 8 on both sides; the histories (third on) are positive."""
    rng = np.random.default_rng(seed)
    whole = [rng.standard_normal(size + 16).astype(dtype) for _ in range(count)]
    whole[2:] = [np.abs(a) for a in whole[2:]]
    return whole, [a[8:-8] for a in whole]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 7, 8193, 100_003])
@pytest.mark.parametrize("step, twin, count, scalars", STEPS)
def test_step_equals_its_twin_to_the_bit_and_stays_inside(step, twin, count, scalars, size, dtype):
    whole, views = arrays(count, size, dtype)
    before = [a.copy() for a in whole]
    expected = arrays(count, size, dtype)[1]
    step(size, *views, *scalars)
    twin(*expected, *scalars)
    for a, b in zip(views, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == dtype
    for a, b in zip(whole, before, strict=True):
        np.testing.assert_array_equal(a[:8], b[:8])
        np.testing.assert_array_equal(a[-8:], b[-8:])


@pytest.mark.parametrize("step, twin, count, scalars", STEPS[4:])
def test_zero_over_zero_is_nan_and_not_an_exception(step, twin, count, scalars):
    """A gradient and history of 0 with eps 0: NumPy gives NaN with a warning, so does the loop."""
    without_eps = [0.0 if scalar in (1e-8, 1e-10) else scalar for scalar in scalars]
    zeros = [np.zeros(3) for _ in range(count)]
    with np.errstate(invalid="ignore"):
        step(3, *zeros, *without_eps)
    assert np.isnan(zeros[0]).all()


def test_pieces_cover_everything_once_in_memory_order():
    a = np.arange(3.0 * fused.BLOCK + 5).reshape(-1, 1)
    seen = [(x, w) for x, w in fused.pieces(a)]
    assert [len(x) for x, _ in seen] == [fused.BLOCK] * 3 + [5] and all(len(x) == len(w) for x, w in seen)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in seen]), a.ravel())
    last = np.zeros((2, 3, 4, 5)).transpose(0, 3, 1, 2)
    assert all(np.shares_memory(view, last) for view in fused.flat(last))


def test_optimizers_work_without_numba_with_the_same_bits():
    code = ("import sys, numpy as np\nfrom minicv.autograd import Tensor\nfrom minicv.optim import SGD, Adam\n"
            "p = Tensor(np.linspace(-1, 1, 50_000), requires_grad=True, dtype=np.float32)\n"
            "for opt in (SGD([p], 0.1, 0.9, nesterov=True), Adam([p])):\n"
            "    for _ in range(3):\n        p.grad = Tensor(np.cos(p.data))\n        opt.step()\n"
            "print('numba' in sys.modules, p.data.tobytes().hex()[:4000], hash(p.data.tobytes()))")
    results = []
    for kernels in ("numpy", ""):
        env = {**os.environ, "MINICV_KERNELS": kernels, "PYTHONHASHSEED": "0"}
        out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        results.append(out.stdout.split())
    assert results[0][0] == "False" and results[0][1:] == results[1][1:]
