"""D6: cartoon faces. A person is eight numbers; pose, light, something in front and noise are nuisance.

============  =============================================================================
`person`      the eight numbers of person p, the same for every seed
`draw_face`   a picture of a person, without nuisance
`Faces`       pictures of many persons, label = person (for metric learning)
`FacePatches` 24 x 24 faces and clutter, label 1 and 0 (for detection)
`FaceScenes`  several faces in clutter, with boxes (for detection)
============  =============================================================================
"""

from typing import NamedTuple

import numpy as np

from ...errors import ArgError
from ..datasets import check_index
from .clutter import draw_clutter
from .stream import Stream

__all__ = ["Face", "Faces", "FacePatches", "FaceScenes", "draw_face", "person"]

PERSONS = 6                        # first word of the seed of all persons


class Face(NamedTuple):
    """A person: eight numbers in [0, 1]."""

    ratio: float          # width of the head against its height
    eye_distance: float
    eye_size: float
    brow_slope: float
    nose_length: float
    mouth_width: float
    mouth_curve: float    # 0 sad, 1 smiling
    hair_line: float      # 0 high, 1 low


def person(p: int) -> Face:
    """Person number p >= 0: uniform numbers that depend on p alone, so that data sets agree on who is who."""
    return Face(*np.random.default_rng([PERSONS, p]).random(8))


def draw_face(face, size=24, *, center=(0.5, 0.5), scale=1.0, angle=0.0, skin=0.75, hair=0.2, background=0.5):
    """A face as grey levels (size, size), float64 in [0, 1].

    center (x, y): of the head, as a share of the picture; scale: 1 makes the head as high as 0.92 of the picture;
    angle: radians, clockwise. skin, hair: grey levels. background: one level or an array (size, size).
    """
    gray, cover = _render(face, size, center, scale, angle, skin, hair)
    return gray * cover + background * (1 - cover)


def _render(face, size, center, scale, angle, skin, hair):
    """Grey levels of head and hair and the share of every pixel that they cover, from 3 x 3 points per pixel."""
    t = (np.arange(3 * size) + 0.5) / (3 * size)
    x, y = (t - center[0])[None, :] / (0.46 * scale), (t - center[1])[:, None] / (0.46 * scale)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    gray, inside = _paint(face, u, v, skin, hair)
    weight = inside.reshape(size, 3, size, 3).mean((1, 3))
    total = (gray * inside).reshape(size, 3, size, 3).mean((1, 3))
    return total / np.maximum(weight, 1e-9), weight


def _paint(face, u, v, skin, hair):
    """Grey level and whether it is head or hair at points u (right), v (down); the head is 1 high from its centre."""
    wide = 0.68 + 0.16 * face.ratio
    head = (u / wide) ** 2 + v**2 <= 1
    fringe = v + 0.25 * u**2 <= -0.78 + 0.34 * face.hair_line
    crown = ((u / (1.1 * wide)) ** 2 + (v / 1.04) ** 2 <= 1) & (v < 0.05) & (~head | fringe)
    side = abs(u) - (0.30 + 0.12 * face.eye_distance)      # 0 at the middle of either eye
    radius = 0.09 + 0.06 * face.eye_size
    eye = (side / (1.35 * radius)) ** 2 + ((v + 0.12) / radius) ** 2 <= 1
    slope = 0.7 * (face.brow_slope - 0.5)
    brow = (abs(v + 0.36 + slope * side) <= 0.05) & (abs(side) <= 0.2)
    nose = (v >= -0.05) & (v <= 0.14 + 0.2 * face.nose_length) & (abs(u) <= 0.05 + 0.16 * np.maximum(v, 0))
    half = 0.22 + 0.16 * face.mouth_width
    mouth = (abs(v - 0.56 - 2.4 * (face.mouth_curve - 0.5) * (0.06 - u**2)) <= 0.065) & (abs(u) <= half)
    gray = np.where(head, skin, hair) * np.ones(np.broadcast(u, v).shape)
    for part, level in ((nose, 0.72 * skin), (mouth, 0.4 * skin), (brow, 0.8 * hair), (eye, 0.12), (crown, hair)):
        gray = np.where(part, level, gray)
    return gray, head | crown


def _tones(rng):
    """Grey levels of skin and hair, hair darker."""
    skin = rng.uniform(0.5, 0.9)
    return skin, skin * rng.uniform(0.15, 0.6)


def _light(rng, size, strength):
    """A factor for every pixel: a linear ramp from some side."""
    angle, t = rng.uniform(0, 2 * np.pi), np.linspace(-0.5, 0.5, size)
    return 1 + strength * rng.uniform(0, 1) * (np.cos(angle) * t[None, :] + np.sin(angle) * t[:, None])


def _occlude(rng, image):
    """Cover a rectangle at the border, up to 0.25 x 0.5 of the picture, with one grey level."""
    size = len(image)
    depth, length = (int(size * rng.uniform(0.05, most)) for most in (0.25, 0.5))
    start = rng.integers(0, size - length + 1)
    turned = np.rot90(image, rng.integers(4))              # a view
    turned[:depth, start:start + length] = rng.random()


def _photograph(rng, face, size, background, nuisance, noise, occlusion):
    """A face with all nuisance, float32 (size, size) in [0, 1]."""
    skin, hair = _tones(rng)
    dx, dy, angle, scale = nuisance * rng.uniform(-1, 1, 4)
    gray, cover = _render(face, size, (0.5 + 0.04 * dx, 0.5 + 0.04 * dy), 1 + 0.06 * scale, 0.15 * angle, skin, hair)
    image = cover * gray * _light(rng, size, 0.6 * nuisance) + (1 - cover) * background
    if rng.random() < occlusion:
        _occlude(rng, image)
    image += noise * rng.standard_normal(image.shape)
    return np.clip(image, 0, 1).astype(np.float32)


class Faces(Stream):
    """Pictures of persons first_person, ..., first_person + persons - 1, each in turn.

    ======  ===============  =======  ===========================================
    field   shape            dtype    meaning
    ======  ===============  =======  ===========================================
    image   (1, size, size)  float32  grey levels in [0, 1]
    label   ()               int64    0 ... persons - 1, `person(first_person + label)`
    ======  ===============  =======  ===========================================

    nuisance: scales motion (up to 0.04 `size`, 0.15 radians, 6 % in scale) and light; at most 2.
    occlusion: probability that something covers a part. noise: standard deviation of every value.
    Data sets with disjoint ranges of persons share nobody: train on 0 ... 59, test from 75.
    """

    def __init__(self, length: int = 1200, *, persons: int = 60, first_person: int = 0, size: int = 32,
                 nuisance: float = 1.0, occlusion: float = 0.3, noise: float = 0.03, seed: int = 0, first: int = 0):
        super().__init__(length, seed=seed, first=first)
        _check("Faces", (("persons", persons, 1), ("first_person", first_person, 0), ("size", size, 12)),
               (("nuisance", nuisance, 2), ("occlusion", occlusion, 1), ("noise", noise, 1)))
        self.persons, self.first_person, self.size = persons, first_person, size
        self.nuisance, self.occlusion, self.noise = nuisance, occlusion, noise

    def __getitem__(self, i):
        check_index("Faces", i, self.length)
        n = self.first + i
        return self.draw(np.random.default_rng([self.seed, n]), n % self.persons)

    def draw(self, rng, label):
        image = _photograph(rng, person(self.first_person + label), self.size, rng.random(), self.nuisance,
                            self.noise, self.occlusion)
        return {"image": image[None], "label": np.int64(label)}


class FacePatches(Stream):
    """Faces (label 1) and windows of clutter (label 0).

    ======  ===============  =======  ===========================
    field   shape            dtype    meaning
    ======  ===============  =======  ===========================
    image   (1, size, size)  float32  grey levels in [0, 1]
    label   ()               int64    1 face, 0 no face
    ======  ===============  =======  ===========================

    faces: probability of a face. Every face is a new person. nuisance, occlusion, noise as for `Faces`.
    """

    class_names = ("clutter", "face")

    def __init__(self, length: int = 2000, *, size: int = 24, faces: float = 0.5, nuisance: float = 1.0,
                 occlusion: float = 0.1, noise: float = 0.03, seed: int = 0, first: int = 0):
        super().__init__(length, seed=seed, first=first)
        _check("FacePatches", (("size", size, 12),), (("faces", faces, 1), ("nuisance", nuisance, 2),
                                                      ("occlusion", occlusion, 1), ("noise", noise, 1)))
        self.size, self.faces, self.nuisance, self.occlusion, self.noise = size, faces, nuisance, occlusion, noise

    def draw(self, rng):
        label = int(rng.random() < self.faces)
        background = draw_clutter(rng, self.size, self.size)
        if label:
            image = _photograph(rng, Face(*rng.random(8)), self.size, background, self.nuisance, self.noise,
                                self.occlusion)
        else:
            noisy = background + self.noise * rng.standard_normal(background.shape)
            image = np.clip(noisy, 0, 1).astype(np.float32)
        return {"image": image[None], "label": np.int64(label)}


class FaceScenes(Stream):
    """Faces that do not overlap, in clutter.

    ======  ===============  =======  =====================================================================
    field   shape            dtype    meaning
    ======  ===============  =======  =====================================================================
    image   (1, H, W)        float32  grey levels in [0, 1]
    boxes   (R, 4)           float32  xyxy, the square that a face fills as it does in `FacePatches`
    labels  (R,)             int64    0
    ======  ===============  =======  =====================================================================

    size = (H, W) in pixels; faces (low, high): R is drawn from it, (0, 0) gives clutter alone; side (low,
    high): of the squares in pixels. nuisance, occlusion, noise as for `Faces`. Raises ArgError where the faces
    cannot fit.
    """

    class_names = ("face",)
    lists = ("boxes", "labels")

    def __init__(self, length: int = 100, *, size: tuple = (120, 160), faces: tuple = (1, 4), side: tuple = (24, 60),
                 nuisance: float = 1.0, occlusion: float = 0.1, noise: float = 0.03, seed: int = 0, first: int = 0):
        super().__init__(length, seed=seed, first=first)
        _check("FaceScenes", (), (("nuisance", nuisance, 2), ("occlusion", occlusion, 1), ("noise", noise, 1)))
        if not 12 <= side[0] <= side[1] <= min(size):
            raise ArgError(f"FaceScenes: side is {side}, expected 12 <= low <= high <= {min(size)}, the shorter side "
                           "of the scene")
        if not 0 <= faces[0] <= faces[1] or 4 * faces[1] * side[0] ** 2 > 1.5 * size[0] * size[1]:
            raise ArgError(f"FaceScenes: faces is {faces}, expected 0 <= low <= high and no more than fit into {size}")
        self.size, self.faces, self.side = tuple(size), tuple(faces), tuple(side)
        self.nuisance, self.occlusion, self.noise = nuisance, occlusion, noise

    def draw(self, rng):
        image = draw_clutter(rng, *self.size).astype(np.float64)
        boxes = self._places(rng)
        for x1, y1, x2, y2 in boxes:
            part = image[y1:y2, x1:x2]
            part[...] = _photograph(rng, Face(*rng.random(8)), x2 - x1, part.copy(), self.nuisance, 0.0,
                                    self.occlusion)
        image += self.noise * rng.standard_normal(image.shape)
        return {"image": np.clip(image, 0, 1).astype(np.float32)[None], "boxes": boxes.astype(np.float32),
                "labels": np.zeros(len(boxes), np.int64)}

    def _places(self, rng):
        """Squares (R, 4) int64 that do not overlap; begun afresh with smaller ones where there is no room."""
        count, high = rng.integers(self.faces[0], self.faces[1] + 1), self.side[1]
        while True:
            boxes = np.zeros((0, 4), np.int64)
            for _ in range(60 * count):
                if len(boxes) == count:
                    break
                s = rng.integers(self.side[0], high + 1)
                x, y = rng.integers(self.size[1] - s + 1), rng.integers(self.size[0] - s + 1)
                apart = (x + s <= boxes[:, 0]) | (boxes[:, 2] <= x) | (y + s <= boxes[:, 1]) | (boxes[:, 3] <= y)
                if apart.all():
                    boxes = np.append(boxes, [[x, y, x + s, y + s]], axis=0)
            if len(boxes) == count:
                return boxes
            high = max(self.side[0], high - 4)


def _check(name, integers, shares):
    for what, value, low in integers:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
            raise ArgError(f"{name}: {what} is {value!r}, expected an integer >= {low}")
    for what, value, high in shares:
        if not 0 <= value <= high:
            raise ArgError(f"{name}: {what} is {value}, expected in [0, {high}]")
