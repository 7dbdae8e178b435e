"""Colour spaces in which regions are compared: each maps RGB (3, H, W) in [0, 1] to channels in [0, 1].

=======  =====  ==============================================================================================
name     C      channels and what they ignore
=======  =====  ==============================================================================================
"rgb"    3      red, green, blue
"gray"   1      intensity (R + G + B) / 3: ignores colour
"hsv"    3      hue, saturation, value: hue ignores shadows and highlights
"lab"    3      CIE L*a*b*, D65; L / 100, (a + 128) / 256, (b + 128) / 256: distances as people see them
"rgi"    3      R / (R + G + B), G / (R + G + B), intensity: the first two ignore shadows
"hue"    1      hue alone
=======  =====  ==============================================================================================

Reference: Uijlings et al., Selective Search for Object Recognition, IJCV 2013, section 3.2 and table 1.
Departures: their rgb, C and opponent spaces are left out. Hue is cut at red, as there, although it is a circle.
"""

import numpy as np

# Linear sRGB to XYZ, rows scaled so that white is (1, 1, 1): IEC 61966-2-1 and white point D65 (0.95047, 1, 1.08883).
_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169],
                 [0.019334, 0.119193, 0.950227]]) / np.array([[0.95047], [1.0], [1.08883]])


def rgb_to_gray(image):
    """Mean of the channels (1, H, W)."""
    return image.mean(axis=0, keepdims=True)


def rgb_to_hsv(image):
    """Hexcone model (Smith, 1978): hue in [0, 1), 0 = red, 0 where there is no colour."""
    value, chroma = image.max(axis=0), image.max(axis=0) - image.min(axis=0)
    safe = np.where(chroma > 0, chroma, 1)
    red, green, blue = image
    sector = np.select([value == red, value == green],
                       [(green - blue) / safe, 2 + (blue - red) / safe], 4 + (red - green) / safe)
    hue = np.where(chroma > 0, sector / 6 % 1, 0)
    return np.stack([hue, chroma / np.where(value > 0, value, 1), value])


def rgb_to_hue(image):
    """The first channel of `rgb_to_hsv`, (1, H, W)."""
    return rgb_to_hsv(image)[:1]


def rgb_to_rgi(image):
    """Chromaticities and intensity; gray (1/3, 1/3) where the pixel is black."""
    total = image.sum(axis=0)
    safe = np.where(total > 0, total, 1)
    shares = np.where(total > 0, image[:2] / safe, 1 / 3)
    return np.concatenate([shares, total[None] / 3])


def rgb_to_lab(image):
    """CIE 1976 L*a*b* of sRGB, shifted and scaled to [0, 1]."""
    linear = np.where(image > 0.04045, ((image + 0.055) / 1.055) ** 2.4, image / 12.92)
    x, y, z = (_lightness(v) for v in np.tensordot(_XYZ, linear, axes=1))
    return np.stack([(116 * y - 16) / 100, (500 * (x - y) + 128) / 256, (200 * (y - z) + 128) / 256]).clip(0, 1)


def _lightness(t):
    return np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)


COLORS = {"rgb": lambda image: image, "gray": rgb_to_gray, "hsv": rgb_to_hsv, "lab": rgb_to_lab, "rgi": rgb_to_rgi,
          "hue": rgb_to_hue}
