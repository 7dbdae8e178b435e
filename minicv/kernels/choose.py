"""Which method does a convolution.

The rule looks at shapes and settings only, never at values, threads or what ran before, so the same call gives
the same bytes every time. For 3 x 3 filters it compares the work, counted in multiply-adds of the register tile.
"""

import math
import threading
from contextlib import contextmanager
from functools import lru_cache

import numpy as np

from ..errors import ArgError
from . import depthwise, direct, grouped, matrix, winograd
from .launch import compiler_runs
from .product import INNER

ALGORITHMS = ("auto", "direct", "winograd", "grouped", "im2col")
PRECISIONS = ("fast", "high")
MOVED = 20                          # multiply-adds in the time that one number of a tile or filter takes to transform
FETCHED = 12                        # the same for reading one number of a large filter from memory
PACKED = 11                         # the same for copying one number of a filter into its panel


class _Settings(threading.local):
    algo, precision = "auto", "fast"


_settings = _Settings()


@contextmanager
def conv_algo(name):
    """Within this context convolutions use the method `name` wherever it can do them.

    Parameters
    ----------
    name : {"auto", "direct", "winograd", "grouped", "im2col"}
        All but "im2col" are for float32, "winograd" for 3 x 3 filters of stride 1 whose channels fill whole vectors,
        "grouped" for small groups with as many channels out as in; what they cannot do is done as by "auto".
    """
    with _within("conv_algo", "algo", name, ALGORITHMS):
        yield


@contextmanager
def precision(level):
    """Within this context convolutions are "fast" or of "high" precision.

    The fast ones include Winograd's method with tiles of 4 x 4 outputs, whose error is up to 5e-6 of the largest
    output (3e-5 for filter gradients); those of high precision stay below 3e-6.
    """
    with _within("precision", "precision", level, PRECISIONS):
        yield


@contextmanager
def _within(function, setting, value, allowed):
    _check(function, setting, value, allowed)
    before = getattr(_settings, setting)
    setattr(_settings, setting, value)
    try:
        yield
    finally:
        setattr(_settings, setting, before)


def choose(function, geometry, image, filters, dtype, algo=None, precision=None, kept=False):
    """The module or object whose conv, conv_input and conv_filter do it; `image` is the shape (N, C, H, W)."""
    wish, precision = algo or _settings.algo, precision or _settings.precision
    _check(function, "algo", wish, ALGORITHMS)
    _check(function, "precision", precision, PRECISIONS)
    able = _able(geometry, image, filters, dtype)
    if wish in able:
        return _pick(function, (wish,), geometry, image, filters, precision, kept)
    if algo not in (None, "auto"):
        raise ArgError(f"{function}: algo is {algo!r}, which cannot do {dtype} with {image[1]} channels, {filters} "
                       f"filters and {geometry}; expected one of {', '.join(('auto', *able))}")
    if geometry.groups == image[1] > 1 and not (compiler_runs() and "grouped" in able):
        return depthwise
    if not compiler_runs():
        return matrix
    return _pick(function, able, geometry, image, filters, precision, kept)


def _check(function, name, value, allowed):
    if value not in allowed:
        raise ArgError(f"{function}: {name} is {value!r}, expected one of {', '.join(allowed)}")


def _able(geometry, image, filters, dtype):
    """Names of the methods that can do it; loops of vector code need something to do."""
    if dtype != np.float32 or min(image) == 0:
        return ("im2col",)
    if winograd.applies(geometry, image[1], filters):
        return ("winograd", "direct", "im2col")
    if grouped.applies(geometry, image[1], filters):
        return ("grouped", "direct", "im2col")
    return ("direct", "im2col")


@lru_cache(maxsize=1024)
def _pick(function, names, geometry, image, filters, precision, kept):
    """The method of least work among those of these names."""
    if "grouped" in names:
        return grouped
    if "im2col" in names and (len(names) == 1 or _matrix_is_best(function, geometry, image[1], kept)):
        return matrix
    work = {"direct": [(_direct_work(geometry, image, filters, kept), direct)], "im2col": []}
    sizes = (2, 4) if precision == "fast" else (2,)
    work["winograd"] = [(_winograd_work(geometry, image, filters, m, kept), winograd.BY_TILES[m]) for m in sizes]
    return min((pair for name in names for pair in work[name]), key=lambda pair: pair[0])[1]


def _matrix_is_best(function, geometry, channels, kept):
    """A 1 x 1 filter is one matrix product; with a stride the filter gradient at least copies little.

    `direct` is the same product, and it can keep the panels of the filter: worth it where a product has some depth.
    """
    strided = geometry._replace(stride=(1, 1)).pointwise and function == "conv2d_filter"
    panels_pay = kept and channels >= INNER
    return geometry.groups == 1 and (geometry.pointwise and not panels_pay or strided)


def _direct_work(geometry, image, filters, kept):
    weights = math.prod(geometry.kernel) * image[1] // geometry.groups * filters
    return weights * (image[0] * math.prod(geometry.grid) + (0 if kept else PACKED))


def _winograd_work(geometry, image, filters, m, kept):
    tiles, channels = winograd.num_tiles(image[0], geometry, m), image[1]
    products = max(tiles, FETCHED) * channels * filters
    moved = tiles * (channels + filters) + (0 if kept else channels * filters)
    return (m + 2)**2 * (products + MOVED * moved)
