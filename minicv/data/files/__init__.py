"""Real data from files: parsers are pure functions on bytes, data sets wrap them.

==========  ===============================================================
`idx`       MNIST and its relatives: `parse_idx`, `MNIST`
`cifar`     CIFAR-10, binary version: `parse_cifar10`, `CIFAR10`
`image`     PNG, JPEG, … in and out: `decode_image`, `read_image`, `write_png`
`folder`    one folder per class: `ImageFolder`
`voc`       Pascal VOC, boxes: `parse_voc`, `VOC`, `write_voc`
`coco`      COCO, boxes and masks: `parse_coco`, `COCO`, `write_coco`
==========  ===============================================================

A file that does not follow its format is a DataFormatError that says where; nothing is downloaded.
"""

from .cifar import CIFAR10, parse_cifar10
from .coco import COCO, coco_dict, parse_coco, write_coco
from .folder import ImageFolder
from .idx import MNIST, parse_idx
from .image import check_png, decode_image, png_bytes, read_image, write_png
from .voc import VOC, VocAnnotation, parse_voc, voc_bytes, write_voc

__all__ = ["MNIST", "parse_idx", "CIFAR10", "parse_cifar10", "ImageFolder", "decode_image",
           "read_image", "png_bytes", "write_png", "check_png", "VOC", "VocAnnotation",
           "parse_voc", "voc_bytes", "write_voc", "COCO", "coco_dict", "parse_coco", "write_coco"]
