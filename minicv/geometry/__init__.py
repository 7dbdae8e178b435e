"""Geometry: boxes, how they overlap, the records in which detectors hand them on, and masks as run-length codes.

Boxes are xyxy, half-open, in pixels. Functions of boxes take arrays or Tensors and can be differentiated where that
makes sense. `rle` and `polygons` hold masks the way COCO's files do.
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
from .polygons import polygon_mask, polygon_rle, segmentation_rle
from .rle import (
    RLE,
    check_rle,
    rle_area,
    rle_box,
    rle_decode,
    rle_encode,
    rle_from_changes,
    rle_from_string,
    rle_iou,
    rle_merge,
    rle_overlap,
    rle_to_string,
    rles_from_strings,
)
from .structures import Detections, Segments, Targets
from .suppress import nms, soft_nms

__all__ = [
    "Detections", "RLE", "Segments", "Targets", "box_area", "box_convert", "box_iou", "box_loss", "check_boxes",
    "check_rle", "clip_boxes", "complete_box_iou", "decode_boxes", "denormalize_boxes", "distance_box_iou",
    "encode_boxes", "flip_boxes", "generalized_box_iou", "masks_to_boxes", "nms", "normalize_boxes", "polygon_mask",
    "polygon_rle", "remove_small_boxes", "rle_area", "rle_box", "rle_decode", "rle_encode", "rle_from_changes",
    "rle_from_string", "rle_iou", "rle_merge", "rle_overlap", "rle_to_string", "rles_from_strings",
    "segmentation_rle", "soft_nms",
]
