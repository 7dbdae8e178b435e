"""Convolution with small groups.

Proved here: it equals the float64 matrix product within its bound (L25) for every group size, for odd sizes, paddings,
strides, dilations and for channels that do not fill whole vectors; also for more pixels than float32 can add up one
by one; its twin and all vector widths agree; threads change no byte (T2); nothing is read or written outside the arrays
(M5); its tables name every tap of every output once; prepared filters follow the parameter.
"""

import numpy as np
import pytest

from minicv import kernels as K
from minicv.autograd import no_grad
from minicv.errors import ArgError
from minicv.kernels import grouped, launch, threads
from minicv.kernels.geometry import Geometry
from minicv.kernels.host import HOSTS, host
from minicv.kernels.windows import output_size
from minicv.nn import Parameter

from .test_fast_conv import Guarded, errors, example, three
from .test_launch import compiled, run

pytestmark = pytest.mark.ch2

LANES = host().lanes
SIZES = [size for size in grouped.SIZES if size <= LANES]
SAME = dict(padding=((1, 1), (1, 1)))
SETTINGS = [  # height, width, kernel, settings
    (9, 17, (3, 3), SAME),
    (1, 1, (3, 3), SAME),
    (8, 31, (3, 3), SAME | dict(stride=(2, 2))),
    (11, 6, (5, 5), dict(padding=((2, 2), (2, 2)))),
    (10, 9, (7, 7), dict(padding=((3, 3), (3, 3)), stride=(2, 1))),
    (9, 8, (2, 3), dict(padding=((0, 2), (3, 1)), stride=(2, 3), dilation=(1, 2))),
    (3, 4, (3, 3), dict(padding=((4, 4), (4, 4)))),                         # outputs that see nothing
    (7, 40, (3, 3), dict(padding=((2, 2), (2, 2)), dilation=(2, 2))),
    (5, 6, (1, 1), dict(stride=(3, 3))),
]


def case(size, channels, setting, N=2):
    H, W, kernel, settings = setting
    return N, channels, H, W, channels, kernel, settings | dict(groups=channels // size)


CASES = [case(size, channels, setting)
         for size in SIZES for channels in (2 * LANES, LANES + min(size, LANES // 2)) for setting in SETTINGS
         if channels > size and channels % size == 0]
FEW = CASES[::5]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_within_the_error_bound(case):
    assert max(errors(case, algo="grouped")) <= 3e-6


@compiled
def test_long_sums_keep_the_bound():
    """Sums over 80,000 pixels: one by one in float32 they would be off by 1e-5."""
    assert max(errors(case(1, LANES, (200, 200, (3, 3), SAME)), algo="grouped")) <= 3e-6


@compiled
@pytest.mark.parametrize("case", FEW, ids=str)
def test_twins_agree(case, monkeypatch):
    x, w, g, settings = example(case)
    fast = three(x, w, g, settings, algo="grouped")
    monkeypatch.setattr(launch, "TWINS_ONLY", True)
    for a, b in zip(fast, three(x, w, g, settings, algo="grouped"), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * np.abs(b).max())


@compiled
@pytest.mark.parametrize("case", FEW, ids=str)
def test_threads_change_no_byte(case, monkeypatch):
    """T2, DESIGN section 3."""
    x, w, g, settings = example(case)
    results = []
    monkeypatch.setattr(launch, "SERIAL_ELEMENTS", 1)
    monkeypatch.setattr(grouped, "CHUNK_PIXELS", 16)
    for n in (1, 2, 5):
        monkeypatch.setattr(threads, "_chosen", n)
        results.append([a.tobytes() for a in three(x, w, g, settings, algo="grouped")])
    assert results[0] == results[1] == results[2]


@compiled
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_outside_the_arrays_is_read_or_written(case, monkeypatch):
    """M5: NaN all round inputs, packed filters, partial sums and outputs stays there and does not get in."""
    x, w, g, settings = example(case)
    guarded = Guarded()
    monkeypatch.setattr(grouped, "empty", guarded.empty)
    results = three(guarded.like(x), guarded.filters(w), guarded.like(g), settings, algo="grouped")
    assert all(np.isfinite(a).all() for a in results) and guarded.untouched() and len(guarded.made) == 8


SCRIPT = """
    import sys, numpy as np
    from minicv import kernels as K
    from minicv.kernels.host import host
    n, worst = host().lanes, 0
    rng = np.random.default_rng(0)
    for size, C, settings in ((1, n, {}), (1, 2 * n + 1, dict(stride=(2, 2))), (2, n + 2, {}),
                              (4, 2 * n, dict(dilation=(2, 2))), (min(8, n), 2 * n, dict(stride=(1, 2)))):
        settings |= dict(groups=C // size, padding=((1, 1), (1, 1)))
        x = rng.standard_normal((2, C, 11, 13)).astype(np.float32)
        w = rng.standard_normal((C, size, 3, 3)).astype(np.float32)
        y = K.conv2d(x.astype(float), w.astype(float), algo="im2col", **settings)
        exact = (y, K.conv2d_input(y, w.astype(float), size=(11, 13), algo="im2col", **settings),
                 K.conv2d_filter(x.astype(float), y, size=(3, 3), algo="im2col", **settings))
        y = y.astype(np.float32)
        fast = (K.conv2d(x, w, algo="grouped", **settings),
                K.conv2d_input(y, w, size=(11, 13), algo="grouped", **settings),
                K.conv2d_filter(x, y, size=(3, 3), algo="grouped", **settings))
        worst = max([worst, *(abs(a - b).max() / abs(b).max() for a, b in zip(fast, exact))])
    print(host().lanes, worst < 3e-6)
"""


@compiled
@pytest.mark.parametrize("name", sorted(HOSTS))
def test_every_vector_width_gives_the_same_numbers(name):
    code, output = run(SCRIPT, MINICV_SIMD=name)              # each has a cache of its own
    assert (code, output) == (0, f"{HOSTS[name].lanes} True\n"), output


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_tables_name_every_tap_of_every_output_once(setting):
    """The definition: output (i, j) sees (i s + p d - top, j s + q d - left) where that is inside."""
    H, W, kernel, settings = setting
    given = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": LANES} | settings
    geometry = Geometry(kernel, output_size("test", (H, W), kernel, *list(given.values())[:3]), **given)
    (top, left), (s, t), (d, e), (P, Q) = geometry.corner, geometry.stride, geometry.dilation, kernel
    seen = {(i, j, p, q, i * s + p * d - top, j * t + q * e - left) for i, j, p, q in np.ndindex(*geometry.grid, P, Q)
            if 0 <= i * s + p * d - top < H and 0 <= j * t + q * e - left < W}
    image = (1, H, W, LANES)
    assert named(grouped.forward_tables(image, geometry), Q) == sorted(seen)
    adjoint = {(h, v, P - 1 - p, Q - 1 - q, i, j) for i, j, p, q, h, v in seen}
    assert named(grouped.input_tables(image, geometry), Q) == sorted(adjoint)


def named(tables, Q):
    """All (row, column; tap; source row and column) of the tables, sorted."""
    rows, runs = tables
    return sorted((i, int(first + k * step), int(down[2 * a] // Q), int(right[2 * b]), int(down[2 * a + 1]),
                   int(right[2 * b + 1] + k * source_step))
                  for i, (n, *down) in enumerate(rows) for first, step, count, source_step, m, *right in runs
                  for a in range(n) for b in range(m) for k in range(count))


def test_panels_of_a_parameter_are_kept_until_it_is_written():
    w = Parameter(np.ones((LANES, 1, 3, 3), np.float32))
    x = np.ones((1, LANES, 3, 3), np.float32)

    def middle(kept):
        return K.conv2d(x, w._array, groups=LANES, algo="grouped", kept=kept)[0, 0, 0, 0]

    first, later = (grouped._filters(w._array, LANES, False, True) for _ in range(2))
    assert later is grouped._filters(w._array, LANES, False, True) is not first             # once is not often
    assert middle(True) == middle(False) == 9
    with no_grad():
        w *= 2
    assert middle(True) == 18


@pytest.mark.parametrize("channels, filters, groups", [
    (2 * LANES, 2 * LANES, 1), (2 * LANES, 4 * LANES, 2 * LANES), (LANES // 2, LANES // 2, 2),
    (32 * LANES, 32 * LANES, 2), (3 * LANES, 3 * LANES, LANES)])
def test_other_groups_are_refused(channels, filters, groups):
    """One group, more filters than channels, channels that fill no vector, groups that are large or of size 3."""
    with pytest.raises(ArgError, match="algo is 'grouped', which cannot do"):
        K.conv2d(np.zeros((1, channels, 3, 3), np.float32), np.zeros((filters, channels // groups, 3, 3), np.float32),
                 groups=groups, algo="grouped")
