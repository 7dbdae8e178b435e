"""The fast methods of convolution: direct and Winograd.

Proved here: every method equals the float64 matrix product within its bound (L25) for odd sizes, paddings, strides,
dilations, groups and channel counts; twins and all vector widths agree; threads change no byte (T2); nothing is read
or written outside the arrays (M5); boxes of a plan cover every output once; prepared filters are forgotten when the
parameter changes and never kept for arrays of others; the choice depends on shapes alone.
"""

import gc
import weakref

import numpy as np
import pytest

import minicv.functional as F
from minicv import kernels as K
from minicv.autograd import no_grad
from minicv.errors import ArgError
from minicv.kernels import choose, direct, launch, panels, threads, winograd
from minicv.kernels.geometry import Geometry
from minicv.kernels.host import HOSTS, host
from minicv.kernels.windows import output_size
from minicv.nn import Conv2d, Parameter

from .test_launch import compiled, run

pytestmark = pytest.mark.ch2

LANES = host().lanes
CASES = [  # N, C, H, W, O, kernel, settings
    (2, 3, 9, 8, 5, (3, 3), dict(padding=((1, 1), (1, 1)))),
    (1, 3, 23, 18, 16, (7, 7), dict(stride=(2, 2), padding=((3, 3), (3, 3)))),
    (3, 5, 7, 9, 33, (2, 3), dict(stride=(2, 1), padding=((0, 2), (3, 1)), dilation=(1, 2))),
    (2, 6, 8, 9, 9, (3, 2), dict(groups=3, padding=((1, 0), (2, 2)), stride=(1, 3))),
    (2, 17, 6, 5, 70, (1, 1), {}),
    (2, 8, 9, 9, 40, (1, 1), dict(stride=(2, 2))),
    (1, 4, 3, 3, 48, (3, 3), dict(padding=((4, 4), (4, 4)))),
    (4, 2, 5, 1, 16, (2, 1), {}),
    (1, 4, 11, 40, 32, (3, 3), dict(padding=((1, 1), (1, 1)), dilation=(2, 2))),
    (1, 4, 9, 9, 3, (1, 1), dict(stride=(3, 3), padding=((2, 2), (0, 0)))),
]
TILED = [
    (2, LANES, 8, 8, 2 * LANES, (3, 3), dict(padding=((1, 1), (1, 1)))),
    (1, 3 * LANES, 13, 7, LANES, (3, 3), {}),
    (3, 2 * LANES, 5, 18, 3 * LANES, (3, 3), dict(padding=((2, 0), (1, 3)))),
    (1, LANES, 3, 3, LANES, (3, 3), {}),
    (1, 2 * LANES, 17, 14, 2 * LANES, (3, 3), dict(padding=((2, 2), (2, 2)), dilation=(2, 2))),
    (2, LANES, 20, 13, LANES, (3, 3), dict(padding=((3, 3), (2, 2)), dilation=(3, 1))),
    (1, LANES, 40, 3, LANES, (3, 3), dict(padding=((0, 5), (3, 3)))),
]
DIRECT = [(case, "direct", "high") for case in CASES + TILED]
METHODS = DIRECT + [(case, "winograd", level) for case in TILED for level in ("fast", "high")]


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def example(case, dtype=np.float32, seed=0):
    N, C, H, W, O, kernel, settings = case
    rng = np.random.default_rng(seed)
    x = channels_last(rng.standard_normal((N, C, H, W)).astype(dtype))
    w = rng.standard_normal((*kernel, C // settings.get("groups", 1), O)).astype(dtype).transpose(3, 2, 0, 1)
    g = rng.standard_normal(K.conv2d(x, w, **settings).shape).astype(dtype)
    return x, w, channels_last(g), settings


def three(x, w, g, settings, **how):
    """The convolution and its two adjoints."""
    return (K.conv2d(x, w, **settings, **how), K.conv2d_input(g, w, size=x.shape[2:], **settings, **how),
            K.conv2d_filter(x, g, size=w.shape[2:], **settings, **how))


def errors(case, **how):
    """Largest error of each of the three, relative to the largest value of the float64 result."""
    x, w, g, settings = example(case)
    exact = three(*(a.astype(np.float64) for a in (x, w, g)), settings, algo="im2col")
    return [np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)
            for a, b in zip(three(x, w, g, settings, **how), exact, strict=True)]


@pytest.mark.parametrize("case, algo, level", METHODS, ids=str)
def test_within_the_error_bound(case, algo, level):
    """The accuracy line of the documentation: 3e-6, Winograd's larger tiles 5e-6 and 3e-5."""
    bounds = (3e-6, 3e-6, 3e-6) if level == "high" else (5e-6, 5e-6, 3e-5)
    assert all(e <= bound for e, bound in zip(errors(case, algo=algo, precision=level), bounds, strict=True))


def test_error_of_small_tiles_grows_with_the_root_of_the_terms():
    """L25: relative L2 error at most 1e-6 sqrt(C k^2) for F(2, 3)."""
    for C in (LANES, 16 * LANES):
        x, w, g, settings = example((1, C, 12, 12, 2 * LANES, (3, 3), {}))
        y = K.conv2d(x, w, algo="winograd", precision="high")
        exact = K.conv2d(x.astype(np.float64), w.astype(np.float64))
        assert np.linalg.norm(y - exact) / np.linalg.norm(exact) <= 1e-6 * np.sqrt(9 * C) / 10


@compiled
@pytest.mark.parametrize("case, algo, level", METHODS, ids=str)
def test_twins_agree(case, algo, level, monkeypatch):
    x, w, g, settings = example(case)
    fast = three(x, w, g, settings, algo=algo, precision=level)
    monkeypatch.setattr(launch, "TWINS_ONLY", True)
    for a, b in zip(fast, three(x, w, g, settings, algo=algo, precision=level), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * np.abs(b).max())


@compiled
@pytest.mark.parametrize("case, algo, level", METHODS, ids=str)
def test_threads_change_no_byte(case, algo, level, monkeypatch):
    """T2, DESIGN section 3."""
    x, w, g, settings = example(case)
    results = []
    monkeypatch.setattr(launch, "SERIAL_ELEMENTS", 1)
    for n in (1, 2, 5):
        monkeypatch.setattr(threads, "_chosen", n)
        results.append([a.tobytes() for a in three(x, w, g, settings, algo=algo, precision=level)])
    assert results[0] == results[1] == results[2]


class Guarded:
    """Hands out arrays in the middle of a buffer of NaN, and knows whether its bands were touched."""

    def __init__(self):
        self.made = []

    def empty(self, shape, dtype=np.float32):
        size = int(np.prod(shape))
        buffer = np.full(size + 256, np.nan, dtype)
        self.made.append((buffer, size))
        return buffer[128:128 + size].reshape(shape)

    def like(self, a):
        kept = a.transpose(0, 2, 3, 1) if a.ndim == 4 else a
        made = self.empty(kept.shape, a.dtype)
        made[...] = kept
        return made.transpose(0, 3, 1, 2) if a.ndim == 4 else made

    def filters(self, w):
        made = self.empty(w.transpose(2, 3, 1, 0).shape, w.dtype)
        made[...] = w.transpose(2, 3, 1, 0)
        return made.transpose(3, 2, 0, 1)

    def untouched(self):
        return all(np.isnan(b[:128]).all() and np.isnan(b[128 + size:]).all() for b, size in self.made)


@compiled
@pytest.mark.parametrize("case, algo, level", METHODS, ids=str)
def test_nothing_outside_the_arrays_is_read_or_written(case, algo, level, monkeypatch):
    """M5: NaN all round inputs, workspaces and outputs stays there and does not get in."""
    x, w, g, settings = example(case)
    guarded = Guarded()
    for module in (direct, winograd, panels):
        monkeypatch.setattr(module, "empty", guarded.empty)
    results = three(guarded.like(x), guarded.filters(w), guarded.like(g), settings, algo=algo, precision=level)
    assert all(np.isfinite(a).all() for a in results) and guarded.untouched() and len(guarded.made) > 5


SCRIPT = """
    import sys, numpy as np
    from minicv import kernels as K
    from minicv.kernels.host import host
    n, worst = host().lanes, 0
    rng = np.random.default_rng(0)
    for C, O, settings in ((3, 5, dict(stride=(2, 2))), (2 * n, 3 * n, {}), (n, n + 1, dict(dilation=(2, 2)))):
        x = rng.standard_normal((2, C, 11, 13)).astype(np.float32)
        w = rng.standard_normal((O, C, 3, 3)).astype(np.float32)
        y = K.conv2d(x.astype(float), w.astype(float), algo="im2col", **settings)
        exact = (y, K.conv2d_input(y, w.astype(float), size=(11, 13), algo="im2col", **settings),
                 K.conv2d_filter(x.astype(float), y, size=(3, 3), algo="im2col", **settings))
        y = y.astype(np.float32)
        for algo in ("direct", "winograd") if C == 2 * n else ("direct",):
            fast = (K.conv2d(x, w, algo=algo, **settings),
                    K.conv2d_input(y, w, size=(11, 13), algo=algo, **settings),
                    K.conv2d_filter(x, y, size=(3, 3), algo=algo, **settings))
            worst = max([worst, *(abs(a - b).max() / abs(b).max() for a, b in zip(fast, exact))])
    print(host().lanes, worst < 5e-6)
"""


@compiled
@pytest.mark.parametrize("name", sorted(HOSTS))
def test_every_vector_width_gives_the_same_numbers(name):
    code, output = run(SCRIPT, MINICV_SIMD=name)              # each has a cache of its own
    assert (code, output) == (0, f"{HOSTS[name].lanes} True\n"), output


def test_an_unknown_vector_width_is_refused():
    code, output = run("from minicv.kernels.host import host; host()", MINICV_SIMD="sse9")
    assert code == 1 and "MINICV_SIMD: value is 'sse9', expected one of avx512, avx2, neon, plain" in output


@pytest.mark.parametrize("case", CASES + TILED, ids=str)
def test_boxes_of_a_plan_cover_every_output_once(case):
    x, w, g, settings = example(case)
    given = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1} | settings
    grid = output_size("test", x.shape[2:], w.shape[2:], given["stride"], given["padding"], given["dilation"])
    geometry = Geometry(w.shape[2:], grid, **given)
    N, C, H, W = x.shape
    for plan, size, channels in ((direct.forward_plan((N, H, W, C), len(w), geometry), grid, len(w)),
                                 (direct.input_plan((N, H, W, C), len(w), geometry), (H, W), C)):
        hits = np.zeros(N * size[0] * size[1], int)
        for offset, _, n1, _, c1, n2, _, c2, n3, _, c3, height, *_ in plan.boxes:
            at = offset + c1 * np.arange(n1)[:, None, None] + c2 * np.arange(n2)[:, None] + c3 * np.arange(n3)
            np.add.at(hits, at.ravel() // channels, 1)
            assert 1 <= height <= host().rows and (at % channels == 0).all()
        assert (hits == 1).all()


@pytest.mark.parametrize("algo", ["direct", "im2col"])
def test_an_impossible_size_fails_at_once(algo):
    """It did not: the plan of so many rows was made before their memory was asked for."""
    with pytest.raises((ValueError, MemoryError)):
        K.conv2d(np.ones((1, 3, 8, 8), np.float32), np.ones((4, 3, 3, 3), np.float32), padding=2**30, algo=algo)


def test_the_rule_follows_shape_and_precision():
    def method(C, O, H, kernel=(3, 3), N=8, stride=(1, 1), dilation=(1, 1), groups=1, dtype=np.float32, **how):
        before = dilation[0] * (kernel[0] // 2)
        padding = ((before, before),) * 2
        grid = output_size("test", (H, H), kernel, stride, padding, dilation)
        geometry = Geometry(kernel, grid, stride, padding, dilation, groups)
        return choose.choose("conv2d", geometry, (N, C, H, H), O, np.dtype(dtype), **how)

    assert method(64, 64, 56, dtype=np.float64) is choose.matrix
    assert method(64, 64, 56, groups=64, dtype=np.float64) is choose.depthwise
    assert method(64, 128, 56, groups=64) is choose.depthwise
    if launch.compiler_runs():
        assert method(64, 64, 56) == winograd.ByTiles(4) == method(256, 256, 65, N=1, dilation=(2, 2))
        assert method(64, 64, 56, precision="high") == winograd.ByTiles(2)
        assert method(64, 256, 56, kernel=(1, 1)) is choose.matrix
        assert method(3, 64, 224, kernel=(7, 7), stride=(2, 2)) is choose.direct
        assert method(64, 64, 56, groups=64) is choose.grouped is method(64, 64, 56, groups=16)
        assert method(64, 64, 56, groups=2) is choose.direct is method(64, 32, 56, groups=16)
        assert method(512, 512, 7, N=1) is choose.direct                    # the filter is most of the work ...
        assert method(512, 512, 7, N=1, kept=True) == winograd.ByTiles(2)   # ... unless it is prepared already
    assert method(64, 64, 56, algo="direct") is choose.direct
    with K.conv_algo("im2col"):
        assert method(64, 64, 56) is choose.matrix
        with K.conv_algo("winograd"):
            assert method(64, 64, 56, stride=(2, 2)) in (choose.direct, choose.matrix)
    with K.precision("high"):
        assert method(64, 64, 56, algo="winograd") == winograd.ByTiles(2)


@pytest.mark.parametrize("how, words", [
    (dict(algo="winograd"), "algo is 'winograd', which cannot do float64"),
    (dict(algo="direct"), "algo is 'direct', which cannot do float64"),
    (dict(precision="low"), "precision is 'low', expected one of fast, high"),
])
def test_what_a_method_cannot_do_is_refused(how, words):
    with pytest.raises(ArgError, match=f"conv2d: {words}"):
        K.conv2d(np.zeros((1, 3, 5, 6)), np.zeros((2, 3, 3, 3)), **how)


@pytest.mark.parametrize("context", [K.conv_algo, K.precision])
def test_contexts_refuse_unknown_names_and_end(context):
    with pytest.raises(ArgError, match="expected one of"), context("fft"):
        pass
    before = vars(choose._settings).copy()
    with pytest.raises(ZeroDivisionError), K.conv_algo("direct"), K.precision("high"):
        raise ZeroDivisionError
    assert choose._settings.algo == "auto" and choose._settings.precision == "fast" and before in ({}, vars(
        choose._settings))


# Prepared filters ------------------------------------------------------------------------------------


def packed(w, **how):
    return panels.panels(w._array if isinstance(w, Parameter) else w, **how)


def test_panels_of_a_parameter_are_kept_until_it_is_written():
    w = Parameter(np.ones((3, 2, 3, 3), np.float32))
    first, before = packed(w, kept=True), packed(w, kept=True)
    assert first is not before and before is packed(w, kept=True) is not packed(w)       # once is not often
    with no_grad():
        w *= 2
    assert packed(w, kept=True).max() == 2 and before.max() == 1
    w.data = np.full((3, 2, 3, 3), 3, np.float32)
    assert packed(w, kept=True).max() == 3


def test_nothing_is_kept_for_arrays_of_others_or_while_recording():
    w = np.ones((3, 2, 3, 3), np.float32)
    w.setflags(write=False)
    assert packed(w, kept=True) is not packed(w, kept=True)
    layer, x = Conv2d(2, 3, 3), np.ones((1, 2, 8, 8), np.float32)
    layer(F.reshape(x, shape=x.shape))
    assert not panels._owned[id(layer.weight._array)][1]
    with no_grad(), K.conv_algo("direct"):
        layer(x)
        first = layer(x)
        (kept,) = panels._owned[id(layer.weight._array)][1].values()
        assert kept is not None
        with no_grad():
            layer.weight *= -1
        np.testing.assert_allclose(np.asarray(layer(x) - layer.bias.reshape(1, -1, 1, 1)),
                                   -np.asarray(first - layer.bias.reshape(1, -1, 1, 1)), rtol=1e-5, atol=1e-6)


def test_what_was_kept_dies_with_the_parameter():
    w = Parameter(np.ones((3, 2, 3, 3), np.float32))
    key, kept = id(w._array), weakref.ref(packed(w, kept=True))
    assert key in panels._owned
    del w
    gc.collect()
    assert kept() is None and key not in panels._owned


def test_workers_and_copies_start_without_kept_filters():
    import copy
    w = Parameter(np.ones((3, 2, 3, 3), np.float32))
    packed(w, kept=True)
    twin = copy.deepcopy(w)
    assert np.array_equal(packed(twin, kept=True), packed(w, kept=True))
    with no_grad():
        twin *= 5
    assert packed(w, kept=True).max() == 1 and packed(twin, kept=True).max() == 5
