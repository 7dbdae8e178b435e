"""The tensor: an array that remembers how it was computed.

A `Tensor` owns its array. Arrays given from outside are copied, `.data` is read-only, and every way of
writing (`t.data = a`, `t.copy_(a)`, `t -= a` under `no_grad`, `with t.writable() as a`) raises
`t.version`, by which the backward pass sees that a value it needs has been overwritten.

Arithmetic and the methods that are ops are attached in `methods.py`; the derivative rules live next to
the ops; the backward walk is `engine.py`.
"""

import contextlib
import sys

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..kernels.panels import own
from .modes import state


def _count_lone_references():
    probe = type("Probe", (), {"__slots__": ("array",)})()
    probe.array = np.empty(1)
    held = probe.array
    return sys.getrefcount(held)



class _Writes:
    """`latest` is a new object at every write to any Tensor: while it is the same, nothing was written."""

    def __init__(self):
        self.latest = object()


writes = _Writes()
_new = object.__new__
SLOT_AND_NAME = _count_lone_references()      # what getrefcount says when one slot and one local hold an array


def as_array(data, dtype=None):
    """A NumPy array of a type that minicv computes with.

    Python floats and lists of floats become float32, Python integers int64; arrays keep their type,
    but float16 becomes float32 and foreign byte orders become native. Anything else is a DTypeError.
    """
    kept = isinstance(data, (np.ndarray, np.generic))
    try:
        array = np.asarray(data)
    except ValueError as e:
        raise ShapeError(f"Tensor: data is a ragged sequence, expected equal lengths ({e})") from None
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise DTypeError(f"Tensor: data has dtype {array.dtype}, expected a real number type up to 64 bits")
    if dtype is None:
        if array.dtype.kind == "f" and (not kept or array.dtype.itemsize < 4):
            dtype = np.float32
        else:
            dtype = array.dtype.newbyteorder("=")
    return array.astype(real_type("Tensor", dtype), copy=False)


def real_type(function, dtype):
    """`dtype` as a NumPy dtype; DTypeError unless it is float32, float64, an integer type or bool."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind not in "fiub" or (found.kind == "f" and found.itemsize not in (4, 8)):
        raise DTypeError(f"{function}: dtype is {dtype!r}, expected float32, float64, an integer type or bool")
    return found


def array(x):
    """The NumPy array behind a Tensor; anything else as an array. For integers, masks and shapes in rules."""
    return x._array if isinstance(x, Tensor) else np.asarray(x)


class Tensor:
    """A multi-dimensional array with an optional place in the graph of operations.

    Parameters
    ----------
    data : array_like or Tensor
        Copied. Python floats become float32; arrays keep their dtype.
    requires_grad : bool, default False
        Record what is computed from this tensor and give it a `.grad` in `backward`.
    dtype : optional
        Convert to this type.

    Attributes
    ----------
    grad : Tensor or None
        Sum of the gradients of all `backward` calls since it was last set to None.
    version : int
        How often the contents were written.
    node : Node or None
        The recorded operation that made it; None for a leaf.

    Raises
    ------
    DTypeError
        For data that is not a real number, or integers with `requires_grad`.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([2., 4.])
    """

    __slots__ = ("_array", "_requires_grad", "_grad", "node", "version", "__weakref__")

    def __init__(self, data, requires_grad=False, dtype=None):
        if isinstance(data, Tensor):
            data = data._array
        self._array = np.array(as_array(data, dtype), order="K", copy=True)
        self._array.setflags(write=False)
        self._requires_grad, self._grad, self.node, self.version = False, None, None, 0
        self.requires_grad = requires_grad

    @classmethod
    def wrap(cls, values):
        """A tensor round an array that nobody else will write; the array is locked, not copied."""
        self = _new(cls)
        values.setflags(False)
        self._array, self._requires_grad, self._grad, self.node, self.version = values, False, None, None, 0
        return self

    # What it is ---------------------------------------------------------------------------------

    @property
    def shape(self):
        """Sizes of the axes."""
        return self._array.shape

    @property
    def ndim(self):
        """Number of axes."""
        return self._array.ndim

    @property
    def size(self):
        """Number of elements."""
        return self._array.size

    @property
    def dtype(self):
        """NumPy dtype of the elements."""
        return self._array.dtype

    @property
    def is_leaf(self):
        """True when no recorded operation made it."""
        return self.node is None

    @property
    def requires_grad(self):
        """Whether gradients flow to this tensor."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        if value and self._array.dtype.kind != "f":
            raise DTypeError(f"requires_grad: dtype is {self.dtype}, expected float32 or float64")
        if not value and self.node is not None:
            raise GraphError("requires_grad: cannot be switched off for a computed tensor; use detach()")
        self._requires_grad = bool(value)

    @property
    def data(self):
        """The values as a read-only view. Assign to replace them: same shape and dtype."""
        return self._array.view()            # a view of a locked array cannot be unlocked

    @data.setter
    def data(self, values):
        values = values._array if isinstance(values, Tensor) else np.asarray(values)
        self._check_like("data", values)
        self._array = np.array(values, order="K", copy=True)
        self._array.setflags(write=False)
        self._wrote()

    @property
    def grad(self):
        """Accumulated gradient or None."""
        return self._grad

    @grad.setter
    def grad(self, value):
        if value is not None:
            self._check_like("grad", value)
            value = value if isinstance(value, Tensor) else Tensor(value)
        self._grad = value

    def _check_like(self, name, values):
        shape, dtype = getattr(values, "shape", None), getattr(values, "dtype", None)
        if shape != self.shape:
            raise ShapeError(f"Tensor.{name}: value has shape {shape}, expected {self.shape}")
        if dtype != self.dtype:
            raise DTypeError(f"Tensor.{name}: value has dtype {dtype}, expected {self.dtype}")

    # Leaving the graph ---------------------------------------------------------------------------

    def detach(self):
        """The same values without history. NB: unlike PyTorch's, later writes are not shared."""
        return Tensor.wrap(self._array)

    def item(self):
        """The single value as a Python number."""
        if self.size != 1:
            raise ShapeError(f"Tensor.item: tensor has shape {self.shape}, expected one element")
        return self._array.item()

    def numpy(self):
        """The values as a read-only array; GraphError if that would cut the graph."""
        self._refuse_if_tracked("numpy()")
        return self._array.view()

    def tolist(self):
        """The values as nested Python lists."""
        return self._array.tolist()

    def __array__(self, dtype=None, copy=None):
        self._refuse_if_tracked("conversion to a NumPy array")
        if copy:
            return np.array(self._array, dtype=dtype)
        return self._array.view() if dtype is None else self._array.astype(dtype, copy=False)

    def __float__(self):
        self._refuse_if_tracked("float()")
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        if self._array.dtype.kind not in "iu":
            raise DTypeError(f"Tensor: an index needs an integer, got dtype {self.dtype}")
        return self.item()

    def _refuse_if_tracked(self, what):
        if self._requires_grad and state.recording:
            raise GraphError(f"Tensor: {what} would lose the gradient; "
                             "use t.detach().numpy() or t.item(), or the op of minicv.functional")

    # Writing --------------------------------------------------------------------------------------

    def _wrote(self):
        self.version += 1
        if self._array.ndim > 1:
            own(self._array)             # what kernels prepared from a filter or matrix is out of date
        writes.latest = object()
        if self.node is not None:
            self.node.result_version += 1

    @contextlib.contextmanager
    def writable(self):
        """``with t.writable() as a``: the tensor's own array, unlocked inside the block.

        Where somebody else can see the array (a view, a detached copy, a saved result) the tensor gets
        a copy of its own first, so a write never reaches them.
        """
        values = self._array
        if values.base is not None or sys.getrefcount(values) > SLOT_AND_NAME:
            values = self._array = values.copy(order="K")
        values.setflags(write=True)
        try:
            yield values
        finally:
            values.setflags(write=False)
            self._wrote()

    def copy_(self, values):
        """Overwrite with `values` of the same shape, converted to this dtype; returns self."""
        values = values._array if isinstance(values, Tensor) else np.asarray(values)
        if values.shape != self.shape:
            raise ShapeError(f"Tensor.copy_: values have shape {values.shape}, expected {self.shape}")
        self.check_write("copy_")
        with self.writable() as a:
            a[...] = values
        return self

    def replace(self, values):
        """Take `values` of the same shape but possibly another dtype, for a module that changes precision."""
        if values.shape != self.shape:
            raise ShapeError(f"Tensor.replace: values have shape {values.shape}, expected {self.shape}")
        if self._requires_grad and values.dtype.kind != "f":
            raise DTypeError(f"Tensor.replace: dtype is {values.dtype}, expected float32 or float64")
        self._array, self._grad = np.array(values, order="K", copy=True), None
        self._array.setflags(write=False)
        self._wrote()

    def check_write(self, what):
        """GraphError when writing now would make recorded gradients wrong."""
        if self._requires_grad and state.recording:
            raise GraphError(f"Tensor: {what} on a tensor that requires a gradient; "
                             "write inside `with no_grad():` or compute a new tensor")

    # Python protocol ------------------------------------------------------------------------------

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __bool__(self):
        if self.size != 1:
            raise ShapeError(f"bool(Tensor): shape {self.shape} has no single truth value; use .data.any() or .all()")
        return bool(self._array.item())

    __hash__ = object.__hash__           # by identity; == compares element by element

    def __repr__(self):
        words = np.array2string(self._array, separator=", ", prefix="Tensor(", threshold=200)
        kind = "" if self.dtype in (np.float32, np.int64, bool) else f", dtype={self.dtype}"
        made = f", op={self.node.op.name}" if self.node is not None else ""
        tail = ", requires_grad=True" if self._requires_grad and not made else ""
        return f"Tensor({words}{kind}{made}{tail})"

    def _repr_html_(self):
        from .show import tensor_html

        return tensor_html(self)

    def __deepcopy__(self, memo):
        self._refuse_history("deepcopy")
        copy = type(self).wrap(self._array.copy(order="K"))
        copy._requires_grad = self._requires_grad
        memo[id(self)] = copy
        return copy

    def __reduce__(self):
        self._refuse_history("pickle")
        # NumPy pickles only C and Fortran order as they are; other memory orders travel as a permutation.
        order = tuple(int(i) for i in np.argsort([-abs(s) for s in self._array.strides], kind="stable"))
        return _rebuild, (type(self), self._array.transpose(order), order, self._requires_grad)

    def _refuse_history(self, what):
        if self.node is not None:
            raise GraphError(f"Tensor: {what} of a computed tensor would copy its graph; detach() it first")


def _rebuild(cls, values, order, requires_grad):
    self = cls.wrap(np.array(values, order="C", copy=True).transpose(np.argsort(order)))
    self._requires_grad = requires_grad
    return self
