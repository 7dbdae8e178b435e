"""Grey clutter without faces: a ramp, discs, bars and boxes of all sizes, smooth noise."""

import numpy as np

__all__ = ["draw_clutter"]


def draw_clutter(rng, height, width, *, density=1.0):
    """Grey levels (height, width), float64 in [0, 1]; `density` scales the number of objects."""
    y, x = np.indices((height, width)) + 0.5
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * (x / width - 0.5) + np.sin(angle) * (y / height - 0.5)
    image = rng.random() + rng.uniform(0, 0.8) * ramp
    for _ in range(rng.poisson(density * (4 + height * width / 600))):
        _draw_object(rng, image, x, y)
    image += rng.uniform(0, 0.15) * _smooth_noise(rng, height, width)
    return np.clip(image, 0, 1)


def _draw_object(rng, image, x, y):
    """One object of random kind, place, size, direction and grey level, drawn over what is there."""
    height, width = image.shape
    r = min(np.exp(rng.uniform(np.log(1.5), np.log(30))), min(height, width) / 2)
    cx, cy, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, np.pi)
    rows = slice(max(int(cy - 1.5 * r), 0), int(cy + 1.5 * r) + 2)
    columns = slice(max(int(cx - 1.5 * r), 0), int(cx + 1.5 * r) + 2)
    dx, dy = (x[rows, columns] - cx) / r, (y[rows, columns] - cy) / r
    u, v = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
    thin = rng.uniform(0.15, 1)
    kind = rng.integers(4)
    if kind == 0:
        inside = u**2 + (v / thin) ** 2 <= 1
    elif kind == 1:
        inside = (abs(u) <= 1) & (abs(v) <= thin)
    elif kind == 2:
        inside = (abs(u) <= 1) & (abs(v) <= 1) & (np.cos(np.pi * v / max(thin, 0.3)) > 0)
    else:
        inside = abs(np.hypot(u, v) - 1 + 0.3 * thin) <= 0.3 * thin
    image[rows, columns][inside] = rng.random()


def _smooth_noise(rng, height, width):
    """Noise of two scales, each of standard deviation about 1 / 2."""
    fine = rng.standard_normal((height, width))
    coarse = rng.standard_normal((height // 4 + 2, width // 4 + 2)).repeat(4, 0).repeat(4, 1)[:height, :width]
    return 0.5 * fine + 0.5 * coarse
