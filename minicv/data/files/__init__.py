"""Real data from files: parsers are pure functions on bytes, data sets wrap them.

==========  ===============================================================
`idx`       MNIST and its relatives: `parse_idx`, `MNIST`
`cifar`     CIFAR-10, binary version: `parse_cifar10`, `CIFAR10`
`image`     PNG, JPEG, … in and out: `decode_image`, `read_image`, `write_png`
`folder`    one folder per class: `ImageFolder`
==========  ===============================================================

A file that does not follow its format is a DataFormatError that says where; nothing is downloaded.
"""

from .cifar import CIFAR10, parse_cifar10
from .folder import ImageFolder
from .idx import MNIST, parse_idx
from .image import check_png, decode_image, png_bytes, read_image, write_png

__all__ = ["MNIST", "parse_idx", "CIFAR10", "parse_cifar10", "ImageFolder", "decode_image",
           "read_image", "png_bytes", "write_png", "check_png"]
