"""D2: `Shapes10`, small colour pictures of ten geometric shapes."""

import numpy as np

from ...errors import ArgError
from .stream import Stream

__all__ = ["Shapes10", "SHAPES"]


def _star(u, v):
    """Five tips at radius 1, the first one pointing up, inner corners at radius 0.42."""
    radius, tip = np.hypot(u, v), np.arctan2(u, -v)
    angle = abs((tip + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)  # to the nearest tip
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    cx, cy = 0.42 * np.cos(np.pi / 5), 0.42 * np.sin(np.pi / 5)
    return (cx - 1) * y - cy * (x - 1) >= 0  # on the centre's side of the edge tip -> corner


def _bars(across, along):
    """Three bars of width 0.28, as far apart as they are wide."""
    return (abs(along) <= 0.7) & (abs(across) <= 0.7) & (np.cos(across * np.pi / 0.28) > 0)


def _checker(u, v):
    """4 x 4 fields of side 0.35."""
    odd = (np.floor(u / 0.35) + np.floor(v / 0.35)) % 2 == 1
    return (np.maximum(abs(u), abs(v)) <= 0.7) & odd


# Where a shape is, on coordinates u (right), v (down) in units of its radius: inside u² + v² <= 1.
# fmt: off
SHAPES = {
    "disc":     lambda u, v: np.hypot(u, v) <= 1,
    "square":   lambda u, v: np.maximum(abs(u), abs(v)) <= 0.7,
    "triangle": lambda u, v: (v <= 0.5) & (abs(u) <= (v + 1) / np.sqrt(3)),
    "cross":    lambda u, v: (np.minimum(abs(u), abs(v)) <= 0.3)
                             & (np.maximum(abs(u), abs(v)) <= 0.95),
    "ring":     lambda u, v: abs(np.hypot(u, v) - 0.78) <= 0.22,
    "star":     _star,
    "diamond":  lambda u, v: abs(u) / 0.7 + abs(v) <= 1,
    "h-bars":   lambda u, v: _bars(v, u),
    "v-bars":   lambda u, v: _bars(u, v),
    "checker":  _checker,
}
# fmt: on


class Shapes10(Stream):
    """One shape of random colour, position, size and rotation on a colour gradient.

    ======  ===============  =======  =====================================================
    field   shape            dtype    meaning
    ======  ===============  =======  =====================================================
    image   (3, size, size)  float32  RGB in [0, 1]
    label   ()               int64    position in `class_names`
    mask    (size, size)     bool     pixels of which the shape covers at least half
    ======  ===============  =======  =====================================================

    noise: standard deviation added to every value.
    radius: range of the radius of the circle around the shape, as a share of `size`; the circle
    lies inside the picture. classes: which shapes, in the order of the labels.
    Rotation is at most 0.3 radians, or a square would be a diamond and bars would change class;
    in every channel the colour differs from the mean background by at least 0.3.
    """

    def __init__(self, length: int = 4000, *, size: int = 32, noise: float = 0.05,
                 radius: tuple = (0.27, 0.42), classes: tuple = tuple(SHAPES), seed: int = 0,
                 first: int = 0):
        super().__init__(length, seed=seed, first=first)
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 8:
            raise ArgError(f"Shapes10: size is {size!r}, expected an integer >= 8 pixels")
        if not 0 < radius[0] <= radius[1] <= 0.5:
            raise ArgError(f"Shapes10: radius is {radius}, expected 0 < low <= high <= 0.5; a "
                           "larger shape does not fit the canvas")
        if not (np.isfinite(noise) and noise >= 0):
            raise ArgError(f"Shapes10: noise is {noise}, expected a finite number >= 0")
        unknown = sorted(set(classes) - set(SHAPES))
        if unknown or not classes:
            raise ArgError(f"Shapes10: classes is {classes!r}, expected at least one of "
                           f"{tuple(SHAPES)}")
        self.size, self.noise, self.radius, self.class_names = size, noise, radius, tuple(classes)
        self._fine = (np.arange(3 * size) + 0.5) / 3  # 3 x 3 points in every pixel
        self._pixel = (np.arange(size) + 0.5) / size - 0.5

    def draw(self, rng):
        label = rng.integers(len(self.class_names))
        cover = self._cover(rng, SHAPES[self.class_names[label]])
        background, color = self._colors(rng)
        image = background + cover * (color[:, None, None] - background)
        image += self.noise * rng.standard_normal(image.shape)
        return {"image": np.clip(image, 0, 1).astype(np.float32), "label": np.int64(label),
                "mask": cover >= 0.5}

    def _cover(self, rng, inside):
        """Share of every pixel (size, size) that the shape covers, from 3 x 3 points."""
        r = self.size * rng.uniform(*self.radius)
        x, y = rng.uniform(r, self.size - r, 2)
        a = rng.uniform(-0.3, 0.3)
        dx, dy = (self._fine - x)[None, :] / r, (self._fine - y)[:, None] / r
        fine = inside(np.cos(a) * dx + np.sin(a) * dy, np.cos(a) * dy - np.sin(a) * dx)
        return fine.reshape(self.size, 3, self.size, 3).mean((1, 3))

    def _colors(self, rng):
        """A linear gradient (3, size, size) and a colour (3,) that stands out from its mean."""
        mean, slope = rng.uniform(0, 1, (2, 3))
        angle = rng.uniform(0, 2 * np.pi)
        ramp = np.cos(angle) * self._pixel[None, :] + np.sin(angle) * self._pixel[:, None]
        background = mean[:, None, None] + 0.4 * (slope - 0.5)[:, None, None] * ramp
        return np.clip(background, 0, 1), (mean + rng.uniform(0.3, 0.7, 3)) % 1
