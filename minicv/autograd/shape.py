"""Operations that only move elements. Their rules move the gradient back.

Moving is linear, so the derivative of each op is its adjoint: for ``y = A x`` the rule is ``g -> A^T g``, and the
rule of the adjoint is the op itself. What is made of others (split, flatten, tile, ...) has no rule of its own.
Results keep the memory layout of their input: channels last stays channels last (`kernels.layout`).
"""

import math

import numpy as np

from ..errors import ArgError, DTypeError, ShapeError
from ..kernels.layout import like_layout
from .engine import expand
from .index import check_axis, getitem
from .op import op


def _integers(function, name, values, low):
    """DTypeError unless all `values` (one or a tuple) are integers, ArgError unless they are at least `low`."""
    for n in _tuple(values):
        if isinstance(n, (bool, np.bool_)) or not isinstance(n, (int, np.integer)):
            raise DTypeError(f"{function}: {name} is {values!r}, expected integers")
        if n < low:
            raise ArgError(f"{function}: {name} is {values!r}, expected integers of at least {low}")


def _tuple(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


# Views ------------------------------------------------------------------------------------------------


@op
def reshape(x, *, shape):
    """The elements of x in logical (C) order in another shape; one size may be -1. ShapeError if they do not fit."""
    _integers("reshape", "shape", shape, low=-1)
    try:
        return np.reshape(x, shape)
    except ValueError:
        raise ShapeError(f"reshape: shape is {shape}, expected one for the {np.size(x)} elements of x "
                         f"{np.shape(x)}") from None


reshape.vjp(lambda g, y, x, shape: g.reshape(x.shape), saves=())


@op
def transpose(x, *, axes=None):
    """Permute the axes: axis i of the result is axis ``axes[i]`` of x; None reverses them."""
    if axes is not None and sorted(check_axis("transpose", a, x.ndim) for a in axes) != list(range(x.ndim)):
        raise ArgError(f"transpose: axes is {axes}, expected a permutation of {x.ndim} axes")
    return np.transpose(x, axes)


def _inverse(axes):
    return None if axes is None else tuple(int(i) for i in np.argsort([a % len(axes) for a in axes]))


transpose.vjp(lambda g, y, x, axes=None: transpose(g, axes=_inverse(axes)), saves=())


@op
def swapaxes(x, *, axis1, axis2):
    """Exchange two axes."""
    return np.swapaxes(x, check_axis("swapaxes", axis1, x.ndim), check_axis("swapaxes", axis2, x.ndim))


swapaxes.vjp(lambda g, y, x, axis1, axis2: swapaxes(g, axis1=axis1, axis2=axis2), saves=())


def moveaxis(x, *, source, destination):
    """Take axis `source` out and put it at `destination`; the others keep their order."""
    source = check_axis("moveaxis", source, x.ndim)
    axes = [a for a in range(x.ndim) if a != source]
    axes.insert(check_axis("moveaxis", destination, x.ndim), source)
    return transpose(x, axes=tuple(axes))


def squeeze(x, *, axis=None):
    """Remove axes of size 1: all of them, or those in `axis` (integer or tuple), which must have size 1."""
    axes = range(x.ndim) if axis is None else [check_axis("squeeze", a, x.ndim) for a in _tuple(axis)]
    if axis is not None and (long := [a for a in axes if x.shape[a] != 1]):
        raise ShapeError(f"squeeze: axis {long[0]} of x {x.shape} has size {x.shape[long[0]]}, expected 1")
    return reshape(x, shape=tuple(n for a, n in enumerate(x.shape) if n != 1 or a not in axes))


def expand_dims(x, *, axis):
    """Insert a new axis of size 1 that becomes axis `axis` of the result. NB: PyTorch's `unsqueeze`."""
    axis = check_axis("expand_dims", axis, x.ndim + 1)
    return reshape(x, shape=x.shape[:axis] + (1,) + x.shape[axis:])


def flatten(x, *, start=0):
    """Join the axes from `start` on into one, in logical order (N, C, H, W) whatever the memory layout.

    >>> flatten(np.zeros((2, 3, 4, 5)), start=1).shape
    (2, 60)
    """
    _integers("flatten", "start", start, low=0)
    if start > max(x.ndim - 1, 0):
        raise ArgError(f"flatten: start is {start}, expected within [0, {max(x.ndim - 1, 0)}] for x {x.shape}")
    return reshape(x, shape=x.shape[:start] + (math.prod(x.shape[start:]),))


# Joining and cutting ----------------------------------------------------------------------------------


@op
def concat(*xs, axis=0):
    """Join arrays along an existing axis; all other sizes must agree.

    >>> concat(np.zeros((2, 3)), np.ones((1, 3))).shape
    (3, 3)
    """
    shapes = [np.shape(x) for x in xs]
    if not xs or shapes[0] == ():
        raise ShapeError("concat: xs is empty or holds scalars, expected arrays with axes; see stack")
    axis = check_axis("concat", axis, len(shapes[0]))
    for i, s in enumerate(shapes):
        if len(s) != len(shapes[0]) or any(n != m for a, (n, m) in enumerate(zip(s, shapes[0])) if a != axis):
            raise ShapeError(f"concat: xs[{i}] has shape {s}, expected {shapes[0]} but for axis {axis}")
    total = sum(s[axis] for s in shapes)
    out = like_layout(xs[0], shapes[0][:axis] + (total,) + shapes[0][axis + 1:], np.result_type(*xs))
    return np.concatenate(xs, axis=axis, out=out)


def _concat_rule(g, y, inputs, needs, axis=0):
    axis, grads, start = axis % g.ndim, [], 0
    for x, need in zip(inputs, needs, strict=True):
        stop = start + x.shape[axis]
        grads.append(getitem(g, index=_range(axis, start, stop)) if need else None)
        start = stop
    return grads


def _range(axis, start, stop):
    """The index ``[:, .., start:stop]`` with the slice on `axis`."""
    return (slice(None),) * axis + (slice(start, stop),)


@op
def stack(*xs, axis=0):
    """Join arrays of one shape along a new axis.

    >>> stack(np.zeros(3), np.ones(3), axis=1).shape
    (3, 2)
    """
    shapes = [np.shape(x) for x in xs]
    if not xs or any(s != shapes[0] for s in shapes):
        raise ShapeError(f"stack: xs have shapes {shapes}, expected at least one array and all of the same shape")
    axis = check_axis("stack", axis, len(shapes[0]) + 1)
    return np.stack([np.asarray(x, np.result_type(*xs)) for x in xs], axis=axis)


def _stack_rule(g, y, inputs, needs, axis=0):
    before = (slice(None),) * (axis % g.ndim)
    return [getitem(g, index=before + (i,)) if need else None for i, need in enumerate(needs)]


concat.vjp_all(_concat_rule, saves=())
stack.vjp_all(_stack_rule, saves=())


def split(x, *, sections=None, sizes=None, axis=0):
    """Cut x along `axis` into `sections` equal parts, or into parts of the given `sizes`.

    Returns a tuple of the type of x: views of arrays, slices of Tensors. ArgError unless the parts add up exactly.

    >>> [part.shape for part in split(np.zeros((5, 2)), sizes=(2, 3))]
    [(2, 2), (3, 2)]
    """
    axis = check_axis("split", axis, x.ndim)
    n = x.shape[axis]
    if (sections is None) == (sizes is None):
        raise ArgError("split: sections and sizes are both given or both missing, expected one of them")
    _integers("split", "sizes" if sections is None else "sections", sizes if sections is None else sections, low=0)
    if sections is not None:
        if sections < 1 or n % sections:
            raise ArgError(f"split: sections is {sections}, expected a divisor of the size {n} of axis {axis}")
        sizes = (n // sections,) * sections
    if sum(sizes) != n:
        raise ArgError(f"split: sizes is {tuple(sizes)}, expected sizes that add up to {n}, the size of axis {axis}")
    stops = np.cumsum(sizes).tolist()
    return tuple(getitem(x, index=_range(axis, stop - size, stop)) for stop, size in zip(stops, sizes, strict=True))


# Borders ----------------------------------------------------------------------------------------------


@op
def pad(x, *, widths, mode="constant", value=0.0):
    """Add a border.

    Parameters
    ----------
    x : (..., H, W) or any shape
    widths : sequence of (before, after) pairs or of integers
        For the last ``len(widths)`` axes, in order: ``((1, 2), (3, 3))`` adds 1 row above, 2 below, 3 columns on
        each side of an image. An integer stands for both sides.
    mode : {"constant", "reflect", "replicate", "circular"}
        With border values for x = [a b c d] and width 2: value value | c b | a a | c d.
    value : float
        Border value of mode "constant".

    Raises
    ------
    ArgError
        For an unknown mode, negative widths, or more border than the mode can fill from x: "reflect" needs less
        than the size of the axis, "circular" at most the size, "replicate" a size above 0.

    NB: PyTorch's `pad` takes the pairs of the last axis first, in one flat list.

    >>> pad(np.array([1, 2, 3]), widths=[(2, 1)], mode="reflect")
    array([3, 2, 1, 2, 3, 2])
    """
    widths = _check_widths("pad", x, widths, mode)
    out = like_layout(x, tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)))
    if mode == "constant":
        out[...] = value
    out[_inside(out.shape, widths)] = x
    for axis, border, source in _border_lines(x.shape, widths, mode):
        lines = np.moveaxis(out, axis, 0)
        lines[border] = lines[source]
    return out


@op
def unpad(g, *, widths, mode="constant"):
    """Adjoint of `pad`: cut the border off and add each of its values to the element that it was copied from."""
    widths = _check_widths("unpad", g, widths, mode, padded=True)
    shape = tuple(n - a - b for n, (a, b) in zip(g.shape, widths, strict=True))
    out = g if mode == "constant" else g.copy(order="K")
    for axis, border, source in _border_lines(shape, widths, mode):
        lines = np.moveaxis(out, axis, 0)
        for i, j in zip(border, source, strict=True):      # one by one: several may go to the same line
            lines[j] += lines[i]
    return out[_inside(g.shape, widths)]


pad.vjp(lambda g, y, x, widths, mode="constant", value=0.0: unpad(g, widths=widths, mode=mode), saves=())
unpad.vjp(lambda gx, y, g, widths, mode="constant": pad(gx, widths=widths, mode=mode), saves=())


def _check_widths(function, x, widths, mode, padded=False):
    """One (before, after) pair per axis of x, checked. `padded`: x already has the border."""
    if mode not in _SOURCES and mode != "constant":
        raise ArgError(f"{function}: mode is {mode!r}, expected 'constant', {', '.join(map(repr, _SOURCES))}")
    pairs = _pairs(function, x, widths)
    for axis, (before, after) in enumerate(pairs):
        n = x.shape[axis] - (before + after if padded else 0)
        most = {"reflect": n - 1, "circular": n, "replicate": 0 if n == 0 else np.inf}.get(mode, np.inf)
        if n < 0 or max(before, after) > max(most, 0):
            raise ArgError(f"{function}: widths is {(before, after)} on axis {axis} of size {n}, "
                           f"expected at most {max(most, 0)} for mode {mode!r}")
    return pairs


def _pairs(function, x, widths):
    pairs = [(w, w) if isinstance(w, (int, np.integer)) else w for w in widths]
    if len(pairs) > x.ndim:
        raise ArgError(f"{function}: widths has {len(pairs)} entries, expected at most {x.ndim} for shape {x.shape}")
    for pair in pairs:
        if np.shape(pair) != (2,) or not all(isinstance(w, (int, np.integer)) for w in pair):
            raise DTypeError(f"{function}: widths holds {pair}, expected pairs of integers")
        if min(pair) < 0:
            raise ArgError(f"{function}: widths holds {pair}, expected at least 0; see crop")
    return [(0, 0)] * (x.ndim - len(pairs)) + pairs


def _inside(shape, widths):
    """Index of the part within the border."""
    return tuple(slice(a, n - b) for n, (a, b) in zip(shape, widths, strict=True))


# Where position i, counted from the first element of x, takes its value.
_SOURCES = {
    "reflect": lambda i, n: (n - 1) - np.abs((n - 1) - np.abs(i)),
    "replicate": lambda i, n: np.clip(i, 0, n - 1),
    "circular": lambda i, n: i % n,
}


def _border_lines(shape, widths, mode):
    """(axis, positions of the border lines in the padded array, positions that they are copied from)."""
    for axis, (n, (before, after)) in enumerate(zip(shape, widths, strict=True)):
        if mode != "constant" and before + after:
            i = np.r_[-before:0, n:n + after]
            yield axis, i + before, _SOURCES[mode](i, n) + before


def crop(x, *, widths):
    """Cut a border off: ``crop(pad(x, widths=w), widths=w)`` is x. `widths` as for `pad`. A slice, so a view.

    >>> crop(np.arange(5), widths=[(1, 2)])
    array([1, 2])
    """
    return getitem(x, index=_inside(x.shape, _check_widths("crop", x, widths, "constant", padded=True)))


# Order within an axis -----------------------------------------------------------------------------------


@op
def flip(x, *, axis):
    """Reverse the order along `axis` (integer or tuple): ``axis=-1`` mirrors an image left to right."""
    axes = [check_axis("flip", a, x.ndim) for a in _tuple(axis)]
    out = like_layout(x, x.shape)
    out[...] = np.flip(x, axes)
    return out


@op
def roll(x, *, shift, axis):
    """Shift cyclically: element i goes to ``(i + shift) % n``. `shift` and `axis` are integers or equal tuples."""
    _integers("roll", "shift", shift, low=-np.inf)
    shifts, axes = _tuple(shift), tuple(check_axis("roll", a, x.ndim) for a in _tuple(axis))
    if len(shifts) != len(axes):
        raise ArgError(f"roll: shift is {shift}, expected as many entries as axis {axis}")
    out = like_layout(x, x.shape)
    out[...] = np.roll(x, shifts, axes)
    return out


flip.vjp(lambda g, y, x, axis: flip(g, axis=axis), saves=())
roll.vjp(lambda g, y, x, shift, axis: roll(g, shift=tuple(-s for s in _tuple(shift)), axis=axis), saves=())


def tile(x, *, reps):
    """Repeat the whole array: along axis i it appears ``reps[i]`` times; one entry per axis.

    >>> tile(np.array([1, 2]), reps=(2,))
    array([1, 2, 1, 2])
    """
    _integers("tile", "reps", reps, low=0)
    reps = _tuple(reps)
    if len(reps) != x.ndim:
        raise ArgError(f"tile: reps is {reps}, expected {x.ndim} counts for x {x.shape}")
    apart = [n for size in x.shape for n in (1, size)]
    spread = expand(reshape(x, shape=tuple(apart)), shape=tuple(n for pair in zip(reps, x.shape) for n in pair))
    return reshape(spread, shape=tuple(r * n for r, n in zip(reps, x.shape, strict=True)))


def repeat(x, *, repeats, axis):
    """Repeat every element `repeats` times along `axis`, copies next to each other.

    >>> repeat(np.array([1, 2]), repeats=2, axis=0)
    array([1, 1, 2, 2])
    """
    axis = check_axis("repeat", axis, x.ndim)
    _integers("repeat", "repeats", repeats, low=0)
    lead, n, rest = x.shape[:axis], x.shape[axis], x.shape[axis + 1:]
    spread = expand(reshape(x, shape=(*lead, n, 1, *rest)), shape=(*lead, n, repeats, *rest))
    return reshape(spread, shape=(*lead, n * repeats, *rest))
