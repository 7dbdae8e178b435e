"""Generated tests: every op of the registry, every sample.

Proved for each op: values against an independent oracle in float64 and float32, result dtype, gradients to
second order against finite differences and equal on the array path and the recorded path, unchanged by
memory layout, repeatable, inputs untouched, overwritten inputs noticed, NaN not swallowed, bad calls refused
with a message, two Python threads at once equal, tensors freed without the garbage collector.
"""

import gc
import pathlib
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from minicv.autograd import Tensor, grad, no_grad
from minicv.errors import GraphError, MinicvError
from minicv.testing import checks
from minicv.testing.registry import specs

ROOT = pathlib.Path(__file__).parents[2]
SPECS = specs()


def samples_of(spec):
    return spec.samples(np.random.default_rng(0))


ALL = [pytest.param(spec, sample, id=f"{name}-{i}")
       for name, spec in SPECS.items() for i, sample in enumerate(samples_of(spec))]
SMOOTH = [p for p in ALL if p.values[0].order and checks.differentiable(p.values[1])]
TYPICAL = [pytest.param(spec, sample, id=name) for name, spec in SPECS.items()
           for sample in [s for s in samples_of(spec) if checks.differentiable(s)
                          and max(x.size for x in s.inputs if checks.is_float(x)) > 1][:1]]
ERRORS = [pytest.param(spec, bad, id=f"{name}-{i}")
          for name, spec in SPECS.items() for i, bad in enumerate(spec.errors())]


@pytest.mark.parametrize("spec, sample", ALL)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_forward_matches_the_oracle(spec, sample, dtype):
    if dtype == np.float32 and "float64 only" in sample.note:
        pytest.skip("the sample's values do not fit float32")
    checks.check_forward(spec, sample, dtype)


@pytest.mark.parametrize("spec, sample", SMOOTH)
def test_gradients_match_finite_differences(spec, sample):
    checks.check_gradients(spec, sample, rtol=(1e-7, 1e-6)[:spec.order])


@pytest.mark.parametrize("spec, sample", TYPICAL)
@pytest.mark.parametrize("layout", checks.LAYOUTS)
def test_memory_layout_does_not_matter(spec, sample, layout):
    checks.check_layout(spec, sample, layout)


@pytest.mark.parametrize("spec, sample", SMOOTH)
def test_backward_repeats_bit_for_bit_and_leaves_inputs_alone(spec, sample):
    before = [x.copy() if isinstance(x, np.ndarray) else x for x in sample.inputs]
    y, first = checks.run(spec, sample.inputs, sample.settings)
    y2, second = checks.run(spec, sample.inputs, sample.settings)
    np.testing.assert_array_equal(y, y2)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    for x, old in zip(sample.inputs, before, strict=True):
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, old)


@pytest.mark.parametrize("spec, sample", TYPICAL)
def test_each_input_alone_gets_the_same_gradient(spec, sample):
    if spec.order == 0:
        pytest.skip("the op has no derivative")
    _, together = checks.run(spec, sample.inputs, sample.settings)
    floats = [i for i, x in enumerate(sample.inputs) if checks.is_float(x)]
    for at, expected in zip(floats, together, strict=True):
        tensors = [Tensor(x, requires_grad=i == at) if checks.is_float(x) else x for i, x in enumerate(sample.inputs)]
        y = spec.fn(*tensors, **sample.settings)
        if expected is None:
            continue
        c = np.cos(np.arange(y.size, dtype=np.float64)).reshape(y.shape) + 1.5
        np.testing.assert_allclose(grad(y, [tensors[at]], c)[0].data, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("spec, sample", TYPICAL)
def test_overwritten_input_is_noticed_or_harmless(spec, sample):
    """A1: never a silently wrong gradient."""
    y, expected = checks.run(spec, sample.inputs, sample.settings)
    for k in range(len(expected)):
        out, tensors = checks.on_tensors(spec, sample.inputs, sample.settings, requires_grad=True)
        leaves = [t for t in tensors if isinstance(t, Tensor)]
        with no_grad():
            leaves[k] += 1.0
        c = np.cos(np.arange(out.size, dtype=np.float64)).reshape(out.shape) + 1.5
        try:
            found = grad(out, leaves, c, allow_unused=True)
        except GraphError as e:
            assert "in place" in str(e)
            continue
        for a, b in zip(found, expected, strict=True):
            if b is not None:
                np.testing.assert_allclose(a.data, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("spec, sample", TYPICAL)
def test_nan_is_not_swallowed(spec, sample):
    """D10."""
    if spec.nan != "propagates":
        pytest.skip("the op selects elements; a NaN may be left out")
    for k, x in enumerate(sample.inputs):
        if checks.is_float(x):
            inputs = list(sample.inputs)
            inputs[k] = x.copy()
            inputs[k].flat[x.size // 2] = np.nan
            with np.errstate(all="ignore"):
                assert np.isnan(np.asarray(spec.fn(*inputs, **sample.settings))).any()


@pytest.mark.parametrize("spec, bad", ERRORS)
def test_bad_call_is_refused_with_a_message(spec, bad):
    before = [x.copy() if isinstance(x, np.ndarray) else x for x in bad.inputs]
    for wrap in (False, True):
        inputs = [Tensor(x, requires_grad=True) if wrap and checks.is_float(x) else x for x in bad.inputs]
        with pytest.raises(bad.error, match=bad.match) as caught:
            spec.fn(*inputs, **bad.settings)
        assert isinstance(caught.value, (MinicvError, TypeError))
    for x, old in zip(bad.inputs, before, strict=True):
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, old)


@pytest.mark.parametrize("spec, sample", TYPICAL)
def test_two_threads_at_once_agree(spec, sample):
    expected, grads = checks.run(spec, sample.inputs, sample.settings)
    results = [None, None]

    def work(slot):
        for _ in range(3):
            results[slot] = checks.run(spec, sample.inputs, sample.settings)
    threads = [threading.Thread(target=work, args=(slot,)) for slot in (0, 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for y, found in results:
        np.testing.assert_array_equal(y, expected)
        for a, b in zip(found, grads, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("spec, sample", TYPICAL)
def test_tensors_die_without_the_garbage_collector(spec, sample):
    gc.disable()
    try:
        y, tensors = checks.on_tensors(spec, sample.inputs, sample.settings, requires_grad=True)
        watched = [weakref.ref(t) for t in [y, *tensors] if isinstance(t, Tensor)]
        if y.requires_grad:
            y.sum().backward()
        del y, tensors
        assert [w() for w in watched] == [None] * len(watched)
    finally:
        gc.enable()


def test_every_op_has_enough_cases():
    """K4: at least 8 samples each."""
    poor = {name: len(samples_of(spec)) for name, spec in SPECS.items() if len(samples_of(spec)) < 8}
    assert not poor


def test_lower_orders_state_a_reason():
    assert [name for name, spec in SPECS.items() if spec.order < 2 and not spec.why] == []


UNDER_O = """
from minicv.testing.registry import specs
missed, count = [], 0
for name, spec in specs().items():
    for bad in spec.errors():
        count += 1
        try:
            spec.fn(*bad.inputs, **bad.settings)
            missed.append(name)
        except bad.error:
            pass
print(count, *missed, __debug__)
"""


def test_bad_calls_are_refused_without_asserts_too():
    """R4: the error suite under ``python -O``, where no assert is left."""
    done = subprocess.run([sys.executable, "-O", "-c", UNDER_O], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == [str(len(ERRORS)), "False"], done.stdout + done.stderr
