"""Routines of vector code, called by their address.

Proved here: the register tile of every height and both widths, along and across A, with and without adding, equals
the loops over taps; copies and transposes move every number to its place; nothing outside is touched (M5).
"""

import ctypes

import numpy as np
import pytest

from minicv.kernels import simd
from minicv.kernels.host import host

from .test_launch import compiled

pytestmark = compiled

ROWS, WIDTH, LANES = host().rows, host().width, host().lanes


def run(routine, *args):
    """Call a routine with integers and, for addresses, arrays."""
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(args))(routine.address)
    function(*(a.ctypes.data if isinstance(a, np.ndarray) else int(a) for a in args))


def guarded(*shape):
    """A NaN-filled array and a view of its middle."""
    whole = np.full(np.prod(shape) + 2 * WIDTH, np.nan, np.float32)
    return whole, whole[WIDTH:-WIDTH].reshape(shape)


@pytest.mark.parametrize("rows", range(1, ROWS + 1))
@pytest.mark.parametrize("name", ["tile", "narrow_tile", "down_tile", "narrow_down_tile"])
def test_tile_is_the_sum_over_taps_and_depth(name, rows):
    rng = np.random.default_rng(rows)
    columns = LANES if "narrow" in name else WIDTH
    a, b = rng.standard_normal(4000).astype(np.float32), rng.standard_normal(9000).astype(np.float32)
    a_taps, b_taps, depth, step = np.array([0, 700, 31]), np.array([64, 0, 1500]), 7, 40
    b_step, c_step = WIDTH + 3, WIDTH + 5
    expected = np.zeros((rows, columns))
    for i, k, (s, t) in ((i, k, tap) for i in range(rows) for k in range(depth) for tap in zip(a_taps, b_taps)):
        value = a[s + (i + k * step if "down" in name else i * step + k)]
        expected[i] += np.float64(value) * b[t + k * b_step:][:columns]
    for add in (0, 1):
        whole, c = guarded(rows, c_step)
        before = rng.standard_normal((rows, columns)).astype(np.float32)
        if add:
            c[:, :columns] = before
        run(getattr(simd, name), rows, 3, a_taps, b_taps, depth, a, step, b, b_step, c, c_step, add)
        np.testing.assert_allclose(c[:, :columns], expected + add * before, rtol=0, atol=2e-5)
        assert np.isnan(c[:, columns:]).all() and np.isnan(whole[:WIDTH]).all() and np.isnan(whole[-WIDTH:]).all()


@pytest.mark.parametrize("rows, columns", [(1, 1), (2, 3), (3, 1)])
def test_transpose_and_copy_move_every_number(rows, columns):
    rows, columns = rows * LANES, columns * LANES
    a = np.arange(rows * (columns + 3), dtype=np.float32).reshape(rows, columns + 3)
    whole, b = guarded(columns, rows + 2)
    run(simd.transpose, rows, columns, LANES, a, columns + 3, b, rows + 2)
    assert np.array_equal(b[:, :rows], a[:, :columns].T) and np.isnan(b[:, rows:]).all()
    assert np.isnan(whole[:WIDTH]).all() and np.isnan(whole[-WIDTH:]).all()
    whole, b = guarded(rows, columns + 1)
    run(simd.copy, rows, columns // LANES, a, columns + 3, b, columns + 1)
    assert np.array_equal(b[:, :columns], a[:, :columns]) and np.isnan(b[:, columns:]).all()
    assert np.isnan(whole[:WIDTH]).all() and np.isnan(whole[-WIDTH:]).all()
