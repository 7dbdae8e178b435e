"""Geometry: masks as run-length codes and polygons.

==========  ==========================================================================
`rle`       COCO's run-length codes: encode, decode, area, box, merge, IoU, strings
`polygons`  polygons to masks by COCO's fill rule
==========  ==========================================================================
"""

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
)

__all__ = ["RLE", "check_rle", "polygon_mask", "polygon_rle", "rle_area", "rle_box", "rle_decode", "rle_encode",
           "rle_from_changes", "rle_from_string", "rle_iou", "rle_merge", "rle_overlap", "rle_to_string",
           "segmentation_rle"]
