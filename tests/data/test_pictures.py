"""Image files and ImageFolder.

Proved here: what is written comes back; every pixel format is converted by the stated rule (F17);
EXIF orientation is applied (F16); impossible headers are refused before memory is taken, damaged
files by a typed error with the offset (F15); folders are read in the same order on every file
system (F14), with hidden, empty, bad and circular parts treated as documented (F13); absent data
is one line (F22).
"""

import io
import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from minicv.data import DataLoader, ImageFolder, read_image, write_png
from minicv.data.files import check_png, decode_image, png_bytes
from minicv.errors import (
    ArgError,
    CheckpointError,
    DataFormatError,
    DataMissingError,
    LimitError,
    ShapeError,
)

RGB = np.random.default_rng(0).integers(0, 256, (3, 5, 7), np.uint8)


def encoded(picture, form="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def pillow(array, mode=None):
    return Image.fromarray(array) if mode is None else Image.fromarray(array).convert(mode)


def as_bytes(image):
    return np.rint(image * 255).astype(np.uint8)


# --- writing --------------------------------------------------------------------------------

def test_pictures_come_back_as_written(tmp_path):
    for image in (RGB / np.float32(255), RGB, (RGB / 255.0)[:, ::-1]):
        write_png(tmp_path / "a.png", image)
        back = read_image(tmp_path / "a.png")
        assert back.shape == (3, 5, 7) and back.dtype == np.float32 and back.flags.c_contiguous
        np.testing.assert_array_equal(
            as_bytes(back), image if image.dtype == np.uint8 else as_bytes(image))
    for gray in (RGB[:1], RGB[0]):
        back = decode_image(png_bytes(gray))
        np.testing.assert_array_equal(as_bytes(back), np.repeat(RGB[:1], 3, 0))
    assert os.listdir(tmp_path) == ["a.png"]


def test_the_same_picture_gives_the_same_bytes():
    assert png_bytes(RGB) == png_bytes(RGB.copy()) == png_bytes(RGB / np.float32(255))


@pytest.mark.parametrize("image, error", [
    (np.zeros((2, 4, 4)), ShapeError), (np.zeros((3, 0, 4)), ShapeError), (np.zeros(3), ShapeError),
    (np.full((3, 2, 2), 1.01), ArgError), (np.full((3, 2, 2), np.nan), ArgError),
    (np.full((3, 2, 2), -0.01), ArgError), (np.ones((3, 2, 2), np.int64), ArgError)])
def test_what_is_no_picture_is_not_written(tmp_path, image, error):
    with pytest.raises(error, match="png_bytes: image"):
        write_png(tmp_path / "a.png", image)
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_refused_C10(tmp_path):
    with pytest.raises(CheckpointError, match="existing folder"):
        write_png(tmp_path / "no" / "a.png", RGB)


# --- pixel formats --------------------------------------------------------------------------

def test_gray_is_repeated_and_black_and_white_is_zero_and_one_F17():
    image = decode_image(encoded(pillow(RGB[0])))
    np.testing.assert_array_equal(as_bytes(image), np.repeat(RGB[:1], 3, 0))
    image = decode_image(encoded(pillow(RGB[0], "1")))
    assert set(np.unique(image)) <= {0.0, 1.0} and image.shape == (3, 5, 7)


def test_gray_of_16_bits_is_divided_by_65535_F17():
    values = np.random.default_rng(1).integers(0, 65536, (5, 7)).astype(np.uint16)
    image = decode_image(encoded(Image.fromarray(values)))
    np.testing.assert_allclose(image, np.repeat(values[None] / 65535, 3, 0), rtol=1e-6)
    pgm = b"P5\n# comment\n7 5\n65535\n" + values.astype(">u2").tobytes()
    np.testing.assert_allclose(decode_image(pgm), image, atol=1e-6)


def test_transparency_is_laid_over_white_F17():
    rgba = np.random.default_rng(2).integers(0, 256, (5, 7, 4), np.uint8)
    image = decode_image(encoded(Image.fromarray(rgba)))
    alpha = rgba[..., 3:] / 255
    expected = (rgba[..., :3] * alpha + 255 * (1 - alpha)).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(image, expected, atol=1.01 / 255)
    la = Image.merge("LA", [pillow(rgba[..., k].copy()) for k in (0, 3)])
    gray = rgba[..., 0] * alpha[..., 0] + 255 * (1 - alpha[..., 0])
    np.testing.assert_allclose(decode_image(encoded(la))[1], gray / 255, atol=1.01 / 255)


def test_palettes_and_cmyk_become_rgb_F17():
    picture = pillow(np.zeros((2, 2), np.uint8), "P")
    picture.putpalette([10, 20, 30] * 256)
    np.testing.assert_array_equal(as_bytes(decode_image(encoded(picture)))[:, 0, 0], [10, 20, 30])
    transparent = encoded(picture, transparency=0)
    assert decode_image(transparent).min() == 1.0
    cmyk = Image.merge("CMYK", [pillow(np.full((8, 8), v, np.uint8)) for v in (0, 255, 255, 0)])
    red = decode_image(encoded(cmyk, "JPEG", quality=100)).mean((1, 2))
    np.testing.assert_allclose(red, [1, 0, 0], atol=0.03)


@pytest.mark.parametrize("form, atol", [("JPEG", 0.1), ("BMP", 0), ("PPM", 0), ("WEBP", 0)])
def test_other_formats_are_read(form, atol):
    smooth = np.linspace(0, 1, 3 * 16 * 16).reshape(16, 16, 3)
    picture = Image.fromarray(as_bytes(smooth))
    options = {"lossless": True} if form == "WEBP" else {}
    image = decode_image(encoded(picture, form, **options))
    np.testing.assert_allclose(image, as_bytes(smooth).transpose(2, 0, 1) / 255, atol=atol + 1e-6)


@pytest.mark.parametrize("orientation, undo", [
    (1, lambda a: a), (2, np.fliplr), (3, lambda a: np.rot90(a, 2)), (4, np.flipud),
    (5, lambda a: a.T), (6, lambda a: np.rot90(a, -1)), (7, lambda a: np.rot90(a, 2).T),
    (8, lambda a: np.rot90(a, 1))])
def test_exif_orientation_is_applied_F16(orientation, undo):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode_image(encoded(pillow(RGB[0]), exif=exif))
    np.testing.assert_array_equal(as_bytes(image[0]), undo(RGB[0]))


def test_resampling_averages_blocks_and_keeps_constants():
    image = decode_image(png_bytes(np.full((3, 40, 60), 0.6)), size=(10, 12))
    np.testing.assert_allclose(image, 0.6, atol=1e-6)
    ramp = np.broadcast_to((np.arange(64) + 0.5) / 64, (3, 32, 64))
    small = decode_image(png_bytes(ramp), size=(8, 16))
    assert small.shape == (3, 8, 16) and small.dtype == np.float32
    np.testing.assert_allclose(small[0, 4, 2:-2], ((np.arange(16) + 0.5) / 16)[2:-2], atol=0.003)
    with pytest.raises(ArgError, match="size is"):
        decode_image(png_bytes(RGB), size=(0, 4))


# --- damage ---------------------------------------------------------------------------------

PNG = encoded(pillow(np.ascontiguousarray(RGB.transpose(1, 2, 0))))


def chunk(kind, body, crc=None):
    crc = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png(width, height, *chunks, depth=8, color=2, interlace=0):
    header = struct.pack(">IIBBBBB", width % 2**32, height % 2**32, depth, color, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


@pytest.mark.parametrize("data, error, words", [
    (png(65535, 65535), LimitError, "65535 x 65535"),
    (png(2**31 - 1, 1), LimitError, "2147483647 x 1"),
    (png(0, 5), DataFormatError, "0 x 5"), (png(5, -1), LimitError, "5 x 4294967295"),
    (png(9000, 9999), LimitError, "9000 x 9999 = 89991000 pixels, expected at most 89478485"),
    (png(5, 5), DataFormatError, "a.png"),
    (png(9000, 9000, chunk(b"IDAT", zlib.compress(bytes(9000)))), DataFormatError, "are stored"),
    (png(5, 5).replace(struct.pack(">I", 13), struct.pack(">I", 12), 1), DataFormatError, "IHDR"),
    (png(5, 5, chunk(b"IDAT", zlib.compress(bytes(10)))), DataFormatError, "a.png"),
    (png(5, 5, chunk(b"IDAT", b"garbage")), DataFormatError, "a.png"),
    (png(5, 5, chunk(b"IDAT", zlib.compress(bytes(80)), crc=1)), DataFormatError,
     "IDAT' at offset 33 has a wrong checksum"),
    (PNG[:-12], DataFormatError, "without IEND"),
    (PNG[:60], DataFormatError, "declares|without IEND"),
    (PNG[:8], DataFormatError, "without IEND"),
    (PNG[:8] + PNG[33:], DataFormatError, "IHDR of 13 bytes first"),
    (PNG[:33] + PNG[8:], DataFormatError, "IHDR of 13 bytes first and once"),
    (b"P6 65535 65535 255\n", LimitError, "4294836225 pixels"),
    (b"P6 9000 9999 255\n", LimitError, "9000 x 9999"),
    (b"P6 5 5 255\n" + bytes(74), DataFormatError, "a.png"),
    (b"P6 5 5 999999999\n" + bytes(75), DataFormatError, "a.png"),
    (b"P6 -5 5 255\n" + bytes(75), DataFormatError, "a.png"),
    (b"P6 99999999999999999999 5 255\n", DataFormatError, "a.png"),
    (b"", DataFormatError, "a.png"), (b"text", DataFormatError, "a.png"),
    (encoded(pillow(RGB[0]), "JPEG")[:-20], DataFormatError, "a.png"),
    (encoded(pillow(RGB[0]), "GIF"), DataFormatError, "a.png"),
])
def test_damaged_pictures_are_refused_F15(data, error, words):
    with pytest.raises(error, match=words):
        decode_image(data, what="a.png")


def test_palette_indices_beyond_the_palette_do_not_crash_F15():
    data = png(2, 2, chunk(b"PLTE", bytes([9, 9, 9])),
               chunk(b"IDAT", zlib.compress(b"\0\0\xff\0\xff\0")), color=3)
    try:
        assert decode_image(data).shape == (3, 2, 2)
    except DataFormatError:
        pass


def test_interlaced_pictures_are_read_F15():
    """Adam7 of a 1 x 1 picture is its only pixel in pass one."""
    data = png(1, 1, chunk(b"IDAT", zlib.compress(b"\0\x01\x02\x03")), interlace=1)
    assert as_bytes(decode_image(data)).ravel().tolist() == [1, 2, 3]


def test_a_bomb_takes_no_memory_F15():
    packed = zlib.compressobj(9)
    body = b"".join(packed.compress(bytes(1_000_000)) for _ in range(200)) + packed.flush()
    bomb = png(5, 5, chunk(b"IDAT", body))
    tracemalloc.start()
    try:
        decode_image(bomb)
    except DataFormatError:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_the_limit_is_adjustable_F15(tmp_path):
    with pytest.raises(LimitError, match="35 pixels, expected at most 34"):
        decode_image(PNG, limit=34)
    (tmp_path / "a.png").write_bytes(PNG)
    with pytest.raises(LimitError, match="a.png"):
        read_image(tmp_path / "a.png", limit=34)


def test_a_sound_png_passes_the_check():
    check_png(PNG)
    check_png(png(1, 1, chunk(b"tEXt", b"a\0b"), chunk(b"IDAT", zlib.compress(bytes(4)))))


# --- folders --------------------------------------------------------------------------------

def put(root, *names, data=PNG):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def listing(folder):
    return [(p.relative_to(folder.root).as_posix(), int(label))
            for p, label in zip(folder.paths, folder.labels, strict=True)]


EXPECTED = [("B/2.png", 0), ("B/sub/1.JPG", 0), ("a/10.png", 1), ("a/9.png", 1), ("é/x.bmp", 2)]


def test_pictures_are_sorted_by_bytes_whatever_the_file_system_says_F14(tmp_path, monkeypatch):
    put(tmp_path, *(name for name, _ in EXPECTED), "a/notes.txt", "a/.hidden.png",
        ".ipynb_checkpoints/x.png", "a/.cache/y.png", "readme.md")
    folder = ImageFolder(tmp_path)
    assert folder.class_names == ("B", "a", "é") and listing(folder) == EXPECTED
    scan = os.scandir

    class Shuffled:
        def __init__(self, path):
            with scan(path) as entries:
                self.entries = sorted(entries, key=lambda e: hash((e.name, "other order")))

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *exc):
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    assert listing(ImageFolder(tmp_path)) == EXPECTED


def test_samples_are_pictures_with_labels(tmp_path):
    put(tmp_path, "a/1.png", "b/1.png")
    folder = ImageFolder(tmp_path)
    assert len(folder) == 2
    for i, sample in enumerate(folder):
        np.testing.assert_array_equal(as_bytes(sample["image"]), RGB)
        assert sample["label"] == i and sample["label"].dtype == np.int64
    put(tmp_path, "b/2.png", data=png_bytes(np.zeros((3, 30, 20))))
    batch = next(iter(DataLoader(ImageFolder(tmp_path, size=(8, 6)), 3)))
    assert batch["image"].shape == (3, 3, 8, 6) and batch["image"].dtype == np.float32


def test_an_empty_class_and_case_twins_are_warned_about_F13(tmp_path):
    put(tmp_path, "a/1.png", "B/1.png")
    (tmp_path / "none").mkdir()
    with pytest.warns(UserWarning, match="class 'none' has no pictures"):
        folder = ImageFolder(tmp_path)
    assert folder.class_names == ("B", "a", "none") and folder.labels.tolist() == [0, 1]
    os.rmdir(tmp_path / "none")
    put(tmp_path, "A/1.png")
    with pytest.warns(UserWarning, match="'A' and 'a' differ in case"):
        assert len(ImageFolder(tmp_path)) == 3


def test_a_bad_picture_is_named_or_skipped_with_a_report_F13(tmp_path):
    put(tmp_path, "a/1.png", "a/3.png")
    put(tmp_path, "a/0.png", data=b"")
    put(tmp_path, "a/2.png", data=b"no picture")
    (tmp_path / "a" / "4.png").symlink_to("nowhere")
    folder = ImageFolder(tmp_path)
    for i in (0, 2):
        with pytest.raises(DataFormatError, match=f"a/{i}.png"):
            folder[i]
    folder = ImageFolder(tmp_path, on_bad="skip")
    assert [p.name for p in folder.paths] == ["1.png", "3.png"] and folder.labels.tolist() == [0, 0]
    assert [p.name for p, _ in folder.skipped] == ["0.png", "2.png", "4.png"]
    assert all(p.name in reason for p, reason in folder.skipped)
    with pytest.raises(ArgError, match="on_bad is 'ignore'"):
        ImageFolder(tmp_path, on_bad="ignore")


def test_circles_of_links_end_F13(tmp_path):
    put(tmp_path, "a/1.png", "a/sub/2.png")
    (tmp_path / "a" / "sub" / "again").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "self").symlink_to("self")
    assert listing(ImageFolder(tmp_path)) == [("a/1.png", 0), ("a/sub/2.png", 0)]


def test_an_unreadable_folder_is_named_F13(tmp_path, monkeypatch):
    put(tmp_path, "a/1.png")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataFormatError, match="cannot be read: .*Permission denied"):
        ImageFolder(tmp_path)


def test_absent_pictures_are_one_line_F22(tmp_path):
    for root in (tmp_path / "no", tmp_path):
        with pytest.raises(DataMissingError, match="root is .*root/<class>/") as info:
            ImageFolder(root)
        assert "\n" not in str(info.value)
