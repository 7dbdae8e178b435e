"""Pascal VOC: one XML file per picture with the boxes of its objects.

Layout: ``JPEGImages/<picture>``, ``Annotations/<id>.xml``, ``ImageSets/Main/<split>.txt`` with one id per line.
Coordinates in the files count pixels from 1 and include the last one; here boxes are half-open and from 0, so that
xmin, ymin, xmax, ymax becomes (xmin - 1, ymin - 1, xmax, ymax).
Reference: Everingham et al. 2010, The Pascal Visual Object Classes Challenge, and its development kit.
"""

import math
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from ...errors import ArgError, BoxError, DataFormatError, DataMissingError, LimitError, UnsafeFileError
from ...files import atomic_write, check_member_name, read_limited, safe_join
from ..datasets import check_classes, check_index
from .image import read_image, write_png

__all__ = ["VOC", "VocAnnotation", "parse_voc", "voc_bytes", "write_voc"]

MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS = 10_000_000, 64, 100_000
CLASSES = ("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
           "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor")


class VocAnnotation(NamedTuple):
    """filename; size (height, width); names: list of R class names; boxes (R, 4) float32 xyxy, half-open; difficult
    (R,) bool."""

    filename: str
    size: tuple
    names: list
    boxes: np.ndarray
    difficult: np.ndarray


def parse_voc(data: bytes, *, what: str = "voc", one_based: bool = True) -> VocAnnotation:
    """The annotation in the bytes of a VOC XML file.

    one_based: False for files that count pixels from 0, with the last one excluded.
    No object is an empty list; boxes of body parts inside an object are not mistaken for its own.
    Raises UnsafeFileError for any DOCTYPE (entities can grow without bound or read other files) and for a file name
    that leaves its folder; LimitError above 10 MB, 64 levels or 100 000 elements; DataFormatError with line and column
    or the element; BoxError for an inverted box or one outside the picture, with the object.
    """
    root = _parse_xml(data, what)
    if root.tag != "annotation":
        raise DataFormatError(f"parse_voc: {what} has the root {root.tag!r:.60}, expected 'annotation'")
    filename = _text(root, "filename", what)
    check_member_name("parse_voc", filename)
    size = _only(root, "size", what)
    size = tuple(_number(size, side, f"{what}: size") for side in ("height", "width"))
    if min(size) < 1 or size[0] % 1 or size[1] % 1:
        raise DataFormatError(f"parse_voc: {what}: size is {size[0]:g} x {size[1]:g}, expected whole pixels, at least "
                              "one")
    size = int(size[0]), int(size[1])
    objects = [_parse_object(o, f"{what}: object {k}", size, one_based) for k, o in enumerate(root.findall("object"))]
    return VocAnnotation(filename, size, [o[0] for o in objects],
                         np.array([o[1] for o in objects], np.float32).reshape(-1, 4),
                         np.array([o[2] for o in objects], bool))


def _parse_object(element, where, size, one_based):
    """(name, box, difficult) of one object."""
    frame = _only(element, "bndbox", where)
    x1, y1, x2, y2 = (_number(frame, corner, f"{where}: bndbox") for corner in ("xmin", "ymin", "xmax", "ymax"))
    box = x1 - one_based, y1 - one_based, x2, y2
    if not (box[0] < box[2] and box[1] < box[3]):
        raise BoxError(f"parse_voc: {where} has the box {x1:g}, {y1:g}, {x2:g}, {y2:g}, expected xmin <= xmax and "
                       "ymin <= ymax")
    if min(box) < 0 or x2 > size[1] or y2 > size[0]:
        raise BoxError(f"parse_voc: {where} has the box {x1:g}, {y1:g}, {x2:g}, {y2:g}, expected inside {size[1]} x "
                       f"{size[0]} pixels{'; a file that counts from 0 needs one_based=False' * (min(x1, y1) == 0)}")
    flags = element.findall("difficult")
    flag = (flags[0].text or "").strip() if len(flags) == 1 else "0"
    if len(flags) > 1 or flag not in ("0", "1"):
        raise DataFormatError(f"parse_voc: {where} has difficult {flag!r:.40}, expected 0 or 1, once")
    return _text(element, "name", where), box, flag == "1"


def _only(element, tag, where):
    """The one child of that name."""
    found = element.findall(tag)
    if len(found) != 1:
        raise DataFormatError(f"parse_voc: {where} has {len(found)} elements {tag!r}, expected one")
    return found[0]


def _text(element, tag, where):
    text = (_only(element, tag, where).text or "").strip()
    if not text:
        raise DataFormatError(f"parse_voc: {where}: {tag} is empty, expected text")
    return text


def _number(element, tag, where):
    text = _text(element, tag, where)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < 2**31:
        raise DataFormatError(f"parse_voc: {where}: {tag} is {text!r:.40}, expected a number")
    return value


class _Tree(ElementTree.TreeBuilder):
    """Builds elements, counts them, and refuses what is too much or never allowed."""

    def __init__(self, what, parser):
        super().__init__()
        self.what, self.parser, self.depth, self.count = what, parser, 0, 0
        parser.StartElementHandler, parser.EndElementHandler = self.start, self.end
        parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = self.data, self.refuse

    def start(self, tag, attributes):
        self.depth, self.count = self.depth + 1, self.count + 1
        if self.depth > MAX_DEPTH or self.count > MAX_ELEMENTS:
            raise LimitError(f"parse_voc: {self.what} has {self.count} elements, {self.depth} inside each other, at "
                             f"line {self.parser.CurrentLineNumber}, expected at most {MAX_ELEMENTS} and {MAX_DEPTH}")
        return super().start(tag, attributes)

    def end(self, tag):
        self.depth -= 1
        return super().end(tag)

    def refuse(self, *declaration):
        raise UnsafeFileError(f"parse_voc: {self.what} has a DOCTYPE at line {self.parser.CurrentLineNumber}, expected "
                              "none; entities are never expanded")


def _parse_xml(data, what):
    """The root of an XML file without DOCTYPE, no larger and no deeper than allowed."""
    if len(data) > MAX_BYTES:
        raise LimitError(f"parse_voc: {what} has {len(data)} bytes, expected at most {MAX_BYTES}")
    parser = expat.ParserCreate()
    tree = _Tree(what, parser)
    try:
        parser.Parse(data, True)
    except expat.ExpatError as e:
        raise DataFormatError(f"parse_voc: {what}: line {e.lineno}, column {e.offset}: "
                              f"{expat.ErrorString(e.code)}") from None
    except DataFormatError:
        raise
    except (ValueError, LookupError) as e:                        # an encoding that Python does not know
        raise DataFormatError(f"parse_voc: {what} cannot be decoded: {e}") from None
    return tree.close()


def voc_bytes(annotation: VocAnnotation, *, folder: str = "JPEGImages") -> bytes:
    """A `VocAnnotation` as the bytes of an XML file; the inverse of `parse_voc`."""
    root = ElementTree.Element("annotation")
    _add(root, folder=folder, filename=annotation.filename)
    height, width = annotation.size
    _add(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
    boxes = np.asarray(annotation.boxes, np.float64)              # adding 1 must not round
    for name, (x1, y1, x2, y2), difficult in zip(annotation.names, boxes, annotation.difficult, strict=True):
        element = ElementTree.SubElement(root, "object")
        _add(element, name=name, difficult=int(difficult))
        _add(ElementTree.SubElement(element, "bndbox"), xmin=x1 + 1, ymin=y1 + 1, xmax=x2, ymax=y2)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _add(element, **children):
    for tag, value in children.items():
        text = value if isinstance(value, str) else f"{float(value):.17g}"
        if not text.isprintable() or text != text.strip() or not text:
            raise ArgError(f"voc_bytes: {tag} is {text!r:.60}, expected printable text without blanks around it")
        ElementTree.SubElement(element, tag).text = text


def write_voc(root, samples, class_names, *, split: str = "train") -> None:
    """Write samples (image, boxes, labels, and difficult if there) as a VOC data set that `VOC` reads.

    Pictures become PNG files named by position; a split that is there is written anew. Everything is checked before
    the first file is written.
    """
    check_member_name("write_voc", split, ArgError)
    files, samples = {}, list(samples)
    for i, sample in enumerate(samples):
        check_classes("write_voc", sample["labels"], class_names)
        names = [class_names[k] for k in sample["labels"]]
        difficult = sample.get("difficult", np.zeros(len(names), bool))
        name = f"{split}_{i:06d}"
        files[name] = voc_bytes(VocAnnotation(f"{name}.png", sample["image"].shape[1:], names, sample["boxes"],
                                              difficult))
        parse_voc(files[name], what=f"sample {i}")                # never write what cannot be read back
    pictures, annotations, lists = (Path(root) / part for part in ("JPEGImages", "Annotations", "ImageSets/Main"))
    for folder in (pictures, annotations, lists):
        folder.mkdir(parents=True, exist_ok=True)
    for (name, data), sample in zip(files.items(), samples, strict=True):
        write_png(pictures / f"{name}.png", sample["image"])
        atomic_write(annotations / f"{name}.xml", data)
    atomic_write(lists / f"{split}.txt", "".join(f"{name}\n" for name in files).encode())


class VOC:
    """The pictures and boxes of one split of a data set in Pascal VOC's layout.

    =========  =========  =======  ===================================================
    field      shape      dtype    meaning
    =========  =========  =======  ===================================================
    image      (3, H, W)  float32  RGB in [0, 1]
    boxes      (R, 4)     float32  xyxy in pixels, half-open
    labels     (R,)       int64    position in `class_names`
    difficult  (R,)       bool     hard to recognise: neither required nor punished
    =========  =========  =======  ===================================================

    root: the folder with ``JPEGImages``, ``Annotations`` and ``ImageSets`` (``VOCdevkit/VOC2007`` and so on).
    class_names: in the order of the labels; by default the twenty of the challenge. one_based: see `parse_voc`.
    Annotations are read at the start, pictures when asked for; pictures without objects are kept.
    Raises DataMissingError if a file is absent; DataFormatError for an unknown class or a picture of another size than
    its annotation says; and as `parse_voc`.
    """

    lists = ("image", "boxes", "labels", "difficult")

    def __init__(self, root, split: str = "train", *, class_names: tuple = CLASSES, one_based: bool = True):
        self.root, self.class_names = Path(root), tuple(class_names)
        self.ids = _read_ids(self.root, split)
        self.annotations = [self._read(i, one_based) for i in self.ids]

    def _read(self, name, one_based):
        path = safe_join(self.root / "Annotations", f"{name}.xml")
        annotation = parse_voc(read_limited(path, MAX_BYTES), what=str(path), one_based=one_based)
        unknown = sorted(set(annotation.names) - set(self.class_names))
        if unknown:
            raise DataFormatError(f"VOC: {str(path)!r} has the classes {unknown[:5]}, expected some of "
                                  f"{self.class_names}")
        return annotation

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        check_index("VOC", i, len(self))
        a = self.annotations[i]
        path = safe_join(self.root / "JPEGImages", a.filename)
        image = read_image(path)
        if image.shape[1:] != a.size:
            raise DataFormatError(f"VOC: {str(path)!r} is {image.shape[1]} x {image.shape[2]}, expected {a.size[0]} x "
                                  f"{a.size[1]} as in its annotation")
        labels = np.array([self.class_names.index(name) for name in a.names], np.int64)
        return {"image": image, "boxes": a.boxes.copy(), "labels": labels, "difficult": a.difficult.copy()}


def _read_ids(root, split):
    check_member_name("VOC", split, ArgError)
    path = root / "ImageSets" / "Main" / f"{split}.txt"
    if not path.is_file():
        raise DataMissingError(f"VOC: root is {str(root)!r}, expected ImageSets/Main/{split}.txt in it; unpack the "
                               "archive of the challenge there, nothing is downloaded")
    try:
        lines = read_limited(path, MAX_BYTES).decode("utf-8").split("\n")
    except UnicodeDecodeError as e:
        raise DataFormatError(f"VOC: {str(path)!r} is not UTF-8: {e}") from None
    ids = [line.split()[0] for line in lines if line.strip()]
    for name in ids:
        check_member_name("VOC", name)
    return ids
