"""Augmentations: functions f(sample, rng) -> sample that leave their input as it was.

A sample is a dict with ``image`` (C, H, W) float. Where a function moves pixels it moves the
pixel maps of the sample along (``mask``, ``masks``, ``semantic``, ``depth``; last axes H, W), and
what it cannot move correctly it refuses. Settings are fixed with `functools.partial`:

    Compose(random_flip, partial(random_crop, padding=4), partial(normalize, mean=m, std=s))
"""

import math

import numpy as np

from ..errors import ArgError, ShapeError

__all__ = ["Compose", "normalize", "random_affine", "random_crop", "random_erasing",
           "random_flip"]

# What lies outside the picture, by field.
OUTSIDE = {"image": 0.0, "mask": False, "masks": False, "semantic": -1, "depth": np.nan}


class Compose:
    """The transforms one after the other, drawing from one stream."""

    def __init__(self, *transforms):
        for k, f in enumerate(transforms):
            if not callable(f):
                raise ArgError(f"Compose: transforms[{k}] is {f!r}, expected a function")
        self.transforms = transforms

    def __call__(self, sample, rng=None):
        rng = np.random.default_rng(rng)
        for f in self.transforms:
            sample = f(sample, rng)
        return sample


def normalize(sample: dict, rng=None, *, mean, std) -> dict:
    """(image - mean) / std per channel; mean, std: a number or (C,), std > 0."""
    image = _image("normalize", sample)
    mean, std = (np.asarray(v, image.dtype).reshape(-1, 1, 1) for v in (mean, std))
    if len(mean) not in (1, len(image)) or len(std) not in (1, len(image)):
        raise ShapeError(f"normalize: mean and std have {len(mean)} and {len(std)} values, "
                         f"expected 1 or {len(image)} for image {image.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ArgError(f"normalize: mean is {mean.ravel()}, std is {std.ravel()}, "
                       "expected finite values and std > 0")
    return {**sample, "image": (image - mean) / std}


def random_flip(sample: dict, rng, *, p: float = 0.5) -> dict:
    """Mirror left and right with probability `p`: image, pixel maps and ``boxes`` (R, 4) xyxy."""
    _check_probability("random_flip", p)
    width = _image("random_flip", sample).shape[-1]
    if np.random.default_rng(rng).random() >= p:
        return dict(sample)
    flipped = {k: v[..., ::-1].copy() for k, v in sample.items() if k in OUTSIDE}
    if "boxes" in sample:  # the half-open [x1, x2) becomes [W - x2, W - x1)
        x1, y1, x2, y2 = sample["boxes"].T
        flipped["boxes"] = np.stack([width - x2, y1, width - x1, y2], axis=1)
    return {**sample, **flipped}


def random_crop(sample: dict, rng, *, padding: int = 4) -> dict:
    """A window of the original size out of the picture padded by `padding` pixels all round.

    Outside lies 0 (image), False (masks), -1 (semantic), nan (depth).
    """
    image = _image("random_crop", sample)
    _refuse_boxes("random_crop", sample)
    if padding < 0:
        raise ArgError(f"random_crop: padding is {padding}, expected >= 0 pixels")
    top, left = np.random.default_rng(rng).integers(0, 2 * padding + 1, 2)
    h, w = image.shape[-2:]
    moved = {}
    for k, v in sample.items():
        if k in OUTSIDE:
            margin = [(0, 0)] * (v.ndim - 2) + [(padding, padding)] * 2
            padded = np.pad(v, margin, constant_values=OUTSIDE[k])
            moved[k] = padded[..., top:top + h, left:left + w].copy()
    return {**sample, **moved}


def random_affine(sample: dict, rng, *, angle: float = 0.2, scale: float = 0.1,
                  shear: float = 0.1, shift: float = 2.0) -> dict:
    """Rotate, scale, shear and shift about the centre by small random amounts.

    angle: radians, shear: slope, shift: pixels, each uniform in [-v, v]; scale: factor uniform in
    [1 - scale, 1 + scale]. Images are interpolated bilinearly, pixel maps take the nearest pixel.
    """
    image = _image("random_affine", sample)
    _refuse_boxes("random_affine", sample)
    if min(angle, scale, shear, shift) < 0 or scale >= 1:
        raise ArgError(f"random_affine: (angle, scale, shear, shift) is "
                       f"{(angle, scale, shear, shift)}, expected >= 0 and scale < 1")
    rng = np.random.default_rng(rng)
    a, s, k, dx, dy = rng.uniform(-1, 1, 5) * (angle, scale, shear, shift, shift)
    forward = (1 + s) * np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    backward = np.linalg.inv(forward @ np.array([[1.0, k], [0.0, 1.0]]))
    x, y = _source_points(image.shape[-2:], backward, (dx, dy))
    moved = {f: _bilinear(v, x, y) if f == "image" else _nearest(v, x, y, OUTSIDE[f])
             for f, v in sample.items() if f in OUTSIDE}
    return {**sample, **moved}


def _source_points(size, backward, shift):
    """For every target pixel centre the point (x, y) of the source, in pixel coordinates."""
    h, w = size
    center = np.array([w / 2, h / 2])
    y, x = np.mgrid[:h, :w] + 0.5
    x, y = x - center[0] - shift[0], y - center[1] - shift[1]
    (a, b), (c, d) = backward
    return a * x + b * y + center[0], c * x + d * y + center[1]


def random_erasing(sample: dict, rng, *, p: float = 0.5, area=(0.02, 0.4), aspect=(0.3, 1 / 0.3),
                   value: float = 0.0) -> dict:
    """With probability `p` fill a random rectangle of the image with `value`.

    area: range of the share of the image; aspect: range of height / width.
    Reference: Zhong et al., AAAI 2020, algorithm 1.
    Departures: a constant instead of random values; at most 10 attempts to find
    a rectangle that fits instead of endless ones; aspect is drawn uniformly in its logarithm.
    """
    _check_probability("random_erasing", p)
    image = _image("random_erasing", sample)
    if not (0 < area[0] <= area[1] <= 1 and 0 < aspect[0] <= aspect[1]):
        raise ArgError(f"random_erasing: area is {area}, aspect is {aspect}, expected increasing "
                       "positive pairs and area <= 1")
    rng = np.random.default_rng(rng)
    if rng.random() >= p:
        return dict(sample)
    image, (height, width) = image.copy(), image.shape[-2:]
    for _ in range(10):
        size = height * width * rng.uniform(*area)
        ratio = math.exp(rng.uniform(*np.log(aspect)))
        h, w = round(math.sqrt(size * ratio)), round(math.sqrt(size / ratio))
        if 0 < h <= height and 0 < w <= width:
            top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
            image[:, top:top + h, left:left + w] = value
            break
    return {**sample, "image": image}


def _bilinear(image, x, y):
    """Values at points in pixel coordinates; 0 outside. Pixel i has its centre at i + 1/2."""
    x0, y0 = np.floor(x - 0.5).astype(np.int64), np.floor(y - 0.5).astype(np.int64)
    fx, fy = x - 0.5 - x0, y - 0.5 - y0
    out = np.zeros((*image.shape[:-2], *x.shape), np.float64)
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            out += wy * wx * _take(image, y0 + dy, x0 + dx, 0.0)
    return out.astype(image.dtype)


def _nearest(values, x, y, outside):
    return _take(values, np.floor(y).astype(np.int64), np.floor(x).astype(np.int64), outside)


def _take(values, i, j, outside):
    h, w = values.shape[-2:]
    inside = (i >= 0) & (i < h) & (j >= 0) & (j < w)
    taken = values[..., np.clip(i, 0, h - 1), np.clip(j, 0, w - 1)]
    return np.where(inside, taken, np.asarray(outside, values.dtype))


def _image(function, sample):
    image = sample.get("image")
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.dtype.kind != "f":
        found = "missing" if image is None else f"{np.shape(image)} {getattr(image, 'dtype', '')}"
        raise ShapeError(f"{function}: sample['image'] is {found}, expected float (C, H, W)")
    return image


def _refuse_boxes(function, sample):
    if "boxes" in sample:
        raise ArgError(f"{function}: sample has the field boxes, expected none; cropped objects "
                       "need a rule of their own")


def _check_probability(function, p):
    if not 0 <= p <= 1:
        raise ArgError(f"{function}: p is {p}, expected a probability in [0, 1]")
