"""D5: `PanopticScenes`, shapes in front of sky, grass and bricks: every pixel has a class, every thing a number."""

import numpy as np

from ...geometry.boxes import masks_to_boxes
from .scenes import Scenes, _colors, visible

__all__ = ["PanopticScenes", "STUFF", "draw_stuff"]

STUFF = ("sky", "grass", "bricks")


class PanopticScenes(Scenes):
    """`Scenes` over two or three textures.

    =========  ================  =======  ======================================================================
    field      shape             dtype    meaning
    =========  ================  =======  ======================================================================
    image      (3, size, size)   float32  RGB in [0, 1]
    boxes      (R, 4)            float32  xyxy of the things
    labels     (R,)              int64    their classes, 0 ... K - 1
    masks      (R, size, size)   bool     their visible pixels
    semantic   (size, size)      int64    class of every pixel, position in `all_names`
    instances  (size, size)      int64    r + 1 on thing r, 0 on stuff
    =========  ================  =======  ======================================================================

    `class_names` are the K shapes, `all_names` these and then `STUFF`; `is_thing` (K + 3,) tells them apart. Arguments
    and errors are those of `Scenes`.
    """

    def __init__(self, length: int = 2000, **settings):
        super().__init__(length, **settings)
        self.all_names = self.class_names + STUFF
        self.is_thing = np.arange(len(self.all_names)) < len(self.class_names)

    def draw(self, rng):
        covers, labels = self._layout(rng)
        image, stuff = draw_stuff(rng, self.size)
        for cover, color in zip(covers, _colors(rng, image.mean((1, 2)), len(covers)), strict=True):
            image = image + cover * (color[:, None, None] - image)
        image = image + self.noise * rng.standard_normal(image.shape)
        masks = visible(covers >= 0.5)
        semantic, instances = stuff + len(self.class_names), np.zeros_like(stuff)
        for r, mask in enumerate(masks):
            semantic[mask], instances[mask] = labels[r], r + 1
        return {"image": np.clip(image, 0, 1).astype(np.float32), "boxes": masks_to_boxes(masks), "labels": labels,
                "masks": masks, "semantic": semantic, "instances": instances}


def draw_stuff(rng, size):
    """Textures behind each other: image (3, size, size) float64 in [0, 1] and which of `STUFF` (size, size) int64.

    Sky above the horizon, grass below it, and in two scenes of three a wall between, which hides a part of both.
    """
    y, x = (np.indices((size, size)) + 0.5) / size
    horizon = rng.uniform(0.3, 0.6) + 0.05 * np.sin(2 * np.pi * (x * rng.uniform(0.5, 2) + rng.random()))
    which = (y > horizon).astype(np.int64)
    if rng.random() < 2 / 3:
        left, width = rng.uniform(0, 0.6), rng.uniform(0.3, 0.5)
        top, height = rng.uniform(0.1, 0.4), rng.uniform(0.3, 0.5)
        which[(left <= x) & (x < left + width) & (top <= y) & (y < top + height)] = 2
    layers = np.stack([_sky(rng, x, y), _grass(rng, x, y), _bricks(rng, x, y)])
    return np.take_along_axis(layers, which[None, None], axis=0)[0].clip(0, 1), which


def _sky(rng, x, y):
    """From a darker blue above to a pale one."""
    pale = np.array([0.75, 0.85, 0.95]) + rng.uniform(-0.05, 0.05, 3)
    blue = np.array([0.25, 0.45, 0.85]) + rng.uniform(-0.1, 0.1, 3)
    return blue[:, None, None] * (1 - y) + pale[:, None, None] * y


def _grass(rng, x, y):
    """Green with blades: noise that is longer than it is wide."""
    green = np.array([0.2, 0.5, 0.15]) + rng.uniform(-0.08, 0.08, 3)
    blades = rng.standard_normal((len(x) // 3 + 1, len(x))).repeat(3, axis=0)[:len(x)]
    return green[:, None, None] * (1 + 0.3 * blades)


def _bricks(rng, x, y):
    """Rows of bricks, every other one shifted by half a brick, with light joints."""
    high = rng.uniform(0.06, 0.1)
    row = np.floor(y / high)
    across = x / (2 * high) + 0.5 * (row % 2)
    joint = (y / high % 1 < 0.2) | (across % 1 < 0.1)
    shade = 1 + 0.15 * np.sin(7.3 * np.floor(across) + 3.1 * row + rng.uniform(0, 6))
    red = np.array([0.6, 0.25, 0.2]) + rng.uniform(-0.08, 0.08, 3)
    return np.where(joint, 0.75, red[:, None, None] * shade)
