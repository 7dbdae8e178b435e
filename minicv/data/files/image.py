"""Pictures in and out: bytes of an image file <-> float32 RGB (3, H, W) in [0, 1].

Pillow decodes; what it is too lenient about is checked here first: sizes before memory is taken,
and the chunks of a PNG with their checksums up to the last one.
"""

import io
import struct
import warnings
import zlib

import numpy as np

from ...errors import ArgError, DataFormatError, LimitError, ShapeError
from ...files import (
    DEFLATE_RATIO,
    MAX_PIXELS,
    atomic_write,
    check_image_header,
    read_limited,
)

__all__ = ["decode_image", "read_image", "png_bytes", "write_png", "check_png"]

_FORMATS = ("PNG", "JPEG", "PPM", "BMP", "WEBP")
_PNG = b"\x89PNG\r\n\x1a\n"


def read_image(path, *, size: tuple | None = None, limit: int = MAX_PIXELS) -> np.ndarray:
    """`decode_image` of a file."""
    return decode_image(read_limited(path), what=str(path), size=size, limit=limit)


def decode_image(data: bytes, *, what: str = "image", size: tuple | None = None,
                 limit: int = MAX_PIXELS) -> np.ndarray:
    """The picture in the bytes of a PNG, JPEG, PPM/PGM/PBM, BMP or WebP file: (3, H, W) float32.

    Rules: the EXIF orientation is applied; gray is repeated in all channels; 16-bit gray is divided
    by 65535; palettes and CMYK become RGB; transparent parts are laid over white.
    size: (height, width) to resample to, bilinear with antialiasing; None keeps the size.
    Raises LimitError above `limit` pixels (or above Pillow's own 178 956 970), DataFormatError for
    whatever is not a sound picture.
    NB: torchvision drops transparency instead, which shows whatever colour lies under it.
    """
    from PIL import Image, ImageOps

    if data[:8] == _PNG:
        check_png(data, what=what, limit=limit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters below is an error, not a warning
            picture = Image.open(io.BytesIO(data), formats=_FORMATS)
            check_image_header(*picture.size, len(picture.getbands()), None, what, limit=limit)
            picture = _to_rgb(ImageOps.exif_transpose(picture), what)
    except (DataFormatError, MemoryError):
        raise
    except Image.DecompressionBombError as e:
        raise LimitError(f"decode_image: {what} is too large: {e}") from e
    except Exception as e:  # decoders raise whatever happens to go wrong inside them
        raise DataFormatError(f"decode_image: {what} is not a sound picture: "
                              f"{type(e).__name__}: {e}") from e
    return _to_array(picture, size)


def _to_rgb(picture, what):
    """A Pillow image of mode RGB, or I;16 for gray of 16 bits."""
    from PIL import Image

    if picture.mode.startswith("I"):
        return picture
    if picture.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    if picture.mode not in ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr"):
        raise DataFormatError(f"decode_image: {what} has pixels of mode {picture.mode!r}, expected "
                              "gray, RGB, RGBA, palette, CMYK or 16-bit gray")
    return picture.convert("RGB")


def _to_array(picture, size):
    """(3, H, W) float32; 16-bit gray becomes three equal channels."""
    if picture.mode.startswith("I"):
        gray = np.clip(np.asarray(picture), 0, 65535) / np.float32(65535)
        array = np.repeat(gray[None].astype(np.float32), 3, axis=0)
    else:
        array = np.asarray(picture).transpose(2, 0, 1) / np.float32(255)
    return np.ascontiguousarray(array) if size is None else _resized(array, size)


def _resized(array, size):
    from PIL import Image

    if len(size) != 2 or min(size) < 1:
        raise ArgError(f"decode_image: size is {size}, expected positive (height, width)")
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in array]
    small = [p.resize((size[1], size[0]), Image.Resampling.BILINEAR) for p in planes]
    return np.clip(np.stack([np.asarray(p) for p in small]), 0, 1)


def check_png(data: bytes, *, what: str = "png", limit: int = MAX_PIXELS) -> None:
    """Walk the chunks of a PNG: lengths, checksums, header first, end last, size within bounds.

    Raises DataFormatError with the offset of the first chunk that is wrong, or if the pixels
    cannot come out of so few bytes; LimitError above `limit` pixels.
    """
    offset, kind, stored = 8, b"", 0
    while kind != b"IEND":
        if offset + 12 > len(data):
            raise DataFormatError(f"check_png: {what} ends at offset {len(data)} without IEND")
        length, kind = struct.unpack(">I4s", data[offset:offset + 8])
        end = offset + 12 + length
        if end > len(data):
            raise DataFormatError(f"check_png: {what}: chunk {kind!r} at offset {offset} declares "
                                  f"{length} bytes, but the file has {len(data)}")
        if zlib.crc32(data[offset + 4:end - 4]) != int.from_bytes(data[end - 4:end], "big"):
            raise DataFormatError(f"check_png: {what}: chunk {kind!r} at offset {offset} has a "
                                  "wrong checksum")
        if (offset == 8) != (kind == b"IHDR") or kind == b"IHDR" and length != 13:
            raise DataFormatError(f"check_png: {what}: chunk {kind!r} at offset {offset}, expected "
                                  "IHDR of 13 bytes first and once")
        stored += length if kind == b"IDAT" else 0
        offset = end
    width, height, depth, color = struct.unpack(">IIBB", data[16:26])
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(color, 1)
    check_image_header(width, height, 1, stored, what, limit=limit,
                       expansion=DEFLATE_RATIO * 8 // max(bits, 1))


def png_bytes(image) -> bytes:
    """An image (3, H, W) or (1, H, W) or (H, W), float in [0, 1] or uint8, as an 8-bit PNG."""
    from PIL import Image

    image = np.asarray(image)
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3 or image.shape[0] not in (1, 3) or image.size == 0:
        raise ShapeError(f"png_bytes: image has shape {image.shape}, expected (3, H, W), (1, H, W) "
                         "or (H, W)")
    if image.dtype != np.uint8:
        if image.dtype.kind != "f" or not (image.min() >= 0 and image.max() <= 1):
            raise ArgError(f"png_bytes: image is {image.dtype} from {image.min()} to "
                           f"{image.max()}, expected float in [0, 1] or uint8")
        image = np.rint(image * 255).astype(np.uint8)
    pixels = image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_png(path, image) -> None:
    """Write `png_bytes` of an image atomically."""
    atomic_write(path, png_bytes(image))
