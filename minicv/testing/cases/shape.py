"""Cases of `minicv.autograd.shape`: oracles are loops over positions."""

import numpy as np

from ...autograd import engine, shape
from ...errors import ArgError, DTypeError, ShapeError
from ..registry import Bad, OpSpec, Sample


def _arrays(*cases):
    """samples(rng) from (shape or tuple of shapes, settings) pairs."""
    def samples(rng):
        return [Sample(tuple(rng.standard_normal(s) for s in (shapes if isinstance(shapes, list) else [shapes])),
                       settings) for shapes, settings in cases]
    return samples


def _built(result_shape, value_at):
    """The array whose element at every position is ``value_at(position)``."""
    y = np.empty(result_shape)
    for at in np.ndindex(*result_shape):
        y[at] = value_at(at)
    return y


def _bad(inputs, settings, error, match):
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return Bad(inputs, settings, error, match)


# Views --------------------------------------------------------------------------------------------------


def _reshape_ref(x, shape):
    if -1 in shape:
        shape = [x.size // int(np.prod([m for m in shape if m != -1])) if n == -1 else n for n in shape]
    y = np.empty(shape)
    for value, at in zip(x.ravel().tolist(), np.ndindex(*y.shape), strict=True):
        y[at] = value
    return y


RESHAPE = OpSpec(shape.reshape, _reshape_ref, _arrays(
    ((2, 6), dict(shape=(3, 4))), ((), dict(shape=(1, 1))), ((1,), dict(shape=())), ((2, 3, 4), dict(shape=(6, -1))),
    ((4,), dict(shape=(-1,))), ((1, 3, 1), dict(shape=(3, 1))), ((0, 3), dict(shape=(3, 0))),
    ((2, 2), dict(shape=(2, 2))), ((12,), dict(shape=(2, 1, 3, 2)))), lambda: [
    _bad(np.ones((2, 3)), dict(shape=(4, 2)), ShapeError, r"reshape: shape is \(4, 2\).*6 elements"),
    _bad(np.ones((2, 3)), dict(shape=(-1, 4)), ShapeError, "reshape: shape"),
    _bad(np.ones((2, 3)), dict(shape=(-3, 2)), ArgError, r"reshape: shape is \(-3, 2\)"),
    _bad(np.ones((2, 3)), dict(shape=(3, 2.0)), DTypeError, r"reshape: shape is \(3, 2.0\)"),
    _bad(np.ones((2, 3)), dict(shape=(-1, -1)), ShapeError, "reshape: shape"),
    _bad(np.ones((0, 3)), dict(shape=(0, -1)), ShapeError, "reshape: shape"),
    _bad(np.ones((2, 3)), dict(shape=()), ShapeError, "reshape: shape")])


def _transpose_ref(x, axes=None):
    axes = list(range(x.ndim))[::-1] if axes is None else [a % x.ndim for a in axes]
    y = np.empty([x.shape[a] for a in axes])
    for at in np.ndindex(*x.shape):
        y[tuple(at[a] for a in axes)] = x[at]
    return y


TRANSPOSE = OpSpec(shape.transpose, _transpose_ref, _arrays(
    ((2, 3), {}), ((), {}), ((1,), {}), ((2, 3, 4), dict(axes=(2, 0, 1))), ((2, 3, 4), dict(axes=(0, -1, -2))),
    ((1, 3, 1), dict(axes=(1, 2, 0))), ((2, 0), {}), ((2, 2, 1, 3), dict(axes=(0, 2, 3, 1))), ((3,), dict(axes=(0,)))),
    lambda: [
        _bad(np.ones((2, 3)), dict(axes=(0, 0)), ArgError, r"axes is \(0, 0\)"),
        _bad(np.ones((2, 3)), dict(axes=(0,)), ArgError, r"axes is \(0,\)"),
        _bad(np.ones((2, 3)), dict(axes=(0, 2)), ArgError, "axis is 2"),
        _bad(np.ones((2, 3)), dict(axes=(0, 1.0)), DTypeError, "axis is 1.0"),
        _bad(np.ones((2, 3)), dict(axes=(0, 1, 2)), ArgError, "axis is 2")])

SWAPAXES = OpSpec(
    shape.swapaxes, lambda x, axis1, axis2: _transpose_ref(x, _swapped(x.ndim, axis1, axis2)), _arrays(
        ((2, 3), dict(axis1=0, axis2=1)), ((3,), dict(axis1=0, axis2=0)), ((1,), dict(axis1=0, axis2=-1)),
        ((2, 3, 4), dict(axis1=-1, axis2=0)), ((2, 3, 4), dict(axis1=1, axis2=2)), ((1, 4), dict(axis1=0, axis2=1)),
        ((0, 2), dict(axis1=0, axis2=1)), ((2, 1, 3, 2), dict(axis1=1, axis2=-1))), lambda: [
        _bad(np.ones((2, 3)), dict(axis1=2, axis2=0), ArgError, "swapaxes: axis is 2"),
        _bad(np.ones((2, 3)), dict(axis1=0, axis2=-3), ArgError, "axis is -3"),
        _bad(np.ones((2, 3)), dict(axis1=0.0, axis2=1), DTypeError, "axis is 0.0"),
        _bad(np.ones((2, 3)), dict(axis1=0, axis2=None), DTypeError, "axis is None"),
        _bad(np.array(1.0), dict(axis1=0, axis2=0), ArgError, "axis is 0")])


def _swapped(ndim, a, b):
    axes = list(range(ndim))
    axes[a], axes[b] = axes[b], axes[a]
    return axes


MOVEAXIS = OpSpec(shape.moveaxis, np.moveaxis, _arrays(
    ((2, 3), dict(source=0, destination=1)), ((3,), dict(source=0, destination=0)),
    ((1,), dict(source=-1, destination=0)), ((2, 3, 4), dict(source=0, destination=-1)),
    ((2, 3, 4), dict(source=2, destination=0)), ((1, 4), dict(source=1, destination=0)),
    ((0, 2), dict(source=0, destination=1)), ((2, 3, 2, 2), dict(source=1, destination=3))), lambda: [
    _bad(np.ones((2, 3)), dict(source=2, destination=0), ArgError, "moveaxis: axis is 2"),
    _bad(np.ones((2, 3)), dict(source=0, destination=2), ArgError, "axis is 2"),
    _bad(np.ones((2, 3)), dict(source=-3, destination=0), ArgError, "axis is -3"),
    _bad(np.ones((2, 3)), dict(source=None, destination=0), DTypeError, "axis is None"),
    _bad(np.ones((2, 3)), dict(source=0, destination=True), DTypeError, "axis is True")])

SQUEEZE = OpSpec(shape.squeeze, np.squeeze, _arrays(
    ((2, 1, 3), {}), ((), {}), ((1,), {}), ((1, 3, 1), dict(axis=0)), ((1, 3, 1), dict(axis=(0, -1))),
    ((2, 3), {}), ((0, 1), dict(axis=1)), ((1, 1), dict(axis=()))), lambda: [
    _bad(np.ones((2, 1)), dict(axis=0), ShapeError, "axis 0 .* has size 2"),
    _bad(np.ones((2, 1)), dict(axis=2), ArgError, "axis is 2"),
    _bad(np.ones((2, 1)), dict(axis=(1, 0)), ShapeError, "axis 0"),
    _bad(np.ones((2, 1)), dict(axis=1.0), DTypeError, "axis is 1.0"),
    _bad(np.ones((0, 1)), dict(axis=0), ShapeError, "has size 0")])

EXPAND_DIMS = OpSpec(shape.expand_dims, np.expand_dims, _arrays(
    ((2, 3), dict(axis=0)), ((), dict(axis=0)), ((1,), dict(axis=-1)), ((2, 3), dict(axis=1)), ((2, 3), dict(axis=2)),
    ((2, 3), dict(axis=-3)), ((0,), dict(axis=1)), ((1, 1), dict(axis=1))), lambda: [
    _bad(np.ones(3), dict(axis=2), ArgError, "expand_dims: axis is 2"),
    _bad(np.ones(3), dict(axis=-3), ArgError, "axis is -3"),
    _bad(np.ones(3), dict(axis=0.5), DTypeError, "axis is 0.5"),
    _bad(np.ones(3), dict(axis=None), DTypeError, "axis is None"),
    _bad(np.ones(3), dict(axis=(0, 1)), DTypeError, "axis is")])

FLATTEN = OpSpec(
    shape.flatten, lambda x, start=0: np.array([v for v in x.flat]).reshape([*x.shape[:start], -1] if x.size else 0),
    _arrays(((2, 3), {}), ((), {}), ((1,), {}), ((2, 3, 4), dict(start=1)), ((2, 3, 2, 2), dict(start=2)), ((0,), {}),
            ((1, 3, 1), dict(start=1)), ((4,), dict(start=0)), ((2, 3), dict(start=1))), lambda: [
        _bad(np.ones((2, 3)), dict(start=2), ArgError, "start is 2"),
        _bad(np.ones((2, 3)), dict(start=-1), ArgError, "start is -1"),
        _bad(np.array(1.0), dict(start=1), ArgError, "start is 1"),
        _bad(np.ones(3), dict(start=1), ArgError, "start is 1"),
        _bad(np.ones((1, 1, 1)), dict(start=3), ArgError, "start is 3")])


# Broadcasting --------------------------------------------------------------------------------------------


def _sum_to_ref(x, shape):
    y = np.zeros(shape)
    for at in np.ndindex(*x.shape):
        own = at[x.ndim - len(shape):]
        y[tuple(0 if n == 1 else i for i, n in zip(own, shape, strict=True))] += x[at]
    return y


EXPAND = OpSpec(engine.expand, lambda x, shape: _built(shape, lambda at: x[tuple(
    0 if n == 1 else i for i, n in zip(at[len(shape) - x.ndim:], x.shape, strict=True))]), _arrays(
    ((3, 1), dict(shape=(3, 4))), ((), dict(shape=(2,))), ((1,), dict(shape=(5,))), ((3,), dict(shape=(2, 3))),
    ((1, 3, 1), dict(shape=(2, 2, 3, 4))), ((1,), dict(shape=(0,))), ((2, 3), dict(shape=(2, 3))),
    ((0, 1), dict(shape=(0, 4)))), lambda: [
    _bad(np.ones(3), dict(shape=(4,)), ShapeError, r"x has shape \(3,\)"),
    _bad(np.ones((3, 1)), dict(shape=(4, 4)), ShapeError, "expected"),
    _bad(np.ones((2, 3)), dict(shape=(3,)), ShapeError, "expected"),
    _bad(np.ones(3), dict(shape=()), ShapeError, "expected"),
    _bad(np.ones(3), dict(shape=(3, 1)), ShapeError, "expected")])

SUM_TO = OpSpec(engine.sum_to, _sum_to_ref, _arrays(
    ((3, 4), dict(shape=(3, 1))), ((), dict(shape=())), ((1,), dict(shape=())), ((2, 3), dict(shape=(3,))),
    ((2, 2, 3, 4), dict(shape=(1, 3, 1))), ((0,), dict(shape=(1,))), ((2, 3), dict(shape=(2, 3))),
    ((0, 4), dict(shape=(0, 1))), ((2, 3), dict(shape=()))))


# Joining and cutting ---------------------------------------------------------------------------------------


def _concat_ref(*xs, axis=0):
    return np.stack([line for x in xs for line in np.moveaxis(x, axis, 0)], axis) if sum(
        x.shape[axis] for x in xs) else xs[0].copy()


CONCAT = OpSpec(shape.concat, _concat_ref, _arrays(
    ([(2, 3), (1, 3)], {}), ([(1,), (1,)], {}), ([(3,)], {}), ([(2, 3), (2, 1), (2, 2)], dict(axis=1)),
    ([(2, 3), (2, 2)], dict(axis=-1)), ([(1, 1, 2), (1, 3, 2)], dict(axis=1)), ([(0, 3), (2, 3)], {}),
    ([(0, 3), (0, 3)], {}), ([(1, 2, 2, 3), (1, 3, 2, 3)], dict(axis=1))), lambda: [
    _bad((np.ones((2, 3)), np.ones((2, 4))), {}, ShapeError, r"xs\[1\] has shape \(2, 4\)"),
    _bad((np.ones((2, 3)), np.ones(3)), {}, ShapeError, r"xs\[1\] has shape \(3,\)"),
    _bad((np.array(1.0), np.array(2.0)), {}, ShapeError, "stack"),
    _bad((np.ones(2), np.ones(2)), dict(axis=1), ArgError, "axis is 1"),
    _bad((), {}, ShapeError, "xs is empty"),
    _bad((np.ones(2), np.ones(2)), dict(axis=None), DTypeError, "axis is None")])

STACK = OpSpec(
    shape.stack, lambda *xs, axis=0: np.moveaxis(np.array([x.tolist() for x in xs]).reshape(len(xs), *xs[0].shape),
                                                 0, axis), _arrays(
        ([(2, 3), (2, 3)], {}), ([(), ()], {}), ([(1,)], {}), ([(2, 3)] * 3, dict(axis=1)),
        ([(2, 3)] * 2, dict(axis=-1)), ([(1, 1)] * 2, dict(axis=2)), ([(0, 2)] * 2, dict(axis=1)),
        ([(3,)] * 4, dict(axis=-2))), lambda: [
        _bad((np.ones(3), np.ones(2)), {}, ShapeError, r"\(3,\), \(2,\)"),
        _bad((np.ones((1, 3)), np.ones(3)), {}, ShapeError, "same shape"),
        _bad((), {}, ShapeError, "at least one"),
        _bad((np.ones(3), np.ones(3)), dict(axis=2), ArgError, "axis is 2"),
        _bad((np.ones(3), np.ones(3)), dict(axis=-3), ArgError, "axis is -3")])


def split_part(x, *, part, **settings):
    """One of the results of `split`."""
    return shape.split(x, **settings)[part]


def _split_ref(x, part, sections=None, sizes=None, axis=0):
    sizes = [x.shape[axis] // sections] * sections if sections else list(sizes)
    start = sum(sizes[:part])
    lines = np.moveaxis(x, axis, 0)
    return np.moveaxis(np.array([lines[i] for i in range(start, start + sizes[part])]).reshape(
        sizes[part], *lines.shape[1:]), 0, axis)


SPLIT = OpSpec(split_part, _split_ref, _arrays(
    ((4, 3), dict(part=1, sections=2)), ((1,), dict(part=0, sections=1)), ((5,), dict(part=0, sizes=(2, 3))),
    ((5, 2), dict(part=1, sizes=(2, 3))), ((2, 6), dict(part=2, sections=3, axis=1)),
    ((2, 6), dict(part=0, sizes=[1, 5], axis=-1)), ((1, 3, 1), dict(part=0, sections=1, axis=2)),
    ((0, 2), dict(part=1, sections=2)), ((3,), dict(part=1, sizes=(3, 0)))), lambda: [
    _bad(np.ones(5), dict(part=0, sections=2), ArgError, "sections is 2.*size 5"),
    _bad(np.ones(5), dict(part=0, sizes=(2, 2)), ArgError, r"sizes is \(2, 2\)"),
    _bad(np.ones(5), dict(part=0, sizes=(6, -1)), ArgError, "sizes is"),
    _bad(np.ones(5), dict(part=0), ArgError, "expected one of them"),
    _bad(np.ones(5), dict(part=0, sections=0), ArgError, "sections is 0"),
    _bad(np.ones(4), dict(part=0, sections=2.0), DTypeError, "split: sections is 2.0"),
    _bad(np.ones(5), dict(part=0, sections=5, axis=1), ArgError, "axis is 1")], nan="selects", name="split")


# Borders ------------------------------------------------------------------------------------------------


def _source(i, n, mode):
    """Position in a line of n that position i, counted from its first element, shows; None outside. By walking."""
    if 0 <= i < n:
        return i
    if mode == "constant":
        return None
    if mode == "replicate":
        return 0 if i < 0 else n - 1
    there_and_back = list(range(n)) + list(range(n - 2, 0, -1)) if mode == "reflect" else list(range(n))
    while i < 0:
        i += len(there_and_back)
    return there_and_back[i % len(there_and_back)]


def _pairs(x, widths):
    pairs = [(w, w) if isinstance(w, int) else w for w in widths]
    return [(0, 0)] * (x.ndim - len(pairs)) + list(pairs)


def _pad_ref(x, widths, mode="constant", value=0.0):
    pairs = _pairs(x, widths)

    def value_at(at):
        inner = [_source(i - before, n, mode) for i, n, (before, _) in zip(at, x.shape, pairs, strict=True)]
        return value if None in inner else x[tuple(inner)]
    return _built([n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True)], value_at)


def _unpad_ref(g, widths, mode="constant"):
    pairs = _pairs(g, widths)
    x = np.zeros([n - a - b for n, (a, b) in zip(g.shape, pairs, strict=True)])
    for at in np.ndindex(*g.shape):
        inner = [_source(i - before, n, mode) for i, n, (before, _) in zip(at, x.shape, pairs, strict=True)]
        if None not in inner:
            x[tuple(inner)] += g[at]
    return x


_MODES = ("constant", "reflect", "replicate", "circular")

PAD = OpSpec(shape.pad, _pad_ref, _arrays(
    ((3, 4), dict(widths=((1, 2), (2, 0)))), ((), dict(widths=())), ((1,), dict(widths=(2,), mode="replicate")),
    ((2, 3), dict(widths=((1, 0),), value=-2.5)), ((1, 1, 3), dict(widths=(0, (1, 2)))),
    ((0, 2), dict(widths=((1, 1), (0, 1)))),
    *(((1, 2, 3, 4), dict(widths=((2, 1), (1, 3)), mode=mode)) for mode in _MODES),
    *(((4,), dict(widths=(3,), mode=mode)) for mode in _MODES)), lambda: [
    _bad(np.ones((3, 3)), dict(widths=((3, 0), (0, 0)), mode="reflect"), ArgError, r"\(3, 0\) on axis 0 of size 3"),
    _bad(np.ones(3), dict(widths=(4,), mode="circular"), ArgError, "at most 3"),
    _bad(np.ones(0), dict(widths=(1,), mode="replicate"), ArgError, "of size 0"),
    _bad(np.ones(3), dict(widths=(-1,)), ArgError, "crop"),
    _bad(np.ones(3), dict(widths=(1,), mode="mirror"), ArgError, "mode is 'mirror'"),
    _bad(np.ones(3), dict(widths=(1, 1)), ArgError, "2 entries"),
    _bad(np.ones(3), dict(widths=((1, 1, 1),)), DTypeError, "pairs"),
    _bad(np.ones(3), dict(widths=((1.5, 1),)), DTypeError, "integers")])

UNPAD = OpSpec(shape.unpad, _unpad_ref, _arrays(
    ((6, 6), dict(widths=((1, 2), (2, 0)))), ((), dict(widths=())), ((3,), dict(widths=(1,), mode="replicate")),
    ((1, 1, 4), dict(widths=((0, 3),))), ((2, 3), dict(widths=(0, 0))),
    ((2, 2), dict(widths=(1,))),
    *(((1, 1, 6, 8), dict(widths=((2, 1), (1, 3)), mode=mode)) for mode in _MODES),
    *(((10,), dict(widths=(3,), mode=mode)) for mode in _MODES)), lambda: [
    _bad(np.ones(3), dict(widths=(2,)), ArgError, "unpad: widths is"),
    _bad(np.ones(5), dict(widths=(2,), mode="reflect"), ArgError, "of size 1"),
    _bad(np.ones(5), dict(widths=(-1,)), ArgError, "at least 0"),
    _bad(np.ones(5), dict(widths=(1,), mode=None), ArgError, "mode is None"),
    _bad(np.ones(5), dict(widths=(1, 1)), ArgError, "2 entries")], nan="selects")

CROP = OpSpec(shape.crop, lambda x, widths: _unpad_ref(x, widths), _arrays(
    ((3, 4), dict(widths=((1, 1), (0, 2)))), ((), dict(widths=())), ((1,), dict(widths=(0,))),
    ((2, 3), dict(widths=((1, 0),))), ((1, 1, 3), dict(widths=(0, (1, 2)))), ((0, 2), dict(widths=(0, 1))),
    ((1, 2, 5, 4), dict(widths=(2, 1))), ((3,), dict(widths=((0, 3),)))), lambda: [
    _bad(np.ones(3), dict(widths=(2,)), ArgError, "crop: widths is"),
    _bad(np.ones(3), dict(widths=(-1,)), ArgError, "at least 0"),
    _bad(np.ones(3), dict(widths=(1, 1)), ArgError, "2 entries"),
    _bad(np.ones(3), dict(widths=(0.5,)), DTypeError, "widths holds 0.5"),
    _bad(np.ones(3), dict(widths=((1, 2, 3),)), DTypeError, "pairs")], nan="selects")


# Order within an axis --------------------------------------------------------------------------------------


def _flip_ref(x, axis):
    axes = {a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))}
    return _built(x.shape, lambda at: x[tuple(x.shape[a] - 1 - i if a in axes else i for a, i in enumerate(at))])


def _roll_ref(x, shift, axis):
    shifts = [0] * x.ndim
    for s, a in zip(shift, axis, strict=True) if isinstance(axis, tuple) else [(shift, axis)]:
        shifts[a] += s
    return _built(x.shape, lambda at: x[tuple((i - s) % n for i, s, n in zip(at, shifts, x.shape, strict=True))])


FLIP = OpSpec(shape.flip, _flip_ref, _arrays(
    ((2, 3), dict(axis=0)), ((1,), dict(axis=0)), ((4,), dict(axis=-1)), ((2, 3), dict(axis=(0, 1))),
    ((1, 3, 1), dict(axis=1)), ((0, 3), dict(axis=1)), ((1, 2, 3, 2), dict(axis=(2, -1))), ((), dict(axis=()))),
    lambda: [
        _bad(np.ones((2, 3)), dict(axis=2), ArgError, "flip: axis is 2"),
        _bad(np.ones((2, 3)), dict(axis=(0, -3)), ArgError, "axis is -3"),
        _bad(np.array(1.0), dict(axis=0), ArgError, "axis is 0"),
        _bad(np.ones(2), dict(axis=None), DTypeError, "axis is None"),
        _bad(np.ones(2), dict(axis=0.0), DTypeError, "axis is 0.0")])

ROLL = OpSpec(shape.roll, _roll_ref, _arrays(
    ((2, 3), dict(shift=1, axis=1)), ((1,), dict(shift=2, axis=0)), ((5,), dict(shift=-7, axis=0)),
    ((3, 4), dict(shift=(1, -2), axis=(0, 1))), ((1, 4, 1), dict(shift=3, axis=1)), ((0, 3), dict(shift=1, axis=0)),
    ((1, 2, 3, 4), dict(shift=(-1, -2), axis=(2, 3))), ((4,), dict(shift=(1, 1), axis=(0, 0)))), lambda: [
    _bad(np.ones((2, 3)), dict(shift=1.5, axis=1), DTypeError, "roll: shift is 1.5"),
    _bad(np.ones((2, 3)), dict(shift=1, axis=2), ArgError, "roll: axis is 2"),
    _bad(np.ones((2, 3)), dict(shift=(1, 2), axis=0), ArgError, r"shift is \(1, 2\)"),
    _bad(np.ones((2, 3)), dict(shift=1, axis=(0, 1)), ArgError, "shift is 1"),
    _bad(np.array(1.0), dict(shift=1, axis=0), ArgError, "axis is 0"),
    _bad(np.ones(3), dict(shift=1, axis=None), DTypeError, "axis is None")])


def _tile_ref(x, reps):
    reps = reps if isinstance(reps, tuple) else (reps,)
    return _built([r * n for r, n in zip(reps, x.shape, strict=True)],
                  lambda at: x[tuple(i % n for i, n in zip(at, x.shape, strict=True))])


TILE = OpSpec(shape.tile, _tile_ref, _arrays(
    ((2, 3), dict(reps=(2, 1))), ((), dict(reps=())), ((1,), dict(reps=3)), ((2, 3), dict(reps=(2, 3))),
    ((1, 3, 1), dict(reps=(2, 1, 2))), ((0, 2), dict(reps=(2, 2))), ((3,), dict(reps=(1,))), ((3,), dict(reps=(0,)))),
    lambda: [
        _bad(np.ones(3), dict(reps=(2, 2)), ArgError, r"reps is \(2, 2\)"),
        _bad(np.ones((2, 3)), dict(reps=2), ArgError, r"reps is \(2,\)"),
        _bad(np.ones(3), dict(reps=(-1,)), ArgError, r"reps is \(-1,\)"),
        _bad(np.array(1.0), dict(reps=2), ArgError, "expected 0 counts"),
        _bad(np.ones(3), dict(reps=()), ArgError, "expected 1 counts")])

REPEAT = OpSpec(
    shape.repeat, lambda x, repeats, axis: np.moveaxis(np.array([line for line in np.moveaxis(x, axis, 0)
                                                                 for _ in range(repeats)]).reshape(
        -1 if x.size and repeats else 0, *np.moveaxis(x, axis, 0).shape[1:]), 0, axis), _arrays(
        ((2, 3), dict(repeats=2, axis=0)), ((1,), dict(repeats=3, axis=0)), ((4,), dict(repeats=1, axis=-1)),
        ((2, 3), dict(repeats=2, axis=1)), ((1, 3, 1), dict(repeats=2, axis=2)), ((0, 2), dict(repeats=2, axis=0)),
        ((1, 2, 2, 3), dict(repeats=2, axis=3)), ((3,), dict(repeats=0, axis=0))), lambda: [
        _bad(np.ones(3), dict(repeats=1.5, axis=0), DTypeError, "repeat: repeats is 1.5"),
        _bad(np.ones(3), dict(repeats=-1, axis=0), ArgError, "repeats is -1"),
        _bad(np.ones(3), dict(repeats=2, axis=1), ArgError, "repeat: axis is 1"),
        _bad(np.array(1.0), dict(repeats=2, axis=0), ArgError, "axis is 0"),
        _bad(np.ones(3), dict(repeats=2, axis=None), DTypeError, "axis is None"),
        _bad(np.ones(3), dict(repeats=2, axis=-2), ArgError, "axis is -2")])


def specs():
    """One spec per op of the family."""
    return [RESHAPE, TRANSPOSE, SWAPAXES, MOVEAXIS, SQUEEZE, EXPAND_DIMS, FLATTEN, EXPAND, SUM_TO, CONCAT, STACK,
            SPLIT, PAD, UNPAD, CROP, FLIP, ROLL, TILE, REPEAT]
