"""The checks that every op of the registry must pass; the tests and `minicv gradcheck` both call them.

Each function takes an `OpSpec` (and one of its samples) and raises AssertionError with a sentence, or
returns what it measured.
"""

import numpy as np

from ..autograd import Tensor, grad
from ..autograd.gradcheck import gradcheck

LAYOUTS = ("fortran", "reversed", "strided", "read-only", "unaligned", "byte-swapped")


def is_float(x):
    """True for the inputs that carry gradients."""
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def cast_inputs(inputs, dtype):
    """The float arrays among the inputs as `dtype`."""
    return tuple(x.astype(dtype) if is_float(x) else x for x in inputs)


def on_tensors(spec, inputs, settings, requires_grad=False):
    """Result and tensors of one call with the float arrays wrapped."""
    tensors = [Tensor(x, requires_grad=requires_grad) if is_float(x) else x for x in inputs]
    return spec.fn(*tensors, **settings), tensors


def values(y):
    """Array behind a result."""
    return y.data if isinstance(y, Tensor) else np.asarray(y)


def check_forward(spec, sample, dtype=np.float64):
    """Plain call, Tensor call and oracle agree in value, shape and dtype."""
    inputs = cast_inputs(sample.inputs, dtype)
    with np.errstate(all="ignore"):
        expected = np.asarray(spec.ref(*cast_inputs(inputs, np.float64), **sample.settings))
    y, _ = on_tensors(spec, inputs, sample.settings)
    plain = np.asarray(spec.fn(*inputs, **sample.settings))
    np.testing.assert_array_equal(plain, values(y), err_msg="plain arrays and Tensors differ")
    assert y.shape == expected.shape, f"shape {y.shape}, oracle {expected.shape}"
    if any(map(is_float, inputs)) and expected.dtype.kind == "f":
        assert y.dtype == dtype, f"{np.dtype(dtype)} inputs gave {y.dtype}"
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(values(y), expected)
        return
    rtol = spec.rtol if dtype == np.float64 else spec.rtol32
    finite = expected[np.isfinite(expected)]
    atol = rtol * np.abs(finite).max(initial=0.0)
    np.testing.assert_allclose(values(y), expected, rtol=rtol, atol=atol)


def check_gradients(spec, sample, order=None, rtol=1e-6):
    """Gradients up to `order` against finite differences; the report of the worst element."""
    order = spec.order if order is None else min(order, spec.order)
    return gradcheck(lambda *xs: spec.fn(*xs, **sample.settings), sample.inputs, order=order, rtol=rtol)


def differentiable(sample):
    """Whether a sample has anything to differentiate and no special values."""
    floats = [x for x in sample.inputs if is_float(x)]
    return (bool(floats) and all(x.size for x in floats)
            and all(np.isfinite(x).all() for x in floats) and "forward only" not in sample.note)


def relayout(x, layout):
    """The same values of `x` in an awkward memory layout."""
    if layout == "fortran":
        return np.asfortranarray(x)
    if layout == "reversed":
        return np.ascontiguousarray(x[tuple(slice(None, None, -1) for _ in x.shape)])[
            tuple(slice(None, None, -1) for _ in x.shape)]
    if layout == "strided":
        wide = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
        view = wide[tuple(slice(None, None, 2) for _ in x.shape)]
        view[...] = x
        return view
    if layout == "read-only":
        copy = x.copy()
        copy.setflags(write=False)
        return copy
    if layout == "unaligned":
        buffer = np.zeros(x.nbytes + 1, np.uint8)
        view = buffer[1:].view(x.dtype).reshape(x.shape)
        view[...] = x
        return view
    return x.astype(x.dtype.newbyteorder())


def run(spec, inputs, settings):
    """Result and gradients (for a fixed cotangent) of one call."""
    y, tensors = on_tensors(spec, inputs, settings, requires_grad=True)
    if not y.requires_grad:
        return y.data, []
    cotangent = np.cos(np.arange(y.size, dtype=np.float64)).reshape(y.shape) + 1.5
    wanted = [t for t in tensors if isinstance(t, Tensor)]
    found = grad(y, wanted, cotangent, allow_unused=True)
    return y.data, [None if g is None else g.data for g in found]


def check_layout(spec, sample, layout):
    """An awkward memory layout changes neither results nor gradients."""
    inputs = tuple(relayout(x, layout) if is_float(x) else x for x in sample.inputs)
    y, grads = run(spec, sample.inputs, sample.settings)
    y2, grads2 = run(spec, inputs, sample.settings)
    np.testing.assert_allclose(y2, y, rtol=1e-12, atol=1e-12)
    for g, g2 in zip(grads, grads2, strict=True):
        np.testing.assert_allclose(g2, g, rtol=1e-11, atol=1e-12)
    if layout != "byte-swapped":          # plain arrays, without the copy that a Tensor makes
        np.testing.assert_allclose(np.asarray(spec.fn(*inputs, **sample.settings)), y, rtol=1e-12, atol=1e-12)


def check_op(spec, order=2):
    """[(sample label, error in tolerances, passed)] for the command line."""
    rows = []
    for i, sample in enumerate(spec.samples(np.random.default_rng(0))):
        if differentiable(sample) and spec.order:
            label = f"{spec.label}[{i}{': ' + sample.note if sample.note else ''}]"
            try:
                report = check_gradients(spec, sample, order)
                rows.append((label, report.error, report.passed))
            except AssertionError as e:
                rows.append((f"{label} {e}", float("inf"), False))
    return rows
