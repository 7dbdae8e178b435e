"""Haar-like features: light minus dark rectangles in a window of 24 x 24 pixels.

A feature is five numbers (kind, x, y, w, h): a grid of cells, each w x h pixels, with its top-left corner at (x, y).

    edges              lines                    checker
    [+ -]  [+]         [+ - +]  [+]             [+ -]
           [-]           -2     [-] -2          [- +]
                                [+]

    value = (1 / 576) (sum of light - sum of dark) / std of the window

Cells of the middle of a line count twice, so that every feature is 0 on a flat window and, after division by the
standard deviation, blind to brightness and contrast.

References: Papageorgiou, Oren & Poggio, A General Framework for Object Detection, ICCV 1998; Viola & Jones, Rapid
Object Detection using a Boosted Cascade of Simple Features, CVPR 2001; Robust Real-Time Face Detection, IJCV 2004.
Departures: the papers print line features without the factor 2; at other scales a feature is computed from the means
of its cells, since rounded cells differ in area.
"""

import numpy as np

from ...errors import ArgError, DTypeError, ShapeError
from ...kernels.haar import MIN_STD, feature_rows
from ...kernels.integral import integral_image
from .windows import WINDOW, integral_columns

# Weight of every cell (rows, columns), by kind.
KINDS = (
    np.array([[1.0, -1]]), np.array([[1.0], [-1]]),
    np.array([[1.0, -2, 1]]), np.array([[1.0], [-2], [1]]),
    np.array([[1.0, -1], [-1, 1]]))
NAMES = ("vertical edge", "horizontal edge", "vertical line", "horizontal line", "checker")
TAPS = 9                                                   # corners of the largest grid, 2 x 2 cells


def all_features(size=WINDOW):
    """Every kind at every place and size in a window of `size` pixels: int64 (F, 5), 162 336 rows for 24.

    ArgError if the window is smaller than the smallest feature, 2 pixels.
    """
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 2:
        raise ArgError(f"all_features: size is {size!r}, expected an integer >= 2 pixels, the smallest filter")
    return np.concatenate([_features_of_kind(k, size) for k in range(len(KINDS))])


def _features_of_kind(kind, size):
    rows, columns = KINDS[kind].shape
    x, y, w, h = (v.ravel() for v in np.meshgrid(np.arange(size), np.arange(size), np.arange(1, size + 1),
                                                 np.arange(1, size + 1), indexing="ij"))
    fits = (x + columns * w <= size) & (y + rows * h <= size)
    return np.stack([np.full(fits.sum(), kind), x[fits], y[fits], w[fits], h[fits]], axis=1)


def count_features(size=WINDOW):
    """Number of features of each kind: edges 43 200 twice, lines 27 600 twice, checkers 20 736 for 24 pixels."""
    return np.bincount(all_features(size)[:, 0], minlength=len(KINDS)).tolist()


def sample_features(count, *, rng=None, size=WINDOW):
    """`count` different features drawn at random, in their order in `all_features`: int64 (count, 5)."""
    rng = np.random.default_rng(rng)
    pool = all_features(size)
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or not 1 <= count <= len(pool):
        raise ArgError(f"sample_features: count is {count!r}, expected an integer in [1, {len(pool)}]")
    return pool[np.sort(rng.choice(len(pool), count, replace=False))]


def feature_taps(features, scale=1.0, stride=WINDOW + 1):
    """Features as linear forms in a flat integral image whose rows are `stride` long.

    scale >= 1: of the window; cell edges are rounded to pixels and every cell counts by its mean, so that flat windows
    still give 0. Returns offset (F, 9) int64, relative to the window's corner, and coef (F, 9) float64; features with
    fewer taps end in zeros. ArgError for a smaller scale, whose cells could vanish.
    """
    if not 1 <= scale < np.inf:
        raise ArgError(f"feature_taps: scale is {scale}, expected a number >= 1")
    offset, coef = np.zeros((len(features), TAPS), np.int64), np.zeros((len(features), TAPS))
    for kind, cells in enumerate(KINDS):
        of_kind = features[:, 0] == kind
        _, x, y, w, h = features[of_kind].T
        rows, columns = cells.shape
        ys = _rounded(scale * (y[:, None] + h[:, None] * np.arange(rows + 1)))              # (F, rows + 1)
        xs = _rounded(scale * (x[:, None] + w[:, None] * np.arange(columns + 1)))
        area = np.diff(ys, axis=1)[:, :, None] * np.diff(xs, axis=1)[:, None, :]
        density = cells * (w * h)[:, None, None] / (WINDOW**2 * area)                       # (F, rows, columns)
        count = (rows + 1) * (columns + 1)
        offset[of_kind, :count] = (ys[:, :, None] * stride + xs[:, None, :]).reshape(-1, count)
        coef[of_kind, :count] = _corner_weights(density).reshape(-1, count)
    return offset, coef


def _rounded(v):
    """Nearest integer, halves up (not to even), so that equal cells stay as equal as they can."""
    return np.floor(v + 0.5).astype(np.int64)


def _corner_weights(cells):
    """Weights (F, R + 1, C + 1) of the corners of a grid whose cells (F, R, C) are summed with these weights."""
    padded = np.pad(cells, ((0, 0), (1, 1), (1, 1)))
    return padded[:, :-1, :-1] - padded[:, :-1, 1:] - padded[:, 1:, :-1] + padded[:, 1:, 1:]


def feature_values(features, patches):
    """Values of features (F, 5) on patches (N, 24, 24): float32 (F, N).

    Raises ShapeError where the patches are not that large, DTypeError for integers, ArgError for features that do not
    fit into them.
    """
    patches = check_patches("feature_values", patches)
    features = check_features("feature_values", features)
    mean, square = patches.mean((1, 2)), (patches**2).mean((1, 2))
    inv_std = 1 / np.sqrt(np.maximum(square - mean**2, MIN_STD**2))
    y = np.empty((len(features), len(patches)), np.float32)
    feature_rows(len(features), integral_columns(integral_image(patches)), inv_std, *feature_taps(features), y)
    return y


def check_patches(function, patches):
    """Patches as float64 (N, 24, 24), after checking them."""
    patches = np.asarray(patches)
    if patches.ndim != 3 or patches.shape[1:] != (WINDOW, WINDOW):
        raise ShapeError(f"{function}: patches has shape {patches.shape}, expected (N, {WINDOW}, {WINDOW}); a filter "
                         "needs the whole window")
    if patches.dtype.kind != "f":
        raise DTypeError(f"{function}: patches has dtype {patches.dtype}, expected floats in [0, 1]")
    if not np.isfinite(patches).all():
        raise ArgError(f"{function}: patches has values that are not finite, expected grey levels in [0, 1]")
    return patches.astype(np.float64, copy=False)


def check_features(function, features):
    """Features as int64 (F, 5), after checking that each lies inside the window."""
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] != 5:
        raise ShapeError(f"{function}: features has shape {features.shape}, expected (F, 5): kind, x, y, w, h")
    if features.dtype.kind not in "iu":
        raise DTypeError(f"{function}: features has dtype {features.dtype}, expected integers")
    features = features.astype(np.int64)
    kind, x, y, w, h = features.T
    known = (0 <= kind) & (kind < len(KINDS))
    rows, columns = (np.array([k.shape[axis] for k in KINDS])[np.where(known, kind, 0)] for axis in (0, 1))
    inside = known & (x >= 0) & (y >= 0) & (w >= 1) & (h >= 1) & (w <= WINDOW) & (h <= WINDOW)
    inside &= (x + columns * w <= WINDOW) & (y + rows * h <= WINDOW)
    if not inside.all():
        bad = features[int(inside.argmin())].tolist()
        raise ArgError(f"{function}: feature {bad} (kind, x, y, w, h) is unknown or larger than the window, expected "
                       f"kind < {len(KINDS)} inside {WINDOW} x {WINDOW} pixels")
    return features
