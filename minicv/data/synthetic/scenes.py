"""D4: `Scenes`, several coloured shapes per picture with exact boxes, classes and masks."""

import math

import numpy as np

from ...errors import ArgError
from ...geometry.boxes import masks_to_boxes
from ..loader import default_collate
from .shapes import SHAPES
from .stream import Stream

__all__ = ["Scenes"]

TRIES = 50                         # places tried for one object, and scenes begun for one item
DENSITY = 0.45                     # share of the canvas that circles placed at random can always fill


class Scenes(Stream):
    """Shapes of random class, colour, place, size and rotation, one in front of the other.

    ======  ================  =======  ==========================================================
    field   shape             dtype    meaning
    ======  ================  =======  ==========================================================
    image   (3, size, size)   float32  RGB in [0, 1]
    boxes   (R, 4)            float32  xyxy in pixels, half-open: the tightest box around the mask
    labels  (R,)              int64    position in `class_names`
    masks   (R, size, size)   bool     pixels of which the object covers at least half, minus those
                                       that an object in front of it covers
    ======  ================  =======  ==========================================================

    Parameters
    ----------
    objects : (low, high)
        R is drawn from low, ..., high; the last object is in front of all others.
    radius : (low, high)
        Radius of the circle around a shape, as a share of `size`; the circle lies inside the picture.
    overlap : float in [0, 1)
        The largest share of an object's pixels that others may hide; 0 keeps objects apart.
    crowding : float in [0, 1]
        0 spreads the centres evenly, 1 packs them as close as `overlap` allows.
    foreground : (low, high)
        Bounds on the share of pixels that belong to objects.
    classes : names of `SHAPES`, in the order of the labels
    noise : standard deviation added to every value of the image

    Rotation is at most 0.3 radians; in every channel a colour differs from the mean background by at
    least 0.3. Fields differ in length between items: ``default_collate(..., lists=Scenes.lists)``.
    Raises ArgError for impossible requests: objects larger than the canvas, more than fit into it, or
    a share of foreground that they cannot give.
    """

    lists = ("boxes", "labels", "masks")

    def __init__(self, length: int = 2000, *, size: int = 64, objects: tuple = (1, 3), radius: tuple = (0.11, 0.22),
                 overlap: float = 0.3, crowding: float = 0.0, foreground: tuple = (0.0, 1.0),
                 classes: tuple = ("disc", "square", "triangle"), noise: float = 0.05, seed: int = 0, first: int = 0):
        super().__init__(length, seed=seed, first=first)
        _check(size, objects, radius, overlap, crowding, foreground, classes, noise)
        self.size, self.objects, self.radius, self.overlap = size, tuple(objects), tuple(radius), overlap
        self.crowding, self.foreground, self.noise = crowding, tuple(foreground), noise
        self.class_names = tuple(classes)
        t = (np.arange(400) + 0.5) / 200 - 1                           # points of [-1, 1]
        self._area = np.array([4 * SHAPES[name](t[None, :], t[:, None]).mean() for name in classes])

    def arrays(self) -> dict:
        """All items by field: images (N, 3, size, size); boxes, labels and masks are lists of N arrays."""
        return default_collate([self[i] for i in range(self.length)], lists=self.lists)

    def draw(self, rng):
        covers, labels = self._layout(rng)
        mean = rng.uniform(0, 1, 3)
        image = self.background(rng, mean)
        for cover, color in zip(covers, _colors(rng, mean, len(covers)), strict=True):
            image = image + cover * (color[:, None, None] - image)
        image = image + self.noise * rng.standard_normal(image.shape)
        masks = visible(covers >= 0.5)
        return {"image": np.clip(image, 0, 1).astype(np.float32), "boxes": masks_to_boxes(masks), "labels": labels,
                "masks": masks}

    def background(self, rng, mean):
        """A linear gradient (3, size, size) around a mean colour (3,)."""
        slope, angle = rng.uniform(-0.2, 0.2, 3), rng.uniform(0, 2 * np.pi)
        t = (np.arange(self.size) + 0.5) / self.size - 0.5
        ramp = np.cos(angle) * t[None, :] + np.sin(angle) * t[:, None]
        return np.clip(mean[:, None, None] + slope[:, None, None] * ramp, 0, 1)

    def _layout(self, rng):
        """covers (R, size, size) and labels (R,) of a scene that keeps all bounds."""
        for _ in range(TRIES):
            labels, radii = self._cast(rng)
            focus, covers = rng.uniform(0, self.size, 2), []
            for label, r in zip(labels, radii, strict=True):
                cover = self._place(rng, self.class_names[label], r, focus, covers)
                if cover is None:
                    break
                covers.append(cover)
            share = (np.max(covers, axis=0, initial=0) >= 0.5).mean()
            if len(covers) == len(labels) and self.foreground[0] <= share <= self.foreground[1]:
                return np.stack(covers), labels
        raise self._impossible()

    def _cast(self, rng):
        """labels (R,) and radii (R,) in pixels of objects that can give the share of foreground."""
        low, high = self.foreground
        for _ in range(100 * TRIES):
            count = rng.integers(self.objects[0], self.objects[1] + 1)
            labels, radii = rng.integers(len(self.class_names), size=count), rng.uniform(*self.radius, count)
            most = (self._area[labels] * radii**2).sum()
            if low <= 1.05 * most and (1 - self.overlap) * most <= 1.05 * high:      # pixels round the area
                return labels, self.size * radii
        raise self._impossible()

    def _impossible(self):
        return ArgError(f"Scenes: objects is {self.objects} with radius {self.radius}, overlap {self.overlap} and "
                        f"foreground {self.foreground}, expected fewer, or a share that they "
                        "give; no scene was found in many attempts")

    def _place(self, rng, name, r, focus, covers):
        """Cover of one more object in front of `covers` that hides none of them too much; None if there is no room."""
        angle = rng.uniform(-0.3, 0.3)
        for k in range(TRIES):
            spread = 1 - self.crowding * (1 - k / TRIES)
            center = np.clip(focus + spread * (rng.uniform(0, self.size, 2) - focus), r, self.size - r)
            cover = shape_cover(name, *center, r, angle, self.size)
            masks = np.stack([*covers, cover]) >= 0.5
            if (visible(masks).sum((1, 2)) >= (1 - self.overlap) * masks.sum((1, 2))).all():
                return cover
        return None


def shape_cover(name, x, y, r, angle, size):
    """Share of every pixel (size, size) that a shape of `SHAPES` at (x, y) covers, from 3 x 3 points per pixel."""
    fine = (np.arange(3 * size) + 0.5) / 3
    across, down = abs(fine - x) <= r, abs(fine - y) <= r
    u, v = (fine[across] - x)[None, :] / r, (fine[down] - y)[:, None] / r
    inside = np.zeros((3 * size, 3 * size))
    turned = np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u
    inside[np.ix_(down, across)] = SHAPES[name](*turned)
    return inside.reshape(size, 3, size, 3).mean((1, 3))


def visible(masks):
    """What is left of masks (R, H, W) when each hides those before it."""
    seen, taken = np.empty_like(masks), np.zeros(masks.shape[1:], bool)
    for k in reversed(range(len(masks))):
        seen[k] = masks[k] & ~taken
        taken |= masks[k]
    return seen


def _colors(rng, mean, count):
    """Colours (count, 3) that stand out from `mean` and, as far as eight draws allow, from each other."""
    colors = [mean]
    for _ in range(count):
        drawn = (mean + rng.uniform(0.3, 0.7, (8, 3))) % 1
        nearest = np.min([np.abs(drawn - other).max(axis=1) for other in colors], axis=0)
        colors.append(drawn[nearest.argmax()])
    return np.array(colors[1:])


def _check(size, objects, radius, overlap, crowding, foreground, classes, noise):
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 16:
        raise ArgError(f"Scenes: size is {size!r}, expected an integer >= 16 pixels")
    if len(objects) != 2 or not 1 <= objects[0] <= objects[1]:
        raise ArgError(f"Scenes: objects is {objects}, expected 1 <= low <= high")
    if len(radius) != 2 or not 0 < radius[0] <= radius[1] <= 0.5 or radius[0] * size < 2:
        raise ArgError(f"Scenes: radius is {radius}, expected low <= high <= 0.5, at least 2 pixels of {size}; a "
                       "larger object does not fit the canvas")
    for name, value, low in (("overlap", overlap, 1), ("crowding", crowding, np.nextafter(1, 2))):
        if not 0 <= value < low:
            raise ArgError(f"Scenes: {name} is {value}, expected in [0, 1{')' if low == 1 else ']'}")
    if not (np.isfinite(noise) and noise >= 0):
        raise ArgError(f"Scenes: noise is {noise}, expected a finite number >= 0")
    if not classes or set(classes) - set(SHAPES):
        raise ArgError(f"Scenes: classes is {classes!r}, expected at least one of {tuple(SHAPES)}")
    _check_room(objects, radius, overlap, foreground)


def _check_room(objects, radius, overlap, foreground):
    """Whether so many objects fit, and whether they can cover the asked share (a circle of radius r covers pi r²)."""
    if objects[1] > 1 and objects[1] * math.pi * radius[0] ** 2 * (1 - overlap) > DENSITY:
        raise ArgError(f"Scenes: objects is {objects} with radius {radius} and overlap {overlap}, expected at most "
                       f"{max(1, int(DENSITY / (math.pi * radius[0] ** 2 * (1 - overlap))))} that fit the canvas")
    most = min(objects[1] * math.pi * radius[1] ** 2, 1)
    if len(foreground) != 2 or not 0 <= foreground[0] <= foreground[1] <= 1 or foreground[0] >= most:
        raise ArgError(f"Scenes: foreground is {foreground}, expected 0 <= low <= high <= 1 and low below {most:.3f}, "
                       "the most that these objects cover")
