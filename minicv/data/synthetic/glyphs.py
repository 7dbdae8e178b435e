"""D3: `Glyphs10`, digits from a 5 x 7 bitmap font, a stand-in for MNIST that needs no file."""

import numpy as np

from ...errors import ArgError
from .stream import Stream

__all__ = ["Glyphs10", "FONT"]

_ROWS = """
.###. ..#.. .###. .###. ...#. ##### .###. ##### .###. .###.
#...# .##.. #...# #...# ..##. #.... #...# ....# #...# #...#
#...# ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...#
#...# ..#.. ...#. ..##. #..#. ....# ####. ..#.. .###. .####
#...# ..#.. ..#.. ....# ##### ....# #...# ..#.. #...# ....#
#...# ..#.. .#... #...# ...#. #...# #...# .#... #...# #...#
.###. .###. ##### .###. ...#. .###. .###. .#... .###. .###.
"""

# The digits (10, 7, 5), 0.0 or 1.0.
FONT = np.array([[[c == "#" for c in row.split()[d]] for row in _ROWS.split("\n")[1:-1]]
                 for d in range(10)], np.float64)


class Glyphs10(Stream):
    """One digit, randomly moved, turned, scaled and sheared, blurred, with noise.

    ======  ===============  =======  =========================================
    field   shape            dtype    meaning
    ======  ===============  =======  =========================================
    image   (1, size, size)  float32  white on black, in [0, 1]
    label   ()               int64    the digit
    ======  ===============  =======  =========================================

    jitter: scales every random motion; at 1 the centre moves by up to 2/28 of `size` per axis, the
    angle is within 0.2 radians, the shear within 0.2, height and width are 0.85 to 1.1 times
    20/28 and 14/28 of `size`. blur: standard deviation in pixels, at most. noise: standard
    deviation added to every value.
    """
    class_names = tuple("0123456789")

    def __init__(self, length: int = 5000, *, size: int = 28, jitter: float = 1.0,
                 blur: float = 1.0, noise: float = 0.1, seed: int = 0, first: int = 0):
        super().__init__(length, seed=seed, first=first)
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 8:
            raise ArgError(f"Glyphs10: size is {size!r}, expected an integer >= 8 pixels")
        if not 0 <= jitter <= 1.5:
            raise ArgError(f"Glyphs10: jitter is {jitter}, expected in [0, 1.5]; more would move "
                           "the digit off the canvas")
        for name, value in (("blur", blur), ("noise", noise)):
            if not (np.isfinite(value) and value >= 0):
                raise ArgError(f"Glyphs10: {name} is {value}, expected a finite number >= 0")
        self.size, self.jitter, self.blur, self.noise = size, jitter, blur, noise
        self._center = np.arange(size) + 0.5 - size / 2
        self._padded = np.pad(FONT, ((0, 0), (1, 2), (1, 2)))

    def draw(self, rng):
        label = rng.integers(10)
        image = self._blurred(self._placed(label, rng), self.blur * rng.uniform(0.3, 1))
        image += self.noise * rng.standard_normal(image.shape)
        return {"image": np.clip(image, 0, 1).astype(np.float32)[None], "label": np.int64(label)}

    def _placed(self, label, rng):
        """The bitmap seen through a random affine map, interpolated bilinearly (size, size)."""
        unit = self.size / 28
        dx, dy, angle, shear, tall, wide = self.jitter * rng.uniform(-1, 1, 6)
        x, y = self._center[None, :] - 2 * unit * dx, self._center[:, None] - 2 * unit * dy
        c, s = np.cos(0.2 * angle), np.sin(0.2 * angle)
        x, y = c * x + s * y, c * y - s * x
        x = x - 0.2 * shear * y
        height, width = 20 * unit * (0.975 + 0.125 * tall), 14 * unit * (0.975 + 0.125 * wide)
        i, j = 7 * (y / height + 0.5) + 0.5, 5 * (x / width + 0.5) + 0.5  # padded by one cell
        return _sample(self._padded[label], i, j)

    def _blurred(self, image, sigma):
        """Separable Gaussian of standard deviation `sigma` pixels."""
        reach = int(np.ceil(3 * sigma))
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
        offset = np.arange(self.size)[:, None] - np.arange(self.size)[None, :]
        band = np.where(abs(offset) <= reach, kernel[np.clip(offset + reach, 0, 2 * reach)], 0.0)
        return band @ image @ band.T / kernel.sum() ** 2


def _sample(bitmap, i, j):
    """Bilinear values at (i, j), 0 = centre of the first cell; the border of `bitmap` is 0."""
    h, w = bitmap.shape
    i, j = np.clip(i, 0, h - 2), np.clip(j, 0, w - 2)
    i0, j0 = i.astype(np.int64), j.astype(np.int64)
    fi, fj = i - i0, j - j0
    top = (1 - fj) * bitmap[i0, j0] + fj * bitmap[i0, j0 + 1]
    bottom = (1 - fj) * bitmap[i0 + 1, j0] + fj * bitmap[i0 + 1, j0 + 1]
    return (1 - fi) * top + fi * bottom
