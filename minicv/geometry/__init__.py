"""Geometry: boxes, how they overlap, and the records in which detectors hand them on.

Boxes are xyxy, half-open, in pixels. Functions take arrays or Tensors and can be differentiated where that makes sense.
"""

from .boxes import (
    box_area,
    box_convert,
    clip_boxes,
    denormalize_boxes,
    flip_boxes,
    masks_to_boxes,
    normalize_boxes,
    remove_small_boxes,
)
from .check import check_boxes
from .codec import decode_boxes, encode_boxes
from .overlap import box_iou, box_loss, complete_box_iou, distance_box_iou, generalized_box_iou
from .structures import Detections, Segments, Targets
from .suppress import nms, soft_nms

__all__ = [
    "Detections", "Segments", "Targets", "box_area", "box_convert", "box_iou", "box_loss", "check_boxes",
    "clip_boxes", "complete_box_iou", "decode_boxes", "denormalize_boxes", "distance_box_iou", "encode_boxes",
    "flip_boxes", "generalized_box_iou", "masks_to_boxes", "nms", "normalize_boxes", "remove_small_boxes", "soft_nms",
]
