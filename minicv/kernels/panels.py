"""Filters in the order in which the register tile reads them.

A tile reads, for every tap and input channel, one row of `width` output channels. A *panel* holds these rows one
after the other, so that the tile walks straight through memory; the last panel is filled up with zeros:

    panels[k, block, tap, c, lane] = w[k O/G + block width + lane, c, tap]          group k of G

For the input gradient the panels are those of the *adjoint* filter: input and output channels are exchanged
and the taps are in reverse order. Packing costs as much as reading the filter, which is nothing for a large image
and a lot for a small one; so what was made of a parameter is kept until the parameter changes (`prepared`).
"""

import weakref

import numpy as np

from .buffers import empty
from .host import host
from .launch import compiler_runs

ALIAS = 4096                        # bytes: rows this far apart share a set of the first-level cache
_owned = {}                         # id of an array -> (weak reference, {what: result})


def tile_size(channels):
    """(number of panels, width of one) for that many output channels."""
    width = host().width
    return -(-channels // width), width


def tile_height(count, step):
    """Rows of a tile, of `count` rows `step` floats apart: fewer where they compete for one set of the cache."""
    rows = host().rows
    return max(1, rows // 2) if step * 4 % ALIAS == 0 and count > rows // 2 else rows


def addresses(*names):
    """Addresses of routines of `simd`, which the twins do not need."""
    if not compiler_runs():
        return (0,) * len(names)
    from . import simd
    return tuple(getattr(simd, name).address for name in names)


def tile_addresses(channels, wide, narrow):
    """Addresses of a tile of two vectors and of one; the second is compiled only if the last panel needs it."""
    width = host().width
    return addresses(wide, narrow if 0 < channels % width <= width // 2 else wide)


def panels(w, groups=1, adjoint=False, kept=False):
    """Panels (G, blocks, P Q, C / G, width) of w (O, C / G, P, Q), float32.

    Those of the adjoint filter are (G, blocks, P Q, O / G, width) with blocks over C / G.
    """
    return prepared(w, ("panels", groups, adjoint), lambda: _pack(w, groups, adjoint), kept)


def _pack(w, groups, adjoint):
    from .panel_loops import pack, pack_adjoint
    w = np.ascontiguousarray(w.transpose(2, 3, 1, 0))
    w = w.reshape(-1, *w.shape[2:])                             # (P Q, C / G, O)
    T, C, O = w.shape[0], w.shape[1], w.shape[2] // groups
    inner, outer = (O, C) if adjoint else (C, O)
    blocks, width = tile_size(outer)
    made = empty((groups, blocks, T, inner, width), w.dtype)
    loop, routine = (pack_adjoint, "transpose") if adjoint else (pack, "copy")
    loop(groups * blocks * T, w, made, host().lanes, *addresses(routine))
    return made


def unpack(partial, O):
    """Sum of the parts (parts, G, blocks, P, Q, C / G, width), as filters (O, C / G, P, Q)."""
    from .panel_loops import unpack_panels
    _, G, blocks, P, Q, C, width = partial.shape
    gw = np.empty((P, Q, C, O), partial.dtype)
    unpack_panels(P * Q, partial.reshape(len(partial), G, blocks, P * Q, C, width), gw.reshape(P * Q, C, O))
    return gw.transpose(3, 2, 0, 1)


# What is remembered ----------------------------------------------------------------------------------


def own(array):
    """Say that `array` belongs to a parameter and has just been written: forget what was made of it.

    From now on, while the array is locked, `prepared` may remember. Whoever unlocks it to write must call this.
    """
    key = id(array)
    _owned[key] = weakref.ref(array, lambda _: _owned.pop(key, None)), {}


def prepared(array, what, make, kept):
    """``make()``, or what it made before if `array` belongs to a parameter that has not changed since.

    It is remembered if `kept`, from the second time on: in training it would be used once, and so in a program that
    looks at one image, and it can be larger than the parameter.
    """
    reference, made = _owned.get(id(array), (None, None))
    if not kept or reference is None or reference() is not array or array.flags.writeable:
        return make()
    if what not in made:
        made[what] = None
        return make()
    if made[what] is None:
        made[what] = make()
    return made[what]
