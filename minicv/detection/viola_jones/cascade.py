"""The attentional cascade: stages of boosted stumps, each of which may reject a window for good.

    stage s accepts  <=>  sum_f h_f(x) >= bias_s,   h_f = vote_f if value_f >= threshold_f else -vote_f

vote = polarity ln((1 - eps) / eps). Over independent stages rates multiply: D = prod d_i, F = prod f_i.

References: Viola & Jones, Rapid Object Detection using a Boosted Cascade of Simple Features, CVPR 2001; Robust
Real-Time Face Detection, IJCV 2004.
Departures: weak learners say -1 or 1 instead of 0 or 1, so AdaBoost's own bias is 0 instead of half the sum of votes;
equality belongs to the upper side for both polarities.
"""

from typing import NamedTuple

import numpy as np

from ...errors import ArgError, DataFormatError, ShapeError
from ...files import atomic_write, npz_bytes, read_npz
from ...kernels.haar import cascade as run_cascade
from ...kernels.integral import integral_image
from .haar import check_features, check_patches, feature_taps
from .windows import WINDOW

LARGEST_FILE = 2**24                                       # bytes, of a stored cascade
VERSION = 1


class Verdict(NamedTuple):
    """What a cascade says about N windows."""

    passed: np.ndarray       # (N,) int64, number of stages passed
    margin: np.ndarray       # (N,) float64, sum minus bias in the last stage computed
    used: np.ndarray         # (N,) int64, number of features computed


class Cascade(NamedTuple):
    """Stages of stumps on Haar-like features, as flat arrays."""

    features: np.ndarray     # (F, 5) int64, see `haar`
    threshold: np.ndarray    # (F,) float64
    vote: np.ndarray         # (F,) float64, negative where small values mean a face
    ends: np.ndarray         # (S,) int64, one past the last feature of each stage
    bias: np.ndarray         # (S,) float64

    @classmethod
    def empty(cls):
        """No stage: accepts everything."""
        return cls(np.zeros((0, 5), np.int64), np.zeros(0), np.zeros(0), np.zeros(0, np.int64), np.zeros(0))

    def with_stage(self, features, threshold, vote, bias):
        """This cascade and one more stage."""
        return Cascade(np.concatenate([self.features, np.reshape(features, (-1, 5))]),
                       np.append(self.threshold, threshold), np.append(self.vote, vote),
                       np.append(self.ends, len(self.vote) + len(vote)), np.append(self.bias, bias))

    def first(self, stages):
        """The first stages alone."""
        last = self.ends[stages - 1] if stages else 0
        return Cascade(self.features[:last], self.threshold[:last], self.vote[:last], self.ends[:stages],
                       self.bias[:stages])

    @property
    def num_stages(self):
        """S."""
        return len(self.ends)

    @property
    def stage_sizes(self):
        """Number of features of every stage (S,)."""
        return np.diff(self.ends, prepend=0)

    def judge(self, patches):
        """`Verdict` on patches (N, 24, 24); errors as for `feature_values`."""
        patches = check_patches("Cascade.judge", patches)
        tables = integral_image(patches), integral_image(patches, squared=True)
        return judge_windows(self, *tables, np.arange(len(patches)) * (WINDOW + 1) ** 2, 1.0)


def judge_windows(cascade, ii, sq, origin, scale):
    """`Verdict` on windows of one scale.

    ii, sq (..., W + 1): integral images of the grey levels and their squares; origin (N,) int64: flat positions of
    windows' top-left corners in them. Raises ArgError for a cascade whose arrays do not fit together, a scale below 1
    or windows that reach beyond the tables, ShapeError for tables of different shapes.
    """
    if not 1 <= scale < np.inf:
        raise ArgError(f"judge_windows: scale is {scale}, expected a number >= 1")
    cascade, side = check_cascade("judge_windows", cascade), round(WINDOW * scale)
    if ii.shape != sq.shape:
        raise ShapeError(f"judge_windows: sq has shape {sq.shape}, expected {ii.shape} as ii")
    low, high = origin.min(initial=0), origin.max(initial=0)
    if len(origin) and not 0 <= low <= high < ii.size - side * (ii.shape[-1] + 1):
        raise ArgError(f"judge_windows: origin reaches from {low} to {high} at scale {scale}, expected windows of "
                       f"{side} pixels inside {ii.size} entries")
    return judge_checked(cascade, ii, sq, origin, scale)


def judge_checked(cascade, ii, sq, origin, scale):
    """`judge_windows` without its checks, for many scales of one image."""
    stride, side = ii.shape[-1], round(WINDOW * scale)
    corner = np.array([0, side, side * stride, side * stride + side])
    offset, coef = feature_taps(cascade.features, scale, stride)
    verdict = Verdict(np.empty(len(origin), np.int64), np.empty(len(origin)), np.empty(len(origin), np.int64))
    run_cascade(len(origin), ii.reshape(-1), sq.reshape(-1), origin, corner, float(side * side), offset, coef,
                cascade.threshold, cascade.vote, cascade.ends, cascade.bias, *verdict)
    return verdict


def overall_rates(detection, false_positive):
    """D = prod d_i and F = prod f_i of stages with these rates, each in [0, 1]."""
    rates = np.asarray(detection, np.float64), np.asarray(false_positive, np.float64)
    for name, values in zip(("detection", "false_positive"), rates, strict=True):
        if not ((0 <= values) & (values <= 1)).all():
            raise ArgError(f"overall_rates: {name} is {values}, expected rates in [0, 1]")
    return float(rates[0].prod()), float(rates[1].prod())


def expected_features(sizes, false_positive):
    """Mean number of features computed for a window that is no face: n_1 + n_2 f_1 + n_3 f_1 f_2 + ...

    sizes (S,): features of each stage; false_positive: a rate in [0, 1] for each, that of the last may be left out.
    """
    overall_rates([], false_positive)
    if len(false_positive) < len(sizes) - 1:
        raise ShapeError(f"expected_features: false_positive has {len(false_positive)} rates, expected {len(sizes)}")
    reach = np.cumprod(np.append(1.0, false_positive))[:len(sizes)]
    return float(reach @ np.asarray(sizes, np.float64))


def save_cascade(path, cascade):
    """Write a cascade to one ``.npz`` file; a reader sees the old content or the new one."""
    atomic_write(path, npz_bytes({"version": np.array(VERSION), **cascade._asdict()}))


def load_cascade(path):
    """Read what `save_cascade` wrote.

    Raises DataMissingError (no file), LimitError (too large), UnsafeFileError, DataFormatError (no sound cascade).
    """
    arrays = read_npz(path, LARGEST_FILE)
    names = {"version", *Cascade._fields}
    if set(arrays) != names:
        raise DataFormatError(f"load_cascade: {str(path)!r} holds {sorted(arrays)}, expected {sorted(names)}")
    if arrays["version"].shape != () or arrays["version"] != VERSION:
        raise DataFormatError(f"load_cascade: {str(path)!r} has version {arrays['version']}, expected {VERSION}")
    try:
        return _checked(Cascade(*(arrays[name] for name in Cascade._fields)))
    except ValueError as error:
        raise DataFormatError(f"load_cascade: {str(path)!r} is no sound cascade: {error}") from error


def check_cascade(function, cascade):
    """A `Cascade` whose arrays fit together, so that no loop reads beyond them; ArgError if they do not."""
    if not isinstance(cascade, Cascade):
        raise ArgError(f"{function}: cascade is a {type(cascade).__name__}, expected a Cascade")
    try:
        return _checked(cascade)
    except ValueError as error:
        raise ArgError(f"{function}: cascade is not sound: {error}") from error


def _checked(cascade):
    """The cascade, after checking that its arrays fit together; ValueError if they do not."""
    features = check_features("Cascade", cascade.features)
    threshold, vote, bias, ends = map(np.asarray, (cascade.threshold, cascade.vote, cascade.bias, cascade.ends))
    if not all(x.dtype.kind in "fiu" for x in (threshold, vote, bias)):
        raise ValueError(f"threshold, vote, bias are {threshold.dtype}, {vote.dtype}, {bias.dtype}, expected reals")
    if not threshold.shape == vote.shape == (len(features),):
        raise ValueError(f"threshold {threshold.shape} and vote {vote.shape}, expected one for each of "
                         f"{len(features)} features")
    if ends.dtype.kind not in "iu" or ends.ndim != 1 or bias.shape != ends.shape:
        raise ValueError(f"ends {ends.dtype} {ends.shape} and bias {bias.shape}, expected (S,) integers and (S,)")
    if (np.diff(ends.astype(np.int64), prepend=0) < 1).any() or (ends[-1] if len(ends) else 0) != len(features):
        raise ValueError(f"ends is {ends.tolist()}, expected increasing numbers up to {len(features)}")
    if not all(np.isfinite(x).all() for x in (threshold, vote, bias)):
        raise ValueError("a threshold, vote or bias is not finite")
    threshold, vote, bias = (x.astype(np.float64) for x in (threshold, vote, bias))
    return Cascade(features, threshold, vote, ends.astype(np.int64), bias)
