"""Boxes: formats, areas, clipping, flipping.

    xyxy     (x1, y1, x2, y2), corners; half-open, so the width is x2 - x1. The format of everything else.
    xywh     (x1, y1, w, h), the corner and the size; COCO's format.
    cxcywh   (cx, cy, w, h), the centre and the size; the format of anchors, codecs and DETR.

Boxes are rows (N, 4), arrays or Tensors; on Tensors every function can be differentiated, to any order.
Coordinates are pixels, pixel i covers [i, i + 1); or shares of the image after `normalize_boxes`. All is computed in
float64 and rounded once; integers give float64.
"""

import numpy as np

from ..autograd.elementwise import clip
from ..autograd.op import array
from ..autograd.shape import concat, stack
from ..errors import DTypeError, ShapeError
from .check import FORMATS, check_boxes, check_choice, check_number, check_size, in_double


def box_convert(boxes, source, target):
    """Boxes (N, 4) of format `source` in format `target`; each is "xyxy", "xywh" or "cxcywh".

    Raises
    ------
    ShapeError, DTypeError, ArgError
    BoxError
        For a box that is not finite or has a negative size.

    >>> box_convert(np.array([[2.0, 3.0, 6.0, 5.0]]), "xyxy", "cxcywh")
    array([[4., 4., 4., 2.]])
    """
    check_choice("box_convert", "source", source, FORMATS)
    check_choice("box_convert", "target", target, FORMATS)
    boxes = check_boxes("box_convert", "boxes", boxes, source)
    return in_double(lambda b: 1.0 * b if source == target else _from_xywh(_to_xywh(b, source), target), boxes)


def _to_xywh(boxes, source):
    corner, rest = boxes[:, :2], boxes[:, 2:]
    if source == "xyxy":
        rest = rest - corner
    if source == "cxcywh":
        corner = corner - 0.5 * rest
    return concat(corner, rest, axis=1)


def _from_xywh(boxes, target):
    corner, size = boxes[:, :2], boxes[:, 2:]
    if target == "xyxy":
        return concat(corner, corner + size, axis=1)
    return concat(corner + 0.5 * size, size, axis=1) if target == "cxcywh" else boxes


def normalize_boxes(boxes, size, *, fmt="xyxy"):
    """Boxes in pixels of an image of `size` (height, width) as shares of its width and height."""
    boxes, (height, width) = check_boxes("normalize_boxes", "boxes", boxes, fmt), check_size("normalize_boxes", size)
    return in_double(lambda b: b / np.array([width, height] * 2), boxes)


def denormalize_boxes(boxes, size, *, fmt="xyxy"):
    """Boxes in shares of an image of `size` (height, width) as pixels: the inverse of `normalize_boxes`."""
    boxes = check_boxes("denormalize_boxes", "boxes", boxes, fmt)
    height, width = check_size("denormalize_boxes", size)
    return in_double(lambda b: b * np.array([width, height] * 2), boxes)


def box_area(boxes, *, inclusive=False):
    """Areas (N,) in square pixels of boxes xyxy.

    inclusive : bool, default False
        Count x2 and y2 as covered pixels, (x2 - x1 + 1)(y2 - y1 + 1): the convention of Pascal VOC's and of old code.
    """
    return in_double(lambda b: _area(b, inclusive), check_boxes("box_area", "boxes", boxes))


def _area(b, inclusive=False):
    return (b[..., 2] - b[..., 0] + inclusive) * (b[..., 3] - b[..., 1] + inclusive)


def clip_boxes(boxes, size):
    """Boxes xyxy cut to the image of `size` (height, width); what lies outside becomes a box without area.

    On Tensors the gradient of a coordinate that was cut is 0. NB: torchvision calls it clip_boxes_to_image.
    """
    boxes, (height, width) = check_boxes("clip_boxes", "boxes", boxes), check_size("clip_boxes", size)
    x, y = clip(boxes[:, 0::2], low=0, high=width), clip(boxes[:, 1::2], low=0, high=height)
    return stack(x[:, 0], y[:, 0], x[:, 1], y[:, 1], axis=1)


def flip_boxes(boxes, size, *, axis="horizontal"):
    """Boxes xyxy as they are after the image of `size` (height, width) was mirrored.

    axis : {"horizontal", "vertical"}
        "horizontal" swaps left and right: x1, x2 become W - x2, W - x1.
    """
    check_choice("flip_boxes", "axis", axis, ("horizontal", "vertical"))
    boxes, (height, width) = check_boxes("flip_boxes", "boxes", boxes), check_size("flip_boxes", size)
    k, extent = (0, width) if axis == "horizontal" else (1, height)

    def mirrored(b):
        columns = [b[:, i] for i in range(4)]
        columns[k], columns[k + 2] = extent - columns[k + 2], extent - columns[k]
        return stack(*columns, axis=1)
    return in_double(mirrored, boxes)


def remove_small_boxes(boxes, min_size):
    """Positions (int64) of the boxes xyxy with width and height >= `min_size` pixels."""
    b = array(check_boxes("remove_small_boxes", "boxes", boxes)).astype(np.float64)
    min_size = check_number("remove_small_boxes", "min_size", min_size, low=0)
    return np.flatnonzero(((b[:, 2:] - b[:, :2]) >= min_size).all(axis=1))


def masks_to_boxes(masks):
    """The tightest boxes xyxy (R, 4), float32, around masks (R, H, W) bool; (0, 0, 0, 0) around an empty mask.

    The boxes are half-open: a mask of the one pixel (row 3, column 5) has the box (5, 3, 6, 4).
    NB: torchvision gives the inclusive corners (5, 3, 5, 3), and fails on an empty mask.

    >>> masks_to_boxes(np.array([[[False, True, True], [False, True, False]]]))
    array([[1., 0., 3., 2.]], dtype=float32)
    """
    masks = np.asarray(masks)
    if masks.ndim != 3:
        raise ShapeError(f"masks_to_boxes: masks has shape {masks.shape}, expected (R, H, W)")
    if masks.dtype != bool:
        raise DTypeError(f"masks_to_boxes: masks has dtype {masks.dtype}, expected bool")
    boxes = np.zeros((len(masks), 4), np.float32)
    for k, along in ((0, 1), (1, 2)):                     # x from the columns, y from the rows
        hit = masks.any(axis=along)
        if hit.size:
            boxes[:, k], boxes[:, k + 2] = hit.argmax(axis=1), hit.shape[1] - hit[:, ::-1].argmax(axis=1)
    boxes[~masks.any(axis=(1, 2))] = 0
    return boxes
