"""What a detector finds and what it should find: boxes with their labels, checked once, then passed around.

==============  ==================================  ===============================================
class           fields                              comes from
==============  ==================================  ===============================================
`Detections`    boxes, labels, scores               every detector's ``predict``, one per image
`Segments`      the same and masks                  instance segmentation
`Targets`       boxes, labels, masks, crowd         data sets, one per image
==============  ==================================  ===============================================

All are read-only records of R rows. Indexing with a slice, positions or a mask selects rows, ``+`` joins, ``==``
compares everything. No rows at all is an ordinary case.
"""

import html
from dataclasses import dataclass, fields

import numpy as np

from ..autograd.op import array
from ..errors import ArgError, DTypeError, ShapeError
from .boxes import masks_to_boxes
from .check import check_boxes, check_labels, check_number, check_scores
from .suppress import nms

SHOWN = 10                              # rows of the table in a notebook


class Rows:
    """What the records share; their fields are arrays with one row for each object, or None."""

    def __len__(self):
        return len(self.boxes)

    def __iter__(self):
        return (self[i:i + 1] for i in range(len(self)))

    def __getitem__(self, index):
        """The rows of a slice, of positions, or of a mask (R,) bool."""
        index = index if isinstance(index, slice) else _rows(type(self).__name__, index, len(self))
        return type(self)(**{name: None if x is None else x[index] for name, x in self.arrays().items()})

    def __add__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return self.concat([self, other])

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        mine, its = self.arrays(), other.arrays()
        return all((mine[k] is None and its[k] is None) or np.array_equal(mine[k], its[k]) for k in mine)

    __hash__ = None

    def __repr__(self):
        some = ", ".join(f"{name} {x.shape}" for name, x in self.arrays().items() if x is not None)
        return f"{type(self).__name__}({len(self)}: {some})"

    def _repr_html_(self):
        names = [name for name, x in self.arrays().items() if x is not None]
        head = "".join(f"<th>{name}</th>" for name in ("", *names))
        cells = [[str(i), *(_cell(getattr(self, n)[i]) for n in names)] for i in range(min(len(self), SHOWN))]
        rows = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in cells]
        more = f"<tr><td colspan={len(names) + 1}>and {len(self) - SHOWN} more</td></tr>" if len(self) > SHOWN else ""
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return (f"<table><caption>{type(self).__name__}: {len(self)}</caption><thead><tr>{head}</tr></thead>"
                f"<tbody>{body}{more}</tbody></table>")

    def arrays(self):
        """The fields as a dict, which the constructor takes back: ``Detections(**d.arrays()) == d``."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def concat(cls, parts):
        """One record of all rows of several; ArgError for none."""
        parts = list(parts)
        if not parts:
            raise ArgError(f"{cls.__name__}.concat: parts is empty, expected at least one {cls.__name__}")
        for part in parts:
            if not isinstance(part, cls):
                raise ArgError(f"{cls.__name__}.concat: parts holds a {type(part).__name__}, expected {cls.__name__}")
        joined = {}
        for name, first in parts[0].arrays().items():
            columns = [getattr(p, name) for p in parts]
            if any((c is None) != (first is None) for c in columns):
                raise ArgError(f"{cls.__name__}.concat: {name} is given in some parts only, expected in all or none")
            joined[name] = None if first is None else np.concatenate(columns)
        return cls(**joined)

    def _set(self, name, values):
        """Store a read-only array in the frozen record."""
        values = np.array(values)
        values.flags.writeable = False
        object.__setattr__(self, name, values)

    def _set_boxes(self):
        function = type(self).__name__
        boxes = array(check_boxes(function, "boxes", self.boxes))
        with np.errstate(over="ignore"):
            boxes = boxes.astype(np.float32)
        self._set("boxes", check_boxes(function, "boxes", boxes))              # again: float32 is finite only to 3e38
        return function, len(self.boxes)


@dataclass(frozen=True, eq=False, repr=False)
class Detections(Rows):
    """Found objects of one image, best first.

    ======  ========  =======  ==========================================================
    field   shape     dtype    meaning
    ======  ========  =======  ==========================================================
    boxes   (R, 4)    float32  xyxy, pixels of the image, x1 <= x2, y1 <= y2
    labels  (R,)      int64    class >= 0; background is no class
    scores  (R,)      float32  in [0, 1], descending; equal scores keep their order
    ======  ========  =======  ==========================================================

    The rows are sorted at construction. Arrays or Tensors are accepted and copied.

    Raises
    ------
    ShapeError, DTypeError, ArgError
    BoxError
        For a box that is inverted or not finite, or a score that is not in [0, 1].

    >>> d = Detections([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], [0, 0, 1], [0.8, 0.9, 0.7])
    >>> d.nms(0.5).boxes
    array([[ 1.,  1., 11., 11.],
           [20., 20., 30., 30.]], dtype=float32)
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def __post_init__(self):
        self._set_fields(*self._set_boxes())
        order = np.argsort(-self.scores, kind="stable")
        for name, values in self.arrays().items():
            self._set(name, values[order])

    def _set_fields(self, function, count):
        self._set("labels", check_labels(function, self.labels, count))
        self._set("scores", check_scores(function, self.scores, count, high=1).astype(np.float32))

    @classmethod
    def empty(cls):
        """No detections."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))

    def nms(self, threshold=0.5, *, per_class=True):
        """What non-maximum suppression keeps; `per_class=False` also lets different classes delete each other."""
        return self[nms(self.boxes, self.scores, threshold, self.labels if per_class else None)]

    def top(self, k):
        """The k best rows, or all where there are fewer."""
        if not isinstance(k, (int, np.integer)) or k < 0:
            raise ArgError(f"{type(self).__name__}.top: k is {k!r}, expected an integer >= 0")
        return self[:k]

    def above(self, score):
        """The rows whose score is at least `score`."""
        return self[self.scores >= np.float32(check_number(f"{type(self).__name__}.above", "score", score))]


@dataclass(frozen=True, eq=False, repr=False)
class Segments(Detections):
    """Found objects with their masks (R, H, W) bool, the pixels of the image that each covers.

    Boxes, labels and scores as in `Detections`; `from_masks` takes the tightest boxes around the masks.
    """

    masks: np.ndarray

    def _set_fields(self, function, count):
        super()._set_fields(function, count)
        self._set("masks", _masks(function, self.masks, count))

    @classmethod
    def from_masks(cls, masks, labels, scores):
        """Segments whose boxes are the tightest around the masks."""
        return cls(masks_to_boxes(masks), labels, scores, masks)

    @classmethod
    def empty(cls, size=(0, 0)):
        """No segments of an image of `size` (height, width)."""
        return cls.from_masks(np.zeros((0, *size), bool), np.zeros(0, np.int64), np.zeros(0, np.float32))


@dataclass(frozen=True, eq=False, repr=False)
class Targets(Rows):
    """What is really in one image.

    ======  =========  =======  ============================================================
    field   shape      dtype    meaning
    ======  =========  =======  ============================================================
    boxes   (R, 4)     float32  xyxy, pixels of the image
    labels  (R,)       int64    class >= 0
    masks   (R, H, W)  bool     pixels of each object, or None
    crowd   (R,)       bool     a group that is not to be told apart (COCO's iscrowd);
                                default: none is
    ======  =========  =======  ============================================================

    Raises ShapeError, DTypeError, ArgError, BoxError as `Detections`, so that no training step sees a bad box (D-3).
    """

    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray = None
    crowd: np.ndarray = None

    def __post_init__(self):
        function, count = self._set_boxes()
        self._set("labels", check_labels(function, self.labels, count))
        if self.masks is not None:
            self._set("masks", _masks(function, self.masks, count))
        crowd = np.zeros(count, bool) if self.crowd is None else array(self.crowd)
        if crowd.shape != (count,):
            raise ShapeError(f"{function}: crowd has shape {crowd.shape}, expected ({count},)")
        if crowd.dtype != bool:
            raise DTypeError(f"{function}: crowd has dtype {crowd.dtype}, expected bool")
        self._set("crowd", crowd)

    @classmethod
    def empty(cls):
        """An image without objects."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))

    def detections(self):
        """The perfect answer: every object with score 1."""
        return Detections(self.boxes, self.labels, np.ones(len(self), np.float32))


def _masks(function, masks, count):
    masks = array(masks)
    if masks.ndim != 3 or len(masks) != count:
        raise ShapeError(f"{function}: masks has shape {masks.shape}, expected ({count}, H, W)")
    if masks.dtype != bool:
        raise DTypeError(f"{function}: masks has dtype {masks.dtype}, expected bool")
    return masks


def _rows(function, index, count):
    """Positions (K,) or a mask (R,) as an array that selects rows."""
    index = np.asarray(index)
    if index.size == 0 and index.dtype.kind == "f":                # an empty list
        index = index.astype(np.int64)
    if index.ndim != 1 or index.dtype.kind not in "iub":
        raise ShapeError(f"{function}: index has shape {index.shape} and dtype {index.dtype}, expected a slice, "
                         "positions (K,) or a mask (R,); one row is [i:i+1]")
    if index.dtype == bool and len(index) != count:
        raise ShapeError(f"{function}: the mask has {len(index)} entries, expected {count}")
    return index


def _cell(value):
    if np.ndim(value) == 2:
        return f"{np.count_nonzero(value)} px"
    return ", ".join(f"{v:.4g}" for v in np.atleast_1d(value)) if np.asarray(value).dtype.kind == "f" else str(value)
